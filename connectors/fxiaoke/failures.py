"""What an errorCode means: Fxiaoke answers HTTP 200 to everything, and the code alone says what happened (codes.csv).

A code that is not in the table is about the record that was sent: a required field, a duplicate, a veto.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from migrator.core.errors import CallRefused, ConnectorError, FatalError, RetryableError

BEIJING = ZoneInfo("Asia/Shanghai")
"""The day's calls are counted anew at midnight there, wherever the tenant is."""


class Kind(Enum):
    """What to do about a code."""

    LATER = "later"
    """The same call may work later; whether it was carried out is not known."""
    RATE = "rate"
    """Not carried out: too many calls."""
    DAY = "day"
    """Not carried out: nothing goes until tomorrow."""
    STOP = "stop"
    """It will fail again, whatever the record."""
    TOKEN = "token"  # noqa: S105 (no secret)
    """Not carried out: sign in again, once."""
    RECORD = "record"
    """This record is refused."""


@dataclass(frozen=True, slots=True)
class Code:
    """One line of codes.csv."""

    kind: Kind
    meaning: str


@cache
def codes() -> Mapping[str, Code]:
    """All codes that mean something else than a refused record."""
    lines = csv.reader((files("connectors.fxiaoke") / "codes.csv").read_text("utf-8").splitlines()[1:])
    return {line[0]: Code(Kind(line[1]), ",".join(line[2:])) for line in lines}


def kind_of(code: str) -> Kind:
    """What a code that is not '0' asks for."""
    found = codes().get(code)
    return found.kind if found else Kind.RECORD


def failure(code: str, words: str, *, asked: str, wait: float, now: datetime) -> ConnectorError:
    """The error for a code: `words` are the system's own, `wait` seconds let a full window pass."""
    found = codes().get(code)
    said = f"{asked}: {found.meaning if found else 'refused'} (errorCode {code}: {words})"
    match kind_of(code):
        case Kind.LATER:
            return RetryableError(said, hint="run again")
        case Kind.RATE:
            return RetryableError(
                said,
                hint="other programs of the tenant use the same path: lower `calls` in the settings",
                retry_after=wait,
                throttled=True,
            )
        case Kind.DAY:
            return RetryableError(
                said,
                hint="run again after midnight in Beijing, or buy another pack",
                retry_after=until_midnight(now),
            )
        case Kind.STOP | Kind.TOKEN:
            return FatalError(
                said, hint=_HINTS.get(code, "check app_id, app_secret, permanent_code and user")
            )
        case Kind.RECORD:
            return CallRefused(said, code=code)


_HINTS = {
    "30003": "buy a pack of calls for this tenant",
    "13002": "check the name of the object in the mapping against object/list",
    "15003": "give the app the right to this interface in the open platform",
}


def until_midnight(now: datetime) -> float:
    """Seconds until the day's calls are counted anew."""
    there = now.astimezone(BEIJING)
    midnight = (there + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight - there).total_seconds()
