"""Reconcile: a clean target shows nothing, and every planted fault is named with its record, field and reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from migrator.staging import in_turn
from migrator.staging.store import Kind
from tests.unit.validation_project import (
    ACCOUNTS,
    CONTACTS,
    QUIET,
    Project,
    make_project,
    put_clusters,
    put_mapped,
    target_id,
)
from validation.readback import read_back
from validation.reconcile import Reconciled, reconcile
from validation.relations import open_sides


@pytest.fixture(autouse=True, params=[in_turn.JOINED_ROWS, 1], ids=["at once", "in turn"])
def _joins(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few records are joined in one query, many one join after another."""
    monkeypatch.setattr(in_turn, "JOINED_ROWS", request.param)


def compare(project: Project, name: str = "account") -> Reconciled:
    objects = {item.name: item for item in project.objects}
    for mapped in project.objects:
        read_back(project.store, project.target, mapped, progress=QUIET)
    session = project.session()
    return reconcile(session, project.store, open_sides(session, project.store, objects[name], objects))


def findings(found: Reconciled) -> list[tuple[str, str, str]]:
    return sorted((cell.key, *pair) for pair, cells in found.examples.items() for cell in cells)


def test_a_clean_target_differs_in_nothing(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    accounts, contacts = compare(project), compare(project, "contact")
    assert (accounts.expected, accounts.found, accounts.extra) == (60, 60, 0)
    assert accounts.equal
    assert contacts.equal
    assert not accounts.reasons
    revenue = next(item for item in accounts.fields if item.name == "revenue")
    assert revenue.source_sum == revenue.expected_sum == revenue.actual_sum != "0"


def change(name: str, value: Callable[[Any], Any]) -> Callable[[dict[str, Any]], None]:
    def plant(row: dict[str, Any]) -> None:
        row[name] = value(row[name])

    return plant


FAULTS: dict[str, tuple[str, Callable[[dict[str, Any]], None]]] = {
    "shifted_day": ("since", change("since", lambda day: day + timedelta(days=1))),
    "shifted_zone": ("created at", change("created at", lambda at: at - timedelta(hours=8))),
    "precision": ("created at", change("created at", lambda at: at.replace(microsecond=0))),
    "time_lost": (
        "created at",
        change("created at", lambda at: at.replace(hour=0, minute=0, second=0, microsecond=0)),
    ),
    "truncated": ("name", change("name", lambda text: text[:9])),
    "case": ("Order", change("Order", str.upper)),
    "whitespace": ("name", change("name", lambda text: text.replace("\n", " "))),
    "encoding": ("name", change("name", lambda text: text.encode("ascii", "replace").decode())),
    "value_vs_null": ("name", change("name", lambda _: None)),
    "other_value": ("status", change("status", lambda _: "lost")),
    "rounding": ("revenue", change("revenue", lambda amount: amount.quantize(Decimal(1)))),
    "sign": ("revenue", change("revenue", lambda amount: -amount)),
    "shifted_decimal": ("revenue", change("revenue", lambda amount: amount * 100)),
}


@pytest.mark.parametrize("reason", FAULTS)
def test_each_planted_fault_is_named_with_its_record(tmp_path: Path, reason: str) -> None:
    project, (field, plant) = make_project(tmp_path), FAULTS[reason]
    plant(project.record("customer", "A00008"))
    assert findings(compare(project)) == [("A00008", field, reason)]


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("A00003", None, "empty_vs_null"),
        ("A00004", "", "null_vs_empty"),
        ("A00004", "x", "null_vs_value"),
        ("A00005", "PO-6 Other", "different"),
    ],
)
def test_null_and_empty_are_two_things(tmp_path: Path, key: str, value: str | None, reason: str) -> None:
    project = make_project(tmp_path)
    project.record("customer", key)["Order"] = value
    assert findings(compare(project)) == [(key, "Order", reason)]


