"""simple-salesforce, unchanged and over TLS, against the Salesforce sandbox: what the community's client takes for Salesforce."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceRefusedRequest,
    SalesforceResourceNotFound,
)

from connectors.sandbox.salesforce.app import app_of
from connectors.sandbox.salesforce.org import Org
from connectors.sandbox.serve import Box, running
from migrator.core.connector import Limits
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

pytestmark = pytest.mark.live

EXTRA = (
    ObjectSchema(
        "Account", "Id",
        (
            FieldSchema("Legacy_Id__c", FieldType.STRING, length=40, unique=True),
            FieldSchema("Tier__c", FieldType.PICKLIST, values=("Gold", "Silver")),
        ),
    ),
    ObjectSchema("Contact", "Id", (FieldSchema("Legacy_Id__c", FieldType.STRING, unique=True),)),
    ObjectSchema(
        "Order__c", "Id",
        (
            FieldSchema("Account__c", FieldType.REFERENCE, references=("Account",), required=True),
            FieldSchema("Total__c", FieldType.DECIMAL, precision=18, scale=2),
        ),
    ),
)  # fmt: skip


class Elsewhere(HTTPAdapter):
    """Takes what is meant for *.salesforce.com to the sandbox."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def send(self, request: Any, **options: Any) -> Any:  # type: ignore[override]
        parts = urlsplit(request.url)
        request.url = f"{self.url}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        return super().send(request, **options)


OPEN: list[requests.Session] = []
"""Sessions to be closed: the client has no way of its own."""


def session() -> requests.Session:
    made = requests.Session()
    OPEN.append(made)
    return made


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


@contextmanager
def served() -> Iterator[Box]:
    org = Org()
    for schema in EXTRA:
        org.adopt(schema)
    with running(app_of(org), tls=True) as made, pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(made.certificate))
        yield made


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    with served() as made:
        yield made


@pytest.fixture
def own_box() -> Iterator[Box]:
    """For a test that ends all sessions: the client's bulk interface renews none, and others share theirs."""
    with served() as made:
        yield made


def redirected(box: Box) -> requests.Session:
    made = session()
    for name in ("login", "test", "my-domain.my"):
        made.mount(f"https://{name}.salesforce.com", Elsewhere(box.url))
    return made


def app_login(box: Box) -> Salesforce:
    return Salesforce(
        consumer_key=box.credentials["client_id"], consumer_secret=box.credentials["client_secret"],
        domain="my-domain.my", session=redirected(box),
    )  # fmt: skip


@pytest.fixture(scope="module")
def sf(box: Box) -> Salesforce:
    return app_login(box)


@pytest.fixture
def unique() -> Callable[[str], str]:
    stamp = time.monotonic_ns()
    return lambda name: f"{name} {stamp}"


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def code(raised: pytest.ExceptionInfo[Any]) -> str:
    content = raised.value.content
    return str(content[0]["errorCode"])


def test_it_logs_in_in_every_way(box: Box, tmp_path: Path) -> None:
    known = box.credentials
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(key)
    ways: list[dict[str, str]] = [
        {"username": known["username"], "password": known["password"], "security_token": known["security_token"]},
        {"username": known["username"], "password": known["password"], "organizationId": "00D000000000001"},
        {
            "username": known["username"], "password": known["password"] + known["security_token"],
            "consumer_key": known["client_id"], "consumer_secret": known["client_secret"],
        },
        {
            "username": known["username"], "consumer_key": known["client_id"],
            "privatekey_file": str(tmp_path / "key.pem"),
        },
        {
            "consumer_key": known["client_id"], "consumer_secret": known["client_secret"],
            "domain": "my-domain.my",
        },
    ]  # fmt: skip
    for way in ways:
        sf = Salesforce(session=redirected(box), **way)
        assert sf.query("SELECT Id FROM Organization")["totalSize"] == 1, sf.auth_type
    for wrong in (
        {"username": known["username"], "password": "no", "security_token": "no"},
        {"consumer_key": known["client_id"], "consumer_secret": "no", "domain": "my-domain.my"},
    ):
        with pytest.raises(SalesforceAuthenticationFailed):
            Salesforce(session=redirected(box), **wrong)


