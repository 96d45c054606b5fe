"""Rows a second of the SQL target and source against the bare bulk ways: `python tests/bench/bench_sql.py [ROWS]`."""

from __future__ import annotations

import io
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pyarrow as pa
from pyarrow import csv

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from connectors.sql.settings import parse
from connectors.sql.source import SqlSource
from connectors.sql.target import SqlTarget
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from tests.postgres import running_server

BATCH = 10_000
CONTACT = ObjectSchema(
    "contact",
    "legacy_id",
    (
        FieldSchema("legacy_id", FieldType.ID, length=40),
        FieldSchema("first_name", FieldType.STRING, length=80),
        FieldSchema("last_name", FieldType.STRING, length=80),
        FieldSchema("email", FieldType.STRING, length=120),
        FieldSchema("city", FieldType.STRING, length=80),
        FieldSchema("visits", FieldType.INTEGER),
        FieldSchema("revenue", FieldType.DECIMAL, precision=18, scale=2),
        FieldSchema("active", FieldType.BOOLEAN),
        FieldSchema("born", FieldType.DATE),
        FieldSchema("seen", FieldType.DATETIME),
    ),
)
COLUMNS = ", ".join(CONTACT.field_names)
SETS = ", ".join(f"{name} = excluded.{name}" for name in CONTACT.field_names[1:])


def batches(rows: int) -> Iterator[pa.Table]:
    """Contacts in batches, the same at every call."""
    for start in range(0, rows, BATCH):
        numbers = range(start, min(start + BATCH, rows))
        yield pa.table(
            {
                "legacy_id": [f"legacy:{n:015d}" for n in numbers],
                "first_name": [f"名{n}" for n in numbers],
                "last_name": [f"Name, {n}" for n in numbers],
                "email": [f"person{n}@example.org" for n in numbers],
                "city": ["Zürich" if n % 3 else None for n in numbers],
                "visits": pa.array(numbers, pa.int64()),
                "revenue": pa.array([Decimal(n * 7) / 100 for n in numbers], pa.decimal128(18, 2)),
                "active": [n % 2 == 0 for n in numbers],
                "born": [date(1950, 1, 1) + timedelta(days=n % 20_000) for n in numbers],
                "seen": pa.array(
                    [datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=n) for n in numbers],
                    pa.timestamp("us", tz="UTC"),
                ),
            }
        )


def timed(work: Callable[[], None]) -> float:
    """CPU and wall of a shared machine differ: this is wall."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def upsert_all(target: SqlTarget, data: list[pa.Table]) -> None:
    """All batches through the target."""
    for batch in data:
        target.upsert("contact", batch, key="legacy_id")


def bare_sqlite(path: Path, data: Iterable[list[tuple[object, ...]]]) -> None:
    """executemany of ready rows, one transaction a batch, the same table."""
    connection = sqlite3.connect(path, isolation_level=None)
    marks = ", ".join("?" * len(CONTACT.fields))
    for rows in data:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            f"INSERT INTO contact ({COLUMNS}) VALUES ({marks}) ON CONFLICT (legacy_id) DO UPDATE SET {SETS}",
            rows,
        )
        connection.execute("COMMIT")
    connection.close()


def plain_rows(data: list[pa.Table]) -> Iterator[list[tuple[object, ...]]]:
    """Arrow rows as anybody would hand them to executemany."""
    for batch in data:
        columns = (
            [
                value if value is None or isinstance(value, (str, int, bool)) else str(value)
                for value in column.to_pylist()
            ]
            for column in batch.columns
        )
        yield list(zip(*columns, strict=True))


def _path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def bare_postgres(url: str, data: list[pa.Table]) -> None:
    """COPY of Arrow's CSV into a temporary table and one merge, one transaction a batch, the same table."""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        for batch in data:
            with connection.cursor() as cursor:
                cursor.execute(
                    f"CREATE TEMP TABLE incoming ON COMMIT DROP AS SELECT {COLUMNS} FROM contact WITH NO DATA"
                )
                buffer = io.BytesIO()
                csv.write_csv(batch, buffer, csv.WriteOptions(include_header=False))
                with cursor.copy(f"COPY incoming ({COLUMNS}) FROM STDIN (FORMAT csv)") as copy:
                    copy.write(buffer.getvalue())
                cursor.execute(
                    f"INSERT INTO contact ({COLUMNS}) SELECT {COLUMNS} FROM incoming "
                    f"ON CONFLICT (legacy_id) DO UPDATE SET {SETS}"
                )
            connection.commit()


def measure(name: str, fresh: Callable[[], str], bare: Callable[[str], None], data: list[pa.Table]) -> None:
    """One database: bare against ours, alternating, best of three; then again unchanged, then read."""
    rows = sum(batch.num_rows for batch in data)
    bare_times, our_times = [], []
    for _ in range(3):
        url = fresh()
        empty = SqlTarget(parse({"url": url}))
        empty.prepare([CONTACT])
        empty.close()
        bare_times.append(timed(lambda url=url: bare(url)))
        url = fresh()
        target = SqlTarget(parse({"url": url}))
        target.prepare([CONTACT])
        our_times.append(timed(lambda target=target: upsert_all(target, data)))
        last = target
    again = timed(lambda: upsert_all(last, data))
    read = timed(lambda: [page.num_rows for page in last.read("contact")] and None)
    last.close()
    source = SqlSource(parse({"url": url}))
    source_read = timed(lambda: [page.rows.num_rows for page in source.read("contact")] and None)
    source.close()
    ratio = min(bare_times) / min(our_times)
    print(
        f"{name:9} bare {rows / min(bare_times):>9,.0f} rows/s   upsert {rows / min(our_times):>9,.0f}   ratio {ratio:.2f}"
    )
    print(
        f"{'':9} again, unchanged {rows / again:>9,.0f}   target.read {rows / read:>9,.0f}   source.read {rows / source_read:>9,.0f}"
    )


def main(rows: int) -> None:
    """Both databases."""
    from connectors.sql.writing_sqlite import storable

    data = list(batches(rows))
    ready = [list(zip(*(storable(column) for column in batch.columns), strict=True)) for batch in data]
    with tempfile.TemporaryDirectory() as folder:
        numbers = iter(range(100))
        fresh_file = lambda: f"sqlite:///{folder}/{next(numbers)}.db"  # noqa: E731
        measure("SQLite", fresh_file, lambda url: bare_sqlite(_path(url), ready), data)
        print(
            "          (bare: rows that stand ready as Python tuples; now from Arrow, by to_pylist and str)"
        )
        measure("SQLite", fresh_file, lambda url: bare_sqlite(_path(url), plain_rows(data)), data)
    with running_server() as server:
        opened = []

        def fresh() -> str:
            context = server.database()
            opened.append(context)
            return context.__enter__()

        measure("Postgres", fresh, lambda url: bare_postgres(url, data), data)
        for context in opened:
            context.__exit__(None, None, None)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 100_000)
