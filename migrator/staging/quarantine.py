"""Every quarantined record with its rule, field, value, the system's own words and what to do; and the warnings beside.

Nothing is kept twice: a record is in quarantine because of what extract, map, plan or load recorded, so the list is a
query over their datasets, is always current, and has exactly as many records as the account counts.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from migrator.core.mapped import Link, MappedObject
from migrator.core.mask import mask
from migrator.staging import columns
from migrator.staging.accounting import disposition, planned_now
from migrator.staging.action import Action, listed
from migrator.staging.engine import Session, literal, quote
from migrator.staging.hints import hint
from migrator.staging.relation import RECORD, reference, relation, staged_records
from migrator.staging.store import Kind, Store

_ID, _FP, _ISSUES = quote(columns.ID), quote(columns.FINGERPRINT), quote(columns.ISSUES)
_NONE = "CAST(NULL AS VARCHAR)"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries are wanted; None means all."""

    objects: frozenset[str] | None = None
    rules: frozenset[str] | None = None
    record: str | None = None
    """One record, as its `__id`."""
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that is wrong with one record; a record that breaks several rules has several entries."""

    object: str
    record: str | None
    """Its `__id`; None for what could not be read as a record."""
    place: str | None
    """Where it stands in the source, when that is known."""
    step: str
    """'extract', 'map', 'plan' or 'load'."""
    rule: str
    field: str | None
    value: str | None
    """The offending value, masked where it is personal."""
    message: str | None
    """The system's own words, personal values masked."""
    hint: str

    @property
    def reference(self) -> str:
        """'OBJECT/ID', as `migrator explain` takes it."""
        return f"{self.object}/{self.record or ''}"


EVERYTHING = Filter()


def rows(
    store: Store,
    session: Session,
    objects: Sequence[MappedObject],
    *,
    only: Filter = EVERYTHING,
    masked: bool = True,
) -> Generator[Entry, None, None]:
    """Everything quarantined, by object in load order, then step and place; streamed, so read it to the end or close it."""
    yield from _entries(store, session, objects, _quarantined, only, masked=masked)


def warnings(
    store: Store,
    session: Session,
    objects: Sequence[MappedObject],
    *,
    only: Filter = EVERYTHING,
    masked: bool = True,
) -> Generator[Entry, None, None]:
    """What was noted about records that move all the same: values changed or emptied, links whose other end never came."""
    yield from _entries(store, session, objects, _warned, only, masked=masked)


def quarantined(store: Store, session: Session, obj: MappedObject, hidden: Iterable[str] = ()) -> str:
    """SQL for what quarantines records of one object: (step, place, record, rule, field, value, message, safe_message, follows).

    `value` and `message` are unmasked; `safe_message` has the values of personal fields, and of those `hidden`, taken out.
    """
    return " UNION ALL ".join(_quarantined(store, session, obj, frozenset(hidden))) or _piece(
        "WHERE false", step="1 extract", rule=_NONE
    )


def _entries(
    store: Store,
    session: Session,
    objects: Sequence[MappedObject],
    query: Callable[[Store, Session, MappedObject], list[str]],
    only: Filter,
    *,
    masked: bool,
) -> Generator[Entry, None, None]:
    left = only.limit
    for obj in objects:
        if only.objects is not None and obj.name not in only.objects:
            continue
        pieces = query(store, session, obj)
        if not pieces or left == 0:
            continue
        sql = f"SELECT * FROM ({' UNION ALL '.join(pieces)}) AS e WHERE {_condition(only)} ORDER BY ALL"
        # A session of its own: the reader may ask the engine for more between two entries.
        with closing(session.cursor()) as cursor:
            for batch in cursor.stream(sql + (f" LIMIT {left:d}" if left is not None else ""), 10_000):
                left = None if left is None else left - batch.num_rows
                for row in batch.to_pylist():
                    yield _entry(obj, row, masked=masked)


def _condition(only: Filter) -> str:
    wanted = ["true"]
    if only.rules is not None:
        wanted.append(f"e.rule IN ({', '.join(map(literal, sorted(only.rules))) or 'NULL'})")
    if only.record is not None:
        wanted.append(f"e.record = {literal(only.record)}")
    return " AND ".join(wanted)


