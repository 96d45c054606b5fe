"""Rows counted, summed up and numbered, in groups and in windows, in Spark SQL; importing it completes the rules of `spark`.

An aggregate with a FILTER is one over values that are null where the filter does not hold: windows take no filter.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from migrator.staging.dialects.kinds import (
    BIGINT,
    BOOLEAN,
    HUGE,
    WHOLE,
    Base,
    NotCarried,
    decimal,
)  # fmt: skip
from migrator.staging.dialects.piece import Piece
from migrator.staging.dialects.spark import Expressions, cast_sql, coerced, rule

_MOST_DIGITS = 38


def _kept(value: Piece, when: Piece | None) -> Piece:
    """A value, or null where a filter does not hold."""
    return value if when is None else Piece(f"CASE WHEN {when.sql} THEN {value.sql} END", value.type)


def _counted(scope: Expressions, node: exp.Expr, when: Piece | None) -> Piece:
    if isinstance(node.this, exp.Star):
        return Piece("count(*)" if when is None else f"count(CASE WHEN {when.sql} THEN 1 END)", BIGINT)
    if isinstance(node.this, exp.Distinct):
        if len(node.this.expressions) != 1:
            raise NotCarried("count of several distinct columns")
        value = _kept(scope.piece(node.this.expressions[0]), when)
        return Piece(f"count(DISTINCT {value.sql})", BIGINT)
    return Piece(f"count({_kept(scope.piece(node.this), when).sql})", BIGINT)


def _counted_if(scope: Expressions, node: exp.Expr, when: Piece | None) -> Piece:
    test = _kept(coerced(scope.piece(node.this), BOOLEAN), when)
    return Piece(cast_sql(f"count_if({test.sql})", HUGE), HUGE)


def _summed(scope: Expressions, node: exp.Expr, when: Piece | None) -> Piece:
    value = _kept(scope.piece(node.this), when)
    if value.type.base in WHOLE:
        kind = HUGE
    elif value.type.base is Base.DECIMAL:
        kind = decimal(_MOST_DIGITS, value.type.scale)
    else:
        raise NotCarried(f"a sum of {value.type}s, which depends on their order")
    return Piece(cast_sql(f"sum({cast_sql(value.sql, kind)})", kind), kind)


def _extreme(scope: Expressions, node: exp.Expr, when: Piece | None) -> Piece:
    value = _kept(scope.piece(node.this), when)
    return Piece(f"{'min' if isinstance(node, exp.Min) else 'max'}({value.sql})", value.type)


def _any_of_group(scope: Expressions, node: exp.Expr, when: Piece | None) -> Piece:
    """Whichever of a group's values: the least is one of them, and always the same."""
    value = _kept(scope.piece(node.this), when)
    return Piece(f"min({value.sql})", value.type)


def _any(scope: Expressions, node: exp.Expr, when: Piece | None) -> Piece:
    value = _kept(coerced(scope.piece(node.this), BOOLEAN), when)
    return Piece(f"bool_or({value.sql})", BOOLEAN)


_AGGREGATES: dict[type[exp.Expr], Callable[[Expressions, exp.Expr, Piece | None], Piece]] = {
    exp.Count: _counted,
    exp.CountIf: _counted_if,
    exp.Sum: _summed,
    exp.Min: _extreme,
    exp.Max: _extreme,
    exp.LogicalOr: _any,
    exp.AnyValue: _any_of_group,
}


@rule(*_AGGREGATES)
def _aggregate(scope: Expressions, node: exp.Expr) -> Piece:
    if isinstance(node, exp.Min | exp.Max) and node.expressions:
        raise NotCarried(f"{node.sql('duckdb')[:60]}: several values of a group")
    return _AGGREGATES[type(node)](scope, node, None)


@rule(exp.IgnoreNulls)
def _without_nulls(scope: Expressions, node: exp.Expr) -> Piece:
    if not isinstance(node.this, exp.AnyValue):
        raise NotCarried(f"{node.sql('duckdb')[:60]}")
    return scope.piece(node.this)


@rule(exp.Filter)
def _filtered(scope: Expressions, node: exp.Expr) -> Piece:
    found = _AGGREGATES.get(type(node.this))
    if found is None:
        raise NotCarried(f"a FILTER of {node.this.sql('duckdb')[:60]}")
    return found(scope, node.this, coerced(scope.piece(node.expression.this), BOOLEAN))


@rule(exp.Window)
def _window(scope: Expressions, node: exp.Expr) -> Piece:
    if node.args.get("spec") is not None or node.args.get("alias"):
        raise NotCarried("a window with a frame")
    parts = []
    if node.args.get("partition_by"):
        parts.append(
            f"PARTITION BY {', '.join(item.sql for item in scope.pieces(node.args['partition_by']))}"
        )
    if node.args.get("order"):
        parts.append(f"ORDER BY {', '.join(ordered(scope, item) for item in node.args['order'].expressions)}")
    if isinstance(node.this, exp.RowNumber) and not node.args.get("order"):
        parts.append("ORDER BY 1")  # any order is right, and Spark wants one
    over = f"OVER ({' '.join(parts)})"
    if isinstance(node.this, exp.RowNumber | exp.DenseRank | exp.Lead | exp.Sum):
        return _by_order(scope, node, over)
    inner = node.this.this if isinstance(node.this, exp.Filter) else node.this
    if type(inner) not in _AGGREGATES or node.args.get("order"):
        raise NotCarried(f"a window of {node.this.sql('duckdb')[:60]}")
    if isinstance(inner, exp.Sum | exp.CountIf):
        raise NotCarried("a sum over a window")
    if isinstance(inner.this, exp.Distinct):
        raise NotCarried("distinct values counted over a window")
    found = scope.piece(node.this)
    return Piece(f"{found.sql} {over}", found.type)


def _by_order(scope: Expressions, node: exp.Expr, over: str) -> Piece:
    """What a row's place among others gives it."""
    asked = node.this
    if isinstance(asked, exp.RowNumber | exp.DenseRank):
        word = "row_number" if isinstance(asked, exp.RowNumber) else "dense_rank"
        return Piece(f"CAST({word}() {over} AS BIGINT)", BIGINT)
    value = scope.piece(asked.this)
    if isinstance(asked, exp.Sum):
        if value.type.base not in WHOLE:
            raise NotCarried("a sum over a window")
        return Piece(cast_sql(f"sum({cast_sql(value.sql, HUGE)}) {over}", HUGE), HUGE)
    if not node.args.get("order") or asked.args.get("offset") or asked.args.get("default"):
        raise NotCarried(f"{asked.sql('duckdb')[:60]}: the next row in no order, or not the next")
    return Piece(f"lead({value.sql}) {over}", value.type)


def ordered(scope: Expressions, node: exp.Expr) -> str:
    """One item of an ORDER BY; nulls stand last unless it says otherwise."""
    way = "DESC" if node.args.get("desc") else "ASC"
    nulls = "FIRST" if node.args.get("nulls_first") else "LAST"
    return f"{scope.piece(node.this).sql} {way} NULLS {nulls}"
