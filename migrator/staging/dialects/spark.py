"""Compiled expressions in Spark SQL: each construct by a rule of its own that keeps its meaning, others refused by name.

What has no rule and reads one row is computed by the engine itself where the row is, if the session has a way (`InPlace`).

In Spark's ANSI mode a failure would end the query where the engine's TRY yields null. So each piece carries, beside a text
that never fails, the conditions under which the engine's would; TRY asks them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from functools import reduce
from itertools import pairwise

from sqlglot import exp

from migrator.staging.dialects import spark_text
from migrator.staging.dialects.in_place import InPlace, computed, reads_more, reads_one_row
from migrator.staging.dialects.kinds import (
    BIGINT,
    BOOLEAN,
    DOUBLE,
    HUGE,
    INT,
    NULL,
    NUMERIC,
    TEXT,
    WHOLE,
    Base,
    NotCarried,
    Type,
    as_decimal,
    common_type,
    decimal,
    product_type,
    sum_type,
    type_of,
)  # fmt: skip
from migrator.staging.dialects.logic import logic_rules
from migrator.staging.dialects.piece import Columns, Piece, any_of, fails_of, null_fails

Nested = Callable[[exp.Expr, Columns], tuple[str, Columns]]
"""A query that stands inside an expression over these columns, in Spark SQL, and its own columns."""


def cast_sql(sql: str, kind: Type) -> str:
    """A cast that yields null instead of failing."""
    return f"try_cast({sql} AS {spark_text.type_name(kind)})"


class Expressions:
    """Expressions over some columns."""

    def __init__(self, columns: Columns, nested: Nested, in_place: InPlace | None = None) -> None:
        self._columns = columns
        self._nested = nested
        self._in_place = in_place

    def piece(self, node: exp.Expr) -> Piece:
        """`node` in Spark SQL; raises `NotCarried`."""
        if self._in_place is None or reads_more(node) or isinstance(node, exp.Column):
            return self._by_rule(node)
        try:
            return (Expressions(self._columns, self._nested) if reads_one_row(node) else self)._by_rule(node)
        except NotCarried as reason:
            if isinstance(node, exp.Alias | exp.Ordered):
                raise
            try:
                return computed(node, self.piece, self._in_place)
            except NotCarried:
                raise reason from None

    def _by_rule(self, node: exp.Expr) -> Piece:
        found = _RULES.get(type(node))
        if found is None:
            called = f"the function {node.name}" if isinstance(node, exp.Anonymous) else type(node).__name__
            raise NotCarried(f"{called} ({node.sql('duckdb')[:60]})")
        return found(self, node)

    def pieces(self, nodes: Sequence[exp.Expr]) -> list[Piece]:
        """Several of them."""
        return [self.piece(node) for node in nodes]

    def typed(self, name: str, kind: Type) -> Expressions:
        """The same with one more name: a lambda's."""
        return Expressions({**self._columns, name.lower(): kind}, self._nested, self._in_place)

    def query(self, node: exp.Expr) -> str:
        """A query inside an expression; it may read the columns around it."""
        return self._nested(node, self._columns)[0]

    def value(self, node: exp.Expr) -> Piece:
        """The one value of a query of one row."""
        sql, columns = self._nested(node, self._columns)
        (kind,) = columns.values()
        return Piece(f"({sql})", kind)

    def column(self, node: exp.Column) -> Piece:
        """A column, with its alias where it has one."""
        whole = self._columns.get(node.table.lower())
        if whole is not None and whole.base is Base.STRUCT:
            kind = dict(whole.inner).get(node.name)
        else:
            kind = self._columns.get(".".join(part.name.lower() for part in node.parts)) or self._columns.get(
                node.name.lower()
            )
        if kind is None:
            raise NotCarried(f"the column {node.sql('duckdb')}, whose type is not known")
        return Piece(".".join(spark_text.name(part.name) for part in node.parts), kind)


Rule = Callable[[Expressions, exp.Expr], Piece]
_RULES: dict[type[exp.Expr], Rule] = {}


