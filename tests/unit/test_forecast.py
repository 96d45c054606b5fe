"""What a plan says of updates, of rules of the target, of calls and of time, over hand-made worlds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from migrator.commands.planning import masked
from migrator.core.clock import SystemClock
from migrator.core.connector import Limits, TargetFacts
from migrator.core.connector import Rate as Permitted
from migrator.core.mapped import First, Link, MappedObject
from migrator.core.progress import Quiet
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.load.changes import Changes, Comparison, FieldChange, Record, Value
from migrator.load.cost import Calls, Duration, Rate, at_least, calls_of, duration, read_measured
from migrator.load.forecast import ObjectForecast, forecast_object
from migrator.load.rollback import rollback
from migrator.load.send import Sender
from migrator.staging.action import Action
from migrator.staging.store import Kind
from migrator.testing.memory import MemoryTarget
from tests.load_world import Rows, World, mapped_object, put, world

DEAL = replace(
    mapped_object("deal", "key name stage amount:decimal", links=[Link("parent", ("deal",), deferred=True)]),
    firsts=(First("stage", "open"),),
)
GROUPS = ((DEAL,),)
FIRST = {
    "1": {"name": "A", "stage": "won", "amount": Decimal("1.50"), "parent": "deal/s:2"},
    "2": {"name": "公司", "stage": None},
    "3": {"name": "C", "stage": "open"},
}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, SystemClock()) as made:
        yield made


def said(here: World, obj: MappedObject = DEAL, target: ObjectSchema | None = None) -> ObjectForecast:
    planned = here.plan(((obj,),)).objects[0]
    return forecast_object(
        here.store,
        here.session,
        obj,
        planned,
        target=target,
        facts=TargetFacts(2, assigns_ids=False, creates_objects=True),
    )


def compared(here: World, obj: MappedObject = DEAL) -> Comparison:
    planned = here.store.current(Kind.PLAN, obj.name)
    assert planned is not None
    return Comparison(here.store, here.session, obj, planned)


def test_the_old_value_is_the_one_that_was_last_sent(here: World) -> None:
    target = MemoryTarget()
    put(here, DEAL, Rows(FIRST))
    found = said(here)
    assert (found.classes["create"], found.second_pass, found.changes) == (3, 1, Changes())
    assert found.calls == Calls(writes=2, links=1, looks=3)
    (new,) = compared(here).record("k3")
    assert (new.action, new.values[:2]) == (
        Action.CREATE,
        (Value("key", None, "k3"), Value("name", None, "C")),
    )
    here.load(target, GROUPS)
    assert said(here).classes["unchanged"] == 3

    put(here, DEAL, Rows({**FIRST, "1": {"name": "A", "stage": "lost", "parent": "deal/s:9"}, "9": {}}))
    found = said(here)
    assert found.changes == Changes(
        1, (FieldChange("stage", 1), FieldChange("amount", 1, emptied=1), FieldChange("parent", 1))
    )
    (shown,) = compared(here).records(5)
    assert (shown.record, shown.key) == ("s:1", "k1")
    assert shown.values[0] == Value("stage", "won", "lost"), "the stage it was closed with, not the first one"
    assert shown.values[2] == Value("parent", "k2", "deal/s:9")
    assert found.second_pass == 1
    here.load(target, GROUPS)

    put(here, DEAL, Rows({**FIRST, "1": {**FIRST["1"], "parent": None}}))
    (shown,) = compared_after_plan(here)
    assert {item.field: (item.old, item.new) for item in shown} == {
        "stage": ("lost", "won"), "amount": (None, "1.500000000"), "parent": ("k9", None),
    }  # fmt: skip


def compared_after_plan(here: World, obj: MappedObject = DEAL) -> list[tuple[Value, ...]]:
    here.plan(((obj,),))
    return [item.values for item in compared(here, obj).records(5)]


def test_a_run_that_was_taken_back_is_no_old_value(here: World) -> None:
    target = MemoryTarget()
    put(here, DEAL, Rows(FIRST))
    here.run(target, GROUPS)
    put(here, DEAL, Rows({**FIRST, "3": {"name": "taken back", "stage": "open"}}))
    here.run(target, GROUPS)
    run = here.query(Kind.CROSSWALK, "deal")[2]["run"]
    here.ledger.start_run("rollback", "test")
    with here.ledger.lease() as fence:
        sender = Sender(target, here.ledger, fence)
        rollback(here.store, here.session, sender, GROUPS, run, dry_run=False, progress=Quiet())
    put(here, DEAL, Rows({**FIRST, "3": {"name": "new", "stage": "open"}}))
    assert compared_after_plan(here) == [(Value("name", "C", "new"),)]


def test_fields_that_were_added_taken_away_or_typed_otherwise(here: World) -> None:
    before = mapped_object("deal", "key name amount gone")
    put(here, before, Rows({"1": {"name": "A", "amount": "1.5", "gone": "x"}, "2": {"amount": "?"}}))
    here.run(MemoryTarget(), ((before,),))
    retyped = replace(mapped_object("deal", "key name amount:decimal more"), fingerprint="2")
    put(here, retyped, Rows({"1": {"name": "A", "amount": Decimal("1.50"), "more": "m"}, "2": {}}))
    found = said(here, retyped)
    assert found.changes == Changes(
        2, (FieldChange("amount", 1, emptied=1), FieldChange("more", 1, filled=1))
    )
    assert compared_after_plan(here, retyped)[1] == (Value("amount", "?", None),)
    fewer = replace(mapped_object("deal", "key name"), fingerprint="3")
    put(here, fewer, Rows({"1": {"name": "A"}, "2": {}}))
    assert said(here, fewer).changes == Changes(2, (), same=2)


def test_rules_of_the_target_are_told_before_anything_is_sent(here: World) -> None:
    obj = mapped_object(
        "deal", "key name select born amount:decimal mail", links=[Link("boss", ("deal",), deferred=True)]
    )
    theirs = {
        "name": FieldSchema("name", FieldType.STRING, required=True, length=3),
        "select": FieldSchema("select", FieldType.PICKLIST, values=("it's", "b")),
        "born": FieldSchema("born", FieldType.DATE),
        "amount": FieldSchema("amount", FieldType.DECIMAL, precision=4, scale=2),
        "mail": FieldSchema("mail", FieldType.STRING, unique=True),
        "boss": FieldSchema("boss", FieldType.REFERENCE, required=True),
    }
    rows = {
        "1": {
            "name": "北京公司",
            "select": "it's",
            "born": "2020-02-30",
            "amount": Decimal("99.99"),
            "mail": "m",
        },
        "2": {"name": None, "select": "B", "born": "2020-02-29", "amount": Decimal("100.00"), "mail": "m"},
        "3": {"name": "abc", "select": "b", "mail": None},
    }
    put(here, obj, Rows(rows))
    found = said(here, obj, ObjectSchema("T deal", "key", tuple(theirs.values()))).refusals
    assert {(item.field, item.rule): (item.records, item.example) for item in found} == {
        ("name", "required"): (1, "s:2"),
        ("name", "length"): (1, "s:1"),
        ("select", "picklist"): (1, "s:2"),
        ("born", "type"): (1, "s:1"),
        ("amount", "range"): (1, "s:2"),
        ("mail", "unique"): (2, "s:1"),
    }
    assert said(here, obj, None).refusals == ()


def test_a_personal_external_key_is_masked_wherever_it_is_told() -> None:
    key = FieldSchema("key", FieldType.STRING, pii="email")
    personal = replace(DEAL, schema=replace(DEAL.schema, fields=(key, *DEAL.fields[1:])))
    told = Record(
        "s:1", "a.b@example.com", Action.KEY_CONFLICT, "2 records claim the key a.b@example.com",
        (Value("key", None, "a.b@example.com"), Value("name", None, "A")),
    )  # fmt: skip
    assert "a.b@example.com" not in repr(masked(personal, told))
    assert masked(DEAL, told) == told


@pytest.mark.parametrize(
    ("rows", "links", "batch_rows", "call_rows", "calls"),
    [
        (0, 0, 10, 10, Calls(0, 0, 0)),
        (10, 0, 10, 10, Calls(1, 0, 1)),
        (11, 3, 10, 10, Calls(2, 1, 3)),
        (25, 0, 10, 4, Calls(3 + 3 + 2, 0, 8)),
        (25, 9, 10, 100, Calls(3, 1, 4)),
    ],
)
def test_calls(rows: int, links: int, batch_rows: int, call_rows: int, calls: Calls) -> None:
    assert calls_of(rows, links, batch_rows=batch_rows, call_rows=call_rows) == calls
    single = calls_of(rows, links, batch_rows=batch_rows, call_rows=call_rows, row_requests=1)
    assert single.total == calls.total + rows + links


def test_time_is_measured_or_bounded_or_not_known() -> None:
    limits = Limits(rates=(Permitted(100, 20.0), Permitted(1, 9.0, "bulk")))
    measured = {"a": {"rows": Rate(100, 2.0)}, "b": {"rows": Rate(100, 4.0), "links": Rate(10, 1.0)}}
    assert duration({"a": {"rows": 0}}, {}, limits, 0) == Duration(0.0, "nothing to send")
    assert duration({"a": {"rows": 50}}, measured, None, 1) == Duration(1.0, "measured")
    assert duration({"a": {"rows": 50, "links": 10}}, measured, None, 1) == Duration(2.0, "partly measured")
    assert duration({"c": {"rows": 100}}, measured, None, 1) == Duration(3.0, "partly measured")
    assert duration({"a": {"rows": 50}}, {}, None, 1) == Duration(None, "unknown")
    assert duration({"a": {"rows": 50}}, {}, limits, 50) == Duration(10.0, "limits")
    assert duration({"a": {"rows": 50}}, measured, limits, 50) == Duration(10.0, "measured")
    assert at_least(None, 7) == 0.0


def test_what_a_load_took_is_kept_for_the_next_plan(here: World) -> None:
    put(here, DEAL, Rows(FIRST))
    here.run(MemoryTarget(), GROUPS)
    crosswalk = here.store.current(Kind.CROSSWALK, "deal")
    assert crosswalk is not None
    found = read_measured([("deal", crosswalk.detail)])["deal"]
    assert (found["rows"].rows, found["links"].rows) == (3, 1)
    assert min(found["rows"].seconds, found["links"].seconds) > 0
