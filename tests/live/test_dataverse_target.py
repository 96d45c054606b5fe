"""Writes to Dataverse over HTTP: lost answers, refused rows, references of several tables, states, audit fields, files."""

from __future__ import annotations

import io
import json
import time
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from connectors.dataverse.payloads import Payload
from connectors.dataverse.target import DataverseTarget
from connectors.dataverse.writing import Writer
from connectors.sandbox.faults import Do, Fault
from connectors.sandbox.records import Write
from connectors.sandbox.serve import Box
from migrator.core.errors import FatalError, RetryableError, SafetyStop
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from tests.live.dataverse_box import dataverse, source, target

pytestmark = pytest.mark.live
KEY = "new_legacyid"


def upsert(opened: DataverseTarget, table: str, **columns: Any) -> dict[str, dict[str, Any]]:
    answers = opened.upsert(table, pa.table(columns), key=KEY)
    return {row["key"]: row for row in answers.to_pylist()}


def held(opened: DataverseTarget, table: str, key: str, *columns: str) -> dict[str, Any]:
    (row,) = opened.fetch(table, [key], key=KEY, columns=columns).to_pylist()
    return dict(row)


@pytest.mark.parametrize("do", [Do.TIMEOUT_AFTER, Do.RESET_AFTER, Do.TRUNCATE, Do.TIMEOUT_BEFORE])
@pytest.mark.parametrize("bulk", [True, False])
def test_a_lost_answer_makes_no_second_record(do: Do, bulk: bool) -> None:
    lost = Fault(do, method="POST", nth=(1,), seconds=0.1)
    with dataverse(lost, bulk_messages=bulk) as box, target(box) as opened:
        for _ in range(2 if bulk else 3):
            try:
                told = upsert(opened, "account", new_legacyid=["a", "S:b"], name=["1", "2"])
            except RetryableError:
                continue
        assert {row["outcome"] for row in told.values()} <= {"created", "updated"}
        assert box.store.count("account") == 2


def test_many_rows_go_in_one_request_and_old_and_new_ones_in_one_too() -> None:
    with dataverse() as box, target(box) as opened:
        keys = [f"k{n}" for n in range(300)]
        told = upsert(opened, "account", new_legacyid=keys, name=keys)
        assert {row["outcome"] for row in told.values()} == {"created"}
        assert (box.calls("CreateMultiple"), box.calls("batch")) == (1, 0)
        upsert(opened, "account", new_legacyid=keys, name=["x"] * 300)
        assert box.calls("UpdateMultiple") == 1
        mixed = upsert(opened, "account", new_legacyid=["k0", "new"], name=["y", "y"])
        assert [mixed[key]["outcome"] for key in ("k0", "new")] == ["updated", "created"]
        assert mixed["new"]["target_id"]
        assert box.calls("UpsertMultiple") == 1


def test_one_bad_row_among_many_is_refused_alone_in_the_services_own_words() -> None:
    with dataverse() as box, target(box) as opened:
        names = ["ok", "x" * 161, "ok", "ok"]
        told = upsert(opened, "account", new_legacyid=["a", "b", "c", "d"], name=names)
        assert [told[key]["outcome"] for key in "abcd"] == ["created", "refused", "created", "created"]
        assert (told["b"]["code"], told["b"]["field"]) == ("0x80044331", "name")
        assert (box.calls("CreateMultiple"), box.calls("batch")) == (1, 1)


def test_a_value_that_cannot_be_said_is_refused_before_anything_is_sent() -> None:
    with dataverse() as box, target(box) as opened:
        told = upsert(
            opened,
            "account",
            new_legacyid=["a", "b", None],
            name=["1", "2", "3"],
            numberofemployees=["many", "7", "1"],
        )
        assert (told["a"]["code"], told["a"]["field"]) == ("value.type", "numberofemployees")
        assert told["b"]["outcome"] == "created"
        assert told[""]["code"] == "key.missing"
        assert box.store.count("account") == 1


