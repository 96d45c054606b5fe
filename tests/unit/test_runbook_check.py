"""Runbooks as they are written: the shipped ones are sound, each mistake is told by its code and place, conditions are no code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from migrator.core.document import Document
from migrator.core.errors import ProjectError, Severity
from migrator.core.phases import Phase, may_follow
from migrator.runbook.checking import check_runbook
from migrator.runbook.durations import seconds, spoken
from migrator.runbook.expression import NotACondition, evaluate, parse_condition
from migrator.runbook.facts import CATALOGUE, Kind, Value
from migrator.runbook.gates import EVERY_PHASE, GATES
from migrator.runbook.parse import parse_runbook, read_runbook
from migrator.runbook.schema import json_schema
from migrator.runbook.verbs import VERBS
from tests.runbook_kit import RUNBOOKS, made, shipped

NAMES = sorted(path.stem for path in RUNBOOKS.glob("*.yaml"))
Data = dict[str, Any]


def test_all_runbooks_of_the_issue_are_shipped() -> None:
    assert NAMES == [
        "cutover", "decommission", "dress-rehearsal", "dual-run-both-ways", "dual-run-forward", "mock-migration",
        "profile-and-backup", "rollback", "staged-rollout",
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_runbook_is_sound_but_for_the_people(name: str) -> None:
    path = RUNBOOKS / f"{name}.yaml"
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=runbook.schema.json\n")
    book = read_runbook(path)
    assert book.name == name
    assert [item.code for item in check_runbook(book)] == ["unnamed"]
    assert check_runbook(shipped(name)) == []
    jsonschema.validate(Document(text, name).data, json_schema())


def test_the_schema_beside_the_runbooks_is_that_of_the_model() -> None:
    kept = json.loads((RUNBOOKS / "runbook.schema.json").read_text(encoding="utf-8"))
    assert kept == json_schema()


def test_other_runbooks_that_are_named_are_there() -> None:
    for name in NAMES:
        for step in read_runbook(RUNBOOKS / f"{name}.yaml").rule.steps:
            other = getattr(step.rollback, "runbook", name)
            assert other in NAMES


def _step(data: Data, name: str) -> Data:
    return next(item for item in [*data["steps"], *data["undo"]] if item["id"] == name)


def _put(name: str, **values: object) -> Callable[[Data], object]:
    return lambda data: _step(data, name).update(values)


def _drop(name: str, key: str) -> Callable[[Data], object]:
    return lambda data: _step(data, name).pop(key)


def _move(name: str, to: int) -> Callable[[Data], object]:
    def move(data: Data) -> None:
        step = _step(data, name)
        data["steps"].remove(step)
        data["steps"].insert(to, step)

    return move


MISTAKES: Mapping[str, tuple[Callable[[Data], object], str]] = {
    "R01 nothing takes it back": (_drop("P5-020", "rollback"), "R01 P5-020: nothing says how it is taken back"),
    "R02 no such undo step": (_put("P5-020", rollback="P5-921"), "did you mean 'P5-920'?"),
    "R02 itself": (_put("P5-020", rollback={"runbook": "cutover"}), "R02 P5-020: a runbook cannot take itself back"),
    "R03 nothing, but it writes": (_put("P6-020", rollback={"nothing": "no"}), "R03 P6-020: runbook final-delta writes"),
    "R04 order": (_move("P5-030", 10), "R04 P5-030: a step of P5 stands after P7 began"),
    "R04 enters another phase": (_put("P6-010", phase="P5"), "R04 P6-010: it enters P6, but stands in P5"),
    "R05 a phase is skipped": (lambda d: d["steps"].remove(_step(d, "P6-010")), "R05 P7-010: P7 does not follow P5"),
    "R06 not entered": (_put("P5-040", phase="P7"), "R06 P5-040: P7 was not entered"),
    "R07 an id twice": (_put("P5-030", id="P5-020"), "R07 P5-020: this id stands twice"),
    "R08 no such role": (_put("P5-030", owner="sinc-lead"), "did you mean 'sync-lead'?"),
    "R08 the backup is the owner": (_put("P5-030", backup_owner="sync-lead"), "R08 P5-030: the backup is the owner"),
    "R08 no such approver": (_put("P5-010", approvals={"need": "2", "of": ["crm-owner", "ceo"]}), "no role 'ceo'"),
    "R09 window too small": (lambda d: d.update(window={"length": "3h"}), "R09 the worst case takes 4h11m"),
    "R09 no window": (lambda d: d.pop("window"), "R09 a cutover needs a window"),
    "R10 one approver for the switch": (
        _put("P8-010", approvals={"need": "1", "of": ["crm-owner"]}), "R10 P8-010: entering P8 takes two people"),
    "R10 more than there are": (
        _put("P5-010", approvals={"need": "3", "of": ["crm-owner", "data-owner"]}), "R10 P5-010: 3 of 2 can never"),
    "R11 only the tool knows": (
        _put("P5-020", form={"verdict.status": {"ask": "?"}}), "R11 P5-020: verdict.status is computed"),
    "R11 wrong kind": (_put("P5-020", form={"freeze.active": {"ask": "?"}}), "freeze.active is a yes or no"),
    "R11 no such fact": (_put("P5-020", form={"freze.active": {"ask": "?"}}), "did you mean 'freeze.active'?"),
    "R12 no limit": (_drop("P7-020", "limit"), "R12 P7-020: it has no limit"),
    "R13 two points of no return": (
        lambda d: [_step(d, n).update(point_of_no_return="true") for n in ("P8-020", "P9-010")], "R13 P9-010"),
    "R14 evidence elsewhere": (_put("P7-020", evidence={"file": "../verdict.json"}), "R14 P7-020"),
    "R15 the way back is not said": (lambda d: d.pop("fall_back"), "R15 whether a way back is wanted"),
    "R16 no abort trigger": (lambda d: d.pop("abort_if"), "R16 nothing says when"),
    "R17 no such group": (_put("P5-020", group="nrth"), "R17 P5-020: there is no group 'nrth'"),
    "R17 groups wait for one another": (
        lambda d: d.update(groups={"a": {"after": "b"}, "b": {}}), "R17 a comes before b"),
    "R18 no steps": (lambda d: d.update(steps=[]), "R18 a runbook without steps"),
    "R19 nothing to do": (lambda d: [_step(d, "P5-020").pop(k) for k in ("form", "instructions")], "R19 P5-020"),
    "R20 nobody is told": (_put("P5-010", communication={"to": "al-users", "text": "!"}), "did you mean 'all-users'?"),
    "an unknown verb": (_put("P7-020", command="runbook verdikt"), "did you mean 'runbook verdict'?"),
    "the sheet's old name": (_put("P7-040", command="cutover canary"), "called `runbook …`"),
    "arguments for a verb that takes none": (_put("P7-020", command="validate all"), "validate takes no arguments"),
    "no such phase": (_put("P6-010", command="runbook enter P66"), "which phase is entered?"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_told_with_its_place(mistake: str) -> None:
    data: Any = shipped("cutover").document.texts()
    change, told = MISTAKES[mistake]
    change(data)
    errors = [item for item in check_runbook(made(data)) if item.severity is Severity.ERROR]
    assert any(told in str(item) for item in errors), [str(item) for item in errors]
    assert all(item.location.line and item.hint for item in errors)


FORM: Mapping[str, tuple[Callable[[Data], object], str]] = {
    "an unknown key": (_put("P5-020", ownr="x"), "unknown key 'ownr'"),
    "a rehearsed time by hand": (_put("P5-020", rehearsed={"median": "3m"}), "nobody writes them"),
    "no time": (_put("P5-020", planned="15 minutes"), "'15 minutes' is not a time"),
    "no phase": (_put("P5-020", phase="P12"), "phase cannot be 'P12'"),
    "no fact": (_put("P5-020", preconditions=["verdct.age < 1h"]), "did you mean 'verdict.age'?"),
    "other kinds": (_put("P5-020", preconditions=["verdict.age < 5"]), "verdict.age is a time, '5' is none"),
    "code": (_put("P5-020", preconditions=["__import__('os')"]), "cannot stand in a condition"),
    "a command that is none": (_put("P5-020", command={"shell": "rm"}), "command cannot be written like this"),
    "a zone is missing": (lambda d: d.update(window={"start": "2026-03-06T20:00"}), "not a moment with its zone"),
    "the operator may approve": (_put("P5-010", approvals={"need": "1", "of": "crm-owner", "not": "me"}), "not cannot be 'me'"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", FORM)
def test_what_has_another_form_is_told_with_its_place(mistake: str) -> None:
    data: Any = shipped("cutover").document.texts()
    change, told = FORM[mistake]
    change(data)
    with pytest.raises(ProjectError) as caught:
        made(data)
    assert told in str(caught.value)
    assert all(item.location.line for item in caught.value.problems)


def test_the_example_of_the_specification_is_read_but_for_what_is_measured() -> None:
    text = """
