"""Attachments, document bodies and file versions that lie beside the CSV files, found by the record id in their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from connectors.files.found import FoundFile

FOLDERS = {
    "attachments": ("Attachment", "Body"),
    "attachment": ("Attachment", "Body"),
    "contentversion": ("ContentVersion", "VersionData"),
    "contentversions": ("ContentVersion", "VersionData"),
    "documents": ("Document", "Body"),
    "document": ("Document", "Body"),
}
"""Folder in small letters → the object whose records its files belong to, and the field that holds them."""

_ID = re.compile(r"([A-Za-z0-9]{15})(?:[A-Za-z0-9]{3})?(?![A-Za-z0-9])")


@dataclass(frozen=True, slots=True)
class Belonging:
    """Where a file belongs: an object, its field, and the record's id without checksum; '' when the name has none."""

    object: str
    column: str
    id15: str


def belonging(file: FoundFile) -> Belonging | None:
    """Told by the folder and by the name (or subfolder) that begins with the record's id; None for other files."""
    *folders, name = file.name.rpartition("!")[2].split("/")
    for depth, folder in enumerate(folders):
        if folder.lower() in FOLDERS:
            below = [*folders, name][depth + 1]
            found = _ID.match(below)
            return Belonging(*FOLDERS[folder.lower()], found[1] if found else "")
    return None


@dataclass
class Binaries:
    """The binary members of one object."""

    object: str
    column: str
    files: dict[str, FoundFile] = field(default_factory=dict)
    """Id without checksum → file."""
    unnamed: list[str] = field(default_factory=list)
    """Files whose names hold no id."""
    differing: list[str] = field(default_factory=list)
    """Ids that have more than one file, not all alike; the first is taken."""
    _by_name: dict[str, FoundFile] = field(default_factory=dict)
    _index: tuple[pa.Array, pa.Array] | None = None

    def add(self, id15: str, file: FoundFile) -> None:
        """One more file; copies over several zips are normal."""
        if not id15:
            self.unnamed.append(file.name)
            return
        known = self.files.setdefault(id15, file)
        if known.stamp[0] != file.stamp[0] or (known.archive and file.archive and known.stamp != file.stamp):
            self.differing.append(id15)

    def named(self, reference: str) -> FoundFile | None:
        """The file that a reference names."""
        if not self._by_name:
            self._by_name.update((file.name, file) for file in self.files.values())
        return self._by_name.get(reference)

    def references(self, ids: pa.ChunkedArray) -> pa.ChunkedArray:
        """For each record id the name that `open_file` takes.

        Where there is no file, it is the name that the file should have: opening it says that it is missing.
        """
        if self._index is None:
            keys = pa.array(list(self.files), pa.string())
            self._index = keys, pa.array([file.name for file in self.files.values()], pa.string())
        keys, names = self._index
        found = pc.take(names, pc.index_in(pc.utf8_slice_codeunits(ids, 0, 15), keys))
        return pc.coalesce(found, pc.binary_join_element_wise(pa.scalar(self.object), ids, "/"))

    def notes(self) -> Sequence[str]:
        """What could not be told for sure."""
        found = []
        if self.unnamed:
            found.append(
                f"{len(self.unnamed)} files have no record id in their names, first {self.unnamed[0]!r}"
            )
        if self.differing:
            found.append(f"{len(self.differing)} records have two different files, first {self.differing[0]}")
        return found
