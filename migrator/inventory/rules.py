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
from migrator.inventory.reasons import Part, Reason, because, listed, worded
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
    reason: Reason
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


_UNDECIDED = Proposal(Decision.UNDECIDED, "no-rule", because("no-rule"))


def _unread(case: Case) -> Proposal | None:
    if not case.item.component.unread:
        return None
    return Proposal(
        Decision.UNDECIDED, "not-analysed", because("not-analysed", why=worded(case.item.component.unread))
    )


def _integration(case: Case) -> Proposal | None:
    part = case.item.component
    if part.kind in INTEGRATIONS or part.calls:
        return Proposal(Decision.UNDECIDED, "integration", because("integration"))
    return None


def _unsupported(case: Case) -> Proposal | None:
    part = case.item.component
    if part.legacy and part.state is ComponentState.ACTIVE:
        return Proposal(
            Decision.OPTIMISE,
            "unsupported",
            because("unsupported", why=worded(part.legacy)),
        )
    return None


def _several(case: Case) -> Proposal | None:
    part = case.item.component
    if not case.rivals or part.kind not in _AUTOMATIONS or part.state is not ComponentState.ACTIVE:
        return None
    return Proposal(
        Decision.OPTIMISE,
        "same-event",
        because("same-event", names=listed(case.rivals)),
    )


def _code(case: Case) -> Proposal | None:
    if case.item.component.kind in (ComponentKind.CODE, ComponentKind.SCHEDULED_JOB):
        return Proposal(Decision.UNDECIDED, "code", because("code"))
    return None


def _inactive(case: Case) -> Proposal | None:
    part = case.item.component
    if part.state not in _OFF or users(case.item):
        return None
    if case.blind:
        return _blind(case, because("off-unread", state=worded(part.state.value)))
    reason = because("off", state=worded(part.state.value))
    return Proposal(Decision.RETIRE, "inactive-unreferenced", reason)


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
    reason = because("no-layout", why=case.evidence.because)
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
    reason = because("abandoned", newest=usage.newest, column=usage.newest_by, months=months)
    running = runners(case.item)
    if running:
        why = because("abandoned-run", why=reason, name=running[0].id)
        return Proposal(Decision.UNDECIDED, "abandoned-but-run", why)
    if case.blind:
        return _blind(case, reason)
    return Proposal(
        Decision.RETIRE,
        "abandoned",
        because("abandoned-retire", why=reason, filled=usage.filled),
        archive=True,
    )


def _covered(case: Case) -> Proposal | None:
    part, there = case.item.component, case.counterpart
    if part.state is not ComponentState.ACTIVE or case.evidence.use is not Use.USED:
        return None
    match there.coverage:
        case Coverage.STANDARD | Coverage.CONFIGURE:
            named: dict[str, Part] = {"kind": there.kind, "name": there.name} if there.name else {}
            why = because(
                "covered-by" if named else "covered",
                why=case.evidence.because,
                method=worded(there.method),
                **named,
            )
            return Proposal(Decision.KEEP, "covered", why)
        case Coverage.EXTEND:
            return Proposal(Decision.BUILD, "to-extend", because("to-extend", why=case.evidence.because))
        case Coverage.NONE:
            return Proposal(
                Decision.BUILD, "no-counterpart", because("no-counterpart", why=case.evidence.because)
            )
        case Coverage.UNKNOWN:
            return Proposal(
                Decision.UNDECIDED,
                "counterpart-unknown",
                because("counterpart-unknown", why=case.evidence.because),
            )


def _not_analysed(case: Case) -> Proposal | None:
    if case.evidence.use is not Use.COULD_NOT_ANALYSE:
        return None
    return Proposal(Decision.UNDECIDED, "not-analysed", because("not-analysed", why=case.evidence.because))


def _blind(case: Case, reason: Reason) -> Proposal:
    why = because("blind", why=reason, file=listed(case.blind, 1))
    return Proposal(Decision.UNDECIDED, "not-analysed", why)


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