def test_a_session_that_ends_is_renewed_by_the_client(own_box: Box) -> None:
    sf = app_login(own_box)
    own_box.app.manners.expire_tokens()
    assert sf.query("SELECT Id FROM User LIMIT 1")["totalSize"] == 1
    stale = Salesforce(session_id="00D!none", instance_url=own_box.url, session=session())
    with pytest.raises(SalesforceExpiredSession) as raised:
        stale.query("SELECT Id FROM User")
    assert code(raised) == "INVALID_SESSION_ID"


def test_it_describes(sf: Salesforce) -> None:
    found = {item["name"]: item for item in sf.describe()["sobjects"]}
    assert (found["Account"]["keyPrefix"], found["Order__c"]["custom"]) == ("001", True)
    account = {item["name"]: item for item in sf.Account.describe()["fields"]}
    assert account["Legacy_Id__c"]["externalId"]
    assert account["Legacy_Id__c"]["unique"]
    assert [item["value"] for item in account["Tier__c"]["picklistValues"]] == ["Gold", "Silver"]
    assert account["ParentId"]["referenceTo"] == ["Account"]
    assert account["BillingStreet"]["compoundFieldName"] == "BillingAddress"
    assert account["Name"]["nillable"] is False
    assert sf.Order__c.metadata()["objectDescribe"]["name"] == "Order__c"
    with pytest.raises(SalesforceResourceNotFound):
        sf.Nothing.describe()


