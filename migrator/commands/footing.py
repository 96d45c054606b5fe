"""What a plan stands on, as digests: mappings, staged data, crosswalk, target; and what of it is no longer so."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from typing import Any

from migrator.commands.production import written_systems
from migrator.commands.project import Project, Workspace
from migrator.core.connector import Identified
from migrator.core.errors import RetryableError
from migrator.core.fingerprint import fingerprint
from migrator.load.canonical import row_fingerprint
from migrator.load.plan import PLAN_VERSION, root_of
from migrator.mapping.bound import Bound
from migrator.mapping.compile import COMPILER_VERSION, CompiledMapping, compile_mapping
from migrator.staging.relation import find_mapped
from migrator.staging.store import Kind

Footing = Mapping[str, Any]
"""JSON: `versions`, `batch_rows`, `target`, and `objects` by name, each with `mapping`, `file`, `staged`, `made`,
`crosswalk`, `root` and `planned`."""
_REFERENCE = re.compile(r"\$\{\w+:")
_PASSWORD = re.compile(r"(?<=://)[^@/]*@")
_ADDRESSES = ("url", "path", "host", "instance", "domain", "database", "schema", "org", "tenant")
"""Words in the names of settings that say which system it is; what comes from a secret store under another name is a secret."""


def footing(workspace: Workspace, bound: Bound) -> dict[str, Any]:
    """What the current plans stand on; an object that is not planned yet has no `root`."""
    project, store = workspace.project, workspace.store
    objects = {}
    for item in bound.mappings:
        compiled = compile_mapping(item)
        name = compiled.mapped.name
        planned, made = store.current(Kind.PLAN, name), find_mapped(store, compiled.mapped)
        objects[name] = {
            "mapping": _definition(compiled),
            "file": compiled.mapped.file,
            "staged": {
                relation: [found.id, found.fingerprint]
                for relation in compiled.relations
                if (found := store.current(Kind.STAGED, relation)) is not None
            },
            "made": made.ids if made else {},
            "crosswalk": planned.detail["inputs"]["crosswalk"] if planned else "",
            "root": root_of(planned) if planned else "",
            "planned": planned.fingerprint if planned else "",
        }
    return {
        "versions": {"compiler": COMPILER_VERSION, "plan": PLAN_VERSION},
        "batch_rows": project.batch_rows,
        "target": {system: _address(project, system) for system in written_systems(project)},
        "objects": objects,
    }


def _definition(compiled: CompiledMapping) -> str:
    mapped = compiled.mapped
    tables = {name: table.to_pydict() for name, table in compiled.tables.items()}
    return fingerprint(
        mapped.fingerprint, row_fingerprint(mapped), compiled.sql, tables, repr(mapped.dedupe),
        [repr(item) for item in (*mapped.links, *mapped.firsts)],
    )  # fmt: skip


def _address(project: Project, system: str) -> dict[str, Any]:
    """Digests of the settings that say which system it is, and of who answers there; '' while nobody can say."""
    answers = ""
    with closing(project.open_target(system)) as target, suppress(RetryableError):
        found = target.identify() if isinstance(target, Identified) else None
        answers = fingerprint(found.product, found.address, found.organisation) if found else ""
    return {
        "connector": project.system(system).connector,
        "settings": {name: fingerprint(value) for name, value in _addressing(project, system)},
        "answers": answers,
    }


def _addressing(project: Project, system: str) -> Iterator[tuple[str, object]]:
    """Settings without secrets: a new password makes no other system. Paths stay as written: a project may be moved."""
    resolved = project.settings(system)
    for name, raw in project.system(system).settings.items():
        refers = _REFERENCE.search(repr(raw)) is not None
        if name == "batch_rows" or (refers and not any(word in name.lower() for word in _ADDRESSES)):
            continue
        value = resolved[name] if refers else raw
        yield name, _PASSWORD.sub("", value) if isinstance(value, str) else value


def changes(before: Footing, now: Footing) -> list[str]:
    """What of a plan's footing is no longer so, in words, but for what was loaded since; nothing when all holds."""
    found = []
    for part, version in before["versions"].items():
        if now["versions"].get(part) != version:
            found.append(
                f"this migrator has another {part} (version {now['versions'].get(part)}, then {version})"
            )
    if before["batch_rows"] != now["batch_rows"]:
        found.append(f"batch_rows is {now['batch_rows']}, and was {before['batch_rows']}")
    found += _target_changes(before["target"], now["target"])
    ours, theirs = before["objects"], now["objects"]
    found += [f"mapping {name} is new" for name in theirs if name not in ours]
    found += [f"mapping {name} is gone" for name in ours if name not in theirs]
    told: set[str] = set()
    for name in ours:
        if name in theirs:
            found += [line for line in _object_changes(name, ours[name], theirs[name]) if line not in told]
            told.update(found)
    return found


def _target_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for system, then in before.items():
        found = now.get(system)
        if found is None:
            yield f"another target: it was {system}, and is {', '.join(now)}"
            continue
        names = sorted({*then["settings"], *found["settings"]})
        moved = [name for name in names if then["settings"].get(name) != found["settings"].get(name)]
        if then["connector"] != found["connector"]:
            yield f"another target: {system} has the connector {found['connector']}, and had {then['connector']}"
        elif moved:
            yield f"another target: {', '.join(moved)} of {system} changed"
        elif then["answers"] and found["answers"] and then["answers"] != found["answers"]:
            yield f"another target: another system answers as {system}"


def _object_changes(name: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The first cause, not what follows from it."""
    if then["mapping"] != now["mapping"]:
        return [f"mapping {name} was edited ({now['file'] or 'its file'})"]
    again = [
        relation for relation in now["staged"] if then["staged"].get(relation) != now["staged"][relation]
    ]
    if again:
        return [f"source {relation} was extracted again" for relation in again]
    if then["made"]["mapped"] != now["made"].get("mapped"):
        return [f"{name} was mapped again"]
    if then["made"] != now["made"]:
        return [f"duplicates of {name} were looked for again"]
    return []
