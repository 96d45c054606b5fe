"""Waves of mappings of their own: each has its own facts and gates, links between waves are known and told, phases split off."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from migrator.commands import steps
from migrator.commands.binding import bind_project
from migrator.commands.inspect import status as accounts
from migrator.commands.project import Project, open_workspace
from migrator.commands.sync_status import look
from migrator.commands.target import flat
from migrator.core.clock import SystemClock
from migrator.core.errors import ProjectError
from migrator.core.phases import Phase
from migrator.runbook import conduct
from migrator.runbook.conduct import Given, carry_out
from migrator.runbook.doing import Place, own_part
from migrator.runbook.evening import freeze_proof
from migrator.runbook.gates import Mode, gate_of, judge
from migrator.runbook.parse import Runbook
from migrator.runbook.syncing import SyncFacts, state_facts
from migrator.runbook.waves import WaveFacts, narrowed, undeclared
from migrator.staging.phases import put_in_phase, standings
from migrator.testing.twin import Twin
from tests.runbook_kit import made, scene, shipped
from tests.sync_kit import conflict, put

NOW = datetime(2026, 3, 6, 20, 0, tzinfo=UTC)


def book(**groups: Any) -> Runbook:
    """The shipped roll-out with these groups."""
    data: Any = shipped("staged-rollout").document.texts()
    data["steps"][-1]["command"]["every"] = "7d"
    data["groups"] = groups or {
        "firms": {"objects": "company"},
        "people": {"objects": "contact", "after": "firms"},
    }
    return made(data)


@pytest.fixture
def twin(tmp_path: Path) -> Twin:
    return Twin(tmp_path / "twin", companies=3)


def mapped(project: Project) -> list[Any]:
    with open_workspace(project) as workspace:
        return list(flat(bind_project(workspace, staged=lambda _: None).groups))


def test_a_link_into_another_wave_must_be_declared(twin: Twin) -> None:
    objects = mapped(twin.project)
    assert list(undeclared(book(), objects)) == []
    late = book(firms={"objects": "company", "after": "people"}, people={"objects": "contact"})
    (found,) = undeclared(late, objects)
    assert "R21 contact.account points to records of company, which is of firms" in str(found)
    far = book(
        firms={"objects": "company"}, between={"objects": "none", "after": "firms"},
        people={"objects": "contact", "after": "between"},
    )  # fmt: skip
    assert [item.code for item in undeclared(far, objects)] == ["R22"]  # declared over one in between
    assert list(undeclared(book(all={"objects": ["contact", "company"]}), objects)) == []
    assert list(undeclared(book(north={"unit": "North"}, south={"unit": "South"}), objects)) == []


def test_neither_check_nor_run_pass_over_it(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    late = book(firms={"objects": "company", "after": "people"}, people={"objects": "contact"})
    monkeypatch.setattr(conduct, "find_book", lambda *_: late)
    assert "R21" in [item.code for item in conduct.check(twin.folder, twin.project, "x", "Oscar").problems]
    for act in (
        lambda: conduct.run(twin.project, "x", Given("Oscar")),
        lambda: conduct.rehearse(twin.project, "x", Given("Oscar")),
    ):
        with pytest.raises(ProjectError, match="R21"):
            act()


def test_each_wave_has_its_own_facts(twin: Twin) -> None:
    put(
        twin.project,
        conflicts=[conflict(1, at=NOW)],
        deferred=[{"grp": 1, "field": "account", "mapping": "contact", "record": "old:1", "since": NOW}],
        mismatches=[
            {"stream": "contact/old", "id": "1", "kind": "changed", "since": NOW, "generation": 1, "passes": 2},
            {"stream": "contact", "id": "1", "kind": "changed", "since": NOW, "generation": 1, "passes": 3},
        ],
        holds=[{"grp": 2, "field": "", "mapping": "contact", "kind": "missing", "reason": "", "since": NOW, "checks": 1}],
        brakes=[{"mapping": "contact", "kind": "deletes", "measured": 30, "allowed": 20, "since": NOW, "run": "r"}],
    )  # fmt: skip
    facts = SyncFacts(twin.project, twin.open_system, book())
    asked = ("conflicts.open", "deferred_references", "unexplained", "holds.open")
    assert [facts.value(name, "firms") for name in asked] == [0, 0, 0, 0]
    assert [facts.value(name, "people") for name in asked] == [1, 1, 2, 1]
    assert (facts.value("brakes.armed", "firms"), facts.value("brakes.armed", "people")) == (True, False)
    # and so a gate that refuses one lets the other pass
    wanted = tuple(gate for gate in gate_of(Phase.P5, Phase.P4, Mode.REAL) if gate.code in {"G22", "G24"})
    assert [item.passes for item in judge(wanted, facts, "firms")] == [True, True]
    assert [item.passes for item in judge(wanted, facts, "people")] == [False, False]
    together = SyncFacts(twin.project, twin.open_system, book(north={"unit": "North"}))
    assert together.value("conflicts.open", "north") == 1


def test_a_night_that_failed_for_others_alone_was_green_for_a_wave(twin: Twin) -> None:
    def run(ago: int, mapping: str) -> dict[str, Any]:
        at = SystemClock().now() - timedelta(days=ago)
        cause = {"status": "red", "code": "trouble", "what": "", "next_step": "", "mapping": mapping}
        report = f'{{"causes": [{__import__("json").dumps(cause)}]}}'
        return {"run": f"r{ago}", "started_at": at, "finished_at": at, "status": "red", "report": report}

    put(twin.project, reports=[run(0, "contact"), run(1, "contact"), run(2, "company"), run(3, "contact")])
    facts = SyncFacts(twin.project, twin.open_system, book())
    assert [facts.value("nights.green", group) for group in ("firms", "people")] == [2, 0]


def test_links_of_a_wave_to_records_of_waves_that_stand_no_further_are_counted(twin: Twin) -> None:
    steps.extract(twin.project)
    steps.map_records(twin.project)
    facts = WaveFacts(twin.project, book())
    assert (facts.value("references.found", "people"), facts.value("references.found", "firms")) == (6, 0)
    with open_workspace(twin.project) as workspace, workspace.ledger.begin() as connection:
        put_in_phase(connection, "firms", Phase.P4, came_from=None, plan="p", at=NOW, told={})
    assert facts.value("references.found", "people") == 0


def test_verbs_are_about_the_mappings_of_their_wave(twin: Twin) -> None:
    steps.extract(twin.project)
    steps.map_records(twin.project)
    groups = {"firms": ("company",), "people": ("contact",)}
    place = Place(twin.project, SystemClock(), open_system=twin.open_system, groups=groups, moving=("firms",))
    assert place.objects == ("company",)
    assert [item.name for item in own_part(accounts(twin.project), place.objects).objects] == ["company"]
    assert list(freeze_proof(place, ()).document["objects"]) == ["old/company"]
    twin.users.desks["old"].edit("contact", "contact 客户 0001", "late")
    assert freeze_proof(place, ()).facts["freeze_proof.foreign_edits"] == 0
    twin.users.desks["old"].edit("company", "company 客户 0001", "late")
    assert freeze_proof(place, ()).facts["freeze_proof.foreign_edits"] == 1


def test_what_stands_for_all_is_not_narrowed(twin: Twin) -> None:
    with open_workspace(twin.project) as workspace:
        state = look(workspace).state
        assert narrowed(state, workspace.ledger, ()) is state
        assert state_facts(narrowed(state, workspace.ledger, ("company",)))["conflicts.open"] == 0


def test_waves_leave_the_group_of_everything_where_it_stands(tmp_path: Path) -> None:
    with scene(tmp_path) as world:
        world.put("all", *tuple(Phase)[:5])
        waves = book(pilot={"unit": "Pilot"}, north={"unit": "North", "after": "pilot"})
        runner = world.runner(waves)
        assert [runner.look().phase_of(group) for group in ("pilot", "north", "south")] == [
            Phase.P4,
            Phase.P4,
            None,
        ]
        world.approve(waves, 8_640_000.0)
        world.rehearsed(waves)
        runner.run()
        with world.ledger.read() as connection:
            found = standings(connection)
        assert {name: item.phase for name, item in found.items()} == {
            "all": Phase.P4, "pilot": Phase.P9, "north": Phase.P9
        }  # fmt: skip
        assert found["north"].waves == ("pilot", "north")


def test_requests_to_be_forgotten_are_counted_from_the_ledger(twin: Twin) -> None:
    with carry_out(twin.project, book(), Given("Oscar")) as (runner, _):
        assert runner.look().facts.value("erasure.backlog", "firms") == 0
