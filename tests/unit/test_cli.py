"""The command line: exit codes, JSON on standard output alone, no progress without a terminal, quick to start."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
import typer
from rich.console import Console

from migrator.cli import main
from migrator.cli.progress import Bars, watched
from migrator.commands import project
from migrator.core.errors import (
    ConnectorError,
    DataError,
    FatalError,
    MigratorError,
    ProjectError,
    RetryableError,
    SafetyStop,
)
from migrator.core.progress import Quiet
from tests.e2e.demo_project import Answer, command, run

ERRORS: list[tuple[Exception, int]] = [
    (ProjectError.at("migration.yaml:3:1", "unknown key [bold]'x'[/]", "did you mean 'y'?"), 2),
    (FatalError("the disk is [full]", hint="make room"), 3),
    (RetryableError("the server is busy", hint="later"), 4),
    (DataError("rows refused", hint="look at them"), 1),
    (SafetyStop("somebody else works here", hint="wait"), 5),
    (ConnectorError("of no family"), 70),
    (MigratorError("of no family"), 70),
]


def ended_by(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> Answer:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(main, "app", fail)
    return run("anything")


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=lambda item: type(item).__name__)
def test_every_error_ends_with_its_code_and_its_words(
    error: MigratorError, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = ended_by(error, monkeypatch)
    assert answer.code == code
    assert answer.out == ""
    for line in str(error).splitlines():
        assert line.strip() in answer.err, "markup of a message is shown, not obeyed"


def test_quiet_hides_no_error(tmp_path: Path) -> None:
    answer = run("-q", f"-C{tmp_path}", "check")
    assert answer.code == 2
    assert "no such file" in answer.err


def test_a_bug_ends_with_70_and_a_crash_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(main.common, "folder", tmp_path)
    answer = ended_by(KeyError("surprise"), monkeypatch)
    assert answer.code == 70
    (crash,) = tmp_path.glob("crash-*.txt")
    assert crash.name in answer.err
    text = crash.read_text(encoding="utf-8")
    assert text.startswith("migrator ")
    assert "builtins.KeyError" in text
    assert "surprise" not in text


def test_a_crash_file_names_places_and_kinds_and_no_value_of_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main.common, "folder", tmp_path)
    monkeypatch.chdir(tmp_path)
    value = "".join(["Ada", " ", "Löwe"])  # the file shows lines of code: the value may not stand in one
    bug = RuntimeError(value)
    bug.__cause__ = ValueError(value)
    assert ended_by(bug, monkeypatch).code == 70
    (crash,) = tmp_path.glob("crash-*.txt")
    text = crash.read_text(encoding="utf-8")
    assert "builtins.ValueError\n\nwhich led to\n" in text
    assert "builtins.RuntimeError" in text
    assert value not in text


def test_the_crash_file_of_a_project_lies_in_its_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".migrator").mkdir()
    monkeypatch.setattr(main.common, "folder", tmp_path)
    assert ended_by(KeyError("surprise"), monkeypatch).code == 70
    assert len(list((tmp_path / ".migrator").glob("crash-*.txt"))) == 1


def test_ctrl_c_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(project, "load_project", interrupted)
    answer = run(f"-C{tmp_path}", "status")
    assert answer.code == 130
    assert "run the same command again" in answer.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "nonsense"),
        (["run", "--nonsense"], "--nonsense"),
        (["explain"], "OBJECT/ID"),
        (["demo", "x", "--scale", "1"], "100"),
        (["quarantine", "list", "--limit", "0"], "1"),
    ],
)
def test_wrong_arguments_end_with_2(arguments: list[str], words: str) -> None:
    answer = run(*arguments)
    assert answer.code == 2
    assert words in answer.err
    assert answer.out == ""


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m migrator.cli --help | true; echo ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout.strip() == "0"
    assert "Traceback" not in done.stderr


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    heavy = (
        "pandas",
        "great_expectations",
        "duckdb",
        "pyarrow",
        "numpy",
        "sqlalchemy",
        "sqlglot",
        "pydantic",
        "keyring",
    )
    script = (
        "import sys, time; from migrator.cli.main import run_app; code = run_app(['--help']);"
        f"print([name for name in {heavy!r} if name in sys.modules], code, time.process_time() < 1, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[] 0 True"
    for words in ("extract", "quarantine", "Exit codes"):
        assert words in done.stdout


def test_every_command_explains_itself() -> None:
    def walk(name: list[str], found: click.Command) -> Iterator[list[str]]:
        yield name
        for word, child in getattr(found, "commands", {}).items():
            yield from walk([*name, word], child)

    for words in walk([], typer.main.get_command(main.app)):
        answer = run(*words, "--help")
        assert answer.code == 0, words
        assert len(answer.out.splitlines()) > 4


def test_progress_is_drawn_for_a_terminal_only() -> None:
    with watched(Console(stderr=True, force_terminal=False)) as progress:
        assert isinstance(progress, Quiet)
    with watched(Console(stderr=True, force_terminal=True, quiet=True)) as progress:
        assert isinstance(progress, Quiet)


def test_progress_on_a_terminal_keeps_one_line_for_each_object() -> None:
    console = Console(force_terminal=True, width=100, record=True, file=open_nowhere())
    with watched(console) as progress:
        assert isinstance(progress, Bars)
        progress.start("extract", "old/Account", 3)
        progress.advance("extract", "old/Account", 2)
        progress.advance("extract", "never begun", 2)
        progress.done("extract", "old/Account", "3 rows")
    assert "✓ extract    old/Account  3 rows" in console.export_text()


def open_nowhere() -> object:
    import io

    return io.StringIO()


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Answer]:
    """A small demo, made by the command line; returns a way to run commands on it."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    done = run("demo", str(folder), "--scale", "200", "--json")
    assert done.code == 0, done.err
    one_document(done)
    return lambda *arguments: run(f"-C{folder}", *arguments)


