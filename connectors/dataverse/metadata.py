"""Definitions of tables as the Web API tells them, read into `Table`s: a request for the list, a few for each table.

Source: "Query schema definitions with the Web API"; the properties of each `…AttributeMetadata`.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from connectors.dataverse.odata import name as checked_name
from connectors.dataverse.odata import text
from connectors.dataverse.service import Service, shaped
from connectors.dataverse.tables import Attribute, Table
from migrator.core.document import did_you_mean
from migrator.core.errors import FatalError
from migrator.core.schema import FieldSchema, FieldType

_LISTED = "LogicalName,EntitySetName,PrimaryIdAttribute,DisplayName,IsCustomEntity,IsIntersect,IsPrivate,ChangeTrackingEnabled"
_WITH_OPTIONS = {
    "picklist": "Picklist",
    "state": "State",
    "status": "Status",
    "multiselectpicklist": "MultiSelectPicklist",
}
_TYPES = {
    "string": FieldType.STRING,
    "entityname": FieldType.STRING,
    "memo": FieldType.TEXT,
    "integer": FieldType.INTEGER,
    "bigint": FieldType.INTEGER,
    "decimal": FieldType.DECIMAL,
    "money": FieldType.DECIMAL,
    "double": FieldType.FLOAT,
    "boolean": FieldType.BOOLEAN,
    "datetime": FieldType.DATETIME,
    "uniqueidentifier": FieldType.STRING,
    "picklist": FieldType.PICKLIST,
    "state": FieldType.PICKLIST,
    "status": FieldType.PICKLIST,
    "multiselectpicklist": FieldType.MULTI_PICKLIST,
    "lookup": FieldType.REFERENCE,
    "customer": FieldType.REFERENCE,
    "owner": FieldType.REFERENCE,
    "partylist": FieldType.JSON,
    "file": FieldType.FILE,
    "image": FieldType.TEXT,
}
"""Kinds we read; virtual columns, managed properties and calendar rules are not records' data."""
_BASE64_FILES = {("annotation", "documentbody"), ("activitymimeattachment", "body")}
_DIGITS, _SCALE = 28, 10
"""Dataverse keeps at most ten decimals."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A table in the list of all: what is needed to point to its records, and to choose."""

    name: str
    set_name: str
    key: str
    label: str
    custom: bool
    tracked: bool
    hidden: bool


@dataclass(slots=True)
class Metadata:
    """Definitions, each asked for once."""

    service: Service
    _listed: dict[str, Listed] = field(default_factory=dict)
    _tables: dict[str, Table] = field(default_factory=dict)

    def listed(self) -> Mapping[str, Listed]:
        """Every table of the environment by name."""
        if not self._listed:
            language = self.service.settings.language
            told, answer = self.service.one(f"EntityDefinitions?$select={_LISTED}")
            with shaped(answer, "definitions of tables"):
                found = [_listed(item, language) for item in told["value"]]
            self._listed = {item.name: item for item in sorted(found, key=lambda item: item.name)}
        return self._listed

    def wanted(self) -> list[str]:
        """Names of the tables that the settings let through."""
        return [
            item.name
            for item in self.listed().values()
            if not item.hidden and self.service.settings.wants(item.name, custom=item.custom)
        ]

    def table(self, table_name: str) -> Table:
        """One table in full; raises `FatalError` when there is none of that name."""
        if table_name not in self._tables:
            self._tables[table_name] = self._table(self._require(table_name))
        return self._tables[table_name]

    def _require(self, table_name: str) -> Listed:
        found = self.listed().get(table_name)
        if found is None or not found.set_name:
            hint = did_you_mean(table_name, self.listed(), noun="tables")
            raise FatalError(f"{self.service.label}: there is no table {table_name!r}", hint=hint)
        return found

    def _table(self, listed: Listed) -> Table:
        root = f"EntityDefinitions(LogicalName={text(checked_name(listed.name))})"
        told, answer = self.service.one(
            f"{root}?$select=LogicalName&$expand=Keys($select=KeyAttributes,EntityKeyIndexStatus),"
            "ManyToOneRelationships($select=ReferencingAttribute,ReferencedEntity,ReferencingEntityNavigationPropertyName)"
        )
        with shaped(answer, "keys and relationships of a table"):
            keys = frozenset(
                item["KeyAttributes"][0]
                for item in told["Keys"]
                if len(item["KeyAttributes"]) == 1 and item["EntityKeyIndexStatus"] == "Active"
            )
            targets = _targets(told["ManyToOneRelationships"])
        attributes = self._attributes(root, listed, targets)
        return Table(listed.name, listed.set_name, listed.key, attributes, listed.label, listed.tracked, keys)

    def _attributes(
        self, root: str, listed: Listed, targets: Mapping[str, Mapping[str, str]]
    ) -> dict[str, Attribute]:
        language = self.service.settings.language
        told, answer = self.service.one(f"{root}/Attributes")
        with shaped(answer, "attributes of a table"):
            raw = [item for item in told["value"] if _is_data(item)]
            kinds = {_kind(item) for item in raw}
            options = self._options(root, kinds, language)
            made = [_attribute(item, listed, targets, options, language) for item in raw]
        return {item.name: item for item in sorted(made, key=lambda item: item.name)}

    def _options(self, root: str, kinds: set[str], language: int) -> dict[str, dict[str, str]]:
        """Column → option value → label."""
        found: dict[str, dict[str, str]] = {}
        for kind in sorted(kinds & set(_WITH_OPTIONS)):
            cast = f"Microsoft.Dynamics.CRM.{_WITH_OPTIONS[kind]}AttributeMetadata"
            told, answer = self.service.one(
                f"{root}/Attributes/{cast}?$select=LogicalName&$expand=OptionSet,GlobalOptionSet"
            )
            with shaped(answer, "option sets"):
                for item in told["value"]:
                    options = (item.get("OptionSet") or item.get("GlobalOptionSet") or {"Options": []})[
                        "Options"
                    ]
                    found[item["LogicalName"]] = {
                        str(int(option["Value"])): _label(option["Label"], language) for option in options
                    }
        return found


