"""Dedupe on both engines, over one mixed list: the same pairs, bands, scores, clusters and survivors, and again when some changed."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from migrator.core.clock import FixedClock
from migrator.core.mapped import DedupeRules, MatchModel
from migrator.core.schema import FieldSchema, FieldType
from migrator.staging.engine import EngineSettings
from migrator.staging.engines import Work, open_session
from migrator.staging.ledger import open_ledger
from migrator.staging.store import Kind, Store
from migrator.testing.synthetic.duplicates import Subject, duplicates
from tests.dedupe_project import BY_EMAIL, BY_NAME_PHONE, Project, contacts

pytestmark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore")]

PAIRS = Path(__file__).parent.parent / "dedupe_pairs"
FIELDS = tuple(
    FieldSchema(name, FieldType.ID if name == "legacy_id" else FieldType.STRING)
    for name in ("legacy_id", "name", "company", "email", "phone")
)
RULES = DedupeRules(keys=(BY_EMAIL, BY_NAME_PHONE), model=MatchModel())
MADE = (Kind.EDGES, Kind.PAIRS, Kind.CLUSTERS, Kind.GOLDEN, Kind.DONORS)
SCORES = ("weight", "probability")
TOLERANCE = 1e-9
"""Relative difference that scores may have."""
HERE = ("ArrayAgg", "Avg", "ArgMin", "First", "the join FULL JOIN")
"""What may run on this machine, by what its reason begins with; docs/spark.md says what that is."""


def records() -> Iterator[dict[str, Any]]:
    """Made-up people in three languages with their doubles, and names that people paired by hand; some have hardly anything."""
    table = pa.concat_tables(duplicates(Subject.CONTACTS, 150, seed=11))
    for n, row in enumerate(table.to_pylist()):
        name = " ".join(part for part in (row["first_name"], row["last_name"]) if part) or None
        shown = {key: row[key] or None for key in ("company", "email", "phone")}
        yield {"id": f"crm:{n}", "name": name, **shown}
    for file, field in (("people.csv", "name"), ("companies.csv", "company")):
        with (PAIRS / file).open(encoding="utf-8", newline="") as stream:
            for n, row in enumerate(list(csv.DictReader(stream))[::6]):
                for side in ("left", "right"):
                    phone = f"+49 30 55{n:05d}" if n % 3 else None
                    yield {"id": f"erp:{field}{n}{side}", field: row[side], "phone": phone}


def changed() -> Iterator[dict[str, Any]]:
    """The same a day later: one is gone, one is another, two are new."""
    for n, row in enumerate(records()):
        if n == 3:
            continue
        yield row | {"name": "王小明", "phone": "+86 138 0013 8000"} if n == 5 else row
    yield {"id": "crm:new", "name": "Wang Xiaoming", "phone": "13800138000"}
    yield {"id": "crm:newer", "name": "Nobody Else \u3000", "email": "nobody@else.example"}


def deduped(
    settings: EngineSettings, folder: Path, told: list[str]
) -> list[dict[Kind, list[dict[str, Any]]]]:
    """What both runs make, on the engine of the settings."""
    folder.mkdir()
    ledger = open_ledger(f"sqlite:///{folder / 'ledger.db'}", FixedClock())
    mapped, found = contacts(RULES, FIELDS), []
    for rows in (records(), changed()):
        session = open_session(settings, folder, Work.DEDUPE, lambda _, reason: told.append(reason))
        with closing(session):
            project = Project(Store(folder / "staging", ledger), session)
            project.run(mapped, list(rows))
            made = {kind: project.store.need(kind, mapped.name, made_by="dedupe") for kind in MADE}
            found.append({kind: project.rows(dataset) for kind, dataset in made.items()})
            found[-1][Kind.FEATURES] = [
                {"model": project.store.need(Kind.FEATURES, mapped.name, made_by="dedupe").detail["model"]}
            ]
    ledger.engine.dispose()
    return found


def test_both_engines_find_the_same(settings: EngineSettings, tmp_path: Path) -> None:
    told: list[str] = []
    here = deduped(EngineSettings(memory_limit="500MB", threads=2), tmp_path / "here", [])
    there = deduped(settings, tmp_path / "there", told)
    for one, two in zip(here, there, strict=True):
        compare(one, two)
    bands = [row["band"] for row in here[0][Kind.EDGES] if row["rule"] == "model"]
    assert {"automatic", "review", "none"} <= set(bands)
    assert sum(row["weight"] is None for row in here[0][Kind.EDGES]) > 10
    assert [reason for reason in told if not reason.startswith(HERE)] == []


def compare(one: Mapping[Kind, list[dict[str, Any]]], two: Mapping[Kind, list[dict[str, Any]]]) -> None:
    """All that a run made, scores within the tolerance and all else exactly."""
    for kind in MADE:
        left, right = (sorted((plain(row) for row in made[kind]), key=repr) for made in (one, two))
        assert left == right, kind
    scored = [{key_of(row): row for row in made[Kind.EDGES]} for made in (one, two)]
    for key, row in scored[0].items():
        other = scored[1][key]
        for name in SCORES:
            assert alike(row[name], other[name]), (row, other)
        assert alike(json.loads(row["parts"] or "null"), json.loads(other["parts"] or "null")), (row, other)
    models = [made[Kind.FEATURES][0]["model"] for made in (one, two)]
    assert alike(*models), models


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without what is compared within a tolerance."""
    return {name: value for name, value in row.items() if name not in (*SCORES, "parts")}


def key_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells an edge from others."""
    return tuple(row[name] for name in ("one", "other", "rule", "band"))


def alike(one: Any, other: Any) -> bool:
    """Numbers within the tolerance, all else the same."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return bool(one == other)
