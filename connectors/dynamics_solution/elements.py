"""What the elements of a solution are: the one table by which most of them are read, and how they are named and switched."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from connectors.xml_nodes import Node
from migrator.core.components import Call, Component, ComponentKind, ComponentState, Direction

_GUID = re.compile(r"\{?([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})\}?")


@dataclass(frozen=True, slots=True)
class Part:
    """What an element of that name is."""

    type: str
    kind: ComponentKind
    direction: Direction | None = None
    """Set where such a component is evidence of an integration."""
    protocol: str = ""


_K = ComponentKind
PARTS: Mapping[str, Part] = {
    "optionset": Part("OptionSet", _K.VALUE_SET),
    "Role": Part("Role", _K.PERMISSION),
    "FieldSecurityProfile": Part("FieldSecurityProfile", _K.PERMISSION),
    "Report": Part("Report", _K.REPORT),
    "Dashboard": Part("Dashboard", _K.REPORT),
    "visualization": Part("Chart", _K.REPORT),
    "savedquery": Part("View", _K.REPORT),
    "systemform": Part("Form", _K.LAYOUT),
    "AppModule": Part("AppModule", _K.LAYOUT),
    "AppModuleSiteMap": Part("SiteMap", _K.LAYOUT),
    "SiteMap": Part("SiteMap", _K.LAYOUT),
    "CanvasApp": Part("CanvasApp", _K.LAYOUT),
    "CustomControl": Part("CustomControl", _K.LAYOUT),
    "RibbonDiffXml": Part("Ribbon", _K.LAYOUT),
    "EmailTemplate": Part("EmailTemplate", _K.NOTIFICATION),
    "Template": Part("EmailTemplate", _K.NOTIFICATION),
    "MailMergeTemplate": Part("MailMergeTemplate", _K.NOTIFICATION),
    "KBArticleTemplate": Part("KBArticleTemplate", _K.NOTIFICATION),
    "ContractTemplate": Part("ContractTemplate", _K.NOTIFICATION),
    "ConnectionRole": Part("ConnectionRole", _K.OTHER),
    "EntityRelationship": Part("EntityRelationship", _K.OTHER),
    "RoutingRule": Part("RoutingRule", _K.ASSIGNMENT),
    "ConvertRule": Part("ConvertRule", _K.ASSIGNMENT),
    "SLA": Part("SLA", _K.AUTOMATION),
    "duplicaterule": Part("DuplicateRule", _K.VALIDATION),
    "DuplicateRule": Part("DuplicateRule", _K.VALIDATION),
    "EntityMap": Part("EntityMap", _K.AUTOMATION),
    "ServiceEndpoint": Part("ServiceEndpoint", _K.INTEGRATION_OUT, Direction.OUT, "service endpoint"),
    "connectionreference": Part("ConnectionReference", _K.INTEGRATION_OUT, Direction.BOTH, "connector"),
    "Connector": Part("Connector", _K.INTEGRATION_OUT, Direction.OUT, "connector"),
    "connector": Part("Connector", _K.INTEGRATION_OUT, Direction.OUT, "connector"),
    "environmentvariabledefinition": Part(
        "EnvironmentVariable", _K.OTHER, Direction.UNKNOWN, "environment variable"
    ),
    "customapi": Part("CustomApi", _K.INTEGRATION_IN, Direction.IN, "REST"),
    "attributemaskingrule": Part("MaskingRule", _K.PERMISSION),
    "maskingrule": Part("MaskingRule", _K.PERMISSION),
    "Language": Part("Language", _K.TRANSLATION),
}
"""Element → what it is. Entities, processes, steps, assemblies and web resources have modules of their own."""
_NAMES = (
    "uniquename", "schemaname", "connectionreferencelogicalname", "connectorinternalid", "logicalname", "fullname", "name",
)  # fmt: skip
_IDS = (
    "formid", "savedqueryid", "savedqueryvisualizationid", "workflowid", "id", "webresourceid", "pluginassemblyid",
    "sdkmessageprocessingstepid", "roleid", "reportid", "savedqueryvisualizationid", "canvasappid",
)  # fmt: skip


def guid(text: str) -> str:
    """A GUID in lower case without braces; '' when the text holds none."""
    found = _GUID.search(text)
    return found[1].lower() if found else ""


def guids(text: str) -> Iterator[str]:
    """All GUIDs of a text."""
    return (found[1].lower() for found in _GUID.finditer(text))


def said(node: Node, *names: str) -> str:
    """The first of attributes or children of these names (any case) that says anything."""
    for name in names:
        told = node.attribute(name) or next(
            (
                item.text.strip()
                for item in node.children
                if item.tag.casefold() == name and item.text.strip()
            ),
            "",
        )
        if told:
            return told
    return ""


def own_id(node: Node) -> str:
    """The component's GUID; '' when it has none."""
    return guid(said(node, *_IDS))


