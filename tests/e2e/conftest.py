"""Fixtures of the end-to-end tests: small exports made once, and the demo run over them on each kind of database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import make_url

from migrator.cli.main import run_app
from migrator.testing.synthetic import Truth
from tests.e2e.demo_project import DemoProject, Migrated, copy_project, make_exports, make_project
from tests.postgres import TestServer
from tests.small_migration import State, copied, state, write_small

SCALE = 1_500


@pytest.fixture(scope="session")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """Small exports that hold every kind of bad value."""
    return make_exports(tmp_path_factory.mktemp("legacy") / "exports", SCALE)


@pytest.fixture(
    scope="module",
    params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)],
)
def migrated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, truth: Truth
) -> Iterator[Migrated]:
    """The demo migrated, with ledger and target on SQLite, then with both on PostgreSQL."""
    folder = tmp_path_factory.mktemp("project")
    with ExitStack() as stack:
        if request.param == "sqlite":
            here = make_project(folder, truth)
            copy = _copier(here)
        else:
            server: TestServer = request.getfixturevalue("postgres_server")
            ledger, target = (stack.enter_context(server.database()) for _ in range(2))
            here = make_project(folder, truth, ledger=ledger, target=target)
            copy = _server_copier(here, server, stack)
        yield Migrated(here, here.asked("run"), copy)


def _copier(here: DemoProject) -> Callable[[Path], DemoProject]:
    return lambda folder: copy_project(folder, here)


def _server_copier(here: DemoProject, server: TestServer, stack: ExitStack) -> Callable[[Path], DemoProject]:
    def copy(folder: Path) -> DemoProject:
        names = (str(make_url(url).database) for url in (here.ledger, here.target))
        ledger, target = (stack.enter_context(server.database(name)) for name in names)
        return copy_project(folder, here, ledger=ledger, target=target)

    return copy


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small migration, not yet run; tests copy it."""
    return write_small(tmp_path_factory.mktemp("small") / "project")


@pytest.fixture(scope="session")
def small_done(tmp_path_factory: pytest.TempPathFactory, small: Path) -> Path:
    """The small migration after an undisturbed run; tests copy it, or put back what they break."""
    folder = copied(small, tmp_path_factory.mktemp("done") / "project")
    assert run_app(["-C", str(folder), "-q", "run", "--skip-validate"]) == 0
    return folder


@pytest.fixture(scope="module")
def shared(small_done: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished project that every case breaks and mends."""
    return copied(small_done, tmp_path_factory.mktemp("shared") / "project")


@pytest.fixture
def undisturbed(small_done: Path, capsys: pytest.CaptureFixture[str]) -> State:
    """What the small migration comes to when nothing is broken."""
    return state(small_done, capsys)
