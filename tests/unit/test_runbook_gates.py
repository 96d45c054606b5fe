"""The gate matrix: each condition of each gate, broken alone, is refused by its number and name; what is not known is refused too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from migrator.core.phases import Phase
from migrator.runbook.facts import CATALOGUE, Kind, Value
from migrator.runbook.gates import EVERY_PHASE, GATES, NEVER_FORCED, Mode, gate_of
from migrator.runbook.parse import Runbook
from migrator.runbook.ready import refusals
from migrator.runbook.record import FORCE, approve
from migrator.staging.ledger_tables import journal
from tests.runbook_kit import GOOD, PEOPLE, Scene, made, scene

WELL: Mapping[str, Value] = {
    **GOOD, "canary.result": "pass", "canary.after_freeze": True, "freeze.active": True, "freeze.age": 900.0,
    "freeze_proof.foreign_edits": 0.0, "freeze_proof.deletes": 0.0, "freeze_proof.rows_changed": 0.0,
    "freeze_proof.age": 60.0, "final_delta.empty_pulls": 2.0, "verdict.status": "green", "verdict.age": 3600.0,
    "verdict.same_mapping": True, "verdict.after_final_delta": True, "quota.headroom": 50.0, "on_call.named": True,
    "switch.age": 100 * 86400.0, "old.reads": 0.0, "retention.done": True,
}  # fmt: skip
BROKEN: Mapping[str, tuple[str, Value]] = {
    "G01": ("lint.errors", 1.0), "G02": ("permissions.missing", 1.0), "G03": ("external_keys.missing", 1.0),
    "G04": ("automations.listed", False), "G05": ("quota.sized", False), "G06": ("representability.scan", "none"),
    "G07": ("dry_run.refused", 3.0), "G08": ("dedupe.undecided", 1.0), "G09": ("dedupe.frozen", False),
    "G10": ("accounting.closed", False), "G11": ("load.pending", 7.0), "G12": ("watermark.before_load", False),
    "G13": ("unexplained", 1.0), "G14": ("nights.green", 6.0), "G15": ("echo.writes", 2.0),
    "G16": ("laws.broken", 1.0), "G17": ("canary.result", "fail"), "G18": ("brakes.armed", False),
    "G19": ("nights.both_ways", 13.0), "G22": ("deferred_references", 1.0), "G23": ("exceptions.count", 6.0),
    "G24": ("conflicts.oldest", 8 * 86400.0), "G25": ("conflicts.unowned", 1.0), "G26": ("feed.age", 604800.0),
    "G27": ("representability.scan", "sample"), "G28": ("freeze.active", False),
    "G29": ("freeze_proof.foreign_edits", 1.0), "G30": ("freeze_proof.deletes", 1.0),
    "G31": ("freeze_proof.rows_changed", 1.0), "G32": ("freeze_proof.age", 3600.0), "G33": ("freeze.age", 599.0),
    "G34": ("final_delta.empty_pulls", 1.0), "G35": ("verdict.status", "yellow"), "G36": ("verdict.age", 86401.0),
    "G37": ("verdict.same_mapping", False), "G38": ("verdict.after_final_delta", False),
    "G39": ("verdict.writes_since", 1.0), "G40": ("verdict.not_matching", 1.0), "G41": ("quota.headroom", 19.0),
    "G42": ("on_call.named", False), "G43": ("canary.result", "fail"), "G44": ("canary.after_freeze", False),
    "G46": ("reverse_lag", 1.0), "G47": ("cannot_go_back.open", 1.0), "G48": ("reverse.mismatches", 1.0),
    "G49": ("switch.age", 89 * 86400.0), "G50": ("old.reads", 1.0), "G51": ("retention.done", False),
    "G52": ("erasure.backlog", 1.0),
}  # fmt: skip
"""Code → the fact that is broken, and how. Those about the plan itself are broken by hand below."""
_BEFORE = {phase: Phase(f"P{phase.number - 1}") for phase in Phase if phase.number}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One ledger for all cases: a group before each phase, and nothing is written by looking."""
    with scene(tmp_path_factory.mktemp("gates")) as found:
        for phase in _BEFORE:
            way = tuple(Phase)[: min(phase.number, 10)]
            found.put(f"before {phase.value}", *way)
        found.put("back", *tuple(Phase)[:11])
        for phase in _BEFORE:
            found.rehearsed(_book(phase))
        yield found


@pytest.fixture(autouse=True)
def all_is_well(world: Scene) -> None:
    world.facts = dict(WELL)


def _book(phase: Phase, *, back: bool = False, **header: object) -> Runbook:
    group = "back" if back else f"before {phase.value}"
    roles = {role: {"owner": one, "backup": two} for role, (one, two) in PEOPLE.items()}
    step = {
        "id": "S", "phase": phase.value, "title": "Enter", "owner": "sync-lead", "backup_owner": "data-owner",
        "planned": "1m", "command": f"runbook enter {phase.value}", "rollback": {"nothing": "a test"},
    }  # fmt: skip
    return made(
        {"runbook": "one", "version": "1", "title": "One step", "roles": roles, "groups": {group: {}}, "fall_back": "yes",
         "exceptions": "5", "parallel": "90d", "steps": [step]} | header
    )  # fmt: skip


