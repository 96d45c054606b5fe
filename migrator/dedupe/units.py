"""What two records may share to be compared: a value, a rare word of a text, the sound of a name; one column of keys for each.

Keys are computed once a record. Where there are many records, what a rule finds is estimated from every so-manieth value of
one of its units: all records that have the value are looked at, so blocks are seen whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from migrator.core.mapped import Meaning
from migrator.dedupe.agreement import struct
from migrator.dedupe.features import FEATURES, Feature, Kind
from migrator.dedupe.taken_apart import read_keys
from migrator.staging.engine import Session

UNITS = "dedupe_units"
"""Table of `n`, `__source` and the keys of each unit of a record; null where it has no value. Of all records, or of those
that are in a sample."""
_WORDS = 3
"""Rarest words of a text that are units of it."""
_RARE = 48
"""Weight from which on a word is rare enough to be a unit: one record in sixteen has it."""
_LISTS = ("words", "two words", "reading")
"""Forms of which a record may have several keys."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Something two records may share: a feature's value, its rare words, or how it begins."""

    feature: Feature
    form: str
    """'value', 'words', 'two words', 'sound', 'reading' or 'local'."""

    @property
    def name(self) -> str:
        """For people: the field, and the form unless it is the value itself."""
        return self.feature.field if self.form == "value" else f"{self.feature.field} ({self.form})"

    @property
    def column(self) -> str:
        """Its column in `UNITS`."""
        return f"u{self.feature.number}_{self.form.replace(' ', '_')}"

    @property
    def keys(self) -> str:
        """SQL of what a record has of it: a number, or a list of them; null where it has no value."""
        return f"CASE WHEN {self.feature.value} IS NOT NULL THEN {_keys(self)} END"

    @property
    def is_list(self) -> bool:
        """Whether a record may have several keys of it."""
        return self.form in _LISTS


def units_of(item: Feature) -> tuple[Unit, ...]:
    """The units of one feature."""
    forms = ["value"]
    match item.kind:
        case Kind.TEXT:
            forms += ["words", "two words"]
        case Kind.EMAIL:
            forms.append("local")
        case Kind.WORD if item.meaning in (Meaning.GIVEN, Meaning.FAMILY):
            forms.append("sound")
        case _:
            pass
    if item.scripts:
        forms.append("reading")
    return tuple(Unit(item, form) for form in forms)


def units_query(units: Iterable[Unit], source: str = FEATURES) -> str:
    """A query of `n`, `__source` and the column of each unit, of the records in `source`."""
    columns = [f"{unit.keys} AS {unit.column}" for unit in dict.fromkeys(units)]
    return f"SELECT {', '.join(('n', '__source', *columns))} FROM {source}"


def make_units(session: Session, units: Iterable[Unit], share: int = 1) -> None:
    """Make `UNITS` of the records in `FEATURES`: of all, or of those that have one of every `share`th value of any unit."""
    listed = tuple(dict.fromkeys(units))
    chosen = " OR ".join(Sampled(unit, share).has for unit in listed)
    some = f" WHERE {chosen}" if share > 1 else ""
    session.execute(f"CREATE OR REPLACE TEMP TABLE {UNITS} AS SELECT * FROM ({units_query(listed)}){some}")


def keys_query(units: Sequence[Unit], source: str = UNITS, sampled: Sampled | None = None) -> str:
    """A query of (n, source, key): one row a record of `source` (columns of units) and value of a rule of these units.

    Of the values that were `sampled` only, if they were.
    """
    present = " AND ".join(f"{unit.column} IS NOT NULL" for unit in units)
    own = {unit: f"unnest({unit.column})" if unit.is_list else unit.column for unit in units}
    parts = ", ".join(f"{sql} AS k{place}" for place, sql in enumerate(own.values()))
    key = "k0" if len(units) == 1 else f"hash({', '.join(f'k{place}' for place in range(len(units)))})"
    chosen = f" WHERE {sampled.holds(f'k{units.index(sampled.unit)}')}" if sampled else ""
    inner = (
        _crossed(units, source, present)
        if _is_cross(units)
        else f"SELECT n, __source, {parts} FROM {source} WHERE {present}"
    )
    return f"SELECT n, __source, {key} AS key FROM ({inner}){chosen}"


