"""Phone numbers to E.164 by Google's library, asked only about numbers that can match another one.

One number costs 27 µs there, so SQL first closes up the notation, and a number whose last seven digits no other number
has is not asked about: whatever it is, it matches nothing. That holds for regular notations only, where the closed-up
digits surely end with at least seven digits of the national number; all others (extensions, letters, short numbers)
are asked about first, and count with the digits of their answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

LOOSE_DIGITS = 7
_LONGEST_CODE = 3
"""Digits of the longest country code."""
_LONGEST_SHORT = 6
"""Digits of the longest national number that is shorter than what is compared."""
_INFIX = {"AR": "54"}
"""Where a dialled '15' stands inside the number and is left out of E.164: region and country code."""
_MARKS = " .()\t-‐‑‒–—−"


@dataclass(frozen=True, slots=True)
class Region:
    """What the notations of one country need to be read; `code` '' reads numbers with a country prefix only."""

    code: str
    calling_code: int
    exit_code: str
    """Pattern of what is dialled before a foreign country code."""
    trunk: bool
    """Whether numbers may be written with more digits in front than they have (0 in most of the world)."""
    shortest: int
    """Digits of the shortest national number."""


def phone_region(code: str) -> Region:
    """The region of an ISO country code ('' for none); raises KeyError when there is no such code."""
    import phonenumbers

    if not code:
        return Region("", 0, "", trunk=False, shortest=0)
    if code not in phonenumbers.SUPPORTED_REGIONS:
        raise KeyError(code)
    facts: Any = phonenumbers.PhoneMetadata.metadata_for_region(code)
    return Region(
        code,
        facts.country_code,
        re.sub(r"\s", "", facts.international_prefix or ""),
        trunk=bool(facts.national_prefix_for_parsing),
        shortest=min(facts.general_desc.possible_length),
    )


def closed_up(text: str) -> str:
    """SQL of a number without the spaces, dots, hyphens and brackets of its notation, if it has nothing else."""
    regular = f"regexp_full_match({text}, '[ (]*\\+?[0-9 .()\\t‐‑‒–—−-]*')"
    return f"CASE WHEN {regular} THEN translate({text}, '{_MARKS}', '') ELSE trim({text}) END"


def proven(x: str, region: Region) -> str:
    """SQL: null for what is no number or nobody's: under four digits, one digit over and over, counted up."""
    one_digit = "|".join(f"{digit}+" for digit in range(10))
    after_code = "|".join(f"{digit}{{7,}}" for digit in range(10))
    counted = "0?1234567(?:8(?:90?)?)?|9876543210?"
    junk = f"\\+?(?:{one_digit}|{counted})|\\+[0-9]{{1,3}}(?:{after_code}|{counted})"
    readable = "" if region.code else f" AND contains({x}, '+')"
    return (
        f"CASE WHEN length(regexp_replace({x}, '[^\\pL\\pN]', '', 'g')) >= 4{readable} "
        f"AND NOT regexp_full_match({x}, '{junk}') THEN {x} END"
    )


def loose(x: str, region: Region) -> str:
    """SQL of the last digits of a closed-up number in regular notation, null for all others.

    Regular notations of one number end in the same digits: as many of the number itself as are compared.
    """
    foreign = _LONGEST_CODE + LOOSE_DIGITS
    irregular = [f"NOT regexp_full_match({x}, '\\+?[0-9]+')", f"length({x}) < {LOOSE_DIGITS}"]
    irregular.append(f"(starts_with({x}, '+') AND length({x}) <= {foreign})")
    irregular.extend(f"starts_with({x}, '+{code}')" for code in _INFIX.values())
    irregular.extend(f"NOT starts_with({x}, '+') AND {condition}" for condition in _irregular_here(x, region))
    return f"CASE WHEN {' OR '.join(irregular)} THEN NULL ELSE right({x}, {LOOSE_DIGITS}) END"


def _irregular_here(x: str, region: Region) -> list[str]:
    """Which notations without '+' may hold less of the number than is compared, or more than digits in front of it."""
    found = [f"regexp_matches({x}, '^(?:{region.exit_code})')"] if region.exit_code else []
    if region.code in _INFIX:
        found.append("true")
    if region.shortest < LOOSE_DIGITS:
        short = f"length({x}) <= {_LONGEST_CODE + _LONGEST_SHORT}"
        found.append(short if region.trunk else f"({short} AND starts_with({x}, '{region.calling_code}'))")
    return found


def to_e164(numbers: pa.Array, region: Region) -> pa.Array:
    """E.164 of each number, ';ext=' after it where it has an extension; null where it is no possible number."""
    import phonenumbers

    possible = phonenumbers.ValidationResult.IS_POSSIBLE

    def one(text: str) -> str | None:
        try:
            number = phonenumbers.parse(text, region.code or None)
        except phonenumbers.NumberParseException:
            return None
        if phonenumbers.is_possible_number_with_reason(number) != possible:
            return None
        plain: str = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        return f"{plain};ext={number.extension}" if number.extension else plain

    return pa.array([one(text) for text in numbers.to_pylist()], pa.string())