def test_records_one_by_one(sf: Salesforce, unique: Callable[[str], str]) -> None:
    name = unique('O\'Hara\n"客户"')
    made = sf.Account.create({"Name": name, "AnnualRevenue": 12, "BillingCity": "Köln", "Tier__c": "Gold"})
    record = sf.Account.get(made["id"])
    assert (record["Name"], record["AnnualRevenue"], record["BillingAddress"]["city"]) == (name, 12.0, "Köln")
    assert sf.Account.update(made["id"][:15], {"BillingCity": None, "Phone": "+60 3"}) == 204
    changed = sf.Account.get(made["id"])
    assert (changed["BillingCity"], changed["Phone"], changed["Name"]) == (None, "+60 3", name)
    assert sf.Account.delete(made["id"]) == 204
    with pytest.raises(SalesforceResourceNotFound) as raised:
        sf.Account.get(made["id"])
    assert code(raised) == "ENTITY_IS_DELETED"
    found = sf.query(f"SELECT Id, IsDeleted FROM Account WHERE Id = '{made['id']}'", include_deleted=True)
    assert found["records"][0]["IsDeleted"] is True


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({}, "REQUIRED_FIELD_MISSING"),
        ({"Name": "x" * 256}, "STRING_TOO_LONG"),
        ({"Name": "x", "Nope__c": 1}, "INVALID_FIELD"),
        ({"Name": "x", "Tier__c": "Iron"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ({"Name": "x", "ParentId": "001"}, "MALFORMED_ID"),
        ({"Name": "x", "ParentId": "001Sb00000ZZZZZ"}, "INVALID_CROSS_REFERENCE_KEY"),
        ({"Name": "x", "ParentId": "003Sb0000000001"}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"Name": "x", "AnnualRevenue": "much"}, "JSON_PARSER_ERROR"),
        ({"Name": "x", "AnnualRevenue": 10**19}, "NUMBER_OUTSIDE_VALID_RANGE"),
        ({"Name": "x", "SystemModstamp": "2020-01-01T00:00:00Z"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
    ],
)
def test_what_salesforce_refuses(sf: Salesforce, values: dict[str, Any], wanted: str) -> None:
    with pytest.raises(SalesforceMalformedRequest) as raised:
        sf.Account.create(values)
    assert code(raised) == wanted


def test_audit_fields_are_set_when_a_record_is_made_and_never_after(
    sf: Salesforce, unique: Callable[[str], str]
) -> None:
    old = {"CreatedDate": "2001-02-03T04:05:06.000Z", "LastModifiedDate": "2002-02-03T04:05:06.000+0800"}
    made = sf.Account.create({"Name": unique("old"), **old})["id"]
    record = sf.Account.get(made)
    assert record["CreatedDate"] == "2001-02-03T04:05:06.000+0000"
    assert record["LastModifiedDate"] == "2002-02-02T20:05:06.000+0000"
    assert record["SystemModstamp"] > "2025"
    with pytest.raises(SalesforceMalformedRequest) as raised:
        sf.Account.update(made, {"CreatedDate": "2001-02-03T04:05:06.000Z"})
    assert code(raised) == "INVALID_FIELD_FOR_INSERT_UPDATE"


def test_upsert_by_an_external_id(sf: Salesforce, box: Box, unique: Callable[[str], str]) -> None:
    key = f"Legacy_Id__c/{unique('a%2Fb').replace(' ', '%20')}"
    made = sf.Account.upsert(key, {"Name": "first"}, raw_response=True)
    assert (made.status_code, made.json()["created"]) == (201, True)
    again = sf.Account.upsert(key, {"Name": "second"}, raw_response=True)
    assert (again.status_code, again.json()["id"]) == (200, made.json()["id"])
    assert sf.Account.get(made.json()["id"])["Legacy_Id__c"] == unique("a/b")
    with pytest.raises(SalesforceMalformedRequest) as raised:
        sf.Account.create({"Name": "third", "Legacy_Id__c": unique("A/B")})
    assert code(raised) == "DUPLICATE_VALUE"
    assert made.json()["id"] in raised.value.content[0]["message"]
    mail = f"{unique('m').replace(' ', '')}@x.example"
    for number in range(2):
        sf.Contact.create({"LastName": f"n{number}", "Email": mail})
    with pytest.raises(SalesforceMoreThanOneRecord) as several:
        sf.Contact.upsert(f"Email/{mail}", {"LastName": "n"})
    assert len(several.value.content) == 2
    with pytest.raises(SalesforceResourceNotFound):
        sf.Account.upsert("Phone/1", {"Name": "x"})
    assert box.calls("PATCH") >= 3


def test_queries_page_and_nest(sf: Salesforce, unique: Callable[[str], str]) -> None:
    name = unique("paged")
    parent = sf.Account.create({"Name": name})["id"]
    made = sf.bulk2.Contact.insert(
        records=[{"LastName": f"L{n:04}", "AccountId": parent} for n in range(2_450)], wait=0.05
    )
    assert (made[0]["numberRecordsProcessed"], made[0]["numberRecordsFailed"]) == (2_450, 0)
    query = f"SELECT LastName, Account.Name, Account.Owner.Username FROM Contact WHERE Account.Name = '{name}' ORDER BY LastName"
    first = sf.query(query)
    assert (first["totalSize"], first["done"], len(first["records"])) == (2_450, False, 2_000)
    everything = sf.query_all(query)["records"]
    assert [row["LastName"] for row in everything] == [f"L{n:04}" for n in range(2_450)]
    assert everything[0]["Account"]["Owner"]["Username"] == "admin@sandbox.example"
    count = sf.query(f"SELECT COUNT() FROM Contact WHERE AccountId = '{parent}'")
    assert (count["totalSize"], count["records"]) == (2_450, [])
    inner = sf.query(f"SELECT Id, (SELECT LastName FROM Contacts LIMIT 3) FROM Account WHERE Id = '{parent}'")
    assert inner["records"][0]["Contacts"]["totalSize"] == 3
    for wrong, said in (("SELECT Id FROM", "MALFORMED_QUERY"), ("SELECT Nope FROM Account", "INVALID_FIELD"),
                        ("SELECT Id FROM Nope", "INVALID_TYPE"),
                        ("SELECT Id FROM Account WHERE CreatedDate > '2020-01-01'", "INVALID_FIELD")):  # fmt: skip
        with pytest.raises(SalesforceMalformedRequest) as raised:
            sf.query(wrong)
        assert code(raised) == said


def test_bulk_loads_and_says_what_became_of_every_row(
    sf: Salesforce, box: Box, unique: Callable[[str], str]
) -> None:
    records = [{"Name": unique(f"b{n}") if n else "", "Legacy_Id__c": unique(f"k{n}")} for n in range(5)]
    job = sf.bulk2.Account.insert(records=records, wait=0.05)[0]
    assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (5, 1)
    good = rows(sf.bulk2.Account.get_successful_records(job["job_id"]))
    bad = rows(sf.bulk2.Account.get_failed_records(job["job_id"]))
    assert {row["Legacy_Id__c"] for row in good} == {unique(f"k{n}") for n in range(1, 5)}
    assert bad[0]["sf__Error"] == "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"
    assert sf.bulk2.Account.get_unprocessed_records(job["job_id"]).count("\n") == 1

    changes = [{"Legacy_Id__c": unique(f"k{n}"), "Name": f"up {n}", "Phone": "#N/A"} for n in (1, 9)]
    upserted = sf.bulk2.Account.upsert(records=changes, external_id_field="Legacy_Id__c", wait=0.05)[0]
    done = rows(sf.bulk2.Account.get_successful_records(upserted["job_id"]))
    assert {(row["Legacy_Id__c"], row["sf__Created"]) for row in done} == {
        (unique("k1"), "false"), (unique("k9"), "true"),
    }  # fmt: skip
    ids = [row["sf__Id"] for row in good]
    assert (
        sf.bulk2.Account.update(records=[{"Id": ids[0], "Site": "HQ"}], wait=0.05)[0]["numberRecordsFailed"]
        == 0
    )
    assert sf.Account.get(ids[0])["Site"] == "HQ"
    parents = [
        {"LastName": "p", "Account.Legacy_Id__c": unique("k2")},
        {"LastName": "q", "Account.Legacy_Id__c": "none"},
    ]
    linked = sf.bulk2.Contact.insert(records=parents, wait=0.05)[0]
    assert linked["numberRecordsFailed"] == 1
    assert "Foreign key external ID: none not found" in sf.bulk2.Contact.get_failed_records(linked["job_id"])
    removed = sf.bulk2.Account.delete(records=[{"Id": record} for record in ids[2:]], wait=0.05)[0]
    assert removed["numberRecordsProcessed"] == 2
    assert sf.bulk2.Account.hard_delete(records=[{"Id": ids[0]}], wait=0.05)[0]["numberRecordsFailed"] == 0
    assert box.store.get("Account", ids[0]) is None


def test_bulk_queries_come_in_pages(sf: Salesforce, tmp_path: Path, unique: Callable[[str], str]) -> None:
    label = unique("bulk\nquery")
    job = sf.bulk2.Lead.insert(
        records=[{"LastName": f"L{n:03}", "Company": label, "Title": ""} for n in range(250)], wait=0.05
    )
    assert job[0]["numberRecordsFailed"] == 0
    escaped = label.replace("\n", "\\n")
    query = f"SELECT Id, LastName, Company, Title, CreatedDate, IsConverted, Owner.Username FROM Lead WHERE Company = '{escaped}' ORDER BY LastName"
    pages = list(sf.bulk2.Lead.query(query, max_records=101, wait=0.05))
    assert [len(rows(str(page))) for page in pages] == [101, 101, 48]
    found = [row for page in pages for row in rows(str(page))]
    assert [row["LastName"] for row in found] == [f"L{n:03}" for n in range(250)]
    first = found[0]
    assert (first["Company"], first["Title"], first["IsConverted"], first["Owner.Username"]) == (
        label, "", "false", "admin@sandbox.example",
    )  # fmt: skip
    assert datetime.strptime(first["CreatedDate"], "%Y-%m-%dT%H:%M:%S.000Z").replace(tzinfo=UTC)
    parts = sf.bulk2.Lead.download(query, path=str(tmp_path), max_records=200, wait=0.05)
    assert [part["number_of_records"] for part in parts] == [200, 50]
    assert list(sf.bulk2.Lead.query("SELECT Id FROM Lead WHERE LastName = 'nobody'", wait=0.05)) == ['"Id"\n']
    with pytest.raises(SalesforceMalformedRequest):
        list(sf.bulk2.Lead.query("SELECT COUNT() FROM Lead", wait=0.05))


def test_feeds_of_changes(sf: Salesforce, unique: Callable[[str], str]) -> None:
    made = [sf.Campaign.create({"Name": unique(f"c{n}")})["id"] for n in range(2)]
    sf.Campaign.delete(made[1])
    now = datetime.now(UTC)
    start, end = now - timedelta(minutes=5), now + timedelta(minutes=2)
    assert made[0] in sf.Campaign.updated(start, end)["ids"]
    gone = sf.Campaign.deleted(start, end)
    assert made[1] in {item["id"] for item in gone["deletedRecords"]}
    assert gone["latestDateCovered"] <= now.strftime("%Y-%m-%dT%H:%M:%S.999+0000")
    with pytest.raises(SalesforceMalformedRequest) as raised:
        sf.Campaign.deleted(now - timedelta(days=20), end)
    assert code(raised) == "INVALID_REPLICATION_DATE"


def test_files_up_and_down(sf: Salesforce, tmp_path: Path, unique: Callable[[str], str]) -> None:
    content = bytes(range(256)) * 20
    (tmp_path / "合同.bin").write_bytes(content)
    account = sf.Account.create({"Name": unique("with file")})["id"]
    attachment = {"ParentId": account, "Name": "a.bin", "Body": "AAECAw=="}
    stored = sf.Attachment.create(attachment)["id"]
    assert sf.Attachment.get_base64(stored, base64_field="Body") == bytes(range(4))
    multipart = {
        "entity_content": (None, f'{{"PathOnClient": "合同.bin", "FirstPublishLocationId": "{account}"}}', "application/json"),
        "VersionData": ("合同.bin", content, "application/octet-stream"),
    }  # fmt: skip
    answer = requests.post(
        f"{sf.base_url}sobjects/ContentVersion", files=multipart, timeout=10,
        headers={"Authorization": f"Bearer {sf.session_id}"},
    )  # fmt: skip
    version = answer.json()["id"]
    assert sf.ContentVersion.get_base64(version, base64_field="VersionData") == content
    found = sf.query(f"SELECT ContentSize, FileExtension, ContentDocument.Title, VersionData FROM ContentVersion WHERE Id = '{version}'")["records"][0]  # fmt: skip
    assert (found["ContentSize"], found["FileExtension"], found["ContentDocument"]["Title"]) == (
        5120,
        "bin",
        "合同",
    )
    links = sf.query(f"SELECT LinkedEntityId FROM ContentDocumentLink WHERE LinkedEntityId = '{account}'")
    assert links["totalSize"] == 1


def test_the_days_calls_run_out() -> None:
    with (
        running(app_of(Org(), Limits(daily=4, parallel=25)), tls=True) as box,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("REQUESTS_CA_BUNDLE", str(box.certificate))
        sf = app_login(box)
        assert sf.limits()["DailyApiRequests"] == {"Max": 4, "Remaining": 3}
        for _ in range(3):
            sf.query("SELECT Id FROM User")
        assert sf.api_usage["api-usage"].used == 4
        with pytest.raises(SalesforceRefusedRequest) as raised:
            sf.query("SELECT Id FROM User")
        assert raised.value.content[0]["message"] == "TotalRequests Limit exceeded."
