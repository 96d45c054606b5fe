"""The budget of a system's day: how many requests are left for us when its users keep their share, across commands."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from migrator.core.clock import Clock
from migrator.core.errors import RetryableError

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
LARGEST_BLOCK = 100
"""So many requests at most are put on record before they are made: as many a killed command may have counted too many."""


class Tally(Protocol):
    """Where the requests made to one system are counted, by the hour, for longer than a command lives."""

    def add(self, hour: datetime, requests: int) -> None:
        """Count requests (a negative number takes back) made in the hour that begins at `hour`."""
        ...

    def by_hour(self, since: datetime) -> Mapping[datetime, int]:
        """Requests by hour, of the hours that begin at `since` or later."""
        ...


class MemoryTally:
    """A tally that lives as long as its process."""

    def __init__(self) -> None:
        self._hours: Counter[datetime] = Counter()

    def add(self, hour: datetime, requests: int) -> None:
        """See `Tally.add`."""
        self._hours[hour] += requests

    def by_hour(self, since: datetime) -> Mapping[datetime, int]:
        """See `Tally.by_hour`."""
        return {hour: used for hour, used in self._hours.items() if hour >= since}


class Budget:
    """Requests of one day: `daily` less the `reserve` (0 to 1) that the system's users keep; thread-safe.

    Counted from the tally until the system itself says what was used, which counts others' requests too. A day is
    the last 24 hours, or begins at midnight in the zone `resets`. `cap` is the project's own limit, under whatever
    the system says. Without `daily` and `cap` there is no budget until the system names a limit.
    """

    def __init__(
        self,
        system: str,
        clock: Clock,
        *,
        daily: int | None = None,
        cap: int | None = None,
        reserve: float = 0.0,
        resets: str = "",
        tally: Tally | None = None,
    ) -> None:
        self._system, self._clock = system, clock
        self._daily, self._cap, self._reserve = daily, cap, reserve
        self._zone = ZoneInfo(resets) if resets else None
        self._tally: Tally = tally or MemoryTally()
        self._lock = threading.Lock()
        self._block = 0
        """Requests on record that are not made yet."""
        self._block_hour = _hour(clock.now())
        self._told: tuple[datetime, int] | None = None
        """When the system last said what was used, and that with what was made since."""

    @property
    def left(self) -> int | None:
        """Requests that we may still make today; None when there is no limit."""
        with self._lock:
            allowed, now = self._allowed(), self._clock.now()
            self._end_block(now)
            return None if allowed is None else max(0, allowed - self._used(now))

    def take(self, requests: int) -> None:
        """Count requests about to be made. Raises `RetryableError` when the day does not hold them."""
        with self._lock:
            allowed, now = self._allowed(), self._clock.now()
            self._end_block(now)
            if self._told is None and requests <= self._block:
                self._block -= requests
                return
            size = LARGEST_BLOCK
            if allowed is not None:
                used = self._used(now)
                if used + requests > allowed:
                    raise self._used_up(now, used, allowed, requests)
                size = min(LARGEST_BLOCK, allowed // 200, allowed - used)
            self._put_on_record(now, requests, size)
            if self._told is not None:
                self._told = (self._told[0], self._told[1] + requests)

    def give_back(self, requests: int) -> None:
        """Requests that were counted and will not be made."""
        with self._lock:
            self._block += requests
            if self._told is not None:
                self._told = (self._told[0], self._told[1] - requests)

    def told(self, used: int, limit: int | None) -> None:
        """What the system itself says was used by everybody, and of how much."""
        with self._lock:
            self._told = (self._clock.now(), used)
            self._daily = limit if limit is not None else self._daily

    def count_in(self, tally: Tally) -> None:
        """From now on count there; what was counted so far moves along."""
        with self._lock:
            for hour, requests in self._tally.by_hour(datetime.min.replace(tzinfo=UTC)).items():
                tally.add(hour, requests)
            self._tally = tally

    def close(self) -> None:
        """Take what was put on record and never made off the record again, and count in memory from now on."""
        with self._lock:
            self._drop_block()
            self._tally = MemoryTally()

    def _allowed(self) -> int | None:
        limit = min((one for one in (self._daily, self._cap) if one is not None), default=None)
        return None if limit is None else int(limit * (1 - self._reserve))

    def _used(self, now: datetime) -> int:
        since = self._day(now)
        if self._told is not None and self._told[0] < since:
            self._told = None
        if self._told is not None:
            return self._told[1]
        # an hour that began before the day did may hold requests of this day: better counted than forgotten
        return sum(self._tally.by_hour(_hour(since)).values()) - self._block

    def _put_on_record(self, now: datetime, requests: int, size: int) -> None:
        if requests > self._block:
            more = max(size, requests) - self._block
            self._tally.add(_hour(now), more)
            self._block += more
        self._block -= requests

    def _end_block(self, now: datetime) -> None:
        """What is left of a block counts in the hour it was taken in, so it cannot be used in another."""
        if self._block_hour != _hour(now):
            self._drop_block()
            self._block_hour = _hour(now)

    def _drop_block(self) -> None:
        if self._block:
            self._tally.add(self._block_hour, -self._block)
        self._block = 0

    def _day(self, now: datetime) -> datetime:
        """When the day began whose requests count."""
        if self._zone is None:
            return now - DAY
        return now.astimezone(self._zone).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)

    def _goes_on(self, now: datetime, too_many: int) -> datetime:
        """When the day will hold `too_many` requests more, as far as our own tell; else when all of them are forgotten."""
        if self._zone is not None:
            tomorrow = (now.astimezone(self._zone) + DAY).replace(hour=0, minute=0, second=0, microsecond=0)
            return tomorrow.astimezone(UTC)
        for hour, requests in sorted(self._tally.by_hour(_hour(now - DAY)).items()):
            too_many -= requests
            if too_many <= 0:
                return hour + HOUR + DAY
        return now + DAY

    def _used_up(self, now: datetime, used: int, allowed: int, requests: int) -> RetryableError:
        at = self._goes_on(now, used + requests - allowed)
        limit = min(one for one in (self._daily, self._cap) if one is not None)
        kept = f"; {limit - allowed:,} of {limit:,} are kept for its users" if self._reserve else ""
        return RetryableError(
            f"the day's budget of {self._system} is used up: {used:,} of {allowed:,} calls{kept}",
            hint=f"everything done so far is on record; run the same command again from {at:%Y-%m-%d %H:%M} UTC on",
            retry_after=(at - now).total_seconds(),
        )


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
