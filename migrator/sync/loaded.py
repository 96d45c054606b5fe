"""What a load brought over, linked before the first run: groups with their bases, merged records beside their survivor.

The base of an old record is what was staged, for that is what the load carried; what was edited since is then an edit like
any other. The base of a new record is what it holds when it is linked: automation and normalisers have settled by then.
A record that is in a group already is left alone, so that this may be killed and run again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from migrator.core.mapped import MappedObject
from migrator.core.translation import Direction, PairedObject
from migrator.core.twoway import Native, Record, Side, Which
from migrator.staging import columns
from migrator.staging.engine import Session, quote
from migrator.staging.merged import standing_for
from migrator.staging.relation import RECORD, staged_records
from migrator.staging.store import Kind, Store
from migrator.sync.state import LIVE, Changes, MemberRow, Part
from migrator.sync.store import SyncStore
from migrator.sync.values import natives_of

_ID = quote(columns.ID)


@dataclass(slots=True)
class _Group:
    """One record of the target, and the old records that it stands for."""

    survivor: str
    key: str
    target: str
    olds: list[tuple[str, dict[str, Native]]] = field(default_factory=list)
    """SOURCE:ID and base."""


@dataclass(frozen=True, slots=True)
class LoadedLinks:
    """The loads of a project, and the store that their records are entered in."""

    store: SyncStore
    session: Session
    datasets: Store

    def enter(self, obj: MappedObject, paired: Sequence[PairedObject], side: Side) -> int:
        """Enter what was loaded of one mapping; `paired`: its objects, one a source; `side`: of the new system.

        Returns the number of groups. Nothing is asked of anybody when the load was linked before.
        """
        crosswalk = self.datasets.current(Kind.CROSSWALK, obj.name)
        done = f"linked/{obj.name}"[:64]
        if crosswalk is None or self.store.fact(done) == crosswalk.id:
            return 0
        linked = 0
        for page in _pages(_groups(self.session, self.datasets, obj, paired), side.facts.page_rows):
            linked += _link(self.store, obj.name, page, paired[0], side)
        self.store.note(done, crosswalk.id)
        return linked


def _pages(groups: Iterator[_Group], size: int) -> Iterator[list[_Group]]:
    page: list[_Group] = []
    for group in groups:
        page.append(group)
        if len(page) >= size:
            yield page
            page = []
    if page:
        yield page


def _groups(
    session: Session, datasets: Store, obj: MappedObject, paired: Sequence[PairedObject]
) -> Iterator[_Group]:
    """Groups in the order of their survivors, each with its old records and their bases."""
    names = {item.source: _compared(item) for item in paired}
    standing = standing_for(session, datasets, obj)
    parts = []
    for source in obj.sources:
        staged = datasets.current(Kind.STAGED, source.staged)
        if staged is None or source.name not in names:
            continue
        there = [name for name in names[source.name] if name in staged.schema().names]
        listed = "".join(f", r.{quote(name)}" for name in there)
        parts.append(
            f"SELECT s.*{listed} FROM ({standing}) AS s JOIN ({staged_records(session, source, staged)}) AS r"
            f" ON r.{quote(RECORD)} = s.{_ID}"
        )
    if not parts:
        return
    whole = "\nUNION ALL BY NAME\n".join(parts)
    current: _Group | None = None
    for batch in session.stream(f"SELECT * FROM ({whole}) ORDER BY survivor, {_ID} <> survivor, {_ID}"):
        for row in batch.to_pylist():
            if current is None or current.survivor != row["survivor"]:
                if current is not None:
                    yield current
                current = _Group(row["survivor"], row["target_key"] or "", row["target_id"] or "")
            source, _, _ = row[columns.ID].partition(":")
            current.olds.append((row[columns.ID], {name: row[name] for name in names[source] if name in row}))
    if current is not None:
        yield current


def _compared(paired: PairedObject) -> tuple[str, ...]:
    found = (name for pair in paired.pairs if pair.direction is not Direction.NONE for name in pair.old)
    return tuple(dict.fromkeys(found))


def _link(store: SyncStore, mapping: str, page: Sequence[_Group], paired: PairedObject, side: Side) -> int:
    fields = tuple(dict.fromkeys((paired.new_key, *paired.new_fields)))
    found = side.find(paired.new_object, paired.new_key, [group.key for group in page], fields)
    there = {record.key: record for record in found}
    compared = tuple(pair.new for pair in paired.pairs if pair.direction is not Direction.NONE)
    keys = [
        (f"{mapping}/{name.partition(':')[0]}", name.partition(":")[2])
        for group in page
        for name, _ in group.olds
    ]
    keys += [(mapping, record.id) for record in found] + [(mapping, group.target) for group in page]
    known = store.members(keys)
    changes = Changes()
    for group in page:
        rows = _members(mapping, group, there.get(group.key), compared)
        if not any(row.key in known for row in rows):
            number = store.next_group()
            changes.members += [_numbered(row, number) for row in rows]
    store.commit(Part.RESULT, changes)
    return len({row.grp for row in changes.members})


def _members(mapping: str, group: _Group, record: Record | None, compared: Sequence[str]) -> list[MemberRow]:
    """The rows of one group; a record that the target does not show now is a member without a base, and will be missed."""
    base: Mapping[str, Any] = {}
    if record is not None:
        base = natives_of({name: record.values[name] for name in compared if name in record.values})
    name = record.id if record is not None else group.target
    rows = [MemberRow(mapping, name, Which.NEW, 0, LIVE, True, "", base, None, -1)] if name else []
    for old, natives in group.olds:
        source, _, key = old.partition(":")
        leads = old == group.survivor
        rows.append(MemberRow(f"{mapping}/{source}", key, Which.OLD, 0, LIVE, leads, "", natives, None, -1))
    return rows


def _numbered(row: MemberRow, group: int) -> MemberRow:
    return replace(row, grp=group)
