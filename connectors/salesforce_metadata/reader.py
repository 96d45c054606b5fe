"""A Salesforce tree as components: files are grouped by the component they belong to, and each group is read by its shape."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from connectors.metadata_tree import Tree, at, content, lines_of, open_tree
from connectors.salesforce_metadata.code import read_bundle, read_code
from connectors.salesforce_metadata.declared import read_container, read_object, read_part, read_plain
from connectors.salesforce_metadata.flows import read_flow
from connectors.salesforce_metadata.places import MANIFEST, META, Placed, place
from connectors.salesforce_metadata.sources import Group, Source
from connectors.xml_nodes import XmlFaultError, parse
from migrator.core.components import (
    Component,
    ComponentState,
    Found,
    NotUnderstood,
    Segments,
)
from migrator.core.connector import Recognition
from migrator.core.errors import FatalError

_ID = re.compile(r"(?<![A-Za-z0-9_])[a-zA-Z0-9]{5}0[a-zA-Z0-9]{9}(?:[A-Z0-5]{3})?(?![A-Za-z0-9_])")
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


class SalesforceMetadata:
    """`MetadataReader` of Salesforce; layout of files after the metadata registry of source-deploy-retrieve."""

    name = "salesforce"
    segments = Segments(
        record_type=("RecordTypeId", "RecordType"),
        business_unit=("Business_Unit__c", "BusinessUnit__c", "Division", "Region__c"),
        created=("CreatedDate",),
        modified=("LastModifiedDate", "SystemModstamp", "CreatedDate"),
    )

    def recognise(self, path: Path) -> Recognition | None:
        """A folder with sfdx-project.json or *-meta.xml below it, or with package.xml beside folders of metadata."""
        if not (path.is_dir() or path.suffix.lower() == ".zip"):
            return None
        with open_tree(path) as tree:
            names = tree.names
            roots = _roots(names)
            placed = sum(1 for name in names if place(name, roots) is not None)
        if any(name.rpartition("/")[2] == "sfdx-project.json" for name in names):
            return Recognition(0.99, f"an SFDX project: {placed:,} files of metadata")
        known = sum(1 for name in names if name.endswith(META))
        if known:
            return Recognition(0.95, f"Salesforce metadata in source form: {known:,} files")
        if roots and placed > len(roots):
            return Recognition(0.9, f"a Salesforce package with package.xml: {placed:,} files")
        return None

    def files(self, path: Path) -> Sequence[str]:
        """Every file below the path."""
        with open_tree(path) as tree:
            return tuple(tree.names)

    def read(self, path: Path) -> Iterator[Found | NotUnderstood]:
        """All components of the tree, and every file that is none."""
        with open_tree(path) as tree:
            roots = _roots(tree.names)
            groups: dict[tuple[str, str], list[Placed]] = {}
            for name in tree.names:
                placed = place(name, roots)
                if tree.is_link(name):
                    yield NotUnderstood(name, "it is a link or no ordinary file")
                elif placed is None:
                    yield NotUnderstood(name, _foreign(name))
                else:
                    groups.setdefault((placed.type.name, placed.name), []).append(placed)
            for members in groups.values():
                yield from _read_group(tree, members)

    def ids(self, text: str) -> Iterable[str]:
        """Ids of 15 characters with the marks of one, and of 18 whose check characters fit."""
        for match in _ID.finditer(text):
            word = match[0]
            if (len(word) == 18 and _checked(word)) or (
                len(word) == 15 and sum(letter.isdigit() for letter in word) >= 4
            ):
                yield word


def _checked(word: str) -> bool:
    """Whether the last three characters say which of the first fifteen are capitals."""
    marks = (
        sum(1 << at for at, letter in enumerate(word[start : start + 5]) if "A" <= letter <= "Z")
        for start in (0, 5, 10)
    )
    return word[15:] == "".join(_ALPHABET[mark] for mark in marks)


def _roots(names: Sequence[str]) -> frozenset[str]:
    return frozenset(name.rpartition("/")[0] for name in names if MANIFEST.fullmatch(name.rpartition("/")[2]))


def _foreign(name: str) -> str:
    file = name.rpartition("/")[2]
    suffix = file.rpartition(".")[2] if "." in file else ""
    return (
        f"no metadata: nothing is known of .{suffix} files here"
        if suffix
        else "no metadata: a file without a suffix"
    )


def _read_group(tree: Tree, members: Sequence[Placed]) -> Iterator[Found | NotUnderstood]:
    """Components of files that belong together; a file that cannot be read is told, and its component stays, unread."""
    sources, faults = [], []
    for item in members:
        try:
            raw = content(tree, item.path)
            root = parse(raw) if _is_xml(item) else None
        except (XmlFaultError, FatalError) as error:
            faults.append((item, str(error).splitlines()[0]))
        else:
            sources.append(Source(item, raw, root))
    for item, reason in faults:
        yield NotUnderstood(item.path, reason, refers=not MANIFEST.search(item.path))
    if sources:
        group = Group(
            members[0].type, members[0].name, tuple(sources), "; ".join(reason for _, reason in faults)
        )
        yield from _read(group)
    else:
        yield Found(_unread(*faults[0]))


def _is_xml(item: Placed) -> bool:
    return item.meta or item.type.shape not in ("code", "bundle", "content")


def _read(group: Group) -> Iterator[Found]:
    match group.type.shape:
        case "object":
            yield from read_object(group)
        case "container":
            yield from read_container(group)
        case "part":
            yield read_part(group)
        case "flow":
            yield read_flow(group)
        case "code":
            yield read_code(group)
        case "bundle":
            yield read_bundle(group)
        case "content":
            yield _read_content(group)
        case _:
            yield read_plain(group)


_TEXTS = (".js", ".css", ".html", ".htm", ".xml", ".json", ".txt", ".csv", ".svg", ".resource", META)


def _read_content(group: Group) -> Found:
    """A file kept for others: text of it is looked at, what is packed or a picture only counted."""
    texts = [item for item in group.sources if item.path.endswith(_TEXTS) and b"\0" not in item.raw[:4096]]
    opaque = [item.path for item in group.sources if item not in texts]
    component = Component(
        group.type.name, group.name, group.type.kind, group.file, more_files=group.more,
        managed=group.managed, size={"bytes": sum(len(item.raw) for item in group.sources)},
        unread=f"not text: {', '.join(opaque)}" if opaque else "",
    )  # fmt: skip
    return Found(
        component, (piece for item in texts for piece in at(item.path, lines_of(item.raw))), whole=False
    )


def _unread(item: Placed, reason: str) -> Component:
    """What the path alone says of a component whose file cannot be read; the file itself counts as not understood."""
    return Component(
        item.type.name, item.name, item.type.kind, "", state=ComponentState.UNKNOWN,
        owner=item.name.partition(".")[0] if item.type.shape == "child" else "", managed=None,
        unread=f"{item.path}: {reason}",
    )  # fmt: skip
