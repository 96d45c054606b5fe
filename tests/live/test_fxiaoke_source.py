"""The Fxiaoke source on a sandbox over HTTP: nothing missed and nothing doubled by the cursor, and answers that mean harm."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from connectors.fxiaoke.source import FxiaokeSource
from connectors.sandbox.faults import Do, Fault
from connectors.sandbox.serve import Box
from connectors.sandbox.values import instant
from migrator.core.errors import FatalError, RetryableError, WatermarkExpired
from tests.live.fxiaoke_world import KEY, source, target, tenant

pytestmark = pytest.mark.live
QUERY, DESCRIBE = "*/data/query", "*/object/describe"
MOMENT = datetime(2024, 5, 1, 8, 0, tzinfo=UTC)


def put(box: Box, numbers: range, at: datetime = MOMENT) -> None:
    """Records with ids in the order of their numbers, all changed at one instant."""
    rows = (
        (
            f"68fa{n:020x}",
            {
                "name": f"客户 {n}",
                KEY: f"a{n}",
                "create_time": instant(at),
                "last_modified_time": instant(at),
            },
        )
        for n in numbers
    )
    box.store.load("AccountObj", rows)


def keys(crm: FxiaokeSource, since: str | None = None, **how: Any) -> list[str]:
    """Keys that a read, or the changes since a watermark, delivers."""
    pages = crm.read("AccountObj", **how) if since is None else crm.changes("AccountObj", since=since, **how)
    return [key for page in pages for key in page.rows.column(KEY).to_pylist()]


def deleted(crm: FxiaokeSource, since: str) -> list[str]:
    return [key for page in crm.changes("AccountObj", since=since) for key in page.deleted.to_pylist()]


def last(crm: FxiaokeSource, since: str) -> str:
    return str([page.watermark for page in crm.changes("AccountObj", since=since)][-1])


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 200])
def test_page_edges_lose_and_double_nothing(count: int) -> None:
    with tenant() as box:
        put(box, range(count))
        assert keys(source(box)) == [f"a{n}" for n in range(count)]
        assert sorted(keys(source(box), since="0")) == sorted(f"a{n}" for n in range(count))


def test_25000_records_of_one_instant_come_once_each_and_from_any_cursor() -> None:
    with tenant() as box:
        put(box, range(25_000))
        crm = source(box)
        pages = list(crm.read("AccountObj"))
        assert max(page.rows.num_rows for page in pages) <= 5_100
        assert [key for page in pages for key in page.rows.column(KEY).to_pylist()] == [
            f"a{n}" for n in range(25_000)
        ]
        assert keys(crm, cursor=pages[2].cursor)[0] == pages[3].rows.column(KEY)[0].as_py()
        since = crm.watermark("AccountObj")
        found = keys(crm, since=since)
        assert len(found) == len(set(found)) == 25_000


def test_what_is_committed_late_under_an_old_stamp_is_found_within_the_overlap() -> None:
    with tenant(Fault(Do.LATE, path="*/data/create", seconds=1.0)) as box:
        put(box, range(3), datetime.now(UTC) - timedelta(hours=1))
        crm = source(box, overlap=60)
        since = last(crm, "0")
        target(box).upsert("AccountObj", pa.table({KEY: ["late"], "name": ["x"]}), key=KEY)
        box.store.insert("AccountObj", {"name": "y", KEY: "prompt"})
        assert "late" not in keys(crm, since=since)
        since = last(crm, since)  # already later than the stamp of the late one
        time.sleep(1.1)
        assert {"late", "prompt"} <= set(keys(crm, since=since))


def test_a_record_changed_behind_the_scans_back_is_in_the_next_changes() -> None:
    with tenant() as box:
        put(box, range(350))
        crm = source(box, overlap=0)
        pages = crm.changes("AccountObj", since="0", page_rows=100)
        first = next(iter(pages))
        box.store.update("AccountObj", f"68fa{5:020x}", {"tel": "1"})
        rest = list(pages)
        watermark = rest[-1].watermark
        assert watermark is not None
        assert first.rows.column(KEY)[5].as_py() == "a5"
        assert "a5" in keys(crm, since=watermark)
        assert len([key for page in [first, *rest] for key in page.rows.column(KEY).to_pylist()]) == 350


def test_invalidated_records_are_deleted_and_those_gone_for_good_show_only_in_a_full_comparison() -> None:
    with tenant() as box:
        put(box, range(5))
        crm = source(box)
        since = last(crm, "0")
        box.store.delete("AccountObj", f"68fa{1:020x}")
        box.store.purge("AccountObj", f"68fa{2:020x}")
        assert deleted(crm, since) == [f"68fa{1:020x}"]
        assert not crm.facts.deleted_feed
        assert sorted(keys(crm)) == ["a0", "a3", "a4"]
        box.store.undelete("AccountObj", f"68fa{1:020x}")
        assert "a1" in keys(crm, since=since)


def test_our_clock_does_not_matter() -> None:
    with tenant() as box:
        future = datetime.now(UTC) + timedelta(days=400)
        put(box, range(2), future)
        crm = source(box, overlap=0)
        since = last(crm, "0")
        put(box, range(2, 4), future + timedelta(seconds=1))
        assert keys(crm, since=since)[-2:] == ["a2", "a3"]


def test_an_empty_object_has_one_empty_page_and_a_watermark_that_finds_the_first_record() -> None:
    with tenant() as box:
        crm = source(box)
        since = crm.watermark("AccountObj")
        assert [page.rows.num_rows for page in crm.read("AccountObj")] == [0]
        put(box, range(1))
        assert keys(crm, since=since) == ["a0"]
        with pytest.raises(WatermarkExpired):
            keys(crm, since="'; DROP")


@pytest.mark.parametrize("do", [Do.BAD_JSON, Do.TRUNCATE, Do.HTML, Do.RESET, Do.UNAVAILABLE, Do.FAIL])
def test_a_damaged_answer_is_for_another_try_and_says_what_came(do: Do) -> None:
    with tenant(Fault(do, path=QUERY, nth=(2,))) as box:
        put(box, range(250))
        crm = source(box)
        with pytest.raises(RetryableError) as caught:
            keys(crm)
        assert "/cgi/crm/v2/data/query" in str(caught.value)
        assert "sandbox-secret" not in str(caught.value)
        assert keys(crm) == [f"a{n}" for n in range(250)]


def answered(body: str, path: str = QUERY) -> Fault:
    return Fault(Do.ANSWER, path=path, body=body)


@pytest.mark.parametrize(
    "body",
    [
        "[]", '"text"', "{}", '{"errorCode": true}', '{"errorCode": 0}', '{"errorCode": 0, "data": []}',
        '{"errorCode": 0, "data": {"dataList": {"a": 1}}}', '{"errorCode": 0, "data": {"dataList": [1]}}',
        '{"errorCode": 0, "data": {"dataList": [{"name": "x"}]}}', '{"errorCode": 0, "data": {"dataList": [{"_id": 7}]}}',
        '{"errorCode": 0, "data": {"dataList": null}}', '{"errorCode": [0]}', "[" * 100_000,
    ],
)  # fmt: skip
def test_an_answer_of_another_shape_is_an_error_with_words(body: str) -> None:
    with tenant(answered(body)) as box, pytest.raises((FatalError, RetryableError)) as caught:
        keys(source(box))
    assert len(str(caught.value)) < 1_000


def test_a_redirect_to_elsewhere_is_not_followed() -> None:
    with (
        tenant(Fault(Do.REDIRECT, path=QUERY, to="https://evil.example/cgi")) as box,
        pytest.raises(FatalError, match=r"evil\.example"),
    ):
        keys(source(box))


def test_an_answer_without_end_is_cut_off() -> None:
    with (
        tenant(Fault(Do.OVERSIZE, path=QUERY, bytes=200 * 1024 * 1024)) as box,
        pytest.raises(FatalError, match="more than"),
    ):
        keys(source(box))


def test_paging_that_never_gets_on_is_noticed() -> None:
    with tenant(Fault(Do.REPLAY, path=QUERY)) as box:
        put(box, range(300))
        with pytest.raises(FatalError, match="never end"):
            keys(source(box))
        assert box.calls("query") == 2


def test_values_of_the_wrong_type_are_delivered_as_they_stand() -> None:
    row = '{"_id": "68fa", "name": ["x", {"y": 1}], "annual_revenue": {"a": 1.10}, "create_time": "soon", "do_not_email__c": 3}'
    with tenant(answered('{"errorCode": 0, "data": {"dataList": [' + row + "]}}")) as box:
        (page,) = source(box).read("AccountObj")
    (told,) = page.rows.to_pylist()
    assert (told["name"], told["create_time"], told["do_not_email__c"]) == ('["x", {"y": 1}]', "soon", "3")
    assert "1.10" in told["annual_revenue"]


def test_a_description_without_fields_and_a_strange_list_of_objects_are_errors() -> None:
    with (
        tenant(answered('{"errorCode": 0, "data": {"describe": {"fields": []}}}', DESCRIBE)) as box,
        pytest.raises(FatalError, match="fields"),
    ):
        source(box).describe()
    with (
        tenant(answered('{"errorCode": 0, "data": {"objects": 7}}', "*/object/list")) as box,
        pytest.raises(FatalError),
    ):
        source(box).describe()


def test_only_the_objects_of_the_settings_are_seen() -> None:
    with tenant() as box:
        assert [item.name for item in source(box, objects=["Acc*", "legacy_file__c"]).describe()] == [
            "AccountObj",
            "legacy_file__c",
        ]
        assert box.calls("describe") == 2
        with pytest.raises(FatalError, match="NopeObj"):
            list(source(box).read("NopeObj"))


def test_the_days_pack_and_the_rate_are_told_to_the_gate_and_the_caller() -> None:
    class Listening:
        def __init__(self) -> None:
            self.asked: list[str] = []
            self.held: list[tuple[float, str]] = []
            self.used: list[int] = []

        def admit(self, scope: str = "", requests: int = 1) -> None:
            self.asked += [scope] * requests

        def hold(self, seconds: float, scope: str = "") -> None:
            self.held.append((seconds, scope))

        def spent(self, used: int, limit: int | None = None) -> None:
            assert limit
            self.used.append(used)

    path = "/cgi/crm/v2/data/query"
    for code, throttled in (("30004", True), ("14001", True), ("30002", False)):
        with tenant(answered(f'{{"errorCode": {code}, "errorMessage": "limit"}}')) as box:
            crm, gate = source(box), Listening()
            crm.pace(gate)
            with pytest.raises(RetryableError) as caught:
                keys(crm)
            assert caught.value.throttled is throttled
            assert path in gate.asked
            assert "/cgi/crm/v2/object/describe" in gate.asked
            assert (gate.held == [(20, path)]) is throttled
            assert bool(gate.used) is not throttled
