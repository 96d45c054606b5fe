"""Quarantine tells every held record with rule, field, value and advice; life tells all of one record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from migrator.core.errors import ProjectError
from migrator.core.mapped import Link, MappedObject
from migrator.core.schema import FieldSchema, FieldType
from migrator.load.plan import Retry
from migrator.staging import columns
from migrator.staging.accounting import account
from migrator.staging.life import life
from migrator.staging.quarantine import Entry, Filter, rows, warnings
from migrator.staging.quarantine_sql import quarantined
from migrator.staging.store import Kind
from migrator.testing.memory import MemoryTarget
from tests.load_world import Rows, World, mapped_object, put, world


def personal(obj: MappedObject) -> MappedObject:
    """The object with its name marked as personal."""
    fields = tuple(replace(item, pii="name" if item.name == "name" else "") for item in obj.fields)
    return replace(obj, schema=replace(obj.schema, fields=fields))


ACCOUNT = personal(
    mapped_object("account", "key name", links=[Link("parent", ("account",), deferred=True)], dedupe=True)
)
CONTACT = mapped_object(
    "contact", "key name", links=[Link("account", ("account",), required=True), Link("other", ("account",))]
)
GROUPS = ((ACCOUNT,), (CONTACT,))


class Strict(MemoryTarget):
    """A target that takes no name twice."""

    def prepare(self, schemas):  # type: ignore[no-untyped-def]
        made = [
            replace(
                one, fields=tuple(replace(item, unique=item.name in ("name", "key")) for item in one.fields)
            )
            for one in schemas
        ]
        super().prepare(made)


@pytest.fixture
def target() -> Strict:
    return Strict()


@pytest.fixture
def here(tmp_path: Path, target: Strict) -> Iterator[World]:
    with world(tmp_path) as made:
        accounts = {
            "1": {"name": "Ada Löwe", "parent": "account/s:2"},
            "2": {"name": "王伟"},
            "3": {},
            "4": {"name": "Ada Löwe"},
            "5": {},
            "7": {"key": "k9"},
            "8": {"key": "k9"},
        }
        put(made, ACCOUNT, Rows(accounts, bad={"2": "cast.date"}, excluded={"3": "test"}, merged={"5": "4"}))
        people = {
            "a": {"account": "account/s:1", "other": "account/s:3"},
            "b": {"account": "account/s:3"},
            "c": {"account": "account/s:4"},
        }
        put(made, CONTACT, Rows(people))
        rejects = made.store.build(Kind.REJECTS, "old/Contact", "1")
        rejects.add_table(
            pa.table([["c.csv:7"], ["file.ragged"], ["3 fields, not 4"], ["x,y,z"]], schema=columns.REJECTS)
        )
        rejects.complete()
        made.run(target, GROUPS)
        yield made


def found(here: World, only: Filter = Filter(), *, masked: bool = True) -> list[Entry]:  # noqa: B008 (frozen)
    return list(rows(here.store, here.session, [ACCOUNT, CONTACT], only=only, masked=masked))


def told(here: World) -> dict[str, tuple[str, str]]:
    return {item.reference: (item.step, item.rule) for item in found(here)}


def test_every_quarantined_record_is_listed_with_its_step_and_rule(here: World) -> None:
    assert told(here) == {
        "account/s:2": ("map", "cast.date"),
        "account/s:4": ("load", "unique"),
        "account/s:5": ("load", "unique"),
        "account/s:7": ("plan", "key.conflict"),
        "account/s:8": ("plan", "key.conflict"),
        "contact/": ("extract", "file.ragged"),
        "contact/s:b": ("plan", "lookup.excluded"),
    }


def test_list_and_account_agree(here: World) -> None:
    accounts = account(here.store, here.session, [ACCOUNT, CONTACT])
    counted = {item.name: item.counts["quarantined"] for item in accounts.objects}
    listed = [item.object for item in found(here)]
    assert {name: listed.count(name) for name in counted} == counted


def test_an_entry_says_where_what_and_what_to_do_and_hides_names(here: World) -> None:
    (entry,) = [item for item in found(here) if item.record == "s:4"]
    assert entry.place == "old.csv:5"
    assert (entry.field, entry.value) == ("name", "A•••• (8)")
    assert "Ada" not in (entry.message or "")
    assert "retry" in entry.hint
    (entry,) = [item for item in found(here, masked=False) if item.record == "s:4"]
    assert entry.value == "Ada Löwe"
    assert "'Ada Löwe' is taken" in (entry.message or "")


def test_many_personal_fields_make_a_longer_query_not_a_vast_one(here: World) -> None:
    few, many = (len(quarantined(here.store, here.session, wide(size))) for size in (10, 40))
    assert many < 5 * few


def wide(size: int) -> MappedObject:
    """The accounts with so many more personal fields."""
    more = (FieldSchema(f"phone_{number}", FieldType.STRING, pii="phone") for number in range(size))
    return replace(ACCOUNT, schema=replace(ACCOUNT.schema, fields=(*ACCOUNT.fields, *more)))


def test_filters(here: World) -> None:
    assert [item.record for item in found(here, Filter(rules=frozenset({"cast.date"})))] == ["s:2"]
    assert {item.object for item in found(here, Filter(objects=frozenset({"contact"})))} == {"contact"}
    assert len(found(here, Filter(limit=3))) == 3
    assert [item.rule for item in found(here, Filter(records=frozenset({("contact", "s:b")})))] == [
        "lookup.excluded"
    ]


def test_warnings_tell_of_emptied_and_waiting_links(tmp_path: Path) -> None:
    with world(tmp_path) as here:
        put(
            here,
            ACCOUNT,
            Rows({"1": {"parent": "account/s:2"}, "2": {}, "3": {}}, bad={"2": "x"}, excluded={"3": "test"}),
        )
        put(here, CONTACT, Rows({"a": {"account": "account/s:1", "other": "account/s:3"}}))
        here.run(MemoryTarget(), GROUPS)
        noted = list(warnings(here.store, here.session, [ACCOUNT, CONTACT]))
    assert [(item.reference, item.rule, item.field) for item in noted] == [
        ("account/s:1", "lookup.waiting", "parent"),
        ("contact/s:a", "lookup.excluded", "other"),
    ]


def test_the_life_of_a_loaded_record(tmp_path: Path) -> None:
    with world(tmp_path) as here:
        put(here, ACCOUNT, Rows({"1": {"name": "A"}, "2": {"name": "B"}}, merged={"2": "1"}))
        put(here, CONTACT, Rows({"a": {"account": "account/s:2"}}))
        here.run(MemoryTarget(), GROUPS)
        told = life(here.store, here.session, [ACCOUNT, CONTACT], "contact/a")
        merged = life(here.store, here.session, [ACCOUNT, CONTACT], "account/s:2")
    assert told.state == "loaded"
    assert told.staged is not None
    assert (told.staged.place, told.staged.values) == ("old.csv:2", {"Id": "a"})
    link = next(item for item in told.fields if item.name == "account")
    assert (link.mapped, link.planned) == ("account/s:2", "account/s:1")
    assert told.loaded is not None
    assert (told.loaded.outcome, told.loaded.target_id, told.loaded.is_current) == ("created", "ka", True)
    assert merged.state == "merged"
    assert merged.cluster is not None
    assert (merged.cluster.survivor, merged.cluster.members) == ("s:1", ("s:1", "s:2"))
    assert merged.loaded is not None
    assert merged.loaded.target_id == "k1"


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("contact", "write OBJECT/ID"),
        ("contract/a", "did you mean 'contact'"),
        ("contact/s:aa", "the nearest are contact/s:a"),
    ],
)
def test_a_record_that_is_not_there_gets_a_hint(here: World, reference: str, words: str) -> None:
    with pytest.raises(ProjectError, match=words):
        life(here.store, here.session, [ACCOUNT, CONTACT], reference)


def test_a_held_record_says_why(here: World) -> None:
    told = life(here.store, here.session, [ACCOUNT, CONTACT], "contact/s:c")
    assert (told.state, told.reason) == ("pending", "account/s:4 refused: unique")
    assert told.planned is not None
    assert told.planned.action == "wait"


def test_retry_sends_only_what_was_refused_and_its_children(here: World, target: Strict) -> None:
    target.edit("T account", "k1", name="someone else")
    retry = Retry(objects=frozenset({"account"}), rules=frozenset({"unique"}))
    report = here.run(target, GROUPS, retry=retry)
    outcomes = {item.name: dict(item.outcomes) for item in report.objects}
    assert outcomes == {"account": {"created": 1}, "contact": {"created": 1}}
    assert told(here).keys() == {"account/s:2", "account/s:7", "account/s:8", "contact/", "contact/s:b"}
    assert here.run(target, GROUPS).written == 0


def test_sixty_personal_fields_are_masked_in_the_systems_words_by_one_short_query(tmp_path: Path) -> None:
    names = " ".join(f"f{number}" for number in range(60))
    wide = mapped_object("wide", f"key name {names}")
    fields = tuple(replace(item, pii="text" if item.name != "key" else "") for item in wide.fields)
    wide = replace(wide, schema=replace(wide.schema, fields=fields))
    with world(tmp_path) as made:
        put(made, wide, Rows({"1": {"name": "Ada Löwe", "f59": "secret"}, "2": {"name": "Ada Löwe"}}))
        made.run(Strict(), ((wide,),))
        (entry,) = rows(made.store, made.session, [wide])
    assert "•••" in (entry.message or "")
    assert "Ada" not in (entry.message or "")
