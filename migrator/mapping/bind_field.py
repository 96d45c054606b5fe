"""One field bound: where its value comes from, what becomes of it on the way, and which type it ends in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from zoneinfo import available_timezones

from migrator.core.document import did_you_mean
from migrator.core.errors import Location, ProjectError
from migrator.core.mapped import Missing
from migrator.core.schema import FieldSchema, FieldType
from migrator.mapping.bind_currency import amount_kind, bind_money, check_amount
from migrator.mapping.bind_values import bind_values
from migrator.mapping.bound import BoundField, BoundMoney, Column, Constant, Input, LookupTarget, RecordId
from migrator.mapping.constants import fits
from migrator.mapping.expressions import offset_place, parse_formula
from migrator.mapping.hooks import bind_hook
from migrator.mapping.kinds import TEXTUAL, Kind, kind_of, parse_kind
from migrator.mapping.links import bind_lookup, bind_lookup_type
from migrator.mapping.model import Policy
from migrator.mapping.parse import COMPANIONS, INPUTS, FieldInput, ObjectMapping
from migrator.mapping.scope import Scope, SourceView
from migrator.mapping.values import ValueMap


@dataclass(frozen=True, slots=True)
class BoundInput:
    """A field seen from one source, before its type is decided."""

    input: Input
    values: ValueMap | None = None
    values_by: Column | None = None
    lookup: tuple[LookupTarget, ...] = ()
    lookup_by: Column | None = None
    declared: bool = True
    """False: this source says nothing of the field, which stays empty for it."""
    money: BoundMoney | None = None


_EMPTY = BoundInput(Constant(None), declared=False)


def bind_field(scope: Scope, mapping: ObjectMapping, view: SourceView, item: FieldInput) -> BoundInput:
    """Resolve the names a field's rule uses; problems go to the scope."""
    rule = item.rule
    given = [key for key in INPUTS if key in rule.model_fields_set and (key != "record_id" or rule.record_id)]
    if item.name == mapping.rule.target.key and not item.keys:
        return BoundInput(RecordId())
    if not item.keys:
        return _EMPTY
    if len(given) != 1:
        _wrong_inputs(scope, mapping, view, item, given)
        return _EMPTY
    _check_companions(scope, mapping, item)
    if given[0] == "python":
        found = bind_hook(scope, mapping, view, item)
    else:
        found = _input(scope, mapping, view, item, given[0])
    values, values_by = bind_values(scope, mapping, view, item)
    lookup = bind_lookup(scope, mapping, view, item) if rule.lookup else ()
    lookup_by = bind_lookup_type(scope, mapping, view, item)
    money = bind_money(scope, mapping, view, item)
    return BoundInput(found, values, values_by, lookup, lookup_by, money=money)


def _wrong_inputs(
    scope: Scope, mapping: ObjectMapping, view: SourceView, item: FieldInput, given: Sequence[str]
) -> None:
    place = mapping.document.locate_key(item.base)
    where = f" for the source {view.named.name!r}" if len(mapping.sources) > 1 else ""
    if given:
        words = ", ".join("from" if key == "from_" else key for key in given)
        scope.error(
            place,
            f"the field {item.name!r} has {words}{where}",
            "give exactly one of: from, expr, value, record_id, python",
        )
        return
    hint = "give one of: from, expr, value, record_id, python (value: null leaves it empty)"
    scope.error(place, f"the field {item.name!r} says nowhere where its value comes from{where}", hint)


def _check_companions(scope: Scope, mapping: ObjectMapping, item: FieldInput) -> None:
    for key, other in COMPANIONS.items():
        if key in item.keys and not getattr(item.rule, other):
            place = mapping.document.locate_key(item.path(key))
            scope.error(place, f"{key} means nothing without {other}", f"remove {key}, or say {other}:")
    if item.rule.lookup and item.rule.type is not None:
        place = mapping.document.locate_key(item.path("type"))
        scope.error(place, "a lookup has no type of its own", "remove type: a link is a reference")
    if item.rule.zone is not None and item.rule.zone not in _zones():
        place = mapping.at(*item.path("zone"))
        scope.error(
            place,
            f"unknown time zone {item.rule.zone!r}",
            did_you_mean(item.rule.zone, _zones(), noun="zones"),
        )


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _input(scope: Scope, mapping: ObjectMapping, view: SourceView, item: FieldInput, key: str) -> Input:
    rule, path = item.rule, item.path(key)
    match key:
        case "from_":
            name = rule.from_ or ""
            if name not in view.columns:
                hint = did_you_mean(name, view.columns, noun="columns")
                scope.error(mapping.at(*path), f"{view.mapped.staged} has no column {name!r}", hint)
                return Constant(None)
            return view.columns[name]
        case "expr":
            text = rule.expr or ""
            try:
                return parse_formula(
                    text, view.columns, offset_place(mapping.document.text, mapping.at(*path), text)
                )
            except ProjectError as error:
                scope.problems.extend(error.problems)
                return Constant(None)
        case "value":
            return Constant(rule.value)
        case _:
            return RecordId()


