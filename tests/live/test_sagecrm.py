"""Sage CRM's web services: the conformance kit, nested records, sessions, faults and hostile answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.sagecrm import open_source
from connectors.sagecrm.source import SageSource
from migrator.core.clock import FixedClock
from migrator.core.errors import FatalError, MigratorError, ProjectError, RetryableError
from migrator.testing.conformance import SOURCE_CHECKS, SourceBench
from tests.live.raw_server import answer, raw_server
from tests.live.sage_box import PASSWORD, SageBox, sage_box

pytestmark = pytest.mark.live
NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def box() -> Iterator[SageBox]:
    with sage_box() as running:
        for number in range(1, 12):
            add(running, number)
        yield running


def add(box: SageBox, number: int, at: str = "2026-01-01T00:00:00") -> str:
    phones = "+353 1,+353 2" if number % 3 == 0 else None
    box.execute(
        "INSERT INTO company VALUES (?, ?, ?, ?, NULL, ?)", number, f"上海 & <{number}>", phones, None, at
    )
    return str(number)


def opened(box: SageBox, **settings: Any) -> SageSource:
    base = {
        "url": box.url,
        "user": "ws",
        "password": PASSWORD,
        "objects": ["company"],
        "zone": "Asia/Shanghai",
    }
    return SageSource({**base, **settings}, FixedClock(NOW))


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
def test_the_conformance_kit(check: Callable[[SourceBench], None], box: SageBox) -> None:
    local = "2026-07-01T20:00:00"  # noon in UTC
    numbers = iter(range(100, 200))

    def edit(key: str) -> None:
        box.execute(
            "UPDATE company SET comp_name = 'x', comp_updateddate = ? WHERE comp_companyid = ?", local, key
        )

    def remove(key: str) -> None:
        box.execute(
            "UPDATE company SET comp_deleted = 1, comp_updateddate = ? WHERE comp_companyid = ?", local, key
        )

    check(
        SourceBench(
            lambda: opened(box), "company", expected=11, edit=edit, remove=remove,
            add=lambda: add(box, next(numbers), local),
        )
    )  # fmt: skip


def test_nested_records_are_json_that_a_mapping_can_explode(box: SageBox) -> None:
    (page,) = opened(box).read("company")
    rows = {row["companyid"]: row for row in page.rows.to_pylist()}
    assert json.loads(rows["3"]["phone"]) == [{"number": "+353 1"}, {"number": "+353 2"}]
    assert rows["1"]["phone"] is None
    assert rows["1"]["name"] == "上海 & <1>"


def test_a_field_that_shows_up_late_is_kept(box: SageBox) -> None:
    source = opened(box)
    source.describe()
    box.execute("UPDATE company SET comp_city = '上海' WHERE comp_companyid = 5")
    (page,) = source.read("company")
    kept = {row["companyid"]: row["other_fields"] for row in page.rows.to_pylist() if row["other_fields"]}
    assert kept == {"5": '{"city": "上海"}'}


def test_the_session_is_ended(box: SageBox) -> None:
    source = opened(box)
    source.describe()
    source.close()
    source.close()
    assert (box.logons, box.session, box.calls[-1]) == (1, "", "logoff")


def test_a_session_that_another_program_took_is_told_and_begun_anew(box: SageBox) -> None:
    source = opened(box)
    source.describe()
    box.session = "somebody else's"
    with pytest.raises(RetryableError, match="session"):
        list(source.read("company"))
    assert sum(page.rows.num_rows for page in source.read("company")) == 11


def test_a_wrong_password_is_told_once_and_not_shown(box: SageBox) -> None:
    with pytest.raises(FatalError) as caught:
        opened(box, password="hunter-2").describe()
    assert box.calls == ["logon"], "a second try would lock the account"
    assert "hunter-2" not in str(caught.value)


def test_an_entity_that_is_not_exposed_says_what_to_do(box: SageBox) -> None:
    with pytest.raises(FatalError, match="External Access"):
        opened(box, objects=["campaign"], prefixes={"campaign": "camp"}).describe()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Sign in</body></html>",
        b"<Envelope><Body><queryresponse>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>',
        b'<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x"><x/>',
        b"<Envelope><Body/></Envelope>",
    ],
    ids=["empty", "page", "cut", "entity", "dtd", "no result"],
)
def test_an_answer_that_is_none_is_one_clear_error(body: bytes) -> None:
    with raw_server(answer(body)) as server:
        source = SageSource(
            {"url": f"{server.address}/crm/eware.dll/webservices/SOAP", "user": "u", "password": "p"}
        )
        with pytest.raises(MigratorError) as caught:
            source.describe()
    assert isinstance(caught.value, FatalError | RetryableError)


def test_more_without_end_stops() -> None:
    logon = answer("<E><logonresponsetype><result><sessionid>1</sessionid></result></logonresponsetype></E>")
    endless = answer("<E><queryresponse><result><more>true</more></result></queryresponse></E>")
    with raw_server(logon, endless) as server:
        source = SageSource(
            {"url": f"{server.address}/crm/eware.dll/webservices/SOAP", "user": "u", "password": "p"}
        )
        with pytest.raises(RetryableError, match="none came"):
            list(source.read("company"))


def test_settings_are_strict() -> None:
    with pytest.raises(ProjectError, match="needs the setting password"):
        open_source({"url": "http://127.0.0.1:1", "user": "x", "zoen": "UTC"})
