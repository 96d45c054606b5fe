"""Plan and load over hand-made worlds: what is sent, what is held and why, and that a rerun sends nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from migrator.core.errors import ProjectError, SafetyStop
from migrator.core.mapped import Link, MappedObject
from migrator.core.schema import ObjectSchema
from migrator.load.load import target_schemas
from migrator.staging.engine import DuckSession
from migrator.staging.store import Kind
from migrator.testing.memory import MemoryTarget
from tests.load_world import Rows, World, mapped_object, put, world

ACCOUNT = mapped_object(
    "account", "key name", links=[Link("parent", ("account",), deferred=True)], dedupe=True
)
CONTACT = mapped_object("contact", "key name", links=[Link("account", ("account",))])
GROUPS = ((ACCOUNT,), (CONTACT,))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def records(target: MemoryTarget, name: str) -> dict[str, dict[str, object]]:
    return {row["key"]: row for page in target.read(name) for row in page.to_pylist()}


def test_merged_records_are_what_is_held_to_be_looked_up_and_not_whole_rows(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty million contacts ran out of memory where the engine took one row in twenty-five to survive, and held the rows."""
    put(
        here,
        ACCOUNT,
        Rows({str(n): {} for n in range(800)}, merged={str(n): str(n - n % 4) for n in range(800) if n % 4}),
    )
    put(here, CONTACT, Rows({str(n): {"account": f"account/s:{n % 800}"} for n in range(1000)}))
    told: list[str] = []
    write = DuckSession.write

    def explained(session: DuckSession, sql: str, path: Path, **given: Any) -> int:
        if "pointed AS" in sql:
            told.append(session.connection.execute(f"EXPLAIN {sql}").fetchall()[0][1])
        return write(session, sql, path, **given)

    monkeypatch.setattr(DuckSession, "write", explained)
    here.plan(GROUPS)
    # of contacts there are more than of merged accounts, and the engine knows it
    assert "~1,000 rows" in told[1]
    assert "Join Type: RIGHT" not in told[1]


def test_rows_links_and_self_references_arrive(here: World) -> None:
    put(
        here,
        ACCOUNT,
        Rows(
            {"1": {"name": "A", "parent": "account/s:2"}, "2": {"name": "公司"}, "3": {}}, merged={"3": "1"}
        ),
    )
    put(here, CONTACT, Rows({"a": {"account": "account/s:3"}, "b": {"account": "account/s:2"}, "c": {}}))
    target = MemoryTarget(assigns_ids=False)
    report = here.run(target, GROUPS)
    assert report.written == 6
    assert records(target, "T account") == {
        "k1": {"key": "k1", "name": "A", "parent": "k2"},
        "k2": {"key": "k2", "name": "公司", "parent": None},
    }
    assert {key: row["account"] for key, row in records(target, "T contact").items()} == {
        "ka": "k1",
        "kb": "k2",
        "kc": None,
    }


def test_a_rerun_calls_the_target_for_nothing(here: World) -> None:
    put(here, ACCOUNT, Rows({"1": {"parent": "account/s:2"}, "2": {"parent": "account/s:1"}}))
    put(here, CONTACT, Rows({"a": {"account": "account/s:1"}}))
    target = MemoryTarget()
    here.run(target, GROUPS)
    calls = len(target.calls)
    for _ in range(3):
        assert here.run(target, GROUPS).written == 0
    assert len(target.calls) == calls
    assert set(here.actions("account").values()) == {"unchanged"}


def test_children_wait_and_name_the_root_cause_through_generations(here: World) -> None:
    task = mapped_object("task", links=[Link("about", ("account", "contact"))])
    put(here, ACCOUNT, Rows({"1": {}}, bad={"1": "cast.date"}))
    put(here, CONTACT, Rows({"a": {"account": "account/s:1"}}))
    put(here, task, Rows({"t": {"about": "contact/s:a"}, "u": {"about": "account/s:1"}}))
    planned = here.plan((*GROUPS, (task,)))
    assert planned.to_json()["objects"]["task"]["counts"]["wait"] == 2
    assert set(here.reasons("task").values()) == {"account/s:1 quarantined: cast.date"}
    put(here, ACCOUNT, Rows({"1": {}}))
    report = here.run(MemoryTarget(), (*GROUPS, (task,)))
    assert report.written == 4


def test_children_of_a_row_refused_in_this_load_wait_for_it(here: World) -> None:
    target = MemoryTarget(
        target_schemas([replace(ACCOUNT, links=(), schema=required(ACCOUNT, "name")), CONTACT])
    )
    put(here, ACCOUNT, Rows({"1": {}, "2": {"name": "B"}}))
    put(here, CONTACT, Rows({"a": {"account": "account/s:1"}, "b": {"account": "account/s:2"}}))
    report = here.run(target, GROUPS)
    assert (report.refused, report.objects[1].waiting) == (1, 1)
    assert here.reasons("contact") == {"s:a": "account/s:1 refused: required"}
    put(here, ACCOUNT, Rows({"1": {"name": "A"}, "2": {"name": "B"}}))
    assert here.run(target, GROUPS).written == 2
    assert records(target, "T contact")["ka"]["account"] == "k1"


