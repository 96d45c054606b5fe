"""Dates and times in PostgreSQL's SQL; importing it completes the rules of `postgres`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlglot import exp

from migrator.mapping.dialects.postgres import Expressions, rule
from migrator.mapping.dialects.postgres_text import constant_of, small
from migrator.mapping.dialects.postgres_words import let, text, utc
from migrator.staging.dialects.kinds import BIGINT, DATE, INSTANT, TEXT, TIMESTAMP, Base, NotCarried
from migrator.staging.dialects.piece import Piece, fails_of, null_fails

_PARTS: Mapping[type[exp.Expr], str] = {exp.Year: "year", exp.Month: "month", exp.Day: "day"}
_UNITS = ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND")
_SECONDS = {"HOUR": 3600, "MINUTE": 60, "SECOND": 1}
_WRITE = {
    "%Y": "YYYY", "%y": "YY", "%m": "MM", "%d": "DD", "%H": "HH24", "%I": "HH12", "%M": "MI", "%S": "SS",
    "%f": "US", "%p": "AM", "%b": "Mon", "%B": "FMMonth", "%a": "Dy", "%A": "FMDay",
}  # fmt: skip


def _moment(piece: Piece) -> Piece:
    if piece.type.base not in (Base.DATE, Base.TIMESTAMP, Base.INSTANT):
        raise NotCarried(f"a {piece.type} where a date or time is wanted")
    return piece


@rule(*_PARTS)
def _part(scope: Expressions, node: exp.Expr) -> Piece:
    value = _moment(scope.piece(node.this))
    sql = f"extract({_PARTS[type(node)]} FROM {utc(value.sql, value.type)})::bigint"
    return Piece(sql, BIGINT, value.fails)


@rule(exp.TimestampTrunc)
def _trunc(scope: Expressions, node: exp.Expr) -> Piece:
    value, unit = _moment(scope.piece(node.this)), node.args["unit"].name.upper()
    if unit not in _UNITS:
        raise NotCarried(f"date_trunc to {unit.lower()}")
    sql = f"date_trunc('{unit.lower()}', {utc(value.sql, value.type)})"
    if value.type.base is Base.INSTANT:
        return Piece(f"({sql} AT TIME ZONE 'UTC')", INSTANT, value.fails)
    return Piece(sql, TIMESTAMP, value.fails)


@rule(exp.DateDiff)
def _difference(scope: Expressions, node: exp.Expr) -> Piece:
    end, start = (_moment(item) for item in scope.pieces([node.this, node.expression]))
    unit = node.args["unit"].name.upper()
    sql = f"({_count(end, unit)} - {_count(start, unit)})::bigint"
    return Piece(sql, BIGINT, fails_of(start, end))


def _count(piece: Piece, unit: str) -> str:
    """Whole units from a fixed moment to a moment."""
    match unit:
        case "DAY":
            return let(lambda v: f"({v}::date - '1970-01-01'::date)", utc(piece.sql, piece.type))
        case "MONTH" | "QUARTER":
            size = 12 if unit == "MONTH" else 4
            sql = utc(piece.sql, piece.type)
            return let(lambda v: f"(extract(year FROM {v}) * {size} + extract({unit.lower()} FROM {v}))", sql)
        case "YEAR":
            return f"extract(year FROM {utc(piece.sql, piece.type)})"
        case "HOUR" | "MINUTE" | "SECOND" if piece.type.base is Base.INSTANT:
            return f"floor(extract(epoch FROM {piece.sql}) / {_SECONDS[unit]})"
        case _:
            raise NotCarried(f"date_diff in {unit.lower()}s of a {piece.type}")


@rule(exp.TimeToStr)
def _strftime(scope: Expressions, node: exp.Expr) -> Piece:
    value, form = _moment(scope.piece(node.this)), constant_of(scope.piece(node.args["format"]), "a format")
    return Piece(f"to_char({utc(value.sql, value.type)}, {text(_format(form))})", TEXT, value.fails)


def _format(form: str) -> str:
    """A format in PostgreSQL's words; two quotes keep a directive from running into the next."""
    if '"' in form or "\\" in form:
        raise NotCarried(f"the format {form!r}: a double quote or backslash in it")
    parts = []
    for item in re.findall(r"%.|[^%]+", form, re.DOTALL):
        if item in _WRITE:
            parts.append(f'{_WRITE[item]}""')
        elif item.startswith("%") and item != "%%":
            raise NotCarried(f"the directive {item} of the format {form!r}")
        else:
            parts.append(f'"{item.replace("%%", "%")}"')
    return "".join(parts)


@rule(exp.DateFromParts)
def _make_date(scope: Expressions, node: exp.Expr) -> Piece:
    parts = [small(scope.piece(node.args[name])) for name in ("year", "month", "day")]

    def made(year: str, month: str, day: str) -> str:
        last = f"extract(day FROM make_date({year}, {month}, 1) + interval '1 month - 1 day')"
        sane = f"{year} BETWEEN 1 AND 9999 AND {month} BETWEEN 1 AND 12 AND {day} BETWEEN 1 AND 31"
        return (
            f"CASE WHEN {sane} THEN CASE WHEN {day} <= {last} THEN make_date({year}, {month}, {day}) END END"
        )

    sql = let(made, *(part.sql for part in parts))
    return Piece(sql, DATE, (*fails_of(*parts), null_fails(sql, *parts)))
