"""Postal addresses taken apart into street, number, unit and post code, comparable across scripts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import pyarrow as pa

from migrator.dedupe.company_parts import Parts, cities, countries
from migrator.dedupe.hanzi_company import brand_sounds
from migrator.dedupe.romanise import mandarin
from migrator.dedupe.script import HAN, bare, composed
from migrator.dedupe.words import meanings

_LISTED = pa.list_(pa.string())

ADDRESS = pa.struct(
    [
        pa.field("han", pa.string()),
        pa.field("latin", pa.string()),
        pa.field("street", pa.string()),
        pa.field("sound", _LISTED),
        pa.field("number", pa.string()),
        pa.field("unit", pa.string()),
        pa.field("postcode", pa.string()),
        pa.field("region", _LISTED),
    ]
)
"""Features of a postal address.

han: simplified, without spaces, null where there are no hanzi · latin: folded words with abbreviations spelled out,
sorted; null where there are none · street: '中山路', 'main street', 'jalan ampang' · sound: the street as it may be
written in letters ('zhongshan road') · number: of the house · unit: building, floor and room · postcode: without
spaces · region: places in it ('beijing').
"""

_POSTCODE = re.compile(
    r"(?<![\w#/-])(?:(\d{5})-\d{4}|(\d{5,6})|([a-z]{1,2}\d[a-z\d]?) ?(\d[a-z]{2}))(?![\w/-])"
)
_REGION = re.compile(
    r"([^\W\d省市区县镇乡路街]{2,8})(?:特别行政区|自治区|自治州|省|市|区|县|镇|乡)(?![场政民])"
)
_HAN_STREET = re.compile(
    r"([^\W\d]{1,8}?(?:大马路|大街|大道|胡同|公路|路|街|巷|道)(?:[东西南北中一二三四五六七八九十\d]+段)?)"
)
_HAN_NUMBER = re.compile(r"(?:(\d+)弄)?(\d+(?:[-之]\d+)?)号(?!楼|院|线)")
_HAN_UNIT = re.compile(r"([a-z\d]+(?:-\d+)?)(号楼|栋|幢|座|单元|室|房|层|楼)")
_SECTION = re.compile(r"[东西南北中一二三四五六七八九十\d]+段$")
_SIDES = {"东": "east", "西": "west", "南": "south", "北": "north", "中": "middle"}
_NUMBER = re.compile(r"\d+[a-z]?(?:-\d+[a-z]?)?")
_UNIT_SIGN = re.compile(r"#\s*([a-z\d]+(?:-[a-z\d]+)?)")
_FLOOR = re.compile(r"\b(\d+)(?:st|nd|rd|th)? floor\b|\b(\d+)/f\b")
_TOKEN = re.compile(r"\d+[a-z]?(?:[-/]\d+[a-z]?)+|[^\W_]+")
_STRASSE = re.compile(r"(\w{3,})(?:strasse|str)$")


class Address(NamedTuple):
    """The features of one address; see `ADDRESS`."""

    han: str | None = None
    latin: str | None = None
    street: str | None = None
    sound: Sequence[str] = ()
    number: str | None = None
    unit: str | None = None
    postcode: str | None = None
    region: Sequence[str] = ()


def address_features(texts: pa.Array) -> pa.StructArray:
    """The features of each address, of type `ADDRESS`; null where the text is null."""
    missing = texts.is_null()
    made = iter([_features(text) for text in composed(texts.drop_null().to_pylist())])
    rows = [_NOWHERE if absent else next(made) for absent in missing.to_pylist()]
    columns = zip(*rows, strict=True) if rows else ((),) * ADDRESS.num_fields
    arrays = [pa.array(column, field.type) for column, field in zip(columns, ADDRESS, strict=True)]
    return pa.StructArray.from_arrays(arrays, fields=list(ADDRESS), mask=missing)


_NOWHERE = Address()


def _features(text: str) -> Address:
    plain = bare(text)
    codes = list(_POSTCODE.finditer(plain))
    postcode = "".join(part for part in codes[-1].groups() if part) if codes else None
    rest = plain[: codes[-1].start()] + " " + plain[codes[-1].end() :] if codes else plain
    return _han_address(rest, postcode) if HAN.search(rest) else _latin_address(rest, postcode)


def _han_address(text: str, postcode: str | None) -> Address:
    closed = re.sub(r"[^\w-]+", "", text)
    local, regions = _without_regions(closed)
    number = _HAN_NUMBER.search(local)
    street = _HAN_STREET.search(local[: number.start()] if number else local)
    unit = _han_unit(local[number.end() :] if number else local)
    name = street.group(1) if street else None
    return Address(
        han=closed,
        street=name,
        sound=_street_sounds(name) if name else (),
        number="-".join(part for part in number.groups() if part).replace("之", "-") if number else None,
        unit=unit,
        postcode=postcode,
        region=regions,
    )


def _without_regions(text: str) -> tuple[str, list[str]]:
    """The text after province, city and district, and their codes."""
    rest, found = text, set[str]()
    while region := _REGION.match(rest) or _known_city(rest):
        name, rest = region.group(1), rest[region.end() :]
        found.update(
            cities().get(name) or (() if name in countries() else ("".join(mandarin(c)[0] for c in name),))
        )
    return rest, sorted(found)


def _known_city(text: str) -> re.Match[str] | None:
    """A city or province at the beginning that is not called one, if a region follows it: 广东深圳市."""
    for size in (4, 3, 2):
        if (text[:size] in cities() and _REGION.match(text[size:])) or text[:size] in countries():
            return re.match(f"(.{{{size}}})", text)
    return None


def _han_unit(text: str) -> str | None:
    """Building and room, or building and floor: a room's number tells its floor."""
    found = {word: value for value, word in _HAN_UNIT.findall(text)}
    building = [value for word, value in found.items() if word in ("号楼", "栋", "幢", "座", "单元")]
    room = [found[word] for word in ("室", "房", "层", "楼") if word in found][:1]
    return "-".join((*building, *room)) or None


