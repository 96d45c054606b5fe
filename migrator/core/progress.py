"""What a long step may tell while it works, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Listens to steps; the command line draws bars from it, a quiet run ignores it."""

    def start(self, step: str, name: str, total: int | None) -> None:
        """A step begins on an object; `total` rows when known."""
        ...

    def advance(self, step: str, name: str, rows: int) -> None:
        """`rows` more rows are done."""
        ...

    def done(self, step: str, name: str, note: str = "") -> None:
        """The step is finished on that object; `note` says in a few words what came of it."""
        ...


class Quiet:
    """Listens to nothing."""

    def start(self, step: str, name: str, total: int | None) -> None:
        """Ignore."""

    def advance(self, step: str, name: str, rows: int) -> None:
        """Ignore."""

    def done(self, step: str, name: str, note: str = "") -> None:
        """Ignore."""
