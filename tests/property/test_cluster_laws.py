"""Laws of clustering: what decisions, contradictions, orders of rows, batches, threads and reruns may not break."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from migrator.core.errors import ProjectError
from migrator.core.mapped import Judgement, Same
from migrator.dedupe import guards
from migrator.dedupe.cluster import MEMBERS, REASONS, Clusters, make_clusters
from migrator.dedupe.constraints import settle
from migrator.dedupe.edges import EDGES, create_edges
from migrator.dedupe.run import drop_scratch
from migrator.staging.engine import EngineSettings, Session, open_engine

SEEDS = st.integers(0, 2**32)
FEW = settings(
    max_examples=2, deadline=None, phases=[Phase.explicit, Phase.generate]
)  # a seed does not shrink
WORLDS = 30
"""Small graphs at once, which no edge joins: a call costs the same for one and for thirty."""


@dataclass(frozen=True)
class World:
    """Everything that clusters are made of; a scored edge of 3 bits or more is automatic."""

    agreeing: tuple[tuple[str, str], ...] = ()
    scored: tuple[tuple[str, str, float], ...] = ()
    decided: tuple[Judgement, ...] = ()
    vetoes: tuple[tuple[str, str], ...] = ()
    claims: tuple[tuple[str, str, str], ...] = ()
    before: tuple[tuple[str, str], ...] = ()
    touched: tuple[tuple[str], ...] = ()


def world(seed: int) -> World:
    rng = random.Random(seed)
    small = [_small(rng, f"{number:02d}") for number in range(WORLDS)]
    return _rebuilt(small[0], lambda name: list(chain.from_iterable(getattr(one, name) for one in small)))


def _small(rng: random.Random, name: str) -> World:
    ids = [f"crm:{name}-{n}" for n in range(rng.choice([3, 5, 12]))]

    def pairs(most: int) -> list[tuple[str, str]]:
        drawn = (tuple(sorted(rng.sample(ids, 2))) for _ in range(rng.randint(0, most)))
        return sorted({(one, other) for one, other in drawn})

    weights = rng.choice([[-12.0, -4.5, 1.0, 3.25, 8.0], [4.0, 14.5, 30.0], [8.0]])
    made = World(
        tuple(pairs(8)),
        tuple((*pair, rng.choice(weights)) for pair in pairs(20)),
        tuple(Judgement(*pair, rng.choice(list(Same))) for pair in pairs(4)),
        tuple(pairs(2)),
        tuple(
            (one, rng.choice(["tax", "suffix"]), rng.choice("ABC"))
            for one in rng.sample(ids, rng.randint(0, 3))
        ),
    )
    return made if consistent(made) else replace(made, decided=())


def _rebuilt(made: World, values: Callable[[str], list[Any]]) -> World:
    return replace(made, **{item.name: tuple(values(item.name)) for item in fields(made)})


@contextmanager
def engine(threads: int = 2) -> Iterator[Session]:
    with tempfile.TemporaryDirectory() as folder:
        session = open_engine(EngineSettings(memory_limit="200MB", threads=threads), Path(folder))
        yield session
        session.close()


def texts(names: Sequence[str], rows: Sequence[Sequence[str]]) -> pa.Table:
    return pa.table({name: pa.array([row[at] for row in rows], pa.string()) for at, name in enumerate(names)})


def cluster(session: Session, made: World, most: int = 50) -> tuple[dict[str, str], Clusters]:
    """Each member's cluster by name, and the report."""
    create_edges(session)
    edges = [(one, other, "key", "NULL", "automatic") for one, other in made.agreeing]
    edges += [
        (one, other, "model", str(w), "automatic" if w >= 3 else "review") for one, other, w in made.scored
    ]
    session.table("given_edges", texts(["one", "other", "rule", "weight", "band"], edges))
    session.execute(
        f"INSERT INTO {EDGES} SELECT other, one, rule, 0, one, TRY_CAST(weight AS DOUBLE), NULL, band, NULL FROM given_edges"
    )
    session.table("given_vetoes", texts(["one", "other"], made.vetoes))
    session.table("given_claims", texts(["__id", "kind", "value"], made.claims))
    session.table(
        "given_before",
        texts(["__id", "cluster", "rule", "evidence"], [(*row, "r", "e") for row in made.before]),
    )
    session.table("given_touched", texts(["__id"], made.touched))
    report = make_clusters(
        session,
        most,
        made.decided,
        "given_vetoes",
        "given_before" if made.before else None,
        claims="given_claims",
        touched="given_touched" if made.touched else None,
    )
    found = session.fetch(f"SELECT * FROM {MEMBERS}").to_pylist()
    explained = session.fetch(f"SELECT one, other FROM {REASONS}").to_pylist()
    home = {row["__id"]: row["__name"] for row in found}
    assert len({row["__cluster"] for row in found}) == len(set(home.values())) == report.clusters
    assert set(home) == {row[end] for row in explained for end in row} & set(home)
    drop_scratch(session)
    return home, report


