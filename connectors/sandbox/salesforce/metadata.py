"""What a Salesforce organisation has: objects and fields of the standard schema, and those that seeds and schemas add."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files

from connectors.sandbox.shape import Names
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

NAMES = Names(created="CreatedDate", modified=("SystemModstamp", "LastModifiedDate"), deleted="IsDeleted")
AUDIT = frozenset({"CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById"})
TYPES: Mapping[str, FieldType] = {
    "id": FieldType.ID, "string": FieldType.STRING, "textarea": FieldType.TEXT, "picklist": FieldType.PICKLIST,
    "multipicklist": FieldType.MULTI_PICKLIST, "reference": FieldType.REFERENCE, "boolean": FieldType.BOOLEAN,
    "int": FieldType.INTEGER, "double": FieldType.DECIMAL, "currency": FieldType.DECIMAL,
    "percent": FieldType.DECIMAL, "date": FieldType.DATE, "datetime": FieldType.DATETIME, "time": FieldType.TIME,
    "email": FieldType.STRING, "phone": FieldType.STRING, "url": FieldType.STRING, "combobox": FieldType.STRING,
    "base64": FieldType.FILE,
}  # fmt: skip
"""Salesforce's types; address and other compound types are not stored."""
_BACK: Mapping[FieldType, str] = {
    FieldType.STRING: "string", FieldType.TEXT: "textarea", FieldType.INTEGER: "int", FieldType.DECIMAL: "double",
    FieldType.FLOAT: "double", FieldType.BOOLEAN: "boolean", FieldType.DATE: "date", FieldType.DATETIME: "datetime",
    FieldType.TIME: "time", FieldType.ID: "id", FieldType.REFERENCE: "reference", FieldType.PICKLIST: "picklist",
    FieldType.MULTI_PICKLIST: "multipicklist", FieldType.FILE: "base64", FieldType.JSON: "textarea",
}  # fmt: skip
_LENGTHS: Mapping[str, int] = {"string": 255, "textarea": 32_000, "email": 80, "phone": 40, "url": 255}


@dataclass(frozen=True, slots=True)
class Info:
    """A field as describe tells it."""

    name: str
    type: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    traits: frozenset[str] = frozenset()
    references: tuple[str, ...] = ()
    compound: str = ""
    """The compound field it is a part of."""
    values: tuple[str, ...] = ()
    label: str = ""

    @property
    def custom(self) -> bool:
        """Whether somebody of the organisation made it."""
        return self.name.endswith("__c")

    @property
    def relationship(self) -> str | None:
        """The name under which SOQL goes to the record it refers to."""
        if self.type != "reference":
            return None
        return f"{self.name[:-3]}__r" if self.custom else self.name.removesuffix("Id")

    @property
    def createable(self) -> bool:
        """Whether a new record may have it; audit fields need a switch besides."""
        return not self.traits & {"calculated", "auto", "compound", "audit", "system"}

    @property
    def updateable(self) -> bool:
        """Whether a record there may have it changed."""
        return self.createable and "insert" not in self.traits

    @property
    def required(self) -> bool:
        """Whether no record may be without it."""
        return "required" in self.traits

    @property
    def key(self) -> bool:
        """Whether records may be upserted and referred to by it."""
        return bool(self.traits & {"external", "lookup"}) or self.name == "Id"

    @property
    def words(self) -> str:
        """The label: 'AccountId' is 'Account ID'."""
        plain = re.sub(r"__c$", "", self.name).replace("_", " ")
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", plain)
        return self.label or re.sub(r" Id$", " ID", spaced)


@dataclass(slots=True)
class Entity:
    """An object as describe tells it."""

    name: str
    prefix: str
    label: str
    traits: frozenset[str] = frozenset()
    fields: dict[str, Info] = field(default_factory=dict)
    """By folded name, in order."""

    @property
    def custom(self) -> bool:
        """Whether somebody of the organisation made it."""
        return self.name.endswith("__c")

    @property
    def writable(self) -> bool:
        """Whether its records are made through the API."""
        return "readonly" not in self.traits

    def add(self, infos: Iterable[Info]) -> None:
        """More fields; one that is there is replaced."""
        self.fields.update((item.name.casefold(), item) for item in infos)

    def find(self, name: str) -> Info | None:
        """A field, by its name without regard to case."""
        return self.fields.get(name.casefold())

    def through(self, relationship: str) -> Info | None:
        """The reference field of a relationship's name."""
        wanted = relationship.casefold()
        return next(
            (item for item in self.fields.values() if (item.relationship or "").casefold() == wanted), None
        )

    def parts(self, compound: str) -> list[Info]:
        """The components of a compound field."""
        return [item for item in self.fields.values() if item.compound == compound]

    def schema(self, objects: Iterable[str]) -> ObjectSchema:
        """As the record store takes it; `objects` are those a reference to anything may mean."""
        everything = tuple(objects)
        return ObjectSchema(
            self.name, "Id",
            tuple(_stored(item, everything) for item in self.fields.values() if item.type in TYPES),
            self.label,
        )  # fmt: skip


