"""One field compiled: what it adds to each step of the query, and what may be wrong with it."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.core.errors import Severity
from migrator.core.mapped import Missing
from migrator.core.schema import FieldType
from migrator.mapping.bound import BoundField, Column, Constant, Formula, Hook, RecordId
from migrator.mapping.casts import FIRST_INSTANT, LAST_INSTANT, cast_text
from migrator.mapping.columns import filled, text_of, typed
from migrator.mapping.compile_currency import compile_amount
from migrator.mapping.compile_hook import hook_column
from migrator.mapping.compile_lookup import (
    count_of,
    default_of,
    joins_of,
    record_of,
    stand_in,
    type_name,
)
from migrator.mapping.compile_source import tried
from migrator.mapping.field_steps import FieldSteps
from migrator.mapping.issues import Check
from migrator.mapping.kinds import FREE_TEXT, TEXTUAL, engine_type
from migrator.mapping.model import Policy
from migrator.mapping.transforms import clean
from migrator.mapping.values import TYPE, ValueMap
from migrator.staging.columns import ID
from migrator.staging.engine import literal, quote


def compile_field(bound: BoundField, source: str) -> FieldSteps:
    """The steps of a field of a source, by the way its value takes."""
    steps = FieldSteps()
    direct = _direct(bound)
    if direct is not None:
        steps.cleaned.append((bound.name, direct))
        if bound.kind.type in (FieldType.DATE, FieldType.DATETIME):
            steps.checks.append(_outside_years(bound))
    else:
        text = clean(_given_text(bound, steps), bound.clean)
        if bound.values is not None:
            text = _map_values(bound, steps, text)
        if bound.lookup:
            _link(bound, steps, text)
        else:
            finished = (_text(bound), _with_default(bound, _normal(bound, text)))
            (steps.looked_up if bound.values is not None else steps.cleaned).append(finished)
            if bound.money is not None:
                compile_amount(bound, bound.money, steps, _text(bound), source)
            else:
                _cast(bound, steps)
    _limits(bound, steps)
    steps.checks.sort(key=lambda check: check.severity is Severity.WARNING)
    withheld = [check.when for check in steps.checks if check.withholds]
    own = quote(bound.name)
    value = (
        f"CASE WHEN NOT ({' OR '.join(f'({item})' for item in withheld)}) THEN {own} END" if withheld else own
    )
    steps.mapped.append((bound.name, value))
    return steps


def _text(bound: BoundField) -> str:
    """Column that holds the finished text: the field itself when it is textual."""
    return bound.name if bound.kind.type in TEXTUAL else f"__text {bound.name}"


def _given(bound: BoundField) -> str:
    return f"__given {bound.name}"


def _direct(bound: BoundField) -> str | None:
    """The value without reading any text, where the source already has it."""
    plain = not (bound.clean or bound.values or bound.lookup or bound.formats or bound.default is not None)
    plain = plain and bound.money is None
    match bound.input:
        case RecordId() if plain:
            return quote(ID)
        case Constant(text=None) if plain:
            return f"CAST(NULL AS {engine_type(bound.kind)})"
        case Column() as column if plain and bound.kind.type not in TEXTUAL:
            return typed(column, bound.kind, bound.zone)
        case Hook() if plain and bound.kind.type not in TEXTUAL:
            return quote(hook_column(bound))
        case _:
            return None


def _given_text(bound: BoundField, steps: FieldSteps) -> str:
    """The text as the source gives it; an expression is computed in the step before, where it may fail."""
    match bound.input:
        case Column() as column:
            return text_of(column)
        case Formula(sql=sql):
            name = f"__formula {bound.name}"
            steps.filtered.append((name, tried(sql)))
            steps.cleaned.append((f"__failed {bound.name}", f"{quote(name)} IS NULL"))
            message = "the expression cannot be computed for this row"
            failed = quote(f"__failed {bound.name}")
            steps.checks.append(Check(failed, bound.name, "expr.failed", "CAST(NULL AS TEXT)", message))
            return f"CAST({quote(name)}['value'] AS TEXT)"
        case Constant(text=text):
            return f"CAST({literal(text)} AS TEXT)"
        case RecordId():
            return quote(ID)
        case Hook():
            return f"CAST({quote(hook_column(bound))} AS TEXT)"


def _normal(bound: BoundField, text: str) -> str:
    """Free text stays as it is; for every other type a blank text is no value."""
    if bound.kind.type in FREE_TEXT:
        return text
    return f"nullif({text}, '')" if bound.kind.type in TEXTUAL else filled(text)


def _with_default(bound: BoundField, text: str) -> str:
    if bound.default is None:
        return text
    value = f"nullif({text}, '')" if bound.kind.type in FREE_TEXT else text
    return f"coalesce({value}, {literal(bound.default)})"


def _cast(bound: BoundField, steps: FieldSteps) -> None:
    """From text to the field's type; a textual field has its name already."""
    if bound.kind.type in TEXTUAL:
        return
    text = quote(_text(bound))
    cast = cast_text(text, bound.kind, formats=bound.formats, zone=bound.zone)
    steps.cast.append((bound.name, cast.sql))
    failed = f"{text} IS NOT NULL AND {quote(bound.name)} IS NULL"
    for failure in cast.failures:
        when = f"{failed} AND ({failure.when})" if failure.when else failed
        implied = bool(failure.when)
        steps.checks.append(Check(when, bound.name, failure.rule, text, failure.message, implied=implied))
    if bound.kind.type is FieldType.DATETIME:
        steps.checks.append(_outside_years(bound, text))
    if cast.cut:
        when = f"CASE WHEN {text} IS NOT NULL THEN {cast.cut} ELSE FALSE END"
        message = "digits behind the microsecond are given up"
        steps.checks.append(Check(when, bound.name, "cast.precision", text, message, Severity.WARNING))


