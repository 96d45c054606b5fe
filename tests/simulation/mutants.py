"""Broken variants of the two-way sync, each made by giving one of its parts another way, with the invariants that must name it.

A variant wraps a side, the store or a pure decision, or replaces one function while its simulation runs. Each comes with the
smallest world that shows it for its own reason (section 21: some are masked by the full reconcile, so it is off there).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from migrator.core.errors import FatalError, WatermarkExpired
from migrator.core.sameness import canonical
from migrator.core.twoway import (
    UNREADABLE,
    Answer,
    Create,
    Evidence,
    EvidenceKind,
    FeedPage,
    Outcome,
    Record,
    ScanPage,
    Side,
    SideFacts,
    Update,
    Which,
)
from migrator.staging.ledger import Ledger
from migrator.sync import run
from migrator.sync.decide import FieldDecision, Member, Verdict, Write, decide
from migrator.sync.life import LifeAct, LifeDecision, Presence, decide_life
from migrator.sync.report import RunReport
from migrator.sync.state import Changes, Part
from migrator.sync.store import SyncStore
from migrator.sync.work import Limits, Strategy
from migrator.sync.work import Settings as SyncSettings
from migrator.testing.simulation.engine import Parts
from migrator.testing.simulation.history import Actor
from migrator.testing.simulation.settings import NONE, USUAL, Settings
from migrator.testing.simulation.side import SimSide


@dataclass(frozen=True, slots=True)
class Mutant:
    """One broken variant."""

    name: str
    breaks: frozenset[str]
    """Invariants of which at least one must name it."""
    world: Settings
    parts: Parts = field(default_factory=Parts)
    while_running: Callable[[], Any] = nullcontext
    """Something replaced as long as the simulation runs."""
    seeds: int = 3
    """So many seeds are tried, from that of the world on."""


class Wrapped:
    """A side that hands everything on."""

    def __init__(self, side: SimSide) -> None:
        self.side = side

    @property
    def facts(self) -> SideFacts:
        return self.side.facts

    def __getattr__(self, name: str) -> Any:
        return getattr(self.side, name)


QUIET = Settings(nights=16, records=40, edits=25, rates=NONE)
"""Users only."""
ROUGH = replace(QUIET, rates=replace(USUAL, dark=0.0, lost_store=0.0, contested=0.0, kill=0.0))
FEED = replace(QUIET, reconcile_every=-1, actions={"formula": 0, "hard_delete": 0, "purge": 0, "fleeting": 0})
"""The feed alone must do."""
RARELY = SyncSettings(scan_every=timedelta(days=1000))
"""The sync never compares whole by itself."""


# ---- pure decisions given another way


def newest_wins(
    pairs: Any, members: Sequence[Member], terms: Any, resolved: Any = None
) -> tuple[FieldDecision, ...]:
    """No base: where the sides differ, the record changed last wins."""
    del terms, resolved
    found: list[FieldDecision] = []
    first_old = next(at for at, one in enumerate(members) if one.which is Which.OLD)
    first_new = next(at for at, one in enumerate(members) if one.which is Which.NEW)
    old, new = members[first_old], members[first_new]
    for name, pair in pairs[old.stream].items():
        mine, theirs = old.carried.get(name), new.values.get(name)
        if pair.is_link or not isinstance(mine, str) or not isinstance(theirs, str):
            continue
        if canonical(pair.same_new, mine) == canonical(pair.same_new, theirs):
            continue
        if old.stamp and new.stamp and old.stamp > new.stamp:
            found.append(FieldDecision(name, Verdict.WRITE, (Write(first_new, name, mine),), (first_old,)))
        else:
            back = new.carried.get(f"{old.stream}.{pair.old[0]}")
            if isinstance(back, str):
                found.append(
                    FieldDecision(name, Verdict.WRITE, (Write(first_old, pair.old[0], back),), (first_new,))
                )
    return tuple(found)


def with_members(
    change: Callable[[Sequence[Member]], Sequence[Member]],
) -> Callable[..., tuple[FieldDecision, ...]]:
    def fields(
        pairs: Any, members: Sequence[Member], terms: Any, resolved: Any = None
    ) -> tuple[FieldDecision, ...]:
        return decide(pairs, change(members), terms, resolved)

    return fields


def with_decisions(
    change: Callable[[FieldDecision, Sequence[Member]], FieldDecision | None],
) -> Callable[..., tuple[FieldDecision, ...]]:
    def fields(
        pairs: Any, members: Sequence[Member], terms: Any, resolved: Any = None
    ) -> tuple[FieldDecision, ...]:
        changed = [change(one, members) for one in decide(pairs, members, terms, resolved)]
        return tuple(one for one in changed if one is not None)

    return fields


def shared_base(members: Sequence[Member]) -> Sequence[Member]:
    """New's base is what old's base becomes."""
    old = next(one for one in members if one.which is Which.OLD)
    theirs = {name: value for name, value in old.base_carried.items() if isinstance(value, str)}
    return [one if one.which is Which.OLD else replace(one, base={**one.base, **theirs}) for one in members]


def one_base_for_all(members: Sequence[Member]) -> Sequence[Member]:
    """All old members are compared with the primary's base."""
    old = next(one for one in members if one.which is Which.OLD)
    return [replace(one, base=old.base) if one.which is Which.OLD else one for one in members]


