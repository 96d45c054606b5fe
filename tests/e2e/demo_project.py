"""The demo as a project that tests run, copy, mend and corrupt: the shipped mappings over small exports with known truth."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from migrator.cli.main import run_app
from migrator.commands.project import Project, load_project, open_workspace
from migrator.commands.shipped import shipped
from migrator.staging.relation import relation
from migrator.staging.store import Kind
from migrator.testing.synthetic import Rates, Truth, generate

ROOT = Path(__file__).parents[2]
RATES = Rates(
    orphans=0.02, bad_dates=0.01, bad_amounts=0.02, unmapped=0.02, missing=0.02, too_long=0.02, cycles=0.05, deleted=0.03
)  # fmt: skip
"""So many that every kind of bad value occurs in a small export."""
SQLITE = "sqlite:///new_crm.db"
MAPPINGS = (
    "app_user", "account", "contact", "opportunity", "sales_order", "activity", "attachment", "marketing_list", "list_member",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command printed and ended with."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        """The one JSON document on standard output."""
        found: dict[str, Any] = json.loads(self.out)
        return found


@dataclass(frozen=True, slots=True)
class DemoProject:
    """A project folder, and where its ledger and its target live."""

    folder: Path
    truth: Truth
    ledger: str = ""
    target: str = SQLITE

    @property
    def project(self) -> Project:
        """As the commands see it."""
        return load_project(self.folder)

    @property
    def target_url(self) -> str:
        """The target for a reader that stands elsewhere."""
        return self.target.replace(SQLITE, f"sqlite:///{self.folder / 'new_crm.db'}")

    def run(self, *arguments: str) -> Answer:
        """Run one command in this process."""
        return run(f"-C{self.folder}", *arguments)

    def asked(self, *arguments: str) -> dict[str, Any]:
        """The JSON answer of a command that must end well."""
        answer = self.run(*arguments, "--json")
        assert answer.code == 0, answer.err
        return answer.json()

    def write_settings(self) -> None:
        """Write `migration.yaml`; JSON is YAML."""
        exports = self.truth.folder
        settings: dict[str, Any] = {
            "project": "demo",
            "systems": {
                "salesforce": {"connector": "salesforce-export", "path": str(exports / "salesforce")},
                "dynamics": {
                    "connector": "dynamics-export",
                    "path": str(exports / "dynamics" / "export.zip"),
                },
                "crm": {"connector": "sql", "url": self.target},
            },
            "engine": {"memory_limit": "1GB", "threads": 1},
            "batch_rows": 100,
        }
        if self.ledger:
            settings["ledger"] = self.ledger
        (self.folder / "migration.yaml").write_text(json.dumps(settings, indent=1), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Migrated:
    """The demo after one undisturbed run; look at it, and spoil only copies."""

    here: DemoProject
    told: dict[str, Any]
    """What `migrator run --json` said."""
    copy: Callable[[Path], DemoProject]
    """A copy in a new folder, databases and all."""


def run(*arguments: str) -> Answer:
    """Run `migrator` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run_app(arguments)
    return Answer(code, out.getvalue(), err.getvalue())


def command(*arguments: str | Path, cwd: Path | None = None, **environment: str) -> Answer:
    """Run `migrator` as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "migrator.cli", *map(str, arguments)],
        cwd=cwd, env=os.environ | environment, capture_output=True, encoding="utf-8", check=False, timeout=240,
    )  # fmt: skip
    return Answer(done.returncode, done.stdout, done.stderr)


def make_exports(folder: Path, scale: int, seed: int = 7) -> Truth:
    """Both exports, with every kind of bad value."""
    return generate(folder, scale=scale, seed=seed, rates=RATES)


def make_project(
    folder: Path,
    truth: Truth,
    *,
    ledger: str = "",
    target: str = SQLITE,
    mappings: tuple[str, ...] = MAPPINGS,
) -> DemoProject:
    """A project with the shipped demo mappings (or some of them) that reads the exports of `truth` where they lie."""
    demo = shipped("demo")
    shutil.copytree(demo / "values", folder / "values")
    (folder / "mappings").mkdir()
    for name in mappings:
        shutil.copy(demo / "mappings" / f"{name}.yaml", folder / "mappings")
    here = DemoProject(folder, truth, ledger, target)
    here.write_settings()
    return here


def copy_project(
    folder: Path, original: DemoProject, *, ledger: str = "", target: str = SQLITE
) -> DemoProject:
    """A copy to spoil; databases that are not files in the folder are the caller's to copy."""
    shutil.copytree(original.folder, folder)
    here = DemoProject(folder, original.truth, ledger, target)
    here.write_settings()
    return here


def dump(url: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table of a target as it is stored, read by plain SQL."""
    with connected(url) as connection:
        found = {
            name: [dict(row._mapping) for row in connection.execute(sa.text(f'SELECT * FROM "{name}"'))]
            for name in sa.inspect(connection).get_table_names()
        }
    return {name: sorted(rows, key=lambda row: row["legacy_id"]) for name, rows in sorted(found.items())}


def indexes(url: str) -> dict[str, list[str]]:
    """The names of all indexes of a target, by table."""
    with connected(url) as connection:
        asked = sa.inspect(connection)
        return {
            table: sorted(str(item["name"]) for item in asked.get_indexes(table))
            for table in sorted(asked.get_table_names())
        }


@contextmanager
def connected(url: str) -> Iterator[sa.Connection]:
    """A transaction on a database, and no connection left behind."""
    engine = sa.create_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def records(here: DemoProject, kind: Kind, columns: str = "*") -> dict[str, list[dict[str, Any]]]:
    """What the ledger vouches for of one kind, by object, ordered by record."""
    found = {}
    with open_workspace(here.project) as workspace, closing(workspace.session()) as session:
        for name in workspace.store.names(kind):
            rows = relation(session, workspace.store.need(kind, name, made_by="run"))
            found[name] = session.fetch(f"SELECT {columns} FROM {rows} ORDER BY __id").to_pylist()
    return found


def vouched(here: DemoProject) -> list[str]:
    """Staged files that nobody vouches for, and datasets begun and never finished: there should be none."""
    with open_workspace(here.project) as workspace:
        store = workspace.store
        names = [(kind, name) for kind in Kind for name in store.names(kind)]
        known = {part.path for kind, name in names for part in store.need(kind, name, made_by="run").parts}
        on_disk = set(store.root.rglob("*.parquet"))
        begun = [f"{kind.value}/{name}" for kind, name in names if store.unfinished(kind, name)]
    return sorted(str(path.relative_to(store.root)) for path in on_disk ^ known) + begun
