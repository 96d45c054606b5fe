"""XML that strangers wrote, as nodes that know their line: no entities, nothing fetched, faults told with their place."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO
from xml.parsers import expat

_BLOCK = 1 << 20
DEEPEST = 500
"""Levels of elements inside one another; no honest export comes near."""


@dataclass(frozen=True, slots=True)
class XmlFaultError(Exception):
    """Why bytes are no XML that we read."""

    reason: str
    line: int

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}" if self.line else self.reason


class Node:
    """An element: its name without prefix, attributes, own text, children, and the line it begins at."""

    __slots__ = ("attributes", "children", "line", "tag", "text")

    def __init__(self, tag: str, attributes: Mapping[str, str], line: int) -> None:
        self.tag = tag
        self.attributes = attributes
        self.line = line
        self.text = ""
        self.children: list[Node] = []

    def all(self, tag: str) -> list[Node]:
        """Children of that name."""
        return [item for item in self.children if item.tag == tag]

    def first(self, path: str) -> Node | None:
        """The first descendant at 'a/b/c', or None."""
        node: Node | None = self
        for part in path.split("/"):
            node = next((item for item in node.children if item.tag == part), None) if node else None
        return node

    def value(self, path: str) -> str:
        """Text of the descendant at 'a/b/c' without blanks around it; '' when there is none."""
        node = self.first(path)
        return node.text.strip() if node is not None else ""

    def attribute(self, name: str) -> str:
        """An attribute, whatever the case of its name; '' when there is none."""
        return next((text for key, text in self.attributes.items() if key.casefold() == name.casefold()), "")

    def walk(self) -> Iterator[Node]:
        """The node and everything below it, in the order of the file."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children))

    def pieces(self, without: frozenset[str] = frozenset()) -> Iterator[tuple[int, str]]:
        """Line and text of every value at or below it; elements called as in `without` are left out with all they hold."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield from _own_pieces(node)
            waiting.extend(item for item in reversed(node.children) if item.tag not in without)


def _own_pieces(node: Node) -> Iterator[tuple[int, str]]:
    for name, text in node.attributes.items():
        if not name.startswith(("xmlns", "xsi:")):
            yield node.line, text
    if not node.children or node.text.strip():
        for offset, line in enumerate(node.text.split("\n")):
            if line.strip():
                yield node.line + offset, line.strip()


def parse(content: bytes) -> Node:
    """The root of a document; raises `XmlFaultError`."""
    builder = _Builder(depth=0)
    builder.feed(content, last=True)
    if builder.root is None:
        raise XmlFaultError("there is no element in it", 1)
    return builder.root


def sections(stream: BinaryIO, depth: int) -> Iterator[tuple[tuple[str, ...], Node]]:
    """Each element at `depth` (the root is 1) as soon as it is whole, with the names above it, then the root without them.

    Memory holds one such element at a time, so a file of hundreds of megabytes can be read.
    """
    builder = _Builder(depth)
    while block := stream.read(_BLOCK):
        builder.feed(block, last=False)
        yield from builder.take()
    builder.feed(b"", last=True)
    yield from builder.take()
    if builder.root is not None:
        yield (), builder.root


class _Builder:
    """Nodes from expat's events."""

    def __init__(self, depth: int) -> None:
        self.root: Node | None = None
        self._depth = depth
        self._open: list[Node] = []
        self._texts: list[list[str]] = []
        self._done: list[tuple[tuple[str, ...], Node]] = []
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.EntityDeclHandler = self._refuse
        self._parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)

    def feed(self, block: bytes, *, last: bool) -> None:
        try:
            self._parser.Parse(block, last)
        except expat.ExpatError as error:
            raise XmlFaultError(expat.ErrorString(error.code), error.lineno) from error
        except (ValueError, LookupError) as error:  # an encoding that nobody knows
            raise XmlFaultError(str(error), self._parser.CurrentLineNumber) from error

    def take(self) -> list[tuple[tuple[str, ...], Node]]:
        done, self._done = self._done, []
        return done

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) >= DEEPEST:
            raise XmlFaultError(
                f"more than {DEEPEST} elements inside one another", self._parser.CurrentLineNumber
            )
        node = Node(sys.intern(name.rpartition(":")[2]), attributes, self._parser.CurrentLineNumber)
        if self._open:
            if len(self._open) + 1 != self._depth:
                self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)
        self._texts.append([])

    def _text(self, text: str) -> None:
        self._texts[-1].append(text)

    def _end(self, _: str) -> None:
        node = self._open.pop()
        node.text = "".join(self._texts.pop())
        if len(self._open) + 1 == self._depth:
            self._done.append((tuple(item.tag for item in self._open), node))

    def _refuse(self, name: str, *_: object) -> None:
        raise XmlFaultError(
            f"it declares the entity {name!r}, which no export does", self._parser.CurrentLineNumber
        )
