"""The floor under every set: what the model would join is right four times in five, what it joins without asking nearly always."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from migrator.commands.evaluate_data import RECORDS, DataFiles, read_records
from migrator.core.mapped import DedupeRules, MatchModel, Reach
from migrator.dedupe.cluster import MEMBERS
from migrator.dedupe.evaluate import join_from
from migrator.dedupe.match import match
from migrator.dedupe.measure import Score, judge, score
from migrator.staging.engine import EngineSettings, Session, open_engine
from tests.bench.unseen_sets import Unseen, unseen_sets

SETS = tuple(unseen_sets())


@pytest.mark.slow
@pytest.mark.parametrize("unseen", SETS, ids=[item.name for item in SETS])
def test_precision_never_falls_below_the_floor(unseen: Unseen, tmp_path: Path) -> None:
    file, rules = unseen.write(tmp_path), DedupeRules(keys=(), model=MatchModel())
    with closing(open_engine(EngineSettings("500MB", threads=1), tmp_path)) as session:
        records = read_records(session, DataFiles((str(file),), "id", (), "entity"))
        found = match(session, RECORDS, records.fields, rules, tmp_path)
        session.execute(f"CREATE TEMP TABLE evaluate_truth AS SELECT __id, entity FROM {RECORDS}")
        automatic = pairs(session)
        assert found.bands is not None
        join_from(session, found, found.bands.likely, rules)
        likely = pairs(session)
    assert automatic.found == 0 or (automatic.precision or 0) >= 0.995
    assert likely.found == 0 or (likely.precision or 0) >= 0.80


def pairs(session: Session) -> Score:
    judge(session, RECORDS, MEMBERS)
    return score(session, Reach.ALL).pairs
