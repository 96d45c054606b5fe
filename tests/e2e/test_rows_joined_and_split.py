"""Joins, exploded values, link tables and a split object through a whole migration: it closes, and a rerun changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.small_migration import assert_told, copied, migrator, sheet, staged_data, target_rows

MIGRATION = """\
project: rows
systems:
  shop: {connector: files, path: exports}
  crm: {connector: sql, url: "sqlite:///crm.db"}
engine: {memory_limit: 500MB, threads: 1}
"""
EXPORTS = {
    "Party": (
        ("Id", "Kind", "Name", "Sectors", "OwnerId", "Revenue"),
        ("P1", "firm", "Acme \"A\"", "bank; 保险;bank", "U1", "10.50"),
        ("P2", "firm", "北京\n软件", "it", "U9", "2.25"),
        ("P3", "person", "Ann", "", "", ""),
        ("P4", "person", "Bob", "it", "U2", "1"),
        ("P5", "?", "Odd", "", "", ""),
        ("P6", "person", "Eve", "", "U1", ""),
    ),
    "User": (("Id", "Mail"), ("U1", "a@x.cn"), ("U2", "b@x.cn"), ("U2", "other@x.cn")),
    "Campaign": (("Id", "Name"), ("C1", "Spring"), ("C2", "秋")),
    "Member": (
        ("CampaignId", "PartyId", "Kind", "Note"),
        ("C1", "P1", "firm", "x"), ("C1", "P4", "person", "see https://shop/0015g00000AbCdE"), ("C2", "P1", "firm", ""),
        ("C2", "P1", "firm", "twice"), ("", "P1", "firm", "no campaign"), ("C2", "P5", "?", "odd"),
    ),
}  # fmt: skip
HEAD = "mapping: {0}\ntarget: {{system: crm, object: {0}, key: legacy_id}}\nsource:\n  system: shop\n"
MAPPINGS = {
    "firm": """\
  object: Party
  key: Id
  exclude: [{when: "Kind is distinct from 'firm'", reason: not a firm}]
  join: {owner: {object: User, on: {OwnerId: Id}}}
fields:
  legacy_id: {record_id: true}
  name: {from: Name, required: true}
  owner_mail: {from: owner.Mail, pii: email}
  revenue: {from: Revenue, type: "decimal(10,2)"}
  size: {from: Name, values: {by: Kind, maps: {firm: {北京: big}, otherwise: {Ann: x}}}, unmapped: {default: small}}
""",
    "person": """\
  object: Party
  key: Id
  where: Kind = 'person'
  join: {owner: {object: User, on: {OwnerId: Id}, missing: {exclude: nobody owns it}}}
fields:
  legacy_id: {record_id: true}
  name: {from: Name}
  owner_mail: {from: owner.Mail, pii: email}
""",
    "sector": """\
  object: Party
  key: Id
  explode: {column: Sectors, split: ";", as: sector}
fields:
  legacy_id: {record_id: true}
  sector: {from: sector, pii: secret}
  firm: {from: Id, lookup: [firm, person]}
  revenue: {from: Revenue, type: "decimal(10,2)"}
""",
    "campaign": "  object: Campaign\n  key: Id\nfields:\n  legacy_id: {record_id: true}\n  name: {from: Name}\n",
    "member": """\
  object: Member
  key: [CampaignId, PartyId]
fields:
  legacy_id: {record_id: true}
  campaign: {from: CampaignId, lookup: campaign}
  party: {from: PartyId, lookup: {type: Kind, firm: firm, person: person}}
  hidden_id: {from: Note, clean: find_id}
