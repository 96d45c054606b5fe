"""Cantonese and Hokkien: how the sounds of characters are spelled in names, with all usual spellings folded into one.

There is no one spelling: 瑞 is Sui or Shui, 志 Chi or Tze, 良 Leung or Leong. Both the sound of a character (Jyutping and
Tâi-lô, from the table) and a spelling found in a name are brought to one form, and the forms are compared.
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
_TAILO = re.compile(r"(tsh|ts|[pkt]h|ng(?=.)|[bpmtnlgkhsj](?=.))?(.+)")
_TAILO_FINALS = {"ing": "eng", "ik": "ek", "e": "i"}
_SPELLINGS = tuple(
    (re.compile(pattern), to)
    for pattern, to in (
        (r"tsz|tze|tzu|tse\b", "chi"),
        (r"sze|szu|ssu", "si"),
        (r"t[sz]h?", "ch"),
        (r"sh", "s"),
        (r"(?<!n)g", "k"),
        (r"(?<=[ptk])h", ""),
        (r"ck", "k"),
        (r"([bdfgklmnpst])\1", r"\1"),
        (r"(?<=[a-z])w(?=[aeiou])", "u"),
        (r"(?<=[a-z])ye\b", "ai"),
        (r"(?<=[aeo])[hr]\b", ""),
        (r"ee|ei|ay|ie\b", "i"),
        (r"oo|ue|ou(?=[a-z])", "u"),
        (r"ou\b", "o"),
        (r"eow|iew|ew|iau", "iu"),
        (r"ow", "au"),
        (r"oy", "oi"),
        (r"eung|eong|iang|eang", "iong"),
        (r"eok", "iok"),
        (r"ean|ien", "ian"),
        (r"um", "am"),
    )
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
            tuple(sorted({form for sound in row["jyutping"].split() for form in _cantonese(sound)})),
            tuple(sorted({*map(folded, row["hokkien"].split()), *map(_hokkien, row["tailo"].split())})),
        )
        for row in rows("given_sounds.csv")
    }


def _cantonese(jyutping: str) -> tuple[str, ...]:
    """A sound in Jyutping as names spell it."""
    found = _JYUTPING.fullmatch(jyutping)
    if not found:
        return (jyutping,)
    initial, final = found.group(1) or "", found.group(2)
    start = _INITIALS.get(initial, initial)
    if final in _SHORT_A:
        return folded(start + final), folded(start + _SHORT_A[final])
    return (folded(start + _FINALS.get(final, final.replace("aa", "a"))),)


def _hokkien(tailo: str) -> str:
    """A sound in Tâi-lô as names spell it."""
    found = _TAILO.fullmatch(tailo.removesuffix("nn").removesuffix("h"))
    if not found:
        return tailo
    initial, final = found.group(1) or "", found.group(2)
    start = "ch" if initial.startswith("ts") else initial
    spelled = _TAILO_FINALS.get(final, final)
    if not start and spelled[0] in "iu" and len(spelled) > 1 and spelled[1] in "aeiou":
        spelled = {"i": "y", "u": "w"}[spelled[0]] + spelled[1:]
    return folded(start + spelled)
