"""YAML → workbook → YAML and workbook → YAML → workbook keep everything, whatever names, values and comments there are."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from migrator.core.document import Document
from migrator.mapping import ObjectMapping, parse_mapping
from migrator.mapping.transforms import VERBS
from migrator.mapping.workbook_book import ID, MAPS, sheets_of
from migrator.mapping.workbook_cells import Row, rows_of, rules_of
from migrator.mapping.workbook_merge import merge
from migrator.mapping.workbook_sheets import Sheet, read_sheets, write_sheets
from migrator.mapping.workbook_yaml import YamlText, flow, scalar

CHARS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
NASTY = st.sampled_from(["=1+1", "+1", "-1", "@x", "null", "~", "NO", "01", "1.10", "true", "2024-01-31", "a: b", "- x", "#c", "a #b", "{", "}", "[a, b]", ",", "'", '"', '"x"', "\\", "客户 名称", "Ｎ", " x ", "\n", "a\nb", "\r\n", "\t", "_x0041_", "_x0041_x0042_", "_x005F_", "\u2028", "\ufeff", "\x85", "\x07", "map: x", "expr: x", "from", "%", "&a", "*a", "<<", "!x", "|", ">", "?", "x" * 200, "😀", "contact/x", "e\u0301", "\u200b", "\x7f", "\ufffe"])  # fmt: skip
TEXTS = st.one_of(NASTY, st.text(CHARS, max_size=12))
NAMES = TEXTS.filter(lambda name: bool(name.strip()) and not name.startswith("__"))
WORDS = st.one_of(st.none(), TEXTS)
MAPS_OF = st.dictionaries(TEXTS, WORDS, max_size=4)
MAPS_BY_TYPE = st.fixed_dictionaries(
    {
        "by": NAMES,
        "maps": st.one_of(
            NAMES, st.dictionaries(TEXTS, MAPS_OF.filter(bool) | NAMES, min_size=1, max_size=2)
        ),
    }
)

RULES = st.fixed_dictionaries(
    {},
    optional={
        "label": TEXTS | st.fixed_dictionaries({"en": NAMES}, optional={"zh_CN": NAMES, "ms": NAMES}),
        "pii": NAMES,
        "type": st.sampled_from(["date", "decimal(18,2)", "string(80)"]),
        "required": st.sampled_from(["true", "false"]),
        "clean": st.one_of(st.sampled_from(list(VERBS)), st.lists(st.sampled_from(list(VERBS)), max_size=3)),
        "values": st.one_of(MAPS_OF, NAMES, MAPS_BY_TYPE),
        "lookup": st.one_of(st.just("m-1"), st.just({"type": "T", "客户 x": "m-1"})),
        "unmapped": st.one_of(st.sampled_from(["keep", None]), st.fixed_dictionaries({"default": TEXTS})),
        "default": WORDS,
        "by": WORDS,
        "first": TEXTS,
        "inactive": st.fixed_dictionaries({"when": NAMES, "use": NAMES}),
        "currency": st.one_of(
            st.just({"code": "CNY"}),
            st.builds(
                lambda column, file, kept: {
                    "from": column,
                    "to": "USD",
                    "rates": file,
                    "on": column,
                    "keep": {"amount": f"kept {kept}"},
                },
                NAMES,
                NAMES,
                st.uuids(),
            ),
        ),
        "length": st.integers(1, 99).map(str),
        "review": st.fixed_dictionaries(
            {},
            optional={
                "status": st.sampled_from(["open", "agreed", "blocked"]),
                "by": WORDS,
                "question": TEXTS,
            },
        ),
    },
)
INPUTS = st.one_of(
    st.just({}),
    NAMES.map(lambda name: {"from": name}),
    TEXTS.map(lambda text: {"expr": text}),
    WORDS.map(lambda text: {"value": text}),
    st.just({"record_id": "true"}),
)
FIELDS = st.dictionaries(NAMES, st.builds(lambda rule, given: {**given, **rule}, RULES, INPUTS), max_size=4)
COMMENTS = st.one_of(st.just(""), st.sampled_from(["a remark", "备注: x", "# twice", "null", '"q"', "=1"]))


@st.composite
def mapping_files(draw: st.DrawFn, *, several: bool) -> str:
    common, first, second = draw(FIELDS), draw(FIELDS), draw(FIELDS)
    lines = ["# about this file", "mapping: m-1", "target: {system: new, object: o, key: k}  # kept"]
    if several:
        lines += ["sources:", "  alpha:", "    object: A", *_block(draw, "    ", first)]
        lines += ["  beta:", "    object: 'B'", "    # before", *_block(draw, "    ", second)]
    else:
        lines += ["source:", "  system: alpha", "  object: A", *_block(draw, "  ", first)]
    lines += [*_block(draw, "", common), "# the end"]
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines) + draw(st.sampled_from(["", "\n"]))


def _block(draw: st.DrawFn, indent: str, fields: dict[str, Any]) -> list[str]:
    if not fields and draw(st.booleans()):
        return []
    if not fields or draw(st.integers(0, 4)) == 0:
        return [f"{indent}fields: {flow(fields)}"]
    lines = [f"{indent}fields:"]
    for name, rule in fields.items():
        remark = draw(COMMENTS)
        tail = f"  # {remark}" if remark else ""
        if rule and draw(st.booleans()):
            lines += [f"{indent}  {scalar(name)}:{tail}"]
            lines += [f"{indent}      {scalar(key)}: {flow(value, key)}" for key, value in rule.items()]
        else:
            lines += [f"{indent}  {scalar(name)}: {flow(rule)}{tail}"]
        if draw(st.integers(0, 3)) == 0:
            lines.append(f"{indent}  # between")
    return lines


def mapping_of(text: str) -> ObjectMapping:
    return parse_mapping(Document(text, "mappings/m.yaml"), Path())


def book_of(mapping: ObjectMapping, text: str, folder: Path) -> list[Sheet]:
    """The workbook of one mapping, written and read back."""
    path = folder / "m.xlsx"
    write_sheets(sheets_of([mapping], {mapping.name: YamlText(text, "mappings/m.yaml")}, {}), path)
    return read_sheets(path)


def merged(mapping: ObjectMapping, text: str, sheets: list[Sheet]) -> str:
    found = merge("m.xlsx", sheets, [mapping], {mapping.name: YamlText(text, "mappings/m.yaml")})
    return found[mapping.name].text


def _lines(rows: list[Row]) -> dict[str, dict[str, list[str]]]:
    """Field → column → lines; keys that were in the file stay in the file's order, so order says nothing, at any depth."""
    return {
        row.name: {column: sorted(map(_ordered, cell.split("\n"))) for column, cell in row.cells.items()}
        for row in rows
    }


