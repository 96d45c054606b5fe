"""Writing into a Salesforce sandbox when things go wrong, and what only Salesforce has: audit fields, files, record types."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from connectors.sandbox.faults import Do, Fault, Schedule
from connectors.sandbox.limits import Meter
from connectors.sandbox.salesforce.org import Switches
from migrator.core.connector import Limits
from migrator.core.errors import ConnectorError, FatalError, RetryableError, SafetyStop
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from tests.live.salesforce_world import World, world

pytestmark = pytest.mark.live
WAYS = {"collections": {"bulk_write_from": 0}, "bulk": {"bulk_write_from": 1}}


@pytest.fixture
def org() -> Iterator[World]:
    with world() as made:
        yield made


def deals(count: int, **more: object) -> pa.Table:
    columns = {name: [value] * count for name, value in more.items()}
    return pa.table(
        {
            "Legacy__c": [f"k{number:04d}" for number in range(count)],
            "Title__c": [f"t{number}" for number in range(count)],
        }
        | columns
    )


def told(answers: pa.Table) -> dict[str, tuple[str, str | None]]:
    return {row["key"]: (row["outcome"], row["code"]) for row in answers.to_pylist()}


def posts(org: World, ending: str) -> int:
    return sum(call.method == "POST" and call.path.endswith(ending) for call in org.box.moods.log)


LOST = [Do.RESET_AFTER, Do.TRUNCATE, Do.BAD_JSON, Do.RESET, Do.HTML, Do.UNAVAILABLE, Do.FAIL]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("trouble", LOST)
@pytest.mark.parametrize("audited", [False, True])
def test_one_key_is_one_record_whatever_answer_was_lost(
    way: str, trouble: Do, audited: bool, org: World
) -> None:
    """Every request of the write in turn fails once, before or after it took effect; the call is then made again."""
    rows = deals(230)
    if audited:
        rows = rows.append_column("CreatedDate", pa.array([datetime(2020, 5, 1, tzinfo=UTC)] * 230))
    target = org.target(**WAYS[way], late_seconds=0)
    target.prepare([])
    target.describe()
    for nth in range(1, 9 if way == "bulk" else 4):
        org.box.moods.schedule = Schedule(
            (
                Fault(trouble, "*", "*/composite/sobjects*", nth=(nth,)),
                Fault(trouble, "*", "*/jobs/*", nth=(nth,)),
                Fault(trouble, "*", "*/query/*", nth=(nth,)),
            )
        )
        for _ in range(4):
            try:
                found = target.upsert("Deal__c", rows, key="Legacy__c")
                break
            except RetryableError:
                continue
        assert {outcome for outcome, _ in told(found).values()} <= {"created", "updated"}
        assert org.org.store.count("Deal__c") == 230


@pytest.mark.parametrize("way", WAYS)
def test_a_session_that_ends_while_writing_is_renewed(way: str, org: World) -> None:
    target = org.target(**WAYS[way])
    target.describe()
    org.box.moods.schedule = Schedule((Fault(Do.EXPIRE_TOKEN, "*", "/services/data/*", every=3),))
    assert set(told(target.upsert("Deal__c", deals(450), key="Legacy__c")).values()) == {("created", None)}
    assert org.org.store.count("Deal__c") == 450


@pytest.mark.parametrize("way", WAYS)
def test_a_lock_is_a_refusal_that_is_only_a_matter_of_time(way: str, org: World) -> None:
    target = org.target(**WAYS[way])
    target.upsert("Deal__c", deals(3), key="Legacy__c")
    (locked,) = org.org.store.find("Deal__c", Legacy__c="k0001")
    org.org.store.hold(locked, 3_600)
    found = told(target.upsert("Deal__c", deals(3), key="Legacy__c"))
    assert found == {
        "k0000": ("updated", None),
        "k0001": ("refused", "UNABLE_TO_LOCK_ROW"),
        "k0002": ("updated", None),
    }
    assert "UNABLE_TO_LOCK_ROW" in target.facts.lock_codes


@pytest.mark.parametrize("way", WAYS)
def test_audit_fields_are_set_once_and_a_rerun_leaves_them(way: str, org: World) -> None:
    target = org.target(**WAYS[way])
    created = datetime(2015, 6, 1, 8, 30, tzinfo=UTC)
    rows = deals(2).append_column("CreatedDate", pa.array([created] * 2))
    assert {outcome for outcome, _ in told(target.upsert("Deal__c", rows, key="Legacy__c")).values()} == {
        "created"
    }
    assert {outcome for outcome, _ in told(target.upsert("Deal__c", rows, key="Legacy__c")).values()} == {
        "updated"
    }
    held = target.fetch("Deal__c", ["k0000", "k0001"], key="Legacy__c", columns=["CreatedDate"])
    assert held.column("CreatedDate").to_pylist() == [created] * 2
    assert "CreatedDate" in target.facts.insert_only
    changed = rows.set_column(1, "Title__c", pa.array(["x", "y"]))  # as a rollback restores whole records
    assert {outcome for outcome, _ in told(target.update("Deal__c", changed, key="Legacy__c")).values()} == {
        "updated"
    }
    other = deals(2).append_column("CreatedDate", pa.array([created, datetime(2016, 1, 1, tzinfo=UTC)]))
    found = told(target.update("Deal__c", other, key="Legacy__c"))
    assert found == {"k0000": ("updated", None), "k0001": ("refused", "insert_only")}


def test_without_the_permission_audit_fields_stop_before_the_first_row() -> None:
    with world(switches=Switches(audit_fields=False)) as org:
        wanted = ObjectSchema(
            "Deal__c", "Legacy__c",
            (FieldSchema("Legacy__c", FieldType.STRING), FieldSchema("CreatedDate", FieldType.DATETIME)),
        )  # fmt: skip
        with pytest.raises(SafetyStop, match="Set Audit Fields upon Record Creation"):
            org.target().prepare([wanted])


def test_full_storage_stops_before_the_first_row(org: World) -> None:
    full = '{"DataStorageMB": {"Max": 5, "Remaining": 0}, "DailyApiRequests": {"Max": 9, "Remaining": 8}}'
    org.box.moods.schedule = Schedule((Fault(Do.ANSWER, "GET", "*/limits", body=full),))
    with pytest.raises(SafetyStop, match="DataStorageMB"):
        org.target().prepare([])


def test_keys_that_differ_in_letter_case_never_share_a_record(org: World) -> None:
    """The field compares without case, as Salesforce's do unless they say otherwise."""
    target = org.target()
    first = pa.table({"Legacy__c": ["AB"], "Title__c": ["first"]})
    assert told(target.upsert("Deal__c", first, key="Legacy__c")) == {"AB": ("created", None)}
    second = pa.table({"Legacy__c": ["ab", "cd", "CD"], "Title__c": ["x", "y", "z"]})
    assert told(target.upsert("Deal__c", second, key="Legacy__c")) == {
        "ab": ("refused", "key.case"), "cd": ("refused", "key.duplicate"), "CD": ("refused", "key.duplicate"),
    }  # fmt: skip
    assert told(target.update("Deal__c", second.slice(0, 1), key="Legacy__c")) == {"ab": ("missing", None)}
    assert target.fetch("Deal__c", ["ab"], key="Legacy__c", columns=["Title__c"]).num_rows == 0
    assert told(target.delete("Deal__c", ["ab"], key="Legacy__c")) == {"ab": ("missing", None)}
    assert target.fetch("Deal__c", ["AB"], key="Legacy__c", columns=["Title__c"]).to_pylist() == [
        {"Title__c": "first"}
    ]


