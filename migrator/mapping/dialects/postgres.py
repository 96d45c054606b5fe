"""Expressions in PostgreSQL's SQL: each construct by a rule of its own that keeps its meaning, others refused by name.

PostgreSQL has nothing like the engine's TRY: a failure ends the query. So each piece carries, beside a text that never
fails, the conditions under which the engine's would; whoever runs the text asks them, and knows a failure from a null.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import reduce
from itertools import pairwise

import sqlglot
from sqlglot import exp

from migrator.mapping.dialects.postgres_words import binary, name, type_name
from migrator.staging.dialects.kinds import BOOLEAN, NULL, TEXT, Base, NotCarried, Type, common_type
from migrator.staging.dialects.logic import logic_rules
from migrator.staging.dialects.piece import Columns, Piece, any_of, fails_of

Rule = Callable[["Expressions", exp.Expr], Piece]
_RULES: dict[type[exp.Expr], Rule] = {}


@dataclass(frozen=True, slots=True)
class Carried:
    """An expression over columns that PostgreSQL computes as the engine does."""

    sql: str
    """Its value; null where it cannot be computed."""
    fails: str
    """Whether it cannot be computed, never null."""


def postgres_expression(formula: str, columns: Columns) -> Carried:
    """A formula, as `parse_formula` writes it, for PostgreSQL 17 or later in a UTF-8 database; raises `NotCarried`."""
    import migrator.mapping.dialects.postgres_numbers
    import migrator.mapping.dialects.postgres_text
    import migrator.mapping.dialects.postgres_time  # noqa: F401  # they complete the rules

    found = Expressions(columns).piece(sqlglot.parse_one(formula, dialect="duckdb"))
    fails = any_of(found.fails)
    return Carried(f"CASE WHEN NOT ({fails}) THEN {found.sql} END" if found.fails else found.sql, fails)


class Expressions:
    """Expressions over some columns."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns

    def piece(self, node: exp.Expr) -> Piece:
        """`node` in PostgreSQL's SQL; raises `NotCarried`."""
        found = _RULES.get(type(node))
        if found is None:
            raise NotCarried(f"{type(node).__name__} ({node.sql('duckdb')[:60]})")
        return found(self, node)

    def pieces(self, nodes: Sequence[exp.Expr]) -> list[Piece]:
        """Several of them."""
        return [self.piece(node) for node in nodes]

    def column(self, node: exp.Column) -> Piece:
        """A column, with its alias where it has one."""
        kind = self._columns.get(".".join(part.name.lower() for part in node.parts))
        if kind is None:
            raise NotCarried(f"the column {node.sql('duckdb')}, whose type is not known")
        type_name(kind)
        return Piece(binary(".".join(name(part.name) for part in node.parts), kind), kind)


def rule(*nodes: type[exp.Expr]) -> Callable[[Rule], Rule]:
    """Make a function the rule for some nodes."""

    def register(found: Rule) -> Rule:
        _RULES.update(dict.fromkeys(nodes, found))
        return found

    return register


Convert = Callable[[Piece, Type], Piece]
_CONVERSIONS: list[Convert] = []


def conversion(found: Convert) -> Convert:
    """Make a function the one that turns a value that is no constant into another type."""
    _CONVERSIONS.append(found)
    return found


def coerced(piece: Piece, kind: Type) -> Piece:
    """A piece as another type, the way the engine does it by itself."""
    if piece.type == kind or kind.base is Base.NULL:
        return piece
    if piece.type.base is Base.NULL:
        return Piece(f"NULL::{type_name(kind)}", kind)
    if piece.constant is not None and kind.base is not Base.TEXT:
        return Piece(constant(piece.constant, kind), kind, piece.fails)
    return _CONVERSIONS[0](piece, kind)


def constant(value: str, kind: Type) -> str:
    """A text constant where another type is wanted; only what both read alike."""
    try:
        match kind.base:
            case Base.DATE:
                return f"'{date.fromisoformat(value).isoformat()}'::date"
            case Base.TIMESTAMP if datetime.fromisoformat(value).tzinfo is None:
                return f"'{datetime.fromisoformat(value).isoformat(' ')}'::timestamp"
            case Base.INSTANT:
                read = datetime.fromisoformat(value)
                moment = read if read.tzinfo else read.replace(tzinfo=UTC)
                return f"'{moment.isoformat(' ')}'::timestamptz"
            case Base.BOOLEAN if value.lower() in ("true", "false"):
                return value.upper()
            case _:
                pass
    except ValueError:
        pass
    raise NotCarried(f"the text {value!r} where a {kind} is wanted")


def unified(pieces: Sequence[Piece]) -> list[Piece]:
    """Pieces as one type; text constants take the type of the others."""
    others = [piece.type for piece in pieces if piece.constant is None] or [TEXT]
    kind = reduce(common_type, others, NULL)
    return [coerced(piece, TEXT if kind is NULL else kind) for piece in pieces]


# ---- constants, columns, logic -----------------------------------------------------------------