def _ordered(line: str) -> str:
    """A line that writes a map, with its keys sorted; any other as it stands."""
    try:
        found = yaml.safe_load(line)
    except yaml.YAMLError:
        return line
    return json.dumps(found, sort_keys=True, default=str) if isinstance(found, dict) else line


@settings(max_examples=20, deadline=None)
@given(st.booleans().flatmap(lambda several: mapping_files(several=several)))
def test_a_workbook_that_nobody_edits_changes_no_byte(text: str):
    mapping = mapping_of(text)
    with tempfile.TemporaryDirectory() as folder:
        assert merged(mapping, text, book_of(mapping, text, Path(folder))) == text


IN_ONE_ORDER = """# about this file
mapping: m-1
target: {system: new, object: o, key: k}  # kept
sources:
  alpha:
    object: A
fields:
  f: {type: date, inactive: {%s}}
# the end"""


@settings(max_examples=20, deadline=None)
@example(IN_ONE_ORDER % "when: x, use: y", IN_ONE_ORDER % "use: y, when: x")
@given(mapping_files(several=True), mapping_files(several=True))
def test_a_workbook_written_into_another_file_says_there_what_it_said(text: str, other: str):
    """The hardest edit there is: every row and every map of one workbook put into the file of another mapping."""
    one, two = mapping_of(text), mapping_of(other)
    rows, maps = rows_of(one, YamlText(text, "m.yaml"))
    # a comment has no room in a file whose fields stand on one line: that is refused, and tested elsewhere
    assume("fields: {" not in other or not any("comment" in name for row in rows for name in row.cells))
    with tempfile.TemporaryDirectory() as folder:
        sheets = book_of(two, other, Path(folder))
        wanted = book_of(one, text, Path(folder))
        page = next(sheet for sheet in wanted if sheet.columns[0].startswith(ID))
        hidden = page.columns[0]
        known = {row[hidden] for sheet in sheets for row in sheet.rows if hidden in row}
        edited = [
            {name: cell for name, cell in row.items() if name != hidden or row[hidden] in known}
            for row in page.rows
        ]
        swapped = [
            Sheet(page.title, page.columns, tuple(edited), numbers=page.numbers)
            if sheet.columns and sheet.columns[0] == hidden
            else next(item for item in wanted if item.title == MAPS) if sheet.title == MAPS else sheet
            for sheet in sheets
        ]  # fmt: skip
        result = merged(two, other, swapped)
        again = mapping_of(result)
        assert rules_of(again) == rules_of(one)
        assert "# about this file" in result
        assert "# kept" in result
        assert "# the end" in result
        back = rows_of(again, YamlText(result, "m.yaml"))
        assert _lines(back[0]) == _lines(rows)
        assert back[1] == maps
