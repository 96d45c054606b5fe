"""What the phases of the groups mean for the sync: which way changes flow, who wins, which side is written; and what contradicts it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from migrator.commands.project import Project
from migrator.commands.sync_settings import SyncSettings
from migrator.core.errors import Location, Problem, ProjectError, SafetyStop
from migrator.core.phases import Phase
from migrator.core.translation import PairedObject, Rule
from migrator.core.twoway import Which
from migrator.staging.ledger import Ledger
from migrator.staging.phases import EVERYTHING, Standing, standings
from migrator.sync.decide import Terms

_OVER = frozenset({Phase.P0, Phase.P11})
"""Phases in which nothing is kept in step."""
_FROZEN: Mapping[str, frozenset[Which]] = {
    "forward": frozenset({Which.OLD}), "reverse": frozenset({Which.NEW}), "both": frozenset(), "-": frozenset(Which),
}  # fmt: skip
"""Direction of a phase → sides that are not written in it."""
_MEANS = {
    "forward": "changes flow from the old system to the new one; the old one is not written",
    "reverse": "changes flow from the new system to the old one; the new one is not written",
    "both": "changes flow both ways",
    "-": "everything is compared and nothing is written",
}
_WINS = {
    "old_wins": "the old value wins",
    "new_wins": "the new value wins",
    "per_field": "each field's own policy",
    "-": "",
}


@dataclass(frozen=True, slots=True)
class GroupPhase:
    """Where one group stands, and what that means."""

    group: str
    phase: Phase
    since: datetime
    objects: tuple[str, ...] = ()
    """Mappings; none stands for all."""

    @property
    def means(self) -> str:
        """In words."""
        if self.phase in _OVER:
            return "nothing is kept in step"
        wins = _WINS[self.phase.policy]
        return _MEANS[self.phase.direction] + (f"; {wins}" if wins and self.phase.direction != "-" else "")

    def holds(self, mapping: str) -> bool:
        """Whether a mapping is of this group."""
        return not self.objects or mapping in self.objects

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "group": self.group, "phase": self.phase.value, "title": self.phase.title, "since": self.since.isoformat(),
            "objects": list(self.objects), "direction": self.phase.direction, "policy": self.phase.policy,
            "means": self.means,
        }  # fmt: skip


def read_phases(ledger: Ledger) -> tuple[GroupPhase, ...]:
    """The groups that are in a phase; the one that stands for everything only while waves are still to leave it."""
    with ledger.read() as connection:
        known = standings(connection)
    waves = {wave for item in known.values() if item.group != EVERYTHING for wave in item.waves}
    left = waves and waves <= known.keys()
    return tuple(
        GroupPhase(item.group, item.phase, item.entered_at, item.objects)
        for item in known.values()
        if not (item.group == EVERYTHING and left and _covered(known))
    )


def _covered(known: Mapping[str, Standing]) -> bool:
    """Whether some wave is of all mappings, so that nothing is left of everything once all waves have moved."""
    return any(not item.objects for item in known.values() if item.group != EVERYTHING)


def terms_of(
    project: Project, phases: Sequence[GroupPhase], paired: Iterable[PairedObject]
) -> dict[str, Terms]:
    """Mapping → the terms that its phase asks for; empty where no group is in a phase: then settings and mappings decide.

    Raises `SafetyStop` for groups that cannot share a mapping, and where nothing is kept in step; `ProjectError` for
    settings and mappings that say otherwise than the phase.
    """
    found: dict[str, Terms] = {}
    problems: list[Problem] = []
    for item in {one.mapping: one for one in paired}.values():
        own = _of(item.mapping, phases)
        if not own:
            continue
        phase = _together(item.mapping, own)
        problems += _against_settings(project.sync, own, phase)
        problems += _against_mapping(project, item, own, phase)
        policy = Rule(phase.policy) if phase.policy in {"old_wins", "new_wins"} else None
        found[item.mapping] = Terms(policy=policy, frozen=_FROZEN[phase.direction])
    if problems:
        raise ProjectError(list(dict.fromkeys(problems)))
    return found


def _of(mapping: str, phases: Sequence[GroupPhase]) -> list[GroupPhase]:
    """The groups of a mapping: those that name it, else those that are of everything."""
    named = [item for item in phases if mapping in item.objects]
    return named or [item for item in phases if not item.objects]


def _together(mapping: str, groups: Sequence[GroupPhase]) -> Phase:
    """The phase that a mapping is synced by: units that share one are kept in step both ways until all of them have switched."""
    told = " and ".join(f"{item.group} is in {item.phase.value} ({item.phase.title})" for item in groups)
    ways = {(item.phase.direction, item.phase.policy) for item in groups}
    over = [item for item in groups if item.phase in _OVER]
    if len(over) == len(groups):
        raise SafetyStop(
            f"{told}: nothing of {mapping} is kept in step",
            hint="migrator runbook status says what comes next",
        )
    if len(ways) == 1:
        return groups[0].phase
    if over or {item.phase.number >= Phase.P4.number for item in groups} == {True, False}:
        raise SafetyStop(
            f"{told}, and both hold {mapping}: it cannot flow two ways that exclude each other",
            hint="give each group mappings of its own (objects: in the runbook), or bring them to P4 first",
        )
    return Phase.P4


def _against_settings(said: SyncSettings, groups: Sequence[GroupPhase], phase: Phase) -> Iterator[Problem]:
    """What `sync:` of the project says against the phase."""
    where = f"{', '.join(item.group for item in groups)} in {phase.value} ({phase.title})"
    if said.policy and said.policy != phase.policy:
        yield Problem(
            said.place, f"policy: {said.policy} contradicts {where}, where it is {phase.policy}",
            "leave policy out: the phase decides", code="sync-phase",
        )  # fmt: skip
    for side in said.frozen:
        if Which(side) not in _FROZEN[phase.direction]:
            yield Problem(
                said.place, f"frozen: [{side}] contradicts {where}, where the {side} side is written",
                "leave frozen out: the phase decides", code="sync-phase",
            )  # fmt: skip


def _against_mapping(
    project: Project, paired: PairedObject, groups: Sequence[GroupPhase], phase: Phase
) -> Iterator[Problem]:
    """A mapping without any field that flows the way of its phase."""
    place = Location(str(project.folder / project.mappings / f"{paired.mapping}.yaml"))
    where = f"{', '.join(item.group for item in groups)} in {phase.value} ({phase.title})"
    if phase.direction == "reverse" and not any(pair.direction.goes_back for pair in paired.pairs):
        yield Problem(
            place, f"no field of {paired.mapping} flows back, which contradicts {where}: there would be no way back",
            "sync: {direction: both}, before the switch", code="sync-phase",
        )  # fmt: skip
    if phase.direction == "forward" and not any(pair.direction.goes_forward for pair in paired.pairs):
        yield Problem(
            place, f"no field of {paired.mapping} flows forward, which contradicts {where}",
            "sync: {direction: forward}, or both", code="sync-phase",
        )  # fmt: skip