def decide_kind(
    scope: Scope,
    mapping: ObjectMapping,
    rules: Sequence[FieldInput],
    inputs: Sequence[BoundInput],
    there: FieldSchema | None,
) -> Kind:
    """The one kind of a target field: as written, else as the target has it, else as the sources have it."""
    written = {str(parse_kind(item.rule.type)): item for item in rules if item.rule.type is not None}
    if len(written) > 1:
        place = mapping.at(*rules[-1].path("type"))
        scope.error(
            place, f"the field {rules[0].name!r} has several types: {', '.join(written)}", "give it one"
        )
    if any(item.lookup for item in inputs):
        return Kind(FieldType.REFERENCE)
    if written:
        kind = parse_kind(next(item.rule.type for item in written.values()) or "")
    elif there is not None:
        kind = kind_of(there)
    else:
        derived = [_derive(item) for item in inputs if item.declared and item.input != Constant(None)]
        kind = _common(scope, mapping, rules[0], derived)
        if any(item.money is not None for item in inputs):
            kind = amount_kind(kind)
    return _sized(kind, rules, there)


def _derive(item: BoundInput) -> Kind:
    match item.input:
        case Column(kind=kind):
            if item.values is not None and kind.type not in (FieldType.PICKLIST, FieldType.MULTI_PICKLIST):
                return Kind(FieldType.STRING)
            return (
                Kind(FieldType.STRING)
                if kind.type is FieldType.REFERENCE
                else Kind(kind.type, None, kind.precision, kind.scale)
            )
        case RecordId():
            return Kind(FieldType.ID)
        case _:
            return Kind(FieldType.STRING)


def _common(scope: Scope, mapping: ObjectMapping, item: FieldInput, kinds: Sequence[Kind]) -> Kind:
    distinct = list(dict.fromkeys(kinds))
    if len(distinct) <= 1:
        return distinct[0] if distinct else Kind(FieldType.STRING)
    if all(kind.type in TEXTUAL for kind in distinct):
        return Kind(
            FieldType.TEXT if any(kind.type is FieldType.TEXT for kind in distinct) else FieldType.STRING
        )
    place = mapping.document.locate_key(item.base)
    listed = ", ".join(str(kind) for kind in distinct)
    scope.error(place, f"the sources give {item.name!r} different types: {listed}", "say which: type: …")
    return distinct[0]


def _sized(kind: Kind, rules: Sequence[FieldInput], there: FieldSchema | None) -> Kind:
    """The kind with the smallest length that the mapping or the target sets."""
    if kind.type not in TEXTUAL:
        return kind
    limits = [item.rule.length for item in rules if item.rule.length is not None]
    limits += [size for size in (kind.length, there.length if there else None) if size is not None]
    return Kind(kind.type, length=min(limits)) if limits else Kind(kind.type)


def settle(
    scope: Scope,
    mapping: ObjectMapping,
    item: FieldInput,
    found: BoundInput,
    *,
    schema: FieldSchema,
    kind: Kind,
) -> BoundField:
    """The bound field; constants of the mapping are held against the decided kind."""
    rule = item.rule
    if isinstance(found.input, Constant) and found.input.text is not None:
        _check_constant(scope, mapping.at(*item.path("value")), found.input.text, kind)
    if rule.default is not None and not found.lookup:
        _check_constant(scope, mapping.at(*item.path("default")), rule.default, kind)
    _check_mapped_values(scope, mapping, item, found, kind)
    if found.money is not None:
        check_amount(scope, mapping, item, found.money, kind)
    if rule.length is not None and kind.type not in TEXTUAL:
        scope.error(
            mapping.document.locate_key(item.path("length")),
            f"a {kind.type.value} has no length",
            "remove it",
        )
    if schema.required and not found.declared and found.input == Constant(None):
        where = mapping.document.locate_key(item.base)
        scope.error(
            where,
            f"the required field {item.name!r} has no value in one of the sources",
            "add it to every source",
        )
    return BoundField(
        target=schema,
        kind=kind,
        input=found.input,
        place=mapping.document.locate_key(item.base),
        clean=rule.clean,
        values=found.values,
        values_by=found.values_by,
        unmapped=Policy(rule.unmapped.policy),
        unmapped_text=rule.unmapped.text,
        lookup=found.lookup,
        lookup_by=found.lookup_by,
        missing=Missing(rule.missing.policy),
        missing_text=rule.missing.text or "",
        stand_in=rule.inactive.use if rule.inactive is not None else "",
        default=rule.default,
        first=rule.first,
        formats=rule.format,
        zone=rule.zone or "",
        allowed=schema.values,
        money=found.money,
    )


def _check_mapped_values(
    scope: Scope, mapping: ObjectMapping, item: FieldInput, found: BoundInput, kind: Kind
) -> None:
    """New values of a map, and its default, are values of the field's type."""
    if found.lookup or found.values is None or (kind.type in TEXTUAL and kind.length is None):
        return
    unmapped = item.rule.unmapped
    if unmapped.text is not None:
        _check_constant(scope, mapping.at(*item.path("unmapped"), "default"), unmapped.text, kind)
    wrong = [new for _, new in found.values.entries if new is not None and not fits(new, kind)]
    if wrong:
        shown = ", ".join(repr(new) for new in wrong[:5]) + (", …" if len(wrong) > 5 else "")
        scope.error(
            mapping.at(*item.path("values")),
            f"the value map yields what is no {kind}: {shown}",
            "change the new values, or the type",
        )


def _check_constant(scope: Scope, place: Location, text: str, kind: Kind) -> None:
    if not fits(text, kind):
        scope.error(
            place, f"{text!r} is no {kind}", "a constant stands in the target's terms, for example 2024-01-31"
        )
