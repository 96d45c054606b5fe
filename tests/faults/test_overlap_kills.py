"""An overlapped run killed with SIGKILL, or stopped by a person, while it reads and loads at once; then the same command again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.demo_project import ROOT
from tests.faults.crash_project import CrashProject
from tests.overlap_kit import write_drawn

SEED = 3
POINTS = (
    "staged.part-committed#3", "load.batch-answered#1", "staged.completed#4", "crosswalk.completing#1", "links.completed#1",
    "mapped.part-written#2", "plan.completed#1", "outcomes.completed#2", "rejects.part-committed#5", "sql.merged#3",
)  # fmt: skip
"""Of the extract and of the load, while the other is at work."""
SHORT = POINTS[:2]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> CrashProject:
    here = write_drawn(tmp_path_factory.mktemp("plain"), SEED)
    here.run("run", "--skip-validate")
    return here


def begun(folder: Path, seconds: float = 0.7, kill: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.overlap_trial", str(folder), str(seconds)], cwd=ROOT, text=True,
        env={**os.environ, "MIGRATOR_KILL_AT": kill}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def assert_ends_well(here: CrashProject, undisturbed: CrashProject, *more: str) -> None:
    here.run("run", "--skip-validate", *more)
    expected = undisturbed.state()
    for what, found in here.state().items():
        assert found == expected[what], what


@pytest.mark.parametrize(
    "point", [pytest.param(point, marks=[] if point in SHORT else [pytest.mark.kill]) for point in POINTS]
)
def test_killed_at_a_boundary_of_either_side(tmp_path: Path, undisturbed: CrashProject, point: str) -> None:
    here = write_drawn(tmp_path / "project", SEED)
    with begun(here.folder, kill=point) as process:
        _, err = process.communicate(timeout=240)
    assert process.returncode == -signal.SIGKILL, err
    # the next one overlaps, or does not: both must go on from what is there
    assert_ends_well(here, undisturbed, *(["--overlap"] if POINTS.index(point) % 2 else []))


@pytest.mark.kill
@pytest.mark.parametrize("seed", range(12))
def test_killed_at_any_moment(tmp_path: Path, undisturbed: CrashProject, seed: int) -> None:
    here = write_drawn(tmp_path / "project", SEED)
    chance = random.Random(seed)
    for _ in range(2):
        with begun(here.folder) as process:
            time.sleep(chance.uniform(1.5, 10))
            process.kill()
            process.communicate(timeout=60)
    assert_ends_well(here, undisturbed, "--overlap")


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_person_stops_it_and_both_sides_end_at_once(
    tmp_path: Path, undisturbed: CrashProject, sent: signal.Signals, code: int
) -> None:
    here = write_drawn(tmp_path / "project", SEED)
    with begun(here.folder, seconds=3.0) as process:
        give_up = time.monotonic() + 120
        while not (
            here.folder / "crm.db"
        ).exists():  # the first stage is being loaded: the source has more to read
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < give_up
            time.sleep(0.1)
        process.send_signal(sent)
        began = time.monotonic()
        _, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    assert time.monotonic() - began < 30
    assert "run the same command again" in err
    assert_ends_well(here, undisturbed, "--overlap")
