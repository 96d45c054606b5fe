"""What SQLite lets into a column of another type: read back, compared and told, and never the end of a validation."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from connectors.sql import CONNECTOR
from tests.small_migration import assert_told, migrator, write_small


def test_a_column_with_a_value_of_another_type_comes_as_text_from_its_page_on(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE t (k INTEGER PRIMARY KEY, n INTEGER, yes BOOLEAN, d DECIMAL(9,2), day DATE)"
        )
        database.executemany(
            "INSERT INTO t VALUES (?, ?, ?, ?, ?)",
            [(1, 7, 1, 1.5, "2020-01-31"), (2, "many", 0, 2, "2020-02-28"), (3, 9, None, "n/a", "2020-03-31"),
             (4, 1, 1, 12.34, "soon")],
        )  # fmt: skip
    database.close()
    assert CONNECTOR.open_target is not None
    target = CONNECTOR.open_target({"url": f"sqlite:///{path}"})
    pages = list(target.read("t", page_rows=1))
    whole = next(iter(target.read("t")))
    target.close()
    assert [str(page.schema.field("n").type) for page in pages] == ["int64", "string", "string", "string"]
    assert [page.to_pylist()[0]["n"] for page in pages] == [7, "many", "9", "1"]
    assert [page.to_pylist()[0]["yes"] for page in pages] == [True, False, None, True]
    assert {row["k"]: row["d"] for row in whole.to_pylist()} == {1: "1.50", 2: "2", 3: "n/a", 4: "12.34"}
    assert {row["k"]: row["day"] for row in whole.to_pylist()}[4] == "soon"


def test_it_is_a_finding_with_its_record_and_no_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_small(tmp_path)
    assert_told(migrator(tmp_path, capsys, "run", "--skip-validate"), 0)
    with sqlite3.connect(tmp_path / "crm.db") as crm:
        crm.execute("UPDATE \"Order\" SET amount = 'gratis' WHERE legacy_id LIKE '%A-2'")
        crm.execute("UPDATE \"Order\" SET amount = 7.501 WHERE legacy_id LIKE '%A-4'")
        crm.execute("UPDATE contact SET born = 'in spring' WHERE born IS NOT NULL")
    crm.close()
    said = migrator(tmp_path, capsys, "validate", "--json")
    assert said.code == 1, said
    report = json.loads(Path(json.loads(said.out)["json"]).read_text())
    found = {check["id"]: check for check in report["checks"] if check["failed"]}
    amount = found["order/fields/fields.not_comparable/amount"]
    assert [(item["record"], item["expected"], item["actual"]) for item in amount["examples"]] == [
        ("order/shop:A-2", "0.00", "g•••• (6)"), ("order/shop:A-4", "7.50", "7•••• (5)"),
    ]  # fmt: skip
    assert found["contact/fields/fields.not_comparable/born"]["failed"] == 1
    unchecked = [check["id"] for check in report["checks"] if check["status"] == "could_not_check"]
    assert unchecked == []
