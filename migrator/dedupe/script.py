"""Text made comparable before it is taken apart: one width, one case, simplified characters, letters without accents.

Accents go where typists leave them out (Latin, Greek); marks of other scripts are sounds of their own and stay.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any

HAN = re.compile(r"[㐀-䶿一-鿿豈-﫿〇々\U00020000-\U0003ffff]+")
"""Runs of Chinese characters."""

KANA = re.compile(r"[぀-ヿー]+")

WORD = re.compile(r"[^\W_]+")

_LAST_WITH_ACCENTS = 0x3FF
_SPELLED = {
    "ß": "ss",
    "æ": "ae",
    "œ": "oe",
    "þ": "th",
    "đ": "d",
    "ð": "d",
    "ł": "l",
    "ø": "o",
    "ħ": "h",
    "ŧ": "t",
    "ı": "i",
}
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})
_APOSTROPHES = str.maketrans("", "", "'’‘`´ʼʻ′")
_SPACES = re.compile(r"\s+")


class _Bare(dict[int, str]):
    """A translation that takes accents off each character when it first meets it."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        base = unicodedata.normalize("NFD", letter)
        if letter in _SPELLED:
            base = _SPELLED[letter]
        elif ord(base[0]) > _LAST_WITH_ACCENTS:
            base = letter
        else:
            base = "".join(part for part in base if not unicodedata.combining(part))
        self[code] = base
        return base


_BARE = _Bare()


def composed(texts: Sequence[str]) -> list[str]:
    """Each text in compatibility form, lower case and simplified characters, its white space single."""
    made = [_composed(text) for text in texts]
    chinese = [place for place, text in enumerate(made) if not text.isascii() and HAN.search(text)]
    if chinese:
        # one call for all of them: opencc converts phrase by phrase, and no phrase goes over a line's end
        converted = _to_simplified("\n".join(made[place] for place in chinese)).split("\n")
        for place, text in zip(chinese, converted, strict=True):
            made[place] = text
    return made


def _composed(text: str) -> str:
    if text.isascii():
        return " ".join(text.lower().split())
    readable = text.encode("utf-8", "replace").decode("utf-8").replace("\0", " ")
    return _SPACES.sub(
        " ", unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", readable).lower())
    ).strip()


def _to_simplified(text: str) -> str:
    return str(_converter().convert(text))


@cache
def _converter() -> Any:
    import opencc

    return opencc.OpenCC("t2s")


def bare(text: str) -> str:
    """The text without accents and apostrophes: 'José O’Brien' is 'Jose OBrien'."""
    closed = text.translate(_APOSTROPHES)
    return closed if closed.isascii() else closed.translate(_BARE)


def spelled_out(text: str) -> str | None:
    """The text with umlauts written as two letters, and then bare; null where it has none."""
    if text.isascii():
        return None
    spelled = unicodedata.normalize("NFC", text).translate(_UMLAUTS)
    return None if spelled == text else bare(spelled)
