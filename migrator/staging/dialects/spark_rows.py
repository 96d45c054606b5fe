"""Rows made out of lists, looked for in other queries, and taken from the greatest, in Spark SQL; importing it completes the rules of `spark`."""

from __future__ import annotations

from sqlglot import exp

from migrator.staging.dialects.kinds import BOOLEAN, INT, NotCarried
from migrator.staging.dialects.piece import Piece
from migrator.staging.dialects.spark import Expressions, rule


@rule(exp.Explode)
def _rows_of_list(scope: Expressions, node: exp.Expr) -> Piece:
    items = scope.piece(node.this)
    return Piece(f"explode({items.sql})", items.type.item, items.fails)


@rule(exp.ArgMax)
def _of_greatest(scope: Expressions, node: exp.Expr) -> Piece:
    if node.args.get("count") is not None:
        raise NotCarried("several values of the greatest")
    value, by = scope.pieces([node.this, node.expression])
    return Piece(f"max_by({value.sql}, {by.sql})", value.type)


@rule(exp.Exists)
def _exists(scope: Expressions, node: exp.Expr) -> Piece:
    return Piece(f"EXISTS ({scope.query(node.this)})", BOOLEAN)


@rule(exp.Sign)
def _sign(scope: Expressions, node: exp.Expr) -> Piece:
    value = scope.piece(node.this)
    return Piece(f"CAST(sign({value.sql}) AS INT)", INT, value.fails)
