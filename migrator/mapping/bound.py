"""A mapping bound to its schemas: every name resolved, every type decided, nothing left to look up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa

from migrator.core.errors import Location, Problem
from migrator.core.mapped import Explosion, MappedObject, MappedSource, Missing
from migrator.core.schema import FieldSchema
from migrator.mapping.kinds import Kind
from migrator.mapping.model import Policy
from migrator.mapping.model_rows import JoinMissing
from migrator.mapping.rates import RateTable
from migrator.mapping.values import ValueMap
from migrator.mapping.warnings import Accepted

if TYPE_CHECKING:
    from migrator.mapping.pairing import SyncPlan

StagedTypes: TypeAlias = Callable[[str], "pa.Schema | None"]
"""Arrow schema of a STAGED dataset 'system/object', or None when it is not known yet."""


class Stored(Enum):
    """How the engine holds a staged column."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATE = "date"
    INSTANT = "instant"
    """A timestamp with zone."""
    LOCAL = "local"
    """A timestamp that does not say its zone."""
    TIME = "time"
    OTHER = "other"
    """Anything else, and whatever is not known yet: read as text."""


@dataclass(frozen=True, slots=True)
class Column:
    """A source column: its name in the source, its name in the engine, its type in the schema and as staged."""

    name: str
    engine: str
    """Differs from `name` where two columns differ in case only: the engine does not tell them apart."""
    kind: Kind
    stored: Stored = Stored.OTHER
    digits: tuple[int, int] = (0, 0)
    """Precision and scale of a staged decimal."""
    of: str = ""
    """The join or the exploded value it belongs to; '' for a column of the source's own object."""


@dataclass(frozen=True, slots=True)
class Formula:
    """An expression, parsed and allowed; `sql` reads its operands by the names that the compiler gives them."""

    sql: str
    operands: tuple[Column, ...]
    written: str
    place: Location


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value in every row."""

    text: str | None


@dataclass(frozen=True, slots=True)
class RecordId:
    """The record's own id in this migration."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A pandas function of the project, found but not imported."""

    name: str
    """As the mapping names it: hooks.segment."""
    path: Path
    source: bytes = field(repr=False)
    """Its file as it was read: what runs is what the fingerprint is of."""
    digest: str
    operands: tuple[Column, ...]
    place: Location
    """The function in its file."""
    used: Location
    """The field in its mapping."""


Input: TypeAlias = Column | Formula | Constant | RecordId | Hook


@dataclass(frozen=True, slots=True)
class LookupTarget:
    """One mapping that a link may point to, by one of its sources."""

    mapping: str
    source: MappedSource
    match: Column
    """Column of the linked object that holds what the link holds."""
    key: Column | None
    """Column whose value names the record; None when it is `match` itself."""
    shared: bool = False
    """Another target of the same link reads the same staged object: only rows that this mapping keeps count."""
    types: tuple[str, ...] = ()
    """What the link's type column holds for these records; empty when no column tells."""
    inactive: Formula | None = None
    """When such a record is no longer in use; None when that is never asked."""

    @property
    def by_key(self) -> bool:
        """Whether the link holds the record's key itself."""
        return self.key is None


@dataclass(frozen=True, slots=True)
class Conversion:
    """How an amount is converted: the rates, and the column with the day whose rate holds (None: rates are not dated)."""

    table: RateTable
    on: Column | None
    zone: str = ""
    """Whose calendar day is meant where the column holds a time."""
    formats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BoundMoney:
    """The currency of an amount: a column with ISO 4217 codes, or one code for all; and its conversion."""

    code: Column | str
    conversion: Conversion | None = None