def rule(*nodes: type[exp.Expr]) -> Callable[[Rule], Rule]:
    """Make a function the rule for some nodes."""

    def register(found: Rule) -> Rule:
        _RULES.update(dict.fromkeys(nodes, found))
        return found

    return register


def coerced(piece: Piece, kind: Type) -> Piece:
    """A piece as another type, the way the engine does it by itself."""
    if piece.type == kind or kind.base is Base.NULL:
        return piece
    if piece.constant is not None and kind.base is not Base.TEXT:
        return Piece(_constant(piece.constant, kind), kind, piece.fails)
    if (piece.type.base is Base.DECIMAL and kind.base is Base.DECIMAL) or piece.type.base in NUMERIC | {
        Base.NULL
    }:
        sql = cast_sql(piece.sql, kind)
        lossless = kind.base is not Base.DECIMAL or piece.type.base is Base.NULL
        return Piece(sql, kind, piece.fails if lossless else (*piece.fails, null_fails(sql, piece)))
    return Piece(cast_sql(piece.sql, kind), kind, piece.fails)


def _constant(value: str, kind: Type) -> str:
    """A text constant where another type is wanted; only what both read alike."""
    try:
        match kind.base:
            case Base.DATE:
                return f"DATE {spark_text.text(date.fromisoformat(value).isoformat())}"
            case Base.TIMESTAMP:
                return (
                    f"CAST({spark_text.text(datetime.fromisoformat(value).isoformat(' '))} AS TIMESTAMP_NTZ)"
                )
            case Base.INSTANT:
                return (
                    f"CAST({spark_text.text(datetime.fromisoformat(value).isoformat(' '))} AS TIMESTAMP_LTZ)"
                )
            case Base.BOOLEAN if value.lower() in ("true", "false"):
                return value.upper()
            case Base.DOUBLE if value in ("infinity", "-infinity"):
                return f"CAST('{value}' AS DOUBLE)"
            case base if (
                base in NUMERIC and value.lstrip("-").replace(".", "", 1).isdecimal() and value.isascii()
            ):
                return f"CAST({spark_text.text(value)} AS {spark_text.type_name(kind)})"
            case _:
                pass
    except ValueError:
        pass
    raise NotCarried(f"the text {value!r} where a {kind} is wanted")


def unified(pieces: Sequence[Piece]) -> list[Piece]:
    """Pieces as one type; text constants take the type of the others."""
    others = [piece.type for piece in pieces if piece.constant is None] or [TEXT]
    kind = reduce(common_type, others, NULL)
    return [coerced(piece, TEXT if kind is NULL and piece.constant is not None else kind) for piece in pieces]


def text_piece(piece: Piece) -> Piece:
    """A piece as the text the engine makes of it."""
    match piece.type.base:
        case Base.TEXT:
            return piece
        case Base.INSTANT:
            sql = f"concat(CAST({piece.sql} AS STRING), '+00')"
        case Base.DOUBLE:
            sql = spark_text.double_text(piece.sql)
        case Base.LIST | Base.STRUCT | Base.MAP:
            raise NotCarried(f"a {piece.type} as text")
        case _:
            sql = f"CAST({piece.sql} AS STRING)"
    return Piece(sql, TEXT, piece.fails)


# ---- constants, columns, logic -----------------------------------------------------------------


@rule(exp.Column)
def _column(scope: Expressions, node: exp.Expr) -> Piece:
    assert isinstance(node, exp.Column)  # noqa: S101  # by registration
    return scope.column(node)


@rule(exp.Identifier)
def _identifier(scope: Expressions, node: exp.Expr) -> Piece:
    return scope.column(exp.column(node.name))


@rule(exp.Literal)
def _literal(_scope: Expressions, node: exp.Expr) -> Piece:
    written = node.name
    if node.is_string:
        return Piece(spark_text.text(written), TEXT, constant=written)
    if written.isdigit():
        kind = INT if int(written) < 2**31 else BIGINT if int(written) < 2**63 else decimal(38, 0)
        return Piece(f"CAST({written} AS {spark_text.type_name(kind)})" if kind != INT else written, kind)
    if "e" in written.lower():
        return Piece(f"CAST('{written}' AS DOUBLE)", DOUBLE)
    whole, _, fraction = written.partition(".")
    kind = decimal(len(whole) + len(fraction), len(fraction))
    return Piece(f"CAST('{written}' AS {spark_text.type_name(kind)})", kind)


