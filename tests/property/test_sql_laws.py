"""Laws of the SQL target on both databases: what is written is read back, twice is once, and exactly the bad rows are refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.sql.decimals import stored_decimals
from connectors.sql.failures import Refusal
from connectors.sql.settings import parse
from connectors.sql.target import SqlTarget
from connectors.sql.writing import isolate, settle
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

SHARED = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
VALUES = ObjectSchema(
    "values",
    "key",
    (
        FieldSchema("key", FieldType.ID),
        FieldSchema("text", FieldType.TEXT),
        FieldSchema("money", FieldType.DECIMAL, precision=18, scale=2),
        FieldSchema("wide", FieldType.DECIMAL, precision=38, scale=10),
        FieldSchema("whole", FieldType.INTEGER),
        FieldSchema("ratio", FieldType.FLOAT),
        FieldSchema("flag", FieldType.BOOLEAN),
        FieldSchema("day", FieldType.DATE),
        FieldSchema("instant", FieldType.DATETIME),
    ),
)
ARROW = pa.schema(
    [
        ("key", pa.string()),
        ("text", pa.string()),
        ("money", pa.decimal128(18, 2)),
        ("wide", pa.decimal128(38, 10)),
        ("whole", pa.int64()),
        ("ratio", pa.float64()),
        ("flag", pa.bool_()),
        ("day", pa.date32()),
        ("instant", pa.timestamp("us", tz="UTC")),
    ]
)


def decimals(digits: int, scale: int) -> st.SearchStrategy[Decimal]:
    limit = 10**digits - 1
    return st.integers(-limit, limit).map(lambda unscaled: Decimal(unscaled).scaleb(-scale))


TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20
) | st.sampled_from(
    [
        "",
        "NULL",
        "NA",
        "\\N",
        "\\.",
        "'",
        '"',
        '""',
        "a\r\nb",
        "a,b",
        " ",
        "😀",
        "短",
        "%s",
        "{}",
        "0x00",
        "\t",
    ]
)
ROWS = st.dictionaries(
    TEXTS,
    st.tuples(
        st.none() | TEXTS,
        st.none() | decimals(18, 2),
        st.none() | decimals(28, 10).map(lambda value: value),
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.floats(allow_nan=False),
        st.none() | st.booleans(),
        st.none() | st.dates(date(1, 1, 1), date(9999, 12, 31)),
        st.none() | st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23), timezones=st.just(UTC)),  # noqa: DTZ001
    ),
    min_size=1,
    max_size=8,
)


@pytest.fixture
def target(database_url: str) -> Iterator[SqlTarget]:
    opened = SqlTarget(parse({"url": database_url}))
    opened.prepare([VALUES])
    yield opened
    opened.close()


def emptied(target: SqlTarget) -> SqlTarget:
    keys = [key for page in target.read("values", columns=["key"]) for key in page["key"].to_pylist()]
    target.delete("values", keys, key="key")
    return target


def table(rows: dict[str, tuple[object, ...]]) -> pa.Table:
    columns = list(zip(*((key, *values) for key, values in rows.items()), strict=True))
    arrays = [pa.array(list(values), field.type) for values, field in zip(columns, ARROW, strict=True)]
    return pa.Table.from_arrays(arrays, schema=ARROW)


def by_key(rows: pa.Table) -> dict[str, dict[str, object]]:
    return {row["key"]: row for row in rows.to_pylist()}


@SHARED
@given(rows=ROWS)
def test_what_is_written_is_read_back_and_twice_is_once(
    target: SqlTarget, rows: dict[str, tuple[object, ...]]
) -> None:
    sent = table(rows)
    assert set(emptied(target).upsert("values", sent, key="key")["outcome"].to_pylist()) == {"created"}
    read = pa.concat_tables(target.read("values", page_rows=3))
    assert read.schema == ARROW
    assert by_key(read) == by_key(sent)
    assert set(target.upsert("values", sent, key="key")["outcome"].to_pylist()) == {"unchanged"}


@SHARED
@given(before=ROWS, after=ROWS)
def test_an_upsert_over_other_rows_leaves_the_new_ones_and_says_which(
    target: SqlTarget, before: dict[str, tuple[object, ...]], after: dict[str, tuple[object, ...]]
) -> None:
    emptied(target).upsert("values", table(before), key="key")
    found = target.upsert("values", table(after), key="key")
    outcomes = dict(zip(found["key"].to_pylist(), found["outcome"].to_pylist(), strict=True))
    assert outcomes == {
        key: "created" if key not in before else "unchanged" if before[key] == values else "updated"
        for key, values in after.items()
    }
    read = pa.concat_tables(target.read("values"))
    assert by_key(read) == by_key(table({**before, **after}))


@SHARED
@given(size=st.integers(1, 60), bad=st.sets(st.integers(0, 59)))
def test_exactly_the_bad_rows_are_refused(target: SqlTarget, size: int, bad: set[int]) -> None:
    """A check that only the database knows, so that nothing is found before it is sent."""
    from connectors.sql.database import driver

    with emptied(target)._database.begin() as connection:
        driver(connection).execute("DROP INDEX IF EXISTS one_forbidden")
        driver(connection).execute('CREATE UNIQUE INDEX one_forbidden ON "values" (whole) WHERE whole < 0')
    seed = pa.table({"key": ["seed"], "whole": [-1]})
    target.upsert("values", seed, key="key")
    numbers = [-1 if number in bad else number for number in range(size)]
    sent = pa.table({"key": [str(number) for number in range(size)], "whole": numbers})
    found = target.upsert("values", sent, key="key").to_pylist()
    refused = {int(answer["key"]) for answer in found if answer["outcome"] == "refused"}
    assert refused == {number for number in bad if number < size}
    assert {answer["code"] for answer in found if answer["outcome"] == "refused"} <= {"constraint.unique"}
    assert sum(page.num_rows for page in target.read("values")) == size - len(refused) + 1


@given(size=st.integers(0, 200), bad=st.sets(st.integers(0, 199), max_size=20))
def test_halving_finds_exactly_the_bad_and_writes_the_rest(size: int, bad: set[int]) -> None:
    written: list[int] = []

    def attempt(numbers: list[int]) -> Refusal | None:
        if bad.intersection(numbers):
            return Refusal("x", "bad")
        written.extend(numbers)
        return None

    assert set(isolate(attempt, range(size))) == {number for number in bad if number < size}
    assert sorted(written) == [number for number in range(size) if number not in bad]


@given(order=st.permutations(range(12)))
def test_rows_that_wait_for_each_other_settle_in_any_order(order: list[int]) -> None:
    """Row n needs row n - 1; row 12 needs one that never comes."""
    written: set[int] = set()

    def attempt(numbers: list[int]) -> Refusal | None:
        if any(number == 12 or (number and number - 1 not in written | set(numbers)) for number in numbers):
            return Refusal("constraint.foreign-key", "no parent")
        written.update(numbers)
        return None

    assert set(settle(attempt, [*order, 12])) == {12}


@given(value=decimals(38, 10) | decimals(15, 2) | decimals(17, 2))
def test_no_decimal_changes_on_its_way_through_sqlite(value: Decimal) -> None:
    stored = stored_decimals(pa.array([f"{value:f}"]))[0]
    assert Decimal(str(stored)) == value
