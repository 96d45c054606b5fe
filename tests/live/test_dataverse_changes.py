"""What changed, over HTTP: one stamp on everything, late commits, page edges, deletions, lost tokens, wrong clocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from connectors.dataverse.source import DataverseSource
from connectors.sandbox.faults import Do, Fault
from connectors.sandbox.records import Write
from connectors.sandbox.serve import Box
from migrator.core.clock import FixedClock
from migrator.core.errors import FatalError, WatermarkExpired
from tests.live.dataverse_box import dataverse, source

pytestmark = pytest.mark.live
TRACKED, STAMPED = "account", "annotation"
"""A table with change tracking, and one without."""
_TEXT = {TRACKED: "name", STAMPED: "subject"}
_KEY = {TRACKED: "accountid", STAMPED: "annotationid"}
tables = pytest.mark.parametrize("table", [TRACKED, STAMPED])


@dataclass
class Told:
    """What one call of `changes` said."""

    keys: Counter[str]
    deleted: list[str]
    watermark: str


def changes(opened: DataverseSource, table: str, since: str, page_rows: int = 5_000) -> Told:
    pages = list(opened.changes(table, since=since, page_rows=page_rows))
    keys = Counter(key for page in pages for key in page.rows.column(_KEY[table]).to_pylist())
    assert pages[-1].watermark is not None
    return Told(keys, [key for page in pages for key in page.deleted.to_pylist()], pages[-1].watermark)


def make(box: Box, table: str, texts: Sequence[str]) -> set[str]:
    return {box.store.insert(table, {_TEXT[table]: text}) for text in texts}


@tables
def test_25000_rows_on_one_stamp_come_once_each(table: str) -> None:
    with dataverse() as box, source(box) as opened:
        since = opened.watermark(table)
        now = box.store.now()
        rows = (
            (f"{n:08x}-0000-4000-8000-00000000abcd", {_TEXT[table]: f"r{n}", "modifiedon": now})
            for n in range(25_000)
        )
        box.store.load(table, rows)
        told = changes(opened, table, since)
        assert (len(told.keys), set(told.keys.values())) == (25_000, {1})
        read = Counter(
            key
            for page in opened.read(table, page_rows=4_999)
            for key in page.rows.column(_KEY[table]).to_pylist()
        )
        assert read == told.keys


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 14, 15])
@tables
def test_no_row_is_lost_at_the_edge_of_a_page(table: str, count: int) -> None:
    with dataverse() as box, source(box) as opened:
        since = opened.watermark(table)
        made = make(box, table, [f"r{n}" for n in range(count)])
        assert changes(opened, table, since, page_rows=7).keys == Counter(made)
        pages = list(opened.read(table, page_rows=7))
        assert [page.rows.num_rows for page in pages] == [7] * (count // 7) + (
            [count % 7] if count % 7 or not count else []
        )


@tables
def test_what_commits_late_under_an_old_stamp_still_comes_and_then_no_more(table: str) -> None:
    clock = FixedClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
    with dataverse(clock=clock, token_seconds=10**9) as box, source(box, overlap_seconds=600) as opened:
        late = box.store.insert(table, {_TEXT[table]: "late"}, write=Write(late=400))
        clock.sleep(60)
        since = opened.watermark(table)
        early = changes(opened, table, since)
        assert late not in early.keys
        clock.sleep(400)
        told = changes(opened, table, early.watermark)
        assert told.keys[late] == 1
        clock.sleep(1_500)
        assert not changes(opened, table, changes(opened, table, told.watermark).watermark).keys


@tables
def test_a_change_made_between_two_pages_comes_now_or_the_next_time(table: str) -> None:
    with dataverse() as box, source(box) as opened:
        made = sorted(make(box, table, [f"r{n}" for n in range(9)]))
        since = opened.watermark(table)
        for key in made:
            box.store.update(table, key, {_TEXT[table]: "changed"})
        pages = opened.changes(table, since=since, page_rows=4)
        first = next(pages)
        box.store.update(table, made[0], {_TEXT[table]: "changed again"})
        new = box.store.insert(table, {_TEXT[table]: "new"})
        rest = [first, *pages]
        assert rest[-1].watermark is not None
        later = changes(opened, table, rest[-1].watermark)
        told = {row[_KEY[table]]: row[_TEXT[table]] for page in rest for row in page.rows.to_pylist()}
        told |= {key: "changed again" if key == made[0] else told.get(key, "new") for key in later.keys}
        assert told == {**dict.fromkeys(made, "changed"), made[0]: "changed again", new: "new"}


def test_deletions_come_by_key_soft_and_hard_and_those_of_records_never_seen() -> None:
    with dataverse() as box, source(box) as opened:
        one, two, three = sorted(make(box, TRACKED, ["a", "b", "c"]))
        since = opened.watermark(TRACKED)
        box.store.delete(TRACKED, one)
        box.store.purge(TRACKED, two)
        brief = box.store.insert(TRACKED, {"name": "brief"})
        box.store.delete(TRACKED, brief)
        told = changes(opened, TRACKED, since)
        assert sorted(told.deleted) == sorted([one, two, brief])
        assert not told.keys
        assert not changes(opened, TRACKED, told.watermark).deleted
        assert [row["accountid"] for page in opened.read(TRACKED) for row in page.rows.to_pylist()] == [three]


def test_a_record_deleted_while_its_change_is_read_comes_as_deleted_the_next_time() -> None:
    with dataverse() as box, source(box) as opened:
        made = sorted(make(box, TRACKED, [f"r{n}" for n in range(4)]))
        since = opened.watermark(TRACKED)
        for key in made:
            box.store.update(TRACKED, key, {"name": "changed"})
        pages = opened.changes(TRACKED, since=since, page_rows=2)
        first = next(pages)
        box.store.delete(TRACKED, made[3])
        last = [first, *pages][-1]
        assert last.watermark is not None
        again = changes(opened, TRACKED, last.watermark)
        assert made[3] in {*last.deleted.to_pylist(), *again.deleted}


def test_a_delta_token_that_has_expired_asks_for_a_full_comparison() -> None:
    clock = FixedClock(datetime(2026, 3, 1, tzinfo=UTC))
    with dataverse(clock=clock, token_seconds=10**9) as box, source(box) as opened:
        since = opened.watermark(TRACKED)
        clock.at += timedelta(days=6, hours=23)
        assert not changes(opened, TRACKED, since).keys
        clock.at += timedelta(hours=2)
        with pytest.raises(WatermarkExpired, match="0x80044352"):
            changes(opened, TRACKED, since)


def test_a_watermark_of_the_other_kind_or_of_nobody_is_refused() -> None:
    with dataverse() as box, source(box) as opened:
        stamp, link = opened.watermark(STAMPED), opened.watermark(TRACKED)
        with pytest.raises(WatermarkExpired, match="was switched"):
            list(opened.changes(TRACKED, since=stamp))
        with pytest.raises(WatermarkExpired, match="was switched"):
            list(opened.changes(STAMPED, since=link))
        for strange in ("", "[]", "x", '{"since": 5}'):
            with pytest.raises((FatalError, WatermarkExpired)):
                list(opened.changes(TRACKED, since=strange))
        with pytest.raises(FatalError, match="another host"):
            list(opened.changes(TRACKED, since='{"delta": "https://evil.example/x"}'))


@pytest.mark.parametrize("hours", [-30, 5])
def test_a_service_whose_clock_is_wrong_loses_nothing(hours: int) -> None:
    """Its stamps and its header Date go wrong together; ours is not asked."""
    clock = FixedClock(datetime.now(UTC) + timedelta(hours=hours))
    with dataverse(clock=clock, token_seconds=10**9) as box, source(box, overlap_seconds=0) as opened:
        since = opened.watermark(STAMPED)
        made = make(box, STAMPED, ["a", "b"])
        assert set(changes(opened, STAMPED, since).keys) == made
        clock.sleep(10)
        since = opened.watermark(STAMPED)
        assert not changes(opened, STAMPED, since).keys


@tables
def test_rows_that_come_and_go_while_a_table_is_read_disturb_no_other(table: str) -> None:
    with dataverse() as box, source(box) as opened:
        made = sorted(make(box, table, [f"r{n}" for n in range(20)]))
        told: Counter[str] = Counter()
        for page in opened.read(table, page_rows=5):
            told.update(page.rows.column(_KEY[table]).to_pylist())
            box.store.delete(table, made[0 if len(told) == 5 else 1])
            made = made[1:] if len(told) == 5 else [made[0], *made[2:]]
            if len(told) >= 10:
                break
        assert set(told.values()) == {1}


def test_pages_and_changes_that_do_not_end_are_given_up() -> None:
    again = Fault(Do.REPLAY, method="GET", path="*/accounts")
    with dataverse() as box:
        make(box, TRACKED, [f"r{n}" for n in range(9)])
        with source(box) as opened:
            since = opened.watermark(TRACKED)
            for number in range(9):
                box.store.update(TRACKED, box.store.find(TRACKED, name=f"r{number}")[0], {"telephone1": "1"})
            box.moods.schedule.faults = (again,)
            with pytest.raises(FatalError, match="do not end"):
                list(opened.read(TRACKED, page_rows=2))
            box.moods.schedule.faults = (Fault(Do.REPLAY, method="GET", path="*/accounts", every=1),)
            with pytest.raises(FatalError):
                list(opened.changes(TRACKED, since=since, page_rows=2))
