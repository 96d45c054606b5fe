"""Fixtures every test may ask for: a fresh PostgreSQL database, and a database URL of each kind we support."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.postgres import ServerNotPossible, TestServer, running_server

# These machines are noisy: how long an example took says nothing of the code. The suite draws the same examples each time,
# so that main is red for a change and never by luck; `make test-search` draws new ones, and more of them.
settings.register_profile("same", deadline=None, print_blob=True, derandomize=True)
settings.register_profile("search", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# A suite started in the background is born deaf to Ctrl-C, and its children with it: tests that stop a command need it heard.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[TestServer]:
    """One server a test process; skips loudly where the user may not run one, and fails for any other reason."""
    try:
        with running_server() as server:
            yield server
    except ServerNotPossible as error:
        pytest.skip(str(error))


@pytest.fixture
def postgres_url(postgres_server: TestServer) -> Iterator[str]:
    """The URL of an empty PostgreSQL database of this test's own."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, once on SQLite and once on PostgreSQL: the same test on both."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'database.db'}"
        return
    server: TestServer = request.getfixturevalue("postgres_server")
    with server.database() as url:
        yield url
