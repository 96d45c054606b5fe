"""A whole small migration for tests of the command line: two CRM exports and a folder of CSV into one new database.

Few records, but of the awkward kind: Chinese names, quotes and line ends in fields, an object called 'Order', duplicates
across systems, a link to itself, a row that must be quarantined, one that is excluded.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import signal
import sqlite3
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from migrator.cli.main import run_app
from tests.migration_export import Table, write_zip

MIGRATION = """\
project: small
systems:
  salesforce: {connector: salesforce-export, path: exports/salesforce}
  dynamics: {connector: dynamics-export, path: exports/dynamics.zip}
  shop: {connector: files, path: exports/shop}
  crm: {connector: sql, url: "sqlite:///crm.db"}
engine: {memory_limit: 500MB, threads: 1}
batch_rows: 2
"""
MAPPINGS = {
    "account": """\
mapping: account
target: {system: crm, object: account, key: legacy_id}
sources:
  salesforce:
    object: Account
    exclude: [{when: IsDeleted, reason: deleted in the old system}]
    fields:
      name: {from: Name}
      country: {from: BillingCountry}
      parent: {from: ParentId}
      revenue: {from: AnnualRevenue}
  dynamics:
    object: account
    fields:
      name: {from: name}
      country: {from: address1_country}
      parent: {from: parentaccountid}
      revenue: {from: revenue}
fields:
  legacy_id: {record_id: true}
  name: {type: string(80), clean: [trim, collapse], required: true}
  country: {type: string(2), values: values/country.csv}
  parent: {lookup: account, missing: "null"}
  revenue: {type: "decimal(18,2)"}
dedupe:
  keys: {name: {name: company}}
""",
    "contact": """\
mapping: contact
target: {system: crm, object: contact, key: legacy_id}
sources:
  salesforce:
    object: Contact
    fields:
      last_name: {from: LastName}
      email: {from: Email}
      account: {from: AccountId}
      born: {from: Birthdate}
  dynamics:
    object: contact
    fields:
      last_name: {from: lastname}
      email: {from: emailaddress1}
      account: {from: parentcustomerid}
      born: {from: birthdate}
fields:
  legacy_id: {record_id: true}
  last_name: {type: string(40), clean: trim, required: true}
  email: {type: string(80), clean: [trim, lower], pii: email}
  account: {lookup: account}
  born: {type: date}
""",
    "order": """\
mapping: order
target: {system: crm, object: Order, key: legacy_id}
source:
  system: shop
  object: Order
  key: No.
fields:
  legacy_id: {record_id: true}
  select: {from: select, type: text}
  amount: {from: "Amount, net", type: "decimal(10,2)"}
""",
}
COUNTRIES = "source,target,remark\nChina,CN,\n中国,CN,also so\nGermany,DE,\nDeutschland,DE,\n"
ACCOUNTS = (
    ("Id", "IsDeleted", "Name", "BillingCountry", "ParentId", "AnnualRevenue"),
    ("001000000000001AAA", "0", "Acme \"Tools\", Inc.", "Germany", "", "1000.50"),
    ("001000000000002AAA", "0", "北京软件\n有限公司", "中国", "001000000000001AAA", ""),
    ("001000000000003AAA", "0", "Nowhere Ltd", "Atlantis", "", "3"),
    ("001000000000004AAA", "1", "Gone Ltd", "China", "", ""),
)  # fmt: skip
CONTACTS = (
    ("Id", "LastName", "Email", "AccountId", "Birthdate"),
    ("003000000000001AAA", "Müller", " Anna@Example.com ", "001000000000001AAA", "1980-02-29"),
    ("003000000000002AAA", "王", "wang@example.cn", "001000000000002AAA", ""),
    ("003000000000003AAA", "Bad", "bad@example.com", "001000000000001AAA", "1981-02-29"),
    ("003000000000004AAA", "Waits", "waits@example.com", "001000000000003AAA", ""),
)
ORDERS = (
    ("No.", "select", "Amount, net"),
    ("A-1", "line one\nline \"two\"", "12.30"),
    ("A-2", "", "0"),
    ("A-3", "注文", "99999999.99"),
    ("A-4", "x", "7.5"),
    ("A-5", "y", "8"),
)  # fmt: skip
ACCOUNT = Table(
    "account",
    {"name": "string", "address1_country": "string", "revenue": "money", "accountid": "guid",
     "parentaccountid": {"type": "entityreference", "lookupType": "account"}},
    [
        {"accountid": "a0000000-0000-0000-0000-000000000001", "name": "ACME Tools Inc", "address1_country": "Deutschland", "revenue": "1000.50"},
        {"accountid": "a0000000-0000-0000-0000-000000000002", "name": "Zhōng & Söhne <GmbH>", "address1_country": "China", "revenue": "12.00"},
    ],
)  # fmt: skip
CONTACT = Table(
    "contact",
    {"contactid": "guid", "lastname": "string", "emailaddress1": "string", "birthdate": "datetime",
     "parentcustomerid": {"type": "entityreference", "lookupType": "account"}},
    [
        {"contactid": "c0000000-0000-0000-0000-000000000001", "lastname": "O'Neil", "emailaddress1": "o@example.com",
         "parentcustomerid": {"value": "a0000000-0000-0000-0000-000000000001", "lookupentity": "account", "lookupentityname": "ACME"}},
        {"contactid": "c0000000-0000-0000-0000-000000000002", "lastname": "李\n四", "emailaddress1": "li@example.cn",
         "parentcustomerid": {"value": "a0000000-0000-0000-0000-000000000002", "lookupentity": "account", "lookupentityname": "Z"}},
    ],
)  # fmt: skip


def sheet(rows: Sequence[Sequence[str]]) -> str:
    """Rows as CSV with every field quoted, as Salesforce writes it."""
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return out.getvalue()


def write_weekly(folder: Path) -> Path:
    """The Salesforce export: one zip."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "WE_00DxY0000001AbCUAU_1.ZIP"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Account.csv", sheet(ACCOUNTS))
        archive.writestr("Contact.csv", sheet(CONTACTS))
    return path


