"""The lists beside the report, of any length, as Parquet for machines and CSV for people: every failing record, values masked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from migrator.core.errors import FatalError
from migrator.core.mapped import MappedObject
from migrator.staging import columns as c
from migrator.staging.engine import Session, literal, quote
from migrator.staging.relation import relation
from migrator.staging.store import Dataset, Kind, Store
from validation.differences import NOT_COMPARABLE
from validation.privacy import Privacy, show_sql, shown_values
from validation.rules import FAILING, RuleResult
from validation.verdict import Example, Status

FAILING_RECORDS = pa.schema(
    [
        pa.field(name, pa.string())
        for name in ("object", "record", "key", "check", "field", "expected", "actual")
    ]
)
"""`record` is SOURCE:KEY, null for a record that only the target has; `key` is the external key in the target."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Where a list was written, and how many rows it has."""

    parquet: Path
    csv: Path
    rows: int


def write_list(session: Session, queries: Sequence[str], path: Path, schema: pa.Schema) -> Listing:
    """Write PATH.parquet and PATH.csv from queries whose rows have `schema`, streaming."""
    files = Listing(path.with_suffix(".parquet"), path.with_suffix(".csv"), 0)
    rows = 0
    try:
        with (
            pq.ParquetWriter(files.parquet, schema, compression="zstd") as parquet,
            files.csv.open("wb") as stream,
        ):
            stream.write("\ufeff".encode())  # so that Excel reads Chinese
            with pacsv.CSVWriter(stream, schema) as listing:
                for table in _stream(session, queries, schema):
                    parquet.write_table(table)
                    listing.write_table(_inert(table))
                    rows += table.num_rows
    except OSError as error:
        raise FatalError(
            f"cannot write {path.parent}: {error.strerror}", hint="is the disk full, or the folder read-only?"
        ) from error
    return Listing(files.parquet, files.csv, rows)


def differences_query(session: Session, mapped: MappedObject, dataset: Dataset, privacy: Privacy) -> str:
    """SQL of an object's differences as `FAILING_RECORDS`."""
    rows = relation(session, dataset)
    cases = {side: shown_values(side, "field", mapped, privacy) for side in ("expected", "actual")}
    odd = f"WHEN class = {literal(NOT_COMPARABLE)} THEN {show_sql('actual', None, privacy)}"
    return (
        f'SELECT mapping AS object, {c.ID} AS record, key, class AS "check", field,'
        f" CASE WHEN field = '' THEN NULL ELSE {cases['expected']} END AS expected,"
        f" CASE WHEN field = '' THEN NULL {odd} ELSE {cases['actual']} END AS actual"
        f" FROM {rows}"
    )


def rules_queries(
    session: Session, store: Store, mapped: MappedObject, results: Sequence[RuleResult], privacy: Privacy
) -> list[str]:
    """SQL of the records that fail an object's rules, their values fetched from the read-back, as `FAILING_RECORDS`."""
    return [
        rule_query(session, store, mapped, item, privacy)
        for item in results
        if item.failed and item.status in (Status.FAIL, Status.WARN)
    ]


def rule_query(
    session: Session, store: Store, mapped: MappedObject, result: RuleResult, privacy: Privacy
) -> str:
    """SQL of the records that fail one rule, as `FAILING_RECORDS`."""
    readback = store.need(Kind.READBACK, mapped.name, made_by="validate")
    crosswalk = relation(session, store.current(Kind.CROSSWALK, mapped.name), c.CROSSWALK)
    columns = result.expectation.columns
    item = mapped.schema.field(columns[0]) if len(columns) == 1 else None
    value = f"CAST(r.{quote(columns[0])} AS VARCHAR)" if item is not None else ""
    shown = show_sql(value, item, privacy) if value else "NULL"
    joined = (
        f"LEFT JOIN (SELECT * FROM {relation(session, readback)} QUALIFY row_number() OVER (PARTITION BY"
        f" {quote(mapped.key)}) = 1) r ON CAST(r.{quote(mapped.key)} AS VARCHAR) = f.key"
        if value
        else ""
    )
    return (
        f'SELECT f.object, x.{c.ID} AS record, f.key, {literal(check_name(result))} AS "check", f.field, NULL AS expected, {shown} AS actual'
        f" FROM {quote(FAILING)} f {joined} LEFT JOIN {crosswalk} x ON x.target_key = f.key"
        f" WHERE f.object = {literal(mapped.name)} AND f.number = {result.number}"
    )


def check_name(result: RuleResult) -> str:
    """What the list calls a rule: its type, and its variant where it has one."""
    rule = result.expectation
    return f"{rule.type}#{rule.variant}" if rule.variant else rule.type


def examples(session: Session, query: str, name: str, limit: int = 3) -> tuple[Example, ...]:
    """The first records of such a query, in the order of their keys."""
    rows = session.fetch(f"SELECT * FROM ({query}) ORDER BY key NULLS LAST LIMIT {limit}").to_pylist()
    return tuple(
        Example(f"{name}/{row['record'] or row['key'] or '?'}", row["expected"], row["actual"])
        for row in rows
    )


def _stream(session: Session, queries: Sequence[str], schema: pa.Schema) -> Iterator[pa.Table]:
    for query in queries:
        cursor = session.cursor()
        try:
            for batch in cursor.stream(query):
                yield pa.Table.from_batches([batch]).cast(schema)
        finally:
            cursor.close()


def _inert(table: pa.Table) -> pa.Table:
    """What a spreadsheet would take for a formula gets an apostrophe in front; numbers stay numbers."""
    import pyarrow.compute as pc

    columns = []
    for column in table.columns:
        if not pa.types.is_string(column.type):
            columns.append(column)
            continue
        formula = pc.and_(
            pc.match_substring_regex(column, r"^[=+\-@\t\r]"),
            pc.invert(pc.match_substring_regex(column, r"^[+\-]?[0-9.]+$")),
        )
        columns.append(
            pc.if_else(
                pc.fill_null(formula, fill_value=False), pc.binary_join_element_wise("'", column, ""), column
            )
        )
    return pa.Table.from_arrays(columns, schema=table.schema)
