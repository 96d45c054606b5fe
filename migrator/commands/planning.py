"""`migrator plan`: what a load would do, what it would change and what it costs, saved as a plan file; the target is only read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from migrator.commands.binding import bind_project, check_names
from migrator.commands.estimate import Estimate, compared_in
from migrator.commands.measured import measured
from migrator.commands.plan_file import PlanFile, save
from migrator.commands.project import Project, Workspace, work_on
from migrator.commands.room import Step
from migrator.commands.target import flat, plan_for_target, target_system
from migrator.core.connector import Limits, TargetFacts, connector
from migrator.core.errors import ConnectorError, ProjectError
from migrator.core.mapped import MappedObject
from migrator.core.mask import mask
from migrator.core.schema import ObjectSchema, index_schemas
from migrator.load.changes import Comparison, Record, Value
from migrator.load.cost import LINKS, ROWS, Duration, Measured, duration, read_measured
from migrator.load.forecast import ObjectForecast, forecast_object
from migrator.load.held import Held, read_held
from migrator.load.plan import Groups, Plan
from migrator.load.send import Sender
from migrator.mapping.bound import Bound
from migrator.mapping.compile import compile_mapping
from migrator.mapping.run import map_fingerprint
from migrator.staging.action import Action
from migrator.staging.engine import Session
from migrator.staging.store import Kind


@dataclass(frozen=True, slots=True)
class Look:
    """What of a plan is looked at more closely; the plan is always of everything."""

    objects: Sequence[str] = ()
    """Only these are shown."""
    show: int = 0
    """So many updates of each object, with old and new values."""
    record: str = ""
    """This record only: OBJECT/ID, where ID is the source's key, SOURCE:KEY or the external key."""
    unmask: bool = False
    compare_target: bool = False
    """Ask the target what it holds of the records to be updated, in place of what was last sent."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a load would do, and what it costs."""

    system: str
    plan: Plan
    objects: tuple[ObjectForecast, ...]
    duration: Duration
    limits: Limits | None
    left: int | None
    """Requests left of the day's budget; None when there is none."""
    shown: Mapping[str, tuple[Record, ...]]
    """Object → records that were asked for, masked unless asked for otherwise."""
    notes: tuple[str, ...] = ()
    """What the forecast could not know, or what should be done first."""
    file: PlanFile | None = None
    estimate: Estimate | None = None
    """What the whole run was predicted to take, and what of it is done."""

    @property
    def calls(self) -> int:
        """Requests in all."""
        return sum(item.calls.total for item in self.objects)

    def said(self) -> dict[str, Any]:
        """What is saved: no record's values are in it."""
        told = self.plan.to_json()
        for item in self.objects:
            told["objects"][item.planned.name] |= item.to_json()
        limits = asdict(self.limits) if self.limits else None
        return {
            **told,
            "target": self.system,
            "calls": {"total": self.calls, "left_today": self.left, "limits": limits},
            "duration": asdict(self.duration),
            "notes": list(self.notes),
        }

    def to_json(self) -> dict[str, Any]:
        """For `migrator plan --json`."""
        told = self.said()
        for name, records in self.shown.items():
            told["objects"][name]["shown"] = [_record_json(item) for item in records]
        return {
            **told,
            "estimate": self.estimate.to_json() if self.estimate else None,
            "plan": self.file.id if self.file else "",
            "file": str(self.file.path) if self.file else "",
        }


def _record_json(found: Record) -> dict[str, Any]:
    return {**asdict(found), "action": found.action.value}


def plan(project: Project, look: Look = Look(), out: Path | None = None) -> Forecast:
    """Plan everything, forecast what a load would do, and save it (`out`: where; by default in `plans`)."""
    with work_on(project, "plan") as workspace, closing(workspace.session()) as session:
        bound = bind_project(workspace)
        known = [item.name for item in flat(bound.groups)]
        check_names(look.objects, known)
        if look.record:
            check_names([look.record.partition("/")[0]], known)
        with measured(workspace, Step.PLAN, flat(bound.groups)):
            made = plan_for_target(workspace, session, bound.groups)
        with TemporaryDirectory(dir=project.workspace, prefix="plan-") as scratch:
            found = _Forecasting(workspace, session, bound, look, Path(scratch)).forecast(made)
        return replace(
            found, file=save(workspace, bound, found.said(), out), estimate=compared_in(workspace.ledger)
        )


