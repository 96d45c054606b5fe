"""Rows in, clusters and golden rows out, side by side in one page that a person can check.

The page's first table is the input; the test renders the whole page anew and compares. To accept a change of
behaviour: `python -m tests.golden.test_dedupe_golden`, and read the diff.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from migrator.core.mapped import DedupeRules, Survivorship
from migrator.core.schema import FieldType
from tests.dedupe_project import (
    BY_EMAIL,
    BY_NAME_COMPANY,
    BY_NAME_PHONE,
    CONTACT,
    contacts,
    open_project,
)

PAGE = Path(__file__).with_name("dedupe_contacts.md")
NAMES = ("id", "name", "email", "phone", "company", "changed", "Order")
RULES = DedupeRules(
    (BY_EMAIL, BY_NAME_PHONE, BY_NAME_COMPANY),
    {"name": Survivorship.MOST_TRUSTED, "company": Survivorship.LONGEST, "Order": Survivorship.FIRST},
    recency="changed", trust=("erp", "crm"), region="MY", max_cluster=4,
)  # fmt: skip


def test_the_page_is_what_dedupe_does(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert render(page, tmp_path) == page


def render(page: str, folder: Path) -> str:
    """The page with its input kept and its output worked out."""
    mapped = contacts(RULES)
    head, rows = _read(page)
    with open_project(folder) as project:
        made = project.run(mapped, rows, parts=2)
        golden = sorted(project.rows(made.golden), key=lambda row: str(row["__id"]))
        clusters = _table(("__id", "survivor", "cluster", "rule", "evidence"), project.rows(made.clusters))
        said = "\n".join(f"* {name}: {value}" for name, value in made.clusters.detail.items() if value)
        survivors = _table(NAMES, [{**row, "id": row["__id"]} for row in golden])
    return f"{head}## Clusters\n\n{clusters}\n\n## Golden rows\n\n{survivors}\n\n## Detail\n\n{said}\n"


def _read(page: str) -> tuple[str, list[dict[str, Any]]]:
    head = page.partition("## Clusters")[0]
    lines = [line for line in head.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return head, [{name: _value(name, cell) for name, cell in zip(NAMES, row, strict=True)} for row in cells]


def _value(name: str, cell: str) -> object:
    kinds = {item.name: item.type for item in CONTACT}
    match kinds.get(name):
        case _ if cell == "":
            return None
        case FieldType.DATETIME:
            return datetime.fromisoformat(f"{cell}T00:00:00+00:00")
        case FieldType.INTEGER:
            return int(cell)
        case _:
            return cell


def _table(names: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    lines = [names, ["---"] * len(names), *([_cell(row[name]) for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    return f"{value:%Y-%m-%d}" if isinstance(value, datetime) else "" if value is None else str(value)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        PAGE.write_text(render(PAGE.read_text(encoding="utf-8"), Path(scratch)), encoding="utf-8")
