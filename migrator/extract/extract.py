"""Source pages to staged datasets: every record once, in one shape, resumable at every part."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from migrator.core.connector import FileSource, Reject, Source
from migrator.core.errors import SafetyStop
from migrator.core.fingerprint import fingerprint
from migrator.core.progress import Progress
from migrator.core.retry import PATIENT, RetryPolicy, call, resume
from migrator.core.schema import FieldType, ObjectSchema, schemas_to_json
from migrator.extract.fold import Folded, fold
from migrator.extract.gather import (
    Bundle,
    check_names,
    common_types,
    gather,
    settle,
    staged_table,
    unknown_types,
)
from migrator.extract.members import MemberFolder, Members, Missing, file_fields
from migrator.staging import columns
from migrator.staging.engine import Session, quote
from migrator.staging.ledger import storable
from migrator.staging.store import Building, Dataset, Finished, Kind, Part, Store, write_table

VERSION = 1
"""Of what this module makes of a source; raise it when the same source would be staged differently."""

RESUME_UNKNOWN = timedelta(hours=24)
"""How long an interrupted extract of a source that cannot say whether it changed may be gone on with."""


@dataclass(frozen=True, slots=True)
class _Task:
    """One object to extract."""

    store: Store
    source: Source
    schema: ObjectSchema
    name: str
    known: str
    """The source's own fingerprint of the object; '' when it cannot tell."""
    stamp: str
    """Fingerprint of all that decides what will be staged."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """The two datasets an extract builds; parts of one number belong together."""

    staged: Building
    rejects: Building

    def is_whole(self) -> bool:
        """Whether every committed part still has the rejects that were read with it."""
        told = {part.number: part.detail["rejects"] for part in self.staged.parts if part.detail["rejects"]}
        return told == {part.number: part.rows for part in self.rejects.parts if part.rows}


def extract_object(
    store: Store,
    session_factory: Callable[[], Session],
    source: Source,
    system: str,
    schema: ObjectSchema,
    *,
    files: Path,
    progress: Progress,
    page_rows: int = 50_000,
    policy: RetryPolicy = PATIENT,
) -> Dataset:
    """Read one object into STAGED and REJECTS 'system/object', unless what is staged is what the source still holds.

    `files` is the folder for binary members. An interrupted extract goes on after its last committed part. A source
    that cannot tell whether it changed is always read again; its dataset is then named by its content, so that later
    steps rest when nothing changed. Raises `SafetyStop` when the source changes while it is read, and `RetryableError`
    when it stays out of reach: what was read until then is kept.
    """
    check_names(schema)
    name = f"{system}/{schema.name}"
    known = _known(source, schema)
    stamp = _stamp(source, schema, known)
    task = _Task(store, source, schema, name, known, stamp)
    clock = store.ledger.clock
    progress.start("extract", name, call(lambda: source.count(schema.name), policy=policy, clock=clock))
    if known and all(store.is_current(kind, name, stamp) for kind in (Kind.STAGED, Kind.REJECTS)):
        progress.done("extract", name, "unchanged")
        return store.need(Kind.STAGED, name, made_by="extract")
    progress.advance("extract", name, _rows_read(task))
    folder = MemberFolder(files)
    attempt = resume(
        lambda: _read(task, folder, progress, page_rows), lambda: _rows_read(task), policy=policy, clock=clock
    )
    if known and source.fingerprint(schema.name) != known:
        raise SafetyStop(
            f"{name}: the source changed while it was read", hint="run again when nobody changes it"
        )
    with closing(session_factory()) as session:
        dataset = _finish(task, attempt, session)
    progress.done("extract", name, _note(dataset))
    return dataset


def is_staged(store: Store, source: Source, system: str, schema: ObjectSchema) -> bool:
    """Whether what is staged of an object is what the source still holds, as far as the source can tell."""
    known = _known(source, schema)
    return known != "" and store.is_current(
        Kind.STAGED, f"{system}/{schema.name}", _stamp(source, schema, known)
    )


def _known(source: Source, schema: ObjectSchema) -> str:
    """The source's own fingerprint of an object; '' when it cannot tell."""
    return "" if source.facts.live else source.fingerprint(schema.name)


