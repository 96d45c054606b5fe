"""Every source record that is not in the new system as a record of its own, and why: some named on the page, all in a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from migrator.core.mapped import MappedObject
from migrator.staging import columns as c
from migrator.staging.action import Action
from migrator.staging.disposition import disposition, planned_now
from migrator.staging.engine import Session, literal, quote
from migrator.staging.quarantine_sql import quarantined
from migrator.staging.relation import relation
from migrator.staging.store import Dataset, Kind, Store
from validation.privacy import Privacy, is_hidden, shown_choices, shown_values

LOST = "lost"
"""Loaded according to the record of the load, and not in the target now."""
STATES = (LOST, "quarantined", "pending", "excluded", "merged")
"""What may have become of a record that is not there, the worst first: `LOST`, or a class of the accounting."""
MOST_NAMED = 200
"""Records named of one reason at most; the list beside the report has all of them."""

MOST_ROOTS = 50
"""Records named that others wait for."""

ABSENT = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("object", "record", "place", "state", "rule", "field", "value")),
        *(pa.field(name, pa.string()) for name in ("message", "towards", "link", "target_id")),
        pa.field("loaded_at", pa.timestamp("us", tz="UTC")),
        pa.field("problems", pa.int64()),
    ]
)  # fmt: skip
"""`record` is OBJECT/SOURCE:KEY as `migrator explain` takes it, null for what could not be read as a record (`place` says
where it stands); `towards` is the record it was merged into or waits for, `link`
whether the link by which it waits is 'required' or 'optional', null when it waits through another record; `target_id` and `loaded_at` tell of a lost one;
`problems` is how many things are wrong with a quarantined one; values and messages are masked."""


@dataclass(frozen=True, slots=True)
class Absent:
    """One record that is not there, as the page names it."""

    record: str
    value: str | None = None
    towards: str | None = None
    link: str | None = None
    target_id: str | None = None
    loaded_at: str | None = None
    problems: int = 0


@dataclass(frozen=True, slots=True)
class Reason:
    """Why some records of an object are not there."""

    state: str
    """One of `STATES`."""
    rule: str
    field: str
    """The field it is about, '' when it is about the record."""
    count: int
    message: str
    """What the system said of the first of them, without values; '' when it said nothing."""
    named: tuple[Absent, ...]


def lay_aside_held(session: Session, store: Store, mapped: MappedObject) -> str:
    """Lay aside what became of the records that are not loaded (`disposition`), few as a rule; returns its quoted name.

    Who joins to them should not have all records and what became of each in the same query.
    """
    name = f"v:{mapped.name}:held"
    session.lay_aside(name, f"SELECT * FROM ({disposition(session, store, mapped)}) WHERE state <> 'loaded'")
    return quote(name)


def find_absent(
    session: Session,
    store: Store,
    mapped: MappedObject,
    differences: Dataset | None,
    privacy: Privacy,
    *,
    held: str,
) -> str:
    """Make a table of `ABSENT` rows of one object and return its quoted name.

    `differences` is its RECONCILE dataset, `held` what `lay_aside_held` returned.
    """
    name = quote(f"v:{mapped.name}:absent")
    parts = [
        _not_loaded_sql(session, store, mapped, privacy, held),
        *_unreadable(session, store, mapped, privacy),
        *([_lost_sql(session, store, mapped, differences)] if differences is not None else []),
    ]
    session.execute(f"CREATE OR REPLACE TABLE {name} AS {' UNION ALL '.join(parts)}")
    return name


def reasons(session: Session, absent: str) -> tuple[Reason, ...]:
    """The reasons in such a table, the worst state first, then the commonest, each with its first records by name."""
    rank = " ".join(f"WHEN {literal(state)} THEN {place}" for place, state in enumerate(STATES))
    rows: list[dict[str, Any]] = session.fetch(
        f"""SELECT * FROM (
              SELECT *, CASE state {rank} END AS rank, count(*) OVER same AS n,
                     row_number() OVER (same ORDER BY record NULLS LAST, place) AS nth,
                     first_value(message) OVER (same ORDER BY record NULLS LAST, place) AS first_message
              FROM {absent} WINDOW same AS (PARTITION BY state, rule, field))
            WHERE nth <= {MOST_NAMED} ORDER BY rank, n DESC, rule, field, nth"""
    ).to_pylist()
    found: dict[tuple[str, str, str], Reason] = {}
    named: dict[tuple[str, str, str], list[Absent]] = {}
    for row in rows:
        key = (row["state"], row["rule"] or "?", row["field"] or "")
        found.setdefault(key, Reason(*key, row["n"], row["first_message"] or "", ()))
        named.setdefault(key, []).append(_named(row))
    return tuple(
        Reason(item.state, item.rule, item.field, item.count, item.message, tuple(named[key]))
        for key, item in found.items()
    )


@dataclass(frozen=True, slots=True)
class Root:
    """A record that others wait for, and how many of them."""

    record: str
    frees: int


def roots(session: Session, tables: Sequence[str]) -> tuple[Root, ...]:
    """What records wait for, over all objects' tables of `ABSENT` rows, the most waited for first."""
    if not tables:
        return ()
    waiting = " UNION ALL ".join(f"SELECT towards FROM {table} WHERE state = 'pending'" for table in tables)
    rows = session.fetch(
        f"SELECT towards, count(*) AS n FROM ({waiting}) WHERE towards IS NOT NULL"
        f" GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MOST_ROOTS}"
    ).to_pylist()
    return tuple(Root(row["towards"], row["n"]) for row in rows)


