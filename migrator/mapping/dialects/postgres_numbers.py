"""Numbers and casts in PostgreSQL's SQL; importing it completes the rules of `postgres`."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from migrator.mapping.dialects.postgres import (
    Expressions,
    coerced,
    constant,
    conversion,
    rule,
)
from migrator.mapping.dialects.postgres_words import LIMITS, let, text, type_name, utc, within
from migrator.staging.dialects.kinds import (
    BIGINT,
    DOUBLE,
    INT,
    NUMERIC,
    TEXT,
    WHOLE,
    Base,
    NotCarried,
    Type,
    common_type,
    decimal,
    product_type,
    sum_type,
    type_of,
)  # fmt: skip
from migrator.staging.dialects.piece import Piece, fails_of, null_fails

_EXACT = WHOLE | {Base.DECIMAL}


@rule(exp.Literal)
def _literal(_: Expressions, node: exp.Expr) -> Piece:
    written = node.name
    if node.is_string:
        return Piece(text(written), TEXT, constant=written)
    if written.isdigit():
        kind = (
            INT
            if int(written) < LIMITS[Base.INT]
            else BIGINT
            if int(written) < LIMITS[Base.BIGINT]
            else decimal(38, 0)
        )
        return Piece(f"'{written}'::{type_name(kind)}", kind)
    if "e" in written.lower():
        if not 1e-150 < abs(float(written)) < 1e150:
            raise NotCarried(f"the number {written}")
        return Piece(f"'{written}'::double precision", DOUBLE)
    whole, fraction = written.split(".")
    kind = decimal(len(whole) + len(fraction), len(fraction))
    return Piece(f"'{written}'::{type_name(kind)}", kind)


def _numbers(scope: Expressions, node: exp.Expr) -> tuple[Piece, Piece]:
    left, right = scope.pieces([node.this, node.expression])
    for item in (left, right):
        if item.type.base not in NUMERIC:
            raise NotCarried(f"a calculation with a {item.type}: {node.sql('duckdb')[:60]}")
    return left, right


def _too_far(piece: Piece) -> tuple[str, ...]:
    """Where PostgreSQL would end the query with an overflow or underflow that is infinity or zero on the engine."""
    if piece.type.base is not Base.DOUBLE:
        return ()
    near = "v0 = 0 OR abs(v0) BETWEEN 1e-150 AND 1e150 OR v0 = 'NaN' OR abs(v0) = 'Infinity'"
    return (let(lambda v: f"({v} IS NOT NULL AND NOT ({near}))", piece.sql),)


def _floats(sign: str, left: Piece, right: Piece) -> Piece:
    far = (*_too_far(left), *_too_far(right))
    one, two = coerced(left, DOUBLE), coerced(right, DOUBLE)
    divisor = f"nullif({two.sql}, 0)" if sign == "/" else two.sql
    sql = f"({one.sql} {sign} {divisor})"
    guarded = f"CASE WHEN NOT ({' OR '.join(far)}) THEN {sql} END" if far else sql
    return Piece(guarded, DOUBLE, (*fails_of(one, two), *far))


_SIGNS: Mapping[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*"}


@rule(*_SIGNS)
def _arithmetic(scope: Expressions, node: exp.Expr) -> Piece:
    left, right = _numbers(scope, node)
    kind = (product_type if isinstance(node, exp.Mul) else sum_type)(left.type, right.type)
    if kind.base is Base.DOUBLE:
        return _floats(_SIGNS[type(node)], left, right)
    sql = within(f"({left.sql}::numeric {_SIGNS[type(node)]} {right.sql}::numeric)", kind)
    return Piece(sql, kind, (*fails_of(left, right), null_fails(sql, left, right)))


@rule(exp.Div)
def _div(scope: Expressions, node: exp.Expr) -> Piece:
    return _floats("/", *_numbers(scope, node))


@rule(exp.IntDiv, exp.Mod)
def _whole_division(scope: Expressions, node: exp.Expr) -> Piece:
    left, right = _numbers(scope, node)
    kind, modulo = common_type(left.type, right.type), isinstance(node, exp.Mod)
    if kind.base not in WHOLE and not (modulo and kind.base is Base.DECIMAL):
        raise NotCarried(f"{'%' if modulo else '//'} of a {left.type} by a {right.type}")
    one, two = coerced(left, kind), coerced(right, kind)
    operands = f"{one.sql}::numeric, nullif({two.sql}, 0)::numeric"
    sql = within(f"div({operands})", kind) if kind.base in WHOLE else within(f"mod({operands})", kind)
    if modulo and kind.base in WHOLE:  # it has a value where the quotient has one
        rest = within(f"mod({operands})", kind)
        sql = f"CASE WHEN {sql} IS NOT NULL THEN {rest} END"
    return Piece(sql, kind, (*fails_of(one, two), null_fails(sql, one, two)))


@rule(exp.Neg, exp.Abs)
def _sign(scope: Expressions, node: exp.Expr) -> Piece:
    inner = scope.piece(node.this)
    if inner.type.base not in NUMERIC:
        raise NotCarried(f"a sign of a {inner.type}")
    if inner.type.base is Base.DOUBLE:
        return Piece(
            f"abs({inner.sql})" if isinstance(node, exp.Abs) else f"(- {inner.sql})", DOUBLE, inner.fails
        )
    changed = f"abs({inner.sql}::numeric)" if isinstance(node, exp.Abs) else f"(- {inner.sql}::numeric)"
    sql = within(changed, inner.type)
    return Piece(sql, inner.type, (*inner.fails, null_fails(sql, inner)))


@rule(exp.Ceil, exp.Floor)
def _rounded_off(scope: Expressions, node: exp.Expr) -> Piece:
    inner = scope.piece(node.this)
    word = "ceil" if isinstance(node, exp.Ceil) else "floor"
    if inner.type.base is Base.DECIMAL:
        kind = decimal(inner.type.precision, 0)
        return Piece(f"{word}({inner.sql})::{type_name(kind)}", kind, inner.fails)
    if inner.type.base not in NUMERIC:
        raise NotCarried(f"{word} of a {inner.type}")
    value = coerced(inner, DOUBLE)
    return Piece(f"{word}({value.sql})", DOUBLE, value.fails)


@rule(exp.Round)
def _round(scope: Expressions, node: exp.Expr) -> Piece:
    inner, places = scope.piece(node.this), node.args.get("decimals")
    digits = 0 if places is None else int(places.name) if places.sql().isdigit() else -1
    if inner.type.base is Base.DOUBLE and digits == 0:
        half = "CASE WHEN abs(v0 - trunc(v0)) >= 0.5 THEN trunc(v0) + sign(v0) ELSE trunc(v0) END"
        return Piece(let(lambda _: half, inner.sql), DOUBLE, inner.fails)
    if inner.type.base not in _EXACT or digits < 0:
        raise NotCarried(f"round of a {inner.type} to a number of digits that is not a constant from 0")
    if digits >= inner.type.scale:
        return inner
    kind = decimal(inner.type.precision, digits)
    sql = within(inner.sql, kind)
    return Piece(sql, kind, (*inner.fails, null_fails(sql, inner)))


# ---- casts -----------------------------------------------------------------------------------------


@rule(exp.Cast, exp.TryCast)
def _cast(scope: Expressions, node: exp.Expr) -> Piece:
    kind, inner = type_of(node.args["to"]), scope.piece(node.this)
    if inner.constant is not None and kind.base is not Base.TEXT:
        return Piece(constant(inner.constant, kind), kind)
    found = coerced(inner, kind)
    return Piece(found.sql, kind, inner.fails if isinstance(node, exp.TryCast) else found.fails)


@conversion
def _converted(piece: Piece, kind: Type) -> Piece:  # noqa: PLR0911  # a table of pairs
    match piece.type.base, kind.base:
        case _, Base.TEXT:
            return as_text(piece)
        case given, wanted if given in _EXACT and wanted in _EXACT:
            sql = within(f"{piece.sql}::numeric", kind)
            return Piece(sql, kind, (*piece.fails, null_fails(sql, piece)))
        case given, Base.DOUBLE if given in _EXACT:
            return Piece(f"{piece.sql}::double precision", kind, piece.fails)
        case Base.DOUBLE, wanted if wanted in WHOLE:
            limit = LIMITS[wanted]
            fits = f"v0 >= -{limit}::double precision AND v0 < {limit}::double precision"
            sql = let(lambda v: f"CASE WHEN {fits} THEN {v}::{type_name(kind)} END", f"round({piece.sql})")
            return Piece(sql, kind, (*piece.fails, null_fails(sql, piece)))
        case given, Base.BOOLEAN if given in WHOLE:
            return Piece(f"({piece.sql} <> 0)", kind, piece.fails)
        case Base.BOOLEAN, wanted if wanted in WHOLE:
            return Piece(f"{piece.sql}::integer::{type_name(kind)}", kind, piece.fails)
        case (Base.DATE | Base.TIMESTAMP | Base.INSTANT) as given, (Base.DATE | Base.TIMESTAMP):
            return Piece(f"{utc(piece.sql, piece.type)}::{type_name(kind)}", kind, piece.fails)
        case ((Base.DATE | Base.TIMESTAMP), Base.INSTANT):
            return Piece(f"({piece.sql}::timestamp AT TIME ZONE 'UTC')", kind, piece.fails)
        case _:
            hint = (
                "give the column its type in the schema" if piece.type.base is Base.TEXT else "no rule for it"
            )
            raise NotCarried(f"a cast of a {piece.type} to {kind} ({hint})")


def as_text(piece: Piece) -> Piece:
    """A piece as the text that the engine makes of it."""
    match piece.type.base:
        case Base.TEXT:
            return piece
        case Base.NULL:
            return Piece("NULL::text", TEXT, piece.fails)
        case Base.DATE:
            sql = f"to_char({piece.sql}, 'YYYY-MM-DD')"
        case Base.TIMESTAMP | Base.INSTANT:
            written = f"to_char({utc(piece.sql, piece.type)}, 'YYYY-MM-DD HH24:MI:SS.US')"
            sql = f"rtrim(rtrim({written}, '0'), '.')"
            sql = f"({sql} || '+00')" if piece.type.base is Base.INSTANT else sql
        case Base.INT | Base.BIGINT | Base.DECIMAL | Base.BOOLEAN:
            sql = f"({piece.sql})::text"
        case _:
            raise NotCarried(f"a {piece.type} as text")
    return Piece(sql, TEXT, piece.fails)
