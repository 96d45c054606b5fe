"""Persons' names taken apart into what can be compared: hanzi, words, readings across scripts, short forms, suffix."""

from __future__ import annotations

import re
from functools import cache

import pyarrow as pa

from migrator.dedupe.latin_person import TOKEN, latin_person, named_words, plain_person
from migrator.dedupe.person_parts import Person, formal, hanzi_names, name_words, suffix_of
from migrator.dedupe.romanise import is_surname, name_keys, spelled_keys, split_name, surname_classes
from migrator.dedupe.script import HAN, WORD, bare, composed
from migrator.dedupe.words import meanings

_LISTED = pa.list_(pa.string())

PERSON = pa.struct(
    [
        pa.field("han", pa.string()),
        pa.field("latin", pa.string()),
        pa.field("spelled", _LISTED),
        pa.field("pinyin", _LISTED),
        pa.field("forms", _LISTED),
        pa.field("shorter", _LISTED),
        pa.field("family", _LISTED),
        pa.field("short", pa.string()),
        pa.field("suffix", pa.string()),
        pa.field("father", pa.string()),
        pa.field("child", pa.string()),
    ]
)
"""Features of a person's name; two names agree in a list when they share an element.

han: simplified, without spaces and titles, null where there are no hanzi · latin: folded words, sorted, but in the
order written where it is a Chinese or Malay name; null where there are none · spelled: '<family> <given>' as written,
closed up, in both orders · pinyin: '<family> <given>' in toneless pinyin and in dialects, under every reading · forms:
'<family> <given>' with nicknames resolved · shorter: forms that this name may be shortened to · family: surnames, one
spelling for all dialects · short: the nickname in it, null where it has none · suffix: 'jr', 'sr', '2', '3', … · father: the father's name after bin, binti, a/l, a/p ·
child: 'son' or 'daughter', as these say.
"""

_ASIDE = re.compile(
    r"\(([^()]*)\)|\[([^\[\]]*)\]|【([^【】]*)】|\"([^\"]*)\"|“([^“”]*)”|「([^「」]*)」|《([^《》]*)》"
)

_HAN_ALONE = re.compile(f"{HAN.pattern}(?:, {HAN.pattern})?")
"""A name in characters with nothing beside it, as most of them are."""


def person_features(texts: pa.Array) -> pa.StructArray:
    """The features of each name, of type `PERSON`; null where the text is null.

    Where a source keeps surname and given name apart, give 'SURNAME, GIVEN': that reads right in every script.
    """
    missing = texts.is_null()
    made = [_features(text) for text in composed(texts.drop_null().to_pylist())]
    places = iter(range(len(made)))
    rows = [_NOBODY if absent else made[next(places)] for absent in missing.to_pylist()]
    columns = zip(*rows, strict=True) if rows else ((),) * PERSON.num_fields
    arrays = [pa.array(column, field.type) for column, field in zip(columns, PERSON, strict=True)]
    return pa.StructArray.from_arrays(arrays, fields=list(PERSON), mask=missing)


_NOBODY = Person()


def _features(text: str) -> Person:
    plain = plain_person(text) if text.isascii() else None
    if plain is not None:
        return plain
    if _HAN_ALONE.fullmatch(text):
        return _han_person(text.replace(", ", ""), "")
    main, asides = _set_aside(text)
    han = "".join(HAN.findall(main))
    if not han:
        beside = "".join(HAN.findall(" ".join(asides)))
        if not beside:
            return latin_person(main, asides)
        return _han_person(beside, main)
    return _han_person(han, " ".join((HAN.sub(" ", main), *asides)))


def _set_aside(text: str) -> tuple[str, list[str]]:
    """The text without brackets and quotes, and what stood in them; brackets around everything mean nothing."""
    if not _ASIDE.search(text):
        return text, []
    main = _ASIDE.sub(" ", text)
    if not WORD.search(main):
        return _ASIDE.sub(lambda found: f" {found.group()[1:-1]} ", text), []
    return main, [found.group()[1:-1] for found in _ASIDE.finditer(text)]


def _han_person(han: str, beside: str) -> Person:
    if han in meanings("name_words.csv", "han_title") and WORD.search(beside):
        return latin_person(beside, ())
    name = _without_title(han)
    family, given = split_name(name)
    words = TOKEN.findall(bare(beside)) if beside and WORD.search(beside) else []
    latin = named_words(words) if words else words
    english = [word for word in words if formal(word)]
    classes = surname_classes(family)
    sounding = hanzi_names().get(given, ())
    keys = name_keys(family, given)
    if len(latin) > 1:
        keys = sorted({*keys, *spelled_keys(latin)})
    return Person(
        han=name,
        latin=" ".join(sorted(latin)) or None,
        spelled=(),
        pinyin=keys,
        forms=sorted({f"{surname} {known}" for surname in classes for known in sounding}),
        shorter=sorted(
            {f"{surname} {known}" for surname in classes for word in english for known in formal(word)}
        ),
        family=classes,
        suffix=suffix_of(words),
    )


def _without_title(han: str) -> str:
    if han[-1] not in _title_ends():
        return han
    for title in name_words("han_title"):
        if han.endswith(title) and len(han) > len(title):
            rest = han[: -len(title)]
            if len(title) > 1 or len(rest) == 1 or is_surname(rest):
                return rest
    return han


@cache
def _title_ends() -> frozenset[str]:
    """The last characters of titles: most names end in none."""
    return frozenset(title[-1] for title in name_words("han_title"))
