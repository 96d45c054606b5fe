"""OData made of data: no value can become syntax, in an address, in a filter, or in a body."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.dataverse import odata
from connectors.dataverse.settings import DataverseSettings, parse
from connectors.sandbox.dataverse.query import Parser
from connectors.sandbox.where import In, Path
from migrator.core.errors import ProjectError

_HOSTILE = st.text() | st.sampled_from(
    [
        "' or 1 eq 1 or '",
        "a') or (b eq '",
        "x'&$top=1",
        "x#y",
        "a/b",
        "%27",
        "'])",
        "公司'",
        "a,b",
        "\r\nHost: evil",
        "\x00",
    ]
)


@given(st.lists(_HOSTILE, min_size=1, max_size=5))
def test_a_filter_made_of_any_values_asks_for_exactly_these_values(values: list[str]) -> None:
    address = "accounts" + odata.query(select="name", filter=odata.in_filter("new_legacyid", values))
    parts = urlsplit(f"https://h/{address}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    assert set(options) == {"$select", "$filter"}
    assert parts.fragment == ""
    assert Parser(options["$filter"], str).parse() == In(Path("new_legacyid"), tuple(values))


@given(_HOSTILE)
def test_a_key_in_an_address_stays_inside_its_parentheses(value: str) -> None:
    address = odata.encoded(odata.text(value))
    assert not set("/?#&'() \r\n") & set(address)
    assert unquote(address)[1:-1].replace("''", "'") == value


@pytest.mark.parametrize(
    "value", ["a/b", "a?b", "SRC:1", "100%", "a+b", "a#b", "", " a", "a\n", "a\\b", "<", "*", "&"]
)
def test_keys_that_the_service_cannot_be_addressed_with_are_known(value: str) -> None:
    assert not odata.addressable(value)
    assert odata.addressable("O'Brien 王")


@pytest.mark.parametrize("value", ["1 or 1 eq 1", "x", "", "1.5", "0x10"])
def test_a_literal_without_quotes_is_a_number_or_a_guid(value: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        odata.literal(value, quoted=False)


def test_a_guid_is_written_one_way_and_nothing_else_is_one() -> None:
    assert odata.guid("{0F000000-0000-4000-8000-00000000ABCD}") == "0f000000-0000-4000-8000-00000000abcd"
    assert odata.guid("0f000000-0000-4000-8000-00000000abcd)") is None
    assert odata.guid(None) is None


@given(st.lists(st.text(max_size=200), max_size=2_000))
def test_values_go_in_pieces_that_addresses_hold(values: list[str]) -> None:
    pieces = list(odata.pieces(values))
    assert [value for piece in pieces for value in piece] == values
    for piece in pieces:
        assert len(odata.query(filter=odata.in_filter("a", piece))) < 24_000


@pytest.mark.parametrize("name", ["a b", "a'", "a)", "1a", "", "a.b"])
def test_what_is_no_name_is_never_part_of_an_address(name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        odata.name(name)


_GOOD: dict[str, Any] = {"url": "https://org.crm4.dynamics.com", "token": "t0ken-secret"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"url": None}, "url is missing"),
        ({"url": "http://org.crm4.dynamics.com"}, "readable on its way"),
        ({"url": "https://org.crm4.dynamics.com/main.aspx"}, "has a path"),
        ({"token": None}, "the setting tenant is missing"),
        ({"tokn": "x"}, "unknown setting"),
        ({"batch_rows": 5000}, "from 1 to 1000"),
        ({"batch_rows": True}, "must be a whole number"),
        ({"tables": "account"}, "must be a list"),
        ({"api_version": "9.2/../x"}, "must look like"),
        ({"token": None, "tenant": "t", "client_id": "c", "certificate": "/none.pem"}, "no certificate file"),
    ],
)
def test_settings_that_are_wrong_are_told_and_show_no_secret(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ProjectError, match=words) as caught:
        parse({key: value for key, value in (_GOOD | change).items() if value is not None})
    assert "t0ken" not in str(caught.value)


def test_tables_are_chosen_by_patterns_else_the_usual_ones_and_all_custom_ones() -> None:
    usual = parse(_GOOD)
    assert usual.wants("account", custom=False)
    assert usual.wants("new_visit", custom=True)
    assert not usual.wants("asyncoperation", custom=False)
    chosen = DataverseSettings("https://x", tables=("new_*", "lead"))
    assert chosen.wants("lead", custom=False)
    assert not chosen.wants("account", custom=False)
