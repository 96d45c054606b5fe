"""Which member of a cluster survives, and which member gives each of its fields: one total order for every choice.

The survivor comes first by trust, then recency, then filled fields, then the smallest id, so it never depends on the
order of rows. Every field goes by its rule to the first member in that rule's order that has a value; a member without
one never wins. The external key and the columns that name the record are always the survivor's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from migrator.core.mapped import DedupeRules, MappedObject, Survivorship
from migrator.dedupe.cluster import MEMBERS
from migrator.dedupe.edges import EDGES
from migrator.staging import columns
from migrator.staging.engine import Session, literal, quote


@dataclass(frozen=True, slots=True)
class Contest:
    """What decides between the members of a cluster: the mapping, its rules, and the Arrow schema of its rows."""

    mapped: MappedObject
    rules: DedupeRules
    schema: pa.Schema

    def rule_of(self, field: str) -> Survivorship:
        """The rule that chooses the value of a field."""
        if field == self.mapped.key:
            return Survivorship.FIRST
        return self.rules.survivorship.get(field, self.rules.default)


RANKED = "dedupe_ranked"
"""`__id`, `__cluster`, `__name`, and the member's place in its cluster: `__own` by trust first, `__recent` by recency first."""


def rank_members(session: Session, source: str, contest: Contest) -> None:
    """Make `RANKED` of the members and the relation `source` of mapped rows."""
    recency = _value(contest.rules.recency, contest.schema) if contest.rules.recency else "NULL"
    filled = (
        " + ".join(
            f"({_value(item.name, contest.schema)} IS NOT NULL)::INTEGER" for item in contest.mapped.fields
        )
        or "0"
    )
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {RANKED} AS SELECT __id, __cluster, __name, "
        f"row_number() OVER ({_within('__trust, __recency DESC NULLS LAST')}) AS __own, "
        f"row_number() OVER ({_within('__recency DESC NULLS LAST, __trust')}) AS __recent "
        f"FROM (SELECT __id, __cluster, __name, {_trust(contest.rules)} AS __trust, {recency} AS __recency, {filled} AS __filled "
        f"FROM {source} JOIN {MEMBERS} USING (__id))"
    )


def clusters_query() -> str:
    """Members with their survivor and why they are in; columns and order of `columns.CLUSTERS`."""
    return (
        f"WITH survivors AS (SELECT __cluster, __id AS survivor FROM {RANKED} WHERE __own = 1), "
        f"said AS (SELECT one AS __id, rule, place, evidence FROM {EDGES} "
        f"UNION ALL SELECT other, rule, place, evidence FROM {EDGES}), "
        "why AS (SELECT __id, arg_min({'rule': rule, 'evidence': evidence}, (place, evidence)) AS said "
        "FROM said GROUP BY __id) "
        "SELECT r.__id, s.survivor, r.__name AS cluster, w.said.rule AS rule, w.said.evidence AS evidence "
        f"FROM {RANKED} r JOIN survivors s USING (__cluster) JOIN why w USING (__id) ORDER BY cluster, r.__id"
    )


def golden_query(source: str, contest: Contest) -> str:
    """One row per cluster in the columns of MAPPED, from relation `source` of rows with their ranks."""
    fields = {item.name for item in contest.mapped.fields} - {contest.mapped.key}
    listed = ", ".join(
        f"{_survived(name, contest) if name in fields else _own(name)} AS {quote(name)}"
        for name in contest.schema.names
    )
    return f"SELECT {listed} FROM {source} GROUP BY __cluster"


def donor(field: str, contest: Contest) -> str:
    """SQL aggregate over the ranked rows of a cluster: the id of the member that gives `field`; null when none has a value."""
    if field == contest.mapped.key:
        return "arg_min(__id, __own)"
    return (
        f"arg_min(__id, {_order(field, contest)}) FILTER (WHERE {_value(field, contest.schema)} IS NOT NULL)"
    )


def _survived(field: str, contest: Contest) -> str:
    best = f"arg_min({quote(field)}, {_order(field, contest)}) FILTER (WHERE {_value(field, contest.schema)} IS NOT NULL)"
    return f"coalesce({best}, {_own(field)})"


def _own(column: str) -> str:
    return f"first({quote(column)}) FILTER (WHERE __own = 1)"


def _order(field: str, contest: Contest) -> str:
    match contest.rule_of(field):
        case Survivorship.MOST_RECENT:
            return "__recent"
        case Survivorship.LONGEST:
            return f"(__own - (length(CAST({quote(field)} AS VARCHAR)) << 32))"
        case Survivorship.MOST_TRUSTED | Survivorship.FIRST:
            return "__own"


def _within(order: str) -> str:
    return f"PARTITION BY __cluster ORDER BY {order}, __filled DESC, __id"


def _value(field: str, schema: pa.Schema) -> str:
    """SQL of a field, null also for a text of spaces: blank is not a value that may win."""
    kind = schema.field(field).type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return f"nullif(trim({quote(field)}), '')"
    return quote(field)


def _trust(rules: DedupeRules) -> str:
    if not rules.trust:
        return "0"
    ranks = " ".join(f"WHEN {literal(name)} THEN {place:d}" for place, name in enumerate(rules.trust))
    return f"CASE {quote(columns.SOURCE)} {ranks} ELSE {len(rules.trust):d} END"
