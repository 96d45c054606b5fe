"""The pictures of the report on functions, worked out as numbers: shares of decisions, and what is left until the switch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from migrator.inventory.register import Row, Tally, is_done
from migrator.inventory.rules import Decision

WIDTH, HEIGHT = 720, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 24, 14, 34
_ROOM = 110
"""Between the words below the axis."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Piece:
    """One decision's part of a bar, in per cent of its width."""

    name: str
    x: float
    width: float


def share(tally: Tally) -> tuple[Piece, ...]:
    """The parts of a bar, in the order of the decisions."""
    pieces, at = [], 0.0
    for item in Decision:
        count = tally.decisions.get(item.value, 0)
        if count:
            width = 100 * count / tally.total
            pieces.append(Piece(item.value.replace(" ", "-"), round(at, 3), round(width, 3)))
            at += width
    return tuple(pieces)


@dataclass(frozen=True, slots=True)
class Burn:
    """What was left to decide, and what was left to do, day by day; `ideal` leads to none on the day of the switch."""

    undecided: str
    open: str
    ideal: str
    """Points of polylines; '' where there is none."""
    left: int
    """What is still to be done today."""
    days: int | None
    """Until the switch; None when no day was given."""
    across: tuple[tuple[float, date], ...]
    up: tuple[tuple[float, int], ...]
    height: int = HEIGHT


def burn_down(rows: Sequence[Row], today: date, switch: date | None) -> Burn:
    """The counts over time, as the history of the register tells them."""
    total = len(rows)
    decided = sorted(one for row in rows if (one := _decided_on(row)) is not None)
    done = sorted(one for row in rows if (one := _done_on(row)) is not None)
    first = min([*decided, *done, today]) - _DAY
    last = max(today, switch or today, first + _DAY)
    span = (last - first).days

    def point(day: date, count: float) -> str:
        x = LEFT + (WIDTH - LEFT - RIGHT) * (day - first).days / span
        y = TOP + (HEIGHT - TOP - BOTTOM) * (1 - count / max(total, 1))
        return f"{x:.1f},{y:.1f}"

    days = sorted({first, *decided, *done, today})
    ideal = f"{point(first, total)} {point(switch, 0)}" if switch and switch > first else ""
    return Burn(
        " ".join(point(day, total - _until(decided, day)) for day in days if day <= today),
        " ".join(point(day, total - _until(done, day)) for day in days if day <= today),
        ideal, total - len(done), (switch - today).days if switch else None,
        _apart([(float(point(day, 0).partition(",")[0]), day) for day in dict.fromkeys((first, today, last))]),
        tuple((float(point(first, count).partition(",")[2]), count) for count in dict.fromkeys((0, total // 2, total))),
    )  # fmt: skip


def _apart(ticks: Sequence[tuple[float, date]]) -> tuple[tuple[float, date], ...]:
    """First and last, and what lies between them where its words have room."""
    first, *between, last = ticks
    kept = [tick for tick in between if tick[0] - first[0] > _ROOM and last[0] - tick[0] > _ROOM]
    return first, *kept, last


def _until(days: Sequence[date], day: date) -> int:
    return sum(1 for one in days if one <= day)


def _decided_on(row: Row) -> date | None:
    return date.fromisoformat(row.decided_on) if row.decided_on else None


def _done_on(row: Row) -> date | None:
    """The day on which nothing was left to do: of the acceptance, else of the decision that needs none."""
    if not is_done(row):
        return None
    accepted = [one.at.date() for one in row.history if one.changes.get("result") == "passed"]
    return max(accepted) if accepted and row.answers.get("result") == "passed" else _decided_on(row)
