"""A solution of Dynamics as components, from its zip, its unpacked tree or the schema of an export."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from connectors.dynamics_solution.elements import PARTS, guid, guids, name_of, own_id, part_component, said
from connectors.dynamics_solution.entities import entity_name, read_entity, read_inner, read_schema
from connectors.dynamics_solution.manifest import is_managed, read_absent, read_solution
from connectors.dynamics_solution.processes import (
    Body,
    read_assembly,
    read_step,
    read_web_resource,
    read_workflow,
    strings_of,
)
from connectors.metadata_tree import Tree, at, content, lines_of, open_tree
from connectors.xml_nodes import Node, XmlFaultError, parse, sections
from migrator.core.components import Component, ComponentKind, ComponentState, Found, NotUnderstood, Segments
from migrator.core.connector import Recognition
from migrator.core.errors import FatalError

_SCHEMA = "data_schema.xml"
_PACKAGING = {"[content_types].xml": "the zip's own list of file types", "data.xml": "records, not metadata"}
_LISTS = frozenset(
    {"forms", "savedqueries", "visualizations", "EntityRelationships", "optionsets", "Workflows", "Roles"}
)
"""Elements that only hold others."""
_BODIES = ("Workflow", "PluginAssembly", "WebResource")
_FILES = ("jsonfilename", "xamlfilename", "filename")


class DynamicsSolution:
    """`MetadataReader` of Dynamics 365 and Dataverse; form of the files after SolutionPackager."""

    name = "dynamics"
    segments = Segments(
        record_type=("customertypecode", "msdyn_ordertype", "casetypecode"),
        business_unit=("owningbusinessunit", "owningbusinessunit__name"),
        created=("overriddencreatedon", "createdon"),
        modified=("modifiedon", "createdon"),
    )

    def recognise(self, path: Path) -> Recognition | None:
        """A zip or folder with solution.xml (unpacked: Other/Solution.xml), or with the schema of an export."""
        if not (path.is_dir() or path.suffix.lower() == ".zip"):
            return None
        with open_tree(path) as tree:
            ends = {PurePosixPath(name).name.casefold() for name in tree.names}
        if "solution.xml" in ends or "customizations.xml" in ends:
            return Recognition(0.98, "a Dynamics solution: solution.xml or customizations.xml")
        if _SCHEMA in ends:
            return Recognition(0.9, "an export of the Configuration Migration tool: its schema")
        return None

    def files(self, path: Path) -> Sequence[str]:
        """Every file below the path."""
        with open_tree(path) as tree:
            return tuple(tree.names)

    def read(self, path: Path) -> Iterator[Found | NotUnderstood]:
        """All components of the solution, and every file that is none."""
        with open_tree(path) as tree:
            yield from _Reading(tree).all()

    def ids(self, text: str) -> Iterable[str]:
        """Every GUID."""
        return guids(text)


class _Reading:
    """One pass over a tree; which files were used, and which names are taken."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._names = {name.casefold(): name for name in tree.names}
        self._used: set[str] = set()
        self._taken: set[tuple[str, str]] = set()
        self._there: set[str] = set()
        self._managed: bool | None = None

    def all(self) -> Iterator[Found | NotUnderstood]:
        solutions = [
            name for name in self._tree.names if PurePosixPath(name).name.casefold() == "solution.xml"
        ]
        manifests: list[tuple[str, Node]] = []
        for name in solutions:
            for item in self._parsed(name):
                if isinstance(item, NotUnderstood):
                    yield item
                else:
                    manifests.append((name, item))
        for _, root in manifests:
            self._managed = is_managed(root)
        described = [
            name for name in self._tree.names if name.casefold().endswith(".xml") and name not in self._used
        ]
        described.sort(key=lambda name: (not name.casefold().endswith(".data.xml"), name))
        for name in described:
            yield from self._described(name)
        for name, root in manifests:
            yield self._keep(read_solution(root, name))
            for found in read_absent(root, name, self._there):
                yield self._keep(found)
        for name in self._tree.names:
            if name not in self._used:
                yield self._left(name)

    def _parsed(self, name: str) -> Iterator[Node | NotUnderstood]:
        self._used.add(name)
        try:
            yield parse(content(self._tree, name))
        except (XmlFaultError, FatalError) as error:
            yield NotUnderstood(name, str(error).splitlines()[0], refers=True)

    def _described(self, name: str) -> Iterator[Found | NotUnderstood]:
        """A file of XML: customizations.xml piece by piece, others whole."""
        short = PurePosixPath(name).name.casefold()
        if self._tree.is_link(name) or short in _PACKAGING or name in self._used:
            return
        self._used.add(name)
        made = 0
        try:
            if short == "customizations.xml":
                for found in self._customizations(name):
                    made += 1
                    yield found
            else:
                for found in self._root(parse(content(self._tree, name)), name):
                    made += 1
                    yield found
        except (XmlFaultError, FatalError) as error:
            if not made:
                yield NotUnderstood(name, str(error).splitlines()[0], refers=True)
            else:
                yield self._broken(name, str(error).splitlines()[0])

    def _broken(self, name: str, reason: str) -> Found:
        """The rest of a file of which a part was read."""
        return self._keep(
            Found(
                Component(
                    "Customizations", f"rest of {name}", ComponentKind.OTHER, name, state=ComponentState.UNKNOWN,
                    managed=None, unread=f"the file breaks off: {reason}",
                )
            )
        )  # fmt: skip

    def _customizations(self, name: str) -> Iterator[Found]:
        with self._tree.open(name) as stream:
            made = 0
            for above, node in sections(stream, 3):
                if above:
                    for found in self._node(node, name, above[-1]):
                        made += 1
                        yield found
                elif not made:
                    yield self._keep(
                        Found(
                            Component(
                                "Customizations",
                                name,
                                ComponentKind.OTHER,
                                name,
                                line=node.line,
                                managed=self._managed,
                            )
                        )
                    )

    def _root(self, root: Node, name: str) -> Iterator[Found]:
        """A file of an unpacked solution, by the element it holds."""
        if PurePosixPath(name).name.casefold() == _SCHEMA:
            found = [self._keep(item) for item in read_schema(root, name)]
        elif root.tag in _LISTS:
            found = [item for node in root.children for item in self._node(node, name, root.tag)]
        else:
            found = list(self._node(root, name, ""))
        if found:
            yield from found
        else:
            yield self._keep(self._other(root, name))

    def _node(self, node: Node, file: str, section: str) -> Iterator[Found]:
        """One element of a known or unknown name; the parts of an unpacked entity know it by their folder."""
        owner = _folder_entity(file)
        match node.tag:
            case "Entity":
                made: Iterable[Found] = read_entity(node, file, managed=self._managed)
                self._there.add(entity_name(node))
            case "Workflow":
                made = [read_workflow(node, file, self._body(node, file), managed=self._managed)]
            case "SdkMessageProcessingStep":
                made = [read_step(node, file, managed=self._managed)]
            case "PluginAssembly":
                made = [read_assembly(node, file, self._body(node, file), managed=self._managed)]
            case "WebResource":
                made = [read_web_resource(node, file, self._body(node, file), managed=self._managed)]
            case "systemform" | "savedquery" | "visualization" | "savedqueries" | "forms":
                made = list(read_inner(node, owner, file, managed=self._managed))
            case tag if tag in PARTS:
                made = [
                    Found(
                        part_component(node, PARTS[tag], owner, file, managed=self._managed),
                        at(file, node.pieces()),
                    )
                ]
            case _:
                made = [self._unknown(node, file, section)]
        for found in made:
            yield self._keep(found, own_id(node))

    def _unknown(self, node: Node, file: str, section: str) -> Found:
        component = Component(
            section or node.tag, name_of(node), ComponentKind.OTHER, file, line=node.line, managed=self._managed,
            facts={"element": node.tag},
        )  # fmt: skip
        return Found(component, at(file, node.pieces()))

    def _other(self, root: Node, name: str) -> Found:
        component = Component(
            root.tag, name, ComponentKind.OTHER, name, line=root.line, managed=self._managed
        )
        return Found(component, at(name, root.pieces()))

    def _body(self, node: Node, file: str) -> Body | None:
        """The file that a definition names, or beside which it lies."""
        for text in (said(node, *_FILES).lstrip("/"), file.removesuffix(".data.xml")):
            name = self._names.get(text.casefold()) or self._below(text)
            if name is not None and name != file and not self._tree.is_link(name):
                try:
                    raw = content(self._tree, name)
                except FatalError:
                    return None  # it is told with the files that are left
                self._used.add(name)
                return name, raw
        return None

    def _below(self, text: str) -> str | None:
        """A file whose path ends so: solutions lie in folders of a repository."""
        ending = f"/{text.casefold()}"
        return next((name for low, name in self._names.items() if text and low.endswith(ending)), None)

    def _keep(self, found: Found, identity: str = "") -> Found:
        """Names are unique in a system: a second component of one name carries its GUID."""
        item = found.component
        key = (item.type, item.name)
        if key in self._taken and identity:
            item = replace(item, name=f"{item.name} {{{identity[:8]}}}")
        # definitions number everything by GUID: only in code and flows is one a record that somebody meant
        found = Found(item, found.pieces, found.whole, ids=not found.whole)
        self._taken.add((item.type, item.name))
        self._there |= {item.name.casefold(), item.facts.get("id", "")}
        if not item.unread or item.file:
            self._used.update(item.files)
        return found

    def _left(self, name: str) -> Found | NotUnderstood:
        """A file that no definition named."""
        path = PurePosixPath(name)
        if self._tree.is_link(name):
            return NotUnderstood(name, "it is a link or no ordinary file")
        if path.name.casefold() in _PACKAGING:
            return NotUnderstood(name, _PACKAGING[path.name.casefold()])
        folder = next((part for part in path.parts[:-1] if part.casefold() in _FOLDERS), "")
        if not folder:
            return NotUnderstood(name, f"no metadata: nothing is known of {path.suffix or 'such'} files here")
        try:
            raw = content(self._tree, name)
        except FatalError as error:
            return NotUnderstood(name, str(error).splitlines()[0], refers=True)
        binary = b"\0" in raw[:4096]
        component = Component(
            folder, name, ComponentKind.OTHER, name, state=ComponentState.UNKNOWN, managed=self._managed,
            unread="its definition is not in this export" if not binary else "compiled or packed: only its strings were read",
        )  # fmt: skip
        return self._keep(
            Found(component, at(name, strings_of(raw) if binary else lines_of(raw)), whole=False), guid(name)
        )


_FOLDERS = frozenset(
    {
        "workflows", "pluginassemblies", "webresources", "canvasapps", "formulas", "controls", "reports", "connectors",
        "environmentvariabledefinitions", "appmodules", "appmodulesitemaps", "entities", "optionsets", "roles", "botcomponents",
        "bots", "customapis", "sdkmessageprocessingsteps", "dashboards", "templates", "other", "aimodels", "modernflows",
        "connectionroles", "fieldsecurityprofiles", "maskingrules", "pluginpackages", "assets",
    }
)  # fmt: skip


def _folder_entity(file: str) -> str:
    """The entity whose folder a file of an unpacked solution lies in; '' for others."""
    parts = PurePosixPath(file).parts
    at_entities = next((number for number, part in enumerate(parts) if part.casefold() == "entities"), None)
    if at_entities is None or at_entities + 2 >= len(parts):
        return ""
    return parts[at_entities + 1].casefold()
