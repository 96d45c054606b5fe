"""A folder of data files as a source: every file name is an object, several files may make one."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from connectors.files.csv_reader import CsvReader
from connectors.files.found import Finder, FoundFile, shown
from connectors.files.json_lines import JsonLinesReader
from connectors.files.merged import MergedFields, merge_fields, read_parts
from connectors.files.naming import key_of
from connectors.files.parquet import ParquetReader
from connectors.files.part import PartReader
from connectors.files.settings import PLACE, FileForm, FilesSettings, files_settings
from connectors.files.text_file import TextFile
from connectors.files.xlsx import SheetReader, sheet_names
from migrator.core.connector import Page, SourceFacts
from migrator.core.document import did_you_mean
from migrator.core.errors import FatalError, ProjectError
from migrator.core.fingerprint import fingerprint
from migrator.core.schema import FieldType, ObjectSchema

READER_VERSION = 2
"""Raise it when the same file would be read differently: extracts made before are then not taken for current."""

CSV_SUFFIXES = frozenset({".csv", ".tsv", ".tab"})
JSON_SUFFIXES = frozenset({".jsonl", ".ndjson", ".json"})
EXCEL_SUFFIXES = frozenset({".xlsx", ".xlsm"})
SUFFIXES = CSV_SUFFIXES | JSON_SUFFIXES | EXCEL_SUFFIXES | {".parquet"}


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of an object and the file it comes from."""

    file: FoundFile
    reader: PartReader


