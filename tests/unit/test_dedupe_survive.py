"""Who survives, and who gives each field."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.core.mapped import DedupeRules, Survivorship
from migrator.dedupe.story import FieldStory, explain_cluster
from tests.dedupe_project import AMOUNT, BY_EMAIL, DAY, contacts, on, open_project

MAIL = "a@b.de"


def survivors(folder: Path, rules: DedupeRules, *rows: dict[str, object]) -> list[dict[str, object]]:
    """Golden rows of records that all share one address."""
    with open_project(folder) as project:
        made = project.run(contacts(rules), [{"email": MAIL, **row} for row in rows])
        return project.rows(made.golden)


def test_the_most_trusted_source_survives_before_the_newest_row(tmp_path: Path) -> None:
    rules = DedupeRules((BY_EMAIL,), recency="changed", trust=("erp",))
    (golden,) = survivors(
        tmp_path, rules, {"id": "crm:1", "changed": on(9), "name": "New"}, {"id": "erp:2", "changed": on(1)}
    )
    assert (golden["__id"], golden["legacy_id"], golden["name"]) == ("erp:2", "2", "New")


def test_recency_then_filled_fields_then_the_smallest_id_decide(tmp_path: Path) -> None:
    rules = DedupeRules((BY_EMAIL,), recency="changed")
    rows = [{"id": "crm:1", "changed": on(1), "born": DAY}, {"id": "crm:3", "changed": on(2)}]
    assert survivors(tmp_path, rules, *rows)[0]["__id"] == "crm:3"
    fuller = [
        {"id": "crm:1"},
        {"id": "crm:3", "name": "A"},
        {"id": "crm:2", "name": "B"},
        {"id": "crm:4", "name": " "},
    ]
    (tmp_path / "2").mkdir()
    assert survivors(tmp_path / "2", DedupeRules((BY_EMAIL,)), *fuller)[0]["__id"] == "crm:2"


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (Survivorship.MOST_RECENT, "Bo"),
        (Survivorship.MOST_TRUSTED, "Al"),
        (Survivorship.FIRST, "Al"),
        (Survivorship.LONGEST, "Bobby"),
    ],
)
def test_a_field_follows_its_rule(tmp_path: Path, rule: Survivorship, name: str) -> None:
    rules = DedupeRules((BY_EMAIL,), {"name": rule}, recency="changed", trust=("erp", "crm"))
    rows = [
        {"id": "erp:1", "name": "Al", "changed": on(1)},
        {"id": "crm:2", "name": "Bo", "changed": on(3)},
        {"id": "crm:3", "name": "Bobby", "changed": on(2)},
        {"id": "crm:4", "name": "  ", "changed": on(4)},
    ]
    (golden,) = survivors(tmp_path, rules, *rows)
    assert (golden["__id"], golden["name"]) == ("erp:1", name)


def test_a_missing_value_comes_from_any_member_whatever_its_type(tmp_path: Path) -> None:
    (golden,) = survivors(
        tmp_path,
        DedupeRules((BY_EMAIL,), default=Survivorship.LONGEST),
        {"id": "crm:1", "name": "Al", "phone": "", "company": "C", "changed": on(1)},
        {"id": "crm:2", "revenue": AMOUNT},
        {"id": "crm:3", "born": DAY, "Order": 0, "active": False},
    )
    assert (golden["__id"], golden["revenue"], golden["born"]) == ("crm:1", AMOUNT, DAY)
    assert (golden["Order"], golden["active"], golden["phone"]) == (0, False, "")


def test_the_story_names_members_reasons_and_donors(tmp_path: Path) -> None:
    mapped = contacts(DedupeRules((BY_EMAIL,), recency="changed"))
    rows = [
        {"id": "crm:1", "email": "A@b.de", "changed": on(2), "name": "Al"},
        {"id": "crm:2", "email": MAIL, "changed": on(1), "name": "Bo", "phone": "x"},
        {"id": "crm:3", "email": "other@b.de"},
    ]
    with open_project(tmp_path) as project:
        assert explain_cluster(project.session, project.store, mapped, "crm:2") is None
        project.run(mapped, rows)
        story = explain_cluster(project.session, project.store, mapped, "crm:2")
        assert explain_cluster(project.session, project.store, mapped, "crm:3") is None
        assert explain_cluster(project.session, project.store, mapped, "' OR 1=1 --") is None
    assert story is not None
    assert (story.cluster, story.survivor) == ("crm:1", "crm:1")
    assert [(m.id, m.survives, m.rule, m.evidence) for m in story.members] == [
        ("crm:1", True, "email", MAIL),
        ("crm:2", False, "email", MAIL),
    ]
    fields = {item.field: item for item in story.fields}
    assert fields["name"] == FieldStory(
        "name", Survivorship.MOST_RECENT, "crm:1", {"crm:1": "Al", "crm:2": "Bo"}
    )
    assert fields["name"].disputed
    assert (fields["phone"].donor, fields["phone"].disputed, fields["born"].donor) == ("crm:2", False, "")
    assert (fields["legacy_id"].donor, fields["legacy_id"].rule) == ("crm:1", Survivorship.FIRST)
