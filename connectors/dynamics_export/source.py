"""A Configuration Migration export as a source: tables are objects, and so is each many-to-many relationship.

Values are text exactly as the file has them; casting is the mapping's work. What casts must expect:

* date and time: `2024-06-15T14:30:00.0000000Z` (ISO with seven digits, UTC) is what the tool writes now. Real files also
  carry, even mixed in one file: `2024-06-15T14:30:00Z`, `2024-06-15T14:30:00` and `2024-06-15 14:30:00` (no zone: UTC),
  `2024-06-15` (a day), `2024-06-15T14:30:00+08:00`, and culture forms of the machine that exported: `6/15/2024 2:30:00 PM`,
  `6/15/2024 2:30 PM`, `15/06/2024 14:30:00`, `15/06/2024 14:30`, `15.06.2024 14:30:00`, `2024/6/15 14:30:00`.
  Day and month cannot be told apart in `6/7/2024`: the mapping must say which.
* bool: `True`, `False`. Numbers: plain digits with '.', any number of decimals; never a thousands sign.
* options, states: the number as text. Multi-select: `1;2`. Look-ups: GUID, lower case.
"""

from __future__ import annotations

import base64
import binascii
import io
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from connectors.dynamics_export.batch import Chunk, Position
from connectors.dynamics_export.links import read_links
from connectors.dynamics_export.package import DATA, SCHEMA, Package, open_packages
from connectors.dynamics_export.pages import Pages, Stretch
from connectors.dynamics_export.records import read_records
from connectors.dynamics_export.regions import LINKS, RECORDS, Region, Regions, find_regions
from connectors.dynamics_export.schema import Layout, LinkPlan, merge_layouts, read_layout
from connectors.dynamics_export.spans import Spans
from migrator.core.connector import Page, SourceFacts
from migrator.core.document import did_you_mean
from migrator.core.errors import FatalError, MigratorError
from migrator.core.fingerprint import fingerprint
from migrator.core.schema import ObjectSchema


@dataclass(frozen=True, slots=True)
class _Opened:
    """One export with its data gone through."""

    package: Package
    data: Spans
    regions: Regions

    @property
    def file(self) -> str:
        return self.package.place + DATA


