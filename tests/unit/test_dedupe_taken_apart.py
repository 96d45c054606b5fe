"""Texts of a relation taken apart once each, and the keys that bring two of them together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from migrator.dedupe.agreement import struct
from migrator.dedupe.taken_apart import Told, read_keys, take_apart
from migrator.staging.engine import EngineSettings, Session, open_engine
from tests.dedupe_pairs import pairs


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    opened = open_engine(EngineSettings(memory_limit="200MB", threads=1), tmp_path)
    yield opened
    opened.close()


def test_each_text_is_taken_apart_once(session: Session, tmp_path: Path) -> None:
    session.table("people", pa.table({"last": ["王", "王", "Ali"], "first": ["伟", "伟", "Siti binti"]}))
    texts = "SELECT DISTINCT last || ', ' || first FROM people"
    assert take_apart(session, texts, Told.PERSON, "apart", tmp_path / "texts.parquet") == 2
    found = session.fetch(
        "SELECT value.han = hash('王伟') AS han, value.father AS father FROM apart ORDER BY raw"
    ).to_pylist()
    assert found == [{"han": None, "father": "ali"}, {"han": True, "father": None}]
    assert take_apart(session, f"{texts} WHERE false", Told.PERSON, "apart", tmp_path / "texts.parquet") == 0


@pytest.mark.parametrize(
    ("told", "files"), [(Told.PERSON, ("people", "second")), (Told.COMPANY, ("companies", "second"))]
)
def test_those_that_agree_share_a_key(
    session: Session, tmp_path: Path, told: Told, files: tuple[str, ...]
) -> None:
    given = [pair for name in files for pair in pairs(name) if pair.kind == told.value and pair.same]
    session.table(
        "pairs", pa.table({"a": [pair.left for pair in given], "b": [pair.right for pair in given]})
    )
    texts = "SELECT a FROM pairs UNION SELECT b FROM pairs"
    take_apart(session, texts, told, "apart", tmp_path / "texts.parquet")
    left, right = (read_keys(told, struct(f"{side}.value")) for side in ("l", "r"))
    query = (
        f"SELECT a, b FROM pairs JOIN apart l ON l.raw = a JOIN apart r ON r.raw = b "
        f"WHERE NOT list_has_any({left}, {right})"
    )
    apart = session.fetch(query).to_pylist()
    # a name made shorter (J. Smith) is no key: half a town would have it
    assert len(apart) <= 0.08 * len(given), apart
