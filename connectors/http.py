"""One HTTP client for our own connectors: every request passes the gate, every answer is bounded, nothing is believed unread.

It never sleeps and never tries again by itself (but once with a renewed sign-in, which a refused request makes safe).
What the system says stands in an `Answer`; what keeps it from answering is a `RetryableError` or a `FatalError` that
names the request without its query, the status, and a short excerpt in which secrets and addresses are masked.
"""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, BinaryIO, Protocol

import httpx

from connectors.http_addresses import is_loopback, require_safe, trust
from connectors.http_answers import Answer, encode, excerpt
from migrator.core.connector import Gate, OpenGate
from migrator.core.errors import FatalError, RetryableError

__all__ = ["Anonymous", "Answer", "Bounds", "Client", "Credentials", "encode", "excerpt"]

_PUSHED_BACK = 429
_LATER = frozenset({408, 425, 502, 503, 504})
_ENCODINGS = frozenset({"", "identity", "gzip", "deflate"})


class Credentials(Protocol):
    """Who asks. Both functions may be called from several threads."""

    def headers(self) -> Mapping[str, str]:
        """The headers that prove it; asked before each request, so they renew themselves before they run out."""
        ...

    def renew(self, refused: Mapping[str, str]) -> bool:
        """The system answered 401 to these headers; True when there are others now."""
        ...


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Nobody in particular: for systems whose sign-in stands in the body, and for the sign-in itself."""

    def headers(self) -> Mapping[str, str]:
        """None."""
        return {}

    def renew(self, refused: Mapping[str, str]) -> bool:  # noqa: ARG002 (the protocol's)
        """There are no others."""
        return False


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long and how large: seconds for each phase and for all of a request, bytes for an answer held in memory."""

    connect: float = 15.0
    read: float = 150.0
    whole: float = 600.0
    answer_bytes: int = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Ask:
    """One request as it is sent, perhaps twice."""

    method: str
    url: httpx.URL
    scope: str = ""
    requests: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    into: BinaryIO | None = None
    limit: int = 0

    @property
    def name(self) -> str:
        """How messages call it: without the query, in which keys may stand."""
        return f"{self.method} {self.url.copy_with(query=None, fragment=None)}"


