"""Whether a table that exists can take an object's records; every difference is named, none is worked around."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from connectors.sql.catalog import Column, Relation, stored_field
from connectors.sql.decimals import EXACT_DIGITS, is_exact
from migrator.core.document import did_you_mean
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

_TEXTS = (
    FieldType.STRING,
    FieldType.TEXT,
    FieldType.ID,
    FieldType.REFERENCE,
    FieldType.PICKLIST,
    FieldType.MULTI_PICKLIST,
    FieldType.FILE,
    FieldType.JSON,
)
_TAKES: Mapping[FieldType, tuple[FieldType, ...]] = {
    FieldType.INTEGER: (FieldType.INTEGER, FieldType.DECIMAL),
    FieldType.DECIMAL: (FieldType.DECIMAL,),
    FieldType.FLOAT: (FieldType.FLOAT,),
    FieldType.BOOLEAN: (FieldType.BOOLEAN,),
    FieldType.DATE: (FieldType.DATE,),
    FieldType.DATETIME: (FieldType.DATETIME,),
    FieldType.TIME: (FieldType.TIME,),
    FieldType.ID: (FieldType.STRING, FieldType.TEXT, FieldType.INTEGER),
    FieldType.REFERENCE: (FieldType.STRING, FieldType.TEXT, FieldType.INTEGER),
    FieldType.PICKLIST: (FieldType.STRING, FieldType.TEXT, FieldType.PICKLIST),
    FieldType.JSON: (FieldType.STRING, FieldType.TEXT, FieldType.JSON),
}
_TEXT_COLUMNS = (FieldType.STRING, FieldType.TEXT)


def differences(schema: ObjectSchema, relation: Relation, kind: str) -> list[str]:
    """What stands against writing `schema`'s records into `relation`, one sentence each, with what to do."""
    found: list[str] = []
    if relation.is_view:
        return [f"{schema.name} is a view: records can only be written into a table"]
    for field in schema.fields:
        column = relation.column(field.name)
        if column is None:
            hint = did_you_mean(field.name, relation.names)
            found.append(
                f"{schema.name}.{field.name} is missing: add the column, or unmap the field. {hint}".rstrip(
                    ". "
                )
            )
        else:
            found += _column_differences(schema.name, field, column, kind)
    if relation.column(schema.key) is not None and not _is_unique(relation, schema.key):
        found.append(
            f"{schema.name}.{schema.key} is the key but has no unique index: add UNIQUE ({schema.key})"
        )
    found += _unwritten(schema, relation)
    return found


def _is_unique(relation: Relation, name: str) -> bool:
    return name in relation.unique or relation.primary_key == (name,)


def _unwritten(schema: ObjectSchema, relation: Relation) -> list[str]:
    return [
        f"{schema.name}.{item.name} is required and nothing is written to it: map it, or give it a default"
        for item in relation.columns
        if item.name not in schema.field_names
        and not item.nullable
        and not item.fills_itself
        and not _numbers_itself(item, relation)
    ]


def _numbers_itself(column: Column, relation: Relation) -> bool:
    """An INTEGER PRIMARY KEY of SQLite, or an auto-increment elsewhere."""
    return relation.primary_key == (column.name,) and isinstance(column.type, sa.Integer)


def _column_differences(table: str, field: FieldSchema, column: Column, kind: str) -> list[str]:
    stored = stored_field(column, kind)
    name = f"{table}.{field.name}"
    if column.schema.read_only:
        return [f"{name} is computed by the database: unmap the field"]
    if stored.type not in _TAKES.get(field.type, _TEXT_COLUMNS):
        return [
            f"{name} is {_spoken(column)}, but {_spoken_field(field)} is to be written: change the column or the mapping"
        ]
    found = _length_differences(name, field, stored) + _picklist_differences(name, field, stored)
    if stored.type is FieldType.DECIMAL:
        found += _decimal_differences(name, field, stored, column, kind)
    return found


def _length_differences(name: str, field: FieldSchema, stored: FieldSchema) -> list[str]:
    if field.type not in _TEXTS or not field.length or not stored.length or stored.length >= field.length:
        return []
    return [f"{name} holds {stored.length} characters, but {field.length} may come: widen the column"]


def _picklist_differences(name: str, field: FieldSchema, stored: FieldSchema) -> list[str]:
    unknown = [value for value in field.values if value not in stored.values] if stored.values else []
    if not unknown:
        return []
    return [f"{name} does not know the value {', '.join(map(repr, unknown))}: add it to the type, or map it"]


def _decimal_differences(
    name: str, field: FieldSchema, stored: FieldSchema, column: Column, kind: str
) -> list[str]:
    precision, scale = (19, 0) if field.type is FieldType.INTEGER else (field.precision, field.scale or 0)
    exact = kind != "sqlite" or is_exact(column.declared)
    if not exact and (precision is None or precision > EXACT_DIGITS):
        return [
            f"{name} is {column.declared}, which SQLite keeps as a float: with more than {EXACT_DIGITS} digits "
            f"amounts change; declare it DECIMAL_BLOB({precision or 38},{scale})"
        ]
    if stored.precision is None or precision is None:
        return []
    whole = stored.precision - (stored.scale or 0)
    if whole < precision - scale or (stored.scale or 0) < scale:
        return [
            f"{name} holds DECIMAL({stored.precision},{stored.scale or 0}), "
            f"but DECIMAL({precision},{scale}) is to be written: widen the column"
        ]
    return []


def _spoken(column: Column) -> str:
    return column.declared or "of no type"


def _spoken_field(field: FieldSchema) -> str:
    size = f"({field.precision},{field.scale or 0})" if field.precision else ""
    return f"{field.type.value}{size}"


def listed(differences_found: Sequence[str]) -> str:
    """The differences as lines of one message."""
    return "\n".join(f"  - {item}" for item in differences_found)
