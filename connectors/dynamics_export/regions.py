"""One way through data.xml that finds where the records and links of each entity stand, and proves the frame around them.

A '<' never stands bare in a value of well-formed XML, so outside of comments, CDATA and processing instructions a tag
can be found by its bytes. The regions between <records> and </records> (and <m2mrelationships>) are passed over at the
speed of a search; all the rest, the frame, is parsed. Each region is parsed when it is read, and what is ill-formed is
refused there: if the frame is well-formed and every region is, then so is the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from migrator.core.errors import FatalError

RECORDS = "records"
LINKS = "m2mrelationships"
_OPENS = re.compile(rb"<(records|m2mrelationships)(?:\s[^<]*?)?(/?)>|<!--|<!\[CDATA\[|<\?")
_CLOSES = {
    RECORDS: re.compile(rb"</records\s*>|<!--|<!\[CDATA\[|<\?"),
    LINKS: re.compile(rb"</m2mrelationships\s*>|<!--|<!\[CDATA\[|<\?"),
}
_ENDS = {b"<!--": b"-->", b"<![CDATA[": b"]]>", b"<?": b"?>"}
_RELATIONSHIP = re.compile(rb"""\sm2mrelationshipname\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_FRAME = {(), ("entities",), ("entities", "entity")}


@dataclass(frozen=True, slots=True)
class Region:
    """What stands between <records> and </records>, or between the tags around the links, of one entity element."""

    entity: str
    kind: str
    start: int
    end: int
    line: int
    """The line of `start`, from 1."""


@dataclass(slots=True)
class Regions:
    """What one way through found."""

    regions: list[Region] = field(default_factory=list)
    entities: list[str] = field(default_factory=list)
    records: dict[str, int] = field(default_factory=dict)
    relationships: dict[str, set[str]] = field(default_factory=dict)
    """Entity → names of the many-to-many relationships that its links speak of."""

    def of(self, entity: str, kind: str) -> list[Region]:
        """The regions of one entity, in order."""
        return [item for item in self.regions if item.entity == entity and item.kind == kind]


def refuse_declarations(parser: expat.XMLParserType, place: str) -> None:
    """Make a parser refuse a document type and entities: exports have none, attacks do."""

    def refuse(*_: object) -> None:
        raise FatalError(
            f"{place}:{parser.CurrentLineNumber}: a document type or entity declaration stands here; it is refused",
            hint="no export of Dynamics has one; remove it if you trust the file",
        )

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse  # type: ignore[assignment]  # it never returns


def find_regions(blocks: Iterable[bytes], place: str) -> Regions:
    """Go through all of data.xml; raises `FatalError` when the frame is broken or the file is cut."""
    scan = _Scan(place)
    for data in _whole_tags(blocks):
        scan.feed(data)
    return scan.finish()