@pytest.mark.parametrize("way", WAYS)
def test_null_empty_and_the_sign_for_null_are_kept_apart(way: str, org: World) -> None:
    target = org.target(**WAYS[way])
    rows = pa.table(
        {
            "Legacy__c": ["a", "b", "c"],
            "Title__c": ["#N/A", None, "N/A"],
            "Amount__c": pa.array(
                [Decimal("0.00"), None, Decimal("-12345678901234.56")], pa.decimal128(18, 2)
            ),
            "Open__c": pa.array([False, True, None]),
        }
    )
    target.upsert("Deal__c", rows, key="Legacy__c")
    held = {
        row["Legacy__c"]: row
        for page in target.read("Deal__c", columns=rows.column_names)
        for row in page.to_pylist()
    }
    assert [held[key]["Title__c"] for key in "abc"] == ["#N/A", None, "N/A"]
    assert [held[key]["Amount__c"] for key in "abc"] == rows.column("Amount__c").to_pylist()
    assert [held[key]["Open__c"] for key in "ab"] == [False, True]
    cleared = pa.table({"Legacy__c": ["a"], "Title__c": pa.array([None], pa.string())})
    assert told(target.update("Deal__c", cleared, key="Legacy__c")) == {"a": ("updated", None)}
    assert target.fetch("Deal__c", ["a"], key="Legacy__c", columns=["Title__c"]).to_pylist() == [
        {"Title__c": None}
    ]


