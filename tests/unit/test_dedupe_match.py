"""Probable duplicates found without labels: on records of any columns, whatever their order, within a budget of pairs."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from migrator.core.errors import ProjectError
from migrator.core.mapped import DedupeRules, MatchModel, Meaning, Reach
from migrator.core.schema import FieldSchema, FieldType
from migrator.dedupe import learning, scoring
from migrator.dedupe.blocking import Samples
from migrator.dedupe.features import Feature
from migrator.dedupe.features import Kind as Compared
from migrator.dedupe.match import Matched, match
from migrator.dedupe.units import Unit, units_query
from migrator.dedupe.vetoes import VETOED
from migrator.staging.engine import EngineSettings, Session, open_engine
from migrator.staging.store import Kind
from tests.dedupe_project import BY_EMAIL, contacts, open_project

GIVEN = [
    "Anna",
    "Boris",
    "Carla",
    "Dieter",
    "Elena",
    "Felix",
    "Greta",
    "Hugo",
    "Irene",
    "Jonas",
    "Klara",
    "Ludwig",
    "Marta",
    "Nils",
    "Olga",
    "Peter",
]
FAMILY = [
    "Adler",
    "Brandt",
    "Conrad",
    "Diehl",
    "Eckert",
    "Falk",
    "Gruber",
    "Hahn",
    "Imhof",
    "Jansen",
    "Keller",
    "Lorenz",
    "Mayer",
    "Nagel",
    "Otto",
    "Pohl",
]
COLUMNS = ("Order", 'vor"name', "姓氏", "select")
"""A surname can be told by its name, all else by the values only."""


def people(count: int) -> list[dict[str, str]]:
    """So many people, and every third of them once more with one letter wrong, one value missing or both."""
    chance = random.Random(5)
    rows = []
    for n in range(count):
        person = dict(
            zip(
                COLUMNS,
                (
                    f"{19 + n % 2}{chance.randrange(50, 99)}-0{chance.randrange(1, 9)}-1{chance.randrange(9)}",
                    chance.choice(GIVEN), chance.choice(FAMILY), f"p{n}@mail{n % 17}.de",
                ),
                strict=True,
            )
        )  # fmt: skip
        rows.append({"__id": f"a:{n:03d}", "__source": "a", **person})
        if n % 3 == 0:
            again = {**person, "姓氏": person["姓氏"][:-1] + "x", "select": "" if n % 2 else person["select"]}
            rows.append({"__id": f"b:{n:03d}", "__source": "b", **again})
    return rows


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """An engine in an empty folder."""
    opened = open_engine(EngineSettings(memory_limit="300MB", threads=2), tmp_path)
    yield opened
    opened.close()


def run(session: Session, rows: Sequence[Mapping[str, str]], model: MatchModel, folder: Path) -> Matched:
    """Match the rows by the model alone."""
    session.table("records", pa.Table.from_pylist(list(rows)))
    fields = [FieldSchema(name, FieldType.STRING) for name in COLUMNS]
    return match(session, "records", fields, DedupeRules((), model=model), folder)


class Told:
    """A session that remembers what it was asked to do."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.statements: list[str] = []

    def execute(self, sql: str) -> None:
        """See `Session.execute`."""
        self.statements.append(sql)
        self._session.execute(sql)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


def clusters(session: Session) -> set[frozenset[str]]:
    """The clusters as sets of ids."""
    found: dict[int, set[str]] = {}
    for row in session.fetch("SELECT __id, __cluster FROM dedupe_members").to_pylist():
        found.setdefault(row["__cluster"], set()).add(row["__id"])
    return {frozenset(members) for members in found.values()}


def edges(session: Session) -> list[tuple[object, ...]]:
    """All edges with their weights, sorted."""
    found = session.fetch("SELECT one, other, weight, band, parts FROM dedupe_edges ORDER BY ALL").to_pylist()
    return [tuple(row.values()) for row in found]


@pytest.mark.slow
def test_duplicates_are_found_whatever_the_columns_are_called_and_the_order_of_rows(
    session: Session, tmp_path: Path
) -> None:
    rows = people(210)
    matched = run(session, rows, MatchModel(), tmp_path)
    found, told = clusters(session), edges(session)
    true = {frozenset({f"a:{n:03d}", f"b:{n:03d}"}) for n in range(0, 210, 3)}
    likely = session.fetch("SELECT one, other FROM dedupe_edges WHERE probability >= 0.5").to_pylist()
    pairs = {frozenset(row.values()) for row in likely}
    assert len(pairs & true) >= 0.9 * len(true)
    assert len(pairs - true) <= 0.05 * len(true)
    assert len(found) >= 0.5 * len(true)
    assert found <= true
    assert matched.report["fields"]["姓氏"] == {"meaning": "family", "by": "name"}
    random.Random(1).shuffle(rows)
    run(session, rows, MatchModel(), tmp_path)
    assert clusters(session) == found
    assert edges(session) == told


