"""The simulated mapping as a `Translator`: renames, value maps and links, and the facts of each pair that the sync goes by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from migrator.core import translation as core
from migrator.core.sameness import Comparison, Sameness
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.testing.simulation.shape import (
    NEW,
    OLD,
    SHAPES,
    SOURCE,
    Kind,
    Pair,
    Shape,
    Value,
    across,
)  # fmt: skip

_TYPES: Mapping[Kind, FieldType] = {
    Kind.TEXT: FieldType.STRING,
    Kind.RICH: FieldType.TEXT,
    Kind.PHONE: FieldType.STRING,
    Kind.EMAIL: FieldType.STRING,
    Kind.PICK: FieldType.PICKLIST,
    Kind.MULTI: FieldType.MULTI_PICKLIST,
    Kind.DECIMAL: FieldType.DECIMAL,
    Kind.DATE: FieldType.DATE,
    Kind.INSTANT: FieldType.DATETIME,
    Kind.FLAG: FieldType.BOOLEAN,
    Kind.LINK: FieldType.REFERENCE,
}
_COMPARISONS: Mapping[Kind, Comparison] = {
    Kind.PHONE: Comparison.PHONE,
    Kind.EMAIL: Comparison.EMAIL,
    Kind.RICH: Comparison.RICH_TEXT,
    Kind.DECIMAL: Comparison.NUMBER,
    Kind.DATE: Comparison.DATE,
    Kind.INSTANT: Comparison.DATETIME,
    Kind.FLAG: Comparison.BOOLEAN,
    Kind.MULTI: Comparison.SET,
}
_ARROW: Mapping[Kind, pa.DataType] = {
    Kind.DATE: pa.date32(),
    Kind.INSTANT: pa.timestamp("us", "UTC"),
    Kind.FLAG: pa.bool_(),
}


def arrow_type(pair: Pair | None) -> pa.DataType:
    """The Arrow type of a field's native values; text for keys and everything else."""
    if pair is not None and pair.kind is Kind.DECIMAL:
        return pa.decimal128(38, pair.scale)
    return pa.string() if pair is None else _ARROW.get(pair.kind, pa.string())


def schema_of(side: str, shape: Shape, *, without: Iterable[str] = ()) -> ObjectSchema:
    """What one side says about an object; fields in `without` are not shown."""
    hidden = frozenset(without)
    fields = [FieldSchema("Id", FieldType.ID), FieldSchema(shape.key(side), FieldType.STRING, unique=True)]
    fields += [_field(side, pair) for pair in shape.pairs if pair.name(side) not in hidden]
    return ObjectSchema(shape.object(side), "Id", tuple(fields))


def _field(side: str, pair: Pair) -> FieldSchema:
    links = tuple(shape.object(side) for shape in SHAPES if shape.name == pair.target)
    listed = tuple(dict.fromkeys(each[0 if side == OLD else 1] for each in pair.values))
    scale = pair.scale if pair.kind is Kind.DECIMAL else None
    computed = pair.silent and side == OLD
    return FieldSchema(
        pair.name(side), _TYPES[pair.kind], scale=scale, references=links, values=listed, read_only=computed
    )


def _paired(shape: Shape) -> core.PairedObject:
    return core.PairedObject(
        mapping=shape.name,
        source=SOURCE,
        old_system=OLD,
        old_object=shape.old,
        new_system=NEW,
        new_object=shape.new,
        new_key=shape.new_key,
        old_key=shape.old_key,
        pairs=tuple(_pair(pair) for pair in shape.pairs),
        delete=core.DeletePolicy.PROPAGATE,
        after=tuple(
            dict.fromkeys(pair.target for pair in shape.pairs if pair.target not in ("", shape.name))
        ),
        fingerprint="simulated",
    )


def _pair(pair: Pair) -> core.Pair:
    how = Sameness(
        _COMPARISONS.get(pair.kind, Comparison.TEXT), pair.scale if pair.kind is Kind.DECIMAL else None
    )
    several = len({new for _, new in pair.values}) < len(pair.values)
    return core.Pair(
        new=pair.new,
        old=(pair.old,),
        direction=core.Direction(pair.direction),
        policy=core.Policy(core.Rule(pair.policy)),
        consent=pair.consent,
        restrictive="true" if pair.consent else "",
        same_new=how,
        same_old={pair.old: how},
        law=core.Law.COMPLEMENT if several else core.Law.EXACT,
        links=(pair.target,) if pair.target else (),
    )


