"""Whether the people who must say yes have said it: each one somebody else, in a role that counts, for this very plan, in time."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from migrator.runbook.durations import spoken
from migrator.runbook.model import Approvals, Role
from migrator.runbook.record import Approval

FORCES = 2
"""People it takes to pass a condition that does not hold."""


@dataclass(frozen=True, slots=True)
class Ballot:
    """Who approved, and why the other approvals do not count."""

    names: tuple[str, ...]
    void: tuple[str, ...]


def same_person(one: str, other: str) -> bool:
    """Whether two names mean one person, as far as letters and spaces can tell."""
    return _folded(one) == _folded(other)


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def count(
    said: Iterable[Approval],
    *,
    plan: str,
    now: datetime,
    operator: str,
    roles: Mapping[str, Role],
    of: tuple[str, ...] = (),
) -> Ballot:
    """Sort approvals of one step into those that count and those that do not; `of`: the roles that count, none for any."""
    names: dict[str, str] = {}
    void: list[str] = []
    for item in said:
        why = _void(item, plan=plan, now=now, operator=operator, roles=roles, of=of)
        if why:
            void.append(f"{item.name}: {why}")
        else:
            names.setdefault(_folded(item.name), item.name)
    return Ballot(tuple(names.values()), tuple(void))


def _void(
    item: Approval,
    *,
    plan: str,
    now: datetime,
    operator: str,
    roles: Mapping[str, Role],
    of: tuple[str, ...],
) -> str:
    """Why an approval does not count; '' when it does."""
    if item.plan != plan:
        return "it was given to another plan (the runbook, a mapping or the tool changed since)"
    if now >= item.expires:
        return f"it expired {spoken((now - item.expires).total_seconds())} ago"
    if same_person(item.name, operator):
        return "the operator cannot approve"
    if of and item.role not in of:
        return f"the role {item.role} does not approve this"
    return "" if holds_role(item.name, item.role, roles) else f"{item.role} is somebody else's role"


def holds_role(name: str, role: str, roles: Mapping[str, Role]) -> bool:
    """Whether a person is owner or backup of a role."""
    known = roles.get(role)
    return known is not None and any(
        same_person(name, holder) for holder in (known.owner, known.backup) if holder
    )


def missing(wanted: Approvals, ballot: Ballot) -> Iterator[str]:
    """What is missing, in words; nothing when enough people approved."""
    if len(ballot.names) < wanted.need:
        have = f" ({', '.join(ballot.names)})" if ballot.names else ""
        yield f"{len(ballot.names)}{have} of {wanted.need} approvals, from: {', '.join(wanted.of)}"
        yield from ballot.void
