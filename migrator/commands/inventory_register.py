"""The register of functions as commands use it: read whole, listed, shown, decided; what people say is only ever added."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from migrator.commands.inventory import scanned
from migrator.commands.inventory_counterparts import mapped
from migrator.commands.project import Project, Workspace, open_workspace
from migrator.core.components import ComponentKind
from migrator.core.document import did_you_mean
from migrator.core.errors import Location, Problem, ProjectError, raise_errors
from migrator.inventory.answers import wrong
from migrator.inventory.kept import Kept, from_rows
from migrator.inventory.register import Known, Row, Said, gone, rows
from migrator.inventory.rules import Decision
from migrator.inventory.scan import Reference
from migrator.staging import functions
from migrator.staging.functions import AnswerRecord, ScanRecord
from migrator.staging.store import Dataset


@dataclass(frozen=True, slots=True)
class Register:
    """Everything that is known now."""

    rows: tuple[Row, ...]
    scans: Mapping[str, ScanRecord]
    """System → the last look at it."""
    gone: tuple[str, ...] = ()
    """Ids that people decided about and that the last scan did not find."""
    notes: tuple[str, ...] = ()
    today: date = date.max

    def row(self, name: str) -> Row:
        """The line of a component, by its id or by its name alone when that is enough; raises `ProjectError`."""
        exact = [row for row in self.rows if row.item.id == name]
        found = exact or [row for row in self.rows if row.item.id.endswith(f"/{name}")]
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(row.item.id for row in found[:5])
            raise ProjectError.at(name, f"{len(found)} components are called so", f"one of: {listed}")
        raise ProjectError.at(name, "there is no such component in the last scan", self._near(name))

    def _near(self, name: str) -> str:
        from rapidfuzz import fuzz, process

        names = {row.item.id: row.item.component.name.casefold() for row in self.rows}
        found = process.extractOne(
            name.rpartition("/")[2].casefold(), names, scorer=fuzz.ratio, score_cutoff=75
        )
        return f"did you mean {found[2]!r}?" if found else "migrator inventory register list shows all"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines are asked for; what is empty asks for all."""

    kinds: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    proposed: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    owner: str = ""
    wave: str = ""
    object: str = ""
    uses: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()

    def fits(self, row: Row) -> bool:
        """Whether the line is asked for."""
        part = row.item.component
        tests = (
            (self.kinds, part.kind.value), (self.decisions, row.decision.value), (self.proposed, row.proposal.decision.value),
            (self.capabilities, row.capability), (self.uses, row.evidence.use.value),
        )  # fmt: skip
        return (
            all(not allowed or told in allowed for allowed, told in tests)
            and (not self.owner or row.answers.get("owner", "") == self.owner)
            and (not self.wave or row.answers.get("wave", "") == self.wave)
            and (not self.object or (part.owner or part.name).casefold() == self.object.casefold())
        )

    def check(self) -> None:
        """Raise `ProjectError` for words that nothing is called."""
        known = (
            ("--kind", self.kinds, [item.value for item in ComponentKind]),
            ("--decision", self.decisions, [item.value for item in Decision]),
            ("--proposed", self.proposed, [item.value for item in Decision]),
        )
        for option, words, allowed in known:
            for word in words:
                if word not in allowed:
                    raise ProjectError.at(
                        option, f"there is no {word!r}", did_you_mean(word, allowed) or ", ".join(allowed)
                    )


def load_register(project: Project, systems: Sequence[str] = ()) -> Register:
    """The register as it stands: the last scans, what mappings tell, what people said."""
    with open_workspace(project) as workspace:
        return read_register(workspace, systems)


def read_register(workspace: Workspace, systems: Sequence[str] = ()) -> Register:
    """`load_register` on a workspace that is open."""
    found = scanned(workspace, systems)
    kept = [one for dataset in found.values() for one in _kept(dataset)]
    told = mapped(workspace, kept)
    said = [_said(one) for one in functions.answers(workspace.ledger)]
    today = workspace.ledger.clock.now().date()
    blind = tuple(name for dataset in found.values() for name in dataset.detail.get("blind", ()))
    known = Known(
        {one.item.id: one.usage for one in kept if one.usage}, {one.item.id: one.not_measured for one in kept if one.not_measured},
        told.counterparts, told.losses, said, blind,
    )  # fmt: skip
    items = [one.item for one in kept]
    looked = {name: one for name, one in functions.last_scans(workspace.ledger).items() if name in found}
    notes = (*told.notes, *(note for one in looked.values() for note in one.detail.get("notes", ())))
    lost = tuple(name for name in gone(items, said) if name.partition("/")[0] in found)
    return Register(rows(items, known), looked, lost, notes, today)


def _kept(dataset: Dataset) -> Iterator[Kept]:
    return from_rows(_rows(dataset))


def _rows(dataset: Dataset) -> Iterator[Mapping[str, Any]]:
    import pyarrow.parquet as pq

    for file in dataset.files:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=1_000, columns=["id", "body"]):
            yield from batch.to_pylist()


def _said(one: AnswerRecord) -> Said:
    if one.at is None:
        raise ValueError("an answer that is on record has its moment")
    return Said(one.number, one.component, one.at, one.who, one.way, one.changes, one.run)


def list_rows(project: Project, wanted: Wanted) -> tuple[Register, tuple[Row, ...]]:
    """The lines asked for, and the register they come from."""
    wanted.check()
    register = load_register(project, wanted.systems)
    return register, tuple(row for row in register.rows if wanted.fits(row))


