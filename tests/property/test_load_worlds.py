"""Laws of the load over random small worlds: bad rows, exclusions, duplicates, cycles, refusals at random."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrator.core.clock import SystemClock
from migrator.core.connector import TargetFacts
from migrator.core.mapped import Link, MappedObject
from migrator.load.forecast import ObjectForecast, forecast_object
from migrator.load.plan import Retry
from migrator.staging.accounting import account
from migrator.testing.memory import MemoryTarget
from tests.load_world import Rows, World, mapped_object, put, world

COMPANY = mapped_object("company", "key name", links=[Link("parent", ("company",), deferred=True), Link("boss", ("person",), deferred=True)], dedupe=True)  # fmt: skip
PERSON = mapped_object("person", "key name", links=[Link("company", ("company",))], dedupe=True)
TASK = mapped_object("task", "key name", links=[Link("about", ("company", "person"), required=True), Link("owner", ("person",))])  # fmt: skip
GROUPS = ((COMPANY, PERSON), (TASK,))
OBJECTS = [obj for group in GROUPS for obj in group]
IDS = ("1", "2", "3", "4")


class Refusing(MemoryTarget):
    """A target that refuses rows by their key."""

    def __init__(self, poison: frozenset[str]) -> None:
        super().__init__(assigns_ids=False)
        self.poison = poison

    def _check(self, stored: Any, record_id: str | None, record: Mapping[str, Any], key: object) -> Any:
        if (stored.schema.name + "/" + str(key)) in self.poison:
            return {"key": str(key), "target_id": None, "outcome": "refused", "code": "poison", "field": "name", "message": "no"}  # fmt: skip
        return super()._check(stored, record_id, record, key)


@dataclass
class Drawn:
    rows: dict[str, Rows]
    poison: frozenset[str]


@st.composite
def worlds(draw: st.DrawFn) -> Drawn:
    made: dict[str, Rows] = {}
    for obj in OBJECTS:
        ids = draw(st.lists(st.sampled_from(IDS), unique=True))
        good = set(ids)
        bad = dict.fromkeys(draw(st.sets(st.sampled_from(ids or ["-"]), max_size=2)) & good, "rule.x")
        good -= set(bad)
        excluded = dict.fromkeys(
            draw(st.sets(st.sampled_from(ids or ["-"]), max_size=1)) & good, "not wanted"
        )
        good -= set(excluded)
        merged: dict[str, str] = {}
        if obj.dedupe and len(good) > 1 and draw(st.booleans()):
            survivor, *members = sorted(good)
            merged = dict.fromkeys(members[: draw(st.integers(1, 2))], survivor)
        made[obj.name] = Rows({one: {} for one in ids}, bad, excluded, merged)
    for obj in OBJECTS:
        there = {
            link.field: [None, *(f"{name}/s:{one}" for name in link.mappings for one in made[name].values)]
            for link in obj.links
        }
        made[obj.name].values = {
            one: {name: draw(st.sampled_from(choices)) for name, choices in there.items()}
            for one in made[obj.name].values
        }
    keys = [f"{obj.target_object}/k{one}" for obj in OBJECTS for one in IDS]
    return Drawn(made, draw(st.frozensets(st.sampled_from(keys), max_size=3)))


def target_rows(target: MemoryTarget, obj: MappedObject) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for page in target.read(obj.target_object) for row in page.to_pylist()}


def expected(drawn: Drawn) -> dict[str, dict[str, dict[str, Any]]]:
    """The target as a slow, obvious program would fill it."""

    def survivor(ref: str | None) -> tuple[str, str] | None:
        if ref is None:
            return None
        name, _, one = ref.partition("/s:")
        return name, drawn.rows[name].merged.get(one, one)

    there: dict[str, dict[str, dict[str, Any]]] = {}
    for obj in OBJECTS:
        rows = drawn.rows[obj.name]
        there[obj.name] = {}
        for one, values in rows.values.items():
            if one in rows.bad or one in rows.excluded or one in rows.merged:
                continue
            if f"{obj.target_object}/k{one}" in drawn.poison:
                continue
            links: dict[str, Any] = {}
            for link in obj.links:
                to = survivor(values[link.field])
                if to is not None and not link.deferred and f"k{to[1]}" not in there[to[0]]:
                    if to[1] in drawn.rows[to[0]].excluded and not link.required:
                        to = None
                    else:
                        break
                links[link.field] = to
            else:
                there[obj.name][f"k{one}"] = {"key": f"k{one}", "name": None, **links}
    for rows_by_key in there.values():
        for row in rows_by_key.values():
            for name, to in row.items():
                if isinstance(to, tuple):
                    row[name] = f"k{to[1]}" if f"k{to[1]}" in there[to[0]] else None
    return there


def check(here: World, target: MemoryTarget, drawn: Drawn) -> None:
    for obj in OBJECTS:
        assert target_rows(target, obj) == expected(drawn)[obj.name], obj.name
    accounts = account(here.store, here.session, OBJECTS)
    assert accounts.closed, accounts.to_json()
    for item in accounts.objects:
        assert item.extracted == sum(item.counts.values()) == len(drawn.rows[item.name].values)
        assert item.counts["loaded"] == len(expected(drawn)[item.name])


@given(worlds())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_target_holds_exactly_what_it_should_and_a_second_run_sends_nothing(drawn: Drawn) -> None:
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as here:
        for obj in OBJECTS:
            put(here, obj, drawn.rows[obj.name])
        target = Refusing(drawn.poison)
        here.run(target, GROUPS)
        check(here, target, drawn)
        calls = len(target.calls)
        assert here.run(target, GROUPS).written == 0
        assert len(target.calls) == calls
        check(here, target, drawn)

        healed = Drawn(drawn.rows, frozenset())
        target.poison = frozenset()
        here.run(target, GROUPS, retry=Retry())
        check(here, target, healed)
        assert here.run(target, GROUPS).written == 0


def forecast(here: World, drawn: Drawn) -> dict[str, ObjectForecast]:
    for obj in OBJECTS:
        put(here, obj, drawn.rows[obj.name])
    return {
        obj.name: forecast_object(
            here.store,
            here.session,
            obj,
            planned,
            target=None,
            facts=TargetFacts(2, assigns_ids=False, creates_objects=True),
        )
        for obj, planned in zip(OBJECTS, here.plan(GROUPS).objects, strict=True)
    }


@pytest.mark.slow
@given(worlds(), worlds(), st.randoms(use_true_random=False))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_load_does_what_the_plan_said_of_it(first: Drawn, second: Drawn, chance: Any) -> None:
    for drawn in (first, second):
        for rows in drawn.rows.values():
            rows.values = {
                one: {**values, "name": chance.choice([None, "A", "公司"])}
                for one, values in rows.values.items()
            }
    with tempfile.TemporaryDirectory() as folder, world(Path(folder), SystemClock()) as here:
        target = Refusing(first.poison)
        for drawn in (first, second, second):
            said = forecast(here, drawn)
            there = {item.name for item in target.describe()}
            updates = {
                obj.name: {one for one, action in here.actions(obj.name).items() if action == "update"}
                for obj in OBJECTS
            }
            before = {obj.name: target_rows(target, obj) for obj in OBJECTS if obj.target_object in there}
            done = {item.name: item for item in here.load(target, GROUPS).objects}
            for obj in OBJECTS:
                found, did = said[obj.name], done[obj.name]
                assert sum(found.classes.values()) == found.records == len(drawn.rows[obj.name].values)
                sent = sum(did.outcomes.values()) + did.waiting
                assert found.classes["create"] + found.classes["update"] == sent
                if target.poison:
                    continue
                assert found.classes["create"] == did.outcomes.get("created", 0)
                assert found.second_pass == sum(did.links.values())
                assert changed(found) == seen(
                    before.get(obj.name, {}), target_rows(target, obj), updates[obj.name]
                )
            target.poison = frozenset()


def changed(found: ObjectForecast) -> dict[str, int]:
    assert found.changes.unknown == 0
    return {item.field: item.records for item in found.changes.fields}


def seen(before: Mapping[str, Any], after: Mapping[str, Any], updates: set[str]) -> dict[str, int]:
    """Fields of updated records that are otherwise in the target than they were."""
    counts: dict[str, int] = {}
    for one in updates:
        key = f"k{one.removeprefix('s:')}"
        for name, value in after[key].items():
            if before[key][name] != value:
                counts[name] = counts.get(name, 0) + 1
    return counts