def latest_member(
    pairs: Any, members: Sequence[Member], terms: Any, resolved: Any = None
) -> tuple[FieldDecision, ...]:
    """In an n:1 group only the old member changed last counts, whatever the bases say."""
    olds = [at for at, one in enumerate(members) if one.which is Which.OLD]
    if len(olds) < 2:
        return decide(pairs, members, terms, resolved)
    last = max(olds, key=lambda at: (members[at].stamp is not None, members[at].stamp))
    new = next(at for at, one in enumerate(members) if one.which is Which.NEW)
    found = []
    for name, pair in pairs[members[last].stream].items():
        value = members[last].carried.get(name)
        if isinstance(value, str) and not pair.is_link and value != members[new].values.get(name):
            found.append(FieldDecision(name, Verdict.WRITE, (Write(new, name, value),), (last,)))
    return tuple(found)


def no_clears(one: FieldDecision, members: Sequence[Member]) -> FieldDecision | None:
    del members
    return None if any(write.value is None for write in one.writes) else one


def normalised(one: FieldDecision, members: Sequence[Member]) -> FieldDecision:
    del members
    writes = tuple(
        replace(write, value=" ".join(write.value.split()).lower()) if isinstance(write.value, str) else write
        for write in one.writes
    )
    return replace(one, writes=writes)


def hold_all(one: FieldDecision, members: Sequence[Member]) -> FieldDecision:
    del members
    return FieldDecision(one.field, Verdict.HELD, reason="conflict", policy="hold") if one.writes else one


def by_clock(
    pairs: Any, members: Sequence[Member], terms: Any, resolved: Any = None
) -> tuple[FieldDecision, ...]:
    """A conflict is won by the later time, clocks of two systems compared, and nobody logs it."""
    out = []
    for one in decide(pairs, members, terms, resolved):
        if one.verdict is Verdict.CONFLICT and members[0].stamp and members[-1].stamp:
            if members[0].stamp > members[-1].stamp:
                out.append(replace(one, verdict=Verdict.WRITE))
        else:
            out.append(one)
    return tuple(out)


def widen_consent(
    pairs: Any, members: Sequence[Member], terms: Any, resolved: Any = None
) -> tuple[FieldDecision, ...]:
    plain = {
        stream: {name: replace(pair, consent=False) for name, pair in found.items()}
        for stream, found in pairs.items()
    }
    return decide(plain, members, terms, resolved)


def with_presence(change: Callable[[Presence], Presence]) -> Callable[..., LifeDecision]:
    def life(old: Presence, new: Presence, **more: Any) -> LifeDecision:
        return decide_life(change(old), change(new), **more)

    return life


def gone_and_hidden(old: Presence, new: Presence, **more: Any) -> LifeDecision:
    """One side deleted, the other hidden: taken for both gone."""
    if Presence.ABSENT in (old, new) and Presence.DELETED in (old, new):
        return LifeDecision(LifeAct.TOMBSTONE)
    return decide_life(old, new, **more)


def edits_die(old: Presence, new: Presence, **more: Any) -> LifeDecision:
    """A delete wins over an edit."""
    return decide_life(old, new, **{**more, "edited": False})


# ---- sides that lie


