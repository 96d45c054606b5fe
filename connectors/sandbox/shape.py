"""What a store knows of one object: its fields by folded name, its keys and rules, and the SQL of its table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP

from connectors.sandbox.values import SQL_TYPES
from connectors.sandbox.violations import Refused, Violation
from connectors.sandbox.where import Where, quoted
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema


@dataclass(frozen=True, slots=True)
class ValidationRule:
    """A record for which `wrong` holds after a write is refused with `message`, at `field` when it names one."""

    name: str
    wrong: Where
    message: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class DuplicateRule:
    """Records that agree in all `fields` (none of them empty) are duplicates.

    With `alert` the writer may say that it wants them all the same; otherwise they are always refused.
    """

    name: str
    fields: tuple[str, ...]
    alert: bool = True


@dataclass(frozen=True, slots=True)
class Names:
    """What a system calls the fields that the store itself keeps; '' where it has none."""

    created: str = ""
    modified: tuple[str, ...] = ()
    """All of them move at every write; the first is indexed with the id, for reads by time."""
    deleted: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """One object: names of objects and fields are found without regard to case, as the systems do."""

    schema: ObjectSchema
    names: Names
    keys: tuple[tuple[str, ...], ...] = ()
    """Sets of fields in which no two live records agree; single unique fields among them."""
    rules: tuple[ValidationRule, ...] = ()
    duplicates: tuple[DuplicateRule, ...] = ()
    fields: dict[str, FieldSchema] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    """Folded field name → quoted column."""
    rounding: str | None = ROUND_HALF_UP
    """What becomes of more decimal places than a field has: a constant of `decimal`; None keeps them."""

    def field(self, name: str) -> FieldSchema:
        """The field called `name`; raises `Violation`."""
        found = self.fields.get(name.casefold())
        if found is None:
            raise Violation(
                Refused.NO_FIELD,
                f"No such column '{name}' on entity '{self.schema.name}'",
                object_name=self.schema.name,
                fields=(name,),
            )
        return found

    @property
    def modified(self) -> tuple[str, ...]:
        """Those of its fields that move at every write."""
        return tuple(name for name in self.names.modified if name.casefold() in self.fields)

    @property
    def stamps(self) -> tuple[str, ...]:
        """Those of its fields that get the time of creation."""
        return tuple(
            name for name in (self.names.created, *self.names.modified) if name.casefold() in self.fields
        )

    def column(self, name: str) -> str:
        """The quoted column of a field."""
        return self.columns[self.field(name).name.casefold()]


def shaped(
    schema: ObjectSchema,
    names: Names,
    *,
    keys: tuple[tuple[str, ...], ...] = (),
    rules: tuple[ValidationRule, ...] = (),
    duplicates: tuple[DuplicateRule, ...] = (),
    rounding: str | None = ROUND_HALF_UP,
) -> Shape:
    """A shape whose unique fields are keys too."""
    own = {schema.key: "__id", names.deleted: "__deleted", names.version: "__version"}
    singles = tuple((item.name,) for item in schema.fields if item.unique and item.name != schema.key)
    return Shape(
        schema, names, tuple(dict.fromkeys((*singles, *keys))), rules, duplicates,
        {item.name.casefold(): item for item in schema.fields},
        {item.name.casefold(): quoted(own.get(item.name, item.name)) for item in schema.fields}, rounding,
    )  # fmt: skip


_INTERNAL = (
    '"__id" TEXT PRIMARY KEY, "__version" INTEGER NOT NULL, '
    '"__deleted" INTEGER NOT NULL DEFAULT 0, "__hidden" INTEGER NOT NULL DEFAULT 0'
)


def table_sql(shape: Shape, collation: str) -> Iterator[str]:
    """Statements that make the table and its indexes."""
    name = quoted(shape.schema.name)
    own = [
        column_sql(item, collation)
        for item in shape.schema.fields
        if not shape.column(item.name).startswith('"__')
    ]
    yield f"CREATE TABLE IF NOT EXISTS {name} ({', '.join([_INTERNAL, *own])})"
    for key in shape.keys:
        columns = ", ".join(shape.column(part) for part in key)
        index = quoted(f"key {shape.schema.name} {' '.join(key)}")
        yield f'CREATE UNIQUE INDEX IF NOT EXISTS {index} ON {name} ({columns}) WHERE "__deleted" = 0'
    indexed = [item.name for item in shape.schema.fields if item.type is FieldType.REFERENCE]
    for one in (*indexed, *shape.modified[:1]):
        index = quoted(f"by {shape.schema.name} {one}")
        yield f'CREATE INDEX IF NOT EXISTS {index} ON {name} ({shape.column(one)}, "__id")'
    yield f'CREATE INDEX IF NOT EXISTS {quoted(f"version {shape.schema.name}")} ON {name} ("__version")'


def column_sql(item: FieldSchema, collation: str) -> str:
    """The definition of a field's column; ids and references compare exactly, text as the system does."""
    kind = SQL_TYPES.get(item.type, "TEXT")
    exact = item.type in {FieldType.ID, FieldType.REFERENCE, FieldType.DATETIME}
    suffix = f" COLLATE {collation}" if kind == "TEXT" and not exact else ""
    return f"{quoted(item.name)} {kind}{suffix}"
