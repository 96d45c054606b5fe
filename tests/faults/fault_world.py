"""A small migration played against targets that misbehave: its stages, each begun from a copy, and all that a user could see of the end."""

from __future__ import annotations

import copy
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from connectors.sql import open_target
from migrator.core.clock import FixedClock
from migrator.core.connector import Target, TargetFacts
from migrator.core.mapped import Link
from migrator.core.progress import Quiet
from migrator.load.plan import Retry
from migrator.load.rollback import rollback
from migrator.load.send import Sender
from migrator.staging.accounting import account
from migrator.staging.store import Kind
from migrator.testing.memory import MemoryTarget
from tests.load_world import Rows, World, mapped_object, put, world

BATCH = 8
COMPANY = mapped_object("company", links=[Link("parent", ("company",), deferred=True)], dedupe=True)
PERSON = mapped_object("person", links=[Link("company", ("company",))])
GROUPS = ((COMPANY,), (PERSON,))
OBJECTS = (COMPANY, PERSON)
COMPANIES = {str(n): {"name": f"公司 {n}", "parent": f"company/s:{(n + 5) % 20}"} for n in range(20)}
PEOPLE = {str(n): {"name": f"O'Neil {n}", "company": f"company/s:{n}"} for n in range(12)}
SETTLED = "__id, target_key, target_id, __fp, outcome = 'refused' AS refused, code, field, links"
"""Columns of the crosswalk that do not tell when, nor in how many attempts, a record came in."""


class TickingClock(FixedClock):
    """Every look at it is a millisecond later; nobody waits."""

    def now(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at


class Stage(Enum):
    """What is being done when the target misbehaves."""

    CREATE = "create"
    """Into an empty target."""
    LINKS = "links"
    """The second pass of that same load."""
    UPDATE = "update"
    """Into a target where most records are as they are, some change and some are new."""
    ROLLBACK = "rollback"
    """Of the load that updated: some records are restored, others deleted."""


WRITES = {
    Stage.CREATE: frozenset({"upsert"}),
    Stage.LINKS: frozenset({"update"}),
    Stage.UPDATE: frozenset({"upsert"}),
    Stage.ROLLBACK: frozenset({"delete", "update"}),
}
"""The verbs of a stage's own writes."""


class Where(Enum):
    """The target inside."""

    MEMORY = "memory"
    SQLITE = "sqlite"


@dataclass
class Place:
    """A world and its target, as they stand between two commands."""

    folder: Path
    where: Where
    memory: MemoryTarget | None = None
    days: int = 0

    def copied(self, folder: Path) -> Place:
        """The same elsewhere."""
        shutil.copytree(self.folder, folder)
        return Place(folder, self.where, copy.deepcopy(self.memory), self.days)

    @contextmanager
    def target(self) -> Iterator[Target]:
        """The target inside, for one command."""
        if self.memory is not None:
            yield self.memory
            return
        target = open_target({"url": f"sqlite:///{self.folder / 'target.db'}", "batch_rows": BATCH})
        try:
            yield target
        finally:
            target.close()

    @contextmanager
    def world(self) -> Iterator[World]:
        """The world, a day later than the last time."""
        self.days += 1
        with world(
            self.folder, TickingClock(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=self.days))
        ) as here:
            here.store.sweep()
            yield here

    def load(self, target: Target, again: Retry | None = None) -> int:
        """What `migrator load` does; returns how much was written."""
        with self.world() as here:
            here.plan(GROUPS, batch_rows=BATCH, retry=again)
            return here.load(target, GROUPS).written

    def take_back(self, target: Target, most: int = 1) -> Counter[str]:
        """What `migrator rollback` does with the latest loads, the newest first; verdicts."""
        counts: Counter[str] = Counter()
        with self.world() as here:
            answers = [
                here.store.need(Kind.ANSWERS, name, made_by="load") for name in here.store.names(Kind.ANSWERS)
            ]
            runs = sorted({run for item in answers for run in item.detail["runs"]}, reverse=True)
            here.ledger.start_run("rollback", "test")
            with here.ledger.lease() as fence:
                sender = Sender(target, here.ledger, fence)
                for run in runs[:most]:
                    told = rollback(
                        here.store, here.session, sender, GROUPS, run, dry_run=False, progress=Quiet()
                    )
                    for item in told.objects:
                        counts.update(item.counts)
        return counts

    def held(self) -> dict[str, list[dict[str, Any]]]:
        """What the target holds."""
        with self.target() as target:
            return {
                obj.name: sorted(
                    (row for page in target.read(obj.target_object) for row in page.to_pylist()),
                    key=lambda row: row["key"],
                )
                for obj in OBJECTS
            }

    def state(self) -> dict[str, Any]:
        """All that a user could see."""
        with self.world() as here:
            told = account(here.store, here.session, OBJECTS)
            return {
                "target": self.held(),
                "closed": told.closed,
                "account": told.to_json(),
                "crosswalk": {
                    obj.name: here.query(Kind.CROSSWALK, obj.name, SETTLED)
                    for obj in OBJECTS
                    if here.store.current(Kind.CROSSWALK, obj.name)
                },
            }


def put_first(place: Place) -> None:
    """The records of the first load."""
    with place.world() as here:
        put(here, COMPANY, Rows(COMPANIES, bad={"19": "cast.date"}, merged={"18": "17"}))
        put(here, PERSON, Rows(PEOPLE))


def put_second(place: Place) -> None:
    """Some changed, some new, some as they were."""
    changed = {
        key: {**values, "name": f"{values['name']} neu"} if int(key) % 3 == 0 else values
        for key, values in COMPANIES.items()
    }
    changed["20"] = {"name": "new", "parent": "company/s:0"}
    changed["1"] = {**changed["1"], "parent": "company/s:20"}
    people = {
        **PEOPLE,
        "3": {"name": "Ann", "company": "company/s:20"},
        "12": {"name": "B", "company": "company/s:2"},
    }
    with place.world() as here:
        put(here, COMPANY, Rows(changed, bad={"19": "cast.date"}, merged={"18": "17"}))
        put(here, PERSON, Rows(people))


def begin(folder: Path, where: Where) -> Place:
    """Records mapped, nothing loaded."""
    folder.mkdir(parents=True)
    facts = TargetFacts(batch_rows=BATCH, assigns_ids=False, creates_objects=True)
    place = Place(folder, where, MemoryTarget(facts=facts) if where is Where.MEMORY else None)
    put_first(place)
    return place


def stages(folder: Path, where: Where) -> dict[Stage, Place]:
    """Where each stage begins."""
    first = begin(folder / "first", where)
    second = first.copied(folder / "second")
    with second.target() as target:
        second.load(target)
    put_second(second)
    third = second.copied(folder / "third")
    with third.target() as target:
        third.load(target)
    return {Stage.CREATE: first, Stage.LINKS: first, Stage.UPDATE: second, Stage.ROLLBACK: third}


def do(stage: Stage, place: Place, target: Target, again: Retry | None = None) -> int:
    """One stage, once; how much was written."""
    if stage is Stage.ROLLBACK:
        return place.take_back(target).total()
    return place.load(target, again)