class NoCondition(Wrapped):
    """Writes without a condition, whatever the system offers."""

    def update(self, object_name: str, rows: Sequence[Update]) -> Sequence[Answer]:
        self.side.world.call()
        fresh = [self._now(row) for row in rows]
        return self.side.update(object_name, fresh)

    def _now(self, row: Update) -> Update:
        there = self.side.crm.rows.get(row.id)
        return replace(row, version=self.side.view.version(there)) if there else row


class NoOverlap(Wrapped):
    @property
    def facts(self) -> SideFacts:
        return replace(self.side.facts, longest_transaction=0.0, index_lag=0.0, skew=0.0)


class EchoByUser(Wrapped):
    """Rows that the integration user touched within the hour are taken for echoes."""

    def changes(self, object_name: str, since: str | None, overlap: float) -> Iterator[FeedPage]:
        history, side = self.side.world.history, self.side
        echoes = {
            event.id
            for event in history.events
            if event.side == side.side
            and event.actor is Actor.SYNC
            and event.at > side.world.now - 2 * 86_400
        }
        for page in side.changes(object_name, since, overlap):
            keep = [id_ not in echoes for id_ in page.rows.column(0).to_pylist()]
            yield replace(page, rows=page.rows.filter(keep)) if page.rows.num_rows else page


class SkipsEqualStamps(Wrapped):
    """Pages by stamp alone: the rest of a page's last second is passed over."""

    def changes(self, object_name: str, since: str | None, overlap: float) -> Iterator[FeedPage]:
        seen: set[float] = set()
        for page in self.side.changes(object_name, since, overlap):
            stamps = [self.side.crm.index[id_][0] for id_ in page.rows.column(0).to_pylist()]
            keep = [stamp not in seen for stamp in stamps]
            seen |= set(stamps)
            seen -= {0.0}
            yield replace(page, rows=page.rows.filter(keep)) if stamps else page


class LocalWatermark(Wrapped):
    """The watermark is our own clock at the end of the read, and overlap is not asked for."""

    def changes(self, object_name: str, since: str | None, overlap: float) -> Iterator[FeedPage]:
        for page in self.side.changes(object_name, since, overlap * 0):
            late = self.side.crm.clock + 3_600
            mark = f"{late:.0f}/{self.side.world.now:.0f}"
            yield replace(page, watermark=mark) if page.watermark else page


class WholeAlways(Wrapped):
    """An answer that broke off is taken for complete."""

    def changes(self, object_name: str, since: str | None, overlap: float) -> Iterator[FeedPage]:
        mark = f"{self.side.crm.clock:.0f}/{self.side.world.now:.0f}"
        ended = False
        last = FeedPage()
        for last in self.side.changes(object_name, since, overlap):
            ended = last.watermark is not None
            if ended:
                yield last
        if not ended:
            yield replace(last, watermark=mark)


class FromNowOn(Wrapped):
    """A feed that forgot is begun again at the present."""

    def changes(self, object_name: str, since: str | None, overlap: float) -> Iterator[FeedPage]:
        try:
            yield from self.side.changes(object_name, since, overlap)
        except WatermarkExpired:
            yield FeedPage(watermark=f"{self.side.crm.clock:.0f}/{self.side.world.now:.0f}")

    @property
    def facts(self) -> SideFacts:
        return replace(self.side.facts, feed_memory=None)


class NullForUnreadable(Wrapped):
    """What cannot be read is empty."""

    def describe(self) -> Any:
        hidden, self.side.world.screens[self.side.side].fields = (
            self.side.world.screens[self.side.side].fields,
            set(),
        )
        try:
            return self.side.describe()
        finally:
            self.side.world.screens[self.side.side].fields = hidden

    def fetch(self, object_name: str, ids: Sequence[str], fields: Sequence[str]) -> Sequence[Record]:
        return [self._plain(row) for row in self.side.fetch(object_name, ids, fields)]

    def _plain(self, row: Record) -> Record:
        values = {name: None if value is UNREADABLE else value for name, value in row.values.items()}
        return replace(row, values=values)


class SentForBase(Wrapped):
    """The answer to a write repeats what was sent, whatever the system made of it."""

    def update(self, object_name: str, rows: Sequence[Update]) -> Sequence[Answer]:
        answers = self.side.update(object_name, rows)
        return [
            replace(answer, values={**(answer.values or {}), **row.values}) if answer.values else answer
            for row, answer in zip(rows, answers, strict=True)
        ]


