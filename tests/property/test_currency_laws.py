"""An amount in the engine is what Python's own decimals make of it: every currency, any rate, any day, to the last digit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.core.currency import minor_units
from migrator.mapping import compile_mapping
from migrator.staging.engine import DuckSession
from tests.mapping_kit import bind_texts, engine, make_schema, run_sql, staged_table

MAPPING = """\
mapping: t
target: {system: new, object: t, key: legacy_id}
source: {system: old, object: T}
fields:
  legacy_id: {from: Id}
  amount:
    from: A
    type: decimal(22,4)
    currency: {from: C, to: TARGET, rates: rates.csv, on: D, keep: {amount: original, currency: code}}
  original: {type: 'decimal(24,5)'}
"""
SCHEMA = make_schema("T", A="decimal", C="string", D="date")
UNITS = minor_units()
CODES = sorted(UNITS)
TARGETS = ("USD", "JPY", "KWD", "CLF", "EUR")
DAYS = st.one_of(
    st.dates(date(2020, 1, 1), date(2020, 3, 1)), st.sampled_from([date.min, date.max, date(1582, 10, 15)])
)
RATES = st.one_of(
    st.decimals(Decimal("0.0001"), Decimal(9999), places=4),
    st.decimals(Decimal("0.00000000000001"), Decimal(9999), places=14),
    st.sampled_from([Decimal("0.5"), Decimal("0.25"), Decimal("0.000000000000000001"), Decimal(10**17)]),
)
AMOUNTS = st.one_of(
    st.none(),
    st.integers(-(10**7), 10**7).map(lambda cents: f"{cents}.5"),
    st.decimals(-(10**9), 10**9, places=2).map(lambda value: f"{value:f}"),
    st.decimals(-(10**6), 10**6, places=4).map(lambda value: f"{value:f}"),
    st.integers(-(10**30), 10**30).map(str),
    st.sampled_from(
        ["", "0", "-0.00", "1e3", "1.5E-2", "+7", ".5", "5.", " 12.50 ", "00012.500000", "9" * 38, "9" * 60]
    ),
    st.sampled_from(["n/a", "1,5", "NaN", "inf", "0x1f", "--1", "1e999"]),
)
OFTEN = st.sampled_from(["EUR", "JPY", "BHD"])
ROWS = st.lists(
    st.tuples(
        AMOUNTS, OFTEN | st.sampled_from([*CODES, "", "usd", " EUR ", "XYZ"]) | st.none(), DAYS | st.none()
    ),
    min_size=1,
    max_size=40,
)
TABLES = st.dictionaries(st.tuples(OFTEN | st.sampled_from(CODES), DAYS), RATES, min_size=1, max_size=40)


@pytest.fixture(scope="module")
def session() -> Iterator[DuckSession]:
    with tempfile.TemporaryDirectory() as folder, engine(Path(folder)) as opened:
        yield opened


def number(text: str) -> Decimal | None:
    """The amount written in `text`; None when it is none, or has a power that no amount has."""
    word = text.strip(" ")
    if not word or any(char not in "0123456789+-.eE" for char in word) or "e999" in word:
        return None
    try:
        return Decimal(word)
    except ArithmeticError:
        return None


def fits(value: Decimal, precision: int, scale: int) -> bool:
    with localcontext(prec=400):
        return value == round(value, scale) and abs(value) < Decimal(10) ** (precision - scale)


def overflows(value: Decimal, rate: Decimal, digits: int) -> bool:
    """Whether the product has more digits than a whole number of the engine holds."""
    places = max(0, -int(value.normalize().as_tuple().exponent))
    scale = max(-int(rate.normalize().as_tuple().exponent), digits)
    return abs(value.scaleb(places) * rate.scaleb(scale)) >= 2**127


def reference(
    text: str | None,
    code: str | None,
    day: date | None,
    target: str,
    rates: Mapping[tuple[str, date], Decimal],
) -> tuple[Decimal | None, str | None]:
    """What becomes of an amount: its value in `target`, or the rule that it breaks."""
    if text is None or not text.strip(" "):
        return None, None
    value, known = number(text), (code or "").strip(" ").upper()
    if value is None:
        return None, "cast.decimal"
    if known not in UNITS:
        return None, "currency.unknown"
    digits = UNITS[known]
    with localcontext(prec=400):
        if value != round(value, 10 if digits is None else digits):
            return None, "cast.precision"
        if known != target:
            return converted(value, known, day, target, rates)
        return (value, None) if fits(value, 22, 4) else (None, "cast.precision")


def converted(
    value: Decimal, code: str, day: date | None, target: str, rates: Mapping[tuple[str, date], Decimal]
) -> tuple[Decimal | None, str | None]:
    """The amount by the latest rate up to the day, rounded half to even."""
    valid = [start for currency, start in rates if currency == code and day is not None and start <= day]
    if not valid:
        return None, "rate.missing"
    rate = rates[code, max(valid)]
    result = (value * rate).quantize(Decimal(1).scaleb(-(UNITS[target] or 0)), ROUND_HALF_EVEN)
    told = fits(result, 22, 4) and not overflows(value, rate, UNITS[target] or 0)
    return (result, None) if told else (None, "cast.precision")


@settings(max_examples=18, deadline=None)
@given(rows=ROWS, rates=TABLES, target=st.sampled_from(TARGETS))
def test_conversions_agree_with_python(
    session: DuckSession,
    rows: Sequence[tuple[str | None, str | None, date | None]],
    rates: Mapping[tuple[str, date], Decimal],
    target: str,
):
    with tempfile.TemporaryDirectory() as folder:
        lines = [f"{code},{target},{day},{rate:f}" for (code, day), rate in rates.items()]
        (Path(folder) / "rates.csv").write_text("\n".join(["from,to,valid_from,rate", *lines]))
        bound = bind_texts({"t.yaml": MAPPING.replace("TARGET", target)}, {"old": [SCHEMA]}, Path(folder))
    staged = [
        {"Id": f"{number:03}", "A": text, "C": code, "D": day.isoformat() if day else None}
        for number, (text, code, day) in enumerate(rows)
    ]
    found = run_sql(session, compile_mapping(bound.mappings[0]), {"old/T": staged_table(SCHEMA, staged)})
    told = [
        (row["amount"], next((item["rule"] for item in row["__issues"] if item["field"] == "amount"), None))
        for row in found
    ]
    expected = [reference(*row, target, rates) for row in rows]
    assert told == expected
    originals = [
        number(text or "") if row["original"] is not None else None
        for row, (text, _, _) in zip(found, rows, strict=True)
    ]
    assert [row["original"] for row in found] == originals
    assert all(
        row["original"] is not None
        for row, (value, _) in zip(found, expected, strict=True)
        if value is not None
    )


def test_every_currency_keeps_its_own_digits(session: DuckSession):
    """One unit of the last decimal passes for all codes, a tenth of it for none."""
    text = "mapping: t\ntarget: {system: new, object: t, key: legacy_id}\nsource: {system: old, object: T}\n"
    text += "fields:\n  legacy_id: {from: Id}\n  a: {from: A, type: 'decimal(20,11)', currency: {from: C}}\n"
    bound = bind_texts({"t.yaml": text}, {"old": [SCHEMA]}, Path())
    rows = []
    for code, digits in UNITS.items():
        scale = 10 if digits is None else digits
        for more in (0, 1):
            amount = f"{Decimal(1).scaleb(-scale - more):f}"
            rows.append({"Id": f"{code}{more}", "A": amount, "C": code})
    found = run_sql(session, compile_mapping(bound.mappings[0]), {"old/T": staged_table(SCHEMA, rows)})
    assert len(UNITS) > 160
    assert [row["__key"] for row in found if row["a"] is not None] == sorted(f"{code}0" for code in UNITS)
    assert {item["rule"] for row in found for item in row["__issues"]} == {"cast.precision"}


def test_the_latest_rate_up_to_the_day_holds(session: DuckSession, tmp_path: Path):
    start = date(2024, 1, 1)
    lines = [f"EUR,USD,{start + timedelta(days=10 * step)},{step + 1}" for step in range(5)]
    (tmp_path / "rates.csv").write_text("\n".join(["from,to,valid_from,rate", *lines]))
    bound = bind_texts({"t.yaml": MAPPING.replace("TARGET", "USD")}, {"old": [SCHEMA]}, tmp_path)
    rows = [
        {"Id": f"{day:03}", "A": "1", "C": "EUR", "D": str(start + timedelta(days=day))} for day in range(60)
    ]
    found = run_sql(session, compile_mapping(bound.mappings[0]), {"old/T": staged_table(SCHEMA, rows)})
    assert [row["amount"] for row in found] == [min(day // 10, 4) + 1 for day in range(60)]


def test_halves_go_to_the_even_neighbour(session: DuckSession, tmp_path: Path):
    (tmp_path / "rates.csv").write_text("from,to,rate\nEUR,USD,0.125\n")
    text = MAPPING.replace("TARGET", "USD").replace(", on: D", "")
    bound = bind_texts({"t.yaml": text}, {"old": [SCHEMA]}, tmp_path)
    amounts = [Decimal(cents).scaleb(-2) for cents in range(-100, 101)]
    rows = [{"Id": f"{number:03}", "A": str(amount), "C": "EUR"} for number, amount in enumerate(amounts)]
    found = run_sql(session, compile_mapping(bound.mappings[0]), {"old/T": staged_table(SCHEMA, rows)})
    expected = [(amount / 8).quantize(Decimal("0.01"), ROUND_HALF_EVEN) for amount in amounts]
    assert [row["amount"] for row in found] == expected
