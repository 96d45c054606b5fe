"""Records for any saved schema: what the objects of a standard CRM hold, linked with each other, the same on every call.

Each record of an object has a number. One in four leaves the fields empty that may be. The last but one of some objects is
spoiled (`FAULTS`), the last of an object with `IsDeleted` lies in the recycle bin; nothing points to these two.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

Row = dict[str, str | None]
"""Column → text as an export holds it, None where it holds nothing."""
Keys = Callable[[str, int], str]
"""(object, number) → the key of a record, as its system makes keys."""

STATES: Mapping[str, Mapping[str, str]] = {
    "lead": {"1": "0", "2": "0", "3": "1", "4": "2", "5": "2", "6": "2", "7": "2"},
    "opportunity": {"1": "0", "2": "0", "3": "1", "4": "2", "5": "2"},
    "product": {"1": "0", "2": "1", "0": "2", "3": "3"},
    "incident": {"1": "0", "2": "0", "3": "0", "4": "0", "5": "1", "1000": "1", "6": "2", "2000": "2"},
    "campaign": {"6": "1"},
    "campaignresponse": {"1": "0", "2": "1", "3": "2"},
    "task": {"2": "0", "3": "0", "4": "0", "7": "0", "5": "1", "6": "2"},
    "phonecall": {"1": "0", "2": "1", "4": "1", "3": "2"},
    "appointment": {"1": "0", "2": "0", "3": "1", "4": "2", "5": "3", "6": "3"},
    "email": {"1": "0", "8": "0", "2": "1", "3": "1", "4": "1", "6": "1", "7": "1", "5": "2"},
}
"""Dynamics: status reason → the state it belongs to, in the tables where the two must agree."""
ALWAYS = frozenset(
    {
        ("systemuser", "internalemailaddress"), ("opportunity", "estimatedclosedate"), ("opportunityproduct", "productid"), ("opportunityproduct", "quantity"),
        ("annotation", "objectid"), ("annotation", "isdocument"), ("annotation", "documentbody"), ("annotation", "filename"),
        ("campaignresponse", "customer"), ("list", "type"), ("team", "teamtype"), ("product", "productstructure"),
        ("lead", "statuscode"), ("opportunity", "statuscode"), ("incident", "statuscode"), ("Case", "AccountId"),
        ("campaign", "statuscode"), ("task", "statuscode"), ("phonecall", "statuscode"), ("email", "statuscode"),
        ("appointment", "statuscode"), ("campaignresponse", "statuscode"), ("OpportunityLineItem", "Product2Id"),
        ("ContentVersion", "FirstPublishLocationId"), ("EmailMessage", "Status"), ("Group", "Type"), ("CampaignMember", "ContactId"), ("CampaignMember", "LeadId"),
    }
)  # fmt: skip
"""Fields that records of these systems do not lack, though their schemas do not say so."""
DAYS = frozenset(
    {
        "birthdate", "estimatedclosedate", "actualclosedate", "proposedstart", "proposedend", "actualstart", "actualend",
        "receivedon", "followupby", "begindate", "enddate",
    }
)  # fmt: skip
"""Date-only columns of Dynamics: instants at midnight."""
FIXED: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("product", "productstructure"): ("1",), ("team", "teamtype"): ("0",), ("list", "type"): ("0",),
    ("list", "createdfromcode"): ("2", "4"), ("appointment", "statuscode"): ("5", "6", "1", "3"),
    ("email", "statuscode"): ("3", "4", "1"), ("campaignresponse", "statuscode"): ("1", "2"),
    ("opportunityproduct", "isproductoverridden"): ("0",), ("annotation", "isdocument"): ("0", "1"),
    ("PricebookEntry", "IsActive"): ("1",), ("ContentVersion", "IsLatest"): ("1",), ("Group", "Type"): ("Queue",),
    ("CampaignMember", "HasResponded"): ("1", "0", "0"),
}  # fmt: skip
"""Values that are not any of the list, so that most records move."""
EITHER = {"CampaignMember": ("ContactId", "LeadId")}
"""Links of which a record has one."""
FAULTS = {
    ("account", "name"): "missing", ("Account", "Name"): "missing",
    ("opportunityproduct", "opportunityid"): "orphan", ("OpportunityLineItem", "OpportunityId"): "orphan",
}  # fmt: skip
"""(object, field) of the record that is spoiled → how."""
_TEXTS = ("Alpha", "上海", 'A "b", c', "Ünïcode", "O'Brien&", "北京")
_NAMED = (
    (("email", "username", "domainname", "sender", "fromaddress"), "person{n}@legacy.example"),
    (("toaddress", "torecipients", "ccaddress"), "a{n}@legacy.example;b{n}@legacy.example"),
    (("phone", "fax"), "+86 21 5555 {n:04}"),
    (("website",), "https://www.company{n}.example"),
    (("alias",), "p{n}"),
    (("productcode", "productnumber", "ticketnumber", "casenumber"), "N-{n:05}"),
)
_FEW: Mapping[str, tuple[str, ...]] = {
    "country": ("中国", "Malaysia", "USA"),
    "currencyisocode": ("CNY", "USD"),
    "transactioncurrencyid__name": ("CNY", "USD"),
    "salutation": ("先生", "Ms."),
}


@dataclass(frozen=True, slots=True)
class Standard:
    """Schemas of a system, and how many records each object has."""

    schemas: Mapping[str, ObjectSchema]
    keys: Keys
    count: int = 8
    tables: dict[str, list[Row]] = field(default_factory=dict)

    def rows(self, name: str) -> list[Row]:
        """All records of an object; made once."""
        if name not in self.tables:
            schema = self.schemas[name]
            self.tables[name] = [self._row(schema, number) for number in range(self.count)]
        return self.tables[name]

    def _row(self, schema: ObjectSchema, number: int) -> Row:
        row: Row = {}
        for place, item in enumerate(schema.fields):
            optional = not item.required and (schema.name, item.name) not in ALWAYS
            if item.name == schema.key:
                row[item.name] = self.keys(schema.name, number)
            elif item.name == "IsDeleted":
                row[item.name] = "1" if number == self.count - 1 else "0"
            elif item.name not in row:
                empty = optional and number % 4 == 3
                row.update(self._cell(schema, item, number, place) if not empty else {item.name: None})
            if number == self.count - 2 and (schema.name, item.name) in FAULTS:
                orphan = FAULTS[schema.name, item.name] == "orphan"
                row[item.name] = self.keys(item.references[0], 10 * self.count) if orphan else None
        if schema.name in EITHER:
            row[EITHER[schema.name][number % 2]] = None
        states = STATES.get(schema.name)
        if states is not None:
            row["statecode"] = states.get(row.get("statuscode") or "", "0")
        return row

    def _cell(self, schema: ObjectSchema, item: FieldSchema, number: int, place: int) -> Row:
        """The value of a field, and of those beside it that say more of it."""
        if item.type is FieldType.REFERENCE:
            return self._link(schema, item, number, place)
        if item.type is FieldType.JSON:
            return {item.name: self._parties(item.name, number) if item.name != "undeclared_fields" else None}
        fixed = FIXED.get((schema.name, item.name))
        return {item.name: fixed[number % len(fixed)] if fixed else value(item, number, place)}

    def _link(self, schema: ObjectSchema, item: FieldSchema, number: int, place: int) -> Row:
        target = item.references[(number + place) % len(item.references)] if item.references else ""
        to = (number * 5 + place) % (self.count - 2)
        if target == schema.name:
            to = number - 1 if number < self.count - 2 else -1
        row: Row = {item.name: self.keys(target, to) if to >= 0 else None}
        beside = {f"{item.name}__type": target, f"{item.name}__name": _few(f"{item.name}__name", number)}
        known = set(schema.field_names)
        row.update({name: text if to >= 0 else None for name, text in beside.items() if name in known})
        return row

    def _parties(self, name: str, number: int) -> str:
        """A party list of Dynamics as its export's reader tells it; a list has one contact or lead, after a user."""
        person = "lead" if number % 3 == 2 else "contact"
        people = [(person, (number * 2) % (self.count - 2))]
        if name in {"from", "to", "requiredattendees"}:
            people.insert(0, ("systemuser", number % (self.count - 2)))
        mask = {"from": "1", "to": "2", "cc": "3", "requiredattendees": "5", "optionalattendees": "6"}
        parties = [
            {
                "id": self.keys(f"party of {name}", number * 10 + place),
                "partyid": self.keys(kind, to),
                "partyid__type": kind,
                "participationtypemask": mask.get(name, "11"),
            }
            for place, (kind, to) in enumerate(people)
        ]
        return json.dumps(parties, ensure_ascii=False)


