"""Records a second and peak memory of the Dynamics reader, each size in a process of its own: `python tests/bench/bench_dynamics.py [SCALE]`.

Memory must not grow with the data: SCALE (records in all, both systems) and a quarter of it are measured.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from connectors.dynamics_export import DynamicsExport
from migrator.testing.synthetic import generate


def read(path: Path) -> None:
    """Read every object of an export and print what it took."""
    source = DynamicsExport(path)
    start = time.process_time()
    source.count("contact")
    rows = 0
    print(f"{'index':16} {'':>10} {time.process_time() - start:6.2f} s")
    for schema in source.describe():
        start = time.process_time()
        count = sum(page.rows.num_rows for page in source.read(schema.name))
        seconds = time.process_time() - start
        rows += count
        print(f"{schema.name:16} {count:>10,} {seconds:6.2f} s {count / max(seconds, 1e-6):>12,.0f} rows/s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'in all':16} {rows:>10,} peak {peak:,.0f} MiB")


def main(scale: int) -> None:
    """Generate a quarter and the whole, and read each in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        for size in (scale // 4, scale):
            path = Path(folder) / str(size)
            start = time.monotonic()
            generate(path, scale=size)
            print(f"\nscale {size:,}: generated in {time.monotonic() - start:.1f} s")
            command = [sys.executable, __file__, "--read", str(path / "dynamics" / "export.zip")]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        read(Path(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 600_000)
