"""Chance that can be asked for any record by its number, in any order and any chunk: the same seed, the same answer.

Each question is a hash of (seed, what is asked, number), so nothing has to be remembered between records and files of any
size are written in chunks. All of it is vectorised; numbers are numpy int64, answers numpy or Arrow arrays.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Chance:
    """A seed, and the questions one can ask."""

    seed: int
    about: str = ""

    def of(self, about: str) -> Chance:
        """Chance for something else, independent of this."""
        return Chance(self.seed, f"{self.about}/{about}")

    def bits(self, what: str, numbers: np.ndarray) -> np.ndarray:
        """64 random bits each (uint64)."""
        digest = hashlib.blake2b(f"{self.seed}|{self.about}|{what}".encode(), digest_size=8).digest()
        with np.errstate(over="ignore"):
            mixed = numbers.astype(np.uint64) * _GOLDEN + np.frombuffer(digest, np.uint64)[0]
            mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        scattered: np.ndarray = mixed ^ (mixed >> np.uint64(31))
        return scattered

    def below(self, what: str, numbers: np.ndarray, limit: int | np.ndarray) -> np.ndarray:
        """A number from 0 to `limit` - 1 each (int64)."""
        return (self.bits(what, numbers) % np.asarray(limit, np.uint64)).astype(np.int64)

    def share(self, what: str, numbers: np.ndarray) -> np.ndarray:
        """A number in [0, 1) each."""
        return (self.bits(what, numbers) >> np.uint64(11)).astype(np.float64) / float(1 << 53)

    def happens(self, what: str, numbers: np.ndarray, rate: float) -> np.ndarray:
        """True for about `rate` of the numbers."""
        return self.share(what, numbers) < rate

    def one_of(self, what: str, numbers: np.ndarray, choices: pa.Array | list[str]) -> pa.Array:
        """One of the choices each."""
        found = choices if isinstance(choices, pa.Array) else pa.array(choices, pa.string())
        return found.take(pa.array(self.below(what, numbers, len(found))))


def joined(*parts: pa.Array | str) -> pa.Array:
    """Texts put together, null when any part is null."""
    return pc.binary_join_element_wise(*parts, "")


def chosen(mask: np.ndarray, yes: pa.Array | str | None, no: pa.Array | str | None) -> pa.Array:
    """`yes` where the mask is true, else `no`."""
    text = pa.string()
    return pc.if_else(
        pa.array(mask),
        pa.scalar(yes, text) if yes is None or isinstance(yes, str) else yes,
        pa.scalar(no, text) if no is None or isinstance(no, str) else no,
    )


def as_text(numbers: np.ndarray, width: int = 0) -> pa.Array:
    """Numbers as decimal text, padded with zeros to `width`."""
    text = pa.array(numbers).cast(pa.string())
    return pc.utf8_lpad(text, width, "0") if width else text
