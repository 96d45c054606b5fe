"""What a query becomes on Spark, and that what cannot mean the same there is refused at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.core.errors import Location, ProjectError
from migrator.mapping import compile_mapping
from migrator.mapping.compile_source import tried
from migrator.mapping.dialects.carry import for_spark
from migrator.mapping.dialects.kinds import NotCarried
from migrator.mapping.dialects.patterns import replacement, to_java
from migrator.mapping.dialects.statement import arrow_columns, spark_query
from migrator.mapping.expressions import parse_formula
from migrator.mapping.functions import FUNCTIONS
from migrator.mapping.staged_columns import columns_of
from tests.expression_laws import ARROW, LAWS, SCHEMA
from tests.mapping_kit import bind_texts, make_schema


def spark_of(expression: str) -> str:
    formula = parse_formula(
        expression, columns_of(SCHEMA, ARROW), lambda offset: Location("m.yaml", 1, offset)
    )
    return spark_query(f"SELECT {tried(formula.sql)} AS v FROM given", {"given": arrow_columns(ARROW)})


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_is_carried_to_spark(name: str):
    assert all("SELECT" in spark_of(law.expression) for law in LAWS[name])


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("date_diff('week', day, day)", "date_diff in weeks"),
        ("round(d, -1)", "round to tens"),
        ("regexp_replace(a, 'x*', '-', 'g')", "may match nothing"),
        ("regexp_matches(a, b)", "not a constant"),
        ("d // 2", "// of a decimal"),
        ("cast(a as date)", "a cast of a text to date"),
        ("a like b", "LIKE that is not a constant"),
        ("split_part(a, b, 1)", "not a constant"),
    ],
)
def test_what_would_differ_is_refused_by_name(expression: str, told: str):
    with pytest.raises(NotCarried, match=told):
        spark_of(expression)


def test_what_is_not_staged_yet_is_taken_for_texts_and_the_settings_stand_first(tmp_path: Path):
    text = (
        "mapping: t\ntarget: {system: new, object: t, key: k}\n"
        "source: {system: old, object: T, where: 'D > 0'}\nfields: {a: {from: A, clean: [trim, upper], type: date}}\n"
    )
    schema = make_schema("T", A="string", D="decimal")
    bound = bind_texts({"t.yaml": text}, {"old": [schema]}, tmp_path).mappings[0]
    query = for_spark(compile_mapping(bound), lambda _: None, bound.place)
    assert query.startswith("SET spark.sql.session.timeZone = UTC;\n")
    assert "FROM `old/T`" in query


def test_a_refusal_is_told_at_the_place_of_the_expression(tmp_path: Path):
    text = (
        "mapping: t\ntarget: {system: new, object: t, key: k}\nsource: {system: old, object: T}\nfields:\n"
        '  a: {expr: "round(D, -2)"}\n  b: {from: A}\n  c: {expr: "cast(A as date)"}\n'
    )
    schema = make_schema("T", A="string", D="decimal")
    bound = bind_texts({"t.yaml": text}, {"old": [schema]}, tmp_path).mappings[0]
    with pytest.raises(ProjectError) as caught:
        for_spark(compile_mapping(bound), lambda _: None, bound.place)
    assert [(item.location.line, "Spark" in item.message) for item in caught.value.problems] == [
        (5, True),
        (7, True),
    ]


@pytest.mark.parametrize(
    ("pattern", "java"),
    [
        (r"\d+$", r"(?d)[0-9]+\z"),
        (r"(?i)a.b", "(?d)(?iu)a.b"),
        (r"[[:alpha:]&&\s]", r"(?d)[A-Za-z\&\&\t\n\f\r ]"),
        (r"(?P<y>\d{4})\v", r"(?d)(?<y>[0-9]{4})\x0B"),
        (r"[^[\]]", r"(?d)[^\[\]]"),
    ],
)
def test_patterns_in_java(pattern: str, java: str):
    assert to_java(pattern).java == java


def test_replacements_in_java():
    assert replacement(r"<\1>$0\\") == r"<$1>\$0\\"
    assert replacement(r"\10") == r"$1\0"


@pytest.mark.parametrize(
    ("pattern", "empty"),
    [("x*", True), ("a|b?", True), ("(ab){2}", False), (r"^\b", True), ("(?i)x+", False)],
)
def test_patterns_that_match_nothing_are_known(pattern: str, empty: bool):
    assert to_java(pattern).can_be_empty is empty
