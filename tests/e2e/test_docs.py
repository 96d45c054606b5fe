"""What the documentation says is true: commands, walk-through, mapping, links, exit codes; and every module says what it is for."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from migrator.cli.main import app
from migrator.core.errors import MigratorError
from migrator.mapping import load
from tests.e2e.demo_project import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = [
    path for name in ("migrator", "connectors", "validation") for path in sorted((ROOT / name).rglob("*.py"))
]


def commands() -> Iterator[str]:
    """Every command that can be typed, such as 'migrator map show-sql'."""

    def walk(name: str, command: click.Command) -> Iterator[str]:
        below = getattr(command, "commands", {})
        if not below or getattr(command, "invoke_without_command", False):
            yield name
        for word, child in below.items():
            if not child.hidden:
                yield from walk(f"{name} {word}", child)

    return walk("migrator", typer.main.get_command(app))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_readme_names_every_command() -> None:
    known = [name for name in commands() if name != "migrator"]
    assert len(known) > 15
    assert [name for name in known if f"`{name}" not in README] == []


def test_every_command_of_the_readme_is_one() -> None:
    known = set(commands())
    groups = {name.rpartition(" ")[0] for name in known}
    table = re.findall(r"^\| `(migrator [^`]+)`", README, re.MULTILINE)
    assert table
    for line in table:
        words = [word for word in line.split() if re.fullmatch("[a-z][a-z-]*", word)]
        name = " ".join(words)
        assert name in known or (name in groups and name != "migrator"), line


def test_the_walk_through_works_as_it_is_written(tmp_path: Path) -> None:
    script = "".join(block for block in blocks("sh") if "make " not in block)
    assert script.count("migrator ") > 6
    small = re.sub(r"--scale \d+", "--scale 400", script)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euxc", small], cwd=tmp_path, env=os.environ | {"PATH": path}, capture_output=True, text=True,
        check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "closed" in done.stdout
    assert list((tmp_path / "acme" / "reports").glob("*/report.html"))


def test_the_two_commands_come_first() -> None:
    first, *_ = blocks("sh")
    assert re.findall(r"^make (\w+)", first, re.MULTILINE) == ["demo", "test"]
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {"demo", "test"} <= set(targets)
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_the_mapping_of_the_readme_is_one(tmp_path: Path) -> None:
    (text,) = blocks("yaml")
    (tmp_path / "contact.yaml").write_text(text, encoding="utf-8")
    (mapping,) = load(tmp_path, tmp_path)
    assert [source.system for source in mapping.sources] == ["salesforce", "dynamics"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s#]+)", text):
        if "://" not in link:
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_yaml_in_the_documentation_is_yaml(page: Path) -> None:
    for block in re.findall(
        r"^```yaml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    ):
        assert list(yaml.safe_load_all(block))


def test_every_module_says_what_it_is_for() -> None:
    assert len(MODULES) > 80
    silent = [
        str(path.relative_to(ROOT)) for path in MODULES
        if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]  # fmt: skip
    assert silent == []


def test_exit_codes_are_those_of_the_errors() -> None:
    def codes(text: str) -> list[tuple[int, str]]:
        plain = re.sub(r"\s+", " ", re.sub(r"\([^)]*\)", "", text))
        return [(int(code), words.strip(" .")) for code, words in re.findall(r"(?:^|· )(\d+) ([^·]+)", plain)]

    (told,) = re.findall(r"^Exit codes: (.*?)\n\n", README, re.MULTILINE | re.DOTALL)
    assert codes(told) == codes(str(app.info.epilog).removeprefix("Exit codes: "))
    assert {code for code, _ in codes(told)} == {0, *(error.exit_code for error in families())}


def families() -> Iterator[type[MigratorError]]:
    def walk(error: type[MigratorError]) -> Iterator[type[MigratorError]]:
        yield error
        for child in error.__subclasses__():
            yield from walk(child)

    return walk(MigratorError)


def test_dependencies_name_no_place_to_get_them_from() -> None:
    assert [line for line in requirements() if "://" in line or " @ " in line] == []
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [name for name in tracked.splitlines() if name.endswith((".lock", "pip.conf"))] == []


def test_every_requirement_is_pinned_to_a_version_it_allows() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.+!]+", line)] == []
    pinned = {
        canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)
    }
    wanted = [Requirement(line) for line in requirements()]
    assert [str(each) for each in wanted if canonicalize_name(each.name) not in pinned] == []
    assert [str(each) for each in wanted if pinned[canonicalize_name(each.name)] not in each.specifier] == []


def requirements() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [
        *project["dependencies"],
        *(line for lines in project["optional-dependencies"].values() for line in lines),
    ]
