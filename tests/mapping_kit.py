"""What mapping tests share: text-staged objects, mappings from YAML texts, and the rows that come out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from migrator.core.document import Document
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.mapping import Bound, CompiledMapping, bind, compile_mapping, parse_mapping
from migrator.staging.engine import DuckSession, EngineSettings, open_engine

Rows = Sequence[Mapping[str, Any]]


def make_schema(name: str, /, key: str = "Id", **types: str) -> ObjectSchema:
    """An object with text fields of the given schema types; 'reference:Account' names what it points to."""
    fields = []
    for field, written in {**({key: "id"} if key else {}), **types}.items():
        kind, _, references = written.partition(":")
        listed = tuple(references.split(",")) if references else ()
        fields.append(FieldSchema(field, FieldType(kind), references=listed))
    return ObjectSchema(name, key, tuple(fields))


def staged_table(
    schema: ObjectSchema, rows: Rows, types: Mapping[str, pa.DataType] | None = None
) -> pa.Table:
    """Rows as extract stages them: text unless `types` says otherwise, then __row, __place, __copy."""
    columns = {
        name: pa.array([row.get(name) for row in rows], (types or {}).get(name, pa.string()))
        for name in schema.field_names
    }
    columns["__row"] = pa.array(range(len(rows)), pa.int64())
    columns["__place"] = pa.array(
        [f"{schema.name}.csv:{number + 2}" for number in range(len(rows))], pa.string()
    )
    columns["__copy"] = pa.array([row.get("__copy", 0) for row in rows], pa.int32())
    return pa.table(columns)


def bind_texts(
    texts: Mapping[str, str], schemas: Mapping[str, Sequence[ObjectSchema]], project: Path, **options: Any
) -> Bound:
    """Mappings from YAML by file name, bound to schemas by system."""
    mappings = [parse_mapping(Document(text, file), project) for file, text in texts.items()]
    by_system = {system: {item.name: item for item in items} for system, items in schemas.items()}
    return bind(mappings, by_system, **options)


@contextmanager
def engine(folder: Path) -> Iterator[DuckSession]:
    """A session that lives in `folder`."""
    session = open_engine(EngineSettings(memory_limit="500MB", threads=1), folder)
    try:
        yield session
    finally:
        session.close()


def run_sql(
    session: DuckSession, compiled: CompiledMapping, staged: Mapping[str, pa.Table], sql: str = ""
) -> list[dict[str, Any]]:
    """The mapped rows in order of `__id`."""
    for name, rows in staged.items():
        session.table(name, rows)
    for name, rows in compiled.tables.items():
        session.table(name, rows)
    found = session.fetch(sql or compiled.sql).to_pylist()
    return sorted(found, key=lambda row: str(row["__id"]))


def map_one(
    tmp_path: Path,
    fields: str,
    rows: Rows,
    *,
    extra: str = "",
    staged: Mapping[str, pa.DataType] | None = None,
    **types: str,
) -> list[dict[str, Any]]:
    """Rows of one object `T` of the system `old` through a mapping with these `fields` (YAML, one line each)."""
    schema = make_schema("T", **types)
    listed = "\n".join(f"  {line.strip()}" for line in fields.strip().splitlines())
    text = (
        "mapping: t\ntarget: {system: new, object: t, key: legacy_id}\n"
        f"source: {{system: old, object: T{extra}}}\nfields:\n{listed}\n"
    )
    table = staged_table(schema, rows, staged)
    bound = bind_texts({"t.yaml": text}, {"old": [schema]}, tmp_path, staged={"old/T": table.schema}.get)
    with engine(tmp_path) as session:
        return run_sql(session, compile_mapping(bound.mappings[0]), {"old/T": table})


def issues(row: Mapping[str, Any]) -> list[tuple[str, str, str | None]]:
    """(field, rule, value) of a row's issues."""
    return [(item["field"], item["rule"], item["value"]) for item in row["__issues"]]
