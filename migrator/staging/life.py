"""The life of one record, from its place in the source to its id in the target: the facts that `migrator explain` tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from migrator.core.document import did_you_mean
from migrator.core.errors import ProjectError
from migrator.core.mapped import MappedObject, MappedSource
from migrator.staging import columns
from migrator.staging.disposition import disposition, planned_now
from migrator.staging.engine import Session, literal, quote
from migrator.staging.merged import survivor_of
from migrator.staging.relation import RECORD, relation, staged_records
from migrator.staging.store import Dataset, Kind, Store

_ID, _KEY = quote(columns.ID), quote(columns.KEY)


@dataclass(frozen=True, slots=True)
class Issue:
    """Something noted about a field of the record; its value may be personal."""

    field: str
    rule: str
    value: str | None
    message: str | None
    severity: str


@dataclass(frozen=True, slots=True)
class Staged:
    """The record as it was read."""

    system: str
    object: str
    place: str | None
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class MappedField:
    """One target field: as mapped, as it survived deduplication, and as it is planned (links lead to survivors)."""

    name: str
    mapped: Any
    survived: Any
    planned: Any
    personal: bool
    issues: tuple[Issue, ...]


@dataclass(frozen=True, slots=True)
class Clustered:
    """The cluster of duplicates it belongs to."""

    cluster: str
    survivor: str
    rule: str | None
    evidence: str | None
    """The value that matched; may be personal."""
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """What the current plan wants done with it."""

    action: str
    reason: str | None
    batch: int | None
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """The last answer of the target about it."""

    outcome: str
    target_key: str | None
    target_id: str | None
    code: str | None
    field: str | None
    message: str | None
    batch: int | None
    run: str | None
    at: datetime | None
    is_current: bool
    """Whether the answer is about the values that are planned now."""


@dataclass(frozen=True, slots=True)
class Life:
    """All that is known of one record. Parts that no step has come to yet are None."""

    object: str
    record: str
    """Its `__id`."""
    state: str
    """One of `accounting.CLASSES`."""
    rule: str | None
    reason: str | None
    staged: Staged | None
    fields: tuple[MappedField, ...]
    issues: tuple[Issue, ...]
    """Those of the record as a whole, or of columns that are no target field."""
    cluster: Clustered | None
    planned: Planned | None
    """The survivor's, when the record was merged."""
    loaded: Loaded | None
    """The survivor's, when the record was merged."""


def life(store: Store, session: Session, objects: Sequence[MappedObject], reference: str) -> Life:
    """The life of 'OBJECT/ID'; ID is 'SOURCE:KEY', or the bare key where that is unmistakable.

    Raises `ProjectError` with the nearest match when there is no such object or record, or when a key is ambiguous.
    """
    obj = _object(objects, reference)
    mapped = store.need(Kind.MAPPED, obj.name, made_by="map")
    wanted = reference.partition("/")[2]
    standing = survivor_of(session, store, obj, wanted)
    if standing is not None and _one(session, relation(session, mapped), wanted) is None:
        return _merged_and_gone(store, session, obj, wanted, standing)
    record = _find(session, obj, mapped, wanted)
    rows = relation(session, mapped)
    row = _one(session, rows, record)
    cluster = _cluster(store, session, obj, record)
    survivor = cluster.survivor if cluster else record
    golden = store.current(Kind.GOLDEN, obj.name) if cluster else None
    survived = _one(session, relation(session, golden), survivor) if golden else None
    planned_set = planned_now(store, obj)
    planned = _one(session, relation(session, planned_set), survivor) if planned_set else None
    crosswalk = store.current(Kind.CROSSWALK, obj.name)
    loaded = _one(session, relation(session, crosswalk), survivor) if crosswalk else None
    state = session.fetch(
        f"SELECT state, rule, reason FROM ({disposition(session, store, obj)}) WHERE {_ID} = {literal(record)}"
    ).to_pylist()[0]
    assert row is not None, "it was found by its id"  # noqa: S101 (for the type checker)
    fields, issues = _fields(obj, row, survived or row, planned)
    return Life(
        obj.name, record, state["state"], state["rule"], state["reason"],
        _staged(store, session, obj, row), fields, issues, cluster,
        _planned(planned), _loaded(loaded, planned),
    )  # fmt: skip


def _merged_and_gone(store: Store, session: Session, obj: MappedObject, record: str, standing: str) -> Life:
    """What is still known of a record that was merged and is not in the source any more: who stands for it in the target."""
    crosswalk = relation(session, store.current(Kind.CROSSWALK, obj.name), columns.CROSSWALK)
    loaded = _loaded(_one(session, crosswalk, standing), None)
    reason = f"merged into {standing}; it is not in the source any more"
    return Life(obj.name, record, "merged", None, reason, None, (), (), None, None, loaded)


