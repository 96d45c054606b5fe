"""What the two simulated systems hold: objects, fields, how a field is mapped, and when two values are the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

from migrator.core.twoway import Native

Value: TypeAlias = Native
"""A native value; multi-picklists are texts joined with ';', references are ids of the same system."""

OLD, NEW = "old", "new"


def other(side: str) -> str:
    """The side across."""
    return NEW if side == OLD else OLD


class Kind(StrEnum):
    """Type of a field; says which values are the same."""

    TEXT = "text"
    RICH = "rich"
    PHONE = "phone"
    EMAIL = "email"
    PICK = "pick"
    MULTI = "multi"
    DECIMAL = "decimal"
    DATE = "date"
    INSTANT = "instant"
    FLAG = "flag"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Pair:
    """One mapped field: its name on both sides, its policy, and the picklist values that stand for each other."""

    old: str
    new: str
    kind: Kind
    policy: str = "old_wins"
    """'old_wins', 'new_wins', 'hold' or 'merge:union'."""
    direction: str = "both"
    """'both', 'forward' (old to new) or 'reverse'."""
    target: str = ""
    """Of a link: the mapped object it points to."""
    values: tuple[tuple[str, str], ...] = ()
    """Old value, new value; several old ones may share a new one. The first pair of a new value is its way back."""
    consent: bool = False
    """True means 'do not contact': the most restrictive value wins."""
    silent: bool = False
    """Computed by the old system: its value changes without a new stamp and nobody can write it there."""
    scale: int = 2

    def name(self, side: str) -> str:
        """Its name on one side."""
        return self.old if side == OLD else self.new


@dataclass(frozen=True, slots=True)
class Shape:
    """One mapped object."""

    name: str
    """Name of the mapping."""
    old: str
    new: str
    old_key: str
    """Field of the old object that holds the new id."""
    new_key: str
    """Field of the new object that holds the old id."""
    pairs: tuple[Pair, ...]

    def object(self, side: str) -> str:
        """The object's name on one side."""
        return self.old if side == OLD else self.new

    def key(self, side: str) -> str:
        """The field that holds the other side's id."""
        return self.old_key if side == OLD else self.new_key

    def pair(self, side: str, field: str) -> Pair | None:
        """The mapped field of that name; None for the key and for fields outside the mapping."""
        return next((each for each in self.pairs if each.name(side) == field), None)


RATING = (("Hot", "open"), ("Warm", "open"), ("Cold", "closed"), ("Lost", "closed"))
"""Merges values, as real mappings do: the way back needs the base (complement rule)."""
STAGE = (("Prospecting", "初步接洽"), ("Proposal", "报价"), ("Won", "成交"))

FIRM = Shape(
    "firm",
    "Account",
    "company",
    "New_Id__c",
    "legacy_id",
    (
        Pair("Name", "name", Kind.TEXT),
        Pair("Rating", "status", Kind.PICK, "new_wins", values=RATING),
        Pair("Phone", "phone", Kind.PHONE, "hold"),
        Pair("AnnualRevenue", "revenue", Kind.DECIMAL),
        Pair("Founded__c", "founded_on", Kind.DATE, "new_wins"),
        Pair("Tags__c", "tags", Kind.MULTI, "merge:union"),
        Pair("Description", "about", Kind.RICH, "new_wins"),
        Pair("HasOptedOut", "do_not_contact", Kind.FLAG, consent=True),
        Pair("Score__c", "score", Kind.DECIMAL, direction="forward", silent=True),
        Pair("Satisfaction__c", "satisfaction", Kind.TEXT, direction="reverse"),
        Pair("ParentId", "parent", Kind.LINK, target="firm"),
    ),
)
PERSON = Shape(
    "person",
    "Contact",
    "person",
    "New_Id__c",
    "legacy_id",
    (
        Pair("LastName", "family_name", Kind.TEXT, "new_wins"),
        Pair("Email", "mail", Kind.EMAIL),
        Pair("Birthdate", "born_on", Kind.DATE),
        Pair("LastSeen__c", "last_seen", Kind.INSTANT, "new_wins"),
        Pair("AccountId", "company", Kind.LINK, target="firm"),
    ),
)
DEAL = Shape(
    "deal",
    "Opportunity",
    "deal",
    "New_Id__c",
    "legacy_id",
    (
        Pair("Name", "title", Kind.TEXT),
        Pair("StageName", "stage", Kind.PICK, values=STAGE),
        Pair("Amount", "amount", Kind.DECIMAL, "hold"),
        Pair("CloseDate", "closes_on", Kind.DATE),
        Pair("AccountId", "company", Kind.LINK, target="firm"),
        Pair("ContactId", "person", Kind.LINK, target="person"),
    ),
)
LEAD = Shape(
    "lead",
    "Lead",
    "prospect",
    "New_Id__c",
    "legacy_id",
    (Pair("LastName", "family_name", Kind.TEXT), Pair("Email", "mail", Kind.EMAIL, "new_wins")),
)
SHAPES: tuple[Shape, ...] = (FIRM, PERSON, DEAL, LEAD)
BY_NAME: Mapping[str, Shape] = {shape.name: shape for shape in SHAPES}


def shape_of(side: str, object_name: str) -> Shape:
    """The mapped object that a side calls `object_name`."""
    return next(shape for shape in SHAPES if shape.object(side) == object_name)


_CANONICAL: Mapping[Kind, Callable[[Value], Value]] = {
    Kind.RICH: lambda value: re.sub(r"</?p>|\s+", " ", str(value)).strip(),
    Kind.PHONE: lambda value: re.sub(r"[^+0-9]", "", str(value)),
    Kind.EMAIL: lambda value: str(value).lower(),
    Kind.INSTANT: lambda value: value.replace(microsecond=0) if isinstance(value, datetime) else value,
    Kind.MULTI: lambda value: ";".join(sorted(set(str(value).split(";")))),
}


def canonical(pair: Pair, value: Value) -> Value:
    """The form in which equal values of a field compare equal (section 2.4); never written anywhere."""
    if value is None or value == "":
        return None
    if isinstance(value, Decimal):
        return value.quantize(Decimal(1).scaleb(-pair.scale))
    found = _CANONICAL.get(pair.kind)
    return found(value) if found else value


def same(pair: Pair, left: Value, right: Value) -> bool:
    """Whether two native values of one side say the same."""
    return canonical(pair, left) == canonical(pair, right)


SOURCE = "crm"
"""Name of the mappings' source: a new record's external key is 'crm:' and the old id."""


def key_of(side: str, partner: str) -> str:
    """The external key that a record of `side` carries for its partner."""
    return f"{SOURCE}:{partner}" if side == NEW else partner


def partner_of(key: Value) -> str | None:
    """The id of the partner that an external key names."""
    return str(key).removeprefix(f"{SOURCE}:") if key else None


def across(pair: Pair, side: str, value: Value) -> Value:
    """What a value of `side` becomes on the other side; links stay as they are (the caller resolves them)."""
    if pair.kind is not Kind.PICK or value is None:
        return value
    if side == OLD:
        return next((new for old, new in pair.values if old == value), value)
    return next((old for old, new in pair.values if new == value), value)
