"""What each field of a relation says of a record, told by its name in any of several languages, its type and its values."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from migrator.core.mapped import Meaning
from migrator.core.schema import FieldSchema, FieldType
from migrator.dedupe.person_parts import known_given_names
from migrator.staging.engine import Session, literal, quote

SAMPLE = 20_000
"""Records whose values are looked at; they are chosen by a hash of their id, so that every run looks at the same."""

_ASKED: tuple[tuple[str, str], ...] = (
    ("email", r"[^@\s]+@[^@\s]+\.[a-z]{2,}"),
    ("phone", r"\+?\(?[0-9][0-9 ().\-/+]{5,18}[0-9](?:\s*(?:x|ext\.?)\s*[0-9]+)?"),
    ("website", r"(?:https?://|www\.)\S+|[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|net|org|cn|de|my|io|gov|edu|co|uk)(?:/\S*)?"),
    ("date", r"(?:18|19|20)\d\d[-/.]?(?:0[1-9]|1[0-2])[-/.]?(?:0[1-9]|[12]\d|3[01])(?:[ t].*)?|\d{1,2}[-/.]\d{1,2}[-/.](?:18|19|20)\d\d"),
    ("code", r"(?:[a-z]{0,4}[- ]?)?[0-9][0-9a-z \-./]*"),
    ("digits", r"[0-9]+"),
    ("numbered", r".*\d.*\pL.*|.*\pL.*\d.*"),
    ("company", r".*\b(?:inc|llc|ltd|limited|corp|corporation|gmbh|ag|co|sdn bhd|bhd|s\.?a|plc|pty|kg|bv|oy|ab)\.?|.*(?:公司|集团|集團|企业|厂|银行)"),
    ("address", r".*(?:\b(?:st|street|rd|road|ave|avenue|blvd|boulevard|lane|drive|jalan|jln|strasse|str|rue|calle|suite|floor|place|court|highway|hwy)\b|(?:路|街|号|號|巷|大道)).*"),
    ("han", r".*\p{Han}.*"),
    ("han_name", r"\p{Han}{2,4}"),
    ("turned", r"\pL[\pL'’. -]*, ?\pL[\pL'’. -]*"),
)  # fmt: skip
_NAME_PIECE = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[\u3400-\u9fff]+|[^\W\d_A-Za-z]+")
_TYPES: Mapping[FieldType, Meaning] = {
    FieldType.BOOLEAN: Meaning.NONE,
    FieldType.DECIMAL: Meaning.NONE,
    FieldType.FLOAT: Meaning.NONE,
    FieldType.DATETIME: Meaning.NONE,
    FieldType.TIME: Meaning.NONE,
    FieldType.FILE: Meaning.NONE,
    FieldType.JSON: Meaning.NONE,
    FieldType.ID: Meaning.NONE,
    FieldType.REFERENCE: Meaning.CATEGORY,
    FieldType.PICKLIST: Meaning.CATEGORY,
    FieldType.MULTI_PICKLIST: Meaning.NONE,
    FieldType.DATE: Meaning.DATE,
}
_PROVEN = 0.7
"""Share of the values that must look like it, before values alone decide a meaning."""
_PERSONS = 0.3
"""Share of names with a known given name or with a word of the record's e-mail, from which on a field names persons;
half of it where they stand as 'Koch, Anna'."""
_NAME = ("name", "nom", "nome", "naam", "namn", "名称", "名稱")
"""What a field is called whose values alone say whether it names persons or companies, or surnames beside given names."""
_STREETS = 0.3
"""Share of values with a word for a street or a place in it, from which on they are addresses."""
_LEAST_FILLED = 0.02
_LEAST_NAMED = 0.2
"""Names and places that fewer records have are of somebody or something beside the record."""
_OWN = (Meaning.EMAIL, Meaning.PHONE, Meaning.ID, Meaning.DATE, Meaning.WEBSITE)
"""Meanings whose values belong to one record, however few have them."""
_MUST_LOOK = {Meaning.EMAIL: "email", Meaning.DATE: "date", Meaning.WEBSITE: "website"}
"""Meanings that a name alone does not give: values that do not look like it are something else."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What the values of one field are like; shares are of the filled ones, in the sample."""

    filled: float
    """Share of the records that have a value."""
    distinct: float
    """Share of the values that are different."""
    values: int
    commonest: float
    """Share of the commonest value."""
    words: float
    """Words in a value, on average."""
    length: float
    looks: Mapping[str, float]
    """Notation → share of the values written in it."""


@dataclass(frozen=True, slots=True)
class FieldMeaning:
    """A field, what it says, and how that was found out: 'told', 'name', 'type' or 'values'."""

    field: str
    meaning: Meaning
    by: str
    profile: Profile


