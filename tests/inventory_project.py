"""A small project with an old system's records and its metadata: hostile names, a retired field, a flow, an integration."""

from __future__ import annotations

import csv
from pathlib import Path

from migrator.commands import steps
from migrator.commands.inventory import ScanReport, scan_functions
from migrator.commands.project import Project, load_project
from migrator.testing.synthetic.metadata import write_tree

MIGRATION = """\
project: functions
systems:
  legacy: {connector: files, path: in}
  new: {connector: sql, url: "sqlite:///new.db"}
engine: {memory_limit: 200MB, threads: 1}
"""
MAPPING = """\
mapping: account
target: {system: new, object: customer, key: legacy_id}
source:
  system: legacy
  object: Account
  key: Id
  drop: {Old__c: nobody reads it}
fields:
  legacy_id: {record_id: true}
  name: {from: Name, type: string(12)}
  tier: {from: Tier__c, type: string(5)}
"""
COLUMNS = (
    "Id",
    "Name",
    "Tier__c",
    "Old__c",
    "Empty__c",
    "Flag__c",
    "Used__c",
    "Business_Unit__c",
    "CreatedDate",
    "LastModifiedDate",
)
ROOT = "force-app/main/default"
EVIL = '=HYPERLINK("http://x","<img src=x onerror=alert(1)>")'


def rows() -> list[tuple[str, ...]]:
    """Twenty records; `Old__c` is filled in the old half only, `Flag__c` never true, `Used__c` is a default on every row."""
    return [
        (
            f"a{n}", f"公司 {n}", "A" if n % 2 else "B" * 9, "x" if n < 10 else "", ("", "  ", "null", "NULL")[n % 4], "false",
            "std", "北京" if n % 2 else "上海", f"20{10 + n // 2}-01-01 00:00:00", f"20{10 + n // 2}-06-01 00:00:00",
        )
        for n in range(20)
    ]  # fmt: skip


def _xml(root: str, body: str) -> str:
    return f'<{root} xmlns="http://soap.sforce.com/2006/04/metadata">{body}</{root}>'


def _field(name: str, more: str = "<type>Text</type>") -> tuple[str, str]:
    path = f"{ROOT}/objects/Account/fields/{name}.field-meta.xml"
    return path, _xml("CustomField", f"<fullName>{name}</fullName><label>{name}</label>{more}")


def metadata() -> dict[str, str]:
    """What the old system does with these records."""
    label = EVIL.replace("<", "&lt;")
    return dict(
        [
            (f"{ROOT}/objects/Account/Account.object-meta.xml", _xml("CustomObject", f"<label>{label}</label>")),
            _field("Tier__c", "<type>EncryptedText</type><maskType>all</maskType>"),
            _field("Old__c"),
            _field("Empty__c"),
            _field("Flag__c", "<type>Checkbox</type><defaultValue>false</defaultValue>"),
            _field("Used__c", "<type>Picklist</type><defaultValue>'std'</defaultValue>"),
            _field("Gone__c"),
            (
                f"{ROOT}/flows/Rate.flow-meta.xml",
                _xml("Flow", "<status>Active</status><start><object>Account</object><recordTriggerType>Update</recordTriggerType>"
                     "</start><assignments><name>A</name><x>$Record.Tier__c</x></assignments>"),
            ),
            (f"{ROOT}/remoteSiteSettings/SAP.remoteSite-meta.xml", _xml("RemoteSiteSetting", "<url>https://sap.example.com/x?key=s3cret</url>")),
            ("README.md", "# notes"),
        ]
    )  # fmt: skip


def make_project(folder: Path, *, staged: bool = True) -> Project:
    """The project in `folder`, its records extracted."""
    (folder / "in").mkdir(parents=True)
    with (folder / "in" / "Account.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows()])
    (folder / "mappings").mkdir()
    (folder / "mappings" / "account.yaml").write_text(MAPPING, encoding="utf-8")
    (folder / "migration.yaml").write_text(MIGRATION, encoding="utf-8")
    project = load_project(folder)
    if staged:
        steps.extract(project)
    return project


def scan_it(project: Project, files: dict[str, str] | None = None) -> ScanReport:
    """Write the metadata beside the project and scan it."""
    tree = project.folder / "metadata"
    write_tree(tree, metadata() if files is None else files)
    return scan_functions(project, str(tree), system="legacy")
