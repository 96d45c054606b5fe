"""Answers that Dataverse would not give: each is a clear error, without a hang, a wrong row or a secret in it."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from connectors.dataverse.batch import Operation, send
from connectors.dataverse.service import Service
from connectors.dataverse.settings import parse
from connectors.sandbox.faults import Do, Fault
from migrator.core.errors import FatalError, MigratorError, RetryableError
from tests.live.dataverse_box import dataverse, source, target
from tests.live.raw_server import answer, raw_server

pytestmark = pytest.mark.live
_ID = "00000001-0000-4000-8000-000000000001"


def said(path: str, document: Any, status: int = 200) -> Fault:
    body = document if isinstance(document, str) else json.dumps(document)
    return Fault(Do.ANSWER, path=path, body=body, status=status)


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (Fault(Do.HTML, path="*/accounts"), RetryableError, "page for people"),
        (Fault(Do.TRUNCATE, path="*/accounts"), RetryableError, "broke off"),
        (Fault(Do.BAD_JSON, path="*/accounts"), RetryableError, "no JSON"),
        (Fault(Do.RESET, path="*/accounts"), RetryableError, "broke off"),
        (Fault(Do.REDIRECT, path="*/accounts"), FatalError, "not followed"),
        (Fault(Do.FAIL, path="*/accounts"), FatalError, "0x80040216"),
        (Fault(Do.UNAVAILABLE, path="*/accounts"), RetryableError, "503"),
        (Fault(Do.THROTTLE, path="*/accounts"), RetryableError, "0x80072322"),
        (said("*/accounts", "[]"), FatalError, "not an object"),
        (said("*/accounts", {"value": 5}), FatalError, "not a list of rows"),
        (said("*/accounts", {"value": [1]}), FatalError, "not a list of rows"),
        (said("*/accounts", {}), FatalError, "not a list of rows"),
        (said("*/accounts", {"value": [], "@odata.nextLink": 5}), FatalError, "as nextLink"),
        (
            said("*/accounts", {"value": [], "@odata.nextLink": "https://evil.example/"}),
            FatalError,
            "another host",
        ),
        (
            said("*/accounts", {"value": [{"accountid": _ID, "numberofemployees": "many"}]}),
            FatalError,
            "is no int64",
        ),
        (said("*/accounts", {"value": [{"accountid": _ID, "revenue": "1.5"}]}), FatalError, "is no decimal"),
        (
            said("*/accounts", {"value": [{"accountid": _ID, "createdon": "yesterday"}]}),
            FatalError,
            "no timestamp",
        ),
        (said("*/accounts", {"value": [{"accountid": _ID, "name": {"a": 1}}]}), FatalError, "is no string"),
        (said("*/accounts", {"value": [{"accountid": _ID, "statecode": True}]}), FatalError, "is no"),
        (
            said("*/accounts", {"error": {"code": "0x80040220", "message": "no privilege"}}, 403),
            FatalError,
            "0x80040220",
        ),
        (said("*/accounts", {"error": "x"}, 400), FatalError, "http.400"),
        (said("*EntityDefinitions", {"value": [{"LogicalName": 5}]}), FatalError, "definitions of tables"),
        (said("*EntityDefinitions", {"value": None}), FatalError, "definitions of tables"),
        (
            said("*/Attributes", {"value": [{"AttributeTypeName": {"Value": "StringType"}}]}),
            FatalError,
            "attributes",
        ),
        (
            said(
                "*/Attributes",
                {"value": [{"LogicalName": "a b", "AttributeTypeName": {"Value": "StringType"}}]},
            ),
            FatalError,
            "attributes",
        ),
        (
            said(
                "*PicklistAttributeMetadata",
                {"value": [{"LogicalName": "x", "OptionSet": {"Options": [{}]}}]},
            ),
            FatalError,
            "option sets",
        ),
    ],
)
def test_a_read_that_goes_wrong_says_so(fault: Fault, error: type[MigratorError], words: str) -> None:
    with dataverse(fault) as box, source(box) as opened:
        box.store.insert("account", {"name": "王伟"})
        with pytest.raises(error, match=words) as caught:
            list(opened.read("account"))
    assert box.credentials["token"] not in str(caught.value)
    assert "王伟" not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (said("*CreateMultiple", {"Ids": ["x", "y"]}), FatalError, "ids of 2 records"),
        (said("*CreateMultiple", {"Ids": [_ID]}), FatalError, "ids of 2 records"),
        (said("*CreateMultiple", {"Ids": None}), FatalError, "ids of 2 records"),
        (Fault(Do.HTML, path="*CreateMultiple"), RetryableError, "page for people"),
        (Fault(Do.TIMEOUT_AFTER, path="*CreateMultiple", seconds=0.1), RetryableError, "broke off"),
        (Fault(Do.HTML, path="*batch"), RetryableError, "page for people"),
        (said("*batch", {"value": 1}), FatalError, "multipart"),
        (Fault(Do.TRUNCATE, path="*batch"), RetryableError, "broke off"),
        (Fault(Do.THROTTLE, path="*batch", seconds=7), RetryableError, "0x80072322"),
    ],
)
def test_a_write_that_goes_wrong_says_so_and_may_be_made_again(
    fault: Fault, error: type[MigratorError], words: str
) -> None:
    rows = pa.table({"new_legacyid": ["a", "b"], "name": ["one", "two"]})
    with dataverse(fault, bulk_messages="batch" not in fault.path) as box, target(box) as opened:
        with pytest.raises(error, match=words):
            opened.upsert("account", rows, key="new_legacyid")
        box.moods.schedule.faults = ()
        answers = opened.upsert("account", rows, key="new_legacyid")
        assert set(answers["outcome"].to_pylist()) <= {"created", "updated"}
        assert box.store.count("account") == 2


def test_a_batch_answer_that_lacks_parts_is_not_taken_for_whole() -> None:
    body = "--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 204 x\r\n\r\n\r\n--b--\r\n"
    deletes = [Operation("DELETE", "accounts(1)"), Operation("DELETE", "accounts(2)")]
    with raw_server(answer(body, Content_Type="multipart/mixed; boundary=b")) as server:
        service = Service(parse({"url": server.address, "token": "t"}))
        with pytest.raises(RetryableError, match="1 of 2 operations"):
            send(service, deletes, {})
        service.close()
