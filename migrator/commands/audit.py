"""Checking the journal of a project, and exporting its head so that nobody can rewrite it unseen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from migrator.commands.project import Project, open_workspace
from migrator.core.errors import DataError, FatalError, Location, ProjectError
from migrator.staging.journal import Audit, Head, end, verify
from migrator.sync.replay import Replayed, replay


@dataclass(frozen=True, slots=True)
class JournalAudit:
    """What a verification of the journal found, and against how many exported heads."""

    audit: Audit
    heads: int
    crosswalk: Replayed
    """The sync's crosswalk, as the journal tells it and as it is."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "holds": self.audit.holds and self.crosswalk.same,
            "rows": self.audit.rows,
            "head": asdict(self.audit.head),
            "heads_compared": self.heads,
            "flaws": [asdict(flaw) for flaw in self.audit.flaws],
            "crosswalk": asdict(self.crosswalk),
        }

    def raise_unless_it_holds(self) -> None:
        """Raise `DataError` when a row is not as it was written."""
        if not self.audit.holds:
            raise DataError(
                f"the journal was changed: row {self.audit.flaws[0].number}: {self.audit.flaws[0].what}",
                hint="what it says from there on proves nothing; restore the ledger from a backup",
            )
        if not self.crosswalk.same:
            raise DataError(
                f"the links of the sync are not those that the journal tells: {self.crosswalk.shown:,} changes, and {self.crosswalk.told:,} told",
                hint="somebody changed the ledger by hand; restore it from a backup",
            )


@dataclass(frozen=True, slots=True)
class ExportedHead:
    """The end of a ledger's journal at some moment, as it is written to a file."""

    ledger: str
    """The identity of the ledger."""
    at: str
    number: int
    hash: str

    def to_json(self) -> dict[str, Any]:
        """For `--json`, and as the line of a file."""
        return asdict(self)


def audit_head(project: Project, to: Path | None = None) -> ExportedHead:
    """The end of the journal; with `to` it is also added to that file as a line, which belongs on another machine.

    Raises `FatalError` when the file cannot be written.
    """
    with open_workspace(project) as workspace:
        with workspace.ledger.read() as connection:
            found = end(connection)
        head = ExportedHead(
            workspace.ledger.identity, workspace.ledger.clock.now().isoformat(), found.number, found.hash
        )
    if to is not None:
        try:
            with to.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(head.to_json()) + "\n")
        except OSError as error:
            raise FatalError(f"cannot write {to}: {error.strerror}", hint="give another file") from error
    return head


def audit_verify(project: Project, heads: Sequence[Path] = ()) -> JournalAudit:
    """Check every row of the journal, and the heads in files that `audit_head` wrote; raises `ProjectError` for other files."""
    exported = [item for path in heads for item in _read_heads(path)]
    with open_workspace(project) as workspace:
        identity = workspace.ledger.identity
        for place, head in exported:
            if head.ledger != identity:
                raise ProjectError.at(
                    place, "this head is of another ledger", "give the heads of this project's ledger"
                )
        with workspace.ledger.read() as connection:
            found = verify(connection, [Head(head.number, head.hash) for _, head in exported])
            links = replay(connection)
    return JournalAudit(found, len(exported), links)


def _read_heads(path: Path) -> list[tuple[Location, ExportedHead]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError.at(
            str(path), f"cannot read this file: {error}", "write it with: migrator audit head --out FILE"
        ) from error
    return [
        (Location(str(path), row), _head(line, Location(str(path), row))) for row, line in enumerate(lines, 1)
    ]


def _head(line: str, place: Location) -> ExportedHead:
    try:
        head = ExportedHead(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise ProjectError.at(
            place, "this is not a head of a journal", "write it with: migrator audit head --out FILE"
        ) from error
    if not isinstance(head.number, int):
        raise ProjectError.at(place, "the number of this head is none", "write it with: migrator audit head")
    return head
