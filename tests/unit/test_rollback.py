"""The way back: what a run created goes, what it changed is as before, what people edited since stays and is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from migrator.core.connector import Target
from migrator.core.errors import ProjectError
from migrator.core.mapped import Link
from migrator.core.progress import Quiet
from migrator.load.plan import Groups
from migrator.load.rollback import Rollback, rollback
from migrator.load.send import Sender
from migrator.staging.store import Kind
from migrator.testing.faults import FaultyTarget
from migrator.testing.memory import MemoryTarget
from migrator.testing.troubles import Fault, Trouble, first_attempt
from tests.load_world import Rows, World, mapped_object, put, world

ACCOUNT = mapped_object("account", "key name", links=[Link("parent", ("account",), deferred=True)])
CONTACT = mapped_object("contact", "key name", links=[Link("account", ("account",))])
GROUPS = ((ACCOUNT,), (CONTACT,))
ROWS = Rows(
    {"1": {"name": "A", "parent": "account/s:2"}, "2": {"name": "公司", "parent": "account/s:1"}, "3": {}}
)
PEOPLE = Rows({"a": {"name": "Ann", "account": "account/s:1"}, "b": {"account": "account/s:2"}})


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def load(
    here: World, target: Target, accounts: Rows = ROWS, people: Rows = PEOPLE, groups: Groups = GROUPS
) -> str:
    """Load these rows; returns the run."""
    put(here, ACCOUNT, accounts)
    put(here, CONTACT, people)
    here.run(target, groups)
    assert here.ledger.run is not None
    return here.ledger.run


def take_back(
    here: World, target: Target, run: str, *, dry_run: bool = False, only: tuple[str, ...] = ()
) -> Rollback:
    here.ledger.start_run("rollback", "test")
    with here.ledger.lease() as fence, closing(here.engine()) as session:
        sender = Sender(target, here.ledger, fence)
        return rollback(
            here.store, session, sender, GROUPS, run, only=only, dry_run=dry_run, progress=Quiet()
        )


def records(target: Target, name: str) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for page in target.read(name) for row in page.to_pylist()}


def counts(found: Rollback) -> dict[str, dict[str, int]]:
    return {item.name: item.counts for item in found.objects}


def test_what_a_run_created_is_deleted_circles_and_children_included(here: World) -> None:
    target = MemoryTarget()
    run = load(here, target)
    assert records(target, "T account")["k1"]["parent"] == "k2"
    done = take_back(here, target, run)
    assert counts(done) == {"contact": {"deleted": 2}, "account": {"deleted": 3}}
    assert (records(target, "T account"), records(target, "T contact")) == ({}, {})
    assert done.not_taken_back == 0


def test_after_a_rollback_the_same_load_makes_the_same_records(here: World) -> None:
    target = MemoryTarget()
    run = load(here, target)
    before = records(target, "T account"), records(target, "T contact")
    take_back(here, target, run)
    assert here.run(target, GROUPS).written > 0
    assert (records(target, "T account"), records(target, "T contact")) == before
    assert here.run(target, GROUPS).written == 0


def test_what_a_run_changed_is_as_it_was(here: World) -> None:
    target = MemoryTarget()
    load(here, target)
    before = records(target, "T account")
    changed = Rows(
        {
            "1": {"name": "A2", "parent": "account/s:3"},
            "2": {"name": "公司", "parent": "account/s:1"},
            "3": {},
            "4": {},
        }
    )
    run = load(here, target, changed)
    assert records(target, "T account")["k1"] == {"key": "k1", "name": "A2", "parent": "k3"}
    assert counts(take_back(here, target, run)) == {"account": {"restored": 1, "deleted": 1}}
    assert records(target, "T account") == before
    # the crosswalk knows what it knew: the first rows are unchanged again, and the second load does the same again
    assert here.run(target, GROUPS).written > 0
    assert records(target, "T account")["k1"] == {"key": "k1", "name": "A2", "parent": "k3"}


def test_records_that_were_there_before_the_first_load_are_restored_and_not_deleted(here: World) -> None:
    target = MemoryTarget()
    target.prepare([CONTACT.schema, ACCOUNT.schema])
    load(here, target, Rows({"1": {"name": "ours"}}), Rows({}))
    theirs = target._objects["T account"].records
    theirs["k2"] = {"key": "k2", "name": "theirs", "parent": None}
    run = load(here, target, Rows({"1": {"name": "ours"}, "2": {"name": "taken over"}}), Rows({}))
    assert records(target, "T account")["k2"]["name"] == "taken over"
    assert counts(take_back(here, target, run)) == {"account": {"restored": 1}}
    assert records(target, "T account")["k2"]["name"] == "theirs"


def test_records_that_people_edited_are_left_alone_and_told(here: World) -> None:
    target = MemoryTarget()
    run = load(here, target)
    target.edit("T contact", "ka", name="Anna")
    done = take_back(here, target, run)
    assert counts(done) == {
        "contact": {"edited": 1, "deleted": 1},
        "account": {"deleted": 2, "refused": 1},
    }
    assert [(item.object, item.key, item.detail) for item in done.kept] == [
        ("contact", "ka", "changed since: name"),
        ("account", "k1", "T contact/ka points to this record"),
    ]
    assert records(target, "T contact")["ka"]["name"] == "Anna"
    # once a person has settled it, the same command takes back what was left
    target.edit("T contact", "ka", name="Ann")
    assert counts(take_back(here, target, run)) == {"contact": {"deleted": 1}, "account": {"deleted": 1}}


def test_a_record_that_is_gone_is_told_as_gone(here: World) -> None:
    target = MemoryTarget()
    run = load(here, target)
    target.delete("T contact", ["ka"], key="key")
    assert counts(take_back(here, target, run))["contact"] == {"gone": 1, "deleted": 1}


def test_a_record_that_a_later_run_wrote_needs_that_one_back_first(here: World) -> None:
    target = MemoryTarget()
    first = load(here, target)
    second = load(
        here,
        target,
        people=Rows({"a": {"name": "Ann2", "account": "account/s:1"}, "b": {"account": "account/s:2"}}),
    )
    done = take_back(here, target, first, only=("contact",))
    assert counts(done) == {"contact": {"later": 1, "deleted": 1}}
    assert second in done.kept[0].detail
    take_back(here, target, second)
    assert counts(take_back(here, target, first)) == {"contact": {"deleted": 1}, "account": {"deleted": 3}}


def test_a_dry_run_says_the_same_and_touches_nothing(here: World) -> None:
    target = MemoryTarget()
    run = load(here, target)
    before, calls = (records(target, "T account"), records(target, "T contact")), len(target.calls)
    would = take_back(here, target, run, dry_run=True)
    assert (records(target, "T account"), records(target, "T contact")) == before
    assert len(target.calls) == calls
    assert counts(would) == counts(take_back(here, target, run))


def test_a_second_rollback_has_nothing_to_do(here: World) -> None:
    target = MemoryTarget()
    run = load(here, target)
    take_back(here, target, run)
    calls = len(target.calls)
    assert take_back(here, target, run).records == 0
    assert len(target.calls) == calls


def test_a_run_nobody_knows_is_refused(here: World) -> None:
    target = MemoryTarget()
    load(here, target)
    with pytest.raises(ProjectError, match="no load of this project has the id 'x'"):
        take_back(here, target, "x")


def test_a_record_that_goes_is_let_go_by_those_that_stay(here: World) -> None:
    target = MemoryTarget()
    load(here, target)
    before = records(target, "T account")
    more = {**ROWS.values, "1": {"name": "A", "parent": "account/s:0"}, "0": {"name": "new"}}
    run = load(here, target, Rows(more))
    assert records(target, "T account")["k1"]["parent"] == "k0"
    # k0 stands before k1 in every batch, and k1 points to it until it is restored
    assert counts(take_back(here, target, run)) == {"account": {"deleted": 1, "restored": 1}}
    assert records(target, "T account") == before


def test_nothing_half_begun_stays_behind(here: World) -> None:
    target = MemoryTarget()
    run = load(here, target)
    take_back(here, target, run, dry_run=True)
    take_back(here, target, run)
    assert counts(take_back(here, target, run)) == {}
    begun = [
        f"{kind.value}/{obj.name}"
        for kind in Kind
        for obj in (ACCOUNT, CONTACT)
        if here.store.unfinished(kind, f"{obj.name}@{run}")
    ]
    assert begun == []
    assert not list(here.store.root.rglob("todo.parquet"))


def test_a_change_whose_answer_was_lost_is_taken_back_too(here: World) -> None:
    target = FaultyTarget(MemoryTarget(), first_attempt(Fault(Trouble.TIMEOUT_AFTER)))
    load(here, target)
    before = records(target.inside, "T account")
    run = load(here, target, Rows({**ROWS.values, "1": {"name": "A2", "parent": "account/s:2"}}))
    assert records(target.inside, "T account")["k1"]["name"] == "A2"
    assert counts(take_back(here, target, run)) == {"account": {"restored": 1}}
    assert records(target.inside, "T account") == before
