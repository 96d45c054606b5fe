"""The demo's exports read a second time, by csv and ElementTree alone, and what must become of every record in them."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import yaml

from migrator.testing.synthetic import Truth

Row = Mapping[str, str]
RULES = {
    "date": "cast.date", "amount": "cast.decimal", "unmapped": "value.unmapped", "missing": "required.missing",
    "too_long": "length.exceeded", "orphan": "lookup.missing",
}  # fmt: skip
SOURCES: Mapping[str, Mapping[str, str]] = {
    "app_user": {"salesforce": "User", "dynamics": "systemuser"},
    "account": {"salesforce": "Account", "dynamics": "account"},
    "contact": {"salesforce": "Contact", "dynamics": "contact"},
    "opportunity": {"salesforce": "Opportunity", "dynamics": "opportunity"},
    "sales_order": {"salesforce": "Order__c"},
    "activity": {"salesforce": "Task", "dynamics": "phonecall"},
    "attachment": {"salesforce": "Attachment"},
    "marketing_list": {"dynamics": "list"},
    "list_member": {"dynamics": "listmember"},
}


@dataclass(frozen=True, slots=True)
class LinkRule:
    """A link of a mapping: which source column leads where, and what happens when it leads nowhere."""

    columns: Mapping[str, str]
    to: tuple[str, ...]
    required: bool = False
    deferred: bool = False
    """Set in a second pass: it never makes a record wait. In the demo these are also `missing: null`."""


def _both(salesforce: str, dynamics: str) -> Mapping[str, str]:
    return {"salesforce": salesforce, "dynamics": dynamics}


LINKS: Mapping[str, Mapping[str, LinkRule]] = {
    "account": {
        "parent": LinkRule(_both("ParentId", "parentaccountid"), ("account",), deferred=True),
        "owner": LinkRule(_both("OwnerId", "ownerid"), ("app_user",)),
    },
    "contact": {
        "account": LinkRule(_both("AccountId", "parentcustomerid account"), ("account",)),
        "reports_to": LinkRule(_both("ReportsToId", "parentcustomerid contact"), ("contact",), deferred=True),
        "owner": LinkRule(_both("OwnerId", "ownerid"), ("app_user",)),
    },
    "opportunity": {
        "account": LinkRule(_both("AccountId", "customerid"), ("account",), required=True),
        "owner": LinkRule(_both("OwnerId", "ownerid"), ("app_user",)),
    },
    "sales_order": {
        "account": LinkRule({"salesforce": "Account__c"}, ("account",)),
        "owner": LinkRule({"salesforce": "OwnerId"}, ("app_user",)),
    },
    "activity": {
        "who": LinkRule({"salesforce": "WhoId"}, ("contact",)),
        "about": LinkRule(
            _both("WhatId", "regardingobjectid"), ("account", "contact", "opportunity", "sales_order")
        ),
        "owner": LinkRule(_both("OwnerId", "ownerid"), ("app_user",)),
    },
    "attachment": {
        "belongs_to": LinkRule({"salesforce": "ParentId"}, ("account", "contact", "opportunity")),
        "owner": LinkRule({"salesforce": "OwnerId"}, ("app_user",)),
    },
    "list_member": {
        "list": LinkRule({"dynamics": "listid"}, ("marketing_list",), required=True),
        "contact": LinkRule({"dynamics": "contactid"}, ("contact",), required=True),
    },
}


def read_salesforce(folder: Path) -> dict[str, dict[str, Row]]:
    """Object → id → row; of copies in several zips the newest counts."""
    found: dict[str, dict[str, Row]] = {}
    for path in sorted(folder.glob("*.ZIP")):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".csv"):
                    text = io.TextIOWrapper(archive.open(name), encoding="utf-8", newline="")
                    rows = found.setdefault(name.removesuffix(".csv"), {})
                    for row in csv.DictReader(text):
                        rows[row["Id"]] = row
    return found


def read_dynamics(path: Path) -> dict[str, dict[str, Row]]:
    """Table → id → fields, a link's table also as 'FIELD TABLE'; many-to-many pairs as a table of their own."""
    with zipfile.ZipFile(path) as archive:
        root = ElementTree.fromstring(archive.read("data.xml"))  # noqa: S314 - we wrote it
    found: dict[str, dict[str, Row]] = {}
    for entity in root.iterfind("entity"):
        found[entity.attrib["name"]] = {
            record.attrib["id"]: dict(_fields(record)) for record in entity.iterfind("records/record")
        }
        for pairs in entity.iterfind("m2mrelationships/m2mrelationship"):
            one = pairs.attrib["sourceid"]
            for other in pairs.iterfind("targetids/targetid"):
                found.setdefault("listmember", {})[f"{one}:{other.text}"] = {
                    "listid": one, "contactid": other.text or ""
                }  # fmt: skip
    return found


def _fields(record: ElementTree.Element) -> Iterator[tuple[str, str]]:
    for item in record.iterfind("field"):
        name, value = item.attrib["name"], item.attrib["value"]
        yield name, value
        if "lookupentity" in item.attrib:
            yield f"{name} {item.attrib['lookupentity']}", value


