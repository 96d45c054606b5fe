"""The one system that all mappings of a project write to, and plans that are cut into batches as it takes them."""

from __future__ import annotations

from contextlib import closing

from migrator.commands.project import Workspace
from migrator.core.errors import ProjectError
from migrator.core.mapped import MappedObject
from migrator.load.plan import Groups, Plan, Retry
from migrator.load.plan import plan as plan_objects
from migrator.staging.engine import Session


def target_system(groups: Groups) -> str:
    """The one system that all mappings write to; raises `ProjectError` when there are several."""
    systems = sorted({item.target_system for item in flat(groups)})
    if len(systems) != 1:
        raise ProjectError.at(
            "mappings",
            f"mappings write to several systems: {', '.join(systems)}",
            "use one project for each new system",
        )
    return systems[0]


def flat(groups: Groups) -> list[MappedObject]:
    """The objects of all groups, in load order."""
    return [item for group in groups for item in group]


def plan_for_target(
    workspace: Workspace, session: Session, groups: Groups, retry: Retry | None = None
) -> Plan:
    """Plan what is mapped; the target is opened for what is true of it, and nobody connects."""
    project = workspace.project
    with closing(project.open_target(target_system(groups))) as target:
        families = target.facts.locks_parents
    return plan_objects(
        workspace.store, session, groups, batch_rows=project.batch_rows, families=families, retry=retry
    )
