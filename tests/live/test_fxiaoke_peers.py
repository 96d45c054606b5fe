"""Two clients from the package index, unchanged, against the Fxiaoke sandbox; only the fixed host is led to loopback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.fxiaoke.objects import completed
from connectors.sandbox.serve import Box
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from tests.live.fxiaoke_world import KEY, accounts, custom_object, target, tenant
from tests.live.peers import peer, speak

pytestmark = pytest.mark.live
REDIRECT = """
import json, sys, requests
_original = requests.Session.request
def _redirect(self, method, url, **kw):
    return _original(self, method, url.replace("https://open.fxiaoke.com", sys.argv[1]), **kw)
requests.Session.request = _redirect
"""
FXIAOKE_PYTHON = """
from fxiaoke.api import FxiaokeApi
from fxiaoke.op_query import queryObj
from fxiaoke.op_create import createObj
from fxiaoke.op_get import getObj
from fxiaoke.baseObj import baseObj
api = FxiaokeApi.init(app_id="FSAID_sandbox", app_secret="sandbox-secret", permanent_code="sandbox-code", open_user_id="FSUID_1000")
print(json.dumps([row["legacy_id__c"] for row in queryObj(api).execute(dataObjectApiName="AccountObj", limit=2)]))
made = createObj(api).execute({"name": "A"}, dataObjectApiName="object_x__c")
print(json.dumps(made["dataId"]))
print(json.dumps(getObj(api).execute(json.loads(sys.argv[2]), dataObjectApiName="AccountObj")))
print(json.dumps(baseObj(api, dataObjectApiName="AccountObj").describe()))
try:
    createObj(api).execute({"tel": "1"}, dataObjectApiName="AccountObj")
except RuntimeError as error:
    print(json.dumps(str(error)))
"""
CRM_CLI = """
from src.fxiaoke_auth import TokenManager
from src.crm import CRMClient
from src.query import LeadQueryClient
from src.describe import DescribeClient
tm = TokenManager("FSAID_sandbox", "sandbox-secret", "sandbox-code", user_mobile="13800000000")
tm.get_corp_access_token()
lead = {"id": "1", "company_name": "ACME", "email": "a@example.com", "phone_number": "+4420", "country": "GB"}
made = CRMClient(tm).create_client(lead)
print(json.dumps([made.success, made.crm_client_id, made.error]))
found = LeadQueryClient(tm).query_by_email("a@example.com")
print(json.dumps(vars(found), default=str))
print(json.dumps(LeadQueryClient(tm).query_by_email("nobody@example.com")))
described = DescribeClient(tm).describe_object("LeadsObj")
print(json.dumps(sorted(described.fields)))
tm.corp_access_token = "outdated"
again = CRMClient(tm).create_client({**lead, "id": "2", "email": "b@example.com"})
print(json.dumps([again.success, again.error]))
"""


@pytest.fixture(scope="module")
def clients() -> Path:
    return peer("fxiaoke", "fxiaoke-python==0.0.3", "six", "crm-cli==0.2.1")


def said(python: Path, script: str, box: Box, *arguments: str) -> list[Any]:
    return [json.loads(line) for line in speak(python, REDIRECT + script, box.url, *arguments)]


def test_fxiaoke_python_queries_in_pages_creates_gets_and_describes(clients: Path) -> None:
    with tenant() as box:
        box.store.define(custom_object("object_x__c"))
        target(box).upsert("AccountObj", accounts(range(5), annual_revenue=None), key=KEY)
        (record,) = box.store.find("AccountObj", **{KEY: "a3"})
        keys, made, got, described, refused = said(clients, FXIAOKE_PYTHON, box, json.dumps(record))

        assert sorted(keys) == [f"a{n}" for n in range(5)]
        assert box.store.get("object_x__c", made)["name"] == "A"  # type: ignore[index]
        assert (got["_id"], got["name"], got["owner"]) == (record, "客户 3", ["FSUID_1000"])
        assert "legacy_id__c" in described["describe"]["fields"]
        assert "必填" in refused


def test_crm_cli_signs_in_by_mobile_creates_a_lead_in_a_pool_finds_and_describes_it(clients: Path) -> None:
    names = (
        "field_7dDlL__c",
        "field_S737R__c",
        "field_aw71X__c",
        "company",
        "field_g60ab__c",
        "field_IT92M__c",
        "remark",
    )
    fields = (
        *(FieldSchema(name, FieldType.STRING) for name in names),
        FieldSchema("email", FieldType.STRING),
    )
    with tenant() as box:
        leads = box.store.shape("LeadsObj").schema
        extra = tuple(item for item in fields if leads.field(item.name) is None)
        box.store.extend(completed(ObjectSchema("LeadsObj", "_id", (*leads.fields, *extra))))
        box.store.update("PersonnelObj", "1000", {"phone": "13800000000"})
        created, found, nobody, described, again = said(clients, CRM_CLI, box)

        assert created[0], created
        stored = box.store.get("LeadsObj", created[1])
        assert stored is not None
        assert (stored["name"], stored["email"], stored["owner"], stored["life_status"]) == (
            "ACME",
            "a@example.com",
            None,
            "normal",
        )
        assert stored["leads_pool_id"]
        assert found["email"] == "a@example.com"
        assert nobody is None
        assert "leads_pool_id" in described
        assert again == [True, None]  # refused once with 20016, then with a new token