_RULES.update(logic_rules(coerced))


@rule(exp.Is)
def _is(scope: Expressions, node: exp.Expr) -> Piece:
    inner = scope.piece(node.this)
    return Piece(f"({inner.sql} IS {node.expression.sql()})", BOOLEAN, inner.fails)


_COMPARED: Mapping[type[exp.Expr], str] = {
    exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">=", exp.NullSafeEQ: "<=>",
    exp.NullSafeNEQ: "<=>",
}  # fmt: skip


@rule(*_COMPARED)
def _comparison(scope: Expressions, node: exp.Expr) -> Piece:
    left, right = unified(scope.pieces([node.this, node.expression]))
    sql = f"({left.sql} {_COMPARED[type(node)]} {right.sql})"
    return Piece(f"(NOT {sql})" if isinstance(node, exp.NullSafeNEQ) else sql, BOOLEAN, fails_of(left, right))


@rule(exp.Between)
def _between(scope: Expressions, node: exp.Expr) -> Piece:
    value, low, high = unified(scope.pieces([node.this, node.args["low"], node.args["high"]]))
    return Piece(f"({value.sql} BETWEEN {low.sql} AND {high.sql})", BOOLEAN, fails_of(value, low, high))


@rule(exp.In)
def _in(scope: Expressions, node: exp.Expr) -> Piece:
    if node.args.get("query") is not None:
        sought = scope.piece(node.this)
        return Piece(f"({sought.sql} IN ({scope.query(node.args['query'])}))", BOOLEAN, sought.fails)
    value, *items = unified(scope.pieces([node.this, *node.expressions]))
    return Piece(
        f"({value.sql} IN ({', '.join(item.sql for item in items)}))", BOOLEAN, fails_of(value, *items)
    )


@rule(exp.Like, exp.ILike)
def _like(scope: Expressions, node: exp.Expr) -> Piece:
    value, pattern = scope.pieces([node.this, node.expression])
    if pattern.constant is None or "\x01" in pattern.constant:
        raise NotCarried("a pattern of LIKE that is not a constant")
    found, wanted = value.sql, pattern.sql
    if isinstance(node, exp.ILike):
        found, wanted = spark_text.lower(found), spark_text.text(pattern.constant.lower())
    return Piece(f"({found} LIKE {wanted} ESCAPE '\\u0001')", BOOLEAN, value.fails)


# ---- choices: only what is chosen can fail -----------------------------------------------------------


def _choice(cases: Sequence[tuple[Piece, Piece]], otherwise: Piece) -> Piece:
    values = unified([value for _, value in cases] + [otherwise])
    cases = [(coerced(when, BOOLEAN), value) for (when, _), value in zip(cases, values, strict=False)]
    arms = " ".join(f"WHEN {when.sql} THEN {value.sql}" for when, value in cases)
    sql = f"CASE {arms} ELSE {values[-1].sql} END"
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
    when, value, otherwise = scope.pieces(
        [node.this, node.args["true"], node.args.get("false") or exp.null()]
    )
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


@rule(exp.Nullif)
def _nullif(scope: Expressions, node: exp.Expr) -> Piece:
    value, other = scope.pieces([node.this, node.expression])
    one, two = unified([value, other])
    kept = f"CASE WHEN {one.sql} = {two.sql} THEN NULL ELSE {value.sql} END"
    plain = f"nullif({value.sql}, {two.sql})" if one == value else kept
    return Piece(plain, value.type, fails_of(one, two, value))


@rule(exp.Greatest, exp.Least)
def _extreme(scope: Expressions, node: exp.Expr) -> Piece:
    items = unified(scope.pieces([node.this, *node.expressions]))
    word = "greatest" if isinstance(node, exp.Greatest) else "least"
    return Piece(f"{word}({', '.join(item.sql for item in items)})", items[0].type, fails_of(*items))