def _outside_years(bound: BoundField, text: str = "") -> Check:
    own, instant = quote(bound.name), bound.kind.type is FieldType.DATETIME
    first, last = (FIRST_INSTANT, LAST_INSTANT) if instant else (FIRST_INSTANT[:10], LAST_INSTANT[:10])
    kind = engine_type(bound.kind)
    when = f"coalesce({own} NOT BETWEEN CAST('{first}' AS {kind}) AND CAST('{last}' AS {kind}), FALSE)"
    rule = f"cast.{bound.kind.type.value}"
    value = text or f"CAST({own} AS TEXT)"
    return Check(when, bound.name, rule, value, "outside the years 1 to 9999", withholds=True)


def _map_values(bound: BoundField, steps: FieldSteps, text: str) -> str:
    """The mapped text, as SQL of the step that joins; blank values pass unless the map names them."""
    if bound.values is None:
        return text
    blank_known = any(old == "" for old, _ in bound.values.entries)
    steps.cleaned.append((_given(bound), text if blank_known else f"nullif({text}, '')"))
    if bound.values_by is not None:
        steps.cleaned.append((_record_type(bound), _own_type(bound.values_by, bound.values)))
    each = bound.kind.type is FieldType.MULTI_PICKLIST
    found, value = _map_each(bound, bound.values) if each else _map_one(bound, bound.values, steps)
    steps.looked_up.append((f"__mapped {bound.name}", found))
    given = quote(_given(bound))
    when = f"{given} IS NOT NULL AND NOT {quote(f'__mapped {bound.name}')}"
    match bound.unmapped:
        case Policy.QUARANTINE:
            message = "the value map does not know this value"
            steps.checks.append(Check(when, bound.name, "value.unmapped", given, message, withholds=True))
        case Policy.NULL | Policy.DEFAULT:
            message = f"the value map does not know this value; the mapping says: {bound.unmapped.value}"
            steps.checks.append(Check(when, bound.name, "value.unmapped", given, message, Severity.WARNING))
        case Policy.KEEP:
            pass
    return value


def _unmapped(bound: BoundField, given: str) -> str:
    match bound.unmapped:
        case Policy.KEEP:
            return given
        case Policy.DEFAULT:
            return literal(bound.unmapped_text)
        case Policy.QUARANTINE | Policy.NULL:
            return "NULL"


def _map_one(bound: BoundField, values: ValueMap, steps: FieldSteps) -> tuple[str, str]:
    alias, given = quote(f"map {bound.name}"), f"step.{quote(_given(bound))}"
    chosen = f" AND {alias}.{quote(TYPE)} = step.{quote(_record_type(bound))}" if values.types else ""
    steps.joins.append(f'LEFT JOIN {quote(values.relation)} AS {alias} ON {given} = {alias}."source"{chosen}')
    found = f'{alias}."source" IS NOT NULL'
    return (
        found,
        f'CASE WHEN {found} THEN {alias}."target" WHEN {given} IS NOT NULL THEN {_unmapped(bound, given)} END',
    )