def test_one_cent_is_a_difference_in_the_cell_and_in_the_total(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    project.record("customer", "A00008")["revenue"] += Decimal("0.01")
    found = compare(project)
    assert findings(found) == [("A00008", "revenue", "last_digit")]
    revenue = next(item for item in found.fields if item.name == "revenue")
    assert Decimal(revenue.actual_sum or 0) - Decimal(revenue.expected_sum or 0) == Decimal("0.01")


def test_a_lost_row_a_doubled_row_and_a_stranger_are_three_findings(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    rows = project.target.objects["customer"]
    rows[:] = [row for row in rows if row["legacy_id"] != "A00011"]
    rows.append(dict(project.record("customer", "A00012")))
    rows.append({**project.record("customer", "A00013"), "legacy_id": "X1"})
    rows.append({**project.record("customer", "A00013"), "legacy_id": "X2", "name": "somebody else's"})
    rows.append({**project.record("customer", "A00013"), "legacy_id": None, "name": "somebody else's"})
    found = compare(project)
    assert (found.missing, found.doubled, found.copies, found.extra, found.superseded) == (1, 1, 1, 2, 0)
    assert ("X1", "", "copy") in findings(found)
    assert ("A00011", "", "missing") in findings(found)
    assert ("A00012", "", "doubled") in findings(found)
    assert ("X2", "", "extra") in findings(found)
    assert found.found == 59


def test_a_swapped_link_is_named_under_both_records(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    first, second = project.record("person", "C00001"), project.record("person", "C00002")
    first["company"], second["company"] = second["company"], first["company"]
    assert findings(compare(project, "contact")) == [
        ("C00001", "company", "wrong_link"), ("C00002", "company", "wrong_link"),
    ]  # fmt: skip


def test_a_merged_account_is_not_expected_and_links_follow_its_survivor(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    put_clusters(project.store, ACCOUNTS, {"A00001": "A00002", "A00002": "A00002"})
    golden = {**project.record("customer", "A00002"), "name": "merged"}
    put_mapped(project.store, ACCOUNTS, [golden], Kind.GOLDEN)
    project.record("customer", "A00002")["name"] = "merged"
    found = compare(project)
    assert (found.expected, found.superseded) == (59, 1)
    assert findings(found) == [("A00001", "", "superseded")]
    people = compare(project, "contact")
    assert set(findings(people)) <= {("C00001", "company", "wrong_link"), ("C00061", "company", "wrong_link")}
    for row in project.target.objects["person"]:
        if row["company"] == target_id(ACCOUNTS, "A00001"):
            row["company"] = target_id(ACCOUNTS, "A00002")
    assert compare(project, "contact").equal


def test_a_record_that_never_reached_the_target_leaves_its_children_unresolved(tmp_path: Path) -> None:
    from tests.unit.validation_project import put_loaded

    project = make_project(tmp_path)
    put_loaded(project.store, ACCOUNTS, [f"A{number:05d}" for number in range(60) if number != 7])
    project.target.objects["customer"] = [
        row for row in project.target.objects["customer"] if row["legacy_id"] != "A00007"
    ]
    for row in project.target.objects["person"]:
        if row["company"] == target_id(ACCOUNTS, "A00007"):
            row["company"] = None
    found = compare(project, "contact")
    company = next(item for item in found.fields if item.name == "company")
    assert (company.unresolved, company.different) == (2, 0)
    assert findings(found)[0] == ("C00007", "company", "unresolved_link")
    assert found.examples["company", "unresolved_link"][0].expected == "account/crm:A00007"


def test_bad_and_excluded_rows_are_not_expected(tmp_path: Path) -> None:
    project = make_project(tmp_path, accounts=3, contacts=0)
    rows = [dict(row) for row in project.target.objects["customer"]]
    put_mapped(
        project.store, ACCOUNTS, [rows[0], {**rows[1], "__bad": True}, {**rows[2], "__excluded": "test data"}]
    )
    project.target.objects["customer"] = rows[:1]
    found = compare(project)
    assert (found.source, found.expected, found.found, found.equal) == (3, 1, 1, True)


def test_a_target_that_answers_text_is_compared_by_value(tmp_path: Path) -> None:
    import pyarrow as pa

    project = make_project(tmp_path)
    schema = project.target.schemas["customer"]
    project.target.schemas["customer"] = pa.schema(
        [
            (name, pa.string() if name in ("revenue", "since") else schema.field(name).type)
            for name in schema.names
        ]
    )
    for row in project.target.objects["customer"]:
        row["revenue"], row["since"] = (None if row[n] is None else str(row[n]) for n in ("revenue", "since"))
    assert compare(project).equal
    project.record("customer", "A00008")["since"] = "8th of May"
    assert findings(compare(project)) == [("A00008", "since", "not_comparable")]


def test_contacts_keep_their_mapping_name(tmp_path: Path) -> None:
    assert compare(make_project(tmp_path), "contact").mapped is CONTACTS
