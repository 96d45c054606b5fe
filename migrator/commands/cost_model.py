"""What a whole run is going to take, by step: a straight line through two samples of different size, held against what happened.

The line is of CPU seconds, which other work on the machine changes least; a second of CPU is taken to last as long as in the
larger sample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from migrator.commands.measured import Took
from migrator.commands.room import Step


@dataclass(frozen=True, slots=True)
class Line:
    """An amount that grows with rows: what is there before the first, and what each adds."""

    start: float
    each: float

    def at(self, rows: int) -> float:
        """The amount for so many rows."""
        return self.start + self.each * rows


@dataclass(frozen=True, slots=True)
class Predicted:
    """What one step is going to take."""

    rows: int
    seconds: float
    cpu: float
    bytes: int
    basis: str = "sample"
    """'sample', 'limits' (the system cannot take it faster) or 'measured' (in earlier loads of this project)."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a whole run is going to take, and from which sample that is known."""

    run: str
    made_at: str
    share: float
    """Of all rows, in the larger sample."""
    rows: int
    """Of all source objects."""
    steps: Mapping[Step, Predicted]

    @property
    def seconds(self) -> float:
        """All steps one after the other."""
        return sum(item.seconds for item in self.steps.values())

    @property
    def bytes(self) -> int:
        """All that is written and kept."""
        return sum(item.bytes for item in self.steps.values())

    def to_json(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        steps = {step.value: asdict(item) for step, item in self.steps.items()}
        return {**asdict(self), "steps": steps}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Prediction:
        """What `to_json` made."""
        steps = {Step(name): Predicted(**item) for name, item in kept["steps"].items()}
        return cls(**{**kept, "steps": steps})


def line(small: tuple[int, float], large: tuple[int, float]) -> Line:
    """The line through (rows, amount) of two samples; neither a start nor a slope is ever negative."""
    (fewer, less), (more, much) = small, large
    if more <= fewer:
        return Line(0.0, much / more if more else 0.0)
    each = max((much - less) / (more - fewer), 0.0)
    start = less - each * fewer
    return Line(start, each) if start >= 0 else Line(0.0, much / more)


def predict(small: Mapping[Step, Took], large: Mapping[Step, Took], fewer: int, more: int, rows: int) -> dict[Step, Predicted]:  # fmt: skip
    """Every step of the larger sample at `rows` source rows, when the samples had `fewer` and `more` of them."""
    found = {}
    for step, took in large.items():
        other = small.get(step, took)
        cpu = line((fewer, other.cpu), (more, took.cpu)).at(rows)
        seconds = cpu * took.seconds / took.cpu if took.cpu else took.seconds * rows / more
        size = line((fewer, other.bytes), (more, took.bytes)).at(rows)
        worked = line((fewer, other.rows), (more, took.rows)).at(rows)
        found[step] = Predicted(round(worked), round(seconds, 1), round(cpu, 1), round(size))
    return found


@dataclass(frozen=True, slots=True)
class Compared:
    """One step as it was predicted and as it happened; None where it was not yet done, or not predicted."""

    step: Step
    predicted: Predicted | None
    took: Took | None

    @property
    def ratio(self) -> float | None:
        """Seconds that it took, by those predicted."""
        return self._by(lambda amount: amount.seconds)

    @property
    def cpu_ratio(self) -> float | None:
        """Seconds of CPU that it took, by those predicted: what else the machine did is not in it."""
        return self._by(lambda amount: amount.cpu)

    @property
    def disk_ratio(self) -> float | None:
        """Bytes that it wrote, by those predicted."""
        return self._by(lambda amount: amount.bytes)

    def _by(self, of: Callable[[Predicted | Took], float]) -> float | None:
        if self.predicted is None or self.took is None or not of(self.predicted):
            return None
        return of(self.took) / of(self.predicted)

    def to_json(self) -> dict[str, Any]:
        """For `--json` and the report."""
        return {
            "step": self.step.value,
            "predicted": asdict(self.predicted) if self.predicted else None,
            "took": asdict(self.took) if self.took else None,
            "ratio": self.ratio,
            "cpu_ratio": self.cpu_ratio,
            "disk_ratio": self.disk_ratio,
        }


def compare(prediction: Prediction | None, took: Mapping[Step, Took]) -> tuple[Compared, ...]:
    """Every step that was predicted or done, in the order of the job."""
    steps = prediction.steps if prediction else {}
    return tuple(
        Compared(step, steps.get(step), took.get(step)) for step in Step if step in steps or step in took
    )


def to_come(steps: Sequence[Compared]) -> tuple[Compared, ...]:
    """Steps after the last one that was done: what comes before it was done too, if only by `init`, which nobody measures."""
    done = max((place for place, item in enumerate(steps) if item.took is not None), default=-1)
    return tuple(steps[done + 1 :])
