"""Each normaliser as a few SQL steps: what makes two notations of one value equal, and what is no value at all.

The last step yields the comparable text, or null where the value can prove nothing (blank, junk, a free-mail host).
Every step is an expression over the column `x` of the one before, so nothing is computed twice. Text comes in after
`unicode.compose` (NFKC), so full and half width are one already. Chinese and other scripts keep their marks: accents
are taken off Latin and Greek only, where typists leave them out. Phone numbers need more than SQL: see `phone`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from migrator.core.mapped import Normaliser
from migrator.dedupe.wordlists import free_mail_domains, junk_values, legal_forms
from migrator.staging.engine import literal

Step: TypeAlias = Callable[[str], str]
"""From the SQL of a text to the SQL of its next form."""

_CJK = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}ー]"
_PLAIN_SCRIPTS = r"[\p{Latin}\p{Greek}\p{Han}\p{Common}\p{Inherited}]*"
_LETTERS, _AS_TYPED = "đðłøħŧıς", "ddlohtiσ"
_LIGATURES = {"ß": "ss", "æ": "ae", "œ": "oe", "þ": "th"}
_APOSTROPHES = "'’‘`´ʼʻ"


def steps(kind: Normaliser) -> tuple[Step, ...]:
    """The steps of a normaliser, in order; raises ValueError for PHONE, which SQL cannot do."""
    match kind:
        case Normaliser.EXACT:
            return (_exact,)
        case Normaliser.EMAIL:
            return (_trimmed, _address, _proven_address)
        case Normaliser.NAME:
            return (_folded, _unaccented, _unquoted, _words, _chinese_words, _ordered, _proven_words)
        case Normaliser.COMPANY:
            spelled = (_spelled, _folded, _unaccented, _unquoted, _words, _chinese_words)
            return (*spelled, _without_form, _ordered, _proven_words)
        case Normaliser.DOMAIN:
            return (_trimmed, _location, _host, _proven_host)
        case Normaliser.PHONE:
            raise ValueError("phone numbers are normalised by migrator.dedupe.phone")


def normalised(columns: Sequence[tuple[str, Sequence[Step]]], source: str) -> str:
    """A query of `__id` and the columns c0, c1, … after their steps; `columns` are (SQL of the text, steps)."""
    listed = ", ".join(f"{text} AS c{number}" for number, (text, _) in enumerate(columns))
    chains = {f"c{number}": chain for number, (_, chain) in enumerate(columns)}
    return chained(chains, ["__id"], f"(SELECT __id, {listed} FROM {source})")


def chained(chains: Mapping[str, Sequence[Step]], kept: Sequence[str], source: str) -> str:
    """A query of the columns `kept` of `source` and of those in `chains`, these after their steps."""
    query = f"SELECT {', '.join((*kept, *chains))} FROM {source}"
    for level in range(max((len(chain) for chain in chains.values()), default=0)):
        listed = ", ".join(
            f"{chain[level](name)} AS {name}" if level < len(chain) else name
            for name, chain in chains.items()
        )
        query = f"SELECT {', '.join((*kept, listed))} FROM ({query})"
    return query


def _exact(x: str) -> str:
    return f"CASE WHEN trim({x}) <> '' AND lower(trim({x})) NOT IN ({_in_list(junk_values('word'))}) THEN {x} END"


def _trimmed(x: str) -> str:
    return f"lower(trim({x}))"


def _address(x: str) -> str:
    """'Ann <a@b.c>' and 'mailto:a@b.c' unwrapped; dots and plus tags stay, for they can tell people apart."""
    unwrapped = f"regexp_replace(regexp_replace({x}, '^[^<]*<([^<>]*)>$', '\\1'), '^mailto:', '')"
    return f"CASE WHEN contains({x}, '<') OR contains({x}, ':') THEN trim({unwrapped}) ELSE {x} END"


def _proven_address(x: str) -> str:
    return (
        f"CASE WHEN regexp_full_match({x}, '[^@\\s<>,;:]+@[^@\\s<>,;:]+\\.[^@\\s<>,;:.]+') "
        f"AND {x} NOT IN ({_in_list(junk_values('email'))}) "
        f"AND split_part({x}, '@', 1) NOT IN ({_in_list(junk_values('local'))}) THEN {x} END"
    )


def _location(x: str) -> str:
    """What stands after the scheme and the user: 'host:port/path'."""
    return f"regexp_replace({x}, '^(?:[a-z][a-z0-9+.-]*://|mailto:|//)?(?:[^/?#]*@)?', '')"


def _host(x: str) -> str:
    bare = f"regexp_replace({x}, '(?::[0-9]*)?(?:[/?#\\s].*)?$', '')"
    return f"regexp_replace(rtrim({bare}, '.'), '^www[0-9]?\\.', '')"


def _proven_host(x: str) -> str:
    return (
        f"CASE WHEN regexp_full_match({x}, '[\\pL\\pN\\pM_-]+(?:\\.[\\pL\\pN\\pM_-]+)*\\.\\pL[\\pL\\pN\\pM-]+') "
        f"AND NOT regexp_full_match({x}, {literal(_free_mail())}) THEN {x} END"
    )


def _spelled(x: str) -> str:
    """'&' as a word, and '(株)' away: once brackets are gone it could be part of a name."""
    forms = f"\\s*\\((?:{_either(legal_forms('bracket'))})\\)\\s*"
    opened = f"regexp_replace({x}, {literal(forms)}, ' ', 'g')"
    return f"replace(CASE WHEN contains({x}, '(') THEN {opened} ELSE {x} END, '&', ' and ')"


def _folded(x: str) -> str:
    """Lower case, with the letters that have no accent to lose written as they are typed without a special keyboard."""
    letters = f"translate(lower({x}), '{_LETTERS}', '{_AS_TYPED}')"
    for letter, spelled in _LIGATURES.items():
        letters = f"replace({letters}, '{letter}', '{spelled}')"
    return f"CASE WHEN {_is_foreign(x)} THEN {letters} ELSE lower({x}) END"


def _unaccented(x: str) -> str:
    """Without accents, unless a script is in it whose marks are sounds of their own (が, й, की)."""
    return (
        f"CASE WHEN {_is_foreign(x)} AND regexp_full_match({x}, '{_PLAIN_SCRIPTS}') "
        f"THEN strip_accents({x}) ELSE {x} END"
    )


def _unquoted(x: str) -> str:
    """O'Brien is OBrien, S.A. is SA; any other punctuation parts words."""
    marks = literal(_APOSTROPHES)
    closed = f"regexp_replace(translate({x}, {marks}, ''), '\\.(\\pL)\\b', '\\1', 'g')"
    return f"CASE WHEN regexp_matches({x}, {literal(f'[.{_APOSTROPHES}]')}) THEN {closed} ELSE {x} END"