def find_meanings(
    session: Session, relation: str, fields: Sequence[FieldSchema], told: Mapping[str, Meaning]
) -> tuple[FieldMeaning, ...]:
    """The meaning of every field of `relation`; those in `told` are what they are told to be."""
    profiles = profile_fields(session, relation, [item.name for item in fields])
    found = [_meaning(item, profiles[item.name], told.get(item.name)) for item in fields]
    given = any(item.meaning is Meaning.GIVEN for item in found)
    family = any(item.meaning is Meaning.FAMILY for item in found)
    if given and not family:
        found = [
            replace(item, meaning=Meaning.FAMILY)
            if item.by == "name" and _is_called_name(item.field)
            else item
            for item in found
        ]
    return tuple(found)


def profile_fields(session: Session, relation: str, names: Sequence[str]) -> dict[str, Profile]:
    """What the values of the fields are like, from one pass over a sample of the records."""
    texts = ", ".join(f"lower(trim(CAST({quote(name)} AS VARCHAR))) AS t{n}" for n, name in enumerate(names))
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE dedupe_sample AS SELECT {texts or '1 AS none'} FROM {relation} "
        f"ORDER BY hash(__id), __id LIMIT {SAMPLE:d}"
    )
    found = {name: _profile(session, f"t{n}") for n, name in enumerate(names)}
    mail = next((f"t{n}" for n, name in enumerate(names) if found[name].looks["email"] >= _PROVEN), None)
    for n, name in enumerate(names):
        called = (
            _called(session, f"t{n}", mail)
            if _may_be_a_person(found[name])
            else {"given": 0.0, "mailed": 0.0}
        )
        found[name] = replace(found[name], looks={**found[name].looks, **called})
    session.execute("DROP TABLE dedupe_sample")
    return found


def _may_be_a_person(profile: Profile) -> bool:
    """Two to five words, hardly ever with a number, a legal form or a street."""
    looks = profile.looks
    return 1.5 <= profile.words <= 5 and max(looks["numbered"], looks["company"], looks["address"]) < 0.1


def _called(session: Session, column: str, mail: str | None) -> dict[str, float]:
    """Shares of the values with a known given name in them, and with a word that is in the record's e-mail before the @."""
    words = f"regexp_split_to_array(strip_accents({column}), '[^\\pL\\pN]+')"
    known = f"list_has_any({words}, [{', '.join(literal(name) for name in sorted(known_given_names()))}])"
    local = f"split_part(strip_accents({mail}), '@', 1)" if mail else "''"
    mailed = f"len(list_filter({words}, lambda w: length(w) >= 4 AND contains({local}, w))) > 0"
    row = session.fetch(
        f"SELECT count(*) FILTER (WHERE {known}) / greatest(count(*), 1) AS given, "
        f"count(*) FILTER (WHERE {mailed}) / greatest(count(*) FILTER (WHERE {local} <> ''), 1) AS mailed "
        f"FROM dedupe_sample WHERE {column} <> ''"
    ).to_pylist()[0]
    return {"given": float(row["given"]), "mailed": float(row["mailed"])}


def name_meaning(*names: str) -> Meaning | None:
    """What a field called so is likely to hold; the longest words that are known decide, None when none are."""
    found: list[tuple[int, Meaning]] = []
    for name in names:
        words = [piece.lower() for piece in _NAME_PIECE.findall(name)]
        text = f" {' '.join(words)} "
        for phrase, meaning in _phrases().items():
            known = phrase in text.replace(" ", "") if _is_chinese(phrase) else f" {phrase} " in text
            known = known or "".join(words) == phrase.replace(" ", "")
            if known:
                found.append((len(phrase) * (3 if _is_chinese(phrase) else 1), meaning))
    return max(found, key=lambda item: (item[0], item[1].value))[1] if found else None


def _meaning(field: FieldSchema, profile: Profile, told: Meaning | None) -> FieldMeaning:
    if told is not None:
        return FieldMeaning(field.name, told, "told", profile)
    if profile.filled < _LEAST_FILLED or profile.values < 2:
        return FieldMeaning(field.name, Meaning.NONE, "values", profile)
    if field.type in _TYPES:
        return FieldMeaning(field.name, _TYPES[field.type], "type", profile)
    by_values = _by_values(profile)
    if _is_called_name(field.name) and _may_be_names(by_values, profile):
        settled = Meaning.PERSON if by_values is Meaning.PERSON else Meaning.COMPANY
        return FieldMeaning(field.name, settled, "name", profile)
    named = name_meaning(field.name, field.label)
    if named is not None and _agrees(named, profile):
        settled = by_values if named is Meaning.PERSON and by_values is Meaning.COMPANY else named
        if settled not in _OWN and profile.filled < _LEAST_NAMED:
            settled = Meaning.NONE
        return FieldMeaning(field.name, settled, "name", profile)
    return FieldMeaning(
        field.name, by_values if _identifies(by_values, profile) else Meaning.NONE, "values", profile
    )