def label(node: Node) -> str:
    """What users call it: the first of its localised names."""
    for path in ("LocalizedNames/LocalizedName", "displaynames/displayname", "Titles/Title", "labels/label"):
        found = node.first(path)
        if found is not None and found.attribute("description"):
            return found.attribute("description")
    return said(node, "localizedname", "displayname", "title", "friendlyname")


def languages(node: Node) -> tuple[str, ...]:
    """Language codes (LCID) in which it is labelled."""
    named = (item for item in node.children if item.tag in ("LocalizedNames", "displaynames"))
    return tuple(dict.fromkeys(one.attribute("languagecode") for item in named for one in item.children))


def name_of(node: Node) -> str:
    """Its unique name, else what users call it, else its GUID, else its text, else its line."""
    own = "" if node.children else node.text.strip()[:100]
    return said(node, *_NAMES) or label(node) or own_id(node) or own or f"line {node.line}"


def state_of(node: Node) -> ComponentState:
    """By StateCode or the activation state of forms; without one it works while it exists."""
    activation = said(node, "formactivationstate")
    if activation:
        return ComponentState.ACTIVE if activation == "1" else ComponentState.INACTIVE
    return ComponentState.ACTIVE if said(node, "statecode") in ("", "0") else ComponentState.INACTIVE


def part_component(node: Node, part: Part, owner: str, file: str, *, managed: bool | None) -> Component:
    """A component by its row in `PARTS`."""
    name = name_of(node)
    own = part.type in ("Form", "View", "Chart", "Ribbon")
    if own:
        name = label(node) or name if part.type != "Ribbon" else "Ribbon"
    fields = {item.attribute("datafieldname") for item in node.walk() if item.attribute("datafieldname")}
    size = {"fields": len(fields), "values": sum(1 for item in node.walk() if item.tag == "option")}
    calls: tuple[Call, ...] = ()
    if part.direction is not None:
        told = said(node, "connectorid", "url", "path", "defaultvalue")
        # the value of a variable may be a secret: only an address is told
        endpoint = told if part.type != "EnvironmentVariable" or "://" in told else ""
        calls = (Call(part.direction, part.protocol, endpoint, f"{file}:{node.line}"),)
    return Component(
        part.type, f"{owner}.{name}" if own and owner else name, part.kind, file, line=node.line, label=label(node),
        owner=owner, state=state_of(node), managed=managed, size={key: count for key, count in size.items() if count},
        facts=_facts(node), languages=languages(node), calls=calls,
    )  # fmt: skip


def _facts(node: Node) -> dict[str, str]:
    shown = ("description", "introducedversion", "optionsettype", "isglobal", "type", "entityrelationshiptype",
             "referencingentityname", "referencedentityname", "referencingattributename", "cascadedelete")  # fmt: skip
    found = {name: said(node, name) for name in shown}
    found["id"] = own_id(node)
    return {name: text for name, text in found.items() if text}
