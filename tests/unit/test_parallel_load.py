"""A load with several calls in flight ends as one with a single lane does: same records, same account, same record of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from migrator.core.connector import Target, TargetFacts
from migrator.core.errors import FatalError, RetryableError
from migrator.core.mapped import Link
from migrator.core.progress import Quiet
from migrator.core.retry import RetryPolicy
from migrator.load.load import LoadReport, load
from migrator.staging.accounting import account
from migrator.staging.store import Kind
from migrator.testing.faults import FaultyTarget
from migrator.testing.memory import MemoryTarget
from migrator.testing.troubles import by_chance
from tests.load_world import Rows, World, mapped_object, put, world

PARENT = mapped_object("parent", links=[Link("up", ("parent",), deferred=True)])
CHILD = mapped_object("child", links=[Link("parent", ("parent",))])
GROUPS = ((PARENT,), (CHILD,))
NAMES = ("__id", "target_key", "target_id", "outcome", "code", "links")


class Threaded(MemoryTarget):
    """One call at a time touches its records; `trouble` comes before each write."""

    def __init__(self, trouble: Callable[[Sequence[str]], None] = lambda _: None) -> None:
        super().__init__(facts=TargetFacts(batch_rows=2, assigns_ids=False, creates_objects=True))
        self.trouble, self.lock, self.threads = trouble, threading.Lock(), set[str]()

    def upsert(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        self.trouble(rows.column(key).to_pylist())
        with self.lock:
            self.threads.add(threading.current_thread().name)
            return super().upsert(object_name, rows, key=key)

    def update(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        with self.lock:
            return super().update(object_name, rows, key=key)

    def fetch(self, object_name: str, keys: Sequence[str], *, key: str, columns: Sequence[str]) -> pa.Table:
        with self.lock:
            return super().fetch(object_name, keys, key=key, columns=columns)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        put(made, PARENT, Rows({str(n): {"up": "parent/s:0"} for n in range(13)}))
        put(made, CHILD, Rows({str(n): {"parent": f"parent/s:{n % 5}"} for n in range(16)}))
        made.plan(GROUPS, batch_rows=7)
        yield made


def carry(here: World, target: Target, parallel: int) -> LoadReport:
    here.ledger.start_run("load", "test")
    with here.ledger.lease() as fence:
        return load(
            here.store, here.engine, here.ledger, target, GROUPS, progress=Quiet(), fence=fence,
            policy=RetryPolicy(attempts=3, first=0.001), parallel=parallel,
        )  # fmt: skip


def crosswalk(here: World, name: str) -> list[tuple[object, ...]]:
    return [tuple(row[name] for name in NAMES) for row in here.query(Kind.CROSSWALK, name)]


def test_several_lanes_leave_what_one_lane_leaves(here: World, tmp_path: Path) -> None:
    target = Threaded()
    report = carry(here, target, parallel=4)
    assert len(target.threads) > 1
    (tmp_path / "alone").mkdir()
    with world(tmp_path / "alone") as alone:
        put(alone, PARENT, Rows({str(n): {"up": "parent/s:0"} for n in range(13)}))
        put(alone, CHILD, Rows({str(n): {"parent": f"parent/s:{n % 5}"} for n in range(16)}))
        alone.plan(GROUPS, batch_rows=7)
        assert carry(alone, Threaded(), parallel=1) == report
        for name in ("parent", "child"):
            assert crosswalk(alone, name) == crosswalk(here, name)
    assert account(here.store, here.session, [PARENT, CHILD]).closed


def test_a_bad_day_with_several_lanes_ends_like_a_good_one(here: World) -> None:
    inside = Threaded()
    target = FaultyTarget(inside, by_chance(seed=3, share=0.4))
    carry(here, target, parallel=4)
    assert sum(target.befell.values()) > 5
    for name, rows in (("parent", 13), ("child", 16)):
        held = [row["key"] for page in inside.read(f"T {name}") for row in page.to_pylist()]
        assert sorted(held) == sorted(f"k{n}" for n in range(rows))
        assert {row["outcome"] for row in here.query(Kind.CROSSWALK, name)} <= {
            "created",
            "unchanged",
            "updated",
        }
    assert account(here.store, here.session, [PARENT, CHILD]).closed


@pytest.mark.parametrize(
    ("parallel", "error"),
    [(4, FatalError("no permission")), (1, RetryableError("used up", retry_after=9999))],
)
def test_what_was_answered_before_the_end_is_on_record(
    here: World, parallel: int, error: FatalError | RetryableError
) -> None:
    def trouble(keys: Sequence[str]) -> None:
        if "k9" in keys:
            raise error

    target = Threaded(trouble)
    with pytest.raises(type(error), match=error.message):
        carry(here, target, parallel)
    here.plan(GROUPS)  # folds what is on record
    held = {row["key"] for page in target.read("T parent") for row in page.to_pylist()}
    assert {row["target_key"] for row in here.query(Kind.CROSSWALK, "parent")} == held
    assert held
    target.trouble = lambda _: None
    calls = len(target.calls)
    carry(here, target, parallel)
    assert account(here.store, here.session, [PARENT, CHILD]).closed
    again = [key for call in target.calls[calls:] if call.verb == "upsert" for key in call.keys]
    assert len(again) == 29 - len(held), "nothing that was answered is sent again"