@dataclass(slots=True)
class Expected:
    """What must become of every record, given which records the tool took for duplicates of which."""

    truth: Truth
    survivor: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Mapping → id of a duplicate → id of what it was merged into."""
    rows: dict[str, dict[str, Row]] = field(init=False)
    """Mapping → 'SOURCE:KEY' → raw fields."""
    bad: dict[str, dict[str, set[tuple[str, str]]]] = field(init=False)
    """Mapping → id → (field, rule) that quarantine must tell."""
    _known: dict[tuple[str, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        folder = self.truth.folder
        raw = {
            "salesforce": read_salesforce(folder / "salesforce"),
            "dynamics": read_dynamics(folder / "dynamics" / "export.zip"),
        }
        self.rows = {
            mapping: {
                f"{system}:{key}": row
                for system, name in sources.items()
                for key, row in raw[system].get(name, {}).items()
            }
            for mapping, sources in SOURCES.items()
        }
        self.bad = {mapping: self._bad(mapping) for mapping in SOURCES}

    def excluded(self, mapping: str, record: str) -> bool:
        """Deleted in Salesforce, or inactive in Dynamics."""
        row = self.rows[mapping][record]
        return row.get("IsDeleted") == "1" or (
            mapping in {"account", "contact"} and row.get("statecode") == "1"
        )

    def _bad(self, mapping: str) -> dict[str, set[tuple[str, str]]]:
        found: dict[str, set[tuple[str, str]]] = {}
        target = target_fields(mapping)
        for system, name in SOURCES[mapping].items():
            if f"{system}/{name}" not in self.truth.objects:
                continue
            for cell in self.truth.of(system, name).bad:
                record = f"{system}:{cell.key}"
                links = LINKS.get(mapping, {})
                for one in target[system, cell.field]:
                    kept = one in links and links[one].deferred
                    if not kept and not self.excluded(mapping, record):
                        found.setdefault(record, set()).add((one, RULES[cell.kind]))
        for name, rule in LINKS.get(mapping, {}).items():
            for record in self.rows[mapping] if rule.required else ():
                other = self.linked(mapping, record, name)
                if other and not self.excluded(mapping, record) and self.excluded(*other):
                    found.setdefault(record, set()).add((name, "lookup.excluded"))
        return found

    def linked(self, mapping: str, record: str, name: str) -> tuple[str, str] | None:
        """Where a link leads in the raw data: mapping and id; None when empty or a stranger's."""
        rule = LINKS[mapping][name]
        system = record.partition(":")[0]
        key = self.rows[mapping][record].get(rule.columns.get(system, ""), "")
        return next(((to, f"{system}:{key}") for to in rule.to if f"{system}:{key}" in self.rows[to]), None)

    def link(self, mapping: str, record: str, name: str) -> tuple[str, str] | None:
        """Where a link leads in the new system: to survivors only, and to nothing that was left behind."""
        other = self.linked(mapping, record, name)
        if other is None or self.excluded(*other):
            return None
        to, found = other
        return to, self.survivor.get(to, {}).get(found, found)

    def members(self, mapping: str, record: str) -> list[str]:
        """The record and its duplicates, the newest first."""
        same = [one for one, into in self.survivor.get(mapping, {}).items() if into == record] or [record]
        return sorted(same, key=lambda one: (self.modified(mapping, one), one == record), reverse=True)

    def modified(self, mapping: str, record: str) -> str:
        """When a record was last changed, comparable across both systems' dialects; '' when not told."""
        row = self.rows[mapping][record]
        text = row.get("LastModifiedDate") or row.get("modifiedon") or ""
        return text.replace(" ", "T")[:19]

    def final_link(self, mapping: str, record: str, name: str) -> tuple[str, str] | None:
        """The link of the record that survives: the newest that a member of its cluster has."""
        links = (self.link(mapping, one, name) for one in self.members(mapping, record))
        return next((one for one in links if one), None)

    def fate(self, mapping: str, record: str) -> str:
        """One of loaded, merged, excluded, quarantined, pending."""
        if (mapping, record) not in self._known:
            self._known[mapping, record] = self._fate(mapping, record)
        return self._known[mapping, record]

    def _fate(self, mapping: str, record: str) -> str:
        if self.excluded(mapping, record):
            return "excluded"
        if record in self.bad[mapping]:
            return "quarantined"
        survivor = self.survivor.get(mapping, {}).get(record, record)
        if survivor != record:
            fate = self.fate(mapping, survivor)
            return "merged" if fate == "loaded" else fate
        for name, rule in LINKS.get(mapping, {}).items():
            other = None if rule.deferred else self.final_link(mapping, record, name)
            if other and self.fate(*other) in {"quarantined", "pending"}:
                return "pending"
        return "loaded"


def target_fields(mapping: str) -> Mapping[tuple[str, str], list[str]]:
    """(system, source column) → target fields it goes into, read from the shipped mapping as plain YAML."""
    from migrator.commands.shipped import shipped

    raw = yaml.safe_load((shipped("demo") / "mappings" / f"{mapping}.yaml").read_text(encoding="utf-8"))
    sources = raw.get("sources") or {raw["source"]["system"]: {"fields": raw["fields"]}}
    found: dict[tuple[str, str], list[str]] = {}
    for system, source in sources.items():
        for name, rule in source["fields"].items():
            for column in re.findall(r"\w+", str(rule.get("from") or rule.get("expr") or "")):
                found.setdefault((system, column), []).append(name)
    return found
