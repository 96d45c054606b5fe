"""Links compiled: the keys of linked objects as steps of their own, and the joins to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from migrator.core.mapped import Missing
from migrator.mapping.bound import BoundField, BoundMapping, BoundSource, LookupTarget
from migrator.mapping.columns import text_of
from migrator.mapping.compile_source import excluded, filter_steps
from migrator.mapping.sql import Step, select
from migrator.staging.columns import COPY
from migrator.staging.engine import literal, quote


def key_steps(bound: BoundMapping) -> Iterable[Step]:
    """One step for each set of keys that some link of the mapping is looked up in."""
    for source in bound.sources:
        for field in source.fields:
            for target in field.lookup:
                if not target.shared:
                    yield Step(keys_name(target), _keys(target, quote(target.source.staged)))
                    continue
                sibling = _sibling(bound, target)
                prefix = f"{target.mapping}/{target.source.name}"
                bare = replace(sibling, fields=())
                yield from filter_steps(bare, prefix, also=[target.match])
                kept = f"{quote(f'{prefix}_filtered')}"
                yield Step(keys_name(target), _keys(target, kept, unless=excluded(bare)))


def _sibling(bound: BoundMapping, target: LookupTarget) -> BoundSource:
    sources = next(sources for name, sources in bound.siblings if name == target.mapping)
    return next(item for item in sources if item.source == target.source)


def keys_name(target: LookupTarget) -> str:
    """Name of the step that holds the keys a link is looked up in."""
    of = f"{target.mapping}/{target.source.name}" if target.shared else target.source.staged
    return f"keys of {of} by {target.match.name}" + ("" if target.by_key else f" for {target.mapping}")


def _keys(target: LookupTarget, relation: str, unless: str = "") -> str:
    match = text_of(target.match)
    filters = [f"{quote(COPY)} = 0", f"nullif({match}, '') IS NOT NULL"]
    if unless:
        filters.append(f"{unless} IS NULL")
    where = f"WHERE {' AND '.join(filters)}"
    if target.by_key:
        return select([f'DISTINCT {match} AS "match"'], relation, [where])
    key = text_of(target.key) if target.key else match
    columns = [f'{match} AS "match"', f'min({key}) AS "key"', 'count(*) AS "fits"']
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
    whole = any(field.missing_text.startswith(_prefix(target)) for target in field.lookup)
    return literal(field.missing_text if whole else _prefix(field.lookup[0]) + field.missing_text)
