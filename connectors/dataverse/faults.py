"""What an error of Dataverse means: one row's own fault, the whole call's, only a matter of time, or a lost watermark.

Codes: "Service protection API limits", "Web service error codes"; those marked [U] in
docs/connectors.md were not seen on a real environment, so unknown codes always count as the row's own fault.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.http_answers import Answer
from migrator.core.errors import FatalError, RetryableError

LOCKED = frozenset({"0x80044150", "0x80044151"})
"""SQL errors and time-outs: another transaction held the row."""
THROTTLED = frozenset({"0x80072321", "0x80072322", "0x80072326"})
NOT_THERE = frozenset({"0x80040217"})
DUPLICATE = frozenset({"0x80040237", "0x80060892"})
"""Another record has the same primary or alternate key."""
EXPIRED = frozenset({"0x80044352", "0x80044353"})
"""The version stamp is older than the organisation keeps (ExpireChangeTrackingInDays), or the table's metadata changed."""
_NAMED_FIELD = re.compile(
    r"'([A-Za-z_]\w*)' (?:attribute|column|field)|(?:attribute|column|field):? '?([A-Za-z_]\w*)'?"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """An error as the service says it."""

    status: int
    code: str
    message: str
    retry_after: float | None = None

    @property
    def passing(self) -> bool:
        """Whether the service pushes back or is down for a moment: it says nothing of the row."""
        return self.status in {408, 429, 502, 503, 504} or self.code in THROTTLED

    def field(self, known: Mapping[str, Any]) -> str | None:
        """The column that the message names, if it is one of `known`."""
        for found in _NAMED_FIELD.finditer(self.message):
            named = (found[1] or found[2]).lower()
            if named in known:
                return named
        return None

    def raise_passing(self, asked: str) -> None:
        """Raise `RetryableError` when it says nothing of the row."""
        if self.passing:
            raise RetryableError(
                f"{asked} answered {self.status} {self.code}: {self.message}",
                hint="the service asks to be left alone for a while",
                retry_after=self.retry_after,
                throttled=True,
            )


def fault(answer: Answer) -> Fault:
    """The error in an answer; one that is not in the documented shape has the code of its status."""
    code, message = "", ""
    try:
        told = answer.object()["error"]
        code, message = str(told.get("code") or ""), str(told.get("message") or "")
    except (FatalError, RetryableError, KeyError, AttributeError):
        message = answer.excerpt()
    return Fault(
        answer.status, _hex(code) or f"http.{answer.status}", " ".join(message.split()), answer.retry_after
    )


def fatal(answer: Answer) -> FatalError:
    """The error for a request that should have been answered and was refused."""
    found = fault(answer)
    hints = {
        403: "give the application user a security role with the privilege named",
        404: "check the address, the version of the API and the name",
    }
    return FatalError(
        f"{answer.asked} answered {found.status} {found.code}: {found.message[:400]}",
        hint=hints.get(found.status, ""),
    )


def _hex(code: str) -> str:
    """One spelling: small hexadecimal; older services say -2147220937."""
    if re.fullmatch(r"-\d{1,10}", code):
        return f"0x{int(code) & 0xFFFFFFFF:08x}"
    return code.lower() if re.fullmatch(r"0x[0-9A-Fa-f]{1,8}", code) else code[:60]
