"""What Salesforce declares in XML: objects with their children, containers of rules, and files of one component each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain

from connectors.metadata_tree import at
from connectors.salesforce_metadata.endpoints import calls_of
from connectors.salesforce_metadata.field_facts import read_field
from connectors.salesforce_metadata.flows import ENDED
from connectors.salesforce_metadata.places import MANIFEST, types
from connectors.salesforce_metadata.sources import Group, is_managed
from connectors.xml_nodes import Node
from migrator.core.components import Call, Component, ComponentKind, ComponentState, Direction, Found

_CHILDREN = {
    "fields": "CustomField", "validationRules": "ValidationRule", "recordTypes": "RecordType", "listViews": "ListView",
    "fieldSets": "FieldSet", "webLinks": "WebLink", "compactLayouts": "CompactLayout", "businessProcesses": "BusinessProcess",
    "sharingReasons": "SharingReason", "indexes": "Index",
}  # fmt: skip
"""Element of an object file of the older form → the type of the component in it."""
_KINDS = {item.name: item.kind for item in types()}


@dataclass(frozen=True, slots=True)
class Part:
    """What an element of a container is."""

    type: str
    kind: ComponentKind
    legacy: str = ""


_PARTS: Mapping[str, Mapping[str, Part]] = {
    "Workflow": {
        "rules": Part("WorkflowRule", ComponentKind.AUTOMATION, ENDED),
        "alerts": Part("WorkflowAlert", ComponentKind.NOTIFICATION),
        "fieldUpdates": Part("WorkflowFieldUpdate", ComponentKind.AUTOMATION),
        "outboundMessages": Part("WorkflowOutboundMessage", ComponentKind.OUTBOUND_MESSAGE),
        "tasks": Part("WorkflowTask", ComponentKind.AUTOMATION),
        "flowActions": Part("WorkflowFlowAction", ComponentKind.AUTOMATION),
        "knowledgePublishes": Part("WorkflowKnowledgePublish", ComponentKind.AUTOMATION),
        "send": Part("WorkflowSend", ComponentKind.NOTIFICATION),
    },
    "AssignmentRules": {"assignmentRule": Part("AssignmentRule", ComponentKind.ASSIGNMENT)},
    "EscalationRules": {"escalationRule": Part("EscalationRule", ComponentKind.ASSIGNMENT)},
    "AutoResponseRules": {"autoResponseRule": Part("AutoResponseRule", ComponentKind.ASSIGNMENT)},
    "SharingRules": {
        "sharingCriteriaRules": Part("SharingCriteriaRule", ComponentKind.SHARING),
        "sharingOwnerRules": Part("SharingOwnerRule", ComponentKind.SHARING),
        "sharingGuestRules": Part("SharingGuestRule", ComponentKind.SHARING),
        "sharingTerritoryRules": Part("SharingTerritoryRule", ComponentKind.SHARING),
    },
    "MatchingRules": {"matchingRules": Part("MatchingRule", ComponentKind.VALIDATION)},
    "CustomLabels": {"labels": Part("CustomLabel", ComponentKind.TRANSLATION)},
}
_ON_OFF = ("active", "isActive", "enabled", "status", "ruleStatus")
_STATES = {
    "true": ComponentState.ACTIVE, "active": ComponentState.ACTIVE, "false": ComponentState.INACTIVE,
    "inactive": ComponentState.INACTIVE, "draft": ComponentState.DRAFT, "deactivating": ComponentState.INACTIVE,
    "activating": ComponentState.ACTIVE, "obsolete": ComponentState.SUPERSEDED,
}  # fmt: skip
_RULE_EVENTS = {
    "onCreateOnly": ("create",),
    "onCreateOrTriggeringUpdate": ("create", "update"),
    "onAllChanges": ("create", "update"),
    "OnRecursiveUpdate": ("update",),
}
_SHOWN = (
    "description", "triggerType", "errorMessage", "deploymentStatus", "sharingModel", "externalSharingModel", "sobjectType",
    "object", "type", "targetObject", "operation", "reportType", "lastUsedDate", "versionNumber", "isSslRequired",
)  # fmt: skip
_BY_OBJECT = frozenset({"ApprovalProcess", "QuickAction", "DuplicateRule"})
"""Types whose full names begin with an object."""
_FIELD_TAGS = frozenset({"field", "fieldItem"})


def read_object(group: Group) -> Iterator[Found]:
    """The object, and in the older form everything that its one file holds."""
    root = group.root
    if root is None:
        return
    yield Found(_object(group, root), at(group.file, root.pieces(frozenset(_CHILDREN))))
    for node in root.children:
        kind = _CHILDREN.get(node.tag)
        name = node.value("fullName")
        if kind is not None and name:
            yield _child(group, node, kind, f"{group.name}.{name}")


def _object(group: Group, root: Node) -> Component:
    developing = root.value("deploymentStatus") == "InDevelopment"
    counts = {
        tag: len(root.all(tag)) for tag in ("fields", "recordTypes", "validationRules") if root.all(tag)
    }
    facts = _facts(root) | {
        name: root.value(name) for name in ("customSettingsType", "visibility") if root.value(name)
    }
    return Component(
        "CustomObject", group.name, ComponentKind.OBJECT, group.file, line=root.line, label=root.value("label"),
        state=ComponentState.DRAFT if developing else ComponentState.ACTIVE, managed=group.managed, size=counts,
        facts=facts, more_files=group.more, unread=group.fault,
    )  # fmt: skip


def _child(group: Group, node: Node, kind: str, name: str) -> Found:
    owner = name.partition(".")[0]
    if kind == "CustomField":
        return Found(
            read_field(node, name, group.file, group.more, group.fault), at(group.file, node.pieces())
        )
    component = Component(
        kind, name, _KINDS[kind], group.file, line=node.line, label=node.value("label"), owner=owner,
        state=_state(node), managed=is_managed(name), size=_size(node), facts=_facts(node), more_files=group.more,
        unread=group.fault,
    )  # fmt: skip
    return Found(component, at(group.file, node.pieces()))


def read_container(group: Group) -> Iterator[Found]:
    """The rules that one file holds; a file that holds none stands for itself, so that it is counted."""
    root = group.root
    parts = _PARTS[group.type.name]
    nodes = (
        [(item, parts[item.tag]) for item in root.children if item.tag in parts] if root is not None else []
    )
    for node, part in nodes:
        yield Found(_part(group, node, part, group.name), at(group.file, node.pieces()))
    rest = frozenset(parts)
    if root is not None and (
        not nodes or any(item.tag not in rest and item.children for item in root.children)
    ):
        component = Component(
            group.type.name, group.name, group.type.kind, group.file, line=root.line, owner=group.name,
            state=ComponentState.INACTIVE if not nodes else ComponentState.ACTIVE, managed=group.managed,
            facts={"holds": "nothing"} if not nodes else {}, more_files=group.more, unread=group.fault,
        )  # fmt: skip
        yield Found(component, at(group.file, root.pieces(rest)))


def read_part(group: Group) -> Found:
    """A rule that stands in a file of its own, as projects that decompose their containers have it."""
    root = group.root
    if root is None:
        return Found(
            Component(group.type.name, group.name, group.type.kind, group.file, more_files=group.more)
        )
    known = (part for parts in _PARTS.values() for part in parts.values())
    part = next(item for item in known if item.type == group.type.name)
    found = _part(group, root, part, group.name.partition(".")[0])
    return Found(replace(found, name=group.name), at(group.file, root.pieces()))


def _part(group: Group, node: Node, part: Part, owner: str) -> Component:
    labels = part.type == "CustomLabel"
    short = node.value("fullName") or node.value("name") or f"line {node.line}"
    name = short if labels else f"{owner}.{short}"
    rule = part.type == "WorkflowRule"
    return Component(
        part.type, name, part.kind, group.file, line=node.line, owner="" if labels else owner,
        label=node.value("name") or node.value("label") or node.value("shortDescription"), state=_state(node),
        managed=is_managed(name), size=_size(node), facts=_facts(node), legacy=part.legacy, more_files=group.more,
        fires=tuple(f"{owner}/{event}" for event in _RULE_EVENTS.get(node.value("triggerType"), ())) if rule else (),
        calls=_sends(node, group.file) if part.kind is ComponentKind.OUTBOUND_MESSAGE else (),
        findings=tuple(_rule_findings(node)) if rule else (), unread=group.fault,
        languages=(node.value("language"),) if labels and node.value("language") else (),
    )  # fmt: skip


def _sends(node: Node, file: str) -> tuple[Call, ...]:
    return (
        Call(
            Direction.OUT, "outbound message", node.value("endpointUrl"), f"{file}:{node.line}", "record saved",
            node.value("integrationUser"),
        ),
    )  # fmt: skip


def _rule_findings(node: Node) -> Iterator[str]:
    times = node.all("workflowTimeTriggers")
    if not node.all("actions") and not any(item.all("actions") for item in times):
        yield "does nothing: no action"
    if any(not item.all("actions") for item in times):
        yield "a time trigger without an action"


def read_plain(group: Group) -> Found:
    """A file that is one component."""
    root = group.root
    first = group.sources[0]
    if root is None or MANIFEST.search(first.path):
        # a manifest lists everything there is: that refers to nothing
        return Found(
            Component(group.type.name, group.name, group.type.kind, group.file, more_files=group.more)
        )
    if group.type.name == "CustomField":
        component = read_field(root, group.name, group.file, group.more, group.fault)
    else:
        component = _plain(group, root)
    return Found(
        component, chain(*(at(item.path, item.root.pieces()) for item in group.sources if item.root))
    )


def _plain(group: Group, root: Node) -> Component:
    translation = group.type.kind is ComponentKind.TRANSLATION
    owner = _owner(group, root)
    found = Component(
        group.type.name, group.name, group.type.kind, group.file, line=root.line,
        label=next((root.value(tag) for tag in ("masterLabel", "label", "name", "title") if root.value(tag)), ""),
        owner=owner, state=_state(root), managed=group.managed, size=_size(root), facts=_facts(root),
        more_files=group.more, unread=group.fault, modified=root.value("lastModifiedDate")[:10],
        languages=(_language(group),) if translation else (),
    )  # fmt: skip
    if group.type.shape == "endpoint":
        found = replace(found, calls=calls_of(group.type.name, root, group.file))
    return found


def _owner(group: Group, root: Node) -> str:
    """The object that a component is about, where its name or its file says so."""
    name = group.name
    match group.type.name:
        case "Layout":
            return name.partition("-")[0]
        case "CustomObjectTranslation" | "CustomFieldTranslation":
            return name.partition(".")[0].rpartition("-")[0]
        case "FlexiPage" | "PathAssistant":
            return root.value("sobjectType") or root.value("entityName")
        case kind if kind in _BY_OBJECT or group.type.shape == "child":
            return name.partition(".")[0] if "." in name else ""
        case _:
            return ""


def _language(group: Group) -> str:
    if group.type.name in ("CustomObjectTranslation", "CustomFieldTranslation"):
        return group.name.partition(".")[0].rpartition("-")[2]
    return group.name.rpartition("-")[2]


def _state(node: Node) -> ComponentState:
    """What the first of the usual switches says; without one it works while it exists."""
    for tag in _ON_OFF:
        text = node.value(tag).casefold()
        if text:
            return _STATES.get(text, ComponentState.UNKNOWN)
    return ComponentState.ACTIVE


def _facts(node: Node) -> dict[str, str]:
    return {tag: node.value(tag) for tag in _SHOWN if node.value(tag)}


def _size(node: Node) -> dict[str, int]:
    fields = {item.text.strip() for item in node.walk() if item.tag in _FIELD_TAGS and item.text.strip()}
    counts = {
        "fields": len(fields),
        "values": len(node.all("customValue")) + len(node.all("standardValue")),
        "actions": len(node.all("actions")),
        "entries": len(node.all("ruleEntry")),
        "steps": len(node.all("approvalStep")),
    }
    return {name: count for name, count in counts.items() if count}
