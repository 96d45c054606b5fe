"""From measured facts to checks: which number is a failure, which a warning, and what is told about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from migrator.core.mapped import MappedObject
from migrator.staging.accounting import ObjectAccount
from validation.controls import Controls
from validation.differences import AUTOMATION, LATER_EDIT, NOT_COMPARABLE
from validation.files import Files
from validation.groups import Counts
from validation.measures import ORPHAN, Distribution, Orphans, Totals
from validation.privacy import Privacy, show
from validation.reconcile import COPY, DOUBLED, EXTRA, MISSING, SUPERSEDED, Cell, FieldFacts, Reconciled
from validation.relations import Family
from validation.rules import RuleResult
from validation.verdict import Check, Example, Section, Status, judge

ACCOUNTED = frozenset({"unresolved_link"})
"""Differences that the accounting already answers for: the linked record is excluded, quarantined or waits, by name."""
TO_ACCEPT = ACCOUNTED | {LATER_EDIT, AUTOMATION}
"""Differences that are no fault of the migration: a person has to know and accept them."""
RECORD_REASONS = (MISSING, DOUBLED, SUPERSEDED, COPY, EXTRA)


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that was measured about one object."""

    mapped: MappedObject
    account: ObjectAccount
    reconciled: Reconciled
    totals: tuple[Totals, ...]
    months: tuple[Distribution, ...]
    orphans: tuple[Orphans, ...]


def checks(found: Found, privacy: Privacy) -> tuple[Check, ...]:
    """The checks of one object, rules excepted, in the order of the report."""
    parts: tuple[Callable[[Found, Privacy], Iterable[Check]], ...] = (
        _accounting, _records, _totals, _links, _fields, _dates,
    )  # fmt: skip
    return tuple(check for part in parts for check in part(found, privacy))


def control_checks(name: str, found: Controls) -> Iterable[Check]:
    """What the controls that go round the mapping say: sums, value maps, children per parent."""
    for total in found.totals:
        readable = 0 if total.unread else total.records
        gap = Decimal(total.target) - Decimal(total.source)
        yield Check(
            Section.TOTALS, name, "totals.raw", judge(int(bool(readable and gap)), readable), readable,
            int(bool(readable and gap)), subject=total.field,
            detail={"difference": format(gap, "f"), "unread": total.unread},
        )  # fmt: skip
    for tab in found.crosstabs:
        yield Check(
            Section.FIELDS, name, "fields.value_map", judge(tab.wrong, tab.records), tab.records, tab.wrong,
            subject=tab.field, detail={"unmapped": tab.unmapped},
        )  # fmt: skip
    for link in found.children:
        sizes = len(link.values) + link.left_out
        yield Check(
            Section.LINKS, name, "links.children", judge(link.different, sizes), sizes, link.different,
            subject=link.field,
        )  # fmt: skip


def count_checks(name: str, found: Sequence[Counts]) -> Iterable[Check]:
    """Whether as many records of every group are there as should be."""
    for item in found:
        groups = len(item.groups) + item.left_out
        yield Check(
            Section.COUNTS, name, "counts.by_group", judge(item.different, groups), groups, item.different,
            subject=item.field,
        )  # fmt: skip


def file_checks(name: str, found: Sequence[Files]) -> Iterable[Check]:
    """What is wrong with files: one check a kind of fault, or one that nothing is."""
    for item in found:
        for fault in item.faults:
            yield Check(
                Section.FILES, name, f"files.{fault.kind}", judge(fault.records, item.records or fault.records),
                item.records, fault.records, subject=item.field,
                examples=tuple(Example(f"{name}/{record}") for record in fault.examples),
            )  # fmt: skip
        if not item.faults:
            yield Check(
                Section.FILES, name, "files.equal", judge(0, item.records), item.records, subject=item.field
            )


def rule_checks(
    mapped: MappedObject, results: Sequence[RuleResult], examples: Callable[[RuleResult], tuple[Example, ...]]
) -> tuple[Check, ...]:
    """One check per rule; `examples` fetches the first failing records of one."""
    return tuple(
        Check(
            Section.RULES, mapped.name, item.expectation.type, item.status, item.checked, item.failed,
            subject=item.expectation.subject, variant=item.expectation.variant, severity=item.expectation.severity,
            detail={
                "kwargs": {k: v for k, v in item.expectation.kwargs.items() if not k.startswith("column")},
                "error": item.error, "observed": item.observed, "number": item.number,
                "reason": str(item.expectation.meta.get("reason", "")),
                "description": item.expectation.description,
            },
            examples=examples(item) if item.failed and item.status in (Status.FAIL, Status.WARN) else (),
        )
        for item in results
    )  # fmt: skip


def _accounting(found: Found, _privacy: Privacy) -> Iterable[Check]:
    account, name = found.account, found.mapped.name
    pending = account.counts.get("pending", 0)
    unaccounted = sum(abs(n) for n in account.unaccounted.values())
    reasons = account.reasons.get("pending", {})
    undone = sum(n for rule, n in reasons.items() if rule.startswith("not-"))
    if account.closed:
        state = Status.PASS if account.extracted else Status.NOTHING
        yield Check(Section.ACCOUNTING, name, "accounting.closed", state, account.extracted)
    else:
        yield Check(
            Section.ACCOUNTING, name, "accounting.closed", Status.FAIL, account.extracted, unaccounted + undone,
            detail={"unaccounted": unaccounted, "undone": undone},
        )  # fmt: skip
    waived = account.waived
    for rule, count, left_behind in (
        ("accounting.quarantined", account.counts.get("quarantined", 0), waived.quarantined),
        ("accounting.waiting", pending - undone, waived.waiting),
    ):
        if count:
            state = Status.WARN if count > left_behind else Status.PASS
            yield Check(
                Section.ACCOUNTING, name, rule, state, account.extracted, count - left_behind, severity="warning",
                detail={"waived": left_behind} if left_behind else {},
            )  # fmt: skip


