"""Rows written to a target call by call: tried again, searched for what is bad, unlocked parent by parent; one answer a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from migrator.core import retry
from migrator.core.clock import Clock
from migrator.core.connector import OUTCOMES, Target
from migrator.core.errors import CallRefused, MigratorError, RetryableError, SafetyStop
from migrator.core.mapped import MappedObject
from migrator.core.retry import RetryPolicy
from migrator.load.isolate import NO_ANSWER, Health, Search, pushes_back, refusal
from migrator.load.lanes import Lanes
from migrator.load.locks import by_parent, locked
from migrator.load.outbound import TARGET_KEY
from migrator.staging import columns

DOUBTFUL = 5
"""So many single rows in doubt, with no answer between them: it is the system that is away, not the rows that are bad."""


class RowInDoubt(RetryableError):
    """A record that was sent alone was never answered, and nothing has passed yet that would tell whether it is to blame."""


class Verb(Enum):
    """What is asked of the target."""

    UPSERT = "upsert"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a batch: the rows that have an answer, one answer for each in their order, and why it is not all."""

    rows: pa.Table
    answers: pa.Table
    error: MigratorError | None


@dataclass(frozen=True, slots=True)
class Told:
    """What came of one call: answers in the order of its rows, or the error there is instead of them."""

    answers: pa.Table | None = None
    error: MigratorError | None = None
    doubtful: bool = False
    """The error is of a single row that was never answered: the others tell whether it is to blame, or the system."""

    @property
    def ends_the_work(self) -> bool:
        """Whether no further call should be begun."""
        return self.error is not None and not self.doubtful


@dataclass(frozen=True, slots=True)
class Way:
    """How calls reach one target: patiently, in lanes, under the lease."""

    target: Target
    policy: RetryPolicy
    clock: Clock
    chance: Callable[[], float]
    lanes: Lanes
    health: Health
    permitted: Callable[[], None]
    """Raises when this process may not write any more."""
    again: Callable[[RetryableError, float], None] = retry.nobody
    """Is told of every call that is tried again."""
    passed: dict[tuple[str, Verb], Callable[[], bool]] = field(default_factory=dict)
    """For each object, by what was asked for: sends its last row that passed again, which changes nothing, and says
    whether the system still takes it."""

    def patiently(self, attempt: Callable[[], Any], policy: RetryPolicy | None = None) -> Any:
        """The answer of an idempotent call; the right to make it is asked for before each try."""

        def once() -> Any:
            with self.lanes.lane():
                self.permitted()  # last: whoever waited for a lane may have lost the lease meanwhile
                return attempt()

        return retry.call(
            once, policy=policy or self.policy, clock=self.clock, chance=self.chance, again=self.again
        )


