"""What may stop the writes of an object or of a run: brakes, schema drift, and a store that is not the one the systems knew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import median

import sqlalchemy as sa

from migrator.core.errors import SafetyStop
from migrator.core.schema import FieldSchema, ObjectSchema, schemas_from_json, schemas_to_json
from migrator.core.twoway import Record, Side, Which
from migrator.staging import sync_tables as t
from migrator.staging.prepared import Prepared
from migrator.sync.decide import Terms
from migrator.sync.report import Status
from migrator.sync.state import CREATING, DOUBTED, GONE, UNLISTED, Watermark
from migrator.sync.store import SyncStore, keep_fact, not_a_member
from migrator.sync.streams import Scene, Scenes, Stream
from migrator.sync.work import Limits, Work

GENERATION, RESTORED = "generation", "restored"
_FORGOTTEN, REBUILT = "yes", "rebuilt"
"""What is noted of a ledger that was lost or restored: its bases are forgotten; then, its crosswalk is whole again."""
_X, _P = t.mismatches.c, t.evidence.c
_UNPROVED = Prepared(
    sa.select(sa.func.count().label("number"))
    .select_from(t.mismatches)
    .where(
        _X.stream == sa.bindparam("of"), _X.kind == UNLISTED, _X.generation == sa.bindparam("gen"), _X.passes == 1,
        ~sa.exists().where(_P.stream == _X.stream, _P.id == _X.id),
    )
)  # fmt: skip
_ENGAGED = Prepared(sa.select(t.brakes.c.mapping).limit(1))
_SNAPSHOTS = Prepared(sa.select(t.snapshots.c.system, t.snapshots.c.described))


@dataclass(frozen=True, slots=True)
class Brake:
    """A limit that was passed."""

    kind: str
    """'deletes', 'mass-change', 'shrinking' or 'empty'."""
    measured: int
    allowed: int


def deletes_brake(limits: Limits, deletes: int, rows: int) -> Brake | None:
    """More deletes than the object may lose in one run."""
    allowed = max(limits.deletes_floor, int(rows * limits.deletes_share))
    return Brake("deletes", deletes, allowed) if deletes > allowed else None


def change_brake(limits: Limits, changed: Sequence[int], rows: int) -> Brake | None:
    """More changed records than usual; `changed` ends with this run. The first runs have no usual yet."""
    if len(changed) < 4:
        return None
    *before, now = changed
    allowed = int(median(before)) + max(limits.change_floor, int(rows * limits.change_share))
    return Brake("mass-change", now, allowed) if now > allowed else None


def shrink_brake(limits: Limits, unlisted: int, rows: int) -> Brake | None:
    """A complete list that lacks linked records which nobody proved deleted; all of them: an empty side."""
    if rows and unlisted >= rows:
        return Brake("empty", unlisted, 0)
    allowed = max(limits.shrink_floor, int(rows * limits.shrink_share))
    return Brake("shrinking", unlisted, allowed) if unlisted > allowed else None


def approved(store: SyncStore, mapping: str, brake: Brake, fingerprint: str, now: datetime) -> bool:
    """Whether two people let this brake pass, up to what was measured, for the mapping as it is, and not too long ago."""
    c = t.approvals.c
    query = sa.select(c.number).where(
        c.mapping == mapping, c.kind == brake.kind, c.allowed >= brake.measured, c.fingerprint == fingerprint,
        c.until > now, c.at <= now, c.second != "", c.second != c.who,
    )  # fmt: skip
    with store.ledger.read() as connection:
        return connection.execute(query).first() is not None


def engage(work: Work, scene: Scene, brake: Brake) -> bool:
    """Stop an object's writes for this run, unless the brake was lifted by name; True when it holds."""
    if approved(work.store, scene.mapping, brake, scene.fingerprint, work.now()):
        return False
    work.report.blame(
        Status.RED, "brake",
        f"{scene.mapping}: brake {brake.kind}: {brake.measured}, at most {brake.allowed} in one run",
        "look at what changed; if it is right, have it approved by two people: migrator sync resume --brake",
        mapping=scene.mapping, exit_code=5,
    )  # fmt: skip
    row = {
        "mapping": scene.mapping, "kind": brake.kind, "measured": brake.measured, "allowed": brake.allowed,
        "since": work.now(), "run": work.report.run,
    }  # fmt: skip
    with work.store.ledger.begin() as connection:
        work.store.ledger.check_fence(connection)
        c = t.brakes.c
        connection.execute(t.brakes.delete().where(c.mapping == scene.mapping, c.kind == brake.kind))
        connection.execute(t.brakes.insert(), [row])
    return True


