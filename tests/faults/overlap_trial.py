"""A process that runs an overlapped run over a source that takes its time: `python -m tests.faults.overlap_trial FOLDER SECONDS`.

`MIGRATOR_KILL_AT` kills it at a boundary, whoever sent the signal at a moment. SECONDS are those of each page.
"""

from __future__ import annotations

import sys

import pytest

from migrator.cli.main import run_app
from tests.overlap_kit import SlowSource, wrap


def main() -> int:
    """Run it; the exit code is the command's."""
    folder, seconds = sys.argv[1], float(sys.argv[2])
    with pytest.MonkeyPatch.context() as patch:
        wrap(patch, lambda source: SlowSource(source, lambda *_: seconds))
        return run_app(["-C", folder, "run", "--skip-validate", "--overlap"])


if __name__ == "__main__":
    sys.exit(main())
