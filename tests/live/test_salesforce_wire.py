"""The Salesforce connector against answers no decent organisation gives: a clear error, no hang, bounded memory, no secret told."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from connectors.salesforce.source import SalesforceSource
from connectors.salesforce.target import SalesforceTarget
from migrator.core.clock import FixedClock
from migrator.core.errors import ConnectorError, FatalError, RetryableError, WatermarkExpired
from tests.live.raw_server import answer, raw_server
from tests.unit.test_salesforce_connector import ACCOUNT

pytestmark = pytest.mark.live
SECRET = "00D5g000000AbCd!AQEAQ_very_secret"
GOOD = {"id": "001xY0000001AbCQAU", "success": True, "created": True, "errors": []}
Route = Callable[[str, bytes], bytes]


def said(body: object, status: int = 200, **headers: str) -> bytes:
    whole = {"Content_Type": "application/json", "Date": "Fri, 02 Jan 2026 10:00:00 GMT", **headers}
    return answer(json.dumps(body) if not isinstance(body, (bytes, str)) else body, status, **whole)(b"")


def org(route: Route) -> Callable[[bytes], bytes]:
    """An organisation with one object; `route` answers what is not asked for its metadata."""

    def reply(request: bytes) -> bytes:
        path = request.split(b" ", 2)[1].decode()
        if path.endswith("/v59.0/sobjects"):
            return said({"sobjects": [{"name": "Account", "queryable": True}]})
        if path.endswith("/Account/describe"):
            return said(ACCOUNT)
        if path.endswith("/composite") and b"/describe" in request:
            return said({"compositeResponse": [{"httpStatusCode": 200, "body": ACCOUNT}]})
        if "recordCount" in path:
            return said({"sObjects": [{"name": "Account", "count": 3}]})
        return route(path, request)

    return reply


def settings(url: str, **more: object) -> dict[str, object]:
    return {"instance_url": url, "session_id": SECRET, "timeout_seconds": 2, **more}


def read_all(url: str, **more: object) -> list[dict[str, object]]:
    source = SalesforceSource(settings(url, **more))
    try:
        return [row for page in source.read("Account") for row in page.rows.to_pylist()]
    finally:
        source.close()


def page(records: list[dict[str, object]], **more: object) -> dict[str, object]:
    return {"totalSize": len(records), "done": True, "records": records} | more


HOSTILE = {
    "no JSON": (said('{"totalSize": 3, "records": [{"Id"'), RetryableError, "cut or changed"),
    "page for people": (said("<html>maintenance</html>"), RetryableError, "page for people"),
    "html as its type": (said("hello", Content_Type="text/html"), RetryableError, "page for people"),
    "shorter than announced": (answer("{}", length=500)(b""), RetryableError, "broke"),
    "a list": (said([1, 2]), FatalError, "not a page of records"),
    "text for a count": (said({**page([]), "totalSize": "3"}), FatalError, "not a page of records"),
    "a record without an id": (said(page([{"Name": "x"}])), FatalError, "not a page of records"),
    "records that are none": (said({**page([]), "records": [1]}), FatalError, "not a page of records"),
    "no place to go on": (said(page([], done=False)), FatalError, "not a page of records"),
    "another host to go on": (
        said(page([{"Id": "1"}], totalSize=5, done=False, nextRecordsUrl="//evil.example/query/2")),
        ConnectorError,
        ".",
    ),
    "a user in the address": (
        said(page([{"Id": "1"}], totalSize=5, done=False, nextRecordsUrl="/../@evil.example/x")),
        ConnectorError,
        ".",
    ),
    "fewer than promised": (
        said(page([{"Id": "1"}], totalSize=5)),
        RetryableError,
        "promised 5 records and gave 1",
    ),
    "more than promised": (said(page([{"Id": "1"}, {"Id": "2"}], totalSize=1)), FatalError, "does not end"),
    "the same page again": (
        said(page([{"Id": "1"}], totalSize=10**9, done=False, nextRecordsUrl="/services/data/again")),
        FatalError,
        "does not end",
    ),
    "empty pages without end": (
        said(page([], totalSize=10**9, done=False, nextRecordsUrl="/services/data/again")),
        FatalError,
        "does not end",
    ),
    "sent elsewhere": (
        said("", 302, Location="https://evil.example/x"),
        FatalError,
        "sent on to evil.example",
    ),
    "an object for a name": (said(page([{"Id": "1", "Name": {"x": 1}}])), FatalError, "single value"),
    "too deep": (said("[" * 100_000 + "]" * 100_000), ConnectorError, "."),
    "error page": (said("<html>x</html>", 503), RetryableError, "HTTP_503"),
    "error without a body": (said("", 500), RetryableError, "HTTP_500"),
    "error of another shape": (said({"error": {"deep": 1}}, 400), ConnectorError, "."),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_answer_is_a_clear_error(name: str) -> None:
    reply, kind, text = HOSTILE[name]
    with raw_server(org(lambda _, __: reply)) as server, pytest.raises(kind, match=text) as caught:
        read_all(server.address)
    assert SECRET not in str(caught.value)
    assert all(b"evil" not in request.split(b"\r\n")[1] for request in server.requests)


def test_an_answer_too_large_is_given_up_while_it_comes() -> None:
    huge = said('{"records":["' + "x" * (3 << 20) + '"]}')
    with raw_server(org(lambda _, __: huge)) as server, pytest.raises(FatalError, match="larger than 1 MiB"):
        read_all(server.address, answer_megabytes=1)


def test_silence_ends_with_an_error() -> None:
    with raw_server(lambda _: None) as server, pytest.raises(RetryableError, match="connection broke"):
        read_all(server.address)


def test_netrc_of_the_machine_is_never_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login machine password of-the-machine\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with raw_server(org(lambda _, __: said(page([])))) as server:
        read_all(server.address)
    assert all(f"Authorization: Bearer {SECRET}".encode() in request for request in server.requests)


def token(name: str) -> bytes:
    return said({"access_token": name, "instance_url": "", "token_type": "Bearer"})


@pytest.mark.parametrize(
    ("credentials", "sent"),
    [
        ({"client_id": "i&d", "client_secret": "s=1"}, b"grant_type=client_credentials&client_id=i%26d&client_secret=s%3D1"),
        ({"client_id": "i", "refresh_token": "r"}, b"grant_type=refresh_token&client_id=i&refresh_token=r"),
    ],
)  # fmt: skip
def test_oauth_sends_what_it_says(credentials: dict[str, str], sent: bytes) -> None:
    def reply(request: bytes) -> bytes:
        return token("first") if b"/oauth2/token" in request else org(lambda _, __: said(page([])))(request)

    with raw_server(reply) as server:
        source = SalesforceSource({"instance_url": server.address, **credentials})
        source.describe()
    assert server.requests[0].endswith(sent)
    assert b"Bearer first" in server.requests[1]


def test_a_jwt_is_signed_for_the_user_and_short() -> None:
    import jwt
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    clock = FixedClock(datetime(2026, 1, 2, tzinfo=UTC))

    def reply(request: bytes) -> bytes:
        return token("by-jwt") if b"/oauth2/token" in request else org(lambda _, __: said(page([])))(request)

    given = {"client_id": "app", "username": "me@example.com", "private_key": pem}
    with raw_server(reply) as server:
        SalesforceSource({"instance_url": server.address, **given}, clock).describe()
        SalesforceSource(
            {"login_url": server.address, "instance_url": server.address, **given}, clock
        ).describe()
    form = server.requests[0].rpartition(b"\r\n\r\n")[2].decode()
    claims = jwt.decode(
        form.rpartition("assertion=")[2], key.public_key(), ["RS256"], audience="https://login.salesforce.com",
        options={"verify_exp": False},
    )  # fmt: skip
    assert (claims["iss"], claims["sub"]) == ("app", "me@example.com")
    assert claims["exp"] - clock.now().timestamp() <= 300


def test_the_soap_login_of_simple_salesforce_goes_where_it_is_told() -> None:
    def reply(request: bytes) -> bytes:
        if b"/services/Soap/" in request:
            host = next(x for x in request.split(b"\r\n") if x.startswith(b"Host")).split(b" ")[1].decode()
            xml = f"<r><sessionId>by-soap</sessionId><serverUrl>https://{host}/services/Soap/u/59.0/00D</serverUrl></r>"
            return answer(xml, Content_Type="text/xml")(b"")
        return org(lambda _, __: said(page([])))(request)

    with raw_server(reply) as server:
        given = {"username": "u@x", "password": "p<&>w", "security_token": "tok"}
        SalesforceSource({"login_url": server.address, **given}).describe()
    assert b"p&lt;&amp;&gt;wtok" in server.requests[0]
    assert b"Bearer by-soap" in server.requests[1]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": "invalid_grant", "error_description": "authentication failure"}, FatalError),
        (400, ["strange"], FatalError),
        (200, {"access_token": 7}, FatalError),
        (200, {"access_token": "x", "instance_url": "https://evil.example"}, FatalError),
        (503, {}, RetryableError),
        (429, {"error": "rate"}, RetryableError),
        (200, "<html>hello</html>", RetryableError),
    ],
)
def test_a_failed_log_in_says_what_to_do_and_no_secret(
    status: int, body: object, kind: type[Exception]
) -> None:
    with raw_server(lambda _: said(body, status)) as server:
        given = {"login_url": server.address, "client_id": "i", "client_secret": "s3cr3t-value"}
        with pytest.raises(kind) as caught:
            SalesforceSource(given).describe()
    assert "s3cr3t" not in str(caught.value)


def test_a_session_that_ends_in_mid_flight_is_renewed() -> None:
    tokens = iter(["first", "second", "third"])
    expired = said([{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}], 401)

    def reply(request: bytes) -> bytes:
        if b"/oauth2/token" in request:
            return token(next(tokens))
        if b"Bearer first" in request and b"/query" in request:
            return expired
        return org(lambda _, __: said(page([])))(request)

    with raw_server(reply) as server:
        source = SalesforceSource({"instance_url": server.address, "client_id": "i", "client_secret": "s"})
        assert [item.rows.num_rows for item in source.read("Account")] == [0]
        assert next(tokens) == "third"
    with raw_server(lambda request: token("x") if b"/oauth2/token" in request else expired) as server:
        source = SalesforceSource({"instance_url": server.address, "client_id": "i", "client_secret": "s"})
        with pytest.raises(FatalError, match="has just given"):
            source.describe()
        assert sum(b"/oauth2/token" in request for request in server.requests) == 3


def test_a_session_given_from_outside_cannot_be_renewed() -> None:
    expired = said([{"errorCode": "INVALID_SESSION_ID", "message": "x"}], 401)
    with raw_server(lambda _: expired) as server, pytest.raises(FatalError, match="not valid") as caught:
        SalesforceSource(settings(server.address)).describe()
    assert SECRET not in str(caught.value)


class Told:
    """A gate that notes what it is asked and told."""

    def __init__(self) -> None:
        self.admitted = 0
        self.used: list[tuple[int, int | None]] = []
        self.held: list[float] = []

    def admit(self, scope: str = "", requests: int = 1) -> None:
        assert not scope
        self.admitted += requests

    def hold(self, seconds: float, scope: str = "") -> None:
        assert not scope
        self.held.append(seconds)

    def spent(self, used: int, limit: int | None = None) -> None:
        self.used.append((used, limit))


def test_every_request_asks_the_gate_and_what_the_system_says_is_passed_on() -> None:
    def route(path: str, _: bytes) -> bytes:
        if "query" in path:
            return said(page([]), Sforce_Limit_Info="api-usage=18/5000; per-app-api-usage=17/250(appName=x)")
        return said([], 503, Retry_After="7")

    with raw_server(org(route)) as server:
        source, gate = SalesforceSource(settings(server.address)), Told()
        source.pace(gate)
        list(source.read("Account"))
        assert gate.admitted == len(server.requests)
        assert gate.used == [(18, 5000)]
        with pytest.raises(RetryableError) as caught:
            source.watermark("Account")
    assert (caught.value.retry_after, caught.value.throttled, gate.held) == (7.0, True, [7.0])


ROWS = pa.table({"Legacy__c": ["a", "b", "c"], "Name": ["A", "B", "C"]})


@pytest.mark.parametrize(
    ("reply", "kind", "text"),
    [
        (said([GOOD, GOOD]), RetryableError, "2 answers came to 3 records"),
        (said({"ok": True}), RetryableError, "no list of answers"),
        (said([GOOD, "x", GOOD]), RetryableError, "answers came"),
        (said([{"success": True}] * 3), FatalError, "ids of the records"),
        (
            said([{"success": False, "errors": [{"statusCode": "STORAGE_LIMIT_EXCEEDED"}]}] * 3),
            FatalError,
            "STORAGE",
        ),
    ],
)
def test_answers_that_do_not_fit_the_rows_are_not_believed(
    reply: bytes, kind: type[Exception], text: str
) -> None:
    with raw_server(org(lambda _, __: reply)) as server, pytest.raises(kind, match=text):
        SalesforceTarget(settings(server.address)).upsert("Account", ROWS, key="Legacy__c")


def test_one_row_that_is_no_json_of_the_object_does_not_hold_up_the_others() -> None:
    def route(_: str, request: bytes) -> bytes:
        sent = json.loads(request.rpartition(b"\r\n\r\n")[2])["records"]
        if any(item["Name"] == "B" for item in sent):
            return said([{"errorCode": "JSON_PARSER_ERROR", "message": "Cannot deserialize B"}], 400)
        return said([GOOD] * len(sent))

    with raw_server(org(route)) as server:
        answers = SalesforceTarget(settings(server.address)).upsert("Account", ROWS, key="Legacy__c")
    found = {row["key"]: (row["outcome"], row["code"]) for row in answers.to_pylist()}
    assert found == {"a": ("created", None), "b": ("refused", "JSON_PARSER_ERROR"), "c": ("created", None)}


def test_rows_refused_all_alike_stop_the_load_soon() -> None:
    rows = pa.table({"Legacy__c": [f"k{number}" for number in range(200)], "Name": ["x"] * 200})
    refused = said([{"errorCode": "JSON_PARSER_ERROR", "message": "no"}], 400)
    with raw_server(org(lambda _, __: refused)) as server, pytest.raises(FatalError, match="JSON_PARSER"):
        SalesforceTarget(settings(server.address)).upsert("Account", rows, key="Legacy__c")
    assert len(server.requests) < 40


def test_a_key_taken_meanwhile_is_ours_and_is_updated() -> None:
    """The request whose answer was lost still ran when the keys were looked up: the create then meets its own record."""
    taken = {
        "success": False,
        "errors": [{"statusCode": "DUPLICATE_VALUE", "message": "duplicate value found"}],
    }
    looks = iter([page([]), page([{"Id": "001xY0000001AbCQAU", "Legacy__c": "a"}])])

    def route(path: str, request: bytes) -> bytes:
        if "/query" in path:
            return said(next(looks))
        return said([taken] if request.startswith(b"POST") else [GOOD | {"created": None}])

    rows = pa.table({"Legacy__c": ["a"], "Name": ["A"], "CreatedDate": [datetime(2020, 1, 1, tzinfo=UTC)]})
    with raw_server(org(route)) as server:
        answers = (
            SalesforceTarget(settings(server.address)).upsert("Account", rows, key="Legacy__c").to_pylist()
        )
    assert [(row["key"], row["outcome"], row["target_id"]) for row in answers] == [
        ("a", "updated", "001xY0000001AbCQAU")
    ]
    assert b"CreatedDate" not in server.requests[-1]


def bulk_org(results: dict[str, bytes], states: list[str], sent: list[bytes]) -> Callable[[bytes], bytes]:
    """An organisation whose ingest jobs go through `states` and end with `results`."""

    def route(path: str, request: bytes) -> bytes:
        if path.endswith("/jobs/ingest"):
            return said({"id": "7505g00000XyZ", "state": "Open"})
        if path.endswith("/batches"):
            sent.append(request.rpartition(b"\r\n\r\n")[2])
            return said("", 201)
        if request.startswith(b"PATCH"):
            return said({"id": "7505g00000XyZ", "state": "UploadComplete"})
        name = path.rstrip("/").rpartition("/")[2]
        if name in results:
            return answer(results[name], Content_Type="text/csv")(b"")
        return said({"state": states.pop(0) if len(states) > 1 else states[0], "numberRecordsProcessed": 3})

    return org(route)


RESULTS = {
    "successfulResults": b'"sf__Id","sf__Created","Legacy__c","Name"\n"003","true","c","C"\n"001","false","a","A"\n',
    "failedResults": b'"sf__Id","sf__Error","Legacy__c","Name"\n"","STRING_TOO_LONG:too long: Name --:Name --","b","B"\n',
}


def test_a_job_is_watched_by_the_clock_and_answered_by_key() -> None:
    sent: list[bytes] = []
    clock = FixedClock()
    with raw_server(bulk_org(RESULTS, ["UploadComplete", "InProgress", "JobComplete"], sent)) as server:
        target = SalesforceTarget(settings(server.address, bulk_write_from=1), clock)
        answers = target.upsert("Account", ROWS, key="Legacy__c")
    found = {
        row["key"]: (row["outcome"], row["target_id"], row["code"], row["field"])
        for row in answers.to_pylist()
    }
    assert found == {
        "a": ("updated", "001", None, None),
        "b": ("refused", None, "STRING_TOO_LONG", "Name"),
        "c": ("created", "003", None, None),
    }
    assert sent == [b'"Legacy__c","Name"\n"a","A"\n"b","B"\n"c","C"\n']
    assert clock.now() > FixedClock().now()


def test_a_job_that_takes_too_long_is_gone_on_with_and_not_sent_twice() -> None:
    sent: list[bytes] = []
    states = ["InProgress"] * 30
    with raw_server(bulk_org(RESULTS, states, sent)) as server:
        given = settings(server.address, bulk_write_from=1, bulk_patience_seconds=60)
        target = SalesforceTarget(given, FixedClock())
        with pytest.raises(RetryableError, match="still InProgress"):
            target.upsert("Account", ROWS, key="Legacy__c")
        states[:] = ["JobComplete"]
        assert target.upsert("Account", ROWS, key="Legacy__c").num_rows == 3
    assert len(sent) == 1


def without_rows(name: str) -> bytes:
    return RESULTS[name].split(b"\n")[0] + b"\n"


@pytest.mark.parametrize(
    ("results", "states", "kind", "text"),
    [
        (
            RESULTS | {"failedResults": without_rows("failedResults")},
            ["JobComplete"],
            RetryableError,
            "2 answers",
        ),
        (RESULTS | {"failedResults": b"<html>x</html>"}, ["JobComplete"], ConnectorError, "."),
        (RESULTS | {"failedResults": b"\xff\xfe\x00"}, ["JobComplete"], ConnectorError, "."),
        (RESULTS | {"failedResults": b'"a","b"\n"1","2","3"\n'}, ["JobComplete"], RetryableError, "damaged"),
        (RESULTS | {"failedResults": b'"sf__Id"\n"1"\n'}, ["JobComplete"], FatalError, "sf__Error"),
        ({name: without_rows(name) for name in RESULTS}, ["Failed"], FatalError, "ended as Failed"),
        (
            RESULTS | {"failedResults": without_rows("failedResults")},
            ["Aborted"],
            RetryableError,
            "ended as Aborted",
        ),
    ],
)
def test_results_of_a_job_that_do_not_add_up_are_not_believed(
    results: dict[str, bytes], states: list[str], kind: type[Exception], text: str
) -> None:
    with raw_server(bulk_org(results, states, [])) as server:
        target = SalesforceTarget(settings(server.address, bulk_write_from=1), FixedClock())
        with pytest.raises(kind, match=text):
            target.upsert("Account", ROWS, key="Legacy__c")


@pytest.mark.parametrize(
    "watermark", ["", "2026", "2026-01-01", "{}", "2026-01-01T00:00:00.000Z' OR Id != '"]
)
def test_a_watermark_nobody_wrote_is_expired(watermark: str) -> None:
    with raw_server(org(lambda _, __: said({}))) as server, pytest.raises(WatermarkExpired):
        list(SalesforceSource(settings(server.address)).changes("Account", since=watermark))
