"""`python -m tests.corruption --rows 1000000`: a million clean rows without an alarm, then every planted fault named."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.corruption.proof import compare, prove
from tests.corruption.world import make_world


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--each", type=int, default=10, help="records damaged by each fault")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        started = time.monotonic()
        world = make_world(Path(name), arguments.rows)
        _say(f"{arguments.rows:,} records made and loaded in {time.monotonic() - started:.0f} s")
        started = time.monotonic()
        clean, found = compare(world)
        _say(
            f"clean: {clean.expected:,} compared, {len(found)} false alarms, {time.monotonic() - started:.0f} s"
        )
        started = time.monotonic()
        proof = prove(world, arguments.each)
        _say(proof.table())
        _say(f"planted, read back and reconciled in {time.monotonic() - started:.0f} s")
    for finding in sorted(proof.missed | proof.false_alarms)[:20]:
        _say(f"? {finding}")
    return int(bool(found or proof.missed or proof.false_alarms))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
