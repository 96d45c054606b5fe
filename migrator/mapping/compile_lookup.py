"""Links compiled: the keys of linked objects as steps of their own, and the joins to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from migrator.core.errors import Severity
from migrator.core.mapped import Missing
from migrator.mapping.bound import BoundField, BoundMapping, BoundSource, LookupTarget
from migrator.mapping.columns import text_of
from migrator.mapping.compile_rows import excluding_joins
from migrator.mapping.compile_source import conditions, excluded, filter_steps, lost_name
from migrator.mapping.expressions import needs_typing
from migrator.mapping.field_steps import FieldSteps
from migrator.mapping.issues import Check
from migrator.mapping.sql import Step, select
from migrator.staging.columns import COPY
from migrator.staging.engine import literal, quote


def key_steps(bound: BoundMapping) -> Iterable[Step]:
    """One step for each set of keys that some link of the mapping is looked up in."""
    for source in bound.sources:
        for field in source.fields:
            for target in field.lookup:
                if not (target.shared or target.inactive):
                    yield Step(keys_name(target), _keys(target, quote(target.source.staged)))
                    continue
                bare = linked_source(bound, target)
                prefix = keys_name(target) if target.inactive else f"{target.mapping}/{target.source.name}"
                yield from filter_steps(bare, prefix, also=[target.match])
                kept = f"{quote(f'{prefix}_filtered')}"
                unless = excluded(_bare(_sibling(bound, target))) if target.shared else ""
                yield Step(keys_name(target), _keys(target, kept, unless, _inactive(bare, target)))


def _bare(source: BoundSource) -> BoundSource:
    """What says which rows of a source move, and nothing of their fields."""
    return replace(source, fields=(), joins=excluding_joins(source))


def linked_source(bound: BoundMapping, target: LookupTarget) -> BoundSource:
    """The source of the linked records without its fields; the condition for inactive ones stands last in `exclude`."""
    last = ((target.inactive, "inactive"),) if target.inactive is not None else ()
    if not target.shared:
        return BoundSource(target.source, (target.key or target.match,), None, last, ())
    sibling = _bare(_sibling(bound, target))
    return replace(sibling, exclude=(*sibling.exclude, *last))


def _inactive(bare: BoundSource, target: LookupTarget) -> str:
    """Whether a linked record is no longer in use; null when that cannot be computed, '' when it is not asked."""
    if target.inactive is None:
        return ""
    met = quote(conditions(bare)[-1][0])
    unread = [
        f"{quote(lost_name(column))} IS NULL" for column in target.inactive.operands if needs_typing(column)
    ]
    sound = " AND ".join([f"{met} IS NOT NULL", *unread])
    return f"CASE WHEN {sound} THEN coalesce({met}['value'], FALSE) END"


def _sibling(bound: BoundMapping, target: LookupTarget) -> BoundSource:
    sources = next(sources for name, sources in bound.siblings if name == target.mapping)
    return next(item for item in sources if item.source == target.source)


def keys_name(target: LookupTarget) -> str:
    """Name of the step that holds the keys a link is looked up in."""
    of = f"{target.mapping}/{target.source.name}" if target.shared else target.source.staged
    asked = f", inactive when {target.inactive.written}" if target.inactive is not None else ""
    return (
        f"keys of {of} by {target.match.name}" + ("" if target.by_key else f" for {target.mapping}") + asked
    )


def _keys(target: LookupTarget, relation: str, unless: str = "", inactive: str = "") -> str:
    match = text_of(target.match)
    filters = [f"{quote(COPY)} = 0", f"nullif({match}, '') IS NOT NULL"]
    if unless:
        filters.append(f"{unless} IS NULL")
    where = f"WHERE {' AND '.join(filters)}"
    if target.by_key and not inactive:
        return select([f'DISTINCT {match} AS "match"'], relation, [where])
    key = text_of(target.key) if target.key else match
    columns = [f'{match} AS "match"']
    if not target.by_key:
        columns += [f'min({key}) AS "key"', 'count(*) AS "fits"']
    if inactive:
        columns.append(f'bool_or({inactive}) AS "inactive"')
    return select(columns, relation, [where, "GROUP BY 1"])


def joins_of(field: BoundField, given: str) -> list[str]:
    """LEFT JOINs of a link to the keys it may hold; where a column tells the type, to those of that type."""
    return [
        f'LEFT JOIN {quote(keys_name(target))} AS {_alias(field, number)} ON {given} = {_alias(field, number)}."match"'
        + _of_type(field, target)
        for number, target in enumerate(field.lookup, start=1)
    ]


def type_name(field: BoundField) -> str:
    """Column that holds the type of the record a link points to."""
    return f"__type {field.name}"


def _of_type(field: BoundField, target: LookupTarget) -> str:
    if field.lookup_by is None:
        return ""
    return f" AND step.{quote(type_name(field))} IN ({', '.join(map(literal, target.types))})"


def _alias(field: BoundField, number: int) -> str:
    return quote(f"link {number} {field.name}")


def count_of(field: BoundField) -> str:
    """How many records fit the link: it must be exactly one."""
    parts = []
    for number, target in enumerate(field.lookup, start=1):
        alias = _alias(field, number)
        fits = "1" if target.by_key else f'{alias}."fits"'
        parts.append(f'CASE WHEN {alias}."match" IS NULL THEN 0 ELSE {fits} END')
    return " + ".join(parts)


def record_of(field: BoundField) -> str:
    """'MAPPING/SOURCE:KEY' of the record that fits, or what the mapping says instead."""
    cases = []
    for number, target in enumerate(field.lookup, start=1):
        alias = _alias(field, number)
        key = f'{alias}."match"' if target.by_key else f'{alias}."key"'
        cases.append(f"""WHEN {alias}."match" IS NOT NULL THEN concat({literal(_prefix(target))}, {key})""")
    return f"CASE {' '.join(cases)} END"


def _prefix(target: LookupTarget) -> str:
    return f"{target.mapping}/{target.source.name}:"


def default_of(field: BoundField) -> str:
    """The record that stands in for a missing one: a key of the first mapping named, or a whole 'MAPPING/SOURCE:KEY'."""
    if field.missing is not Missing.DEFAULT or not field.lookup:
        return "NULL"
    target, key = _named(field, field.missing_text)
    return literal(_prefix(target) + key)


def _named(field: BoundField, text: str) -> tuple[LookupTarget, str]:
    """The mapping and the key that `text` names."""
    for target in field.lookup:
        if text.startswith(_prefix(target)):
            return target, text.removeprefix(_prefix(target))
    return field.lookup[0], text


def _inactive_of(field: BoundField) -> str:
    """Whether the record that fits is no longer in use; null when that cannot be computed."""
    cases = [
        f'WHEN {_alias(field, number)}."match" IS NOT NULL THEN {_alias(field, number)}."inactive"'
        for number, target in enumerate(field.lookup, start=1)
        if target.inactive is not None
    ]
    return f"CASE {' '.join(cases)} ELSE FALSE END"


def _stand_in_of(field: BoundField) -> tuple[str, str]:
    """The record that takes the place of inactive ones, and whether the source has it."""
    target, key = _named(field, field.stand_in)
    column = "match" if target.by_key else "key"
    known = f"EXISTS (SELECT 1 FROM {quote(keys_name(target))} AS stand_in WHERE stand_in.{quote(column)} = {literal(key)})"
    return literal(_prefix(target) + key), known


def stand_in(bound: BoundField, steps: FieldSteps, given: str, found: str) -> str:
    """The case of a link to a record that is no longer in use, with what may be wrong with it."""
    record, known = _stand_in_of(bound)
    steps.looked_up.append((f"__inactive {bound.name}", _inactive_of(bound)))
    steps.looked_up.append((f"__stand_in {bound.name}", known))
    inactive, there = quote(f"__inactive {bound.name}"), quote(f"__stand_in {bound.name}")
    unknown, lacking = f"{found} = 1 AND {inactive} IS NULL", f"{found} = 1 AND coalesce({inactive}, FALSE)"
    message = "whether the linked record is inactive cannot be computed"
    steps.checks.append(Check(unknown, bound.name, "expr.failed", given, message))
    message = "the record that stands in for inactive ones is not in the source"
    steps.checks.append(
        Check(f"{lacking} AND NOT {there}", bound.name, "lookup.missing", literal(bound.stand_in), message)
    )
    message = "the linked record is inactive; another stands in for it"
    steps.checks.append(Check(lacking, bound.name, "lookup.inactive", given, message, Severity.WARNING))
    return f"WHEN {found} = 1 AND {inactive} THEN {record} "
