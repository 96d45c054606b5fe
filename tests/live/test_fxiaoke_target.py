"""The Fxiaoke target on a sandbox over HTTP: values, owners, pools, locks, the recycle bin, and each key once whatever fails."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors.sandbox.faults import Do, Fault
from migrator.core import retry
from migrator.core.clock import FixedClock
from migrator.core.errors import FatalError, RetryableError, SafetyStop
from migrator.core.retry import RetryPolicy
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from tests.live.fxiaoke_world import KEY, accounts, custom_object, held, settings, source, target, tenant

pytestmark = pytest.mark.live
CREATE, UPDATE, QUERY = "*/data/create", "*/data/update", "*/data/query"
POLICY = RetryPolicy(attempts=8)


def outcomes(answers: pa.Table) -> dict[str, str]:
    return dict(zip(answers.column("key").to_pylist(), answers.column("outcome").to_pylist(), strict=True))


def patiently(attempt: Any) -> Any:
    return retry.call(attempt, policy=POLICY, clock=FixedClock())


def test_rows_are_created_then_changed_then_left_alone_and_only_what_differs_is_sent() -> None:
    with tenant() as box:
        crm = target(box)
        assert set(outcomes(crm.upsert("AccountObj", accounts([1, 2]), key=KEY)).values()) == {"created"}
        changed = outcomes(crm.upsert("AccountObj", accounts([1, 2, 3], tel="1"), key=KEY))
        assert changed == {"a1": "updated", "a2": "updated", "a3": "created"}
        again = outcomes(crm.upsert("AccountObj", accounts([1, 2, 3], tel="1"), key=KEY))

        assert set(again.values()) == {"unchanged"}
        assert (box.calls("create"), box.calls("update")) == (3, 2)
        assert held(box, "AccountObj", "name", "tel")[0] == ("a1", "客户 1", "1")


def test_every_kind_of_value_comes_back_as_it_went() -> None:
    row = {
        KEY: "k\"1", "name": "物件; 'x' \n 二", "money__c": Decimal("1234567.80"), "kind__c": "2", "many__c": "18;20",
        "count__c": Decimal(42), "on__c": date(2024, 2, 29), "at__c": datetime(2024, 2, 29, 23, 30, 0, 5000, tzinfo=UTC),
        "clock__c": time(2, 30), "good__c": False, "tags__c": '["a", "b"]', "note__c": "长\n文",
    }  # fmt: skip
    with tenant() as box:
        box.store.define(custom_object())
        crm = target(box)
        made = crm.upsert("thing__c", pa.Table.from_pylist([row]), key=KEY)
        assert outcomes(made) == {'k"1': "created"}
        assert outcomes(crm.upsert("thing__c", pa.Table.from_pylist([row]), key=KEY)) == {'k"1': "unchanged"}
        (read,) = crm.fetch("thing__c", ['k"1'], key=KEY, columns=list(row)).to_pylist()

        assert read == row
        (whole,) = next(iter(crm.read("thing__c", columns=list(row)))).to_pylist()
        assert whole == row
        empty = {name: None for name in row if name not in (KEY, "name")}
        cleared = crm.upsert("thing__c", pa.Table.from_pylist([{KEY: 'k"1', "name": "x", **empty}]), key=KEY)
        assert outcomes(cleared) == {'k"1': "updated"}
        assert crm.fetch("thing__c", ['k"1'], key=KEY, columns=list(empty)).to_pylist() == [empty]


def test_refused_rows_are_outcomes_in_the_systems_words_and_the_others_are_written() -> None:
    with tenant() as box:
        crm = target(box)
        crm.upsert("AccountObj", accounts([1]), key=KEY)
        rows = pa.table(
            {
                KEY: ["c1", "c2", "c3"],
                "name": ["甲", None, "丙"],
                "account_id": [
                    box.store.find("AccountObj", legacy_id__c="a1")[0],
                    None,
                    "68fa000003e8000000000999",
                ],
            }
        )
        answers = crm.upsert("ContactObj", rows, key=KEY).to_pylist()

        assert [item["outcome"] for item in answers] == ["created", "refused", "refused"]
        assert "必填" in answers[1]["message"]
        assert "关联" in answers[2]["message"]
        assert answers[1]["code"] != answers[2]["code"]


def test_nothing_is_set_off_and_audit_fields_stand_only_with_their_switches() -> None:
    at = datetime(2019, 5, 6, 7, 8, 9, tzinfo=UTC)
    with tenant() as box:
        box.store.insert("PersonnelObj", {"name": "旧人", "status": "0"}, record="1007")
        crm = target(box)
        crm.upsert("AccountObj", accounts([1], create_time=at, created_by="1007", owner="1007"), key=KEY)
        assert crm.facts.insert_only == {"create_time", "created_by"}
        wanted = ["create_time", "created_by", "owner"]
        assert crm.fetch("AccountObj", ["a1"], key=KEY, columns=wanted).to_pylist() == [
            {"create_time": at, "created_by": "1007", "owner": "1007"}
        ]
        assert held(box, "AccountObj", "life_status") == [("a1", "normal")]
        later = accounts([1], create_time=datetime(2020, 1, 1, tzinfo=UTC))
        assert outcomes(crm.upsert("AccountObj", later, key=KEY)) == {"a1": "unchanged"}
        moved = crm.update("AccountObj", later.select([KEY, "create_time"]), key=KEY).to_pylist()[0]
        assert (moved["outcome"], moved["code"], moved["field"]) == ("refused", "insert-only", "create_time")
        whole = accounts([1], create_time=at, created_by="1007", tel="7")  # as a rollback sends it
        assert outcomes(crm.update("AccountObj", whole, key=KEY)) == {"a1": "updated"}
        target(box, triggers=["approval"]).upsert("AccountObj", accounts([2]), key=KEY)
        assert held(box, "AccountObj", "life_status")[1] == ("a2", "under_review")


def test_owners_change_by_their_own_call_and_records_of_a_pool_are_claimed_first() -> None:
    with tenant() as box:
        for number in ("1007", "1008"):
            box.store.insert("PersonnelObj", {"name": number, "status": "0"}, record=number)
        crm = target(box)
        crm.upsert("AccountObj", accounts([1], owner="1007"), key=KEY)
        assert outcomes(crm.upsert("AccountObj", accounts([1], owner="1008"), key=KEY)) == {"a1": "updated"}
        assert (box.calls("/update"), box.calls("changeOwner")) == (0, 1)
        box.store.insert("AccountObj", {"name": "客户 2", KEY: "a2", "high_seas_id": "pool1"})
        assert outcomes(crm.upsert("AccountObj", accounts([2], owner="1008"), key=KEY)) == {"a2": "updated"}
        assert held(box, "AccountObj", "owner") == [("a1", "1008"), ("a2", "1008")]
        assert box.calls("choose") == 1
        unowned = pa.table({KEY: ["a1"], "owner": pa.array([None], pa.string())})
        assert outcomes(crm.upsert("AccountObj", unowned, key=KEY)) == {"a1": "unchanged"}
        nobody = crm.upsert("AccountObj", accounts([1], owner="9999"), key=KEY).to_pylist()[0]
        assert nobody["outcome"] == "refused"


def test_locked_records_are_refused_unless_the_settings_say_otherwise() -> None:
    with tenant() as box:
        box.store.define(custom_object())
        row = pa.table({KEY: ["t1"], "name": ["x"]})
        crm = target(box)
        crm.upsert("thing__c", row, key=KEY)
        (record,) = box.store.find("thing__c", legacy_id__c="t1")
        box.store.update("thing__c", record, {"lock_status": "1"})
        changed = pa.table({KEY: ["t1"], "name": ["y"]})
        (refused,) = crm.upsert("thing__c", changed, key=KEY).to_pylist()
        assert (refused["outcome"], "锁定" in refused["message"]) == ("refused", True)
        assert outcomes(target(box, edit_locked=True).upsert("thing__c", changed, key=KEY)) == {
            "t1": "updated"
        }


def test_deleted_records_go_to_the_bin_and_come_back_under_their_id() -> None:
    with tenant() as box:
        crm = target(box)
        made = crm.upsert("AccountObj", accounts([1, 2]), key=KEY).column("target_id").to_pylist()
        assert outcomes(crm.delete("AccountObj", ["a1", "zz"], key=KEY)) == {"a1": "deleted", "zz": "missing"}
        assert outcomes(crm.delete("AccountObj", ["a1"], key=KEY)) == {"a1": "missing"}
        assert crm.fetch("AccountObj", ["a1"], key=KEY, columns=[KEY]).num_rows == 0
        assert next(iter(crm.read("AccountObj", columns=[KEY]))).to_pylist() == [{KEY: "a2"}]
        back = crm.upsert("AccountObj", accounts([1]), key=KEY).to_pylist()[0]
        assert (back["outcome"], back["target_id"]) == ("created", made[0])
        gone = target(box, delete="delete", recover=False)
        assert outcomes(gone.delete("AccountObj", ["a1"], key=KEY)) == {"a1": "deleted"}
        new = gone.upsert("AccountObj", accounts([1]), key=KEY).to_pylist()[0]
        assert new["outcome"] == "created"
        assert new["target_id"] != made[0]


def test_update_sets_only_what_exists() -> None:
    with tenant() as box:
        crm = target(box)
        crm.upsert("AccountObj", accounts([1], tel="1"), key=KEY)
        answers = crm.update("AccountObj", pa.table({KEY: ["a1", "zz"], "url": ["x", "y"]}), key=KEY)
        assert outcomes(answers) == {"a1": "updated", "zz": "missing"}
        assert held(box, "AccountObj", "tel", "url") == [("a1", "1", "x")]


@pytest.mark.parametrize(
    "do",
    [
        Do.TIMEOUT_BEFORE,
        Do.TIMEOUT_AFTER,
        Do.RESET,
        Do.RESET_AFTER,
        Do.TRUNCATE,
        Do.BAD_JSON,
        Do.HTML,
        Do.UNAVAILABLE,
    ],
)
@pytest.mark.parametrize("nth", [1, 3, 5], ids=["first", "middle", "last"])
def test_a_lost_answer_never_makes_a_second_record(do: Do, nth: int) -> None:
    slow = 0.6 if "timeout" in do.value else None
    with tenant(Fault(do, path=CREATE, nth=(nth,), seconds=slow)) as box:
        crm = target(box, timeout=0.3)
        with pytest.raises(RetryableError):
            crm.upsert("AccountObj", accounts(range(5)), key=KEY)
        assert len(held(box)) >= 4  # the rows behind the lost one were written all the same
        answers = patiently(lambda: crm.upsert("AccountObj", accounts(range(5)), key=KEY))

        assert [key for (key,) in held(box)] == [f"a{n}" for n in range(5)]
        assert set(outcomes(answers).values()) <= {"created", "unchanged"}
        assert len(set(answers.column("target_id").to_pylist())) == 5
        after = do in (Do.TIMEOUT_AFTER, Do.RESET_AFTER, Do.TRUNCATE, Do.BAD_JSON)
        assert box.calls("create") == (5 if after else 6)


def test_under_a_storm_of_losses_every_key_is_there_once_and_every_value_right() -> None:
    storm = [
        Fault(do, path=path, chance=0.08)
        for do in (Do.RESET, Do.RESET_AFTER, Do.TRUNCATE)
        for path in (CREATE, UPDATE, QUERY)
    ]
    with tenant(*storm) as box:
        crm = target(box)
        for tel in ("1", "2"):
            for start in range(0, 60, 20):
                rows = accounts(range(start, start + 20), tel=tel)
                retry.call(
                    lambda rows=rows: crm.upsert("AccountObj", rows, key=KEY),  # type: ignore[misc]
                    policy=RetryPolicy(attempts=40),
                    clock=FixedClock(),
                )
        assert held(box, "AccountObj", "tel") == sorted((f"a{n}", "2") for n in range(60))


def test_a_commit_that_shows_up_late_is_waited_for_not_made_again() -> None:
    clock = FixedClock()
    with tenant(
        Fault(Do.LATE, path=CREATE, nth=(2,), seconds=20),
        Fault(Do.RESET_AFTER, path=CREATE, nth=(3,)),
        clock=clock,
    ) as box:
        crm = target(box, clock, visible_after=30)
        with pytest.raises(RetryableError) as first:
            crm.upsert("AccountObj", accounts(range(4)), key=KEY)
        assert first.value.retry_after == 30  # a process before this one may have sent them a moment ago
        answers = retry.call(
            lambda: crm.upsert("AccountObj", accounts(range(4)), key=KEY), policy=POLICY, clock=clock
        )

        assert len(outcomes(answers)) == 4
        assert box.calls("create") == 4
        assert box.store.count("AccountObj") == 4


def test_an_index_that_lags_is_read_past_by_id() -> None:
    clock = FixedClock()
    with tenant(Fault(Do.RESET_AFTER, path=CREATE, nth=(5,)), clock=clock, index_seconds=20) as box:
        clock.sleep(100)
        crm = target(box, clock, visible_after=30)
        clock.sleep(31)
        with pytest.raises(RetryableError):
            crm.upsert("AccountObj", accounts(range(5)), key=KEY)
        answers = retry.call(
            lambda: crm.upsert("AccountObj", accounts(range(5)), key=KEY), policy=POLICY, clock=clock
        )
        assert set(outcomes(answers).values()) == {"unchanged"}
        crm.upsert("AccountObj", accounts([9]), key=KEY)
        assert outcomes(crm.update("AccountObj", pa.table({KEY: ["a9"], "tel": ["7"]}), key=KEY)) == {
            "a9": "updated"
        }
        assert crm.fetch("AccountObj", ["a9"], key=KEY, columns=["tel"]).to_pylist() == [{"tel": "7"}]
        assert box.calls("create") == 6


def test_a_killed_process_leaves_records_the_next_one_waits_to_see() -> None:
    clock = FixedClock()
    with tenant(clock=clock, index_seconds=20) as box:
        clock.sleep(100)
        first = target(box, clock, visible_after=0)
        first.upsert("AccountObj", accounts(range(3)), key=KEY)
        second = target(box, clock, visible_after=30)  # its predecessor died before it could say what it did
        answers = retry.call(
            lambda: second.upsert("AccountObj", accounts(range(5)), key=KEY), policy=POLICY, clock=clock
        )
        assert outcomes(answers) == {
            "a0": "unchanged",
            "a1": "unchanged",
            "a2": "unchanged",
            "a3": "created",
            "a4": "created",
        }


def test_a_create_answered_without_an_id_is_found_by_its_key() -> None:
    with tenant(answer_ids=False) as box:
        box.store.define(custom_object())
        crm = target(box)
        (made,) = crm.upsert("thing__c", pa.table({KEY: ["t1"], "name": ["x"]}), key=KEY).to_pylist()
        assert made["outcome"] == "created"
        assert box.store.find("thing__c", legacy_id__c="t1") == [made["target_id"]]


def test_a_key_that_two_records_have_is_refused_not_guessed() -> None:
    with tenant() as box:
        fields = tuple(replace(item, unique=False) for item in custom_object().fields)
        box.store.define(replace(custom_object(), fields=fields))
        for _ in range(2):
            box.store.insert("thing__c", {"name": "x", KEY: "t1"})
        crm = target(box)
        (told,) = crm.upsert("thing__c", pa.table({KEY: ["t1"], "name": ["y"]}), key=KEY).to_pylist()
        assert (told["outcome"], told["code"]) == ("refused", "key.several")
        wanted = ObjectSchema("thing__c", KEY, (FieldSchema(KEY, FieldType.STRING),))
        with pytest.raises(SafetyStop, match="unique"):
            crm.prepare([wanted])
        target(box, plain_keys=True).prepare([wanted])


def test_prepare_names_every_difference() -> None:
    with tenant() as box:
        box.store.define(custom_object())
        fields = (
            FieldSchema(KEY, FieldType.STRING, length=200), FieldSchema("nope__c", FieldType.STRING),
            FieldSchema("on__c", FieldType.DATETIME), FieldSchema("life_status", FieldType.STRING),
            FieldSchema("tags__c", FieldType.FILE),
        )  # fmt: skip
        with pytest.raises(SafetyStop) as caught:
            target(box).prepare([ObjectSchema("thing__c", KEY, fields)])
        for said in ("nope__c", "on__c", "life_status", "200 may come", "uploads none"):
            assert said in str(caught.value), said
        with pytest.raises(FatalError, match="absent__c"):
            target(box).prepare([ObjectSchema("absent__c", KEY, fields)])


def test_threads_that_start_together_ask_for_one_token_one_after_the_other() -> None:
    with tenant() as box, ThreadPoolExecutor(8) as pool:
        crm = target(box)
        list(pool.map(lambda n: crm.upsert("AccountObj", accounts([n]), key=KEY), range(16)))
        assert len(held(box)) == 16
        assert box.app.manners.given == 1  # type: ignore[attr-defined]
        assert box.moods.meter.counts["POST /oauth2.0/token"].peak == 1


@pytest.mark.parametrize("auth", ["current", "legacy"])
def test_a_token_that_runs_out_is_renewed_and_nothing_is_written_twice(auth: str) -> None:
    user = "1000" if auth == "current" else "FSUID_1000"
    with tenant(Fault(Do.EXPIRE_TOKEN, path=CREATE, nth=(3,))) as box:
        crm = target(box, auth=auth, user=user)
        assert set(outcomes(crm.upsert("AccountObj", accounts(range(5)), key=KEY)).values()) == {"created"}
        assert box.app.manners.given == 2  # type: ignore[attr-defined]
        assert len(held(box)) == 5
        assert crm.identify().user == user


def test_a_token_is_renewed_before_it_ends_and_shared_by_source_and_target() -> None:
    clock = FixedClock()
    with tenant(clock=clock, token_seconds=7200) as box:
        crm = target(box, clock)
        crm.identify()
        target(box, clock).identify()
        assert box.app.manners.given == 1  # type: ignore[attr-defined]
        clock.sleep(6649)
        crm.identify()
        assert box.app.manners.given == 1  # type: ignore[attr-defined]
        clock.sleep(2)
        crm.identify()
        assert box.app.manners.given == 2  # type: ignore[attr-defined]


def test_a_user_can_be_named_by_his_mobile() -> None:
    with tenant() as box:
        box.store.update("PersonnelObj", "1000", {"phone": "13800000000"})
        crm = target(box, auth="legacy", user="", mobile="13800000000")
        assert crm.identify().user == "FSUID_1000"
        with pytest.raises(FatalError, match="mobile"):
            target(box, auth="legacy", user="", mobile="139").identify()


@pytest.mark.parametrize(
    ("name", "said"), [("app_secret", "secret"), ("permanent_code", "permanent"), ("user", "user")]
)
def test_wrong_credentials_are_said_without_showing_them(name: str, said: str) -> None:
    with tenant() as box:
        wrong = {name: "wr0ng-v4lue-9"}
        with pytest.raises(FatalError, match=said) as caught:
            target(box, **wrong).describe()
        assert "wr0ng-v4lue-9" not in str(caught.value)
        assert str(settings(box)["app_secret"]) not in str(caught.value)


def test_text_from_data_stays_a_value_wherever_it_is_put() -> None:
    evil = [
        '"}],"filters":[{"field_name":"name","operator":"ISN","field_values":[]}',
        "a' OR '1'='1",
        "%",
        "_",
        "\\",
        "x\x00y",
        "a,b;c",
    ]
    with tenant() as box:
        crm = target(box)
        crm.upsert("AccountObj", accounts(range(3)), key=KEY)
        assert crm.fetch("AccountObj", evil, key=KEY, columns=[KEY]).num_rows == 0
        rows = pa.table({KEY: evil, "name": evil})
        assert set(outcomes(crm.upsert("AccountObj", rows, key=KEY)).values()) == {"created"}
        found = crm.fetch("AccountObj", evil, key=KEY, columns=[KEY, "name"])
        assert sorted(found.column("name").to_pylist()) == sorted(evil)
        assert outcomes(crm.delete("AccountObj", ["%"], key=KEY)) == {"%": "deleted"}
        assert len(held(box)) == 3 + len(evil) - 1
        read = {row[KEY] for page in source(box).read("AccountObj") for row in page.rows.to_pylist()}
        assert set(evil) - {"%"} <= read


def test_the_whole_works_over_tls_and_only_with_the_right_certificate() -> None:
    with tenant(tls=True) as box:
        assert outcomes(target(box).upsert("AccountObj", accounts([1]), key=KEY)) == {"a1": "created"}
        with pytest.raises(FatalError, match="certificate"):
            target(box, ca_file=None).describe()
