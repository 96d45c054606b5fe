"""Extract killed at every boundary its own code names, then run again, ends as if nothing had happened."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from migrator.extract import gather
from migrator.staging.ledger import open_ledger
from migrator.staging.store import Kind, Store
from tests.faults import extract_once

SCRIPT = Path(extract_once.__file__)


def extract(folder: Path, **environment: str) -> int:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder)], env=os.environ | environment, capture_output=True, check=False
    )  # fmt: skip
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode


def state(folder: Path) -> dict[str, Any]:
    """All that is left of an extract, but for ids and times."""
    with closing(open_ledger(f"sqlite:///{folder / 'ledger.db'}")) as ledger:
        store = Store(folder / "staging", ledger, extract_once.depot(folder, ledger))
        found: dict[str, Any] = {}
        for kind in (Kind.STAGED, Kind.REJECTS):
            dataset = store.need(kind, "old/Order", made_by="extract")
            rows = [pq.read_table(path) for path in dataset.files]
            found[kind.value] = (pa.concat_tables(rows).to_pylist(), dataset.detail, dataset.fingerprint)
        vouched = {path for kind in Kind for name in store.names(kind) for path in _files(store, kind, name)}
        on_disk = set(store.root.rglob("*.parquet"))
        found["nobody vouches for"] = on_disk - vouched
        if (folder / "shared").exists():
            there = {
                folder / "staging" / path.relative_to(folder / "shared")
                for path in (folder / "shared").rglob("*.parquet")
            }
            found["in the shared place"] = (there - vouched, vouched - there)
    found["files"] = sorted(path.name for path in (folder / "files").rglob("*") if path.is_file())
    return found


def _files(store: Store, kind: Kind, name: str) -> list[Path]:
    dataset = store.current(kind, name)
    return [part.path for part in dataset.parts] if dataset else []


@pytest.mark.kill
@pytest.mark.parametrize("shared", [False, True], ids=["here", "shared"])
def test_killed_anywhere_and_run_again_it_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    def project(name: str) -> Path:
        folder = tmp_path / name
        (folder / "shared" if shared else folder).mkdir(parents=True)
        return folder

    monkeypatch.setattr(gather, "PART_ROWS", extract_once.PART_ROWS)
    trace = tmp_path / "trace"
    assert extract(project("undisturbed"), MIGRATOR_TRACE_BOUNDARIES=str(trace)) == 0
    expected = state(tmp_path / "undisturbed")
    assert len(expected["staged"][0]) == 7
    assert expected["staged"][1]["superseded_keys"] == ["a"]
    boundaries = Counter(trace.read_text().split())
    assert ("depot.put" in boundaries) is shared
    assert {"staged.part-committed", "staged.part-replaced", "staged.completing", "files.kept"} <= set(
        boundaries
    )
    for number, name in enumerate(sorted(boundaries)):
        # First and last passing: what lies between is the same code in the same state.
        for times in {1, boundaries[name]}:
            folder = project(f"killed {number} {times}")
            assert extract(folder, MIGRATOR_KILL_AT=f"{name}#{times}") == -signal.SIGKILL, name
            if shared:  # another machine goes on
                shutil.rmtree(folder / "staging", ignore_errors=True)
            extract_once.main(folder)
            assert state(folder) == expected, f"killed at {name}#{times}"
