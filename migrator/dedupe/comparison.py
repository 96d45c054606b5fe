"""How two values of a feature may agree, as ordered levels of SQL over the feature columns of both records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from migrator.core.mapped import Meaning
from migrator.dedupe.features import Feature, Kind
from migrator.staging.engine import Session

OVERLAP = "dedupe_overlap"


@dataclass(frozen=True, slots=True)
class Level:
    """One way to agree: its name, its condition over `…_l` and `…_r`, and how often a true match is expected to be so."""

    label: str
    condition: str
    expected: float
    by_value: bool = False
    """Whether agreeing in a rare value counts for more than in a common one."""


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
        """What Splink calls it."""
        return f"c{self.feature.number}"

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
    equal = Level("equal", f"{v}_l = {v}_r", 0.85, by_value=True)
    match item.kind:
        case Kind.WORD:
            levels = (
                equal,
                *_read(item),
                Level("alike", f"jaro_winkler_similarity({v}_l, {v}_r) >= 0.92", 0.06),
                *_moved(v),
                Level("similar", f"jaro_winkler_similarity({v}_l, {v}_r) >= 0.82", 0.02),
            )
        case Kind.TEXT:
            levels = (equal, *_read(item), *_alike_texts(item))
        case Kind.CODE:
            levels = (
                equal,
                Level("one slip", _slips(v, 1), 0.06),
                Level("two slips", f"length({v}_l) >= 6 AND {_slips(v, 2)}", 0.02),
            )
        case Kind.DATE:
            swapped = f"left({v}_l, 4) = left({v}_r, 4) AND right({v}_l, 2) = {v}_r[5:6] AND right({v}_r, 2) = {v}_l[5:6]"
            levels = (
                equal,
                Level("one slip", f"{_slips(v, 1)} OR {swapped}", 0.06),
                Level("two slips", _slips(v, 2), 0.03),
            )
        case Kind.PHONE:
            levels = (
                equal,
                Level("same end", f"right({v}_l, 7) = right({v}_r, 7)", 0.03),
                Level("one slip", _slips(v, 1), 0.03),
            )
        case Kind.EMAIL:
            local = f"split_part({v}_l, '@', 1)"
            levels = (
                equal,
                Level("same name", f"length({local}) >= 5 AND {local} = split_part({v}_r, '@', 1)", 0.05),
                Level("alike", f"jaro_winkler_similarity({v}_l, {v}_r) >= 0.92", 0.05),
            )
        case Kind.CATEGORY:
            levels = (equal,)
    return Comparison(item, missing, levels, round(max(0.02, 1 - sum(level.expected for level in levels)), 3))


def _read(item: Feature) -> tuple[Level, ...]:
    """Names that read alike: across scripts, or in a shorter form; two Chinese names that only sound alike do not."""
    if item.reading is None:
        return ()
    n = item.reading
    shared, both = f"list_has_any(rx{n}_l, rx{n}_r)", f"rh{n}_l AND rh{n}_r"
    levels = (
        Level("same in another script", f"rh{n}_l <> rh{n}_r AND {shared}", 0.02),
        Level("same in other words", f"NOT ({both}) AND {shared}", 0.02),
    )
    if item.meaning is not Meaning.COMPANY:
        return levels
    return (*levels, Level("same brand", f"NOT ({both}) AND list_has_any(ry{n}_l, ry{n}_r)", 0.02))


def _slips(v: str, most: int) -> str:
    """At most so many characters wrong, missing, added or swapped; Jaro is cheap and rules out nearly all the rest."""
    return f"jaro_similarity({v}_l, {v}_r) >= 0.75 AND damerau_levenshtein({v}_l, {v}_r) <= {most:d}"


def _moved(v: str) -> tuple[Level, ...]:
    return (
        Level("in another field", f"list_contains(moved_r, {v}_l) OR list_contains(moved_l, {v}_r)", 0.02),
    )


def _alike_texts(item: Feature) -> tuple[Level, ...]:
    n, v = item.number, item.value
    shared = f"{OVERLAP}(k{n}_l, k{n}_r)"
    whole, shorter = f"(w{n}_l + w{n}_r) / 2", f"least(w{n}_l, w{n}_r)"
    agree = f"(d{n}_l IS NULL OR d{n}_r IS NULL OR list_has_any(d{n}_l, d{n}_r))"
    return (
        Level(
            "nearly all words",
            f"{agree} AND ({shared} >= 0.8 * {whole} OR jaro_winkler_similarity({v}_l, {v}_r) >= 0.95)",
            0.06,
        ),
        Level(
            "most words",
            f"{agree} AND ({shared} >= least(0.55 * {whole}, 0.9 * {shorter}) OR jaro_winkler_similarity({v}_l, {v}_r) >= 0.9)",
            0.04,
        ),
        *_moved(v),
        Level("some words", f"{agree} AND {shared} >= 0.3 * {whole}", 0.02),
        Level("other numbers", f"NOT {agree}", 0.02),
    )
