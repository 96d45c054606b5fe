"""The hand-made pairs in several languages, judged by the matcher itself: one telephone a pair, so that names decide."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from migrator.core.mapped import DedupeRules, MatchModel, Meaning
from migrator.core.schema import FieldSchema, FieldType
from migrator.dedupe.edges import EDGES
from migrator.dedupe.match import match
from migrator.staging.engine import EngineSettings, Session, open_engine
from tests.dedupe_pairs import Pair, pairs

FILES = ("people", "companies", "second", "third", "fourth", "held_out")
FIELDS = (FieldSchema("called", FieldType.STRING), FieldSchema("phone", FieldType.STRING))


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    opened = open_engine(EngineSettings(memory_limit="500MB", threads=1), tmp_path)
    yield opened
    opened.close()


AGREEING = ("equal", "same in another script", "same in other words", "made shorter")
"""Levels of the model on which two names are one name; what is but written alike is not among them."""


def agreeing(session: Session, given: list[Pair], meaning: Meaning, scratch: Path) -> set[int]:
    """Numbers of the pairs whose names the matcher found to be one name, and did not veto."""
    rows = [
        {
            "__id": f"crm:{n}{side}",
            "__source": "crm",
            "called": text,
            "phone": f"+60 3 {71_000_000 + 7_919 * n}",
        }
        for n, pair in enumerate(given)
        for side, text in (("a", pair.left), ("b", pair.right))
    ]
    session.table("records", pa.Table.from_pylist(rows))
    model = MatchModel(meanings={"called": meaning, "phone": Meaning.PHONE}, review=1e-6)
    match(session, "records", FIELDS, DedupeRules(keys=(), model=model), scratch)
    edges = session.fetch(
        f"SELECT one, other, parts FROM {EDGES} WHERE left(one, -1) = left(other, -1)"
    ).to_pylist()
    return {
        int(edge["one"][4:-1])
        for edge in edges
        for part in json.loads(edge["parts"] or "[]")
        if part["field"] == "called" and part["level"] in AGREEING
    }


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "meaning"), [("person", Meaning.PERSON), ("company", Meaning.COMPANY)])
def test_pairs_are_told_apart_by_the_matcher(
    session: Session, tmp_path: Path, kind: str, meaning: Meaning
) -> None:
    given = [pair for name in FILES for pair in pairs(name) if pair.kind == kind]
    taken = agreeing(session, given, meaning, tmp_path)
    same = {n for n, pair in enumerate(given) if pair.same}
    told = [(given[n].left, given[n].right, given[n].same) for n in sorted(same ^ taken)]
    assert len(same & taken) / len(same) >= 0.90, told
    assert len(same & taken) / len(taken) >= 0.98, told
