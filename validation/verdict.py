"""What was checked and what follows from it: checks with five states, and the one verdict a person signs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Status(Enum):
    """What came of one check. A check that saw nothing has not passed, and one that broke has not failed."""

    PASS = "pass"  # noqa: S105 (a state, no password)
    WARN = "warn"
    FAIL = "fail"
    COULD_NOT_CHECK = "could_not_check"
    WAIVED = "waived"
    """It fails, and a named person took responsibility until a date."""
    NOTHING = "nothing_to_check"
    """There was nothing to look at (an object without records, a field without values): neither good nor bad."""


class Section(Enum):
    """Where in the report a check stands; the order is the order of the report."""

    ACCOUNTING = "accounting"
    RECORDS = "records"
    COUNTS = "counts"
    TOTALS = "totals"
    LINKS = "links"
    FIELDS = "fields"
    DATES = "dates"
    FILES = "files"
    RULES = "rules"
    DUPLICATES = "duplicates"


class Verdict(Enum):
    """May the cutover go on?"""

    READY = "ready"
    READY_WITH_EXCEPTIONS = "ready_with_exceptions"
    """Nothing blocks; some things are known, listed and have to be accepted."""
    NOT_READY = "not_ready"
    INCOMPLETE = "incomplete"
    """Nothing failed, but something that matters could not be checked, or nothing was checked at all."""

    @property
    def holds(self) -> bool:
        """Whether a command that validates may end with 0."""
        return self in (Verdict.READY, Verdict.READY_WITH_EXCEPTIONS)


@dataclass(frozen=True, slots=True)
class Example:
    """One record that shows a failure: how to find it, and its values as they may be shown."""

    record: str
    """OBJECT/ID, as `migrator explain` takes it; for a record only the target has, its key there."""
    expected: str | None = None
    actual: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at on one object."""

    section: Section
    object: str
    rule: str
    """Short and stable: 'records.missing', 'fields.shifted_day', 'expect_column_values_to_not_be_null', …"""
    status: Status
    checked: int
    """Records or values looked at."""
    failed: int = 0
    subject: str = ""
    """The field (or fields) it is about, when it is about one."""
    severity: str = "critical"
    """Great Expectations' words: critical | warning | info."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Facts the text of the rule speaks of; JSON values only."""
    examples: tuple[Example, ...] = ()
    variant: str = ""
    """What tells it from other checks of this rule on this subject."""

    @property
    def id(self) -> str:
        """The name a waiver or a trend knows this check by; no other check of the report has it."""
        name = "/".join(part for part in (self.object, self.section.value, self.rule, self.subject) if part)
        return f"{name}#{self.variant}" if self.variant else name


def judge(failed: int, checked: int, *, severity: str = "critical") -> Status:
    """The state of a check that ran: critical failures block, others warn, and nothing seen is no pass."""
    if failed:
        return Status.FAIL if severity == "critical" else Status.WARN
    return Status.PASS if checked else Status.NOTHING


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict and the checks that made it so, the heaviest first."""

    verdict: Verdict
    blocking: tuple[Check, ...]
    """Checks that fail or could not be made; empty unless the verdict blocks."""
    exceptions: tuple[Check, ...]
    """Warnings and waived failures: to be accepted by whoever signs."""
    counts: Mapping[str, int]
    """Checks by status."""


def decide(checks: Sequence[Check]) -> Decision:
    """The worst state wins: a failure over a check that could not be made, that over a warning."""
    by_status = {status: tuple(c for c in checks if c.status is status) for status in Status}
    failed, unchecked = by_status[Status.FAIL], by_status[Status.COULD_NOT_CHECK]
    exceptions = by_status[Status.WARN] + by_status[Status.WAIVED]
    if failed:
        verdict = Verdict.NOT_READY
    elif unchecked or not (by_status[Status.PASS] or exceptions):
        verdict = Verdict.INCOMPLETE
    elif exceptions:
        verdict = Verdict.READY_WITH_EXCEPTIONS
    else:
        verdict = Verdict.READY
    return Decision(
        verdict,
        tuple(sorted(failed, key=_weight)) + tuple(sorted(unchecked, key=_weight)),
        tuple(sorted(exceptions, key=_weight)),
        {status.value: len(found) for status, found in by_status.items()},
    )


def _weight(check: Check) -> tuple[int, int, str]:
    sections = list(Section)
    return (sections.index(check.section), -check.failed, check.id)


def percent(part: int, whole: int) -> str:
    """A percentage with two decimals, rounded down: '100.00' only when it is all of it; '–' of nothing.

    >>> percent(88_202, 88_203), percent(5, 5), percent(0, 0)
    ('99.99', '100.00', '–')
    """
    if not whole:
        return "–"
    hundredths = part * 10_000 // whole
    return f"{hundredths // 100}.{hundredths % 100:02d}"
