"""Value maps, links and defaults give what plain Python gives, one value or several joined in a text."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.mapping import compile_mapping
from migrator.staging.engine import DuckSession
from tests.mapping_kit import bind_texts, engine, make_schema, run_sql, staged_table

WORDS = ["new", "老", "a b", "Öl", "it's", '"x"', "0", "null", "\U0001f600"]
NAMES = st.sampled_from([*WORDS, "unknown", "NEW", "new ", ""])
MAPS = st.dictionaries(st.sampled_from(WORDS), st.none() | st.sampled_from(["甲", "b", "c'd"]), min_size=1)
POLICIES = st.sampled_from(["quarantine", "null", "keep", "default"])


@pytest.fixture(scope="module")
def session() -> Iterator[DuckSession]:
    with tempfile.TemporaryDirectory() as folder, engine(Path(folder)) as opened:
        yield opened


def quoted(text: str | None) -> str:
    return "null" if text is None else "'" + text.replace("'", "''") + "'"


def mapped(
    session: DuckSession, texts: list[str | None], entries: dict[str, str | None], policy: str, kind: str
) -> list[dict[str, Any]]:
    unmapped = "{default: other}" if policy == "default" else quoted(policy)
    values = ", ".join(f"{quoted(old)}: {quoted(new)}" for old, new in entries.items())
    schema = make_schema("T", V="string")
    text = (
        "mapping: t\ntarget: {system: new, object: t, key: k}\nsource: {system: old, object: T}\n"
        f"fields:\n  v: {{from: V, type: {kind}, values: {{{values}}}, unmapped: {unmapped}}}\n"
    )
    table = staged_table(schema, [{"Id": f"{n:03d}", "V": value} for n, value in enumerate(texts)])
    bound = bind_texts({"t.yaml": text}, {"old": [schema]}, Path())
    return run_sql(session, compile_mapping(bound.mappings[0]), {"old/T": table})


def unknown(text: str, policy: str) -> str | None:
    return {"keep": text, "default": "other"}.get(policy)


@settings(max_examples=25)
@given(st.lists(st.none() | NAMES, min_size=1, max_size=12), MAPS, POLICIES)
def test_a_value_map_agrees_with_python(
    session: DuckSession, texts: list[str | None], entries: dict[str, str | None], policy: str
):
    rows = mapped(session, texts, entries, policy, "picklist")
    known = [
        entries.get(text) if text in entries else unknown(text, policy) if text else None for text in texts
    ]
    assert [row["v"] for row in rows] == known
    lost = [bool(text) and text not in entries and policy != "keep" for text in texts]
    assert [bool(row["__issues"]) for row in rows] == lost
    assert [row["__bad"] for row in rows] == [found and policy == "quarantine" for found in lost]


@settings(max_examples=25)
@given(
    st.lists(st.none() | st.lists(NAMES, max_size=4).map(";".join), min_size=1, max_size=12), MAPS, POLICIES
)
def test_each_of_several_values_is_mapped_by_itself(
    session: DuckSession, texts: list[str | None], entries: dict[str, str | None], policy: str
):
    def one(part: str) -> str | None:
        return entries[part] if part in entries else unknown(part, policy)

    def whole(text: str | None) -> str | None:
        parts = [part.strip(" ") for part in text.split(";")] if text else []
        if policy == "quarantine" and any(part not in entries for part in parts):
            return None
        return ";".join(item for item in map(one, parts) if item is not None) or None

    assert [row["v"] for row in mapped(session, texts, entries, policy, "multi_picklist")] == [
        whole(text) for text in texts
    ]


@pytest.mark.parametrize("kind", ["string", "id"])
@settings(max_examples=15)
@given(texts=st.lists(st.none() | NAMES, min_size=1, max_size=12))
def test_a_default_takes_the_place_of_nothing_only(session: DuckSession, kind: str, texts: list[str | None]):
    schema = make_schema("T", V="string")
    text = (
        "mapping: t\ntarget: {system: new, object: t, key: k}\nsource: {system: old, object: T}\n"
        f"fields:\n  v: {{from: V, type: {kind}, default: '王'}}\n"
    )
    table = staged_table(schema, [{"Id": f"{n:03d}", "V": value} for n, value in enumerate(texts)])
    bound = bind_texts({"t.yaml": text}, {"old": [schema]}, Path())
    rows = run_sql(session, compile_mapping(bound.mappings[0]), {"old/T": table})
    assert [row["v"] for row in rows] == [text or "王" for text in texts]