def release_brakes(store: SyncStore) -> None:
    """Forget the brakes of the last run: this one measures anew."""
    if not store.ledger.fetch(_ENGAGED):
        return
    with store.ledger.begin() as connection:
        store.ledger.check_fence(connection)
        connection.execute(t.brakes.delete())


def check_changes(work: Work, scene: Scene, marks: Mapping[str, Watermark]) -> None:
    """The mass-change brake of one mapping."""
    for stream in scene.streams:
        mark = marks.get(stream.name)
        if mark is None or stream.name in work.report.reconciled:
            continue
        brake = change_brake(work.settings.limits, mark.changed, mark.rows)
        if brake is not None and engage(work, scene, brake):
            work.stopped[scene.mapping] = brake.kind


def unproved(store: SyncStore, stream: Stream, generation: int) -> int:
    """Linked records that the comparison of this generation did not list, and that no delete is proved of."""
    return int(store.ledger.fetch(_UNPROVED, {"of": stream.name, "gen": generation})[0].number)


def check_shrinking(work: Work, scene: Scene, marks: Mapping[str, Watermark]) -> None:
    """The brakes of a side that was just listed whole."""
    for stream in scene.streams:
        if stream.name in work.report.reconciled:
            lacking = unproved(work.store, stream, marks[stream.name].generation)
            brake = shrink_brake(work.settings.limits, lacking, marks[stream.name].rows + lacking)
            if brake is not None and engage(work, scene, brake):
                work.stopped[scene.mapping] = brake.kind


# ---- schema drift


def check_drift(work: Work, described: Mapping[str, Sequence[ObjectSchema]]) -> None:
    """Compare each system with the snapshot that its mapping was approved with; the first look is the approval."""
    known = {row.system: schemas_from_json(row.described) for row in work.store.ledger.fetch(_SNAPSHOTS)}
    for system, schemas in described.items():
        mapped = _mapped(work.scenes, system, schemas)
        if system not in known:
            _keep(work, system, mapped)
            continue
        for scene in work.scenes:
            for stream in scene.streams:
                if stream.system == system:
                    _drifted(work, scene, stream, known[system], mapped)


def _mapped(scenes: Scenes, system: str, schemas: Sequence[ObjectSchema]) -> tuple[ObjectSchema, ...]:
    """Only what is mapped: anything else may change as it likes."""
    fields: dict[str, set[str]] = {}
    for scene in scenes:
        for stream in scene.streams:
            if stream.system == system:
                fields.setdefault(stream.object, set()).update(stream.fields)
    return tuple(
        replace(schema, fields=tuple(item for item in schema.fields if item.name in fields[schema.name]))
        for schema in schemas
        if schema.name in fields
    )


def _keep(work: Work, system: str, schemas: Sequence[ObjectSchema]) -> None:
    row = {"system": system, "described": schemas_to_json(schemas), "at": work.now()}
    with work.store.ledger.begin() as connection:
        work.store.ledger.check_fence(connection)
        connection.execute(t.snapshots.insert(), [row])


def _drifted(
    work: Work, scene: Scene, stream: Stream, before: Sequence[ObjectSchema], now: Sequence[ObjectSchema]
) -> None:
    old = next((item for item in before if item.name == stream.object), None)
    new = next((item for item in now if item.name == stream.object), None)
    if old is None:
        return
    changed = {
        item.name: _difference(item, new.field(item.name) if new is not None else None)
        for item in old.fields
        if item.name in stream.compared
    }
    wrong = {name: what for name, what in changed.items() if what}
    if not wrong:
        return
    names = frozenset(
        pair.new
        for of, pairs in scene.pairs.items()
        for pair in pairs.values()
        for name in ((pair.new,) if stream.which is Which.NEW else pair.old if of == stream.name else ())
        if name in wrong
    )
    terms: Terms = work.terms_of(scene)
    work.terms[scene.mapping] = replace(terms, drifted=terms.drifted | names)
    for name, what in sorted(wrong.items()):
        work.report.blame(
            Status.RED, "drift", f"{scene.mapping}: {stream.object}.{name} of the {stream.which.value} side {what}",
            "put it back, or change the mapping and approve the new schema", mapping=scene.mapping, exit_code=5,
        )  # fmt: skip


def _difference(before: FieldSchema, now: FieldSchema | None) -> str:
    """What is not as it was approved, in words; '' when nothing that matters is."""
    if now is None:
        return "is gone, or may no longer be read"
    for name in ("type", "length", "precision", "scale", "required", "values", "references", "read_only"):
        if getattr(before, name) != getattr(now, name):
            return f"has another {name}"
    return ""


# ---- lost and restored stores


