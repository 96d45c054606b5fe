"""What Salesforce's standard fields are: types, personal data and references, told from their API names by a table."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from migrator.core.schema import FieldSchema, FieldType


@dataclass(frozen=True, slots=True)
class Standard:
    """A line of the table: what a field of this name is."""

    type: FieldType
    pii: str
    references: tuple[str, ...]
    """Objects it may point to; '@self' is its own object, '@all' any object of the export that has records of its own."""


_ADDRESS = re.compile(
    r"(Billing|Shipping|Mailing|Other|PersonMailing|PersonOther)?(City|State|PostalCode|StateCode)"
)
_NOT_POINTED_TO = frozenset(
    {"Attachment", "Note", "FeedItem", "ContentDocumentLink", "ContentVersion", "Task", "Event"}
)
"""Objects that hang on others and that polymorphic references do not mean."""


@cache
def _table() -> Mapping[tuple[str, str], Standard]:
    text = files(__package__).joinpath("standard_fields.csv").read_text(encoding="utf-8")
    return {
        (row["object"], row["field"]): Standard(
            FieldType(row["type"]), row["pii"], tuple(row["references"].split())
        )
        for row in csv.DictReader(text.splitlines())
    }


def field_schema(object_name: str, name: str, exported: Collection[str]) -> FieldSchema:
    """The field `name` of an object, references limited to the objects that are in the export.

    A name that the table does not know is a reference when it ends in 'Id', else text; custom fields are text, because
    their names say nothing.
    """
    known = _table().get((object_name, name)) or _table().get(("*", name))
    label = label_of(name)
    if known is None:
        return _unknown(name, label, exported)
    references = _resolve(known.references, object_name, exported)
    return FieldSchema(name, known.type, label=label, references=references, pii=known.pii)


def _unknown(name: str, label: str, exported: Collection[str]) -> FieldSchema:
    if name.endswith("Id") and len(name) > 2:
        found = tuple(item for item in (name.removesuffix("Id"),) if item in exported)
        return FieldSchema(name, FieldType.REFERENCE, label=label, references=found)
    return FieldSchema(name, FieldType.STRING, label=label, pii="address" if _ADDRESS.fullmatch(name) else "")


def _resolve(names: tuple[str, ...], object_name: str, exported: Collection[str]) -> tuple[str, ...]:
    if names == ("@self",):
        return (object_name,)
    if names == ("@all",):
        return tuple(sorted(set(exported) - _NOT_POINTED_TO - {object_name}))
    return tuple(item for item in names if item in exported)


def label_of(name: str) -> str:
    """API name → words: 'AccountId' → 'Account ID', 'Loyalty_Level__c' → 'Loyalty Level'."""
    plain = re.sub(r"__p?c$", "", name).replace("_", " ")
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", plain).split()
    return " ".join("ID" if word == "Id" else word for word in words)