@rule(exp.Try)
def _try(scope: Expressions, node: exp.Expr) -> Piece:
    inner = scope.piece(node.this)
    if not inner.fails:
        return inner
    return Piece(f"CASE WHEN NOT ({any_of(inner.fails)}) THEN {inner.sql} END", inner.type)


# ---- numbers -----------------------------------------------------------------------------------


def _numbers(scope: Expressions, node: exp.Expr) -> tuple[Piece, Piece]:
    left, right = scope.pieces([node.this, node.expression])
    left, right = (
        coerced(item, other.type) if item.constant is not None else item
        for item, other in ((left, right), (right, left))
    )
    for item in (left, right):
        if item.type.base not in NUMERIC | {Base.NULL}:
            raise NotCarried(f"a calculation with a {item.type}: {node.sql('duckdb')[:60]}")
    return left, right


_CALCULATED: Mapping[type[exp.Expr], tuple[str, str]] = {
    exp.Add: ("+", "try_add"),
    exp.Sub: ("-", "try_subtract"),
    exp.Mul: ("*", "try_multiply"),
}


@rule(exp.Add, exp.Sub, exp.Mul)
def _arithmetic(scope: Expressions, node: exp.Expr) -> Piece:
    left, right = _numbers(scope, node)
    kind = (
        product_type(left.type, right.type) if isinstance(node, exp.Mul) else sum_type(left.type, right.type)
    )
    sign, verb = _CALCULATED[type(node)]
    if kind.base is Base.DOUBLE:
        one, two = coerced(left, DOUBLE), coerced(right, DOUBLE)
        return Piece(f"({one.sql} {sign} {two.sql})", DOUBLE, fails_of(one, two))
    one, two = (
        coerced(item, kind if kind.base in WHOLE else as_decimal(item.type)) for item in (left, right)
    )
    sql = f"{verb}({one.sql}, {two.sql})"
    sql = cast_sql(sql, kind) if kind.base is Base.DECIMAL else sql
    return Piece(sql, kind, (*fails_of(one, two), null_fails(sql, one, two)))


@rule(exp.Div)
def _div(scope: Expressions, node: exp.Expr) -> Piece:
    left, right = (coerced(item, DOUBLE) for item in _numbers(scope, node))
    return Piece(f"({left.sql} / nullif({right.sql}, 0D))", DOUBLE, fails_of(left, right))


@rule(exp.IntDiv, exp.Mod)
def _whole_division(scope: Expressions, node: exp.Expr) -> Piece:
    left, right = _numbers(scope, node)
    kind = common_type(left.type, right.type)
    modulo = isinstance(node, exp.Mod)
    if modulo and kind == DOUBLE and isinstance(node.expression, exp.Literal) and float(node.expression.name):
        return Piece(f"({coerced(left, kind).sql} % {coerced(right, kind).sql})", kind, left.fails)
    if kind.base not in WHOLE and not (modulo and kind.base is Base.DECIMAL):
        raise NotCarried(f"{'%' if modulo else '//'} of a {left.type} by a {right.type}")
    one, two = coerced(left, kind), coerced(right, kind)
    if modulo and kind.base in (Base.DECIMAL, Base.HUGE):
        sql = cast_sql(f"try_mod({one.sql}, {two.sql})", kind)
    elif kind == HUGE:
        if isinstance(node.expression, exp.Literal) and not _is_power_of_ten(node.expression.name):
            raise NotCarried("// of a hugeint by another number than a power of ten")
        sql = spark_text.let(_divided, one.sql, two.sql)
    else:
        least = "-2147483648" if kind == INT else "-9223372036854775807 - 1"
        safe = f"{two.sql} <> 0 AND NOT ({one.sql} = {least} AND {two.sql} = -1)"
        quotient = f"{one.sql} % nullif({two.sql}, 0)" if modulo else f"{one.sql} div nullif({two.sql}, 0)"
        sql = f"CASE WHEN {safe} THEN CAST({quotient} AS {spark_text.type_name(kind)}) END"
    return Piece(sql, kind, (*fails_of(one, two), null_fails(sql, one, two)))


