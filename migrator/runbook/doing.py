"""The verbs of runbooks, done with the toolkit's own commands: what each establishes as facts, and keeps as evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from migrator.commands import steps
from migrator.commands.audit import audit_head, audit_verify
from migrator.commands.project import Project
from migrator.commands.sync import OpenSide
from migrator.commands.sync_sides import open_side
from migrator.core.clock import Clock
from migrator.core.errors import DataError, ProjectError
from migrator.core.progress import Progress, Quiet
from migrator.runbook.execute import Doing, Outcome
from migrator.runbook.facts import Value
from migrator.runbook.verbs import Call
from migrator.staging.accounting import Accounting

QUIET = Quiet()
MOST_PULLS = 50
"""Pulls of a final delta before it is told that the changes do not end."""


@dataclass(frozen=True, slots=True)
class Place:
    """The project that verbs work on."""

    project: Project
    clock: Clock
    production: str = ""
    """The production system that a person named."""
    progress: Progress = QUIET
    open_system: OpenSide = open_side
    """How a system is opened for the sync."""
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Group → its mappings, for groups that have mappings of their own."""
    moving: tuple[str, ...] = ()
    """The groups that the verb is about."""

    @property
    def objects(self) -> tuple[str, ...]:
        """The mappings that the verb is about; () for all."""
        named = [self.groups.get(group, ()) for group in self.moving]
        return tuple(dict.fromkeys(name for one in named for name in one)) if named and all(named) else ()


def project_verbs(place: Place) -> dict[str, Doing]:
    """Every verb that works on a project."""
    from migrator.runbook import backup, canary, evening, syncing

    table: Mapping[str, Callable[[Place, Sequence[str]], Outcome]] = {
        "check": _check,
        "profile": _profile,
        "extract": partial(_steps, steps.extract),
        "map": partial(_steps, steps.map_records),
        "dedupe": _dedupe,
        "plan": _plan,
        "load": _load,
        "run": _run,
        "validate": _validate,
        "status": _status,
        "audit verify": _audit_verify,
        "audit head": _audit_head,
        "runbook backup": backup.back_up,
        "runbook canary": canary.canary,
        "runbook freeze-proof": evening.freeze_proof,
        "runbook final-delta": evening.final_delta,
        "runbook verdict": evening.verdict,
        "runbook trace": syncing.trace,
        "sync once": syncing.sync_once,
        "sync reconcile": syncing.sync_reconcile,
        "sync check": syncing.sync_check,
    }
    return {name: partial(_called, place, verb) for name, verb in table.items()}


def _called(
    place: Place, verb: Callable[[Place, Sequence[str]], Outcome], call: Call, groups: Sequence[str]
) -> Outcome:  # fmt: skip
    return verb(replace(place, moving=tuple(groups)), call.arguments)


def options(arguments: Sequence[str], known: Mapping[str, str]) -> dict[str, str]:
    """`--name value` pairs of a verb over their defaults; raises `ProjectError` for others."""
    found = dict(known)
    words = list(arguments)
    while words:
        name = words.pop(0).removeprefix("--")
        if name not in known or not words:
            raise ProjectError.at(
                " ".join(arguments), f"--{name} is not an option here", f"known: {', '.join(known)}"
            )
        found[name] = words.pop(0)
    return found


def own_part(found: Accounting, objects: Sequence[str]) -> Accounting:
    """The equations of these mappings; all of them for ()."""
    return Accounting(tuple(item for item in found.objects if item.name in objects)) if objects else found


def accounting_facts(found: Accounting) -> dict[str, Value]:
    """What the equations say."""
    held = sum(item.counts.get(name, 0) for item in found.objects for name in ("quarantined", "pending"))
    pending = sum(
        number
        for item in found.objects
        for rule, number in item.reasons.get("pending", {}).items()
        if rule.startswith("not-")
    )
    return {
        "accounting.closed": found.closed, "load.pending": float(pending), "load.held": float(found.held),
        "exceptions.count": float(held - pending),
    }  # fmt: skip


def _check(place: Place, _: Sequence[str]) -> Outcome:
    from migrator.commands.check import check

    try:
        report = check(place.project)
    except ProjectError as error:
        return Outcome(
            {"lint.errors": float(len(error.problems))}, {"problems": [str(item) for item in error.problems]}
        )
    facts: dict[str, Value] = {
        "lint.errors": 0.0, "lint.warnings": float(len(report.warnings)), "external_keys.missing": 0.0
    }  # fmt: skip
    return Outcome(facts, report.to_json())


def _profile(place: Place, _: Sequence[str]) -> Outcome:
    from migrator.commands.inspect import profile

    found = profile(place.project, ())
    return Outcome({"profile.objects": float(len(found))}, {"objects": [item.to_json() for item in found]})


def _steps(call: Callable[..., list[steps.StepLine]], place: Place, _: Sequence[str]) -> Outcome:
    lines = call(place.project, (), place.progress)
    return Outcome(document={"steps": [line.to_json() for line in lines]})


def _dedupe(place: Place, _: Sequence[str]) -> Outcome:
    lines = steps.dedupe(place.project, (), place.progress)
    waiting = sum(int(line.detail["bands"].get("review", 0)) for line in lines)
    return Outcome({"dedupe.undecided": float(waiting)}, {"steps": [line.to_json() for line in lines]})


def _plan(place: Place, _: Sequence[str]) -> Outcome:
    from migrator.commands.planning import plan

    document = plan(place.project).to_json()
    refused = sum(_refused(item) for item in document["objects"].values())
    return Outcome({"dry_run.refused": float(refused)}, document)


def _refused(planned: Mapping[str, Any]) -> int:
    """Records that break a rule of the target, as its schema stands."""
    return sum(int(rule["records"]) for rule in planned["breaks_rules_of_the_target"])


def _load(place: Place, _: Sequence[str]) -> Outcome:
    from migrator.commands.inspect import status

    report = steps.load(place.project, place.progress, place.production)
    found = own_part(status(place.project), place.objects)
    return Outcome(accounting_facts(found), {"load": report.to_json(), **found.to_json()})


def _run(place: Place, _: Sequence[str]) -> Outcome:
    found = steps.run(place.project, place.progress, place.production)
    return Outcome(
        accounting_facts(found.accounting), {"load": found.load.to_json(), **found.accounting.to_json()}
    )


def _validate(place: Place, _: Sequence[str]) -> Outcome:
    from migrator.commands.validate import validate

    found = validate(place.project, progress=place.progress)
    if not found.holds:
        raise DataError("the target does not hold what it should", hint=f"read {found.html}")
    return Outcome(document=found.to_json())


def _status(place: Place, _: Sequence[str]) -> Outcome:
    """The equation of all objects; what stays behind is counted over the load and the sync."""
    from migrator.commands.inspect import status
    from migrator.runbook.syncing import given_up

    found = status(place.project)
    found = own_part(found, place.objects)
    facts, left = accounting_facts(found), given_up(place.project, place.objects)
    facts["exceptions.count"] = float(facts["exceptions.count"]) + left
    return Outcome(facts, {**found.to_json(), "given_up_by_the_sync": left})


def _audit_verify(place: Place, _: Sequence[str]) -> Outcome:
    found = audit_verify(place.project)
    found.raise_unless_it_holds()
    return Outcome(document=found.to_json())


def _audit_head(place: Place, _: Sequence[str]) -> Outcome:
    return Outcome(document=audit_head(place.project).to_json())
