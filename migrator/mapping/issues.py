"""The rules a row can break while it is mapped: stable names, what they mean, and the SQL that tells of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from migrator.core.errors import Severity
from migrator.staging.columns import ISSUES_TYPE
from migrator.staging.engine import literal

RULES: Mapping[str, str] = {
    "key.missing": "the source row has no key; its `__id` is made from its row number",
    "key.duplicate": "another row of the source has the same key",
    "required.missing": "a required field has no value",
    "cast.integer": "the text is not a whole number that fits 64 bits",
    "cast.decimal": "the text is not a number",
    "cast.precision": "the number has more digits than the type or its currency holds (for a datetime, as a warning: digits behind the microsecond)",
    "cast.float": "the text is not a number",
    "cast.boolean": "the text is neither true nor false",
    "cast.date": "the text is not a date, or has a time of day",
    "cast.datetime": "the text is not a date and time, or lies outside the years 1 to 9999",
    "cast.time": "the text is not a time of day",
    "length.exceeded": "the text is longer than the target holds",
    "value.unmapped": "the value map does not know the value",
    "value.unknown": "the value is not in the target's list",
    "join.missing": "no record of the joined object belongs to the row",
    "join.ambiguous": "more than one record of the joined object belongs to the row",
    "explode.failed": "the column that should hold a JSON list holds something else",
    "lookup.missing": "the linked record is not in the source",
    "lookup.ambiguous": "more than one record fits the link",
    "lookup.inactive": "the linked record is inactive; another stands in for it (a warning)",
    "currency.unknown": "the amount's currency is blank, or no code of ISO 4217",
    "rate.missing": "no rate for the amount's currency holds on its day",
    "expr.failed": "the expression cannot be computed for this row (overflow, division by zero, a failed cast)",
    "expr.operand": "a column used in an expression or condition holds a text that is not of the column's type",
}
"""Rule → what it says of a row; users filter the quarantine by these names."""

NONE = f"CAST([] AS {ISSUES_TYPE})"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that may be wrong with a row."""

    when: str
    """SQL condition; never null."""
    field: str
    rule: str
    value: str
    """SQL of the offending text."""
    message: str
    severity: Severity = Severity.ERROR
    implied: bool = False
    """A later check of the same field holds whenever this does, so that it need not be asked for by itself."""
    withholds: bool = False
    """The field's value stays null in the row when this holds."""


def issue(check: Check) -> str:
    """The issue as a struct of the engine; the message holds no data, since data may be personal."""
    parts = {
        "field": literal(check.field),
        "rule": literal(check.rule),
        "value": check.value,
        "message": literal(check.message),
        "severity": literal(check.severity.value),
    }
    return "{" + ", ".join(f"'{name}': {sql}" for name, sql in parts.items()) + "}"


def any_of(checks: Sequence[Check]) -> str:
    """Whether any of them holds."""
    return " OR ".join(f"({check.when})" for check in checks if not check.implied) or "FALSE"


def issues_of(checks: Sequence[Check], *, indent: str) -> str:
    """The issues of a flawed row: at most one for each field, the first that holds."""
    by_field: dict[str, list[Check]] = {}
    for check in checks:
        by_field.setdefault(check.field, []).append(check)
    cases = [
        "CASE " + " ".join(f"WHEN {check.when} THEN {issue(check)}" for check in group) + " END"
        for group in by_field.values()
    ]
    listed = f",\n{indent}  ".join(cases)
    return f"list_filter([\n{indent}  {listed}\n{indent}], lambda found: found IS NOT NULL)"
