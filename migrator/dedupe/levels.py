"""One way in which two values agree, and the ways that several kinds of values share."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.dedupe.features import Feature
from migrator.dedupe.rarity import OTHER_WORDS

NEARLY_ALL = "nearly all words"
OVERLAP = "dedupe_overlap"
"""The function of what two lists of words have in common, in steps of rarity; `comparison.make_comparisons` makes it."""


@dataclass(frozen=True, slots=True)
class Level:
    """One way to agree: its name, its condition over `…_l` and `…_r`, and how often a true match is expected to be so."""

    label: str
    condition: str
    expected: float
    by_value: bool = False
    """Whether agreeing in a rare value counts for more than in a common one."""
    against: bool = False
    """Whether it speaks against a match, wherever it stands in the order in which levels are asked."""
    loose: bool = False
    """Whether so little agrees that matches are hardly ever so."""


def slips(v: str, most: int) -> str:
    """At most so many characters wrong, missing, added or swapped; Jaro is cheap and rules out nearly all the rest."""
    return f"jaro_similarity({v}_l, {v}_r) >= 0.75 AND damerau_levenshtein({v}_l, {v}_r) <= {most:d}"


def moved(v: str) -> tuple[Level, ...]:
    """The value stands in another field of the other record."""
    return (
        Level("in another field", f"list_contains(moved_r, {v}_l) OR list_contains(moved_l, {v}_r)", 0.02),
    )


def similar_words(item: Feature) -> tuple[Level, ...]:
    """The levels below equality of a single word."""
    v = item.value
    return (
        Level("alike", f"jaro_winkler_similarity({v}_l, {v}_r) >= 0.92", 0.06),
        *moved(v),
        Level("similar", f"jaro_winkler_similarity({v}_l, {v}_r) >= 0.82", 0.02),
    )


def shared_words(item: Feature) -> str:
    """SQL of the weight of the words that two texts share."""
    return f"{OVERLAP}(k{item.number}_l, k{item.number}_r)"


def numbers_agree(item: Feature) -> str:
    """SQL: the two texts have a number in common, or one of them has none."""
    n = item.number
    return f"(d{n}_l IS NULL OR d{n}_r IS NULL OR list_has_any(d{n}_l, d{n}_r))"


def two_words(item: Feature, left: str = "{}_l", right: str = "{}_r") -> str:
    """SQL: each text has a word that the other lacks and that others have too, so that none of them is a slip.

    `left` and `right` say how the columns of the two records are called.
    """
    k = f"k{item.number}"
    left, right = (
        f"len({OTHER_WORDS}({one.format(k)}, {other.format(k)})) > 0"
        for one, other in ((left, right), (right, left))
    )
    return f"coalesce({left} AND {right}, false)"


def nearly_all_words(item: Feature) -> Level:
    """All but what hardly counts, or next to no difference in writing."""
    n, v = item.number, item.value
    near = f"{shared_words(item)} >= 0.8 * (w{n}_l + w{n}_r) / 2 OR jaro_winkler_similarity({v}_l, {v}_r) >= 0.95"
    return Level(NEARLY_ALL, f"{numbers_agree(item)} AND ({near})", 0.06)


def most_words(item: Feature) -> Level:
    """More than half of what counts, or nearly all of the shorter text."""
    n, v = item.number, item.value
    shared, whole, shorter = shared_words(item), f"(w{n}_l + w{n}_r) / 2", f"least(w{n}_l, w{n}_r)"
    near = (
        f"{shared} >= least(0.55 * {whole}, 0.9 * {shorter}) OR jaro_winkler_similarity({v}_l, {v}_r) >= 0.9"
    )
    return Level("most words", f"{numbers_agree(item)} AND ({near})", 0.04)


def fewer_words(item: Feature) -> tuple[Level, ...]:
    """Some words alike; and numbers that contradict each other, whatever the words."""
    n = item.number
    some = f"{numbers_agree(item)} AND {shared_words(item)} >= 0.3 * (w{n}_l + w{n}_r) / 2"
    return (
        Level("some words", some, 0.02),
        Level("other numbers", f"NOT {numbers_agree(item)}", 0.02, loose=True),
    )


def text_levels(item: Feature) -> tuple[Level, ...]:
    """The levels below equality of a text of several words."""
    return (nearly_all_words(item), most_words(item), *moved(item.value), *fewer_words(item))
