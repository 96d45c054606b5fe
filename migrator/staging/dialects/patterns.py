"""Regular expressions from the engine's syntax (RE2) to Java's, so that they match the same texts."""

from __future__ import annotations

import re
from dataclasses import dataclass

from migrator.staging.dialects.kinds import NotCarried

_WORD = "0-9A-Za-z_"
_CLASSES = {"d": "0-9", "w": _WORD, "s": r"\t\n\f\r "}
_EDGE = f"(?:(?<=[{_WORD}])(?![{_WORD}])|(?<![{_WORD}])(?=[{_WORD}]))"
_NO_EDGE = f"(?:(?<=[{_WORD}])(?=[{_WORD}])|(?<![{_WORD}])(?![{_WORD}]))"
_POSIX = {
    "alpha": "A-Za-z", "digit": "0-9", "alnum": "0-9A-Za-z", "upper": "A-Z", "lower": "a-z", "word": _WORD,
    "space": r"\t\n\x0B\f\r ", "blank": r"\t ", "xdigit": "0-9A-Fa-f", "punct": r"!-/:-@\[-`{-~",
}  # fmt: skip
_ZERO_WIDTH = frozenset({"^", "$", r"\b", r"\B", r"\A", r"\z"})
_CATEGORY = 2
"""Letters of a category of characters; what is longer is a script, of which each engine knows another edition."""
_ESCAPES = {"n": r"\n", "t": r"\t", "r": r"\r", "f": r"\f", "a": r"\x07", "v": r"\x0B"}
_TOKEN = re.compile(
    r"""(?P<group>\((?:\?(?:P?<[A-Za-z]\w*>|[a-zA-Z]*(?:-[a-zA-Z]+)?[:)]))?) | (?P<close>\))
      | (?P<quantifier>(?:[*+?]|\{\d+(?:,\d*)?\})\??) | (?P<bar>\|)
      | (?P<class>\[\^?\]?(?:\[:\^?[a-z]+:\]|\\x\{[0-9A-Fa-f]+\}|\\[pP]\{\^?\w+\}|\\.|[^\]\\])*\])
      | (?P<escape>\\(?:x\{[0-9A-Fa-f]+\}|x[0-9A-Fa-f]{2}|[pP]\{\^?\w+\}|.)) | (?P<char>.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern in Java's syntax."""

    java: str
    groups: int
    can_be_empty: bool
    """It may match an empty text, where the engines go on in different ways."""


def to_java(pattern: str, *, fold: bool = False) -> Pattern:
    """`pattern`, which the engine has accepted, for Java; raises `NotCarried`. `fold`: without regard to case."""
    parts = ["(?d)" + ("(?iu)" if fold else "")]
    width = _Width()
    at = groups = 0
    while at < len(pattern):
        match = _TOKEN.match(pattern, at)
        if match is None:
            raise NotCarried(f"the regular expression {pattern!r}")
        kind, text = match.lastgroup or "", match[0]
        groups += kind == "group" and (text == "(" or "<" in text)
        width.read(kind, text)
        parts.append(_token(kind, text, pattern))
        at = match.end()
    return Pattern("".join(parts), groups, width.least() == 0)


class _Width:
    """The length of the shortest text that a pattern matches, told token by token."""

    def __init__(self) -> None:
        self._levels: list[list[int]] = [[0]]
        """For each open group the widths of its alternatives; the last one is being read."""
        self._last = 0

    def read(self, kind: str, text: str) -> None:
        match kind:
            case "group" if text.endswith(")"):
                self._last = 0
            case "group":
                self._levels.append([0])
            case "close":
                self._add(min(self._levels.pop()))
            case "quantifier":
                times = 1 if text[0] == "+" else 0 if text[0] in "*?" else int(re.findall(r"\d+", text)[0])
                self._levels[-1][-1] += self._last * (times - 1)
            case "bar":
                self._levels[-1].append(0)
            case _:
                self._add(0 if text in _ZERO_WIDTH else 1)

    def _add(self, width: int) -> None:
        self._last = width
        self._levels[-1][-1] += width

    def least(self) -> int:
        return min(self._levels[0])


def _token(kind: str, text: str, pattern: str) -> str:
    match kind:
        case "group":
            return _group(text, pattern)
        case "class":
            return _class(text, pattern)
        case "escape":
            return _escape(text, pattern)
        case "char" if text == "$":
            return r"\z" if "(?" not in pattern or not re.search(r"\(\?[a-zA-Z]*m", pattern) else "$"
        case _:
            return text


def _group(text: str, pattern: str) -> str:
    if text == "(" or not text.startswith("(?"):
        return text
    if "<" in text:
        return "(?<" + text.partition("<")[2]
    if "U" in text:
        raise NotCarried(f"the flag U of the regular expression {pattern!r}")
    on, minus, off = text[2:-1].partition("-")
    return f"(?{on.replace('i', 'iu')}{minus}{off.replace('i', 'iu')}{text[-1]}"


def _escape(text: str, pattern: str) -> str:
    mark = text[1]
    if mark in "dws":
        return f"[{_CLASSES[mark]}]"
    if mark in "DWS":
        return f"[^{_CLASSES[mark.lower()]}]"
    if mark in "bB":
        return _EDGE if mark == "b" else _NO_EDGE
    return _char_escape(text, pattern)


def _char_escape(text: str, pattern: str) -> str:
    mark = text[1]
    if mark in _ESCAPES:
        return _ESCAPES[mark]
    if mark in "xpP":
        if mark != "x" and len(text.strip("\\pP{^}")) > _CATEGORY:
            raise NotCarried(f"the script {text!r} in the regular expression {pattern!r}")
        inner = text.replace("{^", "{")
        return inner if inner == text else inner.replace("\\p", "\\P", 1)
    if mark in "Az" or not mark.isalnum():
        return text
    raise NotCarried(f"{text!r} in the regular expression {pattern!r}")


def _class(text: str, pattern: str) -> str:
    body = text[1:-1]
    negated = body.startswith("^")
    parts = []
    for match in re.finditer(
        r"\[:(\^?)([a-z]+):\]|\\x\{[0-9A-Fa-f]+\}|\\[pP]\{\^?\w+\}|\\x[0-9A-Fa-f]{2}|\\.|.",
        body[negated:],
        re.DOTALL,
    ):
        item = match[0]
        if match[2]:
            if match[1] or match[2] not in _POSIX:
                raise NotCarried(f"{item!r} in the regular expression {pattern!r}")
            parts.append(_POSIX[match[2]])
        elif item.startswith("\\"):
            parts.append(_CLASSES[item[1]] if item[1] in _CLASSES else _class_escape(item, pattern))
        else:
            parts.append("\\" + item if item in "[]&^~" else item)
    return f"[{'^' if negated else ''}{''.join(parts)}]"


def _class_escape(item: str, pattern: str) -> str:
    if item[1] in "DWSbB":
        raise NotCarried(f"{item!r} inside brackets of the regular expression {pattern!r}")
    return _char_escape(item, pattern)


def replacement(text: str, *, shift: int = 0) -> str:
    r"""A replacement with `\1` for groups in Java's words; `shift` more groups come before."""
    found, after_group = [], shift > 0
    for match in re.finditer(r"\\(\d)|\\\\|.", text, re.DOTALL):
        char = match[0][-1]
        quoted = char in "\\$" or (after_group and char.isdigit())
        found.append(f"${int(match[1]) + shift}" if match[1] else f"\\{char}" if quoted else char)
        after_group = match[1] is not None
    return "".join(found)