def _stamp(source: Source, schema: ObjectSchema, known: str) -> str:
    """Of all that decides what will be staged."""
    facts = source.facts
    return fingerprint("extract", VERSION, known, _shape(schema), facts.copies_overlap, facts.recency_fields)


def describe(schema: ObjectSchema) -> dict[str, Any]:
    """A schema as plain JSON values: what stands in a staged dataset's detail."""
    described: dict[str, Any] = json.loads(schemas_to_json([schema]))["objects"][0]
    return described


def _shape(schema: ObjectSchema) -> list[Any]:
    """What of a schema decides the staged rows; types do not, since nothing is cast here."""
    return [schema.key, [[item.name, item.type is FieldType.FILE] for item in schema.fields]]


def _begin(task: _Task) -> _Attempt:
    """Go on with what an interrupted extract of the same source left, or begin anew."""
    attempt = _build(task, resume=True)
    begun = attempt.staged.dataset.created_at
    stale = not task.known and begun is not None and task.store.ledger.clock.now() - begun > RESUME_UNKNOWN
    keep = max((part.number + 1 for part in attempt.staged.parts if _goes_on(part)), default=0)
    attempt.staged.truncate(keep)
    attempt.rejects.truncate(keep)
    if stale or not attempt.is_whole():
        return _build(task, resume=False)
    return attempt


def _build(task: _Task, *, resume: bool) -> _Attempt:
    build = partial(task.store.build, name=task.name, fingerprint=task.stamp, resume=resume)
    return _Attempt(build(Kind.STAGED), build(Kind.REJECTS))


def _goes_on(part: Part) -> bool:
    """Whether reading can go on after this part, or has nothing left to do."""
    return part.cursor is not None or bool(part.detail["last"])


def _rows_read(task: _Task) -> int:
    """Rows committed so far by an extract that is not finished."""
    begun = task.store.unfinished(Kind.STAGED, task.name)
    return sum(part.rows for part in begun.parts) if begun else 0


def _read(task: _Task, folder: MemberFolder, progress: Progress, page_rows: int) -> _Attempt:
    """Read all that is not committed yet, part by part; rejects first, then the rows that vouch for them."""
    attempt = _begin(task)
    staged, source, schema = attempt.staged, task.source, task.schema
    if staged.parts and staged.parts[-1].detail["last"]:
        return attempt
    cursor = staged.parts[-1].cursor if staged.parts else None
    members = _members(source, schema, folder)
    for bundle in gather(source.read(schema.name, cursor=cursor, page_rows=page_rows), schema):
        missing = Missing()
        rows = members.keep(bundle.rows, missing) if members else bundle.rows
        number = len(staged.parts)
        _keep_rejects(attempt.rejects, number, bundle)
        staged.add_table(
            staged_table(rows, bundle.places, staged.rows),
            number=number,
            cursor=bundle.cursor,
            detail={
                "last": bundle.last,
                "rejects": len(bundle.rejects),
                "unknown": list(unknown_types(rows)),
                "missing": missing.as_json(),
            },
        )
        progress.advance("extract", task.name, rows.num_rows)
    return attempt


def _members(source: Source, schema: ObjectSchema, folder: MemberFolder) -> Members | None:
    fields = file_fields(schema)
    return Members(source, schema.name, fields, folder) if fields and isinstance(source, FileSource) else None


def _keep_rejects(rejects: Building, number: int, bundle: Bundle) -> None:
    # A crash after this and before the part of the same number leaves rejects nobody vouches for: `_begin` takes
    # them back.
    if bundle.rejects:
        rejects.add_table(_rejects_table(bundle.rejects), number=number)


