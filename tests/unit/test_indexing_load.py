"""Indexes that a target put off are built at the end of the load, by whichever load gets there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from migrator.core.errors import RetryableError
from migrator.core.mapped import Link
from migrator.core.retry import RetryPolicy
from migrator.testing.memory import MemoryTarget
from tests.load_world import Rows, World, mapped_object, put, world

FIRM = mapped_object("firm", links=[Link("up", ("firm",), deferred=True)])
GROUPS = ((FIRM,),)
BRIEF = RetryPolicy(attempts=2, first=0.001)


class Indexing(MemoryTarget):
    """Has two indexes to build; `trouble` times, an index is built and the answer lost."""

    def __init__(self, trouble: int = 0) -> None:
        super().__init__()
        self.due, self.trouble = ["one", "two"], trouble
        self.built: list[tuple[str, int]] = []

    def pending_indexes(self) -> Sequence[str]:
        return tuple(self.due)

    def build_index(self, name: str) -> None:
        if name in self.due:
            self.due.remove(name)
            self.built.append((name, len(self.calls)))
        if self.trouble:
            self.trouble -= 1
            raise RetryableError("the answer was lost")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        put(made, FIRM, Rows({str(n): {"up": "firm/s:0"} for n in range(5)}))
        yield made


def test_indexes_are_built_after_the_last_write(here: World) -> None:
    target = Indexing()
    report = here.run(target, GROUPS)
    assert report.indexes == 2
    assert [call.verb for call in target.calls] == ["upsert", "upsert", "update"]
    assert target.built == [("one", 3), ("two", 3)]


def test_a_lost_answer_is_asked_for_again(here: World) -> None:
    target = Indexing(trouble=1)
    here.plan(GROUPS)
    here.load(target, GROUPS, policy=BRIEF)
    assert [name for name, _ in target.built] == ["one", "two"]


def test_a_load_with_nothing_left_to_send_builds_what_the_one_before_did_not_come_to(here: World) -> None:
    target = Indexing(trouble=2)
    here.plan(GROUPS)
    with pytest.raises(RetryableError, match="the answer was lost"):
        here.load(target, GROUPS, policy=BRIEF)
    sent = len(target.calls)
    assert [name for name, _ in target.built] == ["one"]
    report = here.run(target, GROUPS)
    assert target.built == [("one", sent), ("two", sent)]
    assert (report.written, report.indexes) == (0, 1)
    assert here.run(target, GROUPS).indexes == 0
