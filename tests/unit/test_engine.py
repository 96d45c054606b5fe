"""The engine session: names and values cannot break out, files are whole, and its folder is all it sees."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.core.errors import FatalError, ProjectError
from migrator.staging import engine
from migrator.staging.engine import DuckSession, EngineSettings, literal, open_engine, quote


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "year=2024" / "pro[1]j*?' \""
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def session(workspace: Path) -> Iterator[DuckSession]:
    with closing(open_engine(EngineSettings(threads=2), workspace)) as opened:
        yield opened


def test_a_folder_of_any_name_can_be_read_and_adds_no_column(session: DuckSession, workspace: Path) -> None:
    path = workspace / "part.parquet"
    assert session.write("SELECT 1 AS a", path) == 1
    session.view("v", [path])
    assert session.fetch("SELECT * FROM v").to_pylist() == [{"a": 1}]
    assert [item.name for item in workspace.iterdir() if item.is_file()] == ["part.parquet"]


def test_names_are_replaced_whatever_they_were(session: DuckSession, workspace: Path) -> None:
    session.write("SELECT 1 AS a", workspace / "part.parquet")
    for name in ("t", "T"):
        session.table(name, pa.table({"b": [2]}))
        session.view(name, [workspace / "part.parquet"])
        session.view(name, [], pa.schema([("c", pa.int64())]))
        assert session.fetch("SELECT * FROM t").schema.names == ["c"]


def test_what_is_laid_aside_is_computed_once_and_goes_with_the_session(workspace: Path) -> None:
    with closing(open_engine(EngineSettings(threads=2), workspace)) as session:
        session.table("t", pa.table({"a": [1, 2]}))
        session.lay_aside("t:kept", "SELECT sum(a) AS s FROM t")
        session.lay_aside("t:none", "SELECT a FROM t WHERE a > 2")
        session.execute("DELETE FROM t")
        assert session.fetch('SELECT s FROM "t:kept"').to_pylist() == [{"s": 3}]
        with closing(session.cursor()) as cursor:
            assert cursor.fetch('SELECT count(*) AS n FROM "t:none"').to_pylist() == [{"n": 0}]
        session.lay_aside("t:kept", "SELECT 7 AS s")
        assert session.fetch('SELECT s FROM "t:kept"').to_pylist() == [{"s": 7}]
        assert len(list(workspace.rglob("*.parquet"))) == 2
    assert [item for item in workspace.rglob("*.parquet") if item.is_file()] == []


@pytest.mark.parametrize("at_a_time", [3, 1_000])
def test_what_several_rows_share_is_found_in_as_many_passes_as_it_takes(
    session: DuckSession, monkeypatch: pytest.MonkeyPatch, at_a_time: int
) -> None:
    monkeypatch.setattr(engine, "HASHED_ROWS", at_a_time)
    rows = [(1, "a"), (1, "a"), (1, None), (1, None), (None, None), (2, "a"), (None, None), (3, ""), (3, "x")]
    session.table("given", pa.table({"n": [n for n, _ in rows], "t": [t for _, t in rows]}))
    session.lay_aside_shared("both", ["n", "t"], "given")
    found = session.fetch('SELECT n, t FROM "both"').to_pylist()
    assert {(row["n"], row["t"]) for row in found} == {(1, "a"), (1, None), (None, None)}
    session.lay_aside_shared("both", ["n"], "(SELECT * FROM given WHERE t IS NOT NULL)")
    assert session.fetch('SELECT n FROM "both" ORDER BY n').column("n").to_pylist() == [1, 3]
    session.lay_aside_shared("both", ["t"], "(SELECT * FROM given WHERE n = 3)")
    assert session.fetch('SELECT * FROM "both"').num_rows == 0


def test_a_stream_keeps_the_order_and_a_cursor_works_beside_it(session: DuckSession) -> None:
    session.table("t", pa.table({"a": [1, 2]}))
    stream = session.stream("SELECT i FROM range(100000) t(i) ORDER BY i DESC", 1000)
    first = next(stream)
    with closing(session.cursor()) as cursor:
        assert cursor.fetch("SELECT sum(a) AS s, current_setting('TimeZone') AS z FROM t").to_pylist() == [
            {"s": 3, "z": "UTC"}
        ]
    rest = [value for batch in stream for value in batch.column(0).to_pylist()]
    assert first.column(0).to_pylist() + rest == list(range(99_999, -1, -1))


def test_a_stream_left_early_lets_the_session_go(session: DuckSession) -> None:
    with closing(session.stream("SELECT * FROM range(1000000)", 1000)) as stream:
        next(stream)
    assert session.fetch("SELECT 1 AS a").to_pylist() == [{"a": 1}]


def test_an_ordered_query_is_written_in_order(session: DuckSession, workspace: Path) -> None:
    path = workspace / "part.parquet"
    session.write("SELECT i FROM range(500000) t(i) ORDER BY hash(i)", path, row_group=20_000)
    hashed = (
        session.fetch(f"SELECT hash(i) AS h FROM read_parquet({literal(str(path))})").column("h").to_numpy()
    )
    assert pq.ParquetFile(path).num_row_groups > 5
    assert len(set(hashed)) == 500_000


def test_nothing_outside_the_workspace_is_seen(session: DuckSession, workspace: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "secret.parquet")
    outside = [
        f"SELECT * FROM read_parquet({literal(str(tmp_path / 'secret.parquet'))})",
        f"SELECT * FROM read_parquet({literal(str(workspace / '..' / '..' / 'secret.parquet'))})",
        f"SELECT * FROM read_text({literal('/etc/passwd')})",
        "SELECT * FROM local_table",
    ]
    local_table = pa.table({"a": [1]})
    for sql in outside:
        with pytest.raises(Exception, match=r"(?i)permission|does not exist"):
            session.fetch(sql)
    assert local_table.num_rows == 1


def test_damaged_and_missing_files_are_told_with_a_hint(session: DuckSession, workspace: Path) -> None:
    path = workspace / "part.parquet"
    with pytest.raises(FatalError, match="cannot read or write its files"):
        session.view("v", [path])
    path.write_bytes(b"PAR1" + b"\0" * 100)
    with pytest.raises(FatalError, match="damaged"):
        session.view("v", [path])


def test_row_groups_of_wide_rows_are_small(session: DuckSession, workspace: Path) -> None:
    path = workspace / "wide.parquet"
    session.write("SELECT i, repeat(CAST(hash(i) AS VARCHAR), 60) AS text FROM range(50000) t(i)", path)
    groups = pq.ParquetFile(path).metadata
    assert groups.num_rows == 50_000
    assert max(groups.row_group(n).num_rows for n in range(groups.num_row_groups)) < 25_000


def test_a_write_that_fails_leaves_nothing(session: DuckSession, workspace: Path) -> None:
    with pytest.raises(FatalError, match="cannot read or write"), files_up_to(20_000):
        session.write("SELECT i, hash(i) AS h FROM range(100000) t(i)", workspace / "part.parquet")
    assert [item for item in workspace.iterdir() if item.is_file()] == []


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """As on a disk that is nearly full: no file may grow past `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_staging_may_lie_on_another_disk(tmp_path: Path) -> None:
    (tmp_path / "large disk").mkdir()
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "staging").symlink_to(tmp_path / "large disk")
    with closing(open_engine(EngineSettings(), tmp_path / "workspace")) as session:
        assert session.write("SELECT 1 AS a", tmp_path / "workspace" / "staging" / "part.parquet") == 1


def test_wrong_settings_are_the_users_to_mend(workspace: Path) -> None:
    with pytest.raises(ProjectError, match="engine setting"):
        open_engine(EngineSettings(memory_limit="lots"), workspace)


def test_running_out_of_memory_names_the_setting(workspace: Path) -> None:
    with closing(open_engine(EngineSettings(memory_limit="20MB", threads=1), workspace)) as session:
        with pytest.raises(FatalError, match="memory") as caught:
            session.fetch("SELECT list(hash(i)) AS l FROM range(20000000) t(i)")
        assert "memory_limit" in caught.value.hint


def test_spills_of_killed_processes_are_removed_of_living_ones_kept(workspace: Path) -> None:
    with closing(open_engine(EngineSettings(), workspace)):
        (mine,) = (workspace / "spill").iterdir()
        tag = mine.name.split("-")[0]
        killed = mine.with_name(f"{tag}-999999999-abc")
        elsewhere = mine.with_name("00000000-999999999-abc")
        killed.mkdir()
        elsewhere.mkdir()
        with closing(open_engine(EngineSettings(), workspace)):
            assert mine.exists()
            assert elsewhere.exists()
            assert not killed.exists()
    assert [folder.name for folder in (workspace / "spill").iterdir()] == [elsewhere.name]


def test_a_query_that_does_not_bind_is_told_without_running(session: DuckSession) -> None:
    session.explain("SELECT 1")
    with pytest.raises(ProjectError, match="no_such_column"):
        session.explain("SELECT no_such_column FROM range(1)")


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_any_identifier_and_text_stands_in_sql(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    with closing(open_engine(EngineSettings(threads=1), tmp_path_factory.getbasetemp())) as session:
        found = session.fetch(f"SELECT {literal(text)} AS {quote(text)}")
        assert found.to_pylist() == [{text: text}]


def test_a_signal_in_the_middle_of_a_query_stops_it_and_what_its_handler_raised_comes_out(
    session: DuckSession,
) -> None:
    # one piece of work, which a thread of the engine may take while the main thread waits
    with signalled(signal.SIGUSR1, after=0.3), pytest.raises(SystemExit) as stopped:
        session.fetch("SELECT count(*) FROM range(10000000000000) AS r(i) WHERE hash(i) = 5")
    assert stopped.value.code == 143
    assert session.fetch("SELECT 1 AS n").column("n").to_pylist() == [1]


@contextmanager
def signalled(number: signal.Signals, *, after: float) -> Iterator[None]:
    """This process gets a signal after so many seconds, whose handler ends it with 143 as that of SIGTERM does."""
    before = signal.signal(number, lambda *_: sys.exit(143))
    sending = threading.Timer(after, os.kill, (os.getpid(), number))
    sending.start()
    try:
        yield
    finally:
        sending.cancel()
        signal.signal(number, before)