class Writing:
    """One verb on one object."""

    def __init__(self, way: Way, obj: MappedObject, verb: Verb) -> None:
        self._way, self._obj, self._verb = way, obj, verb
        self._name = obj.target_object
        self._size = way.target.facts.batch_rows
        self._brief = replace(way.policy, attempts=min(2, way.policy.attempts))
        """For searches: that patience helps no more is known by then."""
        self._doubts = 0

    def write(self, rows: pa.Table) -> Answered:
        """Send rows (with `__target_key`), in several calls where the target takes fewer at once."""
        lanes, links = self._way.lanes, self._links(rows)
        if lanes.most > 1 and links and rows.num_rows > self._size:
            # two calls at once with children of one parent would wait for each other's locks
            rows = rows.sort_by([(name, "ascending") for name in links])
        pieces = [rows.slice(start, self._size) for start in range(0, rows.num_rows, self._size)]
        called = lanes.each(self._piece, pieces, until=lambda one: one.ends_the_work)
        told = self._judged(pieces, [one or Told() for one in called])
        answered, answers = [rows.schema.empty_table()], [OUTCOMES.empty_table()]
        for piece, one in zip(pieces, told, strict=True):
            if one.answers is not None:
                answered.append(piece)
                answers.append(one.answers)
        error = next((one.error for one in told if one.error is not None), None)
        if error is not None and all(one.doubtful or one.answers is not None for one in told):
            error = RowInDoubt(error.message, hint=error.hint)
        if error is None and None in called:
            error = RetryableError("the work was stopped before all calls were made", hint="run it again")
        return self._unlocked(Answered(pa.concat_tables(answered), pa.concat_tables(answers), error))

    def _piece(self, rows: pa.Table) -> Told:
        """One call's worth of rows."""
        try:
            answers = self._searched(rows)
        except MigratorError as error:
            alone = isinstance(error, RetryableError) and rows.num_rows == 1 and not pushes_back(error)
            self._doubts += alone
            return Told(error=error, doubtful=alone and self._doubts < DOUBTFUL)
        self._doubts = 0
        good = pc.index(pc.not_equal(answers.column("outcome"), "refused"), True).as_py()
        if good >= 0:
            self._way.passed[self._name, self._verb] = partial(self._passes, rows.slice(good, 1))
        return Told(answers)

    def _passes(self, row: pa.Table) -> bool:
        """Whether a row that passed before passes again."""
        try:
            return bool(self._sent(row, self._brief).column("outcome")[0].as_py() != "refused")
        except MigratorError:
            return False

    def _searched(self, rows: pa.Table) -> pa.Table:
        search = Search(self._name, rows.num_rows, lambda some: self._sent(some, self._brief), self._settled)
        try:
            answers = self._sent(rows, self._way.policy)
        except CallRefused as error:
            answers = match(self._name, rows.column(TARGET_KEY), search.refused(rows, error))
            if not search.passed:
                self._way.health.refused(self._name, error)
                return answers
        except RetryableError as error:
            if rows.num_rows == 1 or pushes_back(error):
                raise
            answers = match(self._name, rows.column(TARGET_KEY), search.unanswered(rows, error))
        self._way.health.passed()
        return answers

    def _sent(self, rows: pa.Table, policy: RetryPolicy) -> pa.Table:
        """One call, tried as often as the policy says; its answers in the order of the rows."""
        payload = rows.select(_sent_columns(rows))
        try:
            told = self._way.patiently(lambda: self._call(payload), policy)
        except CallRefused as error:
            if error.code in self._way.target.facts.lock_codes:
                return refusal(rows, error.code, error.message)
            raise
        return match(self._name, rows.column(TARGET_KEY), told)

    def _call(self, payload: pa.Table) -> pa.Table:
        target, key = self._way.target, self._obj.key
        match self._verb:
            case Verb.UPSERT if target.facts.upserts_by_key:
                return target.upsert(self._name, payload, key=key)
            case Verb.UPSERT:
                return self._create_or_update(payload)
            case Verb.UPDATE:
                return target.update(self._name, payload, key=key)
            case Verb.DELETE:
                return target.delete(self._name, payload.column(key).to_pylist(), key=key)

    def _create_or_update(self, payload: pa.Table) -> pa.Table:
        """For a target that cannot do it in one call; tried again as a whole, so a lost answer is looked up first."""
        target, key = self._way.target, self._obj.key
        keys = payload.column(key).cast(pa.string())
        held = target.fetch(self._name, keys.to_pylist(), key=key, columns=[key])
        there = pc.is_in(keys, value_set=held.column(key).cast(pa.string()).combine_chunks())
        answers = [OUTCOMES.empty_table()]
        known, unknown = payload.filter(there), payload.filter(pc.invert(there))
        if known.num_rows:
            answers.append(target.update(self._name, known, key=key).select(OUTCOMES.names).cast(OUTCOMES))
        if unknown.num_rows:
            answers.append(target.upsert(self._name, unknown, key=key).select(OUTCOMES.names).cast(OUTCOMES))
        told = pa.concat_tables(answers)
        if pc.any(pc.equal(told.column("outcome"), "missing")).as_py():
            raise RetryableError(f"{self._name}: a record was deleted just after it was looked up")
        return told

    def _judged(self, pieces: Sequence[pa.Table], told: Sequence[Told]) -> list[Told]:
        """Rows in doubt: refused when others pass after them, else it is the system that does not answer."""
        last = max((place for place, one in enumerate(told) if one.answers is not None), default=-1)
        judged = [
            self._resolved(pieces[place], one) if one.doubtful and place < last else one
            for place, one in enumerate(told)
        ]
        open_still = [place for place, one in enumerate(judged) if one.doubtful]
        if (
            open_still
            and all(one.doubtful or one.answers is not None for one in judged)
            and self._still_passes()
        ):
            for place in open_still:
                judged[place] = self._once_more(pieces[place])
        return judged

    def _once_more(self, rows: pa.Table) -> Told:
        """A row in doubt, now that the system is known to answer."""
        told = self._piece(rows)
        return self._resolved(rows, told) if told.doubtful else told

    def _still_passes(self) -> bool:
        """Whether the system takes writes now, for rows in doubt that nothing was sent after: of this object best."""
        known = self._way.passed
        again = known.get((self._name, self._verb)) or next(reversed(known.values()), None)
        return again is not None and again()

    def _resolved(self, rows: pa.Table, told: Told) -> Told:
        assert isinstance(told.error, RetryableError)  # noqa: S101 (only such errors are doubtful)
        try:
            return Told(self._settled(rows, told.error))
        except MigratorError as error:
            return Told(error=error)

    def _settled(self, rows: pa.Table, error: RetryableError) -> pa.Table:
        """What became of a row that was sent alone and never answered, as the target shows it."""
        sent = _sent_columns(rows)
        own = self._own_key()
        asked = list(dict.fromkeys([*sent, own]))
        key = rows.column(TARGET_KEY)[0].as_py()
        held = self._way.patiently(
            lambda: self._way.target.fetch(self._name, [key], key=self._obj.key, columns=asked)
        )
        match self._verb:
            case Verb.DELETE:
                done, outcome = not held.num_rows, "deleted"
            case Verb.UPSERT | Verb.UPDATE:
                done, outcome = held.select(sent).to_pylist() == rows.select(sent).to_pylist(), "updated"
        if not done:
            return refusal(rows, NO_ANSWER, f"sent alone, it was never answered: {error.message}")
        target_id = str(held.column(own)[0].as_py()) if held.num_rows else None
        return pa.table([[key], [target_id], [outcome], [None], [None], [None]], schema=OUTCOMES)

    def _own_key(self) -> str:
        described = self._way.patiently(self._way.target.describe)
        return next((item.key for item in described if item.name == self._name), self._obj.key)

    def _unlocked(self, found: Answered) -> Answered:
        """Send again what was locked, parent by parent, with growing waits; after that its refusal stands."""
        way, codes = self._way, self._way.target.facts.lock_codes
        for failures in range(1, way.policy.attempts) if codes else ():
            waiting = locked(found.answers, codes)
            if found.error is not None or not pc.any(waiting).as_py():
                break
            if failures == 1:
                way.lanes.push_back()
            way.clock.sleep(way.policy.wait(failures, None, way.chance()))
            found = self._again(found, found.rows.filter(waiting))
        if found.error is None:
            return found
        # of what is still locked nothing is known yet: the next run sends it
        known = pc.invert(locked(found.answers, codes))
        return Answered(found.rows.filter(known), found.answers.filter(known), found.error)

    def _again(self, found: Answered, rows: pa.Table) -> Answered:
        """One call after the other; the first error ends them."""
        answers = found.answers
        with self._way.lanes.alone():
            for piece in by_parent(rows, self._links(rows), self._size, alone=self._way.target.facts.atomic):
                told = self._piece(piece)
                if told.answers is None:
                    return Answered(found.rows, answers, told.error)
                answers = _replaced(answers, told.answers)
        return replace(found, answers=answers)

    def _links(self, rows: pa.Table) -> list[str]:
        return [link.field for link in self._obj.links if link.field in rows.column_names]