def _entry(obj: MappedObject, row: dict[str, Any], *, masked: bool) -> Entry:
    value, message = row["value"], row["safe_message"] if masked else row["message"]
    # What no field is named for (raw text of a file) may hold anything that the object holds.
    if masked and value and (row["field"] in obj.pii or (row["field"] is None and obj.pii)):
        message = message.replace(value, mask(value)) if message else message
        value = mask(value)
    step = row["step"].partition(" ")[2]
    return Entry(
        obj.name, row["record"], row["place"], step, row["rule"], row["field"], value, message,
        hint("merged" if row["follows"] else row["rule"], step),
    )  # fmt: skip


def _piece(
    body: str, *, step: str, record: str = _NONE, place: str = _NONE, rule: str, field: str = _NONE,
    value: str = _NONE, message: str = _NONE, safe: str = "", follows: bool = False,
) -> str:  # fmt: skip
    """One SELECT of the union; `step` begins with a digit so that the list comes in the order of the steps."""
    return (
        f"SELECT {literal(step)} AS step, {place} AS place, {record} AS record, {rule} AS rule, {field} AS field,"
        f" {value} AS value, {message} AS message, {safe or message} AS safe_message, {str(follows).lower()} AS follows {body}"
    )


def _quarantined(
    store: Store, session: Session, obj: MappedObject, hidden: frozenset[str] = frozenset()
) -> list[str]:
    pieces = [*_rejected(store, session, obj), *_issues(store, session, obj, "error")]
    planned = planned_now(store, obj)
    if planned is None:
        return pieces
    pieces.append(_held(store, session, obj, relation(session, planned)))
    pieces.append(_refused(store, session, obj, relation(session, planned), obj.pii | hidden))
    if store.current(Kind.CLUSTERS, obj.name) is not None:
        followers = f"FROM ({disposition(session, store, obj)}) AS d {_places(store, session, obj, 'd')}"
        pieces.append(
            _piece(
                f"{followers} WHERE d.state = 'quarantined' AND d.through IS NOT NULL", step="5 load", follows=True,
                place="s.place", record=f"d.{_ID}", rule="d.rule",
                message="'merged into ' || d.through || ', which is quarantined'",
            )
        )  # fmt: skip
    return pieces


def _rejected(store: Store, session: Session, obj: MappedObject) -> list[str]:
    found = (store.current(Kind.REJECTS, source.staged) for source in obj.sources)
    # Raw text may hold anything personal that the object holds: it is masked like a personal value (field is null).
    return [
        _piece(
            f"FROM {relation(session, rejects)} AS r", step="1 extract", place=f"r.{quote(columns.PLACE)}",
            rule="r.rule", value="r.raw", message="r.message",
        )
        for rejects in found
        if rejects is not None and rejects.rows
    ]  # fmt: skip


def _issues(store: Store, session: Session, obj: MappedObject, severity: str) -> list[str]:
    mapped = store.current(Kind.MAPPED, obj.name)
    if mapped is None:
        return []
    bad = f"m.{quote(columns.BAD)}" if severity == "error" else f"len(m.{_ISSUES}) > 0"
    body = (
        f"FROM (SELECT m.{_ID}, unnest(m.{_ISSUES}) AS i FROM {relation(session, mapped)} AS m"
        f" WHERE {bad} AND m.{quote(columns.EXCLUDED)} IS NULL) AS u {_places(store, session, obj, 'u')}"
        f" WHERE u.i.severity = {literal(severity)}"
    )
    return [_told(body, "u", "2 map")]


def _held(store: Store, session: Session, obj: MappedObject, planned: str) -> str:
    held = listed((Action.KEY_CONFLICT, Action.ORPHANED))
    body = (
        f"FROM (SELECT p.{_ID}, unnest(p.{_ISSUES}) AS i FROM {planned} AS p"
        f" WHERE p.{quote(columns.ACTION)} IN ({held})) AS u {_places(store, session, obj, 'u')} WHERE u.i.severity = 'error'"
    )
    return _told(body, "u", "3 plan")


def _told(body: str, alias: str, step: str) -> str:
    return _piece(
        body, step=step, place="s.place", record=f"{alias}.{_ID}", rule=f"{alias}.i.rule",
        field=f"{alias}.i.field", value=f"{alias}.i.value", message=f"{alias}.i.message",
    )  # fmt: skip


