"""Rows counted, numbered, grouped and made out of lists in Spark SQL; importing it completes the rules of `spark`."""

from __future__ import annotations

from sqlglot import exp

from migrator.staging.dialects.kinds import BIGINT, BOOLEAN, INT, NotCarried
from migrator.staging.dialects.piece import Piece
from migrator.staging.dialects.spark import Expressions, coerced, rule


@rule(exp.Explode)
def _rows_of_list(scope: Expressions, node: exp.Expr) -> Piece:
    items = scope.piece(node.this)
    return Piece(f"explode({items.sql})", items.type.item, items.fails)


@rule(exp.Count)
def _count_rows(_: Expressions, node: exp.Expr) -> Piece:
    if not isinstance(node.this, exp.Star):
        raise NotCarried("count of a column")
    return Piece("count(*)", BIGINT)


@rule(exp.Min)
def _least_of_group(scope: Expressions, node: exp.Expr) -> Piece:
    value = scope.piece(node.this)
    return Piece(f"min({value.sql})", value.type)


@rule(exp.ArgMax)
def _of_greatest(scope: Expressions, node: exp.Expr) -> Piece:
    value, by = scope.pieces([node.this, node.expression])
    return Piece(f"max_by({value.sql}, {by.sql})", value.type)


@rule(exp.LogicalOr)
def _any_of_group(scope: Expressions, node: exp.Expr) -> Piece:
    value = coerced(scope.piece(node.this), BOOLEAN)
    return Piece(f"bool_or({value.sql})", BOOLEAN)


@rule(exp.Window)
def _numbered(scope: Expressions, node: exp.Expr) -> Piece:
    if not isinstance(node.this, exp.RowNumber):
        raise NotCarried(f"a window of {type(node.this).__name__}")
    groups = ", ".join(item.sql for item in scope.pieces(node.args["partition_by"]))
    ordered = node.args["order"].expressions
    if any(item.args.get("desc") for item in ordered):
        raise NotCarried("a window in descending order")
    order = ", ".join(f"{scope.piece(item.this).sql} ASC NULLS LAST" for item in ordered)
    sql = f"row_number() OVER (PARTITION BY {groups} ORDER BY {order})"
    return Piece(f"CAST({sql} AS BIGINT)", BIGINT)


@rule(exp.Exists)
def _exists(scope: Expressions, node: exp.Expr) -> Piece:
    return Piece(f"EXISTS ({scope.query(node.this)})", BOOLEAN)


@rule(exp.Sign)
def _sign(scope: Expressions, node: exp.Expr) -> Piece:
    value = scope.piece(node.this)
    return Piece(f"CAST(sign({value.sql}) AS INT)", INT, value.fails)
