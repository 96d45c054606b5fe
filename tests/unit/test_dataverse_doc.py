"""What docs/connectors.md says of Dataverse holds: every setting is there, its examples are taken, filtered views are read."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import yaml

from connectors.dataverse import recognise
from connectors.dataverse.settings import SETTINGS, parse
from connectors.sql.settings import parse as parse_sql
from connectors.sql.source import SqlSource

_PAGE = (Path(__file__).parents[2] / "docs" / "connectors.md").read_text("utf-8")
_PART = _PAGE.partition("## Dataverse")[2].partition("\n## ")[0]


def _examples() -> list[dict[str, Any]]:
    return [
        next(iter(yaml.safe_load(text)["systems"].values()))
        for text in re.findall(r"```yaml\n(.*?)```", _PART, re.DOTALL)
    ]


def test_every_setting_is_explained() -> None:
    assert [name for name in SETTINGS if f"`{name}`" not in _PART] == []


def test_the_example_is_taken() -> None:
    (example, _) = _examples()
    assert example.pop("connector") == "dataverse"
    assert parse(example).wants("new_visit", custom=True)


def test_filtered_views_are_read_by_the_key_that_is_named(tmp_path: Path) -> None:
    example = _examples()[1]
    with sqlite3.connect(tmp_path / "Contoso_MSCRM.db") as database:
        database.executescript(
            "CREATE TABLE AccountBase (AccountId TEXT, Name TEXT, IndustryCode INT);"
            "INSERT INTO AccountBase VALUES ('A-2', '王', 6), ('A-1', 'x', NULL);"
            "CREATE VIEW FilteredAccount AS SELECT AccountId AS accountid, Name AS name, IndustryCode AS industrycode FROM AccountBase"
        )
    database.close()
    settings = {
        "url": f"sqlite:///{tmp_path / 'Contoso_MSCRM.db'}",
        "tables": example["tables"],
        "keys": example["keys"],
    }
    source = SqlSource(parse_sql(settings))
    (schema,) = source.describe()
    assert (schema.name, schema.key) == ("FilteredAccount", "accountid")
    rows = [row for page in source.read("FilteredAccount") for row in page.rows.to_pylist()]
    source.close()
    assert {row["accountid"]: row["name"] for row in rows} == {"A-2": "王", "A-1": "x"}


def test_an_environment_is_recognised_by_its_address_and_nothing_else_is() -> None:
    for known in ("https://contoso.crm4.dynamics.com", "https://contoso.crm.dynamics.cn/main.aspx?x=1"):
        found = recognise(known)
        assert found is not None
        assert found.settings["url"].startswith("https://contoso.crm")
        assert "${env:" in found.settings["client_secret"]
    for other in (
        "https://crm.example",
        "http://contoso.crm4.dynamics.com",
        "contoso.crm4.dynamics.com",
        "exports/x",
        "https://[",
        "sqlite:///x",
    ):
        assert recognise(other) is None