def _listed(item: Mapping[str, Any], language: int) -> Listed:
    return Listed(
        name=checked_name(item["LogicalName"]),
        set_name=checked_name(item["EntitySetName"]) if item.get("EntitySetName") else "",
        key=checked_name(item["PrimaryIdAttribute"]) if item.get("PrimaryIdAttribute") else "",
        label=_label(item.get("DisplayName"), language),
        custom=item.get("IsCustomEntity") is True,
        tracked=item.get("ChangeTrackingEnabled") is True,
        hidden=item.get("IsPrivate") is True or not item.get("EntitySetName"),
    )


def _targets(relationships: Sequence[Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Look-up column → table it may point to → navigation property."""
    found: dict[str, dict[str, str]] = {}
    for item in relationships:
        column = found.setdefault(item["ReferencingAttribute"], {})
        column.setdefault(item["ReferencedEntity"], item["ReferencingEntityNavigationPropertyName"])
    return found


def _kind(item: Mapping[str, Any]) -> str:
    named = (item.get("AttributeTypeName") or {}).get("Value") or item.get("AttributeType") or ""
    return str(named).removesuffix("Type").lower()


def _is_data(item: Mapping[str, Any]) -> bool:
    """Not a shadow of another column, of a kind that we read, and known to OData (owneridtype, for one, is not)."""
    shown = item.get("IsValidForRead") is not False and item.get("IsValidODataAttribute") is not False
    return shown and not item.get("AttributeOf") and _kind(item) in _TYPES


def _attribute(
    item: Mapping[str, Any],
    listed: Listed,
    targets: Mapping[str, Mapping[str, str]],
    options: Mapping[str, Mapping[str, str]],
    language: int,
) -> Attribute:
    column, kind = item["LogicalName"], _kind(item)
    type_ = _type(item, listed, kind)
    points = dict(targets.get(column, {})) if type_ is FieldType.REFERENCE else {}
    if kind == "owner":
        points = {"systemuser": "ownerid", "team": "ownerid"}
    creates, updates = item.get("IsValidForCreate") is True, item.get("IsValidForUpdate") is True
    decimal = type_ is FieldType.DECIMAL
    schema = FieldSchema(
        checked_name(column),
        type_,
        _label(item.get("DisplayName"), language),
        required=column == listed.key
        or (item.get("RequiredLevel") or {}).get("Value") in {"ApplicationRequired", "SystemRequired"},
        unique=column == listed.key,
        length=item.get("MaxLength") if kind in {"string", "memo"} else None,
        precision=_DIGITS if decimal else None,
        scale=_SCALE if decimal else None,
        references=tuple(sorted(points)),
        values=tuple(options.get(column, {})),
        labels=options.get(column, {}),
        read_only=not (creates or updates),
        pii="image" if kind == "image" else _personal().get(column, ""),
    )
    return Attribute(schema, kind, creates, updates, points)


def _type(item: Mapping[str, Any], listed: Listed, kind: str) -> FieldType:
    column = item["LogicalName"]
    if column == listed.key:
        return FieldType.ID
    if (listed.name, column) in _BASE64_FILES:
        return FieldType.FILE
    if kind == "datetime" and (item.get("DateTimeBehavior") or {}).get("Value") == "DateOnly":
        return FieldType.DATE
    return _TYPES[kind]


def _label(label: Any, language: int) -> str:
    """A label in the language asked for, else in the user's own."""
    if not label:
        return ""
    for item in label.get("LocalizedLabels") or ():
        if language and item["LanguageCode"] == language:
            return str(item["Label"])
    return str((label.get("UserLocalizedLabel") or {}).get("Label") or "")


@cache
def _personal() -> dict[str, str]:
    """Column → kind of personal data, of well-known columns of Dynamics."""
    known = files("connectors.dynamics_export").joinpath("personal.csv").read_text(encoding="utf-8")
    return {row["field"]: row["kind"] for row in csv.DictReader(known.splitlines())}