def _refused(store: Store, session: Session, obj: MappedObject, planned: str, hidden: frozenset[str]) -> str:
    """Rows whose planned values the target refused, with the value of the field it named."""
    crosswalk = relation(session, store.current(Kind.CROSSWALK, obj.name), columns.CROSSWALK)
    values = " ".join(
        f"WHEN {literal(item.name)} THEN CAST(p.{quote(item.name)} AS VARCHAR)" for item in obj.fields
    )
    safe = "x.message"
    for name in sorted(hidden):
        text = f"CAST(p.{quote(name)} AS VARCHAR)"
        # `safe` stands here once: twice would double the query with every personal field. Nothing is '' in a text
        safe = f"replace({safe}, CASE WHEN length({text}) > 1 THEN {text} ELSE '' END, '•••')"
    body = (
        f"FROM {planned} AS p JOIN {crosswalk} AS x ON x.{_ID} = p.{_ID} AND x.{_FP} = p.{_FP}"
        f" {_places(store, session, obj, 'p')} WHERE x.outcome = 'refused'"
        f" AND p.{quote(columns.ACTION)} NOT IN ({listed((Action.WAIT, Action.KEY_CONFLICT, Action.ORPHANED))})"
    )
    return _piece(
        body, step="4 load", place="s.place", record=f"p.{_ID}", rule="x.code", field="x.field",
        value=f"CASE x.field {values} END", message="x.message", safe=safe,
    )  # fmt: skip


def _warned(store: Store, session: Session, obj: MappedObject) -> list[str]:
    pieces = _issues(store, session, obj, "warning")
    planned = planned_now(store, obj)
    if planned is not None:
        body = (
            f"FROM (SELECT p.{_ID}, unnest(p.{_ISSUES}) AS i FROM {relation(session, planned)} AS p"
            f" WHERE len(p.{_ISSUES}) > 0) AS u {_places(store, session, obj, 'u')} WHERE u.i.severity = 'warning'"
        )
        pieces.append(_told(body, "u", "3 plan"))
        pieces += [
            _dangling(store, session, obj, link, relation(session, planned))
            for link in obj.links
            if link.deferred
        ]
    return pieces


def _dangling(store: Store, session: Session, obj: MappedObject, link: Link, planned: str) -> str:
    """Loaded records whose deferred link is still empty in the target, because its other end is not there."""
    own = relation(session, store.current(Kind.CROSSWALK, obj.name), columns.CROSSWALK)
    name = f"p.{quote(link.field)}"
    there = " UNION ALL ".join(
        f"SELECT {reference(other, _ID)} AS ref"
        f" FROM {relation(session, store.current(Kind.CROSSWALK, other), columns.CROSSWALK)} WHERE target_id IS NOT NULL"
        for other in link.mappings
    )
    body = (
        f"FROM {planned} AS p JOIN {own} AS x ON x.{_ID} = p.{_ID} AND x.target_id IS NOT NULL"
        f" {_places(store, session, obj, 'p')}"
        f" WHERE {name} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM ({there}) AS t WHERE t.ref = {name})"
    )
    message = f"'the link is empty until ' || {name} || ' is in the target'"
    return _piece(
        body, step="4 load", place="s.place", record=f"p.{_ID}", rule=literal("lookup.waiting"),
        field=literal(link.field), value=name, message=message,
    )  # fmt: skip


def _places(store: Store, session: Session, obj: MappedObject, alias: str) -> str:
    """A join that adds `s.place`, where the source row of a record stands."""
    pieces = []
    for source in obj.sources:
        staged = store.current(Kind.STAGED, source.staged)
        if staged is not None and {columns.PLACE, columns.ROW, columns.COPY} <= set(staged.schema().names):
            pieces.append(
                f"SELECT {quote(RECORD)} AS record, {quote(columns.PLACE)} AS place FROM ({staged_records(session, source, staged)})"
            )
    empty = f"SELECT {_NONE} AS record, {_NONE} AS place WHERE false"
    return f"LEFT JOIN ({' UNION ALL '.join(pieces) or empty}) AS s ON s.record = {alias}.{_ID}"
