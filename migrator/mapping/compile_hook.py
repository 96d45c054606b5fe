"""Hooks compiled: a step of their own, where each is one function call over the columns it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from migrator.core.schema import FieldType
from migrator.mapping.bound import BoundField, BoundMapping, BoundSource, Column, Hook, Stored
from migrator.mapping.compile_source import excluded
from migrator.mapping.expressions import needs_typing, operand_name
from migrator.mapping.kinds import TEXTUAL, Kind, engine_type
from migrator.staging.columns import ID
from migrator.staging.engine import quote


@dataclass(frozen=True, slots=True)
class CompiledHook:
    """A hook as the query calls it."""

    name: str
    """The function's name in the query."""
    hook: Hook
    field: str
    takes: tuple[str, ...]
    """Engine types of its arguments; the first is the record's id."""
    gives: str
    """Engine type of its column."""
    arrow: pa.DataType
    """The same as an Arrow type."""


def hooks_of(bound: BoundMapping) -> Iterator[CompiledHook]:
    """Every hook of a mapping, once for each source and field that uses it."""
    for source in bound.sources:
        for field in source.fields:
            if isinstance(field.input, Hook):
                kind = returned(field)
                takes = ("VARCHAR", *(_type(item) for item in field.input.operands))
                name = _name(source, field, field.input)
                yield CompiledHook(name, field.input, field.name, takes, engine_type(kind), arrow_type(kind))


def hook_columns(source: BoundSource) -> list[str]:
    """The call of each hook of a source; rows that do not move are not given to it."""
    return [
        f"CASE WHEN {excluded(source)} IS NULL THEN {_call(source, field, field.input)} END"
        f" AS {quote(hook_column(field))}"
        for field in source.fields
        if isinstance(field.input, Hook)
    ]


def hook_column(field: BoundField) -> str:
    """Column that holds what the hook of a field returned."""
    return f"__hook {field.name}"


def returned(field: BoundField) -> Kind:
    """What a hook must return: the field's own type, or a text where the mapping goes on working on it."""
    if field.clean or field.values or field.lookup or field.formats or field.kind.type in TEXTUAL:
        return Kind(FieldType.STRING)
    return field.kind


def _name(source: BoundSource, field: BoundField, hook: Hook) -> str:
    return f"hook {hook.name} for {source.name}.{field.name}"


def _call(source: BoundSource, field: BoundField, hook: Hook) -> str:
    given = [f"CAST({quote(operand_name(item))} AS {_type(item)})" for item in hook.operands]
    # named with its schema, so that readers of SQL keep its letters as they are
    return f"main.{quote(_name(source, field, hook))}({', '.join([quote(ID), *given])})"


_STORED = {
    Stored.INTEGER: "BIGINT", Stored.FLOAT: "DOUBLE", Stored.BOOLEAN: "BOOLEAN", Stored.DATE: "DATE",
    Stored.INSTANT: "TIMESTAMPTZ", Stored.LOCAL: "TIMESTAMP", Stored.TIME: "TIME",
}  # fmt: skip


def _type(column: Column) -> str:
    """Engine type of an argument: as staged, or as the schema has it where a text was read."""
    if needs_typing(column):
        return engine_type(column.kind)
    if column.stored is Stored.DECIMAL:
        return f"DECIMAL({column.digits[0]}, {column.digits[1]})"
    return _STORED.get(column.stored, "VARCHAR")


_ARROW: Mapping[FieldType, pa.DataType] = {
    FieldType.INTEGER: pa.int64(),
    FieldType.FLOAT: pa.float64(),
    FieldType.BOOLEAN: pa.bool_(),
    FieldType.DATE: pa.date32(),
    FieldType.DATETIME: pa.timestamp("us", "UTC"),
    FieldType.TIME: pa.time64("us"),
}


def arrow_type(kind: Kind) -> pa.DataType:
    """The Arrow type of a field's values."""
    if kind.type is FieldType.DECIMAL:
        return pa.decimal128(kind.precision, kind.scale)
    return _ARROW.get(kind.type, pa.string())
