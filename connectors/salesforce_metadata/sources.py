"""The files of one component of Salesforce, read; and what can be said of any of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from connectors.salesforce_metadata.places import Placed, Type
from connectors.xml_nodes import Node

_MANAGED = re.compile(
    r"(?:^|[.\-/])[A-Za-z][A-Za-z0-9]{0,14}__[A-Za-z0-9_]+?__(?:c|r|mdt|e|b|x|kav|Share|History)\b"
)
_PREFIX = re.compile(r"^[A-Za-z][A-Za-z0-9]{0,14}__(?!c$|mdt$|e$|b$|x$)[A-Za-z0-9_ ]+$")


@dataclass(frozen=True, slots=True)
class Source:
    """One file; `root` where it is XML."""

    placed: Placed
    raw: bytes
    root: Node | None

    @property
    def path(self) -> str:
        """Its path in the tree."""
        return self.placed.path


@dataclass(frozen=True, slots=True)
class Group:
    """All readable files of one component, or of one container of several."""

    type: Type
    name: str
    sources: tuple[Source, ...]
    fault: str = ""
    """Why further files of it could not be read."""

    @property
    def file(self) -> str:
        """The file that tells most: the code, or the first description."""
        return self._ordered[0].path

    @property
    def more(self) -> tuple[str, ...]:
        """The others."""
        return tuple(item.path for item in self._ordered[1:])

    @property
    def root(self) -> Node | None:
        """The description in XML; of several the one that is called like the component itself."""
        roots = [item for item in self.sources if item.root is not None]
        own = [item for item in roots if f".{self.type.suffix}" in item.path]
        return next((item.root for item in (*own, *roots)), None)

    @property
    def managed(self) -> bool:
        """Whether its name carries the namespace of a package."""
        return is_managed(self.name)

    @property
    def _ordered(self) -> list[Source]:
        return sorted(self.sources, key=lambda item: (item.root is not None and item.placed.meta, item.path))


def is_managed(name: str) -> bool:
    """Whether a full name carries the namespace of a package: 'ns__Field__c'; 'Field__c' does not."""
    return bool(_MANAGED.search(name) or _PREFIX.match(name.rpartition(".")[2]))
