"""The guard of production: a system that real users work in is written to only when a person has named it."""

from __future__ import annotations

from contextlib import closing

from migrator.commands.binding import read_mappings
from migrator.commands.project import FILE, Project
from migrator.core.connector import Identified, Identity
from migrator.core.errors import SafetyStop


def written_systems(project: Project) -> tuple[str, ...]:
    """Systems that the project's mappings write to."""
    return tuple(sorted({item.rule.target.system for item in read_mappings(project)}))


def why_production(project: Project, system: str) -> str:
    """How we know that real users work in a system, in words; '' when neither the project nor the system says so.

    Connects only when the project does not say `production: true`.
    """
    if project.system(system).production:
        return f"{FILE} says so"
    with closing(project.open_target(system)) as target:
        found = target.identify() if isinstance(target, Identified) else None
    return _told(found) if found is not None and found.production else ""


def permit(project: Project, system: str, named: str) -> None:
    """Return when `system` may be written to; `named` is the system that a person named, '' when nobody did.

    Raises `SafetyStop` for production that was not named, and for a name that is not the system's.
    """
    if named == system:
        return
    if named:
        raise SafetyStop(
            f"{named!r} was named, and it is {system!r} that would be written to",
            hint=f"is this the right project? if so: --production {system}",
        )
    why = why_production(project, system)
    if why:
        raise SafetyStop(
            f"{system} is production ({why}): nothing is written to it until a person names it",
            hint=f"if you mean it: --production {system}; --yes does not say so",
        )


def _told(found: Identity) -> str:
    words = (found.product, found.organisation, found.address)
    return f"it says so itself: {', '.join(word for word in words if word)}"
