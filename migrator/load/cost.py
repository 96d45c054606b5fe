"""What a plan costs: calls to the target against what it permits, and how long it will take, from rates that were measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from migrator.core.connector import Limits

ROWS, LINKS = "rows", "links"
"""The passes of a load in what is measured of it."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What was measured of one pass over one object in the load that did it last."""

    rows: int
    seconds: float


Measured = Mapping[str, Mapping[str, Rate]]
"""Object → pass → rate."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Requests to the target, as far as can be known before: what is tried again, and asking for its schema, comes on top."""

    writes: int = 0
    links: int = 0
    """Writes of the second pass."""
    looks: int = 0
    """Look-ups: what the records are in the target before they are written."""
    rows: int = 0
    """Requests of single rows, where a call to the target is not one request."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.writes + self.links + self.looks + self.rows


@dataclass(frozen=True, slots=True)
class Duration:
    """How long it will take."""

    seconds: float | None
    """None while nothing is known of this target's pace."""
    basis: str
    """'measured', 'partly measured' (rates of other objects), 'limits' (it cannot be faster), 'unknown' or 'nothing to send'."""


def calls_of(rows: int, links: int, *, batch_rows: int, call_rows: int, row_requests: int = 0) -> Calls:
    """Requests for `rows` in batches of `batch_rows` and `links`, of which a call carries at most `call_rows`.

    Each row costs `row_requests` besides.
    """
    whole, rest = divmod(rows, batch_rows)
    writes = whole * _pieces(batch_rows, call_rows) + _pieces(rest, call_rows)
    seconds = _pieces(links, call_rows)
    return Calls(writes, seconds, writes + seconds, (rows + links) * row_requests)


def _pieces(rows: int, size: int) -> int:
    return -(-rows // size)


def duration(
    work: Mapping[str, Mapping[str, int]], measured: Measured, limits: Limits | None, calls: int
) -> Duration:
    """How long it takes to send `work` (object → pass → rows)."""
    wanted = [(name, word, rows) for name, passes in work.items() for word, rows in passes.items() if rows]
    if not wanted:
        return Duration(0.0, "nothing to send")
    least = at_least(limits, calls)
    own, borrowed = 0.0, False
    for name, word, rows in wanted:
        rate = measured.get(name, {}).get(word)
        if rate is None:
            rate, borrowed = _pooled(measured, word), True
        if rate is None:
            return Duration(least, "limits") if least else Duration(None, "unknown")
        own += rows * rate.seconds / rate.rows
    return Duration(max(own, least), "partly measured" if borrowed else "measured")


def _pooled(measured: Measured, word: str) -> Rate | None:
    """The rate over all objects; of the rows, where nothing is known of links."""
    for one in (word, ROWS):
        rates = [passes[one] for passes in measured.values() if one in passes]
        if rates:
            return Rate(sum(item.rows for item in rates), sum(item.seconds for item in rates))
    return None


def at_least(limits: Limits | None, calls: int) -> float:
    """Seconds that so many calls take under a system's rates; 0 where it has none."""
    rates = [rate for rate in limits.rates if rate.scope in {"", "*"}] if limits else []
    return max((calls * rate.seconds / rate.calls for rate in rates), default=0.0)


def read_measured(details: Iterable[tuple[str, Mapping[str, object]]]) -> Measured:
    """Rates out of the details of crosswalks, by object."""
    found: dict[str, dict[str, Rate]] = {}
    for name, detail in details:
        noted = detail.get("measured")
        if isinstance(noted, Mapping):
            found[name] = {word: Rate(*pair) for word, pair in noted.items()}
    return found