def _rejects_table(rejects: Sequence[Reject]) -> pa.Table:
    rows = [
        {columns.PLACE: item.place, "rule": item.rule, "message": item.message, "raw": item.raw}
        for item in rejects
    ]
    clean = [
        {key: text.encode(errors="backslashreplace").decode() for key, text in row.items()} for row in rows
    ]
    return pa.Table.from_pylist(clean, schema=columns.REJECTS)


def _finish(task: _Task, attempt: _Attempt, session: Session) -> Dataset:
    """Give all parts one type a column, fold copies, and let both datasets take their place at once."""
    staged, rejects, schema = attempt.staged, attempt.rejects, task.schema
    read, refused = staged.rows, rejects.rows
    missing = Missing()
    for part in staged.parts:
        missing.add(part.detail["missing"])
    if not rejects.parts:
        rejects.add_table(columns.REJECTS.empty_table(), number=0)
    _unify(staged)
    folded = fold(session, staged, schema, task.source.facts)
    content = None if task.known else _content(session, attempt, schema)
    detail = {
        "schema": describe(schema),
        "read": read,
        "rejects": refused,
        "folded": folded.identical + folded.superseded,
        "superseded": folded.superseded,
        "superseded_keys": [storable(key) for key in folded.superseded_keys],
        "copies": folded.copies,
        "warnings": [storable(text) for text in (*missing.warnings(), *_warnings(folded, task))],
    }
    return task.store.complete_all([Finished(staged, detail, content), Finished(rejects, {}, content)])[0]


def _unify(staged: Building) -> None:
    """Write parts again whose columns do not have the type that holds all parts' values (rare: typed files that differ)."""
    schemas = [pq.read_schema(part.path) for part in staged.parts]
    types = common_types(schemas, [part.detail["unknown"] for part in staged.parts])
    for part, schema in zip(staged.parts, schemas, strict=True):
        if any(schema.field(name).type != kind for name, kind in types.items()):
            rows = settle(pq.read_table(part.path), types)
            staged.replace(part.number, partial(write_table, rows))


def _content(session: Session, attempt: _Attempt, schema: ObjectSchema) -> str:
    """A fingerprint of what was read, whatever the order of the rows."""
    names = [*schema.field_names, columns.COPY]
    staged = _digest(session, "staged_content", attempt.staged, names)
    rejects = _digest(session, "rejects_content", attempt.rejects, columns.REJECTS.names)
    return fingerprint("content", VERSION, _shape(schema), staged, rejects)


def _digest(session: Session, view: str, building: Building, names: Sequence[str]) -> list[Any]:
    parts = building.parts
    session.view(view, building.files_of(part for part in parts if part.rows), pq.read_schema(parts[0].path))
    listed = ", ".join(quote(name) for name in names)
    # A sum does not depend on the order; 128 bits hold the sum of 2^64 rows' hashes.
    digest = session.fetch(
        f"SELECT count(*) AS n, CAST(sum(CAST(hash({listed}) AS HUGEINT)) AS VARCHAR) AS digest FROM {quote(view)}"
    )
    return [digest.column("n")[0].as_py(), digest.column("digest")[0].as_py()]


def _warnings(folded: Folded, task: _Task) -> list[str]:
    schema, found = task.schema, []
    if folded.identical and not task.source.facts.copies_overlap:
        found.append(
            f"{folded.identical} rows say in every column what a row before them says: each record moves once"
        )
    if folded.superseded:
        found.append(
            f"{folded.superseded} older copies of records were left for the newest one; the first keys are listed"
        )
    if folded.copies:
        found.append(
            f"{folded.copies} rows share their key ({schema.key}) with another, differing row: "
            "the first moves, the others are quarantined"
        )
    return found


def _note(dataset: Dataset) -> str:
    told = [f"{dataset.rows:,} rows"]
    for word in ("folded", "copies", "rejects"):
        if dataset.detail[word]:
            told.append(f"{dataset.detail[word]:,} {word}")
    return ", ".join(told)
