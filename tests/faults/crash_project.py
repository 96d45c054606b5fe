"""A small project that meets every boundary of a migration, and the stages of its life: two loads, a retry, the way back.

Two weekly exports that overlap, a link to itself, duplicates, files, rejects, values nobody mapped, records that the
target refuses, and a record that was in the target before anybody migrated.
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from migrator.commands.inspect import looking
from migrator.commands.project import Project, load_project
from migrator.commands.target import flat
from migrator.staging import quarantine
from migrator.staging.accounting import account
from migrator.staging.engine import Session
from migrator.staging.quarantine import Filter
from migrator.staging.relation import relation
from migrator.staging.store import Dataset, Kind
from tests.e2e.demo_project import Answer, dump, run
from tests.small_migration import sheet

SETTINGS = """\
project: crash
systems:
  salesforce: {connector: salesforce-export, path: exports}
  crm: {connector: sql, url: "sqlite:///crm.db", batch_rows: 4}
engine: {memory_limit: 500MB, threads: 1}
batch_rows: 4
"""
MAPPINGS = {
    "account": """\
mapping: account
target: {system: crm, object: account, key: legacy_id}
source:
  system: salesforce
  object: Account
  exclude: [{when: IsDeleted, reason: deleted in the old system}]
fields:
  legacy_id: {record_id: true}
  name: {from: Name, type: string(80), required: true}
  country: {from: BillingCountry, type: string(2), values: values/country.csv}
  parent: {from: ParentId, lookup: account, missing: "null"}
dedupe:
  keys: {name: {name: company}}
""",
    "attachment": """\
mapping: attachment
target: {system: crm, object: attachment, key: legacy_id}
source:
  system: salesforce
  object: Attachment
fields:
  legacy_id: {record_id: true}
  name: {from: Name, type: string(40), required: true}
  content: {from: Body}
  account: {from: ParentId, lookup: account}
""",
}
COUNTRIES = "source,target\nChina,CN\n中国,CN\nGermany,DE\n"
REFUSES = (
    "CREATE TRIGGER closed BEFORE INSERT ON attachment WHEN NEW.name LIKE '%refused%'"
    " BEGIN SELECT RAISE(ABORT, 'it is closed'); END"
)
THEIRS = ("salesforce:00P000000000002AAA", "theirs")
SETTLED = "__id, target_key, target_id, __fp, outcome = 'refused' AS refused, code, field, message, links"
"""Columns of the crosswalk that do not tell when, nor in how many attempts, a record came in."""


def company(
    number: int, name: str, country: str = "China", parent: int | None = None, deleted: str = "0"
) -> list[str]:
    return [
        _id("001", number),
        deleted,
        name,
        country,
        "" if parent is None else _id("001", parent),
        f"2024-01-{number + 1:02d}",
    ]


def attachment(number: int, name: str, of: int) -> list[str]:
    return [_id("00P", number), name, _id("001", of)]


def _id(prefix: str, number: int) -> str:
    return f"{prefix}{number:012d}AAA"


HEADS = {
    "Account": ("Id", "IsDeleted", "Name", "BillingCountry", "ParentId", "LastModifiedDate"),
    "Attachment": ("Id", "Name", "ParentId"),
}
FIRST = {
    "Account": [
        company(0, 'Acme "Tools", Inc.'), company(1, "北京软件\n有限公司", "中国", 0), company(2, "Nowhere Ltd", "Atlantis"),
        company(3, "Gone Ltd", deleted="1"), company(4, "ACME Tools Inc", "Germany", 1), company(5, "Fünf", "Germany", 6),
        company(6, "Sechs", "Germany", 5),
    ],
    "Attachment": [
        attachment(0, "Müller.txt", 0), attachment(1, "王", 1), attachment(2, "ours", 4), attachment(3, "refused", 0),
        attachment(4, "waits", 2), attachment(5, "O'Neil", 3),
    ],
}  # fmt: skip
SECOND = {
    "Account": [
        company(0, 'Acme "Tools", Inc.', parent=7), company(1, "北京软件\n有限公司", "中国", 0), company(2, "Nowhere Ltd", "Atlantis"),
        company(4, "ACME Tools Inc", "Germany", 1), company(5, "Fünf & Co", "Germany", 6), company(6, "Sechs", "Germany", 5),
        company(7, "Neu", "Germany", 0),
    ],
    "Attachment": [
        attachment(0, "Müller-王.txt", 0), attachment(1, "王", 7), attachment(2, "ours", 4), attachment(3, "refused", 0),
        attachment(4, "waits", 2), attachment(6, "also refused", 7), attachment(7, "new", 7),
    ],
}  # fmt: skip
"""A week later: changed, new, vanished."""


def write_exports(folder: Path, objects: Mapping[str, Sequence[Sequence[str]]]) -> None:
    """Two zips: the second has the last records of the first again, one in an older version, and a line that is no record."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in (1, 2):
        with zipfile.ZipFile(
            folder / f"WE_00DxY0000001AbCUAU_{number}.ZIP", "w", zipfile.ZIP_DEFLATED
        ) as archive:
            for name, rows in objects.items():
                half = len(rows) // 2
                part = list(rows[: half + 1]) if number == 1 else list(rows[half:])
                text = sheet([HEADS[name], *part])
                archive.writestr(
                    f"{name}.csv", text + ('"torn"\n' if name == "Attachment" and number == 2 else "")
                )
                for row in part if name == "Attachment" else ():
                    archive.writestr(f"Attachments/{row[0]}", f"content of {row[1]}".encode())


