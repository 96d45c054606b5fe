"""A generated mapping is a mapping: whatever the source's names and types, it parses, binds, compiles and moves rows."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.core.document import Document
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.mapping import bind, compile_mapping, mapping_names, parse_mapping, write_mapping
from migrator.mapping.staged_columns import engine_names
from tests.mapping_kit import engine, run_sql

NAMES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12),
    st.sampled_from(["select", "Id", "id", "ID", "no", "Null", "~", "a: b", "- x", "{", "'", '"', "\\", "客户", "Order Date", "a.b", "1st", "%", "x" * 80, "null", "2024-01-01", "\u2028", "#c", "record_id", "Ｎ"]),
).filter(lambda name: not name.startswith("__") and bool(name.strip()))  # fmt: skip


@st.composite
def worlds(draw: st.DrawFn) -> list[ObjectSchema]:
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    schemas = []
    for name in names:
        fields = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
        key = draw(st.sampled_from(["", fields[0]]))
        schemas.append(
            ObjectSchema(
                name, key, tuple(draw(fields_of(field, names)) for field in fields), label=draw(NAMES)
            )
        )
    return schemas


def fields_of(name: str, objects: list[str]) -> st.SearchStrategy[FieldSchema]:
    return st.builds(
        FieldSchema,
        name=st.just(name),
        type=st.sampled_from(FieldType),
        label=st.one_of(st.just(""), NAMES),
        length=st.one_of(st.none(), st.integers(0, 300_000)),
        precision=st.one_of(st.none(), st.integers(0, 60)),
        scale=st.one_of(st.none(), st.integers(-2, 60)),
        references=st.lists(st.sampled_from([*objects, "Elsewhere"]), max_size=2, unique=True).map(tuple),
        values=st.lists(NAMES, max_size=2, unique=True).map(tuple),
        pii=st.sampled_from(["", "name", "email"]),
    )


@settings(max_examples=60, deadline=None)
@given(schemas=worlds())
def test_any_schema_round_trips_through_its_mapping(schemas: list[ObjectSchema]):
    names = mapping_names(schemas)
    keyless = {schema.name for schema in schemas if not schema.key}
    texts = [
        write_mapping(schema, source="old", target="new", names=names, keyless=keyless) for schema in schemas
    ]
    mappings = [parse_mapping(Document(text, f"{number}.yaml"), Path()) for number, text in enumerate(texts)]
    bound = bind(mappings, {"old": {schema.name: schema for schema in schemas}})
    assert bound.warnings == ()
    for schema in schemas:
        item = bound.mapping(names[schema.name])
        assert item is not None
        read = [field.from_ for field in parse_rules(mappings, item.name) if field.from_]
        assert read == list(schema.field_names)
        rows = pa.table(
            [pa.array(["x"], pa.string()) for _ in schema.fields]
            + [pa.array([0], pa.int64()), pa.array(["p"]), pa.array([0], pa.int32())],
            names=[*schema.field_names, "__row", "__place", "__copy"],
        )
        with tempfile.TemporaryDirectory() as folder, engine(Path(folder)) as session:
            staged = {f"old/{other.name}": empty(other) for other in schemas}
            found = run_sql(session, compile_mapping(item), {**staged, f"old/{schema.name}": rows})
        assert [row["__id"] for row in found] == ["old:x" if schema.key else "old:0"]


def parse_rules(mappings: list, name: str) -> list:
    mapping = next(item for item in mappings if item.name == name)
    return [mapping.field(mapping.sources[0], field).rule for field in mapping.field_names]


def empty(schema: ObjectSchema) -> pa.Table:
    columns = [pa.array([], pa.string()) for _ in schema.fields]
    return pa.table(
        [*columns, pa.array([], pa.int64()), pa.array([], pa.string()), pa.array([], pa.int32())],
        names=[*schema.field_names, "__row", "__place", "__copy"],
    )


CASES = st.lists(st.text("aAbB_1ÄäI", min_size=1, max_size=5), min_size=1, max_size=12, unique=True)


@settings(max_examples=80, deadline=None)
@given(names=CASES)
def test_we_know_what_the_engine_calls_columns_that_differ_in_case_only(names: list[str]):
    rows = pa.table([pa.array([number]) for number, _ in enumerate(names)], names=names)
    with tempfile.TemporaryDirectory() as folder, engine(Path(folder)) as session:
        session.table("t", rows)
        found = session.fetch("SELECT * FROM t")
    assert engine_names(names) == tuple(found.column_names)


def test_the_generated_text_is_made_for_people():
    schema = ObjectSchema(
        "Contact", "Id",
        (
            FieldSchema("Id", FieldType.ID), FieldSchema("LastName", FieldType.STRING, label="Last name", length=80, pii="name"),
            FieldSchema("AccountId", FieldType.REFERENCE, references=("Account",)), FieldSchema("OwnerId", FieldType.REFERENCE, references=("User",)),
            FieldSchema("Amount", FieldType.DECIMAL, precision=18, scale=2), FieldSchema("Order Date", FieldType.DATE, label="订单日期"),
        ),
        label="Contacts",
    )  # fmt: skip
    text = write_mapping(
        schema, source="salesforce", target="new", names={"Contact": "Contact", "Account": "Account"}
    )
    assert text == (
        "# yaml-language-server: $schema=../.migrator/mapping.schema.json\n"
        "# Contacts\n"
        "mapping: Contact\n"
        "target: {system: new, object: Contact, key: Id}\n"
        "source: {system: salesforce, object: Contact, key: Id}\n"
        "fields:\n"
        "  Id: {from: Id, type: id}\n"
        '  LastName: {from: LastName, type: "string(80)", pii: name}  # Last name\n'
        "  AccountId: {from: AccountId, lookup: Account, missing: null}\n"
        "  OwnerId: {from: OwnerId, type: string}\n"
        '  Amount: {from: Amount, type: "decimal(18,2)"}\n'
        '  Order_Date: {from: "Order Date", type: date}  # 订单日期\n'
    )
