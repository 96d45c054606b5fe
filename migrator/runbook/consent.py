"""What people put their names to: the approval of a step, and one of two names that pass over a condition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from migrator import __version__
from migrator.commands.project import Project, open_workspace
from migrator.core.document import did_you_mean
from migrator.core.errors import ProjectError
from migrator.runbook.approvals import holds_role
from migrator.runbook.durations import seconds, spoken
from migrator.runbook.gates import EVERY_PHASE, GATES, NEVER_FORCED
from migrator.runbook.parse import Placed, Runbook
from migrator.runbook.record import APPROVAL, FORCE, Footing, approve
from migrator.runbook.shelf import find_book, mapping_digest


def sign(
    project: Project, name: str, *, step: str, person: str, role: str, valid: str = ""
) -> dict[str, Any]:
    """Approve one step; raises `ProjectError` when the step wants no approval, or not from this person in this role."""
    book = find_book(project.folder, name)
    placed = _step(book, step)
    wanted = placed.step.approvals
    if wanted is None:
        raise ProjectError.at("--step", f"{step} wants no approval", "see: migrator runbook show")
    if role not in wanted.of:
        raise ProjectError.at(
            "--role", f"{role!r} does not approve {step}", f"one of: {', '.join(wanted.of)}"
        )
    _refuse_stranger(book, person, role)
    lasts = _lasting(valid, wanted.valid)
    with open_workspace(project) as workspace:
        plan = footing_of(project, book).plan
        approve(workspace.ledger, APPROVAL, plan=plan, step=step, name=person.strip(), role=role, valid=lasts)
    return {"step": step, "plan": plan, "name": person, "role": role, "valid_for": spoken(lasts)}


def force(
    project: Project, name: str, *, condition: str, group: str, person: str, role: str, reason: str, valid: str = ""
) -> dict[str, Any]:  # fmt: skip
    """One of the two names that it takes to pass a condition that does not hold."""
    book = find_book(project.folder, name)
    codes = {gate.code for gate in GATES} | {row[0] for row in EVERY_PHASE}
    if condition not in codes:
        raise ProjectError.at(
            "--condition", f"there is no condition {condition!r}", did_you_mean(condition, codes)
        )
    if condition in NEVER_FORCED:
        raise ProjectError.at("--condition", f"{condition} is never passed over", "mend it")
    if not reason.strip():
        raise ProjectError.at("--reason", "is empty", "it stays on record with your name")
    _refuse_stranger(book, person, role)
    lasts = _lasting(valid, 86_400.0)
    with open_workspace(project) as workspace:
        plan = footing_of(project, book).plan
        approve(
            workspace.ledger, FORCE, plan=plan, step=condition, name=person.strip(), role=role, valid=lasts,
            reason=reason.strip(), group=group,
        )  # fmt: skip
    return {"condition": condition, "plan": plan, "name": person, "role": role, "valid_for": spoken(lasts)}


def _step(book: Runbook, name: str) -> Placed:
    known: Sequence[str] = [placed.id for placed in book.steps]
    for placed in book.steps:
        if placed.id == name:
            return placed
    raise ProjectError.at(
        "--step", f"{book.name} has no step {name!r}", did_you_mean(name, known, noun="steps")
    )


def _refuse_stranger(book: Runbook, person: str, role: str) -> None:
    known = book.rule.roles.get(role)
    if known is None:
        raise ProjectError.at("--role", f"there is no role {role!r}", did_you_mean(role, book.rule.roles))
    if not holds_role(person, role, book.rule.roles):
        holders = " and ".join(name for name in (known.owner, known.backup) if name) or "nobody yet"
        raise ProjectError.at(
            "--name", f"{person!r} does not hold the role {role}", f"it is held by {holders}"
        )


def _lasting(text: str, usual: float) -> float:
    if not text:
        return usual
    try:
        return seconds(text)
    except ValueError:
        raise ProjectError.at("--valid", f"{text!r} is not a time", "for example 12h") from None


def footing_of(project: Project, book: Runbook) -> Footing:
    """What a plan stands on: this file, the project's mappings, this tool."""
    return Footing(book.content, mapping_digest(project), __version__)
