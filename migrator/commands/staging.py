"""Give the room back that copies of shared datasets take on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from migrator.commands.project import Project, work_on
from migrator.core.errors import ProjectError


@dataclass(frozen=True, slots=True)
class Freed:
    """What went from this machine."""

    files: int
    bytes: int
    place: str
    """Where all of it still is."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"files": self.files, "bytes": self.bytes, "place": self.place}


def free(project: Project) -> Freed:
    """Remove local files that are in the shared place with the same size; raises `ProjectError` for a project without one."""
    if not project.staging.place:
        raise ProjectError.at(
            project.staging_place,
            "datasets are on this machine only, so none of their files can be spared",
            "name a place that machines share under `staging`; what nobody needs goes by itself",
        )
    with work_on(project, "staging free") as workspace:
        gone = workspace.store.free()
    return Freed(len(gone), sum(gone), project.staging.place)
