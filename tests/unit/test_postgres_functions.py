"""Every law of expressions holds on PostgreSQL: the same values as plain Python and the engine, the same failures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from migrator.core.errors import Location
from migrator.mapping.compile_source import tried
from migrator.mapping.dialects.postgres import Carried, postgres_expression
from migrator.mapping.expressions import parse_formula
from migrator.mapping.staged_columns import columns_of
from migrator.staging.dialects.kinds import NotCarried
from migrator.staging.dialects.statement import arrow_columns
from tests.expression_laws import ARROW, SCHEMA, Law, NotComputed, Row, all_laws
from tests.mapping_kit import engine

TEXTS = [
    None, "", " ", "b", "ab", "b b", "bab", "1b", "A1b\n", "9\t", "a\r\nb", "  12 ", "王小明", "e\u0301", "é王b", "\u3000x\u00a0",
    "👨‍👩‍👧 x", "😀b", "\uffff", "it's \"q\"\\ $1", "%_\\", "ÄB", "straße ẞ", "long enough text 0012 b", "b0b", "B", "\x01", "x_1 y2",
]  # fmt: skip
VALUES: dict[str, list[Any]] = {
    "a": TEXTS,
    "b": ["b", "", None, "é", "王", "a", "\\", "%", "B"],
    "n": [None, 0, 7, -7, 2**63 - 1, -(2**63), 10**17],
    "k": [0, 1, -1, None, 3, -5, 9, 2, -2, 4, 5],
    "d": [None, Decimal("0.00"), Decimal("-0.05"), Decimal("2.25"), Decimal("9999999999999999.99"), Decimal("-7.50")],
    "w": [None, Decimal("0E-10"), Decimal("1E-10"), Decimal("9" * 28 + "." + "9" * 10), Decimal("-2.5000000000")],
    "x": [None, 0.0, -0.0, 0.5, -0.5, 2.5, 1e15, -1.25, 1e-5, 2e14, 123456.789, 5e-324, -1e15],
    "p": [True, None, False],
    "day": [date(2024, 2, 29), date(1, 1, 1), date(9999, 12, 31), None, date(1969, 12, 31)],
    "at": [datetime(2024, 2, 29, 23, 59, 59, 999999, UTC), datetime(1, 1, 2, tzinfo=UTC), None, datetime(1969, 12, 31, 23, 30, tzinfo=UTC), datetime(9999, 12, 30, 1, 2, 3, 40, UTC)],
}  # fmt: skip
TYPES = {
    "id": "text", "a": "text", "b": "text", "n": "bigint", "k": "bigint", "d": "numeric(18,2)", "w": "numeric(38,10)",
    "x": "double precision", "p": "boolean", "day": "date", "at": "timestamptz",
}  # fmt: skip
ROWS = [
    {"id": str(n), **{name: listed[n % len(listed)] for name, listed in VALUES.items()}} for n in range(300)
]


def carried(expression: str) -> Carried:
    formula = parse_formula(
        expression, columns_of(SCHEMA, ARROW), lambda offset: Location("m.yaml", 1, offset)
    )
    return postgres_expression(formula.sql, arrow_columns(ARROW))


@pytest.fixture
def rows(postgres_url: str) -> Iterator[psycopg.Cursor[Any]]:
    """The rows as the table `given`, in a session whose own settings are of no help."""
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SET DateStyle = 'ISO, DMY'; SET standard_conforming_strings = off; SET escape_string_warning = off"
        )
        cursor.execute(
            f"CREATE TEMP TABLE given ({', '.join(f'{name} {kind}' for name, kind in TYPES.items())})"
        )
        cursor.executemany(
            f"INSERT INTO given VALUES ({', '.join(f'%({name})s' for name in TYPES)})",
            ROWS,
        )
        cursor.execute("SET TimeZone = 'Asia/Shanghai'")
        yield cursor


def outcome(law: Law, row: Row) -> object:
    try:
        return (law.value(row), False)
    except NotComputed:
        return (None, True)


def test_every_function_and_operator_agrees_with_python(rows: psycopg.Cursor[Any]):
    wrong: list[object] = []
    laws = all_laws()
    found = [carried(law.expression) for law in laws]
    listed = ", ".join(f"{item.sql}, {item.fails}" for item in found)
    answers = rows.execute(f"SELECT {listed} FROM given ORDER BY id::int", prepare=False).fetchall()
    for row, answer in zip(ROWS, answers, strict=True):
        for n, law in enumerate(laws):
            seen, expected = answer[2 * n : 2 * n + 2], outcome(law, row)
            if seen != expected:
                wrong.append((law.expression, seen, expected))
    assert {item[0]: item for item in wrong} == {}


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("cast(a as int)", "a cast of a text to int"),
        ("cast(x as text)", "a double as text"),
        ("cast(x as decimal(9, 2))", "a cast of a double to decimal"),
        ("cast(at as time)", "a cast of a timestamptz to time"),
        ("d // 2", "// of a decimal"),
        ("round(x, 2)", "round of a double"),
        ("round(d, -1)", "round of a decimal"),
        ("date_diff('week', day, day)", "date_diff in weeks"),
        ("date_trunc('decade', day)", "date_trunc to decade"),
        ("strftime(day, '%j')", "the directive %j"),
        ("strftime(day, '\"%d\"')", "a double quote"),
        (r"regexp_replace(a, 'b', '\1')", "the replacement"),
        ("strftime(day, a)", "a format that is not a constant"),
        ("regexp_matches(a, b)", "not a constant"),
        ("regexp_matches(a, '(?i)b')", "the regular expression"),
        (r"regexp_matches(a, '\bx')", "in the regular expression"),
        ("regexp_matches(a, 'x+?')", "the regular expression"),
        ("regexp_extract(a, 'a|ab')", "alternatives"),
        ("regexp_extract(a, 'a*b*')", "more than one repetition"),
        ("regexp_replace(a, '((x))*', '-', 'g')", "may match nothing"),
        ("a like b", "LIKE that is not a constant"),
        ("split_part(a, b, 1)", "not a constant"),
        ("lpad(a, 3, b)", "not a constant"),
    ],
)
def test_what_would_differ_is_refused_by_name(expression: str, told: str):
    with pytest.raises(NotCarried, match=re.escape(told)):
        carried(expression)


EXTRAS = [
    "upper(a)", "lower(a)", "a ilike '%Ä%'", "a like 'it''s%'", "a like '%\\'", "a > b", "reverse(b)", "replace(a, b, '\\')",
    r"regexp_matches(a, '^[[:alpha:]_]+$')", r"regexp_matches(a, 'b b|^王|[.\-\]]$')", r"regexp_matches(a, '^\s*\d+\s*$')",
    r"regexp_matches(a, '[^a-z\d]{2,3}')", r"regexp_matches(a, '\W\S\D')", r"regexp_extract(a, '[a-c]\d+')",
    r"regexp_extract(a, '(b)(.)?', 2)", r"regexp_replace(a, '\\', '\\\\', 'g')", r"regexp_replace(a, '(.)b', '\1\1')",
    r"regexp_extract(a, '\w+')", "substring(a, k)", "substring(a, 3, k)", "left(a, n)", "right(a, n)", "lpad(a, cast(k as int), 'xy')",
    "split_part(a, 'b', n)", "greatest(a, b, 'b')", "k * k * n", "n + k + 1", "abs(k) - n", "-n", "w * w", "w + w", "d % k",
    "x / 3", "x * x", "x + k", "x - 1.5", "x > k", "x = 0", "round(x)", "ceil(x)", "cast(x as int)", "cast(x as bigint)",
    "cast(d as bigint)", "cast(w as decimal(12, 3))", "cast(n as int)", "cast(n as double)", "cast(p as int)",
    "round(w, 3)", "round(d, 0)", "d / w", "try_cast(n as int)", "case when k = 0 then n // k else n + n end",
    "if(k > 0, n * k, null)", "coalesce(n + n, k)", "coalesce(null, n // k)", "nullif(d, 0)", "k in (1, null)", "p = 'true'",
    "day = '2024-02-29'", "at >= '2024-01-01'", "at > day", "cast(at as timestamp)", "cast(day as text) || '|' || cast(cast(day as timestamp) as text)",
    "strftime(at, '%d%m%y %B %b %a %A, day 50%%')", "date_trunc('week', greatest(at, cast('2000-01-05' as timestamptz)))", "date_trunc('quarter', day)", "date_diff('quarter', day, at)",
    "date_diff('second', at, cast('2024-02-29' as timestamptz))", "make_date(2023, k, 28 + k)", "make_date(2000 + k, 2, 29)",
    "not (a = b) or p", "p is true", "a is not distinct from b", "-9223372036854775807 - n", "1e3 * k", "12345678901 * k", "1 / 0", "2147483647 + 1",
]  # fmt: skip
"""Beside the laws: what nests, overflows, or is read in another way by one of the two."""


STRICTER = {"left(a, n)", "right(a, n)", "split_part(a, 'b', n)", "x / 3", "x * x", "x + k", "x - 1.5"}
"""Where PostgreSQL may fail on a number that is too large or too close to zero, never yield another value."""


def test_other_expressions_agree_with_the_engine(rows: psycopg.Cursor[Any], tmp_path: Path):
    assert differences(rows, tmp_path, EXTRAS) == {}


PATTERNS = [
    f"{start}{piece}{times}{end}"
    for piece in [
        "b",
        "[a-c]",
        "[^b]",
        ".",
        r"\d",
        r"\w",
        r"\s",
        "(b)",
        "(?:ab)",
        "王",
        r"\.",
        "[0-9-]",
        r"[\s_]",
    ]
    for times in ["", "+", "*", "?", "{2}", "{1,2}"]
    for start, end in [("", ""), ("^a?", "$")]
]


def test_patterns_match_the_same_texts(rows: psycopg.Cursor[Any], tmp_path: Path):
    forms = ("regexp_matches(a, '{}')", "regexp_extract(a, '{}')", "regexp_replace(a, '{}', '<>', 'g')")
    written = [form.replace("{}", pattern) for form in forms for pattern in PATTERNS]
    carriable = [expression for expression in written if is_carried(expression)]
    assert len(carriable) > len(PATTERNS) * 1.5
    assert differences(rows, tmp_path, carriable) == {}


def is_carried(expression: str) -> bool:
    try:
        carried(expression)
    except NotCarried:
        return False
    return True


def differences(
    rows: psycopg.Cursor[Any], folder: Path, expressions: Sequence[str]
) -> dict[str, tuple[object, ...]]:
    """For each expression that the two compute in different ways: the engine's answer, PostgreSQL's, a row."""
    compiled = [carried(expression) for expression in expressions]
    listed = ", ".join(f"{item.sql}, {item.fails}" for item in compiled)
    found = rows.execute(f"SELECT {listed} FROM given ORDER BY id::int", prepare=False).fetchall()
    columns = columns_of(SCHEMA, ARROW)
    formulas = [parse_formula(item, columns, lambda offset: Location("m", 1, offset)) for item in expressions]
    tries = ", ".join(f'{tried(item.sql)} AS "{n}"' for n, item in enumerate(formulas))
    with engine(folder) as session:
        session.table("given", pa.Table.from_pylist(ROWS, ARROW))
        expected = session.fetch(f"SELECT {tries} FROM given ORDER BY CAST(id AS INT)").to_pylist()
    return {
        expression: (wanted, seen, row)
        for row, answers, values in zip(ROWS, found, expected, strict=True)
        for n, expression in enumerate(expressions)
        if not same(seen := answers[2 * n : 2 * n + 2], wanted := values[str(n)])
        and not (expression in STRICTER and seen == (None, True))
    }


def same(seen: tuple[Any, bool], wanted: dict[str, Any] | None) -> bool:
    return seen == ((None, True) if wanted is None else (wanted["value"], False))
