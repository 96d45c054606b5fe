"""Firms of which three in ten stand there again under another form of their name; and firms that differ in the city only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from migrator.testing.synthetic.chance import Chance, as_text, chosen, joined
from migrator.testing.synthetic.edits import rewritten, slipped
from migrator.testing.synthetic.entities import (
    CHINESE,
    ENGLISH,
    MALAY,
    TRADITIONAL,
    companies,
)
from migrator.testing.synthetic.population import Population
from migrator.testing.synthetic.spoil import notations, rewritten_name
from migrator.testing.synthetic.words import slugs, words

_SISTERS = 0.03
"""Firms that bear another's name in another city; half of them are its branch there."""
_FORMS = {
    "Inc.": "Incorporated", "Ltd.": "Limited", "Corp.": "Corporation", "LLC": "L.L.C.", "Sdn Bhd": "Sdn. Bhd.",
    "股份有限公司": "股份公司", "有限责任公司": "有限公司", "有限責任公司": "有限公司",
}  # fmt: skip
_NO_FORM = {
    " Inc.": "", " Ltd.": "", " Corp.": "", " LLC": "", " PLC": "", " Pte. Ltd.": "", " GmbH": "", " Sdn Bhd": "",
    " Berhad": "", "股份有限公司": "", "有限责任公司": "", "有限責任公司": "", "集团有限公司": "集团", "有限公司": "",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Told:
    """Records and the firms they speak of; a sister bears the name of `base` and differs in the city."""

    ask: Chance
    records: np.ndarray
    entities: np.ndarray
    base: np.ndarray
    culture: np.ndarray

    @property
    def copies(self) -> np.ndarray:
        """Which speak of a firm that an earlier record speaks of."""
        found: np.ndarray = self.entities != self.records
        return found

    @property
    def sisters(self) -> np.ndarray:
        """Which bear another's name."""
        found: np.ndarray = self.entities != self.base
        return found

    @property
    def branches(self) -> np.ndarray:
        """Sisters that are a branch of the other firm."""
        found: np.ndarray = self.sisters & self.ask.happens("branch", self.entities, 0.5)
        return found


def firms(chance: Chance, population: Population, records: np.ndarray) -> pa.Table:
    """The records of firms with these numbers; `entity_id` is the truth."""
    ask, entities = chance.of("firms"), population.entities(records)
    sister = ask.happens("sister", entities, _SISTERS) & (entities > 0)
    base = entities - sister
    told = Told(ask, records, entities, base, companies(chance, base).culture)
    rest = np.where(told.copies, ask.share("rest", records), 2.0)
    phone = companies(chance, entities, notations(ask, records, told.copies)).phone
    scheme = ask.one_of("scheme", records, ["www.", "https://www.", ""])
    no_website = (rest >= 0.1) & (rest < 0.3) | ask.happens("no website", entities, 0.2)
    no_tax_id = ask.happens("no tax id", entities, 0.5) | (rest > 0.8) & told.copies
    return pa.table({
        "record_id": joined("F", as_text(records, 8)),
        "entity_id": joined("E", as_text(entities, 8)),
        "name": _names(told),
        "website": chosen(no_website, None, joined(scheme, _domains(told))),
        "phone": chosen((rest >= 0.3) & (rest < 0.45), None, phone),
        "street": _streets(ask, np.where(rest < 0.1, records, entities), told.culture),
        "city": _cities(told),
        "tax_id": chosen(no_tax_id, None, _tax_ids(ask, entities)),
    })  # fmt: skip


def _names(told: Told) -> pa.Array:
    """Names as typed: the legal form in full, in short or left out, the other script, in English, a slip."""
    ask, records, culture = told.ask, told.records, told.culture
    how = np.where(told.copies, ask.share("name", records), 2.0)
    simplified, traditional = (_chinese(told, column) for column in ("simplified", "traditional"))
    name = chosen(culture == CHINESE, simplified, traditional)
    other = chosen(culture == CHINESE, traditional, simplified)
    name = chosen((how >= 0.3) & (how < 0.42), other, name)
    name = chosen((how >= 0.42) & (how < 0.5), _in_english(told), name)
    for kind, lists in ((ENGLISH, "english_companies"), (MALAY, "malay_companies")):
        name = chosen(culture == kind, _latin(told, lists), name)
    name = chosen(how < 0.15, rewritten(name, _FORMS), name)
    name = chosen((how >= 0.15) & (how < 0.3), rewritten(name, _NO_FORM), name)
    western = (culture == ENGLISH) | (culture == MALAY)
    name = slipped(ask, "firm", records, name, western & (how >= 0.3) & (how < 0.45))
    return rewritten_name(ask, records, (how >= 0.5) & (how < 0.6), name)


def _latin(told: Told, lists: str) -> pa.Array:
    """'Bolt Hawk Energy Ltd'; where a sister bears the same name, the city stands in both."""
    brand, second, trade, legal = (
        told.ask.one_of(what, told.base, words(lists, "word", part=part))
        for what, part in (
            ("brand", "brand"),
            ("second brand", "brand"),
            ("trade", "trade"),
            ("legal", "legal"),
        )
    )
    shown = told.sisters | (told.ask.happens("sister", told.entities + 1, _SISTERS) & ~told.sisters)
    place = joined(" (", _cities(told), chosen(told.branches, " Branch", ""), ")")
    return joined(brand, " ", second, " ", trade, chosen(shown, place, ""), " ", legal)


def _chinese(told: Told, column: str) -> pa.Array:
    """City, brand of two or three letters, trade, form; a branch names the parent's city first and its own at the end."""
    own, city = _chinese_city(told.ask, told.entities, column), _chinese_city(told.ask, told.base, column)
    trade = told.ask.one_of("trade", told.base, words("chinese_companies", column, part="trade"))
    form = chosen(told.ask.happens("shares", told.base, 0.2), "股份有限公司", "有限公司")
    ending = chosen(told.branches, joined(own, "分公司"), "")
    return joined(chosen(told.branches, city, own), _brand(told.ask, told.base, column), trade, form, ending)


def _in_english(told: Told) -> pa.Array:
    """As the firm itself would write it abroad: 'Shanghai Hengxin Technology Co., Ltd.'."""
    own, city = (
        pc.utf8_capitalize(_chinese_city(told.ask, firm, "pinyin")) for firm in (told.entities, told.base)
    )
    trade = told.ask.one_of("trade", told.base, words("trades", "english"))
    brand = pc.utf8_capitalize(_brand(told.ask, told.base, "pinyin"))
    ending = chosen(told.branches, joined(" ", own, " Branch"), "")
    return joined(chosen(told.branches, city, own), " ", brand, " ", trade, " Co., Ltd.", ending)


def _brand(ask: Chance, firm: np.ndarray, column: str) -> pa.Array:
    letters = [
        ask.one_of(f"letter {place}", firm, words("chinese_companies", column, part="brand"))
        for place in range(3)
    ]
    return joined(*letters[:2], chosen(ask.happens("three letters", firm, 0.5), letters[2], ""))


def _domains(told: Told) -> pa.Array:
    """The brand in small letters, and what tells it from others of that name."""
    domain = joined(_brand(told.ask, told.base, "pinyin"), as_text(told.entities), ".cn")
    for kind, lists, ending in (
        (ENGLISH, "english_companies", ".com"),
        (MALAY, "malay_companies", ".com.my"),
    ):
        brands = (
            told.ask.one_of(what, told.base, slugs(lists, "word", part="brand"))
            for what in ("brand", "second brand")
        )
        domain = chosen(told.culture == kind, joined(*brands, as_text(told.entities), ending), domain)
    return domain


def _chinese_city(ask: Chance, entities: np.ndarray, column: str) -> pa.Array:
    return ask.one_of("city", entities, words("chinese_companies", column, part="city"))


def _cities(told: Told) -> pa.Array:
    """Where each firm is; a Chinese one bears it in its name."""
    ask, culture = told.ask, told.culture
    city = _chinese_city(ask, told.entities, "simplified")
    city = chosen(culture == TRADITIONAL, _chinese_city(ask, told.entities, "traditional"), city)
    for kind, name in ((ENGLISH, "english"), (MALAY, "malay")):
        town = ask.one_of("town", told.entities, words("cities", "city", culture=name))
        city = chosen(culture == kind, town, city)
    return city


def _streets(ask: Chance, houses: np.ndarray, culture: np.ndarray) -> pa.Array:
    number = as_text(1 + ask.below("house", houses, 988))
    street = joined(number, " ", ask.one_of("street", houses, words("streets", "street", culture="english")))
    malay = joined(
        "No. ", number, ", ", ask.one_of("street", houses, words("streets", "street", culture="malay"))
    )
    street = chosen(culture == MALAY, malay, street)
    for kind, column, unit in ((CHINESE, "street", "号"), (TRADITIONAL, "traditional", "號")):
        named = joined(
            ask.one_of("street", houses, words("streets", column, culture="chinese")), number, unit
        )
        street = chosen(culture == kind, named, street)
    return street


def _tax_ids(ask: Chance, entities: np.ndarray) -> pa.Array:
    """Made up, and different for every firm."""
    return joined(
        "T", as_text(entities * 7_368_787 % 1_000_000_007, 10), as_text(ask.below("tax", entities, 90) + 10)
    )
