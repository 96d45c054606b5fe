"""Texts, numbers and dates of the report in the reader's language: gettext catalogues, read by Babel as they are."""

from __future__ import annotations

import gettext
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, localcontext
from functools import cache
from importlib import resources
from io import StringIO

LANGUAGES = ("en", "zh_CN", "zh_TW", "ms")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The texts of one language; an id that is not there is an error of ours, never an empty place in a report."""

    language: str
    texts: Mapping[str, str | tuple[str, ...]]
    """Id → text, or → its plural forms, chosen by the number `failed` or `n`."""
    form: Callable[[int], int]
    """Which plural form a number takes: the catalogue's own Plural-Forms."""

    def __call__(self, name: str, /, **values: object) -> str:
        """The text called `name`; whole numbers are written as the language writes them."""
        shown = {
            key: self.number(value) if isinstance(value, int) else str(value) for key, value in values.items()
        }
        text = self.texts[name]
        if not isinstance(text, str):
            count = values.get("failed", values.get("n"))
            text = text[self.form(count if isinstance(count, int) else 2)]
        return text.format_map(shown)

    def has(self, name: str) -> bool:
        """Whether there is such a text."""
        return name in self.texts

    def number(self, value: int) -> str:
        """A whole number as the language writes it."""
        from babel.numbers import format_decimal

        # Babel rounds in the context, whose 28 digits are fewer than a decimal(38) has.
        with localcontext(prec=len(str(value)) + 3):
            return str(format_decimal(value, locale=self.language))

    def amount(self, value: str) -> str:
        """An exact decimal as the language writes it, not a digit changed."""
        from babel.numbers import get_decimal_symbol

        plain = format(Decimal(value), "f")  # without an exponent, as 0E-10 has one
        sign, digits = ("−", plain[1:]) if plain.startswith("-") else ("", plain)
        whole, point, fraction = digits.partition(".")
        mark = get_decimal_symbol(self.language) if point else ""
        return f"{sign}{self.number(int(whole or '0'))}{mark}{fraction}"

    def moment(self, value: str) -> str:
        """An ISO moment in UTC as the language writes it, to the minute."""
        from babel.dates import format_datetime

        return f"{format_datetime(datetime.fromisoformat(value), 'medium', locale=self.language)} UTC"

    def day(self, value: str) -> str:
        """An ISO date as the language writes it."""
        from babel.dates import format_date

        return str(format_date(date.fromisoformat(value), "medium", locale=self.language))


@cache
def catalogue(language: str, package: str = "validation.catalogue") -> Catalogue:
    """The catalogue in `package` of a language in `LANGUAGES`; the .po file is read, so that nothing has to be compiled."""
    from babel.messages.pofile import read_po

    text = resources.files(package).joinpath(f"{language}.po").read_text(encoding="utf-8")
    found = read_po(StringIO(text), locale=language, abort_invalid=True)
    texts: dict[str, str | tuple[str, ...]] = {}
    for message in found:
        if message.id:
            name = message.id if isinstance(message.id, str) else message.id[0]
            texts[name] = message.string if isinstance(message.string, str) else tuple(message.string or ())
    return Catalogue(language, texts, gettext.c2py(found.plural_expr))
