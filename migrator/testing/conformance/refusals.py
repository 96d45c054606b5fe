"""What both halves of the kit use: a gate that counts, and the proof that a call fails as promised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from migrator.core.errors import FatalError, MigratorError


@dataclass
class CountingGate:
    """An open gate that counts what passes."""

    requests: int = 0

    def admit(self, scope: str = "", requests: int = 1) -> None:  # noqa: ARG002 (the protocol)
        """Counted, and let through."""
        self.requests += requests

    def hold(self, seconds: float, scope: str = "") -> None:
        """Nothing is held."""

    def spent(self, used: int, limit: int | None = None) -> None:
        """Nobody counts."""


def fails(call: Callable[[], Any]) -> None:
    """The call must raise a FatalError that names what is not there."""
    said = _raised(call)
    assert said is not None, "nothing was raised for what is not there"
    assert isinstance(said, FatalError), f"FatalError expected, not {type(said).__name__}: {said}"
    assert "no such" in str(said) or "no_such" in str(said), f"the message names nothing: {said}"


def _raised(call: Callable[[], Any]) -> MigratorError | None:
    try:
        call()
    except MigratorError as error:
        return error
    return None