class LateImage(Wrapped):
    """The post-image is read some time after the write, edits of users included."""

    def update(self, object_name: str, rows: Sequence[Update]) -> Sequence[Answer]:
        answers = self.side.update(object_name, rows)
        world, crm = self.side.world, self.side.crm
        for row in rows:
            there = crm.rows[row.id]
            name = next(iter(row.values))
            if there.alive and world.faults.chance.random() < 0.1 and isinstance(there.values[name], str):
                crm.edit(there, {name: f"late {world.now:.0f}"}, Actor.USER)
        return [
            replace(answer, values=dict(crm.rows[answer.id].values), version=str(crm.rows[answer.id].version))
            if answer.values
            else answer
            for answer in answers
        ]


class DuplicateIsFailure(Wrapped):
    """A key that is there already is a refusal like any other."""

    def find(
        self, object_name: str, key_field: str, keys: Sequence[str], fields: Sequence[str]
    ) -> Sequence[Record]:
        del object_name, key_field, keys, fields
        return []

    def create(self, object_name: str, key_field: str, rows: Sequence[Create]) -> Sequence[Answer]:
        answers = self.side.create(object_name, key_field, rows)
        return [
            Answer(Outcome.REFUSED, code="DUPLICATE") if answer.outcome is Outcome.EXISTS else answer
            for answer in answers
        ]


class NoKey(Wrapped):
    """Creates carry no key that anybody looks for: a second attempt makes a second record."""

    def find(
        self, object_name: str, key_field: str, keys: Sequence[str], fields: Sequence[str]
    ) -> Sequence[Record]:
        del object_name, key_field, keys, fields
        return []

    def create(self, object_name: str, key_field: str, rows: Sequence[Create]) -> Sequence[Answer]:
        for row in rows:
            self.side.crm.by_key.pop((object_name, row.key), None)
        return self.side.create(object_name, key_field, rows)


class OneForAll(Wrapped):
    """The first answer of a batch stands for all its rows."""

    def update(self, object_name: str, rows: Sequence[Update]) -> Sequence[Answer]:
        answers = self.side.update(object_name, rows)
        if not any(answer.outcome is Outcome.UPDATED for answer in answers):
            return answers
        return [
            replace(answer, outcome=Outcome.UPDATED, id=row.id, values={**row.values}, version="0")
            for row, answer in zip(rows, answers, strict=True)
        ]


class OneStopsAll(Wrapped):
    """A refused row fails its whole object."""

    def update(self, object_name: str, rows: Sequence[Update]) -> Sequence[Answer]:
        if any(self._is_bad(object_name, row) for row in rows):
            raise FatalError("one row was refused")
        return self.side.update(object_name, rows)

    def create(self, object_name: str, key_field: str, rows: Sequence[Create]) -> Sequence[Answer]:
        if any(row.key.removeprefix("crm:") in self.side.world.poison for row in rows):
            raise FatalError("one row was refused")
        return self.side.create(object_name, key_field, rows)

    def _is_bad(self, object_name: str, row: Update) -> bool:
        del object_name
        there = self.side.crm.rows.get(row.id)
        return there is not None and bool(
            {str(value).removeprefix("crm:") for value in there.values.values()} & self.side.world.poison
        )


class MergeIsDelete(Wrapped):
    """The loser of a merge is just deleted."""

    def changes(self, object_name: str, since: str | None, overlap: float) -> Iterator[FeedPage]:
        for page in self.side.changes(object_name, since, overlap):
            yield replace(page, evidence=tuple(self._plain(one) for one in page.evidence))

    def evidence(self, object_name: str, ids: Sequence[str]) -> Sequence[Evidence]:
        return [self._plain(one) for one in self.side.evidence(object_name, ids)]

    def _plain(self, one: Evidence) -> Evidence:
        return replace(one, kind=EvidenceKind.DELETED, into="") if one.kind is EvidenceKind.MERGED else one


