"""Microsoft's own Python client against the sandbox, unchanged and over TLS: proof that we did not serve only ourselves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.serve import Box
from tests.live.dataverse_box import dataverse

azure = pytest.importorskip(
    "azure.core.credentials", reason="pip install -e .[dev]: Microsoft's client is missing"
)
from PowerPlatform.Dataverse.client import DataverseClient  # noqa: E402
from PowerPlatform.Dataverse.core.errors import HttpError  # noqa: E402
from PowerPlatform.Dataverse.models.upsert import UpsertItem  # noqa: E402

pytestmark = pytest.mark.live


class Credential:
    """The sandbox's token, as azure.identity would give one."""

    def __init__(self, token: str) -> None:
        self.token = token

    def get_token(self, *_: Any, **__: Any) -> Any:
        return azure.AccessToken(self.token, int(time.time()) + 3600)


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    with dataverse(tls=True) as served:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(served.certificate))
        yield served


@pytest.fixture
def client(box: Box) -> Iterator[DataverseClient]:
    with DataverseClient(box.url, Credential(box.credentials["token"])) as opened:
        yield opened


def test_records_are_made_read_changed_and_deleted(client: DataverseClient, box: Box) -> None:
    one = client.records.create("account", {"name": "王伟's", "revenue": 10.5})
    two, three = client.records.create("account", [{"name": "b"}, {"name": "c"}])
    assert client.records.retrieve("account", one, select=["name"])["name"] == "王伟's"
    client.records.update("account", one, {"telephone1": "1"})
    client.records.update("account", [two, three], {"telephone1": "2"})
    found = client.records.list("account", filter="telephone1 eq '2'", select=["name"], orderby=["name desc"])
    assert [row["name"] for row in found] == ["c", "b"]
    client.records.delete("account", one)
    assert box.store.count("account") == 2
    with pytest.raises(HttpError) as caught:
        client.records.create("account", {"name": "x" * 200})
    assert caught.value.status_code == 400


def test_look_ups_are_bound_and_pages_are_followed(client: DataverseClient) -> None:
    company = client.records.create("account", {"name": "a"})
    people = [
        {"lastname": f"p{n}", "parentcustomerid_account@odata.bind": f"/accounts({company})"}
        for n in range(7)
    ]
    client.records.create("contact", people)
    pages = list(client.records.list_pages("contact", select=["lastname"], page_size=3))
    assert [len(page) for page in pages] == [3, 3, 1]
    found = client.records.list("contact", filter=f"_parentcustomerid_value eq {company}")
    assert len(list(found)) == 7


def test_an_upsert_by_alternate_key_changes_one_and_makes_one(client: DataverseClient, box: Box) -> None:
    client.records.create("account", {"name": "old", "accountnumber": "1"})
    items = [
        UpsertItem(alternate_key={"accountnumber": number}, record={"name": "new"}) for number in ("1", "2")
    ]
    client.records.upsert("account", items)
    client.records.upsert("account", items[:1])
    assert len(box.store.find("account", name="new")) == 2
    assert box.store.count("account") == 2


def test_a_batch_goes_on_and_a_change_set_is_whole_or_nothing(client: DataverseClient, box: Box) -> None:
    batch = client.batch.new()
    batch.records.create("account", {"name": "x" * 200})
    batch.records.create("account", {"name": "good"})
    batch.records.list("account", select=["name"])
    result = batch.execute(continue_on_error=True)
    assert [item.status_code for item in result.responses] == [400, 204, 200]
    batch = client.batch.new()
    with batch.changeset() as together:
        together.records.create("account", {"name": "undone"})
        together.records.create("account", {"name": "x" * 200})
    assert batch.execute().has_errors
    assert not box.store.find("account", name="undone")
    batch = client.batch.new()
    with batch.changeset() as together:
        together.records.create("account", {"name": "both"})
        together.records.create("account", {"name": "both"})
    assert not batch.execute().has_errors
    assert len(box.store.find("account", name="both")) == 2


def test_tables_describe_themselves_and_files_go_up(
    client: DataverseClient, box: Box, tmp_path: Path
) -> None:
    assert client.tables.get("account")["entity_set_name"] == "accounts"
    assert {tuple(item.key_attributes) for item in client.tables.get_alternate_keys("account")} == {
        ("accountnumber",), ("new_legacyid",)
    }  # fmt: skip
    record = client.records.create(
        "account", {"name": "a", "industrycode": "Consulting"}
    )  # it turns the label into 6
    assert box.store.get("account", record)["industrycode"] == "6"  # type: ignore[index]  # it is there
    for mode in ("small", "chunk"):
        path = tmp_path / f"{mode}.pdf"
        path.write_bytes(mode.encode() * 1_500_000)
        client.files.upload("account", record, "new_contract", str(path), mode=mode, if_none_match=False)
        held = box.store.get("account", record)
        assert held is not None
        assert (held["new_contract"], held["new_contract_name"]) == (path.read_bytes(), path.name)
