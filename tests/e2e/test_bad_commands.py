"""Commands given too early, or with names and paths that are none: told with what to do, and nothing is begun."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.small_migration import assert_told, copied, migrator, staged_data

EARLY: Mapping[str, tuple[str, str]] = {
    "map": ("there is no staged data for", "migrator extract"),
    "dedupe": ("there is no mapped data for", "migrator map"),
    "plan": ("there is no mapped data for", "migrator map"),
    "load": ("there is no mapped data for", "migrator map"),
    "validate": ("there is no table", "the load makes it"),
    "explain contact/salesforce:003000000000001AAA": ("there is no mapped data for", "migrator map"),
}
"""Command on a project that has not moved anything → what is missing, and what makes it."""
WRONG: Mapping[str, tuple[str, ...]] = {
    "explain nonsense": ("nonsense: this names no record", "OBJECT/ID"),
    "explain kontakt/1": ("there is no object 'kontakt'", "did you mean 'contact'?"),
    "explain contact/nobody": ("contact/nobody: there is no such record", "contact/salesforce:003000000000001AAA"),
    "map --object kontakt": ("there is no mapping 'kontakt'", "did you mean 'contact'?"),
    "map show-sql kontakt": ("there is no mapping 'kontakt'", "did you mean 'contact'?"),
    "extract --object shop/Ordr": ("no mapping reads 'shop/Ordr'", "did you mean 'shop/Order'?"),
    "profile --object x": ("'x' is not staged", "shop/Order"),
    "quarantine list --object x": ("there is no mapping 'x'", "account, contact, order"),
    "quarantine retry --object x": ("there is no mapping 'x'", "account, contact, order"),
    "quarantine list --limit 0": ("--limit",),
    "rum": ("No such command",),
    "demo {}": ("this is a project, but no demo", "choose another folder"),
    "init {} --source {}/exports/salesforce": ("there is a project here already", "choose another folder"),
    "init {}/new --source {}/nowhere": ("--source: there is no ", "name an export"),
    "init {}/new --source {}/cut.zip": ("is no whole zip file", "download or copy it again"),
    "init {}/new --source {}/empty": ("--source: nothing here can read", "installed connectors"),
    "init {}/new --source {}/exports/salesforce --target nix": ("new/migration.yaml:4:3: the url cannot be read", "dialect://"),
    "init {}/migration.yaml/new --source {}/exports/salesforce": ("cannot write in", "must be writable"),
}  # fmt: skip
"""Arguments on a finished project → what is said; {} is its folder."""


@pytest.mark.parametrize("command", EARLY)
def test_a_command_given_too_early_says_which_comes_first(
    command: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(small, tmp_path / "project")
    assert_told(migrator(folder, capsys, *command.split()), 3, *EARLY[command])
    assert staged_data(folder) == []


@pytest.mark.parametrize("command", WRONG)
def test_a_wrong_argument_is_told_and_begins_nothing(
    command: str, small_done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(small_done, tmp_path / "project")
    (folder / "empty").mkdir()
    (folder / "cut.zip").write_bytes((folder / "exports/dynamics.zip").read_bytes()[:300])
    said = migrator(folder, capsys, *command.replace("{}", str(folder)).split())
    assert_told(said, 3 if "cannot write in" in WRONG[command] else 2, *WRONG[command])
    assert staged_data(folder) == staged_data(small_done)
    assert not (folder / "new" / "migration.yaml").exists()
