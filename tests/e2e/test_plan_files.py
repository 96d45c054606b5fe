"""A saved plan is carried out exactly, gone on with after a kill, and refused as soon as anything it stands on has changed."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from migrator.commands import footing, steps
from migrator.commands.planning import plan
from migrator.commands.project import load_project
from migrator.load import batches
from tests.small_migration import Said, copied, migrator, replace_in, target_rows

MIGRATION = """\
systems:
  shop: {connector: files, path: shop}
  crm: {connector: sql, url: "sqlite:///crm.db"}
engine: {memory_limit: 200MB, threads: 1}
batch_rows: 2
"""
FILES = {
    "migration.yaml": MIGRATION,
    "mappings/customer.yaml": """\
mapping: customer
target: {system: crm, object: Customer 客户, key: legacy_id}
source: {system: shop, object: Customer, key: Id}
fields:
  legacy_id: {record_id: true}
  name: {from: Name, type: string(40), pii: name}
  country: {from: Country, type: string(2), values: values/country.csv}
  parent: {from: Parent, lookup: customer}
dedupe:
  keys: {name: {name: company}}
""",
    "mappings/order.yaml": """\
mapping: order
target: {system: crm, object: Order, key: legacy_id}
source: {system: shop, object: Order, key: No.}
fields:
  legacy_id: {record_id: true}
  customer: {from: customer, lookup: customer}
  amount: {from: "Amount, net", type: "decimal(10,2)"}
