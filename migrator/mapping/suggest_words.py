"""What the name or label of a field says, as concepts of the CRM trade, in English, Chinese or Malay; the words are data."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

LANGUAGES = ("english", "chinese", "malay")
_SMALL = r"[^\W\d_A-Z\u3400-\u9fff]"
_PIECE = re.compile(rf"[A-Z]+(?=[A-Z]{_SMALL})|[A-Z]?{_SMALL}+|[A-Z]+|\d+|[\u3400-\u9fff]+")
_CJK = re.compile(r"[\u3400-\u9fff]")
_CUSTOM = re.compile(r"__[a-z]$|Obj(?=__|$)")
"""What some vendors put behind names that say nothing of the field: `Region__c`, `AccountObj`."""
_LONGEST_PHRASE = 5
_SHARED = 0.6
"""A first word that so large a share of an object's fields begin with is the object's, not theirs."""
_NEAR = 88
"""Of 100: from here on an unknown word is taken for a misspelt one."""
_UNKNOWN_WEIGHT = 1.2
_FILLER = 0.05
ORDINALS: Mapping[str, frozenset[str]] = {
    "1": frozenset({"#1", "main", "billing"}),
    "2": frozenset({"#2", "other", "shipping"}),
    "3": frozenset({"#3", "other"}),
}
"""Numbered fields: the first phone or address is the main one, later ones are the others."""


@dataclass(frozen=True, slots=True)
class Concept:
    """One thing that CRM fields are about."""

    name: str
    group: str
    """Concepts of one group exclude each other: what is a fax is no e-mail address; empty for none."""
    weight: float
    """How much it says of a field that it has this concept; 1 is usual."""
    absorbs: frozenset[str]
    """Concepts that say nothing more beside this one: a mobile phone is a phone."""
    beside: str = ""
    """Where a word has several meanings, it means this one in objects that have a field of that concept, and there only:
    the title of who has a last name is a job title."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word or phrase of a name; `senses` are the concepts it may mean, for an unknown word the word itself."""

    text: str
    senses: frozenset[str]
    weight: float
    known: bool = True
    groups: frozenset[str] = frozenset()
    """Groups in which its meanings exclude others."""


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Concepts by name, and phrases (words with a space between, or Chinese terms) to the concepts they may mean."""

    concepts: Mapping[str, Concept]
    phrases: Mapping[str, frozenset[str]]
    terms: Mapping[str, frozenset[str]]
    words: frozenset[str]
    _read: dict[tuple[str, str], tuple[Token, ...]] = field(default_factory=dict, compare=False)
    _split: dict[str, tuple[str, ...]] = field(default_factory=dict, compare=False)

    def objects(self, *names: str) -> frozenset[str]:
        """Concepts of objects that names or labels of an object speak of."""
        found = [token.senses for name in names for token in self.read(name)]
        return frozenset(sense for senses in found for sense in senses if self.group(sense) == "object")

    def group(self, sense: str) -> str:
        """The group that a concept excludes others in; '' for none."""
        concept = self.concepts.get(sense)
        return concept.group if concept else ""

    def read(self, text: str, *, prefix: str = "", own: Collection[str] = ()) -> tuple[Token, ...]:
        """What a name says; a first word `prefix` goes, and so do the concepts `own` of its object, if anything is left."""
        key = (text, prefix)
        if key not in self._read:
            words = [piece for word in _words(text) for piece in self._pieces(word)]
            if prefix and len(words) > 1 and words[0] == prefix:
                words = words[1:]
            self._read[key] = self._absorbed(self._tokens(words))
        tokens = self._read[key]
        left = tuple(token for token in tokens if not (token.senses <= set(own)))
        return left if any(token.weight > _FILLER * 2 for token in left) else tokens

    def settle(self, tokens: Iterable[Token], about: Collection[str]) -> tuple[Token, ...]:
        """The tokens with meanings left out that do not fit an object whose fields are `about` those concepts."""
        return tuple(self._settled(token, about) if len(token.senses) > 1 else token for token in tokens)

    def _settled(self, token: Token, about: Collection[str]) -> Token:
        bound = {sense for sense in token.senses if (known := self.concepts.get(sense)) and known.beside}
        if not bound:
            return token
        fitting = {sense for sense in bound if self.concepts[sense].beside in about}
        senses = frozenset(fitting or token.senses - bound)
        return self._known(token.text, senses) if senses else token

    def _tokens(self, words: Sequence[str]) -> list[Token]:
        found: list[Token] = []
        at = 0
        while at < len(words):
            if _CJK.match(words[at]):
                found.extend(self._chinese(words[at]))
                at += 1
                continue
            size = next(
                (
                    size
                    for size in range(min(_LONGEST_PHRASE, len(words) - at), 0, -1)
                    if " ".join(words[at : at + size]) in self.phrases
                ),
                0,
            )
            if size:
                phrase = " ".join(words[at : at + size])
                found.append(self._known(phrase, self.phrases[phrase]))
            else:
                found.append(self._single(words[at]))
            at += size or 1
        return found

    def _known(self, text: str, senses: frozenset[str]) -> Token:
        weight = min(self.concepts[sense].weight for sense in senses)
        return Token(text, senses, weight, groups=self._groups(senses))

    def _groups(self, senses: Collection[str]) -> frozenset[str]:
        return frozenset(group for sense in senses if (group := self.group(sense)))

    def _single(self, word: str) -> Token:
        """A word that begins no phrase: a number, the singular of one, a misspelling, or unknown."""
        if word in ORDINALS:
            senses = ORDINALS[word]
            return Token(word, senses, 0.15 if word == "1" else 0.6, groups=self._groups(senses))
        if word.isdigit():
            return Token(word, frozenset({f"#{word}"}), 0.8)
        singular = word.removesuffix("s")
        if singular in self.phrases:
            return self._known(word, self.phrases[singular])
        near = _nearest(word, self.words) if len(word) >= 5 else None
        if near is not None and near in self.phrases:
            return self._known(word, self.phrases[near])
        return Token(word, frozenset({word}), _UNKNOWN_WEIGHT if len(word) > 1 else _FILLER, known=False)

    def _chinese(self, text: str) -> list[Token]:
        found: list[Token] = []
        rest = ""
        at = 0
        while at < len(text):
            size = next(
                (s for s in range(min(10, len(text) - at), 0, -1) if text[at : at + s] in self.terms), 0
            )
            if size:
                found.extend(_unknown(rest))
                rest = ""
                term = text[at : at + size]
                found.append(self._known(term, self.terms[term]))
            else:
                rest += text[at]
            at += size or 1
        return [*found, *_unknown(rest)]

    def _pieces(self, word: str) -> tuple[str, ...]:
        """A word that several words were written together as (`estimatedclosedate`), taken apart where all are known."""
        if word not in self._split:
            self._split[word] = (
                (word,)
                if len(word) < 5 or word in self.words or _CJK.match(word) or word.isdigit()
                else _take_apart(word, self.words)
            )
        return self._split[word]

    def _absorbed(self, tokens: Sequence[Token]) -> tuple[Token, ...]:
        """The tokens without those that say nothing more beside another one."""
        sure = {sense for token in tokens if len(token.senses) == 1 for sense in token.senses}
        gone = {
            absorbed for sense in sure if sense in self.concepts for absorbed in self.concepts[sense].absorbs
        }
        kept = (
            token
            for token in tokens
            if not (token.senses <= gone or (len(token.senses) > 1 and token.senses <= gone | sure))
        )
        return tuple(dict.fromkeys(kept))


def shared_prefix(names: Iterable[str]) -> str:
    """The first word that most fields of an object begin with (`comp_name`, `comp_city`); '' when there is none."""
    listed = [words for words in map(_words, names) if words]
    firsts = Counter(words[0] for words in listed if len(words) > 1)
    if len(listed) < 4 or not firsts:
        return ""
    word, count = firsts.most_common(1)[0]
    return word if count >= _SHARED * len(listed) else ""


@cache
def load_lexicon() -> Lexicon:
    """The lexicon that ships with the tool (`lexicon.csv` beside this module)."""
    text = files("migrator.mapping").joinpath("lexicon.csv").read_text(encoding="utf-8")
    return parse_lexicon(text)


def parse_lexicon(text: str) -> Lexicon:
    """A lexicon from CSV: concept, group, weight, absorbs, beside, and its words in each language, with `|` between.

    Raises ValueError when a concept stands twice or speaks of one that is not there.
    """
    rows = list(csv.DictReader(text.splitlines()))
    concepts = {
        row["concept"]: Concept(
            row["concept"],
            row["group"],
            float(row["weight"]),
            frozenset(_listed(row["absorbs"])),
            row["beside"],
        )
        for row in rows
    }
    if len(concepts) != len(rows):
        raise ValueError("a concept stands twice in the lexicon")
    lost = {name for item in concepts.values() for name in (*item.absorbs, item.beside) if name} - set(
        concepts
    )
    if lost:
        raise ValueError(f"the lexicon speaks of unknown concepts: {', '.join(sorted(lost))}")
    phrases: dict[str, set[str]] = {}
    for row in rows:
        for phrase in (phrase for language in LANGUAGES for phrase in _listed(row[language])):
            phrases.setdefault(phrase.lower(), set()).add(row["concept"])
    latin = {phrase: frozenset(found) for phrase, found in phrases.items() if not _CJK.search(phrase)}
    return Lexicon(
        concepts,
        latin,
        {phrase: frozenset(found) for phrase, found in phrases.items() if _CJK.search(phrase)},
        frozenset(word for phrase in latin for word in phrase.split()),
    )


def _listed(cell: str) -> list[str]:
    return [word for word in cell.split("|") if word]


def _words(text: str) -> list[str]:
    return [piece.lower() for piece in _PIECE.findall(_CUSTOM.sub("", text.strip()))]


def _unknown(text: str) -> list[Token]:
    return [Token(text, frozenset({text}), _UNKNOWN_WEIGHT, known=False)] if text else []


def _take_apart(word: str, known: Collection[str]) -> tuple[str, ...]:
    """The split into known words with the longest words in it; the word itself when there is none."""
    best: dict[int, tuple[int, tuple[str, ...]]] = {0: (0, ())}
    for end in range(1, len(word) + 1):
        options = [
            (best[start][0] + (end - start) ** 2, (*best[start][1], word[start:end]))
            for start in range(max(0, end - 20), end)
            if start in best and end - start > 1 and word[start:end] in known
        ]
        if options:
            best[end] = max(options)
    score, pieces = best.get(len(word), (0, ()))
    return pieces if score >= 3 * len(word) else (word,)


@cache
def _nearest(word: str, known: frozenset[str]) -> str | None:
    from rapidfuzz import fuzz, process

    found = process.extractOne(word, known, scorer=fuzz.ratio, score_cutoff=_NEAR)
    return found[0] if found else None
