"""The same SELECT on Spark: every function, cast and verb, and a whole mapping with its issues, give the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from migrator.core.errors import Location
from migrator.mapping import compile_mapping
from migrator.mapping.compile_source import tried
from migrator.mapping.expressions import parse_formula
from migrator.mapping.staged_columns import columns_of
from migrator.staging.dialects.statement import arrow_columns, spark_query
from migrator.staging.engine import quote
from tests.expression_laws import ARROW, SCHEMA, all_laws
from tests.mapping_kit import bind_texts, engine, make_schema, run_sql, staged_table

pytestmark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore")]

TEXTS = [
    None, "", " ", "a", "  12 ", "12.00", "-3", "+4", "1.5", "1e3", "1.0E7", ".5", "5.", "1.005", "99999999999999999.99",
    "9999999999999999.99", "9223372036854775807", "9223372036854775808", "inf", "nan", "1d", "0x1F", "1_000", "١٢", "true",
    "YES", "n", "on", "2024-02-29", "2023-02-29", "0001-01-01", "9999-12-31", "10000-01-01", "2024-01-31 10:30",
    "2024-01-31T10:30:00.000Z", "2024-01-31 10:30:00 +0100", "2024-01-31T00:00:00+01", "1986-05-04 02:30:00",
    "1991-09-15 00:30:00", "1991-09-15 01:30:00", "1940-06-01 00:00:00", "1900-12-31 23:54:17", "1890-01-01 00:00:00",
    "2024-01-31 10:30:00.123456789", "0001-01-01 00:00:00+14:00", "9999-12-31T23:59:59-01:00", "31.12.2024", " 1.2.2024",
    "31.02.2024", "0.1.2024", "12.30", "24.00", "9.5", "23:59:60", "10:30", "10:30:00.5Z", "24:00", "王小明", "Ａ１＠　",
    "straße ŉ ﬁ ΑΣ İ", "e\u0301", "a\r\nb\rc", "\u3000x\u200b\ufeff", "<p>a&amp;b</p>x<br/>", "<script>x</script>y&nbsp;",
    "&lt;b&gt;", "it's \"q\"\\ $1", "👨‍👩‍👧 x", "longer than ten characters", "skip", "x", "z", "x;z;q", " x ; z", "x;",
    "1e-7", "123456789012345678901234567890", "0.00000000001", "-0", "-0.0", "1e400", "4.9e-324", "1e22", "2e23",
]  # fmt: skip

MAPPING = """mapping: t
target: {system: new, object: t, key: legacy_id}
source:
  system: old
  object: T
  where: "coalesce(A,'') <> 'skip'"
  exclude: [{when: "D < 0", reason: negative}]
fields:
  all: {from: A, clean: [trim, collapse, upper, lower, title, digits, width, nfc, newlines, strip_control, strip_html, null_if_empty]}
  up: {from: A, clean: [upper], length: 10, required: true}
  low: {from: A, clean: [nfc, lower, title]}
  plain: {from: A, clean: [strip_html, width, newlines, collapse, trim]}
  n: {from: A, type: integer}
  d: {from: A, type: 'decimal(18,2)'}
  f: {from: A, type: float}
  p: {from: A, type: boolean}
  day: {from: A, type: date, format: '%d.%m.%Y', zone: Asia/Shanghai}
  day2: {from: A, type: date}
  at: {from: A, type: datetime, zone: Asia/Shanghai}
  at2: {from: A, type: datetime}
  tm: {from: A, type: time, format: '%H.%M'}
  v: {from: B, values: {x: y, z: null}, unmapped: {default: q}}
  w: {from: B, type: multi_picklist, values: {x: y, z: null}, unmapped: keep}
  acc: {from: Acc, lookup: account}
  own: {from: Own, lookup: account, by: Name, missing: {default: '1'}}
  c: {value: null, type: integer}
  r: {record_id: true}
  e: {expr: "D / 2", type: float}
  t: {expr: "D / 3", type: text}
  z: {expr: "length(A) // (length(A) - 1)", type: integer}
"""
ACCOUNT = "mapping: account\ntarget: {system: new, object: account, key: k}\nsource: {system: old, object: Account}\nfields: {name: {from: Name}}\n"


def put(spark: Any, folder: Path, tables: Mapping[str, pa.Table]) -> dict[str, Any]:
    """Tables as views of Spark; their types."""
    for number, (name, table) in enumerate(tables.items()):
        path = folder / f"{number}.parquet"
        pq.write_table(table, path)
        spark.read.parquet(str(path)).createOrReplaceTempView(f"`{name}`")
    return {name: arrow_columns(table.schema) for name, table in tables.items()}


def differences(expected: list[dict[str, Any]], found: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Cells that are not the same, texts and types too; NaN is itself."""
    assert [list(row) for row in found] == [list(row) for row in expected]
    return [
        (name, one[name], two[name])
        for one, two in zip(expected, found, strict=True)
        for name in one
        if one[name] != two[name] and repr(one[name]) != repr(two[name])
    ]


