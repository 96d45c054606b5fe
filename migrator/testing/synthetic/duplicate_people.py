"""Contacts of which three in ten speak of somebody again, as years of typing leave them: the other script, a nickname,
a new house, the switchboard of a whole firm; and people who are not the same though they look it (father and son, twins).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from migrator.testing.synthetic import phones, values
from migrator.testing.synthetic.chance import Chance, as_text, chosen, joined
from migrator.testing.synthetic.edits import initials, replaced, rewritten, slipped
from migrator.testing.synthetic.entities import (
    CHINESE,
    ENGLISH,
    MALAY,
    TRADITIONAL,
    Companies,
    People,
    chinese_names,
    companies,
    company_domains,
    people,
)
from migrator.testing.synthetic.population import Population
from migrator.testing.synthetic.spoil import notations, rewritten_email, rewritten_name
from migrator.testing.synthetic.words import words

STAFF = 5
"""Contacts to a firm."""
_RELATIVES = 0.01
"""People who are son or twin of another: same family name, house and landline."""
_FREE_MAIL = ("gmail.com", "qq.com", "outlook.com")
_CITIES = {
    "北京市": "Beijing", "上海市": "Shanghai", "广州市": "Guangzhou", "深圳市": "Shenzhen", "杭州市": "Hangzhou",
    "南京市": "Nanjing", "苏州市": "Suzhou", "成都市": "Chengdu", "武汉市": "Wuhan", "西安市": "Xi'an",
    "天津市": "Tianjin", "重庆市": "Chongqing", "青岛市": "Qingdao", "大连市": "Dalian", "厦门市": "Xiamen",
    "宁波市": "Ningbo", "长沙市": "Changsha", "郑州市": "Zhengzhou", "合肥市": "Hefei", "无锡市": "Wuxi",
    "佛山市": "Foshan", "东莞市": "Dongguan", "福州市": "Fuzhou", "济南市": "Jinan", "香港": "Hong Kong",
    "九龍": "Kowloon", "新界": "New Territories", "中国": "China",
}  # fmt: skip
_NO_FORM = {
    " Inc.": "", " Ltd.": "", " LLC": "", " Sdn. Bhd.": "", "有限责任公司": "", "有限公司": "",
}  # fmt: skip
_STREETS = {"Street": "St", "Avenue": "Ave", "Road": "Rd", "Boulevard": "Blvd", "Drive": "Dr", "Jalan": "Jln"}


@dataclass(frozen=True, slots=True)
class Fate:
    """What befell each record: masks; all False for the first record of somebody."""

    slip: np.ndarray
    nickname: np.ndarray
    initial: np.ndarray
    swapped: np.ndarray
    retyped: np.ndarray
    one_field: np.ndarray
    """The whole name stands in the last name."""
    script: np.ndarray
    """Chinese written in pinyin."""
    characters: np.ndarray
    """Simplified for traditional characters, and the other way."""
    no_email: np.ndarray
    other_email: np.ndarray
    no_mobile: np.ndarray
    other_mobile: np.ndarray
    moved: np.ndarray
    new_job: np.ndarray


@dataclass(frozen=True, slots=True)
class Told:
    """Records, whom they speak of, and what befell them; a relative (`kin`) borrows the `base` of another person."""

    chance: Chance
    ask: Chance
    records: np.ndarray
    entities: np.ndarray
    kin: np.ndarray
    fate: Fate

    @property
    def copies(self) -> np.ndarray:
        """Which speak of somebody whom an earlier record speaks of."""
        found: np.ndarray = self.entities != self.records
        return found

    @property
    def base(self) -> np.ndarray:
        """Whose family name, house and landline each person has."""
        found: np.ndarray = self.entities - self.kin
        return found

    @property
    def twins(self) -> np.ndarray:
        """Relatives born on the same day; the others are sons."""
        found: np.ndarray = self.kin & self.ask.happens("twin", self.entities, 0.5)
        return found


def contacts(chance: Chance, population: Population, records: np.ndarray) -> pa.Table:
    """The contact records with these numbers; `entity_id` is the truth."""
    ask, entities = chance.of("contacts"), population.entities(records)
    kin = ask.happens("relative", entities, _RELATIVES) & (entities > 0)
    told = Told(chance, ask, records, entities, kin, _fate(ask, records, entities != records))
    firms = max(population.salesforce // STAFF, 1)
    employer = ask.below("employer", entities, firms)
    how = notations(ask, records, told.copies)
    seen = people(chance, told.base, company_domains(chance, employer), how)
    now = np.where(told.fate.new_job, ask.below("new employer", records, firms), employer)
    firm = companies(chance, now, how)
    first, last = _retyped(told, seen, *_names(told, seen))
    street, city = _home(told, seen)
    pinyin = told.fate.script & _chinese(seen)
    # a relative has a post of its own, and so has who changed firms
    elsewhere = told.fate.new_job | told.kin
    title = ask.one_of("new title", np.where(told.fate.new_job, records, entities), words("titles", "text"))
    return pa.table({
        "record_id": joined("R", as_text(records, 8)),
        "entity_id": joined("E", as_text(entities, 8)),
        "first_name": first,
        "last_name": last,
        "company": _company(told, firm),
        "job_title": chosen(elsewhere, title, seen.title),
        "email": _email(told, seen),
        "phone": chosen(ask.happens("no landline", records, 0.25), None, firm.phone),
        "mobile": _mobile(told, seen, how),
        "street": street,
        "city": chosen(pinyin, replaced(city, _CITIES), city),
        "country": chosen(pinyin, replaced(seen.place.country, _CITIES), seen.place.country),
        "birth_date": _born(told),
    })  # fmt: skip


def _fate(ask: Chance, records: np.ndarray, copies: np.ndarray) -> Fate:
    name = np.where(copies, ask.share("name", records), 2.0)
    script = np.where(copies, ask.share("script", records), 2.0)
    email = np.where(copies, ask.share("email", records), 2.0)
    mobile = np.where(copies, ask.share("mobile", records), 2.0)
    rest = np.where(copies, ask.share("rest", records), 2.0)
    # who lost both address and number is still known by name and house: else nobody could tell
    lost = (email < 0.27) & (mobile < 0.23)
    return Fate(
        slip=(name < 0.15) & ~lost,
        nickname=(name >= 0.15) & (name < 0.27) & ~lost,
        initial=(name >= 0.27) & (name < 0.33) & ~lost,
        swapped=(name >= 0.33) & (name < 0.38),
        retyped=(name >= 0.38) & (name < 0.5),
        one_field=(name >= 0.5) & (name < 0.55),
        script=(script < 0.35) & ~lost,
        characters=(script >= 0.35) & (script < 0.5),
        no_email=email < 0.12,
        other_email=(email >= 0.12) & (email < 0.27),
        no_mobile=mobile < 0.15,
        other_mobile=(mobile >= 0.15) & (mobile < 0.23),
        moved=(rest < 0.12) & ~lost,
        new_job=(rest >= 0.12) & (rest < 0.22) & ~lost,
    )


def _chinese(seen: People) -> np.ndarray:
    found: np.ndarray = (seen.culture == CHINESE) | (seen.culture == TRADITIONAL)
    return found


def _names(told: Told, seen: People) -> tuple[pa.Array, pa.Array]:
    """First and last names as they are: a son is called as his father, a twin has a name of its own."""
    ask, entities = told.ask, told.entities
    given, _ = chinese_names(told.chance, entities, "simplified")
    english, malay = words("english_names", "word", part="first"), words("malay_names", "word", part="man")
    own = chosen(_chinese(seen), given, ask.one_of("twin", entities, english))
    own = chosen(seen.culture == MALAY, ask.one_of("twin", entities, malay), own)
    western = seen.culture == ENGLISH
    son = told.kin & ~told.twins & western
    has_son = ask.happens("relative", entities + 1, _RELATIVES) & ~ask.happens("twin", entities + 1, 0.5)
    father = has_son & ~told.kin & western & ask.happens("senior", entities, 0.5)
    suffix = chosen(son, " Jr.", chosen(father, " Sr.", ""))
    return chosen(told.kin & ~son, own, seen.first), joined(seen.last, suffix)


def _retyped(told: Told, seen: People, first: pa.Array, last: pa.Array) -> tuple[pa.Array, pa.Array]:
    """The names as each record has them."""
    fate, chinese = told.fate, _chinese(seen)
    first, last = _in_other_script(told, seen, first, last)
    first, last = _mistyped(told, first, last, ~chinese)
    first, last = (rewritten_name(told.ask, told.records, fate.retyped, item) for item in (first, last))
    first, last = chosen(fate.swapped, last, first), chosen(fate.swapped, first, last)
    whole = chosen(chinese & ~fate.script, joined(last, first), joined(first, " ", last))
    return chosen(fate.one_field, None, first), chosen(fate.one_field, whole, last)


def _in_other_script(told: Told, seen: People, first: pa.Array, last: pa.Array) -> tuple[pa.Array, pa.Array]:
    base, fate = told.base, told.fate
    # of a relative the name in the other script is not known: it stays
    own = _chinese(seen) & ~told.kin
    given, surname = chinese_names(told.chance, base, "pinyin")
    first = chosen(fate.script & own, pc.utf8_capitalize(given), first)
    last = chosen(fate.script & own, surname, last)
    for kind, column in ((TRADITIONAL, "simplified"), (CHINESE, "traditional")):
        here = fate.characters & (seen.culture == kind) & own
        given, surname = chinese_names(told.chance, base, column)
        first, last = chosen(here, given, first), chosen(here, surname, last)
    return first, last


def _mistyped(told: Told, first: pa.Array, last: pa.Array, latin: np.ndarray) -> tuple[pa.Array, pa.Array]:
    fate, ask, records = told.fate, told.ask, told.records
    long, short = (words("nicknames", column).to_pylist() for column in ("first", "nickname"))
    first = chosen(fate.nickname & latin, replaced(first, dict(zip(long, short, strict=True))), first)
    first = chosen(fate.initial & latin, initials(first), first)
    of_first = ask.happens("slip of first", records, 0.4)
    first = slipped(ask, "first", records, first, fate.slip & latin & of_first)
    return first, slipped(ask, "last", records, last, fate.slip & latin & ~of_first)


def _company(told: Told, firm: Companies) -> pa.Array:
    how = np.where(told.copies, told.ask.share("company", told.records), 2.0)
    name = chosen(how < 0.25, rewritten(firm.name, _NO_FORM), firm.name)
    without = (how >= 0.25) & (how < 0.35) | told.ask.happens("no company", told.records, 0.05)
    return chosen(without, None, name)


def _email(told: Told, seen: People) -> pa.Array:
    ask, records = told.ask, told.records
    other = joined(
        "k", as_text(told.entities), "@", ask.one_of("mail of kin", told.entities, list(_FREE_MAIL))
    )
    own = chosen(told.kin, other, seen.email)
    new = joined("m", as_text(records), "@", ask.one_of("new mail", records, list(_FREE_MAIL)))
    email = chosen(told.fate.other_email, new, rewritten_email(ask, records, told.copies, own))
    return chosen(told.fate.no_email, None, email)


def _mobile(told: Told, seen: People, how: np.ndarray) -> pa.Array:
    # numbers of people are even, of firms odd; those of a second number lie beyond all records
    numbers = 2 * np.where(told.fate.other_mobile, told.records + 1_000_000_007, told.entities)
    mobile = phones.notated(seen.place.regions, numbers, how)
    has_email = seen.email.is_valid().to_numpy(zero_copy_only=False)
    never = told.ask.happens("never a mobile", told.entities, 0.08) & has_email
    return chosen(told.fate.no_mobile | never, None, mobile)


def _home(told: Told, seen: People) -> tuple[pa.Array, pa.Array]:
    """Street and city; who moved has another house, half of them in another city."""
    ask, fate = told.ask, told.fate
    house = np.where(fate.moved, told.records, told.base)
    street = _street(ask, house, seen.culture)
    street = chosen(fate.retyped, rewritten(street, _STREETS), street)
    away = fate.moved & ask.happens("away", house, 0.5)
    city = seen.place.city
    for culture, name in enumerate(("english", "chinese", "chinese_traditional", "malay")):
        there = ask.one_of("new city", house, words("cities", "city", culture=name))
        city = chosen(away & (seen.culture == culture), there, city)
    return chosen(ask.happens("no street", house, 0.2), None, street), city


def _street(ask: Chance, house: np.ndarray, culture: np.ndarray) -> pa.Array:
    number = as_text(1 + ask.below("house", house, 288))
    block, flat, floor = (
        as_text(1 + ask.below(part, house, most))
        for part, most in (("block", 30), ("flat", 1900), ("floor", 40))
    )
    named = {
        column: ask.one_of("street", house, words("streets", column, culture="chinese"))
        for column in ("street", "traditional")
    }
    english, malay = (
        ask.one_of("street", house, words("streets", "street", culture=name)) for name in ("english", "malay")
    )
    street = joined(number, " ", english)
    street = chosen(
        culture == CHINESE, joined(named["street"], number, "号", block, "栋", flat, "室"), street
    )
    street = chosen(culture == TRADITIONAL, joined(named["traditional"], number, "號", floor, "樓"), street)
    return chosen(culture == MALAY, joined("No. ", number, ", ", malay), street)


def _born(told: Told) -> pa.Array:
    """Known of six in ten; twins share it. A copy lacks it now and then, or has day and month the wrong way round."""
    ask = told.ask
    whole = values.days(ask, "birth", np.where(told.twins, told.base, told.entities), "1945-01-01", 22_000)
    year, month, day = (
        pc.utf8_slice_codeunits(whole, start, end) for start, end in ((0, 5), (5, 7), (8, 10))
    )
    possible = pc.less_equal(day, "12").to_numpy(zero_copy_only=False)
    turned = told.copies & possible & ask.happens("turned", told.records, 0.08)
    whole = chosen(turned, joined(year, day, "-", month), whole)
    lost = told.copies & ask.happens("birth date lost", told.records, 0.3)
    return chosen(ask.happens("no birth date", told.entities, 0.4) | lost, None, whole)
