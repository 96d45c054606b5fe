"""Equivalence of native values: one question, answered alike in any order, and each type's own notations are one."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.core.sameness import (
    Comparison,
    Native,
    Sameness,
    appended,
    canonical,
    greater,
    most_restrictive,
    same,
    sameness_of,
    union,
)
from migrator.core.schema import FieldSchema, FieldType

natives = st.one_of(
    st.none(), st.text(), st.integers(), st.floats(allow_nan=False), st.booleans(), st.decimals(allow_nan=False),
    st.dates(), st.datetimes(timezones=st.just(UTC)), st.times(),
)  # fmt: skip
hows = st.builds(Sameness, st.sampled_from(list(Comparison)), st.none() | st.integers(0, 6))


@given(hows, natives, natives, natives)
def test_it_is_an_equivalence_and_never_fails(how: Sameness, a: Native, b: Native, c: Native) -> None:
    assert same(how, a, a)
    assert same(how, a, b) == same(how, b, a)
    if same(how, a, b) and same(how, b, c):
        assert same(how, a, c)


@pytest.mark.parametrize(
    ("by", "one", "other"),
    [
        (Comparison.TEXT, "a\r\nb", "a\nb"),
        (Comparison.TEXT, "", None),
        (Comparison.TEXT, "e\u0301", "é"),
        (Comparison.EMAIL, "A.B@Example.com ", "a.b@example.COM"),
        (Comparison.PHONE, "+86 10 6505-1234", "+861065051234"),
        (Comparison.PHONE, "010-6505 1234", "+86 10 65051234"),
        (Comparison.RICH_TEXT, "<P>Tom &amp; Jerry</P>\n<p>x</p>", "<p>Tom & Jerry</p><p>x</p>"),
        (Comparison.RICH_TEXT, '<a title="t" href="u">x</a>', "<A HREF='u' TITLE='t'>x</A>"),
        (Comparison.NUMBER, "12.00", 12),
        (Comparison.NUMBER, "1E+2", Decimal(100)),
        (Comparison.BOOLEAN, "Yes", True),
        (Comparison.BOOLEAN, 0, "false"),
        (Comparison.DATE, "2024-01-31", date(2024, 1, 31)),
        (Comparison.DATE, "2024-01-31T00:00:00Z", date(2024, 1, 31)),
        (Comparison.DATETIME, "2024-01-31T10:30:00.123+0800", datetime(2024, 1, 31, 2, 30, tzinfo=UTC)),
        (
            Comparison.DATETIME,
            datetime(2024, 1, 31, 10, tzinfo=timezone(timedelta(hours=8))),
            "2024-01-31 02:00:00Z",
        ),
        (Comparison.TIME, "10:30", time(10, 30)),
        (Comparison.SET, "b;a", "a; b;a"),
        (Comparison.JSON, '{"a": 1, "b": 2.0}', '{"b":2.0,"a":1}'),
    ],
)
def test_notations_of_one_value_are_the_same(by: Comparison, one: Native, other: Native) -> None:
    assert same(Sameness(by, region="CN"), one, other)


@pytest.mark.parametrize(
    ("by", "one", "other"),
    [
        (Comparison.TEXT, "a", "A"),
        (Comparison.TEXT, "12", "12.0"),
        (Comparison.PHONE, "+8613800000001", "+8613800000002"),
        (Comparison.RICH_TEXT, "<b>x</b>", "<i>x</i>"),
        (Comparison.RICH_TEXT, "a b", "ab"),
        (Comparison.NUMBER, "12.005", "12.01"),
        (Comparison.BOOLEAN, None, False),
        (Comparison.DATE, "2024-01-31", "2024-02-01"),
        (Comparison.DATETIME, "2024-01-31T10:30:00Z", "2024-01-31T10:30:01Z"),
        (Comparison.SET, "a;b", "a"),
    ],
)
def test_different_values_stay_different(by: Comparison, one: Native, other: Native) -> None:
    assert not same(Sameness(by), one, other)


def test_decimals_are_compared_at_the_scale_of_the_field() -> None:
    cents = sameness_of(FieldSchema("amount", FieldType.DECIMAL, precision=18, scale=2))
    assert same(cents, Decimal("10.10"), "10.1")
    assert same(cents, Decimal("10.104"), Decimal("10.10"))
    assert not same(cents, Decimal("10.11"), Decimal("10.10"))


def test_the_kind_of_personal_data_says_how_texts_are_compared() -> None:
    assert sameness_of(FieldSchema("m", FieldType.STRING, pii="email")).by is Comparison.EMAIL
    assert sameness_of(FieldSchema("m", FieldType.STRING), pii="phone", region="MY").region == "MY"
    assert sameness_of(FieldSchema("m", FieldType.STRING)).by is Comparison.TEXT


members = st.lists(st.sampled_from("abcdef"), unique=True).map(";".join)


@given(members, members, members)
def test_a_union_keeps_what_was_added_and_drops_what_was_taken_out(one: str, other: str, base: str) -> None:
    first, second, was = (set(filter(None, item.split(";"))) for item in (one, other, base))
    made = set(filter(None, (union(one, other, base) or "").split(";")))
    assert made == (first | second) - (was - first) - (was - second)


def test_merges_of_counters_and_notes() -> None:
    assert greater("9", "10") == "10"
    assert greater(None, 3) == 3
    assert appended("call\n", "call\nmet", "call") == "call\nmet"
    assert appended("x called", "x met", "x") == "x called\n met"
    assert appended(None, "new") == "new"
    assert appended("same", "same", "s") == "same"


truths = st.sampled_from([None, True, False, "true", "false", "1", "0"])


@given(st.lists(truths, min_size=1), st.sampled_from(["true", "false"]))
def test_consent_is_never_widened(values: list[Native], restrictive: str) -> None:
    """What allows least is chosen, whatever else is there (S16)."""
    how = Sameness(Comparison.BOOLEAN)
    chosen = canonical(how, most_restrictive(values, restrictive))
    known = [canonical(how, value) for value in values]
    assert chosen in known
    if restrictive in known:
        assert chosen == restrictive
    elif None in known:
        assert chosen is None
