"""The report as data: one JSON-able dictionary that holds everything the page shows, versioned for machines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from importlib.metadata import version
from typing import Any

from migrator.core.mapped import MappedObject
from migrator.core.schema import FieldSchema, FieldType
from migrator.staging.accounting import CLASSES, Accounting
from validation.absent import Reason, Root
from validation.checks import Found
from validation.controls import NO_CONTROLS, Controls, Crosstab
from validation.files import Files
from validation.groups import Counts
from validation.measures import Distribution, Totals
from validation.messages import LANGUAGES
from validation.naming import Label
from validation.noticed import Duplicates
from validation.owners import NO_OWNERS, Owners
from validation.privacy import Privacy, show, show_group
from validation.reconcile import FieldFacts
from validation.rules import RuleResult
from validation.signoff import content_digest
from validation.trend import Earlier, trend
from validation.verdict import Check, Decision, Example, percent
from validation.waivers import UsedWaiver

SCHEMA_VERSION = 4
NAMED = 6000
"""Records that are not there, named on the page over all objects and reasons; every reason names a few."""
_FEW = 5
NOTHING_EARLIER = Earlier()


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """Everything the report says of one object."""

    found: Found
    rules: tuple[RuleResult, ...]
    reasons: tuple[Reason, ...]
    duplicates: Duplicates
    distributions: tuple[Distribution, ...]
    noticed: tuple[str, ...]
    warned: Mapping[tuple[str, str], int]
    suites: tuple[str, ...]
    owners: Owners = NO_OWNERS
    controls: Controls = NO_CONTROLS
    counts: tuple[Counts, ...] = ()
    files: tuple[Files, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    """Owners by id and by reference → what the report calls them."""


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands above the report."""

    project: str
    run: str
    at: datetime
    seconds: float
    target: str
    privacy: Privacy
    failing: int
    """Rows of the list of failing records."""
    absent: int = 0
    """Rows of the list of records that are not there."""


