"""The session on Spark keeps every word of the protocol, and what it cannot carry runs on this machine and is told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from migrator.core.errors import Location
from migrator.staging.dialects.in_place import GIVEN, batch_function
from migrator.staging.engine import EngineSettings, Session, open_engine, part_file
from migrator.staging.spark_executors import version_there
from tests.spark.compared import Compared, open_compared, rows_of
from validation.expectations import COMPOUND_UNIQUE, IN_SET, LENGTHS, NOT_NULL, UNIQUE, Expectation, Suite
from validation.rules import FAILING, run_suite, start_failing

pytestmark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore")]

NOW = datetime(2026, 11, 20, tzinfo=UTC)
ROWS = pa.table(
    {
        "Key": pa.array([f"K{n}" for n in range(200)]),
        "n": pa.array([n if n % 7 else None for n in range(200)], pa.int64()),
        "text": pa.array([[None, "", "a", "王小明 \u3000", "é\n\"'\\", "A" * 50][n % 6] for n in range(200)]),
        "amount": pa.array([Decimal(n * 7919 - 99) / 100 if n % 5 else None for n in range(200)], pa.decimal128(18, 2)),
        "day": pa.array([[date(1, 1, 1), date(9999, 12, 31), None, date(2024, 2, 29)][n % 4] for n in range(200)]),
        "at": pa.array([[datetime(1969, 12, 31, 23, 59, 59, 999999, UTC), None][n % 2] for n in range(200)], pa.timestamp("us", tz="UTC")),
        "clock": pa.array([time(23, 59, 59, 999999)] * 200, pa.time64("us")),
        "issues": pa.array([[{"rule": "x", "value": "王" if n % 2 else None}] * (n % 3) for n in range(200)]),
    }
)  # fmt: skip


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def session(settings: EngineSettings, tmp_path: Path, told: list[str]) -> Iterator[Compared]:
    """A session over one file of rows, called `given`."""
    path = tmp_path / "given.parquet"
    pq.write_table(ROWS, path)
    opened = open_compared(settings, tmp_path, told)
    opened.view("given", [path])
    yield opened
    opened.close()


@pytest.fixture
def computing(settings: EngineSettings, tmp_path: Path, told: list[str]) -> Iterator[Compared]:
    """The same, where executors compute what no rule carries."""
    path = tmp_path / "given.parquet"
    pq.write_table(ROWS, path)
    opened = open_compared(settings, tmp_path, told, computes=True)
    opened.view("given", [path])
    yield opened
    opened.close()


def count(session: Compared, name: str) -> int:
    return int(session.fetch(f'SELECT count(*) AS n FROM "{name}"').column("n")[0].as_py())


def test_a_table_is_made_grows_is_made_anew_and_goes(session: Compared, told: list[str]) -> None:
    session.execute('CREATE OR REPLACE TABLE "x:t" AS SELECT "Key", n FROM given WHERE n > 100')
    before = count(session, "x:t")
    session.execute('INSERT INTO "x:t" SELECT "Key", n FROM given WHERE n < 10')
    assert count(session, "x:t") == before + 8
    session.table("mine", pa.table({"Key": ["own"], "n": pa.array([1], pa.int64())}))
    session.execute('INSERT INTO mine SELECT "Key", n FROM "x:t" WHERE n = 3')
    assert count(session, "mine") == 2
    joined = session.fetch('SELECT g."Key", m.n FROM given g JOIN mine m ON g."Key" = m."Key"')
    assert joined.to_pylist() == [{"Key": "K3", "n": 3}]
    session.execute('CREATE OR REPLACE VIEW v AS SELECT * FROM "x:t" WHERE n = 5')
    session.execute("CREATE OR REPLACE VIEW w AS SELECT * FROM v")
    assert count(session, "w") == 1
    session.execute('INSERT INTO "x:t" SELECT "Key", n FROM given WHERE n = 5')
    assert count(session, "w") == 2  # a view reads what its relation holds now
    session.execute('CREATE OR REPLACE TABLE "x:t" AS SELECT "Key", n FROM given WHERE n IN (5, 6)')
    assert (count(session, "x:t"), count(session, "v")) == (2, 1)
    session.execute('DROP TABLE "x:t"')
    session.execute('CREATE TABLE "x:t" (n BIGINT)')
    assert count(session, "x:t") == 0
    assert told == []
    assert session.carried > 6


def test_where_executors_are_not_asked_it_runs_here_and_is_told(session: Compared, told: list[str]) -> None:
    session.execute('CREATE OR REPLACE TEMP TABLE hashed AS SELECT hash("Key") AS h FROM given')
    assert told == ["the function hash"]
    assert session.fetch("SELECT count(DISTINCT h) AS n FROM hashed").to_pylist() == [{"n": 200}]
    assert session.carried == 1  # what was made here is the cluster's to read


def test_what_reads_one_row_and_has_no_rule_is_computed_where_the_row_is(
    computing: Compared, told: list[str], tmp_path: Path
) -> None:
    computing.execute(
        "CREATE OR REPLACE TEMP MACRO in_common(a, b) AS list_sum(list_transform(list_intersect(a, b), lambda t: t & 255))"
    )
    computing.execute(
        'CREATE OR REPLACE TEMP TABLE hashed AS SELECT "Key" AS key, text, hash(text) AS h, [hash(text), hash("Key", 7)] AS k, '
        "{'one': hash(n), 'list': [text]} AS s FROM given"
    )
    computing.execute(
        "CREATE OR REPLACE TEMP TABLE pairs AS SELECT l.key AS one, r.key AS other, "
        "jaro_winkler_similarity(l.text, r.text) AS near, damerau_levenshtein(l.text, r.text) AS slips, "
        "in_common(l.k, r.k) AS bits, l.s.one = r.s.one AS same, round(log2(length(l.text) + 1), 3) AS long "
        "FROM hashed l JOIN hashed r ON hash(l.text, 1) = hash(r.text, 1) AND l.key < r.key AND strlen(l.text) > 1"
    )
    assert count(computing, "pairs") > 1000
    found = computing.fetch("SELECT k FROM hashed WHERE h IN (SELECT h FROM hashed WHERE k[1] & 1 = 0)")
    assert found.schema.field("k").type.value_type == pa.uint64()
    computing.write("SELECT * FROM hashed", tmp_path / "kept.parquet")
    assert pq.read_schema(tmp_path / "kept.parquet").field("h").type == pa.uint64()
    assert told == []


def test_what_executors_compute_needs_nothing_of_this_package(tmp_path: Path) -> None:
    cloudpickle = pytest.importorskip("pyspark.cloudpickle")
    call = batch_function(f"SELECT upper(c0) AS x FROM {GIVEN}", (), 1)
    (tmp_path / "call").write_bytes(cloudpickle.dumps(call))
    script = (
        "import sys; sys.modules['migrator'] = None\n"
        "import pyarrow; from pyspark import cloudpickle\n"
        "call = cloudpickle.loads(open('call', 'rb').read())\n"
        "print([call(pyarrow.array(given)).to_pylist() for given in (['a', None], [], ['ü'])])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert "[['A', None], [], ['Ü']]" in done.stdout


def test_rows_are_joined_changed_and_told_apart_as_on_this_machine(
    computing: Compared, told: list[str]
) -> None:
    computing.execute('CREATE OR REPLACE TEMP TABLE a AS SELECT "Key" AS key, n, text FROM given')
    computing.execute("CREATE OR REPLACE TEMP TABLE b (key VARCHAR, m DOUBLE, nothing VARCHAR)")
    computing.execute("INSERT INTO b SELECT key, n, NULL FROM a WHERE n % 3 = 0")
    computing.execute("INSERT INTO b SELECT 'own', 1, 'x' WHERE false")
    computing.execute("INSERT INTO b SELECT key || '', 1, text FROM a WHERE n IS NULL")
    assert count(computing, "b") == 29 + 57
    computing.execute("UPDATE b SET m = m + 1, nothing = NULL WHERE m > 50")
    computing.execute("DELETE FROM b WHERE m > 100 OR m IS NULL")
    computing.execute("ALTER TABLE b RENAME TO c")
    for query in (
        "SELECT * FROM a JOIN c USING (key)",
        "SELECT a.*, c.m FROM a LEFT JOIN c USING (key)",
        "SELECT * EXCLUDE (text) REPLACE (n + 1 AS n) FROM a",
        "SELECT a.* REPLACE (hash(text) AS text), c.m FROM a JOIN c USING (key)",
        "FROM a SEMI JOIN c USING (key)",
        "SELECT * FROM (a ANTI JOIN c USING (key)) x",
        "SELECT * FROM a ANTI JOIN c ON a.key = c.key AND n = m",
        "SELECT key FROM a EXCEPT SELECT key FROM c",
        "SELECT text FROM a UNION SELECT key FROM c",
        "(SELECT key FROM a ORDER BY hash(key) LIMIT 3) UNION ALL (SELECT key FROM c ORDER BY key DESC LIMIT 2)",
        "SELECT (SELECT count(*) FROM a) + (SELECT count(DISTINCT key) FROM c) AS both",
        "SELECT * FROM a UNION ALL BY NAME SELECT key, m FROM c",
        "SELECT key, most FROM a, (SELECT max(m) AS most FROM c)",
        "SELECT length(text) AS size, key FROM a WHERE size > 1 AND strlen(text) > 2",
        "SELECT key, lead(n) OVER (PARTITION BY text ORDER BY hash(key), key) AS after FROM a",
        "SELECT key, sum(length(text)) OVER (ORDER BY text, key) // 7 AS batch FROM a",
        "SELECT key, dense_rank() OVER (PARTITION BY n % 2 ORDER BY text) AS place FROM a",
        "SELECT text, any_value(text) AS one, count(*) AS n FROM a GROUP BY 1",
        "SELECT count(row) AS n, min(row) AS first, max(row) AS last FROM (SELECT row_number() OVER () AS row FROM a)",
        "SELECT key FROM a WHERE (key, n) IN (SELECT (key, CAST(m AS BIGINT)) FROM c)",
        "SELECT sum(n * (n - 1) // 2) AS pairs FROM (SELECT count(*)::HUGEINT AS n FROM a GROUP BY text)",
        "SELECT key FROM a WHERE regexp_matches(text, '\\p{Han}')",
    ):
        computing.fetch(query)
    assert told == []
    computing.execute("DROP TABLE c")
    assert list((computing._scratch).rglob("part-*.parquet"))  # of `a`, of which there is still use
    computing.execute("DROP TABLE a")
    assert not list((computing._scratch).rglob("part-*.parquet"))


def test_rows_come_in_order_in_batches_and_under_their_names(session: Compared) -> None:
    cursor = session.cursor()
    sql = 'SELECT "Key", n FROM given WHERE n IS NOT NULL ORDER BY n DESC, "Key"'
    batches = list(cursor.stream(sql, 50))
    cursor.close()
    found = pa.Table.from_batches(batches)
    assert found.column_names == ["Key", "n"]
    assert found.column("n").to_pylist() == sorted((n for n in range(200) if n % 7), reverse=True)
    assert max(batch.num_rows for batch in batches) <= 50


def said_of(batch: pa.RecordBatch) -> pa.RecordBatch:
    """What is told of a batch: its rows, its types, and which process was given it."""
    told = {"rows": [batch.num_rows], "keys": [batch["Key"].to_pylist()], "types": [str(batch.schema.types)], "process": [os.getpid()]}  # fmt: skip
    return pa.RecordBatch.from_pydict(told, schema=SAID)


SAID = pa.schema([("rows", pa.int64()), ("keys", pa.list_(pa.string())), ("types", pa.string()), ("process", pa.int64())])  # fmt: skip


def mapped(session: Session) -> list[dict[str, object]]:
    batches = list(session.map_batches("SELECT * EXCLUDE (issues) FROM given", said_of, SAID, 64))
    assert {batch.schema for batch in batches} == {SAID}
    return [row for batch in batches for row in batch.to_pylist()]


def test_batches_are_mapped_in_other_processes_and_are_the_same(
    session: Compared, tmp_path: Path, told: list[str]
) -> None:
    with closing(open_engine(EngineSettings(threads=1), tmp_path)) as here:
        here.view("given", [tmp_path / "given.parquet"])
        expected, found = mapped(here), mapped(session)
    assert sorted(row["rows"] for row in found) == [8, 64, 64, 64]
    assert {row["types"] for row in found} == {row["types"] for row in expected}
    assert sorted(key for row in found for key in row["keys"]) == sorted(ROWS["Key"].to_pylist())
    assert os.getpid() not in {row["process"] for row in found}
    assert told == []


def test_where_executors_lack_this_package_batches_are_mapped_here_and_it_is_told(
    session: Compared, told: list[str]
) -> None:
    session._known.lacking = "executors have no crm-migrator"
    assert {row["process"] for row in mapped(session)} == {os.getpid()}
    assert told == ["executors have no crm-migrator"]


def test_executors_without_this_package_can_say_so(tmp_path: Path) -> None:
    cloudpickle = pytest.importorskip("pyspark.cloudpickle")
    (tmp_path / "asked").write_bytes(cloudpickle.dumps(version_there()))
    script = (
        "import sys; sys.modules['migrator'] = None\n"
        "import pyarrow; from pyspark import cloudpickle\n"
        "asked = cloudpickle.loads(open('asked', 'rb').read())\n"
        "batch = pyarrow.RecordBatch.from_pydict({'id': [0]})\n"
        "print([answer.to_pylist() for answer in asked(iter([batch]))])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], check=False, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == ("[[{'version': ''}]]", "")


def test_what_is_written_reads_as_this_machine_would_have_written_it(
    session: Compared, tmp_path: Path
) -> None:
    sql = "SELECT * FROM given WHERE n > 3 OR n IS NULL"
    assert session.write(sql, tmp_path / "one.parquet") == len(pq.read_table(tmp_path / "one.parquet")) > 190
    folder = tmp_path / "parts [*] ü"
    folder.mkdir()
    parts = session.write_parts(sql, folder)
    assert [path.name for path in parts] == [part_file(number) for number in range(len(parts))]
    assert sorted(folder.iterdir()) == list(parts)
    with closing(open_engine(EngineSettings(threads=1), tmp_path)) as here:
        here.view("parts", parts)
        here.view("given", [tmp_path / "given.parquet"])
        expected, found = here.fetch(sql), here.fetch("SELECT * FROM parts")
    assert found.schema == expected.schema
    assert rows_of(found) == rows_of(expected)
    (tmp_path / "none").mkdir()
    (empty,) = session.write_parts("SELECT * FROM given WHERE n = 1000", tmp_path / "none")
    assert pq.read_schema(empty).names == ROWS.column_names
    assert len(pq.read_table(empty)) == 0


def test_a_function_of_the_project_runs_here_and_is_told(session: Compared, told: list[str]) -> None:
    session.function("twice", lambda column: pc.multiply(column.combine_chunks(), 2), ["BIGINT"], "BIGINT")
    for _ in range(2):
        found = session.fetch("SELECT max(twice(n)) AS n FROM given")
        assert found.to_pylist() == [{"n": 398}]
    assert told == ["a function of the project (python)"]


def test_rules_find_the_same_records(session: Compared, tmp_path: Path, told: list[str]) -> None:
    place = Location("suite.yaml")
    rules = tuple(
        Expectation(kind, kwargs, place=place)
        for kind, kwargs in (
            (NOT_NULL, {"column": "text"}), (IN_SET, {"column": "text", "value_set": ["a", ""]}), (UNIQUE, {"column": "day"}),
            (LENGTHS, {"column": "text", "max_value": 20}), (COMPOUND_UNIQUE, {"column_list": ["day", "n"]}),
        )
    )  # fmt: skip
    here = open_engine(EngineSettings(threads=1), tmp_path)
    here.view("given", [tmp_path / "given.parquet"])
    results = []
    for one in (here, session):
        start_failing(one)
        found = run_suite(one, "given", '"Key"', Suite("thing", rules), now=NOW, chunk_rows=64)
        results.append((found, rows_of(one.fetch(f'SELECT * FROM "{FAILING}"'))))
    here.close()
    assert results[0] == results[1]
    assert sum(item.failed for item in results[0][0]) > 100
    assert told == []
