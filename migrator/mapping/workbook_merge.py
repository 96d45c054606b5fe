"""An edited workbook laid over the YAML it was made from: what changed in it is changed there, and nothing else."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from migrator.core.document import Document, TreePath, did_you_mean
from migrator.core.errors import Location, Problem, ProjectError
from migrator.mapping.parse import ObjectMapping
from migrator.mapping.workbook_book import EXPORTED, ID, MAP_COLUMNS, MAPS, digest, map_digest, row_id
from migrator.mapping.workbook_cells import (
    INPUTS,
    MAP,
    OWN,
    PARTS,
    REVIEW,
    Cells,
    Entries,
    Layer,
    Row,
    Rule,
    layers,
    read,
    rows_of,
    rules_from,
    rules_of,
    written,
)
from migrator.mapping.workbook_sheets import Sheet, place
from migrator.mapping.workbook_yaml import YamlText

Digests = Mapping[str, Mapping[str, str]]
"""Row (or value map) → column → digest of the cell as exported."""
_AGAIN = "make a new workbook (migrator map to-xlsx) and change it there, or change the YAML"


@dataclass(frozen=True, slots=True)
class Merged:
    """What a workbook makes of one mapping file."""

    text: str
    cells: Mapping[TreePath, Location]
    """Where in the workbook a part of the file comes from."""


@dataclass(slots=True)
class _Book:
    """A workbook as read, its maps taken apart."""

    file: str
    pages: dict[str, Sheet]
    """Mapping → its sheet."""
    exported: Digests
    maps: dict[str, Entries]
    map_places: dict[str, dict[str, Location]]
    problems: list[Problem] = field(default_factory=list)


def merge(
    file: str, sheets: Sequence[Sheet], mappings: Sequence[ObjectMapping], texts: Mapping[str, YamlText]
) -> dict[str, Merged]:
    """Mapping → its file with the workbook's changes; mappings without a sheet are left out.

    Raises `ProjectError` with every cell that cannot be read, names what is not there, or was changed in the YAML too
    since the workbook was made.
    """
    book = _open(file, sheets)
    known = {item.name: item for item in mappings}
    found: dict[str, Merged] = {}
    for name, sheet in book.pages.items():
        if name in known:
            merged = _Page(book, sheet, known[name], texts[name]).merge()
            if merged is not None:
                found[name] = merged
        else:
            hint = did_you_mean(name, known, noun="mappings")
            at = Location(f"{file}!{sheet.title}!A1")
            book.problems.append(Problem(at, f"there is no mapping {name!r}", hint))
    if book.problems:
        raise ProjectError(book.problems)
    return found


def _open(file: str, sheets: Sequence[Sheet]) -> _Book:
    exported = next((sheet for sheet in sheets if sheet.title == EXPORTED), None)
    if exported is None:
        words = f"the hidden sheet {EXPORTED!r} is missing: nobody can tell what was changed"
        raise ProjectError.at(
            file, words, "edit a workbook that migrator map to-xlsx made, and keep all its sheets"
        )
    book = _Book(file, {}, _exported(file, exported), {}, {})
    for sheet in sheets:
        name = next((column.removeprefix(ID) for column in sheet.columns if column.startswith(ID)), None)
        if name is not None:
            _add_page(book, sheet, name)
        elif sheet.title == MAPS:
            _add_maps(book, sheet)
    return book


def _add_page(book: _Book, sheet: Sheet, name: str) -> None:
    if name in book.pages:
        at = Location(f"{book.file}!{sheet.title}!A1")
        book.problems.append(Problem(at, f"a second sheet is about {name!r}", "delete one"))
    book.pages[name] = sheet


def _exported(file: str, sheet: Sheet) -> Digests:
    try:
        found = {row["id"]: json.loads(row["digests"]) for row in sheet.rows}
        if all(isinstance(item, dict) for item in found.values()):
            return found
    except (KeyError, ValueError) as error:
        raise ProjectError.at(f"{file}!{sheet.title}", f"this sheet was changed: {error}", _AGAIN) from error
    raise ProjectError.at(f"{file}!{sheet.title}", "this sheet was changed", _AGAIN)


def _add_maps(book: _Book, sheet: Sheet) -> None:
    named, old, new = MAP_COLUMNS
    missing = [name for name in MAP_COLUMNS if name not in sheet.columns]
    if missing:
        at = Location(f"{book.file}!{sheet.title}!1")
        book.problems.append(Problem(at, f"the column {missing[0]!r} is missing", "name it so again"))
        return
    for number, row in zip(sheet.numbers, sheet.rows, strict=True):
        at = place(book.file, sheet, named if named not in row else old, number)
        try:
            name = read(row.get(named, ""), at) or ""
            if not name:
                raise ProjectError.at(at, "this row names no value map")
            entries = book.maps.setdefault(name, {})
            if old not in row and new not in row:
                continue
            key = read(row[old], at) if old in row else None
            if key is None:
                raise ProjectError.at(at, "an old value is missing", 'write "" for the empty text')
            if key in entries:
                raise ProjectError.at(at, f"the old value {key!r} stands twice in this map", "keep one")
            entries[key] = read(row[new], place(book.file, sheet, new, number)) if new in row else None
            book.map_places.setdefault(name, {})[key] = place(book.file, sheet, new, number)
        except ProjectError as error:
            book.problems.extend(error.problems)


@dataclass(frozen=True, slots=True)
class _Line:
    """One row of a sheet, and where it stands."""

    row: Row
    id: str
    number: int


class _Page:
    """One sheet over one mapping."""

    def __init__(self, book: _Book, sheet: Sheet, mapping: ObjectMapping, text: YamlText) -> None:
        self.book, self.sheet, self.mapping, self.text = book, sheet, mapping, text
        rows, self.maps = rows_of(mapping, text)
        self.now = {row_id(mapping.name, row.name): row for row in rows}
        self.rules = rules_of(mapping)
        self.layers = layers(mapping)
        self.cells: dict[TreePath, Location] = {}

    def merge(self) -> Merged | None:
        """The file as it becomes; None when there are problems, which are noted in the book."""
        before = len(self.book.problems)
        lines = self._lines()
        self._check_header(lines)
        self._check_gone({line.id for line in lines if line.id})
        merged: dict[str, _Line] = {}
        for line in lines:
            found = self._merged(line)
            if found is not None and found.row.name in merged:
                self._problem(line, "field", f"the field {found.row.name!r} stands here twice", "rename one")
            elif found is not None:
                merged[found.row.name] = found
        new = self._rules(merged)
        if len(self.book.problems) > before:
            return None
        self._edit(new, merged)
        return self._checked(new)

    def _problem(self, line: _Line, column: str, message: str, hint: str = "") -> None:
        self.book.problems.append(Problem(self._at(line.number, column), message, hint))

    def _at(self, number: int, column: str) -> Location:
        return place(self.book.file, self.sheet, column, number)

    def _lines(self) -> list[_Line]:
        known = {"field", *OWN, *REVIEW, *(layer.column(part) for layer in self.layers for part in PARTS)}
        hidden = f"{ID}{self.mapping.name}"
        lines = []
        for number, record in zip(self.sheet.numbers, self.sheet.rows, strict=True):
            cells = {name: text for name, text in record.items() if name in known and name != "field"}
            line = _Line(Row("", cells), record.get(hidden, ""), number)
            if not cells and "field" not in record and not line.id:
                continue
            at = place(self.book.file, self.sheet, "field", number)
            try:
                name = read(record.get("field", ""), at)
            except ProjectError as error:
                self.book.problems.extend(error.problems)
                continue
            if not name:
                self._problem(line, "field", "this row names no field", "delete the row to remove the field")
            else:
                lines.append(replace(line, row=Row(name, cells)))
        return lines

    def _check_header(self, lines: Sequence[_Line]) -> None:
        """Each column that was exported must be there still: one that was renamed would take its changes with it."""
        exported = (self.book.exported.get(line.id, {}) for line in lines)
        columns = dict.fromkeys(["field", *(column for item in exported for column in item)])
        for column in columns:
            if column not in self.sheet.columns:
                at = Location(f"{self.book.file}!{self.sheet.title}!1")
                self.book.problems.append(
                    Problem(at, f"the column {column!r} is missing", "name it so again")
                )

    def _check_gone(self, there: set[str]) -> None:
        """Refuse to remove a field that was changed in the YAML after its row was deleted here."""
        for name, row in self.now.items():
            exported = name in self.book.exported
            if exported and name not in there and not self._same_as_exported(row, name):
                at = Location(f"{self.book.file}!{self.sheet.title}")
                words = f"the row of {row.name!r} was deleted here, and the field changed in the YAML"
                self.book.problems.append(Problem(at, words, _AGAIN))

    def _same_as_exported(self, row: Row, name: str) -> bool:
        digests = self.book.exported.get(name, {})
        return {column: digest(text) for column, text in row.cells.items()} == digests

    def _merged(self, line: _Line) -> _Line | None:
        """The row as it becomes: cells changed here from here, the others from the YAML."""
        if not line.id:
            if any(row.name == line.row.name for row in self.now.values()):
                self._problem(line, "field", f"the field {line.row.name!r} is there already", "edit its row")
            return line
        now, exported = self.now.get(line.id), self.book.exported.get(line.id)
        if exported is None:
            self._problem(line, "field", "the hidden id of this row is not one that was exported", _AGAIN)
            return None
        if now is None:
            if {column: digest(text) for column, text in line.row.cells.items()} != exported:
                words = f"the field {line.row.name!r} was changed here, and removed in the YAML"
                self._problem(line, "field", words, _AGAIN)
            return None
        cells: Cells = {}
        for column in dict.fromkeys([*now.cells, *line.row.cells]):
            if column not in self.sheet.columns:
                chosen = now.cells.get(column, "")
            else:
                chosen = self._cell(line, column, now.cells.get(column, ""), exported.get(column))
            if chosen:
                cells[column] = chosen
        return replace(line, row=Row(line.row.name, cells))

    def _cell(self, line: _Line, column: str, now: str, exported: str | None) -> str:
        here = line.row.cells.get(column, "")
        if (digest(here) if here else None) == exported:
            return now
        if here != now and (digest(now) if now else None) != exported:
            words = f"{column} was changed here, and in the YAML to: {now[:60]!r}"
            self._problem(line, column, words, _AGAIN)
        return here

    def _rules(self, lines: Mapping[str, _Line]) -> dict[str, dict[str, Rule]]:
        """Layer → field → rule, as the file becomes; fields that are in the YAML only are kept."""
        new: dict[str, dict[str, Rule]] = {layer.name: {} for layer in self.layers}
        maps = self._maps()
        for line in lines.values():
            first = self._first(line)
            at = partial(self._at, line.number)
            try:
                found = rules_from(line.row, self.layers, first, maps, at)
            except ProjectError as error:
                self.book.problems.extend(error.problems)
                continue
            for layer in self.layers:
                if layer.name in found:
                    new[layer.name][line.row.name] = found[layer.name]
            self._remember(line, found, at("field"))
        listed = {line.id for line in lines.values()}
        for name, row in self.now.items():
            if name not in listed and name not in self.book.exported:
                for layer_name, rules in self.rules.items():
                    if row.name in rules:
                        new[layer_name][row.name] = rules[row.name]
        return new

    def _first(self, line: _Line) -> str:
        """The layer that carries the review of a row: the first that says anything of the field."""
        filled = (
            layer.name
            for layer in self.layers
            if any(line.row.cells.get(layer.column(part)) for part in PARTS)
            or (not layer.name and any(line.row.cells.get(key) for key in OWN))
        )
        return next(filled, "")

    def _maps(self) -> dict[str, Entries]:
        """Value maps by name: those changed here from here, the others from the YAML."""
        maps = dict(self.book.maps)
        for name, now in self.maps.items():
            exported = self.book.exported.get(f"{MAPS}/{written(name)}", {}).get("entries")
            here = maps.get(name, {})
            if exported is None or map_digest(here) == exported:
                maps[name] = now
            elif here != now and map_digest(now) != exported:
                at = Location(f"{self.book.file}!{MAPS}")
                words = f"the value map {name!r} was changed here, and in the YAML"
                self.book.problems.append(Problem(at, words, _AGAIN))
        return maps

    def _remember(self, line: _Line, rules: Mapping[str, Rule], at: Location) -> None:
        """Note which cell each part of the rules comes from."""
        for layer in self.layers:
            rule = rules.get(layer.name)
            if rule is None:
                continue
            path = (*layer.path, line.row.name)
            self.cells[path] = at
            for key in rule:
                column = _column(layer, key, line.row.cells)
                self.cells[*path, key] = self._at(line.number, column)
            cell = line.row.cells.get(layer.column("values"), "")
            name = read(cell.removeprefix(MAP).strip(), at) if cell.startswith(MAP) else None
            for old, there in self.book.map_places.get(name or "", {}).items():
                self.cells[*path, "values", old] = there
            for key in REVIEW:
                self.cells[*path, "review", key] = self._at(line.number, key)

    def _edit(self, new: Mapping[str, Mapping[str, Rule]], lines: Mapping[str, _Line]) -> None:
        renamed = {
            self.now[line.id].name: name
            for name, line in lines.items()
            if line.id in self.now and self.now[line.id].name != name
        }
        for layer in self.layers:
            old = self.rules[layer.name]
            column = layer.column("comment")
            remarks = {name: _remark(line.row.cells.get(column, "")) for name, line in lines.items()}
            if old != new[layer.name]:
                self.text.change(layer.path, old, new[layer.name], renamed=renamed, comments=remarks)
            back = {after: before for before, after in renamed.items()}
            for name in new[layer.name]:
                before = back.get(name, name)
                path = (*layer.path, before)
                there = before in old and name in lines
                if there and self.text.comment(path) != remarks[name]:
                    self.text.set_comment(path, remarks[name])

    def _checked(self, new: Mapping[str, Mapping[str, Rule]]) -> Merged | None:
        """The text, once it is sure that it says what it should."""
        text = self.text.result()
        found = replace(self.mapping, document=Document(text, self.text.file))
        if rules_of(found) != new:
            at = Location(f"{self.book.file}!{self.sheet.title}")
            words = f"these changes cannot be written into {self.text.file} without changing more than them"
            self.book.problems.append(Problem(at, words, "make them in the YAML"))
            return None
        return Merged(text, self.cells)


def _remark(text: str) -> str:
    if not text:
        return ""
    return " ".join((read(text, Location("comment")) or text).split("\n"))


def _column(layer: Layer, key: str, cells: Cells) -> str:
    """The column that a key of a rule is written in."""
    if key in INPUTS:
        return layer.column("source")
    if key in OWN and cells.get(key) and not layer.name:
        return key
    return layer.column("values") if key == "values" else layer.column("transform")


def pointed(problems: Sequence[Problem], merged: Mapping[str, Merged]) -> list[Problem]:
    """Problems of files with the place in the workbook that they come from; `merged` by the file as problems name it."""
    indexes = {file: _index(file, item) for file, item in merged.items()}
    return [_pointed(problem, indexes) for problem in problems]


_Index = tuple[list[tuple[int, int]], list[Location | None]]


def _pointed(problem: Problem, indexes: Mapping[str, _Index]) -> Problem:
    index = indexes.get(problem.location.file)
    if index is None:
        return problem
    marks, places = index
    at = bisect_right(marks, (problem.location.line, problem.location.column)) - 1
    found = places[at] if at >= 0 else None
    return replace(problem, location=found) if found is not None else problem


def _index(file: str, merged: Merged) -> _Index:
    document = Document(merged.text, file)
    found: dict[tuple[int, int], Location | None] = {}
    for path in _paths(document.texts()):
        cell = next(
            (merged.cells[path[:size]] for size in range(len(path), 0, -1) if path[:size] in merged.cells),
            None,
        )
        for place_of in (document.locate_key(path), document.locate(path)):
            found[place_of.line, place_of.column] = cell
    marks = sorted(found)
    return marks, [found[mark] for mark in marks]


def _paths(tree: object, path: TreePath = ()) -> Iterator[TreePath]:
    if path:
        yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, item in items:
        yield from _paths(item, (*path, key))
