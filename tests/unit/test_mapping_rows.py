"""What becomes of rows: keys, exclusions, value maps, links, limits and typed sources, each with its issues."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.mapping import compile_mapping, readable
from tests.mapping_kit import bind_texts, engine, issues, make_schema, map_one, run_sql, staged_table


def test_every_staged_row_comes_out_once_with_an_id_of_its_own(tmp_path: Path):
    rows = [
        {"Id": "1"},
        {"Id": None},
        {"Id": ""},
        {"Id": "1", "Name": "Acme", "__copy": 1},
        {"Id": "1", "__copy": 2},
    ]
    found = map_one(tmp_path, "n: {from: N}", rows, N="string")
    assert [(row["__id"], row["__key"], [rule for _, rule, _ in issues(row)]) for row in found] == [
        ("old:(row 1)", "(row 1)", ["key.missing"]),
        ("old:(row 2)", "(row 2)", ["key.missing"]),
        ("old:1", "1", []),
        ("old:1 (copy 1)", "1", ["key.duplicate"]),
        ("old:1 (copy 2)", "1", ["key.duplicate"]),
    ]
    assert [row["__bad"] for row in found] == [True, True, False, True, True]


def test_a_source_without_a_key_counts_rows(tmp_path: Path):
    schema = make_schema("T", key="", N="string")
    text = "mapping: t\ntarget: {system: new, object: t, key: rid}\nsource: {system: old, object: T}\nfields: {n: {from: N}}\n"
    bound = bind_texts({"t.yaml": text}, {"old": [schema]}, tmp_path)
    with engine(tmp_path) as session:
        found = run_sql(
            session,
            compile_mapping(bound.mappings[0]),
            {"old/T": staged_table(schema, [{"N": "a"}, {"N": "b"}])},
        )
    assert [(row["__id"], row["rid"], row["__bad"]) for row in found] == [
        ("old:0", "old:0", False),
        ("old:1", "old:1", False),
    ]


def test_rows_that_do_not_move_say_why_and_have_no_issues(tmp_path: Path):
    rows = [
        {"Id": "1", "Deleted": "false", "Kind": "a"}, {"Id": "2", "Deleted": "true", "Kind": "a"},
        {"Id": "3", "Deleted": "0", "Kind": "test"}, {"Id": "4", "Deleted": None, "Kind": "a"}, {"Id": "5", "Deleted": "maybe"},
    ]  # fmt: skip
    extra = """, where: "Deleted = false", exclude: [{when: "Kind = 'test'", reason: a test record}]"""
    found = map_one(
        tmp_path,
        "n: {from: N, required: true}",
        rows,
        extra=extra,
        Deleted="boolean",
        Kind="string",
        N="string",
    )
    assert [(row["__excluded"], [rule for _, rule, _ in issues(row)]) for row in found] == [
        (None, ["required.missing"]),
        ("where: Deleted = false", []),
        ("a test record", []),
        ("where: Deleted = false", []),
        (None, ["expr.operand", "required.missing"]),
    ]


def test_an_operand_that_is_no_value_of_its_type_is_an_issue_and_excludes_nothing_by_itself(tmp_path: Path):
    extra = """, exclude: [{when: "Deleted", reason: deleted}]"""
    (row,) = map_one(
        tmp_path, "n: {from: Id}", [{"Id": "1", "Deleted": "maybe"}], extra=extra, Deleted="boolean"
    )
    assert (row["__excluded"], issues(row)) == (None, [("Deleted", "expr.operand", "maybe")])


@pytest.mark.parametrize(
    ("policy", "value", "severity", "bad"),
    [
        ("quarantine", None, "error", True), ("null", None, "warning", False),
        ("{default: other}", "other", "warning", False), ("keep", "XX", None, False),
    ],
)  # fmt: skip
def test_a_value_that_the_map_does_not_know_follows_the_policy(
    tmp_path: Path, policy: str, value: str | None, severity: str | None, bad: bool
):
    rows = [
        {"Id": "1", "C": "XX"},
        {"Id": "2", "C": "NO"},
        {"Id": "3", "C": ""},
        {"Id": "4"},
        {"Id": "5", "C": "gone"},
    ]
    found = map_one(
        tmp_path, f"c: {{from: C, values: {{NO: Norway, gone: null}}, unmapped: {policy}}}", rows, C="string"
    )
    assert [row["c"] for row in found] == [value, "Norway", None, None, None]
    assert [item["severity"] for item in found[0]["__issues"]] == ([severity] if severity else [])
    assert [row["__bad"] for row in found] == [bad, False, False, False, False]


def test_a_csv_value_map_of_many_entries_and_quotes_in_them(tmp_path: Path):
    (tmp_path / "v.csv").write_text(
        'target,source,remark\n"O\'Neil, ""x""",a\'b,\n,gone,kept empty\n', encoding="utf-8-sig"
    )
    rows = [{"Id": "1", "C": "a'b"}, {"Id": "2", "C": "gone"}]
    found = map_one(tmp_path, "c: {from: C, values: v.csv}", rows, C="string")
    assert [(row["c"], row["__bad"]) for row in found] == [('O\'Neil, "x"', False), (None, False)]


