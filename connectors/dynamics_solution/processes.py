"""What runs by itself in Dynamics: workflows, business rules, cloud flows, plug-in steps, assemblies and web resources."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from connectors.dynamics_solution.elements import guid, label, languages, name_of, own_id, said
from connectors.metadata_tree import at, lines_of
from connectors.xml_nodes import Node
from migrator.core.components import Call, Component, ComponentKind, ComponentState, Direction, Found

_K = ComponentKind
_CATEGORIES: dict[str, tuple[str, ComponentKind]] = {
    "0": ("Workflow", _K.AUTOMATION),
    "1": ("Dialog", _K.AUTOMATION),
    "2": ("BusinessRule", _K.AUTOMATION),
    "3": ("Action", _K.AUTOMATION),
    "4": ("BusinessProcessFlow", _K.AUTOMATION),
    "5": ("CloudFlow", _K.AUTOMATION),
    "6": ("DesktopFlow", _K.AUTOMATION),
}
_FLOWS = ("CloudFlow", "DesktopFlow")
_STATES = {"0": ComponentState.DRAFT, "1": ComponentState.ACTIVE, "2": ComponentState.INACTIVE}
_MESSAGES = {
    "9ebdbb1b-ea3e-db11-86a7-000a3a5473e8": "create",
    "20bebb1b-ea3e-db11-86a7-000a3a5473e8": "update",
    "a1bdbb1b-ea3e-db11-86a7-000a3a5473e8": "delete",
}
_MESSAGE = re.compile(r"\b(Create|Update|Delete) of (\w+)", re.IGNORECASE)
_SCRIPTS = {
    "1": "HTML",
    "2": "CSS",
    "3": "script",
    "4": "data",
    "9": "style sheet",
    "11": "vector",
    "12": "strings",
}
_CALLS = (
    (re.compile(r"\bfetch\s*\(|\bXMLHttpRequest\b|\$\.ajax\b|\baxios\b"), "HTTP"),
    (re.compile(r"\bHttpClient\b|\bWebRequest\b"), "HTTP"),
)
Body = tuple[str, bytes]
"""Path and bytes of the file that a definition names."""


def read_workflow(node: Node, file: str, body: Body | None, *, managed: bool | None) -> Found:
    """A process of any category, with its XAML or JSON."""
    category = said(node, "category")
    kind_name, kind = _CATEGORIES.get(category, (f"Process{category}", _K.OTHER))
    entity = said(node, "primaryentity").casefold()
    owner = "" if entity == "none" else entity
    calls: tuple[Call, ...] = ()
    unread = ""
    size: dict[str, int] = {}
    if body is not None and kind_name in _FLOWS:
        calls, size, unread = _flow(body, kind_name)
    elif body is not None:
        size = {"nodes": len(re.findall(rb"<mxswa:ActivityReference\b|<mcwo:|<mcwb:", body[1]))}
    component = Component(
        kind_name, said(node, "name") or name_of(node), kind, file, line=node.line, label=label(node), owner=owner,
        state=_STATES.get(said(node, "statecode"), ComponentState.UNKNOWN), managed=managed,
        size={name: count for name, count in size.items() if count}, facts=_process_facts(node, category),
        fires=tuple(_fires(node, owner)), calls=calls, languages=languages(node),
        more_files=(body[0],) if body is not None and body[0] != file else (),
        unread=unread or ("" if body is not None or not _names_body(node) else "the file with its steps is not in this export"),
        findings=("dialogs are deprecated",) if kind_name == "Dialog" else (),
        legacy="Microsoft deprecated dialogs" if kind_name == "Dialog" else "",
    )  # fmt: skip
    text = at(body[0], lines_of(body[1])) if body is not None else iter(())
    return Found(component, _chained(at(file, node.pieces()), text), whole=body is None)


def _names_body(node: Node) -> bool:
    return bool(said(node, "jsonfilename", "xamlfilename"))


def _chained(*parts: Iterable[tuple[str, int, str]]) -> Iterator[tuple[str, int, str]]:
    for part in parts:
        yield from part


def _process_facts(node: Node, category: str) -> dict[str, str]:
    shown = (
        "mode",
        "scope",
        "ondemand",
        "subprocess",
        "runas",
        "uiflowtype",
        "introducedversion",
        "description",
    )
    found = {name: said(node, name) for name in shown} | {"category": category, "id": own_id(node)}
    return {name: text for name, text in found.items() if text}


def _fires(node: Node, owner: str) -> Iterator[str]:
    if not owner:
        return
    if said(node, "triggeroncreate") == "1":
        yield f"{owner}/create"
    if said(node, "triggeronupdateattributelist"):
        yield f"{owner}/update"
    if said(node, "triggerondelete") == "1":
        yield f"{owner}/delete"


def _flow(body: Body, kind: str) -> tuple[tuple[Call, ...], dict[str, int], str]:
    """Connectors, size and faults of a cloud flow's JSON."""
    try:
        content = json.loads(body[1].decode("utf-8-sig"))
        properties = content.get("properties", {}) if isinstance(content, dict) else {}
        definition = properties.get("definition", {})
        triggers, actions = definition.get("triggers", {}), definition.get("actions", {})
        references = properties.get("connectionReferences", {})
        found = [*_connections(references, body[0]), *_requests(triggers, actions, body[0])]
        return tuple(found), {"nodes": _count(actions) + len(triggers)}, ""
    except (ValueError, RecursionError, AttributeError, TypeError) as error:
        return (), {}, f"{body[0]}: the definition of this {kind} cannot be read: {error}"


