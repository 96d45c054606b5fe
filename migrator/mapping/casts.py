"""From text to a typed value, or null when the text is no such value; never rounded, never shifted, never an error.

Each template reads a column reference `$t`: text without white space at its ends, null when blank. A regular expression
decides what counts as a value; only then the engine casts. So the engine's own leniency (`1.5` to 2, `infinity`,
`24:00:00`, years before Christ) has no say, and the same rule can be kept on another engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from migrator.core.schema import FieldType
from migrator.mapping.kinds import Kind
from migrator.staging.engine import literal

_YEAR = "(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_DAY = f"{_YEAR}-[0-9]{{2}}-[0-9]{{2}}"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,9})?)?"
_OFFSET = r"(?:Z|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)"
_MIDNIGHT = r"00:00(?::00(?:\.0{1,9})?)?"
_INTEGER = r"[+-]?[0-9]+(?:\.0*)?"
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)"
_POWER = r"([+-]?)([0-9]*)\.?([0-9]*)[eE]([+-]?[0-9]{1,2})"
_ANY_NUMBER = rf"{_NUMBER}(?:[eE][+-]?[0-9]{{1,5}})?"

FIRST_INSTANT, LAST_INSTANT = "0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00"
"""What every system and library we speak to can hold; a zone may push a value over the edge."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a text is no value of a type: the rule, words for people, and `when` the rule applies ('' : always)."""

    rule: str
    message: str
    when: str = ""


@dataclass(frozen=True, slots=True)
class Cast:
    """SQL that turns a text into a typed value, and what may be wrong when it yields null."""

    sql: str
    failures: tuple[Failure, ...]
    """The first whose condition holds is told."""
    cut: str = ""
    """Condition under which digits behind the microsecond are given up; '' when the type has none."""


def cast_text(text: str, kind: Kind, *, formats: Sequence[str] = (), zone: str = "") -> Cast:
    """The cast of the column reference `text` to `kind`; for textual types it is the text itself."""
    match kind.type:
        case FieldType.DECIMAL:
            return _decimal(text, kind)
        case FieldType.DATE:
            return _date(text, formats, zone)
        case FieldType.DATETIME:
            return _datetime(text, formats, zone)
        case FieldType.TIME:
            return _time(text, formats)
        case other:
            plain = _PLAIN.get(other)
            return plain(text) if plain else Cast(text, ())


def _matches(text: str, pattern: str) -> str:
    return f"regexp_full_match({text}, {literal(pattern)})"


def _integer(text: str) -> Cast:
    gate = f"CASE WHEN {_matches(text, _INTEGER)} THEN TRY_CAST({text} AS BIGINT) END"
    return Cast(gate, (Failure("cast.integer", "not a whole number that fits 64 bits"),))


def _decimal(text: str, kind: Kind) -> Cast:
    whole, scale = (kind.precision or 0) - (kind.scale or 0), kind.scale or 0
    whole_digits = f"0*[0-9]{{1,{whole}}}" if whole else "0*"
    fits = (
        rf"[+-]?(?:{whole_digits}(?:\.[0-9]{{0,{scale}}}0*)?|\.[0-9]{{1,{scale}}}0*)"
        if scale
        else rf"[+-]?{whole_digits}(?:\.0*)?"
    )
    target = f"TRY_CAST({text} AS DECIMAL({kind.precision}, {scale}))"
    power = f"TRY_CAST({_without_power(text)} AS DECIMAL({kind.precision}, {scale}))"
    return Cast(
        f"CASE WHEN {_matches(text, fits)} THEN {target} "
        f"WHEN {_matches(text, _POWER)} AND {_matches(_without_power(text), fits)} THEN {power} END",
        (
            Failure(
                "cast.precision",
                f"more digits than {kind} holds; nothing is rounded",
                _matches(text, _ANY_NUMBER),
            ),
            Failure("cast.decimal", "not a number"),
        ),
    )


def plain_number(text: str) -> str:
    """A number without a power of ten; null when the text is no number."""
    return (
        f"CASE WHEN {_matches(text, _NUMBER)} THEN {text} "
        f"WHEN {_matches(text, _POWER)} THEN {_without_power(text)} END"
    )


def _without_power(text: str) -> str:
    """A number in scientific notation with its point moved: the engine's own reading of it loses digits unnoticed."""

    def part(number: int) -> str:
        return f"regexp_extract({text}, {literal(_POWER)}, {number})"

    zeros = "repeat('0', 99)"
    digits = f"concat({zeros}, {part(2)}, {part(3)}, {zeros})"
    point = f"99 + length({part(2)}) + TRY_CAST({part(4)} AS INTEGER)"
    return f"concat({part(1)}, left({digits}, {point}), '.', substr({digits}, {point} + 1))"


def _float(text: str) -> Cast:
    gate = _matches(text, _ANY_NUMBER)
    sql = f"CASE WHEN {gate} THEN nullif(nullif(TRY_CAST({text} AS DOUBLE), 'infinity'), '-infinity') END"
    return Cast(sql, (Failure("cast.float", "not a number"),))


