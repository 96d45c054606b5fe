"""Datasets in a place that machines share: on a mounted disk, in memory, and on a real server of the S3 protocol."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from migrator.commands.project import load_project
from migrator.core.boundary import observed
from migrator.core.clock import FixedClock, new_id
from migrator.core.errors import FatalError, Location, ProjectError, RetryableError, SafetyStop
from migrator.staging.engine import EngineSettings, open_engine
from migrator.staging.ledger import Ledger, open_ledger
from migrator.staging.purge import Doomed, purge
from migrator.staging.shared import SharedDepot, StagingSettings, check_staging
from migrator.staging.store import Kind, Store
from tests.s3 import S3, s3_server

NAME = "旧 CRM/Order Item[1]"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


@dataclass
class Shared:
    """A place, and whatever machines of one project work on it."""

    settings: StagingSettings
    files: Any
    """Its file system, without the code under test."""
    folder: Path
    ledger: Ledger

    def machine(self, name: str = "one", ledger: Ledger | None = None) -> Store:
        root = self.folder / name / "staging"
        used = ledger or self.ledger
        return Store(root, used, SharedDepot(self.settings, root, FixedClock()))

    @property
    def base(self) -> str:
        return str(self.files._strip_protocol(self.settings.place))

    def there(self) -> dict[str, int]:
        """Files of datasets in the place → bytes."""
        found = self.files.find(self.base, detail=True)
        return {name: one["size"] for name, one in found.items() if name.endswith(".parquet")}

    def rows_there(self) -> list[dict[str, Any]]:
        """Every row that anybody could read there."""
        rows = []
        for name in self.there():
            with self.files.open(name, "rb") as stream:
                rows += pq.read_table(stream).to_pylist()
        return rows


@pytest.fixture(params=["file", "memory", "s3"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shared]:
    match request.param:
        case "file":
            place = StagingSettings(f"file://{tmp_path}/place of many/% ü")
            files = fsspec.filesystem("file")
        case "memory":
            place, files = StagingSettings(f"memory://{new_id()}/staging"), fsspec.filesystem("memory")
        case _:
            server: S3 = request.getfixturevalue("s3")
            place, files = server.settings(f"{new_id()}/staging"), server.files()
    with closing(open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as ledger:
        yield Shared(place, files, tmp_path, ledger)


def rows(*values: int) -> pa.Table:
    return pa.table({"a": pa.array(values, pa.int64())})


def made(store: Store, *parts: pa.Table, kind: Kind = Kind.STAGED, name: str = NAME) -> None:
    building = store.build(kind, name, new_id())
    for part in parts:
        building.add_table(part)
    building.complete()


def values(store: Store, kind: Kind = Kind.STAGED, name: str = NAME) -> list[int]:
    dataset = store.need(kind, name, made_by="extract")
    return [value for path in dataset.files for value in pq.read_table(path).column("a").to_pylist()]


def test_another_machine_goes_on_with_an_empty_folder_and_brings_only_what_it_reads(shared: Shared) -> None:
    one = shared.machine()
    made(one, rows(1, 2), rows(3))
    made(one, rows(9), name="not asked for")
    half = one.build(Kind.MAPPED, "m", "f")
    half.add_table(rows(5), cursor="after 5")
    shutil.rmtree(one.root)
    other = shared.machine("two")
    other.sweep()
    found = other.need(Kind.STAGED, NAME, made_by="extract")
    assert (found.intact, found.schema().names, len(found.files)) == (True, ["a"], 2)
    assert not list(other.root.rglob("*.parquet"))
    assert values(other) == [1, 2, 3]
    assert len(list(other.root.rglob("*.parquet"))) == 2
    again = other.build(Kind.MAPPED, "m", "f", resume=True)
    assert [part.cursor for part in again.parts] == ["after 5"]
    again.add_table(rows(6))
    again.complete()
    assert values(shared.machine(), Kind.MAPPED, "m") == [5, 6]
    assert not list(shared.folder.rglob("*.bringing"))


def test_the_engine_reads_and_writes_through_it(shared: Shared) -> None:
    made(shared.machine(), rows(1, 2), rows(3))
    other = shared.machine("two")
    other.root.mkdir(parents=True)
    with closing(open_engine(EngineSettings(threads=1), other.root.parent)) as session:
        session.view("v", other.need(Kind.STAGED, NAME, made_by="extract").files)
        building = other.build(Kind.MAPPED, "m", "f")
        (part,) = building.add_query(session, "SELECT a * 10 AS a FROM v ORDER BY a")
        building.complete()
    assert shared.there()[shared.base + "/" + part.place.relative_to(other.root).as_posix()] == part.bytes
    assert values(shared.machine("three"), Kind.MAPPED, "m") == [10, 20, 30]


def test_nothing_is_there_that_nobody_vouches_for(shared: Shared) -> None:
    store = shared.machine()
    made(store, rows(1))
    made(store, rows(2))  # retires the one before
    building = store.build(Kind.STAGED, "other", "f")
    for value in range(3):
        building.add_table(rows(value))
    building.truncate(2)
    building.replace(0, lambda path: _write(path, rows(7)))
    building.replace(0, lambda path: _write(path, rows(8)))
    building.complete()
    assert sorted(row["a"] for row in shared.rows_there()) == [1, 2, 8]
    store.discard(Kind.STAGED, "other")
    assert [row["a"] for row in shared.rows_there()] == [2]
    assert store.sweep() == 0
    assert values(shared.machine("two")) == [2]


def _write(path: Path, table: pa.Table) -> int:
    pq.write_table(table, path)
    return table.num_rows


class Killed(BaseException):
    """Ends the work where a kill would."""


def test_killed_between_put_and_commit_leaves_nothing_after_the_next_sweep(shared: Shared) -> None:
    store = shared.machine()
    building = store.build(Kind.STAGED, NAME, "f")
    building.add_table(rows(1))

    def kill(name: str) -> None:
        if name == "depot.put":
            raise Killed

    with observed(kill), pytest.raises(Killed):
        building.add_table(rows(2))
    assert len(shared.there()) == 2
    other = shared.machine("two")
    other.sweep()
    assert len(shared.there()) == 1
    again = other.build(Kind.STAGED, NAME, "f", resume=True)
    again.add_table(rows(2))
    again.complete()
    assert values(other) == [1, 2]


def test_a_machine_taken_for_dead_writes_over_nothing(shared: Shared) -> None:
    one, two = shared.machine(), shared.machine("two")
    stalled = one.build(Kind.STAGED, NAME, "f")
    taken_up = two.build(Kind.STAGED, NAME, "f", resume=True)
    taken_up.add_table(rows(2))
    with pytest.raises(Exception, match="UNIQUE"):
        stalled.add_table(rows(1))
    taken_up.complete()
    assert values(shared.machine("three")) == [2]
    one.sweep()
    assert [row["a"] for row in shared.rows_there()] == [2]


def test_the_place_of_another_ledger_is_left_alone(shared: Shared, tmp_path: Path) -> None:
    made(shared.machine(), rows(1))
    before = shared.there()
    with closing(open_ledger(f"sqlite:///{tmp_path / 'other.db'}")) as other:
        stranger = shared.machine("stranger", other)
        for attempt in (stranger.sweep, lambda: made(stranger, rows(2))):
            with pytest.raises(SafetyStop, match="belongs to another ledger"):
                attempt()
        shared.files.rm(f"{shared.base}/.ledger")
        with pytest.raises(SafetyStop, match=r"but not the mark \.ledger"):
            stranger.sweep()
    assert shared.there() == before
    # whose it is may have its mark again
    shared.machine().sweep()
    assert shared.files.exists(f"{shared.base}/.ledger")
    assert shared.there() == before


def test_a_project_moves_in_with_what_it_has(shared: Shared) -> None:
    local = Store(shared.folder / "one" / "staging", shared.ledger)
    made(local, rows(1), rows(2))
    assert not shared.there()
    shared.machine().sweep()
    assert len(shared.there()) == 2
    assert values(shared.machine("two")) == [1, 2]


def test_what_was_changed_there_is_noticed(shared: Shared) -> None:
    made(shared.machine(), rows(1))
    (name,) = shared.there()
    shared.files.pipe_file(name, b"cut")
    other = shared.machine("two")
    found = other.current(Kind.STAGED, NAME)
    assert found is not None
    assert not found.intact
    with pytest.raises(RetryableError, match="came with 3 of"):
        list(found.files)
    assert not list(other.root.rglob("*.parquet"))
    shared.files.rm(name)
    with pytest.raises(FatalError, match="it is not there"):
        _ = found.parts[0].path
    with pytest.raises(FatalError, match="missing or damaged"):
        other.need(Kind.STAGED, NAME, made_by="extract")
    # here it still is: the machine that made it goes on
    assert values(shared.machine()) == [1]


def test_a_person_who_is_forgotten_is_nowhere_there(shared: Shared) -> None:
    people = pa.table({"__id": ["s:1", "s:2"], "name": ["Ada", "Bo"]})
    made(
        shared.machine(),
        people,
        pa.table({"__id": ["s:3"], "name": ["Cy"]}),
        kind=Kind.MAPPED,
        name="contact",
    )
    other = shared.machine("two")  # that has none of the files yet
    other.root.mkdir(parents=True)
    doomed = Doomed({"contact": frozenset({"s:1"})})
    with closing(open_engine(EngineSettings(threads=1), other.root.parent)) as session:
        assert purge(other, session, doomed) == {"mapped/contact": 1}
        assert purge(other, session, doomed) == {}
    assert sorted(row["name"] for row in shared.rows_there()) == ["Bo", "Cy"]
    first = shared.machine()
    assert any("Ada" in str(pq.read_table(path)) for path in first.root.rglob("*.parquet"))
    first.sweep()  # what every command does first
    assert not any("Ada" in str(pq.read_table(path)) for path in first.root.rglob("*.parquet"))


@dataclass
class Faulty:
    """A file system that fails as it is told to, and then works."""

    files: Any
    faults: dict[str, list[Callable[..., Any]]]

    def __getattr__(self, name: str) -> Any:
        whole = getattr(self.files, name)

        def call(*given: Any, **named: Any) -> Any:
            left = self.faults.get(name, [])
            return left.pop(0)(*given, **named) if left else whole(*given, **named)

        return call if callable(whole) else whole


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def faulty(shared: Shared, **faults: list[Callable[..., Any]]) -> tuple[Store, FixedClock]:
    store, clock = shared.machine(), FixedClock()
    depot = SharedDepot(shared.settings, store.root, clock)
    depot._connected = (Faulty(depot._fs, faults), depot._connect()[1])
    return Store(store.root, store.ledger, depot), clock


def test_trouble_that_passes_is_waited_for(shared: Shared) -> None:
    def cut(_path: str, key: str) -> None:
        shared.files.makedirs(key.rpartition("/")[0], exist_ok=True)
        shared.files.pipe_file(key, b"half")

    store, clock = faulty(shared, put_file=[raising(TimeoutError("slow")), cut, raising(ConnectionError())])
    begun = clock.monotonic()
    made(store, rows(1))
    assert clock.monotonic() > begun
    assert values(shared.machine("two")) == [1]


def test_what_stays_cut_is_never_committed(shared: Shared) -> None:
    def cut(_path: str, key: str) -> None:
        shared.files.makedirs(key.rpartition("/")[0], exist_ok=True)
        shared.files.pipe_file(key, b"half")

    store, _ = faulty(shared, put_file=[cut] * 6)
    building = store.build(Kind.STAGED, NAME, "f")
    with pytest.raises(RetryableError, match="was cut: 4 of"):
        building.add_table(rows(1))
    found = store.unfinished(Kind.STAGED, NAME)
    assert found is not None
    assert found.parts == ()


class NoCredentialsError(Exception):
    """As Amazon's client calls it."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError("Access Denied"), "it is refused"),
        (NoCredentialsError("Unable to locate credentials"), "it is refused"),
        (FileNotFoundError("The specified bucket does not exist"), "it is not there"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left"),
    ],
)
def test_what_will_not_pass_is_told_at_once(tmp_path: Path, error: Exception, said: str) -> None:
    with closing(open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as ledger:
        place = StagingSettings(f"memory://{new_id()}/staging")
        shared = Shared(place, fsspec.filesystem("memory"), tmp_path, ledger)
        store, clock = faulty(shared, put_file=[raising(error)])
        begun = clock.monotonic()
        with pytest.raises(FatalError, match=said) as raised:
            made(store, rows(1))
        assert place.place in raised.value.message
        assert raised.value.hint
        assert clock.monotonic() == begun


def test_a_server_that_is_gone_is_told_as_such(s3: S3, tmp_path: Path) -> None:
    away = replace(s3, port=9)
    with closing(open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as ledger:
        store = Shared(away.settings("x"), None, tmp_path, ledger).machine()
        with pytest.raises(RetryableError, match=r"s3://staging/x/\.ledger"):
            store.sweep()


def test_only_what_is_whole_there_is_freed_here(shared: Shared) -> None:
    store = shared.machine()
    made(store, rows(1), rows(2), rows(3))
    names = sorted(shared.there())
    shared.files.rm(names[0])
    shared.files.pipe_file(names[1], b"cut")
    assert len(store.free()) == 1
    assert len(list(store.root.rglob("*.parquet"))) == 2
    assert sorted(values(store)) == [1, 2, 3]
    local = Store(shared.folder / "alone" / "staging", shared.ledger)
    made(local, rows(1), name="alone")
    assert local.free() == []


# ---- settings and check


def check(place: StagingSettings) -> list[str]:
    return [item.code for item in check_staging(place, Location("migration.yaml", 3), FixedClock())]


def test_check_tries_the_place_and_leaves_nothing_there(shared: Shared) -> None:
    assert check(shared.settings) == []
    assert shared.files.find(shared.base) == []


def test_check_says_what_is_wrong_with_a_place(s3: S3) -> None:
    with pytest.raises(
        ProjectError, match=r"migration.yaml:3: cannot write s3://nowhere/x/.*it is not there"
    ):
        check(StagingSettings("s3://nowhere/x", s3.options))
    with pytest.raises(ProjectError, match=r"migration.yaml:3: .*cannot be opened"):
        check(StagingSettings("s3x://nowhere/x"))
    with pytest.raises(ProjectError, match="pip install gcsfs"):
        check(StagingSettings("gs://nowhere/x"))


def test_check_warns_of_a_bucket_that_keeps_what_is_deleted(s3: S3) -> None:
    files = s3.files()
    files.mkdir("versioned")
    files.call_s3("put_bucket_versioning", Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    assert check(StagingSettings("s3://versioned/x", s3.options)) == ["staging.versions"]


SYSTEMS = "systems:\n  crm: {connector: sql, url: 'sqlite:///new.db'}\n"


def parsed(folder: Path, staging: str) -> StagingSettings:
    (folder / "migration.yaml").write_text(f"{SYSTEMS}{staging}\n")
    return load_project(folder).resolved_staging()


def test_settings_are_a_url_or_a_place_with_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_SECRET", "hush")
    assert parsed(tmp_path, "") == StagingSettings()
    assert parsed(tmp_path, "staging: s3://b/x") == StagingSettings("s3://b/x")
    found = parsed(tmp_path, "staging: {place: s3://b/x, options: {key: k, secret: '${env:S3_SECRET}'}}")
    assert found == StagingSettings("s3://b/x", {"key": "k", "secret": "hush"})


@pytest.mark.parametrize(
    ("staging", "said"),
    [
        ("staging: /mnt/x", "must be the URL of a folder"),
        ("staging: 7", "must be the URL of a folder"),
        ("staging: {options: {}}", "must be the URL of a folder"),
        ("staging: {place: s3://b/x, optionen: {}}", "unknown key 'optionen'"),
        ("staging: {place: s3://b/x, options: 3}", "options must be a mapping"),
        ("staging: {place: s3://b/x, options: {secret: '${env:NOT_THERE}'}}", "NOT_THERE is not set"),
    ],
)
def test_wrong_settings_are_told_at_their_place(tmp_path: Path, staging: str, said: str) -> None:
    with pytest.raises(ProjectError, match=rf"migration.yaml:3.*{said}"):
        parsed(tmp_path, staging)