def match(target_object: str, keys: pa.ChunkedArray, answers: pa.Table) -> pa.Table:
    """The answers in the order of `keys`; raises `SafetyStop` unless there is exactly one for each key and no other."""
    told = answers.select(OUTCOMES.names).cast(OUTCOMES)
    places = pc.index_in(keys, value_set=told.column("key"))
    found = pc.index_in(told.column("key"), value_set=keys)
    wrong = {
        "no answer for": keys.filter(pc.is_null(places)),
        "an answer nobody asked for on": told.column("key").filter(pc.is_null(found)),
        "several answers for": _doubled(told.column("key")),
    }
    if any(len(listed) for listed in wrong.values()):
        said = "; ".join(
            f"{what} {len(listed)}: {', '.join(listed.slice(0, 3).to_pylist())}"
            for what, listed in wrong.items()
            if len(listed)
        )
        raise SafetyStop(
            f"{target_object}: the target's answers do not match the {len(keys)} rows sent ({said})",
            hint="nothing of this batch was taken for done; a rerun sends it again by key, which makes no second record",
        )
    return told.take(places)


def _doubled(keys: pa.ChunkedArray) -> Any:
    counted = pc.value_counts(keys)
    return counted.field("values").filter(pc.greater(counted.field("counts"), 1))


def _sent_columns(rows: pa.Table) -> list[str]:
    return [name for name in rows.column_names if not name.startswith(columns.RESERVED_PREFIX)]


def _replaced(answers: pa.Table, newer: pa.Table) -> pa.Table:
    """The answers with newer ones in the place of those with their keys."""
    place = pc.index_in(answers.column("key"), value_set=newer.column("key"))
    kept = pa.array(range(answers.num_rows), pa.int32())
    return pa.concat_tables([answers, newer]).take(pc.coalesce(pc.add(place, answers.num_rows), kept))
