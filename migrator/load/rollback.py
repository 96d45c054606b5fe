"""The way back: what one run created is deleted, what it changed is restored, newest first, children before parents.

A record that somebody edited since is left as it is and listed; so is one that a later run wrote again. Nothing is
taken on trust: each record is read just before it is touched, compared with what the run wrote, and read again after.
May be killed anywhere and called again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from migrator.core.boundary import boundary
from migrator.core.errors import ProjectError
from migrator.core.mapped import MappedObject
from migrator.core.progress import Progress
from migrator.load.calls import DOUBTFUL, RowInDoubt
from migrator.load.links import deferred
from migrator.load.outbound import TARGET_KEY, cut_batches
from migrator.load.plan import Groups
from migrator.load.send import Sender
from migrator.load.settle import settle
from migrator.load.undo import (
    KEPT,
    Todo,
    Verdict,
    answered,
    find_undone,
    fold,
    judge,
    leave,
    make_todo,
    undone_name,
    verified,
)
from migrator.staging import columns
from migrator.staging.engine import Session
from migrator.staging.store import Building, Dataset, Kind, Store

STEP = "rollback"


@dataclass(frozen=True, slots=True)
class Kept:
    """A record that was not taken back, and why."""

    object: str
    record: str
    key: str
    verdict: Verdict
    detail: str
    """The fields that were edited, the later run, or the target's own words."""


@dataclass(frozen=True, slots=True)
class ObjectRollback:
    """What a rollback did, or would do, to one object."""

    name: str
    counts: dict[str, int] = field(default_factory=dict)
    """Verdict → records."""


@dataclass(frozen=True, slots=True)
class Rollback:
    """What a rollback did, or would do, object by object in the order of its work."""

    run: str
    dry_run: bool
    objects: tuple[ObjectRollback, ...]
    kept: tuple[Kept, ...]
    """The first of the records that were not taken back."""

    @property
    def records(self) -> int:
        """Records that the run wrote and that were still to be taken back."""
        return sum(sum(item.counts.values()) for item in self.objects)

    @property
    def not_taken_back(self) -> int:
        """Records that a person has to look at."""
        return sum(item.counts.get(word.value, 0) for item in self.objects for word in KEPT)

    def to_json(self) -> dict[str, Any]:
        """For `migrator rollback --json`."""
        return {
            "run": self.run,
            "dry_run": self.dry_run,
            "records": self.records,
            "not_taken_back": self.not_taken_back,
            "objects": {
                item.name: {word.value: item.counts.get(word.value, 0) for word in Verdict}
                for item in self.objects
            },
            "kept": [
                {
                    "record": f"{item.object}/{item.record}", "key": item.key, "verdict": item.verdict.value,
                    "detail": item.detail,
                }
                for item in self.kept
            ],
        }  # fmt: skip


MOST_KEPT = 100
"""How many of the records that were not taken back are told one by one."""


def rollback(
    store: Store,
    session: Session,
    sender: Sender,
    groups: Groups,
    run: str,
    *,
    only: Sequence[str] = (),
    dry_run: bool,
    progress: Progress,
) -> Rollback:
    """Take back what `run` wrote, of the objects `only` (all, when none is named).

    Raises `ProjectError` when nothing is known of the run, `SafetyStop` when the target's answers cannot be trusted.
    """
    objects = [obj for group in groups for obj in group]
    for obj in objects:
        settle(store, session, obj)
    if not any(run in item.detail["runs"] for item in _answers(store, objects)):
        raise ProjectError.at(
            "RUN", f"no load of this project has the id {run!r}", "list them with: migrator rollback"
        )
    chosen = [obj for obj in reversed(objects) if not only or obj.name in only]
    work = _Work(store, session, sender, run, progress)
    if dry_run:
        made = [work.preview(obj) for obj in chosen]
    else:
        # First all links that may close a circle, so that the order of deletes does not matter.
        for obj in chosen:
            work.unlink(obj)
        work.unlink_again()
        made = [work.undo(obj) for obj in chosen]
    return Rollback(run, dry_run, tuple(item for item in made if item.counts), tuple(work.kept))


def _answers(store: Store, objects: Sequence[MappedObject]) -> Iterator[Dataset]:
    names = {obj.name for obj in objects}
    for name in store.names(Kind.ANSWERS):
        found = store.current(Kind.ANSWERS, name)
        if found is not None and found.detail["object"] in names:
            yield found


