"""`python -m migrator.testing.simulation`; what it does is in `command.py`, which other processes can import."""

from __future__ import annotations

from migrator.testing.simulation.command import main

if __name__ == "__main__":
    raise SystemExit(main())