""",
    "values/country.csv": "source,target\nChina,CN\nGermany,DE\n",
    "shop/Customer.csv": "Id,Name,Country,Parent\n"
    "1,Acme,Germany,2\n2,北京软件有限公司,China,\n3,ACME,Germany,\n4,Bad,Atlantis,\n",
    "shop/Order.csv": 'No.,customer,"Amount, net"\nA-1,1,1.50\nA-2,3,2\nA-3,2,3\nA-4,4,4\nA-5,1,5\n',
}
CRM = {"url": "sqlite:///crm.db"}


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planned") / "project"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def planned(_made: Path) -> Path:
    """A project with everything planned and nothing loaded."""
    project = load_project(_made)
    steps.extract(project)
    steps.map_records(project)
    steps.dedupe(project)
    plan(project)
    return _made


@pytest.fixture
def folder(planned: Path, tmp_path: Path) -> Path:
    return copied(planned, tmp_path / "project")


def saved(folder: Path) -> str:
    """The id of the one plan that was saved first."""
    return min((folder / "plans").glob("PLAN-*.json"), key=lambda path: path.stat().st_mtime).stem


Ask = Callable[..., Said]


@pytest.fixture
def ask(folder: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    return lambda *arguments: migrator(folder, capsys, *arguments)


def told(said: Said) -> dict[str, Any]:
    assert said.code == 0, said
    found: dict[str, Any] = json.loads(said.out)
    return found


def edit(name: str, old: str, new: str) -> Callable[[Path, Ask], None]:
    return lambda folder, ask: replace_in(folder / name, {old: new})  # noqa: ARG005


def then(change: Callable[[Path, Ask], None], *verbs: str) -> Callable[[Path, Ask], None]:
    def both(folder: Path, ask: Ask) -> None:
        change(folder, ask)
        for verb in verbs:
            assert ask(verb).code == 0

    return both


def lose(kind: str, name: str) -> Callable[[Path, Ask], None]:
    return lambda folder, ask: shutil.rmtree(folder / ".migrator" / "staging" / kind / name)  # noqa: ARG005


def load_and_take_back(folder: Path, ask: Ask) -> None:  # noqa: ARG001
    assert ask("load").code == 0
    (run,) = told(ask("rollback", "--json"))["runs"]
    assert ask("rollback", run["run"], "--yes").code == 0


STALE: dict[str, tuple[Callable[[Path, Ask], None], str]] = {
    "mapping": (
        edit("mappings/order.yaml", "decimal(10,2)", "decimal(12,2)"),
        "mapping order was edited (mappings/order.yaml)",
    ),
    "value map": (
        edit("values/country.csv", "Germany,DE", "Germany,AT"),
        "mapping customer was edited (mappings/customer.yaml)",
    ),
    "dedupe rules": (
        edit("mappings/customer.yaml", "{name: company}", "{name: exact}"),
        "mapping customer was edited (mappings/customer.yaml)",
    ),
    "new mapping": (
        lambda folder, ask: (folder / "mappings" / "more.yaml").write_text(  # noqa: ARG005
            FILES["mappings/order.yaml"]
            .replace(" order", " more")
            .replace("Order, key: leg", "More, key: leg"),
            "utf-8",
        ),
        "mapping more is new",
    ),
    "mapping gone": (
        lambda folder, ask: (folder / "mappings" / "order.yaml").unlink(),  # noqa: ARG005
        "mapping order is gone",
    ),
    "source": (
        then(edit("shop/Order.csv", "A-5,1,5", "A-5,1,6"), "extract"),
        "source shop/Order was extracted again",
    ),
    "source and all after it": (
        then(edit("shop/Order.csv", "A-5,1,5", "A-5,1,6"), "extract", "map", "dedupe"),
        "source shop/Order was extracted again",
    ),
    "mapped again": (then(lose("mapped", "customer"), "map"), "customer was mapped again"),
    "deduplicated again": (
        then(lose("golden", "customer"), "dedupe"),
        "duplicates of customer were looked for again",
    ),
    "crosswalk": (load_and_take_back, "the crosswalk of customer moved on"),
    "another target": (
        edit("migration.yaml", "sqlite:///crm.db", "sqlite:///other.db"),
        "another target: url of crm changed",
    ),
    "batch size": (edit("migration.yaml", "batch_rows: 2", "batch_rows: 3"), "batch_rows is 3, and was 2"),
}


LONG = (
    "source and all after it",
    "deduplicated again",
    "mapping gone",
    "dedupe rules",
    "crosswalk",
    "mapped again",
)
"""Ways like others that take longer."""


@pytest.mark.parametrize(
    "way", [pytest.param(way, marks=pytest.mark.slow) if way in LONG else way for way in STALE]
)
def test_a_stale_plan_is_refused_and_names_what_changed(folder: Path, ask: Ask, way: str) -> None:
    change, words = STALE[way]
    file = saved(folder)
    change(folder, ask)
    before = target_rows(folder / "crm.db") if (folder / "crm.db").exists() else None
    said = ask("load", "--plan", file)
    assert said.code == 5, said
    assert f"{file} is stale, and nothing was written:" in said.err
    assert words in said.err, said
    assert "migrator plan" in said.err
    assert not (folder / "other.db").exists()
    assert before == (target_rows(folder / "crm.db") if (folder / "crm.db").exists() else None)


def test_another_compiler_makes_a_plan_stale(folder: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footing, "COMPILER_VERSION", 999)
    said = ask("load", "--plan", saved(folder))
    assert said.code == 5
    assert "this migrator has another compiler (version 999, then" in said.err


def test_a_plan_does_what_it_said_and_once_only(folder: Path, ask: Ask) -> None:
    file = saved(folder)
    said = json.loads((folder / "plans" / f"{file}.json").read_text(encoding="utf-8"))["plan"]
    done = told(ask("load", "--plan", file, "--json"))
    for name, forecast in said["objects"].items():
        assert forecast["records"] == sum(forecast["classes"].values())
        assert forecast["classes"]["create"] == done["objects"][name]["created"]
        assert forecast["second_pass"] == sum(done["objects"][name]["links"].values())
        assert forecast["calls"]["writes"] + forecast["calls"]["links"] == done["objects"][name]["batches"]
    assert said["objects"]["customer"]["classes"] == {
        "create": 2, "update": 0, "unchanged": 0, "merged": 1, "excluded": 0, "quarantined": 1, "pending": 0,
    }  # fmt: skip
    assert said["objects"]["order"]["classes"]["pending"] == 1
    assert said["calls"]["total"] == 8
    assert told(ask("load", "--plan", file, "--json"))["written"] == 0
    assert told(ask("plan", "--json"))["calls"]["total"] == 0
    assert told(ask("load", "--plan", file, "--json"))["written"] == 0


@pytest.mark.slow
def test_planning_again_is_the_same_plan_under_the_same_name(folder: Path, ask: Ask) -> None:
    file = saved(folder)
    out = folder / "elsewhere" / "plan 计划.json"
    again = told(ask("plan", "--json", "--out", str(out)))
    assert again["plan"] == file
    assert told(ask("load", "--json", "--plan", str(out)))["written"] == 7


class Killed(BaseException):
    """Ends a load where a kill would."""


@pytest.fixture
def killed_load(folder: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> str:
    """The plan of which a load was killed after its second batch was answered."""
    passed: list[str] = []

    def kill(name: str) -> None:
        passed.append(name)
        if passed.count("load.batch-answered") == 2:
            raise Killed

    file = saved(folder)
    with monkeypatch.context() as patched:
        patched.setattr(batches, "boundary", kill)
        with pytest.raises(Killed):
            ask("load", "--plan", file)
    return file


@pytest.fixture(scope="module")
def undisturbed(planned: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[Any, ...]]]:
    """What the target holds after a load that nothing stopped."""
    folder = copied(planned, tmp_path_factory.mktemp("undisturbed") / "project")
    steps.load(load_project(folder))
    return target_rows(folder / "crm.db")


@pytest.mark.parametrize("between", [(), pytest.param(("plan", "load"), marks=pytest.mark.slow)])
def test_a_killed_load_goes_on_with_the_same_plan(
    folder: Path, ask: Ask, killed_load: str, between: tuple[str, ...],
    undisturbed: dict[str, list[tuple[Any, ...]]],
) -> None:  # fmt: skip
    for verb in between:
        assert ask(verb).code == 0
    done = told(ask("load", "--plan", killed_load, "--json"))
    assert (done["written"] == 0) is ("load" in between)
    assert target_rows(folder / "crm.db") == undisturbed


@pytest.mark.slow
def test_a_killed_load_is_not_gone_on_with_when_the_world_moved(
    folder: Path, ask: Ask, killed_load: str
) -> None:
    replace_in(folder / "shop/Order.csv", {"A-5,1,5": "A-5,1,6"})
    assert ask("run", "--skip-validate").code == 0
    said = ask("load", "--plan", killed_load)
    assert said.code == 5
    assert "source shop/Order was extracted again" in said.err


def test_what_is_no_plan_is_told_so(folder: Path, ask: Ask, tmp_path: Path) -> None:
    file = saved(folder)
    for text, words in {"": "this is no plan", "[1]": "this is no plan", "{}": "this is no plan"}.items():
        (tmp_path / "x.json").write_text(text, encoding="utf-8")
        said = ask("load", "--plan", str(tmp_path / "x.json"))
        assert (said.code, words in said.err) == (2, True), said
    replace_in(folder / "plans" / f"{file}.json", {'"create": 2': '"create": 3'})
    assert "changed after it was made" in ask("load", "--plan", file).err
    near = ask("load", "--plan", file[:-1] + "_")
    assert near.code == 2
    assert f"did you mean {file!r}" in near.err.replace('"', "'"), near


@pytest.mark.slow
def test_a_new_password_makes_no_other_target_and_a_new_address_does(
    folder: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRM", "sqlite:///crm.db?timeout=5")
    replace_in(folder / "migration.yaml", {"sqlite:///crm.db": "${env:CRM}"})
    file = told(ask("plan", "--json"))["plan"]
    monkeypatch.setenv("CRM", "sqlite:///crm.db?timeout=6")
    assert "another target: url of crm changed" in ask("load", "--plan", file).err
    monkeypatch.setenv("CRM", "sqlite:///crm.db?timeout=5")
    assert ask("load", "--plan", file).code == 0


def test_updates_are_told_field_by_field_with_personal_values_masked(folder: Path, ask: Ask) -> None:
    assert ask("load").code == 0
    rows = {"1,Acme,Germany,2": "1,Acme 2,China,", "2,北京软件有限公司,China,": "2,北京软件有限公司,,1"}
    replace_in(folder / "shop/Customer.csv", rows)
    for verb in ("extract", "map", "dedupe"):
        assert ask(verb).code == 0
    said = told(ask("plan", "--show", "5", "--json"))["objects"]["customer"]
    assert said["classes"]["update"] == 2
    assert {item["field"]: (item["records"], item["filled"], item["emptied"]) for item in said["changes"]["fields"]} == {
        "name": (1, 0, 0),
        "country": (2, 0, 1),
        "parent": (2, 1, 1),
    }  # fmt: skip
    shown = {
        item["record"]: {one["field"]: (one["old"], one["new"]) for one in item["values"]}
        for item in said["shown"]
    }
    assert shown["shop:1"] == {
        "name": ("A•••• (4)", "A•••• (6)"),
        "country": ("DE", "CN"),
        "parent": ("shop:2", None),
    }
    assert shown["shop:2"] == {"country": ("CN", None), "parent": (None, "shop:1")}
    (one,) = told(ask("plan", "--record", "customer/1", "--unmask", "--json"))["objects"]["customer"]["shown"]
    assert one["values"][0] == {"field": "name", "old": "Acme", "new": "Acme 2"}
    assert "Acme 2" not in "".join(path.read_text("utf-8") for path in (folder / "plans").iterdir())
    drawn = ask("plan", "--show", "1", "--object", "customer")
    assert "A•••• (4)" in drawn.out
    assert "updates of" in drawn.out
    assert ask("plan", "--record", "customer/9").code == 2


@pytest.mark.slow
def test_the_target_can_be_asked_for_old_values(folder: Path, ask: Ask) -> None:
    assert ask("load").code == 0
    with closing(sqlite3.connect(folder / "crm.db")) as crm, crm:
        crm.execute("UPDATE \"Order\" SET amount = 9.99 WHERE legacy_id = 'shop:A-1'")
        crm.execute("DELETE FROM \"Order\" WHERE legacy_id = 'shop:A-3'")
    changed = {"A-1,1,1.50": "A-1,2,9.99", "A-2,3,2": "A-2,3,2.5", "A-3,2,3": "A-3,2,4"}
    replace_in(folder / "shop/Order.csv", changed)
    for verb in ("extract", "map"):
        assert ask(verb).code == 0
    sent, held = (
        told(ask("plan", "--json", *more))["objects"]["order"]["changes"]
        for more in ((), ("--compare-target",))
    )
    counts = [{item["field"]: item["records"] for item in said["fields"]} for said in (sent, held)]
    assert counts == [{"customer": 1, "amount": 3}, {"customer": 1, "amount": 1}]
    assert [(said["edited"], said["gone"]) for said in (sent, held)] == [(0, 0), (1, 1)]
    drawn = ask("plan", "--compare-target", "--record", "order/A-1").out
    assert "edited in the target since, to be overwritten" in drawn
    assert "calls made to ask for them: 1" in drawn


def test_a_field_that_was_not_mapped_yet_is_told(folder: Path, ask: Ask) -> None:
    replace_in(folder / "mappings/order.yaml", {"fields:\n": "fields:\n  more: {from: customer}\n"})
    said = ask("plan")
    assert said.code == 3, said
    assert "'order' was mapped before its mapping was edited: it has no more yet" in said.err