class TableTranslator:
    """See `migrator.core.translation.Translator`. Made with the crosswalk that links are looked up in."""

    def __init__(self, crosswalk: core.Crosswalk) -> None:
        self.objects: tuple[core.PairedObject, ...] = tuple(_paired(shape) for shape in SHAPES)
        self._crosswalk = crosswalk
        self._shapes = {paired.name: shape for paired, shape in zip(self.objects, SHAPES, strict=True)}

    def to_new(self, name: str, rows: pa.Table) -> pa.Table:
        """Old rows as the new side would hold them."""
        shape = self._shapes[name]
        ids = rows.column(core.ROW_ID).to_pylist()
        keys = [f"{SOURCE}:{id_}" for id_ in ids]
        wanted = [pair for pair in shape.pairs if pair.direction != "reverse"]
        return self._carried(OLD, rows, wanted, {shape.new_key: pa.array(keys, pa.string())})

    def to_old(self, name: str, rows: pa.Table) -> pa.Table:
        """New rows as the old side would hold them."""
        shape = self._shapes[name]
        wanted = [pair for pair in shape.pairs if pair.direction != "forward"]
        return self._carried(NEW, rows, wanted, {})

    def _carried(
        self, side: str, rows: pa.Table, pairs: Sequence[Pair], columns: dict[str, pa.Array]
    ) -> pa.Table:
        count = rows.num_rows
        unreadable = _lists(rows, core.UNREADABLE)
        lost: list[list[str]] = [[] for _ in range(count)]
        deferred: list[list[dict[str, str]]] = [[] for _ in range(count)]
        for pair in pairs:
            mine, theirs = (pair.old, pair.new) if side == OLD else (pair.new, pair.old)
            read = rows.column(mine).to_pylist() if mine in rows.column_names else None
            for at in range(count):
                if read is None or mine in unreadable[at]:
                    lost[at].append(theirs)
            values: list[Value] = read or [None] * count
            carried = (
                self._links(side, pair, theirs, values, deferred)
                if pair.kind is Kind.LINK
                else [across(pair, side, value) for value in values]
            )
            columns[theirs] = pa.array(carried, arrow_type(pair))
        empty: list[Any] = [[] for _ in range(count)]
        return pa.table(
            {
                core.ROW_ID: rows.column(core.ROW_ID),
                **columns,
                core.UNREADABLE: pa.array(lost, core.NAMES_TYPE),
                core.FAILED: pa.array(empty, core.FAILED_TYPE),
                core.EXCLUDED: pa.nulls(count, pa.string()),
                core.DEFERRED: pa.array(deferred, core.DEFERRED_TYPE),
            }
        )

    def _links(
        self, side: str, pair: Pair, field: str, values: Sequence[Value], deferred: list[list[dict[str, str]]]
    ) -> list[str | None]:
        names = [_record(side, value) for value in values]
        ask: Callable[[str, Sequence[str]], Mapping[str, str]] = (
            self._crosswalk.new_ids if side == OLD else self._crosswalk.old_ids
        )
        found = ask(pair.target, sorted({name for name in names if name}))
        carried: list[str | None] = []
        for at, name in enumerate(names):
            partner = found.get(name) if name else None
            if name and partner is None:
                deferred[at].append({"field": field, "mapping": pair.target, "record": name})
            carried.append(partner.removeprefix(f"{SOURCE}:") if partner else None)
        return carried


def _record(side: str, value: Value) -> str | None:
    if value is None:
        return None
    return f"{SOURCE}:{value}" if side == OLD else str(value)


def _lists(rows: pa.Table, column: str) -> list[list[str]]:
    if column not in rows.column_names:
        return [[] for _ in range(rows.num_rows)]
    return [found or [] for found in rows.column(column).to_pylist()]
