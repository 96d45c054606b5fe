"""The story of one cluster: who is in it and why, who survived, and which member gave each field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from migrator.core.mapped import DedupeRules, MappedObject, Survivorship
from migrator.dedupe.cluster import MEMBERS
from migrator.dedupe.run import drop_scratch, good_rows
from migrator.dedupe.survive import RANKED, Contest, donor, rank_members
from migrator.staging import columns
from migrator.staging.engine import Session, literal
from migrator.staging.store import Kind, Store


@dataclass(frozen=True, slots=True)
class MemberStory:
    """One record of a cluster; `evidence` is the value it shares with another member, normalised (personal: mask it)."""

    id: str
    source: str
    key: str
    survives: bool
    rule: str | None
    evidence: str | None


@dataclass(frozen=True, slots=True)
class FieldStory:
    """Where one surviving value comes from; `donor` is '' when no member has a value."""

    field: str
    rule: Survivorship
    donor: str
    values: Mapping[str, Any]
    """Member id → its own value (personal where the field is: mask it)."""

    @property
    def disputed(self) -> bool:
        """Whether members have different values, so that something was given up."""
        return len({value for value in self.values.values() if value not in (None, "")}) > 1


@dataclass(frozen=True, slots=True)
class ClusterStory:
    """A cluster as a person wants it told."""

    cluster: str
    survivor: str
    members: tuple[MemberStory, ...]
    fields: tuple[FieldStory, ...]


def explain_cluster(
    session: Session, store: Store, mapped: MappedObject, record_id: str
) -> ClusterStory | None:
    """The cluster that the record `__id` is in, or None when it is in none (or the step has not run)."""
    made = store.current(Kind.CLUSTERS, mapped.name)
    if made is None:
        return None
    session.view("dedupe_told", made.files, columns.CLUSTERS)
    members = session.fetch(
        "SELECT * FROM dedupe_told WHERE cluster IN (SELECT cluster FROM dedupe_told WHERE __id = ?) ORDER BY __id",
        [record_id],
    ).to_pylist()
    drop_scratch(session)
    if not members:
        return None
    first = members[0]
    return ClusterStory(
        first["cluster"],
        first["survivor"],
        tuple(_member(row) for row in members),
        provenance(session, store, mapped, [row[columns.ID] for row in members]),
    )


def provenance(
    session: Session, store: Store, mapped: MappedObject, members: Sequence[str]
) -> tuple[FieldStory, ...]:
    """Who gives each field of the cluster with these member ids, worked out anew from MAPPED and the rules."""
    rows = store.need(Kind.MAPPED, mapped.name, made_by="map")
    rules = mapped.dedupe or DedupeRules(())
    try:
        listed = ", ".join(literal(member) for member in members)
        contest, good = Contest(mapped, rules, rows.schema()), good_rows(session, rows)
        session.execute(
            f"CREATE OR REPLACE TEMP TABLE dedupe_cluster AS SELECT * FROM {good} WHERE __id IN ({listed})"
        )
        session.execute(
            f"CREATE OR REPLACE TEMP TABLE {MEMBERS} AS "
            "SELECT __id, 1 AS __cluster, min(__id) OVER () AS __name FROM dedupe_cluster"
        )
        rank_members(session, "dedupe_cluster", contest)
        return tuple(_fields(session, contest))
    finally:
        drop_scratch(session)


def _fields(session: Session, contest: Contest) -> Iterator[FieldStory]:
    names = contest.mapped.schema.field_names
    donors = ", ".join(f"{donor(name, contest)} AS d{place}" for place, name in enumerate(names))
    given = session.fetch(f"SELECT {donors} FROM dedupe_cluster JOIN {RANKED} USING (__id)").to_pylist()[0]
    held = session.fetch("SELECT * FROM dedupe_cluster ORDER BY __id").to_pylist()
    for place, name in enumerate(names):
        values = {row[columns.ID]: row[name] for row in held}
        yield FieldStory(name, contest.rule_of(name), given[f"d{place}"] or "", values)


def _member(row: Mapping[str, Any]) -> MemberStory:
    source, _, key = row[columns.ID].partition(":")
    return MemberStory(
        row[columns.ID], source, key, row["survivor"] == row[columns.ID], row["rule"], row["evidence"]
    )
