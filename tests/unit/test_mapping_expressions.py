"""Expressions: what is allowed works, whatever else there is in SQL is refused at its place, and nothing is executed."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlglot

from migrator.core.errors import Location, ProjectError
from migrator.mapping.expressions import offset_place, parse_formula
from migrator.mapping.functions import ALLOWED, FUNCTIONS
from migrator.mapping.staged_columns import columns_of
from tests.mapping_kit import issues, make_schema, map_one

COLUMNS = columns_of(
    make_schema("T", Name="string", Amount="decimal", IsWon="boolean", CloseDate="date"), None
)


def at(offset: int) -> Location:
    return Location("m.yaml", 1, offset + 1)


def refusals(text: str) -> list[str]:
    with pytest.raises(ProjectError) as caught:
        parse_formula(text, COLUMNS, at)
    return [f"{item.location.column}: {item.message}" for item in caught.value.problems]


@pytest.mark.parametrize(
    "text",
    [
        "read_csv('/etc/passwd')", "read_text('/etc/passwd')", "read_parquet('x')", "read_blob('x')", "glob('*')",
        "getenv('HOME')", "current_setting('x')", "query('select 1')", "pragma_version()", "now()", "random()", "uuid()",
        "current_date", "nextval('s')", "(select 1)", "exists(select 1)", "Name in (select 1)", "Name in (Name)  union select 1",
        "select 1", "drop table x", "copy x to 'y'", "attach 'x'", "install httpfs", "load httpfs", "pragma x", "set x = 1",
        "Name; drop table x", "1; 2", "count(*)", "sum(Amount) over ()", "sum(Amount)", "*", "columns('x')", "$1", "?",
        "list_transform([1], x -> x)", "[1, 2]", "{'a': 1}", "Name[1]", "Name -> 'a'", "cast(Name as blob)",
        "cast(Name as struct(a int))", "Name::json", "printf('%s', Name)", "format('{}', Name)", "repeat(Name, 1000000000)",
        "", "Name +", "'open", "Name Name Name", "case when", ")", "a.b.c",
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_refused(text: str):
    assert refusals(text)


def test_every_problem_of_an_expression_is_told_at_its_place():
    assert refusals("concat(Nam, getenv('X')) || Amout") == [
        "8: unknown column 'Nam'",
        "13: the function 'getenv' is not allowed in an expression",
        "29: unknown column 'Amout'",
    ]


def test_a_column_in_another_case_is_not_guessed():
    with pytest.raises(ProjectError, match="did you mean 'Name'"):
        parse_formula("name", COLUMNS, at)


def test_the_place_inside_the_yaml_is_told_only_where_it_is_letter_for_letter():
    source = "a:\n  b: {expr: \"concat(x, y)\"}\n  c: {expr: 'it''s'}\n"
    inside = offset_place(source, Location("m", 2, 13), "concat(x, y)")
    assert str(inside(7)) == "m:2:21"
    assert str(offset_place(source, Location("m", 3, 13), "it's")(3)) == "m:3:13"


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_each_function_is_what_its_example_parses_to(name: str):
    tree = sqlglot.parse_one(FUNCTIONS[name].example, dialect="duckdb")
    assert isinstance(tree, FUNCTIONS[name].node)
    assert all(type(node) in ALLOWED for node in tree.walk())


RESULTS = {
    "abs(Amount)": "2.50", "ceil(Amount)": "-2", "coalesce(Empty, Name)": "Ann Li", "concat(Name, Empty, '!')": "Ann Li!",
    "concat_ws('-', Name, Empty, Code)": "Ann Li-x7", "contains(Name, 'Li')": "true",
    "date_diff('day', CloseDate, make_date(2024, 2, 1))": "17", "date_trunc('month', CloseDate)": "2024-01-01",
    "day(CloseDate)": "15", "ends_with(Name, 'Li')": "true", "floor(Amount)": "-3", "greatest(Amount, 1)": "1.00",
    "if(IsWon, 'won', 'open')": "won", "least(Amount, 1)": "-2.50", "left(Name, 3)": "Ann", "length(Name)": "6",
    "lower(Name)": "ann li", "lpad(Code, 4, '0')": "00x7", "month(CloseDate)": "1", "nullif(Code, 'x7')": None,
    "regexp_extract(Code, '([0-9]+)', 1)": "7", "regexp_matches(Code, '^x')": "true",
    "regexp_replace(Name, '[a-z]', '', 'g')": "A L", "replace(Name, ' ', '_')": "Ann_Li", "reverse(Code)": "7x",
    "right(Name, 2)": "Li", "round(Amount, 0)": "-3", "split_part(Name, ' ', 2)": "Li", "starts_with(Name, 'Ann')": "true",
    "strftime(CloseDate, '%d.%m.%Y')": "15.01.2024", "strpos(Name, 'L')": "5", "substring(Name, 5, 2)": "Li",
    "translate(Code, 'x', 'y')": "y7", "trim('  a ')": "a", "upper(Code)": "X7", "year(CloseDate)": "2024",
    "case when Amount < 0 then 'loss' else 'gain' end": "loss", "Amount * 2 + 1": "-4.00", "Code in ('x7', 'y')": "true",
    "Amount between -3 and 0": "true", "not IsWon or Name like 'A%'": "true", "Empty is null": "true",
    "cast(Amount as int)": "-3", "try_cast(Name as int)": None, "Name || '/' || Code": "Ann Li/x7",
}  # fmt: skip


def test_expressions_see_the_types_of_the_schema_and_yield_what_the_reference_says(tmp_path: Path):
    fields = "\n".join(f'f{number}: {{expr: "{text}"}}' for number, text in enumerate(RESULTS))
    row = {
        "Id": "1",
        "Name": "Ann Li",
        "Code": "x7",
        "Amount": "-2.5",
        "IsWon": "true",
        "CloseDate": "2024-01-15",
    }
    types = {"Name": "string", "Code": "string", "Empty": "string", "IsWon": "boolean", "CloseDate": "date"}
    found = map_one(
        tmp_path,
        "legacy_id: {record_id: true}\namount: {from: Amount, type: 'decimal(18,2)'}\n" + fields,
        [row],
        **types,
        Amount="decimal",
    )
    values = {text: found[0][f"f{number}"] for number, text in enumerate(RESULTS)}
    wrong = {
        text: (values[text], expected)
        for text, expected in RESULTS.items()
        if not same(values[text], expected)
    }
    assert wrong == {}
    assert issues(found[0]) == []


def same(found: str | None, expected: str | None) -> bool:
    """Equal as texts, as numbers, or as a day and its midnight."""
    if found == expected:
        return True
    try:
        return found is not None and expected is not None and float(found) == float(expected)
    except ValueError:
        return (
            found is not None
            and found.startswith(expected or "\0")
            and found[len(expected or "") :] in (" 00:00:00", " 00:00:00+00")
        )


def test_every_function_is_computed_by_some_test():
    used = {type(node) for text in RESULTS for node in sqlglot.parse_one(text, dialect="duckdb").walk()}
    assert {name for name, item in FUNCTIONS.items() if item.node not in used} == set()


def test_no_value_can_make_the_query_fail(tmp_path: Path):
    fields = """
    big: {expr: "Amount * 99999999999999999999999999999999", type: 'decimal(38,0)'}
    div: {expr: "Amount // (Amount - Amount)", type: integer}
    num: {expr: "cast(Name as int)", type: integer}
    """
    rows = [{"Id": "1", "Amount": "99999999999.5", "Name": "x"}, {"Id": "2", "Amount": "abc", "Name": "5"}]
    first, second = map_one(tmp_path, fields, rows, Amount="decimal", Name="string")
    assert {(field, rule) for field, rule, _ in issues(first)} == {
        ("big", "expr.failed"), ("div", "expr.failed"), ("num", "expr.failed"),
    }  # fmt: skip
    assert ("Amount", "expr.operand", "abc") in issues(second)
    assert (first["__bad"], second["__bad"], second["num"]) == (True, True, 5)


def test_what_two_expressions_share_fails_for_each_by_itself(tmp_path: Path):
    fields = """
    half: {expr: "100 // N", type: integer}
    more: {expr: "100 // N + 1", type: integer}
    safe: {expr: "case when N = 0 then 0 else 100 // N end", type: integer}
    share: {expr: "100 / N", type: string}
    """
    zero, four = map_one(tmp_path, fields, [{"Id": "1", "N": "0"}, {"Id": "2", "N": "4"}], N="integer")
    assert [item[:2] for item in issues(zero)] == [
        (name, "expr.failed") for name in ("half", "more", "share")
    ]
    assert (zero["safe"], zero["share"]) == (0, None)
    assert (four["half"], four["more"], four["safe"], four["share"]) == (25, 26, 25, "25.0")
