"""Attribute values of well-formed XML without their escapes, many at a time."""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"&(?:#x([0-9A-Fa-f]+)|#([0-9]+)|amp);")
_PLAIN_ESCAPES = (
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&quot;", '"'),
    ("&apos;", "'"),
    ("&#xA;", "\n"),
    ("&#xD;", "\r"),
    ("&#10;", "\n"),
    ("&#13;", "\r"),
)
_LINE_END = re.compile(r"\r\n|[\t\n\r]")


def decoded(values: list[str]) -> list[str]:
    """What an XML parser makes of attributes: bare line ends and tabs are spaces, escaped ones are themselves.

    All at once, parted by a letter that XML cannot hold: one pass per kind of escape instead of some per value.
    """
    text = _LINE_END.sub(" ", "\0".join(values))
    for escape, letter in _PLAIN_ESCAPES:
        text = text.replace(escape, letter)
    # '&' comes last and together with the rest: what it yields must not be taken for an escape again
    text = _ESCAPE.sub(_letter, text) if "&#" in text else text.replace("&amp;", "&")
    return text.split("\0")


def _letter(match: re.Match[str]) -> str:
    hexadecimal, decimal = match.groups()
    if hexadecimal or decimal:
        return chr(int(hexadecimal, 16) if hexadecimal else int(decimal))
    return "&"
