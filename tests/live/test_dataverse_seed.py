"""A sandbox filled from an export or from files serves what they hold; a mapping written for the export reads it."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.dynamics_export import DynamicsExport
from connectors.sandbox.dataverse.app import make_app
from connectors.sandbox.serve import running
from migrator.core.errors import ProjectError
from migrator.core.sandbox import SandboxOptions
from migrator.testing.synthetic import generate
from tests.live.dataverse_box import source, target

pytestmark = pytest.mark.live
_NOT_OF_A_RECORD = {"undeclared_fields"}
_OWN = {"versionnumber"}


def _told(value: Any) -> Any:
    """A typed value as the export writes it."""
    match value:
        case bool():
            return str(value)
        case Decimal() | int() | float():
            return Decimal(str(value)).normalize()
        case datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%S")
        case date():
            return value.isoformat()
        case _:
            return value


def _nameless(value: Any) -> Any:
    """Party lists without the names of the parties, which a live system tells as they are now."""
    if not (isinstance(value, str) and value.startswith("[{")):
        return value
    return [
        {name: part for name, part in item.items() if name != "partyid__name"} for item in json.loads(value)
    ]


def _plain(value: Any, like: Any) -> Any:
    if value is None or like is None:
        return value
    if isinstance(like, Decimal):
        return Decimal(value).normalize()
    moment = isinstance(value, str) and value[10:11] in {"T", " "} and value[13:14] == ":"
    return value[:19].replace(" ", "T") if moment else value


def test_an_export_is_served_with_its_columns_and_values(tmp_path: Path) -> None:
    generate(tmp_path, scale=150, seed=5)
    folder = tmp_path / "dynamics"
    export = DynamicsExport(folder)
    with running(make_app(SandboxOptions(data=folder))) as box, source(box, tables=["*"]) as live:
        names = {item.name for item in live.describe()}
        for schema in export.describe():
            assert schema.name in names
            columns = [
                name
                for name in schema.field_names
                if name not in _NOT_OF_A_RECORD | _OWN and not name.endswith("__name")
            ]
            written = {
                row[schema.key]: row for page in export.read(schema.name) for row in page.rows.to_pylist()
            }
            served = {
                row[schema.key]: row for page in live.read(schema.name) for row in page.rows.to_pylist()
            }
            assert set(written) <= set(served)
            for key, row in written.items():
                told = {
                    name: _nameless(_told(served[key][name]))
                    for name in columns
                    if not name.endswith("__type")
                }
                assert told == {name: _nameless(_plain(row[name], told[name])) for name in told}, (
                    schema.name,
                    key,
                )
    export.close()


def test_files_of_a_folder_are_served_and_what_does_not_fit_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "account.csv").write_text(
        "accountid,name,creditonhold,industrycode,new_legacyid\n,王,true,6,K1\n,b,,,K2\n", "utf-8"
    )
    (tmp_path / "new_visit.csv").write_text(
        "new_visitid,place\n00000001-0000-4000-8000-00000000aaaa,上海\n", "utf-8"
    )
    with running(make_app(SandboxOptions(data=tmp_path))) as box, source(box) as live, target(box) as opened:
        rows = opened.fetch(
            "account", ["K1", "K2"], key="new_legacyid", columns=["name", "creditonhold", "industrycode"]
        )
        assert sorted(rows.to_pylist(), key=lambda row: row["name"]) == [
            {"name": "b", "creditonhold": None, "industrycode": None},
            {"name": "王", "creditonhold": True, "industrycode": "6"},
        ]
        assert [row["place"] for page in live.read("new_visit") for row in page.rows.to_pylist()] == ["上海"]
    (tmp_path / "account.csv").write_text("name,creditonhold\na,perhaps\n", "utf-8")
    with pytest.raises(ProjectError, match=r"account\.csv:2: creditonhold"):
        make_app(SandboxOptions(data=tmp_path))
