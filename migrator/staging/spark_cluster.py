"""The Spark that a project names: whether it can be had here, how it is started, and under which settings."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

from migrator.core.errors import FatalError, Location, Problem
from migrator.staging.dialects.settings import SETTINGS
from migrator.staging.engine import EngineSettings

LEAST_JAVA = 17
_JAVA_HINT = (
    f"install Java {LEAST_JAVA} or later (Debian: apt-get install openjdk-17-jre-headless) or set JAVA_HOME;"
    " without it, engine: duckdb does the same on one machine"
)
_PACKAGE_HINT = "pip install 'crm-migrator[spark]'; without it, engine: duckdb does the same on one machine"
_QUIET = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "OFF",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.compression.codec": "zstd",
}
"""What a project's own `conf` may say otherwise."""
_STARTED: list[tuple[Mapping[str, str], Any]] = []
"""The one Spark of this process, under the settings it was started with."""


def problems(settings: EngineSettings, place: Location) -> list[Problem]:
    """What this machine, or the project's `conf`, lacks to run on Spark; nothing when it can be tried."""
    found = []
    if find_spec("pyspark") is None:
        found.append(Problem(place, "engine: spark needs PySpark, which is not installed", _PACKAGE_HINT))
    version = java_version()
    if version is None:
        found.append(Problem(place, "engine: spark needs Java, and there is none", _JAVA_HINT))
    elif version < LEAST_JAVA:
        found.append(Problem(place, f"engine: spark needs Java {LEAST_JAVA}, not {version}", _JAVA_HINT))
    found += [
        Problem(place, f"spark.conf sets {name}, on which it depends that rows are the same", "take it out")
        for name in settings.conf
        if name in SETTINGS
    ]
    return found


def java_version() -> int | None:
    """The major version of the Java that Spark would find, or None when there is none."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if java is None:
        return None
    try:
        told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=30)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    written = re.search(r'version "(\d+)(?:\.(\d+))?', told.stderr + told.stdout)
    if written is None:
        return None
    return int(written[2] or 0) if written[1] == "1" else int(written[1])


def connected(settings: EngineSettings) -> Any:
    """A fresh Spark session, with views of its own, on the cluster that the settings name; started when it is not yet.

    Raises `FatalError` where the cluster does not answer. Ask for `problems` first.
    """
    wanted = _wanted(settings)
    if _STARTED and _STARTED[0][0] != wanted:
        stop()
    if not _STARTED:
        _STARTED.append((wanted, _start(wanted)))
        atexit.register(stop)
    return _STARTED[0][1].newSession()


def stop() -> None:
    """Let go of the cluster."""
    atexit.unregister(stop)
    while _STARTED:
        _, session = _STARTED.pop()
        session.stop()


def _wanted(settings: EngineSettings) -> dict[str, str]:
    cores = str(settings.threads) if settings.threads else "*"
    master = settings.master or f"local[{cores}]"
    ours = {"spark.app.name": "crm-migrator", "spark.master": master, **_QUIET}
    if master.startswith("local"):
        ours |= {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    return {**ours, **settings.conf, **SETTINGS}


def _start(wanted: Mapping[str, str]) -> Any:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    with _signals_kept(), _hushed(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PySpark warns of the pandas that it finds
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession

        builder = SparkSession.builder
        for name, value in wanted.items():
            builder = builder.config(name, value)
        try:
            return builder.getOrCreate()
        except (Py4JError, PySparkException, OSError) as error:
            raise FatalError(
                f"Spark does not start on {wanted['spark.master']}: {root_cause(error)}",
                hint="is the master reachable, and are spark.master and spark.conf in migration.yaml right?",
            ) from error


@contextmanager
def _hushed() -> Iterator[None]:
    """Java and Spark's launcher talk while they start, before any setting of a log is read; only then nobody listens."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """PySpark takes Ctrl-C for itself; ours ends a step in order."""
    if current_thread() is not main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        with suppress(TypeError):  # a handler that was not set by Python
            signal.signal(signal.SIGINT, before)


def root_cause(error: Exception) -> str:
    """The first line of what was at the bottom of it."""
    cause = getattr(error, "java_exception", None)
    while cause is not None and cause.getCause() is not None:
        cause = cause.getCause()
    return str(cause.toString() if cause is not None else error).strip().partition("\n")[0]