def test_keys_that_the_service_takes_for_one_are_refused_not_merged() -> None:
    with dataverse() as box, target(box) as opened:
        told = upsert(opened, "account", new_legacyid=["Ab", "aB", "c"], name=["1", "2", "3"])
        assert [told[key]["code"] for key in ("Ab", "aB", "c")] == ["key.duplicate", "key.duplicate", None]
        told = upsert(opened, "account", new_legacyid=["C"], name=["other"])
        assert told["C"]["code"] == "key.spelling"
        changed = opened.update("account", pa.table({KEY: ["C"], "name": ["other"]}), key=KEY)
        assert changed["outcome"].to_pylist() == ["missing"]
        assert opened.delete("account", ["C"], key=KEY)["outcome"].to_pylist() == ["missing"]
        assert held(opened, "account", "c", "name") == {"name": "3"}


@pytest.mark.parametrize(("one", "two"), [("Müller", "muller"), ("ＡＢ", "ab"), ("a ", "A"), ("Ω1", "ω1")])
def test_keys_are_compared_as_the_service_compares_them(one: str, two: str) -> None:
    with dataverse() as box, target(box) as opened:
        told = upsert(opened, "account", new_legacyid=[one, two, "王"], name=["1", "2", "3"])
        assert [told[key]["code"] for key in (one, two, "王")] == ["key.duplicate", "key.duplicate", None]


@pytest.mark.parametrize("key", ["plain", "S:1"])
@pytest.mark.parametrize("bulk", [True, False])
def test_a_new_record_never_overwrites_one_that_the_look_up_did_not_see(key: str, bulk: bool) -> None:
    """A key that the service takes for another one, by a rule we do not know."""
    with dataverse(bulk_messages=bulk) as box, target(box) as opened:
        there = box.store.insert("account", {KEY: key, "name": "theirs"})
        table = opened._metadata.table("account")
        writer = Writer(opened._service, table, KEY, lambda _: {})
        told = writer.upsert(
            [Payload(0, key, {KEY: key, "name": "ours"}), Payload(1, "new", {KEY: "new", "name": "n"})]
        )
        assert [told[number].outcome for number in (0, 1)] == ["refused", "created"]
        assert box.store.get("account", there)["name"] == "theirs"  # type: ignore[index]  # it is there


@pytest.mark.parametrize("key", ["plain", "S:1"])
def test_a_record_that_another_try_makes_between_look_up_and_create_is_changed_not_doubled(key: str) -> None:
    """The message for many is refused as a whole; in the batch the key is taken; then it is looked up again."""
    with dataverse() as box, target(box) as opened:
        late = box.store.insert("account", {KEY: key, "name": "first try"}, write=Write(late=0.5))
        told = upsert(opened, "account", new_legacyid=[key, "other"], name=["second try", "x"])
        assert told["other"]["outcome"] == "created"
        while box.store.get("account", late) is None:
            time.sleep(0.05)
        again = upsert(opened, "account", new_legacyid=[key, "other"], name=["second try", "x"])
        assert (again[key]["outcome"], again[key]["target_id"]) == ("updated", late)
        assert box.store.count("account") == 2


def test_a_locked_record_is_a_matter_of_time_and_the_code_says_so() -> None:
    with dataverse() as box, target(box) as opened:
        told = upsert(opened, "account", new_legacyid=["a", "b"], name=["1", "2"])
        box.store.hold(told["a"]["target_id"], 60)
        told = upsert(opened, "account", new_legacyid=["a", "b"], name=["3", "4"])
        assert [told[key]["outcome"] for key in "ab"] == ["refused", "updated"]
        assert told["a"]["code"] in opened.facts.lock_codes


def test_references_of_several_tables_find_their_table_and_wrong_ones_are_refused() -> None:
    with dataverse() as box, target(box) as opened:
        company = upsert(opened, "account", new_legacyid=["a"], name=["A"])["a"]["target_id"]
        person = box.store.insert("contact", {"lastname": "王"})  # written by somebody else
        stranger = box.store.insert("lead", {"subject": "L"})
        told = upsert(
            opened,
            "opportunity",
            new_legacyid=["1", "2", "3", "4", "5"],
            name=["n"] * 5,
            customerid=[company, person, stranger, "not an id", None],
        )
        assert [told[key]["code"] for key in "12345"] == [None, None, "reference.table", "value.type", None]
        assert held(opened, "opportunity", "2", "customerid", "customerid__type", "customerid__name") == {
            "customerid": person, "customerid__type": "contact", "customerid__name": "王"
        }  # fmt: skip
        given = pa.table({KEY: ["6"], "name": ["n"], "customerid": [person], "customerid__type": ["account"]})
        (row,) = opened.upsert("opportunity", given, key=KEY).to_pylist()
        assert (row["outcome"], row["code"]) == ("refused", "0x80040217")  # there is no such account
        astray = pa.table({KEY: ["2"], "customerid": [person], "customerid__type": ["account"]})
        (row,) = opened.update("opportunity", astray, key=KEY).to_pylist()
        assert (row["outcome"], row["code"]) == ("refused", "0x80040217")
        cleared = pa.table({KEY: ["2"], "customerid": pa.array([None], pa.string())})
        assert opened.update("opportunity", cleared, key=KEY)["outcome"].to_pylist() == ["updated"]
        assert held(opened, "opportunity", "2", "customerid") == {"customerid": None}


