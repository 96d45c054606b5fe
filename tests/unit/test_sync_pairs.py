"""A mapping paired for the two-way sync: what comes back and how, what cannot and why, and values carried in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from migrator.core.errors import ProjectError
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.core.translation import Direction, Law, Rule, Translated, as_rows
from migrator.mapping.bound import Bound
from migrator.mapping.translator import MappingTranslator
from tests.mapping_kit import bind_texts, engine, make_schema

ACCOUNT = "mapping: account\ntarget: {system: new, object: company, key: legacy_id}\nsource: {system: old, object: Account}\n"
HEAD = "mapping: contact\ntarget: {system: new, object: person, key: legacy_id}\nsource: {system: old, object: Contact%s}\n"
SCHEMA = make_schema(
    "Contact", First="string", Last="string", AccountId="reference:Account", Stage="picklist", Amount="decimal",
    Born="date", Seen="datetime", Opt="boolean", Tags="multi_picklist", Type="string", Count="integer", NewId="string",
)  # fmt: skip


def sized(schema: ObjectSchema, **more: dict[str, object]) -> ObjectSchema:
    return replace(schema, fields=tuple(replace(item, **more.get(item.name, {})) for item in schema.fields))


class Links:
    """Every account whose id begins with A is linked."""

    def new_ids(self, _: str, records: Sequence[str]) -> Mapping[str, str]:
        return {item: f"N-{item[4:]}" for item in records if item.startswith("old:A")}

    def old_ids(self, _: str, ids: Sequence[str]) -> Mapping[str, str]:
        return {item: f"old:{item[2:]}" for item in ids if item.startswith("N-")}


def bound(
    fields: str,
    tmp_path: Path,
    sync: str = "{direction: both}",
    more: str = "",
    schema: ObjectSchema = SCHEMA,
) -> Bound:
    text = HEAD % more + f"fields:\n{fields}sync: {sync}\n"
    texts = {"contact.yaml": text, "account.yaml": ACCOUNT}
    return bind_texts(texts, {"old": [schema, make_schema("Account")]}, tmp_path)


def carried(found: Bound, rows: Mapping[str, list[object]], *, back: bool = False) -> list[Translated]:
    with engine(_HERE[0]) as session:
        translator = MappingTranslator(session, found.synced, Links())
        table = pa.table({"__id": [f"A{number}" for number in range(len(next(iter(rows.values()))))], **rows})
        way = translator.to_old if back else translator.to_new
        return as_rows(way("contact/old", table))


_HERE: list[Path] = []


@pytest.fixture(autouse=True)
def here(tmp_path: Path) -> None:
    _HERE[:] = [tmp_path / "engine"]
    _HERE[0].mkdir()


@pytest.mark.parametrize(
    ("rule", "law", "old", "new"),
    [
        ("{from: Last}", Law.EXACT, "x' y\n", "x' y\n"),
        ("{from: Last, clean: trim}", Law.COMPLEMENT, "Li", "Li"),
        ("{from: Last, default: nobody}", Law.COMPLEMENT, "nobody", "nobody"),
        ("{from: Amount, type: 'decimal(18,2)'}", Law.EXACT, Decimal("1.50"), Decimal("1.50")),
        ("{from: Count}", Law.EXACT, 7, 7),
        ("{from: Count, type: string}", Law.EXACT, 7, "7"),
        ("{from: Last, type: integer}", Law.COMPLEMENT, "7", 7),
        ("{from: Born}", Law.EXACT, date(2024, 2, 29), date(2024, 2, 29)),
        (
            "{from: Last, type: date, format: '%d.%m.%Y'}",
            Law.COMPLEMENT,
            "29.02.2024",
            date(2024, 2, 29),
        ),
        (
            "{from: Last, type: datetime, zone: Asia/Shanghai}",
            Law.COMPLEMENT,
            "2024-02-29 08:00:00",
            datetime(2024, 2, 29, tzinfo=UTC),
        ),
        (
            "{from: Seen}",
            Law.EXACT,
            datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC),
            datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC),
        ),
        ("{from: Opt}", Law.EXACT, True, True),
        ("{from: Opt, values: {'true': Yes, 'false': No}}", Law.EXACT, True, "Yes"),
        ("{from: Opt, type: integer, values: {'true': '1', 'false': '02'}}", Law.EXACT, False, 2),
        ("{from: Stage, values: {Won: won, Lost: lost}}", Law.EXACT, "Won", "won"),
        ("{from: Stage, values: {Hot: open, Warm: open}}", Law.COMPLEMENT, "Hot", "open"),
        ("{from: Stage, values: {Won: won}, unmapped: keep}", Law.COMPLEMENT, "Odd", "Odd"),
        ("{from: Tags, values: {a: x, b: y}}", Law.EXACT, "a;b", "x;y"),
        ("{from: AccountId, lookup: account}", Law.EXACT, "A7", "N-A7"),
    ],
)
def test_a_value_goes_there_and_back(rule: str, law: Law, old: object, new: object, tmp_path: Path) -> None:
    found = bound(f"  f: {rule}\n", tmp_path)
    (pair,) = found.synced[-1].paired.pairs
    assert (pair.direction, pair.law, pair.why) == (Direction.BOTH, law, "")
    (there,) = carried(found, {pair.old[0]: [old]})
    assert (there.values["f"], there.failed) == (new, {})
    (back,) = carried(found, {"f": [new]}, back=True)
    assert (back.values[pair.old[0]], back.failed) == (old, {})


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("{expr: upper(Last)}", "expression"),
        ("{from: Last, clean: [trim, upper]}", "clean: upper"),
        ("{from: Seen, type: date, zone: UTC}", "time of day"),
        ("{from: Last, type: boolean}", "which words"),
        ("{from: Seen, zone: Asia/Shanghai}", "do not say their zone"),
        ("{from: Stage, values: {by: Type, maps: {x: {a: b}}}}", "depends on Type"),
        ("{from: AccountId, values: {a: b}, lookup: account}", "keys are mapped"),
        ("{from: AccountId, lookup: {type: Type, Account: account}}", "tells the type of the link"),
    ],
)
def test_what_cannot_come_back_says_why_at_its_place(rule: str, why: str, tmp_path: Path) -> None:
    found = bound(f"  f: {rule}\n", tmp_path)
    told = [item for item in found.warnings if item.code == "sync.one_way"]
    assert [(str(item.location), why in item.message) for item in told] == [("contact.yaml:5:3", True)]
    (pair,) = found.synced[-1].paired.pairs
    assert pair.direction is Direction.FORWARD
    quiet = bound(f"  f: {rule}\n", tmp_path, "{direction: both, fields: {f: {direction: forward}}}")
    assert [item.code for item in quiet.warnings if item.code == "sync.one_way"] == []
    with pytest.raises(ProjectError, match=r"contact.yaml:6:\d+: 'f' cannot come back"):
        bound(f"  f: {rule}\n", tmp_path, "{direction: forward, fields: {f: {direction: both}}}")


def test_a_read_only_column_and_converted_amounts_do_not_come_back(tmp_path: Path) -> None:
    schema = sized(SCHEMA, Last={"read_only": True})
    (pair,) = bound("  f: {from: Last}\n", tmp_path, schema=schema).synced[-1].paired.pairs
    assert "read-only" in pair.why


def test_constants_and_the_key_are_not_warned_of(tmp_path: Path) -> None:
    found = bound("  legacy_id: {from: Id}\n  origin: {value: old}\n  own: {from: Id}\n", tmp_path)
    assert [item for item in found.warnings if item.code == "sync.one_way"] == []
    assert [pair.new for pair in found.synced[-1].paired.pairs] == ["origin", "own"]


def test_a_declared_way_back_writes_its_columns(tmp_path: Path) -> None:
    fields = """  name: {expr: "concat_ws(' ', First, Last)"}\n  stage: {from: Stage, clean: upper}\n"""
    sync = (
        "\n  direction: both\n  fields:\n    name:\n      reverse:\n"
        "        - {to: First, expr: \"split_part(name, ' ', 1)\"}\n"
        "        - {to: Last, expr: \"split_part(name, ' ', 2)\"}\n"
        "    stage: {reverse: {values: {WON: Won}}}"
    )
    found = bound(fields, tmp_path, sync)
    name, stage = found.synced[-1].paired.pairs
    assert (name.written_old, name.law, stage.written_old) == (("First", "Last"), Law.COMPLEMENT, ("Stage",))
    (back,) = carried(found, {"name": ["Wei Li"], "stage": ["WON"]}, back=True)
    assert back.values == {"First": "Wei", "Last": "Li", "Stage": "Won"}


def test_what_the_old_side_cannot_hold_is_told_and_not_written(tmp_path: Path) -> None:
    schema = sized(SCHEMA, Last={"length": 3}, Stage={"values": ("a", "b")}, First={"required": True})
    fields = "  last: {from: Last}\n  stage: {from: Stage}\n  first: {from: First}\n  count: {from: Count, type: string}\n"
    found = bound(fields, tmp_path, schema=schema)
    (back,) = carried(found, {"last": ["long"], "stage": ["c"], "first": [None], "count": ["1.5"]}, back=True)
    assert back.values == {}
    assert {name: item.rule for name, item in back.failed.items()} == {
        "Last": "length.exceeded",
        "Stage": "value.unknown",
        "First": "required.missing",
        "Count": "cast.integer",
    }


def test_what_cannot_be_read_is_never_null(tmp_path: Path) -> None:
    fields = """  name: {expr: "concat_ws(' ', First, Last)"}\n  count: {from: Count}\n"""
    found = bound(fields, tmp_path, more=", where: Opt")
    rows = {"First": ["a", "b"], "Count": [1, None], "Opt": [True, None], "__unreadable": [[], ["Opt"]]}
    one, other = carried(found, rows)
    assert (one.values, one.unreadable) == ({"legacy_id": "old:A0", "count": 1}, ("name",))
    assert (other.excluded, other.failed[""].rule) == (None, "where.unreadable")
    (back,) = carried(found, {"name": ["x"]}, back=True)
    assert back.unreadable == ("Count",)


def test_a_record_may_stand_there_as_it_is_and_as_it_was(tmp_path: Path) -> None:
    found = bound("  count: {from: Count}\n", tmp_path)
    with engine(_HERE[0]) as session:
        translator = MappingTranslator(session, found.synced, Links())
        ids, counts = ["a", "b", "a", "c", "a"], [1, 2, 3, 4, 5]
        rows = as_rows(translator.to_new("contact/old", pa.table({"__id": ids, "Count": counts})))
    assert [(row.id, row.values["count"]) for row in rows] == list(zip(ids, counts, strict=True))


def test_what_is_wrong_with_a_value_is_told_of_rows_that_do_not_move_too(tmp_path: Path) -> None:
    """The base of a record lacks the columns that decide; a value that failed must still not pass for empty."""
    found = bound("  count: {from: Last, type: integer}\n", tmp_path, more=", where: Opt")
    (row,) = carried(found, {"Last": ["x"], "Opt": [False]})
    assert (row.excluded, row.values, row.failed["count"].rule) == (
        "where: Opt",
        {"legacy_id": "old:A0"},
        "cast.integer",
    )


def test_rows_keep_their_order_and_excluded_ones_say_why(tmp_path: Path) -> None:
    found = bound(
        "  count: {from: Count}\n", tmp_path, more=", where: Opt, exclude: [{when: Count > 5, reason: much}]"
    )
    rows = carried(found, {"Count": [9, 1, 2, 3], "Opt": [True, False, True, True]})
    assert [(row.id, row.excluded) for row in rows] == [
        ("A0", "much"),
        ("A1", "where: Opt"),
        ("A2", None),
        ("A3", None),
    ]


def test_a_link_without_partner_is_deferred_and_null(tmp_path: Path) -> None:
    found = bound("  boss: {from: AccountId, lookup: account}\n", tmp_path)
    there = carried(found, {"AccountId": ["A1", "X9", None]})
    assert [(row.values["boss"], row.deferred) for row in there] == [
        ("N-A1", {}),
        (None, {"boss": (("account", "old:X9"),)}),
        (None, {}),
    ]
    back = carried(found, {"boss": ["N-A1", "Q"]}, back=True)
    assert [(row.values["AccountId"], row.deferred) for row in back] == [
        ("A1", {}),
        (None, {"AccountId": (("account", "Q"),)}),
    ]
    assert found.synced[-1].paired.after == ("account",)


def test_the_condition_of_a_source_says_what_records_made_here_hold(tmp_path: Path) -> None:
    more = ", where: \"Type = '012A' and Opt and Count = 3 and First is not null\""
    paired = bound("  last: {from: Last}\n", tmp_path, more=more).synced[-1].paired
    assert dict(paired.created_old) == {"Type": "012A", "Opt": True, "Count": 3}
    assert set(paired.filters) == {"Id", "Type", "Opt", "Count", "First"}


def test_policies_consent_and_deletes_are_bound(tmp_path: Path) -> None:
    sync = (
        "{direction: both, key: NewId, policy: {default: new_wins, tags: merge:union, n: {newest: 5s}}, enforce: [n],"
        " consent: {opt: 'true'}, delete: {deactivate: {new: {opt: 'no'}, old: {Opt: 'yes', Count: '4'}}}}"
    )
    fields = "  tags: {from: Tags}\n  n: {from: Count}\n  opt: {from: Opt}\n"
    paired = bound(fields, tmp_path, sync).synced[-1].paired
    tags, count, opt = paired.pairs
    assert (tags.policy.rule, count.policy.rule, count.policy.skew) == (Rule.UNION, Rule.NEWEST, 5.0)
    assert (opt.policy.rule, opt.consent, opt.restrictive, count.enforce) == (
        Rule.NEW_WINS,
        True,
        "true",
        True,
    )
    assert (paired.deactivated_new, paired.deactivated_old) == ({"opt": False}, {"Opt": True, "Count": 4})
    assert paired.old_key == "NewId"


@pytest.mark.parametrize(
    ("fields", "sync", "message"),
    [
        ("f: {from: Last}", "{direction: both, policy: {g: hold}}", r"7:28: 'g' is no field"),
        ("f: {from: Last}", "{direction: both, key: Nope}", "has no column 'Nope'"),
        ("f: {from: Last}", "{direction: both, key: Id}", "'Id' cannot be written"),
        ("f: {from: Last}", "{direction: both, policy: {f: merge:max}}", "needs a number or a date"),
        ("f: {from: Count, clean: digits}", "{direction: both, policy: {f: merge:max}}", "goes both ways"),
        (
            "f: {from: Last}",
            "{direction: both, fields: {f: {reverse: {to: Lst, expr: f}}}}",
            "has no column 'Lst'",
        ),
        ("f: {from: Last}", "{direction: both, fields: {f: {reverse: {expr: g}}}}", "unknown column 'g'"),
        ("f: {value: x}", "{direction: both, fields: {f: {reverse: {expr: f}}}}", "names no column"),
        (
            "f: {from: Last}",
            "{direction: both, delete: {deactivate: {new: {f: x}, old: {Opt: maybe}}}}",
            "is no boolean",
        ),
        ("f: {from: Last}\n  g: {from: Last}", "{direction: both}", "would both be written back to 'Last'"),
    ],
)
def test_mistakes_are_told_at_their_place(fields: str, sync: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ProjectError) as caught:
        bound(f"  {fields}\n", tmp_path, f"\n  {sync}")
    assert any(message.split(": ", 1)[-1] in str(item) for item in caught.value.problems)
    assert all(item.location.line for item in caught.value.problems)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (", explode: {column: Tags, split: ';', as: tag}", "exploded"),
        (", key: NewId", "not read by its own key"),
        (
            ', join: {acct: {object: Account, on: {AccountId: Id}}}, where: "acct.Id is not null"',
            "joined object",
        ),
    ],
)
def test_sources_whose_records_the_sync_cannot_know_are_refused(
    source: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ProjectError, match=message):
        bound("  f: {from: Last}\n", tmp_path, more=source)


def test_a_field_of_a_joined_object_is_left_to_the_load(tmp_path: Path) -> None:
    account = make_schema("Account", Name="string")
    text = HEAD % ", join: {acct: {object: Account, on: {AccountId: Id}}}" + (
        "fields:\n  f: {from: Last}\n  company: {from: acct.Name}\nsync: {direction: forward}\n"
    )
    found = bind_texts({"c.yaml": text, "a.yaml": ACCOUNT}, {"old": [SCHEMA, account]}, tmp_path)
    f, company = found.synced[-1].paired.pairs
    assert (f.direction, company.direction) == (Direction.FORWARD, Direction.NONE)
    assert [item.code for item in found.warnings if item.code.startswith("sync")] == ["sync.one_way"]
    (row,) = carried(found, {"Last": ["x"]})
    assert row.values == {"legacy_id": "old:A0", "f": "x"}


def test_old_columns_that_are_texts_are_compared_as_the_new_field_says(tmp_path: Path) -> None:
    found = bound("  mail: {from: Last, pii: email}\n", tmp_path)
    (pair,) = found.synced[-1].paired.pairs
    assert pair.same_old["Last"] == pair.same_new
    assert FieldSchema("Last", FieldType.STRING) == SCHEMA.field("Last")
