"""Every failing record in one list beside the report, as Parquet for machines and CSV for people, values masked."""

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
from validation.privacy import Privacy, show_sql
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
class FailingFiles:
    """Where the list was written, and how many rows it has."""

    parquet: Path
    csv: Path
    rows: int


def write_failing(session: Session, queries: Sequence[str], out: Path) -> FailingFiles:
    """Write failing.parquet and failing.csv into `out` from queries of `FAILING_RECORDS`, streaming."""
    files = FailingFiles(out / "failing.parquet", out / "failing.csv", 0)
    rows = 0
    try:
        with (
            pq.ParquetWriter(files.parquet, FAILING_RECORDS, compression="zstd") as parquet,
            files.csv.open("wb") as stream,
        ):
            stream.write("\ufeff".encode())  # so that Excel reads Chinese
            with pacsv.CSVWriter(stream, FAILING_RECORDS) as listing:
                for table in _stream(session, queries):
                    parquet.write_table(table)
                    listing.write_table(_inert(table))
                    rows += table.num_rows
    except OSError as error:
        raise FatalError(
            f"cannot write {out}: {error.strerror}", hint="is the disk full, or the folder read-only?"
        ) from error
    return FailingFiles(files.parquet, files.csv, rows)


def differences_query(
    session: Session, mapped: MappedObject, dataset: Dataset, privacy: Privacy, *, hidden: Sequence[str] = ()
) -> str:
    """SQL of an object's differences as `FAILING_RECORDS`; reasons in `hidden` (records of others) are left out."""
    rows = relation(session, dataset)
    cases = {side: _shown(mapped, side, privacy) for side in ("expected", "actual")}
    left_out = ", ".join(literal(reason) for reason in hidden) or "''"
    return (
        f'SELECT mapping AS object, {c.ID} AS record, key, class AS "check", field,'
        f" CASE WHEN field = '' THEN NULL ELSE {cases['expected']} END AS expected,"
        f" CASE WHEN field = '' THEN NULL ELSE {cases['actual']} END AS actual"
        f" FROM {rows} WHERE class NOT IN ({left_out})"
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
        f'SELECT f.object, x.{c.ID} AS record, f.key, f.rule AS "check", f.field, NULL AS expected, {shown} AS actual'
        f" FROM {quote(FAILING)} f {joined} LEFT JOIN {crosswalk} x ON x.target_key = f.key"
        f" WHERE f.object = {literal(mapped.name)} AND f.number = {result.number}"
    )


def examples(session: Session, query: str, name: str, limit: int = 3) -> tuple[Example, ...]:
    """The first records of such a query, in the order of their keys."""
    rows = session.fetch(f"SELECT * FROM ({query}) ORDER BY key NULLS LAST LIMIT {limit}").to_pylist()
    return tuple(
        Example(f"{name}/{row['record'] or row['key'] or '?'}", row["expected"], row["actual"])
        for row in rows
    )


def _shown(mapped: MappedObject, side: str, privacy: Privacy) -> str:
    cases = " ".join(
        f"WHEN {literal(item.name)} THEN {show_sql(side, item, privacy)}" for item in mapped.fields
    )
    return f"CASE field {cases} END"


def _stream(session: Session, queries: Sequence[str]) -> Iterator[pa.Table]:
    for query in queries:
        cursor = session.cursor()
        try:
            for batch in cursor.stream(query):
                yield pa.Table.from_batches([batch]).cast(FAILING_RECORDS)
        finally:
            cursor.close()


def _inert(table: pa.Table) -> pa.Table:
    """What a spreadsheet would take for a formula gets an apostrophe in front; numbers stay numbers."""
    import pyarrow.compute as pc

    columns = []
    for column in table.columns:
        formula = pc.and_(
            pc.match_substring_regex(column, r"^[=+\-@\t\r]"),
            pc.invert(pc.match_substring_regex(column, r"^[+\-]?[0-9.]+$")),
        )
        columns.append(
            pc.if_else(
                pc.fill_null(formula, fill_value=False), pc.binary_join_element_wise("'", column, ""), column
            )
        )
    return pa.Table.from_arrays(columns, schema=FAILING_RECORDS)
