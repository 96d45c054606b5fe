"""What a system said over HTTP, read strictly: JSON with exact decimals, and excerpts for messages that show no secret."""

from __future__ import annotations

import json
import re
import secrets as chance
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

from migrator.core.errors import FatalError, RetryableError

EXCERPT = 200
"""Characters of an answer that a message shows."""
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_DIGITS = re.compile(r"(?<!0x)(?<!\d)\d{7,}")
_BEARER = re.compile(r"(?i)(bearer\s+|token\W{1,4}|secret\W{1,4}|password\W{1,4})[\w.~+/=-]{4,}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a system said to one request; `asked` is the request as messages call it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    asked: str
    hidden: Sequence[str] = ()

    @property
    def retry_after(self) -> float | None:
        """Seconds that the system asks to be left alone for, if it does."""
        return _seconds(self.headers.get("retry-after"))

    def excerpt(self) -> str:
        """The beginning of the body on one line, without secrets, addresses and long numbers."""
        return excerpt(self.body, self.hidden)

    def json(self) -> Any:
        """The body as JSON, decimals exact; raises `RetryableError` for what is none (a proxy's page, a cut answer)."""
        start = self.body[:256].lstrip().lower()
        if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
            raise RetryableError(
                f"{self.asked} answered {self.status} with a page for people instead of data: {self.excerpt()}",
                hint="a proxy or a maintenance page stands between: open the address in a browser; then run again",
            )
        try:
            return json.loads(self.body, parse_float=Decimal, parse_constant=_no_constant)
        except RecursionError as error:
            raise FatalError(
                f"{self.asked} answered {self.status} with lists too deep inside one another"
            ) from error
        except ValueError as error:
            raise RetryableError(
                f"{self.asked} answered {self.status} with what is no JSON, {len(self.body)} bytes: {self.excerpt()}",
                hint="the answer was cut or changed on its way: run again",
            ) from error

    def object(self) -> dict[str, Any]:
        """The body as one JSON object; raises `FatalError` when it is JSON of another kind."""
        found = self.json()
        if not isinstance(found, dict):
            raise self.unexpected("an object")
        return found

    def unexpected(self, wanted: str) -> FatalError:
        """The error for an answer that is well-formed, but not what the protocol says."""
        return FatalError(
            f"{self.asked} answered {self.status}, but not {wanted}: {self.excerpt()}",
            hint="this is not how the system is documented: check the address and the version of the API",
        )


def encode(document: object) -> bytes:
    """JSON as sent: text as it is, decimals as exact numbers; raises ValueError for NaN and what JSON does not know."""
    marker = f"\x00{chance.token_hex(8)}:"
    found = False

    def number(value: object) -> str:
        nonlocal found
        if not isinstance(value, Decimal) or not value.is_finite():
            raise ValueError(f"JSON has no {type(value).__name__}: {value!r}")
        found = True
        return f"{marker}{value:f}"

    text = json.dumps(document, default=number, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if found:
        text = re.sub('"' + re.escape(json.dumps(marker)[1:-1]) + r'(-?[0-9.]+)"', r"\1", text)
    return text.encode()


def excerpt(body: bytes, hidden: Sequence[str] = ()) -> str:
    """The beginning of a body for a message: one line, known secrets, addresses and long numbers masked."""
    text = " ".join(body[: EXCERPT * 16].decode("utf-8", "replace").split())
    for secret in hidden:
        if len(secret) >= 4:
            text = text.replace(secret, "•••")
    text = _BEARER.sub(r"\1•••", text)
    text = _DIGITS.sub("•••", _EMAIL.sub("•••@•••", text))
    text = "".join(sign for sign in text if sign.isprintable())
    return (f"{text[:EXCERPT]}…" if len(text) > EXCERPT else text) or "(nothing)"


def _seconds(text: str | None) -> float | None:
    """Retry-After: seconds, or a date."""
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return seconds if 0 < seconds < 1e7 else None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
