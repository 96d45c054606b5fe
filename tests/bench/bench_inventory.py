"""Seconds and peak memory of a scan of large trees, each in a process of its own: `python -m tests.bench.bench_inventory [OBJECTS]`.

A tree of 150 objects with 60 fields each holds some ten thousand files in source form. A scan must take less than a
minute and 500 MiB, the whole command with its ledger and workbook included, and its count must close; else it ends with 1.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from migrator.testing.synthetic.metadata import Extent, package, sfdx, solution, write_tree, write_zipped

MOST_SECONDS, MOST_MIB = 60.0, 500.0
PROJECT = "systems:\n  new: {connector: sql, url: 'sqlite:///new.db'}\n"


def scan(project: Path, tree: Path) -> bool:
    """Scan a tree in a project, export its register, and print what it took; False past the limits."""
    from migrator.commands.inventory import scan_functions
    from migrator.commands.inventory_workbook import export_register
    from migrator.commands.project import load_project

    opened = load_project(project)
    began, cpu = time.monotonic(), time.process_time()
    found = scan_functions(opened, str(tree))
    seconds, used = time.monotonic() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    account = found.account
    print(
        f"{tree.name:12} {account.files:>8,} files {found.components:>8,} components {seconds:6.1f} s ({used:.1f} s CPU)"
        f" peak {peak:,.0f} MiB, {'closes' if account.closes else 'DOES NOT CLOSE'}"
    )
    began = time.monotonic()
    export_register(opened, project / "register.xlsx")
    whole = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{'':12} register read and written as a workbook in {time.monotonic() - began:.1f} s, peak {whole:,.0f} MiB"
    )
    return account.closes and seconds < MOST_SECONDS and peak < MOST_MIB


def main(objects: int) -> int:
    """Make the trees and scan each in a fresh process."""
    extent = Extent(objects=objects, fields=60, classes=6 * objects, profiles=20)
    ended = 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        trees = [
            write_tree(root / "sfdx", sfdx(extent)), write_tree(root / "package", package(extent)),
            write_zipped(root / "solution.zip", solution(Extent(objects=3 * objects, fields=60, classes=6 * objects))),
        ]  # fmt: skip
        for number, tree in enumerate(trees):
            project = root / f"project{number}"
            project.mkdir()
            (project / "migration.yaml").write_text(PROJECT, encoding="utf-8")
            command = [sys.executable, "-m", "tests.bench.bench_inventory", "--scan", str(project), str(tree)]
            ended |= subprocess.run(command, check=False).returncode
    return ended


if __name__ == "__main__":
    if sys.argv[1:2] == ["--scan"]:
        sys.exit(0 if scan(Path(sys.argv[2]), Path(sys.argv[3])) else 1)
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 150))
