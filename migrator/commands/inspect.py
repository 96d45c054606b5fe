"""Commands that only look: status, explain and profile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from migrator.commands.binding import bind_project
from migrator.commands.project import Project, Workspace, open_workspace
from migrator.commands.target import flat
from migrator.core.document import did_you_mean
from migrator.core.errors import ProjectError
from migrator.core.mask import mask
from migrator.dedupe.story import ClusterStory, explain_cluster
from migrator.extract.profile import ObjectProfile
from migrator.extract.profile import profile as profile_object
from migrator.mapping.bound import Bound, BoundField, BoundSource, Column, Constant, Formula, Hook, Input
from migrator.staging import life as lives
from migrator.staging.accounting import Accounting, account
from migrator.staging.engine import DuckSession
from migrator.staging.match_decisions import MatchDecision, decisions
from migrator.staging.store import Kind


@dataclass(frozen=True, slots=True)
class Life:
    """The life of one record, ready to be told; personal values are masked unless asked for."""

    found: lives.Life
    story: ClusterStory | None
    unmask: bool
    personal: frozenset[str]
    """Source columns that hold personal values."""
    ways: Mapping[str, str]
    """Target field → how its value is made, in the mapping's words."""
    decisions: tuple[MatchDecision, ...] = ()
    """What people said of it and another record, the oldest first."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "object": self.found.object,
            "record": self.found.record,
            "state": self.found.state,
            "rule": self.found.rule,
            "reason": self.found.reason,
            "stages": {title: dict(facts) for title, facts in self.stages()},
        }

    def stages(self) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """Title and facts of every stage that has come to it, in the order of the way."""
        found = self.found
        yield (
            f"{found.object}/{found.record}",
            _facts(state=found.state, rule=found.rule, reason=found.reason),
        )
        if found.staged is not None:
            place = found.staged.place or "live"
            yield (
                f"source: {found.staged.system}/{found.staged.object} at {place}",
                [
                    (name, self._show(value, name in self.personal))
                    for name, value in found.staged.values.items()
                ],
            )
        yield "mapped", [(item.name, self._way(item)) for item in found.fields]
        if found.issues:
            yield "issues", [(item.rule, item.message or "") for item in found.issues]
        if found.cluster is not None:
            yield "duplicates", list(self._cluster(found.cluster))
        if self.decisions:
            yield "decisions", [self._decision(item) for item in self.decisions]
        if found.planned is not None:
            plan = found.planned
            yield (
                "plan",
                _facts(
                    action=plan.action, reason=plan.reason, batch=plan.batch, fingerprint=plan.fingerprint
                ),
            )
        if found.loaded is not None:
            done = found.loaded
            yield (
                "target",
                _facts(
                    outcome=done.outcome, key=done.target_key, id=done.target_id, code=done.code, field=done.field,
                    message=done.message, batch=done.batch, run=done.run, at=done.at,
                ),
            )  # fmt: skip

    def _show(self, value: Any, personal: bool) -> str:
        if value is None:
            return "∅"
        return mask(str(value)) if personal and not self.unmask else str(value)

    def _way(self, item: lives.MappedField) -> str:
        """From the source's value to what is planned, a stage at a time; stages that change nothing are left out."""
        stages = [("", item.mapped), ("survived as ", item.survived), ("planned as ", item.planned)]
        way: list[str] = []
        before: object = None
        for title, value in stages:
            if not way or (value is not None and value != before):
                way.append(title + self._show(value, item.personal))
                before = value
        issues = [f"[{issue.rule}: {self._show(issue.value, item.personal)}]" for issue in item.issues]
        how = self.ways.get(item.name, "")
        return "  ".join([" → ".join(way), *issues, *([f"({how})"] if how else [])])

    def _decision(self, item: MatchDecision) -> tuple[str, str]:
        other = item.other if item.one == self.found.record else item.one
        why = f": {item.why}" if item.why else ""
        return other, f"{item.said.replace('_', ' ')}, said {item.who} on {item.at:%Y-%m-%d %H:%M} UTC{why}"

    def _cluster(self, cluster: lives.Clustered) -> Iterator[tuple[str, str]]:
        yield "survivor", cluster.survivor
        if self.story is not None:
            for member in self.story.members:
                evidence = self._show(member.evidence, True) if member.evidence else ""
                yield member.id, f"{member.rule or ''} {evidence}".strip()
            for field in self.story.fields:
                if field.disputed:
                    yield f"{field.field} from", f"{field.donor} ({field.rule.value})"


def status(project: Project) -> Accounting:
    """What became of every record, as it stands."""
    with looking(project) as (workspace, session, bound):
        return account(workspace.store, session, flat(bound.groups))


