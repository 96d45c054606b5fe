"""A real Tryton server as new CRM: the conformance kit, a whole migration, and an independent client that reads it back."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from connectors.tryton import open_target
from migrator.cli.main import run_app
from migrator.core.connector import Target
from migrator.core.errors import FatalError, ProjectError
from migrator.testing.conformance import TARGET_CHECKS, TargetBench
from tests.live.peers import peer, speak

pytestmark = pytest.mark.live
PACKAGES = ("trytond==8.2.1", "trytond-party==8.2.0", "proteus==8.2.0")
PASSWORD = "admin-secret-1"
CONFIG = """\
[database]
uri = sqlite://
path = {folder}
[web]
listen = 127.0.0.1:{port}
"""
MIGRATION = """\
project: leave
systems:
  old: {{connector: files, path: old}}
  new: {{connector: tryton, url: "{url}", database: crm, password: "${{env:TRYTON_PASSWORD}}", objects: [party.party, party.address]}}
"""
PARTY = """\
mapping: party
source: {system: old, object: company}
target: {system: new, object: party.party, key: code}
fields:
  code: {record_id: true}
  name: {from: name, clean: [trim, collapse], required: true}
"""
ADDRESS = """\
mapping: address
source: {system: old, object: site}
target: {system: new, object: party.address, key: party_name}
fields:
  party_name: {record_id: true}
  party: {from: company, lookup: party}
  street_unstructured: {from: street}
  city: {from: city}
"""


@pytest.fixture(scope="module")
def tools() -> Path:
    return peer("tryton", *PACKAGES).parent


@pytest.fixture(scope="module")
def server(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("tryton")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config, secret = folder / "trytond.conf", folder / "password"
    config.write_text(CONFIG.format(folder=folder, port=port), "utf-8")
    secret.write_text(PASSWORD, "utf-8")
    (folder / "crm.sqlite").touch()
    how = {**os.environ, "TRYTONPASSFILE": str(secret)}
    admin = [tools / "trytond-admin", "-c", config, "-d", "crm"]
    subprocess.run(
        [*admin, "--all", "--email", "a@example.com", "-p"], env=how, check=True, capture_output=True
    )
    subprocess.run(
        [*admin, "-u", "party", "--activate-dependencies"], env=how, check=True, capture_output=True
    )
    running = subprocess.Popen(
        [tools / "trytond", "-c", config, "-d", "crm"], env=how, stderr=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url)
        yield url
    finally:
        running.terminate()
        running.wait(20)


def _wait(url: str) -> None:
    for _ in range(300):
        try:
            httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the Tryton server did not start")


@pytest.fixture
def target(server: str) -> Iterator[Target]:
    """An empty party list."""
    opened = open_target({"url": server, "database": "crm", "password": PASSWORD})
    codes = [
        code
        for page in opened.read("party.party", columns=["code"])
        for code in page.column("code").to_pylist()
    ]
    mine = [code for code in codes if code]
    for start in range(0, len(mine), 200):
        opened.delete("party.party", mine[start : start + 200], key="code")
    yield opened
    opened.close()


@pytest.mark.parametrize("check", TARGET_CHECKS, ids=lambda check: check.__name__)
def test_the_conformance_kit(check: Callable[[TargetBench], None], target: Target) -> None:
    check(TargetBench(target, "party.party", key="code", text="name", refused={"name": "no\ttabs"}))


def test_a_wrong_password_is_told_without_showing_it(server: str) -> None:
    opened = open_target({"url": server, "database": "crm", "password": "wrong-one"})
    with pytest.raises(FatalError) as caught:
        opened.describe()
    assert "wrong-one" not in str(caught.value)


def test_settings_are_strict() -> None:
    with pytest.raises(ProjectError, match="databse") as caught:
        open_target({"url": "http://127.0.0.1:1", "databse": "crm", "password": "x"})
    assert "database" in str(caught.value)


def test_a_whole_migration_and_an_independent_client_reads_it_back(
    server: str, tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _project(tmp_path, server)
    monkeypatch.setenv("TRYTON_PASSWORD", PASSWORD)

    assert run_app(["-C", str(tmp_path), "run"]) == 0
    assert run_app(["-C", str(tmp_path), "run"]) == 0, "a second run must change nothing"

    assert _by_proteus(server, tools) == {
        "old:c1": ["上海恒信科技有限公司", ["南京西路 1 号"]],
        "old:c2": ['O\'Brien & Sons "Ltd"', ["1 High St", "2 Low St"]],
    }
    assert run_app(["-C", str(tmp_path), "rollback", _first_run(tmp_path), "--yes"]) == 0
    assert _by_proteus(server, tools) == {}


def _project(folder: Path, server: str) -> None:
    (folder / "old").mkdir()
    (folder / "mappings").mkdir()
    (folder / "old" / "company.csv").write_text(
        'id,name\nc1,上海恒信科技有限公司\nc2,"O\'Brien & Sons ""Ltd"""\n', "utf-8"
    )
    (folder / "old" / "site.csv").write_text(
        "id,company,street,city\ns1,c1,南京西路 1 号,上海\ns2,c2,1 High St,Cork\ns3,c2,2 Low St,Cork\n",
        "utf-8",
    )
    (folder / "migration.yaml").write_text(MIGRATION.format(url=server), "utf-8")
    (folder / "mappings" / "party.yaml").write_text(PARTY, "utf-8")
    (folder / "mappings" / "address.yaml").write_text(ADDRESS, "utf-8")


def _first_run(folder: Path) -> str:
    with closing(sqlite3.connect(folder / ".migrator" / "ledger.db")) as ledger:
        (run,) = ledger.execute("SELECT id FROM migrator_run ORDER BY started_at LIMIT 1").fetchone()
    return str(run)


def _by_proteus(server: str, tools: Path) -> dict[str, list[object]]:
    """Parties with a code and their streets, as Tryton's own client library reads them."""
    script = f"""
import json
from proteus import Model, config
config.set_xmlrpc("http://admin:{PASSWORD}@{server.removeprefix("http://")}/crm/rpc/")
found = {{p.code: [p.name, sorted(a.street_unstructured for a in p.addresses)] for p in Model.get("party.party").find([]) if p.code}}
print(json.dumps(found))
"""
    (told,) = speak(tools / "python", script)
    found: dict[str, list[object]] = json.loads(told)
    return {code: value for code, value in found.items() if code.startswith("old:")}
