"""The queries behind quarantine: what holds records back, and what was noted about others, one SELECT a step.

Columns: step, place, record, rule, field, value, message, safe_message, follows, mark, attempt, source. `value` and `message`
are unmasked; `safe_message` has the values of personal fields taken out. `mark` says what exactly is wrong (record,
rule, field and value): two entries of one mark are the same complaint. `attempt` says which attempt found it, `source` which source an unreadable row stands in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from migrator.core.mapped import Link, MappedObject
from migrator.staging import columns
from migrator.staging.action import Action, listed
from migrator.staging.disposition import disposition, planned_now
from migrator.staging.engine import Session, literal, quote
from migrator.staging.relation import RECORD, reference, relation, staged_records
from migrator.staging.store import Dataset, Kind, Store

_ID, _FP, _ISSUES = quote(columns.ID), quote(columns.FINGERPRINT), quote(columns.ISSUES)
_NONE = "CAST(NULL AS VARCHAR)"
_NOWHERE = f"SELECT {_NONE} AS record, {_NONE} AS place WHERE false"


def quarantined(store: Store, session: Session, obj: MappedObject, hidden: Iterable[str] = ()) -> str:
    """SQL for everything that quarantines records of one object; the values of fields in `hidden` are taken out too."""
    return _union(
        Complaints(store, session, obj, source_places(store, session, obj), frozenset(hidden)).errors()
    )


def marked(store: Store, session: Session, obj: MappedObject) -> str:
    """`quarantined` for machines: nothing is looked up in the source, so `place` is mostly null."""
    return _union(Complaints(store, session, obj, _NOWHERE).errors())


def noted(store: Store, session: Session, obj: MappedObject) -> str:
    """SQL for what was noted about records of one object that move all the same."""
    return _union(Complaints(store, session, obj, source_places(store, session, obj)).warnings())


def source_places(store: Store, session: Session, obj: MappedObject) -> str:
    """SQL for (record, place): where the source row of each record stands."""
    pieces = []
    for source in obj.sources:
        staged = store.current(Kind.STAGED, source.staged)
        if staged is not None and {columns.PLACE, columns.ROW, columns.COPY} <= set(staged.schema().names):
            pieces.append(
                f"SELECT {quote(RECORD)} AS record, {quote(columns.PLACE)} AS place FROM ({staged_records(session, source, staged)})"
            )
    return " UNION ALL ".join(pieces) or _NOWHERE


def _union(pieces: list[str]) -> str:
    return " UNION ALL ".join(pieces) or _piece("WHERE false", step="1 extract", rule=_NONE)


def _piece(
    body: str, *, step: str, record: str = _NONE, place: str = _NONE, rule: str, field: str = _NONE, value: str = _NONE,
    message: str = _NONE, safe: str = "", follows: bool = False, instead: str = _NONE, attempt: str = "''",
    source: str = "",
) -> str:  # fmt: skip
    """One SELECT of the union; `step` begins with a digit so that the list comes in the order of the steps.

    `instead` stands for the value in the mark where the complaint names none.
    """
    told = ", ".join(
        f"coalesce({text}, '')" for text in (record, rule, field, f"coalesce({value}, {instead})")
    )
    return (
        f"SELECT {literal(step)} AS step, {place} AS place, {record} AS record, {rule} AS rule, {field} AS field,"
        f" {value} AS value, {message} AS message, {safe or message} AS safe_message, {str(follows).lower()} AS follows,"
        f" md5(concat_ws(chr(31), {told})) AS mark, {attempt} AS attempt, {literal(source) if source else _NONE} AS source {body}"
    )


@dataclass(frozen=True, slots=True)
class Complaints:
    """What every step has to say against the records of one object."""

    store: Store
    session: Session
    obj: MappedObject
    places: str
    """SQL for (record, place)."""
    hidden: frozenset[str] = frozenset()

    def errors(self) -> list[str]:
        """What quarantines records, step by step."""
        found = [*self._rejected(), *self._issues("error")]
        planned = planned_now(self.store, self.obj)
        if planned is None:
            return found
        rows = relation(self.session, planned)
        found += [self._held(rows, planned), self._refused(rows)]
        if self.store.current(Kind.CLUSTERS, self.obj.name) is not None:
            found.append(self._followers())
        return found

    def warnings(self) -> list[str]:
        """What was noted about records that move all the same, step by step."""
        found = self._issues("warning")
        planned = planned_now(self.store, self.obj)
        if planned is None:
            return found
        rows = relation(self.session, planned)
        body = (
            f"FROM (SELECT p.{_ID}, unnest(p.{_ISSUES}) AS i FROM {rows} AS p WHERE len(p.{_ISSUES}) > 0) AS u"
            f" {self._placed('u')} WHERE u.i.severity = 'warning'"
        )
        found.append(_told(body, "3 plan", planned.id))
        return found + [self._dangling(link, rows) for link in self.obj.links if link.deferred]

    def _placed(self, alias: str) -> str:
        """A join that adds `s.place`, where the source row of a record stands."""
        return f"LEFT JOIN ({self.places}) AS s ON s.record = {alias}.{_ID}"

    def _crosswalk(self, name: str) -> str:
        return relation(self.session, self.store.current(Kind.CROSSWALK, name), columns.CROSSWALK)

    def _rejected(self) -> list[str]:
        found = [(item.name, self.store.current(Kind.REJECTS, item.staged)) for item in self.obj.sources]
        # Raw text may hold anything personal that the object holds: it is masked like a personal value (field is null).
        return [
            _piece(
                f"FROM {relation(self.session, rejects)} AS r", step="1 extract", place=f"r.{quote(columns.PLACE)}",
                rule="r.rule", value="r.raw", message="r.message", attempt=literal(rejects.id), source=name,
            )
            for name, rejects in found
            if rejects is not None and rejects.rows
        ]  # fmt: skip

    def _issues(self, severity: str) -> list[str]:
        mapped = self.store.current(Kind.MAPPED, self.obj.name)
        if mapped is None:
            return []
        bad = f"m.{quote(columns.BAD)}" if severity == "error" else f"len(m.{_ISSUES}) > 0"
        body = (
            f"FROM (SELECT m.{_ID}, unnest(m.{_ISSUES}) AS i FROM {relation(self.session, mapped)} AS m"
            f" WHERE {bad} AND m.{quote(columns.EXCLUDED)} IS NULL) AS u {self._placed('u')}"
            f" WHERE u.i.severity = {literal(severity)}"
        )
        return [_told(body, "2 map", mapped.id)]

    def _held(self, rows: str, planned: Dataset) -> str:
        held = listed((Action.KEY_CONFLICT, Action.ORPHANED))
        body = (
            f"FROM (SELECT p.{_ID}, unnest(p.{_ISSUES}) AS i FROM {rows} AS p"
            f" WHERE p.{quote(columns.ACTION)} IN ({held})) AS u {self._placed('u')} WHERE u.i.severity = 'error'"
        )
        return _told(body, "3 plan", planned.detail["inputs"]["mapped"])

    def _refused(self, rows: str) -> str:
        """Rows whose planned values the target refused, with the value of the field it named."""
        values = " ".join(
            f"WHEN {literal(item.name)} THEN CAST(p.{quote(item.name)} AS VARCHAR)"
            for item in self.obj.fields
        )
        safe = "x.message"
        for name in sorted(self.obj.pii | self.hidden):
            text = f"CAST(p.{quote(name)} AS VARCHAR)"
            # `safe` stands here once: twice would double the query with every personal field. Nothing is '' in a text
            safe = f"replace({safe}, CASE WHEN length({text}) > 1 THEN {text} ELSE '' END, '•••')"
        body = (
            f"FROM {rows} AS p JOIN {self._crosswalk(self.obj.name)} AS x ON x.{_ID} = p.{_ID} AND x.{_FP} = p.{_FP}"
            f" {self._placed('p')} WHERE x.outcome = 'refused'"
            f" AND p.{quote(columns.ACTION)} NOT IN ({listed((Action.WAIT, Action.KEY_CONFLICT, Action.ORPHANED))})"
        )
        return _piece(
            body, step="4 load", place="s.place", record=f"p.{_ID}", rule="x.code", field="x.field",
            value=f"CASE x.field {values} END", message="x.message", safe=safe, instead=f"p.{_FP}",
            attempt="CAST(x.at AS VARCHAR)",
        )  # fmt: skip

    def _followers(self) -> str:
        """Duplicates share the fate of the record that they were merged into."""
        return _piece(
            f"FROM ({disposition(self.session, self.store, self.obj)}) AS d {self._placed('d')}"
            " WHERE d.state = 'quarantined' AND d.through IS NOT NULL",
            step="5 load", follows=True, place="s.place", record=f"d.{_ID}", rule="d.rule",
            message="'merged into ' || d.through || ', which is quarantined'", instead="d.through",
        )  # fmt: skip

    def _dangling(self, link: Link, rows: str) -> str:
        """Loaded records whose deferred link is still empty in the target, because its other end is not there."""
        name = f"p.{quote(link.field)}"
        there = " UNION ALL ".join(
            f"SELECT {reference(other, _ID)} AS ref FROM {self._crosswalk(other)} WHERE target_id IS NOT NULL"
            for other in link.mappings
        )
        body = (
            f"FROM {rows} AS p JOIN {self._crosswalk(self.obj.name)} AS x ON x.{_ID} = p.{_ID} AND x.target_id IS NOT NULL"
            f" {self._placed('p')}"
            f" WHERE {name} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM ({there}) AS t WHERE t.ref = {name})"
        )
        message = f"'the link is empty until ' || {name} || ' is in the target'"
        return _piece(
            body, step="4 load", place="s.place", record=f"p.{_ID}", rule=literal("lookup.waiting"),
            field=literal(link.field), value=name, message=message,
        )  # fmt: skip


def _told(body: str, step: str, attempt: str) -> str:
    return _piece(
        body, step=step, place="s.place", record=f"u.{_ID}", rule="u.i.rule", field="u.i.field", value="u.i.value",
        message="u.i.message", attempt=literal(attempt),
    )  # fmt: skip


Query = Callable[[Store, Session, MappedObject], str]
"""`quarantined` or `noted`."""
