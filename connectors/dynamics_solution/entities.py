"""Entities of a solution with their attributes, forms, views and ribbons."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.dynamics_solution.elements import PARTS, label, languages, name_of, part_component, said
from connectors.metadata_tree import at
from connectors.xml_nodes import Node
from migrator.core.components import Component, ComponentKind, Found

_INSIDE = {"systemform": "FormXml", "savedquery": "SavedQueries", "visualization": "Visualizations"}
_OWN_PARTS = frozenset({*_INSIDE.values(), "RibbonDiffXml", "attributes"})
_FACTS = {
    "type": "type", "maxlength": "length", "length": "length", "precision": "precision", "accuracy": "scale",
    "requiredlevel": "required", "iscustomfield": "custom", "isauditenabled": "history", "sourcetype": "source",
    "format": "format", "optionsetname": "value_set", "appdefaultvalue": "default", "formuladefinitionfilename": "formula",
    "description": "description", "displaymask": "display",
}  # fmt: skip
_SOURCES = {"0": "simple", "1": "calculated", "2": "rollup"}


def entity_name(node: Node) -> str:
    """The logical name."""
    inner = node.first("EntityInfo/entity")
    told = (inner.attribute("Name") if inner is not None else "") or node.value("Name") or name_of(node)
    return told.casefold()


def read_entity(node: Node, file: str, *, managed: bool | None) -> Iterator[Found]:
    """The entity and everything that stands in its element."""
    name = entity_name(node)
    inner = node.first("EntityInfo/entity")
    attributes = inner.first("attributes") if inner is not None else None
    fields = attributes.children if attributes is not None else []
    title = node.first("Name")
    yield Found(
        Component(
            "Entity", name, ComponentKind.OBJECT, file, line=node.line, managed=managed,
            label=(title.attribute("LocalizedName") if title is not None else "") or (label(inner) if inner else ""),
            size={"fields": len(fields)} if fields else {}, languages=languages(inner) if inner is not None else (),
            facts={"ownership": inner.value("OwnershipTypeMask")} if inner and inner.value("OwnershipTypeMask") else {},
        ),
        at(file, node.pieces(_OWN_PARTS)),
    )  # fmt: skip
    for field in fields:
        yield read_attribute(field, name, file, managed=managed)
    yield from read_inner(node, name, file, managed=managed)


def read_inner(node: Node, owner: str, file: str, *, managed: bool | None) -> Iterator[Found]:
    """Forms, views and charts below a node, and a ribbon that is not empty."""
    for item in node.walk():
        part = PARTS.get(item.tag) if item.tag in _INSIDE or item.tag == "RibbonDiffXml" else None
        if part is None or (item.tag == "RibbonDiffXml" and not _changes(item)):
            continue
        yield Found(part_component(item, part, owner, file, managed=managed), at(file, item.pieces()))


def _changes(ribbon: Node) -> bool:
    """Whether a ribbon adds, hides or rules anything."""
    return any(
        item.tag in ("CustomAction", "HideCustomAction", "CommandDefinition") for item in ribbon.walk()
    )


def read_attribute(node: Node, owner: str, file: str, *, managed: bool | None) -> Found:
    """A field."""
    name = (
        said(node, "logicalname", "name") or node.attribute("PhysicalName")
    ).casefold() or f"line {node.line}"
    facts = {short: said(node, tag) for tag, short in _FACTS.items() if said(node, tag)}
    facts["source"] = _SOURCES.get(facts.get("source", "0"), facts.get("source", ""))
    targets = [
        item.text.strip().casefold() for item in node.walk() if item.tag == "LookupType" and item.text.strip()
    ]
    if targets:
        facts["references"] = ", ".join(targets)
    options = node.first("optionset/options")
    component = Component(
        "Attribute", f"{owner}.{name}", ComponentKind.FIELD, file, line=node.line, label=label(node), owner=owner,
        managed=managed if facts.get("custom") != "0" else None, facts=facts, languages=languages(node),
        marks={"secured": "field security"} if said(node, "issecured") == "1" else {},
        size={"values": len(options.children)} if options is not None else {},
    )  # fmt: skip
    return Found(component, at(file, node.pieces()))


def read_schema(root: Node, file: str) -> Iterator[Found]:
    """Entities and fields of data_schema.xml, which the Configuration Migration tool writes beside its data."""
    for entity in root.all("entity"):
        owner = entity.attribute("name").casefold() or f"line {entity.line}"
        fields = entity.first("fields")
        listed = fields.all("field") if fields is not None else []
        yield Found(
            Component(
                "Entity", owner, ComponentKind.OBJECT, file, line=entity.line, label=entity.attribute("displayname"),
                managed=None, size={"fields": len(listed)},
                facts={"plug-ins while imported": "off"} if entity.attribute("disableplugins") == "true" else {},
            )
        )  # fmt: skip
        for field in listed:
            facts = {"type": field.attribute("type"), "references": field.attribute("lookupType")}
            if field.attribute("customfield"):
                facts["custom"] = "1" if field.attribute("customfield").casefold() == "true" else "0"
            yield Found(
                Component(
                    "Attribute", f"{owner}.{field.attribute('name').casefold()}", ComponentKind.FIELD, file,
                    line=field.line, label=field.attribute("displayname"), owner=owner, managed=None,
                    facts={name: text for name, text in facts.items() if text},
                )
            )  # fmt: skip
