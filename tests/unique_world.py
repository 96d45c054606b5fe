"""People with an address of their own each, in a target that has every address once: what tests of unique values share."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any

from migrator.core.connector import Target
from migrator.core.mapped import Link, MappedObject
from migrator.core.progress import Quiet
from migrator.load.rollback import Rollback, rollback
from migrator.load.send import Sender
from tests.load_world import Rows, World, mapped_object, put

PLAIN = mapped_object("person", "key mail name", links=[Link("boss", ("person",), deferred=True)])
PERSON = replace(
    PLAIN,
    unique=("mail",),
    schema=replace(
        PLAIN.schema,
        fields=tuple(replace(item, unique=item.name in ("key", "mail")) for item in PLAIN.schema.fields),
    ),
)
GROUPS = ((PERSON,),)
BOTH = Rows({"1": {"mail": "a@x", "name": "Al", "boss": "person/s:2"}, "2": {"mail": "b@x", "name": "Bo"}})


def load(here: World, target: Target, rows: Rows, obj: MappedObject = PERSON) -> int:
    put(here, obj, rows)
    return here.run(target, ((obj,),)).refused


def held(target: Target) -> dict[str, Any]:
    return {row["key"]: row["mail"] for page in target.read("T person") for row in page.to_pylist()}


def back(here: World, target: Target, run: str) -> Rollback:
    here.ledger.start_run("rollback", "test")
    with here.ledger.lease() as fence, closing(here.engine()) as session:
        sender = Sender(target, here.ledger, fence)
        return rollback(here.store, session, sender, GROUPS, run, dry_run=False, progress=Quiet())


def golden(mail: str) -> Rows:
    """1 and 2 are one: 1 survives, with this address."""
    return Rows({"1": {"mail": mail, "name": "Al"}, "2": {"mail": "b@x", "name": "Bo"}}, merged={"2": "1"})
