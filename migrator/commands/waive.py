"""Leaving quarantined records behind on purpose: a decision with a name, a reason and a date, and taking it back."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from migrator.commands.binding import bind_project
from migrator.commands.inspect import looking
from migrator.commands.project import Project, work_on
from migrator.commands.quarantine import Wanted
from migrator.commands.target import flat
from migrator.core.errors import ProjectError
from migrator.core.quarantine import State
from migrator.staging.accounting import account
from migrator.staging.quarantine import EVERYTHING, chosen
from migrator.staging.waivers import Decision, Verdict, decide, decisions


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision, and what is left to decide."""

    decision: Decision
    left: int
    """Quarantined records that nobody has decided about."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"decision": self.decision.to_json(), "left": self.left}


def waive(
    project: Project, wanted: Wanted, *, who: str, reason: str, verdict: Verdict = Verdict.WAIVED
) -> Decided:
    """Put on record that the complaints asked for may stand, or no longer may; raises `ProjectError` when there are none."""
    for option, text in (("--by", who), ("--reason", reason)):
        if not text.strip():
            raise ProjectError.at(
                option, "is empty", "a decision is worth as much as the name and the reason under it"
            )
    before = State.OPEN if verdict is Verdict.WAIVED else State.WAIVED
    with (
        work_on(project, f"quarantine {verdict.value}") as workspace,
        closing(workspace.session()) as session,
    ):
        known = flat(bind_project(workspace).groups)
        only = wanted.filter(known)
        if only == EVERYTHING:
            raise ProjectError.at(
                "quarantine waive", "this would be about everything in quarantine",
                "say what it is about: --object, --rule, --field, --record, --system, --since or --run",
            )  # fmt: skip
        only = replace(only, state=before)
        marks = {
            item.name: f"SELECT mark FROM ({chosen(workspace.store, session, item, only)})"
            for item in known
            if only.objects is None or item.name in only.objects
        }
        found = {name: sql for name, sql in marks.items() if session.fetch(f"{sql} LIMIT 1").num_rows}
        if not found:
            raise ProjectError.at(
                "quarantine waive",
                f"nothing {before.value} in quarantine is like that",
                "see: migrator quarantine list",
            )
        decision = decide(
            workspace.store, session, found, verdict=verdict, who=who.strip(), reason=reason.strip(),
            filters=wanted.filter(known).to_json(),
        )  # fmt: skip
        accounts = account(workspace.store, session, known).objects
    return Decided(decision, sum(item.counts["quarantined"] - item.waived.quarantined for item in accounts))


def list_decisions(project: Project) -> list[Decision]:
    """Every decision there was, the oldest first."""
    with looking(project) as (workspace, _, _):
        return decisions(workspace.ledger)