def test_a_refused_update_forgets_nothing_of_the_record_that_is_there(here: World) -> None:
    target = MemoryTarget(
        target_schemas([replace(ACCOUNT, links=(), schema=required(ACCOUNT, "name")), CONTACT])
    )
    put(here, ACCOUNT, Rows({"1": {"name": "A"}}))
    put(here, CONTACT, Rows())
    here.run(target, GROUPS)
    put(here, ACCOUNT, Rows({"1": {"name": None}}))
    put(here, CONTACT, Rows({"a": {"account": "account/s:1"}}))
    report = here.run(target, GROUPS)
    assert (report.refused, report.objects[1].outcomes) == (1, {"created": 1})
    assert here.actions("account") == {"s:1": "refused"}
    (row,) = here.query(Kind.CROSSWALK, "account")
    assert (row["outcome"], row["target_key"], row["target_id"]) == ("refused", "k1", "k1")
    assert records(target, "T contact")["ka"]["account"] == "k1"
    put(here, ACCOUNT, Rows({"1": {"name": "B"}}))
    assert here.run(target, GROUPS).objects[0].outcomes == {"updated": 1}


def required(obj: MappedObject, name: str) -> ObjectSchema:
    fields = tuple(replace(item, required=item.required or item.name == name) for item in obj.fields)
    return replace(obj.schema, fields=fields)


def test_a_deferred_link_is_set_when_its_other_end_comes_at_last(here: World) -> None:
    target = MemoryTarget()
    put(here, ACCOUNT, Rows({"1": {"parent": "account/s:2"}, "2": {}}, bad={"2": "x"}))
    put(here, CONTACT, Rows())
    assert here.run(target, GROUPS).objects[0].links == {}
    put(here, ACCOUNT, Rows({"1": {"parent": "account/s:2"}, "2": {}}))
    report = here.run(target, GROUPS)
    assert (report.objects[0].outcomes, report.objects[0].links) == ({"created": 1}, {"updated": 1})
    assert records(target, "T account")["k1"]["parent"] == "k2"
    put(here, ACCOUNT, Rows({"1": {}, "2": {}}))
    here.run(target, GROUPS)
    assert records(target, "T account")["k1"]["parent"] is None


def test_one_external_key_has_one_owner(here: World) -> None:
    target = MemoryTarget()
    put(here, ACCOUNT, Rows({"1": {"key": "x"}}))
    put(here, CONTACT, Rows({"a": {"key": "y"}, "b": {"key": "y"}, "c": {"key": ""}}))
    here.run(target, GROUPS)
    assert here.actions("contact") == {"s:a": "key_conflict", "s:b": "key_conflict", "s:c": "key_conflict"}
    assert here.reasons("contact")["s:a"] == "2 records claim the key y, s:a and s:b among them"
    put(here, ACCOUNT, Rows({"1": {"key": "x", "name": "new"}, "2": {"key": "x"}}))
    here.plan(GROUPS)
    assert here.actions("account") == {"s:1": "update", "s:2": "key_conflict"}
    put(here, ACCOUNT, Rows({"1": {"key": "z"}}))
    here.plan(GROUPS)
    assert here.reasons("account") == {"s:1": "it was loaded as x, its key is now z"}


def test_two_mappings_may_not_write_one_record_of_the_target(here: World) -> None:
    lead = mapped_object("lead", target="T contact")
    put(here, ACCOUNT, Rows())
    put(here, CONTACT, Rows({"a": {"key": "same"}}))
    put(here, lead, Rows({"l": {"key": "same"}, "m": {}}))
    here.plan((*GROUPS, (lead,)))
    assert here.actions("contact") == {"s:a": "create"}
    assert here.actions("lead") == {"s:l": "key_conflict", "s:m": "create"}


def test_null_empty_and_the_text_null_are_three_values(here: World) -> None:
    values = [None, "", "NULL", "~", "0:", "1:a", "a"]
    put(here, ACCOUNT, Rows({str(n): {"key": "same", "name": value} for n, value in enumerate(values)}))
    put(here, CONTACT, Rows())
    here.plan(GROUPS)
    prints = {row["__fp"] for row in here.query(Kind.PLAN, "account")}
    assert len(prints) == len(values)


def test_what_is_sent_in_one_batch_belongs_to_one_parent_where_it_can(here: World) -> None:
    put(here, ACCOUNT, Rows({str(n): {} for n in range(3)}))
    put(here, CONTACT, Rows({str(n): {"account": f"account/s:{n % 3}"} for n in range(9)}))
    here.plan(GROUPS)
    batches: dict[int, set[str]] = {}
    for row in here.query(Kind.PLAN, "contact"):
        batches.setdefault(row["__batch"], set()).add(row["account"])
    assert batches == {0: {"account/s:0"}, 1: {"account/s:1"}, 2: {"account/s:2"}}


