"""The load: planned rows go out in batches, parents first, and what came back is on record before the next batch goes.

May be killed anywhere and run again: batches on record are not sent again, a batch that was sent but not recorded is
sent again by its external keys, and the end is the same. Nothing is deleted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from migrator.core.connector import IndexingTarget, Target
from migrator.core.errors import RetryableError, SafetyStop
from migrator.core.mapped import MappedObject
from migrator.core.progress import Event, Progress
from migrator.core.retry import PATIENT, RetryPolicy
from migrator.core.schema import FieldSchema, ObjectSchema
from migrator.load.batches import Batches
from migrator.load.choice import EVERYTHING, choose
from migrator.load.intents import Intents
from migrator.load.lanes import Lanes
from migrator.load.links import has_second_pass, links_fingerprint, nothing_left, write_changed_links
from migrator.load.outbound import cut_batches, make_outbound, read_batches, rows_left
from migrator.load.plan import Cut, Groups, is_stale, plan
from migrator.load.release import released
from migrator.load.send import Sender
from migrator.load.settle import settle
from migrator.staging.action import SENT
from migrator.staging.engine import Session
from migrator.staging.ledger import Ledger
from migrator.staging.relation import relation
from migrator.staging.store import Building, Dataset, Kind, Store


@dataclass(frozen=True, slots=True)
class ObjectLoad:
    """What one load did to one object."""

    name: str
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """Rows sent, by outcome: 'created', 'updated', 'unchanged', 'refused'."""
    links: Mapping[str, int] = field(default_factory=dict)
    """Records whose deferred links were sent, by outcome."""
    waiting: int = 0
    """Rows not sent because a record they point to was refused in this very load."""
    batches: int = 0
    """Batches sent, second pass included."""

    @property
    def refused(self) -> int:
        """Rows and links the target refused."""
        return self.outcomes.get("refused", 0) + self.links.get("refused", 0)


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What one load did, object by object in load order."""

    objects: tuple[ObjectLoad, ...]
    indexes: int = 0
    """Indexes of new objects that were built, by this load or in place of one that was killed."""

    @property
    def written(self) -> int:
        """Rows and links that were sent at all: 0 for a rerun with nothing new."""
        return sum(sum(item.outcomes.values()) + sum(item.links.values()) for item in self.objects)

    @property
    def refused(self) -> int:
        """Rows and links the target refused."""
        return sum(item.refused for item in self.objects)

    def to_json(self) -> dict[str, Any]:
        """For `migrator load --json`."""
        return {
            "written": self.written,
            "refused": self.refused,
            "indexes": self.indexes,
            "objects": {
                item.name: {
                    **{
                        word: item.outcomes.get(word, 0)
                        for word in ("created", "updated", "unchanged", "refused")
                    },
                    "links": dict(item.links),
                    "waiting": item.waiting,
                    "batches": item.batches,
                }
                for item in self.objects
            },
        }


def load(
    store: Store,
    session_factory: Callable[[], Session],
    ledger: Ledger,
    target: Target,
    groups: Groups,
    *,
    progress: Progress,
    fence: int,
    policy: RetryPolicy = PATIENT,
    parallel: int = 1,
    chosen: Mapping[str, Dataset] | None = None,
) -> LoadReport:
    """Carry out the current PLAN of every object, with at most `parallel` calls in flight at once.

    With `chosen` (`__id` by object) only these records and their dependants are sent.

    Raises `FatalError` when there is no plan, `SafetyStop` when a plan is stale, the target does not fit or its
    answers cannot be trusted, `RetryableError` when it stays out of reach; all that was answered is on record then.
    """
    session = session_factory()
    try:
        with Lanes(parallel) as lanes:
            sender = Sender(target, ledger, fence, policy, lanes, again=_telling(progress))
            return _Loading(store, session, sender, groups, progress).run(chosen)
    finally:
        session.close()


def _telling(progress: Progress) -> Callable[[RetryableError, float], None]:
    def again(error: RetryableError, wait: float) -> None:
        event = Event.THROTTLED if error.throttled else Event.RETRIED
        progress.tell(event, "load", "", {"wait": round(wait, 3)})

    return again


def target_schemas(objects: Sequence[MappedObject]) -> tuple[ObjectSchema, ...]:
    """What the target must offer, one schema for each of its objects.

    References name the target's own objects, and what is set in the second pass may be empty. Mappings that write to
    the same object are taken together.
    """
    by_name = {obj.name: obj for obj in objects}
    made: dict[str, ObjectSchema] = {}
    for obj in objects:
        fields = tuple(_target_field(obj, item, by_name) for item in obj.fields)
        before = made.get(obj.target_object)
        if before is not None:
            fields = before.fields + tuple(item for item in fields if before.field(item.name) is None)
        made[obj.target_object] = replace(before or obj.schema, name=obj.target_object, fields=fields)
    return tuple(made.values())


