"""The rows of a source bound: its own columns, those of objects joined to it, and values exploded into rows of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from migrator.core.document import TreePath, did_you_mean
from migrator.core.errors import Location, Problem
from migrator.core.mapped import Explosion
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.mapping.bound import BoundExplosion, BoundJoin, Column, StagedTypes, Stored
from migrator.mapping.kinds import Kind
from migrator.mapping.model_rows import JoinRule
from migrator.mapping.parse import NamedSource, ObjectMapping
from migrator.mapping.staged_columns import Schemas, columns_of, engine_names


@dataclass(frozen=True, slots=True)
class SourceRows:
    """What the rows of a source are made of."""

    columns: Mapping[str, Column]
    """By the names that the mapping uses."""
    fields: Mapping[str, FieldSchema]
    """What is known of each of them."""
    joins: tuple[BoundJoin, ...] = ()
    explode: BoundExplosion | None = None


class _Rows:
    """Rows under construction; `problems` grows by what is wrong."""

    def __init__(
        self,
        mapping: ObjectMapping,
        named: NamedSource,
        schema: ObjectSchema,
        staged: StagedTypes,
        problems: list[Problem],
    ) -> None:
        self.mapping, self.named, self.problems, self.staged = mapping, named, problems, staged
        self.object = f"{named.system}/{schema.name}"
        self.columns = columns_of(schema, staged(self.object))
        self.fields = {item.name: item for item in schema.fields}
        self.joins: list[BoundJoin] = []
        self.explosion: BoundExplosion | None = None

    def done(self) -> SourceRows:
        """The rows as bound."""
        return SourceRows(self.columns, self.fields, tuple(self.joins), self.explosion)

    def problem(self, place: Location, message: str, hint: str = "") -> None:
        """Note a problem."""
        self.problems.append(Problem(place, message, hint))

    def add(self, name: str, known: FieldSchema, column: Column, of: str, path: TreePath) -> Column | None:
        """Make a column known that is not the object's own, under a name that the engine can tell from all others."""
        if name in self.columns:
            message = f"{name!r} is a column of {self.object} already"
            self.problem(self.mapping.document.locate_key(path), message, "give it another name")
            return None
        engine = engine_names([*(item.engine for item in self.columns.values()), name])[-1]
        seen = replace(column, name=name, engine=engine, of=of)
        self.columns[name], self.fields[name] = seen, replace(known, name=name)
        return seen

    def known(self, name: str, place: Location) -> Column | None:
        """The column `name`; one that is not there is a problem."""
        if name not in self.columns:
            hint = did_you_mean(name, self.columns, noun="columns")
            self.problem(place, f"{self.object} has no column {name!r}", hint)
        return self.columns.get(name)


def bind_rows(
    mapping: ObjectMapping,
    named: NamedSource,
    schemas: Schemas,
    schema: ObjectSchema,
    *,
    staged: StagedTypes,
    problems: list[Problem],
) -> SourceRows | None:
    """The rows of a source of the object `schema`; None when something is wrong, which is noted in `problems`."""
    before = len(problems)
    rows = _Rows(mapping, named, schema, staged, problems)
    if named.rule.explode is not None:
        _explode(rows)
    for name, rule in named.rule.join.items():
        _join(rows, name, rule, schemas)
    return rows.done() if len(problems) == before else None


def _explode(rows: _Rows) -> None:
    rule, path = rows.named.rule.explode, (*rows.named.path, "explode")
    if rule is None:
        return
    column = rows.known(rule.column, rows.mapping.at(*path, "column"))
    if column is None:
        return
    known = rows.fields[rule.column]
    listed = known.type is FieldType.MULTI_PICKLIST
    kind = Kind(FieldType.PICKLIST if listed else FieldType.STRING)
    one = replace(known, type=kind.type, length=None, values=known.values if listed else (), references=())
    names = (rule.as_, *(f"{rule.as_}.{part}" for part in rule.parts))
    value = Column(rule.as_, rule.as_, kind, Stored.TEXT)
    made = [rows.add(name, one, value, rule.as_, (*path, "as")) for name in names]
    seen = tuple(item for item in made if item is not None)
    if any(item.engine != item.name for item in seen):
        message = f"{rule.as_!r} and a column of {rows.object} differ in case only"
        rows.problem(rows.mapping.at(*path, "as"), message, "give the value another name")
    explosion = Explosion(column.engine, rule.as_, rule.split or "", rule.parts)
    rows.explosion = BoundExplosion(column, seen, explosion)


def _join(rows: _Rows, name: str, rule: JoinRule, schemas: Schemas) -> None:
    path = (*rows.named.path, "join", name)
    system = rule.system or rows.named.system
    objects = schemas.get(system)
    if objects is None:
        hint = did_you_mean(system, schemas, noun="systems") or "run: migrator extract, to read its schema"
        rows.problem(rows.mapping.at(*path, "system"), f"no schema is known of the system {system!r}", hint)
        return
    schema = objects.get(rule.object)
    if schema is None:
        hint = did_you_mean(rule.object, objects, noun="objects")
        rows.problem(rows.mapping.at(*path, "object"), f"{system!r} has no object {rule.object!r}", hint)
        return
    relation = f"{system}/{schema.name}"
    there = columns_of(schema, rows.staged(relation))
    on = _on(rows, rule, there, relation, path)
    seen = {}
    for item in schema.fields:
        column = rows.add(f"{name}.{item.name}", item, there[item.name], name, path)
        if column is not None:
            seen[column] = there[item.name]
    rows.joins.append(BoundJoin(name, relation, on, seen, rule.missing))


def _on(
    rows: _Rows, rule: JoinRule, there: Mapping[str, Column], relation: str, path: TreePath
) -> tuple[tuple[Column, Column], ...]:
    pairs = []
    for ours, theirs in rule.on.items():
        column = rows.known(ours, rows.mapping.document.locate_key((*path, "on", ours)))
        if theirs not in there:
            hint = did_you_mean(theirs, there, noun="columns")
            rows.problem(rows.mapping.at(*path, "on", ours), f"{relation} has no column {theirs!r}", hint)
        elif column is not None:
            pairs.append((column, there[theirs]))
    return tuple(pairs)
