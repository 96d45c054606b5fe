"""The commands `dedupe decisions …`: what people decided about pairs, listed, added to, taken back, and moved between ledgers as files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from migrator.commands.binding import check_names
from migrator.commands.decision_files import Entry, read_entries, write_entries
from migrator.commands.inspect import looking
from migrator.commands.project import Project, open_workspace
from migrator.commands.target import flat
from migrator.core.document import did_you_mean
from migrator.core.errors import Problem, ProjectError, raise_errors
from migrator.core.mapped import Judgement, MappedObject, Same
from migrator.dedupe.judged import against
from migrator.staging import match_decisions as decided
from migrator.staging.engine import Session, literal
from migrator.staging.ledger import Ledger
from migrator.staging.match_decisions import MatchDecision, Way, ordered
from migrator.staging.relation import relation
from migrator.staging.store import Kind, Store

FAST_CLOCK = timedelta(minutes=5)
"""How far the clock of the machine that a file of decisions comes from may be ahead of this one's."""


@dataclass(frozen=True, slots=True)
class About:
    """Which decisions are asked for; empty means all."""

    objects: Sequence[str] = ()
    record: str = ""
    """Only about this `__id`."""
    by: str = ""
    since: datetime | None = None
    standing: bool = False
    """Only the last word on each pair, and none where it was taken back."""

    def chosen(self, known: Sequence[MatchDecision]) -> list[MatchDecision]:
        """Those of `known`, in their order, that are asked for."""
        found = decided.standing(known).values() if self.standing else known
        return [item for item in found if self._is_about(item)]

    def _is_about(self, item: MatchDecision) -> bool:
        return (
            (not self.objects or item.mapping in self.objects)
            and (not self.record or self.record in item.pair)
            and (not self.by or item.who == self.by)
            and (self.since is None or (item.at is not None and item.at >= self.since))
        )


@dataclass(frozen=True, slots=True)
class Entered:
    """Decisions that were put on record, and what does not fit together with them."""

    entered: tuple[MatchDecision, ...]
    known: int = 0
    """Of a file: those that this ledger had already."""
    left_out: int = 0
    """Of a file: those about records that are not there."""
    contradicted: tuple[tuple[MatchDecision, tuple[Judgement, ...]], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "entered": [item.to_json() for item in self.entered],
            "known": self.known,
            "left_out": self.left_out,
            "contradicted": [
                {
                    "decision": item.to_json(),
                    "by": [
                        {"one": word.one, "other": word.other, "verdict": word.verdict.value}
                        for word in words
                    ],
                }
                for item, words in self.contradicted
            ],
        }


def list_decisions(project: Project, about: About) -> list[MatchDecision]:
    """The decisions asked for, the oldest first; raises `ProjectError` for an object that is no mapping's."""
    with looking(project) as (workspace, _, bound):
        check_names(about.objects, [item.name for item in flat(bound.groups)])
        return about.chosen(decided.decisions(workspace.ledger))


def add_decision(
    project: Project, mapping: str, records: tuple[str, str], verdict: Same, *, who: str, why: str = ""
) -> Entered:
    """Put one word on record; raises `ProjectError` when there are no such two records."""
    one, other = ordered(*records)
    if one == other:
        raise ProjectError.at("decisions add", f"{one!r} is one record, and a pair is two")
    with looking(project) as (workspace, session, bound):
        objects = _by_name(flat(bound.groups))
        check_names([mapping], list(objects))
        for record in sorted({one, other} - there(workspace.store, session, mapping, {one, other})):
            raise ProjectError.at(
                f"{mapping}/{record}",
                "there is no such record",
                "write its id as the lists show it: SOURCE:KEY",
            )
        word = MatchDecision(mapping, one, other, verdict, who, why.strip())
        made = decided.record(workspace.ledger, [word])
        return Entered(made, contradicted=contradicted(workspace.ledger, made))


def withdraw(project: Project, about: About, *, who: str, why: str) -> Entered:
    """Take back the standing decisions asked for; raises `ProjectError` when it would be all, or none."""
    if not (about.objects or about.record or about.by or about.since):
        raise ProjectError.at(
            "decisions withdraw", "this would take back every decision",
            "say which: --object, --record, --by or --since",
        )  # fmt: skip
    with open_workspace(project) as workspace:
        found = replace(about, standing=True).chosen(decided.decisions(workspace.ledger))
        if not found:
            raise ProjectError.at(
                "decisions withdraw",
                "no standing decision is like that",
                "see: migrator dedupe decisions list",
            )
        words = [MatchDecision(item.mapping, item.one, item.other, None, who, why.strip()) for item in found]
        return Entered(decided.record(workspace.ledger, words))