def to_json(
    heading: Heading,
    decision: Decision,
    checks: Sequence[Check],
    facts: Sequence[ObjectFacts],
    accounting: Accounting,
    *,
    waivers: Sequence[UsedWaiver] = (),
    earlier: Earlier = NOTHING_EARLIER,
    roots: Sequence[Root] = (),
    labels: Callable[[Iterable[str]], Mapping[str, Label]] = lambda _: {},
    costs: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The report as JSON values; `costs`: each step as predicted and as it happened; `labels` finds what people call records by OBJECT/SOURCE:KEY; `digest` is the SHA-256 of all the rest, for a signature to be bound to."""
    names = max(_FEW, NAMED // (sum(len(item.reasons) for item in facts) or 1))
    body: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "project": heading.project,
        "run": heading.run,
        "at": heading.at.isoformat(),
        "seconds": round(heading.seconds, 2),
        "target": heading.target,
        "values": heading.privacy.value,
        "verdict": decision.verdict.value,
        "holds": decision.verdict.holds,
        "counts": dict(decision.counts),
        "blocking": [check.id for check in decision.blocking],
        "exceptions": [check.id for check in decision.exceptions],
        "closed": accounting.closed,
        "failing": heading.failing,
        "absent": heading.absent,
        "objects": [_object(item, heading.privacy, names) for item in facts],
        "checks": [check_to_json(check) for check in checks],
        "versions": {name: version(name) for name in ("crm-migrator", "duckdb", "great-expectations")},
    }
    body["roots"] = [asdict(root) for root in roots]
    body["labels"] = {record: asdict(label) for record, label in labels(_records_named(body)).items()}
    body["waivers"] = [item.to_json() for item in waivers]
    if costs:
        body["costs"] = list(costs)
    body["trend"] = trend(body, earlier)
    return {**body, "digest": content_digest(body)}


def _records_named(body: Mapping[str, Any]) -> Iterator[str]:
    """Every record that the report names."""
    for item in body["objects"]:
        for record in (record for reason in item["reasons"] for record in reason["named"]):
            yield from filter(None, (record["record"], record["towards"]))
    yield from (example["record"] for check in body["checks"] for example in check["examples"])
    yield from (root["record"] for root in body["roots"])


def _object(item: ObjectFacts, privacy: Privacy, names: int) -> dict[str, Any]:
    found, facts = item.found, item.found.reconciled
    mapped, account = found.mapped, found.account
    return {
        "name": mapped.name,
        "target_object": mapped.target_object,
        "mapping": mapped.fingerprint,
        "file": mapped.file,
        "sources": [source.staged for source in mapped.sources],
        "accounting": {
            "extracted": account.extracted,
            **{name: account.counts.get(name, 0) for name in CLASSES},
            "unaccounted": sum(abs(n) for n in account.unaccounted.values()),
            "waived": account.waived.quarantined,
            "closed": account.closed,
        },
        "records": {
            "expected": facts.expected, "found": facts.found, "missing": facts.missing, "doubled": facts.doubled,
            "superseded": facts.superseded, "copies": facts.copies, "extra": facts.extra, "actual": facts.actual,
            "percent": percent(facts.found, facts.expected),
        },
        "fields": [_field(column, found) for column in facts.fields],
        "totals": [_total(total, item.names) for total in found.totals],
        "counts": [_counts(one, mapped.schema.field(one.field), item, privacy) for one in item.counts],
        "files": [
            {"field": one.field, "records": one.records, "distinct": one.distinct, "bytes": one.bytes,
             "faults": {fault.kind: fault.records for fault in one.faults}}
            for one in item.files
        ],
        "months": [_values(month, None, privacy) for month in found.months],
        "distributions": [_values(d, mapped.schema.field(d.field), privacy) for d in item.distributions],
        "reasons": [_reason(reason, names) for reason in item.reasons],
        "duplicates": {
            "clusters": item.duplicates.clusters, "members": item.duplicates.members,
            "by_rule": dict(item.duplicates.by_rule),
        },
        "noticed": list(item.noticed),
        "warned": [{"field": field, "rule": rule, "count": n} for (field, rule), n in item.warned.items()],
        "suites": list(item.suites),
        "controls": {
            "totals": [
                {"field": total.field, "records": total.records, "source": total.source, "target": total.target,
                 "unread": total.unread}
                for total in item.controls.totals
            ],
            "crosstabs": [_crosstab(tab, mapped.schema.field(tab.field), privacy) for tab in item.controls.crosstabs],
            "children": [_values(one, None, privacy) for one in item.controls.children],
        },
        "owners": {
            "field": item.owners.field, "left_out": item.owners.left_out,
            "counts": [[item.names.get(owner or "", owner), n] for owner, n in item.owners.counts],
        },
    }  # fmt: skip


def _labels(mapped: MappedObject, name: str) -> dict[str, str]:
    """Language → what people call a field, where it is not its name."""
    found = {language: mapped.label(name, language) for language in LANGUAGES}
    return {language: label for language, label in found.items() if label and label != name}


def _field(item: FieldFacts, found: Found) -> dict[str, Any]:
    facts = found.reconciled
    reasons = {reason: n for (name, reason), n in facts.reasons.items() if name == item.name}
    orphan = next((o.count for o in found.orphans if o.field == item.name), 0)
    row: dict[str, Any] = {
        "name": item.name, "labels": _labels(found.mapped, item.name), "family": item.family.value, "compared": item.compared, "different": item.different,
        "equal_percent": percent(item.compared - item.different, item.compared), "reasons": reasons,
        "filled": {
            "source": item.source_filled, "expected": item.expected_filled, "actual": item.actual_filled,
            "source_percent": percent(item.source_filled, facts.source),
            "expected_percent": percent(item.expected_filled, facts.expected),
            "actual_percent": percent(item.actual_filled, facts.found),
        },
    }  # fmt: skip
    link = found.mapped.link(item.name)
    if link is not None:
        row["link"] = {
            "to": list(link.mappings), "declared_empty": item.declared_empty, "unresolved": item.unresolved,
            "orphans": orphan,
        }  # fmt: skip
    if item.expected_sum is not None and item.actual_sum is not None and item.source_sum is not None:
        row["sum"] = {
            "source": item.source_sum, "expected": item.expected_sum, "actual": item.actual_sum,
            "not_moved": format(Decimal(item.source_sum) - Decimal(item.expected_sum), "f"),
            "difference": format(Decimal(item.actual_sum) - Decimal(item.expected_sum), "f"),
        }  # fmt: skip
    return row


def _counts(found: Counts, schema: FieldSchema | None, item: ObjectFacts, privacy: Privacy) -> dict[str, Any]:
    def called(value: str | None) -> str | None:
        return value if value is None else item.names.get(value) or show_group(value, schema, privacy)

    return {
        "field": found.field, "different": found.different, "left_out": found.left_out,
        "years": schema is not None and schema.type in (FieldType.DATE, FieldType.DATETIME),
        "groups": [
            {"value": called(one.value), "source": one.source, "expected": one.expected, "actual": one.actual}
            for one in found.groups
        ],
    }  # fmt: skip


def _total(total: Totals, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "field": total.field, "by": list(total.by), "different": total.different, "left_out": total.left_out,
        "groups": [
            {"group": [names.get(value or "", value) for value in group.group], "expected": group.expected, "actual": group.actual, "equal": group.equal}
            for group in total.groups
        ],
    }  # fmt: skip


def _crosstab(item: Crosstab, schema: FieldSchema | None, privacy: Privacy) -> dict[str, Any]:
    return {
        "field": item.field, "records": item.records, "wrong": item.wrong, "unmapped": item.unmapped,
        "left_out": item.left_out,
        "pairs": [
            {"source": show(pair.source, schema, privacy), "target": show(pair.target, schema, privacy),
             "records": pair.records, "mapped": pair.mapped, "wanted": pair.wanted}
            for pair in item.pairs
        ],
    }  # fmt: skip


def _values(item: Distribution, schema: FieldSchema | None, privacy: Privacy) -> dict[str, Any]:
    return {
        "field": item.field, "different": item.different, "left_out": item.left_out,
        "values": [
            {
                "value": value if value is None or schema is None else show(value, schema, privacy),
                "expected": expected,
                "actual": actual,
            }
            for value, expected, actual in item.values
        ],
    }  # fmt: skip


def _reason(reason: Reason, names: int) -> dict[str, Any]:
    return {
        "state": reason.state, "rule": reason.rule, "field": reason.field, "count": reason.count,
        "message": reason.message, "link": _link_waited_for(reason),
        "named": [asdict(item) for item in reason.named[:names]],
    }  # fmt: skip


def _link_waited_for(reason: Reason) -> str:
    """How all of these records hang on what they wait for, 'required' or 'optional'; '' when they differ or nobody knows."""
    found = {record.link for record in reason.named}
    return (found.pop() or "") if len(found) == 1 else ""


def check_to_json(check: Check) -> dict[str, Any]:
    """One check as JSON values."""
    return {
        "id": check.id, "section": check.section.value, "object": check.object, "rule": check.rule,
        "subject": check.subject, "status": check.status.value, "severity": check.severity,
        "checked": check.checked, "failed": check.failed, "detail": dict(check.detail),
        "examples": [_example(example) for example in check.examples],
    }  # fmt: skip


def _example(example: Example) -> dict[str, Any]:
    return {"record": example.record, "expected": example.expected, "actual": example.actual}
