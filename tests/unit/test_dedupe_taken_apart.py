"""Texts of a relation taken apart once each, and the keys that bring two of them together."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from migrator.dedupe.agreement import struct
from migrator.dedupe.distinct import translate_distinct
from migrator.dedupe.person import person_features
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


def test_what_a_page_makes_is_not_searched_for_circles_meanwhile(session: Session, tmp_path: Path) -> None:
    seen = []

    def fails(texts: pa.Array) -> pa.Array:
        seen.append(gc.isenabled())
        raise ValueError(f"no {texts[0]}")

    with pytest.raises(Exception, match="no"):
        translate_distinct(session, "SELECT 'a' AS t", fails, "made", tmp_path / "texts.parquet")
    assert (seen, gc.isenabled()) == ([False], True)


@pytest.mark.parametrize(
    "name",
    ["王, 伟", "王伟", "欧阳, 娜娜", "单, 田芳", "王, 老师", "李, 大卫", "陈, 先生", "先生", "王, 々〇"],
)
def test_a_name_in_characters_alone_reads_as_it_does_beside_a_mark(name: str) -> None:
    alone, marked = person_features(pa.array([name, f"{name} ."])).to_pylist()
    assert alone == marked
    assert alone["han"]


@pytest.mark.parametrize("name", ["王伟", "Robert Smith", "Tan, Wei Ming", "Chen", "David 陈大卫", "---"])
def test_keys_are_those_of_every_kind_each_once(session: Session, tmp_path: Path, name: str) -> None:
    session.table("people", pa.table({"name": [name]}))
    take_apart(session, "SELECT name FROM people", Told.PERSON, "apart", tmp_path / "texts.parquet")
    row = session.fetch(
        f"SELECT {read_keys(Told.PERSON, struct('value'))} AS keys, value.pinyin || value.forms AS every FROM apart"
    ).to_pylist()[0]
    assert sorted(row["keys"]) == sorted(set(row["every"]))
