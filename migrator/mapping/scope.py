"""What a mapping can see of its sources: the columns of each, as the engine knows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from migrator.core.document import did_you_mean
from migrator.core.errors import Location, Problem
from migrator.core.mapped import MappedSource
from migrator.core.schema import ObjectSchema
from migrator.mapping.bound import Column, StagedTypes, Stored
from migrator.mapping.kinds import kind_of
from migrator.mapping.parse import NamedSource, ObjectMapping
from migrator.staging.columns import COPY, PLACE, ROW

Schemas = Mapping[str, Mapping[str, ObjectSchema]]
"""System → object → schema."""


@dataclass(frozen=True, slots=True)
class SourceView:
    """One source of one mapping with its schema and columns."""

    named: NamedSource
    schema: ObjectSchema
    columns: Mapping[str, Column]
    key: Column | None

    @property
    def mapped(self) -> MappedSource:
        """The source as later steps see it."""
        return MappedSource(
            self.named.name, self.named.system, self.schema.name, self.key.name if self.key else ""
        )


@dataclass(frozen=True, slots=True)
class Scope:
    """All mappings with the views of their sources, and the problems found so far."""

    mappings: Mapping[str, ObjectMapping]
    views: Mapping[str, tuple[SourceView, ...]]
    """Mapping → its sources; one whose object is unknown is left out, and told."""
    problems: list[Problem] = field(default_factory=list)
    hooks: bool = False
    """Whether the project lets hooks run."""

    def error(self, place: Location, message: str, hint: str = "") -> None:
        """Note a problem."""
        self.problems.append(Problem(place, message, hint))


def look(
    mappings: Sequence[ObjectMapping], schemas: Schemas, staged: StagedTypes, *, hooks: bool = False
) -> Scope:
    """The scope of all mappings; unknown systems, objects and key columns are noted as problems."""
    problems: list[Problem] = []
    views: dict[str, tuple[SourceView, ...]] = {}
    for mapping in mappings:
        found = (_view(mapping, named, schemas, staged, problems) for named in mapping.sources)
        views[mapping.name] = tuple(view for view in found if view is not None)
    return Scope({item.name: item for item in mappings}, views, problems, hooks)


def _view(
    mapping: ObjectMapping, named: NamedSource, schemas: Schemas, staged: StagedTypes, problems: list[Problem]
) -> SourceView | None:
    objects = schemas.get(named.system)
    if objects is None:
        short = "system" not in named.rule.model_fields_set
        place = mapping.document.locate_key(named.path) if short else mapping.at(*named.path, "system")
        hint = (
            did_you_mean(named.system, schemas, noun="systems") or "run: migrator extract, to read its schema"
        )
        problems.append(Problem(place, f"no schema is known of the system {named.system!r}", hint))
        return None
    schema = objects.get(named.rule.object)
    if schema is None:
        hint = did_you_mean(named.rule.object, objects, noun="objects")
        place = mapping.at(*named.path, "object")
        problems.append(Problem(place, f"{named.system!r} has no object {named.rule.object!r}", hint))
        return None
    if not schema.fields and _reads_columns(mapping, named):
        message = f"{named.system}/{schema.name} has no columns: what was exported is empty"
        problems.append(Problem(mapping.at(*named.path, "object"), message, "export it again"))
        return None
    columns = columns_of(schema, staged(f"{named.system}/{schema.name}"))
    wanted = named.rule.key or schema.key
    if wanted and wanted not in columns:
        hint = did_you_mean(wanted, columns, noun="columns")
        problems.append(Problem(mapping.at(*named.path, "key"), f"unknown column {wanted!r}", hint))
        return None
    return SourceView(named, schema, columns, columns[wanted] if wanted else None)


def _reads_columns(mapping: ObjectMapping, named: NamedSource) -> bool:
    """Whether the mapping names a column of this source; one that names none can move an empty object as it is."""
    rules = (mapping.field(named, name).rule for name in mapping.field_names)
    return bool(named.rule.key) or any(
        rule.from_ is not None or rule.expr is not None or rule.using for rule in rules
    )


def columns_of(schema: ObjectSchema, staged: pa.Schema | None) -> dict[str, Column]:
    """The columns of an object by the source's own names."""
    engine = engine_names(schema.field_names)
    types = dict(zip(staged.names, staged.types, strict=True)) if staged is not None else {}
    columns = {}
    for item, name in zip(schema.fields, engine, strict=True):
        stored, digits = _stored(types.get(item.name))
        columns[item.name] = Column(item.name, name, kind_of(item), stored, digits)
    return columns


def texts_of(schema: ObjectSchema) -> pa.Schema:
    """The columns of an object as an export would stage them: all texts."""
    texts = [(name, pa.string()) for name in engine_names(schema.field_names)]
    return pa.schema([*texts, (ROW, pa.int64()), (PLACE, pa.string()), (COPY, pa.int32())])


def engine_names(names: Iterable[str]) -> tuple[str, ...]:
    """What the engine calls the columns of a file: it ignores case, and numbers a name that it has seen before."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        chosen, low = name, _lower(name)
        if low in seen:
            chosen = f"{name}_{seen[low]}"
            while _lower(chosen) in seen:
                seen[low] += 1
                chosen = f"{name}_{seen[low]}"
            seen[_lower(chosen)] = 1
        else:
            seen[low] = 1
        found.append(chosen)
    return tuple(found)


def _lower(name: str) -> str:
    """The engine folds ASCII letters only."""
    return "".join(chr(ord(char) + 32) if "A" <= char <= "Z" else char for char in name)


def _stored(kind: pa.DataType | None) -> tuple[Stored, tuple[int, int]]:
    none = (0, 0)
    if kind is None:
        return Stored.OTHER, none
    if pa.types.is_decimal(kind):
        return Stored.DECIMAL, (kind.precision, kind.scale)
    if pa.types.is_timestamp(kind):
        if kind.unit == "ns":
            return Stored.OTHER, none
        return (Stored.INSTANT if kind.tz else Stored.LOCAL), none
    for known, stored in _STORED:
        if known(kind):
            return stored, none
    return Stored.OTHER, none


_STORED = (
    (pa.types.is_string, Stored.TEXT),
    (pa.types.is_large_string, Stored.TEXT),
    (pa.types.is_boolean, Stored.BOOLEAN),
    (pa.types.is_uint64, Stored.OTHER),
    (pa.types.is_integer, Stored.INTEGER),
    (pa.types.is_floating, Stored.FLOAT),
    (pa.types.is_date, Stored.DATE),
    (pa.types.is_time, Stored.TIME),
)
