"""The Fxiaoke connector passes the conformance kit, as source and as target, over HTTP against the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from connectors.sandbox.serve import Box
from migrator.testing.conformance import SOURCE_CHECKS, TARGET_CHECKS, SourceBench, TargetBench
from tests.live.fxiaoke_world import KEY, custom_object, source, target, tenant

pytestmark = pytest.mark.live


@pytest.fixture
def box() -> Iterator[Box]:
    with tenant() as opened:
        opened.store.define(custom_object())
        yield opened


@pytest.mark.parametrize("check", TARGET_CHECKS, ids=lambda check: check.__name__)
def test_target(check: Callable[[TargetBench], None], box: Box) -> None:
    check(
        TargetBench(
            target(box), "thing__c", key=KEY, text="note__c", decimal="money__c", when="at__c", day="on__c",
            fixed={"name": "物件"}, refused={"kind__c": "no such option"},
        )
    )  # fmt: skip


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
def test_source(check: Callable[[SourceBench], None], box: Box) -> None:
    rows = (
        (f"68fa{number:020x}", {"name": f"n{number}", KEY: f"k{number}", "note__c": "文"})
        for number in range(230)
    )
    box.store.load("thing__c", rows)

    def added() -> str:
        return str(box.store.insert("thing__c", {"name": "new"}))

    bench = SourceBench(
        lambda: source(box), "thing__c", text="note__c", expected=230,
        edit=lambda record: box.store.update("thing__c", record, {"note__c": "edited"}),
        add=added, remove=lambda record: box.store.delete("thing__c", record),
    )  # fmt: skip
    check(bench)
