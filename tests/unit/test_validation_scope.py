"""Parts of a validation: rules before the load, a sample, and only what is new."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from migrator.staging.store import Kind
from tests.unit.validation_project import ACCOUNTS, QUIET, Project, account_row, make_project, put_mapped
from validation.before import check_before
from validation.expectations import derive_suite
from validation.privacy import Privacy
from validation.readback import read_back
from validation.reconcile import Reconciled, reconcile
from validation.relations import Pick, open_sides
from validation.rules import start_failing
from validation.verdict import Status

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def compare(project: Project, pick: Pick) -> Reconciled:
    objects = {item.name: item for item in project.objects}
    read_back(project.store, project.target, ACCOUNTS, progress=QUIET)
    session = project.session()
    return reconcile(session, project.store, open_sides(session, project.store, ACCOUNTS, objects, pick))


def test_rules_run_before_the_load_over_what_may_move(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    rows = [account_row(number) for number in range(9)]
    rows[2]["status"] = rows[3]["status"] = "bogus"
    rows[3]["__excluded"] = "deleted"
    rows[4]["name"] = None
    rows[5]["created at"] = NOW + timedelta(days=1)
    put_mapped(project.store, ACCOUNTS, rows)
    session = project.session()
    start_failing(session)
    found = check_before(
        session, project.store, ACCOUNTS, [derive_suite(ACCOUNTS)], now=NOW, privacy=Privacy.MASKED
    )
    failed = {item.rule.removeprefix("before."): item for item in found.checks if item.failed}
    assert {name: [one.record for one in item.examples] for name, item in failed.items()} == {
        "expect_column_values_to_be_in_set": ["account/crm:A00002"],
        "expect_column_values_to_not_be_null": ["account/crm:A00004"],
        "expect_column_values_to_be_between": ["account/crm:A00005"],
    }
    assert failed["expect_column_values_to_be_between"].status is Status.WARN
    records = [row["record"] for query in found.queries for row in session.fetch(query).to_pylist()]
    assert sorted(records) == ["crm:A00002", "crm:A00004", "crm:A00005"]


def test_what_is_not_mapped_yet_could_not_be_checked(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    other = type(ACCOUNTS)("other", "new", "o", "legacy_id", ACCOUNTS.schema, ACCOUNTS.sources)
    session = project.session()
    found = check_before(session, project.store, other, [], now=NOW, privacy=Privacy.MASKED)
    assert [item.status for item in found.checks] == [Status.COULD_NOT_CHECK]


def test_a_sample_is_the_same_every_time_and_has_some_of_every_choice(tmp_path: Path) -> None:
    project = make_project(tmp_path, accounts=400)
    for number in range(7, 400, 8):
        project.record("customer", f"A{number:05d}")["currency"] = "JPY"
    project.target.objects["customer"].append({**project.record("customer", "A00001"), "legacy_id": "X1"})
    first, again = compare(project, Pick(sample=20)), compare(project, Pick(sample=20))
    assert 20 <= first.expected <= 20 + 3 * 8
    assert first.examples == again.examples
    assert (first.missing, first.extra, first.copies) == (0, 0, 0)
    assert first.reasons["currency", "other_value"] >= 1


def test_only_what_came_since_is_compared(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    crosswalk = project.store.need(Kind.CROSSWALK, "account", made_by="test")
    session = project.session()
    session.view("old", crosswalk.files)
    building = project.store.build(Kind.CROSSWALK, "account", "2")
    building.add(lambda path: session.write(
        "SELECT * REPLACE (TIMESTAMPTZ '2026-11-20 00:00:00+00' + INTERVAL (CAST(substr(target_key, 2) AS INTEGER)) HOUR AS \"at\")"
        " FROM old", path))  # fmt: skip
    building.complete()
    project.record("customer", "A00002")["status"] = "bogus"
    project.record("customer", "A00050")["status"] = "bogus"
    found = compare(project, Pick(since=datetime(2026, 11, 21, tzinfo=UTC)))
    assert found.expected == 60 - 24
    assert [cell.key for cells in found.examples.values() for cell in cells] == ["A00050"]
