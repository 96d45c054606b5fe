"""Flows and Process Builder: the files of all versions and the definition that says which is active are one component."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from connectors.metadata_tree import at
from connectors.salesforce_metadata.sources import Group, Source
from connectors.xml_nodes import Node
from migrator.core.components import Call, Component, ComponentState, Direction, Found

_NODES = frozenset(
    {
        "actionCalls", "apexPluginCalls", "assignments", "collectionProcessors", "customErrors", "decisions", "loops",
        "orchestratedStages", "recordCreates", "recordDeletes", "recordLookups", "recordRollbacks", "recordUpdates",
        "screens", "steps", "subflows", "transforms", "waits",
    }
)  # fmt: skip
_STATES = {
    "Active": ComponentState.ACTIVE,
    "Draft": ComponentState.DRAFT,
    "InvalidDraft": ComponentState.DRAFT,
    "Obsolete": ComponentState.SUPERSEDED,
}
_SAVED = {
    "Create": ("create",),
    "Update": ("update",),
    "CreateAndUpdate": ("create", "update"),
    "Delete": ("delete",),
    "onCreateOnly": ("create",),
    "onAllChanges": ("create", "update"),
}
_OUT = {
    "externalService": "external service",
    "apex": "",
    "sendNotification": "",
    "externalConnector": "connector",
}
BUILDERS = frozenset({"Workflow", "CustomEvent", "InvocableProcess"})
"""Process types of Process Builder."""
ENDED = "Salesforce ended support of workflow rules and Process Builder on 2025-12-31"
MANY_NODES, MANY_VERSIONS = 100, 7


def read_flow(group: Group) -> Found:
    """One component of all versions: what the active one holds, or the newest where none is active."""
    versions = sorted(
        (item for item in group.sources if item.root is not None and item.root.tag == "Flow"),
        key=lambda item: item.placed.version,
    )
    definition = next(
        (item.root for item in group.sources if item.root and item.root.tag == "FlowDefinition"), None
    )
    shown = _shown(versions, definition)
    if shown is None or shown.root is None:
        return Found(_without_body(group, definition))
    state = _state(versions, definition, shown)
    root = shown.root
    component = Component(
        "Flow", group.name, group.type.kind, shown.path,
        line=root.line, label=root.value("label"), owner=_object(root), state=state, managed=group.managed,
        size=_size(root, len(versions)), facts=_facts(root, definition, shown), fires=tuple(_fires(root)),
        calls=tuple(_calls(root, shown.path)), findings=tuple(_findings(root, state, len(versions))), unread=group.fault,
        more_files=tuple(item.path for item in group.sources if item is not shown),
        legacy=ENDED if root.value("processType") in BUILDERS else "",
    )  # fmt: skip
    return Found(component, at(shown.path, root.pieces()))


def _without_body(group: Group, definition: Node | None) -> Component:
    active = int(definition.value("activeVersionNumber") or 0) if definition is not None else 0
    return Component(
        "Flow", group.name, group.type.kind, group.file, more_files=group.more, managed=group.managed,
        state=ComponentState.ACTIVE if active else ComponentState.INACTIVE,
        label=definition.value("masterLabel") if definition is not None else "",
        unread=group.fault or "only its definition is in this export, not the flow itself",
    )  # fmt: skip


def _active_number(definition: Node | None) -> int | None:
    """The version that the definition calls active; 0 for none of them, None when no definition says."""
    if definition is None:
        return None
    text = definition.value("activeVersionNumber")
    return int(text) if text.isdigit() else 0


def _shown(versions: list[Source], definition: Node | None) -> Source | None:
    number = _active_number(definition)
    named = [item for item in versions if number and item.placed.version == number]
    active = [item for item in versions if item.root is not None and item.root.value("status") == "Active"]
    return next(iter([*named, *active[-1:], *versions[-1:]]), None)


def _state(versions: list[Source], definition: Node | None, shown: Source) -> ComponentState:
    number = _active_number(definition)
    if number is not None:
        if number == 0:
            return ComponentState.INACTIVE
        there = any(item.placed.version in (0, number) for item in versions)
        return ComponentState.ACTIVE if there else ComponentState.UNKNOWN
    status = shown.root.value("status") if shown.root is not None else ""
    return _STATES.get(status, ComponentState.UNKNOWN)


def _size(root: Node, versions: int) -> dict[str, int]:
    nodes = sum(1 for item in root.children if item.tag in _NODES)
    branches = sum(len(item.all("rules")) for item in root.all("decisions"))
    return {"nodes": nodes, "branches": branches, "versions": versions}


def _facts(root: Node, definition: Node | None, shown: Source) -> dict[str, str]:
    number = _active_number(definition)
    said = {
        "process_type": root.value("processType"),
        "trigger": root.value("start/triggerType"),
        "schedule": root.value("start/schedule/frequency"),
        "run_mode": root.value("runInMode"),
        "api_version": root.value("apiVersion"),
        "description": root.value("description"),
        "active_version": str(number) if number else "",
        "shown_version": str(shown.placed.version) if shown.placed.version else "",
    }
    return {name: text for name, text in said.items() if text}


def _metadata_values(root: Node) -> dict[str, str]:
    """What Process Builder keeps beside a flow: name → text."""
    return {item.value("name"): item.value("value/stringValue") for item in root.all("processMetadataValues")}


def _object(root: Node) -> str:
    return root.value("start/object") or _metadata_values(root).get("ObjectType", "")


def _fires(root: Node) -> Iterator[str]:
    held = _metadata_values(root)
    when = root.value("start/recordTriggerType") or held.get("TriggerType", "")
    name = _object(root)
    for event in _SAVED.get(when, ()):
        yield f"{name}/{event}"


def _calls(root: Node, file: str) -> Iterable[Call]:
    for item in root.all("actionCalls"):
        protocol = _OUT.get(item.value("actionType"), "")
        if protocol:
            yield Call(Direction.OUT, protocol, item.value("actionName"), f"{file}:{item.line}", "flow")
    if root.value("start/triggerType") == "PlatformEvent":
        yield Call(Direction.IN, "platform event", root.value("start/object"), f"{file}:{root.line}", "event")


def _findings(root: Node, state: ComponentState, versions: int) -> Iterator[str]:
    nodes = sum(1 for item in root.children if item.tag in _NODES)
    if state is not ComponentState.ACTIVE:
        yield "no active version"
    if versions > MANY_VERSIONS:
        yield f"{versions} versions"
    if nodes > MANY_NODES:
        yield f"{nodes} nodes"
    if root.value("runInMode") == "SystemModeWithoutSharing":
        yield "runs in system mode without sharing"
