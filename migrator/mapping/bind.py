"""Mappings held against the schemas of both sides: every name resolved, every type decided, every problem told at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from migrator.core.document import did_you_mean
from migrator.core.errors import Location, Problem, ProjectError, Severity, raise_errors
from migrator.core.fingerprint import fingerprint
from migrator.core.mapped import DedupeRules, Link, MappedObject, MatchKey, MatchModel
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.mapping.bind_currency import amounts
from migrator.mapping.bind_field import BoundInput, bind_field, decide_kind, settle
from migrator.mapping.bind_first import firsts
from migrator.mapping.bind_survival import Survival, bind_survival
from migrator.mapping.bound import (
    Bound,
    BoundField,
    BoundMapping,
    BoundSource,
    Column,
    Formula,
    Hook,
    StagedTypes,
)
from migrator.mapping.expressions import offset_place, parse_formula
from migrator.mapping.hidden_losses import Fills, unknown_fills
from migrator.mapping.labels import by_language, main_label
from migrator.mapping.losses import check_target, warn
from migrator.mapping.match_model import find_model
from migrator.mapping.order import order
from migrator.mapping.pairing import plan_sync
from migrator.mapping.parse import FieldInput, ObjectMapping
from migrator.mapping.scope import Scope, SourceView, look
from migrator.mapping.staged_columns import Schemas


def unknown_types(_: str) -> None:
    """`StagedTypes` when nothing was staged yet: every column is read as text."""
    return


def bind(
    mappings: Sequence[ObjectMapping],
    sources: Schemas,
    targets: Schemas | None = None,
    staged: StagedTypes = unknown_types,
    fills: Fills = unknown_fills,
    *,
    hooks: bool = False,
) -> Bound:
    """Bind all mappings of a project together.

    `sources` and `targets`: system → object → schema. A target system or object that is not in `targets` is taken as
    not there yet: the mapping says what it will look like. `staged` gives the Arrow schema of a STAGED dataset
    'system/object' once there is one, `fills` how full its columns are. Python of the
    project is looked at only with `hooks`, and not imported even then. Raises `ProjectError` with all problems of all mappings.
    """
    scope = look(mappings, sources, staged, hooks=hooks)
    drafts = [_draft(scope, mapping, _target_schema(mapping, targets)) for mapping in mappings]
    groups = _ordered(scope, drafts)
    settled = {item.name: item for group in groups for item in group}
    bound = [replace(item, mapped=settled.get(item.name, item.mapped)) for item in drafts]
    siblings = tuple((item.name, item.sources) for item in bound)
    bound = [replace(item, siblings=siblings if _shares(item) else ()) for item in bound]
    planned = {item.name: plan_sync(scope, scope.mappings[item.name], item) for item in bound}
    one_way = {name: item.one_way for name, item in planned.items()}
    found, accepted = warn(scope, bound, _targets_of(mappings, targets), fills, one_way)
    warnings = raise_errors([*scope.problems, *_told(scope, found)])
    ranked = {item.name: rank for rank, item in enumerate(item for group in groups for item in group)}
    ordered = tuple(sorted(bound, key=lambda item: ranked[item.name]))
    synced = tuple(plan for item in ordered for plan in planned[item.name].plans)
    return Bound(ordered, groups, warnings, accepted, synced)


def _ordered(scope: Scope, drafts: Sequence[BoundMapping]) -> tuple[tuple[MappedObject, ...], ...]:
    try:
        return order([item.mapped for item in drafts], lambda name, field: _link_place(scope, name, field))
    except ProjectError as error:
        scope.problems.extend(error.problems)
        return ()


def _told(scope: Scope, found: Sequence[Problem]) -> list[Problem]:
    """Losses are told once everything is right: beside a misspelt name they would only repeat it."""
    errors = [item for item in found if item.severity is Severity.ERROR]
    return errors if errors or scope.problems else list(found)


def _shares(item: BoundMapping) -> bool:
    return any(target.shared for source in item.sources for field in source.fields for target in field.lookup)


def _target_schema(mapping: ObjectMapping, targets: Schemas | None) -> ObjectSchema | None:
    return (targets or {}).get(mapping.rule.target.system, {}).get(mapping.rule.target.object)


def _targets_of(mappings: Iterable[ObjectMapping], targets: Schemas | None) -> dict[str, ObjectSchema]:
    found = ((item.name, _target_schema(item, targets)) for item in mappings)
    return {name: schema for name, schema in found if schema is not None}


def _link_place(scope: Scope, name: str, field: str) -> Location:
    mapping = scope.mappings[name]
    return mapping.at(*mapping.field(mapping.sources[0], field).path("lookup"))


@dataclass(frozen=True, slots=True)
class _Cell:
    """One field seen from one source."""

    rule: FieldInput
    input: BoundInput


def _draft(scope: Scope, mapping: ObjectMapping, target: ObjectSchema | None) -> BoundMapping:
    views = scope.views[mapping.name]
    names = _distinct(scope, mapping)
    check_target(scope, mapping, target, names)
    columns: list[tuple[FieldSchema, list[BoundField]]] = []
    for name in names:
        cells = [
            _Cell(rule, bind_field(scope, mapping, view, rule)) for view, rule in _rules(mapping, views, name)
        ]
        if cells:
            columns.append(_column(scope, mapping, cells, target.field(name) if target else None))
    fields = tuple(schema for schema, _ in columns)
    sources = tuple(
        _source(scope, mapping, view, tuple(cells[position] for _, cells in columns))
        for position, view in enumerate(views)
    )
    rule = mapping.rule.target
    survival = bind_survival(scope, mapping, fields)
    mapped = MappedObject(
        name=mapping.name,
        target_system=rule.system,
        target_object=rule.object,
        key=rule.key,
        schema=ObjectSchema(rule.object, rule.key, fields, label=target.label if target else ""),
        sources=tuple(view.mapped for view in views),
        links=_links(mapping, columns),
        dedupe=_dedupe(scope, mapping, fields, survival),
        fingerprint=_fingerprint(mapping, columns),
        labels=_labels(mapping, names),
        firsts=firsts(scope, mapping, columns),
        amounts=amounts(columns),
        file=mapping.document.file,
        unique=_unique(columns, rule.key, target),
    )
    return BoundMapping(mapped, sources, mapping.at("mapping"), survival=tuple(survival.hooks))


def _unique(
    columns: Sequence[tuple[FieldSchema, list[BoundField]]], key: str, target: ObjectSchema | None
) -> tuple[str, ...]:
    """Fields whose value the target, or the mapping, wants once only."""
    found = []
    for schema, _ in columns:
        there = target.field(schema.name) if target else None
        if schema.name != key and (schema.unique or (there is not None and there.unique)):
            found.append(schema.name)
    return tuple(found)


def _rules(
    mapping: ObjectMapping, views: Iterable[SourceView], name: str
) -> list[tuple[SourceView, FieldInput]]:
    return [(view, mapping.field(view.named, name)) for view in views]


def _distinct(scope: Scope, mapping: ObjectMapping) -> tuple[str, ...]:
    """Target fields; two that differ in case only are a problem, since neither the engine nor SQL tells them apart."""
    seen: dict[str, str] = {}
    for name in mapping.field_names:
        first = seen.setdefault(name.casefold(), name)
        if first != name:
            place = mapping.document.locate_key(mapping.field(mapping.sources[0], name).base)
            scope.error(place, f"the fields {first!r} and {name!r} differ in case only", "rename one of them")
    return tuple(seen.values())


def _column(
    scope: Scope, mapping: ObjectMapping, cells: Sequence[_Cell], there: FieldSchema | None
) -> tuple[FieldSchema, list[BoundField]]:
    """One target field over all sources: its kind is decided once, then each cell is settled to it."""
    first = cells[0].rule
    kind = decide_kind(scope, mapping, [cell.rule for cell in cells], [cell.input for cell in cells], there)
    key = mapping.rule.target.key == first.name
    explicit = [cell.rule.rule for cell in cells]
    origin = _origin(scope, mapping, cells)
    schema = FieldSchema(
        name=first.name,
        type=kind.type,
        label=next((main_label(rule.label) for rule in explicit if rule.label), "")
        or (there or origin or _NOTHING).label,
        required=key
        or any(rule.required for rule in explicit)
        or bool(there and there.required and not there.read_only),
        unique=key or any(rule.unique for rule in explicit),
        length=kind.length,
        precision=kind.precision,
        scale=kind.scale,
        references=_referenced(scope, cells),
        values=there.values if there and kind.type in _LISTED else (),
        pii=next((rule.pii for rule in explicit if rule.pii), "") or (origin or _NOTHING).pii,
    )
    return schema, [settle(scope, mapping, cell.rule, cell.input, schema=schema, kind=kind) for cell in cells]


def _origin(scope: Scope, mapping: ObjectMapping, cells: Sequence[_Cell]) -> FieldSchema | None:
    """The source field that the value comes from, for its label and its mark as personal."""
    for view, cell in zip(scope.views[mapping.name], cells, strict=True):
        if isinstance(cell.input.input, Column):
            return view.field(cell.input.input.name)
    return None


_NOTHING = FieldSchema("", FieldType.STRING)
_LISTED = (FieldType.PICKLIST, FieldType.MULTI_PICKLIST)


def _referenced(scope: Scope, cells: Iterable[_Cell]) -> tuple[str, ...]:
    linked = (target.mapping for cell in cells for target in cell.input.lookup)
    return tuple(dict.fromkeys(scope.mappings[name].rule.target.object for name in linked))


def _source(
    scope: Scope, mapping: ObjectMapping, view: SourceView, fields: tuple[BoundField, ...]
) -> BoundSource:
    named = view.named
    where = None
    if named.rule.where is not None:
        where = _formula(scope, mapping, view, named.rule.where, (*named.path, "where"))
    exclusions = []
    for position, item in enumerate(named.rule.exclude):
        found = _formula(scope, mapping, view, item.when, (*named.path, "exclude", position, "when"))
        if found is not None:
            exclusions.append((found, item.reason))
    rows = view.rows
    return BoundSource(view.mapped, view.key, where, tuple(exclusions), fields, rows.joins, rows.explode)


def _formula(
    scope: Scope, mapping: ObjectMapping, view: SourceView, text: str, path: tuple[str | int, ...]
) -> Formula | None:
    at = offset_place(mapping.document.text, mapping.at(*path), text)
    try:
        return parse_formula(text, view.columns, at)
    except ProjectError as error:
        scope.problems.extend(error.problems)
        return None


def _labels(mapping: ObjectMapping, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Field → language → label, where the mapping has one for each language."""
    found = {}
    for name in names:
        rules = (mapping.field(named, name).rule for named in mapping.sources)
        found[name] = next((labels for rule in rules if (labels := by_language(rule.label))), {})
    return {name: labels for name, labels in found.items() if labels}


