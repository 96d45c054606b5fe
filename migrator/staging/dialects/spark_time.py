"""Moments in Spark SQL: declared formats read and written, and local times of a zone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from migrator.staging.dialects.kinds import NotCarried
from migrator.staging.dialects.spark_text import let, text

_READ = {
    "%Y": r"([0-9]{1,4}+)", "%y": "([0-9]{1,2}+)", "%m": "([0-9]{1,2}+)", "%d": "([0-9]{1,2}+)",
    "%H": "([0-9]{1,2}+)", "%I": "([0-9]{1,2}+)", "%M": "([0-9]{1,2}+)", "%S": "([0-9]{1,2}+)",
    "%f": "([0-9]{1,6}+)", "%p": "((?i)am|pm)", "%b": "((?i)jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)",
    "%B": "((?i)january|february|march|april|may|june|july|august|september|october|november|december)",
    "%a": "((?i)mon|tue|wed|thu|fri|sat|sun)",
    "%A": "((?i)monday|tuesday|wednesday|thursday|friday|saturday|sunday)",
}  # fmt: skip
_WRITE = {
    "%Y": "yyyy", "%y": "yy", "%m": "MM", "%d": "dd", "%H": "HH", "%I": "hh", "%M": "mm", "%S": "ss",
    "%f": "SSSSSS", "%p": "a", "%b": "MMM", "%B": "MMMM", "%a": "EEE", "%A": "EEEE",
}  # fmt: skip
_MONTHS = "'janfebmaraprmayjunjulaugsepoctnovdec'"
_TWO_QUOTES = "''"
"""The end of one literal and the start of the next."""
_PERCENT = "%%"
_TOKEN = re.compile(r"%.|\s+|[^%\s]+", re.DOTALL)


def parsed(source: str, formats: Sequence[str]) -> str:
    """A text read by the first format that fits, as a time without zone; else null."""

    def tried(given: str) -> str:
        tries = [_parsed(given, form) for form in formats]
        return tries[0] if len(tries) == 1 else f"coalesce({', '.join(tries)})"

    return let(tried, source)


def _parsed(source: str, form: str) -> str:
    pattern, groups = _pattern(form)
    whole = text(rf"\A\s*{pattern}\s*\z")
    found = {token: f"regexp_extract({source}, {whole}, {number})" for token, number in groups.items()}

    def two(token: str, missing: str) -> str:
        return f"lpad({found[token]}, 2, '0')" if token in found else missing

    year = f"lpad({found['%Y']}, 4, '0')" if "%Y" in found else _short_year(found)
    month = next((_month(found[token]) for token in ("%b", "%B") if token in found), two("%m", "'01'"))
    micros = f"rpad({found['%f']}, 6, '0')" if "%f" in found else "'000000'"
    written = (
        f"concat({year}, '-', {month}, '-', {two('%d', repr('01'))}, ' ', {_hour(found)}, ':', "
        f"{two('%M', repr('00'))}, ':', {two('%S', repr('00'))}, '.', {micros})"
    )
    return f"CASE WHEN {source} RLIKE {whole} THEN try_cast({written} AS TIMESTAMP_NTZ) END"


def _pattern(form: str) -> tuple[str, dict[str, int]]:
    """Java pattern of a format, and the group of each directive."""
    parts: list[str] = []
    groups: dict[str, int] = {}
    for token in _TOKEN.findall(form):
        if token in _READ:
            if token in groups:
                raise NotCarried(f"the format {form!r}: {token} stands in it twice")
            groups[token] = len(groups) + 1
            parts.append(_READ[token])
        elif token.isspace():
            parts.append(r"\s*")
        elif token == _PERCENT:
            parts.append("%")
        elif token.startswith("%"):
            raise NotCarried(f"the directive {token} of the format {form!r}")
        else:
            parts.append(re.sub(r"([^\w])", r"\\\1", token, flags=re.ASCII))
    return "".join(parts), groups


def _short_year(found: dict[str, str]) -> str:
    if "%y" not in found:
        return "'1900'"
    short = f"lpad({found['%y']}, 2, '0')"
    return f"concat(if({short} >= '69', '19', '20'), {short})"


def _month(found: str) -> str:
    number = f"(instr({_MONTHS}, lower(left({found}, 3))) + 2) div 3"
    return f"lpad(CAST({number} AS STRING), 2, '0')"


def _hour(found: dict[str, str]) -> str:
    hour = found.get("%I", found.get("%H"))
    if hour is None:
        return "'00'"
    padded = f"lpad({hour}, 2, '0')"
    if "%p" in found:
        afternoon = f"lower({found['%p']}) = 'pm'"
        on_clock = f"CAST(try_cast({padded} AS INT) % 12 + if({afternoon}, 12, 0) AS STRING)"
        half = f"lpad({on_clock}, 2, '0')"
        limits = "BETWEEN '01' AND '12'" if "%I" in found else "BETWEEN '00' AND '23'"
        plain = half if "%I" in found else f"if({padded} > '12', {padded}, {half})"
        return f"CASE WHEN {padded} {limits} THEN {plain} END"
    return f"CASE WHEN {padded} BETWEEN '01' AND '12' THEN {padded} END" if "%I" in found else padded


def written(source: str, form: str) -> str:
    """A time (without zone) as text in a format."""
    if "'" in form:
        raise NotCarried(f"the format {form!r}: a quote in it")
    parts = []
    for token in _TOKEN.findall(form):
        if token in _WRITE:
            parts.append(_WRITE[token])
        elif token.startswith("%") and token != _PERCENT:
            raise NotCarried(f"the directive {token} of the format {form!r}")
        else:
            parts.append("'" + token.replace("%%", "%") + "'")
    return f"date_format({source}, {text(''.join(parts).replace(_TWO_QUOTES, ''))})"


def to_instant(zone: str, local: str) -> str:
    """The instant of a local time; of the two that a zone repeats the later, as the engine takes it."""
    if zone in ("UTC", "Etc/UTC"):
        return f"CAST({local} AS TIMESTAMP_LTZ)"
    quoted = text(zone)
    earlier = f"to_utc_timestamp(l, {quoted})"
    day = "INTERVAL '1' DAY"
    later = f"to_utc_timestamp(l + {day}, {quoted}) - {day}"
    fits = f"from_utc_timestamp({later}, {quoted}) = l"
    return f"transform(array(CAST({local} AS TIMESTAMP_LTZ)), l -> CASE WHEN {fits} THEN {later} ELSE {earlier} END)[0]"


def to_local(zone: str, instant: str) -> str:
    """The local time of an instant in a zone."""
    return f"CAST(from_utc_timestamp({instant}, {text(zone)}) AS TIMESTAMP_NTZ)"
