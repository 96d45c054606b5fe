"""A bound mapping compiled to one SELECT, whose named steps read like the YAML.

For each source: 1. *staged*: the columns that are used, and typed operands of expressions; 2. *filtered*: the record's
id, conditions and expressions (then *hooked*: the project's own functions, where there are any); 3. *cleaned*: one text
per field, clean verbs applied; 4. *looked_up*: value maps and links joined (then *converted*: amounts times rates, where
there are any); 5. *cast*: typed values; 6. *checked*: whether anything is wrong with the row; 7. *mapped*: the row of
MAPPED with its issues. The sources are united at the end. No value of the data can make the query fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from migrator.core.errors import Location, Severity
from migrator.core.mapped import MappedObject
from migrator.mapping.bound import BoundMapping, BoundSource
from migrator.mapping.compile_currency import rate_steps, tables_of
from migrator.mapping.compile_field import compile_field
from migrator.mapping.compile_hook import CompiledHook, hook_columns, hooks_of
from migrator.mapping.compile_lookup import key_steps, linked_source
from migrator.mapping.compile_rows import row_checks, row_columns
from migrator.mapping.compile_source import (
    KEYLESS,
    conditions,
    excluded,
    filter_steps,
    formulas,
    lost_name,
    typed_operands,
)
from migrator.mapping.field_steps import Columns
from migrator.mapping.issues import NONE, Check, any_of, issues_of
from migrator.mapping.sql import Step, query, select
from migrator.staging.columns import BAD, COPY, EXCLUDED, ID, ISSUES, KEY, SOURCE
from migrator.staging.engine import literal, quote

COMPILER_VERSION = 1
"""Raised when the same mapping compiles to a query with another meaning: rows are mapped anew."""
_WARNED = "__warned"


@dataclass(frozen=True, slots=True)
class Probe:
    """A small query that binds only if the expression at `place` does; asked when the whole does not bind."""

    place: Location
    written: str
    expression: str
    steps: tuple[Step, ...]
    """What it reads: the last of them."""

    @property
    def sql(self) -> str:
        """The query."""
        return probing([self])


def probing(probes: Sequence[Probe]) -> str:
    """One query for probes that read the same."""
    listed = [f"{probe.expression} AS {quote(f'probe {number}')}" for number, probe in enumerate(probes)]
    return query(probes[0].steps, select(listed, quote(probes[0].steps[-1].name)))


@dataclass(frozen=True, slots=True)
class CompiledMapping:
    """The SELECT of one mapping and what it reads."""

    mapped: MappedObject
    sql: str
    tables: Mapping[str, pa.Table]
    """Small relations to register under these names: value maps."""
    relations: tuple[str, ...]
    """STAGED datasets it reads; each is registered as a view under its own name."""
    probes: tuple[Probe, ...]
    hooks: tuple[CompiledHook, ...] = ()
    """Functions of the project that the query calls."""


def compile_mapping(bound: BoundMapping) -> CompiledMapping:
    """Compile a bound mapping; the same mapping always gives the same text."""
    steps: list[Step] = list(key_steps(bound))
    relations = {source.source.staged: None for source in bound.sources}
    relations |= dict(_looked_into(bound))
    tables: dict[str, pa.Table] = {}
    for source in bound.sources:
        steps.extend(_source_steps(source, bound.mapped.key))
        tables |= tables_of(source.fields)
        for field in source.fields:
            if field.values is not None:
                tables[field.values.relation] = field.values.as_table()
    united = "\nUNION ALL\n".join(
        f"SELECT * FROM {quote(f'{source.name}_mapped')}" for source in bound.sources
    )
    return CompiledMapping(
        bound.mapped,
        query(steps, united),
        tables,
        tuple(relations),
        tuple(_probes(bound)),
        tuple(hooks_of(bound)),
    )


def _looked_into(bound: BoundMapping) -> Iterable[tuple[str, None]]:
    """STAGED datasets of joined and of linked objects, those that a shared lookup's filters read included."""
    for source in (*bound.sources, *_siblings(bound)):
        yield from ((join.relation, None) for join in source.joins)
    for source in bound.sources:
        yield from ((target.source.staged, None) for field in source.fields for target in field.lookup)


def _siblings(bound: BoundMapping) -> Iterable[BoundSource]:
    shared = {
        (target.mapping, target.source)
        for source in bound.sources
        for field in source.fields
        for target in field.lookup
        if target.shared
    }
    return (item for name, sources in bound.siblings for item in sources if (name, item.source) in shared)