def _object(objects: Sequence[MappedObject], reference: str) -> MappedObject:
    name, slash, record = reference.partition("/")
    known = {obj.name: obj for obj in objects}
    if not slash or not record:
        raise ProjectError.at(
            reference or "explain", "this names no record", "write OBJECT/ID, for example contact/salesforce:0035g00000AAAAAAAB"
        )  # fmt: skip
    if name not in known:
        raise ProjectError.at(
            reference, f"there is no object {name!r}", did_you_mean(name, known, noun="objects")
        )
    return known[name]


def _find(session: Session, obj: MappedObject, mapped: Dataset, wanted: str) -> str:
    """The `__id` that is meant: exactly, or by the bare key, or by the key whatever its case."""
    rows = relation(session, mapped)
    for condition in (
        f"{_ID} = {literal(wanted)}",
        f"{_KEY} = {literal(wanted)}",
        f"lower({_KEY}) = lower({literal(wanted)}) OR lower({_ID}) = lower({literal(wanted)})",
    ):
        found = _ids(session, f"SELECT {_ID} AS id FROM {rows} WHERE {condition} ORDER BY 1 LIMIT 6")
        if len(found) == 1:
            return found[0]
        if found:
            raise ProjectError.at(
                f"{obj.name}/{wanted}", "several records have this key",
                "write one of " + ", ".join(f"{obj.name}/{one}" for one in found),
            )  # fmt: skip
    near = _ids(
        session,
        f"SELECT {_ID} AS id FROM {rows} ORDER BY least(jaro_winkler_similarity({_ID}, {literal(wanted)}), 0.999) +"
        f" CASE WHEN starts_with({_KEY}, {literal(wanted)}) THEN 1 ELSE 0 END DESC, 1 LIMIT 3",
    )
    hint = (
        "the nearest are " + ", ".join(f"{obj.name}/{one}" for one in near) if near else "the object is empty"
    )
    raise ProjectError.at(f"{obj.name}/{wanted}", "there is no such record", hint)


def _ids(session: Session, sql: str) -> list[str]:
    found: list[str] = session.fetch(sql).column("id").to_pylist()
    return found


def _one(session: Session, rows: str, record: str) -> dict[str, Any] | None:
    found: list[dict[str, Any]] = session.fetch(
        f"SELECT * FROM {rows} WHERE {_ID} = {literal(record)} LIMIT 1"
    ).to_pylist()
    return found[0] if found else None


def _staged(store: Store, session: Session, obj: MappedObject, row: dict[str, Any]) -> Staged | None:
    source = next((item for item in obj.sources if item.name == row[columns.SOURCE]), None)
    staged = store.current(Kind.STAGED, source.staged) if source else None
    if source is None or staged is None:
        return None
    found = session.fetch(_staged_row(session, source, staged, row[columns.ID])).to_pylist()
    if not found:
        return None
    values = {name: value for name, value in found[0].items() if not name.startswith(columns.RESERVED_PREFIX)}
    return Staged(source.system, source.object, found[0].get(columns.PLACE), values)


def _staged_row(session: Session, source: MappedSource, staged: Dataset, record: str) -> str:
    made = staged_records(session, source, staged)
    return f"SELECT * FROM ({made}) WHERE {quote(RECORD)} = {literal(record)} LIMIT 1"


def _fields(
    obj: MappedObject, row: dict[str, Any], survived: dict[str, Any], planned: dict[str, Any] | None
) -> tuple[tuple[MappedField, ...], tuple[Issue, ...]]:
    """Every target field with its issues, and the issues that belong to none."""
    told = [Issue(**item) for item in (*row[columns.ISSUES], *((planned or {}).get(columns.ISSUES) or ()))]
    names = {item.name for item in obj.fields}
    fields = tuple(
        MappedField(
            item.name, row[item.name], survived[item.name], planned[item.name] if planned else None, bool(item.pii),
            tuple(issue for issue in told if issue.field == item.name),
        )
        for item in obj.fields
    )  # fmt: skip
    return fields, tuple(issue for issue in told if issue.field not in names)


def _cluster(store: Store, session: Session, obj: MappedObject, record: str) -> Clustered | None:
    clusters = store.current(Kind.CLUSTERS, obj.name)
    if clusters is None:
        return None
    rows = relation(session, clusters)
    own = _one(session, rows, record)
    if own is None:
        return None
    members = _ids(
        session,
        f"SELECT {_ID} AS id FROM {rows} WHERE cluster = {literal(own['cluster'])} ORDER BY 1 LIMIT 1000",
    )
    return Clustered(own["cluster"], own["survivor"], own["rule"], own["evidence"], tuple(members))


def _planned(row: dict[str, Any] | None) -> Planned | None:
    if row is None:
        return None
    return Planned(row[columns.ACTION], row[columns.REASON], row[columns.BATCH], row[columns.FINGERPRINT])


def _loaded(row: dict[str, Any] | None, planned: dict[str, Any] | None) -> Loaded | None:
    if row is None:
        return None
    is_current = planned is not None and planned[columns.FINGERPRINT] == row[columns.FINGERPRINT]
    told = ("outcome", "target_key", "target_id", "code", "field", "message", "run", "at")
    return Loaded(**{name: row[name] for name in told}, batch=row[columns.BATCH], is_current=is_current)