def test_each_value_of_a_multi_picklist_is_mapped(tmp_path: Path):
    rows = [
        {"Id": "1", "M": "a; b"},
        {"Id": "2", "M": "a;z"},
        {"Id": "3", "M": "drop;b"},
        {"Id": "4", "M": ""},
    ]
    found = map_one(tmp_path, "m: {from: M, values: {a: A, b: B, drop: null}}", rows, M="multi_picklist")
    assert [row["m"] for row in found] == ["A;B", None, "B", None]
    assert issues(found[1]) == [("m", "value.unmapped", "a;z")]


LINKED = {
    "account.yaml": "mapping: account\ntarget: {system: new, object: account, key: rid}\nsource: {system: old, object: Account}\nfields: {name: {from: Name}}\n",
    "person.yaml": "mapping: person\ntarget: {system: new, object: person, key: rid}\n"
    "source: {system: old, object: Account, where: \"Kind = 'person'\"}\nfields: {name: {from: Name}}\n",
    "firm.yaml": "mapping: firm\ntarget: {system: new, object: firm, key: rid}\n"
    "source: {system: old, object: Account, where: \"Kind = 'firm'\"}\nfields: {name: {from: Name}}\n",
    "lead.yaml": "mapping: lead\ntarget: {system: new, object: lead, key: rid}\nsource: {system: old, object: Lead}\nfields: {name: {from: Name}}\n",
}


def link_rows(
    tmp_path: Path, field: str, refs: list[str | None]
) -> list[tuple[str | None, list[tuple[str, str, str | None]]]]:
    account = make_schema("Account", Name="string", Kind="string")
    lead, task = make_schema("Lead", Name="string"), make_schema("Task", Ref="reference:Account,Lead")
    text = f"mapping: task\ntarget: {{system: new, object: task, key: rid}}\nsource: {{system: old, object: Task}}\nfields:\n  ref: {field}\n"
    bound = bind_texts({"task.yaml": text, **LINKED}, {"old": [account, lead, task]}, tmp_path)
    compiled = compile_mapping(next(item for item in bound.mappings if item.name == "task"))
    accounts = [
        {"Id": "1", "Name": "Acme", "Kind": "firm"}, {"Id": "2", "Name": "Ann", "Kind": "person"},
        {"Id": "3", "Name": "Twin", "Kind": "other"}, {"Id": "4", "Name": "Twin", "Kind": "other"}, {"Id": "1", "Name": "Acme", "__copy": 1},
    ]  # fmt: skip
    staged = {
        "old/Account": staged_table(account, accounts),
        "old/Lead": staged_table(lead, [{"Id": "9", "Name": "Lee"}, {"Id": "3", "Name": "Same"}]),
        "old/Task": staged_table(task, [{"Id": str(number), "Ref": ref} for number, ref in enumerate(refs)]),
    }
    with engine(tmp_path) as session:
        return [(row["ref"], issues(row)) for row in run_sql(session, compiled, staged)]


def test_a_link_holds_mapping_source_and_key_of_its_record(tmp_path: Path):
    found = link_rows(tmp_path, "{from: Ref, lookup: account}", ["1", None, "", "7"])
    assert found == [("account/old:1", []), (None, []), (None, []), (None, [("ref", "lookup.missing", "7")])]


