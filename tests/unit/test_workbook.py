"""Mappings as a workbook: edits come back as small diffs, mistakes are told at their cells, nothing in a file can harm."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook
from openpyxl.worksheet.worksheet import Worksheet

from migrator.commands.project import Project, load_project
from migrator.commands.shipped import shipped
from migrator.commands.workbook import from_xlsx, to_xlsx
from migrator.core.document import Document
from migrator.core.errors import ProjectError
from migrator.core.schema import schemas_to_json
from migrator.mapping import load
from migrator.mapping.workbook_book import sheets_of
from migrator.mapping.workbook_merge import merge
from migrator.mapping.workbook_sheets import read_sheets, write_sheets
from migrator.mapping.workbook_yaml import YamlText
from tests.mapping_kit import make_schema

CONTACT = """\
# who they are
mapping: contact
target: {system: new, object: contact, key: legacy_id}   # kept
source: {system: old, object: Contact}
fields:
  # names
  legacy_id: {record_id: true}
  name: { from: Name,  clean: trim }  # as on the card
  country:
    from: Country   # ISO
    values: {NO: Norway, "": null, 中国: China}
    unmapped: keep

  # the rest
  city: {from: City}
tests: []
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "mappings").mkdir()
    (tmp_path / "schemas").mkdir()
    (tmp_path / "mappings" / "contact.yaml").write_text(CONTACT, encoding="utf-8")
    settings = {
        "old": {"connector": "files", "path": "."},
        "new": {"connector": "sql", "url": "sqlite:///n.db"},
    }
    (tmp_path / "migration.yaml").write_text(json.dumps({"project": "p", "systems": settings}))
    schema = make_schema("Contact", Name="string", Country="string", City="string", **{"=1+1": "string"})
    (tmp_path / "schemas" / "old.json").write_text(schemas_to_json([schema]))
    return load_project(tmp_path)


def text_of(project: Project) -> str:
    return (project.folder / "mappings" / "contact.yaml").read_text(encoding="utf-8")


class Sheets:
    """A workbook under edit by field and column."""

    def __init__(self, path: Path) -> None:
        self.path, self.book = path, load_workbook(path)

    def page(self) -> Worksheet:
        found: Worksheet = self.book["contact"]
        return found

    def put(self, field: str, column: str, text: Any) -> None:
        page = self.page()
        columns = {cell.value: cell.column for cell in page[1]}
        rows = {page.cell(row, columns["field"]).value: row for row in range(2, page.max_row + 1)}
        page.cell(rows.get(field, page.max_row + 1), columns[column]).value = text

    def save(self) -> Path:
        self.book.save(self.path)
        return self.path


def edited(project: Project, edit: Callable[[Sheets], None]) -> Path:
    path = project.folder / "m.xlsx"
    to_xlsx(project, path)
    sheets = Sheets(path)
    edit(sheets)
    return sheets.save()


def changed(project: Project, path: Path) -> list[str]:
    """Lines of the diff that come and go."""
    found = from_xlsx(project, path)
    return [
        line
        for _, diff in found.diffs
        for line in diff.splitlines()
        if line[:1] in "+-" and line[:3] not in ("+++", "---")
    ]


def told(project: Project, path: Path) -> list[str]:
    before = text_of(project)
    with pytest.raises(ProjectError) as caught:
        from_xlsx(project, path)
    assert text_of(project) == before
    return [f"{item.location}: {item.message}" for item in caught.value.problems]


def test_the_workbook_is_one_to_read_filter_and_edit(project: Project):
    to_xlsx(project, project.folder / "m.xlsx")
    book = load_workbook(project.folder / "m.xlsx")
    page = book["contact"]
    assert [page.cell(1, number).value for number in range(2, 9)] == [
        "field", "type", "required", "source", "transform", "values", "comment",
    ]  # fmt: skip
    assert page.freeze_panes == "C2"
    assert page.column_dimensions["A"].hidden
    assert page.auto_filter.ref == "A1:M5"
    offered = {
        str(item.sqref).rstrip("0123456789"): item.formula1 for item in page.data_validations.dataValidation
    }
    assert '"open,agreed,blocked"' in offered.values()
    assert book["_exported"].sheet_state == "veryHidden"
    assert [[cell.value for cell in row] for row in book["value maps"].iter_rows(min_row=2)] == [
        ["contact/country", "NO", "Norway"],
        ["contact/country", '""', None],
        ["contact/country", "中国", "China"],
    ]


