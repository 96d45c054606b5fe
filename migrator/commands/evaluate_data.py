"""Files that somebody names on the command line as records to match, or as the truth: read as any source, without a project."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

import pyarrow as pa

from migrator.commands.project import FILE
from migrator.commands.recognise import Recognised, recognise, with_settings
from migrator.commands.steps import notes
from migrator.core.connector import Page, Source
from migrator.core.document import did_you_mean
from migrator.core.errors import Location, ProjectError
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.extract.infer import looks_like_key
from migrator.staging.engine import Session, literal, quote

RECORDS = "evaluate_records"
"""Table of the records of all files: `__id`, `__source`, then their columns as text; empty is null."""

_WAY = "--set encoding=gb18030 (or delimiter, header) says how it is written"
_ID, _SOURCE = "__id", "__source"


@dataclass(frozen=True, slots=True)
class DataFiles:
    """What to match."""

    files: tuple[str, ...]
    id: str = ""
    """Column that is the record's key; '' where the column's name says it, or rows are counted."""
    ignore: tuple[str, ...] = ()
    """Columns that are not to be looked at."""
    entity: str = ""
    """Column that holds the truth; nobody looks at it while matching."""
    settings: tuple[str, ...] = ()
    """'[SYSTEM.]NAME=VALUE' for how files are read."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table read: a relation in the engine, as the file has it."""

    name: str
    relation: str
    schema: ObjectSchema
    rows: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Records:
    """The records of all files, ready to be matched."""

    fields: tuple[FieldSchema, ...]
    sources: tuple[str, ...]
    rows: int
    notes: tuple[str, ...]


def read_table(session: Session, what: str, settings: Sequence[str], option: str, number: int) -> Table:
    """Read the one table in a file (or folder, zip, database) into the engine.

    Raises `ProjectError` when nothing reads it, it holds several tables, or it is not clear how it is written.
    """
    with _told_here(option):
        found = recognise(what)
        found = with_settings([found], _own(found, settings))[0]
        opener = found.connector.open_source
        if opener is None:
            raise ProjectError.at(option, f"{found.connector.name} reads nothing", "name a file")
        with closing(opener(found.settings)) as source:
            schema = _only(source, what, option)
            relation = f"evaluate_file_{number:d}"
            rejects: list[str] = []
            rows = _load(session, relation, schema, source, rejects)
            told = notes(source, schema.name)
    if rejects:
        told.append(f"{what}: {len(rejects):,} rows cannot be read and are left out; the first: {rejects[0]}")
    return Table(found.name, relation, schema, rows, tuple(told))


def read_records(session: Session, data: DataFiles) -> Records:
    """Make `RECORDS` of all files; each has its own name as source, or that of its place when names are equal."""
    tables = [
        read_table(session, what, data.settings, "--data", place) for place, what in enumerate(data.files, 1)
    ]
    names = [table.name for table in tables]
    if len(set(names)) < len(names):
        tables = [replace(table, name=f"{table.name}{place}") for place, table in enumerate(tables, 1)]
    columns = list(dict.fromkeys(name for table in tables for name in table.schema.field_names))
    for option, wanted in (("--id", [data.id]), ("--ignore", data.ignore), ("--entity", [data.entity])):
        _check_columns(option, [name for name in wanted if name], columns)
    told = [note for table in tables for note in (*table.notes, *_lacks(table, columns))]
    keyed = [_keyed(session, table, data.id) for table in tables]
    fields = [name for name in columns if name not in {*data.ignore, data.entity, *(key for key, _ in keyed)}]
    kept = [*fields, data.entity] if data.entity else fields
    _unite(session, list(zip(tables, (key for key, _ in keyed), strict=True)), kept)
    told += [note for _, note in keyed if note]
    rows = sum(table.rows for table in tables)
    described = tuple(FieldSchema(name, FieldType.STRING) for name in fields)
    return Records(described, tuple(table.name for table in tables), rows, tuple(told))


def check_settings(settings: Sequence[str], files: Sequence[str]) -> None:
    """Raise `ProjectError` when a setting names a file that is none of these."""
    systems = {text: text.partition("=")[0].rpartition(".")[0] for text in settings}
    if not any(systems.values()):
        return
    with _told_here("--data"):
        names = [recognise(what).name for what in files]
    for system in systems.values():
        if system and system not in names:
            raise ProjectError.at(
                "--set", f"no file is called {system!r}", did_you_mean(system, names, noun="files")
            )


def _own(found: Recognised, settings: Sequence[str]) -> list[str]:
    """Settings for all files, and those that name this one."""
    mine = []
    for text in settings:
        system, dot, _ = text.partition("=")[0].rpartition(".")
        if not dot or system == found.name:
            mine.append(text)
    return mine