def _stored(item: Info, objects: tuple[str, ...]) -> FieldSchema:
    kind = TYPES[item.type]
    return FieldSchema(
        item.name, kind, label=item.words,
        required=item.required,
        unique="unique" in item.traits,
        length=item.length or None,
        precision=item.precision or None,
        scale=item.scale if item.precision else None,
        references=objects if item.references == ("*",) else item.references,
        values=item.values if "restricted" in item.traits else (),
    )  # fmt: skip


def standard(*, multi_currency: bool) -> dict[str, Entity]:
    """The standard objects, with the fields every object has; by name, in order."""
    found: dict[str, Entity] = {}
    for row in _table("objects.csv"):
        entity = Entity(row["object"], row["prefix"], row["label"], frozenset(row["traits"].split()))
        entity.add(_system(entity, multi_currency=multi_currency))
        found[entity.name] = entity
    for row in _table("fields.csv"):
        found[row["object"]].add([_info(row)])
    return found


def custom(name: str, prefix: str, *, multi_currency: bool) -> Entity:
    """An object that the organisation made; it has a Name."""
    entity = Entity(
        name, prefix, name.removesuffix("__c").replace("_", " "), frozenset({"owned", "currency", "types"})
    )
    entity.add(_system(entity, multi_currency=multi_currency))
    entity.add([Info("Name", "string", 80, traits=frozenset({"name"}))])
    return entity


def from_schema(item: FieldSchema) -> Info:
    """A field that a seed or a schema file adds; one that is unique can be upserted by."""
    kind = _BACK[item.type]
    traits = (
        {"custom"} | ({"required"} if item.required else set()) | ({"restricted"} if item.values else set())
    )
    if item.unique:
        traits |= {"unique", "external"}
    if item.read_only:
        traits.add("calculated")
    return Info(
        item.name, kind, item.length or _LENGTHS.get(kind, 0),
        item.precision or (18 if kind == "double" else 0), item.scale or (6 if kind == "double" else 0),
        frozenset(traits), item.references, values=item.values, label=item.label,
    )  # fmt: skip


def merged(old: Info, item: FieldSchema) -> Info:
    """A standard field with what a schema file says otherwise: its values, its length, whether it is a key."""
    new = from_schema(item)
    return replace(
        old,
        length=item.length or old.length,
        traits=old.traits | (new.traits - {"custom"}),
        values=item.values or old.values,
        references=item.references or old.references,
    )


def _system(entity: Entity, *, multi_currency: bool) -> Iterator[Info]:
    system, people = frozenset({"system"}), ("User",)
    yield Info("Id", "id", 18, traits=system)
    yield Info("IsDeleted", "boolean", traits=system)
    if "owned" in entity.traits:
        yield Info("OwnerId", "reference", 18, traits=frozenset({"default"}), references=("User", "Group"))
    if "types" in entity.traits:
        yield Info("RecordTypeId", "reference", 18, references=("RecordType",))
    if multi_currency and "currency" in entity.traits:
        yield Info("CurrencyIsoCode", "picklist", 3, traits=frozenset({"default"}))
    yield Info("CreatedDate", "datetime", traits=frozenset({"audit"}))
    yield Info("CreatedById", "reference", 18, traits=frozenset({"audit"}), references=people)
    yield Info("LastModifiedDate", "datetime", traits=frozenset({"audit"}))
    yield Info("LastModifiedById", "reference", 18, traits=frozenset({"audit"}), references=people)
    yield Info("SystemModstamp", "datetime", traits=system)


def _info(row: Mapping[str, str]) -> Info:
    words = row["traits"].split()
    whole, _, places = row["size"].partition(".")
    number = row["type"] in {"double", "currency", "percent"}
    length = 18 if row["type"] == "reference" else int(whole or 0)
    return Info(
        row["field"], row["type"],
        0 if number or row["type"] == "int" else length,
        int(whole) + int(places) if number and row["type"] == "percent" else (18 if number else 0),
        int(places or 0) if number else 0,
        frozenset(word for word in words if not word.startswith("in:")),
        tuple(row["references"].split()),
        next((word[3:] for word in words if word.startswith("in:")), ""),
    )  # fmt: skip


def _table(name: str) -> Iterator[dict[str, str]]:
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    yield from csv.DictReader(text.splitlines())
