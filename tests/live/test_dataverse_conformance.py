"""The conformance kit against the Dataverse connector over HTTP, by every way it writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from connectors.sandbox.serve import Box
from migrator.core.connector import Target
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.testing.conformance import SOURCE_CHECKS, TARGET_CHECKS, SourceBench, TargetBench
from tests.live.dataverse_box import dataverse, source_of, target

pytestmark = pytest.mark.live
WRITTEN = ObjectSchema(
    "account",
    "new_legacyid",
    tuple(
        FieldSchema(name, FieldType.STRING)
        for name in (
            "new_legacyid",
            "address1_line1",
            "name",
            "revenue",
            "new_foundedon",
            "overriddencreatedon",
        )
    ),
)


def bench(opened: Target) -> TargetBench:
    return TargetBench(
        opened, "account", key="new_legacyid", text="address1_line1", decimal="revenue", day="new_foundedon",
        fixed={"name": "one of ours"}, refused={"telephone1": "1" * 51}, prepare=(WRITTEN,),
    )  # fmt: skip


@pytest.fixture(params=["many rows at once", "only batches"])
def opened(request: pytest.FixtureRequest) -> Iterator[Target]:
    with (
        dataverse(bulk_messages=request.param == "many rows at once") as box,
        target(box, tables=["account"]) as found,
    ):
        yield found


@pytest.mark.parametrize("check", TARGET_CHECKS, ids=lambda check: check.__name__)
def test_target(check: Callable[[TargetBench], None], opened: Target) -> None:
    check(bench(opened))


@pytest.fixture(params=["account", "annotation"])
def records(request: pytest.FixtureRequest) -> Iterator[SourceBench]:
    """A table with change tracking, and one without."""
    name = request.param
    with dataverse() as box:
        yield _bench(box, name, "name" if name == "account" else "subject")


def _bench(box: Box, name: str, text: str) -> SourceBench:
    for number in range(23):
        box.store.insert(name, {text: f"公司 {number}"})
    return SourceBench(
        lambda: source_of(box, tables=[name]),
        name,
        text,
        expected=23,
        edit=lambda key: box.store.update(name, key, {text: "edited"}),
        add=lambda: box.store.insert(name, {text: "made"}),
        remove=(lambda key: box.store.delete(name, key)) if name == "account" else None,
    )


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
def test_source(check: Callable[[SourceBench], None], records: SourceBench) -> None:
    check(records)