@pytest.mark.parametrize("bulk", [True, False])
def test_states_come_last_and_by_their_actions(bulk: bool) -> None:
    with dataverse(bulk_messages=bulk) as box, target(box) as opened:
        deals = {
            "new_legacyid": ["w", "l", "o"],
            "name": ["n"] * 3,
            "statecode": ["1", "2", "0"],
            "statuscode": ["3", "5", "2"],
        }
        for _ in range(2):
            assert {row["outcome"] for row in upsert(opened, "opportunity", **deals).values()} <= {
                "created",
                "updated",
            }
        states = [
            tuple(held(opened, "opportunity", key, "statecode", "statuscode").values()) for key in "wlo"
        ]
        assert states == [("1", "3"), ("2", "5"), ("0", "2")]
        assert box.calls("batch") >= 1
        upsert(
            opened,
            "account",
            new_legacyid=["on", "off", "out"],
            name=["x"] * 3,
            statecode=["0", "1", "1"],
            statuscode=["1", "2", "2"],
        )
        assert [held(opened, "account", key, "statecode")["statecode"] for key in ("on", "off", "out")] == [
            "0",
            "1",
            "1",
        ]
        assert held(opened, "account", "off", "statecode", "statuscode") == {
            "statecode": "1",
            "statuscode": "2",
        }
        told = upsert(opened, "incident", new_legacyid=["c"], title=["t"], statecode=["1"])
        assert told["c"]["outcome"] == "created"
        assert held(opened, "incident", "c", "statecode", "statuscode") == {
            "statecode": "1",
            "statuscode": "5",
        }


