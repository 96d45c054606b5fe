"""simple-salesforce behind one door: connected at the first call, renewed when the session ends, errors translated."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote_plus

import requests
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceError
from simple_salesforce.util import call_salesforce

from connectors.salesforce.credentials import BySession
from connectors.salesforce.failures import Expired, failure, said_in
from connectors.salesforce.login import Token, log_in
from connectors.salesforce.settings import SalesforceSettings
from connectors.salesforce.soql import LONGEST, name
from connectors.salesforce.wire import GuardedSession
from migrator.core.clock import Clock, SystemClock
from migrator.core.connector import Gate
from migrator.core.errors import FatalError, RetryableError

Answer = TypeVar("Answer")
_RENEWALS = 2
"""One for a session that has ended; another because the new one may be another thread's, and have ended as well."""
_AT_ONCE = {"Sforce-Query-Options": "batchSize=2000"}


class Client:
    """One organisation; may be used from several threads."""

    def __init__(self, settings: SalesforceSettings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self._session = GuardedSession(settings, self.clock)
        self._lock = threading.Lock()
        self._connected: tuple[Token, Salesforce] | None = None

    @property
    def address(self) -> str:
        """Where the organisation is, as far as known."""
        known = self._connected[0].instance_url if self._connected else ""
        return known or self.settings.instance_url or self.settings.login_url

    @property
    def user(self) -> str:
        """The id of the user who is logged in; '' before the first call, and where the log-in did not tell it."""
        return self._connected[0].user if self._connected else ""

    def pace(self, gate: Gate) -> None:
        """From now on every request asks this gate first."""
        self._session.gate = gate

    def ask(self, doing: str, call: Callable[[Salesforce], Answer]) -> Answer:
        """The answer of one or more requests; `doing` says in messages what they were for.

        A session that has ended is renewed and the call made again, so it must be one that may be.
        """
        token, handle = self._handle(None)
        for _ in range(_RENEWALS):
            try:
                return self._asked(doing, call, handle)
            except Expired:
                token, handle = self._handle(token)
        try:
            return self._asked(doing, call, handle)
        except Expired as error:
            raise FatalError(
                f"{doing}: Salesforce refuses a session that it has just given: {error.said.message[:200]}",
                hint="the user may not use the API, or not from this address",
            ) from error

    def query(self, soql: str, *, deleted_too: bool = False) -> Mapping[str, Any]:
        """The first page of a query's answer; `deleted_too` takes deleted and archived records in."""
        if len(quote_plus(soql)) > LONGEST:
            return _page(self._long(soql, "queryAll" if deleted_too else "query"))
        return _page(
            self.ask("query", lambda sf: sf.query(soql, include_deleted=deleted_too, headers=dict(_AT_ONCE)))
        )

    def composite(self, doing: str, paths: Sequence[str]) -> list[tuple[int, Any]]:
        """Status and body of several GETs (25 at most) in one call; their addresses may be long."""
        base = f"/services/data/v{self.settings.version}/"
        inner = [
            {"method": "GET", "url": base + path, "referenceId": f"r{place}"}
            for place, path in enumerate(paths)
        ]
        raw = self.rest(doing, "composite", method="POST", json={"compositeRequest": inner})
        listed = raw.get("compositeResponse") if isinstance(raw, Mapping) else None
        if (
            not isinstance(listed, list)
            or len(listed) != len(paths)
            or not all(
                isinstance(item, dict) and isinstance(item.get("httpStatusCode"), int) for item in listed
            )
        ):
            raise unexpected(doing, f"one with {len(paths)} answers inside")
        return [(item["httpStatusCode"], item.get("body")) for item in listed]

    def more(self, place: str) -> Mapping[str, Any]:
        """The next page, at the nextRecordsUrl of the one before."""
        return _page(self.ask("query", lambda sf: sf.query_more(place, identifier_is_url=True)))

    def rest(self, doing: str, path: str, *, method: str = "GET", **options: Any) -> Any:
        """One request below /services/data/vNN.0/, its answer as JSON (exact numbers are text), None when it is empty."""
        return self.ask(doing, lambda sf: sf.restful(path, method=method, **options))

    def raw(
        self, doing: str, path: str, *, method: str = "GET", headers: Mapping[str, str], **options: Any
    ) -> requests.Response:
        """As `rest`, the answer as it came: for CSV and for files."""

        def call(sf: Salesforce) -> requests.Response:
            merged = {**sf.headers, **headers}
            found: requests.Response = call_salesforce(
                sf.base_url + path, method, self._session, merged, **options
            )
            return found

        return self.ask(doing, call)

    def describe(self, object_name: str) -> Any:
        """What the organisation says of an object."""
        return self.ask(f"describe {object_name}", lambda sf: _sobject(sf, object_name).describe())

    def deleted(self, object_name: str, start: datetime, end: datetime) -> Any:
        """The log of deletions of an object; seconds do not count."""
        return self.ask(
            f"deletions of {object_name}", lambda sf: _sobject(sf, object_name).deleted(start, end)
        )

    def now(self) -> datetime:
        """The time on the organisation's own clock, to the second."""
        self.rest("time", "limits")
        found = self._session.told.server_time
        if found is None:
            raise FatalError(
                "Salesforce's answers carry no Date, so what changed since cannot be told",
                hint="a proxy takes it out: let it through",
            )
        return found

    def close(self) -> None:
        """Release the connections; may be called twice."""
        self._session.close()

    def _long(self, soql: str, kind: str) -> Any:
        """A query too long for an address goes as a request inside another (an object of many fields has such)."""
        (status, body), *_ = self.composite("query", [f"{kind}/?q={quote_plus(soql)}"])
        if status >= 300:
            raise failure(said_in(body, status), status, None, "Salesforce, query")
        return body

    def _handle(self, spent: Token | None) -> tuple[Token, Salesforce]:
        """The session in use; a new one when there is none, or when `spent` is the one in use."""
        with self._lock:
            if self._connected is None or self._connected[0] is spent:
                if spent is not None and isinstance(self.settings.credentials, BySession):
                    raise FatalError(
                        "the session_id is not valid (any more)",
                        hint="give a new one, or credentials that can log in by themselves",
                    )
                self._connected = self._connect()
            return self._connected

    def _connect(self) -> tuple[Token, Salesforce]:
        token = log_in(self.settings, self._session)
        self._session.permit(token.instance_url)
        handle = Salesforce(
            session_id=token.access,
            instance_url=token.instance_url,
            version=self.settings.version,
            session=self._session,
            parse_float=str,
            object_pairs_hook=dict,
        )
        handle.headers["X-PrettyPrint"] = "0"
        return token, handle

    def _asked(self, doing: str, call: Callable[[Salesforce], Answer], handle: Salesforce) -> Answer:
        doing = f"Salesforce, {doing}"
        try:
            return call(handle)
        except SalesforceError as error:
            said = said_in(error.content, error.status)
            raise failure(said, error.status, self._session.told.retry_after, doing) from error
        except RecursionError as error:
            raise FatalError(f"{doing}: the answer has lists too deep inside one another") from error
        except ValueError as error:
            raise RetryableError(
                f"{doing}: the answer is no JSON: it was cut or changed on its way"
            ) from error


def _sobject(sf: Salesforce, object_name: str) -> Any:
    """simple-salesforce's view of an object, whatever its name: an attribute could be one of its own methods."""
    return sf.__getattr__(name(object_name))


def _page(found: Any) -> Mapping[str, Any]:
    """A page of records, checked: a list of records, a count, and where it goes on unless it is done."""
    records = found.get("records") if isinstance(found, dict) else None
    if (
        not isinstance(records, list)
        or not all(isinstance(item, dict) and isinstance(item.get("Id"), str) for item in records)
        or not isinstance(found.get("totalSize"), int)
        or not isinstance(found.get("done"), bool)
        or not (found["done"] or str(found.get("nextRecordsUrl", "")).startswith("/"))
    ):
        raise unexpected("query", "a page of records")
    page: Mapping[str, Any] = found
    return page


def unexpected(doing: str, wanted: str) -> FatalError:
    """The error for an answer that is JSON, but not what the protocol says."""
    return FatalError(
        f"Salesforce, {doing}: the answer is not {wanted}",
        hint="this is not how the system is documented: check instance_url and version",
    )