def explain(project: Project, reference: str, *, unmask: bool = False) -> Life:
    """The life of the record OBJECT/ID."""
    with looking(project) as (workspace, session, bound):
        objects = flat(bound.groups)
        found = lives.life(workspace.store, session, objects, reference)
        story = None
        if found.cluster is not None:
            obj = next(item for item in objects if item.name == found.object)
            story = explain_cluster(session, workspace.store, obj, found.record)
        source = found.record.partition(":")[0]
        personal = _feeds(bound, found.object)[source] | _declared(project, found)
        said = decisions(workspace.ledger, found.object)
        about = tuple(item for item in said if found.record in item.pair)
        return Life(found, story, unmask, personal, _ways(bound, found.object, source), about)


def profile(project: Project, names: Sequence[str]) -> list[ObjectProfile]:
    """Measure every column of what is staged; names are 'system/object'."""
    with looking(project) as (workspace, session, _):
        found = []
        staged = workspace.store.names(Kind.STAGED)
        for name in names:
            if name not in staged:
                hint = did_you_mean(name, staged, noun="staged objects")
                raise ProjectError.at("--object", f"{name!r} is not staged", hint)
        for name in staged:
            system, _, object_name = name.partition("/")
            schema = (project.saved_schema(system) or {}).get(object_name)
            if schema is not None and (not names or name in names):
                dataset = workspace.store.need(Kind.STAGED, name, made_by="extract")
                found.append(profile_object(session, dataset, schema))
        return found


@contextmanager
def looking(project: Project) -> Iterator[tuple[Workspace, DuckSession, Bound]]:
    """A project opened to be looked at, with its mappings bound."""
    with open_workspace(project) as workspace, closing(workspace.session()) as session:
        yield workspace, session, bind_project(workspace)


def _facts(**values: object) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in values.items() if value is not None]


def _declared(project: Project, found: lives.Life) -> frozenset[str]:
    """Columns that the source itself calls personal."""
    if found.staged is None:
        return frozenset()
    schema = (project.saved_schema(found.staged.system) or {}).get(found.staged.object)
    return frozenset(item.name for item in schema.fields if item.pii) if schema else frozenset()


def _feeds(bound: Bound, name: str) -> dict[str, frozenset[str]]:
    """Source name → columns whose values go into personal fields of the mapping."""
    mapping = next(item for item in bound.mappings if item.name == name)
    return {
        source.name: frozenset(
            origin.name
            for field in source.fields
            if field.target.pii
            for column in _columns(field.input)
            for origin in (column, source.origin(column))
            if origin is not None
        )
        for source in mapping.sources
    }


def _ways(bound: Bound, name: str, source: str) -> dict[str, str]:
    """How each field of a mapping gets its value from one source, told like the YAML says it."""
    mapping = next(item for item in bound.mappings if item.name == name)
    found = next(item for item in mapping.sources if item.name == source)
    return {field.name: _how(field, found) for field in found.fields}


def _how(field: BoundField, source: BoundSource) -> str:
    match field.input:
        case Column() as column:
            first = f"from {column.name}{_whence(column, source)}"
        case Formula(written=written):
            first = f"expr {written}"
        case Hook(name=name):
            first = f"python {name}"
        case Constant(text=text):
            first = "left empty" if text is None else f"value {text}"
        case _:
            first = "record id"
    steps = [first, *field.clean]
    if field.values is not None:
        by = f" by {field.values_by.name}" if field.values_by is not None else ""
        steps.append(f"value map{by}")
    if field.money is not None:
        code = field.money.code
        steps.append(f"in the currency {code if isinstance(code, str) else f'of {code.name}'}")
    if field.conversion is not None:
        on = f" of the day in {field.conversion.on.name}" if field.conversion.on is not None else ""
        steps.append(f"to {field.conversion.table.to} at the rate{on} in {field.conversion.table.file}")
    if field.lookup:
        by = f" by {field.lookup_by.name}" if field.lookup_by is not None else ""
        steps.append("look-up " + ", ".join(target.mapping for target in field.lookup) + by)
    if field.first is not None:
        steps.append(f"created as {field.first}, then set in the second pass")
    if field.stand_in:
        steps.append(f"{field.stand_in} in place of inactive ones")
    return ", ".join(steps)


def _whence(column: Column, source: BoundSource) -> str:
    """Where a column comes from that is not the source's own."""
    if source.explode is not None and column.of == source.explode.rule.name:
        return f", a value of {source.explode.column.name}"
    join = next((item for item in source.joins if item.name == column.of), None)
    if join is None:
        return ""
    pairs = " and ".join(f"{ours.name} = {theirs.name}" for ours, theirs in join.on)
    return f", joined from {join.relation} on {pairs}"


def _columns(read: Input) -> tuple[Column, ...]:
    match read:
        case Column():
            return (read,)
        case Formula(operands=operands) | Hook(operands=operands):
            return operands
        case _:
            return ()