- id: P8-020
  phase: P8
  title: Prove the reverse path
  owner: sync-lead
  backup_owner: platform-lead
  planned: 5m
  preconditions: [freeze_proof.age < 1h, verdict.status == green, verdict.age <= 24h]
  command: runbook canary --side old --ops write,read,delete
  verification: {query: canary.result, expect: pass}
  rollback: P8-090
  point_of_no_return: false
  evidence: {file: canary.json, max_age: 1h}
  approvals: {need: 1, of: [release-manager, crm-owner], not: operator}
  abort_if: [reverse_lag > 15m, unexplained > 0]
  communication: {to: on-call, text: Reverse path checked}
"""
    head = "runbook: x\nversion: 1\ntitle: x\nroles: {}\nsteps:"
    (placed,) = parse_runbook(Document(head + text, "x.yaml")).steps
    assert placed.rule.verification is not None
    assert placed.rule.verification.text == "canary.result == pass"
    assert [item.text for item in placed.step.abort_if] == ["reverse_lag > 15m", "unexplained > 0"]


class _Facts:
    def __init__(self, **values: Value) -> None:
        self._values = {name.replace("__", "."): value for name, value in values.items()}

    def value(self, name: str, group: str) -> Value | None:  # noqa: ARG002 (the protocol)
        return self._values.get(name)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("lag < 1m", True),
        ("lag >= 30s and lag <= 30s", True),
        ("unexplained > 0", False),
        ("not unexplained > 0 or echo.writes == 0", True),
        ("echo.writes == 0", None),
        ("echo.writes == 0 or lag < 1m", True),
        ("echo.writes == 0 and lag > 1m", False),
        ("echo.writes == 0 and lag < 1m", None),
        ("not echo.writes == 0", None),
        ("verdict.status == green", True),
        ("verdict.status != green", False),
        ("freeze.active", True),
        ("(freeze.active and lag < 1m) or echo.writes > 5", True),
        ("freeze.age >= overlap.needed", True),
        ("quota.headroom >= 20%", True),
    ],
)
def test_conditions_mean_what_they_say(text: str, holds: bool | None) -> None:
    facts = _Facts(
        lag=30.0, unexplained=0.0, verdict__status="green", freeze__active=True, freeze__age=600.0,
        overlap__needed=600.0, quota__headroom=20.0,
    )  # fmt: skip
    found = evaluate(parse_condition(text), facts, "all")
    assert found.holds is holds
    assert all(name in text for name in found.read)


_WORDS = [*"()<>=!. 0123456789smhd%'\"_", "lag", "and", "or", "not", "verdict.age", " < ", "== green"]


@given(st.lists(st.sampled_from(_WORDS), max_size=30).map("".join) | st.text(max_size=40))
@example("(" * 400)
@example("not " * 100 + "lag > 1m")
@example("lag" + " < 1m and lag" * 60)
@example("9" * 490)
def test_no_text_is_more_than_a_condition_or_refused(text: str) -> None:
    try:
        condition = parse_condition(text)
    except NotACondition:
        return
    found = evaluate(condition, _Facts(), "all")
    assert found.holds is None
    assert set(found.read) <= set(CATALOGUE)


@given(st.integers(0, 10**7))
def test_times_are_read_as_they_are_spoken(value: int) -> None:
    assert abs(seconds(spoken(value)) - value) < max(value * 0.05, 1)


def test_phases_follow_one_another_without_a_gap() -> None:
    for phase in Phase:
        for after in may_follow(phase):
            assert after.number == phase.number + 1 or (phase, after) in {
                (Phase.P9, Phase.P11), (Phase.P10, Phase.P4)
            }  # fmt: skip
    assert Phase.P8 not in {after for phase in Phase if phase is not Phase.P7 for after in may_follow(phase)}


def test_every_fact_says_what_it_is_and_words_have_choices() -> None:
    for fact in CATALOGUE.values():
        assert fact.what
        assert (fact.kind is Kind.WORD) is bool(fact.words)
    assert all(verb.what for verb in VERBS.values())


def test_the_page_on_runbooks_names_every_condition_fact_verb_and_phase() -> None:
    page = (RUNBOOKS.parent / "docs" / "runbooks.md").read_text(encoding="utf-8")
    for gate in GATES:
        assert f"| {gate.code} | {gate.phase.value} | {gate.name} | `{gate.text}` |" in page
    for code, name, text, _ in EVERY_PHASE:
        assert f"| {code} | each | {name} | `{text}` |" in page
    for word in (*CATALOGUE, *VERBS):
        assert f"| `{word}` |" in page, word
    for phase in Phase:
        assert f"| {phase.value} | {phase.title} | {phase.direction} |" in page
    assert all(f"| `{name}` |" in page for name in NAMES)


def test_the_runbook_of_the_page_is_sound() -> None:
    page = (RUNBOOKS.parent / "docs" / "runbooks.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert check_runbook(parse_runbook(Document(text, "docs/runbooks.md"))) == []
