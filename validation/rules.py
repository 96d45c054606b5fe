"""Run a suite over a table of any size: chunk by chunk through Great Expectations, merged, every failing key kept.

Three ways, by what an expectation is about:

* values of one row (most): judged chunk by chunk, where the engine has them; counts and failing keys add up exactly.
* uniqueness: two equal values may stand in two chunks, so it is judged by queries over the whole table, on whatever
  engine there is, and reported under the same expectation.
* a whole column or table (means, sums, row counts): judged on one frame of just its columns, up to `WHOLE_ROWS` rows;
  beyond that it "could not be checked", which is neither a pass nor a failure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from migrator.core.document import did_you_mean
from migrator.core.errors import Problem, raise_errors
from migrator.staging.engine import Session, literal, quote, row_count
from validation import gx
from validation.expectations import COMPOUND_UNIQUE, UNIQUE, Expectation, Suite, When
from validation.verdict import Status, judge

if TYPE_CHECKING:
    import pandas as pd

_JUDGED = pa.schema(
    [("number", pa.int32()), ("checked", pa.int64()), ("failed", pa.int64()), ("error", pa.string()),
     ("keys", pa.list_(pa.string()))]
)  # fmt: skip
"""What a rule found in some rows."""

CHUNK_ROWS = 100_000
WHOLE_ROWS = 2_000_000

UNIQUENESS = frozenset({UNIQUE, COMPOUND_UNIQUE})

BY_ROW = frozenset(
    {
        "expect_column_pair_values_a_to_be_greater_than_b",
        "expect_column_pair_values_to_be_equal",
        "expect_column_pair_values_to_be_in_set",
        "expect_column_value_lengths_to_be_between",
        "expect_column_value_lengths_to_equal",
        "expect_column_values_to_be_between",
        "expect_column_values_to_be_dateutil_parseable",
        "expect_column_values_to_be_in_set",
        "expect_column_values_to_be_json_parseable",
        "expect_column_values_to_be_null",
        "expect_column_values_to_match_json_schema",
        "expect_column_values_to_match_regex",
        "expect_column_values_to_match_regex_list",
        "expect_column_values_to_match_strftime_format",
        "expect_column_values_to_not_be_in_set",
        "expect_column_values_to_not_be_null",
        "expect_column_values_to_not_match_regex",
        "expect_column_values_to_not_match_regex_list",
        "expect_multicolumn_sum_to_equal",
        "expect_multicolumn_values_to_be_equal",
        "expect_select_column_values_to_be_unique_within_record",
    }
)
"""Expectations whose verdict on a row depends on that row alone."""

REFUSED = {
    "expect_query_results_to_match_comparison": "it compares at most 200 rows and passes falsely beyond; the reconcile compares every row",
    "expect_table_row_count_to_equal_other_table": "it needs a database; the reconcile counts both sides",
    "unexpected_rows_expectation": "it needs a database",
}

FAILING = "v:failing"
"""Table of failing records in the session: object, rule number, expectation, field, key."""

_SHARED = "v:shared"


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What came of one rule on the whole table."""

    number: int
    """Its place among the rules of its object."""
    expectation: Expectation
    status: Status
    checked: int
    failed: int
    error: str = ""
    observed: str = ""


def check_suite(suite: Suite) -> None:
    """Raise `ProjectError`, with every place, for rules that Great Expectations (or we) cannot run."""
    found = []
    for rule in suite.expectations:
        reason, hint = REFUSED.get(rule.type, ""), "take the rule out"
        if not reason and "row_condition" in rule.kwargs:
            reason, hint = "row_condition is code, and rules may not carry code", "write one rule a case"
        if not reason and rule.when is not None and rule.type not in BY_ROW:
            reason, hint = "`when` is for rules about single rows", "take `when` out"
        if not reason and (reason := gx.problem(rule)):
            hint = did_you_mean(rule.type, gx.known_types()) if rule.type not in gx.known_types() else ""
        if reason:
            found.append(Problem(rule.place, f"{rule.type}: {reason}", hint))
    raise_errors(found)


def start_failing(session: Session) -> None:
    """Make the empty table of failing records."""
    session.table(FAILING, _failing_schema().empty_table())