def _records(found: Found, _privacy: Privacy) -> Iterable[Check]:
    facts, name = found.reconciled, found.mapped.name
    if not facts.expected and facts.source and found.account.counts.get("excluded", 0) < facts.source:
        yield Check(
            Section.RECORDS, name, "records.none_loaded", Status.COULD_NOT_CHECK, 0,
            detail={"source": facts.source},
        )  # fmt: skip
        return
    counts = {
        MISSING: facts.missing,
        DOUBLED: facts.doubled,
        SUPERSEDED: facts.superseded,
        COPY: facts.copies,
        EXTRA: facts.extra,
    }
    for reason in (MISSING, DOUBLED) if facts.sides.partial else RECORD_REASONS:
        severity = "critical" if reason in (MISSING, DOUBLED) else "warning"
        yield Check(
            Section.RECORDS, name, f"records.{reason}",
            judge(counts[reason], facts.expected, severity=severity),
            facts.expected, counts[reason], severity=severity,
            examples=_examples(name, facts.examples.get(("", reason), ())),
        )  # fmt: skip


def _totals(found: Found, _privacy: Privacy) -> Iterable[Check]:
    name = found.mapped.name
    for item in found.reconciled.fields:
        if item.expected_sum is None or item.actual_sum is None:
            continue
        gap = Decimal(item.actual_sum) - Decimal(item.expected_sum)
        yield Check(
            Section.TOTALS, name, "totals.sum", judge(int(gap != 0), item.expected_filled + item.actual_filled),
            item.expected_filled, int(gap != 0), subject=item.name,
            detail={"expected": item.expected_sum, "actual": item.actual_sum, "difference": format(gap, "f")},
        )  # fmt: skip
    for total in found.totals:
        groups = len(total.groups) + total.left_out
        yield Check(
            Section.TOTALS, name, "totals.by_group", judge(total.different, groups), groups, total.different,
            subject=total.field, variant="+".join(total.by), detail={"by": list(total.by)},
        )  # fmt: skip


def _links(found: Found, privacy: Privacy) -> Iterable[Check]:
    name = found.mapped.name
    orphans = {item.field: item for item in found.orphans}
    for item in found.reconciled.fields:
        if item.family is not Family.LINK:
            continue
        yield from _cell_checks(found, item, Section.LINKS, privacy)
        gone = orphans.get(item.name)
        if gone is not None and gone.count:
            yield Check(
                Section.LINKS, name, "links.orphan", Status.FAIL, item.actual_filled, gone.count, subject=item.name,
                examples=_examples(name, gone.examples, found.mapped, privacy),
            )  # fmt: skip


def _fields(found: Found, privacy: Privacy) -> Iterable[Check]:
    for item in found.reconciled.fields:
        if item.family is not Family.LINK:
            yield from _cell_checks(found, item, Section.FIELDS, privacy)


def _cell_checks(found: Found, item: FieldFacts, section: Section, privacy: Privacy) -> Iterable[Check]:
    facts, name = found.reconciled, found.mapped.name
    reasons = {reason: n for (field, reason), n in facts.reasons.items() if field == item.name}
    for reason, count in reasons.items():
        severity = "warning" if reason in TO_ACCEPT else "critical"
        yield Check(
            section, name, f"{section.value}.{reason}", judge(count, item.compared, severity=severity),
            item.compared, count, subject=item.name, severity=severity,
            examples=_examples(name, facts.examples.get((item.name, reason), ()), found.mapped, privacy),
        )  # fmt: skip
    if not reasons:
        state = judge(0, item.compared)
        yield Check(section, name, f"{section.value}.equal", state, item.compared, subject=item.name)


def _dates(found: Found, _privacy: Privacy) -> Iterable[Check]:
    for item in found.months:
        months = len(item.values) + item.left_out
        yield Check(
            Section.DATES, found.mapped.name, "dates.months", judge(item.different, months), months, item.different,
            subject=item.field,
        )  # fmt: skip


def _examples(
    name: str,
    cells: Sequence[Cell],
    mapped: MappedObject | None = None,
    privacy: Privacy = Privacy.MASKED,
) -> tuple[Example, ...]:
    """Cells as examples; findings about whole records have no values, an orphan has only the id it points to."""
    if mapped is None:
        return tuple(Example(f"{name}/{cell.id or cell.key or '?'}") for cell in cells)
    found = []
    for cell in cells:
        item = mapped.schema.field(cell.field)
        expected = None if cell.reason == ORPHAN else show(cell.expected, item, privacy)
        # What is no value of the field's type may be anything, so the field's own openness says nothing of it.
        actual = show(cell.actual, None if cell.reason == NOT_COMPARABLE else item, privacy)
        found.append(Example(f"{name}/{cell.id or cell.key}", expected, actual))
    return tuple(found)
