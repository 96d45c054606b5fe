"""How far two names of persons or companies agree: a few levels in SQL over their features, without any training.

Features are made once per distinct text (`person.person_features`, `company.company_features`) and joined to the records;
the levels here compare two of them. For a record-linkage model, take the conditions in order, the first that holds decides::

    left, right = struct('"name_l"'), struct('"name_r"')        # the features as struct columns
    left = lambda field: f'"name_{field}_l"'                    # or as one column each
    for level in name_levels(left, right):
        level.agreement, level.condition                        # Agreement.SAME, "CASE WHEN … THEN true ELSE false END"

What no condition holds for is `Agreement.DIFFERENT`; `is_missing` says where a side has nothing to compare (a level
of its own, before the others). `name_agreement` and `company_agreement` are all of it as one expression
that yields the name of the level, null where something is missing. Only `CASE`, `=`, `coalesce`,
`len`, `list_has_any` and `list_has_all` are used: every engine we compile for has them under some name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from migrator.staging.engine import literal

Side: TypeAlias = Callable[[str], str]
"""From the name of a feature to its SQL in one of the two rows."""


class Agreement(StrEnum):
    """What two texts say about being one; `AGREE` are those that speak for it."""

    SAME = "same"
    """One text, apart from notation: case, accents, order, spacing, width, simplified or traditional, legal form."""
    ACROSS = "across"
    """One name in two scripts."""
    COMPATIBLE = "compatible"
    """Two usual ways to say one name: Bob and Robert, Tan and Chen."""
    PART = "part"
    """One is the other made shorter: initials, no father's name, a brand without its trade."""
    OPEN = "open"
    """Surname or brand agree, and the rest cannot be compared: no evidence for one, none against."""
    CONTRADICTION = "contradiction"
    """Alike on purpose and not the same: Sr. and Jr., bin and binti, two branches, two cities."""
    DIFFERENT = "different"


Levels: TypeAlias = Callable[[Side, Side], tuple["Level", ...]]
"""From two sides to the levels of what they name."""

AGREE = (Agreement.SAME, Agreement.ACROSS, Agreement.COMPATIBLE, Agreement.PART)


@dataclass(frozen=True, slots=True)
class Level:
    """One level and the SQL condition under which two rows are on it, if none before it held; never null."""

    agreement: Agreement
    condition: str


def struct(sql: str) -> Side:
    """The side whose features are the fields of the struct `sql`."""
    return lambda field: f"struct_extract({sql}, {literal(field)})"


def is_missing(left: Side, right: Side) -> str:
    """SQL: one of the two has nothing that could be compared."""
    return " OR ".join(f"({side('han')} IS NULL AND {side('latin')} IS NULL)" for side in (left, right))


def name_levels(left: Side, right: Side) -> tuple[Level, ...]:
    """The levels of two persons' names, in the order in which they are asked; features of `person_features`."""
    across = _one_sided("han", left, right)
    latin = f"{left('han')} IS NULL AND {right('han')} IS NULL"
    written = f"{_same('latin', left, right)} OR {_shares('spelled', left, right)}"
    suffixed = _one_sided("suffix", left, right)
    whole = f"NOT ({suffixed})"
    # Betty and Lisa are both Elizabeths, and two people
    nicknames = f"({_differs('short', left, right)} AND NOT {_either_begins('short', left, right)})"
    not_han = f"({latin} OR {across}) AND {whole}"
    return (
        _level(
            Agreement.CONTRADICTION, f"{_differs('suffix', left, right)} OR {_differs('child', left, right)}"
        ),
        _level(Agreement.SAME, f"{whole} AND ({_same('han', left, right)} OR ({latin} AND ({written})))"),
        _level(Agreement.ACROSS, f"{whole} AND {across} AND {_shares('pinyin', left, right)}"),
        _level(Agreement.COMPATIBLE, f"{not_han} AND {_shares('forms', left, right)} AND NOT {nicknames}"),
        _level(Agreement.PART, f"{not_han} AND ({_shortened(left, right)} OR {_shortened(right, left)})"),
        _level(Agreement.OPEN, f"({across} OR {suffixed}) AND {_shares('family', left, right)}"),
    )


def company_levels(left: Side, right: Side) -> tuple[Level, ...]:
    """The levels of two companies' names, in the order in which they are asked; features of `company_features`."""
    across = _one_sided("han", left, right)
    both_han = f"{left('han')} IS NOT NULL AND {right('han')} IS NOT NULL"
    brand = _brand(left, right)
    apart = _apart(left, right)
    trade = f"{_same('trade', left, right)} AND {_same('rank', left, right)}"
    placed = f"{_any('region', left)} = {_any('region', right)}"
    rivals = f"NOT ({across}) AND {_any('trades', left)} AND {_any('trades', right)} AND {_differs('trade', left, right)}"
    # a trade is translated in many ways: across scripts, one word of it is enough for a closer look
    akin = f"({across} AND {_shares('trades', left, right)})"
    # 'X (Hong Kong) Ltd' is not 'X Ltd', while 'X (M) Sdn Bhd' is 'X Sdn Bhd': the form says where that is
    abroad = (
        f"({_one_sided('seat', left, right)} AND {_unlike('country', left, right)} "
        f"AND {left('form')} IS NOT NULL AND {right('form')} IS NOT NULL)"
    )
    begun = f"({both_han} AND NOT {apart} AND ({_begins(left, right)} OR {_begins(right, left)}))"
    alike = f"{brand} AND NOT {apart} AND NOT {abroad}"
    return (
        _level(Agreement.SAME, f"{alike} AND {trade} AND {placed} AND NOT ({across})"),
        _level(Agreement.ACROSS, f"{alike} AND {trade} AND {placed} AND {across}"),
        _level(
            Agreement.PART,
            f"{alike} AND (({trade}) OR {akin} OR {_bare(left, right)} OR {_bare(right, left)})",
        ),
        _level(Agreement.PART, begun),
        _level(Agreement.CONTRADICTION, f"{brand} AND ({apart} OR ({rivals}))"),
        _level(Agreement.OPEN, brand),
    )


