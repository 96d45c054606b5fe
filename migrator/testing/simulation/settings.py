"""What a simulated half-year is made of: size, habits of the users, and how much goes wrong. All of it follows from these and a seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Rates:
    """How often things go wrong; shares of calls unless said otherwise."""

    throttled: float = 0.0
    unavailable: float = 0.0
    """503 before anything happened."""
    lost: float = 0.0
    """A write took effect, its answer never came."""
    partial: float = 0.0
    """A batch stopped in its middle, and its answer was lost."""
    unknown: float = 0.0
    """Single rows of a batch without an answer, after the effect."""
    login: float = 0.0
    """Credentials expired: the whole side fails until the next run."""
    truncated: float = 0.0
    """A listing ends early with status 200."""
    duplicated: float = 0.0
    """A listing repeats rows."""
    shuffled: float = 0.0
    """Answers to reads come in another order."""
    expired: float = 0.0
    """The feed forgot our watermark before its time."""
    late: float = 0.0
    """Share of user edits that commit up to 600 s after their stamp."""
    lag: float = 0.0
    """Share of commits that the feed shows up to 900 s late."""
    meanwhile: float = 0.0
    """Share of calls during which a user does something."""
    kill: float = 0.0
    """Share of boundaries and calls at which the process dies."""
    hidden: float = 0.0
    """Share of nights in which a lost permission hides 1 to 100 % of the rows of a side, or some fields."""
    dark: float = 0.0
    """Share of nights that begin an outage."""
    poison: float = 0.0
    """Share of new records that the other side refuses for some nights."""
    drift: float = 0.0
    """Share of nights in which the schema of a side changes for a while."""
    jump: float = 0.0
    """Share of nights in which a clock jumps, ours or a system's."""
    mass: float = 0.0
    """Share of nights in which a user deletes many records at once."""
    lost_store: float = 0.0
    """Share of nights before which the store is lost or put back from a backup."""
    contested: float = 0.0
    """Share of nights in which a second process takes over from one that was suspended."""


NONE = Rates()
USUAL = Rates(
    throttled=0.01, unavailable=0.005, lost=0.008, partial=0.004, unknown=0.004, login=0.001, truncated=0.002,
    duplicated=0.02, shuffled=0.05, expired=0.001, late=0.03, lag=0.05, meanwhile=0.02, kill=0.0005, hidden=0.01,
    dark=0.01, poison=0.01, drift=0.004, jump=0.01, mass=0.004, lost_store=0.002, contested=0.004,
)  # fmt: skip
HEAVY = replace(
    USUAL, throttled=0.03, unavailable=0.02, lost=0.03, partial=0.02, unknown=0.02, login=0.004, truncated=0.01,
    late=0.15, lag=0.2, meanwhile=0.10, kill=0.003, hidden=0.03, dark=0.02, poison=0.05, jump=0.03,
)  # fmt: skip
PRESETS: Mapping[str, Rates] = {"none": NONE, "usual": USUAL, "heavy": HEAVY}


@dataclass(frozen=True, slots=True)
class Settings:
    """One simulated dual run."""

    seed: int = 1
    nights: int = 180
    records: int = 120
    """Records on the old side when the dual run begins."""
    edits: int = 40
    """User actions a day, both sides together."""
    rates: Rates = USUAL
    cas: str = "exact"
    """'exact', 'second', 'none' or 'mixed' (old: none, new: exact)."""
    reconcile_every: int = 7
    """Nights between full reconciles; 0: only at the end; -1: never, so that the feed alone must do."""
    grouped: float = 0.06
    """Share of firms that the load merged from two old records."""
    actions: Mapping[str, float] = field(default_factory=dict)
    """Weights of user actions that differ from the usual ones."""
    script_only: bool = False
    """Users act between runs only, so that what they do never depends on what the sync does."""
    start_hour: float = 2.0
    outage: int = 0
    """So many dark nights in a row from the fifth night on."""
    daily_calls: int = 20_000
    """Requests a day that each system allows until the quiet at the end."""
    ours_skew: float = 0.0
    """Seconds that our clock is ahead from the third night on."""
