"""What the two readers of company names share: the parts they find, and the words they know them by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from migrator.dedupe.wordlists import legal_forms, legal_forms_of
from migrator.dedupe.words import meanings, rows

LONGEST_PHRASE = 4
"""Words of the longest known phrase."""

_TELLING = ("AU", "DE", "ID", "IN", "JP", "KR", "MY", "RU", "SG", "TH")
"""Countries whose legal forms nobody else uses; 'Ltd' and 'SA' stand in a dozen."""


@dataclass(slots=True)
class Parts:
    """The parts of one company's name, as they are found."""

    han: str | None = None
    latin: str | None = None
    region: list[str] = field(default_factory=list)
    town: str | None = None
    country: str | None = None
    seat: str | None = None
    brand: str | None = None
    pinyin: list[str] = field(default_factory=list)
    trade: list[str] = field(default_factory=list)
    rank: list[str] = field(default_factory=list)
    form: str | None = None
    branch: str | None = None

    def add_place(self, word: str) -> bool:
        """Take the word as a place; False when it is none."""
        if word in countries():
            self.add_country(countries()[word][0])
            return True
        if word in cities():
            self.region.extend(cities()[word])
            return True
        return False

    def add_town(self, name: str) -> None:
        """Take a town that no table has; in letters it cannot be told from the brand."""
        self.region.append(name)
        self.town = name

    def add_country(self, code: str) -> None:
        """Take a country that the name says."""
        self.country = self.country or code
        self.seat = self.seat or code

    def add_form(self, form: str) -> None:
        """Take a legal form, and the country it belongs to."""
        self.form = form
        self.country = self.country or telling_forms().get(form)

    def add_trade(self, word: str) -> bool:
        """Take the word as one that says what a company does; False when it says nothing of that."""
        if word in trades():
            self.trade.extend(trades()[word])
            return True
        if word in ranks():
            self.rank.extend(ranks()[word])
            return True
        return False


@cache
def countries() -> dict[str, tuple[str, ...]]:
    """From the name of a country to its ISO code."""
    return meanings("places.csv", "country")


@cache
def bracketed() -> dict[str, tuple[str, ...]]:
    """From letters that mean a country where they stand alone in brackets, as in 'ABC (M) Sdn Bhd'."""
    return meanings("places.csv", "bracket")


@cache
def cities() -> dict[str, tuple[str, ...]]:
    """From the name of a place to its codes; Latin names of several places have several."""
    return meanings("places.csv", "city")


@cache
def trades() -> dict[str, tuple[str, ...]]:
    """From a word to the trade it means, in English."""
    return meanings("trade_words.csv", "trade")


@cache
def ranks() -> dict[str, tuple[str, ...]]:
    """From a word that says little about a company to its meaning, in English."""
    return meanings("trade_words.csv", "rank")


@cache
def brands() -> dict[str, tuple[str, ...]]:
    """From a brand in characters to its Latin names, closed up."""
    return {row["brand"]: tuple(row["latin"].split()) for row in rows("brands.csv")}


@cache
def latin_brands() -> frozenset[str]:
    """All Latin brand names, closed up."""
    return frozenset(name for names in brands().values() for name in names)


@cache
def telling_forms() -> dict[str, str]:
    """From a legal form that only one country has to that country."""
    return {form: country for country in _TELLING for form in legal_forms_of(country)}


def known_forms(place: str, *, chinese: bool) -> tuple[str, ...]:
    """Legal forms at one place of a name, longest first, in characters or in letters."""
    return tuple(form for form in legal_forms(place) if (form[0] > "⺀") is chinese)


def as_codes(words: Sequence[str]) -> str:
    """Places by their codes, everything else as it stands, closed up."""
    return "".join((cities().get(word) or countries().get(word) or (word,))[0].lower() for word in words)