@dataclass(frozen=True, slots=True)
class BoundField:
    """How one target field gets its value from one source."""

    target: FieldSchema
    kind: Kind
    input: Input
    place: Location
    clean: tuple[str, ...] = ()
    values: ValueMap | None = None
    values_by: Column | None = None
    """The column that tells which record type's value map holds; None when there is one for all."""
    unmapped: Policy = Policy.QUARANTINE
    unmapped_text: str | None = None
    lookup: tuple[LookupTarget, ...] = ()
    lookup_by: Column | None = None
    """The column that tells which target a link means; None when the link's value alone decides."""
    missing: Missing = Missing.QUARANTINE
    missing_text: str = ""
    stand_in: str = ""
    """Key of the record that takes the place of inactive ones; a whole 'MAPPING/SOURCE:KEY' too."""
    default: str | None = None
    first: str | None = None
    """What a record is created with before it gets this value; None when it is created with it."""
    formats: tuple[str, ...] = ()
    zone: str = ""
    allowed: tuple[str, ...] = ()
    """The target's value list; empty when it is open or unknown."""
    money: BoundMoney | None = None
    """Set when the field holds an amount of money."""

    @property
    def name(self) -> str:
        """Name of the target field."""
        return self.target.name

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the source that it reads."""
        match self.input:
            case Column() as column:
                read: tuple[Column, ...] = (column,)
            case Formula(operands=operands) | Hook(operands=operands):
                read = operands
            case _:
                read = ()
        code = self.money.code if self.money is not None else None
        day = self.conversion.on if self.conversion is not None else None
        beside = (item for item in (self.values_by, self.lookup_by, code, day) if isinstance(item, Column))
        return tuple(dict.fromkeys((*read, *beside)))

    @property
    def conversion(self) -> Conversion | None:
        """How it is converted; None for all but amounts of money that are."""
        return self.money.conversion if self.money is not None else None

    @property
    def is_dated(self) -> bool:
        """Whether it is converted by the rate of a day."""
        return self.conversion is not None and self.conversion.on is not None


@dataclass(frozen=True, slots=True)
class BoundJoin:
    """Another object whose one matching record gives columns to each row of a source."""

    name: str
    relation: str
    """The STAGED dataset of that object."""
    on: tuple[tuple[Column, Column], ...]
    """A column of the row, and the one there that must be equal."""
    columns: Mapping[Column, Column]
    """What the mapping sees of it → the column there."""
    missing: JoinMissing


@dataclass(frozen=True, slots=True)
class BoundExplosion:
    """One row for each of the values that a column holds."""

    column: Column
    values: tuple[Column, ...]
    """What the mapping sees: the value, then its parts."""
    rule: Explosion


@dataclass(frozen=True, slots=True)
class BoundSource:
    """One source of a mapping with its rules."""

    source: MappedSource
    key: tuple[Column, ...]
    """The columns that identify a record together; (): its ordinal is its key."""
    where: Formula | None
    exclude: tuple[tuple[Formula, str], ...]
    fields: tuple[BoundField, ...]
    """One per field of the mapped object, in its order."""
    joins: tuple[BoundJoin, ...] = ()
    explode: BoundExplosion | None = None

    def origin(self, column: Column) -> Column | None:
        """The column of the source's own object that a column is made of; None for one of a joined object."""
        if self.explode is not None and column in self.explode.values:
            return self.explode.column
        return None if column.of else column

    @property
    def name(self) -> str:
        """Its name in the mapping."""
        return self.source.name


@dataclass(frozen=True, slots=True)
class BoundMapping:
    """One mapping, ready to compile."""

    mapped: MappedObject
    sources: tuple[BoundSource, ...]
    place: Location
    siblings: tuple[tuple[str, tuple[BoundSource, ...]], ...] = ()
    """Sources of other mappings whose filters a shared lookup must respect, by mapping."""
    survival: tuple[tuple[str, Hook], ...] = ()
    """Target field → the function that makes its value of those of merged records."""

    @property
    def name(self) -> str:
        """The mapping's name."""
        return self.mapped.name


@dataclass(frozen=True, slots=True)
class Bound:
    """All mappings of a project, bound together, in load order; `warnings` are what may be lost or refused."""

    mappings: tuple[BoundMapping, ...]
    groups: tuple[tuple[MappedObject, ...], ...]
    warnings: tuple[Problem, ...]
    accepted: tuple[Accepted, ...] = ()
    """Warnings that the mappings accept with a reason, and acceptances that meet none."""
    synced: tuple[SyncPlan, ...] = ()
    """What the two-way sync carries, in load order."""

    def mapping(self, name: str) -> BoundMapping | None:
        """The mapping called `name`, or None."""
        return next((item for item in self.mappings if item.name == name), None)