""",
}


@pytest.fixture(scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    files = {
        "migration.yaml": MIGRATION,
        **{f"exports/{name}.csv": sheet(rows) for name, rows in EXPORTS.items()},
        **{f"mappings/{name}.yaml": HEAD.format(name) + text for name, text in MAPPINGS.items()},
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def folder(_folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    if not (_folder / "crm.db").exists():
        said = migrator(_folder, capsys, "run")
        assert said.code == 0, said
    return _folder


def test_every_equation_closes_with_its_reasons(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = migrator(folder, capsys, "status", "--json")
    told = json.loads(said.out)
    assert told["closed"] is True, said
    found = {
        name: (item["extracted"], item["loaded"], item["reasons"]["excluded"] if item["excluded"] else {},
               item["reasons"]["quarantined"] if item["quarantined"] else {}, item["pending"])
        for name, item in told["objects"].items()
    }  # fmt: skip
    assert found == {
        "firm": (6, 2, {"not a firm": 4}, {}, 0),
        "person": (6, 1, {"nobody owns it": 3, "where: Kind = 'person'": 1}, {"join.ambiguous": 1}, 0),
        "sector": (8, 3, {"no value to explode": 3, "the value stands in its row before": 1}, {}, 1),
        "campaign": (2, 2, {}, {}, 0),
        "member": (6, 2, {}, {"key.duplicate": 1, "key.missing": 1, "lookup.missing": 1}, 1),
    }


def test_the_target_holds_what_was_joined_split_and_linked(folder: Path) -> None:
    rows = target_rows(folder / "crm.db")
    assert rows["firm"] == sorted(
        [("shop:P1", 'Acme "A"', "a@x.cn", rows["firm"][0][3], "small"), ("shop:P2", "北京\n软件", None, rows["firm"][1][3], "small")],
        key=repr,
    )  # fmt: skip
    assert [row[:3] for row in rows["sector"]] == [
        ("shop:P1#bank", "bank", "shop:P1"), ("shop:P1#保险", "保险", "shop:P1"), ("shop:P2#it", "it", "shop:P2"),
    ]  # fmt: skip
    assert [row[:3] for row in rows["member"]] == [
        ("shop:C1|P1", "shop:C1", "shop:P1"), ("shop:C2|P1", "shop:C2", "shop:P1"),
    ]  # fmt: skip


def test_a_second_run_writes_nothing_and_values_in_another_order_are_the_same_records(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(folder, tmp_path / "copy")
    rows, made = target_rows(folder / "crm.db"), mapped(folder)
    again(folder, capsys)
    assert (target_rows(folder / "crm.db"), mapped(folder)) == (rows, made)
    export = folder / "exports" / "Party.csv"
    text = export.read_text(encoding="utf-8")
    export.write_text(text.replace("bank; 保险;bank", "保险;bank"), encoding="utf-8")
    again(folder, capsys)
    assert mapped(folder) != made
    assert target_rows(folder / "crm.db") == rows


def again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for step in ("extract", "map", "dedupe", "plan", "load"):
        said = migrator(folder, capsys, step)
        assert said.code == 0, said
    assert "nothing to write" in said.out + said.err, said


def mapped(folder: Path) -> list[tuple[str, ...]]:
    return [item for item in staged_data(folder) if item[0] == "mapped"]


def test_what_is_proven_explained_and_listed_knows_where_the_rows_come_from(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (report,) = folder.glob("reports/*/report.json")
    checks = json.loads(report.read_text(encoding="utf-8"))["checks"]
    wrong = {check["id"]: check["status"] for check in checks if check["status"] not in ("pass", "info")}
    assert {name for name in wrong if "/accounting/" not in name} == set(), wrong
    said = migrator(folder, capsys, "explain", "sector/P1#保险")
    assert_told(said, 0)
    assert "a value of Sectors" in said.out
    assert "bank; 保险;bank" not in said.out, "the column that a personal value is taken from is masked"
    said = migrator(folder, capsys, "explain", "firm/P1")
    assert "from owner.Mail, joined from shop/User on OwnerId = Id" in said.out
    assert "by Kind" in said.out
    said = migrator(folder, capsys, "quarantine", "list", "--json")
    found = {(row["record"], row["rule"]): row["place"] for row in json.loads(said.out)["rows"]}
    assert ("shop:C2|P1 (copy 1)", "key.duplicate") in found
    assert all(place for place in found.values()), found
    said = migrator(folder, capsys, "check")
    assert said.code == 0, said
    assert "User" not in said.out + said.err, "a joined object is read"
