"""The SQL source delivers what stands in the database, to the last digit, on SQLite and PostgreSQL."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

from connectors.sql import recognise
from connectors.sql.settings import parse
from connectors.sql.source import SqlSource
from migrator.core.connector import Page
from migrator.core.errors import FatalError, ProjectError
from migrator.core.schema import FieldType


@contextmanager
def opened(url: str, **settings: object) -> Iterator[SqlSource]:
    source = SqlSource(parse({"url": url, **settings}))
    try:
        yield source
    finally:
        source.close()


def run(url: str, *statements: str) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def rows(pages: Iterator[Page]) -> list[dict[str, object]]:
    return [row for page in pages for row in page.rows.to_pylist()]


def numbers(url: str, count: int) -> None:
    run(url, "CREATE TABLE n (id INTEGER PRIMARY KEY, t VARCHAR(5))")
    run(url, *(f"INSERT INTO n VALUES ({number}, 't{number}')" for number in range(count)))


def test_tables_views_keys_and_references_are_described(database_url: str) -> None:
    run(
        database_url,
        'CREATE TABLE "My Accounts" (id VARCHAR(18) PRIMARY KEY, "select" TEXT NOT NULL, amount NUMERIC(18, 2))',
        'CREATE TABLE link (a VARCHAR(18) REFERENCES "My Accounts" (id), b INTEGER, PRIMARY KEY (a, b))',
        'CREATE VIEW filtered AS SELECT * FROM "My Accounts"',
    )
    with opened(database_url) as source:
        found = {item.name: item for item in source.describe()}
    assert list(found) == ["My Accounts", "filtered", "link"]
    assert [item.type for item in found["My Accounts"].fields] == [
        FieldType.ID,
        FieldType.TEXT,
        FieldType.DECIMAL,
    ]
    assert (found["My Accounts"].fields[2].precision, found["My Accounts"].fields[2].scale) == (18, 2)
    assert found["My Accounts"].fields[1].required
    assert found["link"].key == "pk"
    assert found["link"].field("a").references == ("My Accounts",)
    assert found["filtered"].key == "pk"


def test_patterns_and_key_columns_come_from_the_settings(database_url: str) -> None:
    run(
        database_url,
        "CREATE TABLE a (id INTEGER PRIMARY KEY)",
        "CREATE TABLE b (id INTEGER PRIMARY KEY)",
        "CREATE VIEW va AS SELECT id FROM a",
    )
    with opened(database_url, tables={"include": ["*a"], "exclude": ["x*"]}, keys={"va": "id"}) as source:
        assert [(item.name, item.key) for item in source.describe()] == [("a", "id"), ("va", "id")]
    with (
        opened(database_url, keys={"va": "ix"}) as source,
        pytest.raises(ProjectError, match="known columns: id"),
    ):
        source.describe()


def test_reading_goes_on_after_any_page(database_url: str) -> None:
    numbers(database_url, 25)
    with opened(database_url) as source:
        pages = list(source.read("n", page_rows=10))
        assert [page.rows.num_rows for page in pages] == [10, 10, 5]
        assert source.count("n") == 25
        for page, rest in zip(pages, (15, 5, 0), strict=True):
            assert len(rows(source.read("n", cursor=page.cursor, page_rows=10))) == rest


def test_composite_keys_page_and_join_into_one(database_url: str) -> None:
    run(
        database_url,
        "CREATE TABLE link (a VARCHAR(9), b INTEGER, v TEXT, PRIMARY KEY (a, b))",
        *(f"INSERT INTO link VALUES ('x|{number % 3}', {number}, 'v')" for number in range(9)),
    )
    with opened(database_url) as source:
        pages = list(source.read("link", page_rows=4))
        again = rows(source.read("link", cursor=pages[0].cursor))
    keys = [key for page in pages for key in page.rows["pk"].to_pylist()]
    assert len(set(keys)) == 9
    assert keys[0] == "x\\|0|0"
    assert [row["pk"] for row in again] == keys[4:]


def test_a_view_is_streamed_in_pages_and_keyed_by_its_rows(database_url: str) -> None:
    numbers(database_url, 25)
    run(database_url, "CREATE VIEW v AS SELECT t FROM n")
    with opened(database_url) as source:
        pages = list(source.read("v", page_rows=10))
        assert source.count("v") is None
    assert [page.rows.num_rows for page in pages] == [10, 10, 5]
    assert all(page.cursor is None for page in pages)
    assert len({key for page in pages for key in page.rows["pk"].to_pylist()}) == 25


def test_an_empty_table_still_says_its_columns(database_url: str) -> None:
    numbers(database_url, 0)
    with opened(database_url) as source:
        assert [page.rows.column_names for page in source.read("n")] == [["id", "t"]]


def test_a_reader_may_stop_early(database_url: str) -> None:
    numbers(database_url, 25)
    with opened(database_url) as source:
        reading = source.read("n", page_rows=10)
        next(reading)
        reading.close()
        run(database_url, "CREATE VIEW v AS SELECT t FROM n")
        with opened(database_url) as other:
            reading = other.read("v", page_rows=10)
            next(reading)
            reading.close()
            assert other.count("n") == 25


def test_bytes_are_files_opened_by_name(database_url: str) -> None:
    kind = "BLOB" if database_url.startswith("sqlite") else "BYTEA"
    literal = "x'00ff41'" if database_url.startswith("sqlite") else "'\\x00ff41'"
    run(
        database_url,
        f"CREATE TABLE doc (id VARCHAR(9) PRIMARY KEY, body {kind})",
        f"INSERT INTO doc VALUES ('a''b', {literal}), ('none', NULL)",
        "CREATE VIEW docs AS SELECT body FROM doc WHERE body IS NOT NULL",
    )
    with opened(database_url) as source:
        assert source.describe()[0].field("body").type is FieldType.FILE
        found = rows(source.read("doc"))
        assert found[1]["body"] is None
        assert source.open_file("doc", found[0]["body"]).read() == b"\x00\xffA"
        assert rows(source.read("docs"))[0]["body"] == base64.b64encode(b"\x00\xffA").decode()


def test_a_source_cannot_be_written_to(database_url: str) -> None:
    numbers(database_url, 1)
    with opened(database_url) as source, pytest.raises(FatalError, match=r"read-?only"):  # noqa: SIM117
        with source._database.begin() as connection:
            connection.exec_driver_sql("DELETE FROM n")


def test_postgres_types_arrive_exactly(postgres_url: str) -> None:
    run(
        postgres_url,
        "CREATE TYPE mood AS ENUM ('glad', '悲')",
        """CREATE TABLE every (id UUID PRIMARY KEY, n NUMERIC(38, 10), free NUMERIC, born DATE, seen TIMESTAMPTZ,
           naive TIMESTAMP, ok BOOLEAN, tags TEXT[], doc JSONB, feel mood, fixed CHAR(5), paid MONEY, addr INET,
           big BIGINT, ratio DOUBLE PRECISION, at TIME, span INTERVAL, empty TEXT, "a{}%%b" TEXT)""",
        """INSERT INTO every VALUES ('00000000-0000-0000-0000-00000000000A', 1234567890123456789012345678.0123456789,
           0.1000, '0001-01-01', '2024-01-01 00:00:00.000001+08', '2024-01-01 02:00', true, '{a,"b,c"}',
           '{"k": 1}', '悲', 'ab', '1234.50', '10.0.0.1', -9223372036854775808, 0.1, '23:59:59.000001', '1 day', '', '{}')""",
    )
    with opened(postgres_url) as source:
        described = {item.name: item for item in source.describe()[0].fields}
        found = rows(source.read("every"))[0]
    assert described["feel"].values == ("glad", "悲")
    assert found["id"] == "00000000-0000-0000-0000-00000000000a"
    assert found["n"] == Decimal("1234567890123456789012345678.0123456789")
    assert (found["free"], found["paid"]) == ("0.1000", "1234.50")
    assert found["born"] == date(1, 1, 1)
    assert found["seen"] == datetime(2023, 12, 31, 16, 0, 0, 1, tzinfo=UTC)
    assert found["naive"] == "2024-01-01 02:00:00"
    assert found["ok"] is True
    assert json.loads(found["tags"]) == ["a", "b,c"]
    assert json.loads(found["doc"]) == {"k": 1}
    assert (found["feel"], found["fixed"], found["addr"], found["span"]) == ("悲", "ab", "10.0.0.1", "P1D")
    assert (found["big"], found["ratio"], found["empty"], found["a{}%b"]) == (-(2**63), 0.1, "", "{}")


def test_what_no_type_can_hold_is_a_reject_with_its_place(postgres_url: str) -> None:
    run(
        postgres_url,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, d DATE)",
        "INSERT INTO t VALUES (1, '2024-01-01'), (2, 'infinity'), (3, '0044-03-15 BC'), (4, NULL)",
    )
    with opened(postgres_url) as source:
        pages = list(source.read("t", page_rows=3))
    assert [row["id"] for page in pages for row in page.rows.to_pylist()] == [1, 4]
    rejects = [reject for page in pages for reject in page.rejects]
    assert [reject.place.rpartition(":")[2] for reject in rejects] == ["2", "3"]
    assert {reject.rule for reject in rejects} == {"sql.value-type"}
    assert "infinity" in rejects[0].raw
    assert "BC" in rejects[1].raw


def test_null_and_empty_stay_apart_even_in_a_single_column(database_url: str) -> None:
    run(database_url, "CREATE TABLE t (v TEXT)", "INSERT INTO t VALUES (NULL), (''), ('NA'), ('\\N')")
    with opened(database_url) as source:
        assert [row["v"] for row in rows(source.read("t"))] == [None, "", "NA", "\\N"]


def sqlite(tmp_path: Path, *statements: str) -> str:
    url = f"sqlite:///{tmp_path / 'source.db'}"
    run(url, *statements)
    return url


def test_sqlite_columns_whose_values_disagree_with_their_type_are_text(tmp_path: Path) -> None:
    url = sqlite(
        tmp_path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, m INTEGER, b BOOLEAN, d DATE, a DECIMAL(10,2), r REAL)",
        "INSERT INTO t VALUES (1, 5, 5, 1, '2024-01-31', 0.1, 2), (2, 'five', NULL, 0, 'never', 12345678.9, 1e300)",
    )
    with opened(url) as source:
        pages = list(source.read("t", page_rows=1))
    whole = pa.concat_tables([page.rows for page in pages])
    assert whole.schema.types == [
        pa.int64(),
        pa.string(),
        pa.int64(),
        pa.bool_(),
        pa.string(),
        pa.string(),
        pa.float64(),
    ]
    assert whole.to_pylist()[0] == {
        "id": 1,
        "n": "5",
        "m": 5,
        "b": True,
        "d": "2024-01-31",
        "a": "0.1",
        "r": 2.0,
    }
    assert whole.to_pylist()[1]["n"] == "five"


def test_a_restarted_sqlite_read_keeps_the_types_it_began_with(tmp_path: Path) -> None:
    url = sqlite(
        tmp_path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)",
        "INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)",
    )
    with opened(url) as source:
        first = next(source.read("t", page_rows=1))
        run(url, "UPDATE t SET n = 'three' WHERE id = 3")
        rest = list(source.read("t", cursor=first.cursor))
    assert rest[0].rows.schema == first.rows.schema
    assert rest[0].rows["id"].to_pylist() == [2]
    assert "three" in rest[0].rejects[0].raw


def test_sqlite_text_that_is_not_utf8_is_a_reject_and_nothing_else_is_lost(tmp_path: Path) -> None:
    url = sqlite(
        tmp_path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)",
        "INSERT INTO t VALUES (1, 'a'), (2, CAST(x'ff41' AS TEXT)), (3, 'c'), (4, 'd')",
        "CREATE VIEW w AS SELECT v FROM t",
    )
    with opened(url) as source:
        for name in ("t", "w"):
            pages = list(source.read(name, page_rows=1))
            assert [row["v"] for page in pages for row in page.rows.to_pylist()] == ["a", "c", "d"]
            assert len([reject for page in pages for reject in page.rejects]) == 1


def test_sqlite_rows_with_a_null_in_their_key_are_read_too(tmp_path: Path) -> None:
    url = sqlite(
        tmp_path,
        "CREATE TABLE t (id TEXT PRIMARY KEY, n INTEGER)",
        "INSERT INTO t VALUES (NULL, 1), ('a', 2), (NULL, 3)",
    )
    with opened(url) as source:
        assert [row["n"] for row in rows(source.read("t", page_rows=2))] == [1, 2, 3]


def test_what_is_recognised(tmp_path: Path) -> None:
    url = sqlite(tmp_path, "CREATE TABLE t (id INTEGER)")
    path = url.removeprefix("sqlite:///")
    assert recognise(path).settings == {"url": url}
    assert recognise(str(tmp_path / "new.db")).confidence < 1
    assert recognise("postgresql://u:p@h/d").settings["url"].startswith("postgresql://")
    assert recognise("https://example.org") is None
    assert recognise(str(tmp_path)) is None
