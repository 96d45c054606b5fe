"""Load speed beside the database's own bulk path: `python -m tests.bench.bench_load [--contacts N] [--only sqlite]`.

A million synthetic contacts and 200,000 accounts are extracted, mapped, deduplicated and planned once. Then `migrator
load` writes them into an empty SQLite file and an empty PostgreSQL database, each beside the same rows written by the
database's own way, into the same tables, in the same transactions: executemany for SQLite, COPY into a temporary table
and one merge for PostgreSQL. The bare side gets its rows ready made, and its time is that of writing alone.
"""

from __future__ import annotations

import argparse
import csv
import io
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import sqlalchemy as sa
import yaml

from tests.bench.main_job import make_project, run_step
from tests.postgres import running_server

BATCH = 10_000
WANTED = 0.8


def main() -> None:
    """Measure and print; ends with 1 when a ratio falls short."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=1_000_000)
    parser.add_argument("--only", choices=("sqlite", "postgres"))
    parser.add_argument("--folder", type=Path, help="a planned project of an earlier run is used again")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="migrator-bench-") as temporary:
        project = (arguments.folder or Path(temporary)) / "project"
        if not project.exists():
            make_project(project, arguments.contacts, arguments.contacts // 5)
            for step in ("extract", "map", "dedupe", "plan"):
                run_step(project, step, 1)
        ratios = []
        if arguments.only != "postgres":
            ratios.append(_sqlite(_copy(project, Path(temporary) / "sqlite")))
        if arguments.only != "sqlite":
            with running_server() as server, server.database() as ours, server.database() as bare:
                ratios.append(_postgres(_copy(project, Path(temporary) / "postgres"), ours, bare))
    sys.exit(0 if min(ratios) >= WANTED else 1)


def _copy(project: Path, folder: Path) -> Path:
    return Path(shutil.copytree(project, folder))


def _load(project: Path) -> float:
    cost = run_step(project, "load", 1)
    print(f"    load: {cost.seconds:.1f} s, {cost.cpu:.1f} CPU s, {cost.peak >> 20:,} MiB")
    return cost.seconds


def _sqlite(project: Path) -> float:
    print("SQLite")
    ours = project / "new.db"
    seconds = _load(_target(project, f"sqlite:///{ours}"))
    loaded = sqlite3.connect(ours)
    bare = sqlite3.connect(project / "bare.db", isolation_level=None)
    bare.execute("PRAGMA foreign_keys = ON")
    for (ddl,) in loaded.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"):
        bare.execute(ddl)
    rows, taken, done = 0, 0.0, set[str]()
    links: list[tuple[str, str]] = []
    for table in _tables(loaded):
        later = {column for column, to in _references(loaded, table) if to not in done}
        names = [row[1] for row in loaded.execute(f'PRAGMA table_info("{table}")')]
        first = ", ".join(f'NULL AS "{name}"' if name in later else f'"{name}"' for name in names)
        insert = f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(names))})'
        for batch in _batches(loaded.execute(f'SELECT {first} FROM "{table}"')):
            taken += _written(bare, insert, batch)
            rows += len(batch)
        links += [(table, column) for column in sorted(later)]
        done.add(table)
    for table, column in links:
        key = next(row[1] for row in loaded.execute(f'PRAGMA table_info("{table}")') if row[5])
        query = f'SELECT "{column}", "{key}" FROM "{table}" WHERE "{column}" IS NOT NULL'
        for batch in _batches(loaded.execute(query)):
            taken += _written(bare, f'UPDATE "{table}" SET "{column}" = ? WHERE "{key}" = ?', batch)
    return _said(rows, seconds, taken, "executemany")


def _written(bare: sqlite3.Connection, statement: str, batch: list[tuple[object, ...]]) -> float:
    started = time.perf_counter()
    bare.execute("BEGIN IMMEDIATE")
    bare.executemany(statement, batch)
    bare.execute("COMMIT")
    return time.perf_counter() - started


def _references(loaded: sqlite3.Connection, table: str) -> list[tuple[str, str]]:
    return [(row[3], row[2]) for row in loaded.execute(f'PRAGMA foreign_key_list("{table}")')]


def _tables(loaded: sqlite3.Connection) -> list[str]:
    """In the order in which they were made: parents first."""
    return [name for (name,) in loaded.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid")]  # fmt: skip


def _batches(cursor: sqlite3.Cursor) -> Iterator[list[tuple[object, ...]]]:
    while batch := cursor.fetchmany(BATCH):
        yield batch


def _postgres(project: Path, ours: str, bare: str) -> float:
    print("PostgreSQL")
    seconds = _load(_target(project, ours))
    rows, taken = 0, 0.0
    with psycopg.connect(_dsn(ours)) as loaded, psycopg.connect(_dsn(bare)) as empty:
        metadata = _same_tables(ours, bare)
        links, done = [], set[str]()
        for table in metadata.sorted_tables:
            later = {item.parent.name for item in table.foreign_keys if item.column.table.name not in done}
            names = [column.name for column in table.columns]
            first = ", ".join(f'NULL AS "{name}"' if name in later else f'"{name}"' for name in names)
            for batch in _pages(loaded, f'SELECT {first} FROM "{table.name}"'):
                taken += _merged(empty, table.name, names, batch, "INSERT")
                rows += len(batch)
            links += [(table, name) for name in sorted(later)]
            done.add(table.name)
        for table, name in links:
            key = next(iter(table.primary_key)).name
            query = f'SELECT "{key}", "{name}" FROM "{table.name}" WHERE "{name}" IS NOT NULL'
            for batch in _pages(loaded, query):
                taken += _merged(empty, table.name, [key, name], batch, "UPDATE")
    return _said(rows, seconds, taken, "COPY + merge")


def _same_tables(ours: str, bare: str) -> sa.MetaData:
    """The tables of one database with the same keys and indexes in another."""
    metadata = sa.MetaData()
    metadata.reflect(sa.create_engine(ours))
    metadata.create_all(sa.create_engine(bare))
    return metadata


def _pages(loaded: psycopg.Connection, query: str) -> Iterator[list[tuple[object, ...]]]:
    with loaded.cursor("rows") as cursor:
        cursor.execute(query)
        while batch := cursor.fetchmany(BATCH):
            yield batch


def _csv(batch: list[tuple[object, ...]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows(batch)
    return text.getvalue().encode()


def _merged(
    connection: psycopg.Connection, table: str, names: list[str], batch: list[tuple[object, ...]], verb: str
) -> float:
    listed = ", ".join(f'"{name}"' for name in names)
    ready = _csv(batch)
    started = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute(
            f'CREATE TEMP TABLE incoming ON COMMIT DROP AS SELECT {listed} FROM "{table}" WITH NO DATA'
        )
        with cursor.copy(f"COPY incoming ({listed}) FROM STDIN (FORMAT csv)") as copy:
            copy.write(ready)
        if verb == "INSERT":
            cursor.execute(f'INSERT INTO "{table}" ({listed}) SELECT {listed} FROM incoming ON CONFLICT DO NOTHING')  # fmt: skip
        else:
            key, column = names
            cursor.execute(f'UPDATE "{table}" t SET "{column}" = i."{column}" FROM incoming i WHERE t."{key}" = i."{key}"')  # fmt: skip
    connection.commit()
    return time.perf_counter() - started


def _dsn(url: str) -> str:
    return url.replace("+psycopg", "")


def _target(project: Path, url: str) -> Path:
    """The project with another database as its new system."""
    path = project / "migration.yaml"
    settings = yaml.safe_load(path.read_text("utf-8"))
    settings["systems"]["crm"]["url"] = url
    path.write_text(yaml.safe_dump(settings), "utf-8")
    return project


def _said(rows: int, ours: float, bare: float, what: str) -> float:
    ratio = bare / ours
    print(f"    {what}: {bare:.1f} s")
    print(f"    {rows:,} rows: {rows / ours:,.0f} rows/s beside {rows / bare:,.0f}: {ratio:.2f} x (at least {WANTED} wanted)")  # fmt: skip
    return ratio


if __name__ == "__main__":
    main()
