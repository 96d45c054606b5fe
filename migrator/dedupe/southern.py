"""Cantonese and Hokkien: how the sounds of characters are spelled in names, with all usual spellings folded into one.

Hong Kong has no one spelling: 瑞 is Sui or Shui, 志 Chi or Tze, 良 Leung or Leong. Both the sound of a character
(Jyutping, from the table) and a spelling found in a name are brought to one form, and the forms are compared.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

from migrator.dedupe.words import rows

_INITIALS = {"b": "p", "d": "t", "g": "k", "gw": "kw", "z": "ch", "c": "ch", "j": "y"}
_FINALS = {"oe": "eu", "oeng": "eung", "oek": "euk", "eoi": "ui", "eon": "un", "eot": "ut", "yu": "u", "yun": "un", "yut": "ut", "ou": "o", "ei": "i"}  # fmt: skip
_SHORT_A = {"an": "un", "at": "ut"}
"""珍 is Chan or Chun: the short a is written both ways."""
_JYUTPING = re.compile(r"(gw|kw|ng(?=.)|[bpmfdtnlgkhwzcsj](?=.))?(.+)")
_SPELLINGS = (
    (re.compile(r"tsz|tze|tse\b"), "chi"),
    (re.compile(r"sze|szu"), "si"),
    (re.compile(r"t[sz]"), "ch"),
    (re.compile(r"sh"), "s"),
    (re.compile(r"(.)\1(?=[^aeiou]|$)(?<=[^aeiou])"), r"\1"),
    (re.compile(r"ck"), "k"),
    (re.compile(r"(?<=[aeo])[hr]\b"), ""),
    (re.compile(r"ee|ei|ay|ie\b"), "i"),
    (re.compile(r"oo|ue|ou(?=\w)"), "u"),
    (re.compile(r"ou\b"), "o"),
    (re.compile(r"i?ew|iau"), "iu"),
    (re.compile(r"ow"), "au"),
    (re.compile(r"eong"), "eung"),
    (re.compile(r"um"), "am"),
)
_REMEMBERED = 50_000
_CANTONESE, _HOKKIEN = 0, 1
DIALECTS = (_CANTONESE, _HOKKIEN)


@lru_cache(_REMEMBERED)
def folded(word: str) -> str:
    """A Latin spelling of one or more syllables in the form that sounds are compared in."""
    for pattern, to in _SPELLINGS:
        word = pattern.sub(to, word)
    return word


def sounds(char: str, dialect: int) -> tuple[str, ...]:
    """The folded spellings of a character in one of `DIALECTS`; none where the table does not know it."""
    return _sounds().get(char, ((), ()))[dialect]


@cache
def _sounds() -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    return {
        row["character"]: (
            tuple(sorted({form for sound in row["jyutping"].split() for form in _spelled(sound)})),
            tuple(sorted({folded(word) for word in row["hokkien"].split()})),
        )
        for row in rows("given_sounds.csv")
    }


def _spelled(jyutping: str) -> tuple[str, ...]:
    """A sound in Jyutping as names spell it."""
    found = _JYUTPING.fullmatch(jyutping)
    if not found:
        return (jyutping,)
    initial, final = found.group(1) or "", found.group(2)
    start = _INITIALS.get(initial, initial)
    if final in _SHORT_A:
        return folded(start + final), folded(start + _SHORT_A[final])
    return (folded(start + _FINALS.get(final, final.replace("aa", "a"))),)
