"""Clean verbs: small text transformations a mapping applies from left to right, each one template of the engine.

A template holds `$x` exactly once, so that verbs nest without repeating each other's work, and never fails on any text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

SPACE = r"[\s\v\p{Z}\x{85}\x{200B}\x{FEFF}]"
"""Every white space a CRM export was ever seen to hold: ASCII, no-break, ideographic, zero-width, byte order mark."""
_FULL_WIDTH = "".join(chr(code) for code in range(0xFF01, 0xFF5F)) + "\u3000"
_HALF_WIDTH = "".join(chr(code) for code in range(0x21, 0x7F)) + " "


@dataclass(frozen=True, slots=True)
class Verb:
    """A clean verb: what it does, in a line for the reference, and its template."""

    summary: str
    template: str


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _replaced(inner: str, pattern: str, by: str) -> str:
    return f"regexp_replace({inner}, {_text(pattern)}, {by}, 'g')"


def _strip_html() -> str:
    found = _replaced("$x", r"(?is)<(?:script|style)\b.*?</(?:script|style)\s*>|<!--.*?-->", "''")
    found = _replaced(found, r"(?i)<br\s*/?>|</(?:p|div|li|tr|h[1-6])\s*>", "chr(10)")
    found = _replaced(found, r"</?[A-Za-z!][^>]*>", "''")
    for entity, char in (
        ("&nbsp;", " "),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", '"'),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ):
        found = f"replace({found}, {_text(entity)}, {_text(char)})"
    return _TRIM.replace("$x", found)


def _check_letters(ident: str) -> str:
    """The three characters that tell which of the first fifteen of a Salesforce id are capital letters, five by each."""

    def letter(start: int) -> str:
        bits = (
            f"CASE WHEN substr({ident}, {start + place + 1}, 1) BETWEEN 'A' AND 'Z' THEN {1 << place} ELSE 0 END"
            for place in range(5)
        )
        return f"substr('ABCDEFGHIJKLMNOPQRSTUVWXYZ012345', 1 + {' + '.join(bits)}, 1)"

    return f"concat({', '.join(letter(start) for start in (0, 5, 10))})"


_GUID = r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}\b"
_PREFIX = "^(?:[0-9][0-9A-Za-z]{2}|[a-z](?:[0-9][0-9A-Za-z]|[0-9A-Za-z][0-9]))"
"""How the three characters begin that name a Salesforce object."""


def _find_id() -> str:
    """Percent signs of URLs are no part of an id; a serial number of fifteen digits is none, nor is a word of fifteen letters."""
    plain, pattern = _replaced("$x", "%[0-9A-Fa-f]{2}", "' '"), _text(_GUID + "|[0-9A-Za-z]{15,}")
    words = f"regexp_extract_all({plain}, {pattern})"
    letters, shaped = _check_letters("word"), f"regexp_matches(word, {_text(_PREFIX)})"
    short = f"length(word) = 15 AND {shaped} AND regexp_matches(word, '^...[0-9]*[A-Za-z]')"
    long = f"length(word) = 18 AND {shaped} AND upper(right(word, 3)) = {letters}"
    found = (
        f"CASE WHEN contains(word, '-') THEN lower(word) WHEN {short} OR {long} "
        f"THEN concat(left(word, 15), {letters}) END"
    )
    return f"list_filter(list_transform({words}, lambda word: {found}), lambda word: word IS NOT NULL)[1]"


_TRIM = _replaced("$x", f"^{SPACE}+|{SPACE}+$", "''")

VERBS: Mapping[str, Verb] = {
    "trim": Verb("white space at both ends goes (no-break, ideographic and zero-width space too)", _TRIM),
    "collapse": Verb(
        "every run of white space and line breaks becomes one space", _replaced("$x", f"{SPACE}+", "' '")
    ),
    "upper": Verb("capital letters", "upper($x)"),
    "lower": Verb("small letters", "lower($x)"),
    "title": Verb(
        "the first letter of each word capital, the others small",
        "array_to_string(list_transform(string_split($x, ' '), "
        "lambda w: concat(upper(left(w, 1)), lower(substr(w, 2)))), ' ')",
    ),
    "digits": Verb("only the digits 0 to 9 stay", _replaced("$x", "[^0-9]", "''")),
    "width": Verb(
        "full-width letters, digits and signs become half-width (Ａ１＠ to A1@), the ideographic space a space",
        f"translate($x, {_text(_FULL_WIDTH)}, {_text(_HALF_WIDTH)})",
    ),
    "nfc": Verb("composed Unicode form, so that equal-looking texts are equal", "nfc_normalize($x)"),
    "newlines": Verb("Windows and old Mac line ends become \\n", _replaced("$x", r"\r\n?", "chr(10)")),
    "strip_control": Verb(
        "control characters go; tab and line ends stay",
        _replaced("$x", r"[\x{01}-\x{08}\x{0B}\x{0C}\x{0E}-\x{1F}\x{7F}]", "''"),
    ),
    "strip_html": Verb(
        "HTML becomes plain text: tags go, paragraphs and <br> become line breaks", _strip_html()
    ),
    "find_id": Verb(
        "the first Salesforce id (of 15 or 18 characters, as 18) or GUID in a text or URL; null when there is none",
        _find_id(),
    ),
    "null_if_empty": Verb("an empty text becomes null", "nullif($x, '')"),
}
"""All clean verbs by name, in the order of the reference."""


def clean(sql: str, verbs: Iterable[str]) -> str:
    """`sql`, a text in the engine, with the verbs applied from left to right."""
    return reduce(lambda inner, verb: VERBS[verb].template.replace("$x", inner), verbs, sql)