@pytest.mark.parametrize(
    ("missing", "value"),
    [("null", None), ("{default: 2}", "account/old:2"), ("{default: 'account/old:2'}", "account/old:2")],
)
def test_a_missing_record_may_be_left_out_or_replaced_with_a_warning(
    tmp_path: Path, missing: str, value: str | None
):
    ((found, told),) = link_rows(tmp_path, f"{{from: Ref, lookup: account, missing: {missing}}}", ["7"])
    assert (found, told) == (value, [("ref", "lookup.missing", "7")])


def test_a_polymorphic_link_takes_the_one_mapping_that_has_the_record(tmp_path: Path):
    found = link_rows(tmp_path, "{from: Ref, lookup: [account, lead]}", ["1", "9", "3", "8"])
    assert found == [
        ("account/old:1", []), ("lead/old:9", []), (None, [("ref", "lookup.ambiguous", "3")]), (None, [("ref", "lookup.missing", "8")]),
    ]  # fmt: skip


def test_of_an_object_split_into_two_mappings_only_the_one_that_keeps_the_record_counts(tmp_path: Path):
    found = link_rows(tmp_path, "{from: Ref, lookup: [firm, person]}", ["1", "2", "3"])
    assert found == [("firm/old:1", []), ("person/old:2", []), (None, [("ref", "lookup.missing", "3")])]


def test_a_link_by_another_column_tells_when_two_records_fit(tmp_path: Path):
    found = link_rows(tmp_path, "{from: Ref, lookup: account, by: Name}", ["Acme", "Twin", "acme"])
    assert found == [
        ("account/old:1", []), (None, [("ref", "lookup.ambiguous", "Twin")]), (None, [("ref", "lookup.missing", "acme")]),
    ]  # fmt: skip


def test_keys_can_be_changed_by_a_value_map_before_the_look_up(tmp_path: Path):
    found = link_rows(
        tmp_path, "{from: Ref, values: {old: '1'}, unmapped: keep, lookup: account}", ["old", "2", "x"]
    )
    assert found == [("account/old:1", []), ("account/old:2", []), (None, [("ref", "lookup.missing", "x")])]


def test_nothing_is_cut_or_filled_unseen(tmp_path: Path):
    fields = """
    name: {from: Name, clean: trim, required: true, length: 4}
    rank: {from: Rank, type: integer, default: 7}
    note: {from: Note, default: none}
    """
    rows = [
        {"Id": "1", "Name": " 王小明 ", "Rank": "3"},
        {"Id": "2", "Name": "Maria", "Rank": "", "Note": ""},
        {"Id": "3", "Name": " ", "Rank": "x", "Note": "n"},
    ]
    first, second, third = map_one(tmp_path, fields, rows, Name="string", Rank="string", Note="string")
    assert (first["name"], first["rank"], first["note"], issues(first)) == ("王小明", 3, "none", [])
    assert (second["name"], second["rank"], issues(second)) == (
        None,
        7,
        [("name", "length.exceeded", "Maria")],
    )
    assert issues(third) == [("name", "required.missing", None), ("rank", "cast.integer", "x")]
    assert third["rank"] is None


def test_a_value_outside_the_targets_list_is_told(tmp_path: Path):
    schema = make_schema("T", K="picklist", M="multi_picklist")
    target = ObjectSchema(
        "t", "rid", (FieldSchema("rid", FieldType.ID), FieldSchema("k", FieldType.PICKLIST, values=("a", "b'c")),
                     FieldSchema("m", FieldType.MULTI_PICKLIST, values=("x", "y"))),
    )  # fmt: skip
    text = "mapping: t\ntarget: {system: new, object: t, key: rid}\nsource: {system: old, object: T}\nfields: {k: {from: K}, m: {from: M}}\n"
    bound = bind_texts({"t.yaml": text}, {"old": [schema]}, tmp_path, targets={"new": {"t": target}})
    rows = [{"Id": "1", "K": "b'c", "M": "x; y"}, {"Id": "2", "K": "z", "M": "x;q"}]
    with engine(tmp_path) as session:
        first, second = run_sql(
            session, compile_mapping(bound.mappings[0]), {"old/T": staged_table(schema, rows)}
        )
    assert issues(first) == []
    assert issues(second) == [("k", "value.unknown", "z"), ("m", "value.unknown", "x;q")]