def write_small(folder: Path) -> Path:
    """The whole project in `folder`, ready for `migrator run`."""
    write_weekly(folder / "exports" / "salesforce")
    write_zip(folder / "exports" / "dynamics.zip", ACCOUNT, CONTACT)
    for name, text in {
        "migration.yaml": MIGRATION,
        "values/country.csv": COUNTRIES,
        "exports/shop/Order.csv": sheet(ORDERS),
        **{f"mappings/{name}.yaml": text for name, text in MAPPINGS.items()},
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"exit code {self.code}\n--- out\n{self.out}\n--- err\n{self.err}"


def migrator(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> Said:
    """Run one command on the project in `folder`, in this process."""
    before = signal.getsignal(signal.SIGTERM)
    capsys.readouterr()
    try:
        code = run_app(["-C", str(folder), *arguments])
    finally:
        signal.signal(signal.SIGTERM, before)
    out, err = capsys.readouterr()
    return Said(code, out, err)


def target_rows(database: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every table of a SQLite target with its rows, in an order of their own."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        names = [
            row[0]
            for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")
        ]
        return {
            name: sorted(connection.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr) for name in names
        }
    finally:
        connection.close()


def replace_in(path: Path, changes: Mapping[str, str]) -> None:
    """Replace texts in a file; each must be there."""
    text = path.read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text, f"{old!r} is not in {path}"
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class State:
    """What a migration came to: every row of the target, and what became of every record."""

    target: Mapping[str, Sequence[tuple[Any, ...]]]
    account: Mapping[str, Any]


def state(folder: Path, capsys: pytest.CaptureFixture[str]) -> State:
    """The state of the project in `folder`, whose target is its own SQLite file."""
    said = migrator(folder, capsys, "status", "--json")
    assert said.code == 0, said
    return State(target_rows(folder / "crm.db"), json.loads(said.out))


def staged_data(folder: Path) -> list[tuple[str, ...]]:
    """Kind, name and fingerprint of every complete dataset: what a step that failed must leave as it was."""
    connection = sqlite3.connect(folder / ".migrator" / "ledger.db")
    try:
        query = (
            "SELECT kind, name, id, fingerprint FROM migrator_dataset WHERE state = 'complete' ORDER BY 1, 2"
        )
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def copied(folder: Path, into: Path) -> Path:
    """A project copied with its ledger, its staged data and its target."""
    return Path(shutil.copytree(folder, into, symlinks=True))


def assert_told(said: Said, code: int, *texts: str) -> None:
    """The command ended with `code`, and each text stands in what it says; no bug, no traceback, a hint to every error."""
    assert said.code == code, said
    assert "Traceback" not in said.err, said
    for text in texts:
        assert text in said.err, f"{text!r} is not in: {said}"
    lines = said.err.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("error "):
            after = lines[number + 1 :]
            assert after, f"no hint: {said}"
            assert after[0].startswith("  "), f"no hint: {said}"
