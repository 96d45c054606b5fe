"""One step of a bench as a process of its own: its time, CPU and peak memory, what it put on disk, and how far it is.

The command line tells its progress as lines of JSON (`--log-format json`); a line a half minute says what of it is left.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

SAMPLED = 2.0
"""Seconds between two looks at the disk; shorter spikes are not seen."""
TOLD = 30.0
"""Seconds between two lines about what is left."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one step took."""

    step: str
    rows: int
    seconds: float
    cpu: float
    """User and system, of the process and the children it waited for, and of the database server beside it."""
    peak: int
    """Bytes of memory at most."""
    disk: int
    """Bytes below the folder when it had ended."""
    most_disk: int
    """Bytes below the folder at most, spills included."""
    most_spill: int
    """Bytes of spills at most."""
    server: float = 0.0
    """CPU seconds that are the database server's."""


@dataclass(slots=True)
class Telling:
    """What the step's own lines say: of which object how many rows are done."""

    step: str
    expected: float
    """Seconds that it took a smaller size, times the rows; 0 when there was none."""
    began: float = field(default_factory=time.perf_counter)
    object: str = ""
    total: int = 0
    done: int = 0
    since: float = 0.0
    other: deque[str] = field(default_factory=lambda: deque(maxlen=20))
    """Lines that are no events: what went wrong."""

    def hear(self, stream: IO[str]) -> None:
        """Read the step's lines to their end."""
        for line in stream:
            try:
                event: dict[str, Any] = json.loads(line)
            except ValueError:
                self.other.append(line)
                continue
            match event.get("event"):
                case "step.started":
                    self.object, self.done, self.since = event["object"], 0, time.perf_counter()
                    self.total = int(event["counts"].get("total", 0))
                case "step.advanced":
                    self.done = int(event["counts"]["done"])
                case "step.finished":
                    self.done = self.total = 0
                case "error":
                    self.other.append(f"{event['message']}\n")

    def tell(self) -> str:
        """A line for a person who waits."""
        now = time.perf_counter()
        words = [f"    {self.step} {now - self.began:,.0f} s"]
        if self.object:
            words.append(self.object)
        if self.done:
            rate = self.done / max(now - self.since, 1e-9)
            words.append(f"{self.done:,} rows, {rate:,.0f}/s")
            if self.total > self.done:
                words.append(f"{(self.total - self.done) / rate:,.0f} s left of it")
        if self.expected:
            words.append(f"{max(self.expected - (now - self.began), 0):,.0f} s left as the size before went")
        return " · ".join(words)


def run(
    step: str,
    command: Sequence[str],
    rows: int,
    folder: Path,
    *,
    expected: float = 0.0,
    accept: Sequence[int] = (0,),
    server: int | None = None,
) -> Cost:
    """Run it, look at the disk meanwhile; ends this process when it ends with another code than `accept`.

    `server` is the process of the database server, which is no child of the step: what it and its own children take
    meanwhile is part of the step's CPU.
    """
    telling = Telling(step, expected)
    served = tree_cpu(server) if server else 0.0
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    listener = threading.Thread(target=telling.hear, args=(child.stderr,), daemon=True)
    listener.start()
    most_disk = most_spill = 0
    looked = told = time.perf_counter()
    try:
        while True:
            pid, status, used = os.wait4(child.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(0.1)
            now = time.perf_counter()
            if now - looked >= SAMPLED:
                looked = now
                most_disk, most_spill = max(most_disk, size(folder)), max(most_spill, _spilled(folder))
            if now - told >= TOLD:
                told = now
                print(telling.tell(), file=sys.stderr, flush=True)
    except BaseException:  # interrupted: a step that goes on would hold the project against the next attempt
        child.kill()
        child.wait()
        raise
    seconds = time.perf_counter() - telling.began
    listener.join()
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in accept:
        sys.stderr.writelines(telling.other)
        sys.exit(f"{step} ended with {child.returncode}")
    disk = size(folder)
    served = tree_cpu(server) - served if server else 0.0
    cpu = used.ru_utime + used.ru_stime + served
    return Cost(
        step, rows, seconds, cpu, used.ru_maxrss * 1024, disk, max(disk, most_disk), most_spill, served
    )


def tree_cpu(pid: int) -> float:
    """CPU seconds of a process and all below it, those that have ended and were waited for included (proc(5), stat)."""
    while True:
        try:
            return sum(_ticks(item) for item in _tree(pid)) / os.sysconf("SC_CLK_TCK")
        except (
            FileNotFoundError,
            ProcessLookupError,
        ):  # a child ended meanwhile: what it took is its parent's now
            continue


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path("/proc", str(pid), "task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _tree(int(child))


def _ticks(pid: int) -> int:
    # behind the name, which may hold anything: fields 14 to 17 are user, system, and those of children waited for
    fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15]))


def size(folder: Path) -> int:
    """Bytes of all files below a folder, as they lie on disk; files that go meanwhile do not matter."""
    found = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                found += Path(place, name).lstat().st_blocks * 512
            except OSError:
                continue
    return found


def _spilled(folder: Path) -> int:
    return size(folder / ".migrator" / "spill")
