"""Money in a mapping: what is wrong with it is told with its place, and what later steps know of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.core.document import Document
from migrator.core.errors import ProjectError
from migrator.core.mapped import Amount
from migrator.mapping import Bound, compile_mapping, parse_mapping
from tests.mapping_kit import bind_texts, issues, make_schema, map_one
from validation.expectations import TotalsBy, derive_suite

DEAL = make_schema(
    "Deal", Amount="decimal", Code="string", Day="date", At="datetime", Stage="picklist", Rate="float"
)
RATES = "from,to,valid_from,rate\nEUR,USD,2024-01-01,1.1\nEUR,USD,2024-02-01,1.2\nJPY,EUR,,0.006\n"


def bound(tmp_path: Path, *lines: str, rates: str = RATES) -> Bound:
    (tmp_path / "rates.csv").write_text(rates, encoding="utf-8")
    listed = "".join(f"  {line}\n" for line in lines)
    text = (
        "mapping: deal\ntarget: {system: new, object: deal, key: id}\nsource: {system: crm, object: Deal}\n"
        f"fields:\n  id: {{from: Id}}\n{listed}"
    )
    return bind_texts({"deal.yaml": text}, {"crm": [DEAL]}, tmp_path)


def errors(tmp_path: Path, *lines: str, rates: str = RATES) -> list[str]:
    with pytest.raises(ProjectError) as caught:
        bound(tmp_path, *lines, rates=rates)
    return [str(problem).splitlines()[0] for problem in caught.value.problems]


def test_mistakes_in_the_words_of_a_currency_are_told_at_once(tmp_path: Path):
    assert errors(
        tmp_path,
        "a: {from: Amount, currency: USD}",
        "b: {from: Amount, currency: {to: USD, rates: rates.csv}}",
        "c: {from: Amount, currency: {code: USDT}}",
        "d: {from: Amount, currency: {code: EUR, to: XAU, rates: rates.csv}}",
        "e: {from: Amount, currency: {code: EUR, to: USD}}",
        "f: {from: Amount, currency: {code: EUR, on: Day}}",
        "g: {from: Amount, currency: {code: EUR, too: USD}}",
        "h: {from: Amount, currency: {code: EUR, to: USD, rates: rates.csv, keep: {}}}",
        "i: {from: Amount, currency: {code: EUR, to: USD, rates: rates.csv, keep: {sum: x}}}",
    ) == [
        "deal.yaml:6:31: currency must hold keys",
        "deal.yaml:7:31: this says no currency",
        "deal.yaml:8:38: 'USDT' is no currency",
        "deal.yaml:9:47: 'XAU' has no smallest unit that amounts could be rounded to",
        "deal.yaml:10:31: a conversion needs rates",
        "deal.yaml:11:31: on means nothing without to",
        "deal.yaml:12:43: unknown key 'too'",
        "deal.yaml:13:76: nothing is kept",
        "deal.yaml:14:77: unknown key 'sum'",
    ]


def test_mistakes_against_schema_and_rates_are_told_at_once(tmp_path: Path):
    assert errors(
        tmp_path,
        "a: {from: Amount, currency: {from: Cod}}",
        "b: {from: Amount, type: float, currency: {code: EUR}}",
        "c: {from: Amount, type: 'decimal(18,1)', currency: {from: Code, to: USD, rates: rates.csv, on: Dey}}",
        "d: {from: Amount, currency: {from: Code, to: USD, rates: rates.csv}}",
        "e: {from: Amount, currency: {from: Code, to: CNY, rates: rates.csv, on: Day}}",
        "f: {from: Amount, currency: {from: Code, to: USD, rates: ../rates.csv, on: Day}}",
        "g: {from: Amount, values: {a: 1}, default: 0, currency: {from: Code, to: USD, rates: rates.csv, on: Day}}",
    ) == [
        "deal.yaml:6:38: crm/Deal has no column 'Cod'",
        "deal.yaml:7:21: 'b' holds money and is a float",
        "deal.yaml:8:21: USD has 2 decimals, 'c' is decimal(18,1)",
        "deal.yaml:8:98: crm/Deal has no column 'Dey'",
        "deal.yaml:9:53: 'rates.csv' has several rates EUR to USD",
        "deal.yaml:10:60: 'rates.csv' holds no rate to CNY",
        "deal.yaml:11:60: '../rates.csv' lies outside the project folder",
        "deal.yaml:12:21: values means nothing beside currency",
        "deal.yaml:12:37: default means nothing for a converted amount",
    ]


def test_each_wrong_row_of_the_rates_is_told_at_its_line(tmp_path: Path):
    wrong = "From,To,Valid_From,Rate\nEUR,USD,2024-1-1,1\nEUE,USD,,1\nEUR,USD,,0\nEUR,USD,,1e3\nEUR,USD\nJPY,USD,,1\nJPY,USD,,2\n"
    line = "a: {from: Amount, currency: {from: Code, to: USD, rates: rates.csv, on: Day}}"
    assert errors(tmp_path, line, rates=wrong) == [
        "rates.csv:2: valid_from: '2024-1-1' is no day",
        "rates.csv:3: from: 'EUE' is no ISO 4217 code",
        "rates.csv:4: rate: '0' is no number above zero",
        "rates.csv:5: rate: '1e3' is no number above zero",
        "rates.csv:6: 2 cells where the header has 4",
        "rates.csv:8: another rate JPY to USD for the same day stands at rates.csv:7",
    ]
    assert errors(tmp_path, line, rates="a,b\n") == [
        "rates.csv:1:1: rates need the columns from, to and rate (and valid_from, where they change)"
    ]


def test_a_kept_field_says_nothing_of_its_own_value(tmp_path: Path):
    money = "currency: {from: Code, to: USD, rates: rates.csv, on: Day, keep: {amount: %s}}"
    assert errors(
        tmp_path,
        "a: {from: Amount, " + money % "a" + "}",
        "b: {from: Amount, " + money % "c" + "}",
        "c: {from: Amount}",
        "d: {from: Amount, " + money % "e" + "}",
        "f: {from: Amount, " + money % "e" + "}",
    ) == [
        "deal.yaml:6:95: 'a' is to hold two things",
        "deal.yaml:7:95: the field 'c' has a value of its own beside this",
        "deal.yaml:10:95: 'e' is to hold two things",
    ]


def test_kept_fields_stand_beside_and_columns_of_money_count_as_used(tmp_path: Path):
    found = bound(
        tmp_path,
        "a: {from: Amount, type: 'decimal(18,2)', currency: {from: Code, to: USD, rates: rates.csv, on: Day, "
        "keep: {amount: was, currency: was_in}}}",
        "was: {label: As agreed}",
    )
    fields = {item.name: str(item.type.value) for item in found.mappings[0].mapped.fields}
    assert fields == {"id": "id", "a": "decimal", "was": "decimal", "was_in": "string"}
    assert found.mappings[0].mapped.fields[2].label == "As agreed"
    assert [str(item).splitlines()[0] for item in found.warnings] == [
        "deal.yaml:3:31: 3 columns of crm/Deal go nowhere: 'At', 'Stage', 'Rate'"
    ]
    assert found.mappings[0].mapped.amounts == (Amount("a", code="USD"), Amount("was", by="was_in"))


def test_totals_and_decimals_by_currency_follow_from_the_mapping(tmp_path: Path):
    found = bound(
        tmp_path,
        "worth: {from: Amount, type: 'decimal(18,4)', currency: {from: Code}}",
        "iso: {from: Code}",
        "fee: {from: Amount, type: 'decimal(18,4)', currency: {code: KWD}}",
        "stage: {from: Stage}",
    )
    suite = derive_suite(found.mappings[0].mapped)
    assert suite.totals == (
        TotalsBy("worth", ("iso",)), TotalsBy("worth", ("iso", "stage")), TotalsBy("fee", ("stage",)),
    )  # fmt: skip
    rules = [rule for rule in suite.expectations if rule.meta["reason"] == "minor_units"]
    told = [
        (rule.kwargs["column"], rule.kwargs["regex"], rule.when.column if rule.when else "") for rule in rules
    ]
    assert told == [
        ("worth", "^-?[0-9]+([.][0-9]{0,0}0*)?$", "iso"),
        ("worth", "^-?[0-9]+([.][0-9]{0,2}0*)?$", "iso"),
        ("worth", "^-?[0-9]+([.][0-9]{0,3}0*)?$", "iso"),
        ("fee", "^-?[0-9]+([.][0-9]{0,3}0*)?$", ""),
    ]
    assert rules[1].when is not None
    assert {"JPY", "KWD", "XAU"} <= set(rules[1].when.values)


def test_the_day_of_a_time_is_that_of_the_zone(tmp_path: Path):
    (tmp_path / "rates.csv").write_text(RATES, encoding="utf-8")
    rows = [{"Id": "1", "A": "1", "C": "EUR", "At": "2024-01-31T20:00:00Z"}]
    money = "currency: {from: C, to: USD, rates: rates.csv, on: At}"
    fields = f"utc: {{from: A, {money}}}\nchina: {{from: A, zone: Asia/Shanghai, {money}}}"
    row = map_one(tmp_path, fields, rows, A="decimal", C="string", At="datetime")[0]
    assert [str(row["utc"]), str(row["china"])] == ["1.1000000000", "1.2000000000"]


def test_computed_and_constant_amounts_are_held_against_their_currency_too(tmp_path: Path):
    rows = [{"Id": "1", "A": "1.5"}]
    fields = "a: {expr: A * 3, currency: {code: JPY}}\nb: {value: 2.50, currency: {code: JPY}}\nc: {expr: A * 2, currency: {code: JPY}}"
    row = map_one(tmp_path, fields, rows, A="decimal")[0]
    assert issues(row) == [("a", "cast.precision", "4.5000000000"), ("b", "cast.precision", "2.50")]
    assert row["c"] == 3


def test_another_rate_maps_the_rows_anew(tmp_path: Path):
    line = "a: {from: Amount, currency: {from: Code, to: EUR, rates: rates.csv}}"
    one = bound(tmp_path, line).mappings[0]
    two = bound(tmp_path, line, rates=RATES.replace("0.006", "0.007")).mappings[0]
    name = "rates rates.csv to EUR"
    assert compile_mapping(one).tables[name] != compile_mapping(two).tables[name]
    assert one.mapped.fingerprint != two.mapped.fingerprint


def test_a_source_may_say_its_own_currency(tmp_path: Path):
    text = (
        "mapping: deal\ntarget: {system: new, object: deal, key: id}\nsources:\n"
        "  crm: {object: Deal, fields: {a: {from: Amount, currency: {from: Code}}}}\n"
        "  shop: {object: Deal, fields: {a: {from: Amount, currency: {code: CNY}}}}\n"
        "fields:\n  a: {type: 'decimal(18,2)'}\n"
    )
    parsed = parse_mapping(Document(text, "deal.yaml"), tmp_path)
    found = bind_texts({"deal.yaml": text}, {"crm": [DEAL], "shop": [DEAL]}, tmp_path)
    assert parsed.field_names == ("id", "a")
    assert [source.fields[1].money is not None for source in found.mappings[0].sources] == [True, True]
    assert found.mappings[0].mapped.amounts == ()
