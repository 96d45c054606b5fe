"""The mapping law, held against values: what comes back of a value that went to the new side says the same as before.

`to_old(to_new(v)) ~ v` for a field that is exact; where several old values become one, at least
`to_new(to_old(to_new(v))) ~ to_new(v)`: then the complement rule keeps what a record had.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa

from migrator.core.errors import Location
from migrator.core.mask import mask
from migrator.core.sameness import Native, same
from migrator.core.translation import ROW_ID, Law, Pair, PairedObject, Translated, Translator, as_rows

MOST_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class LawFinding:
    """How one field fared over the values that were tried."""

    object: str
    field: str
    place: Location
    declared: Law
    """What the mapping promises by its rules."""
    tried: int
    """Values that went there; those that the new side cannot hold are not among them."""
    exact: int
    """Of these, values that came back as they were."""
    kept: int
    """Values that came back as another one which means the same on the new side."""
    lost: int
    """Values that the old side cannot hold again, or that came back as something else."""
    examples: tuple[str, ...] = ()
    """Some that were lost, masked where they are personal."""

    @property
    def law(self) -> Law:
        """What the values show."""
        if self.lost:
            return Law.NONE
        return Law.COMPLEMENT if self.kept else Law.EXACT

    @property
    def holds(self) -> bool:
        """Whether the values show what the rules promise, or more."""
        return not self.lost and (self.declared is not Law.EXACT or not self.kept)


def hold_laws(translator: Translator, paired: PairedObject, rows: pa.Table) -> list[LawFinding]:
    """What becomes of the values in `rows` (old side, with `ROW_ID`), for each field that comes back, in three batches."""
    pairs = [pair for pair in paired.pairs if pair.direction.goes_back and not pair.is_link]
    if not pairs or not rows.num_rows:
        return []
    given = rows.to_pylist()
    there = as_rows(translator.to_new(paired.name, rows))
    back = as_rows(translator.to_old(paired.name, _table(there, [pair.new for pair in paired.pairs])))
    columns = dict.fromkeys(name for pair in pairs for name in pair.written_old)
    again_from = [_returned(row, pairs, given[at]) for at, row in enumerate(back)]
    again = as_rows(translator.to_new(paired.name, _rows_table(again_from, rows, columns)))
    trips = list(zip(given, there, back, again, strict=True))
    return [_finding(paired, pair, trips) for pair in pairs]


def _table(rows: Sequence[Translated], fields: Sequence[str]) -> pa.Table:
    columns: dict[str, Any] = {ROW_ID: pa.array([row.id for row in rows], pa.string())}
    for name in fields:
        columns[name] = pa.array([row.values.get(name) for row in rows])
    return pa.table(columns)


def _returned(row: Translated, pairs: Sequence[Pair], before: Mapping[str, Any]) -> dict[str, Any]:
    """The old row with what came back in place of what it had."""
    names = [name for pair in pairs for name in pair.written_old if name in row.values]
    return dict(before) | {name: row.values[name] for name in names}


def _rows_table(rows: Sequence[Mapping[str, Any]], like: pa.Table, changed: Mapping[str, None]) -> pa.Table:
    columns = {
        name: pa.array([row[name] for row in rows]) if name in changed else like[name]
        for name in like.column_names
    }
    return pa.table(columns)


_Trip: TypeAlias = tuple[Mapping[str, Any], Translated, Translated, Translated]
"""A row as it was, there, back, and there once more."""


def _finding(paired: PairedObject, pair: Pair, trips: Sequence[_Trip]) -> LawFinding:
    tried = exact = kept = 0
    lost: list[str] = []
    for before, one, two, three in trips:
        if pair.new not in one.values:
            continue
        tried += 1
        came = all(name in two.values for name in pair.written_old)
        if came and all(
            same(pair.same_old[name], before.get(name), two.values[name]) for name in pair.written_old
        ):
            exact += 1
        elif came and pair.new in three.values and _same(pair, one.values[pair.new], three.values[pair.new]):
            kept += 1
        else:
            lost.append(_shown(pair, before))
    return LawFinding(
        paired.name, pair.new, pair.place, pair.law, tried, exact, kept, len(lost),
        tuple(dict.fromkeys(lost))[:MOST_EXAMPLES],
    )  # fmt: skip


def _same(pair: Pair, one: Native, other: Native) -> bool:
    return same(pair.same_new, one, other)


def _shown(pair: Pair, before: Mapping[str, Any]) -> str:
    texts = (None if before.get(name) is None else str(before[name]) for name in pair.written_old)
    return " · ".join(mask(text) if pair.pii or text is None else repr(text[:60]) for text in texts)