def _boolean(text: str) -> Cast:
    true, false = ("'true', '1', 'yes', 't', 'y'", "'false', '0', 'no', 'f', 'n'")
    return Cast(
        f"CASE WHEN lower({text}) IN ({true}) THEN TRUE WHEN lower({text}) IN ({false}) THEN FALSE END",
        (Failure("cast.boolean", "neither true nor false (known: true, false, 1, 0, yes, no, t, f, y, n)"),),
    )


_PLAIN = {FieldType.INTEGER: _integer, FieldType.FLOAT: _float, FieldType.BOOLEAN: _boolean}


def _declared(text: str, formats: Sequence[str]) -> str:
    return f"try_strptime({text}, [{', '.join(literal(item) for item in formats)}])"


def _within_years(text: str) -> str:
    """A declared format, or a zone, may yield a year that no target holds."""
    return f"year({text}) BETWEEN 1 AND 9999"


def _date(text: str, formats: Sequence[str], zone: str) -> Cast:
    time = _TIME if zone else _MIDNIGHT
    branches = []
    if formats:
        parsed = _declared(text, formats)
        kept = f"{_within_years(parsed)}" + ("" if zone else f" AND date_trunc('day', {parsed}) = {parsed}")
        branches.append(f"WHEN {kept} THEN CAST({parsed} AS DATE)")
    branches.append(f"WHEN {_matches(text, _DAY)} THEN TRY_CAST({text} AS DATE)")
    if zone:
        local = f"CAST(timezone({literal(zone)}, {_instant(text)}) AS DATE)"
        kept = f"CASE WHEN {_within_years(local)} THEN {local} END"
        branches.append(f"WHEN {_matches(text, f'{_DAY}[T ]{_TIME} ?{_OFFSET}')} THEN {kept}")
    branches.append(
        f"WHEN {_matches(text, f'{_DAY}[T ]{time}(?: ?{_OFFSET})?')} THEN TRY_CAST(left({text}, 10) AS DATE)"
    )
    return Cast(
        f"CASE {' '.join(branches)} END",
        (
            Failure(
                "cast.date",
                "a time of day in a date field; say with zone: whose calendar day is meant",
                _matches(text, f"{_DAY}[T ]{_TIME}(?: ?{_OFFSET})?"),
            ),
            Failure("cast.date", "not a date (YYYY-MM-DD, or a declared format)"),
        ),
    )


def _datetime(text: str, formats: Sequence[str], zone: str) -> Cast:
    aware, naive = f"{_DAY}[T ]{_TIME}{_OFFSET}", f"{_DAY}(?:[T ]{_TIME})?"
    branches = []
    if formats:
        parsed = _declared(text, formats)
        branches.append(f"WHEN {_within_years(parsed)} THEN {_in_zone(parsed, zone)}")
    if _is_utc(zone):
        branches.append(
            f"WHEN {_matches(text, f'{_DAY}(?:[T ]{_TIME}(?:{_OFFSET})?)?')} THEN TRY_CAST({text} AS TIMESTAMPTZ)"
        )
    else:
        branches.append(
            f"WHEN {_matches(text, naive)} THEN {_in_zone(f'TRY_CAST({text} AS TIMESTAMP)', zone)}"
        )
        branches.append(f"WHEN {_matches(text, aware)} THEN TRY_CAST({text} AS TIMESTAMPTZ)")
    spaced = f"{_DAY}[T ]{_TIME} {_OFFSET}"
    branches.append(f"WHEN {_matches(text, spaced)} THEN {_instant(text)}")
    return Cast(
        f"CASE {' '.join(branches)} END",
        (
            Failure(
                "cast.datetime",
                "not a date and time (YYYY-MM-DD hh:mm:ss, with or without zone, or a declared format)",
            ),
        ),
        cut=f"length({text}) > 26 AND regexp_matches({text}, '\\.[0-9]{{6}}[0-9]*[1-9]')",
    )


def _instant(text: str) -> str:
    """The engine does not read an offset after a space, as SQL Server writes it."""
    return f"TRY_CAST(regexp_replace({text}, ' ([Z+-][0-9:]*)$', '\\1') AS TIMESTAMPTZ)"


def _is_utc(zone: str) -> bool:
    return zone in ("", "UTC", "Etc/UTC", "Z")


def _in_zone(timestamp: str, zone: str) -> str:
    return f"timezone({literal('UTC' if _is_utc(zone) else zone)}, {timestamp})"


def _time(text: str, formats: Sequence[str]) -> Cast:
    branches = [f"WHEN {_matches(text, f'{_TIME}Z?')} THEN TRY_CAST(rtrim({text}, 'Z') AS TIME)"]
    if formats:
        parsed = _declared(text, formats)
        branches.insert(0, f"WHEN {parsed} IS NOT NULL THEN CAST({parsed} AS TIME)")
    return Cast(
        f"CASE {' '.join(branches)} END",
        (Failure("cast.time", "not a time of day (hh:mm or hh:mm:ss, or a declared format)"),),
    )
