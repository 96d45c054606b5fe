"""A solution of Dynamics as components, from its zip, its unpacked tree or the schema of an export."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from connectors.dynamics_solution.elements import guids
from connectors.dynamics_solution.reading import SCHEMA, Reading
from connectors.metadata_tree import open_tree
from migrator.core.components import Found, NotUnderstood, Segments
from migrator.core.connector import Recognition


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
        if SCHEMA in ends:
            return Recognition(0.9, "an export of the Configuration Migration tool: its schema")
        return None

    def files(self, path: Path) -> Sequence[str]:
        """Every file below the path."""
        with open_tree(path) as tree:
            return tuple(tree.names)

    def read(self, path: Path) -> Iterator[Found | NotUnderstood]:
        """All components of the solution, and every file that is none."""
        with open_tree(path) as tree:
            yield from Reading(tree).all()

    def ids(self, text: str) -> Iterable[str]:
        """Every GUID."""
        return guids(text)
