"""Disks that fill up and commands that are stopped, anywhere in a run: told, and the next run ends as an undisturbed one."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

import migrator.core.boundary as boundaries
from tests.small_migration import (
    State,
    assert_told,
    copied,
    migrator,
    replace_in,
    state,
    target_rows,
)

FULL = "disk"
FREE = (0, 200, 450, 700, 1000, 1300)
"""KiB left on the disk when the run begins, which needs about 1500: it ends in the ledger, in extract, map, plan or load."""
STOPS = {
    "staged.part-committed": signal.SIGTERM,
    "mapped.completed": signal.SIGINT,
    "outcomes.part-committed": signal.SIGTERM,
}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 16 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here, so none can be filled: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def filled(disk: Path, free: int) -> Iterator[None]:
    """The disk full but for `free` KiB."""
    room = os.statvfs(disk)
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(max(room.f_bavail * room.f_frsize - free * 1024, 0)))
    try:
        yield
    finally:
        ballast.unlink()


@pytest.mark.kill
def test_a_project_on_a_full_disk_is_told_and_goes_on(
    small: Path, undisturbed: State, disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for free in FREE:
        folder = copied(small, disk / f"with {free}")
        with filled(disk, free):
            said = migrator(folder, capsys, "run", "--skip-validate")
        assert_told(said, 3, FULL)
        assert not list(folder.rglob("*.writing")), "a file that is not whole was kept"
        _goes_on(folder, undisturbed, capsys)


@pytest.mark.parametrize("free", [0, 8, 40])
def test_a_target_on_a_full_disk_keeps_whole_batches_and_goes_on(
    free: int, small: Path, undisturbed: State, disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, target = copied(small, tmp_path / "project"), disk / "crm.db"
    replace_in(folder / "migration.yaml", {"sqlite:///crm.db": f"sqlite:///{target}"})
    with filled(disk, free):
        said = migrator(folder, capsys, "run", "--skip-validate")
    assert_told(said, 3, FULL)
    again = migrator(folder, capsys, "run", "--skip-validate")
    assert again.code == 0, again
    assert target_rows(target) == undisturbed.target


@pytest.mark.parametrize("limit", [0, 100, 300])
def test_files_that_may_not_grow_are_told_and_the_run_goes_on(
    limit: int, small: Path, undisturbed: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A quota as any user can set it: no file may be larger than `limit` KiB."""
    folder = copied(small, tmp_path / "project")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit * 1024, hard))
    try:
        said = migrator(folder, capsys, "run", "--skip-validate")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_told(said, 3, FULL)
    _goes_on(folder, undisturbed, capsys)


@pytest.mark.parametrize("where", STOPS)
def test_a_command_that_is_stopped_says_so_and_goes_on(
    where: str, small: Path, undisturbed: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, number = copied(small, tmp_path / "project"), STOPS[where]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(boundaries, "_NAME", where)
        patched.setattr(boundaries, "_passed", boundaries.Counter())
        patched.setattr(boundaries, "signal", SimpleNamespace(SIGKILL=number))
        said = migrator(folder, capsys, "run", "--skip-validate")
    assert said.code == 128 + number, said
    assert "stopped; run the same command again" in said.err
    _goes_on(folder, undisturbed, capsys)


def _goes_on(folder: Path, undisturbed: State, capsys: pytest.CaptureFixture[str]) -> None:
    again = migrator(folder, capsys, "run", "--skip-validate")
    assert again.code == 0, again
    assert state(folder, capsys) == undisturbed