def consistent(made: World) -> bool:
    try:
        settle(made.decided)
    except ProjectError:
        return False
    return True


def groups(home: dict[str, str]) -> set[frozenset[str]]:
    return {frozenset(one for one in home if home[one] == name) for name in set(home.values())}


@FEW
@given(SEEDS, st.sampled_from([2, 4, 50]))
def test_decisions_and_contradictions_always_hold(seed: int, most: int) -> None:
    made = world(seed)
    with engine() as session:
        home, _ = cluster(session, made, most)
    bonds = settle(made.decided).group

    def bonded(one: str, other: str) -> bool:
        return bonds.get(one, one) == bonds.get(other, other)

    together = {pair for group in groups(home) for pair in combinations(sorted(group), 2)}
    for item in made.decided:
        pair = (item.one, item.other)
        assert item.verdict is not Same.SAME or pair in together
        assert item.verdict is not Same.NOT_SAME or pair not in together
    for pair in made.vetoes:
        assert pair not in together or bonded(*pair)
    for (one, kind, value), (other, also, another) in combinations(made.claims, 2):
        if kind == also and value != another:
            assert (min(one, other), max(one, other)) not in together or bonded(one, other)
    assert all(len(group) <= most or bonded(*sorted(group)[:2]) for group in groups(home))


@FEW
@given(SEEDS)
def test_orders_threads_and_batches_change_nothing(seed: int) -> None:
    made, rng = world(seed), random.Random(seed)
    with engine(threads=1) as session:
        first = cluster(session, made)
    shuffled = _rebuilt(made, lambda name: rng.sample(getattr(made, name), len(getattr(made, name))))
    with engine(threads=4) as session, pytest.MonkeyPatch.context() as patch:
        patch.setattr(guards, "BATCH_EDGES", 100)
        assert cluster(session, shuffled) == first


@FEW
@given(SEEDS)
def test_a_second_look_that_is_not_needed_changes_nothing(seed: int) -> None:
    """What is taken for a cluster as it is comes whole out of the linkage, too."""
    made = world(seed)
    with engine() as session, pytest.MonkeyPatch.context() as patch:
        found, _ = cluster(session, made)
        patch.setattr(guards, "_doubts", lambda _: ["SELECT component, true AS torn FROM dedupe_sizes"])
        again, report = cluster(session, made)
    assert again == found
    assert report.doubtful


@FEW
@given(SEEDS)
def test_names_are_kept_by_whoever_holds_most_of_them(seed: int) -> None:
    old, new = world(seed), world(seed + 1)
    with engine() as session:
        before, _ = cluster(session, old)
        known = tuple(before.items())
        same, report = cluster(session, replace(old, before=known))
        assert same == before
        assert (report.renamed.split, report.renamed.merged, report.renamed.gone) == (0, 0, 0)
        home, report = cluster(session, replace(new, before=known))
        alone, _ = cluster(session, new)
    assert groups(home) == groups(alone)
    for name in set(home.values()):
        members = {one for one in home if home[one] == name}
        if name in before.values():
            assert any(before.get(one) == name for one in members)
        else:
            assert name in members or name.startswith(f"{min(members)}+")


@FEW
@given(SEEDS)
def test_what_a_change_cannot_reach_is_carried_over_and_all_is_as_if_made_anew(seed: int) -> None:
    old, rng = world(seed), random.Random(seed)
    ids = sorted({end for pair in (*old.agreeing, *old.scored) for end in pair[:2]})
    gone, moved = set(rng.sample(ids, 3)), set(rng.sample(ids, 5))
    drawn = (sorted(rng.sample(ids, 2)) for _ in range(3))
    found = {(str(one), str(other)) for one, other in drawn}
    left = replace(
        old,
        agreeing=tuple({pair for pair in old.agreeing if not {*pair} & (gone | moved)} | found),
        scored=tuple(
            edge for edge in old.scored if not {*edge[:2]} & (gone | moved) and edge[:2] not in found
        ),
        decided=tuple(item for item in old.decided if not {item.one, item.other} & gone),
    )
    left = replace(left, decided=left.decided if consistent(left) else ())
    changed = gone | moved | {end for pair in found for end in pair}
    changed |= {end for item in {*old.decided} ^ {*left.decided} for end in (item.one, item.other)}
    before_pairs = [*old.agreeing, *((one, other) for one, other, _ in old.scored)]
    reached = changed | {end for pair in before_pairs if {*pair} & changed for end in pair}
    with engine() as session:
        before, _ = cluster(session, old)
        known = replace(left, before=tuple(before.items()))
        whole, _ = cluster(session, known)
        some, report = cluster(session, replace(known, touched=tuple((str(one),) for one in reached)))
    assert some == whole
    assert report.doubtful