def _only(source: Source, what: str, option: str) -> ObjectSchema:
    found = source.describe()
    if len(found) != 1:
        names = ", ".join(item.name for item in found[:8])
        raise ProjectError.at(
            option, f"{what!r} holds {len(found)} tables: {names}", "name one table: a file of its own"
        )
    return found[0]


def _load(session: Session, relation: str, schema: ObjectSchema, source: Source, rejects: list[str]) -> int:
    """All pages as a table of the engine, its first column the number of the row; what cannot be read is noted."""
    count = 0

    def batches(first: Page | None, pages: Iterator[Page]) -> Iterator[pa.RecordBatch]:
        nonlocal count
        page = first
        while page is not None:
            rejects.extend(f"{item.place}: {item.message}" for item in page.rejects)
            numbered = page.rows.add_column(
                0, "__row", pa.array(range(count + 1, count + 1 + page.rows.num_rows), pa.int64())
            )
            count += page.rows.num_rows
            yield from numbered.to_batches()
            page = next(pages, None)

    pages = source.read(schema.name)
    first = next(pages, None)
    columns = first.rows.schema if first else pa.schema([(name, pa.string()) for name in schema.field_names])
    reader = pa.RecordBatchReader.from_batches(
        pa.schema([pa.field("__row", pa.int64()), *columns]), batches(first, pages)
    )
    session.table(relation, reader)
    return count


def _check_columns(option: str, wanted: Sequence[str], columns: Sequence[str]) -> None:
    for name in wanted:
        if name not in columns:
            raise ProjectError.at(
                option, f"there is no column {name!r}", did_you_mean(name, columns, noun="columns")
            )


def _lacks(table: Table, columns: Sequence[str]) -> list[str]:
    missing = [name for name in columns if name not in table.schema.field_names]
    return [f"{table.name} has no column {', '.join(map(repr, missing))}"] if missing else []


def _keyed(session: Session, table: Table, wanted: str) -> tuple[str, str]:
    """The column that is the key of a table, '' for its row number; and what is to be said of it."""
    if wanted:
        spare = _spare(session, table, wanted)
        if not spare:
            return wanted, ""
        raise ProjectError.at(
            "--id", f"{wanted!r} is no key of {table.name}: {spare:,} of its values are empty or come again",
            "name a column in which every record has a value of its own, or leave --id out: rows are counted then",
        )  # fmt: skip
    called = [name for name in table.schema.field_names if name == table.schema.key or looks_like_key(name)]
    for name in sorted(called, key=lambda name: name != table.schema.key):
        if not _spare(session, table, name):
            return (
                name,
                f"{table.name}: {name!r} is taken for the key of the records; --id names another column",
            )
    return (
        "",
        f"{table.name}: no column is a key by its name and values, so records are known by their row; --id names one",
    )


def _spare(session: Session, table: Table, name: str) -> int:
    """Values of a column that are empty or come again."""
    counts = session.fetch(
        f"SELECT count(*) - count(DISTINCT nullif({quote(name)}::VARCHAR, '')) AS n FROM {table.relation}"
    )
    return int(counts.column("n")[0].as_py())


def _unite(session: Session, tables: Sequence[tuple[Table, str]], columns: Sequence[str]) -> None:
    parts = []
    for table, key in tables:
        known = quote(key) if key else quote("__row")
        has = set(table.schema.field_names)
        listed = ", ".join(
            f"nullif({quote(name)}::VARCHAR, '') AS {quote(name)}"
            if name in has
            else f"NULL::VARCHAR AS {quote(name)}"
            for name in columns
        )
        parts.append(
            f"SELECT {literal(table.name + ':')} || {known}::VARCHAR AS {_ID}, {literal(table.name)} AS {_SOURCE}, {listed} "
            f"FROM {table.relation}"
        )
    session.execute(f"CREATE OR REPLACE TABLE {RECORDS} AS {' UNION ALL '.join(parts)}")
    for table, _ in tables:
        session.execute(f"DROP TABLE {table.relation}")


@contextmanager
def _told_here(option: str) -> Iterator[None]:
    """Messages speak of a project's files; there is none: say the option, and how to give it the same."""
    try:
        yield
    except ProjectError as error:
        raise ProjectError([
            replace(
                item,
                location=Location(option) if item.location.file in {"--source", FILE} else item.location,
                hint=f"{item.hint}; here: {_WAY}" if FILE in item.hint else item.hint,
            )
            for item in error.problems
        ]) from error  # fmt: skip
