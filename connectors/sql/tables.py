"""New tables for objects: column types that hold every value exactly, keys, foreign keys, indexes; checked names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from connectors.sql.decimals import DecimalBlob
from connectors.sql.indexes import DEFERRED, index_for
from migrator.core.errors import Location, Problem, ProjectError
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema, index_schemas

_NAME_BYTES = {"postgresql": 63, "mysql": 64, "mariadb": 64, "oracle": 128, "mssql": 128}
_LONGEST_VARCHAR = 10_000
_KEY_LENGTH_ELSEWHERE = 255
"""MySQL, Oracle and SQL Server want a length for a text that is indexed."""
_EXACT_ANYWHERE = ("sqlite", "postgresql")


def define(
    schemas: Sequence[ObjectSchema], kind: str, namespace: str | None, missing: Collection[str]
) -> sa.MetaData:
    """Tables for all `schemas`, references among them as foreign keys; `missing` are those that are about to be made."""
    metadata = sa.MetaData()
    known = index_schemas(schemas)
    tables: dict[str, sa.Table] = {}
    for schema in schemas:
        table = sa.Table(
            _quoted(schema.name),
            metadata,
            *(_column(field, schema, known, kind) for field in schema.fields),
            schema=namespace,
        )
        tables[schema.name] = table
    for schema in schemas:
        _relate(schema, tables, known, kind, missing)
    return metadata


def _relate(
    schema: ObjectSchema,
    tables: Mapping[str, sa.Table],
    known: Mapping[str, ObjectSchema],
    kind: str,
    missing: Collection[str],
) -> None:
    """Give every reference an index, or what stands in for it, and a foreign key where it can point to one object only.

    Deferred on PostgreSQL; on SQLite immediate, which tells the very row that does not fit. A key to a table that is there
    already is made at once: that its columns fit, and that we may refer to it, is then known before the first row.
    """
    deferred = DEFERRED if kind == "postgresql" else {}
    table = tables[schema.name]
    for field in schema.fields:
        if field.type is not FieldType.REFERENCE:
            continue
        referred = _referred(field, known)
        other = tables[referred.name].c[referred.key] if referred else None
        indexed = field.name == schema.key or field.unique
        new = other if referred and referred.name in missing else None
        comes_later = not indexed and index_for(table, field.name, kind, new)
        if other is not None and not comes_later:
            table.append_constraint(sa.ForeignKeyConstraint([table.c[field.name]], [other], **deferred))


def check_names(schemas: Sequence[ObjectSchema], kind: str) -> None:
    """Raise `ProjectError` with every name the database would cut, confuse or refuse."""
    problems: list[Problem] = []
    problems += _name_problems([schema.name for schema in schemas], "object", Location("target"), kind)
    for schema in schemas:
        place = Location(f"target object {schema.name}")
        problems += _name_problems(list(schema.field_names), "field", place, kind)
        if schema.field(schema.key) is None:
            problems.append(Problem(place, f"its key {schema.key!r} is not among its fields", "map the key"))
    if problems:
        raise ProjectError(problems)


def _name_problems(names: Sequence[str], noun: str, place: Location, kind: str) -> list[Problem]:
    limit = _NAME_BYTES.get(kind)
    folded = Counter(name if kind == "postgresql" else name.casefold() for name in names)
    found: list[Problem] = []
    for name in names:
        size = len(name.encode())
        if not name or "\x00" in name:
            found.append(Problem(place, f"{noun} {name!r} cannot be a name", "give it a name in the mapping"))
        if limit and size > limit:
            message = f"{noun} {name!r} has {size} bytes; {kind} keeps {limit} and would cut it"
            found.append(Problem(place, message, "give it a shorter name in the mapping"))
        if noun == "object" and kind == "sqlite" and name.lower().startswith("sqlite_"):
            found.append(Problem(place, f"{name!r} is reserved by SQLite", "give the object another name"))
    for name, count in folded.items():
        if count > 1:
            message = f"{count} {noun}s are called {name!r} where {kind} makes no difference of case"
            found.append(Problem(place, message, "rename one of them in the mapping"))
    return found


def column_type(field: FieldSchema, kind: str, *, indexed: bool) -> Any:
    """The column type that holds every value of the field on this kind of database."""
    if field.type is FieldType.DECIMAL:
        exact = sa.Numeric(field.precision, field.scale if field.precision else None)
        return DecimalBlob(field.precision, field.scale) if kind == "sqlite" else exact
    if field.type is FieldType.FLOAT:
        return sa.REAL() if kind == "sqlite" else sa.Double()
    return _SAME_EVERYWHERE.get(field.type) or _text_type(field, kind, indexed=indexed)


_SAME_EVERYWHERE: Mapping[FieldType, Any] = {
    FieldType.INTEGER: sa.BigInteger(),
    FieldType.BOOLEAN: sa.Boolean(),
    FieldType.DATE: sa.Date(),
    FieldType.DATETIME: sa.DateTime(timezone=True).with_variant(sa.DATETIME(), "sqlite"),
    FieldType.TIME: sa.Time(),
}


def _text_type(field: FieldSchema, kind: str, *, indexed: bool) -> Any:
    if field.length and field.length <= _LONGEST_VARCHAR and field.type is not FieldType.TEXT:
        return sa.String(field.length)
    if field.type is FieldType.TEXT and field.length:
        return sa.String(field.length) if kind in _EXACT_ANYWHERE else sa.Text()
    if indexed and kind not in _EXACT_ANYWHERE:
        return sa.String(_KEY_LENGTH_ELSEWHERE)
    return sa.Text()


def _column(
    field: FieldSchema, schema: ObjectSchema, known: Mapping[str, ObjectSchema], kind: str
) -> sa.Column[Any]:
    is_key = field.name == schema.key
    referred = _referred(field, known) if field.type is FieldType.REFERENCE else None
    shaped = referred.field(referred.key) or field if referred else field
    indexed = is_key or field.unique or field.type is FieldType.REFERENCE
    return sa.Column(
        _quoted(field.name),
        column_type(shaped, kind, indexed=indexed),
        primary_key=is_key,
        nullable=not (field.required or is_key),
        unique=(field.unique and not is_key) or None,
        autoincrement=False,
    )


def _referred(field: FieldSchema, known: Mapping[str, ObjectSchema]) -> ObjectSchema | None:
    """The one object a reference points to, if it is to one and among those prepared."""
    return known.get(field.references[0]) if len(field.references) == 1 else None


def _quoted(name: str) -> sa.quoted_name:
    return sa.quoted_name(name, quote=True)
