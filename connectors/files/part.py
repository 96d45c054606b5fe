"""One readable piece of an object, a file, zip member or sheet: what every format's reader offers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from migrator.core.connector import Reject
from migrator.core.schema import FieldSchema

Opener: TypeAlias = Callable[[], BinaryIO]
"""Opens a part's bytes from the start; may be called again and again."""


@dataclass(frozen=True, slots=True)
class PartPage:
    """Some records of a part in its own columns; `consumed` counts all records of the part up to here, refused ones too."""

    rows: pa.Table
    places: pa.Array
    rejects: tuple[Reject, ...]
    consumed: int


class PartReader(Protocol):
    """Reads one part; opens nothing before it is asked."""

    @property
    def place(self) -> str:
        """The part's name in messages and places."""
        ...

    def fields(self) -> Sequence[FieldSchema]:
        """The part's columns in its own order."""
        ...

    def notes(self) -> Sequence[str]:
        """What was found out or changed in order to read it, in words a user understands."""
        ...

    def count(self) -> int | None:
        """Records, when that is cheap to know."""
        ...

    def pages(self, *, skip: int, page_rows: int) -> Iterator[PartPage]:
        """Pages of at most `page_rows` records, the first `skip` left out."""
        ...


def places(prefix: str, numbers: pa.Array) -> pa.Array:
    """'PREFIX' followed by each number."""
    return pc.binary_join_element_wise(pa.scalar(prefix), numbers.cast(pa.string()), pa.scalar(""))
