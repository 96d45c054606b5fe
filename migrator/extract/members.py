"""Binary members of an export kept by their content: `files/ab/<sha256>`, each once, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from migrator.core.boundary import boundary
from migrator.core.clock import new_id
from migrator.core.connector import FileSource
from migrator.core.errors import FatalError
from migrator.core.schema import FieldType, ObjectSchema
from migrator.staging.engine import flush_and_rename
from migrator.staging.store import writing

_BLOCK = 1 << 20
_EXAMPLES = 20


class MemberFolder:
    """The content-addressed folder of a project."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._incoming = root / ".incoming"
        shutil.rmtree(self._incoming, ignore_errors=True)  # what a killed run was copying

    def keep(self, stream: BinaryIO) -> str:
        """Copy a stream into the folder, in memory bounded by one block; returns its SHA-256 in hex."""
        temporary = self._incoming / new_id()
        digest = hashlib.sha256()
        with writing(temporary, temporary):
            self._incoming.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as copy:
                while block := stream.read(_BLOCK):
                    digest.update(block)
                    copy.write(block)
                copy.flush()
                os.fsync(copy.fileno())
            name = digest.hexdigest()
            path = self.path(name)
            if path.exists() and path.stat().st_size == temporary.stat().st_size:
                temporary.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                flush_and_rename(temporary, path)
                boundary("files.kept")
        return name

    def path(self, sha256: str) -> Path:
        """Where the member with this content stands."""
        return self.root / sha256[:2] / sha256


@dataclass
class Missing:
    """Members that records name and the export does not hold, counted by field, with some examples."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def note(self, name: str, reference: str, reason: str) -> None:
        """One more that is missing."""
        self.counts[name] += 1
        examples = self.examples.setdefault(name, [])
        if len(examples) < _EXAMPLES:
            examples.append(f"{reference} ({reason})")

    def add(self, noted: Mapping[str, Any]) -> None:
        """What `as_json` of another one said."""
        for name, (count, examples) in noted.items():
            self.counts[name] += count
            self.examples[name] = [*self.examples.get(name, []), *examples][:_EXAMPLES]

    def as_json(self) -> dict[str, Any]:
        """Field → [count, examples]."""
        return {name: [count, self.examples[name]] for name, count in self.counts.items()}

    def warnings(self) -> list[str]:
        """One sentence a field."""
        return [
            f"{name}: {count} files that records name are not in the export, so these fields are empty; "
            f"for example {'; '.join(self.examples[name][:3])}"
            for name, count in self.counts.items()
        ]


def file_fields(schema: ObjectSchema) -> tuple[str, ...]:
    """Names of the fields that hold binary members."""
    return tuple(item.name for item in schema.fields if item.type is FieldType.FILE)


@dataclass(frozen=True, slots=True)
class Members:
    """The members of one object of a source, on their way into the folder."""

    source: FileSource
    object_name: str
    fields: tuple[str, ...]
    folder: MemberFolder

    def keep(self, rows: pa.Table, missing: Missing) -> pa.Table:
        """The rows with each reference replaced by 'sha256:<hex>' of the bytes; null, and noted, where they are missing."""
        for name in self.fields:
            column = rows.column(name).cast(pa.string()).combine_chunks()
            references = pc.unique(column.drop_null())
            kept = pa.array(
                [self._keep_one(name, text, missing) for text in references.to_pylist()], pa.string()
            )
            values = kept.take(pc.index_in(column, value_set=references))
            rows = rows.set_column(rows.column_names.index(name), name, values)
        return rows

    def _keep_one(self, name: str, reference: str, missing: Missing) -> str | None:
        if not reference:
            return None
        try:
            stream = self.source.open_file(self.object_name, reference)
        except FatalError as error:
            missing.note(name, reference, error.message)
            return None
        with stream:
            return f"sha256:{self.folder.keep(stream)}"