def test_instants_beyond_what_systems_hold_and_digits_behind_the_microsecond_are_told(tmp_path: Path):
    rows = [{"Id": "1", "D": "9999-12-31T23:30:00-01:00"}, {"Id": "2", "D": "9999-12-31T23:59:59.9999999Z"}]
    first, second = map_one(tmp_path, "d: {from: D, type: datetime}", rows, D="string")
    assert (first["d"], issues(first)) == (None, [("d", "cast.datetime", "9999-12-31T23:30:00-01:00")])
    assert second["d"] == datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    assert (second["__bad"], [item["rule"] for item in second["__issues"]]) == (False, ["cast.precision"])


def test_typed_columns_are_not_read_as_text_again(tmp_path: Path):
    moment = datetime(2024, 1, 15, 10, 30, tzinfo=UTC)
    types = {
        "I": pa.int64(), "D": pa.decimal128(12, 3), "F": pa.float64(), "B": pa.bool_(), "Day": pa.date32(),
        "At": pa.timestamp("us", "UTC"), "Local": pa.timestamp("us"), "Ref": pa.float64(),
    }  # fmt: skip
    row = {
        "Id": "1", "I": 5, "D": Decimal("1.250"), "F": 1e20, "B": True, "Day": date(2024, 1, 15), "At": moment,
        "Local": datetime(2024, 1, 15, 10, 30), "Ref": 12.0,  # noqa: DTZ001
    }  # fmt: skip
    fields = """
    i: {from: I}
    wide: {from: I, type: 'decimal(18,2)'}
    d: {from: D, type: 'decimal(18,3)'}
    short: {from: D, type: 'decimal(18,1)'}
    f: {from: F, type: float}
    b: {from: B}
    day: {from: Day}
    at: {from: At}
    local: {from: Local, zone: Asia/Shanghai}
    at_day: {from: At, type: date, zone: Asia/Shanghai}
    ref: {from: Ref, type: string}
    text: {from: B, type: string}
    """
    schema = {
        "I": "integer", "D": "decimal", "F": "float", "B": "boolean", "Day": "date", "At": "datetime", "Local": "datetime", "Ref": "float",
    }  # fmt: skip
    (found,) = map_one(tmp_path, fields, [row], staged=types, **schema)
    assert issues(found) == [("short", "cast.precision", "1.250")]
    values = {
        name: found[name]
        for name in ("i", "wide", "d", "short", "f", "b", "day", "at", "local", "at_day", "ref", "text")
    }
    assert values == {
        "i": 5, "wide": Decimal("5.00"), "d": Decimal("1.250"), "short": None, "f": 1e20, "b": True, "day": date(2024, 1, 15),
        "at": moment, "local": datetime(2024, 1, 15, 2, 30, tzinfo=UTC), "at_day": date(2024, 1, 15), "ref": "12", "text": "true",
    }  # fmt: skip


def test_columns_that_differ_in_case_only_are_told_apart(tmp_path: Path):
    schema = make_schema("T", Name="string", name="string", name_1="string", NAME="string")
    text = (
        "mapping: t\ntarget: {system: new, object: t, key: rid}\nsource: {system: old, object: T}\n"
        "fields: {a: {from: Name}, b: {from: name}, c: {from: name_1}, d: {from: NAME}, e: {expr: 'concat(NAME, name)'}}\n"
    )
    bound = bind_texts({"t.yaml": text}, {"old": [schema]}, tmp_path)
    table = staged_table(schema, [{"Id": "1", "Name": "A", "name": "B", "name_1": "C", "NAME": "D"}])
    with engine(tmp_path) as session:
        (row,) = run_sql(session, compile_mapping(bound.mappings[0]), {"old/T": table})
    assert [row[name] for name in "abcde"] == ["A", "B", "C", "D", "DB"]


