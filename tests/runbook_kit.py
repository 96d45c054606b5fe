"""A world for runbooks without any system behind it: facts, verbs and people are tables that a test may change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import yaml

from migrator.core.clock import FixedClock
from migrator.core.document import Document
from migrator.core.errors import SafetyStop
from migrator.core.phases import Phase
from migrator.runbook.execute import Hands, Outcome
from migrator.runbook.facts import Value
from migrator.runbook.gates import Mode
from migrator.runbook.parse import Placed, Runbook, parse_runbook
from migrator.runbook.record import APPROVAL, approve
from migrator.runbook.run import Runner
from migrator.runbook.verbs import VERBS, Call
from migrator.runbook.world import World
from migrator.staging.ledger import Ledger, open_ledger
from migrator.staging.phases import put_in_phase

RUNBOOKS = Path(__file__).resolve().parents[1] / "runbooks"
NIGHT = datetime(2026, 3, 6, 20, 0, tzinfo=UTC)
PEOPLE = {
    "cutover-lead": ("Cora", "Cai"), "sync-lead": ("Sami", "Su"), "platform-lead": ("Pia", "Pu"),
    "data-owner": ("Dora", "Du"), "crm-owner": ("Wang Fang", "Ola"), "release-manager": ("Rick", "Ru"),
    "privacy-officer": ("Petra", "Pan"), "unit-owner": ("Uma", "Ulf"), "support-lead": ("Sven", "Sol"),
    "migration-lead": ("Mia", "Max"),
}  # fmt: skip
GOOD: Mapping[str, Value] = {
    "lint.errors": 0.0, "permissions.missing": 0.0, "external_keys.missing": 0.0, "automations.listed": True,
    "quota.sized": True, "representability.scan": "full", "dry_run.refused": 0.0, "dedupe.undecided": 0.0,
    "dedupe.frozen": True, "accounting.closed": True, "load.pending": 0.0, "watermark.before_load": True,
    "unexplained": 0.0, "lag": 5.0, "nights.green": 9.0, "echo.writes": 0.0, "laws.broken": 0.0, "brakes.armed": True,
    "nights.both_ways": 15.0, "deferred_references": 0.0, "exceptions.count": 0.0, "conflicts.oldest": 3600.0,
    "conflicts.unowned": 0.0, "feed.age": 60.0, "feed.memory": 604800.0, "overlap.needed": 600.0,
    "verdict.writes_since": 0.0, "verdict.not_matching": 0.0, "reverse_lag": 0.0, "reverse.mismatches": 0.0,
    "cannot_go_back.open": 0.0, "erasure.backlog": 0.0, "profile.objects": 4.0,
}  # fmt: skip
"""What is asked of a world in which everything is well, as far as no step establishes it."""
ESTABLISHED: Mapping[str, Mapping[str, Value]] = {
    "runbook backup": {"backup.done": True},
    "runbook freeze-proof": {"freeze_proof.foreign_edits": 0.0, "freeze_proof.deletes": 0.0, "freeze_proof.rows_changed": 0.0},
    "runbook final-delta": {"final_delta.empty_pulls": 2.0},
    "runbook verdict": {"verdict.status": "green"},
    "runbook canary": {"canary.result": "pass"},
    "runbook trace": {"first_edits.lost": 0.0, "first_edits.traced": 100.0},
}  # fmt: skip
ANSWERS: Mapping[str, Value] = {
    "business.go": True, "on_call.named": True, "quota.headroom": 60.0, "freeze.active": True,
    "integration.can_write": True, "records_seen": 40.0, "wave.accepted": True, "users.moved": True,
    "references.across": 0.0, "training.done": True, "support.ready": True, "rule": "owner.unit = north",
    "old.reads": 0.0, "retention.done": True, "archive.readable": True, "keys.destroyed": True,
}  # fmt: skip
_UNFREEZE = ("P5-920", "W-920", "P10-020", "P9-990")


@dataclass
class Scene:
    """One ledger, one night; everything in it may be changed by a test."""

    ledger: Ledger
    folder: Path
    clock: FixedClock
    facts: dict[str, Value | None] = field(default_factory=lambda: dict(GOOD))
    established: dict[str, Mapping[str, Value]] = field(default_factory=lambda: dict(ESTABLISHED))
    answers: dict[str, Value] = field(default_factory=lambda: dict(ANSWERS))
    operator: str = "Oscar"
    mode: Mode = Mode.REAL
    mapping: str = "mapping-1"
    takes: float = 60.0
    """Seconds that each verb takes."""
    called: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    said: list[tuple[str, str]] = field(default_factory=list)
    before: Callable[[str], None] = str
    """Is told the name of every verb and step before it is done; may raise."""

    def value(self, name: str, group: str) -> Value | None:  # noqa: ARG002 (the protocol)
        """The facts of this scene."""
        return self.facts.get(name)

    def do(self, call: Call, groups: Sequence[str]) -> Outcome:  # noqa: ARG002 (the protocol)
        """Every verb."""
        self.before(call.verb.name)
        self.called.append(call.verb.name)
        self.clock.sleep(self.takes)
        return Outcome(self.established.get(call.verb.name, {}), {"verb": call.verb.name})

    def answers_to(self, placed: Placed) -> tuple[str, Mapping[str, Value]]:
        """What people answer."""
        self.before(placed.id)
        self.asked.append(placed.id)
        self.clock.sleep(self.takes)
        given = {name: self.answers.get(name, "said") for name in placed.rule.form}
        if placed.rule.id in _UNFREEZE:
            given["freeze.active"] = False
        return "Pia", given

    def runner(self, book: Runbook) -> Runner:
        """A runner of this scene."""
        hands = Hands(dict.fromkeys(VERBS, self.do), _People(self), self.clock, self.folder)
        return Runner(
            book,
            World(
                self.ledger, hands, self.operator, self.mode, self.folder / "evidence", self.mapping, self,
                tell=lambda step, text: self.said.append((step, text)),
            ),
        )  # fmt: skip

    def approve(self, book: Runbook, valid: float = 864_000.0) -> None:
        """As many approvals as every step wants."""
        plan = self.runner(book).footing.plan
        for placed in book.steps:
            wanted = placed.step.approvals
            for role in wanted.of[: wanted.need] if wanted else ():
                approve(
                    self.ledger,
                    APPROVAL,
                    plan=plan,
                    step=placed.id,
                    name=PEOPLE[role][0],
                    role=role,
                    valid=valid,
                )

    def put(self, group: str, *phases: Phase) -> None:
        """Take a group through phases, past the gates."""
        before: Phase | None = None
        with self.ledger.begin() as connection:
            for phase in phases:
                put_in_phase(
                    connection, group, phase, came_from=before, plan="", at=self.clock.now(), told={}
                )
                before = phase

    def rehearsed(self, book: Runbook, times: int = 2) -> None:
        """Rehearsals and a drill of this very plan on record."""
        from migrator.runbook.record import REHEARSAL, write

        footing = self.runner(book).footing
        for drill in [False] * times + [True]:
            write(
                self.ledger, REHEARSAL,
                {"book": book.name, "content": footing.content, "basis": footing.basis, "ended": "done", "steps": {},
                 "drill": drill},
            )  # fmt: skip


@dataclass
class _People:
    scene: Scene

    def answers(self, placed: Placed) -> tuple[str, Mapping[str, Value]]:
        return self.scene.answers_to(placed)


class Nobody:
    """Nobody is there to be asked."""

    def answers(self, placed: Placed) -> tuple[str, Mapping[str, Value]]:
        """Raises always."""
        raise SafetyStop(f"{placed.id} waits for a person")


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    """A scene with an empty ledger."""
    clock = FixedClock(NIGHT)
    ledger = open_ledger(f"sqlite:///{folder / 'ledger.db'}", clock)
    # tests need no data after a power cut
    sa.event.listen(ledger.engine, "connect", lambda found, _: found.execute("PRAGMA synchronous = OFF"))
    ledger.engine.dispose()
    try:
        yield Scene(ledger, folder, clock)
    finally:
        ledger.close()


def shipped(name: str, **changed: Any) -> Runbook:
    """A shipped runbook with its roles filled in, and keys of its header changed."""
    return made(_filled(name) | changed) if changed else _shipped(name)


@cache
def _shipped(name: str) -> Runbook:
    return made(_filled(name))


def _filled(name: str) -> dict[str, Any]:
    data: Any = Document.read(RUNBOOKS / f"{name}.yaml").texts()
    for role, rule in data["roles"].items():
        rule |= dict(zip(("owner", "backup"), PEOPLE[role], strict=True))
    return dict(data)


def made(data: Mapping[str, Any]) -> Runbook:
    """A runbook from its data."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text = yaml.dump(dict(data), Dumper=dumper, sort_keys=False, allow_unicode=True)
    return parse_runbook(Document(text, "book.yaml"))
