"""The many-to-many links of one entity: one row per pair of records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from xml.parsers import expat

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.dynamics_export.batch import Batch, Chunk, Position, lower_guids, place_of_line
from connectors.dynamics_export.records import Proof
from connectors.dynamics_export.regions import refuse_declarations
from connectors.dynamics_export.schema import LINK_KEY, LinkPlan
from migrator.core.connector import Reject
from migrator.core.errors import FatalError

_AROUND = "m2mrelationships"
_LAYOUT = {
    (),
    ("m2mrelationship",),
    ("m2mrelationship", "targetids"),
    ("m2mrelationship", "targetids", "targetid"),
}


def read_links(
    blocks: Iterable[bytes], region: Position, plan: LinkPlan, file: str, *, first: int = 0
) -> Iterator[Chunk]:
    """Chunks in order from the link numbered `first` on; raises `FatalError` where it is not well-formed."""
    reader = _LinkReader(region, plan, file)
    proof = Proof(file, region, around=_AROUND)
    for block in blocks:
        proof.add(block)
        chunk = reader.read(block)
        if chunk.end.offset > first:
            yield _from(chunk, first)
    proof.finish()


def _from(chunk: Chunk, first: int) -> Chunk:
    skipped = int(np.searchsorted(chunk.batch.starts, first))
    batch = Batch(
        chunk.batch.rows.slice(skipped),
        chunk.batch.starts[skipped:],
        chunk.batch.lines[skipped:],
        tuple(item for item in chunk.batch.rejects if item[0] >= first),
    )
    return Chunk(batch, chunk.places.slice(skipped), chunk.end)


@dataclass(frozen=True, slots=True)
class _Link:
    number: int
    source: str
    target: str
    place: str


class _LinkReader:
    """Follows the elements of one region and numbers every link in it, rejects among them."""

    def __init__(self, region: Position, plan: LinkPlan, file: str) -> None:
        self._plan = plan
        self._file = file
        self._line = region.line - 1
        self._offset = region.offset - len(_AROUND) - 2
        self._path: list[str] = []
        self._text = ""
        self._source = ""
        self._wanted = False
        self._number = 0
        self._links: list[_Link] = []
        self._rejects: list[tuple[int, Reject]] = []
        self._parser = expat.ParserCreate("utf-8")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._starts
        self._parser.EndElementHandler = self._ends
        self._parser.CharacterDataHandler = self._characters
        refuse_declarations(self._parser, file)
        self._parser.Parse(f"<{_AROUND}>".encode(), False)

    def read(self, data: bytes) -> Chunk:
        """The links that end in this block; its well-formedness was proven before."""
        self._parser.Parse(data, False)
        links, rejects = self._links, tuple(self._rejects)
        self._links, self._rejects = [], []
        numbers = np.array([link.number for link in links], np.int64)
        batch = Batch(self._table(links), numbers, np.zeros(len(links), np.int64), rejects)
        return Chunk(batch, pa.array([link.place for link in links], pa.string()), Position(self._number, 0))

    def _table(self, links: list[_Link]) -> pa.Table:
        source = lower_guids(pa.array([link.source for link in links], pa.string()))
        target = lower_guids(pa.array([link.target for link in links], pa.string()))
        first, second = (target, source) if self._plan.swapped else (source, target)
        keys = pc.binary_join_element_wise(first, second, ":")
        return pa.table(
            [keys, first, second], names=[LINK_KEY, self._plan.source_column, self._plan.target_column]
        )

    def _starts(self, tag: str, attributes: dict[str, str]) -> None:
        self._path.append(tag)
        if tuple(self._path[1:]) not in _LAYOUT:
            raise FatalError(
                f"{self._here()}: <{tag}> stands where no such element may",
                hint="this is not the layout of a Configuration Migration export",
            )
        self._text = ""
        if tag == "m2mrelationship":
            self._source = attributes.get("sourceid", "")
            name = attributes.get("m2mrelationshipname", "")
            if not name:
                raise FatalError(
                    f"{self._here()}: a link does not say which relationship it belongs to (m2mrelationshipname)",
                    hint="export again, or unpack the export and correct it",
                )
            self._wanted = name.lower() in self._plan.names

    def _ends(self, tag: str) -> None:
        self._path.pop()
        if tag != "targetid" or not self._wanted:
            return
        target, number = self._text.strip(), self._number
        place = place_of_line(
            self._file,
            self._line + self._parser.CurrentLineNumber,
            self._offset + self._parser.CurrentByteIndex,
        )
        if self._source and target:
            self._links.append(_Link(number, self._source, target, place))
        else:
            raw = f"sourceid={self._source!r} targetid={target!r}"
            reject = Reject(place, "xml.link-without-end", "a link lacks one of its two records", raw)
            self._rejects.append((number, reject))
        self._number += 1

    def _characters(self, text: str) -> None:
        if self._path[-1] == "targetid":
            self._text += text
        elif text.strip():
            raise FatalError(
                f"{self._here()}: the text {text.strip()[:40]!r} stands between links",
                hint="this is not the layout of a Configuration Migration export",
            )

    def _here(self) -> str:
        return f"{self._file}:{self._line + self._parser.CurrentLineNumber}"
