"""Reads of the record store as SQL: fields, conditions, order, window, and fields of records referred to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from connectors.sandbox.shape import Shape
from connectors.sandbox.values import encoded
from connectors.sandbox.violations import Refused, Violation
from connectors.sandbox.where import EVERYTHING, Order, Path, Rows, SqlValue, Where, condition, quoted
from migrator.core.schema import FieldSchema, FieldType


@dataclass(frozen=True, slots=True)
class Read:
    """A set of records of one object; the fields come out in the order given, as the store holds them."""

    object: str
    fields: tuple[Path, ...]
    where: Where = EVERYTHING
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0
    rows: Rows = Rows.LIVE
    since: int | None = None
    """Only records whose version is above this one."""


ShapeOf = Callable[[str], Shape]


def read_sql(read: Read, shape_of: ShapeOf) -> tuple[str, list[SqlValue]]:
    """The SELECT of a read."""
    shape = shape_of(read.object)
    fields = ", ".join(_expression(shape, path, shape_of) for path in read.fields) or '"__id"'
    source, values = _source(read, shape, shape_of)
    order = ", ".join(_sort(shape, item, shape_of) for item in read.order)
    window = f" LIMIT {-1 if read.limit is None else int(read.limit)} OFFSET {int(read.offset)}"
    return f"SELECT {fields} {source}{f' ORDER BY {order}' if order else ''}{window}", values


def count_sql(read: Read, shape_of: ShapeOf) -> tuple[str, list[SqlValue]]:
    """How many records a read has, its window left aside."""
    source, values = _source(read, shape_of(read.object), shape_of)
    return f"SELECT count(*) {source}", values


def _source(read: Read, shape: Shape, shape_of: ShapeOf) -> tuple[str, list[SqlValue]]:
    text, values = condition(
        read.where,
        lambda path: _comparable(shape, path, shape_of),
        lambda path, value: _sought(field_at(shape, path, shape_of), value),
    )
    seen = {Rows.LIVE: ' AND r."__deleted" = 0', Rows.ALL: "", Rows.BIN: ' AND r."__deleted" = 1'}[read.rows]
    if read.since is not None:
        seen += f' AND r."__version" > {int(read.since)}'
    return f'FROM {quoted(shape.schema.name)} r WHERE r."__hidden" = 0{seen} AND {text}', values


def field_at(shape: Shape, path: Path, shape_of: ShapeOf) -> FieldSchema:
    """The field a path ends in; raises `Violation` when there is none."""
    for step in path.via:
        shape = _parents(shape.field(step), shape, shape_of)[0]
    return shape.field(path.field)


def _parents(reference: FieldSchema, shape: Shape, shape_of: ShapeOf) -> list[Shape]:
    if reference.type is not FieldType.REFERENCE or not reference.references:
        raise Violation(
            Refused.NO_FIELD,
            f"Didn't understand relationship '{reference.name}' in field path",
            object_name=shape.schema.name,
            fields=(reference.name,),
        )
    return [shape_of(name) for name in reference.references]


def _expression(shape: Shape, path: Path, shape_of: ShapeOf, alias: str = "r") -> str:
    if not path.via:
        return f"{alias}.{shape.column(path.field)}"
    step, rest = path.via[0], Path(path.field, path.via[1:])
    reference, inner = shape.field(step), f"{alias}p"
    found = [
        f"(SELECT {_expression(parent, rest, shape_of, inner)} FROM {quoted(parent.schema.name)} {inner} "
        f'WHERE {inner}."__id" = {alias}.{shape.column(step)})'
        for parent in _parents(reference, shape, shape_of)
        if rest.via or rest.field.casefold() in parent.fields
    ]
    if not found:
        raise Violation(Refused.NO_FIELD, f"No such column '{path.field}'", fields=(path.field,))
    return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"


def _comparable(shape: Shape, path: Path, shape_of: ShapeOf) -> str:
    text = _expression(shape, path, shape_of)
    decimal = field_at(shape, path, shape_of).type is FieldType.DECIMAL
    return f"CAST({text} AS REAL)" if decimal else text


def _sort(shape: Shape, item: Order, shape_of: ShapeOf) -> str:
    nulls = "LAST" if item.nulls_last else "FIRST"
    return f"{_comparable(shape, item.path, shape_of)} {'DESC' if item.descending else 'ASC'} NULLS {nulls}"


def _sought(field: FieldSchema, value: object) -> SqlValue:
    found = encoded(field, value)
    return float(found) if field.type is FieldType.DECIMAL and isinstance(found, str) else found
