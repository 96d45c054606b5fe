"""A weekly or monthly Salesforce Data Export as a source: zips or an unpacked folder, read in a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO

import pyarrow as pa

from connectors.files.csv_reader import CsvReader
from connectors.files.detection import Detection, Sample, detect, take_sample
from connectors.files.dialect import Dialect
from connectors.files.found import Finder, FoundFile, shown
from connectors.files.merged import as_text, merge_fields, read_parts
from connectors.files.settings import TEXT_SETTINGS, Checker, TextSettings
from connectors.files.text_file import TextFile
from connectors.salesforce_export.binaries import Binaries, belonging
from connectors.salesforce_export.ids import (
    are_ids,
    canonical_ids,
    canonical_known,
    holds_ids,
    is_custom,
    prefixes,
)
from connectors.salesforce_export.standard_fields import field_schema, label_of
from migrator.core.connector import Page, SourceFacts
from migrator.core.document import did_you_mean
from migrator.core.errors import FatalError
from migrator.core.fingerprint import fingerprint
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

READER_VERSION = 2
"""Raise it when the same export would be read differently: extracts made before are then not taken for current."""

SETTINGS = {
    "path": "one export zip, a folder of them, a glob, or the folder they were unpacked to",
    **TEXT_SETTINGS,
}

DIALECT = Dialect(",", '"', header=True, null_quoted=True)
"""Every field is quoted and every null is \"\": a weekly export cannot tell null from empty."""

_SCAN_BYTES = 4 << 20
_ENOUGH = 64 << 10
_GLIMPSE = 1_000
"""Records at the head of each part by which custom look-ups are told."""


@dataclass
class _Contents:
    """What lies in an export."""

    parts: dict[str, list[FoundFile]] = field(default_factory=dict)
    binaries: dict[str, Binaries] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)


