"""The two pictures of an evaluation, worked out as numbers: how good each threshold is, and how weights are spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2, log10

from migrator.dedupe.evaluate import BIN, Bar, Rung
from migrator.dedupe.match import Bands

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT = 60, 26
_TOP, _BOTTOM = 14, 40
_LEAST_GAP = 34
"""Between the words below an axis."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A word beside an axis, and where it stands."""

    at: float
    word: str


@dataclass(frozen=True, slots=True)
class Line:
    """One measure over the thresholds: what a polyline needs."""

    name: str
    points: str
    dots: tuple[tuple[float, float, float], ...]
    """x, y, value."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """Precision, recall and F1 at each threshold; thresholds stand apart by their odds, so that .999 and .9999 are two."""

    lines: tuple[Line, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    bands: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """Pairs of one range of weights: same entity below, different ones above; heights go with the logarithm."""

    x: float
    width: float
    bits: int
    same: int
    different: int
    same_y: float
    same_height: float
    different_y: float
    different_height: float


@dataclass(frozen=True, slots=True)
class Spread:
    """How many scored pairs have which weight."""

    columns: tuple[Column, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]


def ladder(rungs: Sequence[Rung], bands: Bands | None) -> Ladder | None:
    """The picture of the thresholds; None of fewer than two."""
    known = [rung for rung in rungs if rung.scores.pairs.f1 is not None]
    if len(known) < 2 or bands is None:
        return None
    low, high = _odds(known[0].threshold), _odds(known[-1].threshold)
    where = {
        rung.threshold: LEFT + _wide((_odds(rung.threshold) - low) / (high - low or 1)) for rung in known
    }
    floor = _floor(known)
    lines = tuple(_line(name, known, where, floor) for name in ("precision", "recall", "f1"))
    marks = {"review": bands.review, "likely": bands.likely, "automatic": bands.automatic}
    return Ladder(
        lines,
        _apart([Tick(where[rung.threshold], f"{rung.threshold:.4g}") for rung in known]),
        tuple(Tick(_tall((step - floor) / (1 - floor)), f"{step:.3g}") for step in _steps(floor)),
        tuple(Tick(where[at], name) for name, at in marks.items() if at in where),
    )


def spread(bars: Sequence[Bar]) -> Spread | None:
    """The picture of the weights; None of none."""
    if not bars:
        return None
    first, last = bars[0].bits, bars[-1].bits + BIN
    unit = (WIDTH - LEFT - RIGHT) / (last - first)
    top = log10(1 + max(bar.same + bar.different for bar in bars))
    columns = tuple(_column(bar, LEFT + (bar.bits - first) * unit, unit * BIN, top) for bar in bars)
    powers = range(int(top) + 1)
    return Spread(
        columns,
        _apart([Tick(column.x, f"{column.bits:+d}") for column in columns]),
        tuple(
            Tick(_tall(log10(1 + 10**power) / top), f"{10**power:,}")
            for power in powers
            if log10(1 + 10**power) <= top
        ),
    )


def _odds(threshold: float) -> float:
    kept = min(max(threshold, 1e-6), 1 - 1e-9)
    return log2(kept / (1 - kept))


def _wide(share: float) -> float:
    return share * (WIDTH - LEFT - RIGHT)


def _tall(share: float) -> float:
    return round(_TOP + (1 - share) * (HEIGHT - _TOP - _BOTTOM), 1)


def _floor(rungs: Sequence[Rung]) -> float:
    """Where the axis begins: a little below the worst value, so that differences at the top can be seen."""
    worst = min(
        value or 0.0 for rung in rungs for value in (rung.scores.pairs.precision, rung.scores.pairs.recall)
    )
    return max(0.0, min(int(worst * 10) / 10, 0.9))


def _steps(floor: float) -> list[float]:
    size = (1 - floor) / 5
    return [floor + size * number for number in range(6)]


def _line(name: str, rungs: Sequence[Rung], where: dict[float, float], floor: float) -> Line:
    dots = []
    for rung in rungs:
        value = getattr(rung.scores.pairs, name)
        if value is not None:
            dots.append((round(where[rung.threshold], 1), _tall((value - floor) / (1 - floor)), value))
    return Line(name, " ".join(f"{x:g},{y:g}" for x, y, _ in dots), tuple(dots))


def _apart(ticks: Sequence[Tick]) -> tuple[Tick, ...]:
    """Those that fit beside each other."""
    kept: list[Tick] = []
    for tick in ticks:
        if not kept or tick.at - kept[-1].at >= _LEAST_GAP:
            kept.append(tick)
    return tuple(kept)


def _column(bar: Bar, x: float, width: float, top: float) -> Column:
    whole = bar.same + bar.different
    height = log10(1 + whole) / top * (HEIGHT - _TOP - _BOTTOM)
    same = height * bar.same / whole
    base = HEIGHT - _BOTTOM
    return Column(
        round(x + 0.5, 1), round(width - 1, 1), bar.bits, bar.same, bar.different,
        round(base - same, 1), round(same, 1), round(base - height, 1), round(height - same, 1),
    )  # fmt: skip
