"""One pass over the files of a solution: definitions first, then what they name, then whatever nobody named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import PurePosixPath

from connectors.dynamics_solution.elements import (
    PARTS,
    Part,
    guid,
    name_of,
    own_id,
    part_component,
    said,
)
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
from connectors.metadata_tree import Tree, at, content, lines_of
from connectors.xml_nodes import Node, XmlFaultError, parse, sections
from migrator.core.components import Component, ComponentKind, ComponentState, Found, NotUnderstood
from migrator.core.errors import FatalError

SCHEMA = "data_schema.xml"
_PACKAGING = {"[content_types].xml": "the zip's own list of file types", "data.xml": "records, not metadata"}
_OWN = frozenset({"Entity", "Workflow", "SdkMessageProcessingStep", "PluginAssembly", "WebResource"})
"""Elements with a reader of their own."""
_FILES = ("jsonfilename", "xamlfilename", "filename", "documenturi")
_TWIN = "_managed.xml"
"""How the file of the managed form is called, where a component was unpacked in both."""


class Reading:
    """One pass over a tree; which files were used, and which names are taken."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._names = {name.casefold(): name for name in tree.names}
        self._used: set[str] = set()
        self._taken: set[tuple[str, str]] = set()
        self._there: set[str] = set()
        self._managed: bool | None = None
        self._twins: set[str] = set()
        """Files whose managed form was counted with them."""

    def all(self) -> Iterator[Found | NotUnderstood]:
        """Every component, and every file that is none."""
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
        twin = (
            self._names.get(name.casefold().removesuffix(_TWIN) + ".xml") if short.endswith(_TWIN) else None
        )
        if self._tree.is_link(name) or short in _PACKAGING or name in self._used or twin in self._twins:
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
        if PurePosixPath(name).name.casefold() == SCHEMA:
            found = [self._keep(item) for item in read_schema(root, name)]
        elif _is_list(root):
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
                made = [self._by_table(node, PARTS[tag], owner, file)]
            case _:
                made = [self._unknown(node, file, section)]
        for found in made:
            yield self._keep(found, own_id(node))

    def _by_table(self, node: Node, part: Part, owner: str, file: str) -> Found:
        item = part_component(node, part, owner, file, managed=self._managed)
        body = self._body(node, file)
        if body is None:
            return Found(item, at(file, node.pieces()))
        packed = "compiled or packed: only its strings were read" if b"\0" in body[1][:4096] else ""
        item = replace(item, more_files=(*item.more_files, body[0]), unread=packed)
        strings = strings_of(body[1]) if packed else lines_of(body[1])
        return Found(item, chain(at(file, node.pieces()), at(body[0], strings)))

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
        twin = self._names.get(item.file.casefold().removesuffix(".xml") + _TWIN) if item.file else None
        if twin is not None and twin not in self._used and twin not in item.more_files:
            self._twins.add(item.file)
            item = replace(item, more_files=(*item.more_files, twin))
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
            unread="compiled or packed: only its strings were read" if binary else "",
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


def _is_list(root: Node) -> bool:
    """Whether an element only holds others."""
    known = PARTS.keys() | _OWN
    return root.tag not in known and any(item.tag in known for item in root.children)


def _folder_entity(file: str) -> str:
    """The entity whose folder a file of an unpacked solution lies in; '' for others."""
    parts = PurePosixPath(file).parts
    at_entities = next((number for number, part in enumerate(parts) if part.casefold() == "entities"), None)
    if at_entities is None or at_entities + 2 >= len(parts):
        return ""
    return parts[at_entities + 1].casefold()
