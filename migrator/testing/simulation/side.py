"""A simulated system behind the `Side` contract: every call takes time, may fail in every way, and shows only what the login may see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from migrator.core.errors import FatalError, RetryableError, WatermarkExpired
from migrator.core.schema import ObjectSchema
from migrator.core.twoway import (
    Answer,
    CompareAndSet,
    Create,
    Delete,
    Evidence,
    EvidenceKind,
    FeedPage,
    Outcome,
    Record,
    ScanPage,
    SideFacts,
    Update,
)  # fmt: skip
from migrator.testing.simulation.crm import DAY, Row
from migrator.testing.simulation.faults import Mishap
from migrator.testing.simulation.history import Actor
from migrator.testing.simulation.shape import OLD, SHAPES, Kind, Value, shape_of
from migrator.testing.simulation.traffic import Traffic, Watcher
from migrator.testing.simulation.translate import schema_of
from migrator.testing.simulation.view import View
from migrator.testing.simulation.world import World

RowT = TypeVar("RowT")
_WRITTEN = frozenset({Outcome.CREATED, Outcome.UPDATED, Outcome.DELETED})
LOCKED, POISONED = "UNABLE_TO_LOCK_ROW", "FIELD_CUSTOM_VALIDATION_EXCEPTION"


class SimSide:
    """See `migrator.core.twoway.Side`."""

    def __init__(self, world: World, side: str, watcher: Watcher, at_call: Callable[[str], None]) -> None:
        self.world, self.side, self.crm, self._watcher = world, side, world.crms[side], watcher
        self.view = View(world, side)
        self.traffic = Traffic()
        self._at_call = at_call
        """Called before a call is sent and after it took effect: where a process may be killed."""
        self.expired_login = False

    @property
    def facts(self) -> SideFacts:
        """What this system declares."""
        traits = self.crm.traits
        return SideFacts(
            cas=CompareAndSet(traits.cas),
            conditional_deletes=traits.conditional_deletes,
            unique_key=traits.unique_key,
            post_image=traits.post_image,
            feed_memory=traits.memory,
            longest_transaction=traits.longest_transaction,
            index_lag=traits.index_lag,
            skew=traits.skew,
            page_rows=traits.page_rows,
            batch_rows=traits.batch_rows,
            evidence=frozenset(EvidenceKind),
            marker=True,
            lock_codes=frozenset({LOCKED}),
        )

    def describe(self) -> Sequence[ObjectSchema]:
        """Schemas as this login may see them, drifted as they are now."""
        self._call("describe", "read")
        return [self._schema(shape.object(self.side)) for shape in SHAPES]

    def _schema(self, object_name: str) -> ObjectSchema:
        hidden = [name for of, name in self.world.screens[self.side].fields if of == object_name]
        plain = schema_of(self.side, shape_of(self.side, object_name), without=hidden)
        return self.world.drifted(self.side, plain)

    def server_time(self) -> datetime:
        """The clock of this system."""
        self._call("server_time", "read")
        return self.view.time(self.crm.clock)

    def changes(self, object_name: str, since: str | None, overlap: float) -> Iterator[FeedPage]:
        """The feed, in pages; a truncated one ends without watermark."""
        mishap = self._call("changes", "feed")
        start = self.crm.clock
        token = f"{start:.0f}/{self.world.now:.0f}"
        if since is None:
            yield FeedPage(watermark=token)
            return
        stamp, moment = (float(part) for part in since.split("/"))
        if mishap is Mishap.EXPIRED or self.world.now - moment > self.crm.traits.memory:
            raise WatermarkExpired(f"{object_name}: the feed no longer knows what changed since {since}")
        rows = self.view.listed(object_name, stamp - overlap)
        proofs = self.view.proofs(object_name, stamp - overlap)
        size = self.crm.traits.page_rows
        for at in range(0, max(len(rows), 1), size):
            last = at + size >= len(rows)
            if at:
                mishap = self._call("changes", "feed")
            if mishap is Mishap.TRUNCATED:
                yield FeedPage(self.view.feed(rows[at : at + size // 2]))
                return
            shown = rows[at : at + size]
            if self.world.faults.happens("duplicated"):
                shown = shown + shown[:3]
            evidence = tuple(self.view.evidence(proof) for proof in proofs) if last else ()
            self._watcher.proven(self.side, evidence)
            yield FeedPage(self.view.feed(shown), evidence, token if last else None)

    def scan(self, object_name: str, fields: Sequence[str]) -> Iterator[ScanPage]:
        """All rows the login may see, in pages by id.

        No reading that is decided from: a full comparison "marks every id not in the crosswalk and every known id not listed
        as dirty" (section 10), and a decision is made "from current native values and bases only" (3).
        """
        rows = sorted(self.view.visible(object_name), key=lambda row: row.id)
        size = self.crm.traits.page_rows * 10
        for at in range(0, max(len(rows), 1), size):
            mishap = self._call("scan", "list")
            shown = [row for row in rows[at : at + size] if row.alive]
            if mishap is Mishap.TRUNCATED:
                yield ScanPage(self.view.columns(object_name, shown[: len(shown) // 2], fields))
                return
            yield ScanPage(self.view.columns(object_name, shown, fields), last=at + size >= len(rows))

    def fetch(self, object_name: str, ids: Sequence[str], fields: Sequence[str]) -> Sequence[Record]:
        """Rows by id; what is hidden or gone is left out."""
        self._call("fetch", "read")
        rows = [self.crm.by_object[object_name].get(id_) for id_ in ids]
        return self._given([row for row in rows if row is not None and not self.view.hidden(row)], fields)

    def evidence(self, object_name: str, ids: Sequence[str]) -> Sequence[Evidence]:
        """The recycle bin and the delete log, for these ids."""
        self._call("evidence", "read")
        wanted = frozenset(ids)
        proofs = self.view.proofs(object_name, 0.0)
        found = [self.view.evidence(proof) for proof in proofs if proof.id in wanted]
        self._watcher.proven(self.side, found)
        return self._shuffled(found)

    def find(
        self, object_name: str, key_field: str, keys: Sequence[str], fields: Sequence[str]
    ) -> Sequence[Record]:
        """Rows by external key; hidden ones are not found."""
        self._call("find", "read")
        rows = [self.crm.holder(object_name, key) for key in keys]
        return self._given(
            [row for row in rows if row is not None and not self.view.hidden(row)], fields, key_field
        )

    def create(self, object_name: str, key_field: str, rows: Sequence[Create]) -> Sequence[Answer]:
        """New rows with their keys."""
        return self._write("create", rows, lambda row: self._create(object_name, key_field, row))

    def update(self, object_name: str, rows: Sequence[Update]) -> Sequence[Answer]:
        """Changed fields."""
        return self._write("update", rows, lambda row: self._update(object_name, row))

    def delete(self, object_name: str, rows: Sequence[Delete]) -> Sequence[Answer]:
        """Deletes, into the bin."""
        return self._write("delete", rows, lambda row: self._delete(object_name, row))

    def marker(self) -> str:
        """The text kept for the engine."""
        self._call("marker", "read")
        return self.world.markers[self.side]

    def set_marker(self, text: str) -> None:
        """Keep it."""
        self._call("set_marker", "read")
        self.world.markers[self.side] = text

    def close(self) -> None:
        """Nothing is held."""

    # ---- a call and what may happen to it

    def _call(self, verb: str, sort: str) -> Mishap:
        self._at_call(f"{self.side}.{verb}.sending")
        day = self.world.night
        if self.traffic.by_day.get(day, 0) >= self.crm.traits.daily_calls:
            raise RetryableError("the day's requests are used up", throttled=True, retry_after=DAY)
        self.traffic.count(verb, day)
        self.world.call()
        mishap = self.world.faults.call(sort)
        if mishap is Mishap.LOGIN or self.expired_login:
            self.expired_login = True
            raise FatalError("the session is no longer valid", hint="log in again")
        if mishap is Mishap.THROTTLED:
            raise RetryableError("too many requests", throttled=True, retry_after=30)
        if mishap is Mishap.UNAVAILABLE:
            raise RetryableError("service unavailable")
        return mishap

    def _write(self, verb: str, rows: Sequence[RowT], one: Callable[[RowT], Answer]) -> Sequence[Answer]:
        mishap = self._call(verb, "write")
        upto = len(rows) // 2 if mishap is Mishap.PARTIAL else len(rows)
        answers = [one(row) for row in rows[:upto]]
        done = [answer for answer in answers if answer.outcome in _WRITTEN]
        self.traffic.rows_written += len(done)
        self._at_call(f"{self.side}.{verb}.done")
        if mishap in {Mishap.LOST, Mishap.PARTIAL}:
            self._watcher.unanswered(self.side, [answer.id for answer in done])
            raise RetryableError("the connection broke before the answer came")
        if mishap is Mishap.UNKNOWN:
            self._watcher.unanswered(self.side, [answers[-1].id])
            answers[-1] = Answer(Outcome.UNKNOWN)
        return answers

    # ---- writes, row by row

    def _create(self, object_name: str, key_field: str, row: Create) -> Answer:
        there = self.crm.holder(object_name, row.key)
        if there is not None:
            return Answer(Outcome.EXISTS, "" if self.view.hidden(there) else there.id, code="DUPLICATE_VALUE")
        refused = self._refusal(object_name, row.values, str(row.key).removeprefix("crm:"))
        if refused is not None:
            return refused
        self._watcher.creating(self.side, object_name, row.key, row.values)
        made = self.crm.create(object_name, {**row.values, key_field: row.key}, Actor.SYNC)
        return self._done(Outcome.CREATED, made)

    def _update(self, object_name: str, row: Update) -> Answer:
        there = self._target(object_name, row.id)
        if there is None:
            return Answer(Outcome.MISSING, row.id)
        if there.id in self.crm.locked:
            return Answer(Outcome.REFUSED, row.id, code=LOCKED, message="the row is locked")
        if not self._fresh(there, row.version):
            return Answer(Outcome.STALE, row.id)
        key = shape_of(self.side, object_name).key(self.side)
        partner = str(there.values[key] or "").removeprefix("crm:")
        refused = self._refusal(object_name, row.values, partner)
        if refused is not None:
            return refused
        self._watcher.updating(self.side, there, row.values)
        self.crm.edit(there, row.values, Actor.SYNC)
        return self._done(Outcome.UPDATED, there)

    def _delete(self, object_name: str, row: Delete) -> Answer:
        there = self._target(object_name, row.id)
        if there is None:
            return Answer(Outcome.MISSING, row.id)
        if there.id in self.crm.locked:
            return Answer(Outcome.REFUSED, row.id, code=LOCKED, message="the row is locked")
        if self.crm.traits.conditional_deletes and row.version and row.version != self.view.version(there):
            return Answer(Outcome.STALE, row.id)
        self._watcher.deleting(self.side, there)
        self.crm.delete(there, Actor.SYNC)
        return Answer(Outcome.DELETED, row.id, self.view.version(there))

    def _fresh(self, row: Row, expected: str) -> bool:
        return self.crm.traits.cas == "none" or expected == self.view.version(row)

    def _target(self, object_name: str, id_: str) -> Row | None:
        row = self.crm.by_object[object_name].get(id_)
        return None if row is None or self.view.hidden(row) else row

    def _refusal(self, object_name: str, values: Mapping[str, Value], partner: str) -> Answer | None:
        shape = shape_of(self.side, object_name)
        if partner in self.world.poison:
            return Answer(Outcome.REFUSED, code=POISONED, message="a validation rule says no")
        for name, value in values.items():
            pair = shape.pair(self.side, name)
            if (object_name, name) in self.world.screens[self.side].fields:
                return Answer(Outcome.REFUSED, code="INVALID_FIELD", field=name, message="no such field")
            if pair is not None and pair.silent and self.side == OLD:
                return Answer(
                    Outcome.REFUSED, code="INVALID_FIELD_FOR_INSERT_UPDATE", field=name, message="a formula"
                )
            if (
                pair is not None
                and pair.kind is Kind.LINK
                and value is not None
                and not self.crm.alive(value)
            ):
                self._watcher.dangling(self.side, object_name, name, value)
                return Answer(
                    Outcome.REFUSED, code="INVALID_CROSS_REFERENCE_KEY", field=name, message="no such record"
                )
        return None

    def _done(self, outcome: Outcome, row: Row) -> Answer:
        if not self.crm.traits.post_image:
            return Answer(outcome, row.id)
        return Answer(outcome, row.id, self.view.version(row), self.view.shown(row, tuple(row.values)))

    def _given(self, rows: Sequence[Row], fields: Sequence[str], key_field: str = "") -> Sequence[Record]:
        self._watcher.read(self.side, (row.id for row in rows))
        return self._shuffled(self.view.records(rows, fields, key_field))

    def _shuffled(self, answers: list[RowT]) -> list[RowT]:
        if self.world.faults.happens("shuffled"):
            self.world.faults.chance.shuffle(answers)
        return answers
