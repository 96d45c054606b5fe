"""The Salesforce connector against the sandbox over HTTP: the conformance kit, both ways of reading and writing, files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count

import pytest

from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.testing.conformance import SOURCE_CHECKS, TARGET_CHECKS, SourceBench, TargetBench
from tests.live.salesforce_world import World, world

pytestmark = pytest.mark.live


@pytest.fixture
def org() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.mark.parametrize("way", ["collections", "bulk", "look-up"])
@pytest.mark.parametrize("check", TARGET_CHECKS, ids=lambda check: check.__name__)
def test_target_keeps_its_promises(check: Callable[[TargetBench], None], way: str, org: World) -> None:
    settings = {
        "collections": {"bulk_write_from": 0, "batch_rows": 250},
        "bulk": {"bulk_write_from": 1, "bulk_read_from": 1, "batch_rows": 500},
        "look-up": {"batch_rows": 300},
    }[way]
    fixed = {"CreatedDate": datetime(2020, 1, 1, tzinfo=UTC)} if way == "look-up" else {}
    bench = TargetBench(
        org.target(**settings), "Deal__c", key="Legacy__c", text="Title__c", decimal="Amount__c", when="At__c",
        day="Day__c", refused={"Stage__c": "Lost"}, fixed=fixed,
        prepare=(ObjectSchema("Deal__c", "Legacy__c", (FieldSchema("Legacy__c", FieldType.STRING, length=24),)),),
    )  # fmt: skip
    check(bench)


@pytest.mark.parametrize("way", [0, 1])
@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
def test_source_keeps_its_promises(check: Callable[[SourceBench], None], way: int, org: World) -> None:
    org.fill(23)
    store, fresh = org.org.store, count()
    bench = SourceBench(
        lambda: org.source(bulk_read_from=way, bulk_job_rows=10), "Deal__c", text="Title__c", expected=23,
        edit=lambda record: store.update("Deal__c", record, {"Title__c": "edited"}),
        add=lambda: store.insert("Deal__c", {"Legacy__c": f"new{next(fresh)}"}),
        remove=lambda record: store.delete("Deal__c", record),
    )  # fmt: skip
    check(bench)
