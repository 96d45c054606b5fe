"""Whoever has only the report finds every record that is missing, and why: each planted loss by name, with its reason."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.small_migration import assert_told, migrator, write_small
from validation.messages import LANGUAGES, catalogue
from validation.words import remedy, why

PLANTED = {
    "account/salesforce:001000000000003AAA": ("quarantined", "value.unmapped"),
    "account/salesforce:001000000000004AAA": ("excluded", "deleted in the old system"),
    "contact/salesforce:003000000000003AAA": ("quarantined", "cast.date"),
    "contact/salesforce:003000000000004AAA": ("pending", "waits: quarantined: value.unmapped"),
    "account/salesforce:001000000000001AAA": ("merged", "name"),
    "contact/dynamics:c0000000-0000-0000-0000-000000000001": ("lost", "records.missing"),
}
"""Every record that has no row of its own in the target, and what became of it."""


def validated(folder: Path, capsys: pytest.CaptureFixture[str]) -> Mapping[str, Any]:
    assert_told(migrator(folder, capsys, "run", "--skip-validate"), 0)
    with sqlite3.connect(folder / "crm.db") as crm:
        crm.execute("DELETE FROM contact WHERE last_name = 'O''Neil'")
    crm.close()
    said = migrator(folder, capsys, "validate", "--json")
    assert said.code == 1, said
    report: Mapping[str, Any] = json.loads(said.out)
    return report


def test_every_missing_record_is_named_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = validated(write_small(tmp_path), capsys)
    here = Path(told["json"]).parent
    report = json.loads((here / "report.json").read_text())
    named = {
        record["record"]: (reason["state"], reason["rule"])
        for item in report["objects"]
        for reason in item["reasons"]
        for record in reason["named"]
    }
    assert named == PLANTED
    with (here / "missing.csv").open(encoding="utf-8-sig") as stream:
        listed = {row["record"]: (row["state"], row["rule"]) for row in csv.DictReader(stream)}
    assert listed == PLANTED
    assert report["absent"] == len(PLANTED)
    waiting = next(r for o in report["objects"] for r in o["reasons"] if r["state"] == "pending")
    assert waiting["named"][0]["towards"] == "account/salesforce:001000000000003AAA"
    assert waiting["link"] == "optional"
    assert report["roots"] == [{"record": "account/salesforce:001000000000003AAA", "frees": 1}]
    assert report["labels"]["account/salesforce:001000000000003AAA"] == {"name": "Nowhere Ltd", "owner": None}
    page = (here / "report.html").read_text()
    for record in re.findall(r'href="#([^"]*)"', page):
        assert f'id="{record}"' in page
    assert all(record in page for record in PLANTED)
    assert "Atlantis" in page  # a value that a person must map, and no personal one
    assert "Waits" not in page  # a person's name is masked


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_is_told_in_words(language: str) -> None:
    text = catalogue(language)
    for state, rule in PLANTED.values():
        said = why({"state": state, "rule": rule}, text)
        assert said
        assert said != rule
        assert bool(remedy({"state": state, "rule": rule}, text, "account")) is (
            state not in ("excluded", "merged")
        )
