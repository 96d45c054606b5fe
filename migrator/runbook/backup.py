"""A copy of what the tool itself knows: ledger and staging, read back before it counts as one."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from migrator.commands.project import open_workspace
from migrator.core.errors import DataError, FatalError
from migrator.core.fingerprint import file_fingerprint
from migrator.runbook.doing import Place
from migrator.runbook.execute import Outcome


def back_up(place: Place, _: Sequence[str]) -> Outcome:
    """Copy ledger and staging beside them, and compare the copy; raises `FatalError` for a ledger on a server."""
    project = place.project
    ledger = sa.make_url(project.ledger_url)
    if ledger.get_backend_name() != "sqlite":
        raise FatalError(
            "a ledger on a database server is backed up with that server's own tools",
            hint="make this step `manual`, with pg_dump, and ask for the file",
        )
    with open_workspace(project) as workspace:
        for dataset in workspace.store.all():
            dataset.depot.bring(dataset.parts)
    folder = project.workspace / "backups" / f"{place.clock.now():%Y%m%dT%H%M%S%f}"
    try:
        folder.mkdir(parents=True)
        rows = _copy_ledger(Path(str(ledger.database)), folder / "ledger.db")
        files, size = _copy_staging(project.workspace / "staging", folder / "staging")
    except (OSError, sqlite3.Error) as error:
        raise FatalError(f"cannot back up into {folder}: {error}", hint="is the disk full?") from error
    document = {
        "folder": str(folder), "ledger": file_fingerprint(folder / "ledger.db"), "ledger_rows": rows, "files": files,
        "bytes": size,
    }  # fmt: skip
    return Outcome({"backup.done": True}, document)


def _copy_ledger(source: Path, to: Path) -> int:
    """SQLite's own online copy, read back whole; returns the rows of all tables."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(to)) as new:
        old.backup(new)
        (found,) = new.execute("PRAGMA integrity_check").fetchone()
        if found != "ok":
            raise DataError(f"the copy of the ledger is damaged: {found}", hint="take it again")
        tables = [name for (name,) in new.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return sum(int(new.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]) for name in tables)


def _copy_staging(source: Path, to: Path) -> tuple[int, int]:
    """Staged files never change once they are complete: a link is as good as a copy, where both are on one disk."""
    files = size = 0
    for path in sorted(source.rglob("*.parquet")):
        target = to / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, target)
        except OSError:
            shutil.copyfile(path, target)
        if target.stat().st_size != path.stat().st_size:
            raise DataError(f"the copy of {path} is shorter than it", hint="take the backup again")
        files, size = files + 1, size + target.stat().st_size
    return files, size
