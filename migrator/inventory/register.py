"""The register of functions: each component with its evidence, what a rule proposes, and what people decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from migrator.core.components import ComponentKind
from migrator.inventory.capability import capability
from migrator.inventory.evidence import Evidence, Use, evidence
from migrator.inventory.integrations import filled_by, integrations
from migrator.inventory.reasons import because
from migrator.inventory.rules import Case, Counterpart, Coverage, Decision, Proposal, propose, rivals
from migrator.inventory.scan import Item
from migrator.inventory.usage import Usage

NOTHING_KNOWN = Evidence(Use.COULD_NOT_ANALYSE, because("nobody-looked"))


@dataclass(frozen=True, slots=True)
class Said:
    """One entry of the history: who changed which answers, when."""

    number: int
    id: str
    at: datetime
    who: str
    way: str
    """'command' or 'workbook'."""
    changes: Mapping[str, str]
    run: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "number": self.number, "id": self.id, "at": self.at.isoformat(), "who": self.who, "way": self.way,
            "changes": dict(self.changes), "run": self.run,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the register."""

    item: Item
    evidence: Evidence
    counterpart: Counterpart
    proposal: Proposal
    capability: str
    answers: Mapping[str, str] = field(default_factory=dict)
    """What people said last, by the names of `ANSWERS`."""
    decided_by: str = ""
    decided_on: str = ""
    """ISO date; '' while only a rule has spoken."""
    history: tuple[Said, ...] = ()
    filled_by: tuple[str, ...] = ()
    """Integrations that mention it."""
    losses: tuple[str, ...] = ()
    """What the mapping loses of its data."""

    @property
    def decision(self) -> Decision:
        """A person's word, else undecided: a proposal is no decision."""
        said = self.answers.get("decision")
        return Decision(said) if said else Decision.UNDECIDED

    @property
    def access(self) -> int:
        """Profiles, permission sets and roles that name it."""
        return sum(1 for one in self.item.used_by if one.kind is ComponentKind.PERMISSION)

    @property
    def business_unit(self) -> str:
        """As a person said it; else the unit that fills it most."""
        if said := self.answers.get("business_unit"):
            return said
        usage = self.evidence.usage
        parts = [one for one in usage.segments if one.by == "business unit" and one.filled] if usage else []
        return max(parts, key=lambda one: one.filled).value if parts else ""

    @property
    def protection_gap(self) -> str:
        """Why a sensitive field may be less protected in the new system; '' when it is not sensitive or nothing is known."""
        marks = self.item.component.marks
        strong = [name for name in ("encrypted", "masked", "secured") if name in marks]
        if not strong or self.counterpart.coverage in (Coverage.NONE, Coverage.UNKNOWN):
            return ""
        return f"{' and '.join(strong)} in the old system: check that {self.counterpart.name} is protected as well"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known besides the scan itself."""

    usage: Mapping[str, Usage] = field(default_factory=dict)
    """Id → use."""
    not_measured: Mapping[str, str] = field(default_factory=dict)
    counterparts: Mapping[str, Counterpart] = field(default_factory=dict)
    losses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    said: Sequence[Said] = ()
    blind: tuple[str, ...] = ()
    """Metadata that could not be read."""


def rows(items: Sequence[Item], known: Known) -> tuple[Row, ...]:
    """The register, in the order of the scan; what is `gone` has no line, only its history."""
    same_event = rivals(items)
    moved = filled_by(integrations(items))
    history: dict[str, list[Said]] = {}
    for one in known.said:
        history.setdefault(one.id, []).append(one)
    return tuple(
        _row(Case(item, NOTHING_KNOWN, Counterpart(), known.blind, same_event.get(item.id, ())), known,
             history.get(item.id, ()), moved.get(item.id, ()))
        for item in items
    )  # fmt: skip


def gone(items: Iterable[Item], said: Iterable[Said]) -> tuple[str, ...]:
    """Ids that people decided about and that the last scan did not find."""
    there = {item.id for item in items}
    return tuple(dict.fromkeys(one.id for one in said if one.id not in there))


def _row(case: Case, known: Known, history: Sequence[Said], filled: tuple[str, ...]) -> Row:
    item = case.item
    answers = folded(history)
    found = evidence(item, known.usage.get(item.id), known.not_measured.get(item.id, ""))
    there = _counterpart(known.counterparts.get(item.id, Counterpart()), answers)
    proposal = propose(replace(case, evidence=found, counterpart=there))
    decided = next((one for one in reversed(history) if "decision" in one.changes), None)
    return Row(
        item, found, there, proposal, answers.get("capability") or capability(item), answers,
        decided.who if decided and answers.get("decision") else "",
        decided.at.date().isoformat() if decided and answers.get("decision") else "",
        tuple(history), filled, known.losses.get(item.id, ()),
    )  # fmt: skip


def folded(history: Iterable[Said]) -> dict[str, str]:
    """The last word on each answer; an empty one takes it back."""
    answers: dict[str, str] = {}
    for one in history:
        answers.update(one.changes)
    return {name: text for name, text in answers.items() if text}


def _counterpart(found: Counterpart, answers: Mapping[str, str]) -> Counterpart:
    """What a person says of the counterpart stands above what a mapping tells."""
    if not any(answers.get(name) for name in ("coverage", "counterpart", "counterpart_kind", "differences")):
        return found
    coverage = Coverage(answers["coverage"]) if answers.get("coverage") else found.coverage
    return Counterpart(
        coverage, answers.get("counterpart_kind", found.kind), answers.get("counterpart", found.name),
        answers.get("differences", found.differences), "by person", "high",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tally:
    """Components of one group, by what was decided."""

    name: str
    total: int
    decisions: Mapping[str, int]
    """Decision → components; 'undecided' among them."""
    accepted: int
    """Decided ones whose acceptance test has passed, or that need none."""


def tallies(listed: Iterable[tuple[str, Row]]) -> tuple[Tally, ...]:
    """Count rows by group, groups in the order they first appear."""
    groups: dict[str, list[Row]] = {}
    for name, row in listed:
        groups.setdefault(name, []).append(row)
    return tuple(_tally(name, members) for name, members in groups.items())


def _tally(name: str, members: Sequence[Row]) -> Tally:
    counts = Counter(row.decision.value for row in members)
    return Tally(name, len(members), dict(counts), sum(1 for row in members if is_done(row)))


def is_done(row: Row) -> bool:
    """Whether nothing is left to do for it: retired or put off, or built and accepted."""
    match row.decision:
        case Decision.RETIRE | Decision.ARCHIVE | Decision.DEFER:
            return True
        case Decision.UNDECIDED:
            return False
        case _:
            return row.answers.get("result") == "passed"


@dataclass(frozen=True, slots=True)
class Operation:
    """How users do a thing today, and how they will."""

    capability: str
    old: str
    new: str
    id: str
    note: str


def operations(listed: Iterable[Row]) -> Iterator[Operation]:
    """The comparison table for the users' handbook: what users see and touch, as far as it is decided or described."""
    touched = {
        "layout or form",
        "object",
        "field",
        "report",
        "approval",
        "record type",
        "validation",
        "notification or template",
    }
    for row in listed:
        part = row.item.component
        said = row.answers.get("old_action") or row.answers.get("new_action")
        if not said and (part.kind.value not in touched or row.decision is Decision.UNDECIDED):
            continue
        old = row.answers.get("old_action") or f"{part.kind.value}: {part.label or part.name}"
        yield Operation(row.capability, old, _new(row), row.item.id, row.counterpart.differences)


def _new(row: Row) -> str:
    if said := row.answers.get("new_action"):
        return said
    match row.decision:
        case Decision.RETIRE:
            return f"no longer there: {row.answers.get('reason', '')}".rstrip(": ")
        case Decision.ARCHIVE:
            return "no longer there; its data is in the archive"
        case Decision.DEFER:
            return "later; until then in the old system"
        case _:
            return row.counterpart.name or "to be described"
