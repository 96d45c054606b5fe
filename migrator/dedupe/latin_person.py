"""Persons' names in letters taken apart: Western, Malay, and Chinese names as they are spelled."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice, product
from typing import NamedTuple

from migrator.dedupe.person_parts import (
    Person,
    children,
    formal,
    last_words,
    malay_words,
    nickname,
    suffix_of,
    titles,
    variants,
)
from migrator.dedupe.romanise import is_chinese_word, spelled_classes, spelled_keys
from migrator.dedupe.script import WORD, bare, spelled_out

TOKEN = re.compile(r"[asd]/[lpo](?![^\W_])|[^\W_]+")
"""A word of a name; 'a/l' and its like are one."""
_HYPHENED = re.compile(r"([^\W_]+)-([^\W_]+)")
_NONE: frozenset[str] = frozenset()
_FORMS = 6
"""Forms of one name that are kept; nicknames of nicknames multiply."""
_SHORTEST_KEPT = 2
_COUPLE = 2
_MOST_CHINESE = 5
"""Words of the longest Chinese name in letters: two surnames, and a given name of two syllables."""
_REMEMBERED = 50_000
"""Words of which it is kept what is known of them."""
_MOST_WORDS = 12
"""Words of a text that can be a name; what has more is compared as words only."""


def plain_person(text: str) -> Person | None:
    """The parts of 'surname, given' where both are one word of plain letters and mean nothing else; None for other names.

    It comes to what `latin_person` comes to; most names in letters are so, and what is known of a word is found once.
    """
    family, parted, given = text.partition(", ")
    if not parted:
        return None
    first, last = _known_word(given), _known_word(family)
    if first is None or last is None:
        return None
    forms: set[str] = set()
    shorter: set[str] = set()
    if first.formal or not last.formal:
        surnames = (family,) if first.classes else (family, *last.classes)
        _add_forms(forms, shorter, surnames, given, first)
    if last.formal or not first.formal:
        surnames = (given, *first.classes) if family != given or not first.classes else (given,)
        _add_forms(forms, shorter, surnames, family, last)
    short = next((word for word, known in ((given, first), (family, last)) if known.nickname), None)
    both = (f"{given} {family}", f"{family} {given}")
    chinese = first.chinese and last.chinese
    return Person(
        latin=min(both),
        spelled=sorted(set(both)),
        pinyin=spelled_keys([given, family]) if chinese else (),
        forms=sorted(forms),
        shorter=sorted(shorter - forms),
        family=sorted({given, family, *first.classes, *last.classes}),
        short=short,
    )


class _Known(NamedTuple):
    """What is known of a word that is a name and nothing else."""

    formal: tuple[str, ...]
    classes: tuple[str, ...]
    chinese: bool
    """Whether it can be part of a Chinese name, and is no English given name."""
    nickname: bool


@lru_cache(_REMEMBERED)
def _known_word(word: str) -> _Known | None:
    """None where the word has more letters than plain ones, or may be more than a name."""
    said = word in titles() or word in last_words() or word in malay_words()
    if said or word in variants() or not (word.isascii() and word.isalpha()):
        return None
    names = formal(word)
    return _Known(
        names, spelled_classes(word), not names and is_chinese_word(word), bool(names) and word not in names
    )


def _add_forms(
    forms: set[str], shorter: set[str], surnames: Sequence[str], given: str, known: _Known
) -> None:
    for surname in surnames:
        forms.update(f"{surname} {name}" for name in known.formal or (given,))
        if len(given) > 1:
            shorter.add(f"{surname} {given[0]}")


def latin_person(main: str, asides: Sequence[str]) -> Person:
    """The parts of a name; `main` as `script.composed` leaves it, `asides` what stood beside it in brackets or quotes."""
    words = TOKEN.findall(bare(main))
    if "," in main:
        main, words = _turned(main, words)
    named = named_words(words)
    if not named or len(words) > _MOST_WORDS:
        return Person(latin=" ".join(sorted(words)) or None)
    child = _child_at(named)
    if child:
        return _malay_person(named, child)
    spelled = spelled_out(main)
    names = [named] if spelled is None else [named, named_words(TOKEN.findall(spelled))]
    forms, shorter = _latin_forms(names, asides)
    if len(named) == 1:
        forms = sorted({*forms, *spelled_keys(named)})
    hyphened = _hyphened(main)
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
        short=nickname(named),
        suffix=suffix_of(words),
    )


def _turned(main: str, words: list[str]) -> tuple[str, list[str]]:
    """'SURNAME, GIVEN' with the given name first; 'John Smith, Jr.' stays as it is."""
    family, given = main.split(",", 1)
    if any(word not in last_words() and word not in titles() for word in TOKEN.findall(bare(given))):
        turned = f"{given} {family}"
        return turned, TOKEN.findall(bare(turned))
    return main, words


def named_words(words: Sequence[str]) -> list[str]:
    """The words of the name itself: no titles before it, no suffix or degree after it; Malay spellings made one."""
    kept, last = _without_titles(words), last_words()
    if any(word in last for word in kept[1:]):
        kept = [kept[0], *(word for word in kept[1:] if word not in last)]
    if any(word in malay_words() for word in kept):
        return _malay_spelling(kept)
    return kept


def _without_titles(words: Sequence[str]) -> list[str]:
    """Titles off the front, of two words ('Tan Sri') or one, as long as a name is left."""
    kept, known = list(words), titles()
    while True:
        if len(kept) > _SHORTEST_KEPT and " ".join(kept[:2]) in known:
            del kept[:2]
        elif len(kept) > 1 and kept[0] in known:
            del kept[0]
        else:
            return kept


def _malay_spelling(words: Sequence[str]) -> list[str]:
    """The words in one spelling, 'b' between two names as 'bin'."""
    named = [variants().get(word, word) for word in words]
    if not _child_at(named):
        for place in range(1, len(named) - 1):
            if named[place] == "b":
                named[place] = "bin"
                break
    return named


def _child_at(words: Sequence[str]) -> int:
    """Where 'bin' or its like stands between two names; 0 where it does not."""
    known = children()
    return next((place for place in range(1, len(words) - 1) if words[place] in known), 0)


def _malay_person(words: Sequence[str], at: int) -> Person:
    named_after = [word for word in words[at + 1 :] if word not in titles()] or words[at + 1 :]
    given, father = words[:at], "".join(named_after)
    child = children()[words[at]]
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


def _hyphened(text: str) -> frozenset[str]:
    """Words with a hyphen between them."""
    if "-" not in text:
        return _NONE
    return frozenset(word for pair in _HYPHENED.findall(bare(text)) for word in pair)


def _chinese_words(words: Sequence[str], hyphened: frozenset[str]) -> list[str]:
    """The words of a Chinese name, without English given names beside it; none where it can be no Chinese name.

    'Jen' is English alone, but not in 'Chien-jen'.
    """
    if not all(word.isascii() for word in words):
        return []
    chinese = [word for word in words if (word in hyphened or not formal(word)) and is_chinese_word(word)]
    if len(chinese) > _MOST_CHINESE or (len(chinese) == 1 and len(words) > 1):
        return []
    return (
        chinese if len(words) == 1 or any(map(spelled_classes, chinese)) or len(chinese) == len(words) else []
    )


def _latin_forms(names: Sequence[Sequence[str]], asides: Sequence[str]) -> tuple[list[str], list[str]]:
    forms: set[str] = set()
    shorter: set[str] = set()
    for words in names:
        if any(word in malay_words() for word in words):
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
                known for text in asides for word in WORD.findall(bare(text)) for known in formal(word)
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
    first, last = bool(formal(words[0])), bool(formal(words[-1]))
    if first or not last:
        yield words[-1], words[:-1]
    if last or not first:
        yield words[0], words[1:]


def _resolved(given: Sequence[str]) -> Sequence[str]:
    """The given name under every formal name that its nicknames stand for."""
    if len(given) == 1:
        return formal(given[0]) or given
    options = [formal(word) or (word,) for word in given]
    return ["".join(parts) for parts in islice(product(*options), _FORMS)]


def _shortened(given: Sequence[str], words: Sequence[str]) -> Iterator[str]:
    """What is left of a given name when middle names go or initials stand for them."""
    first, others = given[0], given[1:]
    firsts = formal(first) or (first,)
    western = bool(formal(first)) or not any(spelled_classes(word) for word in (words[0], words[-1]))
    if others:
        initials = "".join(word[0] for word in others)
        yield first[0] + initials
        if western or all(len(word) == 1 for word in others):
            yield first[0]
            yield from firsts
            yield from (name + initials for name in firsts)
    elif len(first) > 1:
        yield first[0]