def _target_field(obj: MappedObject, item: FieldSchema, by_name: Mapping[str, MappedObject]) -> FieldSchema:
    link = obj.link(item.name)
    if link is None:
        return item
    linked = [by_name[name] for name in link.mappings if name in by_name]
    inside = len(linked) == len(link.mappings) and all(
        one.target_system == obj.target_system for one in linked
    )
    references = tuple(dict.fromkeys(one.target_object for one in linked)) if inside else ()
    return replace(item, references=references, required=item.required and not link.deferred)


class _Loading:
    """One run of `load`."""

    def __init__(
        self, store: Store, session: Session, sender: Sender, groups: Groups, progress: Progress
    ) -> None:
        self._store, self._session, self._sender = store, session, sender
        self._groups, self._progress = groups, progress
        self._objects = [obj for group in groups for obj in group]
        self._outcomes: dict[str, Counter[str]] = {obj.name: Counter() for obj in self._objects}
        self._links: dict[str, Counter[str]] = {obj.name: Counter() for obj in self._objects}
        self._choice = EVERYTHING
        self._waiting: Counter[str] = Counter()
        self._batches: Counter[str] = Counter()

    def run(self, chosen: Mapping[str, Dataset] | None) -> LoadReport:
        plans = self._plans()
        if chosen is not None:
            batch_rows = max(item.detail["batch_rows"] for item in plans.values())
            self._choice = choose(self._store, self._session, self._groups, chosen, batch_rows=batch_rows)
        self._sender.patiently(lambda: self._sender.target.prepare(target_schemas(self._objects)))
        for obj in self._objects:
            self._check_not_replaced(obj)
        for obj in self._objects:
            self._send_rows(obj, plans[obj.name])
        # A link that closes a circle points into a later group: only when all rows are there can it be set. States come
        # last: a closed record may refuse links to it.
        for obj in sorted(self._objects, key=lambda obj: bool(obj.firsts)):
            self._send_links(obj, plans[obj.name])
        report = self._report(self._build_indexes())
        if report.refused or self._waiting.total():
            # Only a plan tells which rows now wait, and for what: the root causes must be on record.
            cut = max((Cut.of(item) for item in plans.values()), key=lambda found: found.rows)
            plan(self._store, self._session, self._groups, batch_rows=cut.rows, families=cut.families)
        return report

    def _plans(self) -> dict[str, Dataset]:
        plans = {}
        for obj in self._objects:
            settle(self._store, self._session, obj)
            found = self._store.need(Kind.PLAN, obj.name, made_by="plan")
            reason = is_stale(self._store, obj, found)
            if reason:
                raise SafetyStop(f"the plan of {obj.name!r} is stale: {reason}", hint="run: migrator plan")
            plans[obj.name] = found
        return plans

    def _check_not_replaced(self, obj: MappedObject) -> None:
        """An empty target under a crosswalk full of records is another target: everything would look done."""
        crosswalk = self._store.current(Kind.CROSSWALK, obj.name)
        if crosswalk is None or not self._loaded_any(crosswalk):
            return
        if self._is_empty(obj):
            raise SafetyStop(
                f"{obj.target_object} is empty in the target, though records of {obj.name!r} were loaded into it",
                hint="was the target replaced or emptied? name the right one, or load into it from a new project folder",
            )

    def _is_empty(self, obj: MappedObject) -> bool:
        target = self._sender.target

        def asked() -> bool:
            page = next(iter(target.read(obj.target_object, columns=[obj.key], page_rows=1)), None)
            return page is None or not page.num_rows

        return bool(self._sender.patiently(asked))

    def _loaded_any(self, crosswalk: Dataset) -> bool:
        name = relation(self._session, crosswalk)
        return bool(self._session.fetch(f"SELECT 1 FROM {name} WHERE target_id IS NOT NULL LIMIT 1").num_rows)

    def _send_rows(self, obj: MappedObject, planned: Dataset) -> None:
        if any(planned.detail["counts"].get(action.value) for action in SENT):
            self._release(obj, planned)
            outbound = make_outbound(self._store, self._session, obj, planned, self._choice)
            self._waiting[obj.name] = outbound.detail["left"] - outbound.rows
            if outbound.rows:
                self._progress.start("load", obj.name, outbound.rows)
                building = self._store.build(Kind.OUTCOMES, obj.name, planned.id)
                batches = read_batches(outbound.files[0])
                intents = Intents(
                    self._store, self._sender, obj, Kind.OUTCOMES,
                    plan=planned.id, target_is_empty=self._is_empty(obj),
                )  # fmt: skip
                self._send("load", obj, batches, intents, building=building, counted=self._outcomes[obj.name])
        # A killed load may have left one, with nothing of it to be sent any more.
        self._store.discard(Kind.OUTBOUND, obj.name)

    def _release(self, obj: MappedObject, planned: Dataset) -> None:
        """Unique values that pass from one record to another are given up before the rows that take them are sent."""
        sent = rows_left(self._store, self._session, obj, planned, self._choice)
        asked = released(self._store, self._session, obj, planned, sent)
        if not asked:
            return
        building = self._store.build(Kind.OUTCOMES, obj.name, planned.id)
        file = building.folder / "released.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = self._session.write(asked, file)
        if not rows:
            self._store.discard_unfinished(Kind.OUTCOMES, obj.name)
            return
        self._progress.start("load", obj.name, rows)
        batches = cut_batches(file, self._sender.target.facts.batch_rows)
        intents = Intents(
            self._store, self._sender, obj, Kind.OUTCOMES, plan=planned.id, target_is_empty=False
        )
        self._send("load", obj, batches, intents, building=building, counted=self._outcomes[obj.name])

    def _send_links(self, obj: MappedObject, planned: Dataset) -> None:
        if not has_second_pass(obj):
            return
        made_of = links_fingerprint(self._store, obj, planned)
        if self._store.is_current(Kind.LINKS, obj.name, made_of):
            return
        building = self._store.build(Kind.LINKS, obj.name, planned.id)
        wanted = building.folder / "wanted.parquet"
        wanted.parent.mkdir(parents=True, exist_ok=True)
        rows = write_changed_links(self._store, self._session, obj, planned, self._choice, path=wanted)
        if rows:
            self._progress.start("links", obj.name, rows)
            batches = cut_batches(wanted, self._sender.target.facts.batch_rows)
            intents = Intents(
                self._store, self._sender, obj, Kind.LINKS, plan=planned.id, target_is_empty=False
            )
            self._send("links", obj, batches, intents, building=building, counted=self._links[obj.name])
            made_of = links_fingerprint(self._store, obj, planned)
        if not self._choice.is_everything:
            self._store.discard_unfinished(Kind.LINKS, obj.name)  # begun, and nothing of it was to be sent
            return
        # An empty set of links under this fingerprint says that the pass has been made.
        marker = self._store.build(Kind.LINKS, obj.name, made_of)
        marker.add_table(nothing_left())
        marker.complete()

    def _build_indexes(self) -> int:
        """Build what the target put off, for this load or one that was killed, and tell how many."""
        target = self._sender.target
        if not isinstance(target, IndexingTarget):
            return 0
        pending = self._sender.patiently(target.pending_indexes)
        for name in pending:
            self._progress.start("index", name, None)
            self._sender.patiently(partial(target.build_index, name))
            self._progress.done("index", name)
        return len(pending)

    def _send(
        self,
        step: str,
        obj: MappedObject,
        batches: Iterator[pa.Table],
        intents: Intents,
        *,
        building: Building,
        counted: Counter[str],
    ) -> None:
        """Batch by batch: put on record what is there, send, match, record; then enter it all in the crosswalk."""
        work = Batches(step, obj, intents, building, self._sender)
        for rows, answers in work.carry_all(batches):
            outcomes = {word["values"].as_py(): word["counts"].as_py() for word in pc.value_counts(answers)}
            counted.update(outcomes)
            self._batches[obj.name] += 1
            self._progress.tell(Event.BATCH, step, obj.name, {"rows": rows, **outcomes})
            self._progress.advance(step, obj.name, rows)
        building.complete()
        settle(self._store, self._session, obj)
        self._progress.done(step, obj.name, ", ".join(f"{n:,} {word}" for word, n in sorted(counted.items())))

    def _report(self, indexes: int) -> LoadReport:
        return LoadReport(
            tuple(
                ObjectLoad(
                    obj.name,
                    dict(self._outcomes[obj.name]),
                    dict(self._links[obj.name]),
                    self._waiting[obj.name],
                    self._batches[obj.name],
                )
                for obj in self._objects
            ),
            indexes,
        )
