"""Which member of a cluster survives, and in which orders its members may give their values: never by the order of rows.

The survivor comes first by trust, then recency, then filled fields, then the smallest id; but a member that is in the
target already goes before all others, so that a rerun with newer rows makes no second record there. The external key and
the columns that name the record are always the survivor's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from migrator.core.mapped import DedupeRules, MappedObject, Survivorship
from migrator.dedupe.cluster import MEMBERS, REASONS
from migrator.staging import columns
from migrator.staging.engine import Session, literal, quote
from migrator.staging.store import Kind, Store


@dataclass(frozen=True, slots=True)
class Unit:
    """Fields that survive together by one rule: a group, or a single field."""

    name: str
    fields: tuple[str, ...]
    rule: Survivorship


@dataclass(frozen=True, slots=True)
class Contest:
    """What decides between the members of a cluster: the mapping, its rules, and the Arrow schema of its rows."""

    mapped: MappedObject
    rules: DedupeRules
    schema: pa.Schema

    def rule_of(self, field: str) -> Survivorship:
        """The rule that chooses the value of a field, its group's if it has one."""
        if field == self.mapped.key:
            return Survivorship.FIRST
        group = next((name for name, fields in self.rules.groups.items() if field in fields), field)
        return self.rules.survivorship.get(group, self.rules.default)

    def units(self) -> Iterator[Unit]:
        """Every field but the key, once, in groups where they are grouped."""
        grouped = {field for fields in self.rules.groups.values() for field in fields}
        for name, fields in self.rules.groups.items():
            yield Unit(name, fields, self.rule_of(fields[0]))
        for name in self.mapped.schema.field_names:
            if name not in grouped and name != self.mapped.key:
                yield Unit(name, (name,), self.rule_of(name))


RANKED = "dedupe_ranked"
"""`__id`, `__cluster`, `__name`, and the member's place in its cluster from 1: `__own` (the survivor first), `__trusted`,
`__recent` and `__complete` (most filled fields first)."""
KNOWN = "dedupe_known"
"""`__id`, `__standing`: records that are in the target, 2 for those that survived there before, else 1."""

_ORDERS = {
    "__trusted": "__trust, __recency DESC NULLS LAST, __filled DESC",
    "__recent": "__recency DESC NULLS LAST, __trust, __filled DESC",
    "__complete": "__filled DESC, __trust, __recency DESC NULLS LAST",
    "__own": "__standing DESC NULLS LAST, __trust, __recency DESC NULLS LAST, __filled DESC",
}


def know_the_target(session: Session, store: Store, name: str, before: str | None) -> None:
    """Make `KNOWN` of the loads so far and of `before`, the relation of the clusters they were made from, if there is one."""
    found = store.current(Kind.CROSSWALK, name)
    session.view("dedupe_crosswalk", found.files if found else (), columns.CROSSWALK)
    survived = f"__id IN (SELECT __id FROM {before} WHERE __id = survivor)" if before else "false"
    session.execute(
        f"CREATE OR REPLACE TEMP VIEW {KNOWN} AS SELECT __id, CASE WHEN {survived} THEN 2 ELSE 1 END AS __standing "
        "FROM dedupe_crosswalk WHERE target_id IS NOT NULL"
    )


def rank_members(session: Session, source: str, contest: Contest) -> None:
    """Make `RANKED` of the members, the relation `source` of mapped rows and, if there is one, `KNOWN`."""
    recency = filled(contest.rules.recency, contest.schema) if contest.rules.recency else "NULL"
    fullness = " + ".join(
        f"({filled(item.name, contest.schema)} IS NOT NULL)::INTEGER" for item in contest.mapped.fields
    )
    ranks = ", ".join(
        f"row_number() OVER (PARTITION BY __cluster ORDER BY {order}, __id) AS {name}"
        for name, order in _ORDERS.items()
    )
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {RANKED} AS SELECT __id, __cluster, __name, {ranks} "
        f"FROM (SELECT __id, __cluster, __name, {_trust(contest.rules)} AS __trust, {recency} AS __recency, "
        f"{fullness or '0'} AS __filled, __standing "
        f"FROM {source} JOIN {MEMBERS} USING (__id) LEFT JOIN {KNOWN} USING (__id))"
    )


def clusters_query() -> str:
    """Members with their survivor and why they are in; columns and order of `columns.CLUSTERS`."""
    return (
        f"WITH survivors AS (SELECT __cluster, __id AS survivor FROM {RANKED} WHERE __own = 1), "
        f"said AS (SELECT one AS __id, rule, place, evidence FROM {REASONS} "
        f"UNION ALL SELECT other, rule, place, evidence FROM {REASONS}), "
        "why AS (SELECT __id, arg_min({'rule': rule, 'evidence': evidence}, (place, evidence)) AS said "
        "FROM said GROUP BY __id) "
        "SELECT r.__id, s.survivor, r.__name AS cluster, w.said.rule AS rule, w.said.evidence AS evidence "
        f"FROM {RANKED} r JOIN survivors s USING (__cluster) JOIN why w USING (__id) ORDER BY cluster, r.__id"
    )


def filled(field: str, schema: pa.Schema) -> str:
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
