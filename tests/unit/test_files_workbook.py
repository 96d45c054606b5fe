"""Workbooks as other programs write them: stored numbers, shared texts, reading aids, error values, odd XML."""

from __future__ import annotations

import zipfile
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.archive import Archive
from connectors.files.workbook import Format, Workbook, moment_text, number_text
from migrator.core.errors import FatalError

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
LINK = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def workbook(
    path: Path, sheet: str, *, texts: str = "", styles: str = "", properties: str = "", intro: str = ""
) -> Path:
    """The smallest workbook of one sheet 'S' with the given rows."""
    kinds = {"worksheet": "sheet1.xml", "sharedStrings": "texts.xml", "styles": "styles.xml"}
    links = "".join(
        f'<Relationship Id="r{n}" Type="{LINK}/{kind}" Target="{target if n else "/xl/" + target}"/>'
        for n, (kind, target) in enumerate(kinds.items())
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{MAIN}" xmlns:r="{LINK}">{properties}<sheets><sheet name="S" sheetId="1" r:id="r0"/></sheets></workbook>',
        )
        archive.writestr("xl/_rels/workbook.xml.rels", f"<Relationships>{links}</Relationships>")
        archive.writestr(
            "xl/sheet1.xml",
            f'{intro}<x:worksheet xmlns:x="{MAIN}"><x:sheetData>{sheet}</x:sheetData></x:worksheet>',
        )
        archive.writestr("xl/texts.xml", f'<sst xmlns="{MAIN}">{texts}</sst>')
        archive.writestr("xl/styles.xml", f'<styleSheet xmlns="{MAIN}">{styles}</styleSheet>')
    return path  # fmt: skip


def rows(path: Path) -> list[tuple[int, list[str | None]]]:
    with Archive(path) as archive:
        return [(row.number, row.cells) for row in Workbook(archive, path.name).rows("S")]


def test_every_kind_of_cell(tmp_path: Path) -> None:
    cells = (
        '<x:row r="3"><x:c r="A3" t="s"><x:v>1</x:v></x:c><x:c r="C3"><x:f>1+1</x:f><x:v>1.1000000000000001</x:v></x:c>'
        '<x:c r="D3" t="e"><x:v>#N/A</x:v></x:c><x:c r="E3" t="b"><x:v>1</x:v></x:c>'
        '<x:c r="F3" t="str"><x:f>x</x:f><x:v>a_x000D_b</x:v></x:c>'
        '<x:c r="G3" t="inlineStr"><x:is><x:r><x:t>a</x:t></x:r><x:t xml:space="preserve"> b</x:t><x:rPh><x:t>no</x:t></x:rPh></x:is></x:c>'
        '<x:c r="H3" s="1"/><x:c r="AA3" t="d"><x:v>2024-01-31</x:v></x:c></x:row>'
        '<x:row r="4"/><x:row><x:c><x:v>7</x:v></x:c><x:c t="s"><x:v>0</x:v></x:c></x:row>'
    )
    texts = "<si><t/></si><si><r><t>东</t></r><r><t>京</t></r><rPh><t>とうきょう</t></rPh></si>"
    found = rows(workbook(tmp_path / "a.xlsx", cells, texts=texts))
    blank = [None] * 19
    assert found == [
        (3, ["东京", None, "1.1", "#N/A", "true", "a\rb", "a b", *blank, "2024-01-31"]),
        (5, ["7", ""]),
    ]


def test_formats_make_numbers_days_and_instants(tmp_path: Path) -> None:
    codes = ['yyyy"年"m"月"d"日"', "yyyy-mm-dd hh:mm", "[h]:mm:ss", '"h"0.00', "[Red]0", "mm:ss"]
    numbers = "".join(
        f'<numFmt numFmtId="{164 + n}" formatCode="{code.replace(chr(34), "&quot;")}"/>'
        for n, code in enumerate(codes)
    )
    identifiers = [0, 14, 22, 31, 32, *range(164, 164 + len(codes))]
    styles = f'<numFmts>{numbers}</numFmts><cellStyleXfs><xf numFmtId="22"/></cellStyleXfs><cellXfs>{"".join(f"<xf numFmtId={chr(34)}{n}{chr(34)}/>" for n in identifiers)}</cellXfs>'
    cells = "".join(f'<x:c s="{n}"><x:v>45322</x:v></x:c>' for n in range(len(identifiers)))
    ((_, found),) = rows(workbook(tmp_path / "a.xlsx", f"<x:row>{cells}</x:row>", styles=styles))
    day, instant = "2024-01-31", "2024-01-31T00:00:00"
    assert found == ["45322", day, instant, day, instant, day, instant, "1087728:00:00", "45322", "45322", instant]  # fmt: skip
    path = workbook(
        tmp_path / "b.xlsx",
        '<x:row><x:c s="1"><x:v>43860</x:v></x:c></x:row>',
        styles=styles,
        properties='<workbookPr date1904="1"/>',
    )
    assert rows(path) == [(1, [day])]  # fmt: skip


def test_a_date_out_of_range_stays_the_number_it_is() -> None:
    assert moment_text("60000000", Format.DAY, from_1904=False) == "60000000"
    assert moment_text("0.5", Format.INSTANT, from_1904=False) == "12:00:00"
    assert moment_text("45322.5", Format.DAY, from_1904=False) == "2024-01-31T12:00:00"


@pytest.mark.parametrize(
    ("stored", "shown"),
    [("1", "1"), ("2.0", "2"), ("-3", "-3"), ("1E+21", "1" + "0" * 21), ("5.0000000000000003E-2", "0.05"), ("0.30000000000000004", "0.30000000000000004"), ("12345678901234567890", "12345678901234567890"), ("-0.0", "0"), ("1e-7", "0.0000001")],
)  # fmt: skip
def test_numbers_have_the_fewest_digits(stored: str, shown: str) -> None:
    assert number_text(stored) == shown


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_keeps_its_value(value: float) -> None:
    assert float(number_text(repr(value))) == value


@pytest.mark.parametrize(
    ("sheet", "intro"),
    [("<x:row", ""), ('<x:row><x:c t="s"><x:v>9</x:v></x:c></x:row>', ""), ('<x:row><x:c r="ZZZZ1"><x:v>9</x:v></x:c></x:row>', ""), ("<x:row><x:c><x:v>abc</x:v></x:c></x:row>", ""), ("<x:row/>", '<!DOCTYPE x [<!ENTITY a "aaa">]>')],
)  # fmt: skip
def test_broken_or_hostile_xml_is_an_error_with_the_name(tmp_path: Path, sheet: str, intro: str) -> None:
    with pytest.raises(FatalError, match=r"a\.xlsx: this is no whole Excel workbook"):
        rows(workbook(tmp_path / "a.xlsx", sheet, intro=intro))


texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"), min_size=1, max_size=5)  # fmt: skip


@given(st.lists(st.lists(st.none() | texts, max_size=4), max_size=5))
def test_what_openpyxl_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str | None]]
) -> None:
    path = tmp_path_factory.mktemp("book") / "a.xlsx"
    book = openpyxl.Workbook()
    book.active.title = "S"
    for number, row in enumerate(table, start=1):
        for column, value in enumerate(row, start=1):
            if value is not None:
                cell = book.active.cell(number, column)
                cell.value, cell.data_type = value, "s"
    book.save(path)
    found = dict(rows(path))
    for number, row in enumerate(table, start=1):
        expected = list(row)
        while expected and expected[-1] is None:
            expected.pop()
        assert found.get(number, []) == expected
