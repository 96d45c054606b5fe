"""Unique values of the target that pass from one record to another: given up before they are taken, and given back by a rollback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from migrator.core.clock import SystemClock
from migrator.core.mapped import Link, MappedObject
from migrator.core.progress import Quiet
from migrator.load.rollback import Rollback, rollback
from migrator.load.send import Sender
from migrator.staging.store import Kind
from migrator.testing.memory import MemoryTarget
from tests.load_world import Rows, World, mapped_object, put, world

_PLAIN = mapped_object("person", "key mail name", links=[Link("boss", ("person",), deferred=True)])
PERSON = replace(
    _PLAIN,
    unique=("mail",),
    schema=replace(
        _PLAIN.schema,
        fields=tuple(replace(item, unique=item.name in ("key", "mail")) for item in _PLAIN.schema.fields),
    ),
)
GROUPS = ((PERSON,),)
BOTH = Rows({"1": {"mail": "a@x", "name": "Al", "boss": "person/s:2"}, "2": {"mail": "b@x", "name": "Bo"}})


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, SystemClock()) as made:
        yield made


def load(here: World, target: MemoryTarget, rows: Rows, obj: MappedObject = PERSON) -> int:
    put(here, obj, rows)
    return here.run(target, ((obj,),)).refused


def held(target: MemoryTarget) -> dict[str, Any]:
    return {row["key"]: row["mail"] for page in target.read("T person") for row in page.to_pylist()}


def back(here: World, target: MemoryTarget, run: str) -> Rollback:
    here.ledger.start_run("rollback", "test")
    with here.ledger.lease() as fence, closing(here.engine()) as session:
        sender = Sender(target, here.ledger, fence)
        return rollback(here.store, session, sender, GROUPS, run, dry_run=False, progress=Quiet())


def golden(mail: str) -> Rows:
    """1 and 2 are one: 1 survives, with this address."""
    return Rows({"1": {"mail": mail, "name": "Al"}, "2": {"mail": "b@x", "name": "Bo"}}, merged={"2": "1"})


def test_a_survivor_takes_the_value_of_a_duplicate_that_was_loaded_before(here: World) -> None:
    target = MemoryTarget()
    assert load(here, target, BOTH) == 0
    assert load(here, target, golden("b@x")) == 0
    assert held(target) == {"k1": "b@x", "k2": None}
    assert here.run(target, GROUPS).written == 0  # and only once
    # apart again, each has its own
    assert load(here, target, BOTH) == 0
    assert held(target) == {"k1": "a@x", "k2": "b@x"}


def test_without_the_constraint_nothing_is_given_up(here: World) -> None:
    target = MemoryTarget()
    load(here, target, BOTH, _PLAIN)
    load(here, target, golden("b@x"), _PLAIN)
    assert held(target) == {"k1": "b@x", "k2": "b@x"}


def test_values_that_go_round_in_a_circle_arrive(here: World) -> None:
    target = MemoryTarget()
    names = ["1", "2", "3", "4"]
    load(here, target, Rows({one: {"mail": f"{one}@x"} for one in names}))
    round_ = {
        "1": {"mail": "2@x"},
        "2": {"mail": "3@x"},
        "3": {"mail": "1@x"},
        "4": {"mail": "9@x"},
        "5": {"mail": "4@x"},
    }
    assert load(here, target, Rows(round_)) == 0
    assert held(target) == {f"k{one}": row["mail"] for one, row in round_.items()}


def test_a_required_value_is_exchanged_for_the_next_one(here: World) -> None:
    fields = tuple(
        replace(item, required=item.name == "mail" or item.required) for item in PERSON.schema.fields
    )
    needs = replace(PERSON, schema=replace(PERSON.schema, fields=fields))
    target = MemoryTarget()
    load(here, target, Rows({"1": {"mail": "b@x"}}), needs)
    assert load(here, target, Rows({"1": {"mail": "a@x"}, "0": {"mail": "b@x"}}), needs) == 0
    assert held(target) == {"k1": "a@x", "k0": "b@x"}


def test_two_that_both_want_a_value_are_told_by_the_target(here: World) -> None:
    target = MemoryTarget()
    load(here, target, BOTH)
    rows = Rows({"1": {"mail": "b@x"}, "2": {"mail": "b@x", "name": "Bo"}})
    assert load(here, target, rows) == 1
    assert held(target) == {"k1": "a@x", "k2": "b@x"}


def test_a_rollback_gives_the_value_back(here: World) -> None:
    target = MemoryTarget()
    load(here, target, BOTH)
    load(here, target, golden("b@x"))
    assert here.ledger.run is not None
    run = here.ledger.run
    done = back(here, target, run)
    while done.not_taken_back:  # the value is free only once the other has given it back
        before, done = done.not_taken_back, back(here, target, run)
        assert done.not_taken_back < before
    assert held(target) == {"k1": "a@x", "k2": "b@x"}


def test_who_gave_a_value_up_and_was_not_sent_again_is_sent_by_the_next_load(here: World) -> None:
    target = MemoryTarget()
    load(here, target, BOTH)
    put(here, PERSON, Rows({"1": {"mail": "b@x"}, "2": {"mail": "c@x", "name": "Bo"}}))
    here.run(target, GROUPS)
    known = {row["__id"]: row["__fp"] for row in here.query(Kind.CROSSWALK, "person")}
    assert "released" not in known.values()
    assert held(target) == {"k1": "b@x", "k2": "c@x"}
