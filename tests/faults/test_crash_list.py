"""The list of places to be killed at is read from the source, so that a new one cannot be forgotten."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from migrator.staging.store import Kind
from tests.faults import crash_matrix
from tests.faults.crash_matrix import ELSEWHERE, Matrix, Trial, missed, second_kills, sites, table
from tests.faults.crash_project import Stage


def test_every_boundary_in_the_source_is_found_and_its_names_are_known() -> None:
    found = {site.pattern for site in sites()}
    assert {
        r"[a-z]+\.part\-committed",
        r"[a-z]+\.batch\-answered",
        r"rollback\.unlinked",
        r"sql\.merged",
    } <= found
    for name in ELSEWHERE:
        assert any(re.fullmatch(pattern, name) for pattern in found), f"{name} is nowhere in the source"
    assert all(kind.value.isalpha() for kind in Kind), (
        "a kind that the pattern of its boundaries would not match"
    )


def test_a_boundary_nobody_was_killed_at_is_told_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "migrator").mkdir()
    (tmp_path / "migrator" / "new.py").write_text(
        'def f(kind):\n    boundary(f"{kind}.half")\n    boundary("new.one")\n'
    )
    monkeypatch.setattr(crash_matrix, "ROOT", tmp_path)
    assert missed({"staged.half"}) == [r"migrator/new.py:3: new\.one"]
    (tmp_path / "migrator" / "new.py").write_text("def f(name):\n    boundary(name)\n")
    with pytest.raises(AssertionError, match="cannot be read: name"):
        sites()


def test_what_only_a_run_after_a_kill_passes_is_killed_too() -> None:
    undisturbed = Matrix(Path())
    undisturbed.passed = {stage: Counter({"a.one": 2}) for stage in Stage}
    first = Trial(Stage.FIRST, (("a.one", 1),), way_back=False)
    again = second_kills(undisturbed, [(first, {"a.one": 1, "b.two": 2})])
    assert [trial.kills for trial in again] == [(("a.one", 1), ("b.two", 1)), (("a.one", 1), ("b.two", 2))]
    assert table([first, *again]).splitlines()[-1].split() == ["in", "all", "3", "3", "0", "0", "0"]
