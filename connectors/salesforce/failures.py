"""What Salesforce's error codes mean for whoever asked: try later, never again, log in again, or look at one row.

Codes and their classes: vendor's documentation of StatusCode and of the REST API's error responses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from migrator.core.errors import CallRefused, ConnectorError, FatalError, RetryableError, WatermarkExpired

LOCKED = "UNABLE_TO_LOCK_ROW"
DAY = 86_400.0
_LATER = frozenset(
    {
        "SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION", "QUERY_TIMEOUT", "REQUEST_RUNNING_TOO_LONG",
        "API_CURRENTLY_DISABLED", "API_TEMPORARILY_UNAVAILABLE", "APEX_REST_SERVICES_DISABLED", LOCKED,
    }
)  # fmt: skip
_EXPIRED = frozenset({"INVALID_REPLICATION_DATE", "EXCEEDED_ID_LIMIT"})
_HINTS: Mapping[str, str] = {
    "INVALID_TYPE": "the object is not there, or the user may not see it: check its permissions",
    "INVALID_FIELD": "the field is not there, or the user may not see it: check field-level security",
    "INSUFFICIENT_ACCESS": "the user may not do this: check the permissions of its profile and permission sets",
    "API_DISABLED_FOR_ORG": "the edition has no API, or the user's profile does not permit it",
    "NOT_FOUND": "check the object's name, and the version of the API",
    "MALFORMED_QUERY": "this is a fault of the connector: report the object and its fields",
    "STORAGE_LIMIT_EXCEEDED": "the organisation's storage is full: free some or buy more, then run again",
    "LICENSE_LIMIT_EXCEEDED": "the organisation has no licence left for this: free one, then run again",
}
FULL = frozenset({"STORAGE_LIMIT_EXCEEDED", "LICENSE_LIMIT_EXCEEDED"})
"""Refusals of a row that every row after it will meet too."""
_EXCERPT = 300
_CODE = re.compile(r"[A-Z][A-Z0-9_]{2,}")


@dataclass(frozen=True, slots=True)
class Said:
    """An error in Salesforce's own words."""

    code: str
    message: str
    field: str | None = None


class Expired(Exception):
    """The session is not valid any more; one logs in again once."""

    def __init__(self, said: Said) -> None:
        super().__init__(said.code)
        self.said = said


class LocatorGone(Exception):
    """The server forgot a query's place: one goes on from the last key."""


def said_in(content: Any, status: int) -> Said:
    """The first error of an answer; its body is a list of errors, one error, or no JSON at all."""
    first = content[0] if isinstance(content, list) and content else content
    if not isinstance(first, Mapping):
        return Said(f"HTTP_{status}", _excerpt(str(content)))
    code = first.get("errorCode") or first.get("statusCode") or first.get("error") or f"HTTP_{status}"
    message = first.get("message") or first.get("error_description") or ""
    fields = first.get("fields")
    named = fields[0] if isinstance(fields, list) and fields and isinstance(fields[0], str) else None
    return Said(str(code)[:80], str(message), named)


def failure(said: Said, status: int, retry_after: float | None, doing: str) -> Exception:  # noqa: PLR0911 (one line a class)
    """The error to raise for an answer with an error status to a request as a whole."""
    text = f"{doing}: {said.code}: {_excerpt(said.message)}"
    if said.code == "INVALID_SESSION_ID" or (status == 401 and said.code.startswith("HTTP_")):
        return Expired(said)
    if said.code == "INVALID_QUERY_LOCATOR":
        return LocatorGone()
    if said.code == "REQUEST_LIMIT_EXCEEDED":
        return _over_limit(said, text, retry_after)
    if status == 429 or (status == 503 and retry_after is not None):
        return RetryableError(text, retry_after=retry_after, throttled=True)
    if status >= 500 or status in {408, 420} or said.code in _LATER:
        return RetryableError(text, retry_after=retry_after)
    if said.code in _EXPIRED:
        return WatermarkExpired(text, hint="only a full comparison finds what changed")
    return refusal_of_call(said, status, text)


def refusal_of_call(said: Said, status: int, text: str) -> ConnectorError:
    """400 for the shape of a row refuses the whole call; what is about the object or the user is final."""
    hint = next((told for code, told in _HINTS.items() if said.code.startswith(code)), "")
    if status == 400 and not hint:
        return CallRefused(text, code=said.code, hint="nothing of the call was written")
    return FatalError(text, hint=hint)


def _over_limit(said: Said, text: str, retry_after: float | None) -> RetryableError:
    if "total" in said.message.lower():
        return RetryableError(
            f"{text}: the day's API calls are used up",
            hint="they come back within 24 hours: run again then; everything answered so far is kept",
            retry_after=retry_after or DAY / 24,
        )
    return RetryableError(text, retry_after=retry_after, throttled=True)


def row_refusal(errors: Any) -> Said:
    """The first error of one row; a lock that a trigger wrapped into its own error is still a lock."""
    said = said_in(errors, 200) if errors else Said("UNKNOWN", "refused without a reason")
    if LOCKED in said.message:
        return Said(LOCKED, said.message, said.field)
    return said


def bulk_refusal(text: str) -> Said:
    """`CODE:message:Field1 Field2 --`, the column sf__Error of Bulk API 2.0."""
    code, _, rest = text.partition(":")
    if not _CODE.fullmatch(code):
        return Said("UNKNOWN", text)
    message, _, tail = rest.rpartition(":")
    named = tail.removesuffix("--").split()
    if LOCKED in rest:
        code = LOCKED
    return Said(code, message or rest, named[0].rstrip(",") if message and named else None)


def _excerpt(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _EXCERPT else line[:_EXCERPT] + "…"
