"""Independent clients, each in an environment of its own: made once in a cache folder, never in ours, never shipped."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

import pytest


class UnavailableError(Exception):
    """The packages cannot be had here."""


def environment(name: str, *requirements: str) -> Path:
    """The Python of an environment that holds these packages; raises `UnavailableError` when they cannot be had."""
    digest = hashlib.sha256(repr((requirements, sys.version_info[:2])).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "crm-migrator" / "peers" / f"{name}-{digest}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *requirements]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode:
            raise UnavailableError(f"{name} cannot be installed here: {done.stderr.strip()[-200:]}")
        (folder / "ready").touch()
    return python


def peer(name: str, *requirements: str) -> Path:
    """As `environment`; skips the test when the packages cannot be had."""
    try:
        return environment(name, *requirements)
    except UnavailableError as error:
        pytest.skip(str(error))


def speak(python: Path, script: str, *arguments: str, trusted: Path | None = None) -> Sequence[str]:
    """What a script of a peer prints, line by line; fails with what it says on its way down."""
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONUTF8": "1", "HOME": str(python.parent)}
    if trusted:
        environment["REQUESTS_CA_BUNDLE"] = str(trusted)
    done = subprocess.run(
        [str(python), "-c", script, *arguments],
        capture_output=True, text=True, check=False, timeout=120, env=environment, cwd=python.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()
