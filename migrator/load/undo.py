"""What a rollback has to do to one object: the records a run wrote, what each was before, and whether it may be touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pyarrow as pa

from migrator.core.fingerprint import fingerprint
from migrator.core.mapped import MappedObject
from migrator.load.intents import intents_name
from migrator.load.links import deferred
from migrator.load.outbound import TARGET_KEY
from migrator.staging import columns
from migrator.staging.engine import Session, literal, quote
from migrator.staging.relation import relation
from migrator.staging.store import Building, Dataset, Kind, Store

_ID, _KEY = quote(columns.ID), quote(TARGET_KEY)


class Verdict(Enum):
    """What becomes of one record that the run wrote."""

    DELETED = "deleted"
    RESTORED = "restored"
    GONE = "gone"
    """It is not in the target any more, and this rollback did not delete it."""
    EDITED = "edited"
    """Somebody changed it since: left as it is."""
    LATER = "later"
    """A later run wrote it again: roll that one back first."""
    REFUSED = "refused"
    """The target would not let it go."""
    UNSURE = "unsure"
    """It was done, and the target still does not show it."""


KEPT = (Verdict.EDITED, Verdict.LATER, Verdict.REFUSED, Verdict.UNSURE)
"""Verdicts that a person has to look at."""


@dataclass(frozen=True, slots=True)
class Todo:
    """The records of one object that a run wrote and that still stand in the crosswalk as it left them."""

    obj: MappedObject
    building: Building
    """UNDONE, where what was done is recorded batch by batch."""
    file: Path
    """One row per record by external key: was, wrote, links_was, links_wrote (structs, null where that pass did not
    write it), made (the record was not there before), later (the run that wrote it again), known (its crosswalk row
    from before)."""
    rows: int
    fields: tuple[str, ...]
    """Target fields the run wrote in the first pass, the key among them; empty when it wrote links only."""
    links: tuple[str, ...]
    """Target fields of the second pass."""

    @property
    def asked(self) -> tuple[str, ...]:
        """Everything to read of a record before it is touched."""
        return tuple(dict.fromkeys((self.obj.key, *self.fields, *self.links)))


def undone_name(obj: MappedObject, run: str) -> str:
    """The name of what a rollback did to one object."""
    return f"{obj.name}@{run}"


def find_undone(store: Store, obj: MappedObject, run: str) -> Dataset | None:
    """What a rollback did to an object when it is done but for the crosswalk, or wholly; else None."""
    found = store.current(Kind.UNDONE, undone_name(obj, run))
    return found if found is not None and found.fingerprint == _made_of(store, obj, run) else None


def make_todo(store: Store, session: Session, obj: MappedObject, run: str) -> Todo | None:
    """What is left to take back of an object; None when there is nothing."""
    rows, links = (_chapters(store, obj, kind, run) for kind in (Kind.OUTCOMES, Kind.LINKS))
    if not rows and not links:
        return None
    fields, linked = _fields(rows), _fields(links)
    building = store.build(Kind.UNDONE, undone_name(obj, run), _made_of(store, obj, run), resume=True)
    file = building.folder / "todo.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    wrote = _wrote(session, rows, run, _shape(rows), every=False)
    joined = _wrote(session, links, run, _shape(links), every=True)
    crosswalk = relation(session, store.current(Kind.CROSSWALK, obj.name), columns.CROSSWALK)
    total = session.write(_todo(crosswalk, run, wrote, joined), file)
    if not total:
        leave(store, building)
        return None
    names = tuple(
        dict.fromkeys(
            [*(name for name in linked if name != obj.key), *(link.field for link in deferred(obj))]
        )
    )
    return Todo(obj, building, file, total, fields, names)


def leave(store: Store, building: Building) -> None:
    """Go away without having begun: what a killed rollback had done already stays on record."""
    if not building.parts:
        store.discard_unfinished(building.dataset.kind, building.dataset.name)


def _made_of(store: Store, obj: MappedObject, run: str) -> str:
    crosswalk = store.current(Kind.CROSSWALK, obj.name)
    return fingerprint("undo", run, crosswalk.id if crosswalk else "")


Chapter = tuple[Dataset, Dataset]
"""HISTORY and ANSWERS of one pass of one load."""


def _chapters(store: Store, obj: MappedObject, kind: Kind, run: str) -> list[Chapter]:
    prefix = f"{intents_name(kind, obj)}@"
    found = []
    for name in store.names(Kind.ANSWERS):
        answers, history = store.current(Kind.ANSWERS, name), store.current(Kind.HISTORY, name)
        if name.startswith(prefix) and answers and history and run in answers.detail["runs"]:
            found.append((history, answers))
    return sorted(found, key=lambda chapter: str(chapter[1].created_at))


def _fields(chapters: Sequence[Chapter]) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(field.name for history, _ in chapters for field in history.schema().field("wrote").type)
    )


def _shape(chapters: Sequence[Chapter]) -> pa.Schema:
    """The columns of a pass, for a run that did not make it."""
    if chapters:
        return chapters[0][0].schema()
    nothing = pa.struct([pa.field("nothing", pa.string())])
    return pa.schema(
        [(columns.ID, pa.string()), (TARGET_KEY, pa.string()), ("was", nothing), ("wrote", nothing)]
    )


def _wrote(session: Session, chapters: Sequence[Chapter], run: str, shape: pa.Schema, *, every: bool) -> str:
    """SQL for what one pass of the run wrote: (__id, __target_key, made, was, wrote, known)."""
    if not chapters:
        empty = relation(session, None, pa.schema([*shape, pa.field("known", columns.KNOWN_ROW)]))
        return f"SELECT {_ID}, {_KEY}, true AS made, was, wrote, known FROM {empty}"
    written = [
        f"SELECT h.{_ID}, h.{_KEY}, NOT h.existed AS made, h.was, h.wrote, a.known, {place:d} AS chapter"
        f" FROM {relation(session, history)} AS h JOIN {relation(session, answers)} AS a ON a.{_ID} = h.{_ID}"
        f" WHERE a.run = {literal(run)} AND a.outcome <> 'refused' AND {'true' if every else changed(history)}"
        for place, (history, answers) in enumerate(chapters)
    ]
    if len(written) == 1:
        return written[0]
    # a record that was written twice is what it was before the first time, and as the last time left it
    return (
        f"SELECT {_ID}, {_KEY}, first.made AS made, first.was AS was, wrote, first.known AS known FROM ("
        f"SELECT {_ID}, {_KEY}, arg_min({{'made': made, 'was': was, 'known': known}}, chapter) AS first,"
        f" arg_max(wrote, chapter) AS wrote FROM ({' UNION ALL '.join(written)}) GROUP BY {_ID}, {_KEY})"
    )


def changed(history: Dataset) -> str:
    """SQL over HISTORY `h` and its ANSWERS `a`: whether the run changed the record.

    A record that we made, or changed, and whose answer was lost is answered as unchanged when it is sent again: that it was
    not there, or was otherwise, is known from before the first time.
    """
    fields = [quote(field.name) for field in history.schema().field("wrote").type]
    differs = " OR ".join(f"h.was.{name} IS DISTINCT FROM h.wrote.{name}" for name in fields)
    return f"(NOT h.existed OR a.outcome = 'updated' OR {differs})"


def _todo(crosswalk: str, run: str, rows: str, links: str) -> str:
    """Records that stand in the crosswalk as before the run were taken back already."""
    return f"""