def _is_power_of_ten(written: str) -> bool:
    return written.startswith("1") and not written.strip("10") and written.count("1") == 1


def _divided(one: str, two: str) -> str:
    """A number of up to 38 digits by a power of ten, the only divisor that queries have: its last digits go.

    Spark's own `div` ends at 64 bits, and its `/` rounds.
    """
    left = f"left(CAST({one} AS STRING), length(CAST({one} AS STRING)) - length(CAST({two} AS STRING)) + 1)"
    shorter = f"coalesce({cast_sql(f'nullif({left}, {chr(39) * 2})', HUGE)}, {cast_sql('0', HUGE)})"
    return f"CASE WHEN {one} >= 0 AND CAST({two} AS STRING) RLIKE '^10*$' THEN {shorter} END"


@rule(exp.Neg)
def _neg(scope: Expressions, node: exp.Expr) -> Piece:
    inner = scope.piece(node.this)
    if inner.type.base in WHOLE and not isinstance(node.this, exp.Literal):
        sql = f"try_subtract({cast_sql('0', inner.type)}, {inner.sql})"
        return Piece(sql, inner.type, (*inner.fails, null_fails(sql, inner)))
    return Piece(_negated(inner), inner.type, inner.fails)


@rule(exp.Abs)
def _abs(scope: Expressions, node: exp.Expr) -> Piece:
    inner = scope.piece(node.this)
    if inner.type.base in WHOLE:
        sql = f"CASE WHEN {inner.sql} < 0 THEN try_subtract({cast_sql('0', inner.type)}, {inner.sql}) ELSE {inner.sql} END"
        return Piece(sql, inner.type, (*inner.fails, null_fails(sql, inner)))
    sql = f"CASE WHEN {inner.sql} < 0 THEN {_negated(inner)} ELSE {inner.sql} END"
    return Piece(f"abs({inner.sql})" if inner.type == DOUBLE else sql, inner.type, inner.fails)


def _negated(inner: Piece) -> str:
    """Spark's own minus rounds decimals to 34 digits."""
    if inner.type.base is Base.DECIMAL:
        return cast_sql(f"try_subtract({cast_sql('0', inner.type)}, {inner.sql})", inner.type)
    return f"(- {inner.sql})"


@rule(exp.Ceil, exp.Floor)
def _rounded_off(scope: Expressions, node: exp.Expr) -> Piece:
    inner = scope.piece(node.this)
    word = "ceil" if isinstance(node, exp.Ceil) else "floor"
    if inner.type.base is Base.DECIMAL:
        kind = decimal(inner.type.precision, 0)
        return Piece(cast_sql(f"{word}({inner.sql})", kind), kind, inner.fails)
    value = coerced(inner, DOUBLE)
    negative = "WHEN d > -1 AND d < 0 THEN CAST('-0.0' AS DOUBLE) " if word == "ceil" else ""
    found = f"CASE WHEN d = 0 OR NOT abs(d) < 9e15D THEN d {negative}ELSE CAST({word}(d) AS DOUBLE) END"
    return Piece(f"transform(array({value.sql}), d -> {found})[0]", DOUBLE, value.fails)


@rule(exp.Round)
def _round(scope: Expressions, node: exp.Expr) -> Piece:
    inner, places = scope.piece(node.this), node.args.get("decimals")
    digits = int(places.sql()) if places is not None and places.sql().lstrip("-").isdigit() else None
    if places is not None and digits is None:
        raise NotCarried("round to a number of digits that is not a constant")
    count = digits or 0
    if inner.type.base is Base.DECIMAL and count >= 0:
        if count >= inner.type.scale:
            return inner
        kind = decimal(inner.type.precision, count)
        sql = cast_sql(f"round({inner.sql}, {count})", kind)
        return Piece(sql, kind, (*inner.fails, null_fails(sql, inner)))
    if inner.type.base in WHOLE and count >= 0:
        return inner
    if inner.type.base is Base.DOUBLE and count >= 0:
        return Piece(f"(round({inner.sql} * 1e{count}D) / 1e{count}D)", DOUBLE, inner.fails)
    raise NotCarried("round to tens or hundreds")


# ---- casts -----------------------------------------------------------------------------------------


