"""Binary members that no row names any more, removed: what belonged to records that were taken out of every dataset."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from migrator.staging.engine import Session, quote
from migrator.staging.store import Kind, Store

PREFIX = "sha256:"
"""How rows name a member; its file is called by the hash."""
_NAMING = frozenset({Kind.STAGED, Kind.MAPPED, Kind.GOLDEN, Kind.PLAN, Kind.OUTBOUND})


def remove_orphans(store: Store, session: Session, folder: Path) -> int:
    """Delete the members under `folder` that no row of any dataset names; returns how many went."""
    files = {path.name: path for path in folder.glob("*/*") if path.is_file()} if folder.is_dir() else {}
    if not files:
        return 0
    for name in _named(store, session):
        files.pop(name, None)
    for path in files.values():
        with suppress(FileNotFoundError):
            path.unlink()
    return len(files)


def _named(store: Store, session: Session) -> set[str]:
    found: set[str] = set()
    for dataset in store.all():
        if dataset.kind not in _NAMING or not dataset.files:
            continue
        schema = dataset.schema()
        view = f"members:{dataset.id}"
        session.view(view, dataset.files, schema)
        for field in schema:
            if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
                column = quote(field.name)
                sql = f"SELECT DISTINCT {column} AS v FROM {quote(view)} WHERE starts_with({column}, '{PREFIX}')"
                found.update(text.removeprefix(PREFIX) for text in session.fetch(sql).column("v").to_pylist())
    return found
