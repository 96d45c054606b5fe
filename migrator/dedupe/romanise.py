"""How Chinese names sound in Latin letters: surname readings, pinyin, Wade-Giles, Cantonese and Hokkien spellings.

A key is '<surname> <given name>': the surname in the pinyin of its character whatever dialect it was written in
('chan' and 'tan' are 'chen'), the given name closed up as it sounds. Characters with several readings give several
keys, and a spelling that several surnames share ('ng') gives several too; two names may be one when they share a key.
Cantonese and Hokkien sounds are marked, so that Man (文) does not meet the Mandarin Man (曼).
ü is written u on both sides: nobody types it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import islice, product

from migrator.dedupe import southern
from migrator.dedupe.words import rows

_READINGS = 2
"""Mandarin readings of one character that are tried; the rest are rare in names."""
_KEYS = 12
"""Keys of one name in one dialect; readings multiply."""
_TONES = str.maketrans("āáǎàēéěèīíǐìōóǒòūúǔùǖǘǚǜüńňǹḿ", "aaaaeeeeiiiioooouuuuuuuuunnnm")
_COMPOUND = 2
_LONGEST = 4
"""Characters of the longest surname."""
_LONGEST_CLOSED = 9
_LONGEST_NAME = 3
"""Words of a surname and a given name; what is more may be a name of another language before or after them."""
_COMPOUND_SIDES = (2, 3)
"""Which ways to divide a name take two words for the surname."""
_REMEMBERED = 50_000
"""Words whose reading is kept; names are made of few."""
DIALECT = "~"
"""Stands before a given name as it sounds in the south, so that it meets no Mandarin sound."""
_SYLLABLE = re.compile(
    r"tsz|sz|ng|hm|(?:[bpmfdtnlgkhwzcsjyrqxv]|ng|gw|kw|hw|hu|ch|sh|zh|ts|tz|tj|hs|sz|ph|th|kh)?"
    r"(?:[aeiou]|ai|ao|au|aw|ay|ea|ee|ei|eo|eu|ew|ia|ie|io|iu|oa|oe|oi|oo|ou|ow|oy|ua|ue|ui|uo|wa|we|wi|ya|ye|yo|yu"
    r"|iao|iau|iew|eow|uai|ooi|uay|wai|wee|yue|iou)?(?:ng|ngr?|[nmptkhr]|ck|tt|rn|eh|ih)?"
)


def split_name(han: str) -> tuple[str, str]:
    """Surname and given name of a Chinese name in simplified characters."""
    surnames = _surnames()
    for size in range(min(_LONGEST, len(han) - 1), _COMPOUND - 1, -1):
        if han[:size] in surnames:
            return han[:size], han[size:]
    return han[:1], han[1:]


def surname_classes(family: str) -> tuple[str, ...]:
    """The readings of a surname in characters, those it has as a surname where they are known."""
    known = _surnames().get(family)
    return known or readings(family)


def spelled_classes(word: str) -> tuple[str, ...]:
    """The surnames that a Latin word may stand for, in pinyin; none where it is no Chinese surname."""
    return _spellings().get(word, ())


def is_surname(han: str) -> bool:
    """Whether the characters are a known surname."""
    return han in _surnames()


def readings(han: str) -> tuple[str, ...]:
    """Every usual toneless reading of the characters, closed up."""
    return tuple(_joined([mandarin(char) for char in han]))


def dialect_sounds(han: str) -> set[str]:
    """The characters in Cantonese and in Hokkien, folded and closed up; none where a table has not all of them."""
    every = ([southern.sounds(char, dialect) for char in han] for dialect in southern.DIALECTS)
    return {sound for options in every for sound in _joined(options)}


def _mixed_sounds(han: str) -> list[str]:
    """One character in Cantonese and the next in Hokkien, as families do that speak both."""
    return _joined(
        [sorted({sound for d in southern.DIALECTS for sound in southern.sounds(char, d)}) for char in han]
    )


def name_keys(family: str, given: str) -> list[str]:
    """The keys of a name in characters."""
    sounds = _sounding(given)
    return [f"{name} {sound}".strip() for name in surname_classes(family) for sound in sounds]


@lru_cache(_REMEMBERED)
def _sounding(given: str) -> tuple[str, ...]:
    spoken = {*dialect_sounds(given), *_mixed_sounds(given)} if given else set[str]()
    return tuple(sorted({*readings(given), *(f"{DIALECT}{sound}" for sound in spoken)}))


def spelled_keys(words: Sequence[str], *, hyphened: bool = False) -> list[str]:
    """The keys of a name in Latin words, if it can be a Chinese one: the surname first or last.

    `hyphened` says that the given name was: Wade-Giles does that, so it is read as that too.
    """
    if len(words) == 1:
        return _closed_keys(words[0])
    found: set[str] = set()
    older = hyphened or _is_wade_giles(words)
    sides = [(words[0], words[1:]), (words[-1], words[:-1])]
    if len(words) > _COMPOUND:
        sides += [(words[0] + words[1], words[2:]), (words[-2] + words[-1], words[:-2])]
    if len(words) > _LONGEST_NAME:
        sides += [(words[1], words[2:]), (words[0], words[1:-1])]
    for number, (family, given) in enumerate(sides):
        classes = spelled_classes(family)
        if classes and (number not in _COMPOUND_SIDES or _is_compound(family)):
            found.update(f"{name} {sound}" for name in classes for sound in _given_sounds(given, older))
    if all(_syllables(word) for word in words):
        for family, given in sides[:2]:
            if not spelled_classes(family):
                found.update(f"{_plain(family)} {sound}" for sound in _given_sounds(given, older))
    return sorted(found)


@lru_cache(_REMEMBERED)
def is_chinese_word(word: str) -> bool:
    """Whether a Latin word can be part of a Chinese name: a syllable of some dialect, or pinyin syllables closed up."""
    return bool(_SYLLABLE.fullmatch(word)) or _syllables(word) or word in _spellings()


def _closed_keys(word: str) -> list[str]:
    """'wangxiaoming' taken apart after its surname."""
    found = set()
    for size in range(2, min(len(word) - 1, _LONGEST_CLOSED)):
        family, given = word[:size], word[size:]
        if _is_pinyin_surname(family) and _syllables(given):
            found.add(f"{_plain(family)} {_plain(given)}")
    return sorted(found)


def _is_wade_giles(words: Sequence[str]) -> bool:
    """Whether a word is spelled as only Wade-Giles spells."""
    return any(word in _wade_giles() and word not in _syllable_set() for word in words)


def _given_sounds(given: Sequence[str], older: bool) -> set[str]:
    dialect = DIALECT + "".join(southern.folded(word) for word in given)
    options = [sorted({_plain(word), *(_wade_giles().get(word, ()) if older else ())}) for word in given]
    return {dialect, *_joined(options)}


def _joined(options: Sequence[Sequence[str]]) -> list[str]:
    return sorted({"".join(parts) for parts in islice(product(*options), _KEYS)})


@lru_cache(_REMEMBERED)
def mandarin(char: str) -> tuple[str, ...]:
    """The first toneless readings of one character; the character itself where it has none."""
    from pypinyin.pinyin_dict import pinyin_dict

    listed = pinyin_dict.get(ord(char), "") if len(char) == 1 else ""
    found = dict.fromkeys(part.translate(_TONES) for part in listed.split(",") if part)
    return tuple(found)[:_READINGS] or (char,)


@lru_cache(_REMEMBERED)
def _plain(word: str) -> str:
    """ü typed as v or yu, in one way."""
    return re.sub(r"([ln])v", r"\1u", re.sub(r"^([ln])yu(e?)$", r"\1u\2", word))


@cache
def _surnames() -> dict[str, tuple[str, ...]]:
    return {
        row["surname"]: tuple(_plain(word) for word in row["pinyin"].split()) for row in rows("surnames.csv")
    }


@cache
def _spellings() -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for row in rows("surnames.csv"):
        classes = row["pinyin"].split()
        for name in classes:
            found.setdefault(name, set()).add(_plain(name))
            found.setdefault(_plain(name), set()).add(_plain(name))
        for word in row["spellings"].split():
            found.setdefault(word, set()).add(_plain(classes[0]))
    return {word: tuple(sorted(classes)) for word, classes in found.items()}


def _is_compound(word: str) -> bool:
    return word in _surname_words()[0]


def _is_pinyin_surname(word: str) -> bool:
    return word in _surname_words()[1]


@cache
def _surname_words() -> tuple[frozenset[str], frozenset[str]]:
    """Latin words of compound surnames, and the pinyin of all."""
    listed = rows("surnames.csv")
    compound = (
        word
        for row in listed
        if len(row["surname"]) > 1
        for word in f"{row['pinyin']} {row['spellings']}".split()
    )
    return frozenset(compound), frozenset(word for row in listed for word in row["pinyin"].split())


@cache
def _syllable_set() -> frozenset[str]:
    from pypinyin.pinyin_dict import pinyin_dict

    listed = (part.translate(_TONES) for text in pinyin_dict.values() for part in text.split(","))
    return frozenset(word for word in listed if re.fullmatch(r"[a-z]*[aeiou][a-z]*", word))


@lru_cache(_REMEMBERED)
def _syllables(word: str) -> bool:
    """Whether the word is one pinyin syllable or several."""
    known = _syllable_set()
    reached = {0}
    for start in range(len(word)):
        if start in reached:
            reached.update(
                end
                for end in range(start + 1, min(start + 7, len(word) + 1))
                if _plain(word[start:end]) in known
            )
    return len(word) in reached


@cache
def _wade_giles() -> dict[str, tuple[str, ...]]:
    """From a Wade-Giles syllable, its apostrophe left out as most do, to the pinyin syllables it may be."""
    found: dict[str, set[str]] = {"ing": {"ying"}, "szu": {"si"}, "kwo": {"guo"}}
    for syllable in _syllable_set():
        found.setdefault(_to_wade_giles(syllable), set()).add(syllable)
    return {word: tuple(sorted(syllables)) for word, syllables in found.items()}


_WHOLE = {"zi": "tzu", "ci": "tzu", "si": "ssu", "ri": "jih", "er": "erh", "yi": "i", "you": "yu", "yan": "yen", "ye": "yeh", "yue": "yueh", "yong": "yung"}  # fmt: skip
_INITIALS = {"zh": "ch", "ch": "ch", "sh": "sh", "b": "p", "d": "t", "g": "k", "j": "ch", "q": "ch", "x": "hs", "z": "ts", "c": "ts", "r": "j"}  # fmt: skip
_FINALS = {"ian": "ien", "ie": "ieh", "ue": "ueh", "iong": "iung", "ong": "ung"}


def _to_wade_giles(syllable: str) -> str:
    if syllable in _WHOLE:
        return _WHOLE[syllable]
    initial = next((part for part in (syllable[:2], syllable[:1]) if part in _INITIALS), "")
    final = syllable[len(initial) :]
    if not initial and syllable[0] not in "aeiou":
        initial, final = syllable[0], syllable[1:]
    return _INITIALS.get(initial, initial) + _wade_giles_final(initial, final)


def _wade_giles_final(initial: str, final: str) -> str:
    if final == "i" and initial in ("zh", "ch", "sh"):
        return "ih"
    if final == "e" and initial in ("g", "k", "h"):
        return "o"
    if final == "uo" and initial not in ("g", "k", "h", "sh"):
        return "o"
    if final == "ui" and initial in ("g", "k"):
        return "uei"
    return _FINALS.get(final, final)