class SalesforceExport:
    """Objects of an export by API name; nothing is opened before the first question."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Raises `ProjectError` for wrong settings."""
        check = Checker(settings, SETTINGS)
        self._path = check.path()
        self._text: TextSettings = check.text_settings()
        check.finish()
        self._finder = Finder()
        self._found: _Contents | None = None
        self._encoding: Detection | None = None
        self._readers: dict[str, list[CsvReader]] = {}
        self._known: frozenset[str] | None = None
        self._lookups: dict[str, tuple[str, ...]] = {}

    @property
    def facts(self) -> SourceFacts:
        """Parts of an export may repeat records."""
        return SourceFacts(copies_overlap=True, recency_fields=("SystemModstamp", "LastModifiedDate"))

    def object_names(self) -> list[str]:
        """API names of all objects, without reading their files."""
        return list(self._contents().parts)

    def columns(self, object_name: str) -> list[str]:
        """Names of the columns that an object has in any of its parts."""
        return [item.name for item in merge_fields(self._parts(object_name)).fields]

    def describe(self) -> Sequence[ObjectSchema]:
        """All objects by name; types come from a table of standard fields, custom fields are text."""
        return [self._schema(name) for name in self._contents().parts]

    def count(self, object_name: str) -> int | None:
        """Not known without reading."""
        self._files(object_name)
        return None

    def fingerprint(self, object_name: str) -> str:
        """Of sizes and checksums of the object's members (of sizes and times where unpacked), and of the settings."""
        binaries = self._contents().binaries.get(object_name)
        stamps = sorted((item.name, *item.stamp) for item in self._files(object_name))
        bodies = sorted((item.name, *item.stamp) for item in binaries.files.values()) if binaries else []
        lookups = self._custom_lookups(object_name)
        known = sorted(self._prefixes()) if lookups else []
        return fingerprint(READER_VERSION, stamps, bodies, repr(self._text), lookups, known)

    def notes(self, object_name: str) -> Sequence[str]:
        """What was found out or changed in order to read an object, in words; '' names the export as a whole."""
        contents = self._contents()
        if not object_name:
            lonely = [name for name in contents.binaries if name not in contents.parts]
            return [
                f"encoding {self.encoding()}",
                *([f"not read: {shown(contents.ignored)}"] if contents.ignored else []),
                *(f"there are files of {name}, but no {name}.csv that says what they are" for name in lonely),
            ]
        readers = self._parts(object_name)
        told = [f"{item.place}: {note}" for item in readers for note in item.form().layout.header.notes]
        binaries = contents.binaries.get(object_name)
        lookups = self._custom_lookups(object_name)
        if lookups:
            told.append(
                f"ids of 15 characters get their checksum in the custom look-ups {', '.join(lookups)}"
            )
        return [*told, *merge_fields(readers).notes, *(binaries.notes() if binaries else ())]

    def read(self, object_name: str, *, cursor: str | None = None, page_rows: int = 50_000) -> Iterator[Page]:
        """Pages of an object over all its parts; ids canonical, every other value as it stands."""
        fields = self._schema(object_name).fields
        finish = partial(
            _finish,
            binaries=self._contents().binaries.get(object_name),
            fields=fields,
            lookups=self._custom_lookups(object_name),
            known=self._prefixes(),
        )
        yield from read_parts(
            self._parts(object_name), as_text(fields), cursor=cursor, page_rows=page_rows, finish=finish
        )

    def open_file(self, object_name: str, reference: str) -> BinaryIO:
        """The bytes of a binary member; raises `FatalError` when it is not there."""
        binaries = self._contents().binaries.get(object_name)
        file = binaries.named(reference) if binaries else None
        if file is not None:
            return file.open()
        raise FatalError(
            f"{object_name}: the export has no file {reference!r}", hint="extract the object anew"
        )

    def close(self) -> None:
        """Release the zips; may be called twice."""
        self._finder.close()
        self._found = None
        self._readers.clear()
        self._lookups.clear()
        self._known = None

    def encoding(self) -> Detection:
        """The encoding of the whole export, chosen by whoever ordered it; found out from all its objects together."""
        if self._encoding is None:
            declared = self._text.encoding
            self._encoding = (
                Detection(declared, 1.0, "as set") if declared else detect(self._sample(), self._path)
            )
        return self._encoding

    def _sample(self) -> Sample:
        sample = Sample(b"", b"", complete=True)
        for files in self._contents().parts.values():
            for file in files:
                with file.open() as stream:
                    sample += take_sample(stream, scan_bytes=_SCAN_BYTES)
                if len(sample.telling) >= _ENOUGH:
                    return sample
        return sample

    def _contents(self) -> _Contents:
        if self._found is None:
            found = _sorted_out(self._finder.find(self._path))
            if not found.parts:
                raise FatalError(
                    f"{self._path}: there is no CSV file here, so this is no Data Export: {shown(found.ignored)}",
                    hint="name the zip (WE_…_1.ZIP), a folder of them, or the folder they were unpacked to",
                )
            self._found = found
        return self._found

    def _files(self, object_name: str) -> list[FoundFile]:
        parts = self._contents().parts
        if object_name not in parts:
            raise FatalError(
                f"the export has no object {object_name!r}",
                hint=did_you_mean(object_name, parts, noun="objects"),
            )
        return parts[object_name]

    def _parts(self, object_name: str) -> list[CsvReader]:
        if object_name not in self._readers:
            encoding, text = self.encoding().encoding, self._text
            self._readers[object_name] = [
                CsvReader(
                    TextFile(file.name, file.open, encoding, text.undecodable),
                    dialect=DIALECT,
                    zero_bytes=text.zero_bytes,
                )
                for file in self._files(object_name)
            ]
        return self._readers[object_name]

    def _head(self, object_name: str) -> Iterator[pa.Table]:
        """The first records of each part of an object."""
        for reader in self._parts(object_name):
            page = next(iter(reader.pages(skip=0, page_rows=_GLIMPSE)), None)
            if page is not None:
                yield page.rows

    def _prefixes(self) -> frozenset[str]:
        """What the ids of this export's objects begin with, by the head of each object."""
        if self._known is None:
            self._known = frozenset().union(
                *(
                    prefixes(rows.column("Id"))
                    for name in self._contents().parts
                    for rows in self._head(name)
                    if "Id" in rows.column_names
                )
            )
        return self._known

    def _custom_lookups(self, object_name: str) -> tuple[str, ...]:
        """Custom fields that hold ids of this export's objects, by the head of each part; others stay as they are."""
        if object_name not in self._lookups:
            wanted = [name for name in self.columns(object_name) if is_custom(name)]
            heads = list(self._head(object_name)) if wanted else []
            found = []
            for name in wanted:
                chunks = [
                    chunk for rows in heads if name in rows.column_names for chunk in rows.column(name).chunks
                ]
                if are_ids(pa.chunked_array(chunks, pa.string()), self._prefixes()):
                    found.append(name)
            self._lookups[object_name] = tuple(found)
        return self._lookups[object_name]

    def _schema(self, object_name: str) -> ObjectSchema:
        names = self.columns(object_name)
        exported = self._contents().parts
        fields = [field_schema(object_name, name, exported) for name in names]
        binaries = self._contents().binaries.get(object_name)
        if binaries is not None:
            fields.append(
                FieldSchema(_free_name(binaries.column, names), FieldType.FILE, label=binaries.column)
            )
        key = "Id" if "Id" in names else ""
        return ObjectSchema(object_name, key, tuple(fields), label=label_of(object_name))


def _free_name(wanted: str, names: Sequence[str]) -> str:
    """The CSV may have a column of that name; both are kept."""
    taken = {name.casefold() for name in names}
    return wanted if wanted.casefold() not in taken else f"{wanted}_file"


def _sorted_out(files: Sequence[FoundFile]) -> _Contents:
    found = _Contents()
    objects: dict[str, list[FoundFile]] = {}
    for file in files:
        place = belonging(file)
        if place is not None:
            binaries = found.binaries.setdefault(place.object, Binaries(place.object, place.column))
            binaries.add(place.id15, file)
        elif file.suffix == ".csv":
            objects.setdefault(file.stem, []).append(file)
        else:
            found.ignored.append(file.name)
    found.parts = dict(sorted(objects.items()))
    return found


def _finish(
    rows: pa.Table,
    *,
    binaries: Binaries | None,
    fields: Sequence[FieldSchema],
    lookups: Sequence[str],
    known: frozenset[str],
) -> pa.Table:
    """Make ids canonical, and name the binary member of each record."""
    for position, item in enumerate(fields):
        if item.type is FieldType.FILE and binaries is not None and "Id" in rows.column_names:
            rows = rows.set_column(position, item.name, binaries.references(rows.column("Id")))
        elif holds_ids(item.name):
            rows = rows.set_column(position, item.name, canonical_ids(rows.column(position)))
        elif item.name in lookups:
            rows = rows.set_column(position, item.name, canonical_known(rows.column(position), known))
    return rows
