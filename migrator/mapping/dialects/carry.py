"""A compiled mapping for another engine, or a `ProjectError` that says at which place of the mapping it cannot be carried."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pyarrow as pa

from migrator.core.dialect import Dialect
from migrator.core.errors import Location, Problem, ProjectError
from migrator.mapping.compile import CompiledMapping
from migrator.mapping.compile_source import tried
from migrator.mapping.sql import readable
from migrator.staging.dialects.kinds import NotCarried
from migrator.staging.dialects.settings import SETTINGS
from migrator.staging.dialects.statement import Table, arrow_columns, spark_query

_HOOK = "a function of the project (python); it runs beside the engine only"
_JSON = "explode of a JSON list, whose values the engines write in different ways; split is carried"
StagedSchema = Callable[[str], "pa.Schema | None"]
"""Arrow schema of a staged relation, or None when nothing is staged yet: its columns are then read as texts."""


def written_for(dialect: Dialect, compiled: CompiledMapping, staged: StagedSchema, place: Location) -> str:
    """The query in an engine's words, laid out for a person; errors as those of `for_spark`."""
    match dialect:
        case Dialect.DUCKDB:
            return readable(compiled.sql)
        case Dialect.SPARK:
            return for_spark(compiled, staged, place)


def for_spark(compiled: CompiledMapping, staged: StagedSchema, place: Location) -> str:
    """The query in Spark SQL, under the settings that it needs; `place` is the mapping's own.

    Raises `ProjectError` with every expression that Spark would compute in another way.
    """
    if compiled.hooks:
        raise ProjectError([_problem(item.hook.used, NotCarried(_HOOK)) for item in compiled.hooks])
    if any(source.explode is not None and not source.explode.split for source in compiled.mapped.sources):
        raise ProjectError([_problem(place, NotCarried(_JSON))])
    tables = {relation: arrow_columns(staged(relation)) for relation in compiled.relations}
    tables |= {relation: arrow_columns(table.schema) for relation, table in compiled.tables.items()}
    try:
        query = spark_query(compiled.sql, tables)
    except NotCarried as whole:
        raise ProjectError(_probed(compiled, tables) or [_problem(place, whole)]) from whole
    settings = "".join(f"SET {name} = {value};\n" for name, value in SETTINGS.items())
    return f"{settings}{query}"


def _probed(compiled: CompiledMapping, tables: Mapping[str, Table]) -> list[Problem]:
    """The expressions that alone cannot be carried, each at its place; not those over rows that cannot be."""
    found = []
    for probe in compiled.probes:
        try:
            spark_query(replace(probe, expression="NULL").sql, tables)
        except NotCarried:
            continue
        try:
            spark_query(replace(probe, expression=tried(probe.expression)).sql, tables)
        except NotCarried as reason:
            found.append(_problem(probe.place, reason))
    return found


def _problem(place: Location, reason: NotCarried) -> Problem:
    return Problem(
        place,
        f"Spark cannot compute this as the engine does: {reason}",
        "docs/mapping.md says what is carried to Spark; the mapping still runs on the engine itself",
    )
