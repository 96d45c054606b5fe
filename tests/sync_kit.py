"""What tests of the sync's commands share: a project of two SQLite databases, and rows of the ledger put there by hand."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from migrator.commands.project import Project, load_project, open_workspace
from migrator.staging import sync_tables as t

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
MAPPING = """
mapping: contact
target: {system: new, object: person, key: legacy_id}
source: {system: old, object: contact, drop: {version: ours, changed: ours}}
fields:
  name: {from: name, pii: name, review: {status: agreed, by: Li}}
  phone: {from: phone, pii: phone}
  stage: {from: stage, values: {Hot: open, Warm: open, Won: won}}
  boss: {from: boss_id, lookup: contact}
sync:
  direction: both
  key: new_id
  policy: {default: old_wins, phone: new_wins, stage: hold}
  delete: propagate
"""
OLD = "id TEXT PRIMARY KEY DEFAULT (lower(hex(randomblob(8)))), name TEXT, phone TEXT, stage TEXT, boss_id TEXT, new_id TEXT UNIQUE"
NEW = "id INTEGER PRIMARY KEY, legacy_id TEXT UNIQUE, name TEXT, phone TEXT, stage TEXT, boss TEXT"
TABLES = """
CREATE TABLE {name} ({columns}, version INTEGER NOT NULL DEFAULT 1, changed TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
CREATE TRIGGER {name}_v AFTER UPDATE ON {name} WHEN NEW.version = OLD.version
  BEGIN UPDATE {name} SET version = OLD.version + 1, changed = CURRENT_TIMESTAMP WHERE id = OLD.id; END;
CREATE TABLE gone (object_name TEXT, id TEXT, version TEXT, deleted_at TEXT);
CREATE TRIGGER {name}_d AFTER DELETE ON {name}
  BEGIN INSERT INTO gone VALUES ('{name}', OLD.id, OLD.version + 1, CURRENT_TIMESTAMP); END;
CREATE TABLE migrator_marker (name TEXT, value TEXT);
"""
SYNC = "sync: {version: version, stamp: changed, delete_log: gone, marker: migrator_marker}"


def write_project(folder: Path, sync: str = "", mapping: str = MAPPING) -> Project:
    """A project whose two systems are empty databases."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mappings").mkdir(exist_ok=True)
    (folder / "mappings" / "contact.yaml").write_text(mapping, encoding="utf-8")
    (folder / "migration.yaml").write_text(
        f"project: demo\nsystems:\n  old: {{connector: sql, url: 'sqlite:///old.db', {SYNC}}}\n"
        f"  new: {{connector: sql, url: 'sqlite:///new.db', {SYNC}}}\nengine: {{threads: 1}}\n{sync}",
        encoding="utf-8",
    )
    for file, name, columns in (("old.db", "contact", OLD), ("new.db", "person", NEW)):
        with sqlite3.connect(folder / file) as connection:
            connection.executescript(TABLES.format(name=name, columns=columns))
        connection.close()
    return load_project(folder)


def do(path: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """What a user of a database does."""
    with sqlite3.connect(path) as connection:
        found = connection.execute(sql, values).fetchall()
    connection.close()
    return found


def put(project: Project, **rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows of the sync's tables, by the name of the table in `sync_tables`."""
    with open_workspace(project) as workspace, workspace.ledger.begin() as connection:
        for name, found in rows.items():
            connection.execute(getattr(t, name).insert(), [dict(row) for row in found])


def rows_of(project: Project, name: str) -> list[dict[str, Any]]:
    """All rows of a table of the sync."""
    with open_workspace(project) as workspace, workspace.ledger.read() as connection:
        return [dict(row._mapping) for row in connection.execute(getattr(t, name).select())]


def conflict(number: int, **more: Any) -> dict[str, Any]:
    """An open conflict of the field `stage`."""
    members = {
        "members": [
            {"side": "old", "stream": "contact/old", "id": f"c{number}", "version": "2", "values": {"stage": "Hot"},
             "bases": {"stage": "Won"}},
            {"side": "new", "stream": "contact", "id": str(number), "version": "3", "values": {"stage": "lost"},
             "bases": {"stage": "won"}},
        ]
    }  # fmt: skip
    row = {
        "number": number, "mapping": "contact", "grp": number, "field": "stage", "digest": f"d{number}", "verdict": "held",
        "policy": "hold", "reason": "conflict", "members": json.dumps(members), "state": "open",
        "at": NOW - timedelta(hours=number), "run": "r", "winner": "", "who": "", "note": "", "resolved_at": None,
    }  # fmt: skip
    return row | more
