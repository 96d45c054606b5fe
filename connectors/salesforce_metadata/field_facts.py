"""A field of Salesforce: its type and limits, its values, and what its owners said of its sensitivity."""

from __future__ import annotations

from connectors.salesforce_metadata.sources import is_managed
from connectors.xml_nodes import Node
from migrator.core.components import Component, ComponentKind

_FACTS = {
    "type": "type", "length": "length", "precision": "precision", "scale": "scale", "required": "required",
    "unique": "unique", "externalId": "external_id", "caseSensitive": "case_sensitive", "trackHistory": "history",
    "formula": "formula", "summarizedField": "summary_of", "summaryOperation": "summary", "deleteConstraint": "on_delete",
    "defaultValue": "default", "description": "description", "inlineHelpText": "help",
}  # fmt: skip
_MARKS = {
    "securityClassification": "classification",
    "complianceGroup": "compliance",
    "businessStatus": "business status",
    "businessOwnerUser": "owner",
    "businessOwnerGroup": "owner group",
    "maskType": "masked",
}
_NOT_ENCRYPTED = ("", "None")


def read_field(node: Node, name: str, file: str, more: tuple[str, ...], fault: str) -> Component:
    """The component of a field; `name` is 'OBJECT.FIELD'."""
    facts = {short: node.value(tag) for tag, short in _FACTS.items() if node.value(tag)}
    targets = [item.text.strip() for item in node.all("referenceTo") if item.text.strip()]
    values = _values(node)
    if targets:
        facts["references"] = ", ".join(targets)
    if node.value("valueSet/valueSetName"):
        facts["value_set"] = node.value("valueSet/valueSetName")
    controlling = node.value("valueSet/controllingField") or node.value("picklist/controllingField")
    if controlling:
        facts["depends_on"] = controlling
    if node.value("valueSet/restricted"):
        facts["restricted"] = node.value("valueSet/restricted")
    defaults = [item.value("fullName") for item in values if item.value("default") == "true"]
    if defaults and "default" not in facts:
        facts["default"] = defaults[0]
    return Component(
        "CustomField", name, ComponentKind.FIELD, file, line=node.line, label=node.value("label"),
        owner=name.partition(".")[0], managed=is_managed(name), size={"values": len(values)} if values else {},
        facts=facts, marks=_marks(node), more_files=more, unread=fault,
    )  # fmt: skip


def _values(node: Node) -> list[Node]:
    definition = node.first("valueSet/valueSetDefinition")
    older = node.first("picklist")
    if definition is not None:
        return definition.all("value")
    return older.all("picklistValues") if older is not None else []


def _marks(node: Node) -> dict[str, str]:
    found = {short: node.value(tag) for tag, short in _MARKS.items() if node.value(tag)}
    scheme = node.value("encryptionScheme")
    if node.value("type") == "EncryptedText":
        found["encrypted"] = "EncryptedText"
    elif scheme not in _NOT_ENCRYPTED:
        found["encrypted"] = scheme
    return found
