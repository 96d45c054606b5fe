"""Our expectation maximisation and our weights come to what Splink makes of the same comparisons and the same pairs."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from migrator.core.mapped import MatchModel
from migrator.core.schema import FieldSchema, FieldType
from migrator.dedupe.comparison import Comparison, make_comparisons
from migrator.dedupe.features import FEATURES, choose_features, make_features, texts_of
from migrator.dedupe.grading import Evidence, add_scored, count_patterns, create_scored, grade
from migrator.dedupe.maximise import learn
from migrator.dedupe.meaning import find_meanings
from migrator.dedupe.odds import Odds
from migrator.staging.engine import EngineSettings, Session, open_engine
from tests import splink_oracle

pytestmark = pytest.mark.slow
FIELDS = tuple(FieldSchema(name, FieldType.STRING) for name in ("name", "company", "city", "email", "born"))
WHOLE = "whole_features"
PAIRS = "SELECT x.n AS a, y.n AS b FROM dedupe_features x JOIN dedupe_features y ON x.n < y.n AND x.v2 = y.v2"


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    opened = open_engine(EngineSettings(memory_limit="500MB", threads=1), tmp_path)
    yield opened
    opened.close()


def people(session: Session, scratch: Path) -> Sequence[Comparison]:
    rng = random.Random(5)
    rows = []
    for number in range(250):
        name = f"{rng.choice(('Anna', 'Boris', 'Clara', 'Dirk', 'Elena'))} {rng.choice(('Koch', 'Maier', 'Adler', 'Roth', 'Vogel', 'Winter'))}"
        born = f"19{rng.randrange(50, 99)}-0{rng.randrange(1, 9)}-1{rng.randrange(9)}"
        row = {
            "name": name, "company": f"{rng.choice(('North', 'Blue', 'Vega'))} {rng.choice(('Steel', 'Foods'))} Ltd",
            "city": rng.choice(("Bern", "Graz", "Ulm")), "email": f"{name.replace(' ', '.')}{number}@a.de", "born": born,
        }  # fmt: skip
        again = {**row, "name": name[:-1], "email": rng.choice((row["email"], None))}
        rows += [row, again] if rng.random() < 0.4 else [row]
    told = [{"__id": f"crm:{n}", "__source": "crm", **row} for n, row in enumerate(rows)]
    session.table("records", pa.Table.from_pylist(told))
    features = choose_features(find_meanings(session, "records", FIELDS, MatchModel().meanings))
    make_features(session, "records", features, scratch)
    # Splink wants every column in the table; ours makes this one for each pair
    session.execute(
        f"CREATE TABLE {WHOLE} AS SELECT f.*, {texts_of(features, 'f')} AS moved FROM {FEATURES} f"
    )
    return make_comparisons(session, features)


def start_of(comparisons: Sequence[Comparison]) -> dict[str, Odds]:
    found = {}
    for item in comparisons:
        m = [*(level.expected for level in item.levels), item.otherwise]
        u = [0.01 * (place + 1) for place in range(len(item.levels))]
        found[item.name] = Odds(tuple(value / sum(m) for value in m), (*u, 1 - sum(u)))
    return found


def test_what_is_learnt_is_what_splink_learns(session: Session, tmp_path: Path) -> None:
    comparisons = people(session, tmp_path)
    start = start_of(comparisons)
    grade(session, PAIRS, comparisons, "graded")
    ours = learn(count_patterns(session, "FROM graded", comparisons), start)
    session.execute(
        f"CREATE TABLE training AS WITH chosen AS (SELECT a, b, row_number() OVER () AS pair FROM ({PAIRS})) "
        f"SELECT pair, f.* REPLACE (2 * pair AS n) FROM chosen JOIN {WHOLE} f ON f.n = a "
        f"UNION ALL SELECT pair, f.* REPLACE (2 * pair + 1 AS n) FROM chosen JOIN {WHOLE} f ON f.n = b"
    )
    theirs = splink_oracle.learn(session, "training", comparisons, start)
    assert ours is not None
    assert theirs is not None
    assert ours.share == pytest.approx(theirs.share, rel=1e-3)
    for name, m in theirs.m.items():
        assert ours.m[name] == pytest.approx(m, rel=0.02, abs=1e-4), name


def test_pairs_weigh_what_they_weigh_in_splink(session: Session, tmp_path: Path) -> None:
    comparisons = people(session, tmp_path)
    odds = start_of(comparisons)
    often = {}
    for item in comparisons:
        v = item.feature.value
        often[v] = f"often_{v}"
        session.execute(
            f"CREATE TABLE often_{v} AS SELECT {v}, count(*) / 500.0 AS tf_{v} FROM {FEATURES} WHERE {v} IS NOT NULL GROUP BY {v}"
        )
    evidence = Evidence(comparisons, odds, often)
    for name in ("ours", "theirs"):
        create_scored(session, comparisons, name)
    grade(session, PAIRS, comparisons, "graded")
    add_scored(session, "graded", evidence, least=-3.0, into="ours")
    session.execute(
        f"CREATE TABLE blocked AS SELECT a AS join_key_l, b AS join_key_r, '0' AS match_key FROM ({PAIRS})"
    )
    splink_oracle.score(session, WHOLE, "blocked", evidence, least=-3.0, into="theirs")
    both = session.fetch(
        "SELECT count(*) AS n, count(o.a) AS ours, count(t.a) AS theirs, max(abs(o.weight - t.weight)) AS apart "
        "FROM ours o FULL JOIN theirs t USING (a, b)"
    ).to_pylist()[0]
    assert both["n"] == both["ours"] == both["theirs"] > 500
    assert both["apart"] < 0.002