def _is_cross(units: Sequence[Unit]) -> bool:
    return sum(unit.is_list for unit in units) > 1


def _crossed(units: Sequence[Unit], source: str, present: str) -> str:
    """Two lists, unnested one after the other: each key of the one with each of the other."""
    one, other = units
    return (
        f"SELECT n, __source, k0, unnest(rest) AS k1 FROM (SELECT n, __source, unnest({one.column}) AS k0, "
        f"{other.column} AS rest FROM {source} WHERE {present})"
    )


@dataclass(frozen=True, slots=True)
class Sampled:
    """Every `share`th value of a unit, by hash."""

    unit: Unit
    share: int

    def holds(self, key: str) -> str:
        """SQL: the key was chosen."""
        return f"(hash({key}, 7) % {self.share:d} = 0)"

    @property
    def has(self) -> str:
        """SQL over `UNITS`: the record has a chosen value."""
        column = self.unit.column
        found = (
            f"len(list_filter({column}, lambda t: {self.holds('t')})) > 0"
            if self.unit.is_list
            else self.holds(column)
        )
        return f"({column} IS NOT NULL AND {found})"

    def query(self) -> str:
        """The rows of `UNITS` that have a chosen value."""
        return f"SELECT * FROM {UNITS} WHERE {self.has}"


def count_values(session: Session, units: Sequence[Unit], share: int) -> dict[Unit, int]:
    """About how many different values each unit has, by those of every `share`th that `UNITS` has."""
    told = ", ".join(f"approx_count_distinct({_counted(unit, share)}) AS {unit.column}" for unit in units)
    row = session.fetch(f"SELECT {told} FROM {UNITS}").to_pylist()[0]
    return {unit: int(row[unit.column] or 0) * share for unit in units}


def _counted(unit: Unit, share: int) -> str:
    value = f"{unit.column}[1]" if unit.is_list else unit.column
    return f"CASE WHEN {Sampled(unit, share).holds(value)} THEN {value} END"


def _keys(unit: Unit) -> str:
    """SQL of what a record has of a unit: a number, or a list of them."""
    v = unit.feature.value
    match unit.form:
        case "words":
            return _rare(unit.feature)
        case "two words":
            return _rare_pairs(unit.feature)
        case "sound":
            return f"hash(left({v}, 1) || left(regexp_replace(substr({v}, 2), '[aeiouyhw]', '', 'g'), 3))"
        case "reading":
            return read_keys(unit.feature.told, struct(f"a{unit.feature.number}"))
        case "local":
            return f"hash(split_part({v}, '@', 1))"
        case _:
            return f"hash({v})"


def _rare(item: Feature) -> str:
    """SQL of the rarest words of a text; a text's words come rarest first."""
    k = f"k{item.number}"
    return _by_rare_words(k, [f"list_slice({k}, 1, {words:d})" for words in range(_WORDS + 1)])


def _rare_pairs(item: Feature) -> str:
    """SQL of every two of them."""
    k = f"k{item.number}"
    pairs = [
        [f"hash({k}[{one}], {k}[{other}])" for one, other in combinations(range(1, words + 1), 2)]
        for words in range(_WORDS + 1)
    ]
    return _by_rare_words(
        k, [f"[{', '.join(found)}]" if found else f"list_slice({k}, 1, 0)" for found in pairs]
    )


def _by_rare_words(k: str, keys: Sequence[str]) -> str:
    """SQL of the keys of a text whose words are `k`, by how many of its first words are rare."""
    asked = (f"WHEN ({k}[{words:d}] & 255) >= {_RARE:d} THEN {keys[words]}" for words in range(_WORDS, 0, -1))
    return f"CASE {' '.join(asked)} ELSE {keys[0]} END"
