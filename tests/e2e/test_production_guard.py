"""Production is written to only when a person names it: every command that writes, every way to name it and to fail to."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from migrator.commands import project as projects
from migrator.commands.production import permit, why_production
from migrator.commands.project import load_project
from migrator.core.connector import Connector, Identity
from migrator.core.errors import ProjectError, SafetyStop
from migrator.testing.memory import MemoryTarget
from tests.small_migration import Said, migrator, replace_in

MIGRATION = """\
systems:
  shop: {connector: files, path: shop}
  crm: {connector: sql, url: "sqlite:///crm.db", production: true}
engine: {memory_limit: 200MB, threads: 1}
"""
MAPPING = """\
mapping: order
target: {system: crm, object: Order, key: legacy_id}
source: {system: shop, object: Order, key: No.}
fields:
  legacy_id: {record_id: true}
  select: {from: select, type: text}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {
        "migration.yaml": MIGRATION,
        "mappings/order.yaml": MAPPING,
        "shop/Order.csv": "No.,select\nA-1,注文\nA-2,\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


class Terminal(io.StringIO):
    """A person at the keyboard."""

    def isatty(self) -> bool:
        return True


def assert_stopped(said: Said, folder: Path) -> None:
    assert said.code == 5, said
    assert "crm" in said.err, said
    assert "--production crm" in said.err, said
    assert not (folder / "crm.db").exists()


@pytest.mark.parametrize("options", [(), ("--json", "--production", "CRM")])
@pytest.mark.parametrize("verb", [("load",), ("run",), ("quarantine", "retry")], ids=" ".join)
def test_nothing_is_written_unless_the_right_name_is_given(
    folder: Path, capsys: pytest.CaptureFixture[str], verb: tuple[str, ...], options: tuple[str, ...]
) -> None:
    said = migrator(folder, capsys, *verb, *options)
    assert_stopped(said, folder)
    assert said.out == ""


def test_the_way_there_and_back_by_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = migrator(folder, capsys, "run", "--skip-validate", "--production", "crm", "--json")
    assert done.code == 0, done
    assert json.loads(done.out)["load"]["written"] == 2
    (run,) = json.loads(migrator(folder, capsys, "rollback", "--json").out)["runs"]
    for options in ((), ("--yes",), ("--yes", "--json"), ("--yes", "--production", "shop")):
        assert migrator(folder, capsys, "rollback", run["run"], *options).code == 5
    assert migrator(folder, capsys, "rollback", run["run"], "--dry-run").code == 0
    back = migrator(folder, capsys, "rollback", run["run"], "--yes", "--production", "crm", "--json")
    assert json.loads(back.out)["objects"]["order"]["deleted"] == 2


@pytest.mark.parametrize(("typed", "code"), [("crm", 0), ("yes", 5)])
def test_a_person_at_a_terminal_types_the_name(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, typed: str, code: int
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(f"{typed}\n"))
    said = migrator(folder, capsys, "run", "--skip-validate")
    assert said.code == code, said
    assert "crm is production (migration.yaml says so)" in said.err
    assert "type crm to write to it" in said.err


def test_json_never_asks(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("crm\n"))
    assert_stopped(migrator(folder, capsys, "run", "--json"), folder)


def test_looking_needs_no_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("extract", "map", "dedupe", "plan", "status"):
        assert migrator(folder, capsys, verb).code == 0


class Named(MemoryTarget):
    """A target that says who it is."""

    says: bool | None = None

    def identify(self) -> Identity:
        return Identity("TestCRM", "https://crm.test", "Acme 公司", production=self.says)


@pytest.mark.parametrize("says", [True, False, None])
def test_a_system_that_says_itself_that_it_is_production_is_guarded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, says: bool | None
) -> None:
    def open_target(_: Mapping[str, Any]) -> Named:
        made = Named()
        made.says = says
        return made

    def found(name: str, *, place: str = "") -> Connector:  # noqa: ARG001
        return Connector(name, "", {"path": "", "url": ""}, open_target=open_target)

    replace_in(folder / "migration.yaml", {", production: true": ", production: false"})
    monkeypatch.setattr(projects, "connector", found)
    project = load_project(folder)
    permit(project, "crm", "crm")
    if not says:
        assert why_production(project, "crm") == ""
        permit(project, "crm", "")
        return
    with pytest.raises(SafetyStop, match=r"TestCRM, Acme 公司, https://crm\.test"):
        permit(project, "crm", "")


def test_production_is_yes_or_no(folder: Path) -> None:
    replace_in(folder / "migration.yaml", {"production: true": "production: maybe"})
    with pytest.raises(ProjectError, match=r"migration\.yaml:3:\d+: production must be a yes or no"):
        load_project(folder)
