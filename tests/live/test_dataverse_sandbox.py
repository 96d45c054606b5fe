"""What the Dataverse sandbox does that our own connector does not ask of it, and its limits."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pyarrow as pa
import pytest

from connectors.sandbox.dataverse.app import make_app
from connectors.sandbox.limits import NO_LIMITS
from connectors.sandbox.serve import Box, running
from migrator.core.clock import SystemClock
from migrator.core.connector import Limits, Rate
from migrator.core.errors import RetryableError
from migrator.core.pace import Pace
from migrator.core.sandbox import SandboxOptions
from tests.live.dataverse_box import dataverse, target

pytestmark = pytest.mark.live


@pytest.fixture
def box() -> Iterator[Box]:
    with dataverse() as served:
        yield served


def ask(box: Box, method: str, path: str, **how: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {box.credentials['token']}", **how.pop("headers", {})}  # type: ignore[dict-item]
    return httpx.request(method, f"{box.url}/api/data/v9.2/{path}", headers=headers, trust_env=False, **how)  # type: ignore[arg-type]


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_nobody_is_answered_without_a_token(box: Box) -> None:
    assert httpx.get(f"{box.url}/api/data/v9.2/WhoAmI", trust_env=False).status_code == 401


def test_duplicate_rules_speak_only_when_asked(box: Box) -> None:
    person = {"lastname": "a", "emailaddress1": "a@example.com"}
    assert ask(box, "POST", "contacts", json=person).status_code == 204
    wary = {"MSCRM.SuppressDuplicateDetection": "false"}
    assert code(ask(box, "POST", "contacts", json=person, headers=wary)) == (412, "0x80040333")
    assert ask(box, "POST", "contacts", json=person).status_code == 204


def test_writes_under_conditions(box: Box) -> None:
    made = ask(
        box, "POST", "accounts?$select=name", json={"name": "a"}, headers={"Prefer": "return=representation"}
    )
    assert (made.status_code, made.json()["name"]) == (201, "a")
    record, tag = made.json()["accountid"], made.json()["@odata.etag"]
    assert (
        ask(box, "PATCH", f"accounts({record})", json={"name": "b"}, headers={"If-Match": tag}).status_code
        == 204
    )
    assert code(ask(box, "PATCH", f"accounts({record})", json={"name": "c"}, headers={"If-Match": tag})) == (
        412,
        "0x80060882",
    )
    assert code(ask(box, "PATCH", f"accounts({record})", json={}, headers={"If-None-Match": "*"})) == (
        412,
        "0x80060882",
    )
    absent = "0000ffff-0000-4000-8000-000000000000"
    assert code(ask(box, "PATCH", f"accounts({absent})", json={"name": "x"}, headers={"If-Match": "*"})) == (
        404,
        "0x80040217",
    )
    assert (
        ask(box, "PATCH", f"accounts({absent})", json={"name": "x"}).status_code == 204
    )  # an upsert makes it


@pytest.mark.parametrize(
    ("path", "prefer"),
    [
        ("accounts?$filter=name eq 'a'", "odata.track-changes"),
        ("accounts?$top=1", "odata.track-changes"),
        ("annotations", "odata.track-changes"),
    ],
)
def test_change_tracking_refuses_what_the_service_refuses(box: Box, path: str, prefer: str) -> None:
    assert ask(box, "GET", path, headers={"Prefer": prefer}).status_code == 400


@pytest.mark.parametrize(
    "path",
    ["accounts?$filter=name eq", "accounts?$filter=nope eq 1", "accounts?$filter=name eq 'a' or", "accounts?$orderby=name up",
     "accounts?$select=nope", "accounts(nope='1')", "nothings", "accounts?$skiptoken=x", "accounts?$filter=(name eq 'a'"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_in_the_documented_shape(box: Box, path: str) -> None:
    answer = ask(box, "GET", path)
    assert answer.status_code in {400, 404}
    assert answer.json()["error"]["code"].startswith("0x8")


@pytest.mark.parametrize(
    "body",
    [{"nope": 1}, {"name": 5}, {"numberofemployees": "5"}, {"creditonhold": 1}, {"industrycode": 555}, {"name": None},
     {"name": "a", "parentaccountid@odata.bind": "/accounts(0000ffff-0000-4000-8000-000000000000)"},
     {"name": "a", "parentaccountid": "x"}, {"name": "a", "statecode": 1}],
)  # fmt: skip
def test_what_cannot_be_a_record_is_none(box: Box, body: dict[str, object]) -> None:
    assert ask(box, "POST", "accounts", json=body).status_code in {400, 404}
    assert box.store.count("account") == 0


def test_closed_deals_are_closed_by_their_action_only(box: Box) -> None:
    deal = (
        ask(box, "POST", "opportunities", json={"name": "d"})
        .headers["OData-EntityId"]
        .rpartition("(")[2][:-1]
    )
    assert code(ask(box, "PATCH", f"opportunities({deal})", json={"statecode": 1})) == (400, "0x80048408")
    won = {"Status": 3, "OpportunityClose": {"opportunityid@odata.bind": f"/opportunities({deal})"}}
    assert ask(box, "POST", "WinOpportunity", json=won).status_code == 204
    assert box.store.get("opportunity", deal)["statecode"] == "1"  # type: ignore[index]  # it is there
    assert ask(box, "PATCH", f"opportunities({deal})", json={"statecode": 0}).status_code == 204


def test_a_limit_is_told_with_its_code_and_with_the_engines_gate_never_met() -> None:
    limits = Limits(rates=(Rate(12, 1.0),), parallel=8)
    app = make_app(SandboxOptions())
    app.limits = NO_LIMITS
    rows = pa.table({"new_legacyid": ["a", "b"], "name": ["1", "2"]})
    with running(app) as box, target(box) as opened:
        opened.upsert("account", rows, key="new_legacyid")  # definitions are asked for once
        box.moods.meter.limits = limits
        for _ in range(5):
            opened.upsert("account", rows, key="new_legacyid")  # a look-up and a change: two requests each
        with pytest.raises(RetryableError, match="0x80072322") as caught:
            [opened.upsert("account", rows, key="new_legacyid") for _ in range(5)]
        assert caught.value.throttled
        assert caught.value.retry_after is not None
        before = box.refused()
        clock = SystemClock()
        clock.sleep(1.1)
        opened.pace(Pace("crm", limits, clock))
        for _ in range(10):
            opened.upsert("account", rows, key="new_legacyid")
        assert box.refused() == before
