"""Controls that go round the mapping: a fault of the mapping, which stands on both sides of the comparison, still shows."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from migrator.staging.store import Kind
from tests.unit.validation_project import ACCOUNTS, QUIET, Project, account_row, make_project, put_mapped
from validation.checks import control_checks
from validation.controls import Controls, Way, controls
from validation.readback import read_back
from validation.relations import open_sides

WAYS = {
    ("account", "crm"): {
        "revenue": Way("Rev"),
        "status": Way("State", (("A", "active"), ("L", "lost"), ("N", "新客户"))),
    }
}
STATES = {"active": "A", "lost": "L", "新客户": "N", None: None}


def measure(project: Project, number_as: str = "{}") -> Controls:
    rows = [account_row(number) for number in range(60)]
    building = project.store.build(Kind.STAGED, "crm/Account", number_as)
    building.add_table(
        pa.table({
            "Id": pa.array([row["legacy_id"] for row in rows]),
            "Rev": pa.array([row["revenue"] and number_as.format(row["revenue"]) for row in rows], pa.string()),
            "State": pa.array([STATES[row["status"]] for row in rows], pa.string()),
            "__row": pa.array(range(60), pa.int64()), "__place": pa.array([None] * 60, pa.string()),
            "__copy": pa.array([0] * 60, pa.int32()),
        })
    )  # fmt: skip
    building.complete()
    read_back(project.store, project.target, ACCOUNTS, progress=QUIET)
    session = project.session()
    known = {item.name: item for item in project.objects}
    return controls(session, project.store, open_sides(session, project.store, ACCOUNTS, known), WAYS)


def failed(found: Controls) -> dict[str, int]:
    return {check.id: check.failed for check in control_checks("account", found) if check.failed}


def test_nothing_is_wrong_with_a_mapping_that_is_right(tmp_path: Path) -> None:
    found = measure(make_project(tmp_path))
    assert not failed(found)
    assert [(one.field, one.records, one.unread) for one in found.totals] == [("revenue", 60, 0)]
    assert [(one.records, one.wrong, one.unmapped) for one in found.crosstabs] == [(60, 0, 0)]
    assert {(pair.source, pair.target) for pair in found.crosstabs[0].pairs} >= {
        ("A", "active"),
        (None, None),
    }


def test_a_fault_of_the_mapping_shows_although_both_sides_agree(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    rows = [account_row(number) for number in range(60)]
    for row in (rows[8], project.record("customer", "A00008")):
        row["revenue"] = row["revenue"] * 100
        row["status"] = "lost"
    put_mapped(project.store, ACCOUNTS, rows)
    assert failed(measure(project)) == {
        "account/totals/totals.raw/revenue": 1,
        "account/fields/fields.value_map/status": 1,
    }


def test_numbers_in_another_notation_are_not_held_against_each_other(tmp_path: Path) -> None:
    found = measure(make_project(tmp_path), "EUR {}")
    assert found.totals[0].unread > 0
    assert not failed(found)
