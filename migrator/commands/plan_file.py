"""Plan files: what a plan said and what it stands on, sealed; a load carries out exactly that, or refuses a stale one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrator import __version__
from migrator.commands.footing import Footing, changes, footing
from migrator.commands.project import Project, Workspace
from migrator.commands.target import plan_for_target
from migrator.core.document import did_you_mean
from migrator.core.errors import ProjectError, SafetyStop
from migrator.core.fingerprint import fingerprint
from migrator.load.plan import is_stale, root_of
from migrator.load.settle import settle
from migrator.mapping.bound import Bound
from migrator.staging.engine import flush_and_rename
from migrator.staging.store import Kind, writing

FORMAT = "migrator plan 1"
FOLDER = "plans"


@dataclass(frozen=True, slots=True)
class PlanFile:
    """A plan as it was saved."""

    path: Path
    id: str
    """'PLAN-' and eight digits of the digest of what it stands on: the same plan has the same id."""
    stands_on: Footing


def save(workspace: Workspace, bound: Bound, said: Mapping[str, Any], out: Path | None) -> PlanFile:
    """Save the current plans and what `migrator plan --json` said; `out` None: in the project's folder `plans`, under the id."""
    stands_on = footing(workspace, bound)
    name = f"PLAN-{fingerprint(stands_on)[:8]}"
    path = out or workspace.project.folder / FOLDER / f"{name}.json"
    document = {
        "format": FORMAT,
        "id": name,
        "migrator": __version__,
        "made_at": workspace.ledger.clock.now().isoformat(),
        "stands_on": stands_on,
        "plan": said,
    }
    text = json.dumps({**document, "seal": fingerprint(document)}, ensure_ascii=False, indent=1, default=str)
    temporary = path.with_name(f".{path.name}.writing")
    with writing(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text + "\n", encoding="utf-8")
        flush_and_rename(temporary, path)
    return PlanFile(path, name, stands_on)


def read(project: Project, named: str) -> PlanFile:
    """The plan file at a path, or the saved one of that id; raises `ProjectError` when it is none, or was changed by hand."""
    path = _find(project, named)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProjectError.at(
            str(path), f"cannot read this plan: {error.strerror}", "make one with: migrator plan"
        ) from error
    except ValueError as error:
        raise ProjectError.at(str(path), "this is no plan", "make one with: migrator plan") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ProjectError.at(str(path), "this is no plan of this migrator", "make one with: migrator plan")
    if document.pop("seal", "") != fingerprint(document):
        raise ProjectError.at(
            str(path), "this plan was changed after it was made", "make a new one: migrator plan"
        )
    return PlanFile(path, document["id"], document["stands_on"])


def _find(project: Project, named: str) -> Path:
    path = Path(named)
    if path.exists():
        return path
    saved = {found.stem: found for found in (project.folder / FOLDER).glob("PLAN-*.json")}
    if named not in saved:
        hint = did_you_mean(named, saved, noun="plans") if saved else "make one with: migrator plan"
        raise ProjectError.at("--plan", f"there is no plan {named!r}", hint)
    return saved[named]


def take_up(workspace: Workspace, bound: Bound, file: PlanFile) -> None:
    """Make sure that the current plans are those of a file, or what a killed load of it left; raises `SafetyStop` if not.

    A plan that was made anew since, of the same, is made again as it was.
    """
    found = changes(file.stands_on, footing(workspace, bound))
    if not found:
        objects = [item for group in bound.groups for item in group]
        with closing(workspace.session()) as session:
            for obj in objects:
                settle(workspace.store, session, obj)
            if _replaced(workspace, bound, file):
                plan_for_target(workspace, session, bound.groups)
        found = _replaced(workspace, bound, file)
    if found:
        listed = "".join(f"\n    {line}" for line in found)
        raise SafetyStop(
            f"{file.id} is stale, and nothing was written:{listed}", hint="make a new plan: migrator plan"
        )


def _replaced(workspace: Workspace, bound: Bound, file: PlanFile) -> list[str]:
    """Objects whose current plan is another than the file's, and why, in words."""
    found = []
    for obj in (item for group in bound.groups for item in group):
        then, now = file.stands_on["objects"][obj.name], workspace.store.current(Kind.PLAN, obj.name)
        same = now is not None and (now.fingerprint == then["planned"] or root_of(now) == then["root"])
        if now is None or not now.intact or not same:
            found.append(f"the crosswalk of {obj.name} moved on: it was planned or loaded otherwise since")
        elif is_stale(workspace.store, obj, now):
            found.append(f"the crosswalk of {obj.name} moved on: {is_stale(workspace.store, obj, now)}")
    return found
