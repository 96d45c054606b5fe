"""What a query becomes on Spark, and that what cannot mean the same there is refused at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.core.errors import Location, ProjectError
from migrator.core.mapped import MappedObject
from migrator.mapping import CompiledMapping, compile_mapping
from migrator.mapping.compile import Probe
from migrator.mapping.compile_source import tried
from migrator.mapping.dialects.carry import for_spark
from migrator.mapping.expressions import parse_formula
from migrator.mapping.functions import FUNCTIONS
from migrator.mapping.sql import Step
from migrator.mapping.staged_columns import columns_of
from migrator.staging.dialects.kinds import TEXT, NotCarried
from migrator.staging.dialects.patterns import replacement, to_java
from migrator.staging.dialects.statement import arrow_columns, spark_query
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


def test_hooks_and_json_lists_are_refused_by_name_at_their_place(tmp_path: Path):
    (tmp_path / "hooks.py").write_text("def segment(name):\n    return name\n", encoding="utf-8")
    head = "mapping: t\ntarget: {system: new, object: t, key: k}\n"
    hook = "source: {system: old, object: T}\nfields:\n  a: {from: A}\n  b: {python: hooks.segment, using: [A]}\n"
    listed = "source: {system: old, object: T, explode: {column: A, json: true, as: one}}\nfields: {a: {from: one}}\n"
    for text, line, named in ((hook, 6, "a function of the project"), (listed, 1, "explode of a JSON list")):
        schema = make_schema("T", A="string")
        bound = bind_texts({"t.yaml": head + text}, {"old": [schema]}, tmp_path, hooks=True).mappings[0]
        with pytest.raises(ProjectError, match=named) as caught:
            for_spark(compile_mapping(bound), lambda _: None, bound.place)
        assert [item.location.line for item in caught.value.problems] == [line]


def test_an_expression_over_rows_that_cannot_be_carried_is_not_blamed():
    probe = Probe(Location("t.yaml", 9), "A", "1", (Step("s", "SELECT * FROM a OFFSET 1"),))
    mapped = MappedObject("t", "new", "t", "k", (), ())
    compiled = CompiledMapping(mapped, probe.sql, {}, ("a",), (probe,))
    with pytest.raises(ProjectError, match="the clause OFFSET") as caught:
        for_spark(compiled, lambda _: None, Location("t.yaml", 1))
    assert [item.location.line for item in caught.value.problems] == [1]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT o.k, r.v FROM o ASOF JOIN r ON o.k = r.k AND o.d >= r.d",
        "SELECT o.k, r.v FROM (SELECT DISTINCT k, d FROM o) AS o ASOF JOIN r ON o.k = r.k AND o.d >= r.d",
    ],
)
def test_a_latest_partner_is_looked_for_only_where_no_row_stands_twice(sql: str):
    with pytest.raises(NotCarried, match="ASOF"):
        spark_query(sql, {"o": {"k": TEXT, "d": TEXT}, "r": {"k": TEXT, "d": TEXT, "v": TEXT}})


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