def test_each_edit_is_a_small_diff_and_all_else_stays(project: Project):
    def edit(sheets: Sheets) -> None:
        sheets.put("name", "status", "agreed")
        sheets.put("name", "comment", "as on the visa")
        sheets.put("country", "transform", "unmapped: {default: Other}")
        sheets.put("city", "field", "town")
        sheets.put("new one", "field", "new one")
        sheets.put("new one", "source", "value: 是")
        sheets.book["value maps"].cell(2, 3).value = "Norge"

    path = edited(project, edit)
    assert from_xlsx(project, path, dry_run=True).diffs
    assert text_of(project) == CONTACT
    assert changed(project, path) == [
        "-  name: { from: Name,  clean: trim }  # as on the card",
        "+  name: { from: Name,  clean: trim, review: {status: agreed} }  # as on the visa",
        '-    values: {NO: Norway, "": null, 中国: China}',
        "-    unmapped: keep",
        '+    values: {NO: Norge, "": null, 中国: China}',
        "+    unmapped: {default: Other}",
        "-  city: {from: City}",
        "+  town: {from: City}",
        "+  new one: {value: 是}",
    ]
    to_xlsx(project, path)
    assert changed(project, path) == []


def test_a_row_that_is_deleted_takes_its_field_and_leaves_the_comments(project: Project):
    def edit(sheets: Sheets) -> None:
        sheets.page().delete_rows(4)

    assert changed(project, edited(project, edit)) == [
        "-  country:",
        "-    from: Country   # ISO",
        '-    values: {NO: Norway, "": null, 中国: China}',
        "-    unmapped: keep",
    ]


def test_mistakes_are_told_at_their_cells_and_nothing_is_written(project: Project):
    def edit(sheets: Sheets) -> None:
        sheets.put("name", "source", "from: Nmae")
        sheets.put("name", "type", "strng")
        sheets.put("name", "transform", "clean: [trm]")
        sheets.put("city", "status", "done")
        sheets.put("city", "transform", "colour: red")

    assert told(project, edited(project, edit)) == [
        "m.xlsx!contact!C3: 'strng' is not a type",
        "m.xlsx!contact!F3: unknown clean verb 'trm'",
        "m.xlsx!contact!F5: unknown key 'colour'",
        "m.xlsx!contact!K5: 'done' is not a status",
    ]

    def unbound(sheets: Sheets) -> None:
        sheets.put("name", "source", "from: Nmae")
        sheets.put("city", "source", "expr: upper(Citty)")

    assert told(project, edited(project, unbound)) == [
        "m.xlsx!contact!E3: old/Contact has no column 'Nmae'",
        "m.xlsx!contact!E5: unknown column 'Citty'",
    ]


@pytest.mark.parametrize(
    ("field", "column", "value", "place"),
    [
        ("city", "question", "=1+1", "m.xlsx!contact!M5: this cell holds a formula, not a text"),
        ("city", "question", 1.5, "m.xlsx!contact!M5: this cell holds a number with a point, not a text"),
        ("city", "transform", "trim", "m.xlsx!contact!F5: this is no list of keys: 'trim'"),
        ("city", "transform", "a: [", "m.xlsx!contact!F5: this is not valid YAML: "),
        ("city", "transform", "from: Name", "m.xlsx!contact!F5: from stands in a cell of its own too"),
        ("city", "values", "map: nowhere", "m.xlsx!contact!G5: there is no value map 'nowhere'"),
        ("city", "values", "../secret.csv", "m.xlsx!contact!G5: '../secret.csv' lies outside the project folder"),
        ("city", "source", 'from: "a', "m.xlsx!contact!E5: these double quotes do not close"),
        ("city", "field", "name", "m.xlsx!contact!B5: the field 'name' stands here twice"),
        ("city", "field", None, "m.xlsx!contact!B5: this row names no field"),
        ("field", "transform", "x", "m.xlsx!contact!1: the column 'transform' is missing"),
    ],
)  # fmt: skip
def test_a_cell_that_cannot_be_read_is_told(
    project: Project, field: str, column: str, value: Any, place: str
):
    def edit(sheets: Sheets) -> None:
        if field == "field":
            next(cell for cell in sheets.page()[1] if cell.value == column).value = value
        else:
            sheets.put(field, column, value)

    found = told(project, edited(project, edit))
    assert any(item.startswith(place) for item in found), found


def test_a_formula_in_the_data_stays_a_text(project: Project):
    def edit(sheets: Sheets) -> None:
        sheets.put("city", "source", "from: =1+1")
        sheets.put("city", "by", "'@SUM(A1)")

    changed(project, edited(project, edit))
    to_xlsx(project, project.folder / "m.xlsx")
    cells = [cell for row in load_workbook(project.folder / "m.xlsx")["contact"].iter_rows() for cell in row]
    assert {cell.data_type for cell in cells if cell.value is not None} == {"s"}
    assert changed(project, project.folder / "m.xlsx") == []