def _street_sounds(street: str) -> list[str]:
    street = _SECTION.sub("", street)
    word = max((known for known in _hanzi_words() if street.endswith(known)), key=len)
    name, kind = street[: -len(word)], _hanzi_words()[word]
    side = _SIDES.get(name[-1:], "") if len(name) > 2 else ""
    return sorted(
        " ".join(part for part in (sound, side, kind) if part)
        for sound in brand_sounds(name[:-1] if side else name)
    )


def _latin_address(text: str, postcode: str | None) -> Address:
    segments = [_TOKEN.findall(part.replace(".", " ")) for part in re.split(r"[,;\n]", text)]
    words = [_spelled(word) for segment in segments for word in segment]
    street, number = _street(segments)
    places = Parts()
    for segment in segments:
        places.add_place(" ".join(segment))
    return Address(
        latin=" ".join(sorted(words)) or None,
        street=street,
        sound=[street] if street else (),
        number=number or _numbered(segments),
        unit=_unit(text),
        postcode=postcode,
        region=sorted(set(places.region)),
    )


def _street(segments: Sequence[Sequence[str]]) -> tuple[str | None, str | None]:
    """The name of the street and the number before or after it."""
    for segment in segments:
        for place, word in enumerate(segment):
            found = _street_at(segment, place, word)
            if found:
                return found
    return None, None


def _street_at(segment: Sequence[str], place: int, word: str) -> tuple[str, str | None] | None:
    kinds, sides = _after(), _sides()
    german = _STRASSE.match(word)
    if german and word not in kinds:
        return f"{german.group(1)}strasse", _number_of(segment[place + 1 : place + 2])
    if word in _before() and place + 1 < len(segment):
        return " ".join((_before()[word], *segment[place + 1 :])), _number_of(segment[:place])
    if word not in kinds or not place:
        return None
    numbered = next((n for n in range(place - 1, -1, -1) if _NUMBER.fullmatch(segment[n])), -1)
    name = segment[numbered + 1 : place]
    if not name:
        return None
    turned = [sides[part] for part in name if part in sides]
    turned += [sides[part] for part in segment[place + 1 : place + 2] if part in sides]
    plain = "".join(part for part in name if part not in sides) or "".join(name)
    return " ".join((plain, *turned, kinds[word])), _number_of(segment[: numbered + 1])


def _number_of(words: Sequence[str]) -> str | None:
    return next((word for word in reversed(words) if _NUMBER.fullmatch(word)), None)


def _numbered(segments: Sequence[Sequence[str]]) -> str | None:
    """A number that stands alone, or after 'No', before its street."""
    for segment in segments:
        if segment and segment[0] == "no" and len(segment) > 1:
            return segment[1]
        if len(segment) == 1 and _NUMBER.fullmatch(segment[0]):
            return segment[0]
    return None


def _unit(text: str) -> str | None:
    words = _TOKEN.findall(_FLOOR.sub(lambda found: f" floor {found.group(1) or found.group(2)} ", text))
    units = _units()
    found = {units[word]: words[place + 1] for place, word in enumerate(words[:-1]) if word in units}
    sign = _UNIT_SIGN.search(text)
    if sign:
        found.setdefault("apartment", sign.group(1))
    kinds = ("block", "lot", "apartment") if "apartment" in found else ("block", "lot", "floor")
    return "-".join(found[kind] for kind in kinds if kind in found) or None


def _spelled(word: str) -> str:
    return _after().get(word) or _before().get(word) or _others().get(word) or word


@cache
def _after() -> dict[str, str]:
    return _kind("after")


@cache
def _before() -> dict[str, str]:
    return _kind("before")


@cache
def _units() -> dict[str, str]:
    return _kind("unit")


@cache
def _sides() -> dict[str, str]:
    return _kind("side")


@cache
def _others() -> dict[str, str]:
    return _kind("word")


@cache
def _hanzi_words() -> dict[str, str]:
    return _kind("hanzi")


def _kind(kind: str) -> dict[str, str]:
    return {word: means[0] for word, means in meanings("address_words.csv", kind).items()}