class _Work:
    """One rollback."""

    def __init__(self, store: Store, session: Session, sender: Sender, run: str, progress: Progress) -> None:
        self._store, self._session, self._sender = store, session, sender
        self._run, self._progress = run, progress
        self._put_off: list[tuple[MappedObject, pa.Table]] = []
        """Links of records in doubt, sent before anything had passed that would tell what they wait for."""
        self.kept: list[Kept] = []

    def preview(self, obj: MappedObject) -> ObjectRollback:
        """What `undo` would do; nothing is written to the target."""
        todo = make_todo(self._store, self._session, obj, self._run)
        counts: Counter[str] = Counter()
        if todo is not None:
            for batch in self._batches(todo):
                self._count(obj, self._judged(todo, batch), counts)
            leave(self._store, todo.building)
        return ObjectRollback(obj.name, dict(counts))

    def unlink(self, obj: MappedObject) -> None:
        """Empty the second-pass links of the records that `undo` will delete, and set back those that may lead to them."""
        if not deferred(obj) or find_undone(self._store, obj, self._run) is not None:
            return
        todo = make_todo(self._store, self._session, obj, self._run)
        if todo is None:
            return
        for batch in self._batches(todo):
            judged = self._judged(todo, batch)
            self._unlink(todo, _with_verdict(batch, judged, Verdict.DELETED))
            self._relink(todo, _with_verdict(batch, judged, Verdict.RESTORED))

    def _unlink(self, todo: Todo, rows: pa.Table) -> None:
        if rows.num_rows:
            key = todo.obj.key
            values = {key: pc.struct_field(rows.column("wrote"), [key])}
            links = [name for name in todo.links if todo.obj.link(name) is not None]
            values |= {name: pa.nulls(rows.num_rows, pa.string()) for name in links}
            self._change_links(todo.obj, pa.table({TARGET_KEY: rows.column(TARGET_KEY), **values}))
            boundary("rollback.unlinked")

    def _relink(self, todo: Todo, rows: pa.Table) -> None:
        """What the target refuses here it is asked again when the record is restored, and told then."""
        links = [name for name in _links_of(rows) if todo.obj.link(name) is not None]
        moved = rows.filter(_moved(rows, links))
        if moved.num_rows:
            values = {name: pc.struct_field(moved.column("links_was"), [name]) for name in links}
            values[todo.obj.key] = moved.column(TARGET_KEY)
            self._change_links(todo.obj, pa.table({TARGET_KEY: moved.column(TARGET_KEY), **values}))
            boundary("rollback.relinked")

    def _change_links(self, obj: MappedObject, rows: pa.Table) -> None:
        try:
            self._sender.change(obj, rows)
        except RowInDoubt:
            if len(self._put_off) + 1 >= DOUBTFUL:
                raise  # that many in doubt, and nothing passed: it is the system that is away
            self._put_off.append((obj, rows))

    def unlink_again(self) -> None:
        """What was put off, now that others have passed. Where still nothing has, the deletes that follow will tell."""
        for obj, rows in self._put_off:
            with suppress(RowInDoubt):
                self._sender.change(obj, rows)

    def undo(self, obj: MappedObject) -> ObjectRollback:
        """Delete and restore, batch by batch, each on record before the next; then let the crosswalk forget."""
        undone = find_undone(self._store, obj, self._run)
        if undone is None:
            todo = make_todo(self._store, self._session, obj, self._run)
            if todo is None:
                # one that was killed between the crosswalk and this very line has left what it was about to do
                self._store.discard_unfinished(Kind.UNDOING, undone_name(obj, self._run))
                return ObjectRollback(obj.name)
            undone = self._carry_out(todo)
        boundary("rollback.done")
        fold(self._store, self._session, obj, undone)
        # Nobody asks any more what was about to be done; it is never completed, for every batch of it is in UNDONE.
        self._store.discard_unfinished(Kind.UNDOING, undone.name)
        counts: Counter[str] = Counter()
        for path in undone.files:
            self._count(
                obj, pq.read_table(path, columns=[columns.ID, TARGET_KEY, "verdict", "detail"]), counts
            )
        self._progress.done(STEP, obj.name, ", ".join(f"{n:,} {word}" for word, n in sorted(counts.items())))
        return ObjectRollback(obj.name, dict(counts))

    def _carry_out(self, todo: Todo) -> Dataset:
        name = undone_name(todo.obj, self._run)
        begun = self._store.build(Kind.UNDOING, name, todo.building.dataset.fingerprint, resume=True)
        self._progress.start(STEP, todo.obj.name, todo.rows)
        done = {part.number for part in todo.building.parts}
        for number, batch in enumerate(self._batches(todo)):
            if number not in done:
                todo.building.add_table(self._undone(todo, batch, begun, number), number=number)
            self._progress.advance(STEP, todo.obj.name, batch.num_rows)
        return todo.building.complete({"object": todo.obj.name, "run": self._run})

    def _undone(self, todo: Todo, batch: pa.Table, begun: Building, number: int) -> pa.Table:
        """One batch: judged, on record, deleted and restored, and read again."""
        judged = self._judged(todo, batch)
        earlier = next((part for part in begun.parts if part.number == number), None)
        if earlier is None:
            begun.add_table(judged, number=number)
        else:
            judged = _as_begun(judged, pq.read_table(earlier.path))
        boundary("rollback.batch-intended")
        answers = [
            self._deleted(todo, _with_verdict(batch, judged, Verdict.DELETED)),
            *self._restored(todo, _with_verdict(batch, judged, Verdict.RESTORED)),
        ]
        boundary("rollback.batch-answered")
        told = answered(self._session, judged, pa.concat_tables(answers))
        return self._verified(todo, batch, told)

    def _deleted(self, todo: Todo, rows: pa.Table) -> pa.Table:
        return self._sender.delete(todo.obj, rows.column(TARGET_KEY))

    def _restored(self, todo: Todo, rows: pa.Table) -> list[pa.Table]:
        """What each pass wrote goes back on its own, the last first: a record may have been written by one of them only."""
        answers = []
        for was, names in (("links_was", _links_of(rows)), ("was", todo.fields)):
            written = rows.filter(pc.is_valid(rows.column(was)))
            if names and written.num_rows:
                before = pc.struct_field
                values = {name: before(written.column(was), [name]) for name in names}
                values[todo.obj.key] = written.column(TARGET_KEY)
                answers.append(
                    self._sender.change(
                        todo.obj, pa.table({TARGET_KEY: written.column(TARGET_KEY), **values})
                    )
                )
        return answers

    def _verified(self, todo: Todo, batch: pa.Table, told: pa.Table) -> pa.Table:
        """The verdicts as the target shows them now."""
        held = self._sender.fetch(todo.obj, batch.column(TARGET_KEY).to_pylist(), todo.asked)
        return verified(self._session, todo, batch, held, told)

    def _batches(self, todo: Todo) -> Iterator[pa.Table]:
        return (
            rows.drop_columns([columns.BATCH])
            for rows in cut_batches(todo.file, self._sender.target.facts.batch_rows)
        )

    def _judged(self, todo: Todo, batch: pa.Table) -> pa.Table:
        held = self._sender.fetch(todo.obj, batch.column(TARGET_KEY).to_pylist(), todo.asked)
        return judge(self._session, todo, batch, held)

    def _count(self, obj: MappedObject, judged: pa.Table, counts: Counter[str]) -> None:
        for word in pc.value_counts(judged.column("verdict")):
            counts[word["values"].as_py()] += word["counts"].as_py()
        kept = judged.filter(
            pc.is_in(judged.column("verdict"), value_set=pa.array([item.value for item in KEPT]))
        )
        for row in kept.slice(0, max(0, MOST_KEPT - len(self.kept))).to_pylist():
            self.kept.append(
                Kept(obj.name, row[columns.ID], row[TARGET_KEY], Verdict(row["verdict"]), row["detail"] or "")
            )


