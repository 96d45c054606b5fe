"""The moods of the sandboxes: a strict fault schedule, limits that count as data says, seeds that are refused with their place."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from connectors.sandbox.faults import Do, Fault, Schedule, read_schedule
from connectors.sandbox.limits import NO_LIMITS, Kept, Meter, Refusal, read_limits
from connectors.sandbox.moods import Message, Moods, Receive, Scope, Send
from connectors.sandbox.records import Store
from connectors.sandbox.seed import fill, read_schemas
from connectors.sandbox.shape import Names
from migrator.core.clock import FixedClock
from migrator.core.connector import Limits, Rate
from migrator.core.errors import ProjectError
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema, schemas_to_json
from tests.loops import run_apart


def written(folder: Path, text: str) -> Path:
    path = folder / "moods.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_schedule_strikes_the_calls_it_names(tmp_path: Path) -> None:
    schedule = read_schedule(
        written(
            tmp_path,
            "seed: 3\nfaults:\n"
            "- {match: {method: post, path: '*/sobjects'}, nth: [2, 4], do: timeout-after, seconds: 2}\n"
            "- {match: {path: '*/query*'}, every: 3, do: 503}\n"
            "- {match: {path: /token}, first: 1, do: html-200}\n"
            "- {match: {path: /odd}, chance: 0.5, do: 429, seconds: 7}\n",
        )
    )

    def struck(method: str, path: str, times: int) -> list[str]:
        hits = (schedule.strike(method, path) for _ in range(times))
        return [hit.do.value if hit else "" for hit in hits]

    assert struck("POST", "/x/sobjects", 5) == ["", "timeout-after", "", "timeout-after", ""]
    assert struck("GET", "/x/sobjects", 2) == ["", ""]
    assert struck("GET", "/x/query/1", 6) == ["", "", "503", "", "", "503"]
    assert struck("POST", "/token", 2) == ["html-200", ""]
    odd = struck("GET", "/odd", 40)
    assert 8 < odd.count("429") < 32
    again = Schedule(schedule.faults, seed=3)
    assert odd == [hit.do.value if hit else "" for hit in (again.strike("GET", "/odd") for _ in range(40))]
    assert Schedule((Fault(Do.SLOW),)).strike("GET", "/any") is not None


def test_a_schedule_that_is_wrong_is_refused_with_every_place(tmp_path: Path) -> None:
    text = "faults:\n- {match: {metod: GET}, do: 5o3}\n- {do: 503, every: often}\n- {nth: 1}\n- 7\n- {do: 500, nth: [x]}\n"
    with pytest.raises(ProjectError) as raised:
        read_schedule(written(tmp_path, text))
    said = str(raised.value)
    for part in (
        ":2:12: unknown key 'metod'", "did you mean 'method'?", ":2:29: unknown fault '5o3'",
        ":3:20: 'every' cannot be 'often'", ":4:3: 'do' is missing", ":5:3: a mapping", ":6:18: 'nth'",
    ):  # fmt: skip
        assert part in said, said


def test_limits_count_windows_days_and_calls_at_once(tmp_path: Path) -> None:
    text = "rates: [{calls: 2, seconds: 20, scope: '*'}]\ndaily: 6\nparallel: 2\ntoken_seconds: 9\n"
    limits, switches = read_limits(written(tmp_path, text), NO_LIMITS, {"token_seconds": int})
    assert (limits, switches) == (Limits((Rate(2, 20, "*"),), daily=6, parallel=2), {"token_seconds": 9})
    clock = FixedClock()
    meter = Meter(limits, clock)

    def call(scope: str) -> Kept | None:
        refusal = meter.enter(f"GET {scope}", scope)
        if refusal is None:
            meter.leave(f"GET {scope}")
        return refusal.kept if refusal else None

    assert [call("/a"), call("/a"), call("/a"), call("/b")] == [None, None, Kept.RATE, None]
    clock.sleep(20)
    assert [call("/a"), call("/a"), call("/b"), call("/c")] == [None, None, None, Kept.DAILY]
    clock.sleep(86_390)
    assert [meter.enter("GET /d", "/d"), meter.enter("GET /d", "/d")] == [None, None]
    third = meter.enter("GET /e", "/e")
    assert third is not None
    assert third.kept is Kept.PARALLEL
    assert (meter.peak, meter.counts["GET /d"].peak, meter.counts["GET /a"].refused) == (2, 2, 1)


@pytest.mark.parametrize(
    "text", ["rates: [{calls: 0, seconds: 1}]", "dayly: 4", "daily: true", "rates: [3]", "- 1"]
)
def test_limits_that_are_wrong_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ProjectError, match=r"moods.yaml:1:"):
        read_limits(written(tmp_path, text), NO_LIMITS, {})


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store(
        names=Names(deleted="IsDeleted", modified=("Stamp",)), new_id=lambda name, number: f"{name}-{number}"
    )
    yield made
    made.close()


FIRM = ObjectSchema(
    "Firm", "Id",
    (
        FieldSchema("Id", FieldType.ID), FieldSchema("Name", FieldType.STRING, length=10),
        FieldSchema("Since", FieldType.DATE), FieldSchema("IsDeleted", FieldType.BOOLEAN),
        FieldSchema("Stamp", FieldType.DATETIME),
    ),
)  # fmt: skip


def test_a_folder_fills_a_store(tmp_path: Path, store: Store) -> None:
    (tmp_path / "schema.json").write_text(schemas_to_json([FIRM]), encoding="utf-8")
    (tmp_path / "firm.csv").write_text(
        '\ufeffId,Name,Since,IsDeleted,Order\r\n1,"多\n行",2020-01-31,false,x\r\n2,Gone,,true,\r\n',
        encoding="utf-8",
    )
    (tmp_path / "Person.jsonl").write_text('{"Id": "p", "Age": 3}\n\n{"Name": "y"}\n', encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "more.ZIP", "w") as archive:
        archive.writestr("Empty.csv", "Id,Name\n")
        archive.writestr("photo.png", b"\x89")
    for schema in read_schemas(tmp_path):
        store.define(schema)
    assert fill(store, tmp_path, key=lambda _: "Id") == 4
    assert [schema.name for schema in store.schemas()] == ["Firm", "Person", "Empty"]
    first = store.get("Firm", "1")
    assert first is not None
    assert (first["Name"], first["Since"], first["Order"]) == ("多\n行", "2020-01-31", "x")
    assert [item.id for item in store.deletions("Firm")] == ["2"]
    assert store.count("Person") == 2


def test_seeds_that_do_not_fit_are_refused_with_their_line(tmp_path: Path, store: Store) -> None:
    store.define(FIRM)
    (tmp_path / "Firm.csv").write_text(
        "Id,Name,Since\n1,ok,31/01/2020\n2,far too long a name,\n", encoding="utf-8"
    )
    with pytest.raises(ProjectError) as raised:
        fill(store, tmp_path, key=lambda _: "Id")
    assert "Firm.csv:2: Since:" in str(raised.value)
    assert "Firm.csv:3: Name:" in str(raised.value)


def test_a_record_in_two_parts_of_an_export_is_taken_once(tmp_path: Path, store: Store) -> None:
    store.define(FIRM)
    for part in (1, 2):
        with zipfile.ZipFile(tmp_path / f"WE_{part}.zip", "w") as archive:
            archive.writestr("Firm.csv", f"Id,Name\nboth,B\npart{part},P\n")
    assert fill(store, tmp_path, key=lambda _: "Id") == 3
    (tmp_path / "Firm.csv").write_text("Id,Name\none,x\none,y\n", encoding="utf-8")
    with pytest.raises(ProjectError, match=r"Firm.csv:3: the id one stands here for the second time"):
        fill(store, tmp_path, key=lambda _: "Id")
    assert store.count("Firm") == 3


class Plain:
    """A system with no manners of its own: every call counts."""

    def refused(self, refusal: Refusal) -> Response:
        return PlainTextResponse(refusal.kept.value, 429)

    def failed(self, status: int) -> Response:
        return PlainTextResponse("", status)

    def limited(self, path: str) -> str | None:
        return path

    def headers(self, meter: Meter) -> dict[str, str]:
        return {"Used": str(meter.used)}

    def expire_tokens(self) -> None:
        return


def test_limits_changed_while_a_call_is_on_its_way_leave_that_call_and_the_next_alone() -> None:
    sent: list[Message] = []
    before, after = Meter(Limits(parallel=1)), Meter(Limits(parallel=1))

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("ok")(scope, receive, send)
        moods.meter = after

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    moods = Moods(answered, [Route("/a", answered)], Plain(), before)
    call = {"type": "http", "method": "GET", "path": "/a", "query_string": b"", "headers": []}
    for _ in range(2):
        run_apart(moods(dict(call), receive, send))
    assert [message["status"] for message in sent if "status" in message] == [200, 200]
    assert (before.flying, after.flying) == (0, 0)