def write_project(folder: Path) -> CrashProject:
    """The project before its first run; one of its records is in the target already, and the target refuses some."""
    write_exports(folder / "exports", FIRST)
    for name, text in {
        "migration.yaml": SETTINGS,
        "values/country.csv": COUNTRIES,
        **{f"mappings/{name}.yaml": text for name, text in MAPPINGS.items()},
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return CrashProject(folder)


@dataclass(frozen=True, slots=True)
class CrashProject:
    """The project in a folder."""

    folder: Path

    @property
    def project(self) -> Project:
        """As the commands see it."""
        return load_project(self.folder)

    def run(self, *arguments: str) -> Answer:
        """One command in this process; it must not end in a bug."""
        answer = run(f"-C{self.folder}", *arguments)
        if answer.code not in (0, 1):
            sys.stderr.write(f"{arguments} ended with {answer.code}: {answer.err}\n")
            raise SystemExit(answer.code)
        return answer

    def execute(self, *statements: str) -> None:
        """SQL in the target."""
        with closing(sqlite3.connect(self.folder / "crm.db")) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    def runs(self) -> list[str]:
        """The loads that can be taken back, the newest first."""
        return [item["run"] for item in self.run("rollback", "--json").json()["runs"]]

    def state(self) -> dict[str, Any]:
        """All that a user could see, but for moments and run numbers."""
        with looking(self.project) as (workspace, session, bound):
            store, objects = workspace.store, flat(bound.groups)
            names = [(kind, name) for kind in Kind for name in store.names(kind)]
            datasets = [store.need(kind, name, made_by="run") for kind, name in names]
            known = {part.path for item in datasets for part in item.parts}
            return {
                "status": account(store, session, objects).to_json(),
                "quarantine": [
                    (item.object, item.record, item.step, item.rule, item.field, item.value, item.message)
                    for item in quarantine.rows(store, session, objects, only=Filter(), masked=False)
                ],
                "target": self.held(),
                "crosswalk": _records(session, datasets, Kind.CROSSWALK, SETTLED),
                "clusters": _records(session, datasets, Kind.CLUSTERS, "*"),
                "datasets": sorted({f"{kind.value}/{name.partition('@')[0]}" for kind, name in names}),
                "nobody vouches for": sorted(
                    str(path) for path in set(store.root.rglob("*.parquet")) ^ known
                ),
                "unfinished": [
                    f"{kind.value}/{name}" for kind, name in names if store.unfinished(kind, name)
                ],
            }

    def held(self) -> dict[str, Any]:
        """Every row of the target."""
        return dump(f"sqlite:///{self.folder / 'crm.db'}")


def _records(session: Session, datasets: Sequence[Dataset], kind: Kind, what: str) -> dict[str, Any]:
    return {
        item.name: session.fetch(f"SELECT {what} FROM {relation(session, item)} ORDER BY __id").to_pylist()
        for item in datasets
        if item.kind is kind
    }


class Stage(Enum):
    """A part of the project's life."""

    FIRST = "first run"
    SECOND = "second run, with updates and records gone"
    RETRY = "quarantine retry"
    ROLLBACK = "rollback of all runs"


def make_ready(stage: Stage, here: CrashProject) -> None:
    """What a person, or the old system, does before a stage."""
    match stage:
        case Stage.FIRST:
            make_target(here)
        case Stage.SECOND:
            write_exports(here.folder / "exports", SECOND)
        case Stage.RETRY:
            here.execute("DROP TRIGGER closed")
            (here.folder / "values" / "country.csv").write_text(f"{COUNTRIES}Atlantis,AT\n", encoding="utf-8")
        case Stage.ROLLBACK:
            pass


def make_target(here: CrashProject) -> None:
    """A target with the tables of a load, holding only what is theirs, and refusing some records."""
    scratch = write_project(here.folder.with_name(f"{here.folder.name} scratch"))
    scratch.run("run", "--skip-validate")
    (scratch.folder / "crm.db").rename(here.folder / "crm.db")
    shutil.rmtree(scratch.folder)
    empty = [f"DELETE FROM {name}" for name in ("attachment", "account")]
    here.execute(*empty, REFUSES, f"INSERT INTO attachment (legacy_id, name) VALUES {THEIRS}")


def commands(stage: Stage, here: CrashProject) -> list[tuple[str, ...]]:
    """The commands of a stage; after a kill they are found again, so that what is done is not asked for in another order."""
    match stage:
        case Stage.FIRST | Stage.SECOND:
            return [("run", "--skip-validate")]
        case Stage.RETRY:
            return [("quarantine", "retry")]
        case Stage.ROLLBACK:
            return [("rollback", run, "--yes") for run in here.runs()]


def play(stage: Stage, here: CrashProject, before: Callable[[], None] = lambda: None) -> None:
    """A stage from its beginning, or from where it was killed."""
    todo = commands(stage, here)
    before()
    for command in todo:
        here.run(*command)
