"""The schedules of docs/sync.md are what their programs read: units, cron line, manifest, DAG; and its tables are complete."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest
import typer
import yaml

from migrator.cli.main import app
from migrator.commands.sync_metrics import PREFIX, prometheus
from migrator.commands.sync_settings import KEYS, SyncSettings
from migrator.commands.sync_state import SyncState
from migrator.commands.sync_verdict import judge
from tests.sync_kit import NOW, write_project

PAGE = (Path(__file__).parents[2] / "docs" / "sync.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def parsed(command: str) -> None:
    """The command line binds to a command of ours with all its options; nothing is run."""
    words = shlex.split(command)
    found = typer.main.get_command(app)
    context = found.make_context("migrator", words[1:], resilient_parsing=True)
    for name in [*context.args] and ["sync"]:
        assert name in found.commands  # type: ignore[attr-defined]
    group = found.commands["sync"]  # type: ignore[attr-defined]
    rest = words[words.index("sync") + 1 :]
    group.commands[rest[0]].make_context(rest[0], rest[1:]).close()


def test_every_setting_has_its_line_and_the_example_is_read(tmp_path: Path) -> None:
    rows = re.findall(
        r"^\| `([a-z]+)` \|", PAGE.split("## Setting it up")[1].split("## Colours")[0], re.MULTILINE
    )
    assert tuple(rows) == KEYS
    settings = write_project(tmp_path, blocks("yaml")[0]).sync
    assert len(settings.alerts) == 2
    assert settings.every.total_seconds() == 300


def test_every_metric_has_its_line() -> None:
    state = SyncState(NOW)
    told = set(
        re.findall(
            rf"^# TYPE {PREFIX}([a-z_]+)", prometheus(state, judge(state, SyncSettings()), "p"), re.MULTILINE
        )
    )
    listed = set(re.findall(rf"{PREFIX}([a-z_]+)", PAGE.split("## Watching it")[1]))
    assert told - listed == {"exit_code", "paused", "checked_timestamp_seconds"}


def test_units_are_units_and_start_a_command_of_ours(tmp_path: Path) -> None:
    units = blocks("ini")
    assert len(units) == 3
    for number, text in enumerate(units):
        unit = ConfigParser(interpolation=None, strict=True)
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read_string(text)
        assert "Description" in unit["Unit"]
        if "Service" in unit:
            parsed(unit["Service"]["ExecStart"])
        path = tmp_path / f"crm-sync{number}.{'timer' if 'Timer' in unit else 'service'}"
        path.write_text(text.replace("/opt/crm/bin/migrator", "/bin/true").replace("/srv/crm/project", "/"))
        if shutil.which("systemd-analyze"):
            done = subprocess.run(
                ["systemd-analyze", "verify", path], capture_output=True, text=True, check=False
            )
            assert "Unknown" not in done.stderr, done.stderr


def test_the_cron_line_runs_in_sh_and_speaks_only_when_it_is_not_green(tmp_path: Path) -> None:
    (line,) = blocks("crontab")
    minute, hour, *_, command = line.strip().split(maxsplit=5)
    assert (minute, hour) == ("0", "2")
    assert "%" not in command, "cron takes a percent sign for the end of the line"
    parsed(re.search(r"migrator .*?(?= >>)", command)[0])  # type: ignore[index]
    (tmp_path / "sync.env").write_text("export SECRET=x\n")
    (tmp_path / "migrator").write_text('#!/bin/sh\necho "ran $SECRET $@"\nexit ${CODE:-0}\n')
    (tmp_path / "migrator").chmod(0o755)
    here = command.replace("/srv/crm/project", str(tmp_path)).replace("/etc/crm", str(tmp_path))
    for code, told in (("0", ""), ("5", "ran x --quiet sync once")):
        env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CODE": code}
        done = subprocess.run(["/bin/sh", "-c", here], env=env, capture_output=True, text=True, check=False)
        assert told in done.stdout
        assert bool(done.stdout) is bool(told)


def test_the_manifest_is_a_cron_job_that_never_runs_twice() -> None:
    job = yaml.safe_load(blocks("yaml")[1])
    spec = job["spec"]
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    assert (job["kind"], spec["concurrencyPolicy"], spec["jobTemplate"]["spec"]["backoffLimit"]) == (
        "CronJob",
        "Forbid",
        0,
    )
    (container,) = pod["containers"]
    parsed(shlex.join(["migrator", *container["args"]]))
    assert {item["name"] for item in container["volumeMounts"]} == {item["name"] for item in pod["volumes"]}


def test_the_dag_is_python_and_fails_on_all_but_yellow() -> None:
    (source,) = blocks("python")
    tree = ast.parse(source)
    compile(tree, "dag.py", "exec")
    (command,) = (
        item.value.value for item in ast.walk(tree)
        if isinstance(item, ast.keyword) and item.arg == "bash_command" and isinstance(item.value, ast.Constant)
    )  # fmt: skip
    parsed(str(command).partition(" ||")[0])
    for code, expected in ((0, 0), (4, 0), (5, 1), (3, 1)):
        script = str(command).replace("migrator", f"sh -c 'exit {code}' --", 1)
        done = subprocess.run(["bash", "-c", script], check=False, capture_output=True)
        assert done.returncode == expected


@pytest.mark.parametrize("code", ["hold", "brake", "conflicts", "paused", "quarantine", "reconcile"])
def test_the_page_tells_the_next_step_of(code: str) -> None:
    words = {"hold": "held as missing", "brake": "the brake on", "conflicts": "conflicts wait", "paused": "paused the sync",
             "quarantine": "fail again and again", "reconcile": "full comparison"}  # fmt: skip
    assert words[code] in PAGE.split("## Colours")[1]
