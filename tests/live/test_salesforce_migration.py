"""A whole migration from one Salesforce organisation into another through the commands: records, links, files, a rerun, a way back."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from migrator.cli.main import run_app
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from tests.live.salesforce_world import World, world

pytestmark = pytest.mark.live
OBJECTS = ("Account", "Contact", "ContentVersion")
KEY = FieldSchema("Legacy__c", FieldType.STRING, unique=True, length=40)
MIGRATION = """\
project: org to org
systems:
  old: {{connector: salesforce, instance_url: "{old}", client_id: 3MVG9sandbox, client_secret: "${{env:SF_SECRET}}",
        objects: [Account, Contact, ContentVersion], bulk_read_from: 200}}
  new: {{connector: salesforce, instance_url: "{new}", client_id: 3MVG9sandbox, client_secret: "${{env:SF_SECRET}}",
        objects: [Account, Contact, ContentVersion], bulk_write_from: 250}}
"""
MAPPINGS = {
    "account": """\
mapping: account
source: {system: old, object: Account}
target: {system: new, object: Account, key: Legacy__c}
fields:
  Legacy__c: {from: Id}
  Name: {from: Name}
  ParentId: {from: ParentId, lookup: account, defer: true}
  CreatedDate: {from: CreatedDate}
""",
    "contact": """\
mapping: contact
source: {system: old, object: Contact}
target: {system: new, object: Contact, key: Legacy__c}
fields:
  Legacy__c: {from: Id}
  LastName: {from: LastName}
  AccountId: {from: AccountId, lookup: account}
""",
    "file": """\
mapping: file
source: {system: old, object: ContentVersion}
target: {system: new, object: ContentVersion, key: Legacy__c}
fields:
  Legacy__c: {from: Id}
  Title: {from: Title}
  PathOnClient: {from: PathOnClient}
  VersionData: {from: VersionData}
""",
}


def old_org(org: World) -> None:
    """120 accounts, each but the first under another, 300 contacts, 2 files."""
    store = org.org.store
    accounts = [store.fresh_id("Account") for _ in range(120)]
    store.load(
        "Account",
        [
            (record, {"Name": f'公司 "{number}"\n', "ParentId": accounts[number // 2] if number else None,
                      "CreatedDate": f"2019-03-{1 + number % 28:02d}T08:00:00.000000Z"})
            for number, record in enumerate(accounts)
        ],
    )  # fmt: skip
    contacts = [
        (store.fresh_id("Contact"), {"LastName": f"王{number}", "AccountId": accounts[number % 120]})
        for number in range(300)
    ]
    store.load("Contact", contacts)
    target = org.target(objects=list(OBJECTS))
    target.take_files(lambda name: io.BytesIO(name.encode() * 100_000))
    files = {
        "Legacy__c": ["x", "y"],
        "Title": ["合同", "b"],
        "PathOnClient": ["合同.pdf", "b.txt"],
        "VersionData": ["1", "2"],
    }
    target.upsert("ContentVersion", pa.table(files), key="Legacy__c")


def test_from_organisation_to_organisation_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SF_SECRET", "sandbox-client-secret")
    (tmp_path / "mappings").mkdir()
    for name, text in MAPPINGS.items():
        (tmp_path / "mappings" / f"{name}.yaml").write_text(text, encoding="utf-8")
    with world() as old, world() as new:
        for org in (old, new):
            for name in OBJECTS:
                org.org.adopt(ObjectSchema(name, "Id", (KEY,)))
        old_org(old)
        migration = MIGRATION.format(old=old.box.url, new=new.box.url)
        (tmp_path / "migration.yaml").write_text(migration, encoding="utf-8")
        assert run_app(["-C", str(tmp_path), "run"]) == 0
        store = new.org.store
        assert [store.count(name) for name in OBJECTS] == [120, 300, 2]
        (first,) = store.find("Account", Name='公司 "7"\n')
        (parent,) = store.find("Account", Name='公司 "3"\n')
        held = store.get("Account", first)
        assert held is not None
        assert (held["ParentId"], str(held["CreatedDate"])[:10]) == (parent, "2019-03-08")
        assert any(path.endswith("/jobs/ingest") for path in _writes(new)), "300 contacts are a job"
        writes = len(_writes(new))
        assert run_app(["-C", str(tmp_path), "run"]) == 0
        assert len(_writes(new)) == writes, "a second run must write nothing"
        assert run_app(["-C", str(tmp_path), "rollback", _first_run(tmp_path), "--yes"]) == 0
        assert [store.count(name) for name in OBJECTS] == [0, 0, 0]


def _writes(org: World) -> list[str]:
    return [
        call.path
        for call in org.box.moods.log
        if call.method in {"POST", "PATCH", "PUT", "DELETE"}
        and ("/composite/sobjects" in call.path or "/jobs/ingest" in call.path or "/sobjects/" in call.path)
    ]


def _first_run(folder: Path) -> str:
    with closing(sqlite3.connect(folder / ".migrator" / "ledger.db")) as ledger:
        (run,) = ledger.execute("SELECT id FROM migrator_run ORDER BY started_at LIMIT 1").fetchone()
    return str(run)