@rule(exp.Column)
def _column(scope: Expressions, node: exp.Expr) -> Piece:
    assert isinstance(node, exp.Column)  # noqa: S101  # by registration
    return scope.column(node)


_RULES.update(logic_rules(coerced))


@rule(exp.Is)
def _is(scope: Expressions, node: exp.Expr) -> Piece:
    inner = scope.piece(node.this)
    if not isinstance(node.expression, exp.Null):
        inner = coerced(inner, BOOLEAN)
    return Piece(f"({inner.sql} IS {node.expression.sql()})", BOOLEAN, inner.fails)


_COMPARED: Mapping[type[exp.Expr], str] = {
    exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">=",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM", exp.NullSafeNEQ: "IS DISTINCT FROM",
}  # fmt: skip


def _compared(scope: Expressions, *nodes: exp.Expr) -> list[Piece]:
    found = unified(scope.pieces(nodes))
    return [Piece(binary(item.sql, item.type), item.type, item.fails) for item in found]


@rule(*_COMPARED)
def _comparison(scope: Expressions, node: exp.Expr) -> Piece:
    left, right = _compared(scope, node.this, node.expression)
    return Piece(f"({left.sql} {_COMPARED[type(node)]} {right.sql})", BOOLEAN, fails_of(left, right))


@rule(exp.Between)
def _between(scope: Expressions, node: exp.Expr) -> Piece:
    value, low, high = _compared(scope, node.this, node.args["low"], node.args["high"])
    return Piece(f"({value.sql} BETWEEN {low.sql} AND {high.sql})", BOOLEAN, fails_of(value, low, high))


@rule(exp.In)
def _in(scope: Expressions, node: exp.Expr) -> Piece:
    value, *items = _compared(scope, node.this, *node.expressions)
    listed = ", ".join(item.sql for item in items)
    return Piece(f"({value.sql} IN ({listed}))", BOOLEAN, fails_of(value, *items))


@rule(exp.Greatest, exp.Least)
def _extreme(scope: Expressions, node: exp.Expr) -> Piece:
    items = _compared(scope, node.this, *node.expressions)
    word = "greatest" if isinstance(node, exp.Greatest) else "least"
    return Piece(f"{word}({', '.join(item.sql for item in items)})", items[0].type, fails_of(*items))


@rule(exp.Nullif)
def _nullif(scope: Expressions, node: exp.Expr) -> Piece:
    value = scope.piece(node.this)
    one, two = _compared(scope, node.this, node.expression)
    sql = f"CASE WHEN {one.sql} = {two.sql} THEN NULL ELSE {value.sql} END"
    return Piece(sql, value.type, fails_of(one, two, value))


# ---- choices: only what is chosen can fail -----------------------------------------------------------


def _choice(cases: Sequence[tuple[Piece, Piece]], otherwise: Piece) -> Piece:
    values = unified([value for _, value in cases] + [otherwise])
    cases = [(coerced(when, BOOLEAN), value) for (when, _), value in zip(cases, values, strict=False)]
    arms = " ".join(f"WHEN {when.sql} THEN {value.sql}" for when, value in cases)
    sql = f"(CASE {arms} ELSE {values[-1].sql} END)"
    fails: tuple[str, ...] = ()
    if any(item.fails for pair in cases for item in pair) or values[-1].fails:
        arms = " ".join(
            (f"WHEN {any_of(when.fails)} THEN TRUE " if when.fails else "")
            + f"WHEN {when.sql} THEN {any_of(value.fails)}"
            for when, value in cases
        )
        fails = (f"(CASE {arms} ELSE {any_of(values[-1].fails)} END)",)
    return Piece(sql, values[0].type, fails)


@rule(exp.Case)
def _case(scope: Expressions, node: exp.Expr) -> Piece:
    subject, cases = node.args.get("this"), []
    for item in node.args["ifs"]:
        when = exp.EQ(this=subject.copy(), expression=item.this.copy()) if subject else item.this
        cases.append((scope.piece(when), scope.piece(item.args["true"])))
    default = node.args.get("default")
    return _choice(cases, scope.piece(default) if default is not None else Piece("NULL", NULL))


@rule(exp.If)
def _if(scope: Expressions, node: exp.Expr) -> Piece:
    parts = [node.this, node.args["true"], node.args.get("false") or exp.null()]
    when, value, otherwise = scope.pieces(parts)
    return _choice([(when, value)], otherwise)


@rule(exp.Coalesce)
def _coalesce(scope: Expressions, node: exp.Expr) -> Piece:
    items = unified(scope.pieces([node.this, *node.expressions]))
    fails, missing = list(items[0].fails), []
    for before, item in pairwise(items):
        missing.append(f"{before.sql} IS NULL")
        if item.fails:
            fails.append(f"({' AND '.join(missing)} AND ({any_of(item.fails)}))")
    return Piece(f"coalesce({', '.join(item.sql for item in items)})", items[0].type, tuple(fails))
