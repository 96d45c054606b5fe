"""Waived records stay counted as quarantined and no longer make a run red: until their value changes, or it is withdrawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from migrator.core.clock import FixedClock
from migrator.core.mapped import Link
from migrator.core.quarantine import State
from migrator.staging import columns
from migrator.staging.accounting import Accounting, account
from migrator.staging.held import remember
from migrator.staging.quarantine import Entry, Filter, chosen, rows
from migrator.staging.store import Kind
from migrator.staging.waivers import Decision, Verdict, Waived, decide, decisions
from tests.load_world import Rows, World, mapped_object, put, world
from tests.unit.test_quarantine_life import Strict

ACCOUNT = mapped_object("account", "key name", dedupe=True)
CONTACT = mapped_object("contact", "key name", links=[Link("account", ("account",))])
GROUPS = ((ACCOUNT,), (CONTACT,))
OBJECTS = (ACCOUNT, CONTACT)
ACCOUNTS = Rows(
    {"1": {"name": "one"}, "2": {}, "3": {"name": "one"}, "4": {}, "5": {"name": "王伟"}},
    bad={"2": "cast.date", "5": "value.unmapped"}, merged={"4": "3"},
)  # fmt: skip
PEOPLE = Rows(
    {"a": {"account": "account/s:2"}, "b": {"account": "account/s:5"}, "c": {"account": "account/s:1"}}
)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def target() -> Strict:
    return Strict()


@pytest.fixture
def here(tmp_path: Path, clock: FixedClock, target: Strict) -> Iterator[World]:
    with world(tmp_path, clock) as made:
        put(made, ACCOUNT, ACCOUNTS)
        put(made, CONTACT, PEOPLE)
        made.run(target, GROUPS)
        remember(made.store, made.session, OBJECTS)
        yield made


def decided(here: World, only: Filter, verdict: Verdict = Verdict.WAIVED) -> Decision:
    marks = {
        item.name: f"SELECT mark FROM ({chosen(here.store, here.session, item, only)})"
        for item in OBJECTS
        if only.objects is None or item.name in only.objects
    }
    return decide(
        here.store, here.session, marks, verdict=verdict, who="Ada", reason="not needed", filters=only.to_json()
    )  # fmt: skip


def accounts(here: World) -> Accounting:
    return account(here.store, here.session, OBJECTS)


def waived(here: World) -> Mapping[str, Waived]:
    return {item.name: item.waived for item in accounts(here).objects}


def listed(here: World, only: Filter = Filter()) -> list[Entry]:  # noqa: B008 (frozen)
    return list(rows(here.store, here.session, OBJECTS, only=only))


def rule(*names: str, **more: Any) -> Filter:
    return Filter(rules=frozenset(names), **more)


def test_without_a_decision_everything_held_is_red(here: World) -> None:
    assert accounts(here).held == 4 + 2
    assert waived(here) == {"account": Waived(), "contact": Waived()}


def test_a_waived_record_counts_as_quarantined_and_not_as_held_nor_do_those_that_wait_for_it(
    here: World,
) -> None:
    before = accounts(here)
    made = decided(here, rule("cast.date"))
    after = accounts(here)
    assert waived(here) == {"account": Waived(1, 0), "contact": Waived(0, 1)}
    assert after.held == before.held - 2
    assert [item.counts for item in after.objects] == [item.counts for item in before.objects]
    assert after.to_json()["objects"]["account"]["waived"] == 1
    assert decisions(here.ledger) == [made]
    assert (made.who, made.reason, made.rows, made.filters) == (
        "Ada",
        "not needed",
        1,
        {"rule": ["cast.date"]},
    )


def test_a_refused_record_is_waived_with_those_merged_into_it(here: World) -> None:
    decided(here, rule("unique"))
    assert waived(here)["account"] == Waived(2, 0)
    assert {item.record for item in listed(here, rule("unique", state=State.WAIVED))} == {"s:3", "s:4"}
    assert {item.record for item in listed(here, Filter(state=State.OPEN))} == {"s:2", "s:5"}
    assert {item.waived for item in listed(here, rule("unique"))} == {"Ada: not needed"}


def test_a_record_with_two_complaints_is_waived_when_both_are(here: World) -> None:
    rejects = here.store.build(Kind.REJECTS, "old/Account", "1")
    rejects.add_table(
        pa.table(
            [["a.csv:7"] * 2, ["file.ragged"] * 2, ["3 fields"] * 2, ["x,y", "x,z"]], schema=columns.REJECTS
        )
    )
    rejects.complete()
    decided(here, rule("file.ragged"))
    assert waived(here)["account"] == Waived(2, 0)
    again = here.store.build(Kind.MAPPED, "account", "two complaints")
    found = here.store.current(Kind.MAPPED, "account")
    assert found is not None
    table = pq.read_table(found.files[0])
    issues = table.column(columns.ISSUES).to_pylist()
    issues[1] = [*issues[1], {**issues[1][0], "rule": "length.exceeded"}]
    place = table.column_names.index(columns.ISSUES)
    again.add_table(table.set_column(place, columns.ISSUES, pa.array(issues, table.column(place).type)))
    again.complete()
    decided(here, rule("cast.date"))
    assert waived(here)["account"] == Waived(2, 0)
    decided(here, rule("length.exceeded"))
    assert waived(here)["account"] == Waived(3, 0)


def test_it_survives_a_rerun_and_ends_with_another_value(here: World, target: Strict) -> None:
    decided(here, rule("unique"))
    here.run(target, GROUPS)
    assert waived(here)["account"] == Waived(2, 0)
    more = {**ACCOUNTS.values, "6": {}}
    put(here, ACCOUNT, Rows(more, bad=ACCOUNTS.bad, merged=ACCOUNTS.merged))
    here.run(target, GROUPS)
    assert waived(here)["account"] == Waived(2, 0), "mapped again to the same values"
    changed = {**more, "1": {"name": "uno"}, "3": {"name": "uno"}}
    put(here, ACCOUNT, Rows(changed, bad=ACCOUNTS.bad, merged=ACCOUNTS.merged))
    here.run(target, GROUPS)
    refused = [item for item in listed(here, rule("unique")) if item.record == "s:3"]
    assert [(item.value, item.waived) for item in refused] == [("uno", None)]


def test_a_decision_can_be_taken_back_and_made_again(here: World, clock: FixedClock) -> None:
    for verdict, count in ((Verdict.WAIVED, 2), (Verdict.WITHDRAWN, 0), (Verdict.WAIVED, 2)):
        clock.sleep(60)
        decided(here, rule("cast.date", "value.unmapped"), verdict)
        assert waived(here) == {"account": Waived(count, 0), "contact": Waived(0, count)}
    decided(here, rule("cast.date"), Verdict.WITHDRAWN)
    assert waived(here)["account"] == Waived(1, 0)
    assert [item.verdict for item in decisions(here.ledger)] == ["waived", "withdrawn", "waived", "withdrawn"]


def test_rows_of_a_decision_that_is_not_on_record_mean_nothing(here: World) -> None:
    building = here.store.build(Kind.WAIVED, "account", "killed before the ledger knew")
    marks = here.session.fetch(f"SELECT mark FROM ({chosen(here.store, here.session, ACCOUNT, Filter())})")
    building.add_table(marks.append_column("decision", pa.array(["lost"] * marks.num_rows)))
    building.complete()
    decided(here, rule("cast.date"))
    assert waived(here)["account"] == Waived(1, 0)


def test_first_seen_and_tries_are_remembered_over_runs(
    here: World, clock: FixedClock, target: Strict
) -> None:
    start = clock.now()
    clock.sleep(3600)
    later = clock.now()
    put(
        here,
        ACCOUNT,
        Rows({**ACCOUNTS.values, "7": {}}, bad={**ACCOUNTS.bad, "7": "cast.date"}, merged=ACCOUNTS.merged),
    )
    run = here.ledger.start_run("map", "test")
    remember(here.store, here.session, OBJECTS)  # mapped, not planned: what was refused is not forgotten
    here.run(target, GROUPS)
    remember(here.store, here.session, OBJECTS)
    told = {item.record: (item.first_seen, item.tries) for item in listed(here)}
    assert told["s:2"] == (start, 2)
    assert told["s:3"] == (start, 1), "it was not sent again"
    assert told["s:7"] == (later, 1)
    assert [item.record for item in listed(here, Filter(since=later))] == ["s:7"]
    assert {item.record for item in listed(here, Filter(run=run, rules=frozenset({"cast.date"})))} == {
        "s:2",
        "s:7",
    }


def test_filters_by_field_and_system(here: World) -> None:
    assert {item.record for item in listed(here, Filter(fields=frozenset({"name"})))} >= {"s:2", "s:3", "s:5"}
    assert listed(here, Filter(systems=frozenset({"old"}))) == listed(here)
    assert listed(here, Filter(systems=frozenset({"other"}))) == []