@dataclass(frozen=True, slots=True)
class Entered:
    """What was put on record."""

    rows: tuple[str, ...]
    """Ids of components about which something new was said."""
    unchanged: int
    """Components about which the very same stood already."""
    warnings: tuple[str, ...] = ()
    changes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "entered": list(self.rows), "unchanged": self.unchanged, "warnings": list(self.warnings),
            "changes": {name: dict(said) for name, said in self.changes.items()},
        }  # fmt: skip


def decide(project: Project, names: Sequence[str], said: Mapping[str, str], *, who: str) -> Entered:
    """Put on record what a person says of components; all of it or nothing. An empty text takes an answer back.

    Raises `ProjectError` for names and answers that are none, for a decision without a reason, and without `who`.
    """
    if not who.strip():
        raise ProjectError.at("--by", "who says so?", "give --by NAME")
    raise_errors(Problem(_option(name), message, hint) for name, message, hint in wrong(said))
    with open_workspace(project) as workspace:
        register = read_register(workspace)
        chosen = [register.row(name) for name in names]
        raise_errors(_lacking(chosen, said))
        return enter(workspace, [(row, said) for row in chosen], who=who, way="command")


def _option(name: str) -> Location:
    return Location(f"--{name.replace('_', '-')}")


def _lacking(chosen: Iterable[Row], said: Mapping[str, str]) -> Iterator[Problem]:
    """A decision without a reason cannot be understood in a year."""
    if not said.get("decision"):
        return
    for row in chosen:
        if not (said.get("reason") or row.answers.get("reason")):
            yield Problem(
                _option("reason"), f"{row.item.id}: a decision needs its reason", "give --reason TEXT"
            )


def enter(
    workspace: Workspace, said: Sequence[tuple[Row, Mapping[str, str]]], *, who: str, way: str
) -> Entered:
    """Record what differs from what stands already."""
    fresh: dict[str, dict[str, str]] = {}
    for row, answers in said:
        changes = {name: text for name, text in answers.items() if row.answers.get(name, "") != text}
        if changes:
            fresh[row.item.id] = changes
    functions.record_answers(
        workspace.ledger, [AnswerRecord(name, who, way, changes) for name, changes in fresh.items()]
    )
    warnings = tuple(told for row, answers in said for told in _doubts(row, answers))
    return Entered(tuple(fresh), len(said) - len(fresh), warnings, fresh)


def _doubts(row: Row, said: Mapping[str, str]) -> Iterator[str]:
    """What the person who retires something should know; it is recorded all the same: people decide."""
    if said.get("decision") != Decision.RETIRE.value:
        return
    using = [
        one.id
        for one in row.item.used_by
        if one.active and one.sure and one.kind not in (ComponentKind.PERMISSION, ComponentKind.TRANSLATION)
    ]
    if using:
        yield f"{row.item.id}: still used by {', '.join(using[:3])}"
    if row.item.component.calls:
        yield f"{row.item.id}: something outside takes part in it; ask whoever runs the other side"


def row_json(row: Row, *, whole: bool = False) -> dict[str, Any]:
    """One line of the register; `whole` with its links, history and use by segment."""
    part, usage = row.item.component, row.evidence.usage
    told: dict[str, Any] = {
        "id": row.item.id, "kind": part.kind.value, "type": part.type, "name": part.name, "label": part.label,
        "object": part.owner, "capability": row.capability, "business_unit": row.business_unit, "state": part.state.value,
        "managed": part.managed, "modified": part.modified, "modified_by": part.modified_by, "size": dict(part.size),
        "use": row.evidence.use.value, "because": str(row.evidence.because), "not_measured": row.evidence.not_measured,
        "fill": round(usage.fill, 4) if usage else None, "newest": usage.newest if usage else "",
        "used_by": row.item.used_by_count, "uses": row.item.uses_count, "hard_coded": len(row.item.literals), "access": row.access,
        "marks": dict(part.marks), "languages": list(part.languages), "findings": list(part.findings),
        "coverage": row.counterpart.coverage.value, "counterpart": row.counterpart.name,
        "counterpart_kind": row.counterpart.kind, "differences": row.counterpart.differences,
        "method": row.counterpart.method, "confidence": row.counterpart.confidence,
        "proposed": row.proposal.decision.value, "rule": row.proposal.rule, "proposal": str(row.proposal.reason), "archive": row.proposal.archive,
        "decision": row.decision.value, "decided_by": row.decided_by, "decided_on": row.decided_on,
        "answers": dict(row.answers), "losses": list(row.losses), "protection_gap": row.protection_gap,
    }  # fmt: skip
    if whole:
        told |= {
            "files": list(part.files), "line": part.line, "facts": dict(part.facts), "fires": list(part.fires),
            "integrations": list(row.filled_by), "usage": usage.to_json() if usage else None,
            "used_by_list": [_link(one) for one in row.item.used_by], "uses_list": [_link(one) for one in row.item.uses],
            "literals": [{"kind": one.kind.value, "text": one.text, "place": one.place} for one in row.item.literals],
            "history": [one.to_json() for one in row.history],
        }  # fmt: skip
    return told


def _link(one: Reference) -> dict[str, Any]:
    return {"id": one.id, "kind": one.kind.value, "active": one.active, "sure": one.sure}
