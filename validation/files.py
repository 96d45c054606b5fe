"""Files by checksum: the bytes that were staged are read again and held against what the target has, file by file.

A file travels as 'sha256:<hex>', the name of its bytes in the project's content-addressed folder, so that the target's
column can be compared with it; where a target answers the bytes themselves (as base64), their checksum is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from migrator.core.schema import FieldType
from migrator.staging import columns as c
from migrator.staging.engine import Session, quote, row_count
from validation.reconcile import EXAMPLES
from validation.relations import Column, Family, Sides

PREFIX = "sha256:"
_BLOCK = 1 << 20
_STAGED = '"v:staged-files"'
_SIZES = frozenset(
    {"bytes", "size", "bodylength", "contentsize", "filesize", "length", "大小", "字节", "位元組"}
)


@dataclass(frozen=True, slots=True)
class FileFault:
    """Files of one kind of fault: how many records, and the first of them."""

    kind: str
    """'absent': no staged bytes; 'damaged': the staged bytes have another checksum; 'size': not as long as the export says;
    'missing': in no record of ours in the target; 'different': its record has another one there; 'extra': only the target has it."""
    records: int
    examples: tuple[str, ...]
    """Ids of records."""


@dataclass(frozen=True, slots=True)
class Files:
    """What was found of one field that holds files."""

    field: str
    records: int
    """Records that should have a file."""
    distinct: int
    bytes: int
    """Of the distinct staged files."""
    faults: tuple[FileFault, ...]


def find_files(session: Session, sides: Sides, folder: Path) -> tuple[Files, ...]:
    """Check every field of files of an object; each staged file is read once, in memory bounded by one block."""
    return tuple(
        _check(session, sides, column, folder) for column in sides.columns if column.family is Family.FILE
    )


def _check(session: Session, sides: Sides, column: Column, folder: Path) -> Files:
    names = session.fetch(
        f"SELECT DISTINCT {column.e} AS ref FROM {quote(sides.expected)} WHERE {column.e} IS NOT NULL ORDER BY 1"
    ).column("ref")
    staged = [(ref, *_staged(folder, ref)) for ref in names.to_pylist()]
    schema = pa.schema([("ref", pa.string()), ("size", pa.int64()), ("state", pa.string())])
    table = pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in staged], schema=schema)
    session.table(_STAGED.strip('"'), table)
    kept = (
        f"SELECT e.*, f.size, f.state FROM {quote(sides.expected)} e JOIN {_STAGED} f ON f.ref = e.{column.e}"
    )
    there = f"{quote(sides.actual)} a"
    asked = {
        "absent": f"SELECT {c.ID} FROM ({kept}) WHERE state = 'absent'",
        "damaged": f"SELECT {c.ID} FROM ({kept}) WHERE state = 'damaged'",
        "missing": f"SELECT k.{c.ID} FROM ({kept}) k JOIN {there} ON a.__k = k.__k AND a.__n = 1 WHERE a.{column.a} IS NULL",
        "different": f"SELECT k.{c.ID} FROM ({kept}) k JOIN {there} ON a.__k = k.__k AND a.__n = 1 WHERE a.{column.a} <> k.{column.e}",
        "extra": f"SELECT e.{c.ID} FROM {quote(sides.expected)} e JOIN {there} ON a.__k = e.__k WHERE e.{column.e} IS NULL AND a.{column.a} IS NOT NULL",
    }  # fmt: skip
    for size in _sizes(sides):
        asked["size"] = f"SELECT {c.ID} FROM ({kept}) WHERE state = 'whole' AND {size.e} <> size"
    faults = [_fault(session, kind, sql) for kind, sql in asked.items()]
    rows = row_count(session, f"({kept})")
    total = sum(size for _, size, state in staged if state != "absent")
    return Files(column.name, rows, len(staged), total, tuple(item for item in faults if item.records))


def _fault(session: Session, kind: str, sql: str) -> FileFault:
    rows = session.fetch(
        f"SELECT {c.ID} AS id, count(*) OVER () AS n FROM ({sql}) ORDER BY 1 LIMIT {EXAMPLES}"
    ).to_pylist()
    return FileFault(kind, rows[0]["n"] if rows else 0, tuple(row["id"] for row in rows))


def _sizes(sides: Sides) -> Iterable[Column]:
    """The field of the export's own length of the file, where one is evidently that and there is one file only."""
    found = [
        item
        for item in sides.columns
        if item.schema.type is FieldType.INTEGER
        and "".join(char for char in item.name.casefold() if char.isalnum()) in _SIZES
    ]
    files = [item for item in sides.columns if item.family is Family.FILE]
    return found if len(found) == len(files) == 1 else []


def _staged(folder: Path, reference: str) -> tuple[int, str]:
    """Size and state of the staged bytes: 'whole', 'damaged' or 'absent'."""
    name = reference.removeprefix(PREFIX)
    path = folder / name[:2] / name
    if not reference.startswith(PREFIX) or len(name) != 64 or not name.isalnum() or not path.is_file():
        return 0, "absent"
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return size, "whole" if digest.hexdigest() == name else "damaged"
