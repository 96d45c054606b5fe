"""The people and companies that legacy records speak of: number n is always the same person, whichever record it is in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from migrator.testing.synthetic import phones
from migrator.testing.synthetic.chance import Chance, as_text, chosen, joined
from migrator.testing.synthetic.words import slugs, words

ENGLISH, CHINESE, TRADITIONAL, MALAY = range(4)
_SHARES = np.array([0.42, 0.75, 0.83])
_CITIES = ("english", "chinese", "chinese_traditional", "malay")
_FREE_MAIL = (
    "gmail.com",
    "outlook.com",
    "yahoo.com",
    "163.com",
    "qq.com",
    "hotmail.com",
    "126.com",
    "yahoo.com.my",
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody is: text columns and the index of the telephone region."""

    city: pa.Array
    country: pa.Array
    regions: np.ndarray


@dataclass(frozen=True, slots=True)
class Companies:
    """Columns of companies, one row per number asked for."""

    name: pa.Array
    domain: pa.Array
    place: Place
    phone: pa.Array
    culture: np.ndarray


@dataclass(frozen=True, slots=True)
class People:
    """Columns of people, one row per number asked for; e-mail or phone may be null, never both."""

    first: pa.Array
    last: pa.Array
    email: pa.Array
    phone: pa.Array
    place: Place
    title: pa.Array
    culture: np.ndarray


def companies(chance: Chance, numbers: np.ndarray, notations: np.ndarray | None = None) -> Companies:
    """The companies with these numbers; `notations` says how each phone is written."""
    ask = chance.of("company")
    culture = _culture(ask, numbers)
    chinese = [_chinese_company(ask, numbers, column) for column in ("simplified", "traditional")]
    name = _by_culture(culture, _english_company(ask, numbers), *chinese, _malay_company(ask, numbers))
    place = _place(ask, numbers, culture)
    notation = np.full(len(numbers), phones.SPACED) if notations is None else notations
    phone = phones.notated(place.regions, numbers * 2 + 1, notation)
    return Companies(name, company_domains(chance, numbers), place, phone, culture)


def company_domains(chance: Chance, numbers: np.ndarray) -> pa.Array:
    """The web domain of each company, all different."""
    ask = chance.of("company")
    culture = _culture(ask, numbers)
    slug = _by_culture(
        culture,
        joined(*(ask.one_of(part, numbers, slugs("english_companies", "word", part=part)) for part in ("brand", "trade"))),
        *2 * [joined(*(ask.one_of(key, numbers, slugs("chinese_companies", "pinyin", part=part))
                       for part, key in (("city", "city"), ("brand", "brand"), ("brand", "brand2"))))],
        joined(*(ask.one_of(part, numbers, slugs("malay_companies", "word", part=part)) for part in ("brand", "trade"))),
    )  # fmt: skip
    ending = _by_culture(
        culture, *(pa.array([text] * len(numbers)) for text in (".com", ".cn", ".com.hk", ".com.my"))
    )
    return joined(slug, as_text(numbers), ending)


def people(
    chance: Chance, numbers: np.ndarray, company_domains: pa.Array, notations: np.ndarray | None = None
) -> People:
    """The people with these numbers; half of them have an address at the company's domain."""
    ask = chance.of("person")
    culture = _culture(ask, numbers)
    first, last, slug = _names(ask, numbers, culture)
    free = ask.happens("free mail", numbers, 0.5)
    domain = chosen(free, ask.one_of("mail", numbers, list(_FREE_MAIL)), company_domains)
    without_mail = ask.happens("no mail", numbers, 0.05)
    email = chosen(without_mail, None, joined(slug, as_text(numbers), "@", domain))
    place = _place(ask, numbers, culture)
    notation = np.full(len(numbers), phones.SPACED) if notations is None else notations.copy()
    # who has no address is known by the number alone: written so that it can be read without knowing where
    notation[without_mail & np.isin(notation, (phones.NATIONAL, phones.DIALLED))] = phones.SPACED
    phone = phones.notated(place.regions, numbers * 2, notation)
    without_phone = ask.happens("no phone", numbers, 0.1) & ~without_mail
    title = ask.one_of("title", numbers, words("titles", "text"))
    return People(first, last, email, chosen(without_phone, None, phone), place, title, culture)