def test_what_changed_in_the_yaml_meanwhile_is_kept_or_told(project: Project):
    path = edited(project, lambda sheets: sheets.put("name", "transform", "clean: upper"))
    file = project.folder / "mappings" / "contact.yaml"
    meanwhile = CONTACT.replace("from: City}", "from: City, clean: lower}")
    file.write_text(meanwhile, encoding="utf-8")
    assert changed(project, path) == [
        "-  name: { from: Name,  clean: trim }  # as on the card",
        "+  name: { from: Name,  clean: upper }  # as on the card",
    ]
    file.write_text(CONTACT.replace("clean: trim", "clean: lower"), encoding="utf-8")
    assert told(project, path) == [
        "m.xlsx!contact!F3: transform was changed here, and in the YAML to: 'clean: lower'"
    ]


def test_anchors_are_not_torn(project: Project):
    file = project.folder / "mappings" / "contact.yaml"
    file.write_text(
        CONTACT.replace("city: {from: City}", "city: &c {from: City}\n  town: *c"), encoding="utf-8"
    )
    path = edited(project, lambda sheets: sheets.put("town", "transform", "clean: trim"))
    assert told(project, path) == [
        "mappings/contact.yaml:15:9: this is written with an anchor (& * <<), and cannot be changed from outside"
    ]


def test_line_ends_and_the_byte_order_mark_stay(project: Project):
    file = project.folder / "mappings" / "contact.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + CONTACT.replace("\n", "\r\n").encode())
    changed(project, edited(project, lambda sheets: sheets.put("city", "transform", "clean: trim")))
    found = file.read_bytes()
    assert (
        found
        == b"\xef\xbb\xbf"
        + CONTACT.replace("from: City}", "from: City, clean: trim}").replace("\n", "\r\n").encode()
    )


def test_foreign_and_damaged_files_are_refused(project: Project, tmp_path: Path):
    path = edited(project, lambda _: None)
    hurt = tmp_path / "hurt.xlsx"
    for member in ("xl/externalLinks/externalLink1.xml", "xl/vbaProject.bin"):
        shutil.copy(path, hurt)
        with zipfile.ZipFile(hurt, "a") as archive:
            archive.writestr(member, "x")
        assert "holds macros, objects or links" in told(project, hurt)[0]
    with zipfile.ZipFile(hurt, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(5):
            archive.writestr(f"xl/worksheets/sheet{number}.xml", b" " * 50_000_000)
    assert "more than such a workbook holds" in told(project, hurt)[0]
    hurt.write_bytes(path.read_bytes()[:2000])
    assert "this is no workbook" in told(project, hurt)[0]
    Workbook().save(hurt)
    assert "the hidden sheet '_exported' is missing" in told(project, hurt)[0]
    assert "no such file" in told(project, tmp_path / "nowhere.xlsx")[0]


def test_a_workbook_with_entities_is_refused(project: Project, tmp_path: Path):
    path, hurt = edited(project, lambda _: None), tmp_path / "hurt.xlsx"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(hurt, "w") as new:
        for item in old.infolist():
            body = old.read(item)
            if item.filename == "xl/workbook.xml":
                body = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + body
            new.writestr(item, body)
    assert "xl/workbook.xml declares a document type" in told(project, hurt)[0]


def test_the_shipped_demo_goes_round_without_a_change(tmp_path: Path):
    demo = shipped("demo")
    mappings = load(demo / "mappings", demo)
    texts = {item.name: (demo / item.document.file).read_text(encoding="utf-8") for item in mappings}
    edits = {item.name: YamlText(texts[item.name], item.document.file) for item in mappings}
    write_sheets(sheets_of(mappings, edits, {}), tmp_path / "m.xlsx")
    merged = merge("m.xlsx", read_sheets(tmp_path / "m.xlsx"), mappings, edits)
    assert {name: item.text for name, item in merged.items()} == texts


def test_what_is_added_at_one_place_by_two_levels_stays_in_its_block():
    """The end of the last source is also where the common fields begin, when the file has neither."""
    text = YamlText("mapping: m\nsources:\n  beta:\n    object: B\n# the end", "m.yaml")
    text.change(("fields",), {}, {"common": {"value": "1"}})
    text.change(("sources", "beta", "fields"), {}, {"own": {"from": "X"}})
    assert Document(text.result(), "m.yaml").texts() == {
        "mapping": "m",
        "sources": {"beta": {"object": "B", "fields": {"own": {"from": "X"}}}},
        "fields": {"common": {"value": "1"}},
    }
