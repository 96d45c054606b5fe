"""The SQL target keeps the connector contract, with the same words on SQLite and on PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

from connectors.sql.catalog import ForeignKey, relations
from connectors.sql.settings import parse
from connectors.sql.target import SqlTarget
from connectors.sql.writing_generic import write_generic
from migrator.core.errors import FatalError, ProjectError, SafetyStop
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

EVERY_TYPE = ObjectSchema(
    "Order",
    "id",
    (
        FieldSchema("id", FieldType.ID, length=18, required=True),
        FieldSchema("select", FieldType.STRING, length=5),
        FieldSchema('we "ird, na.me', FieldType.TEXT),
        FieldSchema("数量", FieldType.INTEGER),
        FieldSchema("amount", FieldType.DECIMAL, precision=18, scale=2),
        FieldSchema("wide", FieldType.DECIMAL, precision=38, scale=10),
        FieldSchema("ratio", FieldType.FLOAT),
        FieldSchema("active", FieldType.BOOLEAN),
        FieldSchema("born", FieldType.DATE),
        FieldSchema("seen", FieldType.DATETIME),
        FieldSchema("at", FieldType.TIME),
    ),
)
ARROW = pa.schema(
    [
        ("id", pa.string()),
        ("select", pa.string()),
        ('we "ird, na.me', pa.string()),
        ("数量", pa.int64()),
        ("amount", pa.decimal128(18, 2)),
        ("wide", pa.decimal128(38, 10)),
        ("ratio", pa.float64()),
        ("active", pa.bool_()),
        ("born", pa.date32()),
        ("seen", pa.timestamp("us", tz="UTC")),
        ("at", pa.time64("us")),
    ]
)
PEOPLE = ObjectSchema(
    "people",
    "id",
    (
        FieldSchema("id", FieldType.ID),
        FieldSchema("name", FieldType.STRING, length=10, required=True),
        FieldSchema("email", FieldType.STRING, unique=True),
        FieldSchema("boss", FieldType.REFERENCE, references=("people",)),
        FieldSchema("company", FieldType.REFERENCE, references=("companies",)),
    ),
)
COMPANIES = ObjectSchema(
    "companies", "id", (FieldSchema("id", FieldType.ID), FieldSchema("name", FieldType.TEXT))
)


@pytest.fixture(params=["native", "generic"])
def target(request: pytest.FixtureRequest, database_url: str) -> Iterator[SqlTarget]:
    """A target on each database, writing its own way and the way for any database."""
    opened = SqlTarget(parse({"url": database_url}), write_generic if request.param == "generic" else None)
    yield opened
    opened.close()


def row(**values: object) -> dict[str, object]:
    full = dict.fromkeys(ARROW.names)
    full.update(values)
    return full


def orders(*rows: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=ARROW)


def people(*rows: tuple[object, ...]) -> pa.Table:
    names = ("id", "name", "email", "boss", "company")
    schema = pa.schema([(name, pa.string()) for name in names])
    padded = [dict(zip(names, (*row, *[None] * 5), strict=False)) for row in rows]
    return pa.Table.from_pylist(padded, schema=schema)


def answers(table: pa.Table) -> dict[str, str]:
    return {
        item["key"]: item["outcome"] if item["code"] is None else item["code"] for item in table.to_pylist()
    }


def stored(target: SqlTarget, name: str) -> list[dict[str, object]]:
    return pa.concat_tables(target.read(name)).to_pylist()


def indexes(target: SqlTarget, table: str) -> list[str]:
    with target._database.begin() as connection:
        return sorted(str(item["name"]) for item in sa.inspect(connection).get_indexes(table))


def filled(target: SqlTarget, *schemas: ObjectSchema) -> None:
    """Tables as they are after a first load: indexes built, foreign keys in force."""
    target.prepare(schemas)
    for name in target.pending_indexes():
        target.build_index(name)


FULL = row(
    **{
        "id": "a1",
        "select": "短文",
        'we "ird, na.me': "line\r\nline 'quoted' \\ \"x\" 😀",
        "数量": -(2**63),
        "amount": Decimal("0.10"),
        "wide": Decimal("1234567890123456789012345678.0123456789"),
        "ratio": 0.1,
        "active": False,
        "born": date(1, 1, 1),
        "seen": datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        "at": time(23, 59, 59, 1),
    }
)


def test_a_row_of_every_type_comes_back_as_it_was(target: SqlTarget) -> None:
    target.prepare([EVERY_TYPE])
    sent = orders(FULL, row(id="a2", select="", amount=Decimal("1234567890123456.89")), row(id="a3"))
    assert set(answers(target.upsert("Order", sent, key="id")).values()) == {"created"}
    read = pa.concat_tables(target.read("Order"))
    assert read.schema.types == ARROW.types
    assert read.to_pylist() == sent.to_pylist()


def test_records_are_fetched_by_their_keys_as_they_are_read(target: SqlTarget) -> None:
    target.prepare([EVERY_TYPE])
    sent = orders(FULL, row(id="it's"), row(id="名"), *(row(id=f"n{at}") for at in range(600)))
    target.upsert("Order", sent, key="id")
    keys = ["名", "nobody", "a1", "it's", *(f"n{at}" for at in range(600))]
    found = target.fetch("Order", keys, key="id", columns=ARROW.names)
    assert found.schema.types == ARROW.types
    assert sorted(found.to_pylist(), key=str) == sorted(sent.to_pylist(), key=str)
    assert target.fetch("Order", [], key="id", columns=["seen"]).schema == pa.schema(
        [("seen", pa.timestamp("us", tz="UTC"))]
    )


def test_a_key_that_is_no_value_of_its_column_is_the_key_of_no_record(target: SqlTarget) -> None:
    target.prepare([EVERY_TYPE])
    target.upsert("Order", orders(row(id="1", 数量=7)), key="id")
    assert target.fetch("Order", ["7", "x", "1.5"], key="数量", columns=["id"]).to_pylist() == [{"id": "1"}]


def test_the_same_rows_again_are_unchanged(target: SqlTarget) -> None:
    target.prepare([EVERY_TYPE])
    sent = orders(FULL, row(id="a2"))
    target.upsert("Order", sent, key="id")
    assert answers(target.upsert("Order", sent, key="id")) == {"a1": "unchanged", "a2": "unchanged"}


def test_created_updated_and_unchanged_are_told_apart(target: SqlTarget) -> None:
    target.prepare([EVERY_TYPE])
    target.upsert("Order", orders(row(id="same"), row(id="new value", select="old")), key="id")
    again = target.upsert(
        "Order", orders(row(id="same"), row(id="new value", select="new"), row(id="x")), key="id"
    )
    assert answers(again) == {"same": "unchanged", "new value": "updated", "x": "created"}
    assert again["target_id"].to_pylist() == ["same", "new value", "x"]


def test_a_null_is_not_an_empty_text(target: SqlTarget) -> None:
    target.prepare([EVERY_TYPE])
    target.upsert("Order", orders(row(id="1", select=""), row(id="2", select=None)), key="id")
    assert [item["select"] for item in stored(target, "Order")] == ["", None]
    assert answers(target.upsert("Order", orders(row(id="1", select=None)), key="id")) == {"1": "updated"}


def test_one_bad_row_does_not_refuse_its_batch(target: SqlTarget) -> None:
    target.prepare([COMPANIES, PEOPLE])
    rows = [(f"p{number:03d}", "ok", f"{number}@x") for number in range(100)]
    rows[17] = ("p017", "too long for this", "17@x")
    rows[42] = ("p042", "ok", "41@x")
    rows[77] = ("p077", None, "77@x")
    rows[99] = ("p099", "nul\x00", "99@x")
    found = answers(target.upsert("people", people(*rows), key="id"))
    assert {key: code for key, code in found.items() if code != "created"} == {
        "p017": "value.too-long",
        "p042": "constraint.unique",
        "p077": "constraint.not-null",
        "p099": "value.character",
    }
    assert len(stored(target, "people")) == 96


def test_a_refusal_names_the_field_and_the_databases_own_words(target: SqlTarget) -> None:
    target.prepare([COMPANIES, PEOPLE])
    target.upsert("people", people(("1", "a", "same")), key="id")
    refused = target.upsert("people", people(("2", "b", "same")), key="id").to_pylist()[0]
    assert refused["field"] == "email"
    assert "email" in refused["message"]
    assert refused["target_id"] is None


def test_a_reference_to_nobody_is_refused(target: SqlTarget) -> None:
    filled(target, COMPANIES, PEOPLE)
    target.upsert("companies", pa.table({"id": ["c1"], "name": ["甲"]}), key="id")
    sent = people(("1", "a", "1", None, "c1"), ("2", "b", "2", None, "c2"), ("3", "c", "3", "2"))
    found = answers(target.upsert("people", sent, key="id"))
    assert found == {"1": "created", "2": "constraint.foreign-key", "3": "constraint.foreign-key"}


def test_a_refused_reference_is_named_also_where_none_can_wait_for_another_row(target: SqlTarget) -> None:
    filled(target, COMPANIES, PEOPLE)
    sent = people(("1", "a", "1", None, "nobody"), ("2", "b", "2")).drop_columns(["boss"])
    found = {item["key"]: item for item in target.upsert("people", sent, key="id").to_pylist()}
    assert found["2"]["outcome"] == "created"
    assert found["1"]["code"] == "constraint.foreign-key"
    if target._write is not write_generic:
        assert found["1"]["field"] == "company"
        assert "'nobody'" in found["1"]["message"]


def test_rows_of_one_batch_may_refer_to_each_other_in_any_order(target: SqlTarget) -> None:
    filled(target, COMPANIES, PEOPLE)
    chain = [(str(number), "x", None, str(number + 1) if number < 50 else None) for number in range(51)]
    assert set(answers(target.upsert("people", people(*chain), key="id")).values()) == {"created"}


def test_references_within_a_batch_hold_even_when_another_row_is_bad(target: SqlTarget) -> None:
    filled(target, COMPANIES, PEOPLE)
    chain = [(str(number), "x", None, str(number + 1) if number < 20 else None) for number in range(21)]
    found = answers(target.upsert("people", people(*chain, ("y", "x", "e"), ("z", "x", "e")), key="id"))
    assert sum(code == "created" for code in found.values()) == 22
    assert sum(code == "constraint.unique" for code in found.values()) == 1


def test_two_rows_of_one_batch_may_refer_to_each_other(database_url: str) -> None:
    target = SqlTarget(parse({"url": database_url}))
    filled(target, COMPANIES, PEOPLE)
    pair = people(("1", "a", None, "2"), ("2", "b", None, "1"), ("3", "c", None, "4"))
    found = answers(target.upsert("people", pair, key="id"))
    assert found == {"1": "created", "2": "created", "3": "constraint.foreign-key"}
    assert set(answers(target.delete("people", ["1", "2"], key="id")).values()) == {"deleted"}
    target.close()


@pytest.mark.parametrize("referred", ["", "(ID)", "(id)"])
def test_rows_of_a_table_that_was_there_may_refer_to_each_other_however_it_says_so(
    tmp_path: Path, referred: str
) -> None:
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute(
            f"CREATE TABLE people (id TEXT PRIMARY KEY, boss TEXT REFERENCES people{referred})"
        )
    target = SqlTarget(parse({"url": f"sqlite:///{tmp_path / 'x.db'}"}))
    pair = pa.table({"id": ["1", "2", "3"], "boss": ["2", "1", "4"]})
    found = answers(target.upsert("people", pair, key="id"))
    assert found == {"1": "created", "2": "created", "3": "constraint.foreign-key"}
    target.close()


def test_a_link_that_an_update_sets_leads_somewhere(target: SqlTarget) -> None:
    filled(target, COMPANIES, PEOPLE)
    target.upsert("people", people(("1", "a"), ("2", "b"), ("3", "c")), key="id")
    links = pa.table({"id": ["1", "2", "3", "4"], "boss": ["2", "nobody", "1", "1"]})
    found = {item["key"]: item for item in target.update("people", links, key="id").to_pylist()}
    assert [found[key]["outcome"] for key in ("1", "3", "4")] == ["updated", "updated", "missing"]
    assert found["2"]["code"] == "constraint.foreign-key"
    if target._write is not write_generic:
        assert found["2"]["field"] == "boss"
    assert {row["id"]: row["boss"] for row in stored(target, "people")} == {"1": "2", "2": None, "3": "1"}


def test_a_unique_value_may_move_from_row_to_row_within_a_batch(target: SqlTarget) -> None:
    target.prepare([COMPANIES, PEOPLE])
    target.upsert("people", people(("1", "a", "x"), ("2", "b", "y"), ("3", "c", "z")), key="id")
    moved = people(("2", "b", "x"), ("1", "a", "w"), ("3", "c", "w"))
    found = answers(target.upsert("people", moved, key="id"))
    assert found == {"2": "updated", "1": "updated", "3": "constraint.unique"}
    assert {item["id"]: item["email"] for item in stored(target, "people")} == {"1": "w", "2": "x", "3": "z"}


def test_rows_that_share_a_key_are_all_refused(target: SqlTarget) -> None:
    target.prepare([COMPANIES])
    sent = pa.table({"id": ["1", "2", "1", None], "name": ["a", "b", "c", "d"]})
    found = answers(target.upsert("companies", sent, key="id"))
    assert found == {"1": "key.duplicate", "2": "created", "": "key.missing"}


def test_a_decimal_is_never_rounded_into_its_column(target: SqlTarget) -> None:
    target.prepare([EVERY_TYPE])
    sent = pa.table({"id": ["1", "2"], "amount": pa.array([Decimal("1.005"), Decimal("1.010")])})
    assert answers(target.upsert("Order", sent, key="id")) == {"1": "value.range", "2": "created"}


def test_update_sets_only_the_columns_given(target: SqlTarget) -> None:
    target.prepare([EVERY_TYPE])
    target.upsert("Order", orders(row(id="1", select="a", active=True), row(id="2", select="b")), key="id")
    change = pa.table({"id": ["1", "2", "3"], "select": ["z", "b", "c"]})
    found = answers(target.update("Order", change, key="id"))
    assert found == {"1": "updated", "2": "unchanged", "3": "missing"}
    assert [(item["select"], item["active"]) for item in stored(target, "Order")] == [
        ("z", True),
        ("b", None),
    ]


def test_delete_answers_for_every_key(target: SqlTarget) -> None:
    target.prepare([COMPANIES, PEOPLE])
    target.upsert("companies", pa.table({"id": ["c1", "c2"]}), key="id")
    target.upsert("people", people(("1", "a", None, None, "c1"), ("2", "b", None, "1")), key="id")
    found = answers(target.delete("companies", ["c1", "c2", "c3"], key="id"))
    assert found == {"c1": "constraint.foreign-key", "c2": "deleted", "c3": "missing"}
    assert answers(target.delete("people", ["1", "2"], key="id")) == {"1": "deleted", "2": "deleted"}


def test_read_gives_only_the_columns_asked_for_in_pages(target: SqlTarget) -> None:
    target.prepare([COMPANIES])
    sent = pa.table({"id": [f"{n:02d}" for n in range(25)], "name": [str(n) for n in range(25)]})
    target.upsert("companies", sent, key="id")
    pages = list(target.read("companies", columns=["name"], page_rows=10))
    assert [page.num_rows for page in pages] == [10, 10, 5]
    assert [name for page in pages for name in page["name"].to_pylist()] == sent["name"].to_pylist()


def test_prepare_twice_changes_nothing(target: SqlTarget) -> None:
    for _ in range(2):
        target.prepare([COMPANIES, PEOPLE, EVERY_TYPE])
    assert {item.name for item in target.describe()} == {"companies", "people", "Order"}


def test_circular_references_can_be_prepared(target: SqlTarget) -> None:
    first = ObjectSchema(
        "a", "id", (FieldSchema("id", FieldType.ID), FieldSchema("b", FieldType.REFERENCE, references=("b",)))
    )
    second = ObjectSchema(
        "b", "id", (FieldSchema("id", FieldType.ID), FieldSchema("a", FieldType.REFERENCE, references=("a",)))
    )
    filled(target, first, second)
    assert answers(target.upsert("a", pa.table({"id": ["1"], "b": ["2"]}), key="id")) == {
        "1": "constraint.foreign-key"
    }


def test_describe_says_what_was_prepared(target: SqlTarget) -> None:
    target.prepare([COMPANIES, PEOPLE])
    found = {item.name: item for item in target.describe()}["people"]
    assert found.key == "id"
    kinds = {item.name: (item.type, item.length, item.references) for item in found.fields}
    assert kinds["name"] == (FieldType.STRING, 10, ())
    assert kinds["boss"] == (FieldType.REFERENCE, None, ("people",))
    assert found.field("email").unique
    assert found.field("name").required


def test_a_table_that_does_not_fit_stops_with_every_difference(target: SqlTarget, database_url: str) -> None:
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE people (id VARCHAR(20), name VARCHAR(3), boss VARCHAR(9), company DATE, own INTEGER NOT NULL)"
        )
    with pytest.raises(SafetyStop) as stop:
        target.prepare([COMPANIES, PEOPLE])
    for part in (
        "people.name holds 3",
        "people.email is missing",
        "people.company is",
        "people.own is required",
        "people.id is the key",
    ):
        assert part in stop.value.message
    assert "companies" not in {item.name for item in target.describe()}


def test_a_missing_table_is_named_with_the_nearest(target: SqlTarget) -> None:
    target.prepare([COMPANIES])
    with pytest.raises(FatalError, match="did you mean 'companies'"):
        target.upsert("company", pa.table({"id": ["1"]}), key="id")


def test_an_unknown_column_is_named(target: SqlTarget) -> None:
    target.prepare([COMPANIES])
    with pytest.raises(FatalError, match="no column 'nmae'"):
        target.upsert("companies", pa.table({"id": ["1"], "nmae": ["x"]}), key="id")


def test_an_empty_batch_is_answered_by_nothing(target: SqlTarget) -> None:
    target.prepare([COMPANIES])
    assert target.upsert("companies", pa.table({"id": pa.array([], pa.string())}), key="id").num_rows == 0
    assert [page.num_rows for page in target.read("companies")] == [0]


def test_a_read_only_target_refuses_every_write(database_url: str) -> None:
    writable = SqlTarget(parse({"url": database_url}))
    writable.prepare([COMPANIES])
    writable.close()
    target = SqlTarget(parse({"url": database_url, "read_only": True}))
    with pytest.raises(FatalError, match="read_only"):
        target.upsert("companies", pa.table({"id": ["1"]}), key="id")
    target.close()


def test_names_postgres_would_cut_are_refused_before_anything_is_made(postgres_url: str) -> None:
    target = SqlTarget(parse({"url": postgres_url}))
    long = ObjectSchema("t", "id", (FieldSchema("id", FieldType.ID), FieldSchema("字" * 22, FieldType.TEXT)))
    with pytest.raises(ProjectError, match="66 bytes"):
        target.prepare([COMPANIES, long])
    assert target.describe() == []
    target.close()


def test_names_sqlite_would_confuse_are_refused(tmp_path) -> None:
    target = SqlTarget(parse({"url": f"sqlite:///{tmp_path / 'x.db'}"}))
    twice = ObjectSchema("t", "id", (FieldSchema("id", FieldType.ID), FieldSchema("ID", FieldType.TEXT)))
    with pytest.raises(ProjectError, match="no difference of case"):
        target.prepare([twice])
    target.close()


def test_indexes_of_new_tables_are_built_once_the_rows_are_there(
    target: SqlTarget, database_url: str
) -> None:
    target.prepare([COMPANIES, PEOPLE])
    due = target.pending_indexes()
    assert [name.rpartition("_")[0] for name in due] == ["ix_people_boss", "ix_people_company"]
    target.upsert("people", people(("1", "a", "1")), key="id")
    again = SqlTarget(parse({"url": database_url}))  # the load was killed: whoever comes next goes on
    again.prepare([COMPANIES, PEOPLE])
    again.build_index(due[0])
    again.build_index(due[0])
    assert again.pending_indexes() == due[1:]
    again.close()
    target.build_index(due[1])
    assert [name for name in indexes(target, "people") if name.startswith("ix_")] == list(due)
    assert target.pending_indexes() == ()


def test_postgres_checks_references_of_new_tables_when_the_rows_are_there(postgres_url: str) -> None:
    target = SqlTarget(parse({"url": postgres_url}))
    target.prepare([COMPANIES, PEOPLE])
    assert [item.foreign_keys for item in relations(target._database).values() if item.foreign_keys] == [
        (ForeignKey("boss", "people", "id", deferred=True), ForeignKey("company", "companies", "id", deferred=True))
    ]  # fmt: skip
    gone = people(("1", "a", None, None, "c1"), ("2", "b", None, "1", "c2"), ("3", "c", None, None, "c2"))
    assert set(answers(target.upsert("people", gone, key="id")).values()) == {"created"}
    boss, company = target.pending_indexes()
    target.build_index(boss)
    told = r"people\.company leads to no companies in 3 rows \('c1', 'c2'\): its foreign key cannot be put in force"
    for _ in range(2):
        with pytest.raises(FatalError, match=told) as error:
            target.build_index(company)
    assert "put it back" in (error.value.hint or "")
    assert target.pending_indexes() == (company,)
    assert [name for name in indexes(target, "people") if name.startswith("ix_")] == [boss, company + "_due"]
    target.upsert("companies", pa.table({"id": ["c1", "c2"], "name": ["甲", "乙"]}), key="id")
    target.build_index(company)
    assert answers(target.upsert("people", people(("4", "d", None, "9"), ("5", "e", None, None, "c9")), key="id")) == {
        "4": "constraint.foreign-key", "5": "constraint.foreign-key"
    }  # fmt: skip
    assert answers(target.delete("companies", ["c1"], key="id")) == {"c1": "constraint.foreign-key"}
    target.close()


def test_references_to_a_table_that_was_there_are_checked_before_the_first_row(postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE companies (id integer PRIMARY KEY, name TEXT)"))
    engine.dispose()
    target = SqlTarget(parse({"url": postgres_url}))
    with pytest.raises(FatalError, match="incompatible types"):
        target.prepare([COMPANIES, PEOPLE])
    with target._database.begin() as connection:
        connection.execute(sa.text("ALTER TABLE companies ALTER id TYPE text"))
    target.prepare([COMPANIES, PEOPLE])
    assert answers(target.upsert("people", people(("1", "a", None, "9", "c9")), key="id")) == {
        "1": "constraint.foreign-key"
    }
    assert len(target.pending_indexes()) == 2
    target.close()


@pytest.mark.parametrize("space", [None, 'the "new" 100%s'])
def test_references_that_are_due_have_any_name(postgres_url: str, space: str | None) -> None:
    if space:
        engine = sa.create_engine(postgres_url)
        with engine.begin() as connection:
            connection.execute(sa.schema.CreateSchema(space))
        engine.dispose()
    odd = ObjectSchema('it\'s "a" 50%s\\ 客户', 'i"d %(x)s', (FieldSchema('i"d %(x)s', FieldType.ID),))
    near = ObjectSchema(
        "near", "id",
        (FieldSchema("id", FieldType.ID), FieldSchema("to : 100%", FieldType.REFERENCE, references=(odd.name,))),
    )  # fmt: skip
    target = SqlTarget(parse({"url": postgres_url, "schema": space}))
    target.prepare([odd, near])
    target.upsert("near", pa.table({"id": ["1"], "to : 100%": ["x"]}), key="id")
    (due,) = target.pending_indexes()
    with pytest.raises(FatalError, match=r"in 1 rows \('x'\)"):
        target.build_index(due)
    target.upsert(odd.name, pa.table({odd.key: ["x"]}), key=odd.key)
    target.build_index(due)
    found = target.upsert("near", pa.table({"id": ["2"], "to : 100%": ["y"]}), key="id").to_pylist()
    assert (found[0]["code"], found[0]["field"]) == ("constraint.foreign-key", "to : 100%")
    target.close()


def test_what_stands_in_for_an_index_holds_no_rows(target: SqlTarget) -> None:
    target.prepare([COMPANIES, PEOPLE])
    marks = [name for name in indexes(target, "people") if name.endswith("_due")]
    assert len(marks) == 2
    with target._database.begin() as connection:
        found = {item["name"]: item for item in sa.inspect(connection).get_indexes("people")}
    wheres = {str(found[mark]["dialect_options"][f"{target._database.kind}_where"]) for mark in marks}
    assert wheres == {"0" if target._database.kind == "sqlite" else "false"}


def test_a_load_of_rows_that_others_refer_to_is_undone_over_whole_indexes(target: SqlTarget) -> None:
    target.prepare([COMPANIES, PEOPLE])
    target.upsert("people", people(("1", "a", "1"), ("2", "b", "2", "1")), key="id")
    assert answers(target.delete("people", ["1"], key="id")) == {"1": "constraint.foreign-key"}
    assert target.pending_indexes() == ()


def test_tables_that_were_there_get_no_index_from_us(target: SqlTarget) -> None:
    with target._database.begin() as connection:
        connection.execute(sa.text("CREATE TABLE companies (id VARCHAR(40) PRIMARY KEY, name TEXT)"))
        connection.execute(
            sa.text(
                "CREATE TABLE people (id VARCHAR(40) PRIMARY KEY, name VARCHAR(10), email VARCHAR(90),"
                " boss VARCHAR(40) REFERENCES people (id), company VARCHAR(40) REFERENCES companies (id))"
            )
        )
    loose = [replace(item, fields=tuple(replace(each, unique=False) for each in item.fields)) for item in (COMPANIES, PEOPLE)]  # fmt: skip
    target.prepare(loose)
    assert target.pending_indexes() == ()
    assert indexes(target, "people") == []
