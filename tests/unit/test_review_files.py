"""Pairs as a workbook and back, decisions as files and back: inert, strict with places, whole or not at all."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from migrator.commands.match_decisions import (
    About,
    add_decision,
    export_decisions,
    import_decisions,
    list_decisions,
)
from migrator.commands.project import Project, load_project
from migrator.commands.review_workbook import export_pairs, import_pairs
from migrator.core.errors import ProjectError
from migrator.core.mapped import Same
from migrator.core.review import Asked, Band
from tests.review_project import write_pairs, write_people

EVERYTHING = Asked(band=Band.ALL)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    write_pairs(write_people(folder))
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Project:
    return load_project(Path(shutil.copytree(made, tmp_path / "p")))


@pytest.fixture
def book(project: Project) -> Path:
    path = project.folder / "pairs.xlsx"
    assert export_pairs(project, path, (), EVERYTHING).pairs == 5
    return path


def edit(book: Path, change: Callable[[Any, dict[str, int]], None]) -> None:
    """Change the sheet as a person would; `change` gets it and column numbers by name."""
    workbook = openpyxl.load_workbook(book)
    page = workbook.worksheets[0]
    change(page, {cell.value: cell.column for cell in page[1]})
    workbook.save(book)


def answer(**words: str) -> Callable[[Any, dict[str, int]], None]:
    """Fill in decisions: record 1 with '_' for ':' → word."""

    def change(page: Any, at: dict[str, int]) -> None:
        for row in range(2, page.max_row + 1):
            known_as = (
                page.cell(row, at["record 1"]).value.replace(":", "_")
                + "_"
                + page.cell(row, at["record 2"]).value.replace(":", "_")
            )
            if known_as in words:
                page.cell(row, at["decision"]).value = words[known_as] or None

    return change


def said(project: Project) -> dict[tuple[str, str], tuple[str, str, str]]:
    return {
        item.pair: (item.said, item.who, item.why) for item in list_decisions(project, About(standing=True))
    }


def test_only_what_was_filled_in_or_changed_goes_on_record(project: Project, book: Path) -> None:
    def change(page: Any, at: dict[str, int]) -> None:
        answer(crm_1_erp_7="Same", crm_2_erp_8=" not same ", crm_4_erp_10="unsure")(page, at)
        row = next(row for row in range(2, 7) if page.cell(row, at["record 2"]).value == "erp:8")
        page.cell(row, at["who"]).value, page.cell(row, at["why"]).value = "Bob", "=1+1 他们搬家了"
        page.cell(row, at["why"]).data_type = "s"

    edit(book, change)
    assert len(import_pairs(project, book, who="Ada").entered) == 3
    assert said(project) == {
        ("crm:1", "erp:7"): ("same", "Ada", ""),
        ("crm:2", "erp:8"): ("not_same", "Bob", "=1+1 他们搬家了"),
        ("crm:4", "erp:10"): ("unsure", "Ada", ""),
    }
    again = import_pairs(project, book, who="Ada")
    assert (len(again.entered), again.known) == (0, 3)
    weights = {item.pair: item.weight for item in list_decisions(project, About())}
    assert weights["crm:1", "erp:7"] == 2.5


def test_an_exported_decision_can_be_changed_and_emptied(project: Project, book: Path) -> None:
    add_decision(project, "contact", ("crm:2", "erp:8"), Same.UNSURE, who="Ada", why="hm")
    export_pairs(project, book, (), Asked(unsure=True))
    assert len(import_pairs(project, book, who="Bob").entered) == 0
    edit(book, answer(crm_2_erp_8=""))
    (taken_back,) = import_pairs(project, book, who="Bob").entered
    assert taken_back.verdict is None
    assert said(project) == {}


def test_every_cell_is_an_inert_text_and_differences_are_coloured(book: Path) -> None:
    page = openpyxl.load_workbook(book).worksheets[0]
    assert {cell.data_type for row in page.iter_rows() for cell in row if cell.value is not None} == {"s"}
    header = {cell.value: cell.column for cell in page[1]}
    row = next(row for row in range(2, 7) if page.cell(row, header["record 1"]).value == "crm:2")
    assert page.cell(row, header["Order · 1"]).value == '=HYPERLINK("http://x","y")'
    fill = page.cell(row, header["name · 1"]).fill.fgColor.rgb
    solo = next(row for row in range(2, 7) if page.cell(row, header["record 1"]).value == "crm:4")
    assert fill != page.cell(solo, header["name · 1"]).fill.fgColor.rgb
    assert page.cell(row, header["because"]).value == "prior prior -9.0\nname <i>part</i> +8.5"
    assert page.column_dimensions["A"].hidden


def problems(call: Callable[[], object]) -> list[str]:
    with pytest.raises(ProjectError) as caught:
        call()
    return [str(problem).partition("\n")[0] for problem in caught.value.problems]


def test_what_does_not_fit_is_told_by_its_cell_and_nothing_goes_on_record(
    project: Project, book: Path
) -> None:
    def change(page: Any, at: dict[str, int]) -> None:
        answer(crm_1_erp_7="same")(page, at)
        page.cell(3, at["decision"]).value = "smae"
        page.cell(4, at["pair"]).value = '["contact", "crm:1"]'

    edit(book, change)
    found = problems(lambda: import_pairs(project, book, who="Ada"))
    assert found == [
        "pairs.xlsx!contact!A4: this row names no pair of this project",
        "pairs.xlsx!contact!C3: 'smae' is no decision",
    ]
    assert said(project) == {}


def test_a_pair_that_was_decided_since_the_export_is_not_overruled(project: Project, book: Path) -> None:
    add_decision(project, "contact", ("crm:1", "erp:7"), Same.NOT_SAME, who="Bob")
    edit(book, answer(crm_1_erp_7="same", crm_2_erp_8="same"))
    (found,) = problems(lambda: import_pairs(project, book, who="Ada"))
    assert "decided since the export: Bob said not_same" in found
    assert found.startswith("pairs.xlsx!contact!C")
    assert list(said(project)) == [("crm:1", "erp:7")]


def test_other_workbooks_are_refused(project: Project, tmp_path: Path) -> None:
    assert "no such file" in problems(lambda: import_pairs(project, tmp_path / "none.xlsx", who="Ada"))[0]
    other = openpyxl.Workbook()
    other.active["A1"] = "x"  # type: ignore[index]
    other.save(tmp_path / "other.xlsx")
    assert (
        "no pairs in this workbook"
        in problems(lambda: import_pairs(project, tmp_path / "other.xlsx", who="Ada"))[0]
    )
    assert "ends in .xlsx" in problems(lambda: export_pairs(project, tmp_path / "x.xls", (), EVERYTHING))[0]


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_decisions_move_to_another_ledger_with_names_and_dates(
    project: Project, made: Path, tmp_path: Path, ending: str
) -> None:
    add_decision(project, "contact", ("crm:1", "erp:7"), Same.SAME, who="=Ada", why='\'+1, "王"\u2028\nx\ny')
    add_decision(project, "contact", ("crm:2", "erp:8"), Same.UNSURE, who="Bob")
    path = tmp_path / f"decisions.{ending}"
    assert export_decisions(project, path, About()) == 2
    if ending == "csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            assert all(cell[:1] not in set("=+-@") for row in csv.reader(file) for cell in row)
    other = load_project(Path(shutil.copytree(made, tmp_path / "other")))
    add_decision(other, "contact", ("crm:2", "erp:8"), Same.SAME, who="Eve")
    came = import_decisions(other, path)
    assert (len(came.entered), came.known) == (2, 0)
    known = {item.pair: item for item in list_decisions(project, About())}
    for item in came.entered:
        was = known[item.pair]
        assert (item.said, item.who, item.why, item.at, item.weight) == (
            was.said,
            was.who,
            was.why,
            was.at,
            was.weight,
        )
    assert said(other)["crm:2", "erp:8"][:2] == ("same", "Eve"), "said later than what came in"
    assert import_decisions(other, path).known == 2


GOOD = {
    "object": "contact",
    "one": "erp:7",
    "other": "crm:1",
    "verdict": "same",
    "who": "Ada",
    "at": "2026-01-02T03:04:05",
}


def test_every_wrong_line_of_a_file_is_told_by_its_place(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    lines = [
        GOOD, {**GOOD, "verdict": "sane"}, {**GOOD, "who": " "}, {**GOOD, "at": "yesterday"}, {**GOOD, "whom": "x"},
        {**GOOD, "other": "erp:7"}, {**GOOD, "weight": "NaN"}, [], {**GOOD, "why": 7},
    ]  # fmt: skip
    path.write_text("\n".join([*map(json.dumps, lines), "{"]), encoding="utf-8")
    found = problems(lambda: import_decisions(project, path))
    assert [line.removeprefix(f"{path}:").partition(":")[0] for line in found] == [
        str(n) for n in range(2, 11)
    ]
    path.write_text(
        "\n".join(map(json.dumps, [{**GOOD, "object": "contract"}, {**GOOD, "at": "2999-01-01"}])),
        encoding="utf-8",
    )
    found = problems(lambda: import_decisions(project, path))
    assert ["no mapping 'contract'" in found[0], "in the future" in found[1]] == [True, True]
    path.write_text("\n".join(map(json.dumps, [GOOD, {**GOOD, "one": "erp:99"}])), encoding="utf-8")
    assert problems(lambda: import_decisions(project, path)) == [
        f"{path}:2: there is no record contact/erp:99"
    ]
    came = import_decisions(project, path, known_only=True)
    assert (len(came.entered), came.left_out) == (1, 1)
    assert said(project) == {("crm:1", "erp:7"): ("same", "Ada", "")}


def test_a_csv_must_have_the_columns_and_no_others(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("object,one,other,verdict,who,when\ncontact,crm:1,erp:7,same,Ada,x,y\n", encoding="utf-8")
    found = problems(lambda: import_decisions(project, path))
    assert [line.removeprefix(str(path)) for line in found] == [
        ":1: unknown column 'when'", ":1: there is no column 'at'", ":2: more cells than columns",
    ]  # fmt: skip
    path.write_text('object,one\n"contact', encoding="utf-8")
    assert any("is not CSV" in line for line in problems(lambda: import_decisions(project, path)))
    assert (
        "not kept as '.xlsx'" in problems(lambda: export_decisions(project, tmp_path / "d.xlsx", About()))[0]
    )
