"""From answers to truth: what a load recorded batch by batch is folded into the crosswalk, once, also after a crash.

OUTCOMES and LINKS are written part by part while a load runs, under the id of the PLAN they carry out. Folding makes a
new CROSSWALK from the one before and these parts, and notes whose parts it holds; only then are they discarded. So a
crash anywhere leaves either parts to fold or parts that were folded, and `settle` tells the two apart.
"""

from __future__ import annotations

from migrator.core.boundary import boundary
from migrator.core.fingerprint import fingerprint
from migrator.core.mapped import MappedObject
from migrator.load.cost import LINKS, ROWS
from migrator.load.intents import settle_intents
from migrator.staging import columns
from migrator.staging.engine import Session, quote
from migrator.staging.relation import relation
from migrator.staging.store import Dataset, Kind, Store

_ID, _FP, _BATCH = quote(columns.ID), quote(columns.FINGERPRINT), quote(columns.BATCH)


def settle(store: Store, session: Session, obj: MappedObject) -> None:
    """Enter in the crosswalk what a load, finished or killed, has recorded of an object and not entered yet."""
    for kind in (Kind.OUTCOMES, Kind.LINKS):
        unfinished = store.unfinished(kind, obj.name)
        # Damaged parts are worth nothing: their rows are sent again, by key, and make no second record.
        if unfinished is not None and unfinished.parts and unfinished.intact:
            store.build(kind, obj.name, unfinished.fingerprint, resume=True).complete({"killed": True})
        settle_intents(store, session, obj, kind)
        recorded = store.current(kind, obj.name)
        if recorded is not None and recorded.rows:
            _fold(store, session, recorded)
            boundary(f"{kind.value}.folded")
            store.discard(kind, obj.name)


def _fold(store: Store, session: Session, recorded: Dataset) -> None:
    before = store.current(Kind.CROSSWALK, recorded.name)
    if before is not None and before.detail.get("folded") == recorded.id:
        return
    old, new = relation(session, before, columns.CROSSWALK), relation(session, recorded)
    if recorded.kind is Kind.LINKS:
        sql = _with_links(old, new)
    else:
        sql = _with_rows(old, new) if before is not None else _first(new)
    building = store.build(
        Kind.CROSSWALK, recorded.name, fingerprint(before.id if before else "", recorded.id)
    )
    building.add(lambda path: session.write(sql, path))
    building.complete(
        {"plan": recorded.fingerprint, "folded": recorded.id, "measured": _measured(before, recorded)}
    )


def _measured(before: Dataset | None, recorded: Dataset) -> dict[str, list[float]]:
    """Pass → rows and seconds of the last load that was not killed: what the next plan reckons with."""
    known = dict(before.detail.get("measured", {})) if before else {}
    if not recorded.detail.get("killed") and recorded.seconds > 0:
        word = LINKS if recorded.kind is Kind.LINKS else ROWS
        known[word] = [recorded.rows, round(recorded.seconds, 6)]
    return known


def _first(new: str) -> str:
    """The first crosswalk of an object is what came back: at that moment nothing needs a join over all its rows."""
    return f"SELECT {', '.join(quote(name) for name in columns.CROSSWALK.names)} FROM {new}"


def _with_rows(old: str, new: str) -> str:
    """A refused row keeps what is known of the record in the target; a record made anew has none of its deferred links."""
    return f"""
SELECT n.{_ID}, coalesce(n.target_key, o.target_key) AS target_key, coalesce(n.target_id, o.target_id) AS target_id,
       n.{_FP}, n.outcome, n.code, n.field, n.message, n.{_BATCH}, n.run, n.at,
       CASE WHEN n.outcome <> 'created' THEN o.links END AS links
FROM {new} AS n LEFT JOIN {old} AS o ON o.{_ID} = n.{_ID}
UNION ALL
SELECT {", ".join(f"o.{quote(name)}" for name in columns.CROSSWALK.names)}
FROM {old} AS o WHERE NOT EXISTS (SELECT 1 FROM {new} AS n WHERE n.{_ID} = o.{_ID})"""


def _with_links(old: str, new: str) -> str:
    """Only a refusal of the links changes the outcome of a record; otherwise what was set is noted."""
    refused = "n.outcome = 'refused'"
    told = ", ".join(
        f"CASE WHEN {refused} THEN n.{quote(name)} ELSE o.{quote(name)} END AS {quote(name)}"
        for name in ("outcome", "code", "field", "message")
    )
    return f"""
SELECT o.{_ID}, o.target_key, o.target_id, o.{_FP}, {told}, o.{_BATCH},
       coalesce(n.run, o.run) AS run, coalesce(n.at, o.at) AS at,
       CASE WHEN n.{_ID} IS NULL OR {refused} THEN o.links ELSE n.links END AS links
FROM {old} AS o LEFT JOIN {new} AS n ON n.{_ID} = o.{_ID}"""
