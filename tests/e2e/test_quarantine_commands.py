"""`migrator quarantine`: what is held and what was noted, one record's, and the whole list as a file that is inert."""

from __future__ import annotations

import csv
from pathlib import Path

import openpyxl
import pytest

from tests.e2e.demo_project import command

PEOPLE = 'id,name,born,boss\n1,"=HYPERLINK(""http://x"",""y"")",31.02.2020,\n2,Ann,2020-01-01,9\n3,王五,2020-01-01,\n'
MAPPING = """\
mapping: person
target: {system: new, object: person, key: id}
source: {system: old, object: people, key: id}
fields:
  id: {from: id}
  name: {from: name, default: none}
  nick: {from: name, length: 5}
  born: {from: born, type: date}
  boss: {from: boss, lookup: person, missing: null}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("held")
    (folder / "in").mkdir()
    (folder / "in" / "people.csv").write_text(PEOPLE, encoding="utf-8")
    made = command(
        "init", folder / "p", "--source", f"old={folder / 'in'}", "--target", f"sqlite:///{folder / 'new.db'}"
    )
    assert made.code == 0, made.err
    (folder / "p" / "mappings" / "people.yaml").write_text(MAPPING, encoding="utf-8")
    ran = command(f"-C{folder / 'p'}", "run", "--skip-validate")
    assert ran.code == 0, ran.err
    return folder / "p"


def test_warnings_are_listed_for_records_that_move(project: Path) -> None:
    held = command(f"-C{project}", "quarantine", "list", "--json").json()
    assert {row["record"] for row in held["rows"]} == {"old:1"}
    noted = command(f"-C{project}", "quarantine", "list", "--warnings", "--json").json()
    assert [(row["record"], row["rule"], row["field"]) for row in noted["rows"]] == [
        ("old:2", "lookup.missing", "boss")
    ]


def test_one_record_is_shown_with_all_that_is_held_against_it(project: Path) -> None:
    shown = command(f"-C{project}", "quarantine", "show", "person/1")
    assert shown.code == 0, shown.err
    assert "cast.date" in shown.out
    assert "length.exceeded" in shown.out
    assert "31.02.2020" in shown.out
    unknown = command(f"-C{project}", "quarantine", "show", "person/7")
    assert unknown.code == 2
    assert "person" in unknown.err


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_the_list_goes_out_whole_and_nothing_in_it_is_a_formula(
    project: Path, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"held.{ending}"
    done = command(f"-C{project}", "quarantine", "export", path, "--unmask", "--json")
    assert done.code == 0, done.err
    if ending == "csv":
        rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
        assert all(not cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
    else:
        page = openpyxl.load_workbook(path).active
        rows = [list(row) for row in page.iter_rows(values_only=True)]
        assert all(cell.data_type != "f" for row in page.iter_rows() for cell in row)
    assert len(rows) == done.json()["rows"] + 1
    assert {"cast.date", "length.exceeded"} <= {row[4] for row in rows[1:]}


def test_a_file_of_another_kind_is_refused_with_the_kinds_there_are(project: Path, tmp_path: Path) -> None:
    refused = command(f"-C{project}", "quarantine", "export", tmp_path / "held.doc")
    assert (refused.code, list(tmp_path.iterdir())) == (2, [])
    assert ".xlsx" in refused.err