def _may_be_names(by_values: Meaning, profile: Profile) -> bool:
    """Whether values of a field called *name* are names: also such as 'Sigma 438', which without streets are no addresses."""
    if by_values is Meaning.ADDRESS:
        return profile.looks["address"] < _STREETS
    return by_values in (Meaning.PERSON, Meaning.TEXT, Meaning.NAME, Meaning.COMPANY)


def _is_called_name(field: str) -> bool:
    return "".join(piece.lower() for piece in _NAME_PIECE.findall(field)) in _NAME


def _identifies(meaning: Meaning, profile: Profile) -> bool:
    """Whether a field that nobody named tells records apart: an attribute that groups of records share says what they
    are, not who they are, and a number that no two records share is the record's own.
    """
    if meaning in (Meaning.EMAIL, Meaning.PHONE, Meaning.WEBSITE, Meaning.DATE):
        return True
    if meaning in (Meaning.ID, Meaning.POSTCODE) and profile.distinct > 0.999:
        return False
    return profile.filled >= 0.5 and profile.distinct >= 0.05


def _agrees(named: Meaning, profile: Profile) -> bool:
    """Whether the values may be what the name says."""
    looks = profile.looks
    if named in _MUST_LOOK:
        return looks[_MUST_LOOK[named]] >= 0.4
    match named:
        case Meaning.PHONE:
            return looks["code"] + looks["phone"] >= 0.5
        case Meaning.ID:
            return profile.distinct >= 0.2 and looks["code"] >= 0.3
        case Meaning.GIVEN | Meaning.FAMILY | Meaning.PERSON | Meaning.COMPANY | Meaning.CITY:
            return looks["digits"] < 0.5
        case Meaning.ADDRESS:
            return looks["code"] < 0.8 or profile.words > 1.5
        case _:
            return True


def _by_values(profile: Profile) -> Meaning:
    looks = profile.looks
    numbered = looks["code"] >= _PROVEN and looks["address"] < 0.2 and profile.words < 2.2
    signs = (
        (Meaning.EMAIL, looks["email"] >= _PROVEN),
        (Meaning.DATE, looks["date"] >= _PROVEN),
        (Meaning.WEBSITE, looks["website"] >= _PROVEN),
        (Meaning.PHONE, looks["phone"] >= _PROVEN and profile.length >= 9 and profile.distinct > 0.1),
        (_code(profile), numbered),
        (Meaning.COMPANY, looks["company"] >= 0.3),
        (Meaning.ADDRESS, looks["address"] >= _STREETS or looks["numbered"] >= 0.5),
        (Meaning.PERSON, looks["han_name"] >= 0.5 and profile.distinct > 0.2),
        (Meaning.PERSON, _called_persons(profile)),
        (Meaning.CATEGORY, profile.values <= 50 and profile.distinct < 0.02),
        (Meaning.NAME, profile.words < 1.4),
        (Meaning.TEXT, profile.length < 200),
    )
    return next((meaning for meaning, seen in signs if seen), Meaning.NONE)


def _called_persons(profile: Profile) -> bool:
    looks = profile.looks
    return profile.distinct > 0.2 and max(looks["given"], looks["mailed"], 2 * looks["turned"]) >= _PERSONS


def _code(profile: Profile) -> Meaning:
    """A number or code: an id when it hardly repeats, a category when it nearly always does."""
    if profile.distinct >= 0.5:
        return Meaning.ID if profile.length >= 5 else Meaning.POSTCODE
    return Meaning.CATEGORY if profile.distinct < 0.01 and profile.values <= 50 else Meaning.POSTCODE


def _profile(session: Session, column: str) -> Profile:
    shares = ", ".join(
        f"count(*) FILTER (WHERE regexp_full_match({column}, {literal(pattern)})) AS {name}"
        for name, pattern in _ASKED
    )
    row: dict[str, Any] = session.fetch(
        f"SELECT (SELECT count(*) FROM dedupe_sample) AS every, count(*) AS n, count(DISTINCT {column}) AS v, "
        f"avg(length({column})) AS length, avg(len(string_split_regex({column}, '\\s+'))) AS words, "
        f"(SELECT max(n) FROM (SELECT count(*) AS n FROM dedupe_sample WHERE {column} <> '' GROUP BY {column})) AS top, "
        f"{shares} FROM dedupe_sample WHERE {column} <> ''"
    ).to_pylist()[0]
    filled = max(row["n"], 1)
    return Profile(
        filled=row["n"] / max(row["every"], 1), distinct=row["v"] / filled, values=row["v"],
        commonest=(row["top"] or 0) / filled, words=row["words"] or 0.0, length=row["length"] or 0.0,
        looks={name: row[name] / filled for name, _ in _ASKED},
    )  # fmt: skip


@cache
def _phrases() -> dict[str, Meaning]:
    text = files(__package__).joinpath("field_words.csv").read_text(encoding="utf-8")
    return {
        phrase: Meaning(row["meaning"])
        for row in csv.DictReader(text.splitlines())
        for phrase in row["words"].split("|")
    }


def _is_chinese(phrase: str) -> bool:
    return phrase[0] > "⺀"