def check_marker(work: Work) -> None:
    """Compare the store's generation with what each system remembers of it; go on under the next one, or read only.

    The store goes first: killed in between, the systems remember an older one, which is harmless. A system that remembers
    a newer one, or another store, has seen writes that this store knows nothing of.
    """
    store = work.store
    identity, generation = store.ledger.identity, int(store.fact(GENERATION) or 0)
    sides = _systems(work)
    strange = store.fact(RESTORED) != ""
    for system, side in sides.items():
        if not side.facts.marker:
            continue
        owner, _, number = side.marker().partition("/")
        if owner and (owner != identity or int(number or 0) > generation):
            strange = True
            work.report.blame(
                Status.RED, "store", f"{system} remembers another state of this sync than the ledger has",
                "the ledger was lost or restored: look at the holds, then approve it: migrator sync resume --restored",
                exit_code=5,
            )  # fmt: skip
    if strange:
        work.read_only = True
        return
    store.note(GENERATION, str(generation + 1))
    for side in sides.values():
        if side.facts.marker and not side.facts.read_only:
            side.set_marker(f"{identity}/{generation + 1}")


def accept_restored(store: SyncStore, sides: Iterable[Side]) -> None:
    """A person has looked: the store counts again, under a generation later than any that a system remembers.

    Raises `SafetyStop` before a run compared both systems whole: until then it does not know which records have partners.
    """
    if store.fact(RESTORED) != REBUILT:
        raise SafetyStop(
            "no run has rebuilt this ledger from both systems since it was lost or restored",
            hint="let one go through to its end, it writes nothing: migrator sync once",
        )
    with_marker = [side for side in sides if side.facts.marker]
    known = [int(side.marker().partition("/")[2] or 0) for side in with_marker]
    generation = max([int(store.fact(GENERATION) or 0), *known]) + 1
    store.note(GENERATION, str(generation))
    store.note(RESTORED, "")
    for side in with_marker:
        if not side.facts.read_only:
            side.set_marker(f"{store.ledger.identity}/{generation}")


def is_forgotten(store: SyncStore) -> bool:
    """Whether no run went through to its end since the bases were forgotten."""
    return store.fact(RESTORED) == _FORGOTTEN


def note_rebuilding(work: Work) -> None:
    """Remember when each system was listed to rebuild the ledger, by its own clock: what is older was there, seen or not."""
    for system, side in _systems(work).items():
        work.store.note(_listed(system), side.server_time().isoformat())


def look_when_listed(work: Work) -> None:
    """Read when that was; nothing for a ledger that was never lost."""
    facts = {system: work.store.fact(_listed(system)) for system in _systems(work)}
    work.listed = {system: datetime.fromisoformat(at) for system, at in facts.items() if at}


def is_older_than_ledger(work: Work, stream: Stream, record: Record) -> bool:
    """Whether a record that no group has was there, and hidden, when a lost ledger was rebuilt: its partner may have died since.

    Where its system does not say when it was made, an edit since makes it look new.
    """
    listed, made = work.listed.get(stream.system), record.created or record.stamp
    if listed is None or made is None:
        return False
    return made < listed - timedelta(seconds=stream.side.facts.longest_transaction)


def _systems(work: Work) -> Mapping[str, Side]:
    return {stream.system: stream.side for scene in work.scenes for stream in scene.streams}


def _listed(system: str) -> str:
    return f"listed/{system}"[:64]


def note_rebuilt(store: SyncStore) -> None:
    """A read-only run compared every stream and looked for the partner of every record: the crosswalk is whole again.

    But for records that were queued and could not be read or carried: whether those had a partner is doubted from now on.
    So it is of those whose partner was about to be made then: they are remembered as dead, and a person is asked once they show up.
    """
    if not is_forgotten(store):
        return
    m, h = t.members.c, t.holds.c
    begun = sa.and_(m.until.is_(None), m.state == CREATING)
    with store.ledger.begin() as connection:
        store.ledger.check_fence(connection)
        connection.execute(t.dirty.update().where(not_a_member()).values(why=DOUBTED))
        connection.execute(t.holds.delete().where(h.field == "", h.grp.in_(sa.select(m.grp).where(begun))))
        connection.execute(t.members.update().where(begun).values(state=GONE, leads=False))
        keep_fact(connection, RESTORED, REBUILT)


def forget_bases(store: SyncStore) -> None:
    """After a restore: every base is lost, so that whatever differs becomes a question and nothing is overwritten."""
    if store.fact(RESTORED):
        return
    with store.ledger.begin() as connection:
        store.ledger.check_fence(connection)
        m = t.members
        connection.execute(
            m.update().where(m.c.until.is_(None)).values(base="{}", owed="{}", seen=None, version="")
        )
        connection.execute(t.watermarks.update().values(watermark=None, scanned_at=None))
        connection.execute(t.intents.delete())
    store.note(RESTORED, _FORGOTTEN)
