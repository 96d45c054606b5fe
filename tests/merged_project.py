"""A project whose duplicates have children of every sort, for tests of merging and of taking merges back."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from migrator.commands import steps
from migrator.commands.project import Project, load_project

MIGRATION = """\
project: merged
systems:
  old: {connector: files, path: exports}
  crm: {connector: sql, url: "sqlite:///crm.db"}
engine: {memory_limit: 300MB, threads: 1}
batch_rows: 2
"""
ACCOUNT = """\
mapping: account
target: {system: crm, object: account, key: legacy_id}
source: {system: old, object: Account, key: Id}
fields:
  legacy_id: {record_id: true}
  name: {from: Name, type: string(80)}
  tax: {from: Tax, type: string(20)}
  email: {from: Email, type: string(80), unique: true, pii: email}
  city: {from: City, type: string(40)}
  changed: {from: Changed, type: date}
  parent: {from: Parent, lookup: account, defer: true, missing: "null"}
dedupe:
  keys: {tax: {tax: exact}}
  recency: changed
"""
CONTACT = """\
mapping: contact
target: {system: crm, object: contact, key: legacy_id}
source: {system: old, object: Contact, key: Id}
fields:
  legacy_id: {record_id: true}
  name: {from: Name, type: string(80)}
  account: {from: AccountId, lookup: account}
"""
NOTE = """\
mapping: note
target: {system: crm, object: note, key: legacy_id}
source: {system: old, object: Note, key: Id}
fields:
  legacy_id: {record_id: true}
  text: {from: Text, type: text}
  about: {from: About, lookup: [account, contact]}
"""
ACCOUNTS = [
    {"Id": "A1", "Name": "Acme", "Tax": "T1", "Email": "one@acme.cn", "City": "", "Changed": "2026-01-01", "Parent": "A4"},
    {"Id": "A2", "Name": "Acme Ltd", "Tax": "T1", "Email": "two@acme.cn", "City": "上海", "Changed": "2026-01-02", "Parent": ""},
    {"Id": "A3", "Name": "ACME", "Tax": "T1", "Email": "", "City": "Ulm", "Changed": "2025-01-01", "Parent": "A2"},
    {"Id": "A4", "Name": "Holding", "Tax": "T4", "Email": "h@h.cn", "City": "Köln", "Changed": "2025-01-01", "Parent": ""},
    {"Id": "A5", "Name": "Child of 3", "Tax": "T5", "Email": "", "City": "", "Changed": "2025-01-01", "Parent": "A3"},
]  # fmt: skip
CONTACTS = [
    {"Id": f"C{n}", "Name": f"王 {n}", "AccountId": account}
    for n, account in enumerate(["A1", "A2", "A3", "A4"])
]
NOTES = [
    {"Id": f"N{n}", "Text": f"line 1\nline '{n}'", "About": about}
    for n, about in enumerate(["A1", "A2", "A3", "C2", ""])
]
Tables = Mapping[str, list[dict[str, str]]]
ALL: Tables = {"Account": ACCOUNTS, "Contact": CONTACTS, "Note": NOTES}


def write_exports(folder: Path, tables: Tables) -> None:
    """The source, as CSV files."""
    for name, rows in tables.items():
        path = folder / "exports" / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(ALL[name][0]))
            writer.writeheader()
            writer.writerows(rows)


def make_project(folder: Path, tables: Tables = ALL, *, merge: bool = True) -> Project:
    """The project in a folder; without `merge` nothing is looked for."""
    write_exports(folder, tables)
    account = ACCOUNT if merge else ACCOUNT.partition("dedupe:")[0]
    for name, text in {
        "migration.yaml": MIGRATION, "mappings/account.yaml": account, "mappings/contact.yaml": CONTACT,
        "mappings/note.yaml": NOTE,
    }.items():  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return load_project(folder)


def run(folder: Path, tables: Tables = ALL, *, merge: bool = True) -> Project:
    """A project that was run whole."""
    project = make_project(folder, tables, merge=merge)
    steps.run(project)
    return project


def target(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Table → external key → row, links as the external keys they lead to: the target but for its own ids."""
    connection = sqlite3.connect(folder / "crm.db")
    connection.row_factory = sqlite3.Row
    try:
        tables = {
            name: [dict(row) for row in connection.execute(f'SELECT * FROM "{name}"')]
            for name in ("account", "contact", "note")
        }
    finally:
        connection.close()
    own = _own_id(tables["account"][0])
    keys = {row[own]: row["legacy_id"] for rows in tables.values() for row in rows} if own else {}
    return {
        name: {
            row["legacy_id"]: {
                field: keys.get(value, value) if field in ("parent", "account", "about") else value
                for field, value in row.items()
                if field != own
            }
            for row in rows
        }
        for name, rows in tables.items()
    }


def _own_id(row: Mapping[str, Any]) -> str:
    return next((name for name in row if name in ("id", "_id")), "")


def change_target(folder: Path, sql: str) -> None:
    """Somebody edits the target."""
    connection = sqlite3.connect(folder / "crm.db")
    with connection:
        connection.execute(sql)
    connection.close()
