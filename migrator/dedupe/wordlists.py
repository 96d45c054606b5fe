"""The lists behind the normalisers, kept as CSV beside this file: legal forms, free-mail hosts, values that mean nothing."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from importlib.resources import files

from migrator.core.fingerprint import fingerprint
from migrator.dedupe import words
from migrator.dedupe.script import composed

_LISTS = ("legal_forms.csv", "free_mail_domains.csv", "junk_values.csv")


@cache
def legal_forms(place: str) -> tuple[str, ...]:
    """Legal forms that stand at `place` ('suffix', 'prefix' or 'bracket') of a company's name, folded, longest first."""
    found = {row["form"] for row in _rows("legal_forms.csv") if row["place"] in (place, _either(place))}
    return tuple(sorted(found, key=lambda form: (-len(form), form)))


@cache
def legal_forms_of(country: str) -> tuple[str, ...]:
    """Legal forms of one country, folded, in the script they are written in."""
    return tuple(sorted({row["form"] for row in _rows("legal_forms.csv") if row["country"] == country}))


@cache
def simplified_forms(place: str) -> tuple[str, ...]:
    """Legal forms in Chinese, Japanese or Korean characters at `place`, simplified, longest first."""
    return tuple(dict.fromkeys(composed([form for form in legal_forms(place) if form[0] > "⺀"])))


@cache
def free_mail_domains() -> tuple[str, ...]:
    """Hosts whose addresses tell nothing of a company; 'yahoo.*' stands for yahoo.com, yahoo.co.uk, …"""
    return tuple(sorted(row["domain"] for row in _rows("free_mail_domains.csv")))


@cache
def junk_values(kind: str) -> tuple[str, ...]:
    """What people type where a value is demanded: 'word' (any text), 'email' (addresses), 'local' (left of the '@')."""
    return tuple(sorted(row["value"] for row in _rows("junk_values.csv") if row["kind"] == kind))


@cache
def wordlists_fingerprint() -> str:
    """Changes when any list does, or a library that reads Chinese, so that duplicates are looked for anew."""
    readers = [version(name) for name in ("opencc", "pypinyin")]
    return fingerprint([_text(name) for name in _LISTS], [words.text(name) for name in words.TABLES], readers)


def _either(place: str) -> str:
    return "both" if place in ("suffix", "prefix") else place


def _rows(name: str) -> Iterator[dict[str, str]]:
    return csv.DictReader(_text(name).splitlines())


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
