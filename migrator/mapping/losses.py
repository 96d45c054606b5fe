"""What a mapping may lose or what the target may refuse, told before the first row moves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from migrator.core.document import did_you_mean
from migrator.core.errors import Location, Problem, Severity
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.mapping.bound import BoundField, BoundMapping, Column, Formula
from migrator.mapping.kinds import TEXTUAL, Kind, kind_of
from migrator.mapping.model import Policy
from migrator.mapping.parse import ObjectMapping
from migrator.mapping.scope import Scope, SourceView

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


def warn(scope: Scope, bound: Sequence[BoundMapping], targets: Mapping[str, ObjectSchema]) -> list[Problem]:
    """Warnings (and, where a target contradicts a mapping, errors) over all mappings."""
    problems: list[Problem] = []
    for item in bound:
        mapping = scope.mappings[item.name]
        target = targets.get(item.name)
        for source, view in zip(item.sources, scope.views[item.name], strict=True):
            for field in source.fields:
                there = target.field(field.name) if target else None
                problems.extend(_field(field, view, there))
        problems.extend(_dropped(scope, mapping, item))
    return list(dict.fromkeys(problems))


def _field(field: BoundField, view: SourceView, there: FieldSchema | None) -> Iterable[Problem]:
    if there is not None:
        yield from _against_target(field, there)
    if isinstance(field.input, Column) and not field.lookup:
        known = view.schema.field(field.input.name)
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
        yield _warning(
            field.place, f"{there.name!r} is read-only in the target", "it may be refused or ignored there"
        )
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
        yield _warning(
            field.place, f"{there.name!r} holds {kind_of(there)}, the mapping writes {field.kind}", hint
        )


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
        yield _warning(
            field.place, f"{known.name!r} holds {known.length} characters, {field.name!r} {kind.length}", hint
        )
    if (
        kind.type is FieldType.DECIMAL
        and known.type is FieldType.DECIMAL
        and known.precision is not None
        and _wider(kind_of(known), kind)
    ):
        hint = "values with more digits go to quarantine (cast.precision); nothing is rounded"
        yield _warning(field.place, f"{known.name!r} is {kind_of(known)}, {field.name!r} {kind}", hint)
    if kind.type is FieldType.INTEGER and known.type in (FieldType.DECIMAL, FieldType.FLOAT):
        yield _warning(
            field.place,
            f"{known.name!r} is {kind_of(known)}, {field.name!r} whole numbers only",
            "fractions go to quarantine",
        )
    if kind.type is FieldType.DATE and known.type is FieldType.DATETIME and not field.zone:
        hint = "say with zone: whose calendar day is meant; times other than midnight go to quarantine"
        yield _warning(field.place, f"{known.name!r} has a time of day, {field.name!r} is a date", hint)


def _picklist(field: BoundField, known: FieldSchema) -> Iterable[Problem]:
    if field.clean:
        return
    if field.values is not None:
        if field.unmapped is Policy.QUARANTINE:
            mapped = {old for old, _ in field.values.entries}
            lacking = [value for value in known.values if value not in mapped]
            if lacking:
                hint = "rows with them go to quarantine (value.unmapped)"
                yield _warning(
                    field.place,
                    f"values of {known.name!r} that the value map does not know: {_some(lacking)}",
                    hint,
                )
    elif field.allowed:
        lacking = [value for value in known.values if value not in field.allowed]
        if lacking:
            hint = "map them with values:, else rows with them go to quarantine (value.unknown)"
            yield _warning(
                field.place, f"values of {known.name!r} that the target does not know: {_some(lacking)}", hint
            )


def _dropped(scope: Scope, mapping: ObjectMapping, item: BoundMapping) -> Iterable[Problem]:
    """Source columns that no mapping of this object reads; a drop: with a reason accepts one."""
    for source, view in zip(item.sources, scope.views[item.name], strict=True):
        used = _used_columns(source.source.staged, scope, item)
        drop = view.named.rule.drop
        for name in drop:
            if name not in view.columns:
                place = mapping.document.locate_key((*view.named.path, "drop", name))
                hint = did_you_mean(name, view.columns, noun="columns")
                yield Problem(place, f"{view.mapped.staged} has no column {name!r}", hint)
        lost = [name for name in view.columns if name not in used and name not in drop]
        if lost:
            place = mapping.at(*view.named.path, "object")
            hint = "map them, or name them with a reason: drop: {COLUMN: reason}"
            yield _warning(
                place, f"{len(lost)} columns of {view.mapped.staged} go nowhere: {_some(lost)}", hint
            )


def _used_columns(staged: str, scope: Scope, item: BoundMapping) -> set[str]:
    used: set[str] = set()
    for source in item.sources:
        if source.source.staged != staged:
            continue
        used |= {source.key.name} if source.key else set()
        formulas = [field.input for field in source.fields if isinstance(field.input, Formula)]
        formulas += [formula for formula, _ in source.exclude] + ([source.where] if source.where else [])
        used |= {column.name for formula in formulas for column in formula.operands}
        used |= {field.input.name for field in source.fields if isinstance(field.input, Column)}
    used |= _used_elsewhere(staged, scope, item.name)
    return used


def _used_elsewhere(staged: str, scope: Scope, mine: str) -> set[str]:
    """Columns that other mappings of the same source object name with from:; a split object loses nothing."""
    used: set[str] = set()
    for name, views in scope.views.items():
        for view in views:
            if name != mine and view.mapped.staged == staged:
                mapping = scope.mappings[name]
                rules = (mapping.field(view.named, field).rule for field in mapping.field_names)
                used |= {rule.from_ for rule in rules if rule.from_}
    return used


def _warning(place: Location, message: str, hint: str) -> Problem:
    return Problem(place, message, hint, Severity.WARNING)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
