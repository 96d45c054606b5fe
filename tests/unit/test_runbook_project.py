"""Runbooks on a project: where they are found, who may sign, what a rehearsal refuses, what answers must be."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from migrator.commands.project import Project, load_project, open_workspace
from migrator.core.clock import SystemClock
from migrator.core.errors import FatalError, ProjectError, SafetyStop
from migrator.core.phases import Phase
from migrator.runbook import backup, canary
from migrator.runbook.answers import FileAnswers, NobodyThere, read_answer
from migrator.runbook.conduct import check, status
from migrator.runbook.consent import force, sign
from migrator.runbook.doing import Place, project_verbs
from migrator.runbook.model import Question
from migrator.runbook.rehearsing import make_copy, open_copy
from migrator.runbook.shelf import copy_book, find_book, list_books, mapping_digest
from migrator.runbook.verbs import ENTER, MANUAL, VERBS
from migrator.staging.ledger import open_ledger
from migrator.staging.phases import put_in_phase, standings
from tests.runbook_kit import NIGHT, shipped
from tests.sync_kit import write_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return write_project(tmp_path / "acme")


def _place(project: Project) -> Place:
    return Place(project, SystemClock())


def test_one_in_the_project_stands_for_the_shipped_one(project: Project) -> None:
    path = copy_book(project.folder, "cutover")
    path.write_text(
        path.read_text(encoding="utf-8").replace("title: Cutover", "title: Our cutover"), encoding="utf-8"
    )
    found = {item.name: item for item in list_books(project.folder)}
    assert (found["cutover"].shipped, found["cutover"].title) == (False, "Our cutover")
    assert found["rollback"].shipped
    assert find_book(project.folder, "cutover").rule.title == "Our cutover"
    assert (path.parent / "runbook.schema.json").is_file()
    with pytest.raises(ProjectError, match="there is a runbook here already"):
        copy_book(project.folder, "cutover")
    with pytest.raises(ProjectError, match="did you mean 'rollback'"):
        find_book(project.folder, "rolback")


def test_every_verb_of_a_project_is_one(project: Project) -> None:
    assert {*project_verbs(_place(project)), MANUAL, ENTER, "runbook rehearse"} == {*VERBS}


def test_the_digest_of_the_mappings_sees_every_change_but_line_ends(project: Project) -> None:
    path = project.folder / "mappings" / "contact.yaml"
    before = mapping_digest(project)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert mapping_digest(project) == before
    (project.folder / "hooks.py").write_text("x = 1\n")
    changed = mapping_digest(project)
    (project.folder / "values").mkdir()
    (project.folder / "values" / "a.csv").write_text("a,b\n")
    assert len({before, changed, mapping_digest(project)}) == 3


def test_only_who_holds_a_role_signs_and_only_what_wants_it(project: Project) -> None:
    (project.folder / "runbooks").mkdir()
    (project.folder / "runbooks" / "cutover.yaml").write_text(
        shipped("cutover").document.text, encoding="utf-8"
    )
    said = sign(project, "cutover", step="P5-010", person="wang fang", role="crm-owner")
    assert said["valid_for"] == "1d"
    for step, person, role, told in (
        ("P5-020", "Wang Fang", "crm-owner", "P5-020 wants no approval"),
        ("P5-011", "Wang Fang", "crm-owner", "did you mean 'P5-010'"),
        ("P5-010", "Sami", "sync-lead", "'sync-lead' does not approve P5-010"),
        ("P5-010", "Eve", "crm-owner", "it is held by Wang Fang and Ola"),
    ):
        with pytest.raises(ProjectError, match=told):
            sign(project, "cutover", step=step, person=person, role=role)
    for condition, reason, told in (
        ("G99", "x", "no condition 'G99'"),
        ("G53", "x", "never passed over"),
        ("G24", " ", "is empty"),
    ):
        with pytest.raises(ProjectError, match=told):
            force(
                project,
                "cutover",
                condition=condition,
                group="",
                person="Dora",
                role="data-owner",
                reason=reason,
            )


def test_check_says_what_the_next_step_waits_for_and_status_acts_on_nothing(project: Project) -> None:
    found = check(project.folder, project, "cutover", "Oscar")
    assert found.next_step == "P4-900"
    assert found.waits_for == ("order: all is in no phase, the step belongs to P4",)
    assert [step.state for step in status(project, "cutover").steps][:2] == ["next", "open"]
    assert check(project.folder, None, "cutover", "").waits_for == ()
    with open_workspace(project) as workspace, workspace.ledger.read() as connection:
        assert standings(connection) == {}


def test_a_rehearsal_works_on_a_copy_and_never_on_the_real_system(project: Project, tmp_path: Path) -> None:
    with open_workspace(project):
        pass
    copy = make_copy(project, tmp_path / "copy")
    with sqlite3.connect(copy.folder / "new.db") as connection:
        connection.execute("INSERT INTO person (legacy_id) VALUES ('x')")
    connection.close()
    with sqlite3.connect(project.folder / "new.db") as connection:
        assert connection.execute("SELECT count(*) FROM person").fetchone() == (0,)
    connection.close()
    assert open_copy(project, copy.folder).folder == copy.folder


def _edit(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


REFUSED: dict[str, tuple[Callable[[Project, Project], object], str]] = {
    "another mapping": (
        lambda _, copy: _edit(copy.folder / "mappings" / "contact.yaml", "propagate", "keep"), "has other mappings"),
    "the real system": (
        lambda real, copy: _edit(copy.folder / "migration.yaml", "sqlite:///new.db", f"sqlite:///{(real.folder / 'new.db').resolve()}"),
        "is the real system"),
    "a production system": (
        lambda _, copy: _edit(copy.folder / "migration.yaml", "url: 'sqlite:///new.db'", "url: 'sqlite:///new.db', production: true"),
        "is the real system"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_copies_on_which_nothing_is_rehearsed(project: Project, tmp_path: Path, case: str) -> None:
    change, told = REFUSED[case]
    copy = make_copy(project, tmp_path / "copy")
    change(project, copy)
    with pytest.raises(SafetyStop, match=told):
        open_copy(project, copy.folder)


def test_a_system_that_is_no_file_here_is_not_copied(project: Project, tmp_path: Path) -> None:
    _edit(project.folder / "migration.yaml", "sqlite:///new.db", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    with pytest.raises(SafetyStop, match="new cannot be copied"):
        make_copy(load_project(project.folder), tmp_path / "copy")


def test_a_backup_is_read_back(project: Project) -> None:
    with open_workspace(project):
        pass
    found = backup.back_up(_place(project), ())
    assert found.facts == {"backup.done": True}
    assert (Path(found.document["folder"]) / "ledger.db").is_file()


def test_the_canary_leaves_nothing_and_its_failure_is_an_answer(project: Project) -> None:
    found = canary.canary(_place(project), ["--ops", "write,read,delete"])
    assert found.facts == {"canary.result": "pass"}
    assert found.document["object"] == "contact"
    with sqlite3.connect(project.folder / "old.db") as connection:
        assert connection.execute("SELECT count(*) FROM contact").fetchone() == (0,)
        connection.execute(
            "CREATE TRIGGER no BEFORE DELETE ON contact BEGIN SELECT RAISE(ABORT, 'no right to delete'); END"
        )
    connection.close()
    found = canary.canary(_place(project), [])
    assert found.facts == {"canary.result": "fail"}
    with pytest.raises(ProjectError, match="--sied is not an option"):
        canary.canary(_place(project), ["--sied", "old"])


@pytest.mark.parametrize(
    ("name", "kind", "text", "value"),
    [
        ("freeze.active", "yes_no", "Yes", True),
        ("freeze.active", "yes_no", "maybe", None),
        ("quota.headroom", "number", "62 %", 62.0),
        ("quota.headroom", "number", "much", None),
        ("representability.scan", "text", "full", "full"),
        ("representability.scan", "text", "half", None),
        ("how_long", "time", "1h30m", 5400.0),
        ("how_long", "time", "long", None),
        ("note", "text", " 好的 ", "好的"),
        ("note", "text", " ", None),
    ],
)
def test_answers_are_what_was_asked_for(name: str, kind: str, text: str, value: object) -> None:
    question = Question.model_validate({"ask": "?", "type": kind})
    if value is None:
        with pytest.raises(ValueError, match=r"\w"):
            read_answer(name, question, text)
    else:
        assert read_answer(name, question, text) == value


ANSWERS = {
    "P5-020: {by: Pia, freeze.active: 'yes', integration.can_write: 'yes'}": "",
    "P5-020: {freeze.active: 'yes', integration.can_write: 'yes'}": r"a.yaml:1:9: who answered P5-020",
    "P5-020: {by: Pia, freeze.active: 'yes'}": r"a.yaml:1:9: P5-020 asks integration.can_write",
    "P5-020: {by: Pia, freeze.active: perhaps, integration.can_write: 'yes'}": r"a.yaml:1:34: freeze.active must be yes or no",
    "P5-020: {by: Pia, frozen: 'yes'}": r"a.yaml:1:19: P5-020 does not ask 'frozen'",
    "P5-021: {by: Pia}": "P5-020 .* waits for a person",
    "[]": "answers stand under the ids",
}


@pytest.mark.parametrize("text", ANSWERS)
def test_a_file_of_answers_is_read_strictly(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(text + "\n", encoding="utf-8")
    placed = next(item for item in shipped("cutover").steps if item.id == "P5-020")
    if not ANSWERS[text]:
        by, values = FileAnswers(Path("a.yaml"), NobodyThere()).answers(placed)
        assert (by, values) == ("Pia", {"freeze.active": True, "integration.can_write": True})
        return
    with pytest.raises((ProjectError, SafetyStop), match=ANSWERS[text]):
        FileAnswers(Path("a.yaml"), NobodyThere()).answers(placed)


def test_a_ledger_on_a_server_is_not_copied_as_a_file(project: Project) -> None:
    from dataclasses import replace

    with pytest.raises(FatalError, match="server's own tools"):
        backup.back_up(_place(replace(project, ledger_url="postgresql+psycopg://x/y")), ())


def test_two_who_move_a_group_at_once_do_not_both_do(database_url: str) -> None:
    ledger = open_ledger(database_url)
    with ledger.begin() as connection:
        put_in_phase(connection, "all", Phase.P0, came_from=None, plan="p", at=NIGHT, told={})
        put_in_phase(connection, "all", Phase.P1, came_from=Phase.P0, plan="p", at=NIGHT, told={"by": "Li"})
    with (
        pytest.raises(SafetyStop, match="all is in P1, and was to be moved from P0"),
        ledger.begin() as connection,
    ):
        put_in_phase(connection, "all", Phase.P1, came_from=Phase.P0, plan="p", at=NIGHT, told={})
    with ledger.read() as connection:
        (found,) = standings(connection).values()
    ledger.close()
    assert (found.phase, found.entered_at, found.plan, found.journal) == (Phase.P1, NIGHT, "p", 2)
