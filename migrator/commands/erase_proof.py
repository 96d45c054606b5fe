"""Whether anything of a forgotten person is left: rows counted, and files searched for what was known of the person."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from migrator.core.errors import FatalError
from migrator.staging.erasures import Name
from migrator.staging.ledger import Ledger
from migrator.sync.values import from_text

SHORTEST = 5
"""Shorter texts stand everywhere, and say nothing about a person."""
_BLOCK = 1 << 20
_SKIPPED = frozenset({"staging", "spill"})
"""Parquet is searched by its rows, not by its bytes; spills are gone when their process is."""


@dataclass(frozen=True, slots=True)
class Searched:
    """A search of files for values, by their bytes."""

    files: int
    bytes: int
    values: int
    found: Mapping[str, int]
    """File → values that stand in it: of other records too, which have their own right to them."""

    def to_json(self) -> dict[str, Any]:
        """For the proof."""
        return {"files": self.files, "bytes": self.bytes, "values": self.values, "found": dict(self.found)}


def telling(values: Iterable[object], names: Sequence[Name]) -> tuple[str, ...]:
    """Texts among values by which a person could be known; ids stay known, and are none."""
    ids = {part for stream, name in names for part in (name, f"{stream.partition('/')[2]}:{name}")}
    texts = {value.strip() for value in values if isinstance(value, str)}
    return tuple(
        sorted(text for text in texts if len(text) >= SHORTEST and text not in ids and not _is_moment(text))
    )


def _is_moment(text: str) -> bool:
    """When records were changed says nothing about a person, and many share it."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def in_bases(bases: Iterable[str]) -> Iterator[object]:
    """The values that bases hold."""
    for text in bases:
        yield from from_text(text).values()


def search(folder: Path, values: Sequence[str]) -> Searched:
    """Search every file under a folder, datasets apart, as it lies on disk."""
    wanted = {value: _forms(value) for value in values}
    files = size = 0
    found: dict[str, int] = {}
    for path in sorted(folder.rglob("*")) if wanted else ():
        if (
            not path.is_file()
            or path.suffix == ".parquet"
            or _SKIPPED & set(path.relative_to(folder).parts[:1])
        ):
            continue
        there, read = _in_file(path, wanted)
        files, size = files + 1, size + read
        if there:
            found[str(path.relative_to(folder))] = len(there)
    return Searched(files, size, len(values), found)


def _forms(value: str) -> tuple[bytes, ...]:
    """A text as it may lie on disk: itself, and inside JSON."""
    plain = value.encode(errors="replace")
    escaped = [json.dumps(value, ensure_ascii=how)[1:-1].encode(errors="replace") for how in (True, False)]
    return tuple(dict.fromkeys((plain, *escaped)))


def _in_file(path: Path, wanted: Mapping[str, tuple[bytes, ...]]) -> tuple[set[str], int]:
    """Values in one file; blocks overlap by the longest value, so that none is cut."""
    longest = max(len(form) for forms in wanted.values() for form in forms)
    there: set[str] = set()
    kept, read = b"", 0
    try:
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                read += len(block)
                kept = kept[-longest:] + block
                there |= {value for value, forms in wanted.items() if any(form in kept for form in forms)}
    except FileNotFoundError:
        return set(), 0
    except OSError as error:
        raise FatalError(
            f"cannot read {path}: {error.strerror}", hint="the proof has to read every file"
        ) from error
    return there, read


def scrub(ledger: Ledger) -> None:
    """Let nothing of what was taken out of a ledger lie on in free pages of its file."""
    if ledger.engine.dialect.name == "sqlite":
        path = str(ledger.engine.url.database)
        try:
            with closing(sqlite3.connect(path, isolation_level=None, timeout=60)) as connection:
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            raise FatalError(
                f"cannot rewrite the ledger {path}: {error}", hint="it needs as much room again on its disk"
            ) from error
        return
    with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM"))