@rule(exp.Cast, exp.TryCast)
def _cast(scope: Expressions, node: exp.Expr) -> Piece:
    kind, inner = type_of(node.args["to"]), scope.piece(node.this)
    if kind.base is Base.HASH and not isinstance(node.this, exp.Literal):
        raise NotCarried("a cast to ubigint")
    formula = node.find_ancestor(exp.Try) is not None
    found = _converted(inner, kind, formula=formula)
    lost = () if isinstance(node, exp.TryCast) else (null_fails(found.sql, inner),)
    return Piece(found.sql, kind, (*inner.fails, *(lost if _may_fail(inner.type, kind) else ())))


def _may_fail(given: Type, kind: Type) -> bool:
    return (
        given.base is not Base.NULL
        and kind.base is not Base.TEXT
        and given.base not in (Base.LIST, Base.STRUCT)
    )


def _converted(inner: Piece, kind: Type, *, formula: bool) -> Piece:  # noqa: PLR0911  # a table of pairs
    match inner.type.base, kind.base:
        case _, Base.TEXT if inner.type.base is not Base.NULL:
            return text_piece(inner)
        case Base.LIST, Base.LIST:
            return Piece(f"CAST({inner.sql} AS {spark_text.type_name(kind)})", kind)
        case Base.TEXT, base if inner.constant is not None and base not in (Base.BOOLEAN, Base.TIME):
            return Piece(_constant(inner.constant, kind), kind)
        case Base.TEXT, Base.DATE | Base.TIMESTAMP | Base.INSTANT | Base.TIME if formula:
            hint = "on Spark fewer forms are read; give the column its type in the schema, or use a field with type and format"
            raise NotCarried(f"a cast of a text to {kind} in an expression ({hint})")
        case Base.TEXT, base:
            return Piece(spark_text.let(lambda sql: _READ.get(base, cast_sql)(sql, kind), inner.sql), kind)
        case Base.DECIMAL, base if base in WHOLE:
            return Piece(cast_sql(f"round({inner.sql}, 0)", kind), kind)
        case Base.DOUBLE, base if base in WHOLE:
            return Piece(cast_sql(f"rint({inner.sql})", kind), kind)
        case Base.DOUBLE, Base.DECIMAL if formula:
            raise NotCarried(
                "a cast of a double to a decimal: the engines round its last digit in different ways"
            )
        case Base.INSTANT, Base.TIME:
            raise NotCarried("a cast of an instant to time")
        case _:
            return Piece(cast_sql(inner.sql, kind), kind)


_PLAIN_NUMBER = r"\A[ \t\n\x0B\f\r]*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[ \t\n\x0B\f\r]*\z"


def _read_whole(sql: str, kind: Type) -> str:
    number = f"try_cast({sql} AS DECIMAL(38, 18))"
    return f"CASE WHEN {sql} RLIKE {spark_text.text(_PLAIN_NUMBER)} THEN try_cast(round({number}, 0) AS {spark_text.type_name(kind)}) END"


def _read_huge(sql: str, kind: Type) -> str:
    return f"CASE WHEN {sql} RLIKE '\\\\A[+-]?[0-9]+\\\\z' THEN {cast_sql(sql, kind)} END"


def _read_number(sql: str, kind: Type) -> str:
    return f"CASE WHEN {sql} RLIKE {spark_text.text(_PLAIN_NUMBER)} THEN {cast_sql(f'trim({sql})', kind)} END"


def _read_boolean(sql: str, _: Type) -> str:
    true, false = "'true', 't', 'yes', 'y', '1'", "'false', 'f', 'no', 'n', '0'"
    return f"CASE WHEN lower({sql}) IN ({true}) THEN TRUE WHEN lower({sql}) IN ({false}) THEN FALSE END"


_READ: Mapping[Base, Callable[[str, Type], str]] = {
    Base.INT: _read_whole, Base.BIGINT: _read_whole, Base.DECIMAL: _read_number, Base.DOUBLE: _read_number,
    Base.HUGE: _read_huge, Base.BOOLEAN: _read_boolean,
}  # fmt: skip
