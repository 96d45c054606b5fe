"""Every function and operator of expressions yields what plain Python yields, on any text, number, day and instant."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.core.errors import Location
from migrator.mapping.compile_source import tried
from migrator.mapping.expressions import parse_formula
from migrator.mapping.functions import FUNCTIONS, OPERATORS
from migrator.mapping.staged_columns import columns_of
from migrator.staging.engine import DuckSession
from tests.expression_laws import ARROW, LAWS, OPERATOR_LAWS, SCHEMA, Law, NotComputed, Row, all_laws
from tests.mapping_kit import engine

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    st.text("ab B0é王 9\t\n%_\\'\u3000", max_size=8),
    st.sampled_from(["", "b", "ab", "b b", "王小明", "e\u0301", "👨‍👩‍👧", "A1b"]),
)
WHOLE = st.one_of(st.integers(-9, 9), st.sampled_from([2**63 - 1, -(2**63), 2**31, 10**17]))


def decimals(digits: int, scale: int) -> st.SearchStrategy[Decimal]:
    limit = 10**digits - 1
    wide = st.integers(-limit, limit) | st.sampled_from([limit, -limit, 5, -5, 0])
    return wide.map(lambda unscaled: Decimal(f"{unscaled}E-{scale}"))


ROWS = st.fixed_dictionaries(
    {
        "id": st.just("1"),
        "a": st.none() | TEXTS,
        "b": st.none() | TEXTS,
        "n": st.none() | WHOLE,
        "k": st.none() | st.integers(-5, 9),
        "d": st.none() | decimals(18, 2),
        "w": st.none() | decimals(38, 10),
        "x": st.none() | st.floats(-1e15, 1e15, allow_subnormal=True),
        "p": st.none() | st.booleans(),
        "day": st.none() | st.dates(),
        "at": st.none() | st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001
    }
)
FORMULAS = [
    parse_formula(law.expression, columns_of(SCHEMA, ARROW), lambda offset: Location("law", 1, offset))
    for law in all_laws()
]


@pytest.fixture(scope="module")
def session() -> Iterator[DuckSession]:
    with tempfile.TemporaryDirectory() as folder, engine(Path(folder)) as opened:
        yield opened


def outcome(law: Law, row: Row) -> object:
    """What the law wants, in the shape the engine tells it: null when it cannot be computed."""
    try:
        return {"value": law.value(row)}
    except NotComputed:
        return None


def same(found: Any, expected: Any) -> bool:
    if found is None or expected is None or found["value"] is None or expected["value"] is None:
        return bool(found == expected)
    return type(found["value"]) in {type(expected["value"]), int, Decimal} and found == expected


@settings(max_examples=25)
@given(rows=st.lists(ROWS, min_size=3, max_size=12))
def test_every_function_and_operator_agrees_with_python(session: DuckSession, rows: list[dict[str, Any]]):
    session.table("given", pa.Table.from_pylist([{**row, "id": str(n)} for n, row in enumerate(rows)], ARROW))
    columns = ", ".join(f'{tried(item.sql)} AS "{n}"' for n, item in enumerate(FORMULAS))
    found = session.fetch(f"SELECT {columns} FROM given ORDER BY CAST(id AS INT)")
    wrong = [
        (law.expression, row, answer, outcome(law, row))
        for n, law in enumerate(all_laws())
        for row, answer in zip(rows, found.column(n).to_pylist(), strict=True)
        if not same(answer, outcome(law, row))
    ]
    assert wrong[:3] == []


def test_every_function_and_operator_has_its_laws():
    assert list(LAWS) == list(FUNCTIONS)
    assert list(OPERATOR_LAWS) == list(OPERATORS)