def test_the_day_a_record_was_made_is_told_once() -> None:
    made = pa.array([datetime(2019, 5, 1, 8, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    later = pa.array([datetime(2021, 5, 1, 8, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    with dataverse() as box, target(box) as opened:
        assert "overriddencreatedon" in opened.facts.insert_only
        upsert(opened, "account", new_legacyid=["a"], name=["A"], overriddencreatedon=made)
        assert (
            upsert(opened, "account", new_legacyid=["a"], name=["B"], overriddencreatedon=later)["a"][
                "outcome"
            ]
            == "updated"
        )
        assert held(opened, "account", "a", "createdon")["createdon"] == datetime(2019, 5, 1, 8, tzinfo=UTC)


def test_activities_carry_their_parties() -> None:
    with dataverse() as box, target(box) as opened, source(box) as reading:
        company = upsert(opened, "account", new_legacyid=["a"], name=["公司"])["a"]["target_id"]
        to = json.dumps([{"partyid": company, "partyid__type": "account"}, {"addressused": "x@example.com"}])
        sender = json.dumps([{"partyid": company, "partyid__type": "account"}])
        mails = {
            "new_legacyid": ["1", "2", "3"],
            "subject": ["s"] * 3,
            "to": [to, None, "5"],
            "from": [sender, None, None],
        }
        told = upsert(opened, "email", **mails, regardingobjectid=[company] * 3)
        assert [told[key]["code"] for key in "123"] == [None, None, "value.type"]
        (page,) = reading.read("email")
        first = next(row for row in page.rows.to_pylist() if row[KEY] == "1")
        assert [item.get("partyid__name", item.get("addressused")) for item in json.loads(first["to"])] == [
            "公司",
            "x@example.com",
        ]
        assert [item["partyid"] for item in json.loads(first["from"])] == [company]
        assert (first["cc"], first["regardingobjectid__type"]) == (None, "account")


def test_a_file_goes_up_in_blocks_and_comes_down_whole() -> None:
    content = bytes(range(256)) * 40_000
    with dataverse() as box, target(box) as opened, source(box) as reading:
        record = upsert(opened, "account", new_legacyid=["a"], name=["A"])["a"]["target_id"]
        for data in (b"", b"short", content):
            opened.write_file(
                "account", record, "new_contract", name="合同 & co.pdf", content=io.BytesIO(data)
            )
        row = held(opened, "account", "a", "new_contract", "new_contract__filename")
        assert row["new_contract__filename"] == "合同 & co.pdf"
        with reading.open_file("account", row["new_contract"]) as stream:
            assert stream.read() == content
        note = box.store.insert(
            "annotation", {"subject": "n", "isdocument": True, "filename": "a.txt", "documentbody": "aGk="}
        )
        (page,) = reading.read("annotation")
        assert page.rows["documentbody"].to_pylist() == [f"{note}/documentbody"]
        with reading.open_file("annotation", f"{note}/documentbody") as stream:
            assert stream.read() == b"hi"
        for wrong in ("x/new_contract", f"{record}/name", f"{record}/../x"):
            with pytest.raises(FatalError, match="names no file"):
                reading.open_file("account", wrong)


def test_what_does_not_fit_is_told_before_the_first_row() -> None:
    names = ("name", "nmae", "createdon", "new_contract", "ownerid__type")
    fields = tuple(FieldSchema(name, FieldType.STRING) for name in names)
    with dataverse() as box, target(box) as opened:
        with pytest.raises(SafetyStop) as caught:
            opened.prepare(
                [ObjectSchema("account", "emailaddress1", fields), ObjectSchema("acount", "x", ())]
            )
        for words in ("nmae: there is no such column", "name", "createdon: the service sets", "overriddencreatedon",
                      "new_contract: files", "emailaddress1 is no alternate key", "acount: there is no such table"):  # fmt: skip
            assert words in str(caught.value)
        assert "ownerid__type" not in str(caught.value)
        opened.prepare([ObjectSchema("account", KEY, (FieldSchema("name", FieldType.STRING),))])


def test_a_target_marked_read_only_writes_nothing() -> None:
    with dataverse() as box, target(box, read_only=True) as opened:
        with pytest.raises(FatalError, match="read_only"):
            upsert(opened, "account", new_legacyid=["a"], name=["A"])
        with pytest.raises(FatalError, match="read_only"):
            opened.delete("account", ["a"], key=KEY)


def test_the_recommended_parallelism_is_taken_and_may_be_narrowed() -> None:
    with dataverse(dop_hint=17) as box, target(box) as opened, target(box, parallel=3) as narrow:
        assert opened.limits.parallel == 4
        assert opened.identify().production is False
        assert opened.limits.parallel == 17
        narrow.identify()
        assert narrow.limits.parallel == 3


def signed(box: Box, **more: Any) -> Any:
    names = ("tenant", "client_id", "client_secret")
    told = {name: box.credentials[name] for name in names}
    return {"token": None, "authority": box.url, **told, **more}


def test_a_token_that_ends_is_renewed_over_tls_and_a_wrong_secret_is_told_without_it() -> None:
    with dataverse(Fault(Do.EXPIRE_TOKEN, path="*/WhoAmI", every=2), tls=True) as box:
        with source(box, **signed(box)) as opened:
            for _ in range(4):
                assert opened.identify().product == "Dataverse"
        with (
            source(box, **signed(box, client_secret="hush-hush-secret")) as wrong,
            pytest.raises(FatalError, match="invalid_client") as caught,
        ):
            wrong.identify()
        assert "hush-hush" not in str(caught.value)
        with (
            source(box, ca_file=None) as untrusting,
            pytest.raises(FatalError, match="certificate is not trusted"),
        ):
            untrusting.identify()
    with (
        source(box, **signed(box, ca_file=None)) as nobody,
        pytest.raises(RetryableError, match="cannot be reached"),
    ):
        nobody.identify()


def test_labels_come_in_the_language_asked_for() -> None:
    with dataverse() as box, source(box, language=2052) as opened, source(box) as usual:
        chinese, english = (found.describe()[0] for found in (opened, usual))
        assert (chinese.label, english.label) == ("Account（中文）", "Account")
        field = chinese.field("industrycode")
        assert field is not None
        assert field.labels["6"] == "Consulting（中文）"
