"""Plan and load over hand-made worlds: what is sent, what is held and why, and that a rerun sends nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.core.mapped import Link
from migrator.testing.memory import MemoryTarget
from tests.load_world import Rows, World, mapped_object, put, world

ACCOUNT = mapped_object(
    "account", "key name", links=[Link("parent", ("account",), deferred=True)], dedupe=True
)
CONTACT = mapped_object("contact", "key name", links=[Link("account", ("account",))])
GROUPS = ((ACCOUNT,), (CONTACT,))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def records(target: MemoryTarget, name: str) -> dict[str, dict[str, object]]:
    return {row["key"]: row for page in target.read(name) for row in page.to_pylist()}


def test_rows_links_and_self_references_arrive(here: World) -> None:
    put(
        here,
        ACCOUNT,
        Rows(
            {"1": {"name": "A", "parent": "account/s:2"}, "2": {"name": "公司"}, "3": {}}, merged={"3": "1"}
        ),
    )
    put(here, CONTACT, Rows({"a": {"account": "account/s:3"}, "b": {"account": "account/s:2"}, "c": {}}))
    target = MemoryTarget(assigns_ids=False)
    report = here.run(target, GROUPS)
    assert report.written == 6
    assert records(target, "T account") == {
        "k1": {"key": "k1", "name": "A", "parent": "k2"},
        "k2": {"key": "k2", "name": "公司", "parent": None},
    }
    assert {key: row["account"] for key, row in records(target, "T contact").items()} == {
        "ka": "k1",
        "kb": "k2",
        "kc": None,
    }


def test_a_rerun_calls_the_target_for_nothing(here: World) -> None:
    put(here, ACCOUNT, Rows({"1": {"parent": "account/s:2"}, "2": {"parent": "account/s:1"}}))
    put(here, CONTACT, Rows({"a": {"account": "account/s:1"}}))
    target = MemoryTarget()
    here.run(target, GROUPS)
    calls = len(target.calls)
    for _ in range(3):
        assert here.run(target, GROUPS).written == 0
    assert len(target.calls) == calls
    assert set(here.actions("account").values()) == {"unchanged"}
