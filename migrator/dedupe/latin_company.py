"""Company names in letters taken apart: Beijing · Hengxin · Trading · Co., Ltd. · Shanghai Branch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from migrator.dedupe.company_parts import (
    LONGEST_PHRASE,
    Parts,
    as_codes,
    bracketed,
    known_forms,
    latin_brands,
)
from migrator.dedupe.romanise import DIALECT, is_chinese_word
from migrator.dedupe.script import WORD, bare, spelled_out
from migrator.dedupe.southern import folded

_ASIDE = re.compile(r"[(\[]([^()\[\]]*)[)\]]")
_INITIALS = re.compile(r"\.([^\W\d_])\b")
_JOINING = frozenset(("and", "of", "the", "for", "und", "et", "y", "e", "dan"))
_BRANCH = (("representative", "office"), ("rep", "office"), ("branch", "office"), ("branch",), ("outlet",))
_PREFIXES = frozenset(("syarikat", "perniagaan", "perusahaan", "kumpulan", "firma", "cv", "ud", "tm", "m/s"))
_MOST_WORDS = 30
"""Words of a text that can be a name; what has more is compared as words only."""


def latin_parts(text: str) -> Parts:
    """The parts of a company's name; `text` as `script.composed` leaves it."""
    parts = Parts()
    opened = _ASIDE.sub(lambda found: _read_aside(found.group(1), parts), text)
    words = _words(bare(opened))
    if not words or len(words) > _MOST_WORDS:
        parts.latin = parts.brand = " ".join(sorted(words)) or None
        return parts
    words = _take_branch(words, parts)
    words = _take_forms(words, parts)
    parts.latin = " ".join(sorted(words)) or None
    _take_known(words, parts)
    spelled = spelled_out(opened)
    if spelled is not None and parts.brand:
        other = Parts()
        _take_known(_take_forms(_words(spelled), other), other)
        parts.pinyin.extend(other.pinyin)
    return parts


def _words(text: str) -> list[str]:
    return WORD.findall(_INITIALS.sub(r"\1", text.replace("&", " and ")))


def _read_aside(aside: str, parts: Parts) -> str:
    """What stands in brackets: a country, often shortened, or words of the name that go back to where they stood."""
    word = " ".join(_words(bare(aside)))
    if word in bracketed():
        parts.add_country(bracketed()[word][0])
        return " "
    return " " if parts.add_place(word) else f" {aside} "


def _take_branch(words: list[str], parts: Parts) -> list[str]:
    for marker in _BRANCH:
        size = len(marker)
        if tuple(words[-size:]) == marker and len(words) > size + 1:
            rest = words[:-size]
            place = _place_at_end(rest) or 1
            parts.branch = as_codes([" ".join(rest[-place:])])
            return rest[:-place]
    return words


def _place_at_end(words: Sequence[str]) -> int:
    """How many words at the end are one place."""
    seen = Parts()
    return next((n for n in range(min(3, len(words) - 1), 0, -1) if seen.add_place(" ".join(words[-n:]))), 0)


def _take_forms(words: list[str], parts: Parts) -> list[str]:
    """Legal forms off the end and off the front; a name is never emptied by it."""
    rest, found = list(words), True
    while found:
        found = False
        for size in range(min(LONGEST_PHRASE, len(rest) - 1), 0, -1):
            form = " ".join(rest[-size:])
            if form in _suffixes():
                parts.add_form(form)
                rest, found = rest[:-size], True
                break
        if found and len(rest) > 1 and rest[-1] in _JOINING:
            del rest[-1]
    return _take_fronts(rest, parts)


def _take_fronts(words: list[str], parts: Parts) -> list[str]:
    """Legal forms and words such as 'Syarikat' off the front."""
    rest = words
    for size in (2, 1, 1):
        form = " ".join(rest[:size])
        if len(rest) > size and (form in _fronts() or form in _PREFIXES):
            if form in _fronts():
                parts.add_form(form)
            rest = rest[size:]
    return rest


def _take_known(words: Sequence[str], parts: Parts) -> None:
    """Places and words of trade to the parts, the longest phrase first; what is left is the brand."""
    whole = "".join(words)
    if whole in latin_brands():
        parts.brand = " ".join(sorted(words))
        parts.pinyin.append(whole)
        return
    brand, place = [], 0
    while place < len(words):
        size = _known_at(words, place, parts)
        if not size and words[place] not in _JOINING:
            brand.append(words[place])
        place += size or 1
    if brand:
        parts.brand = " ".join(sorted(brand))
        parts.pinyin.extend(("".join(brand), "".join(sorted(brand))))
        if all(is_chinese_word(word) for word in brand):
            parts.pinyin.append(DIALECT + "".join(folded(word) for word in brand))


def _known_at(words: Sequence[str], place: int, parts: Parts) -> int:
    """How many words from this place on are known, and taken."""
    for size in range(min(LONGEST_PHRASE, len(words) - place), 0, -1):
        phrase = " ".join(words[place : place + size])
        if parts.add_trade(phrase) or parts.add_place(phrase):
            return size
    return 0


@cache
def _suffixes() -> frozenset[str]:
    return frozenset((*known_forms("suffix", chinese=False), "bhd", "berhad", "coltd", "public company"))


@cache
def _fronts() -> frozenset[str]:
    return frozenset(known_forms("prefix", chinese=False))