def _links(
    mapping: ObjectMapping, columns: Sequence[tuple[FieldSchema, list[BoundField]]]
) -> tuple[Link, ...]:
    links = []
    for schema, cells in columns:
        linked = tuple(dict.fromkeys(target.mapping for cell in cells for target in cell.lookup))
        if linked:
            wishes = [mapping.field(named, schema.name).rule.defer for named in mapping.sources]
            links.append(Link(schema.name, linked, schema.required, deferred=any(wishes)))
    return tuple(links)


def _dedupe(
    scope: Scope, mapping: ObjectMapping, fields: Sequence[FieldSchema], survival: Survival
) -> DedupeRules | None:
    rule = mapping.rule.dedupe
    if rule is None:
        return None
    names = {item.name for item in fields}
    for key, parts in rule.keys.items():
        for name in parts:
            _known_field(scope, mapping, name, names, ("dedupe", "keys", key, name))
    for position, name in enumerate(rule.identity):
        _known_field(scope, mapping, name, names, ("dedupe", "identity", position))
    if rule.recency:
        _check_recency(scope, mapping, rule.recency, fields)
    sources = [item.name for item in mapping.sources]
    model = _model(scope, mapping, rule.model, tuple(names)) if rule.model else None
    for position, name in enumerate(rule.trust):
        if name not in sources:
            place = mapping.at("dedupe", "trust", position)
            scope.error(
                place, f"{name!r} is no source of this mapping", did_you_mean(name, sources, noun="sources")
            )
    return DedupeRules(
        keys=tuple(MatchKey(name, tuple(parts.items())) for name, parts in rule.keys.items()),
        survivorship=survival.survivorship, default=survival.default, groups=survival.groups,
        separators=survival.separators, customs=survival.customs, recency=rule.recency, trust=rule.trust,
        region=rule.region, max_cluster=rule.max_cluster, identity=rule.identity, model=model,
    )  # fmt: skip


