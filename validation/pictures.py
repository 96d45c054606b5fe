"""Geometry of the report's pictures: plain numbers in, coordinates out; the template draws them as inline SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CLASSES = ("loaded", "merged", "excluded", "quarantined", "pending")

WIDTH = 520
_FULL = 240.0
_LEFT, _RIGHT, _BAR = 0.0, 250.0, 12.0
_SLOT = 40.0
_LEAST = 2.0


@dataclass(frozen=True, slots=True)
class Band:
    """One class of the flow: its ribbon from the left bar to its own bar on the right."""

    name: str
    count: int
    path: str
    y: float
    height: float
    label_y: float


@dataclass(frozen=True, slots=True)
class Flow:
    """Extracted records on the left, what became of them on the right; heights in proportion, none invisible."""

    bands: tuple[Band, ...]
    left_height: float
    height: float
    bar: float = _BAR
    right: float = _RIGHT


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a bar that is 100 wide."""

    name: str
    count: int
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Line:
    """One series of the trend: its points as SVG, and the last value beside its own point."""

    name: str
    points: str
    dots: tuple[tuple[float, float, int], ...]


TREND = ("loaded", "quarantined", "findings")
TREND_WIDTH, TREND_HEIGHT = 640.0, 56.0


def lines(runs: Sequence[Mapping[str, Any]]) -> tuple[Line, ...]:
    """A line for each of `TREND` over the runs, each on its own scale from 0: three small pictures, one under another."""
    if len(runs) < 2:
        return ()
    step = (TREND_WIDTH - 12) / (len(runs) - 1)
    made = []
    for name in TREND:
        top = max(1, *(run[name] for run in runs))
        dots = tuple(
            (
                round(6 + step * number, 1),
                round(6 + (TREND_HEIGHT - 12) * (1 - run[name] / top), 1),
                run[name],
            )
            for number, run in enumerate(runs)
        )
        made.append(Line(name, " ".join(f"{x:g},{y:g}" for x, y, _ in dots), dots))
    return tuple(made)


def flow(counts: Mapping[str, int]) -> Flow | None:
    """The flow picture of these counts by class; None of nothing."""
    shown = [(name, counts.get(name, 0)) for name in CLASSES if counts.get(name, 0) > 0]
    whole = sum(count for _, count in shown)
    if not whole:
        return None
    bands: list[Band] = []
    left, right = 0.0, 0.0
    for name, count in shown:
        height = max(_FULL * count / whole, _LEAST)
        bands.append(Band(name, count, _ribbon(left, right, height), right, height, right + height / 2))
        left += height
        right += max(height + 10, _SLOT)
    return Flow(tuple(bands), left, max(right, left) + 4)


def bar(counts: Mapping[str, int], names: Sequence[str] = CLASSES) -> tuple[Piece, ...]:
    """One stacked bar, 100 wide; a part that exists is at least half a unit wide."""
    whole = sum(counts.get(name, 0) for name in names)
    present = [(name, counts[name]) for name in names if counts.get(name, 0) > 0]
    raw = [max(100 * count / whole, 0.5) for _, count in present]
    scale = 100 / sum(raw) if raw else 1
    pieces, x = [], 0.0
    for (name, count), width in zip(present, raw, strict=True):
        pieces.append(Piece(name, count, round(x, 3), round(width * scale, 3)))
        x += width * scale
    return tuple(pieces)


def _ribbon(left: float, right: float, height: float) -> str:
    start, end = _LEFT + _BAR, _RIGHT
    middle = (start + end) / 2
    return (
        f"M{start:g} {left:.2f}C{middle:g} {left:.2f} {middle:g} {right:.2f} {end:g} {right:.2f}"
        f"V{right + height:.2f}C{middle:g} {right + height:.2f} {middle:g} {left + height:.2f} {start:g} {left + height:.2f}Z"
    )
