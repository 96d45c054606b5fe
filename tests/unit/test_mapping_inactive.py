"""Links to users who left: another stands in, and nothing about it goes unsaid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from migrator.core.errors import ProjectError
from migrator.mapping import compile_mapping
from tests.mapping_kit import bind_texts, engine, issues, make_schema, run_sql, staged_table

USER = make_schema("User", Name="string", IsActive="boolean", Email="string")
GROUP = make_schema("Group", Name="string")
TASK = make_schema("Task", OwnerId="reference:User,Group", OwnerMail="string")
USERS = "mapping: user\ntarget: {system: new, object: user, key: k}\nsource: {system: sf, object: User%s}\n"
QUEUES = "mapping: queue\ntarget: {system: new, object: queue, key: k}\nsource: {system: sf, object: Group}\n"
PEOPLE = [
    {"Id": "U1", "Name": "here", "IsActive": "true", "Email": "u1@x"},
    {"Id": "U2", "Name": "gone", "IsActive": "0", "Email": "u2@x"},
    {"Id": "U3", "Name": "blank", "Email": "u3@x"},
    {"Id": "U4", "Name": "odd", "IsActive": "maybe", "Email": "u4@x"},
]


def owners(
    tmp_path: Path, rule: str, *, user: str = "", column: str = "OwnerId", given: tuple[str | None, ...] = ()
) -> list[dict[str, Any]]:
    """The rows of tasks with these owners, through a field `owner` with this rule."""
    text = (
        "mapping: task\ntarget: {system: new, object: task, key: k}\nsource: {system: sf, object: Task}\n"
        f"fields:\n  owner: {rule}\n"
    )
    texts = {"task.yaml": text, "user.yaml": USERS % user, "queue.yaml": QUEUES}
    found = bind_texts(texts, {"sf": [TASK, USER, GROUP]}, tmp_path).mapping("task")
    assert found is not None
    tasks = [{"Id": f"{number}", column: owner} for number, owner in enumerate(given)]
    staged = {
        "sf/Task": staged_table(TASK, tasks),
        "sf/User": staged_table(USER, PEOPLE),
        "sf/Group": staged_table(GROUP, [{"Id": "Q1", "Name": "queue"}]),
    }
    with engine(tmp_path) as session:
        return run_sql(session, compile_mapping(found), staged)


RULE = "{from: OwnerId, lookup: [user, queue], inactive: {when: not IsActive, use: %s}}"
EVERY = ("U1", "U2", "U3", "U4", "Q1", None, "U9")


def test_an_inactive_owner_is_replaced_and_told_a_queue_is_not_asked(tmp_path: Path):
    rows = owners(tmp_path, RULE % "U1", given=EVERY)
    assert [row["owner"] for row in rows] == [
        "user/sf:U1", "user/sf:U1", "user/sf:U3", "user/sf:U4", "queue/sf:Q1", None, None,
    ]  # fmt: skip
    assert [issues(row) for row in rows] == [
        [], [("owner", "lookup.inactive", "U2")], [], [("owner", "expr.failed", "U4")], [], [],
        [("owner", "lookup.missing", "U9")],
    ]  # fmt: skip
    assert [row["__bad"] for row in rows] == [False, False, False, True, False, False, True]


def test_the_stand_in_may_be_of_another_mapping_and_must_be_in_the_source(tmp_path: Path):
    rows = owners(tmp_path, RULE % "queue/sf:Q1", given=("U2",))
    assert rows[0]["owner"] == "queue/sf:Q1"
    rows = owners(tmp_path, RULE % "U7", given=("U1", "U2"))
    assert [issues(row) for row in rows] == [[], [("owner", "lookup.missing", "U7")]]


def test_a_link_by_another_column_and_a_split_object_ask_too(tmp_path: Path):
    by = "{from: OwnerMail, lookup: user, by: Email, inactive: {when: not IsActive, use: U1}}"
    rows = owners(tmp_path, by, column="OwnerMail", given=("u1@x", "u2@x", "u9@x"))
    assert [row["owner"] for row in rows] == ["user/sf:U1", "user/sf:U1", None]
    split = owners(tmp_path, RULE % "U1", user=", where: Name <> 'gone'", given=("U1", "U2"))
    assert [row["owner"] for row in split] == ["user/sf:U1", "user/sf:U1"]


@pytest.mark.parametrize(
    ("inactive", "told"),
    [
        ("{when: not IsActiv, use: U1}", "task.yaml:5:70: unknown column 'IsActiv'"),
        ("{when: not IsActive}", "task.yaml:5:59: use is missing"),
        ("{when: not IsActive, use: U1, for: x}", "task.yaml:5:89: unknown key 'for'"),
        ("U1", "task.yaml:5:59: inactive must hold keys"),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path: Path, inactive: str, told: str):
    rule = "{from: OwnerId, lookup: [user, queue], inactive: %s}"
    with pytest.raises(ProjectError) as caught:
        owners(tmp_path, rule % inactive)
    assert [str(item).splitlines()[0] for item in caught.value.problems] == [told]


def test_inactive_means_nothing_without_a_lookup(tmp_path: Path):
    with pytest.raises(ProjectError, match="inactive means nothing without lookup"):
        owners(tmp_path, "{from: OwnerId, inactive: {when: not IsActive, use: U1}}")
