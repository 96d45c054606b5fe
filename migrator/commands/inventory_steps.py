"""Re-pointing steps of integrations in the form of a runbook, to be taken into the runbook of the switch after its step P8-020."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from migrator.core.errors import FatalError, ProjectError

_FACT = "users.moved"
"""What a person answers for: of the facts that a runbook knows, the one that a switched integration is about."""
_HEAD = """\
# Steps of a runbook, one for each integration that works today: put them below `steps` and `undo` of the runbook of the
# switch, name who carries them out, and rehearse them. Written from the register of functions.
"""


def write_steps(path: Path, steps: Sequence[Mapping[str, str]]) -> None:
    """Write the steps and what takes them back, whole or not at all."""
    import yaml

    if path.suffix.lower() not in (".yaml", ".yml"):
        raise ProjectError.at(
            "--steps", f"{path.name} is no .yaml file", "name it for example integrations.yaml"
        )
    document = {
        "steps": [_step(number, one) for number, one in enumerate(steps, start=1)],
        "undo": [_undo(number, one) for number, one in enumerate(steps, start=1)],
    }
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    temporary = path.with_name(f".{path.name}.writing")
    try:
        temporary.write_text(_HEAD + text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise FatalError(
            f"cannot write {path}: {error.strerror}", hint="is the folder there and writable?"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _step(number: int, one: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": f"P8-int-{number:02d}",
        "phase": "P8",
        "title": one["title"],
        "owner": "platform-lead",
        "backup_owner": "release-manager",
        "planned": "15m",
        "command": "manual",
        "instructions": _said(one, one["do"], f"Check: {one['verify']}."),
        "form": {_FACT: {"ask": f"Does {one['integration']} work with the new system?", "type": "yes_no"}},
        "verification": _FACT,
        "evidence": {"file": f"integration-{number:02d}.json", "max_age": "12h"},
        "rollback": f"P8-int-{number:02d}-back",
    }


def _undo(number: int, one: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": f"P8-int-{number:02d}-back",
        "title": f"Back: {one['integration']}",
        "owner": "platform-lead",
        "backup_owner": "release-manager",
        "planned": "15m",
        "command": "manual",
        "instructions": f"{one['undo']}.",
    }


def _said(one: Mapping[str, str], *sentences: str) -> str:
    told = [*sentences]
    if one["owner"]:
        told.append(f"Owner in the register: {one['owner']}.")
    if one["when"]:
        told.append(f"Planned for {one['when']}.")
    return " ".join(told)