def name_contradiction(left: Side, right: Side) -> str:
    """SQL: two persons' names say that they are two: Sr. and Jr., bin and binti."""
    said = f"{_differs('suffix', left, right)} OR {_differs('child', left, right)}"
    return f"coalesce({said}, false)"


def company_contradiction(left: Side, right: Side) -> str:
    """SQL: two companies of one brand in two places, or a branch and what it is a branch of.

    Two trades are not enough: a name leaves out what it likes.
    """
    return f"coalesce({_brand(left, right)} AND {_apart(left, right)}, false)"


def name_says_which(side: Side) -> str:
    """SQL: a person's name says which of a family's namesakes it is; without, it contradicts none."""
    return f"({side('suffix')} IS NOT NULL OR {side('child')} IS NOT NULL)"


def company_says_which(side: Side) -> str:
    """SQL: a company's name says where it is or which branch; two without contradict each other in neither."""
    said = f"{_any('region', side)} OR {side('country')} IS NOT NULL OR {side('branch')} IS NOT NULL"
    return f"coalesce({said}, false)"


def name_agreement(left: Side, right: Side) -> str:
    """SQL of the `Agreement` of two persons' names, null where one is missing."""
    return _decided(name_levels(left, right), left, right)


def company_agreement(left: Side, right: Side) -> str:
    """SQL of the `Agreement` of two companies' names, null where one is missing."""
    return _decided(company_levels(left, right), left, right)


def _decided(levels: tuple[Level, ...], left: Side, right: Side) -> str:
    asked = " ".join(f"WHEN {level.condition} THEN {literal(level.agreement)}" for level in levels)
    return f"CASE WHEN {is_missing(left, right)} THEN NULL {asked} ELSE {literal(Agreement.DIFFERENT)} END"


def _level(agreement: Agreement, condition: str) -> Level:
    # as a condition its parts are asked until one of them decides; as a value all of them would be worked out
    return Level(agreement, f"(CASE WHEN {condition} THEN true ELSE false END)")


def _same(field: str, left: Side, right: Side) -> str:
    return f"coalesce({left(field)} = {right(field)}, false)"


def _differs(field: str, left: Side, right: Side) -> str:
    """Both sides say it, and not the same."""
    return f"coalesce({left(field)} <> {right(field)}, false)"


def _either_begins(field: str, left: Side, right: Side) -> str:
    one, other = left(field), right(field)
    return f"coalesce(starts_with({one}, {other}) OR starts_with({other}, {one}), false)"


def _unlike(field: str, left: Side, right: Side) -> str:
    """The sides do not say the same; to say nothing is to say something else."""
    return f"(coalesce({left(field)}, '') <> coalesce({right(field)}, ''))"


def _one_sided(field: str, left: Side, right: Side) -> str:
    return f"(({left(field)} IS NULL) <> ({right(field)} IS NULL))"


def _shares(field: str, left: Side, right: Side) -> str:
    return f"coalesce(list_has_any({left(field)}, {right(field)}), false)"


def _any(field: str, side: Side) -> str:
    return f"(len({side(field)}) > 0)"


def _begins(short: Side, long: Side) -> str:
    """A bare brand of three characters or more with which the other begins: 药明康德 of 药明康德新药开发."""
    bare = f"{short('form')} IS NULL AND NOT {_any('trades', short)} AND length({short('brand')}) >= 3"
    return f"({bare} AND starts_with({long('brand')}, {short('brand')}))"


def _brand(left: Side, right: Side) -> str:
    both_han = f"{left('han')} IS NOT NULL AND {right('han')} IS NOT NULL"
    return f"({_same('brand', left, right)} OR (NOT ({both_han}) AND {_shares('pinyin', left, right)}))"


def _apart(left: Side, right: Side) -> str:
    """In two places, or a branch and something else."""
    return f"({_elsewhere(left, right)} OR {_differs('country', left, right)} OR {_unlike('branch', left, right)})"


def _elsewhere(left: Side, right: Side) -> str:
    """Both sides name places, and none of them in common."""
    return f"({_any('region', left)} AND {_any('region', right)} AND NOT {_shares('region', left, right)})"


def _shortened(short: Side, long: Side) -> str:
    return f"coalesce(list_has_any({short('forms')}, {long('shorter')}), false)"


def _bare(short: Side, long: Side) -> str:
    """A name without legal form that leaves out all of the trade, or only words such as 'group'."""
    trade = f"(NOT {_any('trades', short)} OR {_same('trade', short, long)})"
    said = f"coalesce(list_has_all({long('rank')}, {short('rank')}), false)"
    return f"({short('form')} IS NULL AND {trade} AND {said})"
