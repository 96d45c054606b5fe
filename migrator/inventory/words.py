"""What a component's text mentions: words that may be names, record ids and addresses with their places."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from migrator.core.components import Found

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_URL = re.compile(r"https?://[^\s\"'<>`\\)\]}]+", re.IGNORECASE)
_USER = re.compile(r"//[^/@]*@")
_KEY = re.compile(r"(?<=/)(?=[A-Za-z_-]*\d)(?=[\d_-]*[A-Za-z])[A-Za-z0-9_-]{24,}(?=/|$)")
"""A part of a path as web hooks have it in place of a password."""
_SCHEMAS = re.compile(
    r"https?://(?:www\.w3\.org|schemas?\.[a-z.-]+|soap\.sforce\.com/\d|json-schema\.org|purl\.org|tempuri\.org)",
    re.IGNORECASE,
)
"""Names of formats, which only look like addresses."""
LONGEST_NAME = 200
MOST_LITERALS = 200
"""Ids and addresses kept of one component; the rest is counted."""


class LiteralKind(Enum):
    """What is hard-coded."""

    ID = "id"
    URL = "url"


@dataclass(frozen=True, slots=True)
class Literal:
    """Something hard-coded that will not hold in a new system."""

    kind: LiteralKind
    text: str
    place: str
    """'file:line'."""


@dataclass(frozen=True, slots=True)
class Mentions:
    """What the text of a component mentions."""

    words: frozenset[str]
    """In lower case; 'object.field' as one word, and whole values of XML."""
    literals: tuple[Literal, ...]
    literals_more: int = 0
    """Further ones that are not listed."""


def mentions(found: Found, ids: Callable[[str], Iterable[str]]) -> Mentions:
    """Read the text of a component, once."""
    words: set[str] = set()
    literals: dict[Literal, None] = {}
    for file, line, text in found.pieces:
        words.update(map(sys.intern, map(str.lower, _WORD.findall(text))))
        if found.whole and 0 < len(text) <= LONGEST_NAME:
            words.add(sys.intern(text.lower()))
        for item in _literals(text, f"{file}:{line}", ids if found.ids else _none):
            literals[item] = None
    own = found.component.facts.get("id")
    literals = {item: None for item in literals if item.text != own}
    kept = tuple(literals)[:MOST_LITERALS]
    return Mentions(frozenset(words), kept, len(literals) - len(kept))


def _none(_: str) -> tuple[str, ...]:
    return ()


def _literals(text: str, place: str, ids: Callable[[str], Iterable[str]]) -> Iterator[Literal]:
    if "://" in text:
        for match in _URL.finditer(text):
            if not _SCHEMAS.match(match[0]):
                yield Literal(LiteralKind.URL, address(match[0]), place)
    if len(text) >= 15:
        for word in ids(text):
            yield Literal(LiteralKind.ID, word, place)


def address(url: str) -> str:
    """An address without what may be secret in it: user, password, query, and parts of the path that look like keys."""
    return _KEY.sub("…", _USER.sub("//", url).partition("?")[0].rstrip(".,;"))
