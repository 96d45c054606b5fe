"""The gates: what must hold before a group of objects enters a phase, each condition numbered and named.

They are the tool's, not the runbook's: a runbook can ask for more, never for less. Source: cutover.md, sections 2 to 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from migrator.core.phases import Phase
from migrator.runbook.expression import Condition, Finding, evaluate, parse_condition
from migrator.runbook.facts import Facts


class Mode(Enum):
    """Whether a runbook is carried out or rehearsed on copies."""

    REAL = "run"
    REHEARSAL = "rehearsal"


@dataclass(frozen=True, slots=True)
class GateCondition:
    """One condition of a gate."""

    code: str
    """G01, G02, …: never given to another condition."""
    phase: Phase
    """The phase that is entered."""
    name: str
    text: str
    condition: Condition
    why: str
    real_only: bool
    """Whether a rehearsal, which is made before it can hold, is let through without it."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A condition, and what it came to."""

    gate: GateCondition
    finding: Finding
    forced_by: tuple[str, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether it lets the group pass."""
        return self.finding.holds is True or bool(self.forced_by)

    def __str__(self) -> str:
        return f"{self.gate.code} {self.gate.name}: {self.finding.told}; must be {self.gate.text}"


def _gates() -> tuple[GateCondition, ...]:
    p = Phase
    rows: tuple[tuple[str, Phase, str, str, str, bool], ...] = (
        ("G01", p.P1, "mappings without mistakes", "lint.errors == 0", "a mistake would be loaded a million times", False),
        ("G02", p.P1, "permissions complete", "permissions.missing == 0", "a field that cannot be read looks empty", False),
        ("G03", p.P1, "external keys", "external_keys.missing == 0", "without a key a retry makes a second record", False),
        ("G04", p.P1, "automations listed", "automations.listed", "what fires on a load changes what was loaded", True),
        ("G05", p.P1, "quotas sized", "quota.sized", "a budget that ends half-way ends the night", True),
        ("G06", p.P1, "representability of samples", "representability.scan != none", "what the other side cannot hold is found now", True),
        ("G07", p.P1, "dry run clean", "dry_run.refused == 0", "what is going to be refused is known before", False),
        ("G08", p.P1, "duplicates decided", "dedupe.undecided == 0", "the survivor of the load is the one of the sync", False),
        ("G09", p.P1, "duplicate decisions frozen", "dedupe.frozen", "a decision that moves splits records in two", True),
        ("G10", p.P2, "accounting closed", "accounting.closed", "each record is in exactly one class", False),
        ("G11", p.P2, "load complete", "load.pending == 0", "what waits is missing on the new side", False),
        ("G12", p.P2, "watermark before the load", "watermark.before_load", "changes made during the load would be lost", True),
        ("G13", p.P3, "no unexplained mismatch", "unexplained == 0", "older than two runs means it does not heal", False),
        ("G14", p.P4, "seven green nights", "nights.green >= 7", "a week shows what a day hides", True),
        ("G15", p.P4, "no echo", "echo.writes == 0", "an idle run that writes never ends", False),
        ("G16", p.P4, "mapping laws", "laws.broken == 0", "what does not come back changes data on every turn", False),
        ("G17", p.P4, "reverse canary", "canary.result == pass", "nobody wrote to the old side before", False),
        ("G18", p.P4, "brakes armed", "brakes.armed", "a lost permission must not look like a mass delete", False),
        ("G19", p.P5, "fourteen nights both ways", "nights.both_ways >= 14", "conflicts come with working habits", True),
        ("G20", p.P5, "two rehearsals", "rehearsals.counted >= 2", "with this mapping and this tool, timed", True),
        ("G21", p.P5, "rollback drilled", "rollback_drill.done", "a way back nobody went is none", True),
        ("G22", p.P5, "no deferred reference", "deferred_references == 0", "a link that waits at the freeze stays empty", False),
        ("G23", p.P5, "exceptions within the signed limit", "exceptions.count <= exceptions.signed", "more needs a new signature", False),
        ("G24", p.P5, "no old conflict", "conflicts.oldest <= 7d", "a queue that nobody empties is data nobody sees", False),
        ("G25", p.P5, "conflicts owned", "conflicts.unowned == 0", "each field with conflicts has an owner", True),
        ("G26", p.P5, "feed remembers", "feed.age < feed.memory", "after more dark nights the feed has forgotten", False),
        ("G27", p.P5, "full representability scan", "representability.scan == full", "the way back is known to hold every value", True),
        ("G28", p.P6, "frozen", "freeze.active", "an open side never ends", False),
        ("G29", p.P6, "no edit after the freeze", "freeze_proof.foreign_edits == 0", "such an edit reopens the freeze", False),
        ("G30", p.P6, "no delete after the freeze", "freeze_proof.deletes == 0", "stamps do not show deletes", False),
        ("G31", p.P6, "row counts as at the freeze", "freeze_proof.rows_changed == 0", "what no feed tells shows in the count", False),
        ("G32", p.P6, "freeze proof fresh", "freeze_proof.age < 1h", "a proof is of its moment", False),
        ("G33", p.P6, "overlap waited", "freeze.age >= overlap.needed", "a transaction open at the freeze may still commit", False),
        ("G34", p.P7, "two empty pulls", "final_delta.empty_pulls >= 2", "one may be empty by chance", False),
        ("G35", p.P8, "verdict green", "verdict.status == green", "0 unexplained differences in every row and field", False),
        ("G36", p.P8, "verdict fresh", "verdict.age <= 24h", "yesterday's proof is not today's", False),
        ("G37", p.P8, "verdict on this mapping and tool", "verdict.same_mapping", "a changed mapping was not verified", False),
        ("G38", p.P8, "verdict after the final delta", "verdict.after_final_delta", "what came later was not compared", False),
        ("G39", p.P8, "nothing written since the verdict", "verdict.writes_since == 0", "such a write voids it", False),
        ("G40", p.P8, "every object matching", "verdict.not_matching == 0", "pending and suspended are not matching", False),
        ("G41", p.P8, "quota headroom", "quota.headroom >= 20%", "the first day makes more calls than a night", True),
        ("G42", p.P8, "on-call named", "on_call.named", "somebody answers at three in the morning", True),
        ("G43", p.P8, "reverse path proved", "canary.result == pass", "a freeze may have locked the sync out", False),
        ("G44", p.P8, "reverse path proved after the freeze", "canary.after_freeze", "before it the proof shows nothing", False),
        ("G45", p.P8, "fall-back question answered", "fall_back.answered", "whether a way back is wanted is said, not assumed", False),
        ("G46", p.P10, "reverse lag zero", "reverse_lag == 0s", "what has not gone back would be lost", False),
        ("G47", p.P10, "cannot-go-back list accepted", "cannot_go_back.open == 0", "each value has an owner and a decision", False),
        ("G48", p.P4, "old side equals the new one", "reverse.mismatches == 0", "after a rollback nothing may be missing", False),
        ("G49", p.P11, "parallel time over", "switch.age >= parallel.required", "the way back ends here", True),
        ("G50", p.P11, "nobody reads the old side", "old.reads == 0", "an integration was not re-pointed", True),
        ("G51", p.P11, "retention done", "retention.done", "what the law wants kept is kept", True),
        ("G52", p.P11, "erasure done", "erasure.backlog == 0", "nobody who asked to be forgotten is archived", False),
    )  # fmt: skip
    return tuple(
        GateCondition(code, phase, name, text, parse_condition(text), why, real_only)
        for code, phase, name, text, why, real_only in rows
    )


GATES = _gates()
EVERY_PHASE = (
    ("G53", "journal intact", "journal.intact", "evidence in a changed journal proves nothing"),
    ("G54", "parents first", "parents.behind == 0", "a record cannot point to one that is not there yet"),
)
"""What holds for every phase that is entered."""
AFTER_ROLLBACK = frozenset({"G48"})
"""Conditions for P4 when it is entered from P10; the others of P4 are for the way up."""
NEVER_FORCED = frozenset({"G53"})


def gate_of(phase: Phase, came_from: Phase | None, mode: Mode) -> tuple[GateCondition, ...]:
    """The conditions on entering a phase."""
    back = came_from is Phase.P10
    own = [
        gate
        for gate in GATES
        if gate.phase is phase and (phase is not Phase.P4 or (gate.code in AFTER_ROLLBACK) is back)
    ]
    always = [
        GateCondition(code, phase, name, text, parse_condition(text), why, real_only=False)
        for code, name, text, why in EVERY_PHASE
    ]
    return tuple(gate for gate in (*always, *own) if mode is Mode.REAL or not gate.real_only)


def judge(gates: tuple[GateCondition, ...], facts: Facts, group: str) -> tuple[Judged, ...]:
    """What each condition comes to; all are judged, so that everything that is missing is told at once."""
    return tuple(Judged(gate, evaluate(gate.condition, facts, group)) for gate in gates)