class ListsOnly(Wrapped):
    """The full reconcile compares lists of ids, not values."""

    def scan(self, object_name: str, fields: Sequence[str]) -> Iterator[ScanPage]:
        history, side = self.side.world.history, self.side.side
        for page in self.side.scan(object_name, fields):
            names = [name for name in page.rows.column_names if name == "Score__c"]
            rows = page.rows
            for name in names:
                ids = rows.column("__id").to_pylist()
                lines = [history.lines[side, id_].get(name, []) for id_ in ids]
                before = [
                    next((one.value for one in line if one.actor is Actor.LOAD), None) for line in lines
                ]
                at = rows.column_names.index(name)
                rows = rows.set_column(at, name, _as(before, rows.schema.field(name).type))
            yield replace(page, rows=rows)

    def fetch(self, object_name: str, ids: Sequence[str], fields: Sequence[str]) -> Sequence[Record]:
        return self.side.fetch(object_name, ids, fields)


def _as(values: Sequence[Any], kind: Any) -> Any:
    import pyarrow as pa

    return pa.array(values, kind)


class Forgetful(Wrapped):
    """The marker always says what the store hopes for."""

    def marker(self) -> str:
        return ""


# ---- stores that write otherwise


class OtherStore(SyncStore):
    """A store whose transactions pass through `turn` first."""

    def commit(self, part: Part, changes: Changes) -> None:
        for each, some in self.turn(part, changes):
            super().commit(each, some)

    def turn(self, part: Part, changes: Changes) -> Iterator[tuple[Part, Changes]]:
        yield part, changes


class NoLog(OtherStore):
    def turn(self, part: Part, changes: Changes) -> Iterator[tuple[Part, Changes]]:
        changes.conflicts = [row for row in changes.conflicts if row.state == "open"]
        yield part, changes


class NoIntents(OtherStore):
    def turn(self, part: Part, changes: Changes) -> Iterator[tuple[Part, Changes]]:
        if part is not Part.INTENT:
            yield part, changes


