"""A project from shipped mappings: its sources are filled in, comments stay, and what does not fit is told, not raised."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.cli.main import run_app
from migrator.commands.project import load_project
from migrator.commands.shipped import init_from_template, templates
from migrator.core.errors import ProjectError
from migrator.testing.synthetic.legacy_exports import generate_legacy

NAME = "salesforce-to-fxiaoke"


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Salesforce export."""
    return generate_legacy(tmp_path_factory.mktemp("export"), "salesforce", size=7).path


def test_the_source_is_filled_in_and_comments_stay(export: Path, tmp_path: Path) -> None:
    report = init_from_template(tmp_path / "p", NAME, [f"salesforce={export}"], target="sqlite:///other.db")
    project = load_project(tmp_path / "p")
    assert not report.problems
    assert project.systems["salesforce"].settings["path"] == str(export)
    assert project.systems["crm"].settings["url"].endswith("/other.db")
    assert project.name == "p"
    assert "# " in (tmp_path / "p" / "migration.yaml").read_text(encoding="utf-8")
    assert project.saved_schema("salesforce")


def test_what_an_export_lacks_is_told_at_its_place(tmp_path: Path) -> None:
    less = tmp_path / "less"
    less.mkdir()
    (less / "Account.csv").write_text(
        '"Id","Name","OwnerId","IsDeleted"\n"001A","A","005A","0"\n', encoding="utf-8"
    )
    (less / "RecordType.csv").write_text('"Id","DeveloperName"\n', encoding="utf-8")
    report = init_from_template(tmp_path / "p", NAME, [str(less)])
    told = [str(item) for item in report.problems]
    assert any("'salesforce' has no object 'Contact'" in item and "contact.yaml:" in item for item in told)
    assert any("no column 'RecordTypeId'" in item for item in told)
    assert (tmp_path / "p" / "migration.yaml").exists()


def test_unknown_names_are_told_with_the_nearest(export: Path, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="salesforce-to-fxiaok") as caught:
        init_from_template(tmp_path / "p", "salesforce-to-fxiaok", [str(export)])
    assert "salesforce-to-fxiaoke" in str(caught.value)
    assert not (tmp_path / "p").exists()


def test_a_project_is_not_overwritten(export: Path, tmp_path: Path) -> None:
    init_from_template(tmp_path / "p", NAME, [str(export)])
    with pytest.raises(ProjectError, match="already"):
        init_from_template(tmp_path / "p", NAME, [str(export)])


def test_the_list_needs_no_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["init", "--mappings"]) == 0
    shown = capsys.readouterr().out
    assert all(item.name in shown for item in templates())


def test_all_mappings_to_one_system_describe_it_alike() -> None:
    described = {
        item.name: (item.folder / "schemas" / "crm.json").read_bytes()
        for item in templates()
        if item.name.endswith("-to-fxiaoke")
    }
    assert len(described) == 3
    assert len(set(described.values())) == 1
