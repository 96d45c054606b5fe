"""Records out of XML element by element: every layout, party lists, comments, and whatever a record carries besides.

Nothing that stands in a record is dropped: what has no column of its own goes into `undeclared_fields` as JSON, and a
record that cannot be understood without guessing becomes a reject with its text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import pyarrow as pa

from connectors.dynamics_export.batch import Batch, Piece, finish, place_of_line
from connectors.dynamics_export.parties import bare
from connectors.dynamics_export.regions import refuse_declarations
from connectors.dynamics_export.schema import UNDECLARED, EntityPlan, FieldPlan
from migrator.core.connector import Reject
from migrator.core.errors import FatalError

PREFIX = b"<records>"


@dataclass(slots=True)
class _Element:
    """An element with its attributes, its text and its children, until the record it belongs to is laid out."""

    tag: str
    attributes: dict[str, str]
    children: list[_Element] = field(default_factory=list)
    text: str = ""


@dataclass(frozen=True, slots=True)
class _Record:
    element: _Element
    start: int
    line: int


class CarefulReader:
    """Reads pieces of one region in order; a comment may begin in one piece and end in the next."""

    def __init__(self, plan: EntityPlan, file: str, first: Piece) -> None:
        self._plan = plan
        self._file = file
        self._offset = first.begin.offset - len(PREFIX)
        self._line = first.begin.line
        self._open: list[_Element] = []
        self._started = (0, 0)
        self._done: list[_Record] = []
        self._parser = expat.ParserCreate("utf-8")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._starts
        self._parser.EndElementHandler = self._ends
        self._parser.CharacterDataHandler = self._text
        refuse_declarations(self._parser, file)
        self._parser.Parse(PREFIX, False)
        self._data = b""
        self._base = len(PREFIX)
        self._counted = 0

    def read(self, data: bytes) -> Batch:
        """The records that end in this piece; its well-formedness was proven before."""
        self._data, self._counted = data, 0
        self._parser.Parse(data, False)
        records, self._done = self._done, []
        self._count_lines(len(data))
        self._base += len(data)
        return self._batch(records)

    def _count_lines(self, until: int) -> int:
        """The line of a place in the piece at hand; only line feeds count, as in the swift way and in editors."""
        self._line += self._data.count(b"\n", self._counted, until)
        self._counted = max(until, self._counted)
        return self._line

    def _starts(self, tag: str, attributes: dict[str, str]) -> None:
        element = _Element(tag, attributes)
        match len(self._open):
            case 0:
                pass
            case 1:
                if tag != "record":
                    raise FatalError(
                        f"{self._here()}: <{tag}> stands where only <record> may",
                        hint="this is not the layout of a Configuration Migration export",
                    )
                byte = self._parser.CurrentByteIndex
                self._started = (byte, self._count_lines(byte - self._base))
            case _:
                self._open[-1].children.append(element)
        self._open.append(element)

    def _ends(self, tag: str) -> None:
        del tag
        element = self._open.pop()
        if len(self._open) == 1:
            byte, line = self._started
            self._done.append(_Record(element, self._offset + byte, line))

    def _text(self, text: str) -> None:
        if len(self._open) > 1:
            self._open[-1].text += text
        elif text.strip():
            raise FatalError(
                f"{self._here()}: the text {text.strip()[:40]!r} stands between records",
                hint="this is not the layout of a Configuration Migration export",
            )

    def _here(self) -> str:
        return f"{self._file}:{self._count_lines(self._parser.CurrentByteIndex - self._base)}"

    def _batch(self, records: list[_Record]) -> Batch:
        kept: list[_Record] = []
        laid: list[dict[str, str]] = []
        rejects: list[tuple[int, Reject]] = []
        for record in records:
            cells = _lay_out(record.element, self._plan)
            if isinstance(cells, dict):
                kept.append(record)
                laid.append(cells)
            else:
                rule, message = cells
                place = place_of_line(self._file, record.line, record.start)
                rejects.append((record.start, Reject(place, rule, message, _written(record.element))))
        columns = {name: _column(name, laid) for name in self._plan.columns}
        ids = pa.array([item.element.attributes.get("id") for item in kept], pa.string())
        return Batch(
            finish(columns, ids, self._plan),
            np.array([item.start for item in kept], np.int64),
            np.array([item.line for item in kept], np.int64),
            tuple(rejects),
        )


def read_careful(piece: Piece, plan: EntityPlan, file: str) -> Batch:
    """The records of one piece that holds whole records only."""
    return CarefulReader(plan, file, piece).read(piece.data)


def _column(name: str, rows: list[dict[str, str]]) -> pa.Array:
    return pa.array([row.get(name) for row in rows], pa.string())


def _lay_out(record: _Element, plan: EntityPlan) -> dict[str, str] | tuple[str, str]:
    """Column → raw value of one record, or the rule and the message it is rejected with."""
    cells: dict[str, str] = {}
    extra: dict[str, object] = {}
    seen: set[str] = set()
    if record.text.strip():
        extra["record#text"] = record.text.strip()
    for child in record.children:
        name = child.attributes.get("name")
        if child.tag != "field":
            return "xml.element-unknown", f"<{child.tag}> stands in a record where only <field> may"
        if not name:
            return "xml.field-unnamed", "a field has no name"
        if name in seen:
            return (
                "xml.field-twice",
                f"the field {name!r} stands twice, and only one of the two could be kept",
            )
        seen.add(name)
        declared = plan.fields.get(name)
        if declared is None:
            extra[name] = _plain(child)
        else:
            _lay_out_field(child, declared, cells, extra)
    for name, value in record.attributes.items():
        if name != "id":
            extra[f"record@{name}"] = value
    own, key = record.attributes.get("id"), cells.get(plan.key)
    if own is None and key is None:
        return "xml.no-id", f"the record has neither an id nor the field {plan.key!r}"
    if own is not None and key is not None and bare(own) != bare(key):
        extra["record@id"] = own
    if extra:
        cells[UNDECLARED] = json.dumps(extra, ensure_ascii=False)
    return cells


def _lay_out_field(
    element: _Element, declared: FieldPlan, cells: dict[str, str], extra: dict[str, object]
) -> None:
    name = declared.name
    columns = {
        "value": name,
        "lookupentity": declared.type_column,
        "lookupentityname": declared.name_column,
        "filename": declared.file_column,
    }
    for attribute, value in element.attributes.items():
        column = columns.get(attribute, "")
        if column:
            cells[column] = value
        elif attribute != "name" and (attribute, value) != ("lookupentity", declared.only_target):
            extra[f"{name}@{attribute}"] = value
    if "value" not in element.attributes and element.text:
        cells[name] = element.text
    elif element.text.strip():
        extra[f"{name}#text"] = element.text
    if element.children or (declared.parties and cells.get(name) == ""):
        _lay_out_parties(element, name, cells, extra)


def _lay_out_parties(element: _Element, name: str, cells: dict[str, str], extra: dict[str, object]) -> None:
    parties = [_party(item) for item in element.children]
    if cells.get(name):
        extra[f"{name}#parties"] = parties
    else:
        cells[name] = json.dumps(parties, ensure_ascii=False)


def _party(element: _Element) -> dict[str, object]:
    """One party: its own attributes and its fields, named as columns are."""
    party: dict[str, object] = {
        name: bare(value) if name == "id" else value for name, value in element.attributes.items()
    }
    if element.tag != "activitypointerrecords":
        party["#element"] = element.tag
    for child in element.children:
        name = child.attributes.get("name", child.tag)
        if name in party:
            party.setdefault("#more", []).append(_plain(child))  # type: ignore[attr-defined]  # a list, just made
            continue
        for attribute, value in child.attributes.items():
            match attribute:
                case "name":
                    continue
                case "value":
                    party[name] = bare(value) if name.endswith("id") else value
                case "lookupentity":
                    party[f"{name}__type"] = value
                case "lookupentityname":
                    party[f"{name}__name"] = value
                case _:
                    party[f"{name}@{attribute}"] = value
        if "value" not in child.attributes:
            party[name] = child.text or None
    return party


def _plain(element: _Element) -> object:
    """A field nobody declared: its value if that is all there is, else all of it."""
    rest = {name: value for name, value in element.attributes.items() if name != "name"}
    if element.children or element.text.strip() or set(rest) != {"value"}:
        return {
            **rest,
            **({"#text": element.text} if element.text.strip() else {}),
            **({"#parties": [_party(item) for item in element.children]} if element.children else {}),
        }
    return rest["value"]


def _written(element: _Element) -> str:
    """The element as XML again."""
    attributes = "".join(
        f" {name}={quoteattr(value, {chr(10): '&#10;', chr(13): '&#13;', chr(9): '&#9;'})}"
        for name, value in element.attributes.items()
    )
    inner = escape(element.text) + "".join(_written(item) for item in element.children)
    return f"<{element.tag}{attributes}>{inner}</{element.tag}>" if inner else f"<{element.tag}{attributes}/>"
