"""What the readers of persons' names share: the parts they find, and the words they know them by."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from migrator.dedupe.script import bare
from migrator.dedupe.words import meanings, rows

_AMBIGUOUS = ("md", "nor", "noor", "bt", "bn", "abd")
"""Malay spellings that mean something else in other names."""


class Person(NamedTuple):
    """The features of one name; see `PERSON`."""

    han: str | None = None
    latin: str | None = None
    spelled: Sequence[str] = ()
    pinyin: Sequence[str] = ()
    forms: Sequence[str] = ()
    shorter: Sequence[str] = ()
    family: Sequence[str] = ()
    short: str | None = None
    suffix: str | None = None
    father: str | None = None
    child: str | None = None


def suffix_of(words: Sequence[str]) -> str | None:
    """'jr', 'sr', '2', …, where a name ends so; not its first word."""
    suffixes = _suffixes()
    return next((suffixes[word] for word in reversed(words[1:]) if word in suffixes), None)


def formal(word: str) -> tuple[str, ...]:
    """The formal names that an English given name or nickname stands for; none where it is neither."""
    return _formal_names().get(word, ())


def nickname(words: Sequence[str]) -> str | None:
    """The first word that is a nickname and no formal name itself."""
    return next((word for word in words if formal(word) and word not in formal(word)), None)


@cache
def _formal_names() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for row in rows("given_names.csv"):
        for word in (row["formal"], *row["short"].split()):
            found[word] = tuple(sorted({*found.get(word, ()), row["formal"]}))
    return found


def known_given_names() -> frozenset[str]:
    """English given names and their short forms."""
    return frozenset(_formal_names())


@cache
def hanzi_names() -> dict[str, tuple[str, ...]]:
    """From a given name in characters to the English names it is the sound of: 大卫 is David."""
    found: dict[str, tuple[str, ...]] = {}
    for row in rows("given_names.csv"):
        for han in row["hanzi"].split():
            found[han] = (*found.get(han, ()), row["formal"])
    return found


@cache
def name_words(kind: str) -> tuple[str, ...]:
    """Words of names of one kind, longest first."""
    return tuple(sorted(meanings("name_words.csv", kind), key=lambda word: (-len(word), word)))


@cache
def titles() -> frozenset[str]:
    """Titles before a name, of one word or two."""
    return frozenset(bare(word) for word in (*name_words("title"), *name_words("title_pair")))


@cache
def _suffixes() -> dict[str, str]:
    return {word: means[0] for word, means in meanings("name_words.csv", "suffix").items()}


@cache
def last_words() -> frozenset[str]:
    """What stands after a name and is no part of it: suffixes, degrees."""
    return frozenset((*_suffixes(), *name_words("credential")))


@cache
def variants() -> dict[str, str]:
    """From a spelling of a Malay name to the one it is compared in."""
    return {word: means[0] for word, means in meanings("name_words.csv", "variant").items()}


@cache
def children() -> dict[str, str]:
    """From 'bin' and its like to 'son' or 'daughter'."""
    return {word: means[0] for word, means in meanings("name_words.csv", "child").items()}


@cache
def malay_words() -> frozenset[str]:
    """Words that only names of the Malay world have."""
    clear = {word for word in variants() if word not in _AMBIGUOUS}
    return frozenset({*name_words("malay"), *children(), *clear})