class FilesSource:
    """Objects found in files; nothing is opened before the first question.

    An object's key is the column that by its name must be it (see `naming.key_of`), else '': then a record is known by its row.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Raises `ProjectError` for wrong settings."""
        self._settings: FilesSettings = files_settings(settings)
        self._finder = Finder()
        self._objects: dict[str, list[Part]] | None = None
        self._merged: dict[str, MergedFields] = {}
        self._ignored: list[str] = []

    @property
    def facts(self) -> SourceFacts:
        """Files do not change under us, and every row is a record of its own."""
        return SourceFacts()

    def describe(self) -> Sequence[ObjectSchema]:
        """All objects by name."""
        return [self._schema(name) for name in self._parts()]

    def object_names(self) -> list[str]:
        """Names of all objects, without reading what is in them."""
        return list(self._parts())

    def count(self, object_name: str) -> int | None:
        """Known when every part of the object knows."""
        counts = [part.reader.count() for part in self._object(object_name)]
        return None if None in counts else sum(count or 0 for count in counts)

    def fingerprint(self, object_name: str) -> str:
        """Of the names, sizes and times (members of zips: checksums) of the object's files, and of the settings."""
        files = sorted(
            (part.file.name, part.reader.place, *part.file.stamp) for part in self._object(object_name)
        )
        settings = replace(self._settings, path="", objects={}, keys={})
        return fingerprint(READER_VERSION, files, repr(settings))

    def notes(self, object_name: str) -> Sequence[str]:
        """What was found out or changed in order to read an object, in words; '' names the source as a whole."""
        if not object_name:
            self._parts()
            return (
                [f"not read, because they are no data files: {shown(self._ignored)}"] if self._ignored else []
            )
        parts = self._object(object_name)
        told = [f"{part.reader.place}: {note}" for part in parts for note in part.reader.notes()]
        return [*told, *self._fields(object_name).notes]

    def read(self, object_name: str, *, cursor: str | None = None, page_rows: int = 50_000) -> Iterator[Page]:
        """Pages of an object, file by file in natural order of their names."""
        readers = [part.reader for part in self._object(object_name)]
        yield from read_parts(readers, self._fields(object_name).fields, cursor=cursor, page_rows=page_rows)

    def close(self) -> None:
        """Release zips and what was unpacked; may be called twice."""
        self._finder.close()
        self._objects = None
        self._merged.clear()

    def _parts(self) -> dict[str, list[Part]]:
        if self._objects is None:
            found: dict[str, list[Part]] = {}
            for file in self._finder.find(self._settings.path):
                for name, part in self._open(file):
                    found.setdefault(name, []).append(part)
            if not found:
                raise FatalError(
                    f"{self._settings.path}: none of the files here is data we read: {shown(self._ignored)}",
                    hint=f"known extensions: {', '.join(sorted(SUFFIXES))}",
                )
            self._refuse_unmatched(found)
            self._refuse_unknown(found)
            self._objects = dict(sorted(found.items()))
        return self._objects

    def _object(self, name: str) -> list[Part]:
        parts = self._parts()
        if name not in parts:
            raise FatalError(f"there is no object {name!r}", hint=did_you_mean(name, parts, noun="objects"))
        return parts[name]

    def _fields(self, name: str) -> MergedFields:
        if name not in self._merged:
            self._merged[name] = merge_fields([part.reader for part in self._object(name)])
        return self._merged[name]

    def _schema(self, name: str) -> ObjectSchema:
        fields = self._fields(name).fields
        key = self._key(name, [item.name for item in fields])
        typed = (
            replace(item, type=FieldType.ID) if item.name == key and item.type is FieldType.STRING else item
            for item in fields
        )
        return ObjectSchema(name, key, tuple(typed))

    def _key(self, object_name: str, columns: Sequence[str]) -> str:
        """As set, else by the columns' names."""
        declared = self._settings.keys.get(object_name)
        if declared and declared not in columns:
            hint = did_you_mean(declared, columns, noun="columns")
            raise ProjectError.at(
                PLACE, f"`keys.{object_name}`: {object_name} has no column {declared!r}", hint
            )
        return key_of(object_name, columns) if declared is None else declared

    def _form(self, file: FoundFile) -> FileForm:
        """How a file is written: as set for it, else as set for all."""
        for glob, form in self._settings.files.items():
            if any(fnmatch.fnmatchcase(path, glob) for path in _ways_to_name(file)):
                return form
        return self._settings.form

    def _named(self, file: FoundFile) -> str | None:
        """The object that `objects:` puts a file into."""
        for name, patterns in self._settings.objects.items():
            if any(fnmatch.fnmatchcase(path, glob) for glob in patterns for path in _ways_to_name(file)):
                return name
        return None

    def _refuse_unmatched(self, found: Mapping[str, Sequence[Part]]) -> None:
        for name in self._settings.objects:
            if name not in found:
                files = [part.file.name for parts in found.values() for part in parts]
                raise ProjectError.at(
                    PLACE, f"`objects.{name}` matches no file", f"files here: {shown(files)}"
                )

    def _refuse_unknown(self, found: Mapping[str, Sequence[Part]]) -> None:
        for name in self._settings.keys:
            if name not in found:
                hint = did_you_mean(name, found, noun="objects")
                raise ProjectError.at(PLACE, f"`keys.{name}`: there is no object {name!r}", hint)

    def _open(self, file: FoundFile) -> Iterator[tuple[str, Part]]:
        """The parts in a file, with the objects they belong to; files that are no data are remembered.

        A file of another extension is CSV when the user names it, as `path` or in `objects`.
        """
        named = self._named(file)
        name = named or file.stem
        if file.suffix in EXCEL_SUFFIXES:
            path = partial(self._finder.local, file)
            sheets = sheet_names(path(), file.name)
            for sheet in sheets:
                reader = SheetReader(f"{file.name}!{sheet}", path, sheet, self._form(file).dialect.header)
                yield (name if len(sheets) == 1 else f"{name}.{sheet}"), Part(file, reader)
        elif file.suffix in SUFFIXES or named or file.path == Path(self._settings.path).expanduser():
            yield name, Part(file, self._reader(file))
        else:
            self._ignored.append(file.name)

    def _reader(self, file: FoundFile) -> PartReader:
        if file.suffix == ".parquet":
            return ParquetReader(file.name, partial(self._finder.local, file))
        form = self._form(file)
        text = form.text
        content = TextFile(file.name, file.open, text.encoding, text.undecodable)
        if file.suffix in JSON_SUFFIXES:
            return JsonLinesReader(content, whole=file.suffix == ".json")
        return CsvReader(content, form.dialect, file.suffix, zero_bytes=text.zero_bytes)


def _ways_to_name(file: FoundFile) -> tuple[str, ...]:
    """A glob may speak of the whole name, or of the name inside its zip or folder."""
    inside = file.name.rpartition("!")[2]
    return (file.name, inside, inside.rpartition("/")[2])
