"""Loss warnings: each kind told with its code and place, silent where nothing is lost, accepted only with a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from migrator.core.errors import ProjectError
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.mapping import Bound
from migrator.mapping.warnings import WARNINGS, stale
from migrator.staging.fill import Fill, fills
from tests.mapping_kit import bind_texts, engine, make_schema

HEAD = "mapping: contact\ntarget: {system: new, object: contact, key: k}\nsource: {system: sf, object: Contact}\n"
CONTACT = make_schema(
    "Contact",
    Name="string",
    Amount="decimal",
    At="datetime",
    Day="date",
    Level="picklist",
    CreatedDate="datetime",
    Fax="string",
)
SIZED = {
    "Name": {"length": 200},
    "Amount": {"precision": 18, "scale": 4},
    "Level": {"values": ("a", "b", "c")},
}
SOURCE = replace(CONTACT, fields=tuple(replace(item, **SIZED.get(item.name, {})) for item in CONTACT.fields))
TARGET = ObjectSchema(
    "contact",
    "k",
    (
        FieldSchema("k", FieldType.ID),
        FieldSchema("name", FieldType.STRING, length=80),
        FieldSchema("amount", FieldType.DECIMAL, precision=18, scale=2),
        FieldSchema("level", FieldType.PICKLIST, values=("a", "b", "X")),
        FieldSchema("created_at", FieldType.DATETIME, read_only=True),
        FieldSchema("locked", FieldType.STRING, read_only=True),
    ),
)
DROP = "  k: {from: Id}\n"


def told(
    fields: str,
    tmp_path: Path,
    *,
    more: str = "",
    target: bool = False,
    full: dict[str, Fill] | None = None,
    staged: pa.Schema | None = None,
) -> Bound:
    options = {"targets": {"new": {"contact": TARGET}}} if target else {}
    return bind_texts(
        {"contact.yaml": f"{HEAD}fields:\n  k: {{from: Id}}\n  {fields}\n{more}"},
        {"sf": [SOURCE]},
        tmp_path,
        fills=lambda _: full,
        staged=lambda _: staged,
        **options,
    )


def codes(bound: Bound, *, drops: bool = False) -> list[tuple[str, str]]:
    """Code and place of every warning; of columns that go nowhere only when asked."""
    return [
        (item.code, str(item.location).removeprefix("contact.yaml:"))
        for item in bound.warnings
        if drops or item.location.line != 3
    ]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ("name: {from: Name, length: 80}", "loss.length"),
        ("amount: {from: Amount, type: 'decimal(18,2)'}", "loss.precision"),
        ("amount: {from: Amount, type: integer}", "loss.precision"),
        ("day: {from: At, type: date}", "loss.time"),
        ("hour: {from: At, type: time}", "loss.time"),
        ("at: {from: At, type: string}", "loss.zone"),
        ("at: {from: Day, type: datetime}", "loss.zone"),
        ("level: {from: Level, values: {a: A, b: B}}", "picklist.unmapped"),
        ("name: {from: Name, default: nobody}", "default.hides_blank"),
    ],
)
def test_each_loss_is_told_at_its_field(fields: str, code: str, tmp_path: Path) -> None:
    assert codes(told(fields, tmp_path)) == [(code, "6:3")]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ("name: {from: Name}", "loss.length"),
        ("amount: {expr: Amount * 2, type: 'decimal(18,4)'}", "target.precision"),
        ("level: {from: Level}", "picklist.unknown"),
        ("locked: {from: Name}", "target.read_only"),
        ("created_at: {from: CreatedDate}", "overwritten.created"),
    ],
)
def test_each_loss_in_the_target_is_told_at_its_field(fields: str, code: str, tmp_path: Path) -> None:
    assert codes(told(fields, tmp_path, target=True)) == [(code, "6:3")]


@pytest.mark.parametrize(
    "fields",
    [
        "name: {from: Name}",
        "amount: {from: Amount, type: 'decimal(20,4)'}",
        "at: {from: At, type: datetime}",
        "day: {from: At, type: date, zone: Asia/Shanghai}",
        "at: {from: Day, type: datetime, zone: Asia/Shanghai}",
        "level: {from: Level, values: {a: A, b: B, c: C}}",
        "name: {value: x, default: nobody}",
    ],
)
def test_where_nothing_is_lost_nothing_is_told(fields: str, tmp_path: Path) -> None:
    assert codes(told(fields, tmp_path)) == []


def test_a_local_time_without_a_declared_zone_is_told(tmp_path: Path) -> None:
    local = pa.schema([("At", pa.timestamp("us"))])
    assert codes(told("at: {from: At}", tmp_path, staged=local)) == [("loss.zone", "6:3")]
    assert codes(told("at: {from: At, zone: Asia/Shanghai}", tmp_path, staged=local)) == []


def test_columns_that_go_nowhere_are_told_when_they_hold_data(tmp_path: Path) -> None:
    full = {"Fax": Fill(100, 40, complete=False), "Level": Fill(100, 0, complete=False)}
    found = told("name: {expr: 'concat(Name, Amount, At, Day)'}", tmp_path, full=full)
    assert [str(item).splitlines()[0] for item in found.warnings] == [
        "contact.yaml:3:30: 'CreatedDate' of sf/Contact goes nowhere: every record will look as if made on the day of the load",
        "contact.yaml:3:30: 1 columns of sf/Contact go nowhere: 'Fax' (40% filled)",
    ]
    assert [item.code for item in found.warnings] == ["overwritten.created", "dropped.column"]


def test_a_default_hides_no_blank_where_there_is_none(tmp_path: Path) -> None:
    fields = "name: {from: Name, default: nobody}"
    assert codes(told(fields, tmp_path, full={"Name": Fill(9, 9, complete=True)})) == []
    some = told(fields, tmp_path, full={"Name": Fill(9, 6, complete=False)}).warnings
    assert "3 of 9 rows have no value" in some[-1].message


@pytest.mark.parametrize(("direction", "warned"), [("both", True), ("reverse", True), ("forward", False)])
def test_a_map_that_cannot_be_turned_round_is_told_when_records_flow_back(
    direction: str, warned: bool, tmp_path: Path
) -> None:
    fields = "level: {from: Level, values: {a: X, b: X, c: Y}}"
    found = told(fields, tmp_path, more=f"sync: {{direction: {direction}}}\n")
    assert codes(found) == ([("values.one_way", "6:3")] if warned else [])
    assert codes(told(fields, tmp_path)) == []


def test_a_field_that_cannot_come_back_is_told_when_records_flow_back(tmp_path: Path) -> None:
    fields = "name: {expr: upper(Name)}"
    found = told(fields, tmp_path, more="sync: {direction: both}\n")
    assert ("sync.one_way", "6:3") in codes(found)
    assert codes(told(fields, tmp_path, more="sync: {direction: forward}\n")) == []
    accepted = "accept: [{warning: sync.one_way, field: name, reason: the old side keeps its case}]\n"
    assert codes(told(fields, tmp_path, more="sync: {direction: both}\n" + accepted)) == []


def test_each_record_types_map_is_turned_round_by_itself(tmp_path: Path) -> None:
    maps = "{a: X, b: Y}, Partner: {a: X, c: X}"
    fields = f"level: {{from: Level, values: {{by: Name, maps: {{Customer: {maps}}}}}}}"
    found = told(fields, tmp_path, more="sync: {direction: both}\n")
    ways = [item.message for item in found.warnings if item.code == "values.one_way"]
    assert ways == ["'level': 'a', 'c' of 'Partner' all become 'X', and records are to flow back"]


def test_unknown_values_that_share_one_default_are_a_one_way_map_too(tmp_path: Path) -> None:
    fields = "level: {from: Level, values: {a: X, b: Y}, unmapped: {default: X}}"
    found = told(fields, tmp_path, more="sync: {direction: both}\n")
    assert "'a', values that the map does not know all become 'X'" in found.warnings[-1].message


def test_an_accepted_warning_is_listed_and_not_told(tmp_path: Path) -> None:
    more = (
        "accept:\n  - {warning: loss.length, field: name, reason: nobody has such names}\n"
        "  - {warning: dropped.column, field: Fax, reason: no fax}\n"
    )
    full = {"Fax": Fill(5, 0, complete=False)}
    found = told("name: {from: Name, length: 80}", tmp_path, more=more, full=full)
    assert codes(found) == []
    assert "Fax" not in str([item.message for item in found.warnings])
    assert [(item.warning, item.field, item.reason, item.met) for item in found.accepted] == [
        ("loss.length", "name", "nobody has such names", True),
        ("dropped.column", "Fax", "no fax", True),
    ]
    assert stale(found.accepted) == []


def test_an_acceptance_of_nothing_is_a_mistake(tmp_path: Path) -> None:
    more = "accept:\n  - {warning: loss.length, field: nam, reason: a slip}\n"
    found = told("name: {from: Name, length: 80}", tmp_path, more=more)
    assert codes(found) == [("loss.length", "6:3")]
    assert [str(item).splitlines()[0] for item in stale(found.accepted)] == [
        "contact.yaml:8:5: there is nothing called 'nam' that loss.length could be about"
    ]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("accept: [{warning: loss.lenght, field: x, reason: y}]", "7:20: no warning is called 'loss.lenght'"),
        ("accept: [{warning: loss.length, field: x}]", "7:10: reason is missing"),
        ("accept: [{warning: loss.length, feld: x, reason: y}]", "7:33: unknown key 'feld'"),
        ("sync: {direction: sideways}", "7:19: 'sideways' is not a direction"),
        ("sync: {polcy: x}", "7:8: unknown key 'polcy'"),
    ],
)
def test_acceptances_and_sync_are_parsed_strictly(more: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(ProjectError) as caught:
        told("name: {from: Name}", tmp_path, more=more)
    assert any(str(item).startswith(f"contact.yaml:{expected}") for item in caught.value.problems)


def test_every_warning_of_a_mapping_has_a_test_here() -> None:
    page = Path(__file__).read_text(encoding="utf-8")
    assert [code for code in WARNINGS if f'"{code}"' not in page and code != "dropped.object"] == []


def test_fill_is_read_from_the_footers(tmp_path: Path) -> None:
    sql = (
        "SELECT CASE WHEN i % 2 = 0 THEN 'x' END AS half, CAST(NULL AS TEXT) AS nothing, '' AS blank,"
        " CASE WHEN i % 2 = 0 THEN '' ELSE '中文' END AS some, 'v' || i AS full, repeat('长', 5000) AS long"
        " FROM range(6000) t(i)"
    )
    with engine(tmp_path) as session:
        session.write(sql, tmp_path / "part.parquet", row_group=2048)
    found = fills([tmp_path / "part.parquet"])
    assert {name: (item.rows, item.values, item.complete) for name, item in found.items()} == {
        "half": (6000, 3000, False),
        "nothing": (6000, 0, False),
        "blank": (6000, 0, False),
        "some": (6000, 6000, False),
        "full": (6000, 6000, True),
        "long": (6000, 6000, False),
    }, "no bounds are written for texts as long as that: nothing is claimed"
