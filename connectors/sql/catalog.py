r"""What a database says of its tables and views, in the words of `migrator.core.schema`.

A table's key is its primary key; a composite one becomes one text field `pk`, its parts joined by '|' (with '\'
before a '|' or '\' inside a part). Without a primary key it is the column named in the setting `keys`, else a
required unique column; else `pk` is a digest of the whole row, so that two rows that differ in nothing show as copies.
Columns with a one-column foreign key are references. Types that we have no word for are text.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.engine.reflection import ObjectKind

from connectors.sql.database import Database
from connectors.sql.decimals import DecimalBlob, is_exact
from connectors.sql.indexes import DueIndex, due_indexes
from migrator.core.document import did_you_mean
from migrator.core.errors import ProjectError
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

PK = "pk"
"""The synthesised key field of a table with a composite primary key, or with none."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column as it is in the database."""

    schema: FieldSchema
    type: sa.types.TypeEngine[Any]
    declared: str
    """The type's name as declared; on SQLite the only thing that tells our exact decimals from others'."""
    nullable: bool
    fills_itself: bool
    """The database gives a value when we send none: default, identity or computed."""

    @property
    def name(self) -> str:
        """The column's own name."""
        return self.schema.name


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A one-column foreign key."""

    column: str
    table: str
    referred: str
    deferred: bool


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view."""

    name: str
    namespace: str | None
    is_view: bool
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    unique: frozenset[str]
    """Columns that are unique each on their own."""
    foreign_keys: tuple[ForeignKey, ...] = ()

    def column(self, name: str) -> Column | None:
        """The column called `name`, or None."""
        return next((item for item in self.columns if item.name == name), None)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns."""
        return tuple(item.name for item in self.columns)


def relations(database: Database, *, every: bool = False) -> dict[str, Relation]:
    """Tables and views by name, in alphabetical order: those the settings let through, or `every` one there is."""
    namespace = database.settings.schema
    with database.begin() as connection, warnings.catch_warnings():
        # "Did not recognize type": such a column is read as text, which the module says
        warnings.simplefilter("ignore", sa.exc.SAWarning)
        inspector = sa.inspect(connection)
        pieces = _partitions(connection, namespace) if database.kind == "postgresql" else frozenset[str]()
        views = {*inspector.get_view_names(namespace), *_materialized(inspector, namespace)}
        scope: dict[str, Any] = {"schema": namespace, "kind": ObjectKind.ANY}
        columns = inspector.get_multi_columns(**scope)
        keys = inspector.get_multi_pk_constraint(**scope)
        foreign = inspector.get_multi_foreign_keys(**scope)
        unique = inspector.get_multi_unique_constraints(**scope)
        indexes = inspector.get_multi_indexes(**scope)
        due = _due_references(due_indexes(connection, namespace, indexes).values())
        found = {
            name: Relation(
                name=name,
                namespace=namespace,
                is_view=name in views,
                columns=_columns(connection, database.kind, name, items),
                primary_key=_key_names(keys.get((space, name))),
                unique=_unique(unique.get((space, name)) or [], indexes.get((space, name)) or []),
                foreign_keys=(
                    *_foreign_keys(foreign.get((space, name)) or [], namespace),
                    *due.get(name, ()),
                ),
            )
            for (space, name), items in sorted(columns.items(), key=lambda item: item[0][1])
            if items and (every or (database.settings.wants(name) and name not in pieces))
        }
    return {name: _with_roles(item) for name, item in found.items()}


def elsewhere(database: Database) -> dict[str, int]:
    """Other schemas of a PostgreSQL database that hold tables or views → how many."""
    if database.kind != "postgresql":
        return {}
    query = sa.text(
        "SELECT table_schema, count(*) FROM information_schema.tables WHERE table_schema !~ '^pg_'"
        " AND table_schema NOT IN ('information_schema', coalesce(:own, current_schema())) GROUP BY 1 ORDER BY 1"
    )
    with database.begin() as connection:
        found = connection.execute(query, {"own": database.settings.schema}).all()
    return {str(row[0]): int(row[1]) for row in found}


def _partitions(connection: sa.Connection, namespace: str | None) -> frozenset[str]:
    """Tables that are parts of another one, whose rows are read there."""
    query = sa.text(
        "SELECT relname FROM pg_class JOIN pg_namespace AS space ON space.oid = relnamespace"
        " WHERE relispartition AND space.nspname = coalesce(:own, current_schema())"
    )
    return frozenset(connection.execute(query, {"own": namespace}).scalars())


def describe(relation: Relation, keys: Mapping[str, str]) -> ObjectSchema:
    """The relation as a mapping sees it; `keys` is the setting of that name."""
    fields = tuple(item.schema for item in relation.columns)
    key = key_column(relation, keys)
    if key:
        return ObjectSchema(relation.name, key, fields)
    made = FieldSchema(
        pk_name(relation), FieldType.ID, label="key made of " + ", ".join(key_parts(relation)), required=True
    )
    return ObjectSchema(relation.name, made.name, (made, *fields))


def key_column(relation: Relation, keys: Mapping[str, str]) -> str:
    """The one column that identifies a row, or '' when the key must be made of several."""
    if named := keys.get(relation.name):
        if named not in relation.names:
            hint = did_you_mean(named, relation.names, noun="columns")
            raise ProjectError.at("migration.yaml", f"keys: {relation.name} has no column {named!r}", hint)
        return named
    if relation.primary_key:
        return relation.primary_key[0] if len(relation.primary_key) == 1 else ""
    required = (item.name for item in relation.columns if item.name in relation.unique and not item.nullable)
    return next(required, "")


def key_parts(relation: Relation) -> tuple[str, ...]:
    """The columns a made key is made of: the composite primary key, or all columns where there is none."""
    return relation.primary_key or relation.names


def pk_name(relation: Relation) -> str:
    """`pk`, or the like where a column is already called so."""
    name = PK
    while name in relation.names:
        name += "_"
    return name


def _key_names(constraint: Any) -> tuple[str, ...]:
    return tuple(constraint["constrained_columns"]) if constraint else ()


def _materialized(inspector: sa.Inspector, namespace: str | None) -> Sequence[str]:
    try:
        return inspector.get_materialized_view_names(namespace)
    except NotImplementedError:
        return ()


def _columns(
    connection: sa.Connection, kind: str, table: str, items: Sequence[ReflectedColumn]
) -> tuple[Column, ...]:
    declared: dict[str, str] = _sqlite_declarations(connection, table) if kind == "sqlite" else {}
    return tuple(_column(item, kind, declared.get(item["name"], "")) for item in items)


def _sqlite_declarations(connection: sa.Connection, table: str) -> dict[str, str]:
    rows = connection.exec_driver_sql("SELECT name, type FROM pragma_table_xinfo(?)", (table,))
    return {str(name): str(declared or "") for name, declared in rows}


def _column(item: ReflectedColumn, kind: str, declared: str) -> Column:
    name = item["name"]
    schema = _sqlite_field(name, declared) if kind == "sqlite" else _typed_field(name, item["type"])
    computed = "computed" in item
    exact = kind == "sqlite" and schema.type is FieldType.DECIMAL and is_exact(declared)
    return Column(
        schema=replace(
            schema, required=not item["nullable"], read_only=computed, label=item.get("comment") or ""
        ),
        type=DecimalBlob(schema.precision, schema.scale) if exact else item["type"],
        declared=declared or str(item["type"].__class__.__name__),
        nullable=item["nullable"],
        fills_itself=item.get("default") is not None
        or computed
        or "identity" in item
        or item.get("autoincrement") is True,
    )


_SQLITE_TYPES: Sequence[tuple[str, FieldType]] = (
    (r"DECIMAL|NUMERIC|NUMBER|MONEY|CURRENCY", FieldType.DECIMAL),
    (r"BOOL", FieldType.BOOLEAN),
    (r"DATETIME|TIMESTAMP", FieldType.DATETIME),
    (r"DATE", FieldType.DATE),
    (r"TIME", FieldType.TIME),
    (r"JSON", FieldType.JSON),
    (r"POINT|INTERVAL", FieldType.TEXT),
    (r"INT", FieldType.INTEGER),
    (r"CLOB|TEXT", FieldType.TEXT),
    (r"CHAR|UUID|UNIQUEIDENTIFIER|STRING", FieldType.STRING),
    (r"BLOB|BINARY", FieldType.FILE),
    (r"REAL|FLOA|DOUB", FieldType.FLOAT),
)


def _sqlite_field(name: str, declared: str) -> FieldSchema:
    """SQLite only knows what was declared; which values really stand there is looked at when they are read."""
    kind = next((type_ for sign, type_ in _SQLITE_TYPES if re.search(sign, declared.upper())), FieldType.TEXT)
    numbers = [int(number) for number in re.findall(r"\d+", declared.partition("(")[2])]
    match kind:
        case FieldType.DECIMAL if numbers:
            return FieldSchema(name, kind, precision=numbers[0], scale=numbers[1] if numbers[1:] else 0)
        case FieldType.STRING if numbers:
            return FieldSchema(name, kind, length=numbers[0])
        case _:
            return FieldSchema(name, kind)


def _typed_field(name: str, type_: sa.types.TypeEngine[Any]) -> FieldSchema:
    match type_:
        case sa.Enum():
            return FieldSchema(name, FieldType.PICKLIST, values=tuple(str(value) for value in type_.enums))
        case sa.Numeric() if not isinstance(type_, sa.Float):
            return _decimal_field(name, type_)
        case sa.String():
            return _text_field(name, type_)
        case sa.Time() if type_.timezone:
            # a time of day with an offset has no word here: its text keeps both
            return FieldSchema(name, FieldType.TEXT)
        case _:
            return FieldSchema(name, _simple_type(type_), length=36 if isinstance(type_, sa.Uuid) else None)


_SIMPLE: Sequence[tuple[type, FieldType]] = (
    (sa.Float, FieldType.FLOAT),
    (sa.Boolean, FieldType.BOOLEAN),
    (sa.Integer, FieldType.INTEGER),
    (postgresql.MONEY, FieldType.DECIMAL),
    (sa.DateTime, FieldType.DATETIME),
    (sa.Date, FieldType.DATE),
    (sa.Time, FieldType.TIME),
    (sa.Uuid, FieldType.STRING),
    (sa.JSON, FieldType.JSON),
    (sa.ARRAY, FieldType.JSON),
    (sa.types._Binary, FieldType.FILE),
)


def _simple_type(type_: sa.types.TypeEngine[Any]) -> FieldType:
    return next((found for kind, found in _SIMPLE if isinstance(type_, kind)), FieldType.TEXT)


def _decimal_field(name: str, type_: sa.Numeric[Any]) -> FieldSchema:
    """A decimal with its precision; one without any (NUMERIC alone) holds what it likes and is read as text."""
    if type_.precision is None:
        return FieldSchema(name, FieldType.DECIMAL)
    return FieldSchema(name, FieldType.DECIMAL, precision=type_.precision, scale=type_.scale or 0)


def _text_field(name: str, type_: sa.String) -> FieldSchema:
    long = isinstance(type_, sa.Text) and type_.length is None
    return FieldSchema(name, FieldType.TEXT if long else FieldType.STRING, length=type_.length)


def _unique(constraints: Sequence[Any], indexes: Sequence[Any]) -> frozenset[str]:
    whole = [item["column_names"] for item in constraints]
    whole += [
        item["column_names"]
        for item in indexes
        if item["unique"] and not any("where" in option for option in item.get("dialect_options", {}))
    ]
    return frozenset(names[0] for names in whole if len(names) == 1 and names[0])


def _due_references(due: Iterable[DueIndex]) -> dict[str, list[ForeignKey]]:
    """Table → foreign keys that come with the indexes of a first load: records refer to each other from the first row on."""
    found: dict[str, list[ForeignKey]] = {}
    for item in due:
        if item.reference is not None:
            key = ForeignKey(item.column, item.reference.table, item.reference.column, deferred=True)
            found.setdefault(item.table, []).append(key)
    return found


def _foreign_keys(items: Sequence[Any], namespace: str | None) -> tuple[ForeignKey, ...]:
    return tuple(
        ForeignKey(
            column=item["constrained_columns"][0],
            table=item["referred_table"],
            referred=(item["referred_columns"] or [""])[0],
            deferred=str(item.get("options", {}).get("initially", "")).upper() == "DEFERRED",
        )
        for item in items
        if len(item["constrained_columns"]) == 1 and item.get("referred_schema") == namespace
    )


def stored_field(column: Column, kind: str) -> FieldSchema:
    """The field as its column is typed, whatever part it plays: a reference may be stored as a whole number."""
    if kind == "sqlite":
        return _sqlite_field(column.name, column.declared)
    return _typed_field(column.name, column.type)


_TEXTS = (FieldType.STRING, FieldType.TEXT)


def _with_roles(relation: Relation) -> Relation:
    """The relation with its text key as ID, its foreign keys as references, and its unique columns marked."""
    pointing: dict[str, list[str]] = {}
    for item in relation.foreign_keys:
        pointing.setdefault(item.column, []).append(item.table)
    own = relation.primary_key if len(relation.primary_key) == 1 else ()

    def role(column: Column) -> Column:
        schema = replace(column.schema, unique=column.name in relation.unique or column.name in own)
        if column.name in own:
            schema = replace(schema, required=True)
            if schema.type in _TEXTS:
                schema = replace(schema, type=FieldType.ID)
        elif column.name in pointing:
            targets = tuple(dict.fromkeys(pointing[column.name]))
            schema = replace(schema, type=FieldType.REFERENCE, references=targets, precision=None, scale=None)
        return replace(column, schema=schema)

    return replace(relation, columns=tuple(role(column) for column in relation.columns))
