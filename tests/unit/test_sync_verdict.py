"""The verdict on the sync: every cause that is not green has its colour, exit code, one line and a next step (R18)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from migrator.commands.sync_metrics import prometheus
from migrator.commands.sync_settings import SyncSettings
from migrator.commands.sync_state import (
    Braked,
    Held,
    LastRun,
    OpenConflicts,
    Pause,
    StreamState,
    SyncState,
    Waiting,
)
from migrator.commands.sync_verdict import judge, judge_failure, span
from migrator.sync.report import Status
from tests.sync_kit import NOW

SETTINGS = SyncSettings(every=timedelta(minutes=5), late=timedelta(minutes=15))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def ran(ago: timedelta = timedelta(minutes=2), status: str = "green", *causes: dict[str, Any]) -> LastRun:
    report = {"causes": list(causes), "figures": {"contact": {"examined": 3}}, "calls": {"old": 4}}
    return LastRun("r1", NOW - ago - timedelta(seconds=9), NOW - ago, status, report)


def cause(code: str, status: str, exit_code: int) -> dict[str, Any]:
    return {
        "status": status,
        "code": code,
        "what": f"{code} happened",
        "next_step": "look",
        "exit_code": exit_code,
    }


GREEN = SyncState(
    NOW,
    last=ran(),
    streams=(StreamState("contact/old", NOW, NOW - DAY, 5), StreamState("contact", NOW, NOW - DAY, 5)),
)
WAITING = Waiting("contact", 3, NOW - HOUR, 0, 0)
OPEN = OpenConflicts("contact", "stage", (2, 0, 0, 0), NOW - HOUR)


def test_green_only_when_everything_holds() -> None:
    found = judge(GREEN, SETTINGS)
    assert (found.status, found.exit_code, found.causes, found.next_step) == (Status.GREEN, 0, (), "nothing")


@pytest.mark.parametrize(
    ("change", "status", "code", "exit_code"),
    [
        ({"last": None}, Status.YELLOW, "never", 4),
        ({"pause": Pause("Li", NOW - HOUR, "audit")}, Status.YELLOW, "paused", 4),
        ({"last": ran(HOUR)}, Status.RED, "late", 4),
        ({"started": ran(timedelta(0))}, Status.YELLOW, "killed", 4),
        ({"last": ran(HOUR / 60, "red", cause("store", "red", 5))}, Status.RED, "store", 5),
        ({"last": ran(HOUR / 60, "red", cause("drift", "red", 5))}, Status.RED, "drift", 5),
        ({"last": ran(HOUR / 60, "red", cause("system", "red", 3))}, Status.RED, "system", 3),
        ({"last": ran(HOUR / 60, "yellow", cause("budget", "yellow", 4))}, Status.YELLOW, "budget", 4),
        ({"last": ran(HOUR / 60, "mauve")}, Status.RED, "unknown", 5),
        ({"brakes": (Braked("contact", "deletes", 99, 20, NOW),)}, Status.RED, "brake", 5),
        (
            {"open": (OPEN,), "held": (Held("contact", "conflict", 2, NOW - HOUR),)},
            Status.RED,
            "conflicts",
            5,
        ),
        ({"held": (Held("contact", "missing", 2, NOW - HOUR),)}, Status.YELLOW, "hold.missing", 1),
        ({"held": (Held("contact", "missing", 1, NOW - 4 * DAY),)}, Status.RED, "hold.missing", 5),
        ({"held": (Held("contact", "undelete", 1, NOW),)}, Status.RED, "hold.undelete", 5),
        (
            {"held": (Held("contact", "delete-vs-edit", 1, NOW),), "open": (replace(OPEN, field=""),)},
            Status.RED,
            "hold.delete-vs-edit",
            5,
        ),
        ({"waiting": (WAITING,)}, Status.YELLOW, "backlog", 4),
        ({"waiting": (replace(WAITING, failing=3),)}, Status.YELLOW, "failing", 4),
        ({"waiting": (replace(WAITING, failing=3, quarantined=3),)}, Status.RED, "quarantine", 1),
        ({"unsettled": 2}, Status.YELLOW, "unknown", 4),
        ({"deferred": 2}, Status.YELLOW, "deferred", 4),
        ({"mismatched": 1}, Status.RED, "mismatch", 5),
        ({"streams": (StreamState("contact", NOW, None, 0),)}, Status.YELLOW, "reconcile", 4),
        ({"streams": (StreamState("contact", NOW, NOW - 11 * DAY, 0),)}, Status.YELLOW, "reconcile", 4),
    ],
)
def test_every_cause_has_its_colour_code_and_next_step(
    change: dict[str, Any], status: Status, code: str, exit_code: int
) -> None:
    found = judge(replace(GREEN, **change), SETTINGS)
    assert [(item.code, item.status, item.exit_code) for item in found.causes] == [(code, status, exit_code)]
    assert (found.status, found.exit_code) == (status, exit_code)
    assert "\n" not in found.why
    assert found.why
    assert found.next_step


def test_the_worst_comes_first_and_what_the_ledger_shows_is_told_once() -> None:
    state = replace(
        GREEN, last=ran(HOUR / 60, "yellow", cause("backlog", "yellow", 4), cause("hold", "yellow", 1)),
        waiting=(WAITING,), brakes=(Braked("contact", "deletes", 99, 20, NOW),),
    )  # fmt: skip
    found = judge(state, SETTINGS)
    assert [item.code for item in found.causes] == ["brake", "backlog"]
    assert found.exit_code == 5


def test_a_run_that_is_at_work_is_not_late_for_lack_of_a_timer() -> None:
    found = judge(replace(GREEN, last=ran(HOUR), working=True, started=ran(timedelta(0))), SETTINGS)
    assert [(item.code, "wait for it" in item.next_step) for item in found.causes] == [("late", True)]


def test_a_run_that_could_not_be_made_is_yellow_only_when_it_may_pass() -> None:
    assert judge_failure(4, "busy", "wait", NOW).status is Status.YELLOW
    assert judge_failure(3, "no such user", "mend it", NOW).status is Status.RED


def test_times_are_told_as_people_say_them() -> None:
    assert [span(timedelta(seconds=item)) for item in (0, 59, 60, 7200, 90_000, 200_000)] == [
        "0 seconds", "59 seconds", "1 minute", "2 hours", "1 day", "2 days",
    ]  # fmt: skip


def samples(text: str) -> Iterator[tuple[tuple[Any, ...], float]]:
    """The samples of an exposition, each line held against the grammar of the format."""
    typed = set()
    for line in text.splitlines():
        if line.startswith("#"):
            found = re.fullmatch(r"# (HELP|TYPE) ([a-z_]+) (.+)", line)
            assert found, line
            typed |= {found[2]} if found[1] == "TYPE" else set()
            continue
        label = r'([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"'
        found = re.fullmatch(rf"([a-z_]+)\{{((?:{label},?)*)\}} (-?\d+(?:\.\d+)?)", line)
        assert found, line
        assert found[1] in typed
        labels = [
            (name, re.sub(r"\\(.)", lambda hit: {"n": "\n"}.get(hit[1], hit[1]), value))
            for name, value in re.findall(label, found[2])
        ]
        yield (found[1], *sorted(labels)), float(found[5])


def test_metrics_are_what_prometheus_reads() -> None:
    state = replace(GREEN, open=(OPEN,), waiting=(WAITING,), left={"old": 70}, linked={'a"b\\': 3})
    text = prometheus(state, judge(state, SETTINGS), "acme")
    found = dict(samples(text))
    assert found["crm_sync_status", ("project", "acme"), ("status", "red")] == 1
    assert found["crm_sync_status", ("project", "acme"), ("status", "green")] == 0
    assert found["crm_sync_linked_records", ("project", "acme"), ("stream", 'a"b\\')] == 3
    assert found["crm_sync_calls_left", ("project", "acme"), ("system", "old")] == 70
    age = (("age", "under a day"), ("field", "stage"), ("mapping", "contact"), ("project", "acme"))
    assert found["crm_sync_open_conflicts", *age] == 2
    assert text == prometheus(state, judge(state, SETTINGS), "acme")