def value(item: FieldSchema, number: int, place: int) -> str:
    """A value that the field's type and size allow, as text."""
    return _MAKERS.get(item.type, _text)(item, number, place)


def _picked(item: FieldSchema, number: int, place: int) -> str:
    return item.values[(number + place) % len(item.values)] if item.values else "1"


def _instant(item: FieldSchema, number: int, place: int) -> str:
    clock = "00:00:00" if item.name in DAYS else f"{place % 24:02}:{number % 60:02}:07"
    return f"{_day(item, number, place)}T{clock}Z"


def _day(_: FieldSchema, number: int, __: int) -> str:
    return f"2024-{number % 12 + 1:02}-29"


def _text(item: FieldSchema, number: int, place: int) -> str:
    few = _few(item.name, number)
    if few is not None:
        return few
    low = item.name.lower()
    for parts, form in _NAMED:
        if any(part in low for part in parts):
            return form.format(n=number)
    text = f"{_TEXTS[(number + place) % len(_TEXTS)]} {number}"
    return f"{text}\nsecond line" if item.type is FieldType.TEXT else text


_MAKERS: Mapping[FieldType, Callable[[FieldSchema, int, int], str]] = {
    FieldType.PICKLIST: _picked,
    FieldType.BOOLEAN: lambda _, number, place: str((number + place) % 2),
    FieldType.INTEGER: lambda _, number, __: str(number * 10 % 100),
    FieldType.DECIMAL: lambda item, number, _: f"{number * 7 + 1}.50" if item.scale else str(number * 7 + 1),
    FieldType.DATE: _day,
    FieldType.DATETIME: _instant,
    FieldType.FILE: lambda *_: "",
}


def _few(name: str, number: int) -> str | None:
    low = name.lower()
    found = next((texts for part, texts in _FEW.items() if low.endswith(part)), None)
    return found[number % len(found)] if found else None


def standard(schemas: Sequence[ObjectSchema], keys: Keys, *, count: int = 8) -> dict[str, list[Row]]:
    """Object → its records, for all schemas."""
    made = Standard({item.name: item for item in schemas}, keys, count)
    return {item.name: made.rows(item.name) for item in schemas}
