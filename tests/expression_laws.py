"""What every allowed function and operator yields, as plain Python over one row: the laws all engines are held to."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import pyarrow as pa

from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

Row = Mapping[str, Any]

SCHEMA = ObjectSchema(
    "T",
    "id",
    (
        FieldSchema("id", FieldType.ID),
        FieldSchema("a", FieldType.TEXT),
        FieldSchema("b", FieldType.TEXT),
        FieldSchema("n", FieldType.INTEGER),
        FieldSchema("k", FieldType.INTEGER),
        FieldSchema("d", FieldType.DECIMAL, precision=18, scale=2),
        FieldSchema("w", FieldType.DECIMAL, precision=38, scale=10),
        FieldSchema("x", FieldType.FLOAT),
        FieldSchema("p", FieldType.BOOLEAN),
        FieldSchema("day", FieldType.DATE),
        FieldSchema("at", FieldType.DATETIME),
    ),
)
"""`k` is small (-5 to 9), `w` as wide as decimals are; every other column is anything of its type, or null."""

ARROW = pa.schema(
    [
        ("id", pa.string()), ("a", pa.string()), ("b", pa.string()), ("n", pa.int64()), ("k", pa.int64()),
        ("d", pa.decimal128(18, 2)), ("w", pa.decimal128(38, 10)), ("x", pa.float64()), ("p", pa.bool_()),
        ("day", pa.date32()), ("at", pa.timestamp("us", tz="UTC")),
    ]
)  # fmt: skip


class NotComputed(Exception):  # an outcome, not an error
    """The expression has no value for this row, which is not the same as null."""


@dataclass(frozen=True, slots=True)
class Law:
    """An expression, and what it yields in plain Python when none of `strict` is null (else null)."""

    expression: str
    reference: Callable[[Row], object]
    strict: str = ""
    """Columns by one letter each (`D`: day, `T`: at), of which a null makes the whole null."""

    def value(self, row: Row) -> object:
        """The value by the reference; raises `NotComputed`."""
        names = [{"D": "day", "T": "at"}.get(letter, letter) for letter in self.strict]
        if any(row[name] is None for name in names):
            return None
        with localcontext(prec=120):
            return self.reference(row)


def _int64(value: int) -> int:
    if not -(2**63) <= value < 2**63:
        raise NotComputed
    return value


def _decimal(value: Decimal, precision: int, scale: int) -> Decimal:
    rounded = value.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)
    if abs(rounded) >= Decimal(10) ** (precision - scale):
        raise NotComputed
    return rounded


def _whole_quotient(left: int, right: int) -> int:
    if right == 0:
        raise NotComputed
    quotient = abs(left) // abs(right)
    return _int64(quotient if (left < 0) == (right < 0) else -quotient)


def _remainder(left: Any, right: Any) -> Any:
    """The sign is that of the left side."""
    if right == 0:
        raise NotComputed
    if (left, right) == (-(2**63), -1):
        raise NotComputed  # as the quotient, which does not fit 64 bits
    rest = abs(left) % abs(right)
    return -rest if left < 0 else rest


def _quotient(left: Any, right: Any) -> float | None:
    if right == 0:
        raise NotComputed
    return None if left is None else float(left) / float(right)


def _first(text: str, count: int) -> str:
    return text[:count]


def _last(text: str, count: int) -> str:
    return text[len(text) - count :] if 0 <= count <= len(text) else text if count > 0 else text[-count:]


def _padded(text: str, size: int, filler: str) -> str:
    missing = max(size - len(text), 0)
    return ((filler * missing)[:missing] + text)[: max(size, 0)]


def _part(text: str, separator: str, number: int) -> str:
    parts = text.split(separator)
    place = number - 1 if number > 0 else number
    return parts[place] if number and -len(parts) <= place < len(parts) else ""


def _substring(text: str, start: int, size: int) -> str:
    begin = start - 1 if start >= 0 else len(text) + start
    first, last = sorted((begin, begin + size))
    return text[max(first, 0) : max(last, 0)]


def _months(left: date, right: date) -> int:
    return (right.year - left.year) * 12 + right.month - left.month


def _epoch(moment: datetime) -> int:
    """Whole microseconds since 1970."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _made(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError:
        raise NotComputed from None