def _map_each(bound: BoundField, values: ValueMap) -> tuple[str, str]:
    """Several values in one text, joined with ';': each is mapped, those mapped to null go."""
    table = _map_of(values.entries)
    if values.types:
        own = " ".join(
            f"WHEN {literal(name)} THEN {_map_of(values.of_type(name))}" for name in values.known_types
        )
        other = f"ELSE {_map_of(values.of_type(''))} END"
        table = (
            f"CASE step.{quote(_record_type(bound))} {own} {other}" if own else _map_of(values.of_type(""))
        )
    parts = f"list_transform(string_split(step.{quote(_given(bound))}, ';'), lambda part: trim(part))"
    found = f"coalesce(len(list_filter({parts}, lambda part: NOT map_contains({table}, part))) = 0, FALSE)"
    one = f"CASE WHEN map_contains({table}, part) THEN {table}[part] ELSE {_unmapped(bound, 'part')} END"
    mapped = f"list_filter(list_transform({parts}, lambda part: {one}), lambda part: part IS NOT NULL)"
    return found, f"nullif(array_to_string({mapped}, ';'), '')"


def _map_of(entries: Sequence[tuple[str, str | None]]) -> str:
    old = ", ".join(literal(item) for item, _ in entries)
    new = ", ".join(literal(item) for _, item in entries)
    return f"MAP(CAST([{old}] AS TEXT[]), CAST([{new}] AS TEXT[]))"


def _record_type(bound: BoundField) -> str:
    """Column that holds the record type whose value map holds; '' for types that have none of their own."""
    return f"__record_type {bound.name}"


def _own_type(column: Column, values: ValueMap) -> str:
    own, text = ", ".join(map(literal, values.known_types)), text_of(column)
    return f"CASE WHEN {text} IN ({own}) THEN {text} ELSE '' END" if own else "''"


def _link(bound: BoundField, steps: FieldSteps, text: str) -> None:
    """The record a link points to; a value map before it changes keys (one user for another, for example)."""
    held = _with_default(bound, f"nullif({text}, '')")
    name = f"__linked {bound.name}"
    if bound.lookup_by is not None:
        steps.cleaned.append((type_name(bound), text_of(bound.lookup_by)))
    if bound.values is not None:
        steps.looked_up.append((name, held))
        steps.joins.extend(joins_of(bound, held))
    else:
        steps.cleaned.append((name, held))
        steps.joins.extend(joins_of(bound, f"step.{quote(name)}"))
    given, found = quote(name), quote(f"__fits {bound.name}")
    steps.looked_up.append((f"__fits {bound.name}", count_of(bound)))
    steps.looked_up.append((f"__record {bound.name}", record_of(bound)))
    record = quote(f"__record {bound.name}")
    absent = (
        f"WHEN {given} IS NOT NULL AND {found} = 0 THEN {default_of(bound)} "
        if bound.missing is Missing.DEFAULT
        else ""
    )
    replaced = stand_in(bound, steps, given, found) if bound.stand_in else ""
    steps.cast.append((bound.name, f"CASE {absent}{replaced}WHEN {found} = 1 THEN {record} END"))
    known = " or ".join(dict.fromkeys(target.mapping for target in bound.lookup))
    missing = f"{given} IS NOT NULL AND {found} = 0"
    severity = Severity.ERROR if bound.missing is Missing.QUARANTINE else Severity.WARNING
    typed = " of this type" if bound.lookup_by is not None else ""
    message = f"no {known} with this key{typed} is in the source"
    steps.checks.append(Check(missing, bound.name, "lookup.missing", given, message, severity))
    several = f"{given} IS NOT NULL AND {found} > 1"
    steps.checks.append(Check(several, bound.name, "lookup.ambiguous", given, f"more than one {known} fits"))


def _limits(bound: BoundField, steps: FieldSteps) -> None:
    """Length, value list and required: checks on the finished value."""
    own, length = quote(bound.name), bound.kind.length
    if length is not None and not bound.lookup:
        when = f"coalesce(length({own}) > {length:d}, FALSE)"
        message = f"longer than {length} characters; nothing is cut"
        steps.checks.append(Check(when, bound.name, "length.exceeded", own, message, withholds=True))
    if bound.allowed:
        listed = ", ".join(literal(value) for value in bound.allowed)
        when = f"coalesce({own} NOT IN ({listed}), FALSE)"
        if bound.kind.type is FieldType.MULTI_PICKLIST:
            parts = f"list_filter(string_split({own}, ';'), lambda part: trim(part) NOT IN ({listed}))"
            when = f"coalesce(len({parts}) > 0, FALSE)"
        steps.checks.append(
            Check(
                when, bound.name, "value.unknown", own, "not in the target's list of values", withholds=True
            )
        )
    if bound.target.required:
        blank = f" OR trim({own}) = ''" if bound.kind.type in TEXTUAL else ""
        message = "a required field has no value"
        steps.checks.append(
            Check(f"{own} IS NULL{blank}", bound.name, "required.missing", "CAST(NULL AS TEXT)", message)
        )
