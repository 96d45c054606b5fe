"""Quarantine as a command: list what is held back and what was only noted, show one record's, and hand it all out as a file."""

from __future__ import annotations

import csv
import re
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from migrator.commands.binding import check_names
from migrator.commands.inspect import looking
from migrator.commands.project import Project
from migrator.commands.target import flat
from migrator.core.document import did_you_mean
from migrator.core.errors import FatalError, ProjectError
from migrator.core.mapped import MappedObject
from migrator.core.quarantine import State
from migrator.staging import quarantine as held
from migrator.staging.accounting import account
from migrator.staging.engine import Session
from migrator.staging.life import life
from migrator.staging.quarantine import Entry, Filter
from migrator.staging.store import Store

COLUMNS = (
    "object", "record", "place", "step", "rule", "field", "value", "message", "what to do", "first seen", "tries", "waived",
)  # fmt: skip
"""Of an exported list."""
MOST_ROWS = 1_048_575
"""Rows a worksheet holds below its header."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries are asked for; empty means all."""

    objects: Sequence[str] = ()
    rules: Sequence[str] = ()
    fields: Sequence[str] = ()
    records: Sequence[str] = ()
    """As OBJECT/ID; an ID without its source is taken for one of the object's only source."""
    systems: Sequence[str] = ()
    since: datetime | None = None
    run: str = ""
    state: State | None = None
    warnings: bool = False
    """What was noted about records that move all the same, instead of the records that do not."""
    unmask: bool = False
    """Personal values as they are."""

    def filter(self, known: Sequence[MappedObject]) -> Filter:
        """The same, checked against what there is; raises `ProjectError` with the nearest name."""
        check_names(self.objects, [item.name for item in known])
        sources = sorted({source.system for item in known for source in item.sources})
        for name in self.systems:
            if name not in sources:
                hint = did_you_mean(name, sources, noun="source systems")
                raise ProjectError.at("--system", f"nothing is read from {name!r}", hint)
        records = frozenset(_record(reference, known) for reference in self.records)
        objects = frozenset(self.objects)
        if records:
            named = frozenset(name for name, _ in records)
            objects = objects & named if objects else named
        return Filter(
            objects if objects or records else None, frozenset(self.rules) or None, frozenset(self.fields) or None,
            records or None, frozenset(self.systems) or None, self.since, self.run or None, self.state,
        )  # fmt: skip


def _record(reference: str, known: Sequence[MappedObject]) -> tuple[str, str]:
    name, slash, record = reference.partition("/")
    if not slash or not record:
        raise ProjectError.at(
            "--record", f"{reference!r} names no record", "write OBJECT/ID, as the list shows it"
        )
    check_names([name], [item.name for item in known])
    sources = next(item.sources for item in known if item.name == name)
    bare = not any(record.startswith(f"{item.name}:") for item in sources)
    return name, f"{sources[0].name}:{record}" if bare and len(sources) == 1 else record


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Entries, or as many of them as were asked for."""

    rows: tuple[Entry, ...]
    total: int
    """Records quarantined in all, by the accounting; for warnings: the entries there are."""
    warnings: bool = False
    waived: int = 0
    """Of `total`: records that somebody decided to leave behind."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        rows = [asdict(item) for item in self.rows]
        for row in rows:
            row["first_seen"] = row["first_seen"] and row["first_seen"].isoformat()
        return {"total": self.total, "waived": self.waived, "rows": rows}


@dataclass(frozen=True, slots=True)
class ExportedList:
    """A list that was written to a file."""

    path: Path
    rows: int

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"path": str(self.path), "rows": self.rows}


def quarantine(project: Project, wanted: Wanted, *, limit: int) -> Quarantined:
    """The first entries, and how many there are."""
    with looking(project) as (workspace, session, bound):
        known = flat(bound.groups)
        entries = _entries(wanted, workspace.store, session, known)
        with closing(entries):
            found = tuple(islice(entries, limit))
            if wanted.warnings:
                return Quarantined(found, len(found) + sum(1 for _ in entries), warnings=True)
        accounts = account(workspace.store, session, known).objects
        return Quarantined(
            found,
            sum(item.counts.get("quarantined", 0) for item in accounts),
            waived=sum(item.waived.quarantined for item in accounts),
        )