def _named(row: dict[str, Any]) -> Absent:
    at = row["loaded_at"]
    return Absent(
        row["record"] or row["place"] or "?", row["value"], row["towards"], row["link"], row["target_id"],
        at.isoformat() if at is not None else None, row["problems"] or 0,
    )  # fmt: skip


def _not_loaded_sql(session: Session, store: Store, mapped: MappedObject, privacy: Privacy, held: str) -> str:
    """Records of every class but 'loaded'; a quarantined one with the problem that its class names, and how many it has."""
    hidden = [item.name for item in mapped.fields if is_hidden(item, privacy)]
    told = quarantined(store, session, mapped, hidden)
    own = literal(f"{mapped.name}/")
    given, of = "t.problem.value", "t.problem.field"
    value = (
        f"CASE WHEN d.rule IN ('value.unmapped', 'value.unknown') THEN {shown_choices(given, of, mapped, privacy)}"
        f" ELSE {shown_values(given, of, mapped, privacy)} END"
    )
    quarantine = "d.state = 'quarantined'"
    waited = "nullif(regexp_extract(d.reason, '(?s)^(.*?) (excluded|quarantined|refused): ', 1), '')"
    link, waiting = _link_sql(session, store, mapped, waited)
    return f"""
        SELECT {literal(mapped.name)} AS object, {own} || d.{c.ID} AS record, t.problem.place AS place, d.state, d.rule,
               CASE WHEN {quarantine} THEN t.problem.field END AS field,
               CASE WHEN {quarantine} AND t.problem.field IS NOT NULL THEN {value} END AS value,
               CASE WHEN {quarantine} THEN t.problem.{_message(privacy)} END AS message,
               CASE WHEN d.through IS NOT NULL THEN {own} || d.through WHEN d.state = 'pending' THEN {waited} END AS towards,
               CASE WHEN d.state = 'pending' THEN {link} END AS link,
               NULL::VARCHAR AS target_id, NULL::TIMESTAMPTZ AS loaded_at,
               CASE WHEN {quarantine} THEN t.n END AS problems
        FROM {held} d
        LEFT JOIN (SELECT record, rule, min(q) AS problem, CAST(sum(count(*)) OVER (PARTITION BY record) AS BIGINT) AS n
                   FROM (SELECT record, rule, {{'step': step, 'field': field, 'value': value, 'message': message,
                                 'safe_message': safe_message, 'place': place}} AS q FROM ({told}))
                   WHERE record IS NOT NULL GROUP BY record, rule) t ON t.record = d.{c.ID} AND t.rule = d.rule
        {waiting}"""


def _link_sql(session: Session, store: Store, mapped: MappedObject, waited: str) -> tuple[str, str]:
    """Whether a link of a pending row to the record `waited` is required, null when none leads to it; and the join it takes."""
    links = sorted((link for link in mapped.links if not link.deferred), key=lambda link: not link.required)
    planned = planned_now(store, mapped)
    if planned is None or not links:
        return "NULL", ""
    cases = " ".join(
        f"WHEN CAST(w.{quote(link.field)} AS VARCHAR) = {waited} THEN {literal('required' if link.required else 'optional')}"
        for link in links
    )
    waiting = f"SELECT * FROM {relation(session, planned)} WHERE {c.ACTION} = {literal(Action.WAIT.value)}"
    return f"CASE {cases} END", f"LEFT JOIN ({waiting}) w ON w.{c.ID} = d.{c.ID}"


def _unreadable(session: Session, store: Store, mapped: MappedObject, privacy: Privacy) -> list[str]:
    """What could not be read as a record has no id: the place where it stands names it."""
    found = (store.current(Kind.REJECTS, source.staged) for source in mapped.sources)
    message = "message" if privacy is Privacy.OPEN else "replace(message, raw, '•••')"
    return [
        f"SELECT {literal(mapped.name)}, NULL, {c.PLACE}, 'quarantined', rule, NULL, NULL, {message}, NULL, NULL, NULL, NULL, 1"
        f" FROM {relation(session, rejects)}"
        for rejects in found
        if rejects is not None and rejects.rows
    ]


def _lost_sql(session: Session, store: Store, mapped: MappedObject, differences: Dataset) -> str:
    crosswalk = relation(session, store.current(Kind.CROSSWALK, mapped.name), c.CROSSWALK)
    return (
        f"SELECT {literal(mapped.name)}, {literal(mapped.name + '/')} || r.{c.ID}, NULL, {literal(LOST)}, 'records.missing',"
        f" NULL, NULL, NULL, NULL, NULL, x.target_id, x.at, NULL"
        f" FROM {relation(session, differences)} r LEFT JOIN {crosswalk} x ON x.{c.ID} = r.{c.ID}"
        " WHERE r.class = 'missing' AND r.field = ''"
    )


def _message(privacy: Privacy) -> str:
    return "message" if privacy is Privacy.OPEN else "safe_message"
