"""Rows joined and exploded, keys of several columns: what comes out, what is told, and every mistake at its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from migrator.core.errors import ProjectError
from migrator.mapping import compile_mapping, readable
from tests.mapping_kit import bind_texts, engine, issues, make_schema, run_sql, staged_table

ACCOUNT = make_schema("Account", Name="string", Type="string", OwnerId="reference:User")
USER = make_schema("User", Name="string", IsActive="boolean")
CONTACT = make_schema(
    "Contact", AccountId="reference:Account", Tags="multi_picklist", To="json", Size="integer"
)
SYSTEMS = {"old": [ACCOUNT, CONTACT], "hr": [USER]}
ACCOUNTS = [
    {"Id": "1", "Name": '北京 "A"', "Type": "C", "OwnerId": "u1"},
    {"Id": "2", "Name": "B", "OwnerId": "u9"},
    {"Id": "3", "Name": "X"},
    {"Id": "3", "Name": "Y", "__copy": 1},
    {"Name": "no key"},
]
USERS = [{"Id": "u1", "Name": "Ann", "IsActive": "true"}]
JOIN = "join: {acct: {object: Account, on: {AccountId: Id}%s}}"


def text_of(source: str, *fields: str) -> str:
    listed = "".join(f"  {line}\n" for line in fields)
    return (
        "mapping: c\ntarget: {system: new, object: c, key: legacy_id}\n"
        f"source: {{system: old, object: Contact, {source}}}\nfields:\n  legacy_id: {{record_id: true}}\n{listed}"
    )


def rows_of(
    tmp_path: Path, text: str, contacts: Sequence[Mapping[str, Any]], key: str = "Id"
) -> list[dict[str, Any]]:
    schema = (
        CONTACT
        if key
        else make_schema("Contact", key="", Id="string", AccountId="string", Tags="string", To="json")
    )
    bound = bind_texts({"c.yaml": text}, {"old": [ACCOUNT, schema], "hr": [USER]}, tmp_path)
    staged = {
        "old/Account": staged_table(ACCOUNT, ACCOUNTS),
        "old/Contact": staged_table(schema, contacts),
        "hr/User": staged_table(USER, USERS),
    }
    with engine(tmp_path) as session:
        compiled = compile_mapping(bound.mappings[0])
        found = run_sql(session, compiled, staged)
        assert run_sql(session, compiled, {}, readable(compiled.sql)) == found, "show-sql means the same"
        return found


CONTACTS = [
    {"Id": "a", "AccountId": "1"}, {"Id": "b", "AccountId": "2"}, {"Id": "c", "AccountId": "9"},
    {"Id": "d"}, {"Id": "e", "AccountId": ""}, {"Id": "f", "AccountId": "3"},
]  # fmt: skip


def test_a_row_gets_the_columns_of_its_one_partner_and_of_the_partners_partner(tmp_path: Path) -> None:
    source = "join: {acct: {object: Account, on: {AccountId: Id}}, boss: {system: hr, object: User, on: {acct.OwnerId: Id}}}"
    text = text_of(
        source, "company: {from: acct.Name}", "boss: {from: boss.Name}",
        "told: {expr: \"concat_ws('/', Id, acct.Name, \\\"boss.Name\\\")\"}", "active: {from: boss.IsActive}",
    )  # fmt: skip
    found = rows_of(tmp_path, text, CONTACTS)
    assert [(row["company"], row["boss"], row["told"], row["active"]) for row in found[:3]] == [
        ("北京 \"A\"", "Ann", "a/北京 \"A\"/Ann", True), ("B", None, "b/B", None), (None, None, "c", None),
    ]  # fmt: skip
    assert [row["__id"] for row in found] == [f"old:{letter}" for letter in "abcdef"]
    assert [issues(row) for row in found] == [[]] * 5 + [[("acct", "join.ambiguous", "3")]]
    assert found[5]["company"] is None


def test_rows_without_a_partner_are_kept_held_back_or_left_out_as_the_mapping_says(tmp_path: Path) -> None:
    found = rows_of(tmp_path, text_of(JOIN % ", missing: quarantine", "n: {from: acct.Name}"), CONTACTS)
    assert [[item[1] for item in issues(row)] for row in found] == [
        [], [], ["join.missing"], ["join.missing"], ["join.missing"], ["join.ambiguous"],
    ]  # fmt: skip
    text = text_of(JOIN % ", missing: {exclude: an orphan}", "n: {from: acct.Name}")
    found = rows_of(tmp_path, text, CONTACTS)
    assert [row["__excluded"] for row in found] == [None, None, "an orphan", "an orphan", "an orphan", None]


def test_a_condition_over_a_partner_that_is_not_known_excludes_nothing(tmp_path: Path) -> None:
    for condition in (
        "where: acct.Type is not null",
        "exclude: [{when: acct.Type is null, reason: untyped}]",
    ):
        found = rows_of(tmp_path, text_of(f"{JOIN % ''}, {condition}", "n: {from: acct.Name}"), CONTACTS)
        assert [row["__excluded"] is None for row in found] == [True, False, False, False, False, True]
        assert [row["__bad"] for row in found] == [False] * 5 + [True]


def test_one_record_for_each_value_with_a_key_that_no_order_changes(tmp_path: Path) -> None:
    rows = [
        {"Id": "a", "Tags": "x; y;;x ; \u3000"}, {"Id": "b", "Tags": "y;x"}, {"Id": "c#", "Tags": " ; "}, {"Id": "d"},
        {"Id": "e", "Tags": "中文#1"}, {"Id": "a", "Tags": "z", "__copy": 1}, {"Tags": "w"},
    ]  # fmt: skip
    text = text_of("explode: {column: Tags, split: ';', as: tag}", "tag: {from: tag}", "of: {from: Id}")
    found = {row["__id"]: row for row in rows_of(tmp_path, text, rows)}
    assert {name: row["__excluded"] or row["tag"] for name, row in found.items()} == {
        "old:a#x": "x", "old:a#y": "y", "old:a (again 1)#x": "the value stands in its row before",
        "old:b#x": "x", "old:b#y": "y", "old:c\\#": "no value to explode", "old:d": "no value to explode",
        "old:e#中文#1": "中文#1", "old:a (copy 1)#z": "z", "old:(row 6)#w": "w",
    }  # fmt: skip
    assert found["old:a#x"]["__key"] == "a#x"
    assert [item[1] for item in issues(found["old:a (copy 1)#z"])] == ["key.duplicate"]
    assert [item[1] for item in issues(found["old:(row 6)#w"])] == ["key.missing"]


def test_a_json_list_is_exploded_with_the_fields_of_its_objects_and_joined_on(tmp_path: Path) -> None:
    rows = [
        {"Id": "a", "To": '[{"partyid": "1", "kind": "account"}, {"kind": "mail"}, {"x": [1]}, null]'},
        {"Id": "b", "To": "not a list"}, {"Id": "c", "To": '{"partyid": "1"}'}, {"Id": "d", "To": "[]"}, {"Id": "e"},
    ]  # fmt: skip
    source = "explode: {column: To, json: true, parts: [partyid, kind], as: party}, join: {acct: {object: Account, on: {party.partyid: Id}}}"
    text = text_of(source, "who: {from: party}", "kind: {from: party.kind}", "name: {from: acct.Name}")
    found = {row["__id"]: row for row in rows_of(tmp_path, text, rows)}
    assert {name: (row["who"], row["kind"], row["name"]) for name, row in found.items() if row["who"]} == {
        "old:a#1": ("1", "account", "北京 \"A\""), "old:a#mail": ("mail", "mail", None),
        'old:a#{"x":[1]}': ('{"x":[1]}', None, None),
    }  # fmt: skip
    assert [found[f"old:{name}"]["__excluded"] for name in "de"] == ["no value to explode"] * 2
    assert [issues(found[f"old:{name}"]) for name in "bc"] == [
        [("To", "explode.failed", row["To"])] for row in rows[1:3]
    ]


def test_a_key_of_several_columns_tells_records_apart_whatever_is_in_them(tmp_path: Path) -> None:
    rows = [
        {"Id": "a|b", "AccountId": "1"}, {"Id": "a", "AccountId": "b|1"}, {"Id": "a", "AccountId": ""}, {"AccountId": "1"},
        {"Id": "a|b", "AccountId": "1"},
    ]  # fmt: skip
    text = text_of("key: [Id, AccountId]", "n: {from: AccountId}")
    found = rows_of(tmp_path, text, rows, key="")
    assert {row["__id"]: [item[1] for item in issues(row)] for row in found} == {
        "old:a\\|b|1": [], "old:a|b\\|1": [], "old:(row 2)": ["key.missing"], "old:(row 3)": ["key.missing"],
        "old:a\\|b|1 (copy 1)": ["key.duplicate"],
    }  # fmt: skip


def test_rows_that_share_a_key_which_the_mapping_chose_have_ids_of_their_own(tmp_path: Path) -> None:
    rows = [{"Id": "x", "AccountId": "1"}, {"Id": "x", "AccountId": "2"}, {"Id": "y"}, {"Id": ""}, {"Id": ""}]
    found = rows_of(tmp_path, text_of("key: Id", "n: {from: AccountId}"), rows, key="")
    assert [row["__id"] for row in found] == [
        "old:(row 3)",
        "old:(row 4)",
        "old:x",
        "old:x (copy 1)",
        "old:y",
    ]


@pytest.mark.parametrize(
    ("source", "field", "message"),
    [
        ("join: {acct: {object: Acount, on: {AccountId: Id}}}", "", "c.yaml:3:62: 'old' has no object 'Acount'"),
        ("join: {acct: {system: odd, object: Account, on: {AccountId: Id}}}", "", "c.yaml:3:62: no schema is known of the system 'odd'"),
        ("join: {acct: {object: Account, on: {Acc: Id}}}", "", "c.yaml:3:76: old/Contact has no column 'Acc'"),
        ("join: {acct: {object: Account, on: {AccountId: Idd}}}", "", "c.yaml:3:87: old/Account has no column 'Idd'"),
        ("join: {acct: {object: Account, on: {}}}", "", "c.yaml:3:75: on is empty"),
        ("join: {acct: {object: Account}}", "", "c.yaml:3:53: on is missing"),
        ("join: {acct: {object: Account, on: {AccountId: Id}, missing: exclude}}", "", "c.yaml:3:101: exclude says no reason"),
        ("join: {acct: {object: Account, on: {AccountId: Id}, missing: quarantin}}", "", "c.yaml:3:101: 'quarantin' is not allowed here"),
        ("join: {acct: {objct: Account, on: {AccountId: Id}}}", "", "c.yaml:3:53: object is missing"),
        (JOIN % "", "x: {from: acct.Nam}", "c.yaml:6:13: old/Contact has no column 'acct.Nam'"),
        (JOIN % "", "x: {expr: upper(acct.Nam)}", "c.yaml:6:24: unknown column 'acct.Nam'"),
        (JOIN % "", "x: {expr: upper(act.Name)}", "c.yaml:6:23: 'act.Name' is not a column of this source"),
        ("key: [Id, Nix]", "", "c.yaml:3:50: unknown column 'Nix'"),
        ("explode: {column: Tag, split: ';', as: tag}", "", "c.yaml:3:58: old/Contact has no column 'Tag'"),
        ("explode: {column: Tags, split: ';', as: tags}", "", "c.yaml:3:80: 'tags' and a column of old/Contact differ in case only"),
        ("explode: {column: Tags, split: ';', as: Id}", "", "c.yaml:3:76: 'Id' is a column of old/Contact already"),
        ("explode: {column: Tags, as: tag}", "", "c.yaml:3:49: explode says not how values are told apart"),
        ("explode: {column: Tags, split: ';', json: true, as: tag}", "", "c.yaml:3:49: explode says not how values are told apart"),
        ("explode: {column: Tags, split: ';'}", "", "c.yaml:3:49: as is missing"),
        ("explode: {column: Tags, split: ';', as: tag}", "x: {from: Id, lookup: c}", "c.yaml:6:25: lookup to 'c': its records are single values of a row"),
        (JOIN % "", "x: {from: Id, lookup: c, inactive: {when: acct.Name is null, use: a}}", "c.yaml:6:50: 'acct.Name' is not a column of this source"),
        ("key: [Id, AccountId]", "x: {from: Id, lookup: c}", "c.yaml:6:25: lookup to 'c': its records have a key of several columns, and a link holds one"),
    ],
)  # fmt: skip
def test_mistakes_are_told_at_their_place(tmp_path: Path, source: str, field: str, message: str) -> None:
    with pytest.raises(ProjectError) as caught:
        bind_texts({"c.yaml": text_of(source, *([field] if field else []))}, SYSTEMS, tmp_path)
    found = [str(problem).splitlines()[0] for problem in caught.value.problems]
    assert message in found


def test_columns_that_are_joined_on_exploded_or_read_through_a_join_are_not_dropped(tmp_path: Path) -> None:
    account = (
        "mapping: a\ntarget: {system: new, object: a, key: k}\nsource: {system: old, object: Account}\n"
        "fields: {name: {from: Name}}\n"
    )
    source = f"{JOIN % ''}, explode: {{column: Tags, split: ';', as: tag}}"
    text = text_of(source, "kind: {from: acct.Type}", "tag: {from: tag, values: {x: y}}")
    bound = bind_texts({"a.yaml": account, "c.yaml": text}, SYSTEMS, tmp_path)
    told = [item.message for item in bound.warnings]
    assert told == [
        "1 columns of old/Account go nowhere: 'OwnerId'",
        "2 columns of old/Contact go nowhere: 'To', 'Size'",
    ]


def test_a_link_to_a_split_object_heeds_the_joins_that_leave_rows_out_and_no_others(tmp_path: Path) -> None:
    head = "mapping: {0}\ntarget: {{system: new, object: {0}, key: k}}\nsource: {{system: old, object: Contact, {1}}}\n"
    owned = "join: {acct: {object: Account, on: {AccountId: Id}}, boss: {system: hr, object: User, on: {acct.OwnerId: Id}}}, where: boss.Name is not null"
    texts = {
        "a.yaml": head.format("owned", owned),
        "b.yaml": head.format(
            "loose", "join: {acct: {object: Account, on: {AccountId: Id}}}, where: AccountId = '2'"
        ),
        "c.yaml": head.format("note", "key: Id")
        + "fields: {about: {from: Id, lookup: [owned, loose], missing: null}}\n",
    }
    bound = bind_texts(texts, SYSTEMS, tmp_path)
    note = bound.mapping("note")
    assert note is not None
    compiled = compile_mapping(note)
    assert '"loose/old_joined"' not in compiled.sql
    staged = {
        "old/Account": staged_table(ACCOUNT, ACCOUNTS),
        "old/Contact": staged_table(CONTACT, CONTACTS),
        "hr/User": staged_table(USER, USERS),
    }
    with engine(tmp_path) as session:
        found = run_sql(session, compiled, {name: staged[name] for name in compiled.relations})
    assert [row["about"] for row in found] == ["owned/old:a", "loose/old:b", None, None, None, None]
