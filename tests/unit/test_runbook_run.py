"""Carrying a runbook out: what is refused, what is resumed, what is taken back by itself; on the shipped cutover."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from migrator.core.errors import DataError, ProjectError, SafetyStop
from migrator.core.phases import Phase
from migrator.runbook.gates import Mode
from migrator.runbook.parse import Runbook
from migrator.runbook.ready import Refused
from migrator.runbook.record import APPROVAL, State, approve, replay
from migrator.runbook.run import CANCEL
from migrator.runbook.world import Cancelled
from migrator.staging.journal import verify
from migrator.staging.phases import standings
from tests.runbook_kit import NIGHT, Nobody, Scene, made, scene, shipped

UP_TO_P4 = tuple(Phase)[:5]


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Scene]:
    """The evening of the cutover: everything is ready, everyone has approved."""
    with scene(tmp_path) as found:
        found.put("all", *UP_TO_P4)
        _ready(found, shipped("cutover"))
        yield found


def _ready(world: Scene, book: Runbook) -> None:
    world.rehearsed(book)
    world.approve(book, valid=1e8)


def _phase(world: Scene, group: str = "all") -> Phase:
    with world.ledger.read() as connection:
        return standings(connection)[group].phase


def _holds(world: Scene) -> bool:
    with world.ledger.read() as connection:
        return verify(connection).holds


def _raise(error: BaseException, at: str) -> Callable[[str], None]:
    def before(name: str) -> None:
        if name == at:
            raise error

    return before


def _refused(world: Scene, book: Runbook) -> list[str]:
    with pytest.raises(Refused) as caught:
        world.runner(book).run()
    assert caught.value.exit_code == 5
    return [str(item) for item in caught.value.reasons]


def test_the_cutover_goes_through_and_a_second_run_does_nothing(night: Scene) -> None:
    book = shipped("cutover")
    report = night.runner(book).run()
    assert list(report.done) == [placed.id for placed in book.steps]
    assert _phase(night) is Phase.P9
    called = list(night.called), list(night.asked)
    again = night.runner(book).run()
    assert again.done == {}
    assert (night.called, night.asked) == called
    assert _holds(night)
    evidence = sorted(path.name for path in (night.folder / "evidence").iterdir())
    assert evidence == sorted(placed.rule.evidence.file for placed in book.steps if placed.rule.evidence)


def test_then_the_way_back_and_the_cutover_once_more(night: Scene) -> None:
    book, back = shipped("cutover"), shipped("rollback")
    night.runner(book).run()
    night.approve(back)
    night.runner(back).run()
    assert _phase(night) is Phase.P4
    called = len(night.called)
    again = night.runner(book).run()
    assert "P5-020" in again.done  # what was done before the rollback counts no more
    assert len(night.called) > called
    assert _phase(night) is Phase.P9
    assert _holds(night)


_VERBS = ("P5-020", "runbook freeze-proof", "runbook verdict", "P8-020")


@pytest.mark.parametrize("at", _VERBS)
def test_killed_anywhere_it_goes_on_where_it_was(night: Scene, at: str) -> None:
    book = shipped("cutover")
    night.before = _raise(KeyboardInterrupt(), at)
    with pytest.raises(KeyboardInterrupt):
        night.runner(book).run()
    before = list(night.called) + list(night.asked)
    night.before = str
    night.runner(book).run()
    assert _phase(night) is Phase.P9
    done = list(night.called) + list(night.asked)
    assert all(done.count(name) <= 1 + (name == "runbook freeze-proof") for name in before)
    assert _holds(night)


def test_a_step_whose_verification_does_not_hold_any_more_is_done_again(night: Scene) -> None:
    book = shipped("cutover")
    night.before = _raise(KeyboardInterrupt(), "runbook canary")
    with pytest.raises(KeyboardInterrupt):
        night.runner(book).run()
    night.before = str
    night.facts["verdict.status"] = "red"  # looked at once more, the verdict does not hold
    night.established["runbook verdict"] = {"verdict.status": "red"}
    with pytest.raises(Cancelled, match=r"P7-020 is not done: verdict\.status == green"):
        night.runner(book).run()
    assert _phase(night) is Phase.P4


FAILURES: Mapping[str, tuple[Callable[[Scene], object], str]] = {
    "a command fails": (
        lambda s: setattr(s, "before", _raise(DataError("the disk is full"), "runbook verdict")), "the disk is full",
    ),
    "an edit after the freeze": (
        lambda s: s.established.update({"runbook freeze-proof": {
            "freeze_proof.foreign_edits": 1.0, "freeze_proof.deletes": 0.0, "freeze_proof.rows_changed": 0.0}}),
        "P5-040 is not done",
    ),
    "the canary fails": (
        lambda s: s.established.update({"runbook canary": {"canary.result": "fail"}}), "canary.result is fail",
    ),
    "an abort trigger": (
        lambda s: setattr(s, "before", _sets(s, "runbook verdict", "unexplained", 1.0)), "abort trigger unexplained > 0",
    ),
    "a limit passes": (lambda s: setattr(s, "before", _sleeps(s, "runbook final-delta", 7300)), "P6-020 took 2h2m, at most 2h"),
    "a wait that never ends": (lambda s: s.facts.update({"overlap.needed": 5000.0}), "did not come to hold within 1h"),
}  # fmt: skip


def _sets(world: Scene, at: str, fact: str, value: float) -> Callable[[str], None]:
    def before(name: str) -> None:
        if name == at:
            world.facts[fact] = value

    return before


def _sleeps(world: Scene, at: str, seconds: float) -> Callable[[str], None]:
    def before(name: str) -> None:
        if name == at:
            world.clock.sleep(seconds)

    return before


@pytest.mark.parametrize("failure", FAILURES)
def test_before_the_switch_it_takes_itself_back(night: Scene, failure: str) -> None:
    book, (fail, told) = shipped("cutover"), FAILURES[failure]
    fail(night)
    with pytest.raises(Cancelled) as caught:
        night.runner(book).run()
    assert told in str(caught.value)
    assert "users may work in the old system again" in str(caught.value)
    assert _phase(night) is Phase.P4
    assert night.asked[-1] == "P5-920"  # the users of the old system are let in again, last of all
    history = replay(night.ledger)
    plan = night.runner(book).footing.plan
    assert history.last(plan, CANCEL).state is State.DONE  # type: ignore[union-attr]
    assert history.last(plan, "P5-020").state is State.UNDONE  # type: ignore[union-attr]
    assert history.phases[-1].body["cancelled"]
    assert _holds(night)


def test_killed_while_it_takes_itself_back_it_goes_on_taking_back(night: Scene) -> None:
    book = shipped("cutover")
    night.established["runbook canary"] = {"canary.result": "fail"}
    night.before = _raise(KeyboardInterrupt(), "P5-920")
    with pytest.raises(KeyboardInterrupt):
        night.runner(book).run()
    assert _phase(night) is Phase.P7
    night.before, night.established["runbook canary"] = str, {"canary.result": "pass"}
    night.runner(book).run()  # first back to P4, then forward again
    kinds = [entry.body["to"] for entry in replay(night.ledger).phases]
    assert kinds == [
        *(phase.value for phase in UP_TO_P4),
        "P5",
        "P6",
        "P7",
        "P4",
        "P5",
        "P6",
        "P7",
        "P8",
        "P9",
    ]


def test_after_the_switch_nothing_is_taken_back_by_itself(night: Scene) -> None:
    book = shipped("cutover")
    night.established["runbook trace"] = {"first_edits.lost": 2.0, "first_edits.traced": 98.0}
    with pytest.raises(SafetyStop, match=r"P9-020 is not done(?s:.*)runbook run rollback") as caught:
        night.runner(book).run()
    assert not isinstance(caught.value, Cancelled)
    assert _phase(night) is Phase.P9


def test_a_gate_that_refuses_waits_and_is_on_record(night: Scene) -> None:
    book = shipped("cutover")
    night.facts["conflicts.oldest"] = 9 * 86400.0
    assert _refused(night, book) == [
        "G24 no old conflict: conflicts.oldest is 9d; must be conflicts.oldest <= 7d (all)"
    ]
    assert _phase(night) is Phase.P4
    (gate,) = replay(night.ledger).gates
    assert gate.body["passed"] is False
    assert [item["code"] for item in gate.body["conditions"] if not item["holds"]] == ["G24"]
    night.facts["conflicts.oldest"] = 60.0
    night.runner(book).run()


APPROVALS: Mapping[str, tuple[list[tuple[str, str, float]], str]] = {
    "nobody": ([], "0 of 2 approvals"),
    "one": ([("Dora", "data-owner", 9e5)], "1 (Dora) of 2 approvals"),
    "one person in two roles": ([("Dora", "data-owner", 9e5), ("DORA", "crm-owner", 9e5)], "1 (Dora) of 2"),
    "the operator": ([("Dora", "data-owner", 9e5), ("oscar", "crm-owner", 9e5)], "the operator cannot approve"),
    "expired": ([("Dora", "data-owner", 9e5), ("Rick", "release-manager", -60.0)], "Rick: it expired"),
    "a role that does not count": ([("Dora", "data-owner", 9e5), ("Sami", "sync-lead", 9e5)], "sync-lead does not approve"),
    "not the holder of the role": ([("Dora", "data-owner", 9e5), ("Eve", "crm-owner", 9e5)], "somebody else's role"),
}  # fmt: skip


@pytest.mark.parametrize("case", APPROVALS)
def test_approvals_that_do_not_count(tmp_path: Path, case: str) -> None:
    said, told = APPROVALS[case]
    with scene(tmp_path) as world:
        book = shipped("cutover")
        world.put("all", *UP_TO_P4)
        world.rehearsed(book)
        plan = world.runner(book).footing.plan
        for name, role, valid in said:
            approve(world.ledger, APPROVAL, plan=plan, step="P5-010", name=name, role=role, valid=valid)
        assert any(told in item for item in _refused(world, book))


def test_an_approval_is_bound_to_file_mapping_and_tool(tmp_path: Path) -> None:
    with scene(tmp_path) as world:
        world.put("all", *UP_TO_P4)
        _ready(world, shipped("cutover"))
        other = shipped("cutover", version="2")
        world.rehearsed(other)
        assert any("it was given to another plan" in item for item in _refused(world, other))
        world.mapping = "mapping-2"
        book = shipped("cutover")
        world.rehearsed(book)
        assert any("it was given to another plan" in item for item in _refused(world, book))


def test_evidence_that_is_too_old_altered_or_gone(night: Scene) -> None:
    book = shipped("cutover")
    night.facts["overlap.needed"] = 60.0
    night.before = _raise(KeyboardInterrupt(), "P7-050")
    with pytest.raises(KeyboardInterrupt):
        night.runner(book).run()
    look = night.runner(book).look()
    switch = next(placed for placed in book.steps if placed.id == "P8-010")
    from migrator.runbook.ready import refusals

    def told() -> list[str]:
        night.clock.sleep(0)
        return [str(item) for item in refusals(look, switch)[0] if item.code == "evidence"]

    assert told() == []
    verdict = night.folder / "evidence" / "verdict.json"
    kept = verdict.read_text()
    verdict.write_text(kept.replace("verdict", "Verdict"))
    assert told() == [f"evidence: the evidence of P7-020 was changed since ({verdict})"]
    verdict.unlink()
    assert told() == [f"evidence: the evidence of P7-020 is gone ({verdict})"]
    verdict.write_text(kept)
    night.clock.sleep(5 * 3600)
    assert [item.split(" is ")[0] for item in told()] == [
        "evidence: the evidence of P7-030", "evidence: the evidence of P7-040"
    ]  # fmt: skip


def test_steps_do_not_run_out_of_their_phase(tmp_path: Path) -> None:
    with scene(tmp_path) as world:
        book = shipped("cutover")
        world.put("all", *UP_TO_P4[:4])
        assert "order: all is in P3, the step belongs to P4" in _refused(world, book)


def test_a_plan_whose_worst_case_does_not_fit_is_wrong(night: Scene) -> None:
    with pytest.raises(ProjectError, match=r"R09 the worst case takes 4h11m, the window has 3h"):
        night.runner(shipped("cutover", window={"length": "3h"})).run()


def test_outside_its_window_it_does_not_begin_and_a_freeze_that_takes_too_long_is_broken_off(
    tmp_path: Path,
) -> None:
    window = {
        "start": (NIGHT + timedelta(hours=2)).isoformat(),
        "end": (NIGHT + timedelta(hours=8, minutes=30)).isoformat(),
    }
    book = shipped("cutover", window=window)
    with scene(tmp_path) as world:
        world.put("all", *UP_TO_P4)
        _ready(world, book)
        assert any("window: it opens in 1h57m" in item for item in _refused(world, book))
        world.clock.sleep(7 * 3600)
        assert any("the window has 1h2" in item for item in _refused(world, book))
        world.clock.at = NIGHT + timedelta(hours=2)
        world.before = _sleeps(world, "runbook final-delta", 6600)
        world.before = _both(world.before, _sleeps(world, "runbook verdict", 4 * 3600 - 100))
        with pytest.raises(Cancelled, match="in the worst case"):
            world.runner(book).run()
        assert _phase(world) is Phase.P4


def _both(*many: Callable[[str], None]) -> Callable[[str], None]:
    def before(name: str) -> None:
        for one in many:
            one(name)

    return before


def test_a_rehearsal_asks_for_no_approval_and_no_earlier_rehearsal(tmp_path: Path) -> None:
    with scene(tmp_path) as world:
        world.put("all", *UP_TO_P4)
        world.mode = Mode.REHEARSAL
        del world.facts["nights.both_ways"]
        world.runner(shipped("cutover")).run()
        assert _phase(world) is Phase.P9


def test_a_runbook_that_was_made_for_another_mapping_or_tool_is_wrong(night: Scene) -> None:
    with pytest.raises(ProjectError, match=r"book.yaml:\d+:\d+: the mappings are mapping-1 now"):
        night.runner(shipped("cutover", mapping_hash="mapping-0")).run()
    with pytest.raises(ProjectError, match=r"the runbook was made for 0\.0\.9"):
        night.runner(shipped("cutover", tool_version="0.0.9")).run()


def test_nobody_named_nobody_runs(tmp_path: Path) -> None:
    data: Any = shipped("cutover").document.texts()
    data["roles"]["sync-lead"] = {"owner": "Sami"}
    with scene(tmp_path) as world, pytest.raises(ProjectError, match="nobody is named yet for: sync-lead"):
        world.runner(made(data)).run()


def test_without_anybody_to_ask_a_manual_step_stops(night: Scene) -> None:
    from dataclasses import replace

    runner = night.runner(shipped("cutover"))
    runner._world = replace(runner._world, hands=replace(runner._world.hands, asker=Nobody()))
    with pytest.raises(SafetyStop, match="P4-900 waits for a person"):
        runner.run()


def test_waves_go_one_after_the_other_each_through_its_own_gates(tmp_path: Path) -> None:
    with scene(tmp_path) as world:
        data: Any = shipped("staged-rollout").document.texts()
        data["steps"][-1]["command"]["every"] = "7d"
        book = made(data)
        for group in ("pilot", "north", "south"):
            world.put(group, *UP_TO_P4)
        _ready(world, book)
        report = world.runner(book).run()
        assert list(report.done)[:2] == ["W-010@pilot", "W-020@pilot"]
        assert [_phase(world, group) for group in ("pilot", "north", "south")] == [Phase.P9] * 3
        assert list(report.done).index("W-240@pilot") < list(report.done).index("W-010@north")
        assert (world.folder / "evidence" / "north-verdict.json").is_file()
        entered = [entry.body["group"] for entry in replay(world.ledger).phases if entry.body["to"] == "P8"]
        assert entered == ["pilot", "north", "south"]


def test_a_wave_with_open_references_to_waves_to_come_is_not_frozen(tmp_path: Path) -> None:
    with scene(tmp_path) as world:
        book = shipped("staged-rollout")
        for group in ("pilot", "north", "south"):
            world.put(group, *UP_TO_P4)
        _ready(world, book)
        world.answers["references.across"] = 12.0
        with pytest.raises(SafetyStop, match=r"references\.across is 12"):
            world.runner(book).run()
        assert _phase(world, "pilot") is Phase.P4


def test_a_program_of_the_users_is_run_without_a_shell_and_states_only_what_a_person_could(
    tmp_path: Path,
) -> None:
    import sys

    def book(stated: Mapping[str, object]) -> Runbook:
        words = [sys.executable, "-c", f"print('a; b'); print({json.dumps(json.dumps({'facts': stated}))})"]
        step = {
            "id": "S", "phase": "P0", "title": "Program", "owner": "sync-lead", "backup_owner": "data-owner",
            "planned": "1m", "limit": "1m", "command": {"external": words}, "verification": "restore.proven",
            "evidence": {"file": "s.json"}, "rollback": {"nothing": "a test"},
        }  # fmt: skip
        roles = {"sync-lead": {"owner": "S", "backup": "T"}, "data-owner": {"owner": "D", "backup": "E"}}
        return made({"runbook": "one", "version": "1", "title": "One", "roles": roles, "steps": [step]})

    with scene(tmp_path) as world:
        assert list(world.runner(book({"restore.proven": True})).run().done) == ["S"]
        assert "a; b" in (tmp_path / "evidence" / "s.json").read_text()
        with pytest.raises(DataError, match=r"states verdict\.status, which only the tool can know"):
            world.runner(book({"verdict.status": "green"})).run()