def _words(x: str) -> str:
    return f"trim(regexp_replace({x}, '[^\\pL\\pN\\pM]+', ' ', 'g'))"


def _chinese_words(x: str) -> str:
    """A run of Chinese, Japanese or Korean characters is one word, however it is spaced."""
    closed = f"regexp_replace({x}, '({_CJK}) +', '\\1', 'g')"
    parted = f"regexp_replace({closed}, '({_CJK}+)', ' \\1 ', 'g')"
    return f"CASE WHEN {_is_ascii(x)} THEN {x} ELSE trim(regexp_replace({parted}, ' +', ' ', 'g')) END"


def _without_form(x: str) -> str:
    """Legal forms off the end, or off the front where a country puts them there; a name is never emptied by it."""
    bare = f"regexp_replace(regexp_replace({x}, {literal(_suffixes())}, ''), {literal(_prefixes())}, '')"
    return f"coalesce(nullif(trim({bare}), ''), {x})"


def _suffixes() -> str:
    spaced = [form for form in legal_forms("suffix") if not _is_chinese(form)]
    closed = [form for form in legal_forms("suffix") if _is_chinese(form)]
    return f"(?:(?: and)? (?:{_either(spaced)})| ?(?:{_either(closed)}))+$"


def _prefixes() -> str:
    spaced = [form for form in legal_forms("prefix") if not _is_chinese(form)]
    closed = [form for form in legal_forms("prefix") if _is_chinese(form)]
    return f"^(?:(?:{_either(spaced)}) |(?:{_either(closed)}))"


def _ordered(x: str) -> str:
    return f"CASE WHEN contains({x}, ' ') THEN array_to_string(list_sort(string_split({x}, ' ')), ' ') ELSE {x} END"


def _proven_words(x: str) -> str:
    return f"CASE WHEN {x} <> '' AND {x} NOT IN ({_in_list(_folded_junk())}) THEN {x} END"


def _folded_junk() -> tuple[str, ...]:
    """Junk words in the form `_ordered` leaves them in; they are plain words, so Python folds them alike."""
    folded = (re.sub(r"\.(\w)\b", r"\1", word) for word in junk_values("word"))
    return tuple(sorted({" ".join(sorted(re.findall(r"\w+", word))) for word in folded} - {""}))


def _free_mail() -> str:
    """A pattern of free-mail hosts; '.*' stands for one public suffix such as 'com', 'de' or 'co.uk'."""
    suffix = r"\.(?:com|net|org|[a-z]{2}|(?:com?|net|org)\.[a-z]{2})"
    return "|".join(re.escape(host).replace(r"\.\*", suffix) for host in free_mail_domains())


def _is_ascii(x: str) -> str:
    return f"strlen({x}) = length({x})"


def _is_foreign(x: str) -> str:
    return f"strlen({x}) <> length({x}) AND regexp_matches({x}, '[^\\x00-\\x7F\\p{{Han}}]')"


def _is_chinese(form: str) -> bool:
    return form[0] > "⺀"


def _either(forms: Sequence[str]) -> str:
    return "|".join(re.escape(form).replace(r"\ ", " ") for form in forms)


def _in_list(values: Sequence[str]) -> str:
    return ", ".join(literal(value) for value in values)