def _text(value: object) -> str:
    """A value as the text of an expression's result."""
    match value:
        case bool():
            return str(value).lower()
        case datetime():
            fraction = f".{value.microsecond:06d}".rstrip("0") if value.microsecond else ""
            return f"{value.strftime('%Y-%m-%d %H:%M:%S').zfill(19)}{fraction}+00"
        case Decimal():
            return f"{value:f}"
        case _:
            return str(value)


def _joined(*values: object) -> str:
    return "".join(_text(value) for value in values if value is not None)


def _pick(best: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    def picked(*values: Any) -> Any:
        given = [value for value in values if value is not None]
        return best(given) if given else None

    return picked


_least, _greatest = _pick(min), _pick(max)


def _half_up(value: Decimal, digits: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


def _read_integer(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise NotComputed
    return int(text)


def _both(left: bool | None, right: bool | None) -> bool | None:
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def _either(left: bool | None, right: bool | None) -> bool | None:
    if left or right:
        return True
    return None if left is None or right is None else False


def _found(pattern: str, text: str, group: int = 0) -> str:
    match = re.search(pattern, text, re.ASCII)
    return (match[group] or "") if match else ""


LAWS: Mapping[str, tuple[Law, ...]] = {
    "abs": (
        Law("abs(n)", lambda r: _int64(abs(r["n"])), "n"),
        Law("abs(w)", lambda r: abs(r["w"]), "w"),
        Law("abs(x)", lambda r: abs(r["x"]), "x"),
    ),
    "ceil": (
        Law("ceil(d)", lambda r: r["d"].to_integral_value(ROUND_CEILING) + 0, "d"),
        Law("ceil(x)", lambda r: float(math.ceil(r["x"])), "x"),
    ),
    "coalesce": (
        Law("coalesce(a, b, '王')", lambda r: next(v for v in (r["a"], r["b"], "王") if v is not None)),
        Law("coalesce(n, k)", lambda r: r["k"] if r["n"] is None else r["n"]),
    ),
    "concat": (
        Law("concat(a, b, '!')", lambda r: _joined(r["a"], r["b"], "!")),
        Law("concat(p, '/', n, '/', d, '/', day)", lambda r: _joined(r["p"], "/", r["n"], "/", r["d"], "/", r["day"])),
        Law("concat(at, ' ', w)", lambda r: _joined(r["at"], " ", r["w"])),
    ),
    "concat_ws": (
        Law("concat_ws(' - ', a, n, b)", lambda r: " - ".join(_text(v) for v in (r["a"], r["n"], r["b"]) if v is not None)),
        Law("concat_ws(a, b, 'z')", lambda r: r["a"].join(v for v in (r["b"], "z") if v is not None), "a"),
    ),
    "contains": (
        Law("contains(a, b)", lambda r: r["b"] in r["a"], "ab"),
        Law("contains(a, 'é')", lambda r: "é" in r["a"], "a"),
    ),
    "date_diff": (
        Law("date_diff('day', day, make_date(2024, 2, 29))", lambda r: (date(2024, 2, 29) - r["day"]).days, "D"),
        Law("date_diff('month', day, make_date(2024, 2, 29))", lambda r: _months(r["day"], date(2024, 2, 29)), "D"),
        Law("date_diff('year', day, make_date(2024, 2, 29))", lambda r: 2024 - r["day"].year, "D"),
        Law("date_diff('day', at, cast('2024-02-29 12:00:00' as timestamptz))", lambda r: (date(2024, 2, 29) - r["at"].date()).days, "T"),
        Law("date_diff('hour', at, cast('2024-02-29 12:00:00' as timestamptz))", lambda r: _epoch(datetime(2024, 2, 29, 12, tzinfo=UTC)) // 3_600_000_000 - _epoch(r["at"]) // 3_600_000_000, "T"),
    ),
    "date_trunc": (
        Law("date_trunc('month', day)", lambda r: datetime(r["day"].year, r["day"].month, 1), "D"),  # noqa: DTZ001
        Law("date_trunc('year', at)", lambda r: datetime(r["at"].year, 1, 1, tzinfo=UTC), "T"),
        Law("date_trunc('hour', at)", lambda r: r["at"].replace(minute=0, second=0, microsecond=0), "T"),
    ),
    "day": (Law("day(day)", lambda r: r["day"].day, "D"), Law("day(at)", lambda r: r["at"].day, "T")),
    "ends_with": (Law("ends_with(a, b)", lambda r: r["a"].endswith(r["b"]), "ab"),),
    "floor": (
        Law("floor(d)", lambda r: r["d"].to_integral_value(ROUND_FLOOR), "d"),
        Law("floor(x)", lambda r: float(math.floor(r["x"])), "x"),
    ),
    "greatest": (
        Law("greatest(n, k)", lambda r: _greatest(r["n"], r["k"])),
        Law("greatest(d, w, 1)", lambda r: _greatest(r["d"], r["w"], Decimal(1))),
        Law("greatest(a, b)", lambda r: _greatest(r["a"], r["b"])),
        Law("greatest(day, make_date(2000, 1, 1))", lambda r: _greatest(r["day"], date(2000, 1, 1))),
    ),
    "if": (Law("if(p, a, b)", lambda r: r["a"] if r["p"] else r["b"]),),
    "least": (
        Law("least(n, k)", lambda r: _least(r["n"], r["k"])),
        Law("least(a, b, '王')", lambda r: _least(r["a"], r["b"], "王")),
    ),
    "left": (
        Law("left(a, 3)", lambda r: _first(r["a"], 3), "a"),
        Law("left(a, k)", lambda r: _first(r["a"], r["k"]), "ak"),
    ),
    "length": (Law("length(a)", lambda r: len(r["a"]), "a"),),
    "lower": (Law("lower(left(a, 0) || 'ÄBC Жé王')", lambda _: "äbc жé王", "a"),),
    "lpad": (
        Law("lpad(a, 6, '0')", lambda r: _padded(r["a"], 6, "0"), "a"),
        Law("lpad(a, cast(k as int), '王x')", lambda r: _padded(r["a"], r["k"], "王x"), "ak"),
    ),
    "make_date": (Law("make_date(2024, k, 31)", lambda r: _made(2024, r["k"], 31), "k"),),
    "month": (Law("month(day)", lambda r: r["day"].month, "D"), Law("month(at)", lambda r: r["at"].month, "T")),
    "nullif": (
        Law("nullif(a, b)", lambda r: None if r["a"] == r["b"] else r["a"]),
        Law("nullif(k, 1)", lambda r: None if r["k"] == 1 else r["k"]),
    ),
    "regexp_extract": (
        Law("regexp_extract(a, '([0-9]+)', 1)", lambda r: _found("([0-9]+)", r["a"], 1), "a"),
        Law(r"regexp_extract(a, '(\w)?\s', 1)", lambda r: _found(r"([0-9A-Za-z_])?[\t\n\f\r ]", r["a"], 1), "a"),
    ),
    "regexp_matches": (
        Law(r"regexp_matches(a, '^\d')", lambda r: bool(_found("^[0-9]", r["a"])), "a"),
        Law("regexp_matches(a, 'b$')", lambda r: r["a"].endswith("b"), "a"),
        Law("regexp_matches(a, '^..$')", lambda r: len(r["a"]) == 2 and "\n" not in r["a"], "a"),
    ),
    "regexp_replace": (
        Law("regexp_replace(a, '[^0-9]', '', 'g')", lambda r: re.sub("[^0-9]", "", r["a"]), "a"),
        Law("regexp_replace(a, 'b', '$1/', '')", lambda r: r["a"].replace("b", "$1/", 1), "a"),
        Law(r"regexp_replace(a, '([a-z])', '<\1>', 'g')", lambda r: re.sub("([a-z])", r"<\1>", r["a"]), "a"),
    ),
    "replace": (
        Law("replace(a, 'b', '王')", lambda r: r["a"].replace("b", "王"), "a"),
        Law("replace(a, '', 'x')", lambda r: r["a"], "a"),
    ),
    "reverse": (Law("reverse(concat(k, 'ab王'))", lambda r: _joined(r["k"], "ab王")[::-1]),),
    "right": (
        Law("right(a, 4)", lambda r: _last(r["a"], 4), "a"),
        Law("right(a, k)", lambda r: _last(r["a"], r["k"]), "ak"),
    ),
    "round": (
        Law("round(d, 1)", lambda r: _half_up(r["d"], 1), "d"),
        Law("round(w)", lambda r: _half_up(r["w"], 0), "w"),
        Law("round(cast(k as double) / 2)", lambda r: float(_half_up(Decimal(r["k"]) / 2, 0)), "k"),
    ),
    "split_part": (
        Law("split_part(a, ' ', 1)", lambda r: _part(r["a"], " ", 1), "a"),
        Law("split_part(a, 'b', k)", lambda r: _part(r["a"], "b", r["k"]), "ak"),
    ),
    "starts_with": (Law("starts_with(a, b)", lambda r: r["a"].startswith(r["b"]), "ab"),),
    "strftime": (
        Law("strftime(day, '%d.%m.%Y')", lambda r: f"{r['day'].day:02d}.{r['day'].month:02d}.{r['day'].year:04d}", "D"),
        Law("strftime(at, '%Y-%m-%dT%H:%M:%S.%f')", lambda r: r["at"].replace(tzinfo=None).isoformat(timespec="microseconds"), "T"),
        Law("strftime(at, '%I:%M %p %y %%')", lambda r: f"{(r['at'].hour + 11) % 12 + 1:02d}:{r['at'].minute:02d} {'AM' if r['at'].hour < 12 else 'PM'} {r['at'].year % 100:02d} %", "T"),
    ),
    "strpos": (
        Law("strpos(a, b)", lambda r: r["a"].find(r["b"]) + 1, "ab"),
        Law("strpos(a, '')", lambda _: 1, "a"),
    ),
    "substring": (
        Law("substring(a, 2, 3)", lambda r: r["a"][1:4], "a"),
        Law("substring(a, 2)", lambda r: r["a"][1:], "a"),
        Law("substring(a, k, 2)", lambda r: _substring(r["a"], r["k"], 2), "ak"),
    ),
    "translate": (
        Law("translate(a, 'bé王', 'xy')", lambda r: r["a"].translate({98: "x", 233: "y", 29579: None}), "a"),
    ),
    "trim": (
        Law("trim(a)", lambda r: r["a"].strip(_TRIMMED), "a"),
        Law("ltrim(a)", lambda r: r["a"].lstrip(_TRIMMED), "a"),
        Law("rtrim(a)", lambda r: r["a"].rstrip(_TRIMMED), "a"),
        Law("trim(a, 'b0')", lambda r: r["a"].strip("b0"), "a"),
    ),
    "upper": (Law("upper(left(a, 0) || 'äbc жé王')", lambda _: "ÄBC ЖÉ王", "a"),),
    "year": (Law("year(day)", lambda r: r["day"].year, "D"), Law("year(at)", lambda r: r["at"].year, "T")),
}  # fmt: skip
"""Function → its laws."""

_TRIMMED = " \xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
"""What trim without an argument takes: every space of Unicode (category Zs), no tab and no line break."""

OPERATOR_LAWS: Mapping[str, tuple[Law, ...]] = {
    "+ - * / // %": (
        Law("n + k", lambda r: _int64(r["n"] + r["k"]), "nk"),
        Law("n - k", lambda r: _int64(r["n"] - r["k"]), "nk"),
        Law("n * k", lambda r: _int64(r["n"] * r["k"]), "nk"),
        Law("d + w", lambda r: _decimal(r["d"] + r["w"], 38, 10), "dw"),
        Law("d * 2 - 1.5", lambda r: _decimal(r["d"] * 2, 18, 2) - Decimal("1.50"), "d"),
        Law("w * 10", lambda r: _decimal(r["w"] * 10, 38, 10), "w"),
        Law("n / k", lambda r: _quotient(r["n"], r["k"]), "k"),
        Law("d / k", lambda r: _quotient(r["d"], r["k"]), "k"),
        Law("n // k", lambda r: _whole_quotient(r["n"], r["k"]), "nk"),
        Law("n % k", lambda r: _remainder(r["n"], r["k"]), "nk"),
        Law("d % 7", lambda r: _remainder(r["d"], 7), "d"),
        Law("-d", lambda r: -r["d"] + 0, "d"),
    ),
    "||": (Law("a || b", lambda r: r["a"] + r["b"], "ab"), Law("a || n", lambda r: r["a"] + str(r["n"]), "an")),
    "= <> < <= > >=": (
        Law("a < b", lambda r: r["a"] < r["b"], "ab"),
        Law("a = b", lambda r: r["a"] == r["b"], "ab"),
        Law("d >= k", lambda r: r["d"] >= r["k"], "dk"),
        Law("d <> 1.5", lambda r: r["d"] != Decimal("1.5"), "d"),
        Law("day > make_date(2000, 1, 1)", lambda r: r["day"] > date(2000, 1, 1), "D"),
    ),
    "and or not": (
        Law("p and k > 1", lambda r: _both(r["p"], None if r["k"] is None else r["k"] > 1)),
        Law("p or k > 1", lambda r: _either(r["p"], None if r["k"] is None else r["k"] > 1)),
        Law("not p", lambda r: not r["p"], "p"),
    ),
    "is null": (Law("a is null", lambda r: r["a"] is None), Law("k is not null", lambda r: r["k"] is not None)),
    "is distinct from": (Law("a is distinct from b", lambda r: r["a"] != r["b"]),),
    "in (…)": (
        Law("a in ('b', 'é', '')", lambda r: r["a"] in ("b", "é", ""), "a"),
        Law("k not in (1, 2)", lambda r: r["k"] not in (1, 2), "k"),
    ),
    "between": (Law("k between 0 and 3", lambda r: 0 <= r["k"] <= 3, "k"),),
    "like ilike": (
        Law("a like 'b%'", lambda r: r["a"].startswith("b"), "a"),
        Law("a like '_'", lambda r: len(r["a"]) == 1, "a"),
        Law("a ilike '%B'", lambda r: r["a"].endswith(("b", "B")), "a"),
    ),
    "case when … then … else … end": (
        Law("case when k > 3 then 'big' when k > 0 then 'small' else a end", lambda r: r["a"] if r["k"] is None or r["k"] <= 0 else "big" if r["k"] > 3 else "small"),
        Law("case k when 1 then 'one' when 2 then 'two' end", lambda r: {1: "one", 2: "two"}.get(r["k"])),
        Law("case when k = 0 then 0 else n // k end", lambda r: None if r["k"] is None else 0 if r["k"] == 0 else None if r["n"] is None else _whole_quotient(r["n"], r["k"])),
    ),
    "cast(… as TYPE), try_cast(… as TYPE)": (
        Law("cast(d as int)", lambda r: _int32(int(_half_up(r["d"], 0))), "d"),
        Law("cast(n as decimal(18, 2))", lambda r: _decimal(Decimal(r["n"]), 18, 2), "n"),
        Law("cast(d as text)", lambda r: _text(r["d"]), "d"),
        Law("cast(p as text)", lambda r: _text(r["p"]), "p"),
        Law("cast(at as text)", lambda r: _text(r["at"]), "T"),
        Law("cast(at as date)", lambda r: r["at"].date(), "T"),
        Law("cast(day as timestamp)", lambda r: datetime(r["day"].year, r["day"].month, r["day"].day), "D"),  # noqa: DTZ001
        Law("cast(w as double)", lambda r: float(r["w"]), "w"),
        Law("cast(d as decimal(12, 1))", lambda r: _decimal(r["d"], 12, 1), "d"),
        Law("cast(k as boolean)", lambda r: r["k"] != 0, "k"),
    ),
    "constants and parentheses": (
        Law("(k + 1) * 2", lambda r: (r["k"] + 1) * 2, "k"),
        Law("concat(true, 'it''s', 1.50, null)", lambda _: "trueit's1.50"),
    ),
}  # fmt: skip
"""Operator as the reference calls it → its laws."""


def _int32(value: int) -> int:
    if not -(2**31) <= value < 2**31:
        raise NotComputed
    return value


def all_laws() -> list[Law]:
    """Every law of functions and operators."""
    return [law for laws in (*LAWS.values(), *OPERATOR_LAWS.values()) for law in laws]