@dataclass(slots=True)
class Client:
    """Requests to one system. `address` is its root; nothing is ever sent to another host."""

    address: str
    credentials: Credentials = field(default_factory=Anonymous)
    gate: Gate = field(default_factory=OpenGate)
    bounds: Bounds = field(default_factory=Bounds)
    ca_file: str | None = None
    """Certificates to trust instead of the usual ones: a sandbox's own, a company's."""
    hidden: Sequence[str] = ()
    """Secrets that no message may show, beside those in the headers of `credentials`."""
    transport: httpx.BaseTransport | None = None
    now: Callable[[], float] = time.monotonic
    _http: httpx.Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.address = require_safe(self.address).rstrip("/") + "/"
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs whole URLs, and keys are personal data
        local = is_loopback(self.address)
        self._http = httpx.Client(
            base_url=self.address,
            verify=trust(self.ca_file),
            timeout=httpx.Timeout(
                self.bounds.read, connect=self.bounds.connect, write=self.bounds.read, pool=self.bounds.read
            ),
            follow_redirects=False,
            trust_env=not local,
            headers={"Accept-Encoding": "gzip", "User-Agent": "crm-migrator"},
            transport=self.transport,
            cookies=CookieJar(
                DefaultCookiePolicy(allowed_domains=[])
            ),  # none is kept: they would pin us to one server
        )

    def get(self, path: str, **how: Any) -> Answer:
        """A GET; see `request`."""
        return self.request("GET", path, **how)

    def post(self, path: str, **how: Any) -> Answer:
        """A POST; see `request`."""
        return self.request("POST", path, **how)

    def request(
        self,
        method: str,
        path: str,
        *,
        scope: str = "",
        requests: int = 1,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        document: object = None,
    ) -> Answer:
        """The answer to one request, whatever its status says but what `_judge` knows for certain.

        `path` is relative to the address, or an absolute URL of the same host (a link of an answer). `document` is sent
        as JSON. `scope` and `requests` are what the gate counts. Raises `RetryableError` when nobody answers, the answer
        is cut, or the system pushes back; `FatalError` for a refused sign-in, a redirect, and what is too large.
        """
        if document is not None:
            headers = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
            content = encode(document)
        return self._sent(
            _Ask(method, self._url(path), scope, requests, headers=headers or {}, content=content)
        )

    def download(self, path: str, into: BinaryIO, *, scope: str = "", limit: int) -> Answer:
        """A GET whose body, at most `limit` bytes, goes into a file; errors are answered in the body as ever."""
        return self._sent(_Ask("GET", self._url(path), scope, into=into, limit=limit))

    def close(self) -> None:
        """Release the connections; may be called twice."""
        self._http.close()

    # -- one request

    def _sent(self, ask: _Ask) -> Answer:
        proof = dict(self.credentials.headers())
        answer = self._once(ask, proof)
        if answer.status == 401 and self.credentials.renew(proof):
            answer = self._once(ask, dict(self.credentials.headers()))
        self._judge(answer, ask.scope)
        return answer

    def _once(self, ask: _Ask, proof: Mapping[str, str]) -> Answer:
        self.gate.admit(ask.scope, ask.requests)
        hidden = (*self.hidden, *_secrets_in(proof))
        request = self._http.build_request(
            ask.method, ask.url, headers={**ask.headers, **proof}, content=ask.content
        )
        body = io.BytesIO()
        with _translated(ask.name, hidden), _sending(self._http, request) as response:
            if ask.into is not None and response.is_success:
                self._receive(response, ask.into, ask.limit, ask.name)
            else:
                self._receive(response, body, self.bounds.answer_bytes, ask.name)
        return Answer(response.status_code, response.headers, body.getvalue(), ask.name, hidden)

    def _receive(self, response: httpx.Response, into: BinaryIO, limit: int, asked: str) -> None:
        """The body, decoded, never more than `limit` bytes and never longer than the bound of the whole request."""
        if response.headers.get("content-encoding", "").strip().lower() not in _ENCODINGS:
            raise FatalError(
                f"{asked} answered in an encoding nobody asked for: {response.headers['content-encoding']!r}"
            )
        until = self.now() + self.bounds.whole
        size = 0
        for piece in response.iter_bytes():
            size += len(piece)
            if size > limit:
                raise FatalError(
                    f"{asked} answered more than {limit} bytes; the rest was not read",
                    hint="ask for smaller pages, or for fewer columns",
                )
            if self.now() > until:
                raise RetryableError(
                    f"{asked} is still answering after {self.bounds.whole:.0f} seconds", hint="run again"
                )
            into.write(piece)

    def _url(self, path: str) -> httpx.URL:
        try:
            url = self._http.base_url.join(path)
        except (httpx.InvalidURL, ValueError) as error:
            raise FatalError(f"{self.address} gave a link that is no address: {path[:80]!r}") from error
        if _origin(url) != _origin(self._http.base_url):
            raise FatalError(
                f"{self.address} points to another host, {url.scheme}://{url.host}; it is not followed",
                hint="the sign-in goes to the host of the settings and nowhere else",
            )
        return url

    def _judge(self, answer: Answer, scope: str) -> None:
        """Raise what is certain whatever the system: pushed back, down for a moment, moved, or not signed in."""
        status = answer.status
        said = answer.excerpt()
        if status == _PUSHED_BACK or status in _LATER:
            wait = answer.retry_after
            if wait:
                self.gate.hold(wait, scope)
            raise RetryableError(
                f"{answer.asked} answered {status}: {said}",
                hint="the system asks to be left alone for a while" if wait else "run again",
                retry_after=wait,
                throttled=status == _PUSHED_BACK or wait is not None,
            )
        if 300 <= status < 400 and status != 304:
            target = httpx.URL(answer.headers.get("location", "") or "/")
            raise FatalError(
                f"{answer.asked} answered {status}: it sends us to {target.host or 'another page'}, which is not followed",
                hint="check the address in the settings: a sign-in page or a proxy may stand there",
            )
        if status == 401:
            raise FatalError(
                f"{answer.asked} answered 401: the sign-in is refused: {said}",
                hint="check the credentials, and that they are still valid",
            )


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or {"https": 443, "http": 80}.get(url.scheme)


def _secrets_in(proof: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(value.rpartition(" ")[2] for value in proof.values())


@contextmanager
def _sending(http: httpx.Client, request: httpx.Request) -> Iterator[httpx.Response]:
    response = http.send(request, stream=True)
    try:
        yield response
    finally:
        response.close()


@contextmanager
def _translated(asked: str, hidden: Sequence[str]) -> Iterator[None]:
    """What keeps a request from being answered, as ours; the fate of a write is unknown then."""
    try:
        yield
    except httpx.TransportError as error:
        raise _unanswered(asked, error, hidden) from error
    except (httpx.DecodingError, httpx.StreamError) as error:
        raise RetryableError(f"{asked}: the answer cannot be read: {error}", hint="run again") from error


def _unanswered(
    asked: str, error: httpx.TransportError, hidden: Sequence[str]
) -> RetryableError | FatalError:
    said = excerpt(str(error).encode(), hidden)
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return FatalError(
            f"{asked}: the certificate is not trusted: {said}",
            hint="give the certificates of your company or of the sandbox as ca_file; checking is never switched off",
        )
    if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return FatalError(f"{asked}: {said}")
    slow = isinstance(error, httpx.TimeoutException)
    what = "did not answer in time" if slow else "cannot be reached or broke off"
    return RetryableError(f"{asked}: {what} ({type(error).__name__}: {said})", hint="run again")
