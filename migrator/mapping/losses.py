"""What a mapping may lose or what the target may refuse, told before the first row moves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

from migrator.core.document import did_you_mean
from migrator.core.errors import Problem
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.mapping.bound import BoundField, BoundMapping, Column
from migrator.mapping.columns_used import columns_used
from migrator.mapping.hidden_losses import Fills, Seen, goes_back, hidden, is_created, unknown_fills, warning
from migrator.mapping.kinds import TEXTUAL, Kind, kind_of
from migrator.mapping.model import Policy
from migrator.mapping.parse import ObjectMapping
from migrator.mapping.scope import Scope, SourceView
from migrator.mapping.warnings import Acceptances, Accepted
from migrator.staging.fill import Fill

_SHOWN = 8


def check_target(
    scope: Scope, mapping: ObjectMapping, target: ObjectSchema | None, names: Iterable[str]
) -> None:
    """Hold field names against a target object that exists: unknown fields, and required ones without a source."""
    if target is None:
        return
    known, listed = set(target.field_names), list(names)
    for name in listed:
        if name not in known:
            place = mapping.document.locate_key(mapping.field(mapping.sources[0], name).base)
            hint = did_you_mean(name, known, noun="fields")
            scope.error(place, f"{target.name!r} has no field {name!r}", hint)
    lacking = [
        item.name
        for item in target.fields
        if item.required and not item.read_only and item.name not in listed
    ]
    if lacking:
        place = mapping.document.locate_key(("fields",))
        scope.error(
            place,
            f"required fields of {target.name!r} have no source: {_some(lacking)}",
            "map them, or give a value:",
        )


def warn(
    scope: Scope,
    bound: Sequence[BoundMapping],
    targets: Mapping[str, ObjectSchema],
    fills: Fills = unknown_fills,
    one_way: Mapping[str, Sequence[tuple[str, Problem]]] | None = None,
) -> tuple[list[Problem], tuple[Accepted, ...]]:
    """Warnings (and, where a target contradicts a mapping, errors) over all mappings, and those that are accepted.

    `one_way`: mapping → field and warning, for what the sync cannot bring back.
    """
    problems: list[Problem] = []
    accepted: list[Accepted] = []
    everything = columns_used(bound)
    for item in bound:
        mapping = scope.mappings[item.name]
        target = targets.get(item.name)
        taken = _acceptances(mapping)
        for source, view in zip(item.sources, scope.views[item.name], strict=True):
            seen = Seen(view.schema, fills(source.source.staged) or {}, goes_back(mapping))
            for field in source.fields:
                there = target.field(field.name) if target else None
                found = [*_field(field, view, there), *hidden(field, seen)]
                problems.extend(told for told in found if not taken.cover(told.code, field.name))
        stuck = (one_way or {}).get(item.name, ())
        problems.extend(told for name, told in stuck if not taken.cover(told.code, name))
        problems.extend(_dropped(scope, mapping, item, taken, fills=fills, everything=everything))
        accepted.extend(taken.listed(_named(item, scope.views[item.name])))
    return list(dict.fromkeys(problems)), tuple(accepted)


def _named(item: BoundMapping, views: Iterable[SourceView]) -> frozenset[str]:
    """Everything that a warning about this mapping can be about: its fields, and the columns of its sources."""
    fields = (field.name for field in item.mapped.fields)
    return frozenset((*fields, *(name for view in views for name in view.schema.field_names)))


def _acceptances(mapping: ObjectMapping) -> Acceptances:
    entries = (
        (item.warning, item.field, item.reason, mapping.at("accept", number))
        for number, item in enumerate(mapping.rule.accept)
    )
    return Acceptances(mapping.name, tuple(entries))


def _field(field: BoundField, view: SourceView, there: FieldSchema | None) -> Iterable[Problem]:
    if there is not None:
        yield from _against_target(field, there)
    if isinstance(field.input, Column) and not field.lookup:
        known = view.field(field.input.name)
        if known is not None and field.values is None:
            yield from _narrowed(field, known)
        if known is not None and known.values:
            yield from _picklist(field, known)
    if field.values is not None and field.allowed:
        wrong = sorted(
            {new for _, new in field.values.entries if new is not None and new not in field.allowed}
        )
        if wrong:
            hint = did_you_mean(wrong[0], field.allowed, noun="values")
            yield Problem(
                field.place,
                f"{field.name!r}: the value map yields what the target does not know: {_some(wrong)}",
                hint,
            )


def _against_target(field: BoundField, there: FieldSchema) -> Iterable[Problem]:
    if there.read_only:
        yield _read_only(field, there)
    if not _compatible(field.kind.type, there.type):
        hint = f"give it type: {kind_of(there)}, or another field"
        yield Problem(
            field.place, f"{there.name!r} is a {kind_of(there)} in the target, not a {field.kind}", hint
        )
    elif (
        field.kind.type is FieldType.DECIMAL
        and there.type is FieldType.DECIMAL
        and _wider(field.kind, kind_of(there))
    ):
        hint = "more digits than that are refused there"
        message = f"{there.name!r} holds {kind_of(there)}, the mapping writes {field.kind}"
        yield warning("target.precision", field.place, message, hint)


_NUMBERS = frozenset({FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT, FieldType.BOOLEAN})


def _compatible(ours: FieldType, theirs: FieldType) -> bool:
    if ours is theirs or theirs in TEXTUAL:
        return True
    return ours in _NUMBERS and theirs in _NUMBERS


def _wider(ours: Kind, theirs: Kind) -> bool:
    scale, whole = (ours.scale or 0), (ours.precision or 0) - (ours.scale or 0)
    return theirs.precision is not None and (
        scale > (theirs.scale or 0) or whole > theirs.precision - (theirs.scale or 0)
    )


def _narrowed(field: BoundField, known: FieldSchema) -> Iterable[Problem]:
    kind = field.kind
    if (
        kind.type in TEXTUAL
        and kind.length is not None
        and known.length is not None
        and known.length > kind.length
    ):
        hint = "longer values go to quarantine (length.exceeded); nothing is cut"
        message = f"{known.name!r} holds {known.length} characters, {field.name!r} {kind.length}"
        yield warning("loss.length", field.place, message, hint)
    if (
        kind.type is FieldType.DECIMAL
        and known.type is FieldType.DECIMAL
        and known.precision is not None
        and _wider(kind_of(known), kind)
    ):
        hint = "values with more digits go to quarantine (cast.precision); nothing is rounded"
        message = f"{known.name!r} is {kind_of(known)}, {field.name!r} {kind}"
        yield warning("loss.precision", field.place, message, hint)
    if kind.type is FieldType.INTEGER and known.type in (FieldType.DECIMAL, FieldType.FLOAT):
        message = f"{known.name!r} is {kind_of(known)}, {field.name!r} whole numbers only"
        yield warning("loss.precision", field.place, message, "fractions go to quarantine")
    if kind.type is FieldType.DATE and known.type is FieldType.DATETIME and not field.zone:
        hint = "say with zone: whose calendar day is meant; times other than midnight go to quarantine"
        message = f"{known.name!r} has a time of day, {field.name!r} is a date"
        yield warning("loss.time", field.place, message, hint)


def _picklist(field: BoundField, known: FieldSchema) -> Iterable[Problem]:
    if field.clean:
        return
    if field.values is not None:
        if field.unmapped is Policy.QUARANTINE:
            mapped = {old for old, _ in field.values.entries}
            lacking = [value for value in known.values if value not in mapped]
            if lacking:
                hint = "rows with them go to quarantine (value.unmapped)"
                message = f"values of {known.name!r} that the value map does not know: {_some(lacking)}"
                yield warning("picklist.unmapped", field.place, message, hint)
    elif field.allowed:
        lacking = [value for value in known.values if value not in field.allowed]
        if lacking:
            hint = "map them with values:, else rows with them go to quarantine (value.unknown)"
            message = f"values of {known.name!r} that the target does not know: {_some(lacking)}"
            yield warning("picklist.unknown", field.place, message, hint)


def _read_only(field: BoundField, there: FieldSchema) -> Problem:
    if is_created(there):
        message = f"{there.name!r} is read-only in the target, which will set its own date there"
        return warning("overwritten.created", field.place, message, _KEEP_CREATED)
    message = f"{there.name!r} is read-only in the target"
    return warning("target.read_only", field.place, message, "it may be refused or ignored there")


_KEEP_CREATED = "keep the old date in a field of its own, or let the target allow audit fields to be set"


def _dropped(
    scope: Scope,
    mapping: ObjectMapping,
    item: BoundMapping,
    taken: Acceptances,
    *,
    fills: Fills,
    everything: Mapping[str, Set[str]],
) -> Iterable[Problem]:
    """Source columns that no mapping reads; a drop: with a reason accepts one."""
    for source, view in zip(item.sources, scope.views[item.name], strict=True):
        used = everything.get(source.source.staged, frozenset())
        drop = view.named.rule.drop
        own = view.own
        for name in drop:
            if name not in own:
                place = mapping.document.locate_key((*view.named.path, "drop", name))
                hint = did_you_mean(name, own, noun="columns")
                yield Problem(place, f"{view.mapped.staged} has no column {name!r}", hint)
        known = fills(view.mapped.staged) or {}
        key = mapping.rule.sync.key if mapping.rule.sync is not None else None
        lost = [name for name in own if name not in used and name not in drop and name != key]
        place = mapping.at(*view.named.path, "object")
        created = [name for name in lost if is_created(view.schema.field(name))]
        for name in created:
            if not taken.cover("overwritten.created", name) and _populated(known, name):
                message = f"{name!r} of {view.mapped.staged} goes nowhere: every record will look as if made on the day of the load"
                yield warning("overwritten.created", place, message, _KEEP_CREATED)
        others = [name for name in lost if name not in created and not taken.cover("dropped.column", name)]
        shown = [_with_share(known, name) for name in others if _populated(known, name)]
        if shown:
            hint = "map them, or name them with a reason: drop: {COLUMN: reason}"
            message = f"{len(shown)} columns of {view.mapped.staged} go nowhere: {_listed(shown)}"
            yield warning("dropped.column", place, message, hint)


def _populated(known: Mapping[str, Fill], name: str) -> bool:
    """Whether the column holds data, or may: nothing is staged yet, or its footer does not say."""
    return name not in known or known[name].values > 0


def _with_share(known: Mapping[str, Fill], name: str) -> str:
    return f"{name!r} ({known[name].share:.0%} filled)" if name in known else repr(name)


def _some(names: Sequence[str]) -> str:
    return _listed([repr(name) for name in names])


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words[:_SHOWN]) + (f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else "")
