"""A whole migration into Dataverse through the command line: lost answers, push-backs and pages for people on the way."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from connectors.sandbox.faults import Do, Fault
from connectors.sandbox.reading import Read
from connectors.sandbox.serve import Box
from connectors.sandbox.where import Path as Column
from tests.live.dataverse_box import dataverse

pytestmark = pytest.mark.live
COMPANIES, PEOPLE = 700, 900
_PROJECT = """project: live
systems:
  old: {{connector: files, path: src, keys: {{companies: nr, people: id}}}}
  crm: {{connector: dataverse, url: "{url}", token: "${{env:DATAVERSE_TOKEN}}", tables: [account, contact], batch_rows: 100}}
"""
_ACCOUNT = """mapping: account
target: {system: crm, object: account, key: new_legacyid}
source: {system: old, object: companies}
fields:
  new_legacyid: {from: nr}
  name: {from: name}
  revenue: {from: revenue, type: "decimal(19,4)"}
  parentaccountid: {from: parent, lookup: account, defer: true}
"""
_CONTACT = """mapping: contact
target: {system: crm, object: contact, key: new_legacyid}
source: {system: old, object: people}
fields:
  new_legacyid: {from: id}
  lastname: {from: name}
  parentcustomerid: {from: firm, lookup: account}
"""


def project(folder: Path, url: str) -> None:
    (folder / "src").mkdir()
    (folder / "mappings").mkdir()
    (folder / "migration.yaml").write_text(_PROJECT.format(url=url), "utf-8")
    (folder / "mappings" / "account.yaml").write_text(_ACCOUNT, "utf-8")
    (folder / "mappings" / "contact.yaml").write_text(_CONTACT, "utf-8")
    with (folder / "src" / "companies.csv").open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["nr", "name", "revenue", "parent"])
        for n in range(COMPANIES):
            name = "x" * 161 if n == 77 else f'公司 {n} "O\'Brien"\n& Söhne'
            rows.writerow(
                [f"C:{n}" if n % 2 else f"C-{n}", name, f"{n}.25", f"C-{n - 1}" if n % 2 and n > 100 else ""]
            )
    with (folder / "src" / "people.csv").open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["id", "name", "firm"])
        rows.writerows([f"P/{n}", f"王 {n}", f"C-{n % 70 * 10}"] for n in range(PEOPLE))


def migrator(folder: Path, box: Box, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DATAVERSE_TOKEN": box.credentials["token"]}
    command = [sys.executable, "-m", "migrator.cli", "-C", str(folder), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)


def held(box: Box, table: str) -> Counter[str]:
    return Counter(str(row[0]) for row in box.store.select(Read(table, (Column("new_legacyid"),))))


def test_every_record_is_there_once_whatever_happened_on_the_way(tmp_path: Path) -> None:
    faults = (
        Fault(Do.RESET_AFTER, path="*CreateMultiple", every=3),
        Fault(Do.TRUNCATE, path="*CreateMultiple", nth=(2, 7)),
        Fault(Do.RESET_AFTER, path="*batch", nth=(1, 2)),
        Fault(Do.UNAVAILABLE, path="*/contacts", nth=(2, 5), seconds=0.1),
        Fault(Do.THROTTLE, method="GET", path="*/accounts", nth=(3,), seconds=0.1),
        Fault(Do.HTML, path="*UpdateMultiple", nth=(1,)),
    )
    with dataverse(*faults) as box:
        project(tmp_path, box.url)
        for _ in range(4):
            done = migrator(tmp_path, box, "run")
            if done.returncode != 4:
                break
        assert done.returncode == 0, done.stderr + done.stdout
        assert box.credentials["token"] not in done.stdout + done.stderr
        accounts, contacts = held(box, "account"), held(box, "contact")
        assert (len(accounts), set(accounts.values())) == (COMPANIES - 1, {1})
        assert (len(contacts), set(contacts.values())) == (PEOPLE, {1})
        wanted = len([n for n in range(COMPANIES) if n % 2 and n > 100 and n != 77])
        parents = box.store.select(Read("account", (Column("parentaccountid"),)))
        assert len([row for row in parents if row[0] is not None]) == wanted
        calls = box.calls("POST")
        assert migrator(tmp_path, box, "load").returncode == 0
        assert box.calls("POST") == calls, "a second load wrote something"


def test_an_environment_in_which_real_users_work_is_not_written_to_unnamed(tmp_path: Path) -> None:
    with dataverse(organization_type="Customer") as box:
        project(tmp_path, box.url)
        done = migrator(tmp_path, box, "run")
        assert done.returncode == 5, done.stderr + done.stdout
        assert box.store.count("account") == 0
