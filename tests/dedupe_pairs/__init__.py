"""Hand-made pairs of names and companies in several languages: what is one, what only looks so, and why."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from migrator.dedupe.agreement import (
    AGREE,
    Agreement,
    company_agreement,
    name_agreement,
    struct,
)
from migrator.dedupe.company import company_features
from migrator.dedupe.person import person_features
from migrator.staging.engine import Session

_KINDS = {
    "person": (person_features, name_agreement),
    "company": (company_features, company_agreement),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts of one kind ('person' or 'company'), whether they are one, and what the pair tries out."""

    kind: str
    left: str
    right: str
    same: bool
    why: str


@dataclass(frozen=True, slots=True)
class Score:
    """How the levels that speak for a match fared on pairs; `wrong` are (pair, level)."""

    recall: float
    precision: float
    wrong: tuple[tuple[Pair, Agreement], ...]


def pairs(name: str) -> list[Pair]:
    """The pairs of one file beside this one."""
    with (Path(__file__).parent / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [
            Pair(r["kind"], r["left"], r["right"], r["same"] == "yes", r["why"]) for r in csv.DictReader(file)
        ]


def agreements(session: Session, kind: str, left: list[str], right: list[str]) -> list[Agreement | None]:
    """The agreement of each two texts of a kind."""
    features, agreement = _KINDS[kind]
    rows = pa.table(
        {
            "n": pa.array(range(len(left)), pa.int64()),
            "a": features(pa.array(left, pa.string())),
            "b": features(pa.array(right, pa.string())),
        }
    )
    session.table("pairs", rows)
    found = session.fetch(f"SELECT {agreement(struct('a'), struct('b'))} AS level FROM pairs ORDER BY n")
    return [None if level is None else Agreement(level) for level in found.column("level").to_pylist()]


def score(session: Session, given: list[Pair]) -> Score:
    """Take each pair for one where its level is in `AGREE`."""
    decided = []
    for kind in _KINDS:
        chosen = [pair for pair in given if pair.kind == kind]
        levels = agreements(session, kind, [pair.left for pair in chosen], [pair.right for pair in chosen])
        decided += [(pair, level, level in AGREE) for pair, level in zip(chosen, levels, strict=True)]
    hits = sum(pair.same and taken for pair, _, taken in decided)
    wrong = tuple((pair, level) for pair, level, taken in decided if pair.same != taken)
    return Score(
        recall=hits / max(1, sum(pair.same for pair, _, _ in decided)),
        precision=hits / max(1, sum(taken for _, _, taken in decided)),
        wrong=wrong,
    )
