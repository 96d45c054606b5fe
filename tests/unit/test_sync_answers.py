"""What people decide about whole records: what came back, what was deleted against an edit, what is missing for good."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from migrator.commands.sync_conflicts import decide
from migrator.commands.sync_gone import gone
from migrator.commands.sync_people import Approvers
from migrator.core.errors import ProjectError, SafetyStop
from migrator.core.twoway import Evidence, EvidenceKind
from migrator.staging.sync_tables import conflicts
from migrator.sync.report import Status
from migrator.sync.state import Changes, Part
from migrator.sync.store import SyncStore
from tests.sync_kit import NOW, put, rows_of, write_project
from tests.sync_world import World, dies_at, world

WE = Approvers("ann", "bob", "seen in the archive")


@pytest.fixture
def linked(tmp_path: Path) -> tuple[World, str, str]:
    found = world(tmp_path)
    name = found.old.add("Account", Name="Ada", City="Basel")
    assert found.night().status is Status.GREEN
    return found, name, found.partner(name)


def questions(found: World) -> list[tuple[int, str]]:
    c = conflicts.c
    with found.ledger.read() as connection:
        query = sa.select(c.number, c.reason).where(c.state == "open").order_by(c.number)
        return [(row.number, row.reason) for row in connection.execute(query)]


def answer(found: World, take: str) -> None:
    ((number, _),) = questions(found)
    with found.ledger.begin() as connection:
        decide(connection, found.ledger, number, take, who="ann", note="")


def undeleted(found: World, name: str) -> None:
    found.old.remove("Account", name)
    found.night()
    assert not found.new.rows["customer"]
    found.old.restore("Account", name)
    found.night()
    assert found.reports[-1].holds == {"undelete": 1}


def test_what_came_back_gets_a_partner_anew_when_its_side_stands(linked: tuple[World, str, str]) -> None:
    found, name, partner = linked
    undeleted(found, name)
    assert [reason for _, reason in questions(found)] == ["undelete"]
    found.night()
    assert len(questions(found)) == 1
    answer(found, "old")
    found.night()
    (row,) = found.new.rows["customer"].values()
    assert (row.values["name"], row.id != partner) == ("Ada", True)
    assert found.night(full=True).writes == 0
    assert found.reports[-1].status is Status.GREEN
    found.new.edit("customer", row.id, city="Bern")
    found.night()
    assert found.old.values("Account", name)["City"] == "Bern"


def test_what_came_back_is_deleted_again_when_the_other_side_stands(linked: tuple[World, str, str]) -> None:
    found, name, _ = linked
    undeleted(found, name)
    answer(found, "new")
    found.night()
    assert not found.old.rows["Account"]
    for full in (False, True):
        assert found.night(full=full).writes == 0
        assert found.reports[-1].status is Status.GREEN
    assert not found.new.rows["customer"]


@pytest.mark.parametrize("take", ["old", "new"])
def test_an_edit_after_the_answer_is_another_question(linked: tuple[World, str, str], take: str) -> None:
    found, name, _ = linked
    undeleted(found, name)
    answer(found, take)
    found.old.edit("Account", name, City="Bern")
    found.night()
    assert name in found.old.rows["Account"]
    assert not found.new.rows["customer"]
    assert [reason for _, reason in questions(found)] == ["undelete"]


def test_an_edit_after_a_delete_was_let_stand_is_another_question(linked: tuple[World, str, str]) -> None:
    found, name, partner = linked
    found.old.remove("Account", name)
    found.new.edit("customer", partner, name="kept")
    found.night()
    answer(found, "old")
    found.new.edit("customer", partner, name="kept again")
    found.night()
    assert found.new.values("customer", partner)["name"] == "kept again"
    assert [reason for _, reason in questions(found)] == ["delete-vs-edit"]
    answer(found, "old")
    found.night()
    assert partner not in found.new.rows["customer"]
    assert questions(found) == []


# ---- sync gone


def missing(folder: Path, kind: str = "missing") -> None:
    project = write_project(folder)
    member = {
        "until": None,
        "state": "live",
        "leads": True,
        "version": "1",
        "base": "{}",
        "seen": None,
        "since": 1,
        "grp": 1,
    }
    put(
        project,
        members=[
            {**member, "stream": "contact/old", "id": "c1", "side": "old"},
            {**member, "stream": "contact", "id": "1", "side": "new"},
        ],
        holds=[
            {
                "grp": 1,
                "field": "",
                "mapping": "contact",
                "kind": kind,
                "reason": kind,
                "since": NOW,
                "checks": 9,
            }
        ],
    )
    said = gone(project, "contact/old:c1", WE)
    assert "counts as deleted" in said.what
    (proof,) = rows_of(project, "evidence")
    assert (proof["id"], proof["kind"], proof["ours"], proof["how"]) == (
        "c1",
        "deleted",
        False,
        "said by ann and bob",
    )
    gone(project, "contact/old:c1", WE)
    assert len(rows_of(project, "evidence")) == 1


def test_two_people_can_say_that_a_missing_record_was_deleted(tmp_path: Path) -> None:
    missing(tmp_path)


def test_only_of_a_missing_record(tmp_path: Path) -> None:
    with pytest.raises(SafetyStop, match="not held as missing, but as undelete"):
        missing(tmp_path, "undelete")
    with pytest.raises(ProjectError, match="is linked"):
        gone(write_project(tmp_path / "other"), "contact/old:nobody", WE)


def test_what_people_say_is_a_proof_like_any_other(linked: tuple[World, str, str]) -> None:
    found, name, partner = linked
    found.old.remove("Account", name, proof=False)
    found.night(full=True)
    assert found.reports[-1].holds == {"missing": 1}
    proof = Evidence(EvidenceKind.DELETED, name, how="said by ann and bob")
    with found.ledger.lease():
        SyncStore(found.ledger).commit(Part.RESULT, Changes(evidence=[("account/a", proof, False)]))
    found.night()
    assert partner not in found.new.rows["customer"]
    assert found.night(full=True).status is Status.GREEN


def deleted_against_an_edit(found: World, name: str, partner: str) -> Callable[[], None]:
    found.old.remove("Account", name)
    found.new.edit("customer", partner, phone="2")
    return lambda: found.old.restore("Account", name)


def edited_on_both_sides(found: World, name: str, partner: str) -> Callable[[], None]:
    found.old.edit("Account", name, Phone="2")
    found.new.edit("customer", partner, phone="3")
    return lambda: found.old.edit("Account", name, Phone="3")


def brought_back(found: World, name: str, partner: str) -> Callable[[], None]:
    found.old.remove("Account", name)
    found.night()
    assert partner not in found.new.rows["customer"]
    found.old.restore("Account", name)
    return lambda: found.old.remove("Account", name)


@pytest.mark.parametrize("trouble", [deleted_against_an_edit, edited_on_both_sides, brought_back])
def test_a_question_that_is_over_before_its_run_could_end_is_nobody_s_any_more(
    linked: tuple[World, str, str], trouble: Callable[[World, str, str], Callable[[], None]]
) -> None:
    found, name, partner = linked
    over = trouble(found, name, partner)
    found.passing = dies_at("sync.conflict.after")
    with pytest.raises(KeyboardInterrupt):
        found.night()
    assert len(questions(found)) == 1
    found.passing = lambda _name: None
    over()
    found.night()
    assert (found.night(full=True).status, questions(found)) == (Status.GREEN, [])
