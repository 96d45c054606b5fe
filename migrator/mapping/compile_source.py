"""The first steps of a source: its rows, the columns that are used, the record's id, conditions, expressions, exclusion."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from migrator.mapping.bound import BoundSource, Column, Formula, Hook
from migrator.mapping.columns import operand, text_of
from migrator.mapping.columns_used import columns_read
from migrator.mapping.compile_rows import excluded_by_rows, row_columns, row_steps, unsettled
from migrator.mapping.expressions import needs_typing, operand_name
from migrator.mapping.sql import Step, select
from migrator.staging.columns import COPY, ID, KEY, ROW
from migrator.staging.engine import literal, quote
from migrator.staging.records import key_of, names_of

KEYLESS = "__keyless"
"""Whether the source row has no key."""


def filter_steps(
    source: BoundSource, name: str, *, computed: Iterable[str] = (), also: Iterable[Column] = ()
) -> tuple[Step, ...]:
    """Steps of a source that end with *staged* and *filtered*.

    `computed` are further columns of the second step; `also` names columns to keep although no field reads them.
    """
    read = tuple(dict.fromkeys((*columns_read(source), *also)))
    rows = row_steps(source, name, read)
    columns = dict.fromkeys(quote(column.engine) for column in read)
    operands = typed_operands(source)
    typed = [f"{operand(column)} AS {quote(operand_name(column))}" for column in operands]
    made = [quote(column) for column in (ROW, COPY, *row_columns(source))]
    staged = select([*columns, *typed, *made], quote(rows[-1].name if rows else source.source.staged))
    lost = [f"{_lost_text(column)} AS {quote(lost_name(column))}" for column in operands]
    met = [
        f"{tried(f'CAST({formula.sql} AS BOOLEAN)')} AS {quote(alias)}"
        for alias, formula in conditions(source)
    ]
    filtered = select(["*", *_key_columns(source), *lost, *met, *computed], quote(f"{name}_staged"))
    shared = any(field.is_dated for field in source.fields)
    before = (replace(step, shared=shared) for step in rows)
    return (*before, Step(f"{name}_staged", staged, shared=shared), Step(f"{name}_filtered", filtered))


def tried(sql: str) -> str:
    """The value in a struct; null instead of an error, so that a failure differs from a value that is null."""
    return f"TRY({{'value': {sql}}})"


def conditions(source: BoundSource) -> tuple[tuple[str, Formula], ...]:
    """Where and exclusions, each with the name of its column."""
    where = (("__where", source.where),) if source.where is not None else ()
    return (
        *where,
        *((f"__exclude {number}", item) for number, (item, _) in enumerate(source.exclude, start=1)),
    )


def excluded(source: BoundSource) -> str:
    """Why a row does not move, or null.

    A condition that could not be computed, or reads a text that is no value of its column's type, excludes nothing:
    the row stays and is told as an issue.
    """
    cases = list(excluded_by_rows(source))
    if source.where is not None:
        unread = [quote(lost_name(column)) for column in source.where.operands if needs_typing(column)]
        sound = [f"{quote('__where')} IS NOT NULL", *(f"{name} IS NULL" for name in unread)]
        sound += [f"NOT {doubt}" for doubt in unsettled(source, source.where.operands)]
        unmet = f"""NOT coalesce({quote("__where")}['value'], FALSE)"""
        cases.append(f"WHEN {' AND '.join([*sound, unmet])} THEN {literal(f'where: {source.where.written}')}")
    for number, (formula, reason) in enumerate(source.exclude, start=1):
        met = f"""coalesce({quote(f"__exclude {number}")}['value'], FALSE)"""
        met = " AND ".join([met, *(f"NOT {doubt}" for doubt in unsettled(source, formula.operands))])
        cases.append(f"WHEN {met} THEN {literal(reason)}")
    return f"CASE {' '.join(cases)} END" if cases else "CAST(NULL AS TEXT)"


def formulas(source: BoundSource) -> list[Formula]:
    """Every expression of a source."""
    computed = [field.input for field in source.fields if isinstance(field.input, Formula)]
    return [*(formula for _, formula in conditions(source)), *computed]


def typed_operands(source: BoundSource) -> list[Column]:
    """Columns that expressions read and whose text must first be read as the schema's type."""
    return [column for column in _operands(source) if needs_typing(column)]


def lost_name(column: Column) -> str:
    """Column that holds the text of an operand when it is no value of its type."""
    return f"__lost {column.name}"


def _key_columns(source: BoundSource) -> list[str]:
    texts = [text_of(column) for column in source.key] or [f"CAST({quote(ROW)} AS TEXT)"]
    given = key_of(texts)
    key, record = names_of(source.name, given, source.source.explode)
    return [f"{key} AS {quote(KEY)}", f"{record} AS {quote(ID)}", f"{given} IS NULL AS {quote(KEYLESS)}"]


def _operands(source: BoundSource) -> list[Column]:
    hooks = [field.input for field in source.fields if isinstance(field.input, Hook)]
    read: list[Formula | Hook] = [*formulas(source), *hooks]
    return list(dict.fromkeys(column for item in read for column in item.operands))


def _lost_text(column: Column) -> str:
    text = text_of(column)
    return f"CASE WHEN {quote(operand_name(column))} IS NULL AND trim({text}) <> '' THEN {text} END"
