"""The Salesforce sandbox in one process: ids, SOQL and nothing but SOQL, many records a call, rules and switches of seeds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sandbox.salesforce.app import app_of
from connectors.sandbox.salesforce.errors import SalesforceError
from connectors.sandbox.salesforce.ids import canonical, id18, numbered
from connectors.sandbox.salesforce.org import Org, Switches
from connectors.sandbox.salesforce.querying import Queries
from connectors.sandbox.salesforce.seeding import fill_org
from connectors.sandbox.salesforce.soql import parse
from connectors.sandbox.salesforce.spool import Spool
from connectors.sandbox.serve import SandboxApp
from migrator.core.clock import FixedClock
from migrator.core.errors import ProjectError
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from tests.loops import run_apart

V = "/services/data/v59.0"


@pytest.fixture
def org() -> Iterator[Org]:
    made = Org(FixedClock())
    made.adopt(
        ObjectSchema(
            "Account", "Id",
            (
                FieldSchema("Key__c", FieldType.STRING, unique=True, length=20),
                FieldSchema("Tags__c", FieldType.MULTI_PICKLIST),
            ),
        )
    )  # fmt: skip
    yield made
    made.store.close()


class Client:
    """Calls with a good token, in this process."""

    def __init__(self, app: SandboxApp) -> None:
        self.app = app
        self.headers: dict[str, str] = {}
        self.log_in()

    def send(self, method: str, url: str, **options: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self.app.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://box") as http:
                return await http.request(method, url, **options)

        return run_apart(call())

    def log_in(self) -> None:
        form = {"grant_type": "refresh_token", "refresh_token": self.app.credentials["refresh_token"]}
        token = self.send("POST", "/services/oauth2/token", data=form).json()["access_token"]
        self.headers["Authorization"] = f"Bearer {token}"

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        content = None if body is None else json.dumps(body)
        return self.send(method, V + path, content=content, headers=self.headers | headers)

    def soql(self, text: str) -> list[dict[str, Any]]:
        found = self("GET", f"/query?q={quote_plus(text)}")
        assert found.status_code == 200, found.text
        return [
            {name: item for name, item in row.items() if name != "attributes"}
            for row in found.json()["records"]
        ]


@pytest.fixture
def client(org: Org) -> Client:
    return Client(app_of(org))


def test_ids_carry_their_checksum() -> None:
    known = {
        "001000000000001": "001000000000001AAA", "001xY0000001AbC": "001xY0000001AbCQAU",
        "003aBcDeFgHiJkL": "003aBcDeFgHiJkLQKV", "00D000000000000": "00D000000000000EAA",
    }  # fmt: skip
    for short, long in known.items():
        assert id18(short) == canonical(short) == canonical(long) == canonical(long.upper()) == long
    for none in ("", "001", "001xY0000001AbCQBU", "001xY0000001Ab!", "001xY0000001AbC\n"):
        assert canonical(none) is None


@given(st.integers(0, 62**9 - 1))
def test_every_id_of_our_own_is_one(number: int) -> None:
    made = numbered("a0B", number)
    assert canonical(made) == canonical(made[:15]) == canonical(made.lower()) == made


def accounts(org: Org) -> Callable[[str], list[str]]:
    queries = Queries(org)

    def ask(condition: str) -> list[str]:
        text = f"SELECT Name FROM Account WHERE {condition} ORDER BY Name"
        found = queries.first(text, "v59.0", deleted_too=False, page=2_000)
        return [row["Name"] for row in found["records"]]

    return ask


def test_conditions_mean_what_they_mean_in_soql(org: Org) -> None:
    first = org.store.insert(
        "Account",
        {"Name": "Alpha", "AnnualRevenue": "9", "Tags__c": "a;b", "Site": None, "BillingCity": "Köln"},
    )
    org.clock.sleep(86_400)
    org.store.insert("Account", {"Name": "beta", "AnnualRevenue": "10", "ParentId": first, "Site": "100%_x"})
    ask = accounts(org)
    for condition, wanted in {
        "Name = 'ALPHA'": ["Alpha"],
        "Name != 'alpha'": ["beta"],
        "Site != '100%_x'": ["Alpha"],  # empty is not that either
        "Site = null": ["Alpha"],
        "Site = ''": ["Alpha"],
        "AnnualRevenue > 9.5": ["beta"],
        "AnnualRevenue IN (9, 11)": ["Alpha"],
        "Name LIKE 'AL%'": ["Alpha"],
        r"Site LIKE '100\%\_%'": ["beta"],
        r"Site LIKE '100\%\__'": ["beta"],
        "Tags__c INCLUDES ('b;a', 'z')": ["Alpha"],
        "Tags__c EXCLUDES ('a')": ["beta"],
        f"Id = '{first[:15]}'": ["Alpha"],
        "Parent.Name = 'Alpha'": ["beta"],
        "NOT (Name = 'Alpha' OR Name = 'x')": ["beta"],
        "(Name = 'Alpha' AND BillingCity = 'Köln') OR Name IN ('beta')": ["Alpha", "beta"],
        "CreatedDate < 2026-01-01T12:00:00+08:00": ["Alpha"],
        "CreatedDate = TODAY": ["beta"],
        "CreatedDate = LAST_N_DAYS:1": ["Alpha", "beta"],
        "CreatedDate < YESTERDAY": [],
        "Name NOT IN ('Alpha')": ["beta"],
    }.items():
        assert ask(condition) == wanted, condition


@given(st.text(max_size=30))
def test_no_text_leaves_its_literal(text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    test = parse(f"SELECT Id FROM Account WHERE Name = '{escaped}' LIMIT 1")
    assert test.limit == 1
    assert test.where is not None
    assert test.where.literals[0].text == text  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text",
    [
        "", "SELECT", "SELECT Id", "SELECT Id FROM Account WHERE", "SELECT Id FROM Account WHERE Name = 'x",
        "SELECT Id FROM Account WHERE Name = 'x' OR", "SELECT Id FROM Account; DROP TABLE Account",
        "SELECT Id FROM Account WHERE Name = \"x\"", "SELECT Id FROM Account LIMIT x", "SELECT * FROM Account",
        "SELECT Id FROM Account WHERE Name == 'x'", "SELECT Id,, Name FROM Account",
    ],
)  # fmt: skip
def test_what_is_no_soql_is_malformed(text: str) -> None:
    with pytest.raises(SalesforceError, check=lambda error: error.code == "MALFORMED_QUERY"):
        parse(text)


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("Id = 'nope'", "INVALID_QUERY_FILTER_OPERATOR"),
        ("CreatedDate = '2020-01-01'", "INVALID_FIELD"),
        ("Name = 5", "INVALID_FIELD"),
        ("Description = 'x'", "INVALID_FIELD"),
        ("Nope.Name = 'x'", "INVALID_FIELD"),
        ("IsDeleted = 'true'", "INVALID_FIELD"),
    ],
)
def test_literals_must_fit_their_field(org: Org, condition: str, code: str) -> None:
    with pytest.raises(SalesforceError, check=lambda error: error.code == code):
        accounts(org)(condition)


def test_a_page_is_found_by_row_numbers() -> None:
    spool = Spool(["n", "text"], line_end="\r\n")
    for start in range(0, 1_003, 59):
        spool.add([[n, f'多\n"{n}"'] for n in range(start, min(start + 59, 1_003))])
    whole = b"".join(spool.whole()).split(b'"\r\n"')
    assert len(whole) == 1_004
    for start, count in ((0, 1_003), (0, 1), (99, 2), (150, 400), (1_002, 5), (1_003, 5)):
        page = b"".join(spool.page(start, count)).split(b'"\r\n"')
        assert [row.split(b'"')[0] for row in page[1:]] == [
            str(n).encode() for n in range(start, min(start + count, 1_003))
        ]


def named(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"attributes": {"type": "Account"}, "Name": f"n{place}", **more} for place in range(count)]


def test_collections_answer_row_by_row_in_order(client: Client) -> None:
    given_rows = named(3)
    given_rows[1]["Name"] = ""
    found = client("POST", "/composite/sobjects", {"records": given_rows}).json()
    assert [row["success"] for row in found] == [True, False, True]
    assert found[1]["errors"][0] == {
        "statusCode": "REQUIRED_FIELD_MISSING", "message": "Required fields are missing: [Name]", "fields": ["Name"],
    }  # fmt: skip
    whole = client("POST", "/composite/sobjects", {"allOrNone": True, "records": given_rows}).json()
    assert [row["errors"][0]["statusCode"] for row in whole] == [
        "ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING", "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    ]  # fmt: skip
    wrong = client("POST", "/composite/sobjects", {"records": [*named(1), *named(1, AnnualRevenue="much")]})
    assert (wrong.status_code, wrong.json()[0]["errorCode"]) == (400, "JSON_PARSER_ERROR")
    assert client.soql("SELECT COUNT(Id) n FROM Account") == [{"n": 2}]
    assert client("POST", "/composite/sobjects", {"records": named(201)}).status_code == 400

    ids = [found[0]["id"], found[2]["id"]]
    changes = [
        {"attributes": {"type": "Account"}, "id": ids[0], "Site": "x"},
        {"attributes": {"type": "Account"}, "Site": "y"},
    ]
    answers = client("PATCH", "/composite/sobjects", {"records": changes}).json()
    assert [row["success"] for row in answers] == [True, False]
    keyed = [{"attributes": {"type": "Account"}, "Key__c": key, "Name": key} for key in ("k1", "k2", "k1")]
    upserted = client("PATCH", "/composite/sobjects/Account/Key__c", {"records": keyed}).json()
    assert [row["created"] for row in upserted] == [True, True, False]
    read = client(
        "POST", "/composite/sobjects/Account", {"ids": [ids[0], numbered("001", 999)], "fields": ["Site"]}
    )
    assert [row and row["Site"] for row in read.json()] == ["x", None]
    gone = client("DELETE", f"/composite/sobjects?ids={ids[0]},{numbered('001', 999)}").json()
    assert [row["success"] for row in gone] == [True, False]


def test_composite_carries_ids_onwards_and_rolls_back(client: Client) -> None:
    parts = [
        {"method": "POST", "url": f"{V}/sobjects/Account", "referenceId": "acc", "body": {"Name": "x"}},
        {"method": "POST", "url": f"{V}/sobjects/Contact", "referenceId": "con", "body": {"LastName": "y", "AccountId": "@{acc.id}"}},
        {"method": "GET", "url": f"{V}/query/?q=SELECT+Account.Name+FROM+Contact", "referenceId": "all"},
    ]  # fmt: skip
    found = client("POST", "/composite", {"compositeRequest": parts}).json()["compositeResponse"]
    assert [item["httpStatusCode"] for item in found] == [201, 201, 200]
    assert found[2]["body"]["records"][0]["Account"]["Name"] == "x"
    parts[2] = {
        "method": "PATCH",
        "url": f"{V}/sobjects/Account/@{{acc.id}}",
        "referenceId": "bad",
        "body": {"Nope": 1},
    }
    found = client("POST", "/composite", {"allOrNone": True, "compositeRequest": parts}).json()[
        "compositeResponse"
    ]
    assert [item["httpStatusCode"] for item in found] == [400, 400, 400]
    assert client.soql("SELECT COUNT(Id) n FROM Account") == [{"n": 1}]
    tree = {"records": [{"attributes": {"type": "Account", "referenceId": "r1"}, "Name": "t", "Contacts": {"records": [
        {"attributes": {"type": "Contact", "referenceId": "r2"}, "LastName": "c"}]}}]}  # fmt: skip
    grown = client("POST", "/composite/tree/Account", tree)
    assert (grown.status_code, [item["referenceId"] for item in grown.json()["results"]]) == (
        201,
        ["r1", "r2"],
    )
    assert client.soql("SELECT Account.Name FROM Contact WHERE LastName = 'c'")[0]["Account"]["Name"] == "t"


def test_amounts_keep_every_place_whatever_their_scale(client: Client) -> None:
    made = client("POST", "/sobjects/Account", {"Name": "x", "AnnualRevenue": 12.345}).json()["id"]
    assert client("GET", f"/sobjects/Account/{made}").json()["AnnualRevenue"] == 12.345


def test_tokens_end(client: Client, org: Org) -> None:
    org.clock.sleep(7_201)
    ended = client("GET", "/limits")
    assert (ended.status_code, ended.json()[0]["errorCode"]) == (401, "INVALID_SESSION_ID")
    client.log_in()
    assert client("GET", "/limits").status_code == 200


def test_cursors_are_few_and_end(client: Client, org: Org) -> None:
    org.store.load("Account", [(numbered("001", n), {"Name": f"n{n}"}) for n in range(1, 301)])
    small = {"Sforce-Query-Options": "batchSize=200"}
    first = client("GET", "/query?q=SELECT+Id+FROM+Account", **small).json()["nextRecordsUrl"]
    more = client("GET", first.removeprefix(V), **small).json()
    assert (len(more["records"]), more["done"]) == (100, True)
    for _ in range(10):
        client("GET", "/query?q=SELECT+Id+FROM+Account", **small)
    gone = client("GET", first.removeprefix(V), **small)
    assert (gone.status_code, gone.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")


def test_feeds_forget(client: Client, org: Org) -> None:
    made = org.store.insert("Account", {"Name": "x"})
    org.store.purge("Account", made)
    org.clock.sleep(120)
    start, end = org.clock.now() - timedelta(minutes=10), org.clock.now()
    path = "/sobjects/Account/deleted/?start={}&end={}"
    span = [at.isoformat().replace("+", "%2B") for at in (start, end)]
    assert [row["id"] for row in client("GET", path.format(*span)).json()["deletedRecords"]] == [made]
    org.clock.sleep(16 * 86_400)
    client.log_in()
    late = client("GET", path.format(*span))
    assert late.json()[0]["errorCode"] == "INVALID_REPLICATION_DATE"


def test_a_write_may_show_late_under_its_own_stamp() -> None:
    org = Org(FixedClock(), Switches(index_lag_seconds=30))
    client = Client(app_of(org))
    made = client("POST", "/sobjects/Account", {"Name": "x"}).json()["id"]
    org.clock.sleep(20)
    assert client.soql("SELECT Id FROM Account") == []
    org.clock.sleep(11)
    assert client.soql("SELECT Id, SystemModstamp FROM Account") == [
        {"Id": made, "SystemModstamp": "2026-01-01T00:00:00.000+0000"}
    ]
    org.store.close()


def test_audit_fields_need_their_permission() -> None:
    org = Org(FixedClock(), Switches(audit_fields=False, multi_currency=False))
    client = Client(app_of(org))
    refused = client("POST", "/sobjects/Account", {"Name": "x", "CreatedDate": "2001-01-01T00:00:00Z"})
    assert refused.json()[0]["errorCode"] == "INVALID_FIELD_FOR_INSERT_UPDATE"
    fields = {item["name"]: item for item in client("GET", "/sobjects/Account/describe").json()["fields"]}
    assert not fields["CreatedDate"]["createable"]
    assert "CurrencyIsoCode" not in fields
    org.store.close()


def test_a_folder_brings_objects_records_and_rules(tmp_path: Path, org: Org) -> None:
    (tmp_path / "Account.csv").write_text(
        "Id,Name,Order,CreatedDate\n001xY0000001AbC,客户,7,2020-01-01T00:00:00.000Z\n", encoding="utf-8"
    )
    (tmp_path / "Ding__c.csv").write_text("Id,Name\na7B000000000001,d\n", encoding="utf-8")
    (tmp_path / "RecordType.jsonl").write_text(
        '{"Id": "012000000000001", "Name": "Key", "DeveloperName": "Key", "SobjectType": "Account", "IsActive": true}\n',
        encoding="utf-8",
    )
    (tmp_path / "rules.yaml").write_text(
        "validation:\n- {object: Account, name: no minus, wrong: AnnualRevenue < 0, message: Below zero, field: AnnualRevenue}\n"
        "duplicates:\n- {object: account, name: one name, fields: [Name]}\n",
        encoding="utf-8",
    )
    assert fill_org(org, tmp_path) == 3
    client = Client(app_of(org))
    assert client.soql("SELECT Id, Order FROM Account") == [{"Id": "001xY0000001AbCQAU", "Order": "7"}]
    assert client("GET", "/sobjects/Ding__c/describe").json()["keyPrefix"] == "a7B"
    types = client("GET", "/sobjects/Account/describe").json()["recordTypeInfos"]
    assert [item["developerName"] for item in types] == ["Key", "Master"]
    below = client("POST", "/sobjects/Account", {"Name": "x", "AnnualRevenue": -1}).json()[0]
    assert below == {
        "errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "message": "Below zero",
        "fields": ["AnnualRevenue"],
    }
    twice = client(
        "POST", "/composite/sobjects", {"records": [*named(1), {**named(1)[0], "Name": "客户"}]}
    ).json()
    duplicate = twice[1]["errors"][0]
    assert duplicate["statusCode"] == "DUPLICATES_DETECTED"
    assert (
        duplicate["duplicateResult"]["matchResults"][0]["matchRecords"][0]["record"]["Id"]
        == "001xY0000001AbCQAU"
    )
    accepted = client(
        "POST", "/sobjects/Account", {"Name": "客户"}, **{"Sforce-Duplicate-Rule-Header": "allowSave=true"}
    )
    assert accepted.status_code == 201


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("validation: [{object: Acount, name: n, wrong: x, message: m}]", "did you mean 'Account'?"),
        ("validation: [{object: Account, name: n, wrong: Nope = 1, message: m}]", "is no SOQL"),
        ("validation: [{object: Account}]", "a rule needs name, wrong, message"),
        ("duplicate: []", "did you mean 'duplicates'?"),
    ],
)
def test_rules_that_are_wrong_are_refused_with_their_place(
    tmp_path: Path, org: Org, text: str, said: str
) -> None:
    (tmp_path / "rules.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ProjectError, match=r"rules.yaml:1:") as raised:
        fill_org(org, tmp_path)
    assert said in str(raised.value)


def test_users_work_in_their_own_names_and_are_locked_out_as_salesforce_does(
    client: Client, org: Org
) -> None:
    lin = numbered("005", 77)
    org.store.load("User", [(lin, {"Username": "lin@sandbox.example", "LastName": "Lin", "IsActive": 1})])
    told = client.app.credentials
    form = {"grant_type": "password", "username": "lin@sandbox.example"} | {
        name: told[name] for name in ("client_id", "client_secret", "password")
    }

    def sign_in() -> httpx.Response:
        return client.send("POST", "/services/oauth2/token", data=form)

    hers = {"Authorization": f"Bearer {sign_in().json()['access_token']}"}
    made = client("POST", "/sobjects/Account", {"Name": "x"}, **hers).json()["id"]
    assert client.soql("SELECT CreatedById, LastModifiedById FROM Account") == [
        {"CreatedById": lin, "LastModifiedById": lin}
    ]
    client("PATCH", f"/sobjects/Account/{made}", {"Name": "y"})
    assert client.soql("SELECT LastModifiedById FROM Account") == [{"LastModifiedById": org.user}]

    reads = client.soql("SELECT Id FROM Profile WHERE Name = 'Read Only'")[0]["Id"]
    client("PATCH", f"/sobjects/User/{lin}", {"ProfileId": reads})
    for refused in (
        client("PATCH", f"/sobjects/Account/{made}", {"Name": "z"}, **hers),
        client("POST", "/sobjects/Account", {"Name": "z"}, **hers),
        client("DELETE", f"/sobjects/Account/{made}", **hers),
    ):
        assert (refused.status_code, refused.json()[0]["errorCode"]) == (
            403,
            "INSUFFICIENT_ACCESS_OR_READONLY",
        )
    assert client("GET", f"/sobjects/Account/{made}", **hers).json()["Name"] == "y"

    client("PATCH", f"/sobjects/User/{lin}", {"IsActive": False})
    assert client("GET", "/limits", **hers).status_code == 401
    assert (sign_in().status_code, sign_in().json()["error_description"]) == (400, "inactive user")
    form["username"] = "nobody@sandbox.example"
    assert sign_in().json()["error_description"] == "authentication failure"
