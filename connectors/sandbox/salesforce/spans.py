"""Date literals of SOQL (TODAY, LAST_N_DAYS:7, THIS_MONTH …) as spans of time in UTC."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from connectors.sandbox.salesforce.errors import SalesforceError


def span(words: str, now: datetime) -> tuple[datetime, datetime]:
    """The days a date literal means, from and until, in UTC."""
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    name, _, number = words.partition(":")
    one, many = timedelta(days=1), int(number or 0)
    starts: dict[str, Callable[[], tuple[datetime, datetime]]] = {
        "today": lambda: (day, day + one),
        "yesterday": lambda: (day - one, day),
        "tomorrow": lambda: (day + one, day + 2 * one),
        "last_n_days": lambda: (day - many * one, day + one),
        "next_n_days": lambda: (day + one, day + (many + 1) * one),
        "n_days_ago": lambda: (day - many * one, day - (many - 1) * one),
        "this_month": lambda: _months(day, 0),
        "last_month": lambda: _months(day, -1),
        "next_month": lambda: _months(day, 1),
        "this_year": lambda: _years(day, 0),
        "last_year": lambda: _years(day, -1),
        "next_year": lambda: _years(day, 1),
    }
    if name not in starts:
        raise SalesforceError(
            "MALFORMED_QUERY", f"the sandbox does not know the date literal {words.upper()}"
        )
    return starts[name]()


def _months(day: datetime, away: int) -> tuple[datetime, datetime]:
    year, month = divmod(day.year * 12 + day.month - 1 + away, 12)
    start = day.replace(year=year, month=month + 1, day=1)
    return start, start + timedelta(days=calendar.monthrange(start.year, start.month)[1])


def _years(day: datetime, away: int) -> tuple[datetime, datetime]:
    start = day.replace(year=day.year + away, month=1, day=1)
    return start, start.replace(year=start.year + 1)