WITH written AS (
  SELECT coalesce(r.{_ID}, l.{_ID}) AS {_ID}, coalesce(r.{_KEY}, l.{_KEY}) AS {_KEY},
         coalesce(r.made, false) AS made, r.was, r.wrote, l.was AS links_was, l.wrote AS links_wrote,
         CASE WHEN r.{_ID} IS NOT NULL THEN r.known ELSE l.known END AS known
  FROM ({rows}) AS r FULL JOIN ({links}) AS l ON l.{_ID} = r.{_ID})
SELECT w.*, CASE WHEN x.run <> {literal(run)} AND x.outcome IN ('created', 'updated') THEN x.run END AS later
FROM written AS w JOIN {crosswalk} AS x ON x.{_ID} = w.{_ID}
WHERE w.known IS NULL OR x IS DISTINCT FROM w.known
ORDER BY w.{_KEY}"""


def judge(session: Session, todo: Todo, batch: pa.Table, held: pa.Table) -> pa.Table:
    """(__id, __target_key, verdict, detail): what may be done with each record of a batch, given what the target holds.

    A link may be empty where the run set one: this rollback empties links before it deletes.
    """
    session.table("undo_todo", batch)
    session.table("undo_held", held)
    later = _names(batch, "links_wrote")
    overwritten = " OR t.links_wrote IS NOT NULL"
    checks = [
        *(_edited(name, "wrote", "was", overwritten if name in later else "") for name in todo.fields if name != todo.obj.key),
        *(_edited(name, "links_wrote", "links_was", " OR h.{} IS NULL") for name in later),
        *(_linked(name) for name in todo.links if name not in later),
    ]  # fmt: skip
    edited = (
        f"list_filter([{', '.join(checks)}], lambda name: name IS NOT NULL)"
        if checks
        else "CAST([] AS TEXT[])"
    )
    return session.fetch(f"""
WITH compared AS (
  SELECT t.*, h.{quote(todo.obj.key)} IS NULL AS gone, {edited} AS edited
  FROM undo_todo AS t LEFT JOIN undo_held AS h ON CAST(h.{quote(todo.obj.key)} AS VARCHAR) = t.{_KEY})
SELECT {_ID}, {_KEY},
       CASE WHEN later IS NOT NULL THEN '{Verdict.LATER.value}' WHEN gone THEN '{Verdict.GONE.value}'
            WHEN len(edited) > 0 THEN '{Verdict.EDITED.value}' WHEN made THEN '{Verdict.DELETED.value}'
            ELSE '{Verdict.RESTORED.value}' END AS verdict,
       CASE WHEN later IS NOT NULL THEN 'written again by run ' || later
            WHEN NOT gone AND len(edited) > 0 THEN 'changed since: ' || array_to_string(edited, ', ') END AS detail
