"""Matching only what changed comes to what matching everything by the same model comes to."""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from migrator.core.mapped import DedupeRules, MatchModel
from migrator.dedupe import delta
from migrator.dedupe.frozen import print_of
from migrator.dedupe.run import Deduped
from migrator.staging.store import Kind
from tests.dedupe_project import BY_EMAIL, Project, contacts, open_project

pytestmark = pytest.mark.slow
GIVEN = [
    f"{a}{b}"
    for a in ("an", "be", "ca", "do", "el", "fa", "gi", "ho")
    for b in ("na", "ria", "vid", "bio", "mir")
]
FAMILY = [
    f"{a}{b}" for a in ("smi", "bro", "wil", "tay", "har", "mor") for b in ("th", "wn", "son", "lor", "ris")
]
FIRMS = [
    f"{a} {b}" for a in ("north", "blue", "alpha", "vega") for b in ("trading", "foods", "steel", "media")
]


def people(count: int, rng: random.Random) -> list[dict[str, Any]]:
    """Contacts, a quarter of them again with something missing or cut off."""
    rows = []
    for number in range(count):
        name = f"{rng.choice(GIVEN)} {rng.choice(FAMILY)}"
        row = {
            "id": f"crm:{number}", "name": name, "email": f"{name.replace(' ', '.')}{rng.randrange(count)}@a.de",
            "phone": f"+6012{rng.randrange(10**7):07d}", "company": rng.choice(FIRMS),
            "born": date(1950 + rng.randrange(50), 1 + rng.randrange(12), 1 + rng.randrange(28)),
        }  # fmt: skip
        rows.append(row)
        while rng.random() < 0.25:
            lost = {field: None for field in ("email", "phone") if rng.random() < 0.4}
            cut = {"name": name[:-1]} if rng.random() < 0.3 else {}
            rows.append({**row, **lost, **cut, "id": f"erp:{number}-{rng.randrange(10**9)}"})
    return rows


def changed(rows: list[dict[str, Any]], count: int, rng: random.Random) -> list[dict[str, Any]]:
    """Some take the name and number of another, some go, some come again under a new id."""
    taking = {row["id"]: rng.choice(rows) for row in rng.sample(rows, count)}
    going = {row["id"] for row in rng.sample(rows, count)}
    left = [
        {**row, "name": taking[row["id"]]["name"], "phone": taking[row["id"]]["phone"]}
        if row["id"] in taking
        else row
        for row in rows
        if row["id"] not in going
    ]
    return left + [
        {**row, "id": f"erp:{count}-{row['id'][4:]}", "email": None} for row in rng.sample(rows, count)
    ]


def told(project: Project, made: Deduped) -> tuple[set[tuple[str, ...]], set[tuple[str, ...]]]:
    edges = project.store.need(Kind.EDGES, "contact", made_by="dedupe")
    pairs = {tuple(str(value) for value in row.values()) for row in project.rows(edges)}
    return pairs, {tuple(str(value) for value in row.values()) for row in project.rows(made.clusters)}


@pytest.mark.parametrize(("seed", "largest"), [(3, 4), (4, 100)])
def test_a_delta_comes_to_what_scoring_everything_comes_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, largest: int
) -> None:
    rng = random.Random(seed)
    first = people(900, rng)
    later = changed(first, 10, rng)
    last = changed(later, 12, rng)
    mapped = contacts(
        DedupeRules((BY_EMAIL,), model=MatchModel(largest_block=largest), region="MY", identity=("phone",))
    )
    for folder in ("some", "all"):
        (tmp_path / folder).mkdir()
    with open_project(tmp_path / "some") as project:
        project.run(mapped, first)
        project.run(mapped, later)
        some = project.run(mapped, last)
        assert 0 < some.clusters.detail["model"]["changed"] < 100
        expected = told(project, some)
    monkeypatch.setattr(delta, "MOST_CHANGED", 9.0)
    with open_project(tmp_path / "all") as project:
        project.run(mapped, first)
        project.run(mapped, later)
        monkeypatch.setattr(delta, "print_of", lambda *given: f"(1 + ({print_of(*given)} >> 1))")
        every = project.run(mapped, last)
        assert every.clusters.detail["model"]["changed"] > 1000
        assert told(project, every) == expected


def test_a_model_is_learnt_anew_when_much_changed_or_the_rules_did(tmp_path: Path) -> None:
    rng = random.Random(5)
    rows = people(300, rng)
    mapped = contacts(DedupeRules((), model=MatchModel(), region="MY"))
    with open_project(tmp_path) as project:
        project.run(mapped, rows)
        few = changed(rows, 3, rng)
        assert project.run(mapped, few).clusters.detail["model"]["changed"] <= 9
        many = changed(few, 30, rng)
        assert "changed" not in project.run(mapped, many).clusters.detail["model"]
        stricter = contacts(DedupeRules((), model=MatchModel(automatic=0.999), region="MY"))
        assert "changed" not in project.run(stricter, changed(many, 3, rng)).clusters.detail["model"]
