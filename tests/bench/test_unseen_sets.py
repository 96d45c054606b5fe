"""The floor under every set: what the model would join is right four times in five, what it joins without asking nearly always,
that is no small part of what is one, and it asks about few.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from migrator.commands.evaluate_data import RECORDS, DataFiles, read_records
from migrator.core.mapped import DedupeRules, MatchModel, Reach
from migrator.dedupe.cluster import MEMBERS
from migrator.dedupe.edges import EDGES
from migrator.dedupe.evaluate import join_from
from migrator.dedupe.match import match
from migrator.dedupe.measure import Score, judge, score
from migrator.staging.engine import EngineSettings, Session, open_engine
from tests.bench.unseen_sets import Unseen, unseen_sets

SETS = tuple(unseen_sets())
JOINED = {
    "German namesakes": 0.4, "Malaysian customers": 0.5, "Spanish families": 0.25, "Franchises and numbered firms": 0.3,
    "Households": 0.7, "Forty-eight rows": 1.0, "Names and towns alone": 0.0,
}  # fmt: skip
"""Share of the duplicates that is joined without asking: half of the namesakes' have no e-mail, and a hundred names for all;
names and towns alone prove nothing.
"""
MOST_ASKED = 0.02
"""Share of the records that people are asked about."""


@pytest.mark.slow
@pytest.mark.parametrize("unseen", SETS, ids=[item.name for item in SETS])
def test_shapes_that_no_published_set_has_are_joined_right_and_not_left_to_people(
    unseen: Unseen, tmp_path: Path
) -> None:
    file, rules = unseen.write(tmp_path), DedupeRules(keys=(), model=MatchModel())
    with closing(open_engine(EngineSettings("500MB", threads=1), tmp_path)) as session:
        records = read_records(session, DataFiles((str(file),), "id", (), "entity"))
        found = match(session, RECORDS, records.fields, rules, tmp_path)
        session.execute(f"CREATE TEMP TABLE evaluate_truth AS SELECT __id, entity FROM {RECORDS}")
        automatic, asked = pairs(session), in_review(session)
        assert found.bands is not None
        join_from(session, found, found.bands.likely, rules)
        likely = pairs(session)
    assert automatic.found == 0 or (automatic.precision or 0) >= 0.995
    assert (automatic.recall or 0) >= JOINED[unseen.name]
    assert asked <= MOST_ASKED * len(unseen.rows)
    assert likely.found == 0 or (likely.precision or 0) >= 0.80


def pairs(session: Session) -> Score:
    judge(session, RECORDS, MEMBERS)
    return score(session, Reach.ALL).pairs


def in_review(session: Session) -> int:
    """Records of pairs between clusters that a person is asked about."""
    return int(
        session.fetch(
            f"WITH pairs AS (SELECT one, other FROM {EDGES} e LEFT JOIN {MEMBERS} a ON one = a.__id LEFT JOIN {MEMBERS} b "
            "ON other = b.__id WHERE band = 'review' AND (a.__cluster = b.__cluster) IS NOT TRUE) "
            "SELECT count(*) AS n FROM (SELECT one FROM pairs UNION SELECT other FROM pairs)"
        ).column("n")[0].as_py()
    )  # fmt: skip
