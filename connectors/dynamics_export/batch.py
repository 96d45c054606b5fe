"""Records of one entity as columns, with where each of them stood; how raw values become what is staged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.dynamics_export.schema import EntityPlan, FieldPlan
from migrator.core.connector import Reject
from migrator.core.schema import FieldType

GUID = r"^\s*\{?[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\}?\s*$"


@dataclass(frozen=True, slots=True)
class Position:
    """Where reading can go on: a byte of data.xml and its line (for links: their number in the region)."""

    offset: int
    line: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of a region that hold whole records, and where in data.xml they begin and end."""

    data: bytes
    begin: Position
    end: Position


@dataclass(frozen=True, slots=True)
class Batch:
    """Records in order; `starts` and `lines` say where each begins."""

    rows: pa.Table
    starts: np.ndarray
    lines: np.ndarray
    rejects: tuple[tuple[int, Reject], ...] = ()
    """With where each begins."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A batch with the place of every row in words, and the position behind it."""

    batch: Batch
    places: pa.Array
    end: Position


def place_of_line(file: str, line: int, offset: int) -> str:
    """'export.zip!data.xml:1042 (byte 98765)': the line for an editor, the byte for files that are one long line."""
    return f"{file}:{line} (byte {offset})"


def places(file: str, batch: Batch) -> pa.Array:
    """The place of every record, as `place_of_line`."""
    lines = pa.array(batch.lines).cast(pa.string())
    starts = pa.array(batch.starts).cast(pa.string())
    return pc.binary_join_element_wise(f"{file}:", lines, " (byte ", starts, ")", "")


def finish(columns: dict[str, pa.Array], ids: pa.Array, plan: EntityPlan) -> pa.Table:
    """Raw columns as staged: GUIDs lower case, collections joined with ';', files as references, the key filled."""
    done = dict(columns)
    for field in plan.fields.values():
        column = done[field.name]
        if column.null_count < len(column):
            done[field.name] = _staged(column, field)
    done[plan.key] = pc.coalesce(done[plan.key], lower_guids(ids))
    return pa.table([done[name] for name in plan.columns], names=list(plan.columns))


def _staged(column: pa.Array, field: FieldPlan) -> pa.Array:
    if field.base64:
        return pc.binary_join_element_wise("base64:", column, "")
    if field.guid:
        column = lower_guids(column)
    match field.type:
        case FieldType.FILE:
            path = pc.binary_join_element_wise("files/", column, ".bin", "")
            return pc.if_else(pc.match_substring_regex(column, GUID), path, column)
        case FieldType.MULTI_PICKLIST:
            return _collection(column)
        case _:
            return column


def lower_guids(column: pa.Array) -> pa.Array:
    """GUIDs lower case and without braces; what is no GUID stays exactly as it is."""
    plain = pc.ascii_lower(pc.utf8_trim(column, "{} \t\r\n"))
    return pc.if_else(pc.match_substring_regex(column, GUID), plain, column)


def _collection(column: pa.Array) -> pa.Array:
    """'[-1,100000000,100000001,-1]' → '100000000;100000001'; the -1 at both ends are marks, any other is a value."""
    bracketed = pc.match_substring_regex(column, r"^\s*\[[-0-9,\s]*\]\s*$")
    inner = pc.utf8_trim(column, "[] \t\r\n")
    inner = pc.replace_substring_regex(inner, r"\s*,\s*", ";")
    marked = pc.match_substring_regex(inner, r"^-1;(.*;)?-1$")
    bare = pc.replace_substring_regex(pc.replace_substring_regex(inner, r"^-1;", ""), r"(^|;)-1$", "")
    return pc.if_else(bracketed, pc.if_else(marked, bare, inner), column)
