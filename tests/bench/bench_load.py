"""Load speed beside the database's own bulk path: `python -m tests.bench.bench_load [--contacts N] [--only sqlite]`.

A million synthetic contacts and 200,000 accounts are extracted, mapped, deduplicated and planned once. Then `migrator
load` writes them into an empty SQLite file and an empty PostgreSQL database. Beside it, in the same run, the same rows
go by the database's own way into the same tables in the same transactions: executemany for SQLite, COPY into a temporary
table and one merge for PostgreSQL; links to rows of a later table are set and indexes built afterwards. The bare side
reads the rows from Parquet, as a load does, and turns them into what its way takes; how much of that is writing alone is
told too. A load also starts the program, resolves links, and puts on record what was there and what became of each row.
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
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
import yaml

from connectors.sql.settings import parse
from connectors.sql.target import SqlTarget
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
    made = [sql for (sql,) in loaded.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid")]  # fmt: skip
    indexes = [ddl for ddl in made if ddl.startswith("CREATE INDEX")]
    for ddl in made:
        if ddl not in indexes:
            bare.execute(ddl)
    spent, done = Spent(), set[str]()
    links: list[tuple[str, str, Path]] = []
    for table in _tables(loaded):
        file = _exported(f"sqlite:///{ours}", table, project)
        later = {column for column, to in _references(loaded, table) if to not in done}
        names = pq.read_schema(file).names
        insert = f'INSERT INTO "{table}" ({_listed(names)}) VALUES ({", ".join("?" * len(names))})'
        for rows in spent.rows(file, names, later):
            _written(bare, insert, rows, spent)
            spent.count += len(rows)
        links += [(table, column, file) for column in sorted(later)]
        done.add(table)
    for table, column, file in links:
        key = next(row[1] for row in loaded.execute(f'PRAGMA table_info("{table}")') if row[5])
        update = f'UPDATE "{table}" SET "{column}" = ? WHERE "{key}" = ?'
        for rows in spent.rows(file, [column, key], set()):
            _written(bare, update, [row for row in rows if row[0] is not None], spent)
    for ddl in indexes:
        with spent.on_writing():
            bare.execute(ddl)
    return _said(seconds, spent, "executemany")


@dataclass
class Spent:
    """Rows and seconds of the bare side."""

    count: int = 0
    reading: float = 0.0
    writing: float = 0.0

    @contextmanager
    def on_writing(self) -> Iterator[None]:
        """Seconds of writing."""
        started = time.perf_counter()
        yield
        self.writing += time.perf_counter() - started

    def rows(self, file: Path, names: list[str], empty: set[str]) -> Iterator[list[tuple[object, ...]]]:
        """Rows of a Parquet file as tuples, as anybody would hand them to a driver; the columns `empty` as null."""
        started = time.perf_counter()
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(BATCH, columns=names):
                columns = [
                    [None] * len(batch) if name in empty else _plain(batch.column(name)) for name in names
                ]
                made = list(zip(*columns, strict=True))
                self.reading += time.perf_counter() - started
                yield made
                started = time.perf_counter()


def _plain(column: pa.Array) -> list[object]:
    values: list[object] = column.to_pylist()
    simple = (
        pa.types.is_string(column.type)
        or pa.types.is_integer(column.type)
        or pa.types.is_boolean(column.type)
    )
    return values if simple else [value if value is None else str(value) for value in values]


def _exported(url: str, table: str, folder: Path) -> Path:
    """A loaded table as a Parquet file of typed columns; not timed."""
    file = folder / f"{table}.parquet"
    target = SqlTarget(parse({"url": url}))
    writer = None
    for page in target.read(table, page_rows=50_000):
        writer = writer or pq.ParquetWriter(file, page.schema, compression="zstd")
        writer.write_table(page)
    assert writer is not None
    writer.close()
    target.close()
    return file


def _listed(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _written(bare: sqlite3.Connection, statement: str, batch: list[tuple[object, ...]], spent: Spent) -> None:
    with spent.on_writing():
        bare.execute("BEGIN IMMEDIATE")
        bare.executemany(statement, batch)
        bare.execute("COMMIT")


def _references(loaded: sqlite3.Connection, table: str) -> list[tuple[str, str]]:
    return [(row[3], row[2]) for row in loaded.execute(f'PRAGMA foreign_key_list("{table}")')]


def _tables(loaded: sqlite3.Connection) -> list[str]:
    """In the order in which they were made: parents first."""
    return [name for (name,) in loaded.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid")]  # fmt: skip


def _postgres(project: Path, ours: str, bare: str) -> float:
    print("PostgreSQL")
    seconds = _load(_target(project, ours))
    spent, done = Spent(), set[str]()
    links: list[tuple[sa.Table, str, Path]] = []
    with psycopg.connect(_dsn(bare)) as empty:
        tables, indexes = _same_tables(ours, bare)
        for table in tables.sorted_tables:
            file = _exported(ours, table.name, project)
            later = {item.parent.name for item in table.foreign_keys if item.column.table.name not in done}
            names = pq.read_schema(file).names
            for rows in spent.rows(file, names, later):
                _merged(empty, table.name, names, rows, spent)
                spent.count += len(rows)
            links += [(table, name, file) for name in sorted(later)]
            done.add(table.name)
        for table, name, file in links:
            key = next(iter(table.primary_key)).name
            for rows in spent.rows(file, [key, name], set()):
                _merged(empty, table.name, [key, name], [row for row in rows if row[1] is not None], spent)
    with spent.on_writing(), sa.create_engine(bare).begin() as connection:
        for index in indexes:
            index.create(connection)
        for key in (key for table in tables.sorted_tables for key in table.foreign_key_constraints):
            connection.execute(sa.schema.AddConstraint(key))
    return _said(seconds, spent, "COPY + merge")


def _same_tables(ours: str, bare: str) -> tuple[sa.MetaData, list[sa.Index]]:
    """The tables of one database made in another with their primary keys; indexes and foreign keys are yet to be."""
    metadata = sa.MetaData()
    metadata.reflect(sa.create_engine(ours))
    indexes = [index for table in metadata.tables.values() for index in table.indexes]
    for table in metadata.tables.values():
        table.indexes.clear()
    with sa.create_engine(bare).begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(sa.schema.CreateTable(table, include_foreign_key_constraints=[]))
    return metadata, indexes


def _csv(batch: list[tuple[object, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(batch)
    return text.getvalue().encode()


def _merged(
    connection: psycopg.Connection,
    table: str,
    names: list[str],
    batch: list[tuple[object, ...]],
    spent: Spent,
) -> None:
    """Insert whole rows, or with a key and one more column set that column."""
    started = time.perf_counter()
    ready = _csv(batch)
    spent.reading += time.perf_counter() - started
    started = time.perf_counter()
    listed = _listed(names)
    with connection.cursor() as cursor:
        cursor.execute(
            f'CREATE TEMP TABLE incoming ON COMMIT DROP AS SELECT {listed} FROM "{table}" WITH NO DATA'
        )
        with cursor.copy(f"COPY incoming ({listed}) FROM STDIN (FORMAT csv)") as copy:
            copy.write(ready)
        if len(names) > 2:
            cursor.execute(
                f'INSERT INTO "{table}" ({listed}) SELECT {listed} FROM incoming ON CONFLICT DO NOTHING'
            )
        else:
            key, column = names
            cursor.execute(
                f'UPDATE "{table}" t SET "{column}" = i."{column}" FROM incoming i WHERE t."{key}" = i."{key}"'
            )
    connection.commit()
    spent.writing += time.perf_counter() - started


def _dsn(url: str) -> str:
    return url.replace("+psycopg", "")


def _target(project: Path, url: str) -> Path:
    """The project with another database as its new system."""
    path = project / "migration.yaml"
    settings = yaml.safe_load(path.read_text("utf-8"))
    settings["systems"]["crm"]["url"] = url
    path.write_text(yaml.safe_dump(settings), "utf-8")
    return project


def _said(ours: float, bare: Spent, what: str) -> float:
    whole = bare.reading + bare.writing
    print(f"    {what}: {whole:.1f} s, of them {bare.writing:.1f} s writing alone")
    print(
        f"    {bare.count:,} rows: {bare.count / ours:,.0f} rows/s beside {bare.count / whole:,.0f}:"
        f" {whole / ours:.2f} x (at least {WANTED} wanted); {bare.writing / ours:.2f} x of writing alone"
    )
    return whole / ours


if __name__ == "__main__":
    main()
