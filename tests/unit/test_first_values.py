"""A record is created with a first value, gets its own in the second pass, and never the first one again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from migrator.core.errors import FatalError, ProjectError
from migrator.core.mapped import First, Link
from migrator.core.progress import Quiet
from migrator.load.rollback import Rollback, rollback
from migrator.load.send import Sender
from migrator.staging import in_turn
from migrator.staging.store import Kind
from migrator.testing.memory import MemoryTarget
from tests.load_world import Rows, World, mapped_object, put, world
from tests.mapping_kit import bind_texts, make_schema

DEAL = replace(
    mapped_object("deal", "key stage", links=[Link("parent", ("deal",), deferred=True)]),
    firsts=(First("stage", "open"),),
)
GROUPS = ((DEAL,),)
ROWS = {
    "1": {"stage": "won", "parent": "deal/s:2"},
    "2": {"stage": "open"},
    "3": {"stage": None},
    "4": {"stage": "lost"},
}


@pytest.fixture(autouse=True, params=[in_turn.JOINED_ROWS, 1], ids=["at once", "in turn"])
def _joins(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few records are joined in one query, many one join after another."""
    monkeypatch.setattr(in_turn, "JOINED_ROWS", request.param)


class Watched(MemoryTarget):
    """A target that keeps the stages it was sent, call by call."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.dies = False
        """Whether it is gone when the second pass begins."""

    def upsert(self, name: str, rows: pa.Table, *, key: str) -> pa.Table:
        self._note("upsert", rows, key)
        return super().upsert(name, rows, key=key)

    def update(self, name: str, rows: pa.Table, *, key: str) -> pa.Table:
        if self.dies:
            raise FatalError("the target is gone")
        self._note("update", rows, key)
        return super().update(name, rows, key=key)

    def _note(self, call: str, rows: pa.Table, key: str) -> None:
        if "stage" not in rows.column_names:
            return
        keys = (name[1:] for name in rows.column(key).to_pylist())
        told = dict(zip(keys, rows.column("stage").to_pylist(), strict=True))
        self.sent.append((call, told))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def stages(target: MemoryTarget) -> dict[str, Any]:
    return {row["key"][1:]: row["stage"] for page in target.read("T deal") for row in page.to_pylist()}


def test_records_are_created_with_the_first_value_and_get_their_own_later(here: World) -> None:
    target = Watched()
    put(here, DEAL, Rows(ROWS))
    assert here.plan(GROUPS).objects[0].deferred == ("parent", "stage")
    here.run(target, GROUPS)
    sent: dict[str, dict[str, Any]] = {"upsert": {}, "update": {}}
    for call, told in target.sent:
        sent[call] |= told
    assert sent["upsert"] == {"1": "open", "2": "open", "3": None, "4": "open"}
    assert sent["update"] == {"1": "won", "4": "lost"}
    assert stages(target) == {"1": "won", "2": "open", "3": None, "4": "lost"}
    target.sent.clear()
    assert here.run(target, GROUPS).written == 0
    assert target.sent == []


def test_an_update_sends_the_own_value_never_the_first(here: World) -> None:
    target = Watched()
    put(here, DEAL, Rows(ROWS))
    here.run(target, GROUPS)
    target.sent.clear()
    put(here, DEAL, Rows({**ROWS, "2": {"stage": "won"}, "4": {"stage": "won"}, "1": {"stage": "open"}}))
    here.run(target, GROUPS)
    assert {stage for _, told in target.sent for stage in told.values()} <= {"won", "open"}
    assert all(told.get("2") in ("won", None) and told.get("4") in ("won", None) for _, told in target.sent)
    assert stages(target) == {"1": "open", "2": "won", "3": None, "4": "won"}
    assert here.run(target, GROUPS).written == 0


def test_a_load_that_dies_between_the_passes_is_mended_by_the_next(here: World) -> None:
    target = Watched()
    target.dies = True
    put(here, DEAL, Rows(ROWS))
    with pytest.raises(FatalError, match="gone"):
        here.run(target, GROUPS)
    assert stages(target) == {"1": "open", "2": "open", "3": None, "4": "open"}
    target.dies = False
    target.sent.clear()
    here.run(target, GROUPS)
    assert [call for call, _ in target.sent] == ["update"]
    assert stages(target) == {"1": "won", "2": "open", "3": None, "4": "lost"}
    assert here.run(target, GROUPS).written == 0


def take_back(here: World, target: MemoryTarget, run: str) -> Rollback:
    here.ledger.start_run("rollback", "test")
    with here.ledger.lease() as fence, closing(here.engine()) as session:
        sender = Sender(target, here.ledger, fence)
        return rollback(here.store, session, sender, GROUPS, run, only=(), dry_run=False, progress=Quiet())


def test_a_rollback_takes_back_what_both_passes_wrote(here: World) -> None:
    target = Watched()
    put(here, DEAL, Rows(ROWS))
    here.run(target, GROUPS)
    put(here, DEAL, Rows({**ROWS, "2": {"stage": "won"}, "5": {"stage": "won"}}))
    here.run(target, GROUPS)
    second = here.ledger.run
    assert second is not None
    assert stages(target) == {"1": "won", "2": "won", "3": None, "4": "lost", "5": "won"}
    told = take_back(here, target, second)
    assert stages(target) == {"1": "won", "2": "open", "3": None, "4": "lost"}, told
    assert here.store.current(Kind.CROSSWALK, "deal") is not None


SCHEMA = make_schema("Deal", Stage="picklist", Won="boolean", ParentId="reference:Deal")


def errors(tmp_path: Path, *lines: str) -> list[str]:
    listed = "".join(f"  {line}\n" for line in lines)
    text = (
        "mapping: deal\ntarget: {system: new, object: deal, key: id}\n"
        "sources:\n  crm: {object: Deal}\n  old: {object: Deal, fields: {c: {first: lost}}}\nfields:\n"
        + listed
    )
    with pytest.raises(ProjectError) as caught:
        bind_texts({"deal.yaml": text}, {"crm": [SCHEMA], "old": [SCHEMA]}, tmp_path)
    return [str(problem).splitlines()[0] for problem in caught.value.problems]


def test_a_first_value_that_cannot_be_is_told_with_its_place(tmp_path: Path) -> None:
    assert errors(
        tmp_path,
        "id: {from: Id, first: x}",
        "a: {from: ParentId, lookup: deal, first: D1}",
        "b: {from: Won, type: boolean, first: perhaps}",
        "c: {from: Stage, first: open}",
    ) == [
        "deal.yaml:7:25: the external key cannot change after a record is created",
        "deal.yaml:8:44: first means nothing for a link",
        "deal.yaml:9:40: 'perhaps' is no boolean",
        "deal.yaml:10:27: the field 'c' has several first values: open, lost",
    ]
