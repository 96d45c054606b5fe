"""How two values of a feature may agree, as ordered levels of SQL over the feature columns of both records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from migrator.core.mapped import Meaning
from migrator.dedupe.features import Feature, Kind
from migrator.dedupe.levels import OVERLAP, Level, similar_words, slips, text_levels
from migrator.dedupe.name_levels import (
    company_levels,
    family_levels,
    given_levels,
    in_two_scripts,
    person_levels,
)
from migrator.staging.engine import Session


@dataclass(frozen=True, slots=True)
class Comparison:
    """The levels of one feature, best first; what fits none of them is the last level, disagreement."""

    feature: Feature
    missing: str
    levels: tuple[Level, ...]
    otherwise: float
    """How often a true match is expected to disagree."""

    @property
    def name(self) -> str:
        """What it is called where odds are kept."""
        return f"c{self.feature.number}"

    def loose(self, shares: Sequence[float]) -> float:
        """Of the `shares` of its levels, disagreement last, those in which hardly anything agrees."""
        return shares[-1] + sum(
            share for level, share in zip(self.levels, shares, strict=False) if level.loose or level.against
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its levels, disagreement last."""
        return (*(level.label for level in self.levels), "different")


def make_comparisons(session: Session, features: Sequence[Feature]) -> tuple[Comparison, ...]:
    """The comparisons of all features; makes the function that their conditions call."""
    session.execute(
        f"CREATE OR REPLACE TEMP MACRO {OVERLAP}(a, b) AS "
        "coalesce(list_sum(list_transform(list_intersect(a, b), lambda t: (t & 255))), 0)"
    )
    return tuple(_comparison(item) for item in features)


def _comparison(item: Feature) -> Comparison:
    v = item.value
    missing = f"{v}_l IS NULL OR {v}_r IS NULL"
    if item.meaning is Meaning.GIVEN and item.apart is not None and item.apart != item.number:
        # what a given name says in another script, the whole name says, and the surname's levels have that
        missing = f"{missing} OR {in_two_scripts(item)}"
    levels = _levels(item)
    return Comparison(item, missing, levels, round(max(0.02, 1 - sum(level.expected for level in levels)), 3))


def _levels(item: Feature) -> tuple[Level, ...]:
    equal = Level("equal", f"{item.value}_l = {item.value}_r", 0.85, by_value=True)
    match item.meaning:
        case Meaning.PERSON:
            return person_levels(item, equal)
        case Meaning.COMPANY:
            return company_levels(item, equal)
        case Meaning.GIVEN:
            return given_levels(item, equal)
        case Meaning.FAMILY:
            return family_levels(item, equal)
        case _:
            return (equal, *_by_kind(item))


def _by_kind(item: Feature) -> tuple[Level, ...]:
    """The levels below equality of what is no name."""
    v = item.value
    swapped = (
        f"left({v}_l, 4) = left({v}_r, 4) AND right({v}_l, 2) = {v}_r[5:6] AND right({v}_r, 2) = {v}_l[5:6]"
    )
    found: dict[Kind, tuple[Level, ...]] = {
        Kind.WORD: similar_words(item),
        Kind.CODE: (
            Level("one slip", slips(v, 1), 0.06),
            Level("two slips", f"length({v}_l) >= 6 AND {slips(v, 2)}", 0.02),
        ),
        Kind.DATE: (
            Level("one slip", f"{slips(v, 1)} OR {swapped}", 0.06),
            Level("two slips", slips(v, 2), 0.03),
        ),
        Kind.PHONE: (
            Level("same end", f"right({v}_l, 7) = right({v}_r, 7)", 0.03),
            Level("one slip", slips(v, 1), 0.03),
        ),
        Kind.EMAIL: _email_levels(v),
        Kind.CATEGORY: (),
    }
    return text_levels(item) if item.kind is Kind.TEXT else found[item.kind]


def _email_levels(v: str) -> tuple[Level, ...]:
    """Addresses that differ in a digit are two on purpose: anna.koch7 and anna.koch8 are namesakes."""
    left, right, number = f"split_part({v}_l, '@', 1)", f"split_part({v}_r, '@', 1)", "'[^0-9]', '', 'g'"
    same_number = f"regexp_replace({left}, {number}) = regexp_replace({right}, {number})"
    return (
        Level("same name", f"length({left}) >= 5 AND {left} = {right}", 0.05),
        Level("alike", f"{slips(v, 2)} AND {same_number}", 0.05),
    )
