"""The record store of the sandboxes: what a CRM refuses, what it shows when, and that a refusal leaves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from connectors.sandbox.reading import Read
from connectors.sandbox.records import Store, Write
from connectors.sandbox.shape import DuplicateRule, Names, ValidationRule
from connectors.sandbox.violations import Refused, Violation
from connectors.sandbox.where import (
    Compare,
    Every,
    In,
    Like,
    Not,
    Null,
    Operator,
    Order,
    Path,
    Rows,
    Some,
    Where,
)
from migrator.core.clock import FixedClock
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

NAMES = Names(created="made", modified=("touched",), deleted="gone", version="v")
OWN = (
    FieldSchema("made", FieldType.DATETIME),
    FieldSchema("touched", FieldType.DATETIME),
    FieldSchema("gone", FieldType.BOOLEAN),
    FieldSchema("v", FieldType.INTEGER),
)
FIRM = ObjectSchema(
    "Firm",
    "Id",
    (
        FieldSchema("Id", FieldType.ID),
        FieldSchema("select", FieldType.STRING, required=True, length=20),
        FieldSchema('a "b"', FieldType.STRING, unique=True),
        FieldSchema("turnover", FieldType.DECIMAL, precision=18, scale=2),
        FieldSchema("kind", FieldType.PICKLIST, values=("客户", "Partner")),
        FieldSchema("parent", FieldType.REFERENCE, references=("Firm",)),
        *OWN,
    ),
)
PERSON = ObjectSchema(
    "Person",
    "Id",
    (
        FieldSchema("Id", FieldType.ID),
        FieldSchema("name", FieldType.STRING),
        FieldSchema("mail", FieldType.STRING),
        FieldSchema("about", FieldType.REFERENCE, references=("Person", "Firm")),
        *OWN,
    ),
)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def store(clock: FixedClock) -> Iterator[Store]:
    made = Store(names=NAMES, new_id=lambda name, number: f"{name}{number:04}", clock=clock)
    made.define(FIRM)
    made.define(
        PERSON,
        rules=[ValidationRule("no spam", Like(Path("mail"), "%@spam.%"), "No such mail", "mail")],
        duplicates=[DuplicateRule("same mail", ("mail",))],
    )
    yield made
    made.close()


def refused(kind: Refused) -> pytest.RaisesExc[Violation]:
    return pytest.raises(Violation, check=lambda error: error.kind is kind)


def names(store: Store, where: Where, *, rows: Rows = Rows.LIVE) -> list[object]:
    found = store.select(Read("Firm", (Path("select"),), where, order=(Order(Path("select")),), rows=rows))
    return [row[0] for row in found]


def test_what_a_crm_refuses_is_refused_and_leaves_nothing(store: Store) -> None:
    first = store.insert("firm", {"SELECT": "A\n'1\"", 'a "b"': "k1", "turnover": "1.005"})
    assert store.get("Firm", first) == {
        "Id": first, "select": "A\n'1\"", 'a "b"': "k1", "turnover": "1.01", "kind": None, "parent": None,
        "made": "2026-01-01T00:00:00.000000Z", "touched": "2026-01-01T00:00:00.000000Z", "gone": 0, "v": 1,
    }  # fmt: skip
    with refused(Refused.NO_OBJECT):
        store.insert("Nothing", {})
    with refused(Refused.NO_FIELD):
        store.insert("Firm", {"select": "x", "nope": 1})
    with refused(Refused.REQUIRED):
        store.insert("Firm", {"select": ""})
    with refused(Refused.REQUIRED):
        store.update("Firm", first, {"select": None})
    with refused(Refused.LENGTH):
        store.insert("Firm", {"select": "客" * 21})
    with refused(Refused.PICKLIST):
        store.insert("Firm", {"select": "x", "kind": "Other"})
    with refused(Refused.TYPE):
        store.insert("Firm", {"select": "x", "turnover": "much"})
    with refused(Refused.RANGE):
        store.insert("Firm", {"select": "x", "turnover": "1" + "0" * 16})
    with refused(Refused.REFERENCE):
        store.insert("Firm", {"select": "x", "parent": "Firm9999"})
    with pytest.raises(Violation) as raised:
        store.insert("Firm", {"select": "x", 'a "b"': "K1"})  # keys are compared as the system compares text
    assert (raised.value.kind, raised.value.others) == (Refused.UNIQUE, (first,))
    with refused(Refused.RULE):
        store.insert("Person", {"name": "x", "mail": "a@spam.example"})
    assert store.count("Firm") == 1
    assert store.count("Person") == 0


def test_a_transaction_is_whole_or_nothing(store: Store) -> None:
    there = store.insert("Firm", {"select": "there"})
    with refused(Refused.REQUIRED), store.transaction():
        store.insert("Firm", {"select": "one"}, write=Write(late=1.0))
        store.update("Firm", there, {"select": "changed"}, write=Write(late=1.0))
        store.insert("Firm", {})
    store.insert("Firm", {"select": "next"})
    store.clock.sleep(2)
    assert names(store, Every(())) == ["next", "there"]


def test_the_bin_keys_and_the_feed_of_deletions(store: Store, clock: FixedClock) -> None:
    first = store.insert("Firm", {"select": "old", 'a "b"': "k"})
    clock.sleep(61.5)
    store.delete("Firm", first)
    assert names(store, Every(())) == []
    assert names(store, Every(()), rows=Rows.BIN) == ["old"]
    with refused(Refused.DELETED):
        store.update("Firm", first, {"select": "new"})
    with refused(Refused.DELETED):
        store.insert("Firm", {"select": "child", "parent": first})
    second = store.insert("Firm", {"select": "new", 'a "b"': "k"})  # the key is free again
    with refused(Refused.UNIQUE):
        store.undelete("Firm", first)
    store.purge("Firm", second)
    store.undelete("Firm", first)
    assert store.find("Firm", **{'a "b"': "k"}) == [first]
    assert [(item.id, item.at) for item in store.deletions("Firm")] == [
        (second, "2026-01-01T00:01:01.000000Z")
    ]
    assert store.deletions("Firm", since=store.version) == []


def test_a_late_commit_shows_under_the_stamp_of_its_writing_and_a_newer_version(
    store: Store, clock: FixedClock
) -> None:
    there = store.insert("Firm", {"select": "a"})
    late = Write(late=30.0)
    clock.sleep(10)
    hidden = store.insert("Firm", {"select": "b", 'a "b"': "k"}, write=late)
    store.update("Firm", there, {"select": "A2"}, write=late)
    clock.sleep(5)
    seen = store.insert("Firm", {"select": "c"})
    since = store.version
    assert names(store, Every(())) == ["a", "c"]
    assert store.get("Firm", hidden) is None
    with refused(Refused.UNIQUE):
        store.insert("Firm", {"select": "d", 'a "b"': "k"})  # its index entry is there already
    clock.sleep(26)
    assert names(store, Every(())) == ["A2", "b", "c"]
    stamps = {row[0]: row[1] for row in store.select(Read("Firm", (Path("Id"), Path("touched"))))}
    assert stamps[hidden] == stamps[there] == "2026-01-01T00:00:10.000000Z" < str(stamps[seen])
    changed = store.select(Read("Firm", (Path("Id"),), since=since))
    assert {row[0] for row in changed} == {there, hidden}


def test_locks_versions_and_duplicate_rules(store: Store, clock: FixedClock) -> None:
    firm = store.insert("Firm", {"select": "f"})
    store.hold(firm, 5)
    with refused(Refused.LOCKED):
        store.update("Firm", firm, {"select": "g"})
    with refused(Refused.LOCKED):
        store.insert("Person", {"name": "p", "about": firm})
    clock.sleep(6)
    version = store.version_of("Firm", firm)
    assert version is not None
    store.update("Firm", firm, {"select": "g"}, if_version=version)
    with refused(Refused.CHANGED):
        store.update("Firm", firm, {"select": "h"}, if_version=version)
    store.insert("Person", {"name": "p", "mail": "A@x.example"})
    with refused(Refused.DUPLICATE):
        store.insert("Person", {"name": "q", "mail": "a@X.example"})
    store.insert("Person", {"name": "q", "mail": "a@X.example"}, write=Write(accept_duplicates=True))


def test_reads_are_sets_with_conditions_order_and_fields_of_parents(store: Store) -> None:
    ids = [store.insert("Firm", {"select": f"F{n}", "turnover": str(n * 9)}) for n in range(1, 5)]
    store.update("Firm", ids[3], {"parent": ids[0]})
    person = store.insert("Person", {"name": "x' OR 1=1 --", "about": ids[1]})
    big = Compare(Path("turnover"), Operator.GREATER, "10.0")  # as a number: '9' is not above '10'
    assert names(store, big) == ["F2", "F3", "F4"]
    assert names(store, Every((big, Not(In(Path("Id"), tuple(ids[:2])))))) == ["F3", "F4"]
    assert names(store, Some((Like(Path("select"), "f_"), Null(Path("kind"))))) == ["F1", "F2", "F3", "F4"]
    assert names(store, Not(Compare(Path("kind"), Operator.EQUAL, "客户"))) == ["F1", "F2", "F3", "F4"]
    assert names(store, In(Path("select"), ())) == []
    assert names(store, Compare(Path("select", ("parent",)), Operator.EQUAL, "F1")) == ["F4"]
    read = Read("Person", (Path("Id"), Path("select", ("about",)), Path("name", ("about",))))
    assert store.select(read) == [(person, "F2", None)]
    page = Read(
        "Firm", (Path("select"),), Compare(Path("Id"), Operator.GREATER, ids[0]),
        order=(Order(Path("turnover"), descending=True),), limit=2, offset=1,
    )  # fmt: skip
    assert store.select(page) == [("F3",), ("F2",)]
    assert [len(block) for block in store.rows(Read("Firm", (Path("Id"),)), block=3)] == [3, 1]
    with refused(Refused.NO_FIELD):
        store.select(Read("Firm", (Path("nope", ("parent",)),)))


def test_a_store_in_a_file_is_found_again(tmp_path, clock: FixedClock) -> None:  # type: ignore[no-untyped-def]
    for expected in (1, 2):
        store = Store(
            names=NAMES, new_id=lambda name, number: f"{name}{number}", path=tmp_path / "s", clock=clock,
            tick=timedelta(milliseconds=1),
        )  # fmt: skip
        store.define(FIRM)
        store.insert("Firm", {"select": "x"})
        assert (store.count("Firm"), store.version) == (expected, expected)
        store.close()


def test_a_read_goes_on_while_others_write_and_roll_back(store: Store) -> None:
    for number in range(50):
        store.insert("Firm", {"select": f"F{number:02}"})
    blocks = store.rows(Read("Firm", (Path("select"),), order=(Order(Path("Id")),)), block=10)
    seen = [row[0] for row in next(blocks)]
    with refused(Refused.REQUIRED), store.transaction():
        store.insert("Firm", {"select": "never"})
        store.insert("Firm", {})
    store.insert("Person", {"name": "p"})
    seen += [row[0] for block in blocks for row in block]
    assert seen == [f"F{number:02}" for number in range(50)]
