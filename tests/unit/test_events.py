"""What happens in a run stands in its events file, line by line as documented, however the run ends, and holds no values."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from migrator.cli.progress import watched
from migrator.commands import events
from migrator.commands.events import told
from migrator.core.clock import FixedClock
from migrator.core.errors import DataError, RetryableError
from migrator.core.eventlines import EventLines
from migrator.core.progress import Event, Progress, Quiet
from migrator.load.load import load
from migrator.testing.memory import MemoryTarget
from tests.load_world import Rows, mapped_object, put, world

DOCS = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
SCHEMA = json.loads(re.findall(r"^```json\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)[0])
ACCOUNT = mapped_object("account", "key name")


def lines(text: str) -> list[dict[str, Any]]:
    """The lines of an events file, each as documented."""
    found = [json.loads(line) for line in text.splitlines()]
    for line in found:
        jsonschema.validate(line, SCHEMA)
    return found


def listening(
    folder: Path, run: str = "r1", listener: Progress | None = None, left: Mapping[str, int] | None = None
):  # type: ignore[no-untyped-def]
    return told(
        folder, run, "load", listener=listener or Quiet(), budgets=lambda: left or {}, clock=FixedClock()
    )  # fmt: skip


def test_every_event_is_documented() -> None:
    named = {item.value for item in Event}
    assert set(SCHEMA["properties"]["event"]["enum"]) == named
    assert set(re.findall(r"^\| `([a-z.]+)` \|", DOCS, re.MULTILINE)) == named


def test_a_run_is_told_from_its_start_to_its_end(tmp_path: Path) -> None:
    heard: list[str] = []
    with listening(tmp_path, listener=EventLines(heard.append, FixedClock()), left={"crm": 7}) as progress:
        progress.start("load", "account", 5)
        progress.advance("load", "account", 2)
        progress.advance("load", "account", 3)
        progress.tell(Event.THROTTLED, "load", "", {"wait": 1.5})
        progress.done("load", "account", "Ada Lovelace created")
        text = (tmp_path / "r1.jsonl").read_text()
        assert len(text.splitlines()) == 7, "flushed as it happens"
    text = (tmp_path / "r1.jsonl").read_text()
    assert [(one["event"], one["level"], one["object"], one["counts"]) for one in lines(text)] == [
        ("run.started", "info", "", {}),
        ("step.started", "info", "account", {"total": 5}),
        ("step.advanced", "info", "account", {"rows": 2, "done": 2}),
        ("budget", "info", "crm", {"left": 7}),
        ("step.advanced", "info", "account", {"rows": 3, "done": 5}),
        ("call.throttled", "warning", "", {"wait": 1.5}),
        ("step.finished", "info", "account", {"rows": 5, "seconds": 0.0}),
        ("run.finished", "info", "", {"exit_code": 0, "seconds": 0.0}),
    ]
    assert {one["run"] for one in lines(text)} == {"r1"}
    assert "Ada" not in text
    assert "".join(heard) == text


@pytest.mark.parametrize(
    ("error", "code"),
    [(DataError("no"), 1), (RetryableError("later"), 4), (KeyboardInterrupt(), 130), (SystemExit(143), 143), (KeyError("x"), 70)],
)  # fmt: skip
def test_how_a_run_ended_is_told_without_its_words(tmp_path: Path, error: BaseException, code: int) -> None:
    def fail() -> None:
        with listening(tmp_path):
            raise error

    with pytest.raises(type(error)):
        fail()
    last = lines((tmp_path / "r1.jsonl").read_text())[-1]
    assert (last["event"], last["level"], last["counts"]["exit_code"]) == ("run.finished", "error", code)


def test_a_killed_run_has_all_its_lines_and_no_end(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        with listening(tmp_path) as progress:
            progress.start("load", "account", None)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    found = lines((tmp_path / "r1.jsonl").read_text())
    assert [one["event"] for one in found] == ["run.started", "step.started"]


def test_the_files_of_old_runs_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KEPT", 3)
    for number in range(5):
        with listening(tmp_path, f"2026010{number}T000000-aaaaaa"):
            pass
    assert [path.name[:8] for path in sorted(tmp_path.iterdir())] == ["20260102", "20260103", "20260104"]


class Hesitant(MemoryTarget):
    """Pushes back once, fails once, and refuses a name."""

    def __init__(self) -> None:
        super().__init__()
        self.moods = [
            RetryableError("slow down", retry_after=2.0, throttled=True),
            RetryableError("no answer"),
        ]

    def upsert(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        if self.moods:
            raise self.moods.pop(0)
        return super().upsert(*args, **kwargs)


def test_a_load_tells_its_batches_and_what_it_tried_again(tmp_path: Path) -> None:
    heard: list[str] = []
    with world(tmp_path) as here:
        put(here, ACCOUNT, Rows({str(number): {"name": "Ada"} for number in range(5)}))
        here.plan(((ACCOUNT,),))
        here.ledger.start_run("load", "test")
        listener = EventLines(heard.append, FixedClock())
        with here.ledger.lease() as fence:
            load(
                here.store,
                here.engine,
                here.ledger,
                Hesitant(),
                ((ACCOUNT,),),
                progress=listener,
                fence=fence,
            )
    found = lines("".join(heard))
    batches = [one["counts"] for one in found if one["event"] == "batch.answered"]
    assert batches == [{"rows": 3, "created": 3}, {"rows": 2, "created": 2}]
    again = [(one["event"], one["counts"]["wait"] >= 2) for one in found if one["event"].startswith("call.")]
    assert again == [("call.throttled", True), ("call.retried", False)]


def test_bars_show_rows_rate_refusals_and_the_budget() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=200)
    with watched(console) as bars:
        bars.start("load", "account", 100)
        bars.tell(Event.BUDGET, "load", "crm", {"left": 4321})
        bars.tell(Event.BATCH, "load", "account", {"rows": 40, "created": 33, "refused": 7})
        bars.advance("load", "account", 40)
        bars.tell(Event.THROTTLED, "load", "", {"wait": 12.0})
        time.sleep(0.3)  # bars are drawn ten times a second
        bars.done("load", "account", "93 created, 7 refused")
    drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert "40/100" in drawn
    assert "7 refused · 4,321 calls left of crm's day" in drawn
    assert "trying again in 12 s" in drawn
    assert "93 created, 7 refused" in drawn
    with watched(Console(file=out, force_terminal=False)) as quiet:
        assert isinstance(quiet, Quiet)
