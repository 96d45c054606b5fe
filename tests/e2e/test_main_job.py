"""The main job against its known truth: every record read, judged, merged, loaded, linked and accounted for as it must be."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from dataclasses import replace
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from migrator.staging.store import Kind
from migrator.testing.synthetic import Truth
from tests.e2e.demo_project import DemoProject, Migrated, connected, dump, records
from tests.e2e.raw_exports import LINKS, SOURCES, Expected

CLASSES = ("loaded", "merged", "excluded", "quarantined", "pending")


@pytest.fixture(scope="module")
def expected(migrated: Migrated) -> Expected:
    """What must have become of every record, by an independent reading of the exports."""
    return expect(migrated.here)


@pytest.fixture(scope="module")
def target(migrated: Migrated) -> dict[str, dict[str, dict[str, Any]]]:
    """Table → legacy id → row."""
    return keyed(migrated.here)


def expect(here: DemoProject) -> Expected:
    clusters = records(here, Kind.CLUSTERS)
    return Expected(
        here.truth, {name: {row["__id"]: row["survivor"] for row in rows} for name, rows in clusters.items()}
    )


def keyed(here: DemoProject) -> dict[str, dict[str, dict[str, Any]]]:
    return {name: {row["legacy_id"]: row for row in rows} for name, rows in dump(here.target_url).items()}


def loaded(expected: Expected, mapping: str) -> set[str]:
    return {record for record in expected.rows[mapping] if expected.fate(mapping, record) == "loaded"}


def test_status_closes_in_the_agreed_shape(migrated: Migrated) -> None:
    status = migrated.here.asked("status")
    assert status["closed"] is True
    assert set(status["objects"]) == set(SOURCES)
    for counts in status["objects"].values():
        assert all(type(counts[name]) is int for name in ("extracted", *CLASSES))
        assert counts["extracted"] == sum(counts[name] for name in CLASSES)
        assert counts["closed"] is True


def test_every_record_that_is_true_is_extracted_once(migrated: Migrated, truth: Truth) -> None:
    objects = migrated.here.asked("status")["objects"]
    for mapping, sources in SOURCES.items():
        known = [truth.objects.get(f"{system}/{name}") for system, name in sources.items()]
        of_pairs = truth.links["dynamics/listmember"] if mapping == "list_member" else 0
        assert objects[mapping]["extracted"] == sum(item.records for item in known if item) + of_pairs, (
            mapping
        )


def test_every_record_is_in_the_class_it_must_be_in(migrated: Migrated, expected: Expected) -> None:
    objects = migrated.here.asked("status")["objects"]
    for mapping, rows in expected.rows.items():
        fates = Counter(expected.fate(mapping, record) for record in rows)
        assert {name: objects[mapping][name] for name in CLASSES} == {
            name: fates[name] for name in CLASSES
        }, mapping


def test_every_bad_value_is_quarantined_under_its_rule_and_nothing_else_is(
    migrated: Migrated, expected: Expected, truth: Truth
) -> None:
    listed = migrated.here.asked("quarantine", "list", "--limit", "100000")
    told = {(row["object"], row["record"], row["field"], row["rule"]) for row in listed["rows"]}
    wanted = {
        (mapping, record, field, rule)
        for mapping, bad in expected.bad.items()
        for record, issues in bad.items()
        for field, rule in issues
    }
    assert told == wanted
    assert listed["total"] == len({(mapping, record) for mapping, record, *_ in wanted})
    kinds = {cell.kind for item in truth.objects.values() for cell in item.bad}
    assert kinds == {"date", "amount", "unmapped", "missing", "too_long", "orphan"}, (
        "the data tests every kind"
    )
    assert {rule for *_, rule in wanted} >= {"lookup.excluded", "lookup.missing", "cast.date", "cast.decimal"}


def test_the_target_holds_exactly_the_loaded_records(
    target: dict[str, dict[str, dict[str, Any]]], expected: Expected
) -> None:
    for mapping in SOURCES:
        assert set(target[mapping]) == loaded(expected, mapping), mapping


def test_every_link_leads_to_the_right_record(
    target: dict[str, dict[str, dict[str, Any]]], expected: Expected
) -> None:
    followed: Counter[str] = Counter()
    for mapping, rules in LINKS.items():
        for record, row in target[mapping].items():
            for name, rule in rules.items():
                other = expected.final_link(mapping, record, name)
                if rule.deferred and other and expected.fate(*other) != "loaded":
                    other = None
                assert row[name] == (other[1] if other else None), f"{mapping}/{record} {name}"
                followed[f"{mapping}.{name}"] += other is not None
    assert all(followed[f"{mapping}.{name}"] for mapping, rules in LINKS.items() for name in rules), followed


def test_values_arrive_as_they_were_written(
    target: dict[str, dict[str, dict[str, Any]]], expected: Expected
) -> None:
    def alone(mapping: str, system: str) -> list[tuple[dict[str, Any], Any]]:
        merged = set(expected.survivor.get(mapping, {}))
        return [
            (row, expected.rows[mapping][record])
            for record, row in target[mapping].items()
            if record not in merged and record.startswith(system)
        ]

    for row, raw in alone("contact", "salesforce"):
        assert row["last_name"] == " ".join(raw["LastName"].split()), row["legacy_id"]
        assert row["birthday"] is None or str(row["birthday"]) == raw["Birthdate"]
        assert bool(row["no_email"]) is (raw["HasOptedOutOfEmail"] == "1")
        assert moment(row["created_at"]) == raw["CreatedDate"].replace("T", " ")[:19]
        assert (row["street"] or "") == raw["MailingStreet"]
    for row, raw in alone("contact", "dynamics"):
        assert row["last_name"] == " ".join(raw["lastname"].split()), row["legacy_id"]
        assert moment(row["modified_at"]) == raw["modifiedon"].replace("T", " ")[:19]
    for row, raw in [*alone("opportunity", "salesforce")]:
        assert number(row["amount"]) == number(raw["Amount"] or None), row["legacy_id"]
        assert str(row["closes_on"]) == raw["CloseDate"]
    for row, raw in alone("opportunity", "dynamics"):
        assert number(row["amount"]) == number(raw.get("estimatedvalue"))
        assert row["stage"] == {"0": "open", "1": "won", "2": "lost"}[raw["statecode"]]
    for row, raw in alone("account", "salesforce"):
        assert row["name"] == " ".join(raw["Name"].split())
        assert (row["description"] or "") == raw["Description"].replace("\r\n", "\n")


def moment(value: object) -> str:
    """A moment to the second in UTC, however the database keeps it."""
    return str(value)[:19]


def number(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def test_duplicates_are_found_and_nobody_is_merged_with_a_stranger(
    expected: Expected, truth: Truth, record_property: Any
) -> None:
    entities = truth.entities().to_pylist()
    of = {(row["object"], f"{row['system']}:{row['key']}"): row["entity"] for row in entities}
    for mapping, least in (("account", 0.6), ("contact", 0.6)):
        clusters: dict[str, list[str]] = defaultdict(list)
        for record, survivor in expected.survivor[mapping].items():
            clusters[survivor].append(record)
        name = {f"{system}:": name for system, name in SOURCES[mapping].items()}

        def entity(record: str, name: dict[str, str] = name) -> str:
            return of[name[record[: record.index(":") + 1]], record]

        for survivor, members in clusters.items():
            assert len({entity(one) for one in members}) == 1, f"wrongly merged into {survivor}: {members}"
        movable = [
            record
            for record in expected.rows[mapping]
            if not expected.excluded(mapping, record) and record not in expected.bad[mapping]
        ]
        same: dict[str, list[str]] = defaultdict(list)
        for record in movable:
            same[entity(record)].append(record)
        pairs = {pair for members in same.values() for pair in combinations(sorted(members), 2)}
        found = {pair for members in clusters.values() for pair in combinations(sorted(members), 2)}
        recall = len(found & pairs) / len(pairs)
        record_property(f"recall_{mapping}", recall)
        assert recall >= least, f"{mapping}: found {len(found)} of {len(pairs)} pairs"


def test_a_second_run_writes_nothing(migrated: Migrated, tmp_path: Path) -> None:
    here = migrated.copy(tmp_path / "again")
    before, ledger = dump(here.target_url), records(here, Kind.CROSSWALK)
    told = here.asked("run", "--skip-validate")
    assert told["load"]["written"] == 0
    assert told["closed"] is True
    assert dump(here.target_url) == before
    assert records(here, Kind.CROSSWALK) == ledger
    assert told["objects"] == migrated.told["objects"]


def test_validation_holds_and_the_report_is_there(migrated: Migrated) -> None:
    assert migrated.told["validation"]["holds"] is True
    html = Path(migrated.told["validation"]["report"]).read_text(encoding="utf-8")
    assert "<html" in html
    assert "http://" not in html.replace("http://www.w3.org/", "")


def test_explain_tells_the_life_of_any_record(migrated: Migrated, expected: Expected) -> None:
    here = migrated.here
    merged, survivor = next(
        (record, into) for record, into in expected.survivor["contact"].items()
        if record != into and expected.fate("contact", record) == "merged"
    )  # fmt: skip
    told = here.asked("explain", f"contact/{merged}")
    assert told["state"] == "merged"
    assert told["stages"]["duplicates"]["survivor"] == survivor
    assert {merged, survivor} <= set(told["stages"]["duplicates"])

    told = here.asked("explain", f"contact/{survivor}")
    assert told["state"] == "loaded"
    assert told["stages"]["target"]["id"]
    assert told["stages"]["target"]["key"] == survivor
    assert any(title.startswith("source: ") for title in told["stages"])

    refused, issues = next(iter(expected.bad["account"].items()))
    told = here.asked("explain", f"account/{refused}")
    field, rule = next(iter(issues))
    assert (told["state"], told["rule"]) == ("quarantined", rule)
    assert f"[{rule}" in told["stages"]["mapped"][field]


def test_personal_values_are_masked_unless_asked_for(migrated: Migrated, expected: Expected) -> None:
    record = next(
        one for one in loaded(expected, "contact")
        if one.startswith("salesforce") and expected.rows["contact"][one]["Email"]
    )  # fmt: skip
    address = expected.rows["contact"][record]["Email"].strip()
    assert address not in migrated.here.run("explain", f"contact/{record}", "--json").out
    assert address in migrated.here.run("explain", f"contact/{record}", "--unmask", "--json").out


def test_a_mended_value_map_brings_the_refused_and_their_children_in(
    migrated: Migrated, tmp_path: Path
) -> None:
    here = migrated.copy(tmp_path / "mended")
    before = keyed(here)
    values = here.folder / "values" / "industry.csv"
    known = {line.partition(",")[0] for line in values.read_text(encoding="utf-8").splitlines()}
    unmapped = {
        cell.value for name in ("salesforce/Account", "dynamics/account")
        for cell in here.truth.objects[name].bad if cell.kind == "unmapped"
    }  # fmt: skip
    assert unmapped
    assert not unmapped & known
    with values.open("a", encoding="utf-8") as file:
        file.writelines(f"{value},other\n" for value in sorted(unmapped))

    told = here.asked("quarantine", "retry")

    assert told["closed"] is True
    assert "value.unmapped" not in told["objects"]["account"]["reasons"].get("quarantined", {})
    mended = expect(replace(here, truth=without_unmapped_industry(here.truth)))
    after = keyed(here)
    for mapping in SOURCES:
        come = loaded(mended, mapping)
        assert come <= set(after[mapping]), mapping
        # What was loaded before and is a duplicate of something now stays where it is, and is told as stale.
        left = set(after[mapping]) - come
        assert left <= set(before[mapping])
        assert told["objects"][mapping]["stale"] == len(left)
        assert told["objects"][mapping]["loaded"] == len(come), mapping
    children = [
        mapping for mapping in ("contact", "opportunity") if len(after[mapping]) > len(before[mapping])
    ]
    assert children == ["contact", "opportunity"], "those that waited for the mended accounts came in too"


def without_unmapped_industry(truth: Truth) -> Truth:
    return replace(
        truth,
        objects={
            name: replace(item, bad=[
                cell for cell in item.bad
                if cell.kind != "unmapped" or cell.field not in {"Industry", "industrycode"}
            ])
            for name, item in truth.objects.items()
        },
    )  # fmt: skip


def test_a_target_touched_by_hand_does_not_validate(migrated: Migrated, tmp_path: Path) -> None:
    here = migrated.copy(tmp_path / "touched")
    rows = dump(here.target_url)
    gone = rows["activity"][3]["legacy_id"]
    changed = rows["opportunity"][5]["legacy_id"]
    with connected(here.target_url) as connection:
        connection.execute(sa.text("DELETE FROM activity WHERE legacy_id = :id"), {"id": gone})
        connection.execute(
            sa.text("UPDATE opportunity SET next_step = 'by hand' WHERE legacy_id = :id"), {"id": changed}
        )

    answer = here.run("validate", "--json")

    assert answer.code == 1
    told = answer.json()
    assert told["holds"] is False
    assert any(item.startswith("activity/") for item in told["reasons"])
    assert any(item.startswith("opportunity/") for item in told["reasons"])
    with Path(told["failing"]).open(encoding="utf-8-sig", newline="") as file:
        failing = {(row["object"], row["record"], row["field"]) for row in csv.DictReader(file)}
    assert ("opportunity", changed, "next_step") in failing
    assert any(item[:2] == ("activity", gone) for item in failing)
    assert changed in Path(told["report"]).read_text(encoding="utf-8")
