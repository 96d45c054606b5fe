"""The sync between systems over HTTP: a Salesforce sandbox and one of Fxiaoke or Dataverse, edited on both sides by others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from connectors.sandbox.faults import Do, Fault
from connectors.sandbox.reading import Read
from connectors.sandbox.salesforce.org import Org
from connectors.sandbox.serve import Box
from connectors.sandbox.where import Path as Column
from migrator.commands.project import Project, load_project
from migrator.commands.sync import SyncRun, once, rehearse
from migrator.commands.sync_conflicts import Asked, list_conflicts, resolve_conflict
from migrator.core.connector import Target
from migrator.core.errors import RetryableError
from migrator.sync.report import Status
from tests.live import fxiaoke_world as fx
from tests.live.dataverse_box import dataverse
from tests.live.dataverse_box import target as dataverse_target
from tests.live.salesforce_world import world as salesforce

pytestmark = pytest.mark.live


@dataclass
class Other:
    """The new system: its object, its fields for a text and a note, and what its users write with."""

    object: str
    key: str
    id: str
    name: str
    note: str
    settings: dict[str, Any]
    target: Target
    box: Box

    def rows(self) -> dict[str, dict[str, Any]]:
        columns = [self.id, self.key, self.name, self.note]
        found = [row for page in self.target.read(self.object, columns=columns) for row in page.to_pylist()]
        return {row[self.name]: row for row in found}

    def add(self, name: str) -> None:
        """What a user there does: a record without any key of ours."""
        self.box.store.load(self.object, [(self.box.store.fresh_id(self.object), {self.name: name})])

    def keys(self) -> list[str]:
        """The keys that its records carry, past every protocol and fault."""
        return [str(row[0]) for row in self.box.store.select(Read(self.object, (Column(self.key),)))]

    def edit(self, name: str, **values: str) -> None:
        named = {"name": self.name, "note": self.note}
        row = {self.id: self.rows()[name][self.id]} | {named[key]: value for key, value in values.items()}
        self.target.update(self.object, pa.Table.from_pylist([row]), key=self.id)


@contextmanager
def fxiaoke(*faults: Fault) -> Iterator[Other]:
    with fx.tenant(*faults) as box:
        settings = {"connector": "fxiaoke", **fx.settings(box, objects=["AccountObj"])}
        yield Other("AccountObj", fx.KEY, "_id", "name", "remark", settings, fx.target(box), box)


@contextmanager
def microsoft(*faults: Fault) -> Iterator[Other]:
    with dataverse(*faults) as box, dataverse_target(box, tables=["account"]) as target:
        settings = {
            "connector": "dataverse",
            "url": box.url,
            "token": box.credentials["token"],
            "tables": ["account"],
        }
        yield Other("account", "new_legacyid", "accountid", "name", "description", settings, target, box)


OTHERS = {"fxiaoke": fxiaoke, "dataverse": microsoft}


@dataclass
class Pair:
    """Salesforce and another system, and a project that keeps them in step."""

    project: Project
    deals: Target
    other: Other
    org: Org

    def once(self) -> SyncRun:
        return once(self.project)

    def add(self, title: str, note: str = "") -> None:
        """What a user does in Salesforce."""
        values: dict[str, Any] = {"Title__c": title, "Notes__c": note or None}
        self.org.store.load("Deal__c", [(self.org.store.fresh_id("Deal__c"), values)])

    def deal(self, title: str) -> dict[str, Any]:
        columns = ["Id", "Legacy__c", "Title__c", "Notes__c"]
        rows = [row for page in self.deals.read("Deal__c", columns=columns) for row in page.to_pylist()]
        return next(row for row in rows if row["Title__c"] == title)

    def edit(self, title: str, **values: str) -> None:
        row = {"Id": self.deal(title)["Id"], **values}
        self.deals.update("Deal__c", pa.Table.from_pylist([row]), key="Id")


@pytest.fixture(params=sorted(OTHERS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def paired(folder: Path, kind: str, *faults: Fault) -> Iterator[Pair]:
    with ExitStack() as stack:
        org = stack.enter_context(salesforce())
        other = stack.enter_context(OTHERS[kind](*faults))
        (folder / "mappings").mkdir()
        (folder / "mappings" / "deal.yaml").write_text(
            f"mapping: deal\ntarget: {{system: new, object: {other.object}, key: {other.key}}}\n"
            "source: {system: old, object: Deal__c}\n"
            f"fields:\n  {other.name}: {{from: Title__c}}\n  {other.note}: {{from: Notes__c}}\n"
            f"sync: {{direction: both, key: Legacy__c, policy: {{{other.note}: hold}}, delete: propagate}}\n"
        )
        systems = {"old": {"connector": "salesforce", **org.settings}, "new": other.settings}
        (folder / "migration.yaml").write_text("project: live\nsystems: " + json.dumps(systems) + "\n")
        yield Pair(load_project(folder), org.target(), other, org.org)


def settled(pair: Pair) -> SyncRun:
    for _ in range(4):
        done = pair.once()
    return done


def test_edits_creates_and_deletes_flow_both_ways(tmp_path: Path, kind: str) -> None:
    with paired(tmp_path, kind) as pair:
        pair.add("Alpha 商机", "first")
        pair.add("Beta")
        assert {row.kind for row in rehearse(pair.project).writes} == {"create"}
        done = settled(pair)
        assert (done.standing.status, done.report.writes) == (Status.GREEN, 0)
        assert pair.other.rows()["Alpha 商机"][pair.other.note] == "first"

        pair.edit("Alpha 商机", Title__c="Alpha 2")
        pair.other.edit("Beta", note="von drüben\n'\"")
        assert settled(pair).standing.status is Status.GREEN
        assert pair.other.rows()["Alpha 2"][pair.other.note] == "first"
        assert pair.deal("Beta")["Notes__c"] == "von drüben\n'\""

        pair.other.add("Gamma")
        assert settled(pair).standing.status is Status.GREEN
        assert pair.deal("Gamma")["Legacy__c"] == pair.other.rows()["Gamma"][pair.other.id]

        pair.deals.delete("Deal__c", [pair.deal("Beta")["Id"]], key="Id")
        assert settled(pair).standing.status is Status.GREEN
        assert sorted(pair.other.rows()) == ["Alpha 2", "Gamma"]


def test_a_conflict_waits_for_a_person_over_http_too(tmp_path: Path, kind: str) -> None:
    with paired(tmp_path, kind) as pair:
        pair.add("Alpha", "first")
        settled(pair)
        pair.edit("Alpha", Notes__c="ours")
        pair.other.edit("Alpha", note="theirs")
        assert pair.once().standing.exit_code == 5
        assert (pair.deal("Alpha")["Notes__c"], pair.other.rows()["Alpha"][pair.other.note]) == (
            "ours",
            "theirs",
        )
        (found,) = list_conflicts(pair.project, Asked()).conflicts
        resolve_conflict(pair.project, found.number, "new", who="Li", note="")
        assert settled(pair).standing.status is Status.GREEN
        assert pair.deal("Alpha")["Notes__c"] == "theirs"


_CREATES = {"fxiaoke": "*/data/create", "dataverse": "*"}


def test_lost_answers_make_no_record_twice(tmp_path: Path, kind: str) -> None:
    faults = (Fault(Do.RESET_AFTER, method="POST", path=_CREATES[kind], every=3),)
    with paired(tmp_path, kind, *faults) as pair:
        for number in range(12):
            pair.add(f"Deal {number}", "x")
        for _ in range(12):
            try:
                done = pair.once()
            except RetryableError:
                continue
            if done.standing.exit_code == 0 and done.report.writes == 0:
                break
        held = pair.other.keys()
        assert len(held) == len(set(held)) == 12
        assert done.standing.status is Status.GREEN