def test_large_deletes_go_by_a_job(org: World) -> None:
    target = org.target(bulk_write_from=100)
    target.upsert("Deal__c", deals(150), key="Legacy__c")
    keys = [f"k{number:04d}" for number in range(150)]
    found = told(target.delete("Deal__c", [*keys, "nobody"], key="Legacy__c"))
    assert found.pop("nobody") == ("missing", None)
    assert set(found.values()) == {("deleted", None)}
    assert org.org.store.count("Deal__c") == 0
    assert posts(org, "/jobs/ingest") == 2


def test_the_days_calls_used_up_end_the_run_and_too_many_at_once_push_back(org: World) -> None:
    target = org.target()
    target.describe()
    org.box.moods.meter = Meter(Limits(daily=1, parallel=25))
    target.fetch("Deal__c", ["x"], key="Legacy__c", columns=["Title__c"])
    with pytest.raises(RetryableError, match="used up") as caught:
        target.fetch("Deal__c", ["x"], key="Legacy__c", columns=["Title__c"])
    assert not caught.value.throttled
    assert caught.value.retry_after is not None
    org.box.moods.meter = Meter(Limits(daily=None, parallel=0))
    with pytest.raises(RetryableError) as pushed:
        target.fetch("Deal__c", ["x"], key="Legacy__c", columns=["Title__c"])
    assert pushed.value.throttled


def test_over_tls_with_a_certificate_that_is_trusted_and_only_then() -> None:
    with world(tls=True) as org:
        assert org.target().identify().production is False
        with pytest.raises(FatalError, match="certificate is not trusted"):
            org.target(ca_file=None).describe()


@pytest.mark.parametrize(
    "names",
    [
        ("client_id", "client_secret"),
        ("client_id", "refresh_token"),
        ("username", "password", "security_token"),
    ],
)
def test_each_way_to_log_in(names: tuple[str, ...], org: World) -> None:
    given = {name: org.box.credentials[name] for name in names}
    plain = {name: value for name, value in org.settings.items() if not name.startswith("client")}
    org.settings = plain | given | {"login_url": org.box.url}
    found = org.source().identify()
    assert (found.product, found.production) == ("Salesforce", False)
    assert "Sandbox Ltd" in found.organisation
    assert found.user == "admin@sandbox.example"
    org.settings |= dict.fromkeys(names[-1:], "wrong")
    with pytest.raises(FatalError, match="does not let us in") as caught:
        org.source().identify()
    assert "wrong" not in str(caught.value)


def test_an_object_of_many_fields_is_asked_for_all_the_same(org: World) -> None:
    many = tuple(
        FieldSchema(f"A_rather_long_field_name_{number:03d}__c", FieldType.STRING) for number in range(600)
    )
    org.org.adopt(ObjectSchema("Wide__c", "Id", many))
    org.org.store.load(
        "Wide__c", [(org.org.store.fresh_id("Wide__c"), {many[599].name: "x"}) for _ in range(450)]
    )
    org.settings["objects"] = ["Wide__c"]
    rows = [row for page in org.source().read("Wide__c", page_rows=200) for row in page.rows.to_pylist()]
    assert [row[many[599].name] for row in rows] == ["x"] * 450
    assert org.box.calls("/composite")


def test_both_ways_of_reading_say_the_same(org: World) -> None:
    target = org.target()
    rows = pa.table(
        {
            "Legacy__c": [f"r{number}" for number in range(250)],
            "Title__c": [
                [None, 'a "q", b', "行一\n行二", "#N/A", " x "][number % 5] for number in range(250)
            ],
            "Amount__c": pa.array(
                [Decimal(number) / 4 if number % 3 else None for number in range(250)], pa.decimal128(18, 2)
            ),
            "At__c": pa.array([datetime(2026, 1, 1, 0, 0, number % 60, tzinfo=UTC) for number in range(250)]),
            "Open__c": [number % 2 == 0 for number in range(250)],
        }
    )
    target.upsert("Deal__c", rows, key="Legacy__c")
    small, large = (
        [
            page.rows
            for page in org.source(bulk_read_from=start, bulk_job_rows=100).read("Deal__c", page_rows=60)
        ]
        for start in (0, 1)
    )
    assert pa.concat_tables(small).to_pylist() == pa.concat_tables(large).to_pylist()
    assert posts(org, "/jobs/query") == 3