def _model(scope: Scope, mapping: ObjectMapping, name: str, fields: tuple[str, ...]) -> MatchModel | None:
    try:
        return find_model(name, mapping.project, mapping.at("dedupe", "model"), fields=fields)
    except ProjectError as error:
        scope.problems.extend(error.problems)
        return None


def _known_field(
    scope: Scope, mapping: ObjectMapping, name: str, names: Iterable[str], path: tuple[str | int, ...]
) -> None:
    if name not in names:
        place = mapping.document.locate_key(path)
        scope.error(place, f"{name!r} is no field of this mapping", did_you_mean(name, names, noun="fields"))


def _check_recency(scope: Scope, mapping: ObjectMapping, name: str, fields: Sequence[FieldSchema]) -> None:
    found = next((item for item in fields if item.name == name), None)
    place = mapping.at("dedupe", "recency")
    if found is None:
        hint = did_you_mean(name, [item.name for item in fields], noun="fields")
        scope.error(place, f"{name!r} is no field of this mapping", hint)
    elif found.type not in (FieldType.DATE, FieldType.DATETIME):
        scope.error(
            place,
            f"{name!r} is a {found.type.value}",
            "recency needs a date or datetime field; give it a type:",
        )


def _fingerprint(mapping: ObjectMapping, columns: Sequence[tuple[FieldSchema, list[BoundField]]]) -> str:
    maps = [
        (cell.values.entries, cell.values.types)
        for _, cells in columns
        for cell in cells
        if cell.values is not None
    ]
    hooks = [cell.input.digest for _, cells in columns for cell in cells if isinstance(cell.input, Hook)]
    rates = [repr(cell.conversion.table) for _, cells in columns for cell in cells if cell.conversion]
    rule = mapping.rule.model_dump(mode="json")
    return fingerprint(rule, maps, rates, [repr(schema) for schema, _ in columns], *hooks)
