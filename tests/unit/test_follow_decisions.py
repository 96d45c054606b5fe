"""Bands follow decisions by the weights that the model gives the decided pairs now, and stay where a model's file puts them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from migrator.core.mapped import DedupeRules, Judgement, MatchModel, Same
from migrator.core.progress import Quiet
from migrator.dedupe.bands import Bands, probability
from migrator.dedupe.features import FEATURES
from migrator.dedupe.follow import Followed, follow_decisions
from migrator.dedupe.learning import SCORED
from migrator.dedupe.run import dedupe
from migrator.staging.engine import EngineSettings, Session, open_engine
from migrator.staging.store import Kind
from tests.dedupe_project import contacts, open_project

BANDS = Bands(probability(8.0), probability(3.0), probability(2.0))
PRIOR = probability(-10.0)
AUTO = MatchModel()


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """Twenty records, of which the neighbours were weighed with 16 bits before the prior: 6 with it."""
    session = open_engine(EngineSettings(memory_limit="100MB", threads=1), tmp_path)
    numbers = list(range(20))
    session.table(FEATURES, pa.table({"n": numbers, "__id": [f"crm:{number:02}" for number in numbers]}))
    session.table(SCORED, pa.table({"a": numbers[:-1], "b": numbers[1:], "weight": [16.0] * 19}))
    yield session
    session.close()


def pairs(verdict: Same, numbers: Sequence[int] = range(19), step: int = 1) -> list[Judgement]:
    return [Judgement(f"crm:{number:02}", f"crm:{number + step:02}", verdict) for number in numbers]


def follow(session: Session, judgements: Sequence[Judgement], wanted: MatchModel = AUTO) -> Followed:
    return follow_decisions(session, BANDS, wanted, judgements, PRIOR)


def test_decisions_about_pairs_that_are_not_weighed_or_left_open_move_nothing(session: Session) -> None:
    for judgements in (
        [],
        pairs(Same.UNSURE),
        pairs(Same.NOT_SAME, range(10), 2),
        [Judgement("a", "b", Same.SAME)],
    ):
        assert follow(session, judgements) == Followed(BANDS, 0, 0.0)


def test_pairs_called_different_raise_every_band_and_those_called_the_same_lower_what_is_asked(
    session: Session,
) -> None:
    doubted = follow(session, pairs(Same.NOT_SAME))
    assert doubted.decisions == 19
    assert doubted.bits < -3
    assert doubted.bands.automatic > BANDS.automatic
    assert doubted.bands.likely > BANDS.likely
    assert doubted.bands.review > BANDS.review
    backed = follow(session, pairs(Same.SAME))
    assert backed.bands.review < BANDS.review
    assert backed.bands.automatic == BANDS.automatic, "too few to merge more without asking"
    assert follow(session, pairs(Same.SAME)[::-1]) == backed


def test_what_the_model_s_file_names_stays(session: Session) -> None:
    named = MatchModel(automatic=BANDS.automatic, review=BANDS.review)
    found = follow(session, pairs(Same.NOT_SAME), named).bands
    assert (found.automatic, found.review) == (BANDS.automatic, BANDS.review)


@pytest.mark.slow
def test_in_the_step_itself_people_who_contradict_the_model_raise_its_bands(tmp_path: Path) -> None:
    rules = DedupeRules((), model=AUTO)
    people = [
        {
            "id": f"crm:{number:04}", "name": f"{FIRST[number % 7]} {LAST[number % 11]}",
            "company": f"Firm {number % 5} Ltd", "email": f"p{number}@firm.example",
        }
        for number in range(1200)
    ]  # fmt: skip
    twins = [{**row, "id": f"erp:{row['id'][4:]}"} for row in people[::3]]
    with open_project(tmp_path) as project:
        before = project.run(contacts(rules), [*people, *twins])
        merged = project.rows(project.store.need(Kind.PAIRS, "contact", made_by="dedupe"))
        said = [Judgement(row["one"], row["other"], Same.NOT_SAME) for row in merged[:60]]
        after = dedupe(project.store, project.session, contacts(rules), judgements=said, progress=Quiet())
    assert after.clusters.detail["model"]["decisions"]["heard"] == 60
    bands = [made.clusters.detail["model"]["bands"]["automatic"] for made in (before, after)]
    assert bands[1] > bands[0]


FIRST = ("Anna", "Maria", "Peter", "Wei", "Siti", "Otto", "Nora")
LAST = ("Müller", "Wang", "Tan", "Lim", "Koch", "Bauer", "Wolf", "Meyer", "Zhang", "Richter", "Abdullah")
