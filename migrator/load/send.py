"""One batch to the target and its answers back: every answer matched by key, nothing assumed, all of it fit for the record."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from migrator.core.connector import Target
from migrator.core.errors import MigratorError, RetryableError, SafetyStop
from migrator.core.mapped import MappedObject
from migrator.core.retry import PATIENT, RetryPolicy, nobody
from migrator.load.calls import Answered, Verb, Way, Writing
from migrator.load.isolate import Health
from migrator.load.lanes import Lanes
from migrator.load.outbound import TARGET_KEY
from migrator.staging import columns
from migrator.staging.ledger import Ledger

_WRITTEN = ("created", "updated", "unchanged")
FRESH = 3.0
"""Seconds for which a renewed lease is not renewed again; a small part of how long it lasts."""
_chance = random.SystemRandom().random


class Interrupted(Exception):
    """A batch that could not be sent whole: what was answered of it, for the record, and the error that ended it."""

    def __init__(self, recorded: pa.Table, error: MigratorError) -> None:
        super().__init__(str(error))
        self.recorded, self.error = recorded, error


class Permission:
    """The right to write, which the lease gives. Asked for before every call, but a fresh answer is not doubted:

    a lease that was just renewed cannot have been taken over, and renewing it is a write that calls would wait for.
    """

    def __init__(self, ledger: Ledger, fence: int) -> None:
        self._ledger, self._fence = ledger, fence
        self._answered: tuple[float, datetime] | None = None

    def ask(self) -> None:
        """Raises `SafetyStop` when somebody else took over."""
        clock = self._ledger.clock
        now = clock.monotonic(), clock.now()
        # a machine that slept shows it on its calendar, one whose calendar was set on its monotonic clock
        if self._answered is not None:
            passed = now[0] - self._answered[0], (now[1] - self._answered[1]).total_seconds()
            if all(0 <= seconds < FRESH for seconds in passed):
                return
        self._ledger.renew_lease(self._fence)
        self._answered = now


@dataclass(frozen=True, slots=True)
class Sender:
    """A target, how patiently it is asked, and the lease under which that is allowed."""

    target: Target
    ledger: Ledger
    fence: int
    policy: RetryPolicy = PATIENT
    lanes: Lanes = field(default_factory=Lanes)
    """How many calls may be in flight at once."""
    chance: Callable[[], float] = _chance
    again: Callable[[RetryableError, float], None] = nobody
    """Is told of every call that is tried again."""
    _way: Way = field(init=False)

    def __post_init__(self) -> None:
        way = Way(
            self.target, self.policy, self.ledger.clock, self.chance, self.lanes, Health(),
            Permission(self.ledger, self.fence).ask, self.again,
        )  # fmt: skip
        object.__setattr__(self, "_way", way)

    def upsert(self, obj: MappedObject, rows: pa.Table) -> pa.Table:
        """Send rows of OUTBOUND; returns rows of `columns.CROSSWALK`, one for each row sent.

        Raises `SafetyStop` when the answers are not one per key, and `Interrupted` when patience is at its end.
        """
        told = self._write(obj, rows, Verb.UPSERT)
        rows, answers = told.rows, told.answers
        outcome = answers.column("outcome")
        _check_words(obj, outcome, {*_WRITTEN, "refused"})
        refused = pc.equal(outcome, "refused")
        keys = rows.column(TARGET_KEY)
        assigned = answers.column("target_id") if self.target.facts.assigns_ids else keys
        if (
            self.target.facts.assigns_ids
            and pc.any(pc.and_(pc.is_null(assigned), pc.invert(refused))).as_py()
        ):
            raise SafetyStop(
                f"{obj.target_object}: the target wrote a record and did not say its id",
                hint="links to it could not be set: this is a fault of the connector",
            )
        key, target_id = pc.if_else(refused, None, keys), pc.if_else(refused, None, assigned)
        return _whole(told, self._recorded(rows, answers, outcome, key, target_id))

    def update(self, obj: MappedObject, rows: pa.Table) -> pa.Table:
        """Set the deferred links in `rows` (LINKS columns); returns rows of `columns.CROSSWALK`.

        A record that is gone from the target is a refusal with the code 'missing'.
        """
        sent = self._write(obj, rows, Verb.UPDATE)
        rows, answers = sent.rows, sent.answers
        outcome = answers.column("outcome")
        _check_words(obj, outcome, {*_WRITTEN, "missing", "refused"})
        missing = pc.equal(outcome, "missing")
        told = pc.if_else(missing, "refused", outcome)
        answers = _with(answers, code=pc.if_else(missing, "missing", answers.column("code")))
        lost = "the record was loaded, but it is not in the target any more"
        answers = _with(answers, message=pc.if_else(missing, lost, answers.column("message")))
        return _whole(sent, self._recorded(rows, answers, told, rows.column(TARGET_KEY), None))

    def fetch(self, obj: MappedObject, keys: Sequence[str], names: Sequence[str]) -> pa.Table:
        """What the target holds now under these external keys, the columns `names`; no row where there is no record."""
        size = self.target.facts.batch_rows
        pieces = [keys[start : start + size] for start in range(0, len(keys), size) or (0,)]
        fetch = partial(self.target.fetch, obj.target_object, key=obj.key, columns=names)
        return pa.concat_tables(self.lanes.all(lambda piece: self.patiently(partial(fetch, piece)), pieces))

    def change(self, obj: MappedObject, rows: pa.Table) -> pa.Table:
        """Set the columns given on records that exist; the target's own answers, one per key."""
        return self._answers(obj, rows, Verb.UPDATE)

    def delete(self, obj: MappedObject, keys: pa.ChunkedArray) -> pa.Table:
        """Delete by external key; the target's own answers, one per key. What is not there answers 'missing'."""
        return self._answers(obj, pa.table({TARGET_KEY: keys, obj.key: keys}), Verb.DELETE)

    def patiently(self, attempt: Callable[[], Any]) -> Any:
        """The answer of an idempotent call to the target; before each try the lease is renewed, or the work stops."""
        return self._way.patiently(attempt)

    def _write(self, obj: MappedObject, rows: pa.Table, verb: Verb) -> Answered:
        return Writing(self._way, obj, verb).write(rows)

    def _answers(self, obj: MappedObject, rows: pa.Table, verb: Verb) -> pa.Table:
        """All or nothing, in the order of the rows."""
        told = self._write(obj, rows, verb)
        if told.error is not None:
            raise told.error
        return told.answers

    def _recorded(
        self, rows: pa.Table, answers: pa.Table, outcome: pa.ChunkedArray, key: Any, target_id: Any
    ) -> pa.Table:
        size = rows.num_rows
        nothing = pa.nulls(size, pa.string())
        code = pc.if_else(pc.equal(outcome, "refused"), pc.coalesce(answers.column("code"), "refused"), None)
        at = pa.array([self.ledger.clock.now()] * size, pa.timestamp("us", tz="UTC"))
        made = {
            columns.ID: rows.column(columns.ID),
            "target_key": key,
            "target_id": nothing if target_id is None else target_id,
            columns.FINGERPRINT: rows.column(columns.FINGERPRINT),
            "outcome": outcome,
            "code": code,
            "field": answers.column("field"),
            "message": answers.column("message"),
            columns.BATCH: rows.column(columns.BATCH),
            "run": pa.array([self.ledger.run] * size, pa.string()),
            "at": at,
            "links": rows.column("__links") if "__links" in rows.column_names else nothing,
        }
        return pa.table({name: made[name] for name in columns.CROSSWALK.names}).cast(columns.CROSSWALK)


def _whole(told: Answered, recorded: pa.Table) -> pa.Table:
    if told.error is not None:
        raise Interrupted(recorded, told.error) from told.error
    return recorded


def _check_words(obj: MappedObject, outcome: pa.ChunkedArray, known: set[str]) -> None:
    strange = sorted(set(pc.unique(outcome).to_pylist()) - known)
    if strange:
        raise SafetyStop(
            f"{obj.target_object}: the target answered with an outcome nobody knows: {', '.join(strange)}",
            hint=f"known are {', '.join(sorted(known))}: this is a fault of the connector",
        )


def _with(rows: pa.Table, **changed: Any) -> pa.Table:
    for name, values in changed.items():
        rows = rows.set_column(rows.column_names.index(name), name, values)
    return rows
