"""Rows made out of lists, looked for in other queries, and taken from the greatest, in Spark SQL; importing it completes the rules of `spark`."""

from __future__ import annotations

from sqlglot import exp

from migrator.staging.dialects.kinds import BOOLEAN, INT, Base, NotCarried, Type
from migrator.staging.dialects.piece import Piece, fails_of
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


@rule(exp.Subquery)
def _value(scope: Expressions, node: exp.Expr) -> Piece:
    return scope.value(node.this)


@rule(exp.Tuple)
def _together(scope: Expressions, node: exp.Expr) -> Piece:
    """Values side by side, as they are compared with a query's: one that is null equals null."""
    items = scope.pieces(node.expressions)
    listed = ", ".join(f"'v{number}', {item.sql}" for number, item in enumerate(items))
    inner = tuple((f"v{number}", item.type) for number, item in enumerate(items))
    return Piece(f"named_struct({listed})", Type(Base.STRUCT, inner=inner), fails_of(*items))


@rule(exp.Exists)
def _exists(scope: Expressions, node: exp.Expr) -> Piece:
    return Piece(f"EXISTS ({scope.query(node.this)})", BOOLEAN)


@rule(exp.Sign)
def _sign(scope: Expressions, node: exp.Expr) -> Piece:
    value = scope.piece(node.this)
    return Piece(f"CAST(sign({value.sql}) AS INT)", INT, value.fails)
