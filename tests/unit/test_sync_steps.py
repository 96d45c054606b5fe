"""Every hold, brake and failure of the sync has a verb: kinds are read from the code itself, so that a new one cannot be forgotten."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from migrator.cli.main import app
from migrator.commands import sync_steps as steps
from migrator.commands.sync_steps import ASKED, CODE_STEPS, HOLD_STEPS, NEEDS_A_PERSON, code_step, hold_step
from migrator.sync import awaited, batch, decide, guard, keyed, life, returning, run

WITHOUT_HOLD = {"against-direction", "converted", "link", "resolved"}
"""Reasons that hold nothing: a log row, the end of a link, a link that waits for its record, a decision."""


def text(module: object) -> str:
    return Path(str(module.__file__)).read_text(encoding="utf-8")  # type: ignore[attr-defined]


def kinds() -> set[str]:
    whole = "".join(text(module) for module in (decide, life, returning, awaited))
    found = set(re.findall(r'reason="([a-z-]+)"', whole))
    found |= set(re.findall(r'_blocked\(\s*[a-z.]+, f?"([a-z-]+)', whole))
    found |= {"drift", returning.UNDELETE, returning.ERASED}
    return found - WITHOUT_HOLD


def test_every_kind_of_hold_in_the_code_has_a_step() -> None:
    assert len(kinds()) > 12
    assert kinds() - HOLD_STEPS.keys() == set()
    assert HOLD_STEPS.keys() - kinds() == set()


def test_every_code_that_the_sync_itself_gives_has_a_step() -> None:
    given = set(re.findall(r'_later\(\s*batch, key, "([a-z-]+)"', text(batch)))
    given |= set(re.findall(r'code, message = "([a-z-]+)"', text(keyed)))
    given |= set(re.findall(r'again_later\(work, key, before, "([a-z-]+)"', text(run)))
    assert len(given) >= 5
    assert given - CODE_STEPS.keys() == set()
    assert code_step("FIELD_CUSTOM_VALIDATION_EXCEPTION") == steps.OTHER_CODE


def test_every_brake_has_a_step() -> None:
    assert set(re.findall(r'Brake\("([a-z-]+)"', text(guard))) == {
        "deletes",
        "mass-change",
        "empty",
        "shrinking",
    }


def test_what_needs_a_person_can_be_answered_by_one() -> None:
    for kind in ASKED | NEEDS_A_PERSON:
        assert "resolve" in hold_step(kind) or "migrator erase" in hold_step(kind)


@pytest.mark.parametrize("step", sorted({*HOLD_STEPS.values(), *CODE_STEPS.values(), steps.OTHER_CODE}))
def test_commands_that_are_named_exist(step: str) -> None:
    import typer

    root = typer.main.get_command(app)
    for words in re.findall(r"migrator ([a-z]+(?: [a-z]+)*)", step):
        command = root
        for word in words.split():
            below = getattr(command, "commands", {})
            if word not in below:
                break
            command = below[word]
        assert not getattr(command, "commands", None) or words.startswith("erase"), words
