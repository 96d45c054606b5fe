"""Describe calls: what an organisation says of its objects and fields."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.reading import Read
from connectors.sandbox.salesforce.metadata import Entity, Info
from connectors.sandbox.salesforce.org import Org
from connectors.sandbox.where import Compare, Operator, Path

_MASTER = "012000000000000AAA"
"""The record type of records that have none."""


def listed(org: Org, version: str) -> dict[str, Any]:
    """GET /sobjects."""
    return {
        "encoding": "UTF-8",
        "maxBatchSize": 200,
        "sobjects": [_summary(entity, version) for entity in org.entities.values()],
    }


def basic(entity: Entity, version: str) -> dict[str, Any]:
    """GET /sobjects/X."""
    return {"objectDescribe": _summary(entity, version), "recentItems": []}


def described(org: Org, entity: Entity, version: str) -> dict[str, Any]:
    """GET /sobjects/X/describe."""
    return {
        **_summary(entity, version),
        "fields": [_field(item, audit=org.switches.audit_fields) for item in entity.fields.values()],
        "recordTypeInfos": _record_types(org, entity),
        "childRelationships": [
            {"childSObject": other.name, "field": item.name, "relationshipName": None, "cascadeDelete": False}
            for other in org.entities.values()
            for item in other.fields.values()
            if entity.name in item.references
        ],
        "supportedScopes": [{"label": "All", "name": "everything"}],
    }


def _summary(entity: Entity, version: str) -> dict[str, Any]:
    base = f"/services/data/{version}/sobjects/{entity.name}"
    return {
        "name": entity.name, "label": entity.label, "labelPlural": f"{entity.label}s", "keyPrefix": entity.prefix,
        "custom": entity.custom, "customSetting": False, "activateable": False, "deprecatedAndHidden": False,
        "queryable": True, "retrieveable": True, "searchable": True, "layoutable": True, "replicateable": True,
        "createable": entity.writable, "updateable": entity.writable,
        "deletable": entity.writable and "nobin" not in entity.traits,
        "undeletable": entity.writable and "nobin" not in entity.traits,
        "mergeable": entity.name in {"Account", "Contact", "Lead"}, "triggerable": entity.writable,
        "urls": {"sobject": base, "describe": f"{base}/describe", "rowTemplate": base + "/{ID}"},
    }  # fmt: skip


def _field(item: Info, *, audit: bool) -> dict[str, Any]:
    text = item.type not in {"boolean", "int", "double", "currency", "percent", "date", "datetime", "time"}
    return {
        "name": item.name, "label": item.words, "type": item.type, "custom": item.custom,
        "length": item.length if text else 0, "byteLength": item.length * 3 if text else 0,
        "precision": item.precision, "scale": item.scale, "digits": 9 if item.type == "int" else 0,
        "nameField": "name" in item.traits, "compoundFieldName": item.compound or None,
        "nillable": not item.required and item.type != "boolean" and not item.traits & {"system", "audit"},
        "createable": item.createable or (audit and "audit" in item.traits), "updateable": item.updateable,
        "defaultedOnCreate": item.type == "boolean" or bool(item.traits & {"default", "audit", "system"}),
        "calculated": "calculated" in item.traits and item.custom, "autoNumber": "auto" in item.traits,
        "permissionable": not item.required, "filterable": item.type not in {"base64", "address"},
        "sortable": item.type not in {"base64", "address"}, "groupable": text,
        "externalId": "external" in item.traits, "idLookup": item.key, "unique": "unique" in item.traits,
        "caseSensitive": False, "referenceTo": list(_targets(item)), "relationshipName": item.relationship,
        "polymorphicForeignKey": len(_targets(item)) > 1, "controllerName": None, "dependentPicklist": False,
        "restrictedPicklist": "restricted" in item.traits, "deprecatedAndHidden": False, "htmlFormatted": False,
        "encrypted": False, "aggregatable": True,
        "picklistValues": [
            {"value": value, "label": value, "active": True, "defaultValue": False, "validFor": None}
            for value in item.values
        ],
    }  # fmt: skip


_ANYTHING = ("Account", "Campaign", "Case", "Contact", "Contract", "Lead", "Opportunity", "Product2", "User")
"""What a reference to anything names of itself."""


def _targets(item: Info) -> tuple[str, ...]:
    return _ANYTHING if item.references == ("*",) else item.references


def _record_types(org: Org, entity: Entity) -> list[dict[str, Any]]:
    if "types" not in entity.traits:
        return []
    fields = (Path("Id"), Path("Name"), Path("DeveloperName"), Path("IsActive"))
    own = Compare(Path("SobjectType"), Operator.EQUAL, entity.name)
    made = [
        {
            "recordTypeId": row[0], "name": row[1], "developerName": row[2], "active": bool(row[3]),
            "available": True, "master": False, "defaultRecordTypeMapping": False,
        }
        for row in org.store.select(Read("RecordType", fields, own))
    ]  # fmt: skip
    master = {
        "recordTypeId": _MASTER, "name": "Master", "developerName": "Master", "active": True,
        "available": True, "master": True, "defaultRecordTypeMapping": not made,
    }  # fmt: skip
    return [*made, master]
