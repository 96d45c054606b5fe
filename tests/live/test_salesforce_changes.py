"""What changed in a Salesforce sandbox since a watermark: nothing missed, nothing doubled once the overlap is over."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import UTC, datetime

import pytest

from connectors.salesforce.source import SalesforceSource
from connectors.sandbox.faults import Do, Fault, Schedule
from connectors.sandbox.records import Write
from connectors.sandbox.salesforce.org import Switches
from migrator.core.clock import FixedClock
from migrator.core.errors import WatermarkExpired
from tests.live.salesforce_world import Drifting, World, world

pytestmark = pytest.mark.live
START = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
LATE = 900


class Follower:
    """Follows an object by its changes, from one watermark to the next."""

    def __init__(self, source: SalesforceSource) -> None:
        self.source = source
        self.mark = source.watermark("Deal__c")
        self.held: dict[str, str | None] = {}
        self.told: Counter[str] = Counter()
        """How often each record came in the last call."""
        self.gone: list[str] = []

    def read(self) -> None:
        for page in self.source.read("Deal__c"):
            self.held |= {row["Id"]: row["Title__c"] for row in page.rows.to_pylist()}

    def follow(self, page_rows: int = 50_000) -> None:
        self.told, self.gone = Counter(), []
        marks = []
        for page in self.source.changes("Deal__c", since=self.mark, page_rows=page_rows):
            assert page.rows.num_rows <= page_rows
            for row in page.rows.to_pylist():
                self.told[row["Id"]] += 1
                self.held[row["Id"]] = row["Title__c"]
            for key in page.deleted.to_pylist():
                self.gone.append(key)
                self.held.pop(key, None)
            marks.append(page.watermark)
        assert marks[:-1] == [None] * (len(marks) - 1)
        self.mark = marks[-1]


def live(org: World) -> dict[str, str | None]:
    """What a user of the sandbox sees now."""
    source = org.source()
    pages = [page.rows.to_pylist() for page in source.read("Deal__c")]
    return {row["Id"]: row["Title__c"] for rows in pages for row in rows}


def test_25_000_records_of_one_instant_come_once_each_and_not_again() -> None:
    clock = Drifting(START)
    with world(clock=clock) as org:
        follower = Follower(org.source())
        clock.on(seconds=30)
        ids = org.fill(25_000, stamp=clock.at.strftime("%Y-%m-%dT%H:%M:%S.000000Z"))
        clock.on(seconds=30)
        follower.follow(page_rows=3_000)
        assert follower.told == Counter(ids)
        clock.on(seconds=LATE + 120)
        follower.follow()  # this one still looks back before its own watermark
        clock.on(seconds=60)
        follower.follow()
        assert not follower.told


LOST = Fault(
    Do.ANSWER, "GET", "*/query*/0*", nth=(2, 5), status=400,
    body='[{"errorCode": "INVALID_QUERY_LOCATOR", "message": "invalid query locator"}]',
)  # fmt: skip


def test_a_lost_place_in_the_middle_of_one_instant_is_found_again() -> None:
    clock = Drifting(START)
    with world(clock=clock, switches=Switches(page_rows=200)) as org:
        org.box.moods.schedule = Schedule((LOST,))
        follower = Follower(org.source())
        ids = org.fill(1_900, stamp="2026-03-01T12:00:30.000000Z")
        follower.follow()
        assert follower.told == Counter(ids)
        follower.read()
        assert len(follower.held) == 1_900
        assert [call.fault for call in org.box.moods.log].count("answer") == 2


@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 400, 401])
@pytest.mark.parametrize("page_rows", [7, 200, 50_000])
def test_page_edges_lose_nothing(count: int, page_rows: int) -> None:
    with world(clock=Drifting(START), switches=Switches(page_rows=200)) as org:
        follower = Follower(org.source())
        ids = org.fill(count, stamp="2026-03-01T12:00:30.000000Z")
        follower.follow(page_rows)
        assert follower.told == Counter(ids)


@pytest.mark.parametrize("late", [1, 60, 300, 840])
def test_what_commits_late_is_seen_later(late: int) -> None:
    clock = Drifting(START)
    with world(clock=clock) as org:
        store = org.org.store
        kept = store.insert("Deal__c", {"Legacy__c": "kept", "Title__c": "before"})
        doomed = store.insert("Deal__c", {"Legacy__c": "doomed"})
        follower = Follower(org.source())
        follower.read()
        made = store.insert("Deal__c", {"Legacy__c": "new", "Title__c": "late"}, write=Write(late=late))
        store.update("Deal__c", kept, {"Title__c": "after"}, write=Write(late=late))
        store.delete("Deal__c", doomed, write=Write(late=late))
        while (clock.at - START).total_seconds() <= late:
            follower.follow()
            clock.on(seconds=max(1, late / 3))
        follower.follow()
        assert follower.held == {kept: "after", made: "late"} == live(org)


def test_deletes_soft_and_hard_and_taken_back() -> None:
    clock = Drifting(START)
    with world(clock=clock) as org:
        store = org.org.store
        soft, hard, back, stays = org.fill(4)
        follower = Follower(org.source())
        follower.read()
        clock.on(seconds=5)
        store.delete("Deal__c", soft)
        store.delete("Deal__c", hard)
        store.purge("Deal__c", hard)
        store.delete("Deal__c", back)
        clock.on(seconds=5)
        store.undelete("Deal__c", back)
        clock.on(minutes=2)
        follower.follow()
        assert sorted(follower.gone) == sorted([soft, hard])
        assert set(follower.held) == {back, stays}


def test_a_delete_in_the_minute_of_the_watermark_is_not_lost() -> None:
    clock = Drifting(START.replace(second=58))
    with world(clock=clock) as org:
        (doomed,) = org.fill(1)
        follower = Follower(org.source())
        follower.read()
        org.org.store.delete("Deal__c", doomed)
        org.org.store.purge("Deal__c", doomed)
        follower.follow()  # the log of this minute is not complete yet
        clock.on(seconds=61)
        follower.follow()
        assert follower.held == {}


def test_the_second_of_the_watermark_itself_counts() -> None:
    with world(clock=Drifting(START)) as org:
        follower = Follower(org.source(late_seconds=0))
        ids = org.fill(3, stamp="2026-03-01T12:00:30.000000Z")  # committed after, within the same second
        follower.follow()
        assert follower.told == Counter(ids)


def test_a_record_that_lives_is_never_told_as_deleted() -> None:
    """Whether the log of a real organisation keeps an undeleted record is not documented: it is looked up."""
    clock = Drifting(START)
    with world(clock=clock) as org:
        back, gone = org.fill(2)
        org.org.store.delete("Deal__c", gone)
        org.org.store.purge("Deal__c", gone)
        follower = Follower(org.source())
        clock.on(minutes=5)
        at = "2026-03-01T12:01:00.000+0000"
        log = {
            "deletedRecords": [{"id": back, "deletedDate": at}, {"id": gone, "deletedDate": at}],
            "earliestDateAvailable": "2026-02-20T00:00:00.000+0000", "latestDateCovered": at,
        }  # fmt: skip
        org.box.moods.schedule = Schedule((Fault(Do.ANSWER, "GET", "*/deleted/*", body=json.dumps(log)),))
        follower.follow()
        assert follower.gone == [gone]


@pytest.mark.parametrize("skew", [-86_400.0, -90.0, 90.0, 86_400.0])
def test_our_own_clock_does_not_matter(skew: float) -> None:
    clock = Drifting(START)
    ours = FixedClock(datetime.fromtimestamp(START.timestamp() + skew, UTC))
    with world(clock=clock) as org:
        follower = Follower(org.source(ours))
        ids = []
        for number in range(3):
            ids += org.fill(2, start=2 * number)
            clock.on(seconds=20)
            follower.follow()
        assert set(follower.held) == set(ids)


def test_longer_ago_than_deletions_are_remembered_is_said() -> None:
    clock = Drifting(START)
    with world(clock=clock) as org:
        follower = Follower(org.source())
        clock.on(days=14)
        follower.follow()
        clock.on(days=16)
        with pytest.raises(WatermarkExpired, match="15 days"):
            follower.follow()


def test_a_log_that_was_purged_early_is_said() -> None:
    purged = {
        "deletedRecords": [], "earliestDateAvailable": "2026-03-01T13:00:00.000+0000",
        "latestDateCovered": "2026-03-01T13:30:00.000+0000",
    }  # fmt: skip
    clock = Drifting(START)
    with world(clock=clock) as org:
        follower = Follower(org.source())
        clock.on(hours=2)
        fault = Fault(Do.ANSWER, "GET", "*/deleted/*", body=json.dumps(purged))
        org.box.moods.schedule = Schedule((fault,))
        with pytest.raises(WatermarkExpired, match="begins"):
            follower.follow()


@pytest.mark.parametrize("seed", range(6))
def test_a_follower_ends_where_the_organisation_is(seed: int) -> None:
    """Any history of late creates, edits, deletes, purges and undeletes, read at any moments."""
    chance, clock = random.Random(seed), Drifting(START)
    with world(clock=clock, switches=Switches(page_rows=200)) as org:
        store, known, binned, number = org.org.store, set(org.fill(30)), set(), 100
        follower = Follower(org.source())
        follower.read()
        for _ in range(120):
            late = Write(late=chance.choice([0, 0, 0, 5, 70, 600]))
            match chance.randrange(7):
                case 0 | 1:
                    number += 1
                    known.add(
                        store.insert("Deal__c", {"Legacy__c": f"N{number}", "Title__c": "made"}, write=late)
                    )
                case 2 | 3:
                    visible = [key for key in sorted(known) if store.get("Deal__c", key)]
                    if visible:
                        title = f"edit {chance.random()}"
                        store.update("Deal__c", chance.choice(visible), {"Title__c": title}, write=late)
                case 4:
                    visible = [key for key in sorted(known) if store.get("Deal__c", key)]
                    if visible:
                        doomed = chance.choice(visible)
                        store.delete("Deal__c", doomed)
                        known.discard(doomed)
                        binned.add(doomed)
                case 5:
                    if binned:
                        record = chance.choice(sorted(binned))
                        binned.discard(record)
                        if chance.random() < 0.5:
                            store.purge("Deal__c", record)
                        else:
                            store.undelete("Deal__c", record)
                            known.add(record)
                case _:
                    follower.follow(chance.choice([1, 7, 50_000]))
            clock.on(seconds=chance.choice([0, 0.4, 1, 31, 200]))
        for _ in range(3):
            clock.on(seconds=LATE)
            follower.follow()
        assert follower.held == live(org)
        assert not follower.told