def _codes(world: Scene, book: Runbook) -> list[str]:
    reasons, _ = refusals(world.runner(book).look(), book.steps[0])
    for item in reasons:
        name = next(
            gate.name
            for gate in gate_of(book.steps[0].step.phase, None, Mode.REAL) + GATES
            if gate.code == item.code
        )
        assert name in str(item)
    return [item.code for item in reasons]


def test_the_numbers_are_unique_and_enough() -> None:
    codes = [gate.code for gate in GATES] + [row[0] for row in EVERY_PHASE]
    assert codes == [f"G{number:02}" for number in range(1, len(codes) + 1)]
    assert len(codes) >= 25
    by_hand = {"G20", "G21", "G45", "G53", "G54"}
    assert {*BROKEN} | by_hand == {*codes}


@pytest.mark.parametrize("phase", _BEFORE, ids=lambda phase: phase.value)
def test_a_gate_opens_when_all_is_well(world: Scene, phase: Phase) -> None:
    assert _codes(world, _book(phase)) == []


def test_the_gate_back_to_p4_opens_when_both_sides_are_equal(world: Scene) -> None:
    assert _codes(world, _book(Phase.P4, back=True)) == []


@pytest.mark.parametrize("code", BROKEN)
def test_each_broken_condition_is_refused_by_name(world: Scene, code: str) -> None:
    gate = next(item for item in GATES if item.code == code)
    fact, bad = BROKEN[code]
    book = _book(gate.phase, back=code == "G48")
    world.facts[fact] = bad
    found = _codes(world, book)
    assert code in found
    assert {gate.code for gate in GATES if gate.code in found and fact not in gate.text} == set()
    del world.facts[fact]  # what nobody knows does not hold
    assert code in _codes(world, book)


def test_rehearsals_of_another_mapping_or_file_do_not_count(world: Scene) -> None:
    book = _book(Phase.P5)
    assert _codes(world, book) == []
    world.mapping = "mapping-2"
    assert _codes(world, book) == ["G20", "G21"]
    world.mapping = "mapping-1"
    assert _codes(world, _book(Phase.P5, version="2")) == ["G20"]


def test_the_question_of_the_way_back_cannot_be_left_out(world: Scene) -> None:
    assert _codes(world, _book(Phase.P8)) == []
    data = _book(Phase.P8).document.texts()
    assert isinstance(data, dict)
    del data["fall_back"]
    assert _codes(world, made(data)) == ["G45"]


def test_a_group_enters_nothing_before_the_groups_it_refers_to(world: Scene) -> None:
    groups = {"before P2": {}, "before P3": {"after": ["before P2"]}}
    book = _book(Phase.P3, groups=groups)
    data = book.document.texts()
    assert isinstance(data, dict)
    data["steps"][0]["group"] = "before P3"
    assert _codes(world, made(data)) == ["G54"]


def test_nothing_passes_on_a_journal_that_was_changed(tmp_path: Path) -> None:
    with scene(tmp_path) as world:
        world.facts = dict(WELL)
        world.put("before P2", Phase.P0, Phase.P1)
        assert _codes(world, _book(Phase.P2)) == []
        body = '{"from":null,"group":"before P2","plan":"another","to":"P0"}'
        with world.ledger.begin() as connection:
            connection.execute(journal.update().where(journal.c.number == 1).values(body=body))
        assert _codes(world, _book(Phase.P2)) == ["G53"]


FORCED: Mapping[str, tuple[tuple[tuple[str, str], ...], bool]] = {
    "one person": ((("Dora", "data-owner"),), False),
    "the same person twice": ((("Dora", "data-owner"), ("dora ", "data-owner")), False),
    "the operator and one": ((("Dora", "data-owner"), ("Oscar", "crm-owner")), False),
    "somebody without a role": ((("Dora", "data-owner"), ("Eve", "crm-owner")), False),
    "two people": ((("Dora", "data-owner"), ("Wang Fang", "crm-owner")), True),
}


@pytest.mark.parametrize("case", FORCED)
def test_a_condition_is_forced_by_two_people_and_never_by_fewer(tmp_path: Path, case: str) -> None:
    people, passes = FORCED[case]
    with scene(tmp_path) as world:
        world.facts = dict(WELL) | {"load.pending": 3.0, "accounting.closed": True}
        world.put("before P2", Phase.P0, Phase.P1)
        book = _book(Phase.P2)
        for name, role in people:
            approve(
                world.ledger, FORCE, plan=world.runner(book).footing.plan, step="G11", name=name, role=role, valid=3600,
                reason="three records, known",
            )  # fmt: skip
        assert _codes(world, book) == ([] if passes else ["G11"])
        world.clock.sleep(3601)
        assert _codes(world, book) == ["G11"]


def test_every_fact_of_a_gate_is_in_the_catalogue_and_the_journal_is_never_forced() -> None:
    assert {"G53"} == NEVER_FORCED
    for code, (fact, bad) in BROKEN.items():
        kinds: Mapping[Kind, type] = {
            Kind.FLAG: bool,
            Kind.WORD: str,
            Kind.NUMBER: float,
            Kind.DURATION: float,
        }
        assert type(bad) is kinds[CATALOGUE[fact].kind], code
