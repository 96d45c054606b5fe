"""What a write must satisfy before it is stored: types, lengths, lists, required fields, references, keys, rules."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from decimal import Decimal

from connectors.sandbox.reading import Read, ShapeOf, count_sql
from connectors.sandbox.shape import DuplicateRule, Shape
from connectors.sandbox.values import encoded
from connectors.sandbox.violations import Refused, Violation
from connectors.sandbox.where import Compare, Every, Operator, Path, Rows, SqlValue, quoted
from migrator.core.schema import FieldSchema, FieldType

Row = dict[str, SqlValue]
"""Field name → value as the store holds it."""


def encoded_row(shape: Shape, values: Mapping[str, object]) -> Row:
    """Values by the fields' own names, each of its type, no longer and no larger than permitted."""
    row: Row = {}
    for name, value in values.items():
        field = shape.field(name)
        held = encoded(field, value)
        row[field.name] = held if held is None else fitting(field, held)
    return row


def written_row(shape: Shape, values: Mapping[str, object]) -> Row:
    """As `encoded_row`, decimals with no more places than their field has: what is over goes as the system has it go."""
    row = encoded_row(shape, values)
    if shape.rounding is None:
        return row
    for name, value in row.items():
        field = shape.field(name)
        if field.type is FieldType.DECIMAL and field.scale is not None and isinstance(value, str):
            row[name] = _scaled(value, field.scale, shape.rounding)
    return row


def _scaled(value: str, scale: int, rounding: str) -> str:
    number = Decimal(value)
    if -int(number.as_tuple().exponent) <= scale:
        return value
    return format(number.quantize(Decimal(1).scaleb(-scale), rounding), "f")


def fitting(field: FieldSchema, value: SqlValue) -> SqlValue:
    """The value itself; raises `Violation` when it is too long, too large or not in the list."""
    if not isinstance(value, str):
        return value
    if field.type is FieldType.DECIMAL:
        return _in_range(field, value)
    if field.length is not None and len(value) > field.length:
        raise Violation(
            Refused.LENGTH,
            f"data value too large: {value[:80]} (max length={field.length})",
            fields=(field.name,),
        )
    if field.values:
        parts = value.split(";") if field.type is FieldType.MULTI_PICKLIST else [value]
        unknown = [part for part in parts if part not in field.values]
        if unknown:
            raise Violation(
                Refused.PICKLIST,
                f"bad value for restricted picklist field: {unknown[0]}",
                fields=(field.name,),
            )
    return value


def _in_range(field: FieldSchema, value: str) -> str:
    if field.precision is not None and abs(Decimal(value)) >= Decimal(10) ** (
        field.precision - (field.scale or 0)
    ):
        raise Violation(
            Refused.RANGE, f"value outside of valid range on numeric field: {value}", fields=(field.name,)
        )
    return value


def check_required(shape: Shape, row: Row, *, creating: bool) -> None:
    """Every required field has a value; an update may not empty one. All that are missing are named at once."""
    missing = tuple(
        item.name
        for item in shape.schema.fields
        if item.required
        and item.name != shape.schema.key
        and row.get(item.name) is None
        and (creating or item.name in row)
    )
    if missing:
        raise Violation(
            Refused.REQUIRED,
            f"Required fields are missing: [{', '.join(missing)}]",
            object_name=shape.schema.name,
            fields=missing,
        )


def check_references(shape: Shape, row: Row, shape_of: ShapeOf, database: sqlite3.Connection) -> None:
    """Every reference leads to a live record of an object it may point to."""
    for name, value in row.items():
        field = shape.field(name)
        if value is None or field.type is not FieldType.REFERENCE or not field.references:
            continue
        states = [_state(shape_of(parent), value, database) for parent in field.references]
        if 0 not in states:
            deleted = 1 in states
            raise Violation(
                Refused.DELETED if deleted else Refused.REFERENCE,
                f"{'entity is deleted' if deleted else 'invalid cross reference id'}: {_shown(value)}",
                fields=(name,),
                record=_shown(value),
            )


def _shown(value: SqlValue) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _state(shape: Shape, record: SqlValue, database: sqlite3.Connection) -> int | None:
    found = database.execute(
        f'SELECT "__deleted" FROM {quoted(shape.schema.name)} WHERE "__id" = ?', [record]
    ).fetchone()
    return None if found is None else int(found[0])


def check_keys(shape: Shape, record: str, row: Row, database: sqlite3.Connection) -> None:
    """No other live record has the same key; `row` is the whole record for keys of several fields."""
    for key in shape.keys:
        values = [row.get(name) for name in key]
        if None in values:
            continue
        tests = " AND ".join(f"{shape.column(name)} = ?" for name in key)
        found = database.execute(
            f'SELECT "__id" FROM {quoted(shape.schema.name)} WHERE {tests} AND "__deleted" = 0 AND "__id" <> ?',
            [*values, record],
        ).fetchone()
        if found:
            raise Violation(
                Refused.UNIQUE,
                f"duplicate value found: {', '.join(key)} duplicates value on record with id: {found[0]}",
                object_name=shape.schema.name,
                fields=key,
                others=(str(found[0]),),
            )


def check_duplicates(
    shape: Shape,
    record: str,
    row: Row,
    database: sqlite3.Connection,
    *,
    wanted: Callable[[DuplicateRule], bool],
) -> None:
    """No duplicate rule finds another live record, but for rules whose finding the writer accepts."""
    for rule in shape.duplicates:
        values = [row.get(name) for name in rule.fields]
        if None in values or wanted(rule):
            continue
        tests = " AND ".join(f"{shape.column(name)} = ? COLLATE NOCASE" for name in rule.fields)
        found = database.execute(
            f'SELECT "__id" FROM {quoted(shape.schema.name)} WHERE {tests} '
            'AND "__deleted" = 0 AND "__hidden" = 0 AND "__id" <> ? LIMIT 10',
            [*values, record],
        ).fetchall()
        if found:
            raise Violation(
                Refused.DUPLICATE,
                "Use one of these records?",
                object_name=shape.schema.name,
                rule=rule.name,
                others=tuple(str(item[0]) for item in found),
            )


def check_rules(shape: Shape, record: str, shape_of: ShapeOf, database: sqlite3.Connection) -> None:
    """No validation rule calls the record, as it now stands, wrong."""
    for rule in shape.rules:
        own = Compare(Path(shape.schema.key), Operator.EQUAL, record)
        text, values = count_sql(
            Read(shape.schema.name, (), Every((own, rule.wrong)), rows=Rows.ALL), shape_of
        )
        if database.execute(text, values).fetchone()[0]:
            raise Violation(
                Refused.RULE,
                rule.message,
                object_name=shape.schema.name,
                fields=(rule.field,) if rule.field else (),
                record=record,
                rule=rule.name,
            )