def chinese_names(chance: Chance, numbers: np.ndarray, column: str) -> tuple[pa.Array, pa.Array]:
    """First and last name of each person, were it Chinese, in 'simplified', 'traditional' or 'pinyin' ('xiaoming', 'Wang')."""
    ask = chance.of("person")
    last = ask.one_of("surname", numbers, words("chinese_names", column, part="surname"))
    return _given(ask, numbers, column), last


def _culture(ask: Chance, numbers: np.ndarray) -> np.ndarray:
    return np.searchsorted(_SHARES, ask.share("culture", numbers), side="right")


def _by_culture(culture: np.ndarray, *columns: pa.Array) -> pa.Array:
    result = columns[-1]
    for index in range(len(columns) - 1):
        result = chosen(culture == index, columns[index], result)
    return result


def _english_company(ask: Chance, numbers: np.ndarray) -> pa.Array:
    brand, trade, legal = (
        ask.one_of(part, numbers, words("english_companies", "word", part=part))
        for part in ("brand", "trade", "legal")
    )
    return joined(brand, " ", trade, " ", legal)


def _chinese_company(ask: Chance, numbers: np.ndarray, column: str) -> pa.Array:
    parts = (
        ("city", "city"),
        ("brand", "brand"),
        ("brand", "brand2"),
        ("trade", "trade"),
        ("legal", "legal"),
    )
    return joined(
        *(ask.one_of(key, numbers, words("chinese_companies", column, part=part)) for part, key in parts)
    )


def _malay_company(ask: Chance, numbers: np.ndarray) -> pa.Array:
    brand, trade, legal = (
        ask.one_of(part, numbers, words("malay_companies", "word", part=part))
        for part in ("brand", "trade", "legal")
    )
    return joined(brand, " ", trade, " ", legal)


def _names(ask: Chance, numbers: np.ndarray, culture: np.ndarray) -> tuple[pa.Array, pa.Array, pa.Array]:
    """First name, last name and what stands before the '@'."""
    first = [
        _english(ask, numbers, "first"),
        *(_given(ask, numbers, column) for column in ("simplified", "traditional")),
    ]
    last = [_english(ask, numbers, "last"), *(
        ask.one_of("surname", numbers, words("chinese_names", column, part="surname"))
        for column in ("simplified", "traditional")
    )]  # fmt: skip
    woman = ask.happens("woman", numbers, 0.5)
    given, given_slug = (
        chosen(
            woman,
            ask.one_of("given", numbers, take("malay_names", "word", part="woman")),
            ask.one_of("given", numbers, take("malay_names", "word", part="man")),
        )
        for take in (words, slugs)
    )
    father, father_slug = (
        ask.one_of("father", numbers, take("malay_names", "word", part="father")) for take in (words, slugs)
    )
    pinyin = joined(
        ask.one_of("surname", numbers, slugs("chinese_names", "pinyin", part="surname")),
        _given(ask, numbers, "pinyin"),
    )
    slug = _by_culture(
        culture,
        joined(_english_slug(ask, numbers, "first"), ".", _english_slug(ask, numbers, "last")),
        pinyin,
        pinyin,
        joined(given_slug, ".", father_slug),
    )
    malay_last = joined(chosen(woman, "binti ", "bin "), father)
    return _by_culture(culture, *first, given), _by_culture(culture, *last, malay_last), slug


def _english(ask: Chance, numbers: np.ndarray, part: str) -> pa.Array:
    return ask.one_of(f"english {part}", numbers, words("english_names", "word", part=part))


def _english_slug(ask: Chance, numbers: np.ndarray, part: str) -> pa.Array:
    return ask.one_of(f"english {part}", numbers, slugs("english_names", "word", part=part))


def _given(ask: Chance, numbers: np.ndarray, column: str) -> pa.Array:
    """One or two letters, mostly two."""
    letters = words("chinese_names", column, part="given")
    second = chosen(ask.happens("one letter", numbers, 0.15), "", ask.one_of("letter 2", numbers, letters))
    return joined(ask.one_of("letter 1", numbers, letters), second)


def _place(ask: Chance, numbers: np.ndarray, culture: np.ndarray) -> Place:
    columns = [
        _by_culture(
            culture, *(ask.one_of("city", numbers, words("cities", column, culture=item)) for item in _CITIES)
        )
        for column in ("city", "country", "code")
    ]
    code = columns[2].to_numpy(zero_copy_only=False)
    regions = np.zeros(len(numbers), np.int64)
    for index, known in enumerate(phones.REGION_CODES):
        regions[code == known] = index
    return Place(columns[0], columns[1], regions)