def test_names_with_every_kind_of_sign_neither_break_the_query_nor_out_of_it(tmp_path: Path):
    nasty = ["select", "Order Date", 'a"b', "c'; DROP TABLE x; --", "d.e", "数量", "{f}", "%g", "h\\n", "$x"]
    schema = ObjectSchema("T\"'/x", "select", tuple(FieldSchema(name, FieldType.STRING) for name in nasty))
    listed = "".join(
        f'  {q(f"{name} new")}: {{from: {q(name)}, values: {{"v\'": "w\'"}}, unmapped: keep, length: 9}}\n'
        for name in nasty[1:]
    )
    text = f"mapping: t\ntarget: {{system: new, object: {q(schema.name)}, key: rid}}\nsource: {{system: old, object: {q(schema.name)}}}\nfields:\n{listed}"
    bound = bind_texts({"t.yaml": text}, {"old": [schema]}, tmp_path)
    rows = [{name: f"v{number}" for number, name in enumerate(nasty)}]
    compiled = compile_mapping(bound.mappings[0])
    with engine(tmp_path) as session:
        (row,) = run_sql(session, compiled, {f"old/{schema.name}": staged_table(schema, rows)})
    assert [row[f"{name} new"] for name in nasty[1:]] == [f"v{number}" for number in range(1, len(nasty))]


def q(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def test_two_sources_are_united_and_the_readable_form_means_the_same(tmp_path: Path):
    one, two = make_schema("A", Name="string", Born="date"), make_schema("B", key="id", full="string")
    text = (
        "mapping: person\ntarget: {system: new, object: person, key: rid}\n"
        "sources:\n  sf: {object: A, fields: {name: {from: Name}, born: {from: Born}}}\n"
        "  dyn: {object: B, fields: {name: {from: full}}}\n"
        "fields:\n  name: {clean: [strip_html, title], required: true}\n  kind: {value: new}\n"
    )
    bound = bind_texts({"p.yaml": text}, {"sf": [one], "dyn": [two]}, tmp_path)
    compiled = compile_mapping(bound.mappings[0])
    staged = {
        "sf/A": staged_table(one, [{"Id": "1", "Name": " <b>ann</b>  li ", "Born": "2000-01-31"}]),
        "dyn/B": staged_table(two, [{"id": "1", "full": ""}]),
    }
    with engine(tmp_path) as session:
        found = run_sql(session, compiled, staged)
        assert run_sql(session, compiled, staged, readable(compiled.sql)) == found
    assert [(row["__id"], row["__source"], row["name"], row["born"], row["kind"], row["__bad"]) for row in found] == [
        ("dyn:1", "dyn", "", None, "new", True), ("sf:1", "sf", "Ann  Li", date(2000, 1, 31), "new", False),
    ]  # fmt: skip


def test_fields_may_swap_the_names_of_their_columns(tmp_path: Path):
    fields = "a: {from: b, clean: upper}\nb: {from: A}\nc: {expr: 'concat(A, b)'}"
    (row,) = map_one(tmp_path, fields, [{"Id": "1", "A": "x", "b": "y"}], A="string", b="string")
    assert (row["a"], row["b"], row["c"]) == ("Y", "x", "xy")


def test_rows_never_multiply_even_when_the_linked_keys_are_not_unique(tmp_path: Path):
    account, task = make_schema("Account"), make_schema("Task", Ref="reference:Account")
    text = "mapping: task\ntarget: {system: new, object: task, key: rid}\nsource: {system: old, object: Task}\nfields: {ref: {from: Ref, lookup: account}}\n"
    bound = bind_texts(
        {"task.yaml": text, "account.yaml": LINKED["account.yaml"].replace("{name: {from: Name}}", "{}")},
        {"old": [account, task]},
        tmp_path,
    )
    compiled = compile_mapping(next(item for item in bound.mappings if item.name == "task"))
    staged = {
        "old/Account": staged_table(account, [{"Id": "1"}, {"Id": "1"}]),
        "old/Task": staged_table(task, [{"Id": "9", "Ref": "1"}]),
    }
    with engine(tmp_path) as session:
        assert [row["ref"] for row in run_sql(session, compiled, staged)] == ["account/old:1"]