def run_suite(
    session: Session,
    relation: str,
    key: str,
    suite: Suite,
    *,
    now: datetime,
    chunk_rows: int = CHUNK_ROWS,
    first: int = 0,
) -> tuple[RuleResult, ...]:
    """Judge every row of `relation` (SQL) by the suite; `key` is the SQL of a record's key as text.

    Failing records are added to the table `FAILING` of the session, rules numbered from `first`. Memory is bounded by one chunk of the columns needed.
    """
    columns = tuple(session.fetch(f"SELECT * FROM {relation} LIMIT 0").column_names)
    rows = row_count(session, relation)
    table = _Table(session, relation, key, rows, suite.object, chunk_rows)
    rules = [replace(rule, kwargs=_resolve(rule.kwargs, now)) for rule in suite.expectations]
    results: dict[int, RuleResult] = {}
    by_row: dict[int, Expectation] = {}
    for number, rule in enumerate(rules, first):
        needed = (*rule.columns, rule.when.column) if rule.when else rule.columns
        absent = [name for name in needed if name not in columns]
        if absent:
            hint = did_you_mean(absent[0], columns, noun="fields")
            results[number] = _unchecked(number, rule, f"there is no field {absent[0]!r}; {hint}")
        elif rule.type in UNIQUENESS:
            results[number] = _run_unique(table, number, rule)
        elif rule.type in BY_ROW:
            by_row[number] = rule
        else:
            results[number] = _run_whole(table, number, rule, columns)
    for when in dict.fromkeys(rule.when for rule in by_row.values()):
        results |= _run_by_row(
            _cut(table, when), {n: rule for n, rule in by_row.items() if rule.when == when}
        )
    return tuple(replace(results[n], expectation=rule) for n, rule in enumerate(suite.expectations, first))


@dataclass(frozen=True, slots=True)
class _Table:
    """The table under judgement."""

    session: Session
    relation: str
    key: str
    rows: int
    object: str
    chunk_rows: int

    def select(self, columns: Sequence[str]) -> str:
        """SQL of the key and just these columns."""
        listed = "".join(f", {quote(name)}" for name in columns)
        return f"SELECT {self.key} AS {quote(gx.KEY)}{listed} FROM {self.relation}"


def _cut(table: _Table, when: When | None) -> _Table:
    """Only the rows that a rule is about."""
    if when is None:
        return table
    listed = ", ".join(literal(value) for value in when.values) or "NULL"
    column = f"CAST({quote(when.column)} AS VARCHAR)"
    test = f"{column} {'NOT IN' if when.negated else 'IN'} ({listed})"
    return replace(table, relation=f"(SELECT * FROM {table.relation} WHERE {test})")


def _run_by_row(table: _Table, rules: Mapping[int, Expectation]) -> dict[int, RuleResult]:
    if not rules:
        return {}
    columns = tuple(dict.fromkeys(name for rule in rules.values() for name in rule.columns))
    checked, failed, errors = dict.fromkeys(rules, 0), dict.fromkeys(rules, 0), dict.fromkeys(rules, "")
    with closing(table.session.cursor()) as cursor:
        for batch in cursor.map_batches(table.select(columns), _Judge(rules), _JUDGED, table.chunk_rows):
            for found in batch.to_pylist():
                number = found["number"]
                errors[number] = errors[number] or found["error"]
                checked[number] += found["checked"]
                failed[number] += found["failed"]
                _keep(table, number, rules[number], found["keys"])
    return {
        number: _unchecked(number, rule, _without_values(errors[number], rule))
        if errors[number]
        else _result(number, rule, checked[number], failed[number])
        for number, rule in rules.items()
    }


@dataclass(frozen=True, slots=True)
class _Judge:
    """Judges batches by rules about single rows, wherever the engine has them; one that cannot be evaluated is asked once."""

    rules: Mapping[int, Expectation]
    broken: set[int] = field(default_factory=set)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A row of `_JUDGED` for each rule that is still asked."""
        asked = [number for number in self.rules if number not in self.broken]
        judged = gx.judge(_frame(pa.Table.from_batches([batch])), [self.rules[number] for number in asked])
        self.broken.update(number for number, found in zip(asked, judged, strict=True) if found.error)
        answers = {
            "number": asked,
            "checked": [found.checked for found in judged],
            "failed": [found.failed for found in judged],
            "error": [found.error for found in judged],
            "keys": [found.keys for found in judged],
        }
        return pa.RecordBatch.from_pydict(answers, schema=_JUDGED)


def _frame(rows: pa.Table) -> pd.DataFrame:
    """A frame on pandas' own types: Arrow-backed ones are many times slower in Great Expectations; integers stay whole."""
    import pandas as pd

    whole = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype()}
    found: pd.DataFrame = rows.to_pandas(types_mapper=whole.get)
    return found


