"""What survives by field and by group, who gave it, what was given up, and that a record in the target stays the survivor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from migrator.core.errors import ProjectError
from migrator.core.mapped import Custom, DedupeRules, Link, Survivorship
from migrator.core.schema import FieldSchema, FieldType
from migrator.dedupe.story import SEVERAL, explain_cluster
from migrator.staging import columns
from migrator.staging.merged import remember_merged, standing_for, survivor_of
from migrator.staging.provenance import donated, given_up
from migrator.staging.store import Kind
from tests.dedupe_project import BY_EMAIL, CONTACT, Project, contacts, on, open_project

MAIL = "a@b.de"
FIELDS = (*CONTACT, FieldSchema("tags", FieldType.STRING), FieldSchema("zip", FieldType.STRING))
GROUP = {"place": ("company", "phone", "zip")}


def merged(project: Project, rules: DedupeRules, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    (golden,) = project.rows(
        project.run(contacts(rules, FIELDS), [{"email": MAIL, **row} for row in rows]).golden
    )
    return golden


def rules(**given: Any) -> DedupeRules:
    return DedupeRules((BY_EMAIL,), recency="changed", trust=("erp", "crm"), **given)


def test_the_most_complete_record_gives_the_value(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "erp:1", "name": "Al", "changed": on(9)},
        {"id": "crm:2", "name": "Bo", "phone": "1", "company": "C", "changed": on(1)},
    ]
    with open_project(tmp_path) as project:
        golden = merged(project, rules(survivorship={"name": Survivorship.MOST_COMPLETE}), rows)
    assert (golden["__id"], golden["name"]) == ("erp:1", "Bo")


def test_the_most_frequent_value_wins_and_trust_breaks_a_tie(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "erp:1", "name": "Al", "phone": "1"},
        {"id": "crm:2", "name": "Bo", "phone": "2"},
        {"id": "crm:3", "name": "Bo", "phone": "3"},
        {"id": "crm:4", "name": None},
    ]
    chosen = dict.fromkeys(("name", "phone"), Survivorship.MOST_FREQUENT)
    with open_project(tmp_path) as project:
        golden = merged(project, rules(survivorship=chosen), rows)
        found = donors(project, rules(survivorship=chosen))
    assert (golden["name"], golden["phone"]) == ("Bo", "1")
    assert (found["name"], found["phone"]) == ("crm:2", "erp:1")


@pytest.mark.parametrize(
    ("separator", "values", "wanted"),
    [
        (";", ["vip;晚餐", " 晚餐 ;new", None, " "], "vip;晚餐;new"),
        (", ", ["a, b", "b", "c", None], "a, b, c"),
        ("", ['["x", {"n": 1}]', "plain 'text'", '["x"]', '"y"'], '["x", {"n":1}, "plain \'text\'", "y"]'),
    ],
)
def test_a_union_holds_every_value_once_the_most_trusted_first(
    tmp_path: Path, separator: str, values: list[str | None], wanted: str
) -> None:
    rows: list[dict[str, Any]] = [
        {"id": f"{source}:{n}", "tags": value}
        for n, (source, value) in enumerate(zip(["erp", "crm", "crm", "crm"], values, strict=True))
    ]
    given = rules(survivorship={"tags": Survivorship.UNION}, separators={"tags": separator})
    with open_project(tmp_path) as project:
        assert merged(project, given, rows)["tags"] == wanted
        assert SEVERAL in {field.donor for field in told(project, given).fields if field.field == "tags"}


def test_an_expression_is_made_of_all_members_and_must_fit(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "erp:1", "Order": 2, "name": "b"},
        {"id": "crm:2", "Order": 40, "name": "a"},
    ]
    made = {
        "Order": Custom('sum("Order")', sql='sum("Order")', gives="BIGINT"),
        "name": Custom("…", sql="listagg(\"name\", '+' ORDER BY __trusted)", gives="VARCHAR"),
    }
    given = rules(survivorship=dict.fromkeys(made, Survivorship.CUSTOM), customs=made)
    with open_project(tmp_path) as project:
        golden = merged(project, given, rows)
        assert (golden["Order"], golden["name"]) == (42, "b+a")
        wrong = {"Order": Custom("max(name)", sql='max("name")', gives="BIGINT")}
        with pytest.raises(ProjectError, match="no bigint"):
            merged(project, rules(survivorship={"Order": Survivorship.CUSTOM}, customs=wrong), rows)


def test_a_function_gets_the_members_values_as_lists(tmp_path: Path) -> None:
    def join(ids: pa.ChunkedArray, names: pa.ChunkedArray, orders: pa.ChunkedArray) -> pa.Array:
        return pa.array(
            [
                f"{i}={n}{o}"
                for i, n, o in zip(*map(pa.ChunkedArray.to_pylist, (ids, names, orders)), strict=True)
            ]
        )

    custom = Custom("hooks.join", function="hook join", using=("name", "Order"))
    given = rules(survivorship={"tags": Survivorship.CUSTOM}, customs={"tags": custom})
    rows: list[dict[str, Any]] = [{"id": "crm:2", "name": "Bo"}, {"id": "erp:1", "name": "Al", "Order": 1}]
    with open_project(tmp_path) as project:
        project.session.function("hook join", join, ("VARCHAR", "VARCHAR[]", "BIGINT[]"), "VARCHAR")
        assert merged(project, given, rows)["tags"] == "erp:1=['Al', 'Bo'][1, None]"


def test_a_group_comes_from_one_record_whole(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "erp:1", "company": "C", "zip": None, "phone": " ", "changed": on(9)},
        {"id": "crm:2", "company": "D", "zip": "10115", "phone": "030", "changed": on(1)},
        {"id": "crm:3", "changed": on(99 - 80)},
    ]
    with open_project(tmp_path) as project:
        recent = merged(project, rules(groups=GROUP), rows)
        assert (recent["company"], recent["zip"], recent["phone"]) == ("C", None, " ")
        fields = {item.field: item for item in told(project, rules(groups=GROUP)).fields}
        assert {fields[name].donor for name in GROUP["place"]} == {"erp:1"}
        lost = project.session.fetch(
            f"SELECT * FROM ({given_up(project.session, project.store, contacts(rules(groups=GROUP), FIELDS))}) ORDER BY field"
        ).to_pylist()
        assert [(row["field"], row["member"], row["value"], row["kept"]) for row in lost if row["field"] != "changed"] == [
            ("company", "crm:2", "D", "C"), ("phone", "crm:2", "030", " "), ("zip", "crm:2", "10115", None),
        ]  # fmt: skip
        full = rules(groups=GROUP, survivorship={"place": Survivorship.MOST_COMPLETE})
        complete = merged(project, full, rows)
        assert (complete["company"], complete["zip"], complete["phone"]) == ("D", "10115", "030")


def test_a_link_between_members_is_no_value(tmp_path: Path) -> None:
    mapped = replace(
        contacts(rules(), (*FIELDS, FieldSchema("boss", FieldType.REFERENCE))),
        links=(Link("boss", ("contact", "lead"), deferred=True),),
    )
    rows: list[dict[str, Any]] = [
        {"id": "erp:1", "email": MAIL, "boss": "contact/crm:2", "changed": on(9)},
        {"id": "crm:2", "email": MAIL, "boss": "contact/crm:2", "changed": on(8)},
        {"id": "crm:3", "email": MAIL, "boss": "contact/crm:4", "changed": on(1)},
        {"id": "crm:4", "email": "other@b.de", "boss": "contact/crm:4"},
        {"id": "erp:5", "email": "5@b.de", "boss": "lead/erp:6"},
        {"id": "erp:6", "email": "5@b.de"},
    ]
    with open_project(tmp_path) as project:
        golden = {row["__id"]: row["boss"] for row in project.rows(project.run(mapped, rows).golden)}
    assert golden == {"erp:1": "contact/crm:4", "erp:5": "lead/erp:6"}


def test_donors_and_disputes_are_kept_for_every_cluster(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "erp:1", "name": "Al", "changed": on(1)},
        {"id": "crm:2", "name": "Bo", "phone": "2", "changed": on(2)},
    ]
    with open_project(tmp_path) as project:
        merged(project, rules(), rows)
        assert donors(project, rules()) == {
            "name": "crm:2",
            "email": "crm:2",
            "phone": "crm:2",
            "changed": "crm:2",
        }
        made = project.store.need(Kind.CLUSTERS, "contact", made_by="dedupe")
        assert made.detail["disputed"] == {"name": 1, "changed": 1}


def test_who_is_in_the_target_stays_the_survivor(tmp_path: Path) -> None:
    mapped = contacts(rules(), FIELDS)
    first = {"id": "crm:2", "email": MAIL, "changed": on(1)}
    with open_project(tmp_path) as project:
        project.run(mapped, [first])
        loaded(project, "crm:2")
        golden = merged(project, rules(), [first, {"id": "erp:1", "changed": on(9), "name": "New"}])
        assert (golden["__id"], golden["legacy_id"], golden["name"]) == ("crm:2", "2", "New")
        loaded(project, "crm:2", "erp:1")
        again = merged(project, rules(), [first, {"id": "erp:1", "changed": on(8), "name": "Newer"}])
        assert again["__id"] == "crm:2"


def test_a_merged_record_is_found_for_ever(tmp_path: Path) -> None:
    mapped = contacts(rules(), FIELDS)
    rows: list[dict[str, Any]] = [{"id": f"{one}", "email": MAIL} for one in ("erp:1", "crm:2", "crm:3")]
    with open_project(tmp_path) as project:
        assert remember_merged(project.store, project.session, mapped) is None
        stands(project, mapped, rows)
        loaded(project, "erp:1")
        assert stands(project, mapped, rows) == {"erp:1": "T-erp:1", "crm:2": "T-erp:1", "crm:3": "T-erp:1"}
        # gone from the source, and its survivor merged into yet another
        older: list[dict[str, Any]] = [{"id": "erp:0", "email": MAIL}, rows[0]]
        loaded(project, "erp:0", "erp:1")
        assert stands(project, mapped, [*older, rows[1]])["crm:3"] == "T-erp:1"
        parted: list[dict[str, Any]] = [rows[0], {"id": "crm:2", "email": "other@b.de"}]
        assert stands(project, mapped, parted) == {"erp:1": "T-erp:1", "erp:0": "T-erp:1", "crm:3": "T-erp:1"}
        assert survivor_of(project.session, project.store, mapped, "crm:2") is None
        assert survivor_of(project.session, project.store, mapped, "crm:3") == "erp:1"
        # what does not move any more is no record of its own
        assert stands(project, mapped, [rows[0], {**rows[1], "email": MAIL}])["crm:2"] == "T-erp:1"
        assert stands(project, mapped, [rows[0], {**rows[1], "__excluded": "old"}])["crm:2"] == "T-erp:1"


def stands(project: Project, mapped: Any, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    project.run(mapped, rows)
    remember_merged(project.store, project.session, mapped)
    found = project.session.fetch(standing_for(project.session, project.store, mapped)).to_pylist()
    return {row["__id"]: row["target_id"] for row in found}


def loaded(project: Project, *ids: str) -> None:
    """Let the crosswalk say that these records are in the target."""
    rows: list[dict[str, Any]] = [
        {"__id": one, "target_key": one, "target_id": f"T-{one}", "outcome": "created"} for one in ids
    ]
    made = project.store.build(Kind.CROSSWALK, "contact", repr(ids))
    made.add_table(pa.Table.from_pylist(rows, schema=columns.CROSSWALK))
    made.complete({})


def told(project: Project, given: DedupeRules) -> Any:
    return explain_cluster(
        project.session, project.store, contacts(given, FIELDS), "erp:1"
    ) or explain_cluster(project.session, project.store, contacts(given, FIELDS), "erp:0")


def donors(project: Project, given: DedupeRules) -> dict[str, str]:
    found = project.session.fetch(donated(project.session, project.store, contacts(given, FIELDS)))
    return {row["field"]: row["donor"] for row in found.to_pylist()}
