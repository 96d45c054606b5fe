"""What is answered for the rows of a write: one answer a key, refusals in the system's words, and rows without an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from connectors.fxiaoke.lookup import Found
from connectors.fxiaoke.values import Unfit
from migrator.core.errors import CallRefused, RetryableError

Answer: TypeAlias = dict[str, Any]
_PATIENCE = 3
"""Answers lost one after another: then it is not the rows."""


@dataclass(slots=True)
class Lost:
    """The rows of a call that have no answer."""

    first: RetryableError | None = None
    count: int = 0
    running: int = 0

    def note(self, error: RetryableError) -> None:
        """One more; raises when nothing is to be hoped for from the rest."""
        self.first, self.count, self.running = self.first or error, self.count + 1, self.running + 1
        if error.throttled or error.retry_after or self.running >= _PATIENCE:
            raise error

    def raise_if_any(self, name: str, rows: int) -> None:
        """The error of the call as a whole."""
        if self.first is not None:
            raise RetryableError(
                f"{name}: {self.count} of {rows} rows are without an answer: {self.first.message}",
                hint="they are looked up by their keys before anything is sent again",
            ) from self.first


def after_writing(error: CallRefused) -> RetryableError:
    """A refusal of a question after something was written: of the call as a whole it is not true."""
    return RetryableError(f"a record was created and cannot be read: {error.message}")


def answer(key: str, target_id: str | None, outcome: str) -> Answer:
    """An answer to one row."""
    return {
        "key": key, "target_id": target_id, "outcome": outcome, "code": None, "field": None, "message": None
    }  # fmt: skip


def refused(key: str, target_id: str | None, code: str, name: str | None, message: str) -> Answer:
    """A refusal of one row."""
    return {**answer(key, target_id, "refused"), "code": code, "field": name, "message": message}


def unfit(key: str, target_id: str | None, error: Unfit) -> Answer:
    """A refusal of a row with a value that there is no place for."""
    name, why = error.args if len(error.args) == 2 else (None, str(error))
    return refused(key, target_id, "value.unfit", name, f"{name}: {why}")


def several(key: str, found: Found) -> Answer | None:
    """A refusal of a row whose key more than one record has."""
    some = found.several.get(key)
    if not some:
        return None
    return refused(
        key,
        None,
        "key.several",
        None,
        f"{len(some)} records have this key: merge or delete them in Fxiaoke first",
    )