def _run_unique(table: _Table, number: int, rule: Expectation) -> RuleResult:
    session = table.session
    looked_at = f"({table.select(rule.columns)} WHERE {_counted(rule)})"
    checked = row_count(session, looked_at)
    session.lay_aside_shared(_SHARED, rule.columns, looked_at)
    same = " AND ".join(f"s.{quote(name)} IS NOT DISTINCT FROM r.{quote(name)}" for name in rule.columns)
    before = row_count(session, quote(FAILING))
    if row_count(session, quote(_SHARED)):
        session.execute(
            f"INSERT INTO {quote(FAILING)} SELECT {literal(table.object)}, {number}, {literal(rule.type)},"
            f" {literal(_subject(rule))}, r.{quote(gx.KEY)} FROM {looked_at} AS r JOIN {quote(_SHARED)} AS s ON {same}"
        )
    return _result(number, rule, checked, row_count(session, quote(FAILING)) - before)


def _counted(rule: Expectation) -> str:
    """Which rows a uniqueness rule looks at: Great Expectations' own meaning of `ignore_row_if`."""
    filled = [f"{quote(name)} IS NOT NULL" for name in rule.columns]
    match rule.kwargs.get("ignore_row_if", "all_values_are_missing"):
        case "never":
            return "TRUE"
        case "any_value_is_missing":
            return " AND ".join(filled)
        case _:
            return "(" + " OR ".join(filled) + ")"


def _run_whole(table: _Table, number: int, rule: Expectation, columns: Sequence[str]) -> RuleResult:
    if table.rows > WHOLE_ROWS:
        return _unchecked(
            number, rule, f"it needs the whole column at once: more than {WHOLE_ROWS:,} records"
        )
    frame = _frame(table.session.fetch(table.select(rule.columns or columns)))
    if not rule.columns:
        frame = frame.drop(columns=[gx.KEY])
    found = gx.judge(frame, [rule])[0]
    if found.error:
        return _unchecked(number, rule, _without_values(found.error, rule))
    _keep(table, number, rule, found.keys)
    failed = found.failed or int(not found.success)
    status = judge(0 if found.success else failed, table.rows, severity=rule.severity)
    return RuleResult(
        number, rule, status, table.rows, 0 if found.success else failed, observed=found.observed
    )


def _result(number: int, rule: Expectation, checked: int, failed: int) -> RuleResult:
    mostly = Decimal(str(rule.kwargs.get("mostly", 1)))
    holds = checked - failed >= mostly * checked
    return RuleResult(
        number, rule, judge(0 if holds else failed, checked, severity=rule.severity), checked, failed
    )


def _unchecked(number: int, rule: Expectation, error: str) -> RuleResult:
    return RuleResult(number, rule, Status.COULD_NOT_CHECK, 0, 0, error)


def _without_values(error: str, rule: Expectation) -> str:
    """Library messages may quote a value of the data: whatever is quoted and is not a name of ours goes."""
    known = {*rule.columns, *map(str, rule.kwargs)}
    return re.sub(
        r"'([^']*)'|\"([^\"]*)\"",
        lambda found: found[0] if (found[1] or found[2] or "") in known else "'…'",
        error,
    )


def _keep(table: _Table, number: int, rule: Expectation, keys: Sequence[str | None]) -> None:
    if not keys:
        return
    size = len(keys)
    schema = _failing_schema()
    values = [
        pa.array([table.object] * size, pa.string()), pa.array([number] * size, pa.int32()),
        pa.array([rule.type] * size, pa.string()), pa.array([_subject(rule)] * size, pa.string()),
        pa.array(keys, pa.string()),
    ]  # fmt: skip
    table.session.table("v:failing-now", pa.Table.from_arrays(values, schema=schema))
    table.session.execute(f'INSERT INTO {quote(FAILING)} FROM "v:failing-now"')


def _subject(rule: Expectation) -> str:
    return ", ".join(rule.columns)


def _resolve(kwargs: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Kwargs with `{$PARAMETER: now}` and `{$PARAMETER: today}` replaced."""
    known = {"now": now.isoformat(), "today": now.date().isoformat()}
    return {
        name: known[value["$PARAMETER"]] if isinstance(value, dict) and "$PARAMETER" in value else value
        for name, value in kwargs.items()
    }


def _failing_schema() -> pa.Schema:
    return pa.schema(
        [("object", pa.string()), ("number", pa.int32()), ("rule", pa.string()), ("field", pa.string()),
         ("key", pa.string())]
    )  # fmt: skip
