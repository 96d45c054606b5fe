"""`python -m migrator.testing.synthetic DIR --scale N --seed S`: write legacy exports with known truth."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from migrator.testing.synthetic import DEMO_SCALE, SEED, generate


def main() -> None:
    """Parse the arguments, write the exports, say what was written."""
    parser = argparse.ArgumentParser(prog="python -m migrator.testing.synthetic", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--scale", type=int, default=DEMO_SCALE, help="records in all, about (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="same seed, same bytes (default %(default)s)")
    arguments = parser.parse_args()
    truth = generate(arguments.folder, scale=arguments.scale, seed=arguments.seed)
    for name, item in truth.objects.items():
        sys.stdout.write(
            f"{name:28} {item.records:>12,} records {item.rows:>12,} rows {len(item.bad):>8,} bad values\n"
        )
    sys.stdout.write(f"{'in all':28} {truth.records:>12,} records in {arguments.folder}\n")


if __name__ == "__main__":
    main()
