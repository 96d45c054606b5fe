"""What is proposed for a component, by a named rule with its reason; a person must confirm each.

Safe rules only: nothing is retired on its fill rate alone, code and integrations never by a rule, and whatever could not
be analysed, or may be mentioned in a file that could not be read, stays undecided.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum

from migrator.core.components import ComponentKind, ComponentState
from migrator.inventory.evidence import INTEGRATIONS, Evidence, Use, layouts, runners, users
from migrator.inventory.scan import Item

ABANDONED_MONTHS = 24
_OFF = frozenset({ComponentState.INACTIVE, ComponentState.DRAFT, ComponentState.SUPERSEDED})
_AUTOMATIONS = frozenset({ComponentKind.AUTOMATION, ComponentKind.CODE})


class Decision(Enum):
    """What becomes of a function. The first four are the TIME model's: tolerate, invest, eliminate, build."""

    KEEP = "keep"
    OPTIMISE = "optimise"
    RETIRE = "retire"
    BUILD = "build"
    MERGE = "merge"
    DEFER = "defer"
    ARCHIVE = "archive data only"
    UNDECIDED = "undecided"


class Coverage(Enum):
    """How the new system covers a function."""

    STANDARD = "standard"
    CONFIGURE = "configure"
    EXTEND = "extend"
    NONE = "none"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Counterpart:
    """What stands in its place in the new system."""

    coverage: Coverage = Coverage.UNKNOWN
    kind: str = ""
    name: str = ""
    differences: str = ""
    method: str = ""
    """'by mapping', 'by name', 'by person'."""
    confidence: str = ""
    """'high', 'low'."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a rule proposes."""

    decision: Decision
    rule: str
    """Short and stable."""
    reason: str
    archive: bool = False
    """Its data is to be archived."""


@dataclass(frozen=True, slots=True)
class Case:
    """Everything a rule may look at."""

    item: Item
    evidence: Evidence
    counterpart: Counterpart
    blind: tuple[str, ...] = ()
    """Files that could not be read, so that they may mention anything."""
    rivals: tuple[str, ...] = ()
    """Other active automations at the same event of the same object."""


def propose(case: Case) -> Proposal:
    """The first rule that applies, the careful ones before the others."""
    return next((found for rule in _RULES if (found := rule(case)) is not None), _UNDECIDED)


def rivals(items: Iterable[Item]) -> Mapping[str, tuple[str, ...]]:
    """Id → other active automations on the same object and event."""
    at: dict[str, list[str]] = defaultdict(list)
    for item in items:
        part = item.component
        if part.kind in _AUTOMATIONS and part.state is ComponentState.ACTIVE:
            for event in part.fires:
                at[event.lower()].append(item.id)
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for ids in at.values():
        for one in ids:
            found[one].update(dict.fromkeys(other for other in ids if other != one))
    return {one: tuple(others) for one, others in found.items() if others}


_UNDECIDED = Proposal(Decision.UNDECIDED, "no-rule", "no rule applies: a person decides")


def _unread(case: Case) -> Proposal | None:
    if not case.item.component.unread:
        return None
    return Proposal(
        Decision.UNDECIDED, "not-analysed", f"could not be analysed: {case.item.component.unread}"
    )


def _integration(case: Case) -> Proposal | None:
    part = case.item.component
    if part.kind in INTEGRATIONS or part.calls:
        return Proposal(
            Decision.UNDECIDED, "integration",
            "something outside takes part: see the register of integrations; never retired by a rule"
        )  # fmt: skip
    return None


def _unsupported(case: Case) -> Proposal | None:
    part = case.item.component
    if part.legacy and part.state is ComponentState.ACTIVE:
        return Proposal(
            Decision.OPTIMISE,
            "unsupported",
            f"active, and {part.legacy}: build it anew, do not keep it as it is",
        )
    return None


def _several(case: Case) -> Proposal | None:
    part = case.item.component
    if not case.rivals or part.kind not in _AUTOMATIONS or part.state is not ComponentState.ACTIVE:
        return None
    others = ", ".join(case.rivals[:3]) + (" …" if len(case.rivals) > 3 else "")
    return Proposal(
        Decision.OPTIMISE,
        "same-event",
        f"runs at the same event as {others}: merge them, their order is not defined",
    )


def _code(case: Case) -> Proposal | None:
    if case.item.component.kind in (ComponentKind.CODE, ComponentKind.SCHEDULED_JOB):
        return Proposal(Decision.UNDECIDED, "code", "code is read by a person; never retired by a rule")
    return None


