"""What is asked of an evaluation, and what came of it: plain values for the command line and the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from migrator.core.errors import DataError
from migrator.core.mapped import Reach
from migrator.dedupe.evaluate import Evaluation
from migrator.dedupe.truth import TruthUse


@dataclass(frozen=True, slots=True)
class TruthFile:
    """Where the truth stands: a file, or a column of the data itself."""

    file: str = ""
    key: str = ""
    """Its column of keys; '' for the first one."""
    entity: str = ""
    """Its column of entities, or of the other key; '' for the second one. Without a file: a column of the data."""
    pairs: bool = False
    """Its rows are pairs of records that are one."""
    match: str = ""
    """Its column that says of which pairs this is true; '' when it is of all."""


@dataclass(frozen=True, slots=True)
class Least:
    """What the automatic clusters have to reach, pairwise; 0 asks for nothing."""

    precision: float = 0.0
    recall: float = 0.0
    f1: float = 0.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """How to measure."""

    truth: TruthFile
    reach: Reach = Reach.ALL
    worst: int = 20
    unmask: bool = False
    out: Path | None = None
    least: Least = Least()


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured, on what, and the values of the records that went wrong (masked unless asked)."""

    subject: str
    records: int
    truth: TruthUse
    evaluation: Evaluation
    model: Mapping[str, Any]
    values: Mapping[str, Mapping[str, str | None]]
    """Record → field → value."""
    equal: Mapping[tuple[str, str], frozenset[str]]
    """Of each pair that went wrong the fields in which both hold the same."""
    notes: tuple[str, ...]
    least: Least
    page: Path

    @property
    def below(self) -> list[str]:
        """What was asked for and is not reached."""
        found = self.evaluation.automatic.pairs
        wanted = {"precision": self.least.precision, "recall": self.least.recall, "f1": self.least.f1}
        reached = {"precision": found.precision, "recall": found.recall, "f1": found.f1}
        return [
            f"{name} is {reached[name] or 0:.4f}, at least {least:.4f} is wanted"
            for name, least in wanted.items()
            if least and (reached[name] or 0) < least
        ]

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        found = self.evaluation
        return {
            "subject": self.subject,
            "records": self.records,
            "truth": asdict(self.truth),
            "bands": asdict(found.bands) if found.bands else None,
            "automatic": found.automatic.to_json(),
            "likely": found.likely.to_json() if found.likely else None,
            "thresholds": [{"threshold": rung.threshold, **rung.scores.to_json()} for rung in found.rungs],
            "review": asdict(found.review),
            "rules": [asdict(item) for item in found.rules],
            "weights": [asdict(item) for item in found.bars],
            "missed": [{**asdict(item), "why": item.why.value} for item in found.missed],
            "worst": [
                {
                    **asdict(item), "why": item.why.value, "equal": sorted(self.equal[item.one, item.other]),
                    "values": [self.values[item.one], self.values[item.other]],
                }
                for item in (*found.joins, *found.misses)
            ],
            "model": dict(self.model),
            "notes": list(self.notes),
            "below": self.below,
            "page": str(self.page),
        }  # fmt: skip

    def raise_unless_good_enough(self) -> None:
        """Raise `DataError` when a figure that was asked for is not reached."""
        if self.below:
            raise DataError("; ".join(self.below), hint=f"read {self.page}")
