"""The guarded HTTP session that simple-salesforce speaks through: every request asks the gate, every answer has bounds.

Nothing goes to another host than the organisation's, no redirect is followed, an answer has a largest size and a longest
time, a page for people is never taken for data, and credentials of the machine (.netrc) are never sent.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import SplitResult, urlsplit

import requests
from requests.adapters import HTTPAdapter
from typing_extensions import Buffer

from connectors.salesforce.settings import SalesforceSettings, is_loopback
from migrator.core.clock import Clock
from migrator.core.connector import Gate, OpenGate
from migrator.core.errors import FatalError, RetryableError

PARALLEL = 8
"""Most calls in flight: Salesforce permits 25 long ones, 5 in small editions, for everybody together."""
_BLOCK = 256 << 10
_LONGEST = 1_800.0
"""Seconds after which an answer that still comes is given up."""
_SOAP = "/services/Soap/"


class Told(threading.local):
    """What the headers of the last answer to this thread said."""

    server_time: datetime | None = None
    retry_after: float | None = None


class GuardedSession(requests.Session):
    """A session for one organisation; `hosts` are those it may speak to, host → scheme."""

    def __init__(self, settings: SalesforceSettings, clock: Clock) -> None:
        super().__init__()
        self.gate: Gate = OpenGate()
        self.clock = clock
        self.hosts: dict[str, str] = {}
        self.told = Told()
        self._limit = settings.answer_megabytes << 20
        self._timeout = settings.timeout_seconds
        self._ca: str | bool = settings.ca_file or True
        self.auth = _as_it_is
        adapter = HTTPAdapter(pool_maxsize=PARALLEL, max_retries=0)
        self.mount("https://", adapter)
        self.mount("http://", adapter)
        self.headers.update(_options(settings))
        for address in (settings.login_url, settings.instance_url):
            self.permit(address)

    def permit(self, address: str) -> None:
        """The session may speak to this address."""
        parts = urlsplit(address)
        if parts.hostname:
            self.hosts[_authority(parts)] = parts.scheme
            self.trust_env = not is_loopback(parts.hostname)  # a proxy knows another loopback than ours

    def request(self, method: str, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """One request and its whole answer, or with stream=True its head; raises `RetryableError` or `FatalError`."""
        address, doing = self._address(str(url)), _spoken(method, str(url))
        streaming = bool(kwargs.pop("stream", False))
        options = {
            "timeout": self._timeout, "allow_redirects": False, "stream": True, "verify": self._ca, **kwargs
        }  # fmt: skip
        self.gate.admit()
        try:
            response = super().request(method, address, *args, **options)
            self._noted(response)
            self._check_head(response, doing)
            if not streaming or response.status_code >= 300:
                response._content = self._body(response, doing)
                check_data(response, doing)
        except requests.exceptions.SSLError as error:
            raise FatalError(
                f"{doing}: the certificate is not trusted", hint="check the address; see the setting ca_file"
            ) from error
        except requests.exceptions.RequestException as error:
            raise lost(error, doing) from error
        return response

    def _address(self, url: str) -> str:
        """The address to ask, with the scheme the settings gave its host; simple-salesforce writes https always."""
        parts = urlsplit(url)
        scheme = None if parts.username is not None else self.hosts.get(_authority(parts))
        if scheme is None:
            raise FatalError(
                f"will not speak to {parts.hostname}: an answer named another host than the organisation's",
                hint="check instance_url and login_url",
            )
        return parts._replace(scheme=scheme).geturl()

    def _noted(self, response: requests.Response) -> None:
        """What every answer says besides: the calls used, the time there, the wait it asks for."""
        used, limit = api_usage(response.headers)
        if used is not None:
            self.gate.spent(used, limit)
        self.told.server_time = server_time(response.headers)
        wait = self.told.retry_after = retry_after(response.headers)
        if wait is not None and response.status_code in {429, 503}:
            self.gate.hold(wait)

    def _check_head(self, response: requests.Response, doing: str) -> None:
        if response.status_code in {301, 302, 303, 307, 308}:
            response.close()
            place = urlsplit(response.headers.get("Location", "")).hostname
            raise FatalError(
                f"{doing} was sent on to {place or 'another address'}, which is not followed",
                hint="give the organisation's own address (My Domain) as instance_url",
            )

    def _body(self, response: requests.Response, doing: str) -> bytes:
        """The whole body, decoded; given up where it grows beyond the limit or will not end."""
        parts, size, started = [], 0, self.clock.monotonic()
        for block in response.iter_content(_BLOCK):
            size += len(block)
            if size > self._limit:
                response.close()
                raise too_large(doing, self._limit)
            if self.clock.monotonic() - started > _LONGEST:
                response.close()
                raise RetryableError(f"{doing}: the answer did not end within {_LONGEST / 60:.0f} minutes")
            parts.append(block)
        return b"".join(parts)


class Streamed(io.BufferedReader):
    """The body of an answer as a file, in memory bounded by a block; a connection that breaks is a `RetryableError`.

    With `limit`, an answer of more bytes is a `FatalError`: for what is gathered as it is read.
    """

    def __init__(self, response: requests.Response, doing: str, limit: int | None = None) -> None:
        super().__init__(_Blocks(response, f"Salesforce, {doing}", limit), _BLOCK)


class _Blocks(io.RawIOBase):
    def __init__(self, response: requests.Response, doing: str, limit: int | None) -> None:
        super().__init__()
        self._response, self._doing, self._limit = response, doing, limit
        self._size = 0
        self._blocks = response.iter_content(_BLOCK)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        while not self._rest:
            try:
                self._rest = next(self._blocks)
            except StopIteration:
                return 0
            except requests.exceptions.RequestException as error:
                raise lost(error, self._doing) from error
            self._size += len(self._rest)
            if self._limit is not None and self._size > self._limit:
                raise too_large(self._doing, self._limit)
        part, self._rest = self._rest[: len(view)], self._rest[len(view) :]
        view[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self._response.close()
        super().close()


def too_large(doing: str, limit: int) -> FatalError:
    """The error for an answer that is not taken whole."""
    return FatalError(
        f"{doing}: the answer is larger than {limit >> 20} MiB",
        hint="raise answer_megabytes if that is right",
    )


def check_data(response: requests.Response, doing: str) -> None:
    """Raise for a page for people where data was asked for."""
    kind = response.headers.get("Content-Type", "").lower()
    start = response.content[:64].lstrip().lower()
    is_page = "html" in kind or start.startswith((b"<!doctype", b"<html", b"<head"))
    if is_page and response.status_code < 400 and _SOAP not in response.url:
        raise for_people(f"{doing} answered {response.status_code}")


def for_people(told: str) -> RetryableError:
    """The error for a page of a proxy or of maintenance where data was asked for."""
    return RetryableError(
        f"{told} with a page for people instead of data",
        hint="a proxy or a maintenance page stands between: open the address in a browser; then run again",
    )


def lost(error: requests.exceptions.RequestException, doing: str) -> RetryableError | FatalError:
    """The error for a request whose fate is unknown; its text names no address with data in it."""
    if isinstance(error, requests.exceptions.Timeout):
        return RetryableError(f"{doing}: no answer in time", hint="see the setting timeout_seconds")
    if isinstance(error, requests.exceptions.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return RetryableError(f"{doing}: the connection broke or could not be made")
    if isinstance(error, requests.exceptions.ContentDecodingError | requests.exceptions.JSONDecodeError):
        return RetryableError(f"{doing}: the answer was cut or changed on its way")
    return FatalError(f"{doing}: the request cannot be made ({type(error).__name__})")


def api_usage(headers: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Calls used and permitted in 24 hours, as 'Sforce-Limit-Info: api-usage=18/5000' says; None where it says nothing."""
    for part in headers.get("Sforce-Limit-Info", "").split(";"):
        name, _, numbers = part.strip().partition("=")
        used, _, limit = numbers.partition("/")
        if name == "api-usage" and used.isdigit() and limit.isdigit():
            return int(used), int(limit)
    return None, None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to be left alone for; Salesforce says none, proxies before it do."""
    said = headers.get("Retry-After", "").strip()
    return float(said) if said.isdigit() else None


def server_time(headers: Mapping[str, str]) -> datetime | None:
    """What the organisation's clock said; None where an answer has no readable Date."""
    try:
        return parsedate_to_datetime(headers["Date"])
    except (KeyError, ValueError):
        return None


def _authority(parts: SplitResult) -> str:
    """Host and port as simple-salesforce writes them: without the usual port."""
    host = parts.hostname or ""
    return host if parts.port in {None, 443} else f"{host}:{parts.port}"


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """An authentication that adds nothing: without one, requests would send what .netrc holds for the host."""
    return request


def _options(settings: SalesforceSettings) -> dict[str, str]:
    return {
        "User-Agent": "crm-migrator",
        "Sforce-Auto-Assign": "TRUE" if settings.assignment_rules else "FALSE",
        "Sforce-Duplicate-Rule-Header": f"allowSave={'true' if settings.allow_duplicates else 'false'}",
        "Sforce-Mru": "updateMru=false",
    }


def _spoken(method: str, url: str) -> str:
    """A request as messages call it: without the query, which may hold data."""
    parts = urlsplit(url)
    return f"{method} {parts.hostname}{parts.path[:120]}"