def one_document(answer: Answer) -> dict[str, object]:
    found = json.loads(answer.out)
    assert isinstance(found, dict)
    return found


ASKED: dict[str, list[list[str]]] = {
    "check": [[], ["--strict"]],
    "profile": [[], ["-o", "salesforce/Account"]],
    "extract": [[], ["-o", "dynamics/contact"]],
    "map": [[], ["-o", "contact"]],
    "map test": [[]],
    "dedupe": [[]],
    "plan": [[]],
    "load": [[]],
    "run": [["--skip-validate"], ["--skip-validate", "--strict"]],
    "status": [[]],
    "quarantine list": [[], ["-o", "contact", "--limit", "1"], ["--rule", "cast.date"]],
    "quarantine retry": [[], ["-o", "contact"]],
}
"""Commands on the demo, each with its arguments; init, demo, explain and validate are asked elsewhere."""


@pytest.mark.parametrize("name", ASKED)
def test_json_is_one_document_and_nothing_else(walked: Callable[..., Answer], name: str) -> None:
    for arguments in ASKED[name]:
        answer = walked(*name.split(), *arguments, "--json")
        if answer.code == 2 and "--strict" in arguments:
            assert answer.out == "", "errors are told on standard error"
            continue
        one_document(answer)
        assert answer.code in ({0, 1} if "--strict" in arguments else {0}), answer.err
        assert answer.code == 1 or answer.err == ""
        people = walked(*name.split(), *arguments)
        assert people.code == answer.code
        assert people.out.strip(), "people get an answer too"
        assert not people.out.startswith("{")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["extract", "-o", "salesforce/Acount"], "salesforce/Account"),
        (["map", "-o", "contakt"], "contact"),
        (["dedupe", "-o", "contakt"], "contact"),
        (["quarantine", "list", "-o", "contakt"], "contact"),
        (["quarantine", "retry", "-o", "contakt"], "contact"),
        (["profile", "-o", "salesforce/Acount"], "salesforce/Account"),
        (["map", "show-sql", "contakt"], "contact"),
        (["explain", "contakt/1"], "contact"),
        (["explain", "contact/salesforce:none"], "salesforce:none"),
        (["explain", "nothing"], "OBJECT/ID"),
    ],
)
def test_a_word_nobody_knows_ends_with_2_and_names_the_nearest(
    walked: Callable[..., Answer], arguments: list[str], words: str
) -> None:
    answer = walked(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert words in answer.err


def test_a_process_without_a_terminal_draws_nothing(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("id,name\n1,Ada\n2,李\n", encoding="utf-8")
    answer = command(
        "init",
        "new",
        "--source",
        "old=people.csv",
        "--target",
        "sqlite:///new/new.db",
        "--json",
        cwd=tmp_path,
    )
    assert (answer.code, answer.err) == (0, "")
    assert one_document(answer)["objects"]
    answer = command("-C", "new", "run", "--skip-validate", "--json", cwd=tmp_path)
    assert (answer.code, answer.err) == (0, "")
    assert one_document(answer)["closed"] is True
