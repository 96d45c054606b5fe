"""One batch to the target and its answers back: bounded retries, every answer matched by key, nothing assumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from migrator.core import retry
from migrator.core.connector import OUTCOMES, Target
from migrator.core.errors import SafetyStop
from migrator.core.mapped import MappedObject
from migrator.core.retry import PATIENT, RetryPolicy
from migrator.load.outbound import TARGET_KEY
from migrator.staging import columns
from migrator.staging.ledger import Ledger

_WRITTEN = ("created", "updated", "unchanged")


@dataclass(frozen=True, slots=True)
class Sender:
    """A target, how patiently it is asked, and the lease under which that is allowed."""

    target: Target
    ledger: Ledger
    fence: int
    policy: RetryPolicy = PATIENT

    def upsert(self, obj: MappedObject, rows: pa.Table) -> pa.Table:
        """Send rows of OUTBOUND; returns rows of `columns.CROSSWALK`, one for each row sent.

        Raises `SafetyStop` when the answers are not one per key, `RetryableError` when patience is at its end.
        """
        answers = self._ask(obj, rows, self.target.upsert)
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
        return self._recorded(
            rows, answers, outcome, pc.if_else(refused, None, keys), pc.if_else(refused, None, assigned)
        )

    def update(self, obj: MappedObject, rows: pa.Table) -> pa.Table:
        """Set the deferred links in `rows` (LINKS columns); returns rows of `columns.CROSSWALK`.

        A record that is gone from the target is a refusal with the code 'missing'.
        """
        answers = self._ask(obj, rows, self.target.update)
        outcome = answers.column("outcome")
        _check_words(obj, outcome, {*_WRITTEN, "missing", "refused"})
        missing = pc.equal(outcome, "missing")
        told = pc.if_else(missing, "refused", outcome)
        answers = _with(answers, code=pc.if_else(missing, "missing", answers.column("code")))
        lost = "the record was loaded, but it is not in the target any more"
        answers = _with(answers, message=pc.if_else(missing, lost, answers.column("message")))
        return self._recorded(rows, answers, told, rows.column(TARGET_KEY), None)

    def fetch(self, obj: MappedObject, keys: Sequence[str], names: Sequence[str]) -> pa.Table:
        """What the target holds now under these external keys, the columns `names`; no row where there is no record."""
        size = self.target.facts.batch_rows
        pieces = [keys[start : start + size] for start in range(0, len(keys), size) or (0,)]
        fetch = partial(self.target.fetch, obj.target_object, key=obj.key, columns=names)
        return pa.concat_tables([self.patiently(partial(fetch, piece)) for piece in pieces])

    def change(self, obj: MappedObject, rows: pa.Table) -> pa.Table:
        """Set the columns given on records that exist; the target's own answers, one per key."""
        return self._ask(obj, rows, self.target.update)

    def delete(self, obj: MappedObject, keys: pa.ChunkedArray) -> pa.Table:
        """Delete by external key; the target's own answers, one per key. What is not there answers 'missing'."""

        def write(name: str, rows: pa.Table, *, key: str) -> pa.Table:
            return self.target.delete(name, rows.column(key).to_pylist(), key=key)

        return self._ask(obj, pa.table({TARGET_KEY: keys, obj.key: keys}), write)

    def patiently(self, attempt: Callable[[], Any]) -> Any:
        """The answer of an idempotent call to the target; before each try the lease is renewed, or the work stops."""

        def fenced() -> Any:
            self.ledger.renew_lease(self.fence)
            return attempt()

        return retry.call(fenced, policy=self.policy, clock=self.ledger.clock)

    def _ask(self, obj: MappedObject, rows: pa.Table, write: Callable[..., pa.Table]) -> pa.Table:
        """Answers in the order of `rows`; a batch larger than the target takes goes in several calls."""
        payload = rows.select(
            [name for name in rows.column_names if not name.startswith(columns.RESERVED_PREFIX)]
        )
        size = self.target.facts.batch_rows
        answers = [OUTCOMES.empty_table()]
        for start in range(0, payload.num_rows, size):
            piece = payload.slice(start, size)
            told = self.patiently(lambda piece=piece: write(obj.target_object, piece, key=obj.key))  # type: ignore[misc]  # mypy cannot infer a lambda's default
            answers.append(match(obj.target_object, rows.column(TARGET_KEY).slice(start, size), told))
        return pa.concat_tables(answers)

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
