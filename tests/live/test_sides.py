"""Sides of the two-way sync made of live connectors: what they tell of a record besides its fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from migrator.core.connector import Source, Target
from migrator.core.twoway import Update
from migrator.sync.adapter import ConnectorSide
from tests.live import dataverse_box, fxiaoke_world, salesforce_world

pytestmark = pytest.mark.live


@contextmanager
def salesforce() -> Iterator[tuple[Target, Source, str, str, str]]:
    with salesforce_world.world() as org:
        yield org.target(), org.source(), "Deal__c", "Legacy__c", "Title__c"


@contextmanager
def dataverse() -> Iterator[tuple[Target, Source, str, str, str]]:
    with (
        dataverse_box.dataverse() as box,
        dataverse_box.target(box) as target,
        dataverse_box.source(box) as source,
    ):
        yield target, source, "account", "new_legacyid", "name"


@contextmanager
def fxiaoke() -> Iterator[tuple[Target, Source, str, str, str]]:
    with fxiaoke_world.tenant() as box:
        yield (
            fxiaoke_world.target(box),
            fxiaoke_world.source(box),
            "AccountObj",
            fxiaoke_world.KEY,
            "name",
        )


@pytest.mark.parametrize("system", [salesforce, dataverse, fxiaoke])
def test_a_side_tells_when_a_record_was_made_whatever_is_edited_since(system: object) -> None:
    began = datetime.now(UTC) - timedelta(seconds=2)
    with system() as (target, source, name, key, text):  # type: ignore[operator]
        side = ConnectorSide(target, source)
        side.describe()
        target.upsert(name, pa.table({key: ["k1"], text: ["one"]}), key=key)
        (made,) = side.find(name, key, ["k1"], [text])
        assert made.created is not None
        assert began <= made.created <= datetime.now(UTC) + timedelta(seconds=2)
        side.update(name, [Update(made.id, made.version, {text: "two"})])
        (edited,) = side.fetch(name, [made.id], [text])
        assert (edited.values, edited.created) == ({text: "two"}, made.created)


def test_a_side_without_a_source_tells_no_such_time() -> None:
    with salesforce() as (target, _, name, key, text):
        side = ConnectorSide(target)
        side.describe()
        target.upsert(name, pa.table({key: ["k1"], text: ["one"]}), key=key)
        found: Sequence[object] = [record.created for record in side.find(name, key, ["k1"], [text])]
        assert found == [None]
