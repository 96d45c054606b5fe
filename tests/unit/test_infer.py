"""Profiles count every row, and what is inferred from them keeps every value; references are told by the values themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.extract.infer import decimal_digits, infer, looks_like_key, picklists, size
from migrator.extract.profile import ObjectProfile, profile
from migrator.extract.references import StagedObject, infer_references
from migrator.staging.engine import DuckSession, EngineSettings, open_engine
from migrator.staging.ledger import open_ledger
from migrator.staging.store import Dataset, Kind, Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as ledger:
        yield Store(tmp_path / "staging", ledger)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[DuckSession]:
    with closing(open_engine(EngineSettings(threads=1), tmp_path)) as opened:
        yield opened


def staged(store: Store, columns: dict[str, Any], name: str = "thing") -> Dataset:
    building = store.build(Kind.STAGED, f"old/{name}", "f")
    building.add_table(pa.table(columns))
    return building.complete()


def text_schema(columns: dict[str, Any], key: str = "", name: str = "thing") -> ObjectSchema:
    return ObjectSchema(name, key, tuple(FieldSchema(item, FieldType.STRING) for item in columns))


def profiled(session: DuckSession, store: Store, columns: dict[str, Any]) -> ObjectProfile:
    return profile(session, staged(store, columns), text_schema(columns))


def inferred(session: DuckSession, store: Store, values: list[Any], name: str = "value") -> FieldSchema:
    columns = {name: pa.array(values)}
    found = infer(text_schema(columns, key="none"), profiled(session, store, columns)).field(name)
    assert found is not None
    return found


def test_a_profile_counts_every_row(session: DuckSession, store: Store) -> None:
    late = ["1"] * 5000 + ["x"]
    columns = {
        'na"me': pa.array(["王伟", "", None, "a\nb"] * 1250 + ["é"], pa.string()),
        "late": late,
        "t": pa.array([1, None, 3] * 1667, pa.int32()),
    }
    found = profiled(session, store, columns)
    name, tail, typed = found.columns
    assert (name.rows, name.nulls, name.empties, name.values, name.longest) == (5001, 1250, 1250, 2501, 3)
    assert name.shortest == 1
    assert "one line" not in name.forms
    assert name.top[0] == ("a\nb", 1250)
    assert "integer" not in tail.forms, "one row of 5001 is no number"
    assert "identifier" in tail.forms
    assert (typed.type, typed.nulls, typed.values) == ("INTEGER", 1667, 3334)
    assert json.loads(json.dumps(found.to_json()))["columns"][1]["distinct"] == 2


def test_an_empty_object_and_empty_columns_are_profiled(session: DuckSession, store: Store) -> None:
    found = profiled(session, store, {"a": pa.array([], pa.string())})
    assert (found.rows, found.columns[0].filled, found.columns[0].forms) == (0, 0.0, frozenset())
    assert not found.columns[0].unique
    assert inferred(session, store, [None, ""]).type is FieldType.STRING


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-20", "", None], FieldType.INTEGER),
        (["123456789012345678"], FieldType.INTEGER),
        (["007", "1"], FieldType.STRING),
        (["+49170", "1"], FieldType.STRING),
        (["9999999999999999999"], FieldType.STRING),
        (["1.50", "-0.5", "3"], FieldType.DECIMAL),
        (["1e5"], FieldType.STRING),
        (["1,000.00"], FieldType.STRING),
        ([" 1"], FieldType.STRING),
        (["0" * 30 + "." + "1" * 30], FieldType.STRING),
        (["1." + "1" * 38], FieldType.STRING),
        (["true", "FALSE"], FieldType.BOOLEAN),
        (["yes", "no"], FieldType.STRING),
        (["true", "no"], FieldType.STRING),
        (["1", "0"], FieldType.INTEGER),
        (["2024-02-29"], FieldType.DATE),
        (["2024-02-30"], FieldType.STRING),
        (["0000-01-01"], FieldType.STRING),
        (["2024-02-29", "2024-02-29 10:00"], FieldType.STRING),
        (["2024-02-29 00:00:00", "2024-03-01 00:00:00"], FieldType.DATETIME),
        (["2024-02-29T10:00:00.000Z", "2024-02-29 10:00:00+05:30"], FieldType.DATETIME),
        (["2024-02-29T10:00:00Z", "2024-02-29T10:00:00"], FieldType.STRING),
        (["2024-02-29T10:00:00.1234560"], FieldType.DATETIME),
        (["2024-02-29T10:00:00.1234567"], FieldType.STRING),
        (["2024-02-29T24:00:00"], FieldType.STRING),
        (["2/29/2024"], FieldType.STRING),
        (["0001-01-01T00:00:00+14:00"], FieldType.STRING),
        (["a\nb"], FieldType.TEXT),
        (["x" * 3999], FieldType.TEXT),
        (["NaN", "1.5"], FieldType.STRING),
    ],
)
def test_types_hold_every_value_or_stay_text(
    session: DuckSession, store: Store, values: list[str | None], kind: FieldType
) -> None:
    assert inferred(session, store, values).type is kind


@pytest.mark.parametrize("name", ["Phone", "MobilePhone", "Zip Code", "BillingPostalCode", "电话", "Tax ID", "客户编号", "CaseNumber"])  # fmt: skip
def test_digits_under_a_name_of_codes_stay_text(session: DuckSession, store: Store, name: str) -> None:
    assert inferred(session, store, ["13812345678", "1"], name).type is FieldType.STRING


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pa.array([1], pa.int16()), FieldType.INTEGER),
        (pa.array([1], pa.uint64()), FieldType.DECIMAL),
        (pa.array([1.5]), FieldType.FLOAT),
        (pa.array([True]), FieldType.BOOLEAN),
        (pa.array([Decimal("1.25")], pa.decimal128(9, 2)), FieldType.DECIMAL),
        (pa.array([date(2024, 1, 1)]), FieldType.DATE),
        (pa.array([datetime(2024, 1, 1, tzinfo=UTC)]), FieldType.DATETIME),
        (pa.array([[1]]), FieldType.JSON),
        (pa.array([{"a": 1}]), FieldType.JSON),
    ],
)
def test_typed_columns_keep_their_type(
    session: DuckSession, store: Store, values: pa.Array, kind: FieldType
) -> None:
    columns = {"value": values}
    found = infer(text_schema(columns, key="none"), profiled(session, store, columns)).fields[0]
    assert found.type is kind
    if pa.types.is_decimal(values.type):
        assert (found.precision, found.scale) == (9, 2)


def test_lengths_have_room_and_declared_ones_stand_while_they_hold(
    session: DuckSession, store: Store
) -> None:
    columns = {"short": ["x" * 33], "declared": ["x" * 33], "broken": ["x" * 33]}
    declared = ObjectSchema(
        "thing", "none",
        (
            FieldSchema("short", FieldType.STRING),
            FieldSchema("declared", FieldType.STRING, length=50),
            FieldSchema("broken", FieldType.PICKLIST, length=20),
        ),
    )  # fmt: skip
    sized = size(declared, profiled(session, store, columns))
    assert [item.length for item in sized.fields] == [80, 50, 33]


def test_a_source_with_types_of_its_own_keeps_them(session: DuckSession, store: Store) -> None:
    columns = {"digits": ["1", "2"], "amount": ["1.5", "20.25"]}
    declared = ObjectSchema(
        "thing", "", (FieldSchema("digits", FieldType.STRING), FieldSchema("amount", FieldType.DECIMAL))
    )
    found = size(declared, profiled(session, store, columns))
    assert [(item.type, item.precision, item.scale) for item in found.fields] == [
        (FieldType.STRING, None, None), (FieldType.DECIMAL, 18, 2),
    ]  # fmt: skip


@pytest.mark.parametrize(("integer", "fraction", "digits"), [(1, 1, (18, 2)), (20, 4, (26, 4)), (37, 1, (38, 1)), (36, 2, (38, 2)), (38, 0, (38, 0)), (30, 9, None)])  # fmt: skip
def test_decimals_grow_before_the_point_first(
    integer: int, fraction: int, digits: tuple[int, int] | None
) -> None:
    assert decimal_digits(integer, fraction) == digits


GUIDS = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(4)]


@pytest.mark.parametrize(
    ("columns", "key"),
    [
        ({"name": ["a", "b"], "Id": ["2", "1"]}, "Id"),
        ({"order_no": ["1", "2"], "thing_id": ["3", "4"]}, "thing_id"),
        ({"thing": ["a", "b"], "GUID": GUIDS[:2]}, "GUID"),
        ({"x": GUIDS[:2], "y": ["a", "b"]}, "x"),
        ({"number": ["1", "2"], "label": ["a", "b"]}, "number"),
        ({"Id": ["1", "1"], "x": ["a", "b"]}, ""),
        ({"Id": ["1", None], "x": ["a", "b"]}, ""),
        ({"Id": ["1", ""], "x": ["a", "b"]}, ""),
        ({"name": ["Anna", "Ben"], "email": ["a@b.de", "c@d.de"]}, ""),
        ({"amount": ["1.5", "2.5"]}, ""),
        ({"created_on_id": ["2024-01-01", "2024-01-02"]}, ""),
        ({"count": ["5", "7"]}, "count"),
        ({"x": [], "Id": []}, ""),
    ],
)
def test_a_key_is_unique_never_empty_and_no_chance(
    session: DuckSession, store: Store, columns: dict[str, list[str | None]], key: str
) -> None:
    typed = {name: pa.array(values, pa.string()) for name, values in columns.items()}
    found = infer(text_schema(typed), profiled(session, store, typed))
    assert found.key == key
    required = [item.name for item in found.fields if item.required]
    assert required == ([key] if key else [])
    if key:
        field = found.field(key)
        assert field is not None
        assert (field.type, field.unique) == (FieldType.ID, True)


@pytest.mark.parametrize(
    ("name", "told"),
    [("Id", True), ("AccountId", True), ("account_id", True), ("Invoice No", True), ("客户编号", True), ("paid", False),
     ("idea", False), ("NumberOfEmployees", False), ("Nation", False)],
)  # fmt: skip
def test_names_of_keys(name: str, told: bool) -> None:
    assert looks_like_key(name) is told


def test_picklists_are_a_remark(session: DuckSession, store: Store) -> None:
    columns = {
        "status": ["open", "closed"] * 50,
        "name": [f"n{number}" for number in range(100)],
        "n": ["1"] * 100,
    }
    assert picklists(profiled(session, store, columns)) == ("status",)


def linked(
    session: DuckSession, store: Store, tables: dict[str, dict[str, list[str | None]]]
) -> tuple[dict[str, dict[str, tuple[str, ...]]], tuple[str, ...]]:
    objects = []
    for name, columns in tables.items():
        schema = text_schema(columns, key=next(iter(columns)), name=name)
        dataset = staged(store, {n: pa.array(v, pa.string()) for n, v in columns.items()}, name)
        measured = profile(session, dataset, schema)
        objects.append(StagedObject(infer(schema, measured), measured, dataset))
    schemas, remarks = infer_references(session, objects)
    return {
        schema.name: {item.name: item.references for item in schema.fields if item.references}
        for schema in schemas
    }, remarks


def sf(prefix: str, count: int) -> list[str | None]:
    return [f"{prefix}5g{number:010d}AAA" for number in range(count)]


def test_references_are_found_by_their_values(session: DuckSession, store: Store) -> None:
    accounts, contacts = sf("001", 20), sf("003", 20)
    tables = {
        "Account": {"Id": accounts, "ParentId": [None, accounts[0], *[""] * 18], "Name": [f"n{i}" for i in range(20)]},
        "Contact": {"Id": contacts, "AccountId": accounts[:10] * 2, "Anything": accounts},
        "Task": {
            "Id": sf("00T", 10), "WhoId": contacts[:5] + accounts[:5], "Strange": sf("00X", 10),
            "MostlyId": [*accounts[:9], "001gone00000000AAA"],
        },
    }  # fmt: skip
    found, remarks = linked(session, store, tables)
    assert found == {
        "Account": {"ParentId": ("Account",)},
        "Contact": {"AccountId": ("Account",), "Anything": ("Account",)},
        "Task": {"WhoId": ("Account", "Contact"), "MostlyId": ("Account",)},
    }
    assert [remark.partition(":")[0] for remark in remarks] == [
        "Task.MostlyId is taken for a link to Account"
    ]


def test_small_numbers_need_a_name(session: DuckSession, store: Store) -> None:
    numbers = [str(number) for number in range(1, 21)]
    tables = {
        "companies": {"id": numbers, "parent_id": [None, *numbers[:19]], "quantity": numbers},
        "orders": {"id": numbers, "company_id": numbers, "owner_id": numbers, "客户编号": numbers},
    }
    found, _ = linked(session, store, tables)
    assert found == {"companies": {"parent_id": ("companies",)}, "orders": {"company_id": ("companies",)}}


def test_a_declared_reference_stays_and_is_checked(session: DuckSession, store: Store) -> None:
    columns = {"id": pa.array(["a", "b"]), "owner": pa.array(["x", "y"])}
    schema = ObjectSchema(
        "thing", "id", (FieldSchema("id", FieldType.ID), FieldSchema("owner", FieldType.REFERENCE, references=("thing",)))
    )  # fmt: skip
    dataset = staged(store, columns)
    found, remarks = infer_references(
        session, [StagedObject(schema, profile(session, dataset, schema), dataset)]
    )
    assert found == (schema,)
    assert remarks == ("thing.owner: 2 of 2 values tested are no key of thing in this export",)
