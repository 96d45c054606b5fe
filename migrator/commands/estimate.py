"""`migrator estimate`: what a whole run is going to take in time and on disk, from a sample of it, and what it did take."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any

from migrator.commands.binding import bind_project, read_mappings, source_objects
from migrator.commands.cost_model import Compared, Predicted, Prediction, compare, predict
from migrator.commands.measured import what_steps_took
from migrator.commands.project import Project, Workspace, open_workspace, work_on
from migrator.commands.room import Step
from migrator.commands.row_count import count_rows
from migrator.commands.sample import run_sample
from migrator.commands.target import flat, target_system
from migrator.core.connector import Limits, Source
from migrator.core.errors import DataError
from migrator.core.progress import Progress, Quiet
from migrator.load.cost import Duration, calls_of, duration, read_measured
from migrator.staging.ledger import Ledger
from migrator.staging.store import Kind

SHARE = 0.01
LEAST_ROWS = 100_000
"""Of the larger sample, as far as there are so many: fewer say little of what a million take."""
SMALLER = 4
"""The smaller sample has the rows of the larger one by this."""
WARM = 50
"""The first sample, of which nothing is kept, has the rows of the larger one by this."""
_NOTE = "estimate 1"
"""The number is of the form: one of another form is as if there were none."""
QUIET = Quiet()


@dataclass(frozen=True, slots=True)
class Estimate:
    """The last prediction, and each step as predicted and as it happened since."""

    prediction: Prediction | None
    steps: tuple[Compared, ...]

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "prediction": self.prediction.to_json() if self.prediction else None,
            "steps": [item.to_json() for item in self.steps],
        }


def estimate(
    project: Project, *, share: float = SHARE, least: int = LEAST_ROWS, progress: Progress = QUIET
) -> Estimate:
    """Run a share of all rows, at least `least` of them, through all steps aside, predict the whole, and keep that.

    Sources are read for it; nothing is written to the target.
    """
    with work_on(project, "estimate", progress) as workspace, ExitStack() as opened:
        wanted = source_objects(read_mappings(project))
        sources = {name: opened.enter_context(closing(project.open_source(name))) for name in wanted}
        counts = _count(workspace, sources, wanted)
        rows = sum(count for objects in counts.values() for count in objects.values())
        if not rows:
            raise DataError("there is nothing to estimate: the sources hold no rows")
        share = min(max(share, least / rows), 1.0)
        progress.start("estimate", "sample", None)
        # what is imported and prepared once must not look like what the smaller sample takes
        run_sample(workspace, sources, _part(counts, share / WARM))
        small = run_sample(workspace, sources, _part(counts, share / SMALLER))
        large = run_sample(workspace, sources, _part(counts, share))
        fewer, more = (_sum(_part(counts, one)) for one in (share / SMALLER, share))
        if share == 1.0 and Step.EXTRACT in large:
            rows = more = large[Step.EXTRACT].rows  # counted now, not guessed
        steps = predict(small, large, fewer, more, rows)
        if Step.LOAD in steps:
            steps[Step.LOAD] = _at_the_targets_pace(workspace, steps[Step.LOAD])
        made_at = workspace.ledger.clock.now().isoformat()
        prediction = Prediction(workspace.ledger.run, made_at, round(share, 6), rows, steps)
        workspace.ledger.note(_NOTE, json.dumps(prediction.to_json()))
        progress.done("estimate", "sample", f"{more:,} of {rows:,} rows")
        return Estimate(prediction, compare(prediction, what_steps_took(workspace.ledger)))


def last_estimate(project: Project) -> Estimate:
    """The last prediction beside what happened; nothing is run."""
    with open_workspace(project) as workspace:
        return compared_in(workspace.ledger)


def compared_in(ledger: Ledger) -> Estimate:
    """The last prediction that a ledger keeps, beside what happened."""
    kept = ledger.noted(_NOTE)
    prediction = Prediction.from_json(json.loads(kept)) if kept else None
    return Estimate(prediction, compare(prediction, what_steps_took(ledger)))


def _count(
    workspace: Workspace, sources: Mapping[str, Source], wanted: Mapping[str, tuple[str, ...]]
) -> dict[str, dict[str, int]]:
    """System → object → rows: as staged, else as the source knows, else by its files."""
    found: dict[str, dict[str, int]] = {}
    for system, names in wanted.items():
        for name in names:
            staged = workspace.store.current(Kind.STAGED, f"{system}/{name}")
            rows = staged.rows if staged else count_rows(workspace.project, system, sources[system], name)
            found.setdefault(system, {})[name] = rows
    return found


def _part(counts: Mapping[str, Mapping[str, int]], share: float) -> dict[str, dict[str, int]]:
    return {
        system: {name: math.ceil(rows * share) for name, rows in objects.items()}
        for system, objects in counts.items()
    }


def _sum(counts: Mapping[str, Mapping[str, int]]) -> int:
    return sum(sum(objects.values()) for objects in counts.values())


def _at_the_targets_pace(workspace: Workspace, load: Predicted) -> Predicted:
    """The load as slow as the target makes it: by its limits, or as earlier loads were measured."""
    project, groups = workspace.project, bind_project(workspace).groups
    system = target_system(groups)
    with closing(project.open_target(system)) as target:
        facts = target.facts
    gate = project.gates.find(system)
    limits = gate.limits if gate else None
    calls = calls_of(
        load.rows, 0, batch_rows=project.batch_rows, call_rows=facts.batch_rows, row_requests=facts.row_requests
    ).total  # fmt: skip
    crosswalks = ((obj.name, workspace.store.current(Kind.CROSSWALK, obj.name)) for obj in flat(groups))
    measured = read_measured((name, found.detail) for name, found in crosswalks if found)
    takes = duration({"": {"rows": load.rows}}, measured, limits, calls) if measured else Duration(None, "")
    least = max(
        _by_the_day(limits, calls), duration({"": {"rows": load.rows}}, {}, limits, calls).seconds or 0
    )
    if takes.seconds is not None and takes.seconds > load.seconds:
        return replace(load, seconds=round(max(takes.seconds, least), 1), basis="measured")
    return replace(load, seconds=round(least, 1), basis="limits") if least > load.seconds else load


def _by_the_day(limits: Limits | None, calls: int) -> float:
    """Seconds that so many calls take under a daily limit: whole days but for the last."""
    return calls // limits.daily * 86_400.0 if limits is not None and limits.daily else 0.0
