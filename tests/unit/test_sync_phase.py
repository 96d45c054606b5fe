"""The phase of a group decides which way the sync carries changes; what contradicts it is refused by name."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from migrator.commands.project import Project, open_workspace
from migrator.commands.sync import once
from migrator.commands.sync_phase import GroupPhase, read_phases, terms_of
from migrator.commands.sync_status import sync_status
from migrator.core import translation as tr
from migrator.core.errors import ProjectError, SafetyStop
from migrator.core.phases import Phase
from migrator.core.twoway import Which
from migrator.staging.phases import put_in_phase, standings
from migrator.sync.report import Status
from tests.sync_kit import write_project

NIGHT = datetime(2026, 3, 6, tzinfo=UTC)
OLD, NEW = Which.OLD, Which.NEW


def in_phase(project: Project, group: str, phase: Phase, **told: Sequence[str]) -> None:
    with open_workspace(project) as workspace, workspace.ledger.begin() as connection:
        before = standings(connection).get(group)
        put_in_phase(
            connection,
            group,
            phase,
            came_from=before.phase if before else None,
            plan="p",
            at=NIGHT,
            told=told,
        )


def at(group: str, phase: Phase, *objects: str) -> GroupPhase:
    return GroupPhase(group, phase, NIGHT, objects)


def paired(mapping: str, direction: tr.Direction = tr.Direction.BOTH) -> tr.PairedObject:
    pairs = (tr.Pair("name", ("Name",), direction),)
    return tr.PairedObject(mapping, "a", "old", "Account", "new", "customer", "Key", "Key", pairs)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return write_project(tmp_path / "p")


EXPECTED: Mapping[Phase, tuple[frozenset[Which], str | None]] = {
    Phase.P1: (frozenset({OLD}), "old_wins"), Phase.P2: (frozenset({OLD}), "old_wins"),
    Phase.P3: (frozenset({OLD}), "old_wins"), Phase.P4: (frozenset(), None), Phase.P5: (frozenset(), None),
    Phase.P6: (frozenset({OLD}), "old_wins"), Phase.P7: (frozenset(Which), "old_wins"),
    Phase.P8: (frozenset({NEW}), "new_wins"), Phase.P9: (frozenset({NEW}), "new_wins"),
    Phase.P10: (frozenset({NEW}), "new_wins"),
}  # fmt: skip


@pytest.mark.parametrize("phase", EXPECTED)
def test_each_phase_asks_for_its_terms(project: Project, phase: Phase) -> None:
    frozen, policy = EXPECTED[phase]
    terms = terms_of(project, [at("all", phase)], [paired("contact")])["contact"]
    assert (terms.frozen, terms.policy.value if terms.policy else None) == (frozen, policy)


@pytest.mark.parametrize("phase", [Phase.P0, Phase.P11])
def test_where_nothing_is_kept_in_step_no_run_is_made(project: Project, phase: Phase) -> None:
    with pytest.raises(SafetyStop, match=f"all is in {phase.value} .*nothing of contact is kept in step"):
        terms_of(project, [at("all", phase)], [paired("contact")])


def test_without_any_phase_mappings_and_settings_decide(project: Project) -> None:
    assert terms_of(project, (), [paired("contact")]) == {}


def test_groups_with_mappings_of_their_own_go_their_own_way(project: Project) -> None:
    phases = [at("sales", Phase.P9, "account"), at("service", Phase.P3, "case")]
    terms = terms_of(project, phases, [paired("account"), paired("case"), paired("product")])
    assert (terms["account"].frozen, terms["case"].frozen) == ({NEW}, {OLD})
    assert "product" not in terms


def test_units_that_share_a_mapping_are_kept_in_step_both_ways_until_all_have_switched(
    project: Project,
) -> None:
    shared = [at("pilot", Phase.P9), at("north", Phase.P4)]
    assert terms_of(project, shared, [paired("account")])["account"].frozen == frozenset()
    moved = [at("pilot", Phase.P9), at("north", Phase.P8)]
    assert terms_of(project, moved, [paired("account")])["account"].frozen == {NEW}


@pytest.mark.parametrize(
    ("one", "other"),
    [(Phase.P9, Phase.P3), (Phase.P11, Phase.P9), (Phase.P4, Phase.P2), (Phase.P0, Phase.P4)],
)
def test_units_whose_phases_exclude_each_other_are_refused_by_name(
    project: Project, one: Phase, other: Phase
) -> None:
    with pytest.raises(
        SafetyStop, match=rf"pilot is in {one.value} .*south is in {other.value} .*both hold account"
    ):
        terms_of(project, [at("pilot", one), at("south", other)], [paired("account")])


CONTRADICTIONS = {
    "policy": ("sync: {policy: old_wins}", Phase.P9, tr.Direction.BOTH, "policy: old_wins contradicts all in P9"),
    "policy in P4": ("sync: {policy: new_wins}", Phase.P4, tr.Direction.BOTH, "contradicts all in P4"),
    "frozen": ("sync: {frozen: [old]}", Phase.P9, tr.Direction.BOTH, r"frozen: \[old\] contradicts all in P9"),
    "frozen both ways": ("sync: {frozen: [new]}", Phase.P4, tr.Direction.BOTH, r"frozen: \[new\] contradicts"),
    "no way back": ("", Phase.P8, tr.Direction.FORWARD, "no field of contact flows back, which contradicts all in P8"),
    "only back": ("", Phase.P3, tr.Direction.REVERSE, "no field of contact flows forward"),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_what_contradicts_the_phase_is_refused_by_name(tmp_path: Path, name: str) -> None:
    settings, phase, direction, told = CONTRADICTIONS[name]
    project = write_project(tmp_path / "p", settings)
    with pytest.raises(ProjectError, match=told):
        terms_of(project, [at("all", phase)], [paired("contact", direction)])


def test_settings_that_say_what_the_phase_says_are_no_contradiction(tmp_path: Path) -> None:
    project = write_project(tmp_path / "p", "sync: {policy: new_wins, frozen: [new]}")
    assert terms_of(project, [at("all", Phase.P9)], [paired("contact")])["contact"].frozen == {NEW}


def test_everything_stands_for_what_no_wave_has_taken_along(project: Project) -> None:
    in_phase(project, "all", Phase.P4)
    waves = ["pilot", "north"]
    with open_workspace(project) as workspace:
        ledger = workspace.ledger

        def take_along(wave: str) -> None:
            with ledger.begin() as connection:
                put_in_phase(
                    connection, wave, Phase.P5, came_from=Phase.P4, plan="p", at=NIGHT, told={"waves": waves}, is_new=True,
                )  # fmt: skip

        take_along("pilot")
        assert {item.group: item.phase for item in read_phases(ledger)} == {
            "all": Phase.P4,
            "pilot": Phase.P5,
        }
        take_along("north")
        assert {item.group for item in read_phases(ledger)} == {"pilot", "north"}


def run(project: Project, side: str, sql: str) -> list[tuple[str, ...]]:
    """What somebody does or sees in a system."""
    with closing(sqlite3.connect(project.folder / f"{side}.db")) as connection, connection:
        return list(connection.execute(sql))


def test_the_sync_follows_the_phase_and_nothing_waits_for_a_person(project: Project) -> None:
    shown = {"old": "SELECT name, phone FROM contact", "new": "SELECT name, phone FROM person"}
    run(project, "old", "INSERT INTO contact (id, name, phone) VALUES ('c1', 'Wang', '1')")
    in_phase(project, "all", Phase.P3)
    once(project)
    run(project, "new", "UPDATE person SET phone = '2'")
    done = once(project)
    assert run(project, "old", shown["old"]) == [("Wang", "1")]  # forward only: it waits, and nobody is asked
    assert (done.standing.status, done.standing.causes[0].code) == (Status.YELLOW, "hold.side-frozen")
    in_phase(project, "all", Phase.P4)
    once(project)
    assert run(project, "old", shown["old"]) == [("Wang", "2")]
    in_phase(project, "all", Phase.P9)
    run(project, "new", "UPDATE person SET phone = '3'")
    run(project, "old", "UPDATE contact SET name = 'late'")
    once(project)
    assert [run(project, *item) for item in shown.items()] == [[("late", "3")], [("Wang", "3")]]
    told = sync_status(project)
    assert [(item.group, item.phase) for item in told.phases] == [("all", Phase.P9)]
    assert "from the new system to the old one" in told.to_json()["phases"][0]["means"]
