"""Ways out of quarantine, as a person goes them: trying just these again, what waits flowing after, leaving them behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.small_migration import Said, copied, migrator, replace_in, target_rows

NOWHERE = "account/salesforce:001000000000003AAA"
WAITS = "contact/salesforce:003000000000004AAA"


@pytest.fixture
def folder(small_done: Path, tmp_path: Path) -> Path:
    return copied(small_done, tmp_path / "project")


def told(said: Said, code: int = 0) -> dict[str, Any]:
    assert said.code == code, said
    return dict(json.loads(said.out))


def mend(folder: Path) -> None:
    """The country that nobody knew; and, elsewhere, a row more and one changed that nobody asked for."""
    with (folder / "values/country.csv").open("a", encoding="utf-8") as file:
        file.write("Atlantis,AT,\n")
    replace_in(folder / "exports/shop/Order.csv", {'"7.5"': '"7.6"'})
    with (folder / "exports/shop/Order.csv").open("a", encoding="utf-8") as file:
        file.write('"A-9","new","1"\n')


def keys(folder: Path) -> Mapping[str, Sequence[str]]:
    return {name: [row[0] for row in rows] for name, rows in target_rows(folder / "crm.db").items()}


def test_retry_sends_the_rows_asked_for_and_their_dependants_and_nothing_else(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = target_rows(folder / "crm.db")
    mend(folder)
    retry = ("quarantine", "retry", "--rule", "value.unmapped", "--json")
    wanted = {
        "account": {"chosen": 1, "dependants": 0, "held": 0},
        "contact": {"chosen": 0, "dependants": 1, "held": 0},
    }

    tried = told(migrator(folder, capsys, *retry, "--dry-run"))

    assert tried["retried"] == wanted
    assert (tried["dry_run"], tried["load"], tried["left"]) == (True, None, 2)
    assert target_rows(folder / "crm.db") == before

    done = told(migrator(folder, capsys, *retry))

    assert done["retried"] == wanted
    assert done["left"] == 2
    assert done["load"]["written"] == 2
    after = target_rows(folder / "crm.db")
    assert after["Order"] == before["Order"]
    assert {name: len(after[name]) - len(before[name]) for name in before} == {
        "Order": 0,
        "account": 1,
        "contact": 1,
    }
    assert told(migrator(folder, capsys, "quarantine", "list", "--json"))["total"] == 1
    assert told(migrator(folder, capsys, "load", "--json"))["written"] == 2, (
        "what was left goes with the next load"
    )
    assert told(migrator(folder, capsys, "status", "--json"))["closed"] is True


@pytest.mark.slow
@pytest.mark.parametrize(
    "place", ["chosen.completed", "plan.completed", "load.batch-intended", "load.batch-answered"]
)
def test_a_retry_that_was_killed_goes_on_with_the_same_rows(
    folder: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    before = target_rows(folder / "crm.db")
    mend(folder)
    retry = ("-C", str(folder), "quarantine", "retry", "--rule", "value.unmapped")
    killed = subprocess.run(
        [sys.executable, "-m", "migrator.cli", *retry],
        check=False,
        env={**os.environ, "MIGRATOR_KILL_AT": place},
    )
    assert killed.returncode == -signal.SIGKILL
    assert migrator(folder, capsys, *retry[2:]).code == 0
    after = target_rows(folder / "crm.db")
    assert after["Order"] == before["Order"]
    assert {name: len(after[name]) - len(before[name]) for name in before} == {
        "Order": 0,
        "account": 1,
        "contact": 1,
    }


def test_a_child_waits_with_the_root_cause_named_and_flows_by_itself(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    why = told(migrator(folder, capsys, "explain", WAITS, "--json"))
    assert why["state"] == "pending"
    assert NOWHERE in why["reason"]
    assert "value.unmapped" in why["reason"]
    mend(folder)
    assert migrator(folder, capsys, "run", "--skip-validate").code == 0
    assert told(migrator(folder, capsys, "explain", WAITS, "--json"))["state"] == "loaded"


def test_what_is_waived_makes_no_run_red_and_stays_counted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strict = ("run", "--skip-validate", "--strict", "--json")
    assert migrator(folder, capsys, *strict).code == 1
    waive = ("quarantine", "waive", "--by", "Ada 王", "--reason", "sold in 1999")
    assert migrator(folder, capsys, *waive).code == 2, "not everything at once"
    assert migrator(folder, capsys, *waive, "--rule", "no.such").code == 2
    assert told(migrator(folder, capsys, *waive, "--record", NOWHERE, "--json"))["left"] == 1
    assert migrator(folder, capsys, *strict).code == 1, "one is left"
    assert told(migrator(folder, capsys, *waive, "--field", "born", "--json"))["left"] == 0
    account = told(migrator(folder, capsys, *strict))["objects"]
    assert {name: (one["quarantined"], one["waived"], one["waiting_for_waived"]) for name, one in account.items()} == {
        "account": (1, 1, 0), "contact": (1, 1, 1), "order": (0, 0, 0),
    }  # fmt: skip
    (entry,) = told(
        migrator(folder, capsys, "quarantine", "list", "-o", "account", "--state", "waived", "--json")
    )["rows"]
    assert (entry["waived"], entry["tries"]) == ("Ada 王: sold in 1999", 1)
    assert entry["first_seen"]
    assert "Ada 王" in migrator(folder, capsys, "quarantine", "decisions").out
    assert (
        told(migrator(folder, capsys, *waive, "--withdraw", "--rule", "value.unmapped", "--json"))["left"]
        == 1
    )
    assert migrator(folder, capsys, *strict).code == 1


def _timeless(event: dict[str, Any]) -> dict[str, Any]:
    """Without what two clocks tell of one moment."""
    counts = {name: value for name, value in event.get("counts", {}).items() if name != "seconds"}
    return {**event, "ts": "", "counts": counts}


def test_the_events_of_a_run_stand_in_its_file_and_on_standard_error_and_name_no_value(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mend(folder)
    said = migrator(folder, capsys, "--log-format", "json", "run", "--skip-validate")
    assert said.code == 0
    newest = max((folder / ".migrator" / "events").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    kept, heard = (
        [_timeless(json.loads(line)) for line in text.splitlines()] for text in (newest.read_text(), said.err)
    )
    assert kept == heard
    assert {"extract", "map", "load"} <= {one["step"] for one in kept}
    assert [one["object"] for one in kept if one["event"] == "quarantine" and one["step"] == "load"] == [
        "contact"
    ]
    assert not any(word in newest.read_text() for word in ("Müller", "Atlantis", "A-9", "example.com"))
    refused = migrator(folder, capsys, "--log-format", "json", "load", "--plan", "no-such-plan")
    line = json.loads(refused.err.splitlines()[-1])
    assert (line["event"], line["exit_code"]) == ("error", refused.code)
