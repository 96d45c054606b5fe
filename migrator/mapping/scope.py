"""What a mapping can see of its sources: the columns of each, as the engine knows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from migrator.core.document import did_you_mean
from migrator.core.errors import Location, Problem
from migrator.core.mapped import MappedSource
from migrator.core.schema import FieldSchema, ObjectSchema
from migrator.mapping.bind_rows import SourceRows, bind_rows
from migrator.mapping.bound import Column, StagedTypes
from migrator.mapping.parse import NamedSource, ObjectMapping
from migrator.mapping.staged_columns import Schemas


@dataclass(frozen=True, slots=True)
class SourceView:
    """One source of one mapping with its schema and columns."""

    named: NamedSource
    schema: ObjectSchema
    rows: SourceRows
    key: tuple[Column, ...]

    @property
    def columns(self) -> Mapping[str, Column]:
        """Every column that the mapping may name: the object's own, those of joined objects, exploded values."""
        return self.rows.columns

    @property
    def own(self) -> Mapping[str, Column]:
        """The columns of the object itself."""
        return {name: column for name, column in self.rows.columns.items() if not column.of}

    def field(self, name: str) -> FieldSchema | None:
        """What is known of a column, whichever object it comes from."""
        return self.rows.fields.get(name)

    @property
    def mapped(self) -> MappedSource:
        """The source as later steps see it."""
        keys = tuple(column.name for column in self.key)
        return MappedSource(
            self.named.name, self.named.system, self.schema.name, keys[0] if keys else "",
            more_keys=keys[1:], own_key=bool(keys) and keys != (self.schema.key,),
            explode=self.rows.explode.rule if self.rows.explode else None,
        )  # fmt: skip


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
    rows = bind_rows(mapping, named, schemas, schema, staged=staged, problems=problems)
    key = _key(mapping, named, schema, rows, problems)
    return SourceView(named, schema, rows, key) if rows is not None and key is not None else None


def _key(
    mapping: ObjectMapping,
    named: NamedSource,
    schema: ObjectSchema,
    rows: SourceRows | None,
    problems: list[Problem],
) -> tuple[Column, ...] | None:
    """The columns of the key, which are the object's own: what is joined or exploded hangs on it."""
    own = {name: column for name, column in rows.columns.items() if not column.of} if rows is not None else {}
    wanted = named.rule.key or ((schema.key,) if schema.key else ())
    found = tuple(own[name] for name in wanted if name in own)
    for number, name in enumerate(wanted):
        if name not in own and rows is not None:
            hint = did_you_mean(name, own, noun="columns")
            place = mapping.at(*named.path, "key", number)
            problems.append(Problem(place, f"unknown column {name!r}", hint))
    return found if len(found) == len(wanted) else None


def _reads_columns(mapping: ObjectMapping, named: NamedSource) -> bool:
    """Whether the mapping names a column of this source; one that names none can move an empty object as it is."""
    rules = (mapping.field(named, name).rule for name in mapping.field_names)
    made = bool(named.rule.key or named.rule.join or named.rule.explode)
    return made or any(rule.from_ is not None or rule.expr is not None or rule.using for rule in rules)
