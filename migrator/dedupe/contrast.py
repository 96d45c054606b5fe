"""Two values side by side: whether they differ, and exactly where; and a pair's weight taken apart step by step."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import Enum
from typing import Any

MOST_COMPARED = 2_000
"""Characters of a longer text are not compared one by one: it differs as a whole."""
ALIKE_ENOUGH = 0.5
"""Share of characters that two values must have in common; below it, what they share is chance and would only confuse."""


class Difference(Enum):
    """How two values of one field stand to each other."""

    SAME = "same"
    ALIKE = "alike"
    """The same but for case, width and spaces."""
    DIFFERENT = "different"
    ONE_ONLY = "one_only"
    """Only one of the records has a value."""
    NEITHER = "neither"

    @property
    def differs(self) -> bool:
        """Whether a person should look at it."""
        return self in (Difference.DIFFERENT, Difference.ONE_ONLY)


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a value, and whether the other value lacks it."""

    text: str
    differs: bool


@dataclass(frozen=True, slots=True)
class Contrast:
    """One field of two records; a text of nothing but spaces is no value."""

    field: str
    one: str | None
    other: str | None

    @property
    def difference(self) -> Difference:
        """How they stand to each other."""
        one, other = (self.one or "").strip(), (self.other or "").strip()
        if not one or not other:
            return Difference.ONE_ONLY if one or other else Difference.NEITHER
        if one == other:
            return Difference.SAME
        return Difference.ALIKE if _plain(one) == _plain(other) else Difference.DIFFERENT

    @property
    def spans(self) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
        """Both values, cut where they differ."""
        one, other = self.one or "", self.other or ""
        if self.difference is not Difference.DIFFERENT or max(len(one), len(other)) > MOST_COMPARED:
            differs = self.difference is Difference.DIFFERENT
            return _whole(one, differs=differs), _whole(other, differs=differs)
        matcher = SequenceMatcher(None, one, other, autojunk=False)
        if matcher.ratio() < ALIKE_ENOUGH:
            return _whole(one, differs=True), _whole(other, differs=True)
        steps = matcher.get_opcodes()
        left = (Span(one[i:j], tag != "equal") for tag, i, j, _, _ in steps if i < j)
        right = (Span(other[i:j], tag != "equal") for tag, _, _, i, j in steps if i < j)
        return tuple(left), tuple(right)


def _whole(text: str, *, differs: bool) -> tuple[Span, ...]:
    return (Span(text, differs),) if text else ()


def _plain(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


@dataclass(frozen=True, slots=True)
class Step:
    """What one field gave to a pair's weight: from `before` to `after`, in bits."""

    field: str
    """'' for the prior: what any two records have before anything is compared."""
    level: str
    bits: float
    before: float

    @property
    def after(self) -> float:
        """The weight with it."""
        return self.before + self.bits


def waterfall(parts: str | None) -> tuple[Step, ...]:
    """The steps in `columns.PAIRS.parts`, in their order; () for a pair that no model scored."""
    return tuple(_steps(json.loads(parts))) if parts else ()


def _steps(parts: list[dict[str, Any]]) -> Iterator[Step]:
    before = 0.0
    for part in parts:
        step = Step(str(part["field"]), str(part["level"]), float(part["bits"]), before)
        yield step
        before = step.after
