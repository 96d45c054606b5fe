"""Expressions over merged records: an SQL expression whose fields stand inside aggregates, held against a closed list."""

from __future__ import annotations

from collections.abc import Mapping

import sqlglot
from sqlglot import exp

from migrator.core.errors import ProjectError
from migrator.mapping.bound import Column
from migrator.mapping.expressions import At, parse_formula

AGGREGATES: Mapping[str, type[exp.Expr]] = {
    "avg": exp.Avg,
    "bool_and": exp.LogicalAnd,
    "bool_or": exp.LogicalOr,
    "count": exp.Count,
    "max": exp.Max,
    "median": exp.Median,
    "min": exp.Min,
    "string_agg": exp.GroupConcat,
    "sum": exp.Sum,
}
"""Aggregates whose answer does not depend on the order of rows; `string_agg` goes by trust."""
_NODES = frozenset({*AGGREGATES.values(), exp.Distinct})


def parse_aggregate(text: str, fields: Mapping[str, Column], at: At) -> str:
    """The SQL of an aggregate over members' rows, as `Custom.sql`; raises `ProjectError` with every problem."""
    formula = parse_formula(text, fields, at, _NODES)
    tree = sqlglot.parse_one(formula.sql, dialect="duckdb")
    for column in tree.find_all(exp.Column):
        around = [node for node in _above(column) if type(node) in AGGREGATES.values()]
        if len(around) != 1:
            words = "inside two aggregates" if around else "outside of an aggregate"
            hint = f"several records have this field: say which value, for example max({column.name})"
            raise ProjectError.at(at(0), f"{column.name!r} stands {words}", hint)
    for joined in list(tree.find_all(exp.GroupConcat)):
        if joined.this.find(exp.Distinct):
            raise ProjectError.at(at(0), "string_agg of distinct values has no order", "use {union: …}")
        place = exp.Ordered(this=exp.column("__trusted"))
        joined.set("this", exp.Order(this=joined.this, expressions=[place]))
    return tree.sql(dialect="duckdb", comments=False)


def _above(node: exp.Expr) -> list[exp.Expr]:
    found = []
    parent = node.parent
    while parent is not None:
        found.append(parent)
        parent = parent.parent
    return found
