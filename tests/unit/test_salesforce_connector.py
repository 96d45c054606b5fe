"""The Salesforce connector without a network: settings, queries built from data, values both ways, errors in its words."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.salesforce import CONNECTOR, soql
from connectors.salesforce.cells import from_records, from_texts, typed
from connectors.salesforce.credentials import AsUser, ByJwt, BySession, ClientCredentials, Refreshing
from connectors.salesforce.described import RECORD_TYPE, described
from connectors.salesforce.failures import (
    Expired,
    LocatorGone,
    Said,
    bulk_refusal,
    failure,
    row_refusal,
    said_in,
)
from connectors.salesforce.fit import differences
from connectors.salesforce.keys import bad_keys
from connectors.salesforce.payload import bulk_csv, holds_null_sign, json_records, prepared
from connectors.salesforce.settings import parse
from migrator.commands.members import open_member
from migrator.core.errors import CallRefused, FatalError, ProjectError, RetryableError, WatermarkExpired
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

URL = "https://acme.my.salesforce.com"


def raw_field(name: str, kind: str, **more: object) -> dict[str, object]:
    return {
        "name": name, "type": kind, "label": name, "createable": True, "updateable": True, "nillable": True, **more
    }  # fmt: skip


ACCOUNT = {
    "name": "Account",
    "label": "Account",
    "createable": True,
    "updateable": True,
    "deletable": True,
    "replicateable": True,
    "recordTypeInfos": [
        {"developerName": "Master", "name": "Master", "recordTypeId": "012000000000000AAA", "master": True},
        {"developerName": "Customer", "name": "客户", "recordTypeId": "0125g000000AbCdAAI", "master": False},
    ],
    "fields": [
        raw_field("Id", "id", createable=False, updateable=False, length=18),
        raw_field("Name", "string", length=255, nillable=False),
        raw_field("Legacy__c", "string", length=40, externalId=True, unique=True, caseSensitive=True),
        raw_field("Old_Number__c", "string", length=40, externalId=True),
        raw_field("BillingAddress", "address", createable=False, updateable=False),
        raw_field("BillingCity", "string", length=40),
        raw_field("AnnualRevenue", "currency", precision=18, scale=2),
        raw_field("NumberOfEmployees", "int"),
        raw_field("Active__c", "boolean", nillable=False),
        raw_field("OwnerId", "reference", referenceTo=["User", "Group"], defaultedOnCreate=True),
        raw_field("RecordTypeId", "reference", referenceTo=["RecordType"]),
        raw_field("CreatedDate", "datetime", updateable=False),
        raw_field("SystemModstamp", "datetime", createable=False, updateable=False),
        raw_field(
            "Tier__c", "picklist", restrictedPicklist=True,
            picklistValues=[
                {"value": "A", "label": "甲", "active": True}, {"value": "Z", "label": "old", "active": False}
            ],
        ),
        raw_field(
            "Industry", "picklist", picklistValues=[{"value": "Energy", "label": "Energie", "active": True}]
        ),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("given_settings", "kind"),
    [
        ({"instance_url": URL, "client_id": "i", "client_secret": "s"}, ClientCredentials),
        ({"client_id": "i", "username": "u", "private_key": "k"}, ByJwt),
        ({"client_id": "i", "refresh_token": "r"}, Refreshing),
        ({"username": "u", "password": "p", "security_token": "t"}, AsUser),
        ({"instance_url": URL, "session_id": "00D!x"}, BySession),
    ],
)
def test_the_way_to_log_in_follows_from_what_is_given(given_settings: dict[str, str], kind: type) -> None:
    found = parse(given_settings)
    assert isinstance(found.credentials, kind)
    for secret in ("client_secret", "private_key", "refresh_token", "password", "session_id"):
        assert f"{secret}='{given_settings.get(secret)}'" not in repr(found)


@pytest.mark.parametrize(
    ("given_settings", "said"),
    [
        ({}, "do not say how to log in"),
        ({"client_id": "i", "client_secret": "s"}, "need instance_url"),
        ({"session_id": "x", "instance_url": "http://crm.example.com"}, "readable on its way"),
        ({"session_id": "x", "instance_url": "https://user:pw@crm.example.com"}, "is no address"),
        ({"session_id": "x", "instance_url": URL + "/lightning"}, "is no address"),
        ({"session_id": "x", "instance_url": URL, "version": "latest"}, "none of the API"),
        ({"session_id": "x", "instance_url": URL, "batch_rows": "many"}, "whole number"),
        ({"session_id": "x", "instance_url": URL, "instanceurl": URL}, "unknown setting"),
        ({"session_id": "x", "instance_url": URL, "objects": {"only": ["A"]}}, "cannot be read"),
    ],
)
def test_wrong_settings_are_told_without_their_secrets(given_settings: dict[str, object], said: str) -> None:
    with pytest.raises(ProjectError, match=said) as caught:
        parse(given_settings)
    assert "pw" not in str(caught.value)


def test_loopback_may_be_plain_and_an_address_is_recognised() -> None:
    assert parse({"session_id": "x", "instance_url": "http://127.0.0.1:8001"}).instance_url
    assert CONNECTOR.recognise is not None
    found = CONNECTOR.recognise(URL + "/lightning/page/home")
    assert found is not None
    assert found.settings == {"instance_url": URL}
    assert CONNECTOR.recognise("https://salesforce.com.evil.example") is None


def test_objects_are_the_usual_ones_unless_patterns_say_otherwise() -> None:
    usual = parse({"session_id": "x", "instance_url": URL})
    assert usual.wants("Account")
    assert usual.wants("Deal__c")
    assert not usual.wants("ApexClass")
    some = parse(
        {"session_id": "x", "instance_url": URL, "objects": {"include": ["*"], "exclude": ["Apex*"]}}
    )
    assert some.wants("LoginHistory")
    assert not some.wants("ApexClass")


def soql_read_back(literal: str) -> str:
    """What a SOQL parser makes of a literal; raises when the literal ends before its end."""
    assert literal[0] == "'" == literal[-1]
    out, rest = [], list(literal[1:-1])
    named = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "'": "'", "\\": "\\"}
    while rest:
        char = rest.pop(0)
        assert char != "'", "the literal was left"
        out.append(named[rest.pop(0)] if char == "\\" else char)
    return "".join(out)


@given(st.text())
def test_no_text_gets_out_of_its_literal(value: str) -> None:
    assert soql_read_back(soql.text_literal(value)) == value


@pytest.mark.parametrize(
    "attack",
    [
        "x' OR Name LIKE '%", "\\' OR Id != '", "'; DELETE", "\\", "a\\'", "\n' OR '1'='1", "') OR (Id != null",
        "王'伟", "%_",
    ],
)  # fmt: skip
def test_known_attacks_stay_data(attack: str) -> None:
    conditions = list(soql.one_of("Legacy__c", [soql.text_literal(attack)], 12_000))
    inside = conditions[0].removeprefix("Legacy__c IN (").removesuffix(")")
    assert soql_read_back(inside) == attack


@pytest.mark.parametrize(
    "bad", ["Id FROM User--", "Name,Secret__c", "a b", "1x", "", "x'", "Größe", "a..b", "(SELECT Id)"]
)
def test_what_can_be_no_name_never_reaches_a_query(bad: str) -> None:
    with pytest.raises(FatalError, match="cannot be the name"):
        soql.select([bad], "Account")
    with pytest.raises(FatalError, match="cannot be the name"):
        soql.select(["Id"], bad)


def test_number_keys_are_numbers_and_nothing_else() -> None:
    field = FieldSchema("No__c", FieldType.DECIMAL)
    assert soql.key_literal(field, "1E3") == "1000"
    assert [soql.key_literal(field, text) for text in ("1 OR 1=1", "NaN", "Infinity", "")] == [None] * 4


@given(st.lists(st.text(max_size=60), max_size=80), st.integers(100, 2_000))
def test_conditions_name_every_key_once_within_their_room(keys: list[str], room: int) -> None:
    literals = [soql.text_literal(key) for key in keys]
    found = list(soql.one_of("K__c", literals, room))
    assert ",".join(item.removeprefix("K__c IN (").removesuffix(")") for item in found) == ",".join(literals)


def test_an_object_is_described_with_all_a_mapping_needs() -> None:
    found = described(ACCOUNT)
    schema = found.schema
    assert schema.field("BillingAddress") is None
    assert schema.field("BillingCity") is not None
    tier, industry = schema.field("Tier__c"), schema.field("Industry")
    assert tier is not None
    assert industry is not None
    assert (tier.values, tier.labels) == (("A",), {"A": "甲", "Z": "old"})
    assert (industry.values, industry.labels) == ((), {"Energy": "Energie"})
    owner, record_type = schema.field("OwnerId"), schema.field(RECORD_TYPE)
    assert owner is not None
    assert record_type is not None
    assert owner.references == ("User", "Group")
    assert (record_type.values, record_type.labels) == (("Customer",), {"Customer": "客户"})
    assert not owner.required
    name = schema.field("Name")
    assert name is not None
    assert (name.required, name.length) == (True, 255)
    assert found.stamp() == "SystemModstamp"


@pytest.mark.parametrize(
    "raw", [None, [], {"name": 7}, {"name": "A", "fields": "all"}, {"name": "A", "fields": [{"name": ["x"]}]}]
)
def test_a_description_of_the_wrong_shape_is_told(raw: object) -> None:
    with pytest.raises(FatalError, match="is not"):
        described(raw)


def test_a_record_is_the_same_over_rest_and_bulk() -> None:
    found = described(ACCOUNT)
    names = [
        "Id",
        "Name",
        "AnnualRevenue",
        "NumberOfEmployees",
        "Active__c",
        "CreatedDate",
        "OwnerId",
        RECORD_TYPE,
    ]
    fields = [item for item in found.schema.fields if item.name in names]
    rest = [
        {
            "attributes": {"type": "Account"}, "Id": "001xY0000001AbCQAU", "Name": 'Li "水" & Co\nKG',
            "AnnualRevenue": "1.25E7", "NumberOfEmployees": 12, "Active__c": True,
            "CreatedDate": "2026-01-02T17:38:59.000+0000", "OwnerId": None,
            "RecordType": {"attributes": {}, "DeveloperName": "Customer"},
        }
    ]  # fmt: skip
    csv = {
        "id": ["001xY0000001AbCQAU"], "NAME": ['Li "水" & Co\nKG'], "AnnualRevenue": ["12500000.00"],
        "NumberOfEmployees": ["12"], "Active__c": ["true"], "CreatedDate": ["2026-01-02T17:38:59.000Z"],
        "OwnerId": [""], RECORD_TYPE: ["Customer"],
    }  # fmt: skip
    over_rest, over_bulk = from_records(rest, fields), from_texts(pa.table(csv), fields)
    assert over_rest.to_pylist() == over_bulk.to_pylist()
    assert over_rest.to_pylist()[0]["AnnualRevenue"] == "12500000"


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**15), max_value=10**15))
def test_amounts_keep_their_value_in_every_form(amount: Decimal) -> None:
    field = FieldSchema("A", FieldType.DECIMAL, precision=18, scale=2)
    for form in (format(amount, "f"), f"{amount:E}", str(amount)):
        text = from_records([{"A": form}], [field]).column("A")
        assert typed(text, field).to_pylist() == [amount]


def test_typed_columns_are_exact() -> None:
    fields = {
        "D": (FieldType.DATE, "2026-02-28", date(2026, 2, 28)),
        "T": (
            FieldType.DATETIME,
            "2026-01-02T17:38:59.250+0000",
            datetime(2026, 1, 2, 17, 38, 59, 250_000, UTC),
        ),
        "C": (FieldType.TIME, "08:30:00.000Z", time(8, 30)),
        "B": (FieldType.BOOLEAN, False, False),
        "I": (FieldType.INTEGER, 7, 7),
    }
    for name, (kind, said, meant) in fields.items():
        field = FieldSchema(name, kind)
        assert typed(from_records([{name: said}], [field]).column(name), field).to_pylist() == [meant]


def test_a_value_of_another_shape_is_told() -> None:
    with pytest.raises(FatalError, match="single value"):
        from_records([{"Name": {"street": "x"}}], [FieldSchema("Name", FieldType.STRING)])


ROWS = pa.table(
    {
        "Name": pa.array(['a "b"\n王', None]),
        "Big__c": pa.array([Decimal("12345678901234567.89"), None], pa.decimal128(19, 2)),
        "Flag__c": pa.array([True, None]),
        "Born__c": pa.array([date(1970, 1, 1), None]),
        "At__c": pa.array([datetime(2026, 1, 1, tzinfo=UTC), None], pa.timestamp("us", tz="UTC")),
    }
)


def test_json_is_exact_and_null_clears() -> None:
    first, second = (json.loads(text, parse_float=Decimal) for text in json_records(ROWS, "X__c"))
    assert first["Big__c"] == Decimal("12345678901234567.89")
    assert first["attributes"] == {"type": "X__c"}
    assert (first["Born__c"], first["At__c"]) == ("1970-01-01", "2026-01-01T00:00:00.000Z")
    assert second == {
        "attributes": {"type": "X__c"}, "Name": None, "Big__c": None, "Born__c": None, "At__c": None
    }  # fmt: skip


def test_csv_says_null_so_that_it_clears() -> None:
    assert bulk_csv(ROWS).decode() == (
        '"Name","Big__c","Flag__c","Born__c","At__c"\n'
        '"a ""b""\n王","12345678901234567.89","true","1970-01-01","2026-01-01T00:00:00.000Z"\n'
        '"#N/A","#N/A",,"#N/A","#N/A"\n'
    )
    assert not holds_null_sign(ROWS)
    assert holds_null_sign(pa.table({"Name": ["#N/A"]}))


def test_numbers_that_are_none_are_not_sent() -> None:
    with pytest.raises(FatalError, match="NaN"):
        json_records(pa.table({"X": [float("nan")]}), "A")


def test_record_types_go_out_by_id() -> None:
    rows = prepared(pa.table({RECORD_TYPE: ["Customer", "Unheard", None]}), described(ACCOUNT))
    assert rows.to_pydict() == {"RecordTypeId": ["0125g000000AbCdAAI", "Unheard", None]}


def test_keys_that_salesforce_cannot_tell_apart_are_refused() -> None:
    assert set(bad_keys(["a", "A", "b", None, ""], exact=False)) == {0, 1, 3, 4}
    assert set(bad_keys(["a", "A", "b", "b"], exact=True)) == {2, 3}


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ([{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}], 401, Expired),
        ([{"errorCode": "INVALID_QUERY_LOCATOR", "message": "x"}], 400, LocatorGone),
        ([{"errorCode": "SERVER_UNAVAILABLE", "message": "x"}], 503, RetryableError),
        ([{"errorCode": "QUERY_TIMEOUT", "message": "x"}], 400, RetryableError),
        ("<html>bad gateway</html>", 502, RetryableError),
        ([{"errorCode": "INVALID_REPLICATION_DATE", "message": "x"}], 400, WatermarkExpired),
        ([{"errorCode": "EXCEEDED_ID_LIMIT", "message": "x"}], 400, WatermarkExpired),
        ([{"errorCode": "JSON_PARSER_ERROR", "message": "x"}], 400, CallRefused),
        ([{"errorCode": "INVALID_FIELD", "message": "x"}], 400, FatalError),
        ([{"errorCode": "NOT_FOUND", "message": "x"}], 404, FatalError),
        ([], 418, FatalError),
        (None, 403, FatalError),
    ],
)
def test_an_error_is_what_its_reader_does_next(body: object, status: int, kind: type) -> None:
    found = failure(said_in(body, status), status, None, "query")
    assert type(found) is kind


def test_limits_push_back_or_end_the_day() -> None:
    concurrent = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    busy = failure(Said("REQUEST_LIMIT_EXCEEDED", concurrent), 403, None, "query")
    over = failure(Said("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), 403, None, "query")
    assert isinstance(busy, RetryableError)
    assert isinstance(over, RetryableError)
    assert busy.throttled
    assert not over.throttled
    assert over.retry_after is not None
    assert over.retry_after >= 3_600


def test_refusals_of_rows_name_code_field_and_the_lock_inside() -> None:
    said = row_refusal(
        [{"statusCode": "REQUIRED_FIELD_MISSING", "message": "Required: [Name]", "fields": ["Name"]}]
    )
    assert said == Said("REQUIRED_FIELD_MISSING", "Required: [Name]", "Name")
    wrapped = "Trg: System.DmlException: UNABLE_TO_LOCK_ROW, unable to obtain exclusive access"
    assert row_refusal([{"statusCode": "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "message": wrapped}]).code == (
        "UNABLE_TO_LOCK_ROW"
    )
    assert bulk_refusal("REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --") == Said(
        "REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]", "Name"
    )
    assert bulk_refusal(
        "DUPLICATE_VALUE:duplicate value found: Ext__c duplicates value on record with id: 001:--"
    ) == (Said("DUPLICATE_VALUE", "duplicate value found: Ext__c duplicates value on record with id: 001"))
    assert bulk_refusal("strange") == Said("UNKNOWN", "strange")


def test_every_misfit_is_named_at_once() -> None:
    wanted = ObjectSchema(
        "Account",
        "Old_Number__c",
        (
            FieldSchema("Old_Number__c", FieldType.STRING, length=80),
            FieldSchema("SystemModstamp", FieldType.DATETIME),
            FieldSchema("NumberOfEmployees", FieldType.STRING),
            FieldSchema("Tier__c", FieldType.PICKLIST, values=("A", "B")),
            FieldSchema("AnnualRevenue", FieldType.DECIMAL, precision=20, scale=2),
            FieldSchema("Nmae", FieldType.STRING),
        ),
    )
    said = "\n".join(differences(wanted, described(ACCOUNT)))
    for part in (
        "Old_Number__c holds 40 characters, but 80", "not Unique", "SystemModstamp cannot be written",
        "NumberOfEmployees is integer", "'B'", "16 digits", "Nmae is missing", "Name is required",
    ):  # fmt: skip
        assert part in said, part


def test_what_fits_fits() -> None:
    wanted = ObjectSchema(
        "Account",
        "Legacy__c",
        (
            FieldSchema("Legacy__c", FieldType.STRING, length=36),
            FieldSchema("Name", FieldType.STRING, length=80),
            FieldSchema("AnnualRevenue", FieldType.DECIMAL, precision=12, scale=2),
            FieldSchema("CreatedDate", FieldType.DATETIME),
            FieldSchema(RECORD_TYPE, FieldType.PICKLIST, values=("Customer",)),
        ),
    )
    assert differences(wanted, described(ACCOUNT)) == []


def test_members_of_a_project_open_by_their_content(tmp_path: Path) -> None:
    name = "ab" * 32
    (tmp_path / "ab").mkdir()
    (tmp_path / "ab" / name).write_bytes(b"bytes")
    with open_member(tmp_path, f"sha256:{name}") as stream:
        assert stream.read() == b"bytes"
    for wrong in ("sha256:" + "0" * 64, "../secret", "sha256:../../x"):
        with pytest.raises(FatalError):
            open_member(tmp_path, wrong)
