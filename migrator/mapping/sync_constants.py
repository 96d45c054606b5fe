"""Constants of a mapping as native values, and those that a source's condition implies of every record that moves."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import sqlglot
from sqlglot import exp

from migrator.core.sameness import Native
from migrator.core.schema import FieldType
from migrator.mapping.bound import BoundSource
from migrator.mapping.constants import TRUE
from migrator.mapping.kinds import Kind


def native(text: str, kind: Kind) -> Native:
    """A constant of the mapping as a value of its kind."""
    match kind.type:
        case FieldType.BOOLEAN:
            return text.strip().lower() in TRUE
        case FieldType.INTEGER:
            return int(text)
        case FieldType.DECIMAL:
            return Decimal(text)
        case _:
            return text


def implied(source: BoundSource) -> dict[str, Native]:
    """What the condition of a source says of every record that moves: COLUMN = constant, joined by AND."""
    if source.where is None:
        return {}
    kinds = {column.name: column.kind for column in source.where.operands}
    tree = sqlglot.parse_one(source.where.written, dialect="duckdb")
    found: dict[str, Native] = {}
    for part in tree.flatten() if isinstance(tree, exp.And) else [tree]:
        found |= _equal(part.unnest(), kinds)
    return found


def _equal(part: exp.Expr, kinds: Mapping[str, Kind]) -> dict[str, Native]:
    match part:
        case exp.EQ(this=exp.Column() as column, expression=exp.Literal() as constant):
            return {column.name: native(constant.name, kinds[column.name])}
        case exp.EQ(this=exp.Column() as column, expression=exp.Boolean() as constant):
            return {column.name: bool(constant.this)}
        case exp.Not(this=exp.Column() as column):
            return {column.name: False}
        case exp.Column() as column:
            return {column.name: True}
        case _:
            return {}
