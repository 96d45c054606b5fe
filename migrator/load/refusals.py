"""What the target's own schema says against rows that are to be sent: told before anything is, by field and rule.

The rows are sent all the same, for the target alone decides what it takes; what it refuses is quarantined in its own words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from migrator.core.mapped import MappedObject
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.staging import columns
from migrator.staging.action import SENT, Action, listed
from migrator.staging.engine import Session, literal, quote
from migrator.staging.relation import relation
from migrator.staging.store import Dataset

_ID, _ACTION = quote(columns.ID), quote(columns.ACTION)
_TEXTS = frozenset({FieldType.STRING, FieldType.TEXT, FieldType.PICKLIST, FieldType.ID})
_CASTS = {
    FieldType.INTEGER: "BIGINT",
    FieldType.DECIMAL: "DECIMAL(38, 10)",
    FieldType.FLOAT: "DOUBLE",
    FieldType.BOOLEAN: "BOOLEAN",
    FieldType.DATE: "DATE",
    FieldType.DATETIME: "TIMESTAMPTZ",
    FieldType.TIME: "TIME",
}


@dataclass(frozen=True, slots=True)
class Expected:
    """Rows that break one rule of the target, as its schema stands."""

    field: str
    rule: str
    """'required', 'length', 'picklist', 'type', 'range' or 'unique'."""
    limit: str
    """What the target permits, in words."""
    records: int
    example: str
    """`__id` of one of them."""


def expected_refusals(
    session: Session, obj: MappedObject, planned: Dataset, target: ObjectSchema
) -> tuple[Expected, ...]:
    """Every rule of the target's schema that rows to be sent break."""
    rows, sent = relation(session, planned), f"{_ACTION} IN ({listed(SENT)})"
    found = []
    checks = [
        (item.name, *check)
        for item in obj.fields
        if (theirs := target.field(item.name)) is not None
        for check in _checks(obj, item, theirs)
    ]
    if checks:
        counted = ", ".join(
            f"count(*) FILTER ({breaks}) AS n{place}, min({_ID}) FILTER ({breaks}) AS e{place}"
            for place, (_, _, _, breaks) in enumerate(checks)
        )
        (row,) = session.fetch(f"SELECT {counted} FROM {rows} WHERE {sent}").to_pylist()
        found = [
            Expected(name, rule, limit, row[f"n{place}"], row[f"e{place}"])
            for place, (name, rule, limit, _) in enumerate(checks)
            if row[f"n{place}"]
        ]
    for item in obj.fields:
        theirs = target.field(item.name)
        if theirs is not None and theirs.unique and item.name != obj.key and obj.link(item.name) is None:
            found += _doubled(session, rows, item.name)
    return tuple(found)


def _checks(obj: MappedObject, ours: FieldSchema, theirs: FieldSchema) -> Iterator[tuple[str, str, str]]:
    """(rule, what is permitted, SQL for what breaks it)."""
    name, link = quote(ours.name), obj.link(ours.name)
    if theirs.required and not (link and link.deferred):
        yield "required", "not empty", f"{name} IS NULL"
    if link is not None:
        return
    text = f"CAST({name} AS VARCHAR)"
    if theirs.length is not None and ours.type in _TEXTS:
        yield "length", f"at most {theirs.length:,} characters", f"length({text}) > {theirs.length:d}"
    if theirs.values and theirs.type is FieldType.PICKLIST:
        yield "picklist", _few(theirs.values), f"{text} NOT IN ({_literals(theirs.values)})"
    if theirs.values and theirs.type is FieldType.MULTI_PICKLIST:
        strange = f"list_filter(string_split({text}, ';'), lambda __v: trim(__v) NOT IN ({_literals(theirs.values)}))"
        yield "picklist", _few(theirs.values), f"len({strange}) > 0"
    if theirs.type in _CASTS and ours.type in _TEXTS:
        yield (
            "type",
            theirs.type.value,
            f"{name} IS NOT NULL AND TRY_CAST({name} AS {_CASTS[theirs.type]}) IS NULL",
        )
    if (
        theirs.type is FieldType.DECIMAL
        and theirs.precision is not None
        and ours.type in {FieldType.DECIMAL, FieldType.INTEGER}
    ):
        digits = theirs.precision - (theirs.scale or 0)
        yield "range", f"{digits} digits before the point", f"abs({name}) >= CAST('1e{digits:d}' AS DOUBLE)"


def _doubled(session: Session, rows: str, name: str) -> list[Expected]:
    there = listed((*SENT, Action.UNCHANGED))
    (row,) = session.fetch(
        f"SELECT coalesce(sum(n), 0) AS n, min(example) AS example FROM (SELECT count(*) AS n, min({_ID}) AS example"
        f" FROM {rows} WHERE {_ACTION} IN ({there}) AND {quote(name)} IS NOT NULL"
        f" GROUP BY {quote(name)} HAVING count(*) > 1)"
    ).to_pylist()
    return [Expected(name, "unique", "once only", int(row["n"]), row["example"])] if row["n"] else []


def _literals(values: tuple[str, ...]) -> str:
    return ", ".join(literal(value) for value in values)


def _few(values: tuple[str, ...]) -> str:
    shown = ", ".join(values[:5])
    return f"one of {shown}, …" if len(values) > 5 else f"one of {shown}"
