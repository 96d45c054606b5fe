"""Joins that are made one after another give the rows of one query that makes them all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from migrator.staging import in_turn
from migrator.staging.engine import DuckSession, EngineSettings, open_engine
from migrator.staging.in_turn import Join, joined_in_turn

LED_TO = pa.table({"k": ["a", "b", "c"], "v": [1, 2, None]})
ROWS = pa.table({"id": [1, 2, 3, 4], "one": ["a", None, "x", "b"], "two": ["b", "c", "c", None]})
JOINS = [
    Join("SELECT * FROM led", f"j.k = r.{name}", f"j.v AS {name}_v, j.k IS NOT NULL AS {name}_is", 3)
    for name in ("one", "two", "one_again")
]
WANTED = [
    (1, 1, True, 2, True, 1, True), (2, None, False, None, True, None, False),
    (3, None, False, None, True, None, False), (4, 2, True, None, False, 2, True),
]  # fmt: skip


@pytest.fixture
def session(tmp_path: Path) -> Iterator[DuckSession]:
    with closing(open_engine(EngineSettings(threads=1), tmp_path)) as opened:
        opened.table("led", LED_TO)
        opened.table("given", ROWS)
        yield opened


@pytest.mark.parametrize(("at_once", "laid_aside"), [(1_000, 0), (6, 1), (1, 2)])
def test_however_many_are_joined_at_once(
    session: DuckSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, at_once: int, laid_aside: int
) -> None:
    monkeypatch.setattr(in_turn, "JOINED_ROWS", at_once)
    asked: list[str] = []
    lay_aside = session.lay_aside
    monkeypatch.setattr(session, "lay_aside", lambda name, sql: (asked.append(name), lay_aside(name, sql)))
    sql = joined_in_turn(session, "SELECT *, one AS one_again FROM given", JOINS)
    values = "one_v, one_is, two_v, two_is, one_again_v, one_again_is"
    found = session.fetch(f"SELECT id, {values} FROM ({sql}) ORDER BY id")
    assert [tuple(row.values()) for row in found.to_pylist()] == WANTED
    assert len(asked) == laid_aside
    assert len(list(tmp_path.rglob("*.parquet"))) == min(laid_aside, 1)


def test_what_rows_join_to_already_counts(session: DuckSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_turn, "JOINED_ROWS", 4)
    given = "SELECT *, one AS one_again FROM given"
    assert "so far" not in joined_in_turn(session, given, JOINS[:1])
    assert "so far" in joined_in_turn(session, given, JOINS[:1], joined=2)


def test_no_joins_are_the_rows(session: DuckSession) -> None:
    assert joined_in_turn(session, "SELECT 1", [], joined=10**9) == "SELECT 1"
