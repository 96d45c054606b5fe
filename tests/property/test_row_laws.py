"""Joined and exploded rows are what a plain reading in Python says, whatever nulls, signs and duplicates there are."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.mapping import CompiledMapping, compile_mapping
from migrator.staging.engine import DuckSession
from tests.mapping_kit import bind_texts, engine, issues, make_schema, run_sql, staged_table

SPACE = " \t\r\n\u00a0\u3000"
PARTY = make_schema("Party", Ref="string", More="string", List="string")
FIRM = make_schema("Firm", Name="string", Code="string")
HEAD = "mapping: t\ntarget: {system: new, object: t, key: legacy_id}\nsource: {system: old, object: Party, %s}\nfields:\n  legacy_id: {record_id: true}\n"


def compiled(source: str, fields: str) -> CompiledMapping:
    found = bind_texts({"t.yaml": HEAD % source + fields}, {"old": [PARTY, FIRM]}, Path())
    return compile_mapping(found.mappings[0])


JOINED = compiled(
    "join: {firm: {object: Firm, on: {Ref: Id, More: Code}, missing: {exclude: alone}}}",
    "  name: {from: firm.Name}\n",
)
SPLIT = compiled("explode: {column: List, split: '||', as: one}", "  one: {from: one}\n")
LISTED = compiled(
    "explode: {column: List, json: true, parts: [id, 'a/b ~c'], as: one}",
    "  one: {from: one}\n  part: {from: 'one.a/b ~c'}\n",
)
TEXTS = st.one_of(st.none(), st.sampled_from(["", " ", "1", "01", "1.0", "a|b", "\\", "#", "客户", "é", "e\u0301", "'", '"', "A", "a"]))  # fmt: skip
KEYS = st.one_of(st.none(), st.text("ab#\\|客 ()", max_size=4), st.uuids().map(str))


@pytest.fixture(scope="module")
def session() -> Iterator[DuckSession]:
    with tempfile.TemporaryDirectory() as folder, engine(Path(folder)) as opened:
        yield opened


def run(
    session: DuckSession, query: CompiledMapping, **objects: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    tables = {
        f"old/{name}": staged_table({"Party": PARTY, "Firm": FIRM}[name], rows)
        for name, rows in objects.items()
    }
    return run_sql(session, query, tables)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.fixed_dictionaries({"Ref": TEXTS, "More": TEXTS}), max_size=8),
    firms=st.lists(st.fixed_dictionaries({"Id": TEXTS, "Code": TEXTS, "Name": TEXTS}), max_size=8),
)
def test_a_join_is_what_a_search_through_all_records_finds(
    session: DuckSession, rows: list[dict[str, Any]], firms: list[dict[str, Any]]
) -> None:
    for number, row in enumerate(rows):
        row["Id"] = f"{number:03}"
    found = run(session, JOINED, Party=rows, Firm=firms)
    assert [row["__id"] for row in found] == [f"old:{row['Id']}" for row in rows]
    for row, given_row in zip(found, rows, strict=True):
        fit = [
            firm for firm in firms
            if given_row["Ref"] and given_row["More"]
            and (firm["Id"], firm["Code"]) == (given_row["Ref"], given_row["More"])
        ]  # fmt: skip
        assert row["__excluded"] == (None if fit else "alone")
        assert [item[1] for item in issues(row)] == (["join.ambiguous"] if len(fit) > 1 else [])
        assert row["name"] == (fit[0]["Name"] if len(fit) == 1 else None)


def expected(rows: list[dict[str, Any]], values_of: Any) -> Counter[tuple[Any, ...]]:
    """(key, value, what becomes of it) of every record, in plain Python."""
    found: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        values = values_of(row["List"])
        if values == []:
            found[row["Id"], None, "no value to explode"] += 1
        seen: set[str] = set()
        for value in values or ():
            found[row["Id"], value, "the value stands in its row before" if value in seen else None] += 1
            seen.add(value)
        if values is None:
            found[row["Id"], None, None] += 1
    return found


def explode_matches(
    session: DuckSession, query: CompiledMapping, rows: list[dict[str, Any]], values_of: Any
) -> None:
    for number, row in enumerate(rows):
        row["Id"] = (row["Id"] or "") + f"-{number}"
    found = run(session, query, Party=rows)
    ids = [row["__id"] for row in found]
    assert len(set(ids)) == len(ids)
    keys = {row["Id"].replace("\\", "\\\\").replace("#", "\\#"): row["Id"] for row in rows}
    told: Counter[tuple[Any, ...]] = Counter()
    for row in found:
        key = row["__key"] if row["one"] is None else row["__key"].removesuffix(f"#{row['one']}")
        told[keys[key], row["one"], row["__excluded"]] += 1
    assert told == expected(rows, values_of)
    turned = [{**row, "List": row["List"]} for row in reversed(rows)]
    again = run(session, query, Party=turned)
    assert [row["__id"] for row in again] == ids


PIECES = st.one_of(
    TEXTS.filter(lambda text: text is not None), st.sampled_from(["||", "|", "||||", " x ", "\u3000y\n"])
)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {"Id": KEYS, "List": st.one_of(st.none(), st.lists(PIECES, max_size=8).map("||".join), st.lists(PIECES, max_size=5).map("".join))}
        ), max_size=6,
    )
)  # fmt: skip
def test_a_list_in_a_text_is_exploded_as_python_splits_it(
    session: DuckSession, rows: list[dict[str, Any]]
) -> None:
    def values_of(text: str | None) -> list[str]:
        return [part for part in (one.strip(SPACE) for one in (text or "").split("||")) if part]

    explode_matches(session, SPLIT, rows, values_of)


ITEMS = st.one_of(
    TEXTS,
    st.fixed_dictionaries({}, optional={"id": TEXTS, "a/b ~c": TEXTS, "x": st.integers(0, 3)}),
)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "Id": KEYS,
                "List": st.one_of(
                    st.sampled_from([None, "", "  ", "null", "{}", "[", "nothing", "7", '"x"']),
                    st.lists(ITEMS, max_size=6).map(json.dumps),
                    st.lists(ITEMS, max_size=6).map(lambda items: json.dumps(items, ensure_ascii=False)),
                ),
            }
        ),
        max_size=6,
    )
)
def test_a_json_list_is_exploded_as_python_reads_it(session: DuckSession, rows: list[dict[str, Any]]) -> None:
    def text_of(item: Any) -> str:
        if not isinstance(item, dict):
            return (item or "").strip(SPACE)
        filled = ((item.get(name) or "").strip(SPACE) for name in ("id", "a/b ~c"))
        return next(
            (text for text in filled if text), json.dumps(item, ensure_ascii=False, separators=(",", ":"))
        )

    def values_of(text: str | None) -> list[str] | None:
        try:
            items = json.loads(text) if text and text.strip() else []
        except ValueError:
            return None
        return [found for found in map(text_of, items) if found] if isinstance(items, list) else None

    explode_matches(session, LISTED, rows, values_of)