class _Forecasting:
    """One run of `plan`; `scratch` is an empty folder that it may fill."""

    def __init__(
        self, workspace: Workspace, session: Session, bound: Bound, look: Look, scratch: Path
    ) -> None:
        self._scratch = scratch
        self._workspace, self._session, self._bound, self._look = workspace, session, bound, look
        self._store = workspace.store
        self._groups: Groups = bound.groups
        self._system = target_system(bound.groups)
        self._notes: list[str] = list(_not_mapped(workspace, bound))

    def forecast(self, made: Plan) -> Forecast:
        """What the plans that were just made come to."""
        facts = self._facts()
        held = self._held() if self._look.compare_target else {}
        gate = self._workspace.project.gates.find(self._system)
        limits, left = (gate.limits, gate.budget.left) if gate else (None, None)
        schemas = self._schemas()
        planned = {item.name: item for item in made.objects}
        objects = tuple(
            forecast_object(
                self._store, self._session, obj, planned[obj.name],
                target=schemas.get(obj.target_object), facts=facts,
                held=held.get(obj.name),
            )
            for obj in flat(self._groups)
        )  # fmt: skip
        calls = sum(item.calls.total for item in objects)
        shown = {
            obj.name: found for obj in flat(self._groups) if (found := self._shown(obj, held.get(obj.name)))
        }
        takes = duration(_work(objects), self._measured(), limits, calls)
        return Forecast(self._system, made, objects, takes, limits, left, shown, tuple(self._notes))

    def _measured(self) -> Measured:
        crosswalks = ((obj.name, self._store.current(Kind.CROSSWALK, obj.name)) for obj in flat(self._groups))
        return read_measured((name, found.detail) for name, found in crosswalks if found)

    def _facts(self) -> TargetFacts:
        """Opening the target makes its gate, which knows limits and budget; nobody connects."""
        with closing(self._workspace.project.open_target(self._system)) as target:
            return target.facts

    def _held(self) -> dict[str, Held]:
        """Object → what the target holds of its records that are to be updated."""
        workspace, found = self._workspace, {}
        with closing(workspace.project.open_target(self._system)) as target:
            sender = Sender(target, workspace.ledger, workspace.fence)
            for number, obj in enumerate(flat(self._groups)):
                planned = self._store.need(Kind.PLAN, obj.name, made_by="plan")
                file = self._scratch / f"{number}.parquet"
                held = read_held(self._session, sender, obj, planned, file)
                if held is not None:
                    found[obj.name] = held
        calls = sum(item.calls for item in found.values())
        self._notes.append(
            f"old values are what {self._system} holds now (calls made to ask for them: {calls:,})"
        )
        return found

    def _schemas(self) -> Mapping[str, ObjectSchema]:
        """What the target says of its objects: as saved, else as it says now; reading it changes nothing there."""
        project = self._workspace.project
        saved = project.saved_schema(self._system)
        if saved is not None:
            return saved
        system = project.system(self._system)
        reads = connector(system.connector, place=str(system.place)).open_source is not None
        try:
            opened = project.open_source(self._system) if reads else project.open_target(self._system)
            with closing(opened) as asked:
                return index_schemas(asked.describe())
        except ConnectorError as error:
            self._notes.append(
                f"{self._system} says nothing of its rules, so none was checked: {error.message}"
            )
            return {}

    def _shown(self, obj: MappedObject, held: Held | None) -> tuple[Record, ...]:
        name, _, record = self._look.record.partition("/")
        planned = self._store.need(Kind.PLAN, obj.name, made_by="plan")
        comparison = Comparison(self._store, self._session, obj, planned, held)
        found: tuple[Record, ...] = ()
        if self._look.record and name == obj.name:
            found = comparison.record(record)
            if not found:
                raise ProjectError.at(
                    "--record", f"no record of {obj.name!r} that may move is called {record!r}",
                    "migrator explain tells of those that do not",
                )  # fmt: skip
        elif self._look.show and (not self._look.objects or obj.name in self._look.objects):
            found = comparison.records(self._look.show)
        return found if self._look.unmask else tuple(masked(obj, item) for item in found)


def _work(objects: Sequence[ObjectForecast]) -> dict[str, dict[str, int]]:
    return {
        item.planned.name: {ROWS: item.planned.to_send + item.released, LINKS: item.second_pass}
        for item in objects
    }


def masked(obj: MappedObject, found: Record) -> Record:
    """A record with its personal values masked, the external key too where it is personal."""
    values = tuple(
        Value(item.field, _mask(item.old), _mask(item.new)) if item.field in obj.pii else item
        for item in found.values
    )
    if obj.key not in obj.pii:
        return replace(found, values=values)
    # a reason may quote the external key
    reason = found.reason if found.action is not Action.KEY_CONFLICT else _mask(found.reason)
    return replace(found, values=values, key=_mask(found.key), reason=reason)


def _mask(text: str | None) -> str | None:
    return None if text is None else mask(text)


def _not_mapped(workspace: Workspace, bound: Bound) -> Iterator[str]:
    """Mappings whose records were mapped before they, or what they read, became what they are."""
    for item in bound.mappings:
        compiled = compile_mapping(item)
        mapped = workspace.store.current(Kind.MAPPED, item.name)
        staged = {name: workspace.store.current(Kind.STAGED, name) for name in compiled.relations}
        there = {name: found for name, found in staged.items() if found is not None}
        if mapped is not None and map_fingerprint(compiled, there) != mapped.fingerprint:
            yield f"{item.name} was mapped before its mapping or its source changed; first: migrator map"
