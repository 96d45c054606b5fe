"""Lookups bound: which source of which mapping a link points to, and by which of its columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from migrator.core.document import did_you_mean
from migrator.core.errors import Location, Problem, ProjectError
from migrator.mapping.bound import Column, LookupTarget
from migrator.mapping.expressions import offset_place, parse_formula
from migrator.mapping.model_by import LookupByType, lookup_entries
from migrator.mapping.parse import FieldInput, ObjectMapping
from migrator.mapping.scope import Scope, SourceView


def bind_lookup(
    scope: Scope, mapping: ObjectMapping, view: SourceView, item: FieldInput
) -> tuple[LookupTarget, ...]:
    """The targets of a field's lookup seen from one source; problems go to the scope."""
    found: dict[str, LookupTarget] = {}
    for entry in lookup_entries(item.rule.lookup):
        place = mapping.at(*item.path("lookup"), entry.at)
        target = _target(scope, view, item, entry.mapping, place)
        if target is not None:
            known = found.get(entry.mapping, target)
            types = known.types if entry.type is None else (*known.types, entry.type)
            found[entry.mapping] = replace(known, types=types)
    shared = Counter(target.source.staged for target in found.values())
    bound = [replace(one, shared=shared[one.source.staged] > 1) for one in found.values()]
    return _inactive(scope, mapping, item, bound)


def _inactive(
    scope: Scope, mapping: ObjectMapping, item: FieldInput, found: Sequence[LookupTarget]
) -> tuple[LookupTarget, ...]:
    """The targets with the condition of `inactive`, where their object has its columns; one at least must have them."""
    rule = item.rule.inactive
    if rule is None or not found:
        return tuple(found)
    at = offset_place(mapping.document.text, mapping.at(*item.path("inactive"), "when"), rule.when)
    bound, problems = [], list[Problem]()
    for target in found:
        linked = next(one for one in scope.views[target.mapping] if one.mapped == target.source)
        try:
            bound.append(replace(target, inactive=parse_formula(rule.when, linked.own, at)))
        except ProjectError as error:
            problems = problems or list(error.problems)
            bound.append(target)
    if all(target.inactive is None for target in bound):
        scope.problems.extend(problems)
    return tuple(bound)


def bind_lookup_type(
    scope: Scope, mapping: ObjectMapping, view: SourceView, item: FieldInput
) -> Column | None:
    """The column that tells which target of a lookup is meant; a problem goes to the scope."""
    lookup = item.rule.lookup
    if not isinstance(lookup, LookupByType):
        return None
    if lookup.type not in view.columns:
        place = mapping.at(*item.path("lookup"), "type")
        hint = did_you_mean(lookup.type, view.columns, noun="columns")
        scope.error(place, f"{view.mapped.staged} has no column {lookup.type!r}", hint)
    return view.columns.get(lookup.type)


def _target(
    scope: Scope, view: SourceView, item: FieldInput, written: str, place: Location
) -> LookupTarget | None:
    name, _, wanted = written.partition(".")
    if name not in scope.mappings:
        scope.error(
            place,
            f"lookup to {name!r}: there is no such mapping",
            did_you_mean(name, scope.mappings, noun="mappings"),
        )
        return None
    found = _choose(scope, view, name, wanted, place)
    if found is None:
        return None
    by = item.rule.by or found.schema.key
    if not by or by not in found.columns or found.columns[by].of:
        what = (
            f"unknown column {by!r} of {found.mapped.staged}"
            if by
            else f"{found.mapped.staged} has no key column"
        )
        hint = (
            did_you_mean(by, found.columns, noun="columns") if by else "say with by: which column is matched"
        )
        scope.error(place, f"lookup to {name!r}: {what}", hint)
        return None
    unnamed = _unnamed(found)
    if unnamed:
        what, hint = unnamed
        scope.error(place, f"lookup to {name!r}: {what}", hint)
        return None
    match, (key,) = found.columns[by], found.key
    return LookupTarget(name, found.mapped, match, None if match == key else key)


def _unnamed(found: SourceView) -> tuple[str, str] | None:
    """Why a link cannot name a record of a source by one column, and what to do."""
    if not found.key:
        return "its records have no key", "give its source a key:"
    if found.rows.explode is not None:
        return "its records are single values of a row", "link to a mapping of the rows themselves"
    if len(found.key) > 1:
        return "its records have a key of several columns, and a link holds one", "link to what it connects"
    return None


def _choose(scope: Scope, view: SourceView, name: str, wanted: str, place: Location) -> SourceView | None:
    all_views = scope.views[name]
    if wanted:
        chosen = next((item for item in all_views if item.named.name == wanted), None)
        if chosen is None:
            hint = did_you_mean(wanted, [item.named.name for item in all_views], noun="sources")
            scope.error(place, f"the mapping {name!r} has no source {wanted!r}", hint)
        return chosen
    same = [item for item in all_views if item.named.system == view.named.system]
    if len(same) > 1:
        listed = ", ".join(f"{name}.{item.named.name}" for item in same)
        scope.error(
            place, f"{name!r} has several sources of {view.named.system!r}", f"write one of: {listed}"
        )
    elif not same and all_views:
        hint = "a key of one system means nothing in another; leave this field out for that source"
        scope.error(place, f"lookup to {name!r}: it has no source of the system {view.named.system!r}", hint)
    return same[0] if len(same) == 1 else None