@pytest.mark.slow
@pytest.mark.parametrize("most", [learning.LOOKED_AT_PAIRS, 200])
def test_of_many_records_rules_are_chosen_by_a_sample_that_no_order_and_no_thread_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(learning, "SAMPLED_FROM", 70)
    monkeypatch.setattr(learning, "LOOKED_AT_PAIRS", most)
    rows, found = people(210), []
    for threads in (1, 2):
        random.Random(threads).shuffle(rows)
        with closing(open_engine(EngineSettings(memory_limit="500MB", threads=threads), tmp_path)) as session:
            run(session, rows, MatchModel(), tmp_path)
            found.append((clusters(session), edges(session)))
    assert found[0] == found[1]
    true = {frozenset({f"a:{n:03d}", f"b:{n:03d}"}) for n in range(0, 210, 3)}
    assert len(found[0][0] & true) >= 0.5 * len(true)


def test_learning_looks_at_so_many_pairs_however_many_records_there_are() -> None:
    some = Samples(20, {})
    assert some.fewer(20 * 500_000, 500_000) == some
    assert some.fewer(20 * 500_000 + 1, 500_000).share == 40
    assert some.fewer(20 * 3_000_000, 500_000).share == 120
    # of few records everything is looked at
    assert Samples(1, {}).fewer(10_000_000, 500_000).share == 1


def test_what_is_as_large_as_the_records_is_read_once_however_many_chunks_are_scored(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[list[str]] = []
    for pairs in (500_000, 2):
        monkeypatch.setattr(scoring, "CHUNK", pairs)
        told = Told(session)
        run(told, people(60), MatchModel(), tmp_path)
        read.append([sql for sql in told.statements if "JOIN dedupe_often" in sql or VETOED in sql])
        chunks = [sql for sql in told.statements if "FROM dedupe_candidates WHERE" in sql]
        assert (len(chunks) > 5) == (pairs == 2)
    assert len(read[0]) == len(read[1]) > 1


def test_a_rule_that_would_explode_is_refused_by_name_with_a_better_one(
    session: Session, tmp_path: Path
) -> None:
    rows = [{**row, "Order": "1970-01-11"} if n % 2 else row for n, row in enumerate(people(210))]
    with pytest.raises(ProjectError) as refused:
        run(session, rows, MatchModel(blocking=(("Order",),), pairs_per_record=5), tmp_path)
    problem = str(refused.value)
    assert "blocking by Order would compare" in problem
    assert "Order + " in problem


def test_blocking_of_an_unknown_field_is_refused(session: Session, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="blocking names 'Ordre'"):
        run(session, people(30), MatchModel(blocking=(("Ordre",),)), tmp_path)


def test_across_sources_only_no_pair_lies_within_one_and_what_fields_gave_adds_up(
    session: Session, tmp_path: Path
) -> None:
    run(session, people(60), MatchModel(reach=Reach.ACROSS), tmp_path)
    found = session.fetch(
        "SELECT one, other, band, weight, list_sum([CAST(part->>'bits' AS DOUBLE) FOR part IN CAST(parts AS JSON[])]) "
        "AS bits FROM dedupe_edges"
    ).to_pylist()
    told = [row for row in found if row["band"] != "none"]
    assert told
    assert all(row["one"][0] != row["other"][0] for row in found)
    assert all(abs(row["weight"] - row["bits"]) < 0.1 for row in told)


@pytest.mark.slow
def test_the_step_joins_by_the_model_tells_its_pairs_and_leaves_nothing_behind(tmp_path: Path) -> None:
    rows = [
        {"id": f"crm:{n}", "name": f"{FAMILY[n % 16]} {GIVEN[n % 13]}", "phone": f"+49 30 12{n:05d}",
         "company": f"Firma {n % 11} GmbH", "email": f"a{n}@x{n % 5}.de"} for n in range(120)
    ]  # fmt: skip
    again = [
        {**row, "id": "erp:" + row["id"][4:], "email": None, "name": row["name"].upper()} for row in rows[:40]
    ]
    with open_project(tmp_path) as project:
        made = project.run(contacts(DedupeRules((BY_EMAIL,), model=MatchModel())), [*rows, *again])
        pairs = project.rows(project.store.need(Kind.PAIRS, "contact", made_by="dedupe"))
        assert made.merged >= 0.9 * len(again)
        assert made.clusters.detail["bands"]["automatic"] == sum(row["band"] == "automatic" for row in pairs)
        assert all(row["one"] < row["other"] for row in pairs)
        assert project.session.fetch("SELECT * FROM information_schema.tables").num_rows == 0


@pytest.mark.parametrize("weights", [(), (20,), (60,), (90, 40), (90, 60), (90, 60, 47), (90, 60, 48, 48)])
def test_keys_of_a_text_are_its_rarest_words_and_every_two_of_them(
    session: Session, weights: tuple[int, ...]
) -> None:
    words = [(number + 1) << 8 | weight for number, weight in enumerate(weights)]
    item = Feature(0, "company", Meaning.COMPANY, Compared.TEXT)
    keys = units_query([Unit(item, "words"), Unit(item, "two words")], "texts")
    session.table(
        "texts",
        pa.table({"n": [1], "__source": ["a"], "v0": ["x"], "k0": pa.array([words], pa.list_(pa.uint64()))}),
    )
    rare = [word for word in words[:3] if word & 255 >= 48]
    pairs = [f"hash({one}::UBIGINT, {other}::UBIGINT)" for one, other in combinations(rare, 2)]
    expected = session.fetch(f"SELECT [{', '.join(pairs)}]::UBIGINT[] AS pairs")["pairs"].to_pylist()[0]
    found = session.fetch(keys).to_pylist()[0]
    assert found["u0_words"] == rare
    assert found["u0_two_words"] == expected