class LogAfterwards(OtherStore):
    """The conflict log is written with the result."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self.kept: list[Any] = []

    def turn(self, part: Part, changes: Changes) -> Iterator[tuple[Part, Changes]]:
        if part is Part.CONFLICT:
            self.kept += changes.conflicts
            changes.conflicts = []
        elif part is Part.RESULT:
            changes.conflicts += self.kept
            self.kept = []
        yield part, changes


class WatermarkFirst(OtherStore):
    """The watermark is committed before what was found."""

    def turn(self, part: Part, changes: Changes) -> Iterator[tuple[Part, Changes]]:
        if part is Part.PULL:
            marks, changes.watermarks = changes.watermarks, []
            yield part, Changes(watermarks=marks)
        yield part, changes


class CleanFirst(OtherStore):
    """The queue is emptied before the work is done."""

    def dirty_rows(self, keys: Sequence[Any]) -> Any:
        found = super().dirty_rows(keys)
        if found:
            super().commit(Part.RESULT, Changes(clean=list(found)))
        return found


class BaseFirst(OtherStore):
    """Bases of the source advance with the intent, before the call."""

    def turn(self, part: Part, changes: Changes) -> Iterator[tuple[Part, Changes]]:
        if part is Part.INTENT:
            keys = [
                (one["of"], one["id"]) for intent in changes.intents for one in intent.body.get("sources", ())
            ]
            rows = self.members(keys)
            for intent in changes.intents:
                for one in intent.body.get("sources", ()):
                    if (one["of"], one["id"]) in rows:
                        row = rows[one["of"], one["id"]]
                        rows[row.key] = replace(row, base={**row.base, **one["values"]})
            changes.members += [row for row in rows.values() if row.state == "live"]
        yield part, changes


class DropsFailures(OtherStore):
    """A record that failed three times is forgotten."""

    def turn(self, part: Part, changes: Changes) -> Iterator[tuple[Part, Changes]]:
        changes.clean += [row.key for row in changes.dirty if row.attempts >= 3]
        changes.dirty = [row for row in changes.dirty if row.attempts < 3]
        yield part, changes


class DropsDeferred(OtherStore):
    def turn(self, part: Part, changes: Changes) -> Iterator[tuple[Part, Changes]]:
        changes.deferred = []
        yield part, changes


class NoTombstones(OtherStore):
    """What was deleted is forgotten at once: whoever comes up again is new."""

    def turn(self, part: Part, changes: Changes) -> Iterator[tuple[Part, Changes]]:
        gone = [row for row in changes.members if row.state == "gone"]
        changes.members = [row for row in changes.members if row.state != "gone"]
        changes.closed += [row for row in gone if row.since >= 0]
        changes.tombstones = []
        yield part, changes


class NoRecheck(OtherStore):
    """Holds are never looked at again."""

    def held(self, mapping: str) -> list[Any]:
        del mapping
        return []


# ---- functions replaced while a simulation runs


@contextmanager
def replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def always_green() -> Any:
    return replaced(RunReport, "exit_code", property(lambda _: 0))


def never_whole() -> Any:
    pulled = run._pull
    return replaced(run, "_pull", lambda work, full: pulled(work, full=full and not work.store.watermarks()))


def no_fence() -> Any:
    return replaced(Ledger, "check_fence", lambda self, connection: None)  # noqa: ARG005


# ---- the table


def _side(wrapper: Callable[[SimSide], Side], **more: Any) -> Parts:
    return Parts(side=wrapper, **more)


def _fields(function: Callable[..., Any]) -> Parts:
    return Parts(strategy=Strategy(fields=function))


def _life(function: Callable[..., Any]) -> Parts:
    return Parts(strategy=Strategy(life=function))


CONTESTED = replace(QUIET, rates=replace(NONE, contested=0.9))
HIDING = replace(QUIET, rates=replace(NONE, hidden=0.5))
KILLED = replace(QUIET, rates=replace(NONE, kill=0.02))
LOSING = replace(QUIET, rates=replace(NONE, lost=0.2, partial=0.1, unknown=0.1))
BUSY = replace(QUIET, rates=replace(NONE, meanwhile=0.6))
POISONED = replace(QUIET, rates=replace(NONE, poison=0.3), nights=12)
DELETING = {"delete": 20, "hard_delete": 10, "undelete": 6}
MERGING = {"merge": 12, "both": 10}
CLASHING = {"both": 30}


def _mutants() -> Iterator[Mutant]:
    def one(name: str, breaks: str, world: Settings, parts: Parts | None = None, **more: Any) -> Mutant:
        return Mutant(name, frozenset(breaks.split()), world, parts or Parts(), **more)

    clash = replace(QUIET, actions=CLASHING)
    yield one("newest-wins", "I1 I4 I16", clash, _fields(newest_wins))
    yield one("no-conflict-log", "I1", clash, Parts(store=NoLog))
    yield one("no-create-key", "I5 I11", LOSING, _side(NoKey))
    yield one(
        "absence-is-delete",
        "I6 I8",
        HIDING,
        _life(with_presence(lambda one: Presence.DELETED if one is Presence.ABSENT else one)),
    )
    yield one(
        "no-compare-and-set",
        "I1",
        replace(BUSY, actions={"edit": 80, "both": 20}),
        _side(NoCondition),
        seeds=6,
    )
    yield one(
        "no-reconcile",
        "I3 I9",
        replace(QUIET, actions=DELETING),
        Parts(settings=RARELY),
        while_running=never_whole,
    )
    yield one(
        "no-overlap",
        "I9",
        replace(FEED, rates=replace(NONE, late=0.5, lag=0.5)),
        _side(NoOverlap, settings=RARELY),
    )
    yield one("shared-base", "I2 I4 I16", QUIET, _fields(with_members(shared_base)))
    yield one("no-intents", "I11", QUIET, Parts(store=NoIntents))
    yield one("echo-filter-by-user", "I9", FEED, _side(EchoByUser, settings=RARELY))
    yield one("exhausted-rows-dropped", "I3 I9 I13", replace(POISONED, nights=30), Parts(store=DropsFailures))
    yield one(
        "watermark-before-data",
        "I9",
        replace(FEED, rates=replace(NONE, kill=0.1)),
        Parts(store=WatermarkFirst, settings=RARELY),
        seeds=6,
    )
    yield one(
        "clean-before-work",
        "I9 I3",
        replace(FEED, rates=replace(NONE, kill=0.05)),
        Parts(store=CleanFirst, settings=RARELY),
        seeds=6,
    )
    yield one(
        "base-before-call",
        "I1 I3 I9",
        replace(KILLED, rates=replace(NONE, kill=0.03, lost=0.1, unavailable=0.1)),
        Parts(store=BaseFirst),
    )
    yield one("log-after-overwrite", "I1", clash, Parts(store=LogAfterwards))
    yield one("late-image-as-base", "I1 I3 I14", QUIET, _side(LateImage))
    yield one("follows-latest-member", "I16 I1 I4", replace(QUIET, grouped=0.6), _fields(latest_member))
    yield one(
        "deleted-and-hidden-is-gone",
        "I8",
        replace(HIDING, actions=DELETING, nights=30),
        _life(gone_and_hidden),
        seeds=6,
    )
    yield one("holds-not-rechecked", "I3 I8 I13", HIDING, Parts(store=NoRecheck, settings=RARELY))
    yield one("delete-wins-over-edit", "I1", replace(QUIET, actions=DELETING), _life(edits_die))
    yield one("winner-by-clock", "I1 I12", clash, _fields(by_clock))
    yield one("watermark-of-our-clock", "I9", FEED, _side(LocalWatermark, settings=RARELY))
    yield one(
        "paging-by-stamp-alone",
        "I9",
        replace(FEED, records=260, actions={**FEED.actions, "bulk": 8}, nights=6),
        _side(SkipsEqualStamps, settings=replace(RARELY, limits=Limits(change_floor=10**6))),
    )
    yield one(
        "broken-page-is-complete",
        "I8 I9 I6 I3",
        replace(FEED, rates=replace(NONE, truncated=0.3)),
        _side(WholeAlways, settings=RARELY),
    )
    yield one(
        "lost-token-goes-on-from-now",
        "I3 I9 I7",
        replace(FEED, rates=replace(NONE, expired=0.3)),
        _side(FromNowOn, settings=RARELY),
    )
    yield one(
        "unreadable-is-null", "I14 I2 I1", replace(HIDING, nights=30), _side(NullForUnreadable), seeds=6
    )
    yield one(
        "clear-not-carried",
        "I14 I3",
        replace(QUIET, actions={"clear": 20}),
        _fields(with_decisions(no_clears)),
    )
    yield one("normalised-value-written", "I2", QUIET, _fields(with_decisions(normalised)))
    yield one("base-is-what-was-sent", "I4 I16 I2", replace(QUIET, grouped=0.6), _side(SentForBase))
    yield one("duplicate-key-is-failure", "I5 I11 I13 I3", LOSING, _side(DuplicateIsFailure))
    yield one(
        "batch-outcome-for-all",
        "I3 I11 I13 I14 I1",
        replace(BUSY, rates=replace(NONE, late=0.5, meanwhile=0.5)),
        _side(OneForAll),
    )
    yield one(
        "deferred-links-dropped",
        "I17 I3",
        replace(QUIET, actions={"create": 30, "relink": 10}),
        Parts(store=DropsDeferred),
    )
    yield one("no-tombstones", "I7 I3 I5 I6", replace(QUIET, actions=DELETING), Parts(store=NoTombstones))
    yield one(
        "no-delete-brake",
        "I18",
        replace(QUIET, records=160, rates=replace(NONE, mass=0.4)),
        Parts(settings=SyncSettings(limits=Limits(deletes_floor=10**6))),
    )
    yield one("one-row-stops-all", "I13 I3", POISONED, _side(OneStopsAll))
    yield one("always-green", "I13", replace(POISONED, actions=CLASHING), None, while_running=always_green)
    yield one("merge-is-delete", "I1 I3 I5 I6 I17", replace(QUIET, actions=MERGING), _side(MergeIsDelete))
    yield one(
        "one-base-for-a-group",
        "I16 I1 I4 I2",
        replace(QUIET, grouped=0.6),
        _fields(with_members(one_base_for_all)),
    )
    yield one(
        "reconcile-compares-lists", "I3 I9 I24", replace(QUIET, actions={"formula": 20}), _side(ListsOnly)
    )
    yield one("everything-held", "I3", QUIET, _fields(with_decisions(hold_all)))
    yield one("consent-widened", "S16", replace(QUIET, nights=25), _fields(widen_consent))
    yield one("lease-without-fence", "I20", CONTESTED, None, while_running=no_fence)
    yield one(
        "restored-store-unnoticed",
        "I1 I3 I4 I5 I6 I7 I16",
        replace(QUIET, nights=45, rates=replace(NONE, lost_store=0.08)),
        _side(Forgetful),
    )


MUTANTS: Mapping[str, Mutant] = {each.name: each for each in _mutants()}
