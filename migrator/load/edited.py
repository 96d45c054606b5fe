"""Which records somebody changed in the target since they were last sent; read page by page, nothing is written there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from migrator.core.fingerprint import fingerprint
from migrator.core.mapped import MappedObject
from migrator.load.changes import Comparison
from migrator.load.outbound import TARGET_KEY, cut_batches
from migrator.load.send import Sender
from migrator.staging import columns
from migrator.staging.engine import Session, literal, quote
from migrator.staging.relation import relation
from migrator.staging.store import Kind, Store

_ID, _KEY = quote(columns.ID), quote(TARGET_KEY)


@dataclass(frozen=True, slots=True)
class Edited:
    """A record that is not in the target as it was last sent."""

    object: str
    record: str
    key: str
    detail: str
    """The fields that were changed, or that it is gone, in words."""

    def to_json(self) -> dict[str, str]:
        """For `--json`."""
        return {"record": f"{self.object}/{self.record}", "key": self.key, "detail": self.detail}


def find_edited(
    store: Store, session: Session, sender: Sender, obj: MappedObject, records: Sequence[str] | str
) -> Iterator[Edited]:
    """Those of `records` (`__id`s, or SQL for them) that are in the target and not as they were last sent.

    One of which it is not on record what was sent is among them: nobody can say what it was.
    """
    asked = records if isinstance(records, str) else _listed(records)
    planned = store.need(Kind.PLAN, obj.name, made_by="plan")
    sent = Comparison(store, session, obj, planned)
    crosswalk = relation(session, store.current(Kind.CROSSWALK, obj.name), columns.CROSSWALK)
    file = store.root / f".edited-{fingerprint(obj.name)}.parquet"
    rows = session.write(
        f"SELECT x.{_ID}, x.target_key AS {_KEY}, w.{_ID} IS NOT NULL AS known, w.* EXCLUDE ({_ID})"
        f" FROM ({asked}) AS r JOIN {crosswalk} AS x ON x.{_ID} = r.{_ID} AND x.target_id IS NOT NULL"
        f" LEFT JOIN ({sent.last_sent()}) AS w ON w.{_ID} = x.{_ID} ORDER BY x.{_ID}",
        file,
    )
    try:
        if rows:
            yield from _compared(session, sender, obj, sent, file)
    finally:
        file.unlink(missing_ok=True)


def _compared(
    session: Session, sender: Sender, obj: MappedObject, sent: Comparison, file: Path
) -> Iterator[Edited]:
    names = [item.name for item in obj.fields]
    changed = ", ".join(
        f"CASE WHEN {_differs(sent, place, name)} THEN {literal(name)} END"
        for place, name in enumerate(names)
        if name != obj.key
    )
    for page in cut_batches(file, sender.target.facts.batch_rows):
        held = sender.fetch(obj, page.column(TARGET_KEY).to_pylist(), names)
        for row in _judged(session, obj, page, held, changed):
            yield Edited(obj.name, row[columns.ID], row[TARGET_KEY], row["detail"])


def _judged(
    session: Session, obj: MappedObject, page: pa.Table, held: pa.Table, changed: str
) -> list[dict[str, str]]:
    session.table("edited_sent", page)
    session.table("edited_held", held)
    there = f"h.{quote(obj.key)}"
    found: list[dict[str, str]] = session.fetch(f"""
WITH compared AS (
  SELECT s.{_ID}, s.{_KEY}, s.known, {there} IS NULL AS gone,
         list_filter([{changed}]::VARCHAR[], lambda __n: __n IS NOT NULL) AS fields
  FROM edited_sent AS s LEFT JOIN edited_held AS h ON CAST({there} AS VARCHAR) = s.{_KEY})
SELECT {_ID}, {_KEY}, CASE WHEN gone THEN 'it is not in the target any more'
       WHEN NOT known THEN 'it is not on record what was sent of it'
       ELSE 'changed since: ' || array_to_string(fields, ', ') END AS detail
FROM compared WHERE gone OR NOT known OR len(fields) > 0 ORDER BY {_ID}""").to_pylist()
    return found


def _differs(sent: Comparison, place: int, name: str) -> str:
    """An empty text and nothing are the same: many targets do not tell them apart."""
    kind = sent.kind(name)
    held, was = f"TRY_CAST(h.{quote(name)} AS {kind})", f"s.v{place}"
    if kind in {"VARCHAR", "TEXT"}:
        held, was = f"nullif({held}, '')", f"nullif({was}, '')"
    return f"{held} IS DISTINCT FROM {was}"


def _listed(records: Sequence[str]) -> str:
    listed = ", ".join(literal(one) for one in records) or "NULL"
    return f"SELECT unnest([{listed}]::VARCHAR[]) AS {_ID}"
