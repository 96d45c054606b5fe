"""solution.xml: what the solution is called, what it holds, and what it leans on outside of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from connectors.dynamics_solution.elements import guid
from connectors.metadata_tree import at
from connectors.xml_nodes import Node
from migrator.core.components import Call, Component, ComponentKind, ComponentState, Direction, Found

_K = ComponentKind
_ROOTS: Mapping[str, tuple[str, ComponentKind]] = {
    "1": ("Entity", _K.OBJECT),
    "2": ("Attribute", _K.FIELD),
    "9": ("OptionSet", _K.VALUE_SET),
    "10": ("EntityRelationship", _K.OTHER),
    "20": ("Role", _K.PERMISSION),
    "24": ("Form", _K.LAYOUT),
    "26": ("View", _K.REPORT),
    "29": ("Process", _K.AUTOMATION),
    "31": ("Report", _K.REPORT),
    "36": ("EmailTemplate", _K.NOTIFICATION),
    "50": ("Ribbon", _K.LAYOUT),
    "60": ("Form", _K.LAYOUT),
    "61": ("WebResource", _K.LAYOUT),
    "62": ("SiteMap", _K.LAYOUT),
    "63": ("ConnectionRole", _K.OTHER),
    "66": ("CustomControl", _K.LAYOUT),
    "70": ("FieldSecurityProfile", _K.PERMISSION),
    "80": ("AppModule", _K.LAYOUT),
    "91": ("PluginAssembly", _K.CODE),
    "92": ("SdkMessageProcessingStep", _K.CODE),
    "300": ("CanvasApp", _K.LAYOUT),
    "372": ("Connector", _K.INTEGRATION_OUT),
    "380": ("EnvironmentVariable", _K.OTHER),
}
"""Type of a root component → what it is; types that nobody recorded are 'other'."""


def is_managed(root: Node) -> bool | None:
    """Whether the solution is managed; None when it does not say (2: either)."""
    return {"0": False, "1": True}.get(root.value("SolutionManifest/Managed"))


def read_solution(root: Node, file: str) -> Found:
    """The solution itself, with everything outside that it names as missing."""
    manifest = root.first("SolutionManifest")
    named = manifest.value("UniqueName") if manifest is not None else ""
    missing = [item for item in root.walk() if item.tag == "Required"]
    outside = sorted({item.attribute("solution") for item in missing if item.attribute("solution")})
    component = Component(
        "Solution", named or file, _K.OTHER, file, line=root.line, managed=is_managed(root),
        size={"missing dependencies": len(missing)} if missing else {},
        facts={
            key: text for key, text in (
                ("version", root.value("SolutionManifest/Version")),
                ("publisher", root.value("SolutionManifest/Publisher/UniqueName")),
                ("leans on", ", ".join(outside)),
            ) if text
        },
        calls=tuple(Call(Direction.UNKNOWN, "solution it depends on", name, f"{file}:{root.line}") for name in outside),
        findings=(f"needs {len(missing)} components that it does not bring",) if missing else (),
    )  # fmt: skip
    return Found(component, at(file, _dependents(root)))


def _dependents(root: Node) -> Iterator[tuple[int, str]]:
    """Names of what needs something from outside: what the solution merely lists refers to nothing."""
    for item in root.walk():
        if item.tag in ("Required", "Dependent"):
            yield from (
                (item.line, text)
                for text in (item.attribute("schemaName"), item.attribute("parentSchemaName"))
                if text
            )


def read_absent(root: Node, file: str, there: Set[str]) -> Iterator[Found]:
    """Root components whose definition is not in the export: listed all the same, and not analysed."""
    for item in root.walk():
        if item.tag != "RootComponent":
            continue
        code = item.attribute("type")
        name = item.attribute("schemaName") or guid(item.attribute("id"))
        if not name or name.casefold() in there:
            continue
        kind_name, kind = _ROOTS.get(code, (f"Component{code}", _K.OTHER))
        yield Found(
            Component(
                kind_name, name.casefold() if kind_name in ("Entity", "Attribute") else name, kind, file, line=item.line,
                state=ComponentState.UNKNOWN, managed=None, facts={"component type": code},
                unread="solution.xml names it, but its definition is not in this export",
            )
        )  # fmt: skip
