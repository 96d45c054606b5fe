"""The story of one cluster: who is in it and why, who survived, and which member gave each field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from migrator.core.mapped import DedupeRules, MappedObject, Survivorship
from migrator.dedupe.run import drop_scratch, good_rows
from migrator.dedupe.survive import Contest
from migrator.staging import columns
from migrator.staging.engine import Session, literal
from migrator.staging.provenance import donated
from migrator.staging.store import Kind, Store

SEVERAL = "several members"


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
    """Where one surviving value comes from; `donor` is '' when no member has a value, `SEVERAL` when it is made of more."""

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
        tuple(_fields(session, store, mapped, first["survivor"], [row[columns.ID] for row in members])),
    )


def _fields(
    session: Session, store: Store, mapped: MappedObject, survivor: str, members: Sequence[str]
) -> Iterator[FieldStory]:
    """Who gave each field, as it was decided then, beside what each member has."""
    donors = session.fetch(
        f"SELECT * FROM ({donated(session, store, mapped)}) WHERE survivor = ?", [survivor]
    ).to_pylist()
    given = {row["field"]: SEVERAL if row["several"] else row["donor"] for row in donors}
    rows = store.need(Kind.MAPPED, mapped.name, made_by="map")
    contest = Contest(mapped, mapped.dedupe or DedupeRules(()), rows.schema())
    listed = ", ".join(literal(member) for member in members)
    held = session.fetch(
        f"SELECT * FROM {good_rows(session, rows)} WHERE __id IN ({listed}) ORDER BY __id"
    ).to_pylist()
    drop_scratch(session)
    for name in mapped.schema.field_names:
        values = {row[columns.ID]: row[name] for row in held}
        donor = survivor if name == mapped.key else given.get(name, "")
        yield FieldStory(name, contest.rule_of(name), donor, values)


def _member(row: Mapping[str, Any]) -> MemberStory:
    source, _, key = row[columns.ID].partition(":")
    return MemberStory(
        row[columns.ID], source, key, row["survivor"] == row[columns.ID], row["rule"], row["evidence"]
    )
