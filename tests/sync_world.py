"""A small world for tests of the sync: two systems in memory that keep versions, a table-driven mapping, a ledger, a clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from migrator.core import translation as tr
from migrator.core.clock import FixedClock
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.core.twoway import (
    CHANGED,
    ID,
    UNREADABLE,
    VERSION,
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
)
from migrator.staging.ledger import Ledger, open_ledger
from migrator.sync.carry import StoredCrosswalk
from migrator.sync.meter import Allowance
from migrator.sync.report import RunReport
from migrator.sync.run import Run, run_once
from migrator.sync.store import SyncStore
from migrator.sync.work import Settings, Strategy


@dataclass
class Row:
    """A record of a `MemorySide`."""

    id: str
    values: dict[str, Any]
    version: int
    stamp: datetime
    created: datetime


class MemorySide:
    """A system in memory: exact versions, post-images, a recycle bin; `before` is called at the start of every call."""

    def __init__(
        self, prefix: str, objects: Mapping[str, Sequence[str]], clock: FixedClock, **facts: Any
    ) -> None:
        self.facts = SideFacts(
            **{
                "cas": CompareAndSet.EXACT,
                "conditional_deletes": True,
                "post_image": True,
                "marker": True,
                "evidence": frozenset(EvidenceKind),
                **facts,
            }
        )
        self.objects = {name: ("Key", *fields) for name, fields in objects.items()}
        self.rows: dict[str, dict[str, Row]] = {name: {} for name in objects}
        self.bin: dict[str, Row] = {}
        self.proofs: dict[str, list[Evidence]] = {name: [] for name in objects}
        self.calls: list[str] = []
        self.written = 0
        self.hidden: set[str] = set()
        self.unreadable: set[str] = set()
        self.before: Callable[[str], None] = lambda _verb: None
        self.automation: Callable[[dict[str, Any]], None] = lambda _values: None
        self._prefix, self._clock, self._number, self._marker = prefix, clock, 0, ""

    # ---- what users do

    def add(self, of: str, key: str | None = None, /, **values: Any) -> str:
        self._number += 1
        name = f"{self._prefix}{self._number:03d}"
        row = Row(
            name, dict.fromkeys(self.objects[of]) | {"Key": key} | values, 1, self._clock.at, self._clock.at
        )
        self.automation(row.values)
        self.rows[of][name] = row
        return name

    def edit(self, of: str, name: str, /, **values: Any) -> None:
        row = self.rows[of][name]
        row.values |= values
        row.version += 1
        row.stamp = self._clock.at
        self.automation(row.values)

    def remove(self, of: str, name: str, *, proof: bool = True, into: str = "") -> None:
        row = self.bin[name] = self.rows[of].pop(name)
        if proof:
            kind = EvidenceKind.MERGED if into else EvidenceKind.DELETED
            self.proofs[of].append(
                Evidence(kind, name, str(row.version + 1), self._clock.at, into, (), "bin")
            )

    def restore(self, of: str, name: str) -> None:
        """A user takes a record out of the bin."""
        row = self.bin.pop(name)
        row.version += 2
        row.stamp = self._clock.at
        self.rows[of][row.id] = row
        self.proofs[of].append(
            Evidence(EvidenceKind.UNDELETED, row.id, str(row.version), row.stamp, how="bin")
        )

    def values(self, of: str, name: str) -> dict[str, Any]:
        return self.rows[of][name].values

    # ---- the contract

    def describe(self) -> Sequence[ObjectSchema]:
        self._call("describe")
        return [
            ObjectSchema(
                of,
                "Id",
                tuple(FieldSchema(one, FieldType.STRING) for one in names if one not in self.unreadable),
            )
            for of, names in self.objects.items()
        ]

    def server_time(self) -> datetime:
        self._call("server_time")
        return self._clock.at

    def changes(self, object_name: str, since: str | None, overlap: float) -> Iterator[FeedPage]:
        self._call("changes")
        now = self._clock.at.isoformat()
        if since is None:
            yield FeedPage(watermark=now)
            return
        start = datetime.fromisoformat(since) - timedelta(seconds=overlap)
        rows = [row for row in self._seen(object_name) if row.stamp >= start]
        table = pa.table(
            {ID: [row.id for row in rows], VERSION: [str(row.version) for row in rows]}, schema=CHANGED
        )
        proofs = tuple(item for item in self.proofs[object_name] if item.stamp is None or item.stamp >= start)
        yield FeedPage(table, proofs, now)

    def scan(self, object_name: str, fields: Sequence[str]) -> Iterator[ScanPage]:
        self._call("scan")
        rows = self._seen(object_name)
        columns = {ID: [row.id for row in rows], VERSION: [str(row.version) for row in rows]}
        columns |= {one: [row.values[one] for row in rows] for one in fields if one not in self.unreadable}
        yield ScanPage(
            pa.table({name: pa.array(cells, pa.string()) for name, cells in columns.items()}), last=True
        )

    def fetch(self, object_name: str, ids: Sequence[str], fields: Sequence[str]) -> Sequence[Record]:
        self._call("fetch")
        wanted = set(ids)
        return [self._record(row, fields) for row in self._seen(object_name) if row.id in wanted]

    def evidence(self, object_name: str, ids: Sequence[str]) -> Sequence[Evidence]:
        self._call("evidence")
        return [item for item in self.proofs[object_name] if item.id in set(ids)]

    def find(
        self, object_name: str, key_field: str, keys: Sequence[str], fields: Sequence[str]
    ) -> Sequence[Record]:
        self._call("find")
        return [
            replace(self._record(row, fields), key=row.values[key_field])
            for row in self._seen(object_name)
            if row.values[key_field] in set(keys)
        ]

    def create(self, object_name: str, key_field: str, rows: Sequence[Create]) -> Sequence[Answer]:
        self._call("create")
        return [self._create(object_name, key_field, row) for row in rows]

    def _create(self, of: str, key_field: str, row: Create) -> Answer:
        for known in self.rows[of].values():
            if known.values[key_field] == row.key:
                return Answer(Outcome.EXISTS, known.id)
        self.written += 1
        made = self.rows[of][self.add(of, None, **row.values)]
        made.values[key_field] = row.key
        return self._answer(Outcome.CREATED, made)

    def update(self, object_name: str, rows: Sequence[Update]) -> Sequence[Answer]:
        self._call("update")
        return [self._update(object_name, row) for row in rows]

    def _update(self, of: str, row: Update) -> Answer:
        known = self.rows[of].get(row.id)
        if known is None or known.id in self.hidden:
            return Answer(Outcome.MISSING, row.id)
        if self.facts.cas is CompareAndSet.EXACT and str(known.version) != row.version:
            return Answer(Outcome.STALE, row.id)
        if any(value == "poison" for value in row.values.values()):
            return Answer(Outcome.REFUSED, row.id, code="rule", message="no")
        self.written += 1
        self.edit(of, row.id, **row.values)
        return self._answer(Outcome.UPDATED, known)

    def delete(self, object_name: str, rows: Sequence[Delete]) -> Sequence[Answer]:
        self._call("delete")
        answers = []
        for row in rows:
            known = self.rows[object_name].get(row.id)
            if known is None:
                answers.append(Answer(Outcome.MISSING, row.id))
                continue
            self.written += 1
            self.remove(object_name, row.id)
            answers.append(Answer(Outcome.DELETED, row.id, str(known.version + 1)))
        return answers

    def marker(self) -> str:
        return self._marker

    def set_marker(self, text: str) -> None:
        self._marker = text

    def close(self) -> None:
        """Nothing to release."""

    def _call(self, verb: str) -> None:
        self.calls.append(verb)
        self.before(verb)

    def _seen(self, of: str) -> list[Row]:
        return [row for row in self.rows[of].values() if row.id not in self.hidden]

    def _record(self, row: Row, fields: Sequence[str]) -> Record:
        values = {one: UNREADABLE if one in self.unreadable else row.values[one] for one in fields}
        return Record(row.id, str(row.version), values, row.stamp, created=row.created)

    def _answer(self, outcome: Outcome, row: Row) -> Answer:
        if not self.facts.post_image:
            return Answer(outcome, row.id)
        return Answer(outcome, row.id, str(row.version), dict(row.values))


STAGES = {"Hot": "open", "Warm": "open", "Won": "won"}
"""Two old values become one."""
BACK = {"open": "Warm", "won": "Won"}


def pair(new: str, old: str, rule: tr.Rule = tr.Rule.OLD_WINS, **more: Any) -> tr.Pair:
    """A field both ways."""
    return tr.Pair(new, (old,), more.pop("direction", tr.Direction.BOTH), tr.Policy(rule), **more)


PAIRS = (
    pair("name", "Name"),
    pair("phone", "Phone", tr.Rule.HOLD),
    pair("city", "City", tr.Rule.NEW_WINS),
    pair("tags", "Tags", tr.Rule.UNION),
    pair("stage", "Stage"),
    pair("score", "Score", direction=tr.Direction.FORWARD),
    pair("optout", "OptOut", consent=True, restrictive="true"),
    pair("parent", "Parent", links=("account",)),
)


def paired(**more: Any) -> tr.PairedObject:
    """The one mapping of this world."""
    found = tr.PairedObject("account", "a", "old", "Account", "new", "customer", "Key", "Key", PAIRS)
    return replace(found, delete=tr.DeletePolicy.PROPAGATE, fingerprint="f1", **more)


class TableTranslator:
    """See `translation.Translator`: renames, a value map, links through the crosswalk."""

    def __init__(self, crosswalk: tr.Crosswalk, found: tr.PairedObject) -> None:
        self.objects = (found,)
        self._crosswalk = crosswalk

    def to_new(self, _name: str, rows: pa.Table) -> pa.Table:
        ids = rows.column(tr.ROW_ID).to_pylist()
        return self._carried(rows, {"Key": [f"a:{one}" for one in ids]}, back=False)

    def to_old(self, _name: str, rows: pa.Table) -> pa.Table:
        return self._carried(rows, {}, back=True)

    def _carried(self, rows: pa.Table, columns: dict[str, Any], *, back: bool) -> pa.Table:
        count = rows.num_rows
        unread = rows.column(tr.UNREADABLE).to_pylist()
        lost: list[list[str]] = [[] for _ in range(count)]
        failed: list[list[Any]] = [[] for _ in range(count)]
        deferred: list[list[Any]] = [[] for _ in range(count)]
        for one in self.objects[0].pairs:
            if back and not one.direction.goes_back:
                continue
            mine, theirs = (one.new, one.old[0]) if back else (one.old[0], one.new)
            cells = rows.column(mine).to_pylist()
            links = self._links(one, cells, back=back)
            made = []
            for at, cell in enumerate(cells):
                value = cell
                if mine in unread[at]:
                    lost[at].append(theirs)
                elif cell is not None and one.is_link:
                    value = links.get(cell)
                    if value is None:
                        deferred[at].append({"field": theirs, "mapping": "account", "record": str(cell)})
                elif cell is not None and one.new == "stage":
                    value = (BACK if back else STAGES).get(cell)
                    if value is None:
                        failed[at].append(
                            {"field": theirs, "rule": "values", "value": cell, "message": "no such"}
                        )
                made.append(value)
            columns[theirs] = pa.array(made, pa.string())
        return pa.table(
            {
                tr.ROW_ID: rows.column(tr.ROW_ID),
                **columns,
                tr.UNREADABLE: pa.array(lost, tr.NAMES_TYPE),
                tr.FAILED: pa.array(failed, tr.FAILED_TYPE),
                tr.DEFERRED: pa.array(deferred, tr.DEFERRED_TYPE),
                tr.EXCLUDED: pa.nulls(count, pa.string()),
            }
        )

    def _links(self, one: tr.Pair, cells: list[Any], *, back: bool) -> Mapping[str, str]:
        named = [cell for cell in cells if cell is not None]
        if not one.is_link or not named:
            return {}
        if back:
            return {k: v.partition(":")[2] for k, v in self._crosswalk.old_ids("account", named).items()}
        found = self._crosswalk.new_ids("account", [f"a:{cell}" for cell in named])
        return {key.partition(":")[2]: value for key, value in found.items()}


OLD_FIELDS = tuple(one.old[0] for one in PAIRS)
NEW_FIELDS = tuple(one.new for one in PAIRS)


@dataclass
class World:
    """Both systems, the ledger and the clock; `night` does one run."""

    old: MemorySide
    new: MemorySide
    ledger: Ledger
    clock: FixedClock
    settings: Settings = field(default_factory=Settings)
    strategy: Strategy = field(default_factory=Strategy)
    passing: Callable[[str], None] = lambda _name: None
    allowances: Mapping[str, Allowance] = field(default_factory=dict)
    reports: list[RunReport] = field(default_factory=list)

    def night(self, *, full: bool = False, hours: float = 24) -> RunReport:
        self.clock.at += timedelta(hours=hours)
        with self.ledger.lease():
            self.ledger.start_run("sync once", "test")
            report = run_once(self.wiring(SyncStore(self.ledger, self.passing)), full=full)
        self.reports.append(report)
        return report

    def wiring(self, store: SyncStore) -> Run:
        """What a run is made of."""
        translator = TableTranslator(StoredCrosswalk(store), paired())
        sides = {"old": self.old, "new": self.new}
        return Run(store, translator, sides, self.settings, self.strategy, self.allowances)

    def partner(self, name: str) -> str:
        """Id on the new side of an old record."""
        store = SyncStore(self.ledger)
        row = store.members([("account/a", name)])["account/a", name]
        return next(one.id for one in store.members_of([row.grp])[row.grp] if one.stream == "account")

    def written(self) -> int:
        """Rows written on both sides so far."""
        return self.old.written + self.new.written


def world(
    folder: Path, *, old: Mapping[str, Any] | None = None, new: Mapping[str, Any] | None = None
) -> World:
    """An empty one; `old` and `new` are facts of the sides."""
    clock = FixedClock()
    return World(
        MemorySide("O", {"Account": OLD_FIELDS}, clock, **(old or {})),
        MemorySide("N", {"customer": NEW_FIELDS}, clock, **(new or {})),
        open_ledger(f"sqlite:///{folder / 'ledger.db'}", clock),
        clock,
    )


def dies_at(boundary: str) -> Callable[[str], None]:
    """For `World.passing`: a process that is killed at that boundary."""

    def passing(name: str) -> None:
        if name == boundary:
            raise KeyboardInterrupt

    return passing