CONTENT = bytes(range(256)) * 20_000


def version(org: World, titles: list[str]) -> pa.Table:
    org.org.adopt(
        ObjectSchema(
            "ContentVersion", "Id", (FieldSchema("Legacy__c", FieldType.STRING, unique=True, length=40),)
        )
    )
    return pa.table(
        {
            "Legacy__c": titles,
            "Title": titles,
            "PathOnClient": [f"{title}.bin" for title in titles],
            "VersionData": [f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"] * len(titles),
        }
    )


def test_files_go_up_and_come_down_byte_by_byte(org: World) -> None:
    rows = version(org, ['a "b"\r\nc', "合同"])
    target = org.target()
    target.take_files(lambda _: io.BytesIO(CONTENT))
    org.box.moods.schedule = Schedule((Fault(Do.EXPIRE_TOKEN, "POST", "*/ContentVersion/", nth=(1,)),))
    assert set(told(target.upsert("ContentVersion", rows, key="Legacy__c")).values()) == {("created", None)}
    assert set(told(target.upsert("ContentVersion", rows, key="Legacy__c")).values()) == {("updated", None)}
    (held,) = target.read("ContentVersion", columns=["VersionData", "Title"])
    assert held.column("VersionData").to_pylist() == rows.column("VersionData").to_pylist()
    source = org.source()
    found = [row for page in source.read("ContentVersion") for row in page.rows.to_pylist()]
    assert sorted(row["Title"] for row in found) == sorted(rows.column("Title").to_pylist())
    for row in found:
        with source.open_file("ContentVersion", row["VersionData"]) as stream:
            assert stream.read() == CONTENT
    with pytest.raises(ConnectorError):
        source.open_file("ContentVersion", "068000000000001AAA/VersionData")
    with pytest.raises(FatalError, match="names no file"):
        source.open_file("ContentVersion", "../../etc/passwd")


def test_a_file_that_is_refused_is_a_refused_row(org: World) -> None:
    rows = version(org, ["x"]).drop_columns(["PathOnClient"])
    target = org.target()
    target.take_files(lambda _: io.BytesIO(CONTENT))
    ((outcome, code),) = told(target.upsert("ContentVersion", rows, key="Legacy__c")).values()
    assert (outcome, code) == ("refused", "REQUIRED_FIELD_MISSING")


def test_several_threads_may_write_while_sessions_end(org: World) -> None:
    target = org.target()
    org.box.moods.schedule = Schedule((Fault(Do.EXPIRE_TOKEN, "*", "/services/data/*", every=25),))
    pieces = [deals(600).slice(start, 60) for start in range(0, 600, 60)]
    outcomes: list[str] = []
    with ThreadPoolExecutor(8) as pool:
        for answers in pool.map(lambda piece: target.upsert("Deal__c", piece, key="Legacy__c"), pieces):
            outcomes += answers.column("outcome").to_pylist()
    assert outcomes == ["created"] * 600
    assert org.org.store.count("Deal__c") == 600


def test_a_file_cut_on_its_way_is_no_file(org: World) -> None:
    rows = version(org, ["x"])
    target = org.target()
    target.take_files(lambda _: io.BytesIO(CONTENT))
    target.upsert("ContentVersion", rows, key="Legacy__c")
    source = org.source()
    (row,) = [row for page in source.read("ContentVersion") for row in page.rows.to_pylist()]
    org.box.moods.schedule = Schedule((Fault(Do.TRUNCATE, "GET", "*/VersionData"),))
    with pytest.raises(RetryableError), source.open_file("ContentVersion", row["VersionData"]) as stream:
        stream.read()


def test_links_of_files_are_read_by_their_files(org: World) -> None:
    store = org.org.store
    for number in range(700):
        document, link = store.fresh_id("ContentDocument"), store.fresh_id("ContentDocumentLink")
        store.load("ContentDocument", [(document, {"Title": f"d{number}"})])
        store.load(
            "ContentDocumentLink", [(link, {"ContentDocumentId": document, "LinkedEntityId": org.org.user})]
        )
    pages = list(org.source().read("ContentDocumentLink"))
    assert sum(page.rows.num_rows for page in pages) == 700
    rest = list(org.source().read("ContentDocumentLink", cursor=pages[0].cursor))
    assert sum(page.rows.num_rows for page in rest) == 700 - pages[0].rows.num_rows
