"""What became of every mapped record, as one query: its class, the rule that put it there, and why, in words."""

from __future__ import annotations

from migrator.core.mapped import MappedObject
from migrator.staging import columns
from migrator.staging.action import Action, listed
from migrator.staging.engine import Session, literal, quote
from migrator.staging.relation import find_mapped, first_error, relation
from migrator.staging.store import Dataset, Kind, Store

NOT_MAPPED = "not-mapped"
NOT_PLANNED = "not-planned"
NOT_LOADED = "not-loaded"
_ID, _FP = quote(columns.ID), quote(columns.FINGERPRINT)


def disposition(session: Session, store: Store, obj: MappedObject) -> str:
    """SQL for what became of every mapped record: (__id, __source, state, rule, reason, through).

    `state` is one of `accounting.CLASSES`; `rule` is short and stable; `reason` is told to people and may be null; `through` is
    the `__id` of the survivor whose fate a duplicate shares, null for others. Empty before the mapping has run.
    """
    mapped = store.current(Kind.MAPPED, obj.name)
    if mapped is None:
        return (
            "SELECT NULL::VARCHAR AS __id, NULL::VARCHAR AS __source, NULL::VARCHAR AS state,"
            " NULL::VARCHAR AS rule, NULL::VARCHAR AS reason, NULL::VARCHAR AS through WHERE false"
        )
    clusters = relation(session, store.current(Kind.CLUSTERS, obj.name), columns.CLUSTERS)
    bad, excluded = f"m.{quote(columns.BAD)}", f"m.{quote(columns.EXCLUDED)}"
    own = f"{excluded} IS NULL AND NOT {bad}"
    through = f"{own} AND c.survivor <> m.{_ID}"
    return f"""
SELECT m.{_ID}, m.{quote(columns.SOURCE)},
       CASE WHEN {excluded} IS NOT NULL THEN 'excluded' WHEN {bad} THEN 'quarantined'
            WHEN {through} AND f.state = 'loaded' THEN 'merged' ELSE coalesce(f.state, 'pending') END AS state,
       CASE WHEN {excluded} IS NOT NULL THEN {excluded} WHEN {bad} THEN {first_error("m")}
            WHEN {through} AND f.state = 'loaded' THEN c.rule ELSE coalesce(f.rule, {literal(NOT_PLANNED)}) END AS rule,
       CASE WHEN {excluded} IS NOT NULL THEN {excluded} WHEN {bad} THEN {first_error("m", "message")}
            WHEN {through} THEN 'merged into ' || c.survivor || coalesce(': ' || f.reason, '')
            ELSE f.reason END AS reason,
       CASE WHEN {through} THEN c.survivor END AS through
FROM {relation(session, mapped)} AS m
LEFT JOIN {clusters} AS c ON c.{_ID} = m.{_ID}
LEFT JOIN ({_fates(session, store, obj)}) AS f ON f.{_ID} = coalesce(c.survivor, m.{_ID})"""


def planned_now(store: Store, obj: MappedObject) -> Dataset | None:
    """The PLAN of an object if it was made from the records as they are mapped now, else None."""
    made_of, found = find_mapped(store, obj), store.current(Kind.PLAN, obj.name)
    if made_of is None or found is None:
        return None
    inputs = found.detail["inputs"]
    return found if {**inputs, **made_of.ids} == inputs else None


def _fates(session: Session, store: Store, obj: MappedObject) -> str:
    """SQL for (__id, state, rule, reason) of every planned record."""
    planned = planned_now(store, obj)
    if planned is None:
        return (
            "SELECT NULL::VARCHAR AS __id, NULL::VARCHAR AS state, NULL::VARCHAR AS rule, NULL::VARCHAR AS reason"
            " WHERE false"
        )
    crosswalk = relation(session, store.current(Kind.CROSSWALK, obj.name), columns.CROSSWALK)
    action, reason = f"p.{quote(columns.ACTION)}", f"p.{quote(columns.REASON)}"
    known = f"x.{_FP} = p.{_FP}"
    loaded = f"{known} AND x.target_id IS NOT NULL AND x.outcome <> 'refused'"
    waits = f"{action} = {literal(Action.WAIT.value)}"
    held = f"{action} IN ({listed((Action.KEY_CONFLICT, Action.ORPHANED))})"
    refused = f"{known} AND x.outcome = 'refused'"
    root = f"regexp_replace({reason}, '(?s)^.* (excluded|quarantined|refused): ', 'waits: \\1: ')"
    return f"""
SELECT p.{_ID},
       CASE WHEN {loaded} THEN 'loaded' WHEN {waits} THEN 'pending'
            WHEN {held} OR {refused} THEN 'quarantined' ELSE 'pending' END AS state,
       CASE WHEN {loaded} THEN 'loaded' WHEN {waits} THEN {root} WHEN {held} THEN {first_error("p")}
            WHEN {refused} THEN x.code ELSE {literal(NOT_LOADED)} END AS rule,
       CASE WHEN {loaded} THEN NULL WHEN {waits} OR {held} THEN {reason}
            WHEN {refused} THEN coalesce(x.message, x.code) END AS reason
FROM {relation(session, planned)} AS p LEFT JOIN {crosswalk} AS x ON x.{_ID} = p.{_ID}"""