def export_decisions(project: Project, path: Path, about: About) -> int:
    """Write the decisions asked for as JSON lines or CSV, by the file's ending; returns how many."""
    return write_entries(path, list_decisions(project, about))


def import_decisions(project: Project, path: Path, *, known_only: bool = False) -> Entered:
    """Bring in decisions that another ledger exported, each with its own name and date; those known already are left.

    Of two decisions on a pair the later one stands, whichever ledger it was taken in. All of the file or nothing:
    raises `ProjectError` with every problem at its line, decisions about records that are not there included, unless
    `known_only` leaves those out.
    """
    entries = read_entries(path)
    with looking(project) as (workspace, session, bound):
        ledger, objects = workspace.ledger, _by_name(flat(bound.groups))
        raise_errors(_misfits(entries, objects, ledger.clock.now() + FAST_CLOCK))
        missing = _missing(workspace.store, session, entries)
        if not known_only:
            raise_errors(_unknown(entries, missing))
        wanted = [
            item for item in entries if not missing[item.decision.mapping].intersection(item.decision.pair)
        ]
        before = {_identity(item) for item in decided.decisions(ledger)}
        new = {_identity(item.decision): item.decision for item in wanted}
        fresh = sorted(
            (item for known_as, item in new.items() if known_as not in before), key=lambda item: str(item.at)
        )
        made = decided.record(ledger, [replace(item, way=Way.FILE) for item in fresh])
        return Entered(made, len(wanted) - len(made), len(entries) - len(wanted), contradicted(ledger, made))


def _identity(item: MatchDecision) -> tuple[object, ...]:
    return item.mapping, item.one, item.other, item.said, item.who, item.why, item.at


def _by_name(objects: Sequence[MappedObject]) -> Mapping[str, MappedObject]:
    return {item.name: item for item in objects}


def _misfits(
    entries: Sequence[Entry], objects: Mapping[str, MappedObject], latest: datetime
) -> Iterator[Problem]:
    for entry in entries:
        item = entry.decision
        if item.mapping not in objects:
            hint = did_you_mean(item.mapping, objects, noun="mappings")
            yield Problem(entry.place, f"there is no mapping {item.mapping!r}", hint)
        if item.at is not None and item.at > latest:
            hint = "is the clock of the machine it was taken on right?"
            yield Problem(entry.place, f"this decision was taken in the future: {item.at.isoformat()}", hint)


def _missing(store: Store, session: Session, entries: Sequence[Entry]) -> dict[str, set[str]]:
    """Mapping → records that are named and not there."""
    named: dict[str, set[str]] = {}
    for entry in entries:
        named.setdefault(entry.decision.mapping, set()).update(entry.decision.pair)
    return {mapping: ids - there(store, session, mapping, ids) for mapping, ids in named.items()}


def _unknown(entries: Sequence[Entry], missing: Mapping[str, set[str]]) -> Iterator[Problem]:
    hint = "delete this line, or leave such lines out with --known-only"
    for entry in entries:
        for record in entry.decision.pair:
            if record in missing[entry.decision.mapping]:
                yield Problem(entry.place, f"there is no record {entry.decision.mapping}/{record}", hint)


def there(store: Store, session: Session, mapping: str, ids: Iterable[str]) -> set[str]:
    """Which of these records there are."""
    rows = relation(session, store.need(Kind.MAPPED, mapping, made_by="map"))
    listed = ", ".join(literal(item) for item in sorted(ids))
    return set(session.fetch(f"SELECT __id FROM {rows} WHERE __id IN ({listed})").column(0).to_pylist())


def contradicted(
    ledger: Ledger, made: Sequence[MatchDecision]
) -> tuple[tuple[MatchDecision, tuple[Judgement, ...]], ...]:
    """Those of these decisions that others contradict, with the judgements that do."""
    known = {name: decided.judgements(ledger, name) for name in {item.mapping for item in made}}
    found = (
        (item, against(known[item.mapping], Judgement(item.one, item.other, item.verdict)))
        for item in made
        if item.verdict is not None
    )
    return tuple((item, words) for item, words in found if words)