def entries_of(project: Project, reference: str, *, unmask: bool) -> Quarantined:
    """Everything held against, and noted about, the record OBJECT/ID; raises `ProjectError` when there is no such record."""
    with looking(project) as (workspace, session, bound):
        known = flat(bound.groups)
        found = life(workspace.store, session, known, reference)
        only = Filter(objects=frozenset({found.object}), records=frozenset({(found.object, found.record)}))
        rows: list[Entry] = []
        for query in (held.rows, held.warnings):
            rows += query(workspace.store, session, known, only=only, masked=not unmask)
        return Quarantined(tuple(rows), len(rows))


def export(project: Project, path: Path, wanted: Wanted) -> ExportedList:
    """Write all entries to a .csv or .xlsx file, streamed; every text stays a text when a spreadsheet opens it."""
    write = {".csv": _write_csv, ".xlsx": _write_xlsx}.get(path.suffix.lower())
    if write is None:
        hint = did_you_mean(path.suffix, (".csv", ".xlsx"), noun="endings")
        raise ProjectError.at(
            str(path), f"cannot write a list as {path.suffix!r}", hint or "name it .csv or .xlsx"
        )
    temporary = path.with_name(f".{path.name}.writing")
    try:
        with looking(project) as (workspace, session, bound):
            entries = _entries(wanted, workspace.store, session, flat(bound.groups))
            with closing(entries):
                rows = write(temporary, (_cells(entry) for entry in entries))
        temporary.replace(path)
    except OSError as error:
        raise FatalError(f"cannot write {path}: {error.strerror}", hint="is it open in Excel?") from error
    finally:
        temporary.unlink(missing_ok=True)
    return ExportedList(path, rows)


def _entries(
    wanted: Wanted, store: Store, session: Session, known: Sequence[MappedObject]
) -> Generator[Entry, None, None]:
    only = wanted.filter(known)
    query = held.warnings if wanted.warnings else held.rows
    return query(store, session, known, only=only, masked=not wanted.unmask)


def _cells(entry: Entry) -> tuple[str, ...]:
    found = (
        entry.object, entry.record, entry.place, entry.step, entry.rule, entry.field, entry.value, entry.message,
        entry.hint, f"{entry.first_seen:%Y-%m-%d %H:%M} UTC" if entry.first_seen else None, str(entry.tries), entry.waived,
    )  # fmt: skip
    return tuple(text or "" for text in found)


_FORMULA = re.compile(r"[=+\-@\t\r]")


def _write_csv(path: Path, rows: Iterable[Sequence[str]]) -> int:
    return write_csv(path, rows, COLUMNS)


def write_csv(path: Path, rows: Iterable[Sequence[str]], names: Sequence[str]) -> int:
    """Write rows under these names and return how many; what a spreadsheet would take for a formula gets an apostrophe in front."""
    count = 0
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for count, row in enumerate(rows, start=1):  # noqa: B007 (the last number is the count)
            writer.writerow([f"'{text}" if _FORMULA.match(text) else text for text in row])
    return count


def _write_xlsx(path: Path, rows: Iterable[Sequence[str]]) -> int:
    from xlsxwriter import Workbook

    options = {
        "constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False,
    }  # fmt: skip
    count = 0
    with Workbook(str(path), options) as book:
        page = book.add_worksheet("quarantine")
        page.freeze_panes(1, 0)
        page.set_column(0, len(COLUMNS) - 1, 24)
        page.write_row(0, 0, COLUMNS, book.add_format({"bold": True}))
        for count, row in enumerate(rows, start=1):
            if count > MOST_ROWS:
                raise ProjectError.at(
                    path.name, f"a worksheet holds {MOST_ROWS:,} rows, and there are more",
                    "write a .csv, or fewer: --object, --rule",
                )  # fmt: skip
            page.write_row(count, 0, [_fitting(text) for text in row])
        page.autofilter(0, 0, count, len(COLUMNS) - 1)
    return count


def _fitting(text: str) -> str:
    """A cell holds 32,767 characters."""
    return (
        text
        if len(text) <= 32_000
        else f"{text[:32_000]} … (cut here: {len(text):,} characters; whole in a .csv)"
    )
