"""What is known of a record before it is written, and what became of its row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from connectors.dataverse.payloads import Refusal


@dataclass(frozen=True, slots=True)
class Existing:
    """A record that has a key already: its id, the key as it stands there, and its state."""

    record: str
    key: str
    state: int | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one row."""

    outcome: str
    record: str | None = None
    refusal: Refusal | None = None


Answers = dict[int, Written]
Finder = Callable[[Sequence[str]], Mapping[str, Existing]]
"""Existing records by key, those in another spelling among them: the service does not tell them apart. Keys of no
record are left out; a key that nobody asked for is of a record that the service takes for one of them.
"""


def exactly(found: Mapping[str, Existing]) -> dict[str, Existing]:
    """Only those that are spelt as they were asked for."""
    return {key: item for key, item in found.items() if item.key == key}


def other_spelling(existing: Existing) -> Written:
    """A key that the service takes for another one's: written, it would change that record."""
    refusal = Refusal(
        "key.spelling",
        f"a record has this key in another spelling, {existing.key!r}, and the service takes both for the same",
    )
    return Written("refused", refusal=refusal)
