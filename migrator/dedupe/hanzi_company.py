"""Company names in Chinese or Japanese characters taken apart: 北京 恒信 贸易 有限公司 上海分公司.

The name is read from both ends: places off the front, legal form and words of trade off the end. What is left in the
middle is the brand. It is never emptied: where everything is known, the name has no brand and is its known words.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from itertools import islice, product
from math import prod

from migrator.dedupe.company_parts import (
    Parts,
    as_codes,
    bracketed,
    brands,
    cities,
    countries,
    known_forms,
    trades,
)
from migrator.dedupe.romanise import DIALECT, dialect_sounds, mandarin
from migrator.dedupe.script import HAN, KANA, bare
from migrator.dedupe.wordlists import simplified_forms

_ASIDE = re.compile(r"[(\[【]([^()\[\]【】]*)[)\]】]")
_CLOSE = re.compile(r"[\W_]+")
_BRANCH = re.compile(
    r"(?:分公司|分行|支行|分理处|分店|门店|专卖店|旗舰店|办事处|代表处|营业部|分部|分校|分院|分厂|分社)$"
)
_DIVISION = re.compile(r"(?:特别行政区|(?:壮族|回族|维吾尔)?自治区|自治州|地区|省|市|县|区|镇)")
_TOWN = re.compile(r"^([^省市县]{2,3}(?<![超城都股门]))(?:市|县)(?!场|政|民|值|区)")
_DISTRICT = re.compile(r"^([^区市县镇乡]{2,3}(?<![社园小景校厂地片郊特发城]))(?:区|镇|乡)(?=..)")
_LONGEST_PLACE = 5
_LONGEST_TRADE = 8
_READINGS = 6
"""Combinations of the readings of a brand that are tried."""
_LONGEST_SPOKEN = 3
"""Characters of the longest brand that is spelled as it sounds in the south; readings multiply."""
_REMEMBERED = 50_000
"""Brands whose sounds are kept: one brand has many companies, shops and branches."""


def hanzi_parts(text: str) -> Parts:
    """The parts of a company's name; `text` as `script.composed` leaves it."""
    parts = Parts()
    core = _CLOSE.sub("", bare(_ASIDE.sub(lambda found: _read_aside(found.group(1), parts), text)))
    core = _take_branch(core, parts)
    core = _take_form(core, parts)
    parts.han = core or None
    brand = core if core in brands() else _take_trade(take_places(core, parts), parts)
    if brand:
        parts.brand = brand
        sounds = brand_sounds(brand)
        parts.pinyin.extend((*sounds, *(f"{parts.town}{sound}" for sound in sounds if parts.town)))
    return parts


def _read_aside(aside: str, parts: Parts) -> str:
    """What stands in brackets: a place, a legal form, or words of the name that go back to where they stood."""
    word = _CLOSE.sub("", aside)
    place = _DIVISION.sub("", word) if len(word) > len("东区") else word
    if place in bracketed():
        parts.add_country(bracketed()[place][0])
        return ""
    if parts.add_place(place) or parts.add_trade(word):
        return ""
    if word in _bracket_forms():
        parts.add_form(word)
        return ""
    if word.isascii() and word:
        parts.pinyin.append(word)
        return ""
    return word


def _take_branch(core: str, parts: Parts) -> str:
    """The company a branch belongs to; which branch it is goes to the parts."""
    found = _BRANCH.search(core)
    if not found or not core[: found.start()]:
        return core
    rest = core[: found.start()]
    end = max((rest.rfind(form) + len(form) for form in _suffixes() if form in rest), default=0)
    if not end:
        end = _end_of_trade(rest)
    parts.branch = as_codes([_DIVISION.sub("", rest[end:])]) or found.group()
    return rest[:end]


def _end_of_trade(text: str) -> int:
    """Where the last word of trade ends that has only a place, or a short name, after it."""
    known = (text.rfind(word) + len(word) for word in _chinese_trades() if word in text)
    end = max(known, default=0)
    if end:
        return end
    for size in range(_LONGEST_PLACE, 1, -1):
        if _place_of(text[-size:]):
            return len(text) - size
    return len(text)


def _take_form(core: str, parts: Parts) -> str:
    rest = core
    for form in _suffixes():
        if rest.endswith(form) and len(rest) > len(form):
            rest = rest[: -len(form)]
            parts.add_form(form)
            break
    for form in _prefixes():
        if rest.startswith(form) and len(rest) > len(form):
            rest = rest[len(form) :]
            parts.add_form(form)
            break
    return rest


def take_places(core: str, parts: Parts) -> str:
    """The text without the places it begins with; they go to the parts."""
    rest, found = core, True
    while found:
        found = False
        for size in range(min(_LONGEST_PLACE, len(rest) - 1), 1, -1):
            if parts.add_place(rest[:size]):
                rest, found = _without_division(rest[size:]), True
                break
        town = None if found else _TOWN.match(rest) or (_DISTRICT.match(rest) if parts.region else None)
        if town and len(rest) > town.end() + 1:
            parts.add_town("".join(mandarin(char)[0] for char in town.group(1)))
            rest, found = rest[town.end() :], True
    return rest


def _without_division(rest: str) -> str:
    division = _DIVISION.match(rest)
    return rest[division.end() :] if division and len(rest) > division.end() + 1 else rest


def _take_trade(core: str, parts: Parts) -> str:
    rest, found = core, True
    while found and rest:
        found = False
        for size in range(min(_LONGEST_TRADE, len(rest)), 0, -1):
            word, before = rest[-size:], rest[:-size]
            if (len(before) == 1 and before not in trades()) or (before and word == "港"):
                continue
            if parts.add_trade(word) or (len(before) > 1 and size > 1 and parts.add_place(word)):
                rest, found = before, True
                break
    return rest


def _place_of(word: str) -> bool:
    bare_word = _DIVISION.sub("", word)
    return bare_word in cities() or bare_word in countries()


@lru_cache(_REMEMBERED)
def brand_sounds(brand: str) -> tuple[str, ...]:
    """How a brand may be written in letters: known translations, pinyin under every reading, Cantonese, Hokkien."""
    known = brands().get(brand, ())
    if KANA.search(brand):
        return known
    options = [mandarin(char) if HAN.match(char) else (char,) for char in brand]
    sounds = {*known, *("".join(parts) for parts in islice(product(*options), _READINGS))}
    if len(brand) <= _LONGEST_SPOKEN:
        sounds.update(f"{DIALECT}{sound}" for sound in dialect_sounds(brand))
    if prod(len(option) for option in options) > _READINGS:
        sounds.add(_in_context(brand))
    return tuple(sorted(sounds - {""}))


def _in_context(brand: str) -> str:
    """The pinyin that dictionaries of phrases give: 重庆 is chongqing."""
    from pypinyin import lazy_pinyin

    return "".join(lazy_pinyin(brand, v_to_u=False)).replace("v", "u")


@cache
def _chinese_trades() -> tuple[str, ...]:
    return tuple(word for word in trades() if not word.isascii())


@cache
def _suffixes() -> tuple[str, ...]:
    forms = {*simplified_forms("suffix"), "责任有限公司", "公司"}
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


@cache
def _prefixes() -> tuple[str, ...]:
    return tuple(simplified_forms("prefix"))


@cache
def _bracket_forms() -> frozenset[str]:
    return frozenset(
        (*known_forms("bracket", chinese=True), *_suffixes(), *_prefixes(), "有限合伙", "普通合伙")
    )
