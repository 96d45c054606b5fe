"""What befalls a text when somebody types it again: slips of the finger, initials, short forms; a column at a time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from migrator.testing.synthetic.chance import Chance, chosen

_SWAP, _DROP, _DOUBLE, _REPLACE = range(4)
_LEAST = 4
"""Letters a word must have for a slip to leave it recognisable."""


def slipped(ask: Chance, what: str, numbers: np.ndarray, texts: pa.Array, where: np.ndarray) -> pa.Array:
    """One slip in each text chosen by `where`: two letters swapped, one lost, doubled or another; the first letter stays."""
    long = pc.fill_null(pc.greater_equal(pc.utf8_length(texts), _LEAST), False)
    rows = np.flatnonzero(where & long.to_numpy(zero_copy_only=False))
    if not len(rows):
        return texts
    words = np.array(texts.take(pa.array(rows)).to_pylist(), np.str_)
    width = words.dtype.itemsize // 4
    letters = np.zeros((len(words), width + 1), np.uint32)
    letters[:, :width] = words.view(np.uint32).reshape(len(words), width)
    lengths = np.char.str_len(words)
    places = 1 + ask.below(f"{what} place", numbers[rows], lengths - 2)
    kinds = ask.below(f"{what} kind", numbers[rows], 4)
    slip = _slips(letters, places, kinds, ask.below(f"{what} letter", numbers[rows], 26) + ord("a"))
    found = pa.array(np.ascontiguousarray(slip).view(f"<U{width + 1}").ravel().astype(object), pa.string())
    put = np.full(len(texts), -1)
    put[rows] = np.arange(len(rows))
    return chosen(put >= 0, found.take(pa.array(np.maximum(put, 0))), texts)


def _slips(letters: np.ndarray, places: np.ndarray, kinds: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The letters after each slip, as a matrix of code points, zero past the end."""
    columns = np.arange(letters.shape[1])[None, :]
    place, kind = places[:, None], kinds[:, None]
    source = np.broadcast_to(columns, letters.shape).copy()
    source += np.where((kind == _SWAP) & (columns == place), 1, 0)
    source -= np.where((kind == _SWAP) & (columns == place + 1), 1, 0)
    source += np.where((kind == _DROP) & (columns >= place), 1, 0)
    source -= np.where((kind == _DOUBLE) & (columns > place), 1, 0)
    moved = np.take_along_axis(letters, np.minimum(source, letters.shape[1] - 1), axis=1)
    replaced: np.ndarray = np.where(
        (kind == _REPLACE) & (columns == place), others[:, None].astype(np.uint32), moved
    )
    return replaced


def initials(texts: pa.Array) -> pa.Array:
    """'Maria' → 'M.'."""
    return pc.binary_join_element_wise(pc.utf8_slice_codeunits(texts, 0, 1), ".", "")


def replaced(texts: pa.Array, words: Mapping[str, str]) -> pa.Array:
    """Whole texts put for others; those not listed stay."""
    found = pc.index_in(texts, pa.array(list(words), pa.string()))
    return pc.coalesce(pa.array(list(words.values()), pa.string()).take(found), texts)


def rewritten(texts: pa.Array, parts: Mapping[str, str]) -> pa.Array:
    """Parts of texts put for others, one after the other."""
    for old, new in parts.items():
        texts = pc.replace_substring(texts, old, new)
    return texts
