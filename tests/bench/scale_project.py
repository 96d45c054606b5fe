"""The project that `bench_scale` measures: contacts, a third as many accounts and a third as many activities of a Salesforce export.

`python -m tests.bench.scale_project FOLDER ROWS URL MEMORY MATCHING` makes it, as a process of its own. The mappings are those
of the demo, cut to what this export holds.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

from migrator.testing.synthetic import generate_benchmark
from tests.bench.main_job import MAPPINGS

OBJECTS = ("account", "contact", "activity")
BATCH_ROWS = 10_000


def rows_in_all(contacts: int) -> int:
    """Contacts, accounts and activities."""
    return contacts + 2 * (contacts // 3)


def make(folder: Path, contacts: int, url: str, memory: str, matching: str) -> None:
    """Exports, settings, mappings and value maps; `matching` is 'keys' or 'model'."""
    third = contacts // 3
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    generate_benchmark(folder / "exports", contacts=contacts, accounts=third, activities=third)
    settings = yaml.safe_load((MAPPINGS / "migration.yaml").read_text("utf-8"))
    del settings["systems"]["dynamics"]
    settings["systems"]["crm"]["url"] = url
    settings |= {"engine": {"memory_limit": memory}, "batch_rows": BATCH_ROWS}
    _write(folder / "migration.yaml", settings)
    shutil.copytree(MAPPINGS / "values", folder / "values")
    (folder / "mappings").mkdir()
    for name in OBJECTS:
        mapping = yaml.safe_load((MAPPINGS / "mappings" / f"{name}.yaml").read_text("utf-8"))
        _write(folder / "mappings" / f"{name}.yaml", _cut(name, mapping, matching))


def _cut(name: str, mapping: dict[str, Any], matching: str) -> dict[str, Any]:
    """A mapping of the demo without its second source, and without the objects that this export does not hold."""
    del mapping["sources"]["dynamics"]
    mapping.pop("tests", None)
    mapping["fields"]["owner"] = {"type": "string(18)"}
    if name == "activity":
        source = mapping["sources"]["salesforce"]["fields"]
        source["about"] = {"from": "WhatId", "lookup": ["account"]}
        for unused in ("outgoing", "caller", "called"):
            del source[unused], mapping["fields"][unused]
        return mapping
    mapping["dedupe"]["trust"] = ["salesforce"]
    if name == "contact" and matching == "model":
        mapping["dedupe"]["model"] = "auto"
    return mapping


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), "utf-8")


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:6])
