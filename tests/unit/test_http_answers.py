"""What is sent and shown over HTTP: exact numbers, no secret in a message, no plain http but on this machine."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.http_addresses import require_safe, trust
from connectors.http_answers import Answer, encode, excerpt
from migrator.core.errors import ProjectError

_DECIMALS = st.decimals(
    allow_nan=False, allow_infinity=False, places=10, min_value=-(10**18), max_value=10**18
)
_VALUES = st.none() | st.booleans() | st.integers() | st.text() | _DECIMALS


@given(st.dictionaries(st.text(), _VALUES | st.lists(_VALUES)))
def test_what_is_sent_is_what_was_meant_to_the_last_digit(document: dict[str, object]) -> None:
    assert json.loads(encode(document), parse_float=Decimal, parse_int=Decimal) == json.loads(
        json.dumps(document, default=lambda value: {"d": str(value)}),
        parse_int=Decimal,
        object_hook=lambda found: Decimal(found["d"]) if set(found) == {"d"} else found,
    )


def test_a_text_that_looks_like_a_marked_number_stays_a_text() -> None:
    assert json.loads(encode(["\x00abc:1", Decimal("1.10")])) == ["\x00abc:1", 1.1]
    assert encode([Decimal("1E+3"), Decimal("-0.10")]) == b"[1000,-0.10]"


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), float("nan"), object()])
def test_what_json_does_not_know_is_not_sent(value: object) -> None:
    with pytest.raises(ValueError, match=r"JSON|nan"):
        encode({"a": value})


def test_an_excerpt_shows_no_secret_no_address_and_no_control_sign() -> None:
    said = excerpt(b'x\x1b[31m s3cr3t {"access_token":"abcdef"} a.b@example.com 13812345678', ["s3cr3t"])
    assert said == 'x[31m ••• {"access_token":"•••"} •••@••• •••'
    assert len(excerpt(b"x" * 10_000)) == 201
    assert excerpt(b"") == "(nothing)"


@pytest.mark.parametrize(
    "address",
    [
        "http://crm.example",
        "ftp://localhost",
        "https://",
        "crm",
        "https://u:p@crm.example",
        "http://10.0.0.1",
        "http://x:y@[::1]",
    ],
)
def test_what_could_be_read_on_its_way_is_not_spoken(address: str) -> None:
    with pytest.raises(ProjectError) as caught:
        require_safe(address)
    assert ":p@" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["https://crm.example", "http://127.0.0.1:8", "http://[::1]:8", "http://localhost"]
)
def test_https_and_this_machine_are_spoken_to(address: str) -> None:
    assert require_safe(address) == address


def test_certificates_that_cannot_be_read_are_the_projects_fault() -> None:
    with pytest.raises(ProjectError, match="cannot be read"):
        trust("/nonexistent.pem")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), ("0", None), ("-3", None), ("soon", None), ("1e99", None), ("nan", None)],
)
def test_retry_after_is_believed_only_when_it_is_a_time(text: str, seconds: float | None) -> None:
    assert Answer(429, {"retry-after": text}, b"", "x").retry_after == seconds


def test_retry_after_may_be_a_date() -> None:
    found = Answer(429, {"retry-after": "Fri, 31 Dec 2060 23:59:59 GMT"}, b"", "x").retry_after
    assert found is None or found > 1000  # more than 115 days is no hint
