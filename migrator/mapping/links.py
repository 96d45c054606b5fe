"""Lookups bound: which source of which mapping a link points to, and by which of its columns."""

from __future__ import annotations

from collections import Counter

from migrator.core.document import did_you_mean
from migrator.core.errors import Location
from migrator.mapping.bound import LookupTarget
from migrator.mapping.parse import FieldInput, ObjectMapping
from migrator.mapping.scope import Scope, SourceView


def bind_lookup(
    scope: Scope, mapping: ObjectMapping, view: SourceView, item: FieldInput
) -> tuple[LookupTarget, ...]:
    """The targets of a field's lookup seen from one source; problems go to the scope."""
    found = []
    for position, written in enumerate(item.rule.lookup):
        place = mapping.at(*item.path("lookup"), position)
        target = _target(scope, view, item, written, place)
        if target is not None:
            found.append(target)
    shared = Counter(target.source.staged for target in found)
    return tuple(
        LookupTarget(one.mapping, one.source, one.match, one.key, shared=shared[one.source.staged] > 1)
        for one in found
    )


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
    if not by or by not in found.columns:
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
    if found.key is None:
        scope.error(place, f"lookup to {name!r}: its records have no key", "give its source a key:")
        return None
    match = found.columns[by]
    return LookupTarget(name, found.mapped, match, None if match == found.key else found.key)


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
