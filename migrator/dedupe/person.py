"""Persons' names taken apart into what can be compared: hanzi, words, readings across scripts, short forms, suffix."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice, product
from typing import NamedTuple

import pyarrow as pa

from migrator.dedupe.romanise import (
    is_chinese_word,
    is_surname,
    name_keys,
    spelled_classes,
    spelled_keys,
    split_name,
    surname_classes,
)
from migrator.dedupe.script import HAN, WORD, bare, composed, spelled_out
from migrator.dedupe.words import meanings, rows

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
        pa.field("suffix", pa.string()),
        pa.field("father", pa.string()),
        pa.field("child", pa.string()),
    ]
)
"""Features of a person's name; two names agree in a list when they share an element.

han: simplified, without spaces and titles, null where there are no hanzi · latin: folded words, sorted, but in
the order written where it is a Chinese or Malay name; null where there are none · spelled: '<family> <given>' as written, closed up, in both orders · pinyin: '<family> <given>' in
toneless pinyin and in dialects, under every reading · forms: '<family> <given>' with nicknames resolved · shorter:
forms that this name may be shortened to · family: surnames, one spelling for all dialects · suffix: 'jr', 'sr', '2',
'3', … · father: the father's name after bin, binti, a/l, a/p · child: 'son' or 'daughter', as these say.
"""

_ASIDE = re.compile(
    r"\(([^()]*)\)|\[([^\[\]]*)\]|【([^【】]*)】|\"([^\"]*)\"|“([^“”]*)”|「([^「」]*)」|《([^《》]*)》"
)
_HYPHENED = re.compile(r"([^\W_]+)-([^\W_]+)")
_NONE: frozenset[str] = frozenset()
_TOKEN = re.compile(r"[asd]/[lpo](?![^\W_])|[^\W_]+")
_FORMS = 6
"""Forms of one name that are kept; nicknames of nicknames multiply."""
_SHORTEST_KEPT = 2
_COUPLE = 2
_MOST_CHINESE = 5
"""Words of the longest Chinese name in letters: two surnames, and a given name of two syllables."""
_MOST_WORDS = 12
"""Words of a text that can be a name; what has more is compared as words only."""


class Person(NamedTuple):
    """The features of one name; see `PERSON`."""

    han: str | None = None
    latin: str | None = None
    spelled: Sequence[str] = ()
    pinyin: Sequence[str] = ()
    forms: Sequence[str] = ()
    shorter: Sequence[str] = ()
    family: Sequence[str] = ()
    suffix: str | None = None
    father: str | None = None
    child: str | None = None


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
    main, asides = _set_aside(text)
    han = "".join(HAN.findall(main))
    if not han:
        beside = "".join(HAN.findall(" ".join(asides)))
        if not beside:
            return _latin_person(main, asides)
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


# --- names in characters


def _han_person(han: str, beside: str) -> Person:
    if han in meanings("name_words.csv", "han_title") and WORD.search(beside):
        return _latin_person(beside, ())
    name = _without_title(han)
    family, given = split_name(name)
    words = _TOKEN.findall(bare(beside))
    latin = _named(words)
    english = [word for word in words if _formal(word)]
    classes = surname_classes(family)
    sounding = _hanzi_names().get(given, ())
    keys = name_keys(family, given)
    if len(latin) > 1:
        keys = sorted({*keys, *spelled_keys(latin)})
    return Person(
        han=name,
        latin=" ".join(sorted(latin)) or None,
        spelled=(),
        pinyin=keys,
        forms=sorted({f"{surname} {formal}" for surname in classes for formal in sounding}),
        shorter=sorted(
            {f"{surname} {formal}" for surname in classes for word in english for formal in _formal(word)}
        ),
        family=classes,
        suffix=_suffix(words),
    )


def _without_title(han: str) -> str:
    for title in _words("han_title"):
        if han.endswith(title) and len(han) > len(title):
            rest = han[: -len(title)]
            if len(title) > 1 or len(rest) == 1 or is_surname(rest):
                return rest
    return han


# --- names in letters


def _latin_person(main: str, asides: Sequence[str]) -> Person:
    words = _TOKEN.findall(bare(main))
    if "," in main:
        main, words = _turned(main, words)
    named = _named(words)
    if not named or len(words) > _MOST_WORDS:
        return Person(latin=" ".join(sorted(words)) or None)
    child = _child_at(named)
    if child:
        return _malay_person(named, child)
    spelled = spelled_out(main)
    names = [named] if spelled is None else [named, _named(_TOKEN.findall(spelled))]
    forms, shorter = _latin_forms(names, asides)
    if len(named) == 1:
        forms = sorted({*forms, *spelled_keys(named)})
    hyphened = (
        frozenset(word for pair in _HYPHENED.findall(bare(main)) for word in pair) if "-" in main else _NONE
    )
    chinese = _chinese_words(named, hyphened)
    ends = {named[0], named[-1], *chinese[:1], *chinese[-1:]}
    family = ends.union(*(spelled_classes(word) for word in ends))
    ordered = len(chinese) == len(named) > _COUPLE
    return Person(
        latin=" ".join(named if ordered else sorted(named)),
        spelled=sorted({key for name in names for key in _both_orders(name)}),
        pinyin=spelled_keys(chinese, hyphened=bool(hyphened)) if chinese else [],
        forms=forms,
        shorter=shorter,
        family=sorted(family) if len(named) > 1 else named,
        suffix=_suffix(words),
    )


def _turned(main: str, words: list[str]) -> tuple[str, list[str]]:
    """'SURNAME, GIVEN' with the given name first; 'John Smith, Jr.' stays as it is."""
    family, given = main.split(",", 1)
    if any(word not in _last_words() and word not in _titles() for word in _TOKEN.findall(bare(given))):
        turned = f"{given} {family}"
        return turned, _TOKEN.findall(bare(turned))
    return main, words


def _named(words: Sequence[str]) -> list[str]:
    """The words of the name itself: no titles before it, no suffix or degree after it; Malay spellings made one."""
    kept = list(words)
    titles, last, variants = _titles(), _last_words(), _variants()
    while len(kept) > 1 and (kept[0] in titles or " ".join(kept[:2]) in titles):
        if len(kept) > _SHORTEST_KEPT and " ".join(kept[:2]) in titles:
            del kept[:2]
        elif kept[0] in titles:
            del kept[0]
        else:
            break
    if any(word in last for word in kept[1:]):
        kept = [kept[0], *(word for word in kept[1:] if word not in last)]
    if any(word in variants or word in _malay() for word in kept):
        return _malay_spelling(kept)
    return kept


def _malay_spelling(words: Sequence[str]) -> list[str]:
    if not any(word in _malay() for word in words):
        return list(words)
    variants = _variants()
    named = [variants.get(word, word) for word in words]
    if not _child_at(named):
        for place in range(1, len(named) - 1):
            if named[place] == "b":
                named[place] = "bin"
                break
    return named


def _child_at(words: Sequence[str]) -> int:
    """Where 'bin' or its like stands between two names; 0 where it does not."""
    children = _children()
    return next((place for place in range(1, len(words) - 1) if words[place] in children), 0)


def _malay_person(words: Sequence[str], at: int) -> Person:
    named_after = [word for word in words[at + 1 :] if word not in _titles()] or words[at + 1 :]
    given, father = words[:at], "".join(named_after)
    child = _children()[words[at]]
    whole = f"{''.join(given)} {child} {father}"
    shorter = set(_both_orders(given)) if len(given) > 1 else set()
    if given[0] == "muhammad" and len(given) > 1:
        shorter.add(f"{''.join(given[1:])} {child} {father}")
    return Person(
        latin=" ".join((*given, child, *named_after)),
        spelled=[whole],
        forms=sorted({whole, f"{father} {''.join(given)}", "".join((*given, father))}),
        shorter=sorted(shorter),
        family=[father],
        father=father,
        child=child,
    )


def _both_orders(words: Sequence[str]) -> tuple[str, ...]:
    if len(words) == 1:
        return (words[0],)
    return f"{words[0]} {''.join(words[1:])}", f"{words[-1]} {''.join(words[:-1])}"


def _chinese_words(words: Sequence[str], hyphened: frozenset[str]) -> list[str]:
    """The words of a Chinese name, without English given names beside it; none where it can be no Chinese name.

    'Jen' is English alone, but not in 'Chien-jen'.
    """
    if not all(word.isascii() for word in words):
        return []
    chinese = [word for word in words if (word in hyphened or not _formal(word)) and is_chinese_word(word)]
    if len(chinese) > _MOST_CHINESE or (len(chinese) == 1 and len(words) > 1):
        return []
    return (
        chinese if len(words) == 1 or any(map(spelled_classes, chinese)) or len(chinese) == len(words) else []
    )


def _latin_forms(names: Sequence[Sequence[str]], asides: Sequence[str]) -> tuple[list[str], list[str]]:
    forms: set[str] = set()
    shorter: set[str] = set()
    for words in names:
        if any(word in _malay() for word in words):
            forms.add("".join(words))
        if len(words) == 1:
            forms.update(words)
            shorter.add(words[0])
            continue
        for family, given in _readings(words):
            surnames = (family, *_other_spellings(family, words))
            forms.update(f"{surname} {name}" for surname in surnames for name in _resolved(given))
            short = set(_shortened(given, words))
            short.update(
                formal for text in asides for word in WORD.findall(bare(text)) for formal in _formal(word)
            )
            shorter.update(f"{surname} {name}" for surname in surnames for name in short)
    return sorted(forms), sorted(shorter - forms)


def _other_spellings(family: str, words: Sequence[str]) -> tuple[str, ...]:
    """A Chinese surname in pinyin; of two surnames around a given name, the first is one: Lee Chong Wei."""
    if family == words[-1] and spelled_classes(words[0]):
        return ()
    return spelled_classes(family)


def _readings(words: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """Which word is the surname: the last, the first, or either, where neither is an English given name."""
    first, last = bool(_formal(words[0])), bool(_formal(words[-1]))
    if first or not last:
        yield words[-1], words[:-1]
    if last or not first:
        yield words[0], words[1:]


def _resolved(given: Sequence[str]) -> Sequence[str]:
    """The given name under every formal name that its nicknames stand for."""
    if len(given) == 1:
        return _formal(given[0]) or given
    options = [_formal(word) or (word,) for word in given]
    return ["".join(parts) for parts in islice(product(*options), _FORMS)]


def _shortened(given: Sequence[str], words: Sequence[str]) -> Iterator[str]:
    """What is left of a given name when middle names go or initials stand for them."""
    first, others = given[0], given[1:]
    firsts = _formal(first) or (first,)
    western = bool(_formal(first)) or not any(spelled_classes(word) for word in (words[0], words[-1]))
    if others:
        initials = "".join(word[0] for word in others)
        yield first[0] + initials
        if western or all(len(word) == 1 for word in others):
            yield first[0]
            yield from firsts
            yield from (name + initials for name in firsts)
    elif len(first) > 1:
        yield first[0]


def _suffix(words: Sequence[str]) -> str | None:
    suffixes = _suffixes()
    return next((suffixes[word] for word in reversed(words[1:]) if word in suffixes), None)


# --- the tables


def _formal(word: str) -> tuple[str, ...]:
    """The formal names that an English given name or nickname stands for; none where it is neither."""
    return _formal_names().get(word, ())


@cache
def _formal_names() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for row in rows("given_names.csv"):
        for word in (row["formal"], *row["short"].split()):
            found[word] = tuple(sorted({*found.get(word, ()), row["formal"]}))
    return found


@cache
def _hanzi_names() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for row in rows("given_names.csv"):
        for han in row["hanzi"].split():
            found[han] = (*found.get(han, ()), row["formal"])
    return found


@cache
def _words(kind: str) -> tuple[str, ...]:
    return tuple(sorted(meanings("name_words.csv", kind), key=lambda word: (-len(word), word)))


@cache
def _titles() -> frozenset[str]:
    return frozenset(bare(word) for word in (*_words("title"), *_words("title_pair")))


@cache
def _suffixes() -> dict[str, str]:
    return {word: means[0] for word, means in meanings("name_words.csv", "suffix").items()}


@cache
def _last_words() -> frozenset[str]:
    return frozenset((*_suffixes(), *_words("credential")))


@cache
def _variants() -> dict[str, str]:
    return {word: means[0] for word, means in meanings("name_words.csv", "variant").items()}


@cache
def _children() -> dict[str, str]:
    return {word: means[0] for word, means in meanings("name_words.csv", "child").items()}


@cache
def _malay() -> frozenset[str]:
    """Words that only names of the Malay world have."""
    clear = {word for word in _variants() if word not in _AMBIGUOUS}
    return frozenset({*_words("malay"), *_children(), *clear})


_AMBIGUOUS = ("md", "nor", "noor", "bt", "bn", "abd")
