"""Value maps and look-ups that a column chooses: the right map for each record type, the right mapping for each type."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.core.errors import ProjectError
from migrator.mapping import compile_mapping
from tests.mapping_kit import bind_texts, engine, issues, make_schema, map_one, run_sql, staged_table

ROWS = [
    {"Id": "1", "R": "Kunde", "S": "new"},
    {"Id": "2", "R": "Partner's", "S": "new"},
    {"Id": "3", "R": "other", "S": "new"},
    {"Id": "4", "S": "new"},
    {"Id": "5", "R": "Kunde", "S": "only partners"},
    {"Id": "6", "R": "Kunde", "S": ""},
]
INLINE = '{Kunde: {new: A}, "Partner\'s": p.csv, otherwise: {new: C}}'


@pytest.mark.parametrize("maps", [INLINE, "all.csv"])
def test_each_record_type_has_its_map_and_all_others_the_common_one(tmp_path: Path, maps: str) -> None:
    (tmp_path / "p.csv").write_text("source,target\nnew,B\nonly partners,D\n", encoding="utf-8")
    (tmp_path / "all.csv").write_text(
        "record_type,source,target\nKunde,new,A\nPartner's,new,B\nPartner's,only partners,D\n,new,C\n",
        encoding="utf-8",
    )
    found = map_one(
        tmp_path, f"s: {{from: S, values: {{by: R, maps: {maps}}}}}", ROWS, R="string", S="string"
    )
    assert [row["s"] for row in found] == ["A", "B", "C", "C", None, None]
    assert [issues(row) for row in found][4:] == [[("s", "value.unmapped", "only partners")], []]


def test_without_a_common_map_values_of_other_types_follow_the_policy(tmp_path: Path) -> None:
    rule = "s: {from: S, values: {by: R, maps: {Kunde: {new: A}}}, unmapped: keep}"
    found = map_one(tmp_path, rule, ROWS[:4], R="string", S="string")
    assert [row["s"] for row in found] == ["A", "new", "new", "new"]


def test_several_values_in_one_text_take_the_map_of_their_row(tmp_path: Path) -> None:
    rows = [{"Id": "1", "R": "k", "S": "a; b"}, {"Id": "2", "R": "p", "S": "a;b"}, {"Id": "3", "S": "a;b"}]
    rule = "s: {from: S, values: {by: R, maps: {k: {a: A, b: B}, otherwise: {a: X, b: null}}}}"
    found = map_one(tmp_path, rule, rows, R="string", S="multi_picklist")
    assert [row["s"] for row in found] == ["A;B", "X", "X"]


def bound_errors(tmp_path: Path, field: str) -> list[str]:
    task = make_schema("Task", Ref="reference", Kind="string")
    text = f"mapping: task\ntarget: {{system: new, object: task, key: k}}\nsource: {{system: old, object: Task}}\nfields:\n  f: {field}\n"
    with pytest.raises(ProjectError) as caught:
        bind_texts({"task.yaml": text}, {"old": [task]}, tmp_path)
    return [str(problem).splitlines()[0] for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("{from: Ref, values: {by: Kin, maps: {a: {x: y}}}}", "task.yaml:5:31: old/Task has no column 'Kin'"),
        ("{from: Ref, values: {by: Kind, maps: {a: {}}}}", "task.yaml:5:47: the value map of 'a' is empty"),
        ("{from: Ref, values: {by: Kind, maps: {}}}", "task.yaml:5:26: maps holds no value map"),
        ("{from: Ref, values: {by: Kind, maps: {a: {x: {}}}}}", "task.yaml:5:26: the value map gives no plain value for 'x'"),
        ("{from: Ref, values: {by: Kind, maps: v.csv}}", "v.csv:1:1: a value map by record type needs the columns record_type, source and target"),
        ("{from: Ref, values: v2.csv}", "v2.csv:3: the old value 'a' stands here twice, with different new values"),
        ("{from: Ref, lookup: {type: Kin, a: task}}", "task.yaml:5:33: old/Task has no column 'Kin'"),
        ("{from: Ref, lookup: {type: Kind, a: tsk}}", "task.yaml:5:42: lookup to 'tsk': there is no such mapping"),
        ("{from: Ref, lookup: {type: Kind}}", "task.yaml:5:26: this look-up names no type"),
        ("{from: Ref, lookup: {a: task}}", "task.yaml:5:26: this look-up does not say which column tells the type"),
        ("{from: Ref, lookup: {type: Kind, a: [task]}}", "task.yaml:5:26: the type 'a' names no mapping"),
        ("{from: Ref, lookup: [task, 'x y']}", "task.yaml:5:33: 'x y' is not a mapping"),
    ],
)  # fmt: skip
def test_mistakes_are_told_at_their_place(tmp_path: Path, field: str, message: str) -> None:
    (tmp_path / "v.csv").write_text("source,target\na,b\n", encoding="utf-8")
    (tmp_path / "v2.csv").write_text("record_type,source,target\nx,a,b\ny,a,c\n", encoding="utf-8")
    assert bound_errors(tmp_path, field) == [message]


def test_a_column_tells_which_mapping_a_link_means(tmp_path: Path) -> None:
    account, deal = make_schema("Account"), make_schema("Deal")
    task = make_schema("Task", Ref="reference:Account,Deal", Kind="string", About="text")
    texts = {
        f"{name}.yaml": f"mapping: {name}\ntarget: {{system: new, object: {name}, key: k}}\nsource: {{system: old, object: {name.title()}}}\n"
        for name in ("account", "deal")
    }
    texts["task.yaml"] = (
        "mapping: task\ntarget: {system: new, object: task, key: k}\nsource: {system: old, object: Task}\nfields:\n"
        "  ref: {from: Ref, lookup: {type: Kind, Account: account, PersonAccount: account, 商机: deal}}\n"
        "  about: {from: About, clean: find_id, lookup: [account, deal], missing: null}\n"
    )
    bound = bind_texts(texts, {"old": [account, deal, task]}, tmp_path)
    compiled = compile_mapping(next(item for item in bound.mappings if item.name == "task"))
    one = "0015g00000AbCdEAAV"
    rows = [
        {"Id": "1", "Ref": "7", "Kind": "Account"}, {"Id": "2", "Ref": "7", "Kind": "商机"},
        {"Id": "3", "Ref": "7", "Kind": "PersonAccount"}, {"Id": "4", "Ref": "7", "Kind": "Lead"},
        {"Id": "5", "Ref": "7"}, {"Id": "6", "Kind": "Account"}, {"Id": "7", "Ref": "8", "Kind": "Account"},
        {"Id": "8", "About": f"see https://x/{one[:15]}/view"},
    ]  # fmt: skip
    staged = {
        "old/Account": staged_table(account, [{"Id": "7"}, {"Id": one}]),
        "old/Deal": staged_table(deal, [{"Id": "7"}, {"Id": "8"}]),
        "old/Task": staged_table(task, rows),
    }
    with engine(tmp_path) as session:
        found = run_sql(session, compiled, staged)
    missing = [("ref", "lookup.missing", "7")]
    assert [(row["ref"], issues(row)) for row in found[:7]] == [
        ("account/old:7", []), ("deal/old:7", []), ("account/old:7", []), (None, missing), (None, missing),
        (None, []), (None, [("ref", "lookup.missing", "8")]),
    ]  # fmt: skip
    assert found[7]["about"] == f"account/old:{one}"
    assert bound.warnings == ()
