"""A small migration with pairs to decide: people in two systems, in two scripts, with hostile texts, scored as a model would."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from migrator.commands import steps
from migrator.commands.project import Project, load_project, open_workspace
from migrator.staging import columns
from migrator.staging.store import Kind

MIGRATION = """\
project: people
systems:
  crm: {connector: files, path: in/crm}
  erp: {connector: files, path: in/erp}
  new: {connector: sql, url: "sqlite:///new.db"}
engine: {memory_limit: 200MB, threads: 1}
"""
MAPPING = """\
mapping: contact
target: {system: new, object: person, key: legacy_id}
sources:
  crm: {object: people, key: id, fields: {name: {from: name}, email: {from: email}, Order: {from: Order}}}
  erp: {object: people, key: id, fields: {name: {from: name}, email: {from: email}, Order: {from: Order}}}
fields:
  legacy_id: {record_id: true}
  name: {type: string(200), pii: name, label: {en: Name, zh_CN: 姓名}}
  email: {type: string(80), pii: email}
  Order: {type: string(4000)}
dedupe:
  keys: {email: {email: email}}
"""
CRM = (
    ("1", "Wang Wei", "wei@example.cn", "same order"),
    ("2", "<b onmouseover=alert(1)>Tan</b>", "tan@example.my", '=HYPERLINK("http://x","y")'),
    ("3", "Ａｎｎａ  Müller", "anna@example.de", 'line one\nline "two"'),
    ("4", "Solo", "solo@example.com", ""),
)
ERP = (
    ("7", "王伟", "", "same order"),
    ("8", "Tan Ah Kow", "tan@other.my", "+60 12"),
    ("9", "anna müller", "anna@example.org", "x" * 3000),
    ("10", "Solo", "solo@example.com", "_x0041_"),
)
PAIRS: tuple[Mapping[str, Any], ...] = (
    {"one": "crm:1", "other": "erp:7", "weight": 2.5, "parts": (("", "prior", -9.0), ("name", "pinyin", 8.5), ("Order", "exact", 3.0))},
    {"one": "crm:2", "other": "erp:8", "weight": -0.5, "parts": (("", "prior", -9.0), ("name", "<i>part</i>", 8.5))},
    {"one": "crm:3", "other": "erp:9", "weight": 6.0, "parts": (("", "prior", -9.0), ("name", "exact", 15.0))},
    {"one": "crm:1", "other": "crm:3", "weight": -2.0, "parts": (("", "prior", -9.0), ("Order", "alike", 7.0))},
    {"one": "crm:4", "other": "erp:10", "rule": "email", "band": "automatic", "evidence": "solo@example.com"},
)  # fmt: skip


def write_people(folder: Path) -> Project:
    """The project in `folder`: read, mapped, and deduplicated by e-mail."""
    for system, rows in (("crm", CRM), ("erp", ERP)):
        path = folder / "in" / system / "people.csv"
        path.parent.mkdir(parents=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("id", "name", "email", "Order"), *rows])
    (folder / "mappings").mkdir()
    (folder / "mappings" / "contact.yaml").write_text(MAPPING, encoding="utf-8")
    (folder / "migration.yaml").write_text(MIGRATION, encoding="utf-8")
    project = load_project(folder)
    steps.extract(project)
    steps.map_records(project)
    steps.dedupe(project)
    return project


def write_pairs(project: Project, pairs: Sequence[Mapping[str, Any]] = PAIRS) -> None:
    """Make these the PAIRS of the mapping, as the dedupe step would."""
    with open_workspace(project) as workspace, workspace.ledger.lease():
        building = workspace.store.build(Kind.PAIRS, "contact", json.dumps(list(pairs)))
        building.add_table(pa.Table.from_pylist([_row(pair) for pair in pairs], schema=columns.PAIRS))
        building.complete()


def _row(pair: Mapping[str, Any]) -> dict[str, Any]:
    parts = [dict(zip(("field", "level", "bits"), part, strict=True)) for part in pair.get("parts", ())]
    weight = pair.get("weight")
    return {
        "one": pair["one"],
        "other": pair["other"],
        "rule": pair.get("rule", "model"),
        "evidence": pair.get("evidence"),
        "weight": weight,
        "probability": None if weight is None else 1 / (1 + 2.0**-weight),
        "band": pair.get("band", "review"),
        "parts": json.dumps(parts) if parts else None,
    }