def _whole_tags(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, cut before a '<' each time, so that no tag is in two pieces."""
    waiting: list[bytes] = []
    for block in blocks:
        cut = block.rfind(b"<")
        if cut < 0:
            waiting.append(block)
            continue
        yield b"".join((*waiting, block[:cut]))
        waiting = [block[cut:]]
    yield b"".join(waiting)


class _Scan:
    """The state between two pieces: where we are, which region is open, and until what we are inside of a comment."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._found = Regions()
        self._frame = _Frame(place, self._found)
        self._base = 0
        self._line = 1
        self._within = b""
        self._region = ""
        self._start = (0, 0)

    def feed(self, data: bytes) -> None:
        if not self._base:
            data = self._without_mark(data)
        at = told = 0
        while at < len(data):
            token = None if self._within else (_CLOSES.get(self._region) or _OPENS).search(data, at)
            if self._within:
                end = data.find(self._within, at)
                if end < 0:
                    break
                at, self._within = end + len(self._within), b""
            elif token is None:
                break
            elif token[0] in _ENDS:
                at, self._within = token.end(), _ENDS[token[0]]
            elif self._region:
                told = self._close(data, told, token.start())
                at = token.end()
            else:
                self._tell(data, told, token.end())
                at = told = token.end()
                if not token[2]:
                    self._open(at, token[1].decode())
        if self._region:
            self._pass_over(data, told, len(data))
        else:
            self._tell(data, told, len(data))
        self._base += len(data)

    def finish(self) -> Regions:
        if self._region:
            raise FatalError(
                f"{self._place}:{self._line}: the file ends inside the <{self._region}> of entity "
                f"{self._frame.entity!r}, at byte {self._base:,}: it is cut",
                hint="export again, or copy the file again; nothing of it has been taken over",
            )
        self._frame.finish()
        return self._found

    def _without_mark(self, data: bytes) -> bytes:
        if data.startswith(b"\xef\xbb\xbf"):
            self._base = 3
            return data[3:]
        return data

    def _open(self, at: int, kind: str) -> None:
        self._region = kind
        self._start = (self._base + at, self._line)

    def _close(self, data: bytes, told: int, at: int) -> int:
        self._pass_over(data, told, at)
        start, line = self._start
        self._found.regions.append(Region(self._frame.entity, self._region, start, self._base + at, line))
        self._region = ""
        return at

    def _tell(self, data: bytes, start: int, end: int) -> None:
        if end > start:
            self._frame.feed(data[start:end], self._base + start, self._line)
            self._line += data.count(b"\n", start, end)

    def _pass_over(self, data: bytes, start: int, end: int) -> None:
        self._line += data.count(b"\n", start, end)
        entity = self._frame.entity
        if self._region == RECORDS:
            self._found.records[entity] += data.count(b"<record ", start, end)
        else:
            names = self._found.relationships.setdefault(entity, set())
            names.update((one or two).decode() for one, two in _RELATIONSHIP.findall(data, start, end))


class _Frame:
    """The parser of all that is not inside a region."""

    def __init__(self, place: str, found: Regions) -> None:
        self.entity = ""
        self._place = place
        self._found = found
        self._path: tuple[str, ...] = ()
        self._told = 0
        self._line = 1
        self._lines_before = 0
        self._at = 0
        self._before = 0
        self._parser = expat.ParserCreate("utf-8")
        self._parser.StartElementHandler = self._starts
        self._parser.EndElementHandler = self._ends
        self._parser.CharacterDataHandler = self._text
        refuse_declarations(self._parser, place)

    def feed(self, data: bytes, at: int, line: int) -> None:
        self._at, self._line, self._lines_before = at, line, self._parser.CurrentLineNumber
        self._before = self._told
        self._told += len(data)
        self._parse(data, last=False)

    def finish(self) -> None:
        self._at += self._told - self._before
        self._before = self._told
        self._parse(b"", last=True)

    def _parse(self, data: bytes, *, last: bool) -> None:
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as error:
            line = self._line + max(error.lineno - self._lines_before, 0)
            byte = self._at + max(self._parser.ErrorByteIndex - self._before, 0)
            raise FatalError(
                f"{self._place}:{line}:{error.offset + 1}: this is not well-formed XML: "
                f"{expat.errors.messages[error.code]} (byte {byte:,})",
                hint="the file was cut or changed on its way; export or copy it again",
            ) from error

    def _starts(self, tag: str, attributes: dict[str, str]) -> None:
        if self._path not in _FRAME:
            self._refuse(f"<{tag}> inside <{self._path[-1]}>")
        expected = (("entities",), ("entity",), (RECORDS, LINKS))[len(self._path)]
        if tag not in expected:
            self._refuse(f"<{tag}> where {' or '.join(f'<{item}>' for item in expected)} belongs")
        if tag == "entity":
            self.entity = attributes.get("name", "")
            if not self.entity:
                self._refuse("an <entity> without a name")
            if self.entity not in self._found.records:
                self._found.entities.append(self.entity)
                self._found.records[self.entity] = 0
        self._path = (*self._path, tag)

    def _ends(self, tag: str) -> None:
        del tag
        self._path = self._path[:-1]

    def _text(self, text: str) -> None:
        if text.strip():
            self._refuse(f"the text {text.strip()[:40]!r} between elements")

    def _refuse(self, what: str) -> None:
        line = self._line + max(self._parser.CurrentLineNumber - self._lines_before, 0)
        raise FatalError(
            f"{self._place}:{line}: {what}: this is not the layout of a Configuration Migration export",
            hint="if this is a newer layout, it must be taught to connectors/dynamics_export",
        )
