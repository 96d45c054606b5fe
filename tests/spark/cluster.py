"""A real Spark cluster on loopback: a master and workers as processes, from the PyPI package and the machine's Java."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE = 120.0
"""Seconds that anything may take on a busy machine."""


@dataclass
class Cluster:
    """The processes, and how to ask them."""

    folder: Path
    port: int
    web: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def master(self) -> str:
        """As a session names it."""
        return f"spark://127.0.0.1:{self.port}"

    def start(self, name: str, *arguments: str) -> None:
        """A daemon in a process group of its own, with what it starts."""
        import pyspark

        home = Path(pyspark.__file__).parent
        environment = os.environ | {
            "SPARK_HOME": str(home), "SPARK_DAEMON_MEMORY": "256m", "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(self.folder / "local"), "PYSPARK_PYTHON": sys.executable,
        }  # fmt: skip
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [str(home / "bin" / "spark-class"), *arguments],
                env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def worker(self, name: str) -> None:
        """A worker with one core, for one executor."""
        self.start(
            name, "org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1", "--cores", "1", "--memory", "1g",
            "--webui-port", "0", "--work-dir", str(self.folder / name), self.master,
        )  # fmt: skip

    def kill(self, name: str) -> None:
        """As if the machine had lost its power: the worker and its executor."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)

    def workers(self, state: str) -> int:
        """Workers that the master sees in a state."""
        seen = asked(f"http://127.0.0.1:{self.web}/json/") or {"workers": []}
        return sum(item["state"] == state for item in seen["workers"])


def asked(url: str) -> Any:
    """The JSON that a daemon answers; None while it does not."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
            return json.loads(answer.read())
    except (urllib.error.URLError, OSError, ValueError):
        return None


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for something that must come."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """A master and the workers 'one' and 'two'; all of it is gone afterwards."""
    folder.mkdir()
    cluster = Cluster(folder, free_port(), free_port())
    try:
        cluster.start(
            "master", "org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", str(cluster.port),
            "--webui-port", str(cluster.web),
        )  # fmt: skip
        cluster.worker("one")
        cluster.worker("two")
        until(lambda: cluster.workers("ALIVE") == 2, "two workers")
        yield cluster
    finally:
        for name in list(cluster.processes):
            cluster.kill(name)
