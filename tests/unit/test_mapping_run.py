"""The map step over the store: built once, built again only when something it is made from has changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from migrator.core.errors import FatalError, ProjectError
from migrator.mapping import CompiledMapping, compile_mapping, map_object
from migrator.staging.engine import DuckSession
from migrator.staging.ledger import Ledger, open_ledger
from migrator.staging.store import Kind, Store
from tests.mapping_kit import bind_texts, engine, make_schema, staged_table

SCHEMA = make_schema("T", N="string", D="date", Gone="boolean")
MAPPING = (
    "mapping: t\ntarget: {system: new, object: t, key: rid}\n"
    "source: {system: old, object: T, exclude: [{when: Gone, reason: deleted}]}\n"
    "fields:\n  n: {from: N, required: true, values: v.csv, unmapped: keep}\n  d: {from: D}\n"
)
ROWS = [
    {"Id": "1", "N": "a", "D": "2024-01-31", "Gone": "0"}, {"Id": "2", "N": "", "D": "31.1.2024", "Gone": "0"},
    {"Id": "3", "N": "b", "Gone": "1"}, {"Id": "4", "N": "c", "D": "x", "Gone": "0"},
]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    ledger: Ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield Store(tmp_path / "staging", ledger)
    ledger.engine.dispose()


@pytest.fixture
def session(tmp_path: Path) -> Iterator[DuckSession]:
    with engine(tmp_path) as opened:
        yield opened


def stage(store: Store, rows: list[dict[str, Any]], fingerprint: str = "1") -> None:
    building = store.build(Kind.STAGED, "old/T", fingerprint)
    table = staged_table(SCHEMA, rows)
    building.add_table(table.slice(0, 1))
    building.add_table(table.slice(1))
    building.complete()


def compiled(tmp_path: Path, text: str = MAPPING, values: str = "source,target\na,A\n") -> CompiledMapping:
    (tmp_path / "v.csv").write_text(values)
    return compile_mapping(bind_texts({"t.yaml": text}, {"old": [SCHEMA]}, tmp_path).mappings[0])


def read(dataset_files: tuple[Path, ...], session: DuckSession) -> list[Mapping[str, Any]]:
    session.view("out", dataset_files)
    return session.fetch("SELECT * FROM out ORDER BY __id").to_pylist()


def test_every_staged_row_is_mapped_and_counted(tmp_path: Path, store: Store, session: DuckSession):
    stage(store, ROWS)
    dataset = map_object(store, session, compiled(tmp_path))
    assert (dataset.rows, dict(dataset.detail)) == (
        4, {"issues": {"cast.date": 2, "required.missing": 1}, "excluded": {"deleted": 1}, "bad": 2},
    )  # fmt: skip
    assert [row["n"] for row in read(dataset.files, session)] == ["A", None, "b", "c"]
    assert store.current(Kind.MAPPED, "t") == dataset


def test_the_columns_have_the_types_the_steps_after_rely_on(
    tmp_path: Path, store: Store, session: DuckSession
):
    stage(store, [])
    dataset = map_object(store, session, compiled(tmp_path))
    schema = dataset.schema()
    assert schema.names == ["__id", "__source", "__key", "__excluded", "__issues", "__bad", "rid", "n", "d"]
    assert schema.field("d").type == pa.date32()
    assert schema.field("__bad").type == pa.bool_()
    issue = schema.field("__issues").type.value_type
    assert [issue.field(number).name for number in range(issue.num_fields)] == [
        "field",
        "rule",
        "value",
        "message",
        "severity",
    ]


def test_a_second_run_builds_nothing(tmp_path: Path, store: Store, session: DuckSession):
    stage(store, ROWS)
    first = map_object(store, session, compiled(tmp_path))
    assert map_object(store, session, compiled(tmp_path)).id == first.id


def test_a_changed_value_map_definition_or_extract_builds_anew(
    tmp_path: Path, store: Store, session: DuckSession
):
    stage(store, ROWS)
    ids = [map_object(store, session, compiled(tmp_path)).id]
    ids.append(map_object(store, session, compiled(tmp_path, values="source,target\na,AA\n")).id)
    ids.append(map_object(store, session, compiled(tmp_path, MAPPING + "  c: {value: x}\n")).id)
    stage(store, ROWS[:1], "2")
    ids.append(map_object(store, session, compiled(tmp_path, MAPPING + "  c: {value: x}\n")).id)
    assert len(set(ids)) == 4


def test_without_staged_data_the_step_says_which_command_makes_it(
    tmp_path: Path, store: Store, session: DuckSession
):
    with pytest.raises(FatalError, match="migrator extract"):
        map_object(store, session, compiled(tmp_path))


def test_an_expression_that_the_engine_refuses_is_told_at_its_place(
    tmp_path: Path, store: Store, session: DuckSession
):
    stage(store, ROWS)
    text = MAPPING + '  x: {expr: "D + N"}\n  y: {expr: "year(N)"}\n'
    with pytest.raises(ProjectError) as caught:
        map_object(store, session, compiled(tmp_path, text))
    assert [str(problem.location) for problem in caught.value.problems] == ["t.yaml:7:13", "t.yaml:8:13"]
    assert store.current(Kind.MAPPED, "t") is None