def test_a_target_that_locks_no_parents_gets_its_rows_in_the_order_of_their_keys(here: World) -> None:
    keys = ["k8", "k1", "k5", "k0", "k7", "k2", "k6", "k3", "k4"]
    put(here, ACCOUNT, Rows({str(n): {} for n in range(3)}))
    put(here, CONTACT, Rows({str(n): {"key": key, "account": f"account/s:{n % 3}"} for n, key in enumerate(keys)}))  # fmt: skip
    here.plan(GROUPS, families=False)
    batches = [(row["__batch"], row["key"]) for row in here.query(Kind.PLAN, "contact")]
    assert sorted(batches) == [(n // 3, f"k{n}") for n in range(9)]
    made = here.store.current(Kind.PLAN, "contact")
    here.plan(GROUPS)
    assert here.store.current(Kind.PLAN, "contact") != made


def test_a_plan_made_before_the_records_were_mapped_again_is_not_carried_out(here: World) -> None:
    put(here, ACCOUNT, Rows({"1": {}}))
    put(here, CONTACT, Rows())
    here.plan(GROUPS)
    put(here, ACCOUNT, Rows({"1": {"name": "newer"}}))
    target = MemoryTarget()
    with pytest.raises(SafetyStop, match="'account' is stale: its records were mapped"):
        here.load(target, GROUPS)
    assert target.calls == []


def test_a_load_that_was_done_may_be_asked_for_again(here: World) -> None:
    put(here, ACCOUNT, Rows({"1": {}}))
    put(here, CONTACT, Rows({"a": {"account": "account/s:1"}}))
    target = MemoryTarget()
    here.run(target, GROUPS)
    assert here.load(target, GROUPS).written == 0


def test_names_that_mean_something_to_the_engine_are_only_names(here: World) -> None:
    words = 'key select Order file_row_number target_id code outcome at first claim r x "q" a.b 客户'
    odd = mapped_object(
        'odd "one"', words, links=[Link("from", ('odd "one"',), deferred=True), Link("ref", ("account",))]
    )
    values = {name: f"'{name}'\n\"" for name in words.split() if name != "key"}
    put(here, ACCOUNT, Rows({"it's": {}}, bad={"it's": "x"}))
    put(here, odd, Rows({"1": {**values, "from": 'odd "one"/s:2'}, "2": {}, "3": {"ref": "account/s:it's"}}))
    target = MemoryTarget()
    groups = ((ACCOUNT,), (odd,))
    here.run(target, groups)
    assert records(target, odd.target_object)["k1"] == {**values, "key": "k1", "from": "k2", "ref": None}
    assert here.reasons(odd.name) == {"s:3": "account/s:it's quarantined: x"}
    assert here.run(target, groups).written == 0


def test_an_order_that_sends_children_before_their_parents_is_refused(here: World) -> None:
    put(here, ACCOUNT, Rows())
    put(here, CONTACT, Rows())
    with pytest.raises(ProjectError, match="account, which is loaded later"):
        here.plan(((CONTACT,), (ACCOUNT,)))


def test_a_target_that_was_emptied_behind_our_back_stops_the_load(here: World) -> None:
    put(here, ACCOUNT, Rows({"1": {}}))
    put(here, CONTACT, Rows())
    here.run(MemoryTarget(), GROUPS)
    with pytest.raises(SafetyStop, match="T account is empty in the target"):
        here.run(MemoryTarget(), GROUPS)


def test_the_target_is_told_its_own_objects_in_references_and_what_may_be_empty() -> None:
    made = {schema.name: schema for schema in target_schemas([ACCOUNT, CONTACT])}
    parent = made["T account"].field("parent")
    assert parent is not None
    assert (parent.references, parent.required) == (("T account",), False)
    account = made["T contact"].field("account")
    assert account is not None
    assert account.references == ("T account",)


def test_values_of_every_type_arrive_as_they_are(here: World) -> None:
    typed = mapped_object("typed", "key i:integer d:decimal f:float b:boolean day:date at:datetime t:time")
    value = {
        "i": -(2**62), "d": Decimal("12345678.123456789"), "f": 0.1, "b": False, "day": date(1899, 12, 31),
        "at": datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=UTC), "t": time(1, 2, 3, 4),
    }  # fmt: skip
    put(here, typed, Rows({"1": value, "2": {}}))
    target = MemoryTarget()
    here.run(target, ((typed,),))
    assert records(target, "T typed") == {
        "k1": {"key": "k1", **value},
        "k2": {"key": "k2", **dict.fromkeys(value)},
    }
