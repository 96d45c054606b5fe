"""The equation of every object: each record in exactly one class, with its reason, at any moment of a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from migrator.core.mapped import Link
from migrator.core.schema import FieldType
from migrator.staging import columns
from migrator.staging.accounting import ObjectAccount, account
from migrator.staging.store import Kind
from migrator.testing.memory import MemoryTarget
from tests.load_world import Rows, World, mapped_object, put, world

ACCOUNT = mapped_object("account", "key name", dedupe=True)
CONTACT = mapped_object("contact", "key name", links=[Link("account", ("account",))])
GROUPS = ((ACCOUNT,), (CONTACT,))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        put(
            made,
            ACCOUNT,
            Rows(
                {"1": {}, "2": {}, "3": {}, "4": {}, "5": {"name": "too long"}, "6": {}},
                bad={"2": "cast.date"},
                excluded={"3": "test data"},
                merged={"4": "1", "6": "5"},
            ),
        )
        put(made, CONTACT, Rows({"a": {"account": "account/s:1"}, "b": {"account": "account/s:2"}}))
        yield made


def short_names() -> MemoryTarget:
    """A target that refuses the name 'too long'."""
    name = replace(ACCOUNT.schema.fields[1], length=5)
    assert name.type is FieldType.STRING
    fields = (ACCOUNT.schema.fields[0], name)
    target = MemoryTarget([replace(ACCOUNT.schema, fields=fields)])
    target.prepare = lambda schemas: MemoryTarget.prepare(
        target, [one for one in schemas if one.name != "T account"]
    )  # type: ignore[method-assign]  # the check of lengths would stop the load
    return target


def of(here: World, name: str) -> ObjectAccount:
    found = account(here.store, here.session, [ACCOUNT, CONTACT])
    return next(item for item in found.objects if item.name == name)


def test_before_the_load_everything_good_is_pending_and_the_account_is_open(here: World) -> None:
    found = of(here, "account")
    assert found.extracted == 6
    assert found.counts == {"loaded": 0, "merged": 0, "excluded": 1, "quarantined": 1, "pending": 4}
    assert found.reasons["pending"] == {"not-planned": 4}
    here.plan(GROUPS)
    assert of(here, "account").reasons["pending"] == {"not-loaded": 4}
    assert not of(here, "account").closed


def test_after_the_load_each_record_is_in_one_class_with_a_reason(here: World) -> None:
    here.run(short_names(), GROUPS)
    found = of(here, "account")
    assert found.counts == {"loaded": 1, "merged": 1, "excluded": 1, "quarantined": 3, "pending": 0}
    assert found.reasons["quarantined"] == {"cast.date": 1, "length": 2}
    assert found.reasons["merged"] == {"email": 1}
    children = of(here, "contact")
    assert children.counts == {"loaded": 1, "merged": 0, "excluded": 0, "quarantined": 0, "pending": 1}
    assert children.reasons["pending"] == {"waits: quarantined: cast.date": 1}
    assert found.closed
    assert children.closed


def test_the_json_form_is_the_documented_one(here: World) -> None:
    here.run(MemoryTarget(), GROUPS)
    told = account(here.store, here.session, [ACCOUNT, CONTACT]).to_json()
    assert told["closed"] is True
    wanted = {"extracted": 6, "loaded": 2, "merged": 2, "excluded": 1, "quarantined": 1, "pending": 0}
    assert wanted.items() <= told["objects"]["account"].items()


def test_a_staged_row_that_was_never_mapped_opens_the_account(here: World) -> None:
    here.run(MemoryTarget(), GROUPS)
    staged = here.store.build(Kind.STAGED, "old/Account", "newer")
    staged.add_table(pa.table({"Id": [str(n) for n in range(8)]}))
    staged.complete()
    found = of(here, "account")
    assert found.unaccounted == {"s": 2}
    assert not found.closed


def test_rejects_count_as_extracted_and_quarantined(here: World) -> None:
    here.run(MemoryTarget(), GROUPS)
    rejects = here.store.build(Kind.REJECTS, "old/Account", "x")
    rejects.add_table(
        pa.table([["a.csv:9"], ["file.ragged"], ["3 fields"], ["a,b,c"]], schema=columns.REJECTS)
    )
    rejects.complete()
    found = of(here, "account")
    assert (found.extracted, found.counts["quarantined"]) == (7, 2)
    assert found.closed


def test_records_loaded_before_and_gone_since_are_stale_not_lost(here: World) -> None:
    here.run(MemoryTarget(), GROUPS)
    put(here, ACCOUNT, Rows({"5": {}}))
    here.plan(GROUPS)
    found = of(here, "account")
    assert (found.extracted, found.counts["loaded"], found.counts["pending"], found.stale) == (1, 0, 1, 1)
    assert not found.closed


def test_with_nothing_mapped_all_staged_rows_are_pending(tmp_path: Path) -> None:
    with world(tmp_path) as here:
        staged = here.store.build(Kind.STAGED, "old/Account", "1")
        staged.add_table(pa.table({"Id": ["1", "2"]}))
        staged.complete()
        found = of(here, "account")
    assert found.reasons == {"pending": {"not-mapped": 2}}
    assert not found.closed
