"""Ids of Salesforce records: 15 characters that know their case, 18 that need not, three that name the object.

Checksum: vendor's "18-character ID"; alphabet and order as in the protocol sheet, checked against real ids.
"""

from __future__ import annotations

import re

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHAPE = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?", re.ASCII)
_INSTANCE = "Sb0"
_CAPITALS = str.maketrans({letter: "01"["A" <= letter <= "Z"] for letter in _DIGITS})
_MARKS = {format(bits, "05b")[::-1]: letter for bits, letter in enumerate(_ALPHABET)}
"""Which of five characters are capitals, the first one first → the character that says so."""


def id18(short: str) -> str:
    """The 18 characters of an id of 15."""
    capitals = short.translate(_CAPITALS)
    return short + _MARKS[capitals[:5]] + _MARKS[capitals[5:10]] + _MARKS[capitals[10:]]


def canonical(text: str) -> str | None:
    """An id as the store holds it, 18 characters in their right case; None when it can be none.

    Of 18 characters the last three restore the case of the others; a checksum that does not fit makes it none.
    """
    if not _SHAPE.fullmatch(text):
        return None
    short = id18(text[:15])
    if len(text) == 15 or short == text:
        return short
    repaired = _repaired(text)
    return repaired if repaired is not None and id18(repaired[:15]) == repaired else None


def _repaired(text: str) -> str | None:
    body, tail = text[:15], text[15:].upper()
    if any(letter not in _ALPHABET for letter in tail):
        return None
    letters = []
    for group, mark in enumerate(tail):
        bits = _ALPHABET.index(mark)
        for place, letter in enumerate(body[group * 5 : group * 5 + 5]):
            letters.append(letter.upper() if bits >> place & 1 else letter.lower())
    return "".join(letters) + tail


def numbered(prefix: str, number: int) -> str:
    """The id of a sandbox's own making: prefix, instance, a counter in base 62, checksum."""
    digits = ""
    for _ in range(9):
        number, digit = divmod(number, 62)
        digits = _DIGITS[digit] + digits
    return id18(prefix + _INSTANCE + digits)
