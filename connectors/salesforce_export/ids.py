"""Salesforce record ids in their one canonical form of 18 characters, computed for whole columns at once."""

from __future__ import annotations

import string

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_ALPHABET = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345", np.uint8)
_WEIGHTS = np.array([1, 2, 4, 8, 16], np.uint8)
_ALNUM = np.zeros(256, bool)
_ALNUM[list((string.ascii_letters + string.digits).encode())] = True

Bytes = npt.NDArray[np.uint8]


def holds_ids(column: str) -> bool:
    """Columns whose values are ids by their name: `Id`, and standard references, which end in `Id`.

    Custom look-ups end in `__c`, like every custom field: their name does not tell, their values do (`are_ids`).
    """
    return column.endswith("Id")


def is_custom(column: str) -> bool:
    """Custom fields, of managed packages too."""
    return column.endswith("__c")


def prefixes(ids: pa.ChunkedArray) -> frozenset[str]:
    """The first three characters of ids: every object has its own."""
    return frozenset(pc.unique(pc.utf8_slice_codeunits(ids.drop_null(), 0, 3)).to_pylist())


def are_ids(column: pa.ChunkedArray, known: frozenset[str]) -> bool:
    """Whether values are ids of objects with the prefixes `known`: all of them by their shape, and not mere digits.

    A serial number of 15 digits may begin like an id; ids of one org share an instance code, which has a letter.
    """
    values = column.filter(pc.greater(pc.fill_null(pc.utf8_length(column), 0), 0))
    if not len(values):
        return False
    shaped = pc.and_(
        pc.match_substring_regex(values, "^[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?$"), _begins_with(values, known)
    )
    return bool(
        pc.all(shaped).as_py() and pc.all(pc.match_substring_regex(values, "^...[0-9]*[A-Za-z]")).as_py()
    )


def canonical_known(column: pa.ChunkedArray, known: frozenset[str]) -> pa.ChunkedArray:
    """As `canonical_ids`, only for values that begin with one of the prefixes `known`."""
    return pc.if_else(
        pc.fill_null(_begins_with(column, known), fill_value=False), canonical_ids(column), column
    )


def _begins_with(values: pa.ChunkedArray, known: frozenset[str]) -> pa.ChunkedArray:
    return pc.is_in(pc.utf8_slice_codeunits(values, 0, 3), pa.array(sorted(known), pa.string()))


def canonical_ids(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Ids of 15 characters get their checksum, ids of 18 have its letters made capital; all other values stay.

    A value of 18 whose last three characters are not the checksum of its first 15, whatever the case, is no id and stays.
    The checksum: in each group of five characters, bit i is set when character i is A–Z; 'A'–'Z', '0'–'5' stand for 0–31.
    """
    return pa.chunked_array([_with_checksum(_with_capitals(chunk)) for chunk in column.chunks], pa.string())


def _with_checksum(values: pa.Array) -> pa.Array:
    rows, ids = _of_length(values, 15)
    fits = _ALNUM[ids].all(axis=1)
    return _replaced(values, rows[fits], np.hstack([ids[fits], _checksums(ids[fits])]))


def _with_capitals(values: pa.Array) -> pa.Array:
    rows, ids = _of_length(values, 18)
    body, tail = ids[:, :15], ids[:, 15:]
    small = (tail >= ord("a")) & (tail <= ord("z"))
    if not small.any():
        return values
    checksums = _checksums(body)
    capitals = np.where(small, tail - 32, tail)
    fits = small.any(axis=1) & _ALNUM[body].all(axis=1) & (capitals == checksums).all(axis=1)
    return _replaced(values, rows[fits], np.hstack([body[fits], checksums[fits]]))


def _checksums(bodies: Bytes) -> Bytes:
    capital = (bodies >= ord("A")) & (bodies <= ord("Z"))
    bits = capital.reshape(-1, 3, 5) * _WEIGHTS
    found: Bytes = _ALPHABET[bits.sum(axis=2, dtype=np.uint8)]
    return found


def _of_length(values: pa.Array, size: int) -> tuple[npt.NDArray[np.int64], Bytes]:
    """Row numbers of the values of so many bytes, and those values as a matrix of bytes."""
    fits = pc.fill_null(pc.equal(pc.binary_length(values), size), fill_value=False)
    rows = np.flatnonzero(fits.to_numpy(zero_copy_only=False))
    chosen = pa.array(values.filter(fits), pa.string()) if len(rows) else pa.array([], pa.string())
    if not len(rows):
        return rows, np.zeros((0, size), np.uint8)
    _, offsets, data = chosen.buffers()
    start = int(np.frombuffer(offsets, np.int32)[chosen.offset])
    return rows, np.frombuffer(data, np.uint8)[start : start + len(rows) * size].reshape(-1, size)


def _replaced(values: pa.Array, rows: npt.NDArray[np.int64], ids: Bytes) -> pa.Array:
    if not len(rows):
        return values
    mask = np.zeros(len(values), bool)
    mask[rows] = True
    offsets = np.arange(0, ids.size + 1, ids.shape[1], dtype=np.int32)
    found = pa.StringArray.from_buffers(
        len(rows), pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(ids))
    )
    return pc.replace_with_mask(values, pa.array(mask), found)