FROM compared""")


def answered(session: Session, judged: pa.Table, answers: pa.Table) -> pa.Table:
    """The verdicts with what the target refused."""
    session.table("undo_judged", judged)
    session.table("undo_answers", answers)
    return session.fetch(f"""
SELECT j.{_ID}, j.{_KEY}, CASE WHEN a.key IS NOT NULL THEN '{Verdict.REFUSED.value}' ELSE j.verdict END AS verdict,
       CASE WHEN a.key IS NOT NULL THEN a.said ELSE j.detail END AS detail
FROM undo_judged AS j LEFT JOIN (
  SELECT key, string_agg(coalesce(message, code, 'refused'), '; ') AS said FROM undo_answers
  WHERE outcome = 'refused' GROUP BY key) AS a ON a.key = j.{_KEY}""")


def verified(session: Session, todo: Todo, batch: pa.Table, held: pa.Table, told: pa.Table) -> pa.Table:
    """Rows of UNDONE: the verdicts, once the target has been read again, with the crosswalk rows from before."""
    session.table("undo_todo", batch)
    session.table("undo_held", held)
    session.table("undo_told", told)
    back = [
        f"(t.was IS NULL OR h.{quote(name)} IS NOT DISTINCT FROM t.was.{quote(name)})"
        for name in todo.fields
        if name != todo.obj.key
    ]
    back += [
        f"(t.links_was IS NULL OR {'t.was IS NOT NULL OR ' if name in todo.fields else ''}"
        f"h.{quote(name)} IS NOT DISTINCT FROM t.links_was.{quote(name)})"
        for name in _names(batch, "links_was")
        if name != todo.obj.key
    ]
    there = f"h.{quote(todo.obj.key)} IS NOT NULL"
    return session.fetch(f"""
SELECT d.{_ID}, d.{_KEY},
       CASE WHEN d.verdict = '{Verdict.DELETED.value}' AND {there} THEN '{Verdict.UNSURE.value}'
            WHEN d.verdict = '{Verdict.RESTORED.value}' AND NOT ({" AND ".join([there, *back])})
            THEN '{Verdict.UNSURE.value}' ELSE d.verdict END AS verdict,
       CASE WHEN d.verdict = '{Verdict.DELETED.value}' AND {there} THEN 'deleted, and still there'
            WHEN d.verdict = '{Verdict.RESTORED.value}' AND NOT ({" AND ".join([there, *back])})
            THEN 'restored, and not as it was' ELSE d.detail END AS detail, t.known
FROM undo_told AS d JOIN undo_todo AS t ON t.{_ID} = d.{_ID}
LEFT JOIN undo_held AS h ON CAST(h.{quote(todo.obj.key)} AS VARCHAR) = d.{_KEY}""")


def _names(batch: pa.Table, column: str) -> list[str]:
    return [field.name for field in batch.schema.field(column).type if field.name != "nothing"]


def _edited(name: str, wrote: str, was: str, also: str) -> str:
    """The name of a field that is neither as the run wrote it nor, where it restores, as it was."""
    field = quote(name)
    fits = (
        f"t.{wrote} IS NULL OR h.{field} IS NOT DISTINCT FROM t.{wrote}.{field}"
        f" OR (NOT t.made AND t.{was} IS NOT NULL AND h.{field} IS NOT DISTINCT FROM t.{was}.{field}){also.format(field)}"
    )
    return f"CASE WHEN NOT ({fits}) THEN {literal(name)} END"


def _linked(name: str) -> str:
    """The name of a link of a record we made that somebody else has set: the run never got to it."""
    return f"CASE WHEN t.made AND h.{quote(name)} IS NOT NULL THEN {literal(name)} END"


def fold(store: Store, session: Session, obj: MappedObject, undone: Dataset) -> None:
    """Let the crosswalk forget the records that were taken back, or know them as it did before."""
    before = store.current(Kind.CROSSWALK, obj.name)
    if before is None or before.detail.get("folded") == undone.id:
        return
    old, back = relation(session, before), relation(session, undone)
    taken = ", ".join(literal(item.value) for item in (Verdict.DELETED, Verdict.RESTORED, Verdict.GONE))
    known = ", ".join(f"u.known.{quote(name)} AS {quote(name)}" for name in columns.CROSSWALK.names)
    sql = (
        f"SELECT o.* FROM {old} AS o WHERE NOT EXISTS"
        f" (SELECT 1 FROM {back} AS u WHERE u.{_ID} = o.{_ID} AND u.verdict IN ({taken}))"
        f" UNION ALL SELECT {known} FROM {back} AS u WHERE u.known IS NOT NULL AND u.verdict IN ({taken})"
    )
    building = store.build(Kind.CROSSWALK, obj.name, fingerprint(before.id, undone.id))
    building.add(lambda path: session.write(sql, path))
    building.complete({"plan": "", "folded": undone.id, "measured": before.detail.get("measured", {})})
