"""Days never shift and instants stay what they are, however a source stages them and in whatever zone it lives."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.mapping import compile_mapping
from migrator.staging.engine import DuckSession
from tests.mapping_kit import bind_texts, engine, make_schema, run_sql, staged_table

ZONES = st.sampled_from(
    [
        "UTC",
        "Asia/Shanghai",
        "America/New_York",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "Australia/Lord_Howe",
        "Europe/London",
    ]
)
DAYS = (
    st.one_of(st.dates(), st.sampled_from([date.min, date.max, date(1582, 10, 10), date(1900, 2, 28)]))
    | st.none()
)
CHANGES = st.sampled_from(["2024-03-10 02:30", "2024-11-03 01:30", "2024-03-31 01:15", "2011-12-30 12:00"])
NAIVE = st.datetimes(datetime(1992, 1, 1), datetime(2030, 1, 1))  # noqa: DTZ001  # local times are the point
LOCAL = st.one_of(NAIVE, CHANGES.map(datetime.fromisoformat))
SCHEMA = make_schema(
    "T",
    Day="date",
    DayText="date",
    At="datetime",
    AtText="datetime",
    Local="datetime",
    CreatedDate="datetime",
)
TYPES = {
    "Day": pa.date32(), "At": pa.timestamp("us", tz="UTC"), "Local": pa.timestamp("us"),
    "CreatedDate": pa.timestamp("ms", tz="Asia/Tokyo"),
}  # fmt: skip
MAPPING = """\
mapping: t
target: {system: new, object: t, key: k}
source: {system: old, object: T}
fields:
  k: {from: Id}
  day: {from: Day}
  day_text: {from: DayText, zone: ZONE}
  at: {from: At, zone: ZONE}
  at_text: {from: AtText, zone: ZONE}
  local: {from: Local, zone: ZONE}
  day_of: {from: At, type: date, zone: ZONE}
  created_at: {from: CreatedDate, zone: ZONE}
  created_by: {from: Id}
"""


@pytest.fixture(scope="module")
def session() -> Iterator[DuckSession]:
    with tempfile.TemporaryDirectory() as folder, engine(Path(folder)) as opened:
        yield opened


def instant(moment: datetime, zone: str) -> datetime:
    """A local time as an instant: the later one of an hour that comes twice; a skipped one moves on by what is skipped."""
    first = moment.replace(tzinfo=ZoneInfo(zone), fold=0)
    skipped = first.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0) != moment
    return first.replace(fold=0 if skipped else 1).astimezone(UTC)


def utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


@settings(max_examples=12, deadline=None)
@given(zone=ZONES, rows=st.lists(st.tuples(DAYS, LOCAL), min_size=1, max_size=25))
def test_days_and_instants_arrive_as_they_are(
    session: DuckSession, zone: str, rows: list[tuple[date | None, datetime]]
):
    staged = [
        {
            "Id": f"{number:02}",
            "Day": day,
            "DayText": day.isoformat() if day else None,
            "At": moment.replace(tzinfo=UTC),
            "AtText": moment.isoformat(sep=" "),
            "Local": moment,
            "CreatedDate": moment.replace(tzinfo=UTC, microsecond=0),
        }
        for number, (day, moment) in enumerate(rows)
    ]
    table = staged_table(SCHEMA, staged, TYPES)
    bound = bind_texts(
        {"t.yaml": MAPPING.replace("ZONE", zone)},
        {"old": [SCHEMA]},
        Path(),
        staged={"old/T": table.schema}.get,
    )
    found = run_sql(session, compile_mapping(bound.mappings[0]), {"old/T": table})
    told = [
        [utc(row[name]) for name in ("day", "day_text", "at", "at_text", "local", "day_of", "created_at")]
        for row in found
    ]
    expected = [
        [
            day, day, moment.replace(tzinfo=UTC), instant(moment, zone), instant(moment, zone),
            moment.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).date(), moment.replace(tzinfo=UTC, microsecond=0),
        ]
        for day, moment in rows
    ]  # fmt: skip
    assert told == expected
    assert [row["created_by"] for row in found] == [row["Id"] for row in staged]
    assert all(not row["__issues"] for row in found)


def test_the_hours_around_a_change_of_clocks(session: DuckSession):
    """Every quarter of an hour of the days on which New York changes its clocks."""
    moments = [
        datetime.combine(day, time()) + timedelta(minutes=15 * step)
        for day in (date(2024, 3, 10), date(2024, 11, 3))
        for step in range(24)
    ]
    rows = [{"Id": f"{number:02}", "AtText": moment.isoformat()} for number, moment in enumerate(moments)]
    table = staged_table(SCHEMA, rows)
    text = MAPPING.replace("ZONE", "America/New_York")
    bound = bind_texts({"t.yaml": text}, {"old": [SCHEMA]}, Path())
    found = run_sql(session, compile_mapping(bound.mappings[0]), {"old/T": table})
    assert [utc(row["at_text"]) for row in found] == [
        instant(moment, "America/New_York") for moment in moments
    ]