class DynamicsExport:
    """The exports at `path`: a zip, an unpacked folder, or a folder of several, which together are one source.

    The first read or count goes through data.xml once; after that, each object is read from where it stands.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._packages: list[Package] | None = None
        self._layout: Layout | None = None
        self._opened: list[_Opened] | None = None

    @property
    def facts(self) -> SourceFacts:
        """Several exports may overlap, and so may the two sides of a many-to-many relationship."""
        layout = self._layout_known()
        several = len(self._packages_known()) > 1 or any(len(sides) > 1 for sides in layout.links.values())
        return SourceFacts(copies_overlap=several, recency_fields=("modifiedon",), typed=True)

    def describe(self) -> Sequence[ObjectSchema]:
        """All tables in the order of the schema, then the many-to-many relationships."""
        return self._layout_known().objects

    def count(self, object_name: str) -> int | None:
        """Records of a table; None for links."""
        if object_name not in self._layout_known().entities:
            return None
        return sum(item.regions.records.get(object_name, 0) for item in self._data_known())

    def fingerprint(self, object_name: str) -> str:
        """Of the whole export: its zip's checksums, or its files' sizes and times."""
        return fingerprint(object_name, [item.fingerprint() for item in self._packages_known()])

    def read(self, object_name: str, *, cursor: str | None = None, page_rows: int = 50_000) -> Iterator[Page]:
        """Pages in the order of the file. A page ends early when its values grow beyond 64 MiB."""
        layout = self._layout_known()
        if object_name in layout.entities:
            stretches = self._record_stretches(object_name, layout)
        elif object_name in layout.links:
            stretches = self._link_stretches(layout.links[object_name])
        else:
            raise FatalError(
                f"{self._path.name}: there is no object {object_name!r} in this export",
                hint=did_you_mean(object_name, [item.name for item in layout.objects], noun="objects"),
            )
        return Pages(stretches, page_rows).read(cursor)

    def open_file(self, object_name: str, reference: str) -> BinaryIO:
        """The bytes of 'files/GUID.bin', or of a value that carries them itself as 'base64:…'."""
        if reference.startswith("base64:"):
            try:
                return io.BytesIO(base64.b64decode(reference[7:], validate=True))
            except (binascii.Error, ValueError) as error:
                raise FatalError(
                    f"{object_name}: the file inside the record is not valid base64: {error}"
                ) from error
        for package in self._packages_known():
            found = package.open_file(reference)
            if found is not None:
                return found
        raise FatalError(
            f"{self._path.name}: {object_name} names the file {reference!r}, which is not in the export",
            hint="export again with files included, or leave the field out of the mapping",
        )

    def close(self) -> None:
        """Release files; may be called twice."""
        with self._lock:
            for opened in self._opened or ():
                opened.data.close()
            for package in self._packages or ():
                package.close()
            self._packages = self._opened = None

    def _layout_known(self) -> Layout:
        with self._lock:
            if self._layout is None:
                found = [
                    (item.place + SCHEMA, read_layout(item.schema(), item.place + SCHEMA))
                    for item in self._packages_known()
                ]
                self._layout = merge_layouts(found)
            return self._layout

    def _packages_known(self) -> list[Package]:
        with self._lock:
            if self._packages is None:
                self._packages = open_packages(self._path)
            return self._packages

    def _data_known(self) -> list[_Opened]:
        with self._lock:
            if self._opened is None:
                layout = self._layout_known()
                self._opened = [_go_through(item, layout) for item in self._packages_known()]
            return self._opened

    def _record_stretches(self, name: str, layout: Layout) -> list[Stretch]:
        plan = layout.entities[name]

        def stretch(opened: _Opened, region: Region) -> Stretch:
            def chunks(start: Position) -> Iterator[Chunk]:
                blocks = opened.data.span(start.offset, region.end)
                return read_records(blocks, start, plan, opened.file)

            return Stretch(Position(region.start, region.line), chunks)

        return [
            stretch(opened, region)
            for opened in self._data_known()
            for region in opened.regions.of(name, RECORDS)
        ]

    def _link_stretches(self, sides: Sequence[LinkPlan]) -> list[Stretch]:
        def stretch(opened: _Opened, region: Region, side: LinkPlan) -> Stretch:
            def chunks(start: Position) -> Iterator[Chunk]:
                blocks = opened.data.span(region.start, region.end)
                at = Position(region.start, region.line)
                return read_links(blocks, at, side, opened.file, first=start.offset)

            return Stretch(Position(0, 0), chunks)

        return [
            stretch(opened, region, side)
            for opened in self._data_known()
            for side in sides
            for region in opened.regions.of(side.entity, LINKS)
        ]


def _go_through(package: Package, layout: Layout) -> _Opened:
    """Find all regions; raises `FatalError` for data that the schema does not know, since nobody would ever read it."""
    data = package.data()
    try:
        regions = find_regions(data.blocks(), package.place + DATA)
        _check_known(regions, layout, package.place + DATA)
    except MigratorError:
        data.close()
        raise
    return _Opened(package, data, regions)


def _check_known(regions: Regions, layout: Layout, file: str) -> None:
    for entity in regions.entities:
        if entity not in layout.entities:
            raise FatalError(
                f"{file}: holds the entity {entity!r}, which {SCHEMA} does not declare",
                hint=did_you_mean(entity, list(layout.entities), noun="entities")
                or f"export again, or unpack the export and add the entity to {SCHEMA}",
            )
    sides = [side for group in layout.links.values() for side in group]
    for entity, names in regions.relationships.items():
        declared = frozenset().union(*(side.names for side in sides if side.entity == entity))
        for name in sorted(names):
            if name.lower() not in declared:
                raise FatalError(
                    f"{file}: entity {entity!r} has links of the relationship {name!r}, which {SCHEMA} "
                    "does not declare",
                    hint=f"export again, or unpack the export and add the relationship to {SCHEMA}",
                )
