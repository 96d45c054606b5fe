"""Fxiaoke without a network: settings, the table of codes, values between JSON and columns, and what was written lately."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.fxiaoke import recognise
from connectors.fxiaoke.described import Shape, describe
from connectors.fxiaoke.failures import Kind, failure, kind_of, until_midnight
from connectors.fxiaoke.lately import Lately
from connectors.fxiaoke.settings import CHOICES, HOSTS, SETTINGS, Auth, parse
from connectors.fxiaoke.values import Unfit, arrow_type, page, same, staged_column, to_json, typed_column
from migrator.core.clock import FixedClock
from migrator.core.connector import Rate
from migrator.core.errors import CallRefused, FatalError, ProjectError, RetryableError
from migrator.core.schema import FieldSchema, FieldType

GIVEN = {"app_id": "FSAID_1", "app_secret": "s3cr3t-value", "permanent_code": "c0de-value", "user": "1000"}
SHANGHAI = ZoneInfo("Asia/Shanghai")


def test_settings_have_the_documented_limits_and_defaults() -> None:
    parsed = parse(GIVEN)

    limits = parsed.limits("/oauth2.0/token")
    assert parsed.address == "https://open.fxiaoke.com"
    assert limits.rates == (Rate(100, 20, "*"), Rate(10, 60.0, "/oauth2.0/token"))
    assert (limits.daily, limits.resets) == (100_000, "Asia/Shanghai")
    assert not parsed.triggers
    assert "s3cr3t-value" not in repr(parsed)


def test_all_wrong_settings_are_named_at_once_and_no_secret_with_them() -> None:
    wrong: dict[str, Any] = {
        "app_secret": ["s3cr3t-value"], "hots": "x", "auth": "newest", "zone": "Mars/Base", "batch_rows": 500,
        "audit": "yes", "triggers": ["approvals"], "assume": {"owner_id": "map", "trase": "sent"},
        "host": "http://open.fxiaoke.com",
    }  # fmt: skip
    with pytest.raises(ProjectError) as caught:
        parse({**GIVEN, **wrong})

    text = str(caught.value)
    for said in (
        "hots",
        "auth",
        "Mars/Base",
        "batch_rows",
        "audit",
        "approvals",
        "owner_id",
        "trase",
        "plain http",
    ):
        assert said in text, said
    assert "s3cr3t-value" not in text


def test_who_signs_in_must_be_said() -> None:
    with pytest.raises(ProjectError, match="user is missing"):
        parse({name: value for name, value in GIVEN.items() if name != "user"})
    with pytest.raises(ProjectError, match="user or mobile"):
        parse({**GIVEN, "auth": "legacy", "user": ""})
    assert parse({**GIVEN, "auth": "legacy", "user": "", "mobile": "138"}).auth is Auth.LEGACY


@pytest.mark.parametrize(
    ("code", "kind"),
    [("-1", Kind.LATER), ("50009", Kind.LATER), ("30004", Kind.RATE), ("14001", Kind.RATE), ("30002", Kind.DAY),
     ("30003", Kind.STOP), ("20016", Kind.TOKEN), ("20005", Kind.TOKEN), ("13002", Kind.STOP), ("-2", Kind.RECORD),
     ("32000", Kind.RECORD), ("30027", Kind.RECORD), ("999999", Kind.RECORD)],
)  # fmt: skip
def test_codes_mean_what_the_sheet_says(code: str, kind: Kind) -> None:
    assert kind_of(code) is kind


def test_every_kind_of_code_becomes_the_right_error() -> None:
    now = datetime(2026, 5, 1, 15, 0, tzinfo=UTC)  # 23:00 in Beijing

    def error(code: str) -> Exception:
        return failure(code, "没有权限", asked="/create", wait=20.0, now=now)

    rate, day = error("30004"), error("30002")
    assert isinstance(rate, RetryableError)
    assert (rate.throttled, rate.retry_after) == (True, 20.0)
    assert isinstance(day, RetryableError)
    assert (day.throttled, day.retry_after) == (False, 3600.0)
    assert isinstance(error("50009"), RetryableError)
    refused = error("320011")
    assert isinstance(refused, CallRefused)
    assert (refused.code, "没有权限" in refused.message) == ("320011", True)
    stop = error("30003")
    assert isinstance(stop, FatalError)
    assert not isinstance(stop, CallRefused)


def test_the_day_ends_at_midnight_in_beijing_wherever_we_are() -> None:
    assert until_midnight(datetime(2026, 1, 1, 16, 0, tzinfo=UTC)) == 86_400
    assert until_midnight(datetime(2026, 1, 1, 15, 59, 30, tzinfo=UTC)) == 30


def _described(**types: str) -> Any:
    fields = {name: {"type": kind, "is_active": True, "decimal_places": "2"} for name, kind in types.items()}
    return describe({"fields": fields, "display_name": "客户"}, "AccountObj", parse(GIVEN))


def test_describe_knows_types_keys_references_options_and_what_cannot_be_written() -> None:
    raw = {
        "name": {"type": "text", "label": "名称", "is_required": True, "max_length": 100},
        "legacy_id__c": {"type": "text", "is_unique": True},
        "amount": {"type": "currency", "decimal_places": 2},
        "stage": {
            "type": "select_one",
            "options": [{"value": "1", "label": "初步"}, {"value": "2", "label": "赢单"}],
        },
        "account_id": {"type": "object_reference", "target_api_name": "AccountObj"},
        "owner": {"type": "employee"},
        "total": {"type": "formula"},
        "account_id__r": {"type": "text"},
        "create_time": {"type": "date_time"},
        "last_modified_time": {"type": "date_time"},
        "stage__o": {"type": "text"},
        "old": {"type": "text", "is_active": False},
        "strange": {"type": "hologram"},
    }
    schema = describe({"fields": raw}, "NewOpportunityObj", parse(GIVEN)).schema
    by_name = {item.name: item for item in schema.fields}

    assert schema.key == "_id"
    assert "old" not in by_name
    assert (by_name["name"].required, by_name["name"].length) == (True, 100)
    assert by_name["legacy_id__c"].unique
    assert (by_name["amount"].type, by_name["amount"].scale) == (FieldType.DECIMAL, 2)
    assert by_name["stage"].labels == {"1": "初步", "2": "赢单"}
    assert by_name["account_id"].references == ("AccountObj",)
    assert by_name["owner"].references == ("PersonnelObj",)
    assert by_name["strange"].type is FieldType.TEXT
    written = {name for name, item in by_name.items() if not item.read_only}
    assert written == {
        "name",
        "legacy_id__c",
        "amount",
        "stage",
        "account_id",
        "owner",
        "create_time",
        "stage__o",
        "strange",
    }
    assert (
        describe({"fields": raw}, "X", parse({**GIVEN, "audit": False})).schema.field("create_time").read_only
    )  # type: ignore[union-attr]


def test_employees_are_referred_to_by_their_number() -> None:
    fields = {"user_id": {"type": "text"}, "name": {"type": "text"}}
    assert describe({"fields": fields}, "PersonnelObj", parse(GIVEN)).schema.key == "user_id"
    assert describe({"fields": {"name": {"type": "text"}}}, "PersonnelObj", parse(GIVEN)).schema.key == "_id"


@pytest.mark.parametrize(
    ("value", "shape", "sent"),
    [
        (Decimal("1234567.80"), Shape.NUMBER, "1234567.80"),
        (Decimal("1E+3"), Shape.NUMBER, "1000"),
        (7, Shape.NUMBER, "7"),
        (date(2021, 4, 30), Shape.DAY, 1619712000000),
        (datetime(2021, 1, 1, tzinfo=SHANGHAI), Shape.INSTANT, 1609430400000),
        (time(2, 30), Shape.TIME, 9_000_000),
        (True, Shape.FLAG, True),
        ("1000", Shape.ONE, ["1000"]),
        ("18;19", Shape.TEXTS, ["18", "19"]),
        ('[{"name": "a.jpg"}]', Shape.JSON, [{"name": "a.jpg"}]),
        ("上海\n\"水泵\"", Shape.TEXT, "上海\n\"水泵\""),
        (None, Shape.DAY, None),
    ],
)  # fmt: skip
def test_values_are_sent_as_the_sheet_says(value: Any, shape: Shape, sent: Any) -> None:
    assert to_json(value, shape, SHANGHAI) == sent


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (1.5, Shape.NUMBER),
        (True, Shape.NUMBER),
        (Decimal("NaN"), Shape.NUMBER),
        (datetime(2021, 1, 1, tzinfo=UTC), Shape.DAY),
        (datetime(2021, 1, 1, microsecond=1, tzinfo=UTC), Shape.INSTANT),
        (datetime(2021, 1, 1), Shape.INSTANT),  # noqa: DTZ001 (the naive one is the point)
        ("ja", Shape.FLAG),
        ("{", Shape.JSON),
    ],
)
def test_what_would_be_cut_or_guessed_is_not_sent(value: Any, shape: Shape) -> None:
    with pytest.raises(Unfit):
        to_json(value, shape, SHANGHAI)


@given(
    day=st.dates(date(1900, 1, 1), date(2199, 12, 31)),
    zone=st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/Sao_Paulo"]),
)
def test_a_day_comes_back_as_the_same_day_in_every_zone(day: date, zone: str) -> None:
    sent = to_json(day, Shape.DAY, ZoneInfo(zone))
    column = typed_column([sent], FieldSchema("d", FieldType.DATE), Shape.DAY, zone)

    assert column is not None
    assert column.to_pylist() == [day]
    assert same(sent + 1, sent, Shape.DAY, ZoneInfo(zone))


@given(
    value=st.one_of(
        st.decimals(min_value=-(10**15), max_value=10**15, places=2, allow_nan=False, allow_infinity=False),
        st.datetimes(datetime(1970, 1, 2), datetime(2199, 1, 1)).map(  # noqa: DTZ001
            lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000, tzinfo=UTC)
        ),
        st.booleans(),
        st.text(min_size=1),
    )
)
def test_what_was_sent_is_the_same_when_it_is_read_again(value: Any) -> None:
    shape, kind = {
        Decimal: (Shape.NUMBER, FieldType.DECIMAL), datetime: (Shape.INSTANT, FieldType.DATETIME),
        bool: (Shape.FLAG, FieldType.BOOLEAN), str: (Shape.TEXT, FieldType.STRING),
    }[type(value)]  # fmt: skip
    sent = json.loads(json.dumps(to_json(value, shape, SHANGHAI)))
    column = typed_column([sent], FieldSchema("v", kind, scale=2), shape, "Asia/Shanghai")

    assert same(sent, sent, shape, SHANGHAI)
    assert column is not None
    assert column.to_pylist() == [value]


@pytest.mark.parametrize(
    ("there", "wanted", "shape", "equal"),
    [
        ("100.00", "100", Shape.NUMBER, True),
        ("100.01", "100", Shape.NUMBER, False),
        ("", None, Shape.TEXT, True),
        ([], None, Shape.ONE, True),
        (["19", "18"], ["18", "19"], Shape.TEXTS, True),
        (["1000"], ["1001"], Shape.ONE, False),
        (None, "x", Shape.TEXT, False),
        ("x ", "x", Shape.TEXT, False),
    ],
)
def test_only_what_differs_is_an_update(there: Any, wanted: Any, shape: Shape, equal: bool) -> None:
    assert same(there, wanted, shape, SHANGHAI) is equal


def test_a_column_with_a_strange_value_is_text_from_there_on_and_nothing_is_lost() -> None:
    described = _described(amount="currency", on="date", at="date_time")
    names = ["amount", "on", "at"]
    whole, loose = page(
        [{"amount": "1.10", "on": 1619712000000}], described, names, "Asia/Shanghai", frozenset()
    )
    assert not loose
    assert whole.schema.types == [arrow_type(described.schema.field(name)) for name in names]
    broken, loose = page(
        [{"amount": "viel", "on": 1.5, "at": True}], described, names, "Asia/Shanghai", frozenset()
    )
    assert loose == set(names)
    assert broken.to_pylist() == [{"amount": "viel", "on": "1.5", "at": "true"}]
    again, loose = page([{"amount": "2.20"}], described, names, "Asia/Shanghai", loose)
    assert again.column("amount").to_pylist() == ["2.20"]


def test_a_source_delivers_text_in_the_common_spelling() -> None:
    described = _described(
        on="date", at="date_time", clock="time", good="true_or_false", many="select_many", tags="tag"
    )
    row = {
        "on": 1619712000000,
        "at": 1619712000123,
        "clock": 9_000_000,
        "good": False,
        "many": ["1", "2"],
        "tags": ["a"],
    }
    told = {
        name: staged_column(
            [row[name]], described.schema.field(name), described.shape(name), "Asia/Shanghai"
        ).to_pylist()[0]
        for name in row
    }
    assert told == {
        "on": "2021-04-30", "at": "2021-04-29T16:00:00.123Z", "clock": "02:30:00.000000", "good": "false",
        "many": "1;2", "tags": '["a"]',
    }  # fmt: skip


def test_a_key_is_believed_absent_only_when_the_last_unanswered_create_is_long_enough_ago() -> None:
    clock = FixedClock()
    lately = Lately(30, clock.monotonic)
    assert lately.doubts("A", ["k"]) == {"k": 30}
    clock.sleep(31)
    assert not lately.doubts("A", ["k"])
    lately.lost("A", "k")
    clock.sleep(10)
    assert lately.doubts("A", ["k", "other"]) == {"k": 20}
    lately.wrote("A", "k", "id1", changed=False)
    assert lately.doubts("A", ["k"]) == {"k": 30}  # if neither a query nor its id finds it: committed late
    assert lately.written("A", ["k"])["k"].id == "id1"
    assert lately.unsettled == 30
    clock.sleep(31)
    assert not lately.written("A", ["k"])
    assert lately.unsettled == 0
    lately.wrote("A", "k", "id1", changed=False)
    lately.deleted("A", "k")
    assert not lately.doubts("A", ["k"])


def test_the_clouds_are_recognised_and_nothing_else() -> None:
    found = recognise("https://open-hws.fxiaoke.com/")
    assert found is not None
    assert found.settings == {"host": "open-hws.fxiaoke.com"}
    assert recognise("https://open.fxiaoke.com.evil.example") is None
    assert pa.types.is_string(arrow_type(FieldSchema("x", FieldType.STRING)))


def test_the_page_of_connectors_names_every_setting_host_and_choice() -> None:
    page = (Path(__file__).parents[2] / "docs" / "connectors.md").read_text("utf-8")
    section = page.partition("## Fxiaoke")[2].partition("\n## ")[0]
    choices = [word for name, words in CHOICES.items() for word in (name, *words)]
    assert [word for word in (*SETTINGS, *HOSTS, *choices) if f"`{word}`" not in section] == []
