"""Constants and logic, which every dialect that the engine's expressions are carried to writes in the same words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

from sqlglot import exp

from migrator.staging.dialects.kinds import BOOLEAN, NULL, Type
from migrator.staging.dialects.piece import Piece, fails_of

Coerced: TypeAlias = Callable[[Piece, Type], Piece]
"""A piece as another type, the way the engine does it by itself, in some dialect."""


class Scope(Protocol):
    """Expressions over some columns, in some dialect."""

    def piece(self, node: exp.Expr) -> Piece:
        """`node` in the dialect; raises `NotCarried`."""
        ...

    def pieces(self, nodes: Sequence[exp.Expr]) -> list[Piece]:
        """Several of them."""
        ...


Rule: TypeAlias = Callable[[Scope, exp.Expr], Piece]


def logic_rules(coerced: Coerced) -> Mapping[type[exp.Expr], Rule]:
    """The rules, by the nodes that they are for."""

    def logic(scope: Scope, node: exp.Expr) -> Piece:
        left, right = (coerced(item, BOOLEAN) for item in scope.pieces([node.this, node.expression]))
        word = "AND" if isinstance(node, exp.And) else "OR"
        return Piece(f"({left.sql} {word} {right.sql})", BOOLEAN, fails_of(left, right))

    def negation(scope: Scope, node: exp.Expr) -> Piece:
        inner = coerced(scope.piece(node.this), BOOLEAN)
        return Piece(f"(NOT {inner.sql})", BOOLEAN, inner.fails)

    return {
        exp.Boolean: _boolean, exp.Null: _null, exp.Paren: _paren, exp.And: logic, exp.Or: logic, exp.Not: negation,
    }  # fmt: skip


def _boolean(_: Scope, node: exp.Expr) -> Piece:
    return Piece("TRUE" if node.this else "FALSE", BOOLEAN)


def _null(_: Scope, __: exp.Expr) -> Piece:
    return Piece("NULL", NULL)


def _paren(scope: Scope, node: exp.Expr) -> Piece:
    inner = scope.piece(node.this)
    return Piece(f"({inner.sql})", inner.type, inner.fails, inner.constant)
