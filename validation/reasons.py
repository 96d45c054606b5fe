"""Why records did not move, with examples for the report, and how duplicates were found: counts and a few names of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from migrator.core.mapped import MappedObject
from migrator.staging import columns as c
from migrator.staging.accounting import ObjectAccount, disposition
from migrator.staging.engine import Session, literal
from migrator.staging.relation import relation
from migrator.staging.store import Kind, Store
from validation.privacy import Privacy, show
from validation.verdict import Example

EXAMPLES = 3
SHOWN_CLASSES = ("quarantined", "pending", "excluded", "merged")


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule that kept records from being loaded as they are."""

    state: str
    """A class of the accounting: quarantined, pending, excluded or merged."""
    rule: str
    count: int
    field: str
    """The field of the first example, '' when the rule is about the record."""
    message: str
    """What is told of the rule, without values; '' when its name says all."""
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Clusters of an object."""

    clusters: int
    members: int
    by_rule: Mapping[str, int]
    """Rule → records that it joined to another one."""


def reasons(
    session: Session, store: Store, mapped: MappedObject, account: ObjectAccount, privacy: Privacy
) -> tuple[Reason, ...]:
    """Every reason of the account with three examples, the commonest first, by class."""
    if store.current(Kind.MAPPED, mapped.name) is None:
        return ()
    shown = _mapped_examples(session, store, mapped, privacy)
    shown = {**_reject_examples(session, store, mapped), **shown}
    found = []
    for state in SHOWN_CLASSES:
        rules = account.reasons.get(state, {})
        for rule, count in sorted(rules.items(), key=lambda item: (-item[1], item[0])):
            field, examples = shown.get((state, rule), ("", ()))
            found.append(Reason(state, rule, count, field, "", examples))
    return tuple(found)


def duplicates(session: Session, store: Store, mapped: MappedObject) -> Duplicates:
    """How many records share a cluster, and which rule joined them."""
    clusters = relation(session, store.current(Kind.CLUSTERS, mapped.name), c.CLUSTERS)
    total = session.fetch(
        f"SELECT count(DISTINCT cluster) AS clusters, count(*) AS members FROM {clusters}"
    ).to_pylist()[0]
    by_rule = session.fetch(
        f"SELECT coalesce(rule, '?') AS rule, count(*) AS n FROM {clusters} WHERE {c.ID} <> survivor"
        " GROUP BY 1 ORDER BY 2 DESC, 1"
    ).to_pylist()
    return Duplicates(total["clusters"], total["members"], {row["rule"]: row["n"] for row in by_rule})


def _mapped_examples(
    session: Session, store: Store, mapped: MappedObject, privacy: Privacy
) -> dict[tuple[str, str], tuple[str, tuple[Example, ...]]]:
    made = relation(session, store.need(Kind.MAPPED, mapped.name, made_by="map"))
    worst = f"list_filter(m.{c.ISSUES}, lambda issue: issue.severity = 'error')[1]"
    rows = session.fetch(
        f"""SELECT d.*, {worst}.field AS field, {worst}.value AS value
            FROM (SELECT * FROM ({disposition(session, store, mapped)}) WHERE state <> 'loaded'
                  QUALIFY row_number() OVER (PARTITION BY state, rule ORDER BY {c.ID}) <= {EXAMPLES}) d
            JOIN {made} m ON m.{c.ID} = d.{c.ID} ORDER BY d.state, d.rule, d.{c.ID}"""
    ).to_pylist()
    found: dict[tuple[str, str], tuple[str, tuple[Example, ...]]] = {}
    for row in rows:
        key = (row["state"], row["rule"] or "?")
        field, before = found.get(key, (row["field"] or "", ()))
        has_value = row["state"] == "quarantined" and row["field"]
        item = mapped.schema.field(row["field"] or "")
        value = show(row["value"], item, privacy) if has_value else None
        note = row["through"] if row["state"] == "merged" else None
        example = Example(f"{mapped.name}/{row[c.ID]}", f"→ {note}" if note else None, value)
        found[key] = (field, (*before, example))
    return found


def _reject_examples(
    session: Session, store: Store, mapped: MappedObject
) -> dict[tuple[str, str], tuple[str, tuple[Example, ...]]]:
    """Rejects have no id: the place where each was read names it."""
    found: dict[tuple[str, str], tuple[str, tuple[Example, ...]]] = {}
    for source in mapped.sources:
        rejects = store.current(Kind.REJECTS, source.staged)
        if rejects is None or not rejects.rows:
            continue
        rows = session.fetch(
            f"SELECT rule, {c.PLACE} AS place FROM {relation(session, rejects)}"
            f" QUALIFY row_number() OVER (PARTITION BY rule ORDER BY {c.PLACE}) <= {EXAMPLES} ORDER BY rule, place"
        ).to_pylist()
        for row in rows:
            before = found.get(("quarantined", row["rule"]), ("", ()))[1]
            found["quarantined", row["rule"]] = ("", (*before, Example(row["place"]))[:EXAMPLES])
    return found


def warnings(store: Store, mapped: MappedObject) -> tuple[str, ...]:
    """What extract noticed while it read the object's sources."""
    noticed: list[str] = []
    for source in mapped.sources:
        staged = store.current(Kind.STAGED, source.staged)
        noticed += [
            f"{source.staged}: {text}" for text in (staged.detail.get("warnings", ()) if staged else ())
        ]
    return tuple(noticed)


def counted_warnings(session: Session, store: Store, mapped: MappedObject) -> Mapping[tuple[str, str], int]:
    """(field, rule) → records that moved although the mapping noticed something about them."""
    made = store.current(Kind.MAPPED, mapped.name)
    if made is None:
        return {}
    rows = session.fetch(
        f"SELECT i.field AS field, i.rule AS rule, count(*) AS n FROM (SELECT unnest({c.ISSUES}) AS i FROM {relation(session, made)}"
        f" WHERE NOT {c.BAD}) WHERE i.severity <> {literal('error')} GROUP BY ALL ORDER BY n DESC, 1, 2"
    ).to_pylist()
    return {(row["field"] or "", row["rule"] or "?"): row["n"] for row in rows}
