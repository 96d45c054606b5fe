"""Our HTTP client against a server that answers as no decent server does."""

from __future__ import annotations

import gzip
import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from connectors.http import Bounds, Client
from migrator.core.errors import FatalError, RetryableError
from tests.live.raw_server import answer, raw_server

pytestmark = pytest.mark.live
SECRET = "eyJ0-very-secret-token"


@dataclass
class Token:
    """A sign-in that can be renewed once."""

    tokens: list[str] = field(default_factory=lambda: [SECRET, "second-token"])

    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.tokens[0]}"}

    def renew(self, refused: Mapping[str, str]) -> bool:
        if refused == self.headers() and len(self.tokens) > 1:
            self.tokens.pop(0)
            return True
        return refused != self.headers()


@dataclass
class Book:
    """A gate that writes down what it was asked."""

    seen: list[object] = field(default_factory=list)

    def admit(self, scope: str = "", requests: int = 1) -> None:
        self.seen.append((scope, requests))

    def hold(self, seconds: float, scope: str = "") -> None:
        self.seen.append((seconds, scope))

    def spent(self, used: int, limit: int | None = None) -> None:
        self.seen.append((used, limit))


def test_a_sign_in_refused_once_is_renewed_once_and_the_request_made_again() -> None:
    gate = Book()
    with raw_server(answer("", 401), answer('{"ok": 1.10}')) as server:
        found = Client(server.address, Token(), gate).post("things", document={"a": "王"}, scope="s")
    assert str(found.object()["ok"]) == "1.10"
    assert b"Bearer eyJ0" in server.requests[0]
    assert b"Bearer second" in server.requests[1]
    assert server.requests[1].endswith('{"a":"王"}'.encode())
    assert gate.seen == [("s", 1), ("s", 1)]


def test_a_sign_in_refused_twice_is_fatal_and_shows_no_token() -> None:
    with (
        raw_server(answer(f"bad {SECRET} and second-token", 401)) as server,
        pytest.raises(FatalError, match="401") as caught,
    ):
        Client(server.address, Token()).get("things?$filter=name eq 'Wang'")
    assert len(server.requests) == 2
    assert SECRET not in str(caught.value)
    assert "second-token" not in str(caught.value)
    assert "Wang" not in str(caught.value)


def test_a_system_that_pushes_back_says_how_long() -> None:
    gate = Book()
    with (
        raw_server(answer("0x80072322 too many", 429, Retry_After="17")) as server,
        pytest.raises(RetryableError, match="0x80072322") as caught,
    ):
        Client(server.address, gate=gate).get("x", scope="read")
    assert (caught.value.retry_after, caught.value.throttled) == (17.0, True)
    assert gate.seen == [("read", 1), (17.0, "read")]


@pytest.mark.parametrize(("status", "throttled"), [(429, True), (503, False), (502, False), (504, False)])
def test_what_passes_by_itself_is_retryable(status: int, throttled: bool) -> None:
    with raw_server(answer("down", status)) as server, pytest.raises(RetryableError) as caught:
        Client(server.address).get("x")
    assert caught.value.throttled is throttled


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        ("<!DOCTYPE html><p>Sign in, a.b@example.com 13812345678", RetryableError, "page for people"),
        ('{"value": [1, 2', RetryableError, "no JSON"),
        ('{"value": NaN}', RetryableError, "no JSON"),
        ("\xff\xfe", RetryableError, "no JSON"),
        ("", RetryableError, "no JSON, 0 bytes"),
        ("[1]", FatalError, "not an object"),
        ("[" * 100_000, FatalError, "too deep"),
    ],
)
def test_what_is_no_data_is_never_taken_for_data(body: str, error: type[Exception], words: str) -> None:
    with raw_server(answer(body)) as server, pytest.raises(error, match=words) as caught:
        Client(server.address).get("x").object()
    assert "a.b@" not in str(caught.value)
    assert "13812345678" not in str(caught.value)


def test_an_answer_cut_short_or_never_begun_is_retryable() -> None:
    with (
        raw_server(answer('{"a": 1}', length=100)) as server,
        pytest.raises(RetryableError, match="broke off"),
    ):
        Client(server.address).get("x")
    with raw_server(lambda _: None) as server, pytest.raises(RetryableError, match="broke off"):
        Client(server.address).get("x")
    with pytest.raises(RetryableError, match="cannot be reached"):
        Client(server.address).get("x")


def test_an_answer_too_large_is_given_up_while_it_comes_and_a_bomb_does_not_go_off() -> None:
    bounds = Bounds(answer_bytes=100_000)
    bomb = gzip.compress(b" " * 50_000_000)
    with raw_server(answer(b"x" * 5_000_000)) as server, pytest.raises(FatalError, match="more than 100000"):
        Client(server.address, bounds=bounds).get("x")
    with (
        raw_server(answer(bomb, Content_Encoding="gzip")) as server,
        pytest.raises(FatalError, match="more than 100000"),
    ):
        Client(server.address, bounds=bounds).get("x")
    twice = gzip.compress(bomb)
    with (
        raw_server(answer(twice, Content_Encoding="gzip, gzip")) as server,
        pytest.raises(FatalError, match="nobody asked for"),
    ):
        Client(server.address, bounds=bounds).get("x")


def test_an_answer_that_never_ends_is_given_up() -> None:
    times = iter(range(0, 10_000, 100))
    with (
        raw_server(answer("{}")) as server,
        pytest.raises(RetryableError, match="still answering after 50 seconds"),
    ):
        Client(server.address, bounds=Bounds(whole=50), now=lambda: float(next(times))).get("x")


@pytest.mark.parametrize("there", ["https://evil.example/steal?x=1", "/login", "//evil.example/"])
def test_a_redirect_is_not_followed(there: str) -> None:
    with (
        raw_server(answer("", 302, Location=there)) as server,
        pytest.raises(FatalError, match="not followed"),
    ):
        Client(server.address, Token()).get("x")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "link", ["https://evil.example/next", "http://127.0.0.1:1/next", "//evil.example/next"]
)
def test_a_link_to_another_host_gets_no_token(link: str) -> None:
    with raw_server(answer("{}")) as server, pytest.raises(FatalError, match="another host"):
        Client(server.address, Token()).get(link)
    assert server.requests == []


def test_a_download_goes_into_a_file_and_is_bounded_too() -> None:
    into = io.BytesIO()
    with raw_server(answer(b"\x00" * 1000)) as server:
        Client(server.address).download("f", into, limit=1000)
        assert into.getvalue() == b"\x00" * 1000
        with pytest.raises(FatalError, match="more than 999"):
            Client(server.address).download("f", io.BytesIO(), limit=999)


def test_cookies_are_not_kept_they_would_pin_us_to_one_server() -> None:
    with raw_server(answer("{}", Set_Cookie="ARRAffinity=one; Path=/")) as server:
        client = Client(server.address)
        client.get("x")
        client.get("x")
    assert len(server.requests) == 2
    assert b"ookie" not in server.requests[1]