def _inactive(case: Case) -> Proposal | None:
    part = case.item.component
    if part.state not in _OFF or users(case.item):
        return None
    if case.blind:
        return _blind(case, f"{part.state.value}, and nothing that was read mentions it")
    return Proposal(Decision.RETIRE, "inactive-unreferenced", f"{part.state.value}, and nothing mentions it")


def _is_described(case: Case) -> bool:
    """A field of which the metadata was read: of one known by its records only, nobody looked where it is used."""
    part = case.item.component
    return part.kind is ComponentKind.FIELD and "seen in" not in part.facts


def _never_filled(case: Case) -> Proposal | None:
    usage = case.evidence.usage
    if not _is_described(case) or usage is None or usage.rows == 0:
        return None
    if case.evidence.use is not Use.NOT_SEEN or users(case.item) or layouts(case.item):
        return None
    reason = f"{case.evidence.because}; it is on no layout"
    return _blind(case, reason) if case.blind else Proposal(Decision.RETIRE, "never-filled", reason)


def _abandoned(case: Case) -> Proposal | None:
    """Held against the newest record of the object: where all records are old, that says nothing of the field."""
    usage = case.evidence.usage
    if (
        not _is_described(case)
        or usage is None
        or not (usage.filled and usage.newest and usage.newest_record)
    ):
        return None
    months = _months(date.fromisoformat(usage.newest), date.fromisoformat(usage.newest_record))
    if months < ABANDONED_MONTHS:
        return None
    reason = (
        f"the newest record with a value is of {usage.newest} ({usage.newest_by}), {months} months before the newest"
        " record of the object"
    )
    running = runners(case.item)
    if running:
        return Proposal(Decision.UNDECIDED, "abandoned-but-run", f"{reason}, but {running[0].id} uses it")
    if case.blind:
        return _blind(case, reason)
    return Proposal(
        Decision.RETIRE,
        "abandoned",
        f"{reason}: retire the field, archive its {usage.filled:,} values",
        archive=True,
    )


def _covered(case: Case) -> Proposal | None:
    part, there = case.item.component, case.counterpart
    if part.state is not ComponentState.ACTIVE or case.evidence.use is not Use.USED:
        return None
    match there.coverage:
        case Coverage.STANDARD | Coverage.CONFIGURE:
            name = f" ({there.kind} {there.name})" if there.name else ""
            return Proposal(
                Decision.KEEP,
                "covered",
                f"{case.evidence.because}; the new system covers it{name}, {there.method}",
            )
        case Coverage.EXTEND:
            return Proposal(
                Decision.BUILD,
                "to-extend",
                f"{case.evidence.because}; the new system must be extended for it",
            )
        case Coverage.NONE:
            return Proposal(
                Decision.BUILD,
                "no-counterpart",
                f"{case.evidence.because}; the new system has no counterpart",
            )
        case Coverage.UNKNOWN:
            return Proposal(
                Decision.UNDECIDED,
                "counterpart-unknown",
                f"{case.evidence.because}; its counterpart is not known yet",
            )


def _not_analysed(case: Case) -> Proposal | None:
    if case.evidence.use is not Use.COULD_NOT_ANALYSE:
        return None
    return Proposal(Decision.UNDECIDED, "not-analysed", f"could not be analysed: {case.evidence.because}")


def _blind(case: Case, reason: str) -> Proposal:
    more = f" and {len(case.blind) - 1} more" if len(case.blind) > 1 else ""
    return Proposal(
        Decision.UNDECIDED,
        "not-analysed",
        f"{reason}; but {case.blind[0]}{more} could not be read and may mention it",
    )


def _months(then: date, now: date) -> int:
    return (now.year - then.year) * 12 + now.month - then.month - (now.day < then.day)


_RULES: tuple[Callable[[Case], Proposal | None], ...] = (
    _unread,
    _integration,
    _unsupported,
    _several,
    _code,
    _inactive,
    _never_filled,
    _abandoned,
    _covered,
    _not_analysed,
)
RULES = (
    "not-analysed", "integration", "unsupported", "same-event", "code", "inactive-unreferenced", "never-filled", "abandoned",
    "abandoned-but-run", "covered", "to-extend", "no-counterpart", "counterpart-unknown", "no-rule",
)  # fmt: skip
"""Names of all rules, as registers show them."""
