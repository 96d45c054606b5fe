"""What a run of the sync came to: figures, and green, yellow or red with every reason and the next step."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any


class Status(Enum):
    """Green: complete. Yellow: incomplete but safe, the next run goes on. Red: needs a person."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason why a run is not green."""

    status: Status
    code: str
    """Stable: 'budget', 'brake', 'drift', 'hold', 'missing', 'quarantine', 'backlog', 'system', 'store', …"""
    what: str
    """One line, without values of records."""
    next_step: str
    mapping: str = ""
    count: int = 1
    exit_code: int = 4
    """What the command ends with when this is the worst cause (design: 1 data, 3 fails again, 4 later, 5 a person)."""


@dataclass(slots=True)
class RunReport:
    """Figures of one run; filled while it works."""

    run: str = ""
    figures: dict[str, Counter[str]] = field(default_factory=dict)
    """Mapping → what was counted → how often: pulled, examined, written_old, written_new, created_old, created_new,
    deleted_old, deleted_new, conflicts, adopted, held, stale, refused, unknown."""
    calls: Counter[str] = field(default_factory=Counter)
    """Requests, by side ('old', 'new')."""
    causes: list[Cause] = field(default_factory=list)
    reconciled: list[str] = field(default_factory=list)
    """Streams that were compared whole."""
    added: list[str] = field(default_factory=list)
    """Fields that a mapped object has since this run, 'SYSTEM: OBJECT.FIELD'."""
    backlog: int = 0
    holds: dict[str, int] = field(default_factory=dict)
    window: float = 0.0
    """Longest time, in seconds, between the last look at a record and its write, on sides without compare-and-set: an edit
    that falls into it can be overwritten unseen."""

    def count(self, mapping: str, what: str, number: int = 1) -> None:
        """Add to a figure."""
        if number:
            self.figures.setdefault(mapping, Counter())[what] += number

    def blame(self, status: Status, code: str, what: str, next_step: str, **more: Any) -> None:
        """Note a reason once."""
        cause = Cause(status, code, what, next_step, **more)
        if cause not in self.causes:
            self.causes.append(cause)

    @property
    def status(self) -> Status:
        """The worst of all reasons."""
        found = {cause.status for cause in self.causes}
        return next((item for item in (Status.RED, Status.YELLOW) if item in found), Status.GREEN)

    @property
    def exit_code(self) -> int:
        """0 when green, else that of the worst cause, the first of equals."""
        worst = [cause for cause in self.causes if cause.status is self.status]
        return worst[0].exit_code if worst else 0

    @property
    def writes(self) -> int:
        """Rows that were written on both sides."""
        kinds = ("written", "created", "deleted", "deactivated")
        return sum(
            number
            for figures in self.figures.values()
            for name, number in figures.items()
            if name.partition("_")[0] in kinds
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON for the store and for `--json`."""
        return {
            "run": self.run,
            "status": self.status.value,
            "exit_code": self.exit_code,
            "figures": {name: dict(sorted(found.items())) for name, found in sorted(self.figures.items())},
            "calls": dict(sorted(self.calls.items())),
            "causes": [{**asdict(cause), "status": cause.status.value} for cause in self.causes],
            "reconciled": list(self.reconciled),
            "added_fields": list(self.added),
            "backlog": self.backlog,
            "holds": dict(sorted(self.holds.items())),
            "writes": self.writes,
            "window_seconds": round(self.window, 3),
        }
