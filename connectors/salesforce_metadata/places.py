"""Which component a file of a Salesforce tree belongs to, told from its folder and its suffix alone."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from urllib.parse import unquote

from migrator.core.components import ComponentKind

META = "-meta.xml"
MANIFEST = re.compile(r"(?:package|destructiveChanges(?:Pre|Post)?)\.xml", re.IGNORECASE)
_FLAT = frozenset({"object", "container", "translation", "flow", "code"})
"""Shapes whose folders below the type's own say nothing."""
_VERSION = re.compile(r"-(\d+)$")


@dataclass(frozen=True, slots=True)
class Type:
    """One row of types.csv: a metadata type, where its files lie and how they are read."""

    directory: str
    suffix: str
    name: str
    kind: ComponentKind
    shape: str
    """'object', 'child', 'container', 'part' (of a container, in a file of its own), 'flow', 'code', 'bundle', 'content', 'endpoint', 'translation', 'plain'."""


@dataclass(frozen=True, slots=True)
class Placed:
    """What a path says of its file."""

    path: str
    type: Type
    name: str
    """Full name of the component; of the container for a file that holds several."""
    meta: bool = False
    """It ends in -meta.xml."""
    version: int = 0
    """Of a flow in the older form, whose files are one a version."""


@cache
def types() -> tuple[Type, ...]:
    """All that types.csv knows."""
    text = files(__package__).joinpath("types.csv").read_text(encoding="utf-8")
    return tuple(
        Type(row["directory"], row["suffix"], row["type"], ComponentKind(row["kind"]), row["shape"])
        for row in csv.DictReader(text.splitlines())
    )


@cache
def _by_directory() -> dict[str, tuple[Type, ...]]:
    found: dict[str, tuple[Type, ...]] = {}
    for item in types():
        found[item.directory] = (*found.get(item.directory, ()), item)
    return found


def place(path: str, roots: frozenset[str]) -> Placed | None:
    """Where a file belongs; None when it is no metadata. `roots` are folders with a package.xml in them ('' for the root)."""
    *folders, file = path.split("/")
    meta = file.endswith(META)
    base = file[: -len(META)] if meta else file
    if MANIFEST.fullmatch(file):
        return Placed(path, _unknown("PackageManifest"), path)
    stem, dot, suffix = base.rpartition(".")
    stem, suffix = (stem, suffix) if dot else (base, "")
    places = [at for at, folder in enumerate(folders) if folder in _by_directory()]
    for at in places:
        for item in _by_directory()[folders[at]]:
            found = _fits(item, path, folders[at + 1 :], stem, suffix, meta=meta)
            if found is not None:
                return found
    if meta or _in_package(folders, roots):
        return _other(path, folders, stem, suffix, meta=meta)
    return None


def _piece(item: Type, path: str, below: Sequence[str], *, meta: bool) -> Placed | None:
    """A permission set may be taken apart: permissionsets/NAME/NAME.classAccesses-meta.xml, …/objectSettings/…."""
    taken_apart = item.name == "PermissionSet" and meta and below
    return Placed(path, item, unquote(below[0]), meta) if taken_apart else None


def _fits(
    item: Type, path: str, below: Sequence[str], stem: str, suffix: str, *, meta: bool
) -> Placed | None:
    if item.shape not in ("bundle", "content") and item.suffix != suffix:
        return _piece(item, path, below, meta=meta)
    if item.name == "PermissionSet":
        return Placed(path, item, unquote(stem), meta)
    name, version = _named(item, below, stem, suffix), 0
    if item.shape == "flow" and (found := _VERSION.search(stem)):
        name, version = stem[: found.start()], int(found[1])
    return Placed(path, item, unquote(name), meta, version) if name else None


def _named(item: Type, below: Sequence[str], stem: str, suffix: str) -> str:
    """The full name; '' for a file that belongs to no component of this type (jsconfig.json beside the bundles)."""
    folder = below[0] if below else ""
    if item.shape == "bundle" or (item.name == "StaticResource" and folder):
        return folder
    if item.shape in ("part", "child"):
        deep = len(below) > (1 if item.shape == "child" else 0)
        owner = "" if item.name == "CustomLabel" else f"{folder}."
        return f"{owner}{stem}" if deep else ""
    if item.name == "CustomFieldTranslation":
        return f"{below[-1]}.{stem}" if below else ""
    if item.shape == "content" and not (suffix or below):
        return ""
    return stem if item.shape in _FLAT and item.name != "EmailTemplate" else "/".join((*below, stem))


def _in_package(folders: Sequence[str], roots: frozenset[str]) -> bool:
    """Whether the file lies in a folder of a package: what is beside package.xml itself is no component."""
    above = ("/".join(folders[:at]) for at in range(len(folders)))
    return any(folder in roots for folder in above)


def _other(path: str, folders: Sequence[str], stem: str, suffix: str, *, meta: bool) -> Placed:
    """A component of a type that types.csv does not know: named after its suffix, or its folder where it has none."""
    directory = folders[-1] if folders else ""
    if not suffix and directory in _by_directory():
        return Placed(path, _unknown(f"{directory}Folder"), unquote(stem), meta)
    return Placed(path, _unknown(suffix or directory or "file"), unquote(stem), meta)


def _unknown(name: str) -> Type:
    return Type("", "", name, ComponentKind.OTHER, "plain")
