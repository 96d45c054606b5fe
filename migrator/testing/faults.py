"""Sources and targets that misbehave on purpose: any connector wrapped, with a schedule of faults, for tests and rehearsals.

::

    target = FaultyTarget(my_target, first_attempt(Fault(Trouble.TIMEOUT_AFTER)))     # every batch loses its first answer
    target = FaultyTarget(my_target, on_calls({3: Fault(Trouble.REVOKED)}))           # the third write meets a dead password
    target = FaultyTarget(my_target, by_chance(seed=7, share=0.3))                    # a bad day, the same for every seed
    target = FaultyTarget(my_target, locks=[Lock(lambda row: row["id"] == "7")])      # a row that another user holds
    target = FaultyTarget(my_target, poisons=[Poison(lambda row: row["name"] == "x")])  # a row no call goes through with

A load through such a target must end as one through the bare target does: no record lost, none twice, the account
closed. What a wrapped target really holds is asked of the target inside. Troubles and schedules are in
`migrator.testing.troubles`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import pyarrow as pa

from migrator.core.connector import OUTCOMES, Page, Source, SourceFacts, Target, TargetFacts
from migrator.core.errors import CallRefused, ConnectorError
from migrator.core.schema import ObjectSchema
from migrator.testing.troubles import LOST, REFUSED_CODE, Fault, Schedule, Trouble, Watched, never

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Lock:
    """Rows that another transaction holds: refused, with a code that `facts.lock_codes` names, until tried often enough."""

    where: Callable[[Row], bool]
    tries: int = 2
    """How many tries of a row fail."""
    code: str = "sandbox.locked"


def _refused_whole() -> ConnectorError:
    return CallRefused(
        "400 the request cannot be processed", code="sandbox.poison", hint="send fewer rows at once"
    )


@dataclass(frozen=True, slots=True)
class Poison:
    """Rows that no call goes through with: as long as one is among its rows, nothing of the call is written."""

    where: Callable[[Row], bool]
    error: Callable[[], ConnectorError] = _refused_whole
    """What such a call raises; for a server that breaks over the row instead of refusing it, a `RetryableError`."""


class FaultyTarget:
    """Any target, misbehaving by schedule. What it does besides the contract of `Target` is the wrapped target's own."""

    def __init__(
        self,
        target: Target,
        schedule: Schedule = never,
        *,
        locks: Sequence[Lock] = (),
        poisons: Sequence[Poison] = (),
    ) -> None:
        self.inside = target
        self._watched = Watched(schedule)
        self._locks, self._poisons = tuple(locks), tuple(poisons)
        self._tries: Counter[tuple[int, str, str]] = Counter()
        self.held_back = 0
        """How many rows were held so far, and calls refused for the poison in them."""

    def __getattr__(self, name: str) -> Any:
        """Limits, identity and whatever else the wrapped target has."""
        return getattr(self.inside, name)

    @property
    def facts(self) -> TargetFacts:
        """Those of the wrapped target, and the codes of the locks."""
        facts = self.inside.facts
        return replace(facts, lock_codes=facts.lock_codes | {lock.code for lock in self._locks})

    @property
    def befell(self) -> dict[Trouble, int]:
        """How often each trouble came so far."""
        return self._watched.befell()

    def heal(self) -> None:
        """From now on everything works, and no row is held or refused."""
        self._watched.change(never)
        self._locks, self._poisons = (), ()

    def describe(self) -> Sequence[ObjectSchema]:
        """See `Target`."""
        self._ask("describe", "")
        return self.inside.describe()

    def prepare(self, schemas: Sequence[ObjectSchema]) -> None:
        """See `Target`."""
        self._ask("prepare", "")
        self.inside.prepare(schemas)

    def upsert(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        """See `Target`."""
        return self._write("upsert", object_name, rows, key)

    def update(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        """See `Target`."""
        return self._write("update", object_name, rows, key)

    def delete(self, object_name: str, keys: Sequence[str], *, key: str) -> pa.Table:
        """See `Target`."""
        return self._write("delete", object_name, pa.table({key: pa.array(keys, pa.string())}), key)

    def read(
        self, object_name: str, *, columns: Sequence[str] | None = None, page_rows: int = 50_000
    ) -> Iterator[pa.Table]:
        """See `Target`; a trouble comes before the first page."""
        self._ask("read", object_name)
        yield from self.inside.read(object_name, columns=columns, page_rows=page_rows)

    def fetch(self, object_name: str, keys: Sequence[str], *, key: str, columns: Sequence[str]) -> pa.Table:
        """See `Target`."""
        fault = self._ask("fetch", object_name, keys)
        found = self.inside.fetch(object_name, keys, key=key, columns=columns)
        return _shuffled(found) if fault is not None and fault.trouble is Trouble.SHUFFLED else found

    def close(self) -> None:
        """See `Target`."""
        self.inside.close()

    def _ask(self, verb: str, object_name: str, keys: Sequence[str] = ()) -> Fault | None:
        """The fault of a call that writes nothing, unless it raises."""
        fault = self._watched.fault(verb, object_name, keys)
        if fault is not None and fault.trouble in LOST:
            raise fault.error(f"{verb} {object_name}".strip())
        return fault

    def _write(self, verb: str, object_name: str, rows: pa.Table, key: str) -> pa.Table:
        keys = rows.column(key).cast(pa.string()).to_pylist()
        fault = self._watched.fault(verb, object_name, keys)
        through = _Through(self, verb, object_name, key)
        match fault:
            case None:
                return self._kept(through, rows)
            case Fault(Trouble.REFUSED):
                passing = [number % 2 == 0 for number in range(len(keys))]
                return through.split(rows, passing, REFUSED_CODE, "refused for no reason of the row")
            case Fault(trouble) if trouble in LOST:
                through.write(rows.filter(pa.array(_gets_through(fault, len(keys)), pa.bool_())))
                raise fault.error(f"{verb} {object_name}")
            case _:
                return _mistold(fault.trouble, self._kept(through, rows))

    def _kept(self, through: _Through, rows: pa.Table) -> pa.Table:
        """What comes of a call to a server that works: but for poison, and rows that others hold."""
        values = rows.to_pylist() if self._locks or self._poisons else []
        for poison in self._poisons:
            if any(poison.where(row) for row in values):
                self.held_back += 1
                raise poison.error()
        for place, lock in enumerate(self._locks):
            passing = [not (lock.where(row) and self._still_held(place, through, row)) for row in values]
            if not all(passing):
                self.held_back += passing.count(False)
                return through.split(rows, passing, lock.code, "the record is held by another transaction")
        return through.write(rows)

    def _still_held(self, place: int, through: _Through, row: Row) -> bool:
        named = (place, through.object_name, str(row[through.key]))
        self._tries[named] += 1
        return self._tries[named] <= self._locks[place].tries


@dataclass(frozen=True, slots=True)
class _Through:
    """The way to the wrapped target for one call."""

    target: FaultyTarget
    verb: str
    object_name: str
    key: str

    def write(self, rows: pa.Table) -> pa.Table:
        """Write these rows for real."""
        if not rows.num_rows:
            return OUTCOMES.empty_table()
        inside = self.target.inside
        if self.verb == "delete":
            return inside.delete(self.object_name, rows.column(self.key).to_pylist(), key=self.key)
        write = inside.upsert if self.verb == "upsert" else inside.update
        return write(self.object_name, rows, key=self.key)

    def split(self, rows: pa.Table, passing: Sequence[bool], code: str, message: str) -> pa.Table:
        """Write the rows that pass; the others are refused."""
        mask = pa.array(passing, pa.bool_())
        keys = [
            str(value) for value, passes in zip(rows.column(self.key).to_pylist(), passing, strict=True) if not passes
        ]  # fmt: skip
        refused = [
            {"key": key, "target_id": None, "outcome": "refused", "code": code, "field": None, "message": message}
            for key in keys
        ]  # fmt: skip
        answers = self.write(rows.filter(mask)).select(OUTCOMES.names).cast(OUTCOMES)
        return pa.concat_tables([answers, pa.Table.from_pylist(refused, schema=OUTCOMES)])


def _gets_through(fault: Fault, size: int) -> list[bool]:
    """Which rows are written before a call breaks."""
    match fault.trouble:
        case Trouble.TIMEOUT_AFTER:
            return [True] * size
        case Trouble.PARTIAL | Trouble.EXPIRED | Trouble.REVOKED:
            return [number < size * fault.share for number in range(size)]
        case Trouble.RESET:
            return [number % 2 == 0 for number in range(size)]
        case _:
            return [False] * size


def _mistold(trouble: Trouble, answers: pa.Table) -> pa.Table:
    """Answers as they arrive when all was written."""
    match trouble:
        case Trouble.SHUFFLED:
            return _shuffled(answers)
        case Trouble.REPEATED:
            return pa.concat_tables([answers, answers.slice(0, 1)])
        case Trouble.STRANGER:
            stranger = answers.slice(0, 1).to_pylist()
            return pa.concat_tables(
                [answers, pa.Table.from_pylist([{**row, "key": "nobody"} for row in stranger], OUTCOMES)]
            )
        case Trouble.SILENT:
            return answers.slice(1)
        case _:
            raise AssertionError(trouble)


def _shuffled(rows: pa.Table) -> pa.Table:
    """The last first: never the order in which they were."""
    return rows.take(list(reversed(range(rows.num_rows))))


class FaultySource:
    """Any source, misbehaving by schedule; each page of a read is a call of its own ('read')."""

    def __init__(self, source: Source, schedule: Schedule = never) -> None:
        self.inside = source
        self._watched = Watched(schedule)

    def __getattr__(self, name: str) -> Any:
        """Files, notes, changes and whatever else the wrapped source has."""
        return getattr(self.inside, name)

    @property
    def facts(self) -> SourceFacts:
        """Those of the wrapped source."""
        return self.inside.facts

    @property
    def befell(self) -> dict[Trouble, int]:
        """How often each trouble came so far."""
        return self._watched.befell()

    def heal(self) -> None:
        """From now on everything works."""
        self._watched.change(never)

    def describe(self) -> Sequence[ObjectSchema]:
        """See `Source`."""
        fault = self._watched.fault("describe", "")
        if fault is not None and fault.trouble in LOST:
            raise fault.error("describe")
        return self.inside.describe()

    def count(self, object_name: str) -> int | None:
        """See `Source`."""
        return self.inside.count(object_name)

    def fingerprint(self, object_name: str) -> str:
        """See `Source`."""
        return self.inside.fingerprint(object_name)

    def read(self, object_name: str, *, cursor: str | None = None, page_rows: int = 50_000) -> Iterator[Page]:
        """See `Source`. A broken page: nothing of it arrives. `REPEATED`: it comes twice. `SHUFFLED`: its rows in another order."""
        pages = self.inside.read(object_name, cursor=cursor, page_rows=page_rows)
        for number in range(1 << 62):
            fault = self._watched.fault("read", object_name, (cursor or "", str(number)))
            if fault is not None and fault.trouble in LOST:
                raise fault.error(f"read {object_name}")
            page = next(islice(pages, 1), None)
            if page is None:
                return
            yield from _delivered(page, fault)

    def close(self) -> None:
        """See `Source`."""
        self.inside.close()


def _delivered(page: Page, fault: Fault | None) -> Iterator[Page]:
    match fault:
        case Fault(Trouble.REPEATED):
            yield page
            yield replace(page, rejects=())
        case Fault(Trouble.SHUFFLED):
            places = (
                None if page.places is None else page.places.take(pa.array(reversed(range(len(page.places)))))
            )
            yield replace(page, rows=_shuffled(page.rows), places=places)
        case _:
            yield page
