"""Apex, Visualforce, Lightning bundles and other code of Salesforce: size, when it runs, and who it talks to, by its text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from connectors.metadata_tree import at, lines_of
from connectors.salesforce_metadata.sources import Group
from migrator.core.components import Call, Component, ComponentKind, ComponentState, Direction, Found

_STATES = {
    "Active": ComponentState.ACTIVE,
    "Inactive": ComponentState.INACTIVE,
    "Deleted": ComponentState.SUPERSEDED,
}
_TRIGGER = re.compile(r"\btrigger\s+\w+\s+on\s+(\w+)\s*\(([^)]*)\)", re.IGNORECASE)
_EVENTS = {"insert": "create", "update": "update", "delete": "delete", "undelete": "undelete"}
_TEST = re.compile(r"@istest\b", re.IGNORECASE)
_CALLS = (
    (re.compile(r"@RestResource\s*\(\s*urlMapping\s*=\s*'([^']*)'", re.IGNORECASE), Direction.IN, "REST", "on request"),
    (re.compile(r"\bwebservice\s+static\s+\S+\s+(\w+)", re.IGNORECASE), Direction.IN, "SOAP", "on request"),
    (re.compile(r"implements\b.*?\b(Messaging\.InboundEmailHandler)", re.IGNORECASE), Direction.IN, "e-mail", "e-mail"),
    (re.compile(r"['\"](callout:[\w/.-]+)", re.IGNORECASE), Direction.OUT, "HTTP", "code"),
    (re.compile(r"\.setEndpoint\s*\(\s*'(https?://[^']+)'", re.IGNORECASE), Direction.OUT, "HTTP", "code"),
    (re.compile(r"\bnew\s+(HttpRequest)\b", re.IGNORECASE), Direction.OUT, "HTTP", "code"),
    (re.compile(r"\b(WebServiceCallout)\.invoke\b", re.IGNORECASE), Direction.OUT, "SOAP", "code"),
    (re.compile(r"\bEventBus\.(publish)\b", re.IGNORECASE), Direction.OUT, "platform event", "code"),
)  # fmt: skip
_BRANCH = re.compile(r"\b(?:if|for|while|case|when|catch)\b")
_ROLES = {
    "schedulable": re.compile(r"implements\b[^{]*\bSchedulable\b", re.IGNORECASE),
    "batch": re.compile(r"implements\b[^{]*\bDatabase\.Batchable\b", re.IGNORECASE),
    "invocable": re.compile(r"@InvocableMethod\b", re.IGNORECASE),
    "future": re.compile(r"@future\b", re.IGNORECASE),
    "aura": re.compile(r"@AuraEnabled\b", re.IGNORECASE),
}
_TEXTS = (
    ".js",
    ".ts",
    ".html",
    ".cmp",
    ".app",
    ".evt",
    ".design",
    ".auradoc",
    ".css",
    ".xml",
    ".json",
    ".svg",
    ".tokens",
    ".intf",
)


def read_code(group: Group) -> Found:
    """A class, trigger, page, component or template with its description beside it."""
    codes = [item for item in group.sources if item.root is None]
    lines = [piece for item in codes for piece in at(item.path, lines_of(item.raw))]
    text = "\n".join(line for _, _, line in lines)
    described = group.root
    status = described.value("status") if described is not None else ""
    kind = ComponentKind.SCHEDULED_JOB if _ROLES["schedulable"].search(text) else group.type.kind
    trigger = _TRIGGER.search(text)
    component = Component(
        group.type.name, group.name, kind, group.file, line=1 if codes else 0, more_files=group.more,
        label=(described.value("label") or described.value("name")) if described is not None else "",
        owner=trigger[1] if trigger else "", managed=group.managed,
        state=_STATES.get(status, ComponentState.ACTIVE if described is not None else ComponentState.UNKNOWN),
        size={"lines": len(lines), "branches": len(_BRANCH.findall(text))},
        facts=_facts(group, text), fires=_fires(trigger), calls=tuple(_calls(lines)),
        unread=group.fault or ("" if codes else "its code is not in this export"),
    )  # fmt: skip
    return Found(component, lines, whole=False)


def _facts(group: Group, text: str) -> dict[str, str]:
    described = group.root
    said = {name: "true" for name, pattern in _ROLES.items() if pattern.search(text)}
    if _TEST.search(text):
        said["test"] = "true"
    for name, tag in (
        ("api_version", "apiVersion"),
        ("description", "description"),
        ("available", "available"),
    ):
        value = described.value(tag) if described is not None else ""
        if value:
            said[name] = value
    return said


def _fires(trigger: re.Match[str] | None) -> tuple[str, ...]:
    if trigger is None:
        return ()
    events = (_EVENTS.get(words.split()[-1].lower()) for words in trigger[2].split(",") if words.split())
    return tuple(dict.fromkeys(f"{trigger[1]}/{event}" for event in events if event))


def _calls(lines: list[tuple[str, int, str]]) -> Iterator[Call]:
    for file, number, line in lines:
        if line.startswith("//"):
            continue
        for pattern, direction, protocol, trigger in _CALLS:
            for match in pattern.finditer(line):
                endpoint = "" if match[1] in ("HttpRequest", "WebServiceCallout", "publish") else match[1]
                credential = (
                    endpoint.removeprefix("callout:").partition("/")[0]
                    if endpoint.startswith("callout:")
                    else ""
                )
                yield Call(direction, protocol, endpoint, f"{file}:{number}", trigger, credential)


def read_bundle(group: Group) -> Found:
    """A folder of files that are one component; texts among them are looked at."""
    texts = [item for item in group.sources if item.path.endswith(_TEXTS)]
    lines = [piece for item in texts for piece in at(item.path, lines_of(item.raw))]
    opaque = [item.path for item in group.sources if item not in texts and b"\0" in item.raw[:4096]]
    described = next((item.root for item in group.sources if item.root is not None), None)
    component = Component(
        group.type.name, group.name, group.type.kind, group.file, line=1, more_files=group.more,
        label=described.value("masterLabel") if described is not None else "", managed=group.managed,
        size={"lines": len(lines), "files": len(group.sources)}, calls=tuple(_calls(lines)),
        unread=group.fault or (f"not text: {', '.join(opaque)}" if opaque else ""),
    )  # fmt: skip
    return Found(component, lines, whole=False)