def test_a_whole_mapping_gives_the_same_rows(spark: Any, tmp_path: Path):
    schema = make_schema("T", A="string", B="string", D="decimal", Acc="reference:Account", Own="string")
    account = make_schema("Account", Name="string")
    rows = [
        {
            "Id": None if n == 5 else str(n),
            "A": text,
            "B": ["x", "z", "x;z;q", " x ; z", "", "q", None][n % 7],
            "D": ["1.5", "-1", "abc", None, "0", "99999999999999999999999999.5"][n % 6],
            "Acc": ["1", "2", "9", None][n % 4],
            "Own": ["n1", "dup", "none", ""][n % 4],
            "__copy": 1 if n == 7 else 0,
        }
        for n, text in enumerate(TEXTS)
    ]
    accounts = [{"Id": "1", "Name": "n1"}, {"Id": "2", "Name": "dup"}, {"Id": "3", "Name": "dup"}]
    staged = {"old/T": staged_table(schema, rows), "old/Account": staged_table(account, accounts)}
    bound = bind_texts({"t.yaml": MAPPING, "a.yaml": ACCOUNT}, {"old": [schema, account]}, tmp_path).mapping(
        "t"
    )
    assert bound is not None
    compiled = compile_mapping(bound)
    with engine(tmp_path) as session:
        expected = run_sql(session, compiled, staged)
    sql = spark_query(compiled.sql, put(spark, tmp_path, {**staged, **compiled.tables}))
    found = sorted(spark.sql(sql).toArrow().to_pylist(), key=lambda row: str(row["__id"]))
    assert differences(expected, found) == []
    assert {item["rule"] for row in found for item in row["__issues"]} >= {
        "cast.date",
        "expr.failed",
        "key.missing",
    }


def rows_of_all_types() -> list[dict[str, Any]]:
    """Awkward values of each type, every column in a rhythm of its own so that they meet."""
    values: dict[str, list[Any]] = {
        "a": [*TEXTS, "bab", "b b", "1b", "A1b\n", "9\t", "\uffff", "😀b"],
        "b": ["b", "", None, "é", "王", "a", "\\", "%"],
        "n": [None, 0, 7, -7, 2**63 - 1, -(2**63), 10**17],
        "k": [0, 1, -1, None, 3, -5, 9, 2, -2],
        "d": [None, Decimal("0.00"), Decimal("-0.05"), Decimal("2.25"), Decimal("9999999999999999.99"), Decimal("-7.50")],
        "w": [None, Decimal("0E-10"), Decimal("1E-10"), Decimal("9" * 28 + "." + "9" * 10), Decimal("-2.5000000000")],
        "x": [None, 0.0, -0.0, 0.5, -0.5, 2.5, 1e15, 1e16, 1e-5, 2e23, 5e-324, 1.7e308, 0.1, 123456.789, float("inf"), float("nan")],
        "p": [True, None, False],
        "day": [date(2024, 2, 29), date(1, 1, 1), date(9999, 12, 31), None, date(1969, 12, 31)],
        "at": [datetime(2024, 2, 29, 23, 59, 59, 999999, UTC), datetime(1, 1, 1, tzinfo=UTC), None, datetime(1969, 12, 31, 23, 30, tzinfo=UTC), datetime(9999, 12, 31, 1, 2, 3, 40, UTC)],
    }  # fmt: skip
    return [
        {"id": f"{n:03d}", **{name: listed[n % len(listed)] for name, listed in values.items()}}
        for n in range(180)
    ]


def test_every_function_and_operator_gives_the_same_values_texts_and_failures(spark: Any, tmp_path: Path):
    table = pa.Table.from_pylist(rows_of_all_types(), ARROW)
    columns = columns_of(SCHEMA, ARROW)
    laws = all_laws()
    formulas = [
        parse_formula(law.expression, columns, lambda offset: Location("law", 1, offset)) for law in laws
    ]
    tries = ", ".join(f'{tried(item.sql)} AS "{n}"' for n, item in enumerate(formulas))
    seen = ", ".join(
        f'"{n}"[\'value\'] AS {quote(law.expression)}, "{n}" IS NULL AS {quote(f"{law.expression} fails")},'
        f" CAST(\"{n}\"['value'] AS TEXT) AS {quote(f'{law.expression} as text')}"
        for n, law in enumerate(laws)
    )
    sql = f"WITH tried AS (SELECT id, {tries} FROM given) SELECT id, {seen} FROM tried"
    with engine(tmp_path) as session:
        session.table("given", table)
        expected = sorted(session.fetch(sql).to_pylist(), key=lambda row: row["id"])
    carried = spark_query(sql, put(spark, tmp_path, {"given": table}))
    found = sorted(spark.sql(carried).toArrow().to_pylist(), key=lambda row: row["id"])
    assert differences(expected, found)[:5] == []