def _as_begun(judged: pa.Table, begun: pa.Table) -> pa.Table:
    """A record that is gone, and that a killed rollback was about to delete, was deleted by it."""
    meant = begun.filter(pc.equal(begun.column("verdict"), Verdict.DELETED.value)).column(TARGET_KEY)
    ours = pc.and_(
        pc.equal(judged.column("verdict"), Verdict.GONE.value),
        pc.is_in(judged.column(TARGET_KEY), value_set=meant.combine_chunks()),
    )
    verdict = pc.if_else(ours, Verdict.DELETED.value, judged.column("verdict"))
    return judged.set_column(judged.column_names.index("verdict"), "verdict", verdict)


def _with_verdict(batch: pa.Table, judged: pa.Table, verdict: Verdict) -> pa.Table:
    chosen = judged.filter(pc.equal(judged.column("verdict"), verdict.value)).column(TARGET_KEY)
    return batch.filter(pc.is_in(batch.column(TARGET_KEY), value_set=chosen.combine_chunks()))


def _moved(rows: pa.Table, links: Sequence[str]) -> pa.ChunkedArray | pa.Array:
    """Which rows the second pass gave another link than they had."""
    moved = pa.array([False] * rows.num_rows, pa.bool_())
    for name in links:
        was, wrote = (pc.struct_field(rows.column(side), [name]) for side in ("links_was", "links_wrote"))
        differs = pc.coalesce(pc.not_equal(was, wrote), pc.xor(pc.is_valid(was), pc.is_valid(wrote)))
        moved = pc.or_(moved, differs)
    return moved


def _links_of(rows: pa.Table) -> tuple[str, ...]:
    return tuple(item.name for item in rows.schema.field("links_was").type if item.name != "nothing")