def _connections(references: dict[str, object], file: str) -> Iterator[Call]:
    for name, raw in references.items():
        api = raw.get("api") if isinstance(raw, dict) else None
        told = str(api.get("name", name)) if isinstance(api, dict) else name
        inside = "commondataservice" in told
        yield Call(
            Direction.BOTH if not inside else Direction.UNKNOWN, "connector", told, f"{file}:1", "flow"
        )


def _requests(triggers: dict[str, object], actions: dict[str, object], file: str) -> Iterator[Call]:
    for name, raw in triggers.items():
        if isinstance(raw, dict) and raw.get("type") == "Request" and raw.get("kind") == "Http":
            yield Call(Direction.IN, "HTTP", name, f"{file}:1", "on request")
    for _, raw in _walk(actions):
        inputs = raw.get("inputs")
        if raw.get("type") == "Http" and isinstance(inputs, dict):
            yield Call(Direction.OUT, "HTTP", str(inputs.get("uri", "")), f"{file}:1", "flow")


def _walk(actions: object) -> Iterator[tuple[str, dict[str, object]]]:
    """Every action, those inside conditions and loops too."""
    waiting = [actions]
    while waiting:
        level = waiting.pop()
        if not isinstance(level, dict):
            continue
        for name, raw in level.items():
            if isinstance(raw, dict):
                yield name, raw
                waiting.append(raw.get("actions"))
                other = raw.get("else")
                waiting.append(other.get("actions") if isinstance(other, dict) else None)
                cases = raw.get("cases")
                waiting += [case.get("actions") for case in cases.values()] if isinstance(cases, dict) else []


def _count(actions: object) -> int:
    return sum(1 for _ in _walk(actions))


def read_step(node: Node, file: str, *, managed: bool | None) -> Found:
    """A plug-in step: which code runs at which event of which entity."""
    name = name_of(node)
    entity = said(node, "primaryentity").casefold()
    told = _MESSAGE.search(name)
    message = (
        _MESSAGES.get(guid(said(node, "sdkmessageid"))) or said(node, "sdkmessagename", "messagename").casefold()
        or (told[1].casefold() if told else "")
    )  # fmt: skip
    owner = entity if entity not in ("", "none") else (told[2].casefold() if told else "")
    facts = {
        tag: said(node, tag)
        for tag in ("plugintypename", "stage", "mode", "rank", "filteringattributes", "description")
    }
    component = Component(
        "SdkMessageProcessingStep", name, _K.CODE, file, line=node.line, label=said(node, "description"), owner=owner,
        state=ComponentState.INACTIVE if said(node, "statecode") == "1" else ComponentState.ACTIVE, managed=managed,
        facts={key: text for key, text in facts.items() if text}, fires=(f"{owner}/{message}",) if owner and message else (),
        calls=(Call(Direction.UNKNOWN, "plug-in", facts["plugintypename"].partition(",")[0], f"{file}:{node.line}", "record saved"),),
    )  # fmt: skip
    return Found(component, at(file, _listed(node)))


def _listed(node: Node) -> Iterator[tuple[int, str]]:
    """Names in lists parted by commas stand for themselves."""
    for line, text in node.pieces():
        yield from ((line, word.strip()) for word in (text.split(",") if "," in text else (text,)))


_ASCII = re.compile(rb"[A-Za-z_][A-Za-z0-9_.]{2,127}")
_WIDE = re.compile(rb"(?:[A-Za-z0-9_./:?=&%-]\x00){3,256}")


def read_assembly(node: Node, file: str, body: Body | None, *, managed: bool | None) -> Found:
    """A library of plug-ins; names in it are found among its strings."""
    types = [
        item.attribute("Name") or item.value("TypeName") for item in node.walk() if item.tag == "PluginType"
    ]
    name = (node.attribute("FullName") or name_of(node)).partition(",")[0]
    component = Component(
        "PluginAssembly", name, _K.CODE, file, line=node.line, managed=managed,
        size={"types": len(types)} if types else {}, facts={"types": ", ".join(filter(None, types))} if types else {},
        more_files=(body[0],) if body is not None else (),
        calls=(Call(Direction.UNKNOWN, "plug-in assembly", name, f"{file}:{node.line}", "record saved"),),
        unread="" if body is not None else "its library is not in this export",
    )  # fmt: skip
    strings = strings_of(body[1]) if body is not None else iter(())
    return Found(component, _chained(at(file, node.pieces()), at(body[0] if body else file, strings)))


def strings_of(raw: bytes) -> Iterator[tuple[int, str]]:
    """Words and addresses that stand in compiled code, plain and in UTF-16."""
    seen = {match[0].decode("ascii") for match in _ASCII.finditer(raw)}
    seen |= {match[0].decode("utf-16-le") for match in _WIDE.finditer(raw)}
    return ((0, word) for word in sorted(seen))


def read_web_resource(node: Node, file: str, body: Body | None, *, managed: bool | None) -> Found:
    """A script, page or picture that runs in the browser."""
    number = said(node, "webresourcetype", "type")
    script = _SCRIPTS.get(number, "picture")
    lines = list(lines_of(body[1])) if body is not None and script != "picture" else []
    place = body[0] if body is not None else file
    calls = [
        Call(Direction.OUT, protocol, "", f"{place}:{line}", "screen")
        for line, text in lines for pattern, protocol in _CALLS if pattern.search(text)
    ]  # fmt: skip
    component = Component(
        "WebResource", name_of(node), _K.CODE if script == "script" else _K.LAYOUT, file, line=node.line,
        label=said(node, "displayname"), managed=managed, size={"lines": len(lines)} if lines else {},
        facts={"type": script}, calls=tuple(calls), more_files=(body[0],) if body is not None else (),
        unread="" if body is not None or script == "picture" else "its content is not in this export",
    )  # fmt: skip
    return Found(component, _chained(at(file, node.pieces()), at(place, lines)), whole=False)
