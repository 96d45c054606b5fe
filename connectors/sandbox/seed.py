"""Fills a store from a folder: one CSV or JSON Lines file per object, or the zips of an export, as they are."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeAlias

from connectors.sandbox.checks import Row, encoded_row
from connectors.sandbox.records import Store
from connectors.sandbox.violations import Violation
from migrator.core.errors import FatalError, Problem, ProjectError
from migrator.core.errors import Location as Place
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema, schemas_from_json

Raw: TypeAlias = Mapping[str, object]
_MOST_PROBLEMS = 50


@dataclass(frozen=True, slots=True)
class Seed:
    """The file of one object; `open` gives its bytes, as often as asked."""

    object_name: str
    shown: str
    open: Callable[[], IO[bytes]]
    of_export: bool = False
    """A member of an archive: parts of an export overlap."""

    def rows(self) -> Iterator[tuple[int, Raw]]:
        """Records with their line."""
        with closing(self.open()) as raw:
            text = io.TextIOWrapper(raw, "utf-8-sig", newline="")
            if self.shown.endswith(".csv"):
                reader = csv.DictReader(text)
                for row in reader:
                    yield reader.line_num, row
            else:
                for number, line in enumerate(text, 1):
                    if line.strip():
                        yield number, json.loads(line)


def seeds(folder: Path) -> list[Seed]:
    """The files of a folder by object name; raises `FatalError` when there is no such folder."""
    if not folder.is_dir():
        raise FatalError(f"{folder} is not a folder", hint="--data wants a folder of CSV or JSON Lines files")
    found: list[Seed] = []
    for path in sorted(folder.iterdir()):
        match path.suffix.lower():
            case ".csv" | ".jsonl":
                found.append(Seed(path.stem, path.name, lambda path=path: path.open("rb")))  # type: ignore[misc]
            case ".zip":
                found += _members(path)
            case _:
                continue
    return found


def _members(path: Path) -> Iterator[Seed]:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.lower().endswith(".csv")]
    for name in names:

        def opened(name: str = name) -> IO[bytes]:
            return io.BytesIO(zipfile.ZipFile(path).read(name))

        yield Seed(Path(name).stem, f"{path.name}!{name}", opened, of_export=True)


def read_schemas(folder: Path) -> tuple[ObjectSchema, ...]:
    """The schemas in `schema.json` of the folder, if there is one; raises `ProjectError`."""
    path = folder / "schema.json"
    if not path.exists():
        return ()
    try:
        return schemas_from_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ProjectError.at(
            str(path), str(error), "`migrator check` writes such files for the systems it reads"
        ) from error


def fill(store: Store, folder: Path, *, key: Callable[[str], str], raw: Callable[[Raw], Raw] = dict) -> int:
    """Load every file of `folder`; returns the number of records. All of it, or nothing.

    Objects and fields that the store does not know are made, as text; `key` names the id field of a new object.
    `raw` turns a row as it is written in the file into values. A record that stands in two files of an export is taken
    once. Raises `ProjectError` with every value that does not fit its field, and its place.
    """
    loading = _Loading(store, raw)
    for seed in seeds(folder):
        _widen(store, seed, key(seed.object_name))
    with store.transaction():
        found = sum(_loaded(store, seed, loading) for seed in seeds(folder))
        if loading.problems:
            raise ProjectError(loading.problems)
    return found


def _loaded(store: Store, seed: Seed, loading: _Loading) -> int:
    try:
        return store.load(seed.object_name, loading.records(seed))
    except Violation as error:  # an index holds: two records with one key
        raise ProjectError.at(seed.shown, f"{error.record}: {error.message}", "keys are unique") from error


@dataclass(slots=True)
class _Loading:
    """A folder on its way into a store."""

    store: Store
    raw: Callable[[Raw], Raw]
    problems: list[Problem] = field(default_factory=list)

    def records(self, seed: Seed) -> Iterator[tuple[str, Row]]:
        """Those of a file that fit and are not there yet; what does not fit becomes a problem."""
        shape = self.store.shape(seed.object_name)
        for line, written in seed.rows():
            try:
                row = encoded_row(shape, self.raw(written))
            except Violation as error:
                self._refuse(seed, line, f"{', '.join(error.fields)}: {error.message}")
                continue
            record = str(row.pop(shape.schema.key, None) or "")
            if record and self.store.version_of(seed.object_name, record) is not None:
                if not seed.of_export:
                    self._refuse(seed, line, f"the id {record} stands here for the second time")
                continue
            yield (
                record or self.store.fresh_id(seed.object_name),
                {name: value for name, value in row.items() if value is not None},
            )

    def _refuse(self, seed: Seed, line: int, message: str) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(Problem(Place(seed.shown, line), message))


def _widen(store: Store, seed: Seed, key: str) -> None:
    names: dict[str, None] = {}
    for number, (_, row) in enumerate(seed.rows()):
        names.update(dict.fromkeys(row))
        if seed.shown.endswith(".csv") or number > 1_000:
            break
    known = {item.name.casefold(): item for item in store.schemas()}
    schema = known.get(seed.object_name.casefold()) or ObjectSchema(seed.object_name, key, ())
    there = {item.name.casefold() for item in schema.fields}
    more = [FieldSchema(key, FieldType.ID)] if key.casefold() not in there else []
    more += [
        FieldSchema(name, FieldType.TEXT)
        for name in names
        if name.casefold() not in there and name.casefold() != key.casefold()
    ]
    if more:
        store.extend(ObjectSchema(schema.name, schema.key, (*schema.fields, *more), schema.label))