def _source_steps(source: BoundSource, key: str) -> Iterable[Step]:
    name, fields = source.name, [compile_field(field, source.name) for field in source.fields]
    yield from filter_steps(
        source, name, computed=_aliased(column for item in fields for column in item.filtered)
    )
    called, before = hook_columns(source), f"{name}_filtered"
    if called:
        yield Step(f"{name}_hooked", select(["*", *called], quote(before)))
        before = f"{name}_hooked"
    yield from rate_steps(source, name)
    cleaned = _aliased(column for item in fields for column in item.cleaned)
    yield Step(f"{name}_cleaned", select([*_own_columns(source), *cleaned], quote(before)))
    looked_up = _aliased(column for item in fields for column in item.looked_up)
    joins = [join for item in fields for join in item.joins]
    yield Step(
        f"{name}_looked_up", select(["step.*", *looked_up], f"{quote(f'{name}_cleaned')} AS step", joins)
    )
    converted = _aliased(column for item in fields for column in item.converted)
    if converted:
        yield Step(f"{name}_converted", select(["*", *converted], quote(f"{name}_looked_up")))
    cast = _aliased(column for item in fields for column in item.cast)
    before = f"{name}_converted" if converted else f"{name}_looked_up"
    yield Step(f"{name}_cast", select(["*", *cast], quote(before)))
    checks = [*_row_checks(source, key), *(check for item in fields for check in item.checks)]
    yield Step(f"{name}_checked", select(["*", *_flags(checks)], quote(f"{name}_cast")))
    mapped = _aliased(column for item in fields for column in item.mapped)
    yield Step(f"{name}_mapped", select([*_verdict(source, checks), *mapped], quote(f"{name}_checked")))


def _aliased(columns: Iterable[tuple[str, str]]) -> list[str]:
    found: Columns = list(columns)
    return [sql if sql == quote(name) else f"{sql} AS {quote(name)}" for name, sql in found]


def _own_columns(source: BoundSource) -> list[str]:
    """What every later step carries along beside the fields."""
    passed = [ID, KEY, COPY, KEYLESS, *(alias for alias, _ in conditions(source))]
    passed += [lost_name(column) for column in typed_operands(source)]
    passed += row_columns(source)
    return [*(quote(name) for name in passed), f"{excluded(source)} AS {quote(EXCLUDED)}"]


def _row_checks(source: BoundSource, key: str) -> Iterable[Check]:
    named = " and ".join(column.name for column in source.key) or "key"
    yield Check(quote(KEYLESS), key, "key.missing", "CAST(NULL AS TEXT)", f"the source row has no {named}")
    yield Check(
        f"{quote(COPY)} > 0", key, "key.duplicate", quote(KEY), "another row of the source has the same key"
    )
    yield from row_checks(source)
    for column in typed_operands(source):
        lost = quote(lost_name(column))
        message = f"{column.name} is used in an expression and is no {column.kind}"
        yield Check(f"{lost} IS NOT NULL", column.name, "expr.operand", lost, message)
    for alias, formula in conditions(source):
        message = f"this condition cannot be computed: {formula.written}"
        yield Check(f"{quote(alias)} IS NULL", alias.strip("_"), "expr.failed", "CAST(NULL AS TEXT)", message)


def _flags(checks: Sequence[Check]) -> list[str]:
    """Whether anything is wrong with a row that moves; for a sound row nothing more is asked."""
    moves = f"{quote(EXCLUDED)} IS NULL"
    return [
        f"coalesce({moves} AND ({any_of([check for check in checks if check.severity is severity])}), FALSE) AS {quote(flag)}"
        for severity, flag in ((Severity.ERROR, BAD), (Severity.WARNING, _WARNED))
    ]


def _verdict(source: BoundSource, checks: Sequence[Check]) -> list[str]:
    flawed = f"{quote(BAD)} OR {quote(_WARNED)}"
    return [
        quote(ID),
        f"{literal(source.name)} AS {quote(SOURCE)}",
        quote(KEY),
        quote(EXCLUDED),
        f"CASE WHEN {flawed} THEN {issues_of(checks, indent='    ')} ELSE {NONE} END AS {quote(ISSUES)}",
        quote(BAD),
    ]


def _probes(bound: BoundMapping) -> Iterable[Probe]:
    targets = (target for source in bound.sources for field in source.fields for target in field.lookup)
    linked = [linked_source(bound, target) for target in targets if target.inactive is not None]
    for source in (*bound.sources, *linked):
        *steps, _ = filter_steps(source, source.name)
        for formula in formulas(source):
            yield Probe(formula.place, formula.written, formula.sql, tuple(steps))
