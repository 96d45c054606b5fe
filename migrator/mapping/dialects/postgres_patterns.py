r"""Regular expressions from the engine's syntax (RE2) to PostgreSQL's, so that they match the same texts.

PostgreSQL looks for the longest match where the engine takes the first that its steps lead to. Where what is matched is
used, a pattern may therefore have one repetition and no alternatives: then both are the same text. Source:
https://www.postgresql.org/docs/current/functions-matching.html ("Regular Expression Matching Rules").
"""

from __future__ import annotations

import re

from migrator.staging.dialects.kinds import NotCarried

_WORD = "0-9A-Za-z_"
_CLASSES = {"d": "0-9", "w": _WORD, "s": r"\u0009\u000a\u000c\u000d\u0020"}
_POSIX = {
    "alpha": "A-Za-z", "digit": "0-9", "alnum": "0-9A-Za-z", "upper": "A-Z", "lower": "a-z", "word": _WORD,
    "xdigit": "0-9A-Fa-f", "blank": r"\u0009\u0020", "space": r"\u0009-\u000d\u0020",
}  # fmt: skip
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
_TOKEN = re.compile(
    r"(?P<group>\((?:\?:)?) | (?P<close>\)) | (?P<repeat>[*+?]|\{\d+(?:,\d*)?\}) | (?P<bar>\|) | (?P<edge>[$^]|\\[Az])"
    r"| (?P<class>\[\^?\]?(?:\[:[a-z]+:\]|\\.|[^\]\\\[])*\]) | (?P<escape>\\.) | (?P<char>[^\\])",
    re.VERBOSE | re.DOTALL,
)
_EDGES = {"^": "^", r"\A": "^", "$": "$", r"\z": "$"}
_MOST_TIMES = 255


def to_postgres(pattern: str, *, matched_text_is_used: bool) -> tuple[str, int]:
    """`pattern`, which the engine has accepted, for PostgreSQL, and the number of its groups; raises `NotCarried`."""
    refused = NotCarried(f"the regular expression {pattern!r}")
    parts: list[str] = []
    at = groups = repeats = 0
    before = "start"
    while at < len(pattern):
        match = _TOKEN.match(pattern, at)
        if match is None or (match[0] == "(" and pattern.startswith("(?", at)):
            raise refused
        kind, text = match.lastgroup or "", match[0]
        groups += text == "("
        if kind == "repeat":
            if before not in ("char", "class", "escape", "close"):
                raise refused
            if max(map(int, re.findall(r"\d+", text)), default=0) > _MOST_TIMES:
                raise refused
            repeats += not re.fullmatch(r"\{\d+\}", text)
        if matched_text_is_used and (kind == "bar" or repeats > 1):
            raise NotCarried(
                f"alternatives, or more than one repetition, in the regular expression {pattern!r}"
            )
        parts.append(_token(kind, text, pattern))
        before, at = kind, match.end()
    return "".join(parts), groups


def _token(kind: str, text: str, pattern: str) -> str:  # noqa: PLR0911  # a table
    match kind:
        case "edge":
            return _EDGES[text]
        case "class":
            return _class(text, pattern)
        case "escape" if text[1] in "dws":
            return f"[{_CLASSES[text[1]]}]"
        case "escape" if text[1] in "DWS":
            return f"[^{_CLASSES[text[1].lower()]}]"
        case "escape":
            return _escape(text, pattern)
        case "char" if text == ".":
            return r"[^\u000a]"
        case "char":
            return _char(text)
        case _:
            return text


def _char(char: str) -> str:
    """A character that stands for itself, wherever it stands."""
    return char if char.isalnum() or not char.isascii() else f"\\u{ord(char):04x}"


def _escape(text: str, pattern: str) -> str:
    mark = text[1]
    if mark in _ESCAPES:
        return _char(_ESCAPES[mark])
    if mark.isalnum():
        raise NotCarried(f"{text!r} in the regular expression {pattern!r}")
    return _char(mark)


def _class(text: str, pattern: str) -> str:
    body = text[1:-1]
    negated = body.startswith("^")
    body = body[negated:]
    parts = []
    for match in re.finditer(r"\[:([a-z]+):\]|\\.|.", body, re.DOTALL):
        item = match[0]
        inside = match.start() > 0 and match.end() < len(body)
        if match[1] in _POSIX:
            parts.append(_POSIX[match[1]])
        elif match[1] or item[1:2] in ("D", "W", "S", "b", "B"):
            raise NotCarried(f"{item!r} inside brackets of the regular expression {pattern!r}")
        elif item[1:] and item[1] in _CLASSES:
            parts.append(_CLASSES[item[1]])
        elif item == "-" and inside:
            parts.append(_range(body, match.start(), pattern))
        else:
            parts.append(_escape(item, pattern) if item[1:] else _char(item))
    return f"[{'^' if negated else ''}{''.join(parts)}]"


def _range(body: str, at: int, pattern: str) -> str:
    """A dash between two plain characters."""
    before = body[max(at - 2, 0)]
    if not re.fullmatch(r"[^\W_]-[^\W_]", body[at - 1 : at + 2]) or before in ("\\", "-"):
        raise NotCarried(f"a dash inside brackets of {pattern!r} that is no range of letters or digits")
    return "-"
