"""Unique values of the target that pass from one record to another: given up before they are taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from migrator.core.clock import SystemClock
from migrator.testing.memory import MemoryTarget
from tests.load_world import Rows, World, world
from tests.unique_world import BOTH, GROUPS, PERSON, golden, held, load


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, SystemClock()) as made:
        yield made


def test_a_survivor_takes_the_value_of_a_duplicate_that_was_loaded_before(here: World) -> None:
    target = MemoryTarget()
    assert load(here, target, BOTH) == 0
    assert load(here, target, golden("b@x")) == 0
    assert held(target) == {"k1": "b@x", "k2": None}
    assert here.run(target, GROUPS).written == 0  # and only once
    # apart again, each has its own
    assert load(here, target, BOTH) == 0
    assert held(target) == {"k1": "a@x", "k2": "b@x"}


def test_a_required_value_is_exchanged_for_the_next_one(here: World) -> None:
    fields = tuple(
        replace(item, required=item.name == "mail" or item.required) for item in PERSON.schema.fields
    )
    needs = replace(PERSON, schema=replace(PERSON.schema, fields=fields))
    target = MemoryTarget()
    load(here, target, Rows({"1": {"mail": "b@x"}}), needs)
    assert load(here, target, Rows({"1": {"mail": "a@x"}, "0": {"mail": "b@x"}}), needs) == 0
    assert held(target) == {"k1": "a@x", "k0": "b@x"}
