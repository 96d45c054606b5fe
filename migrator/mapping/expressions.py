"""Expressions of a mapping: parsed as SQL, held against a closed list, never evaluated by Python."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError

from migrator.core.document import did_you_mean
from migrator.core.errors import Location, Problem, ProjectError
from migrator.mapping.bound import Column, Formula, Stored
from migrator.mapping.functions import ALLOWED, CAST_TYPES, FUNCTIONS
from migrator.mapping.kinds import TEXTUAL
from migrator.staging.columns import RESERVED_PREFIX

At = Callable[[int], Location]
"""From an offset in the expression's text to a place in its file."""
_LONGEST = 10_000


def operand_name(column: Column) -> str:
    """What a formula calls a column: itself, or its typed form where the source staged text."""
    return f"{RESERVED_PREFIX}value {column.name}" if needs_typing(column) else column.engine


def needs_typing(column: Column) -> bool:
    """Whether the schema knows a type that the staged text does not have yet."""
    return column.stored in (Stored.TEXT, Stored.OTHER) and column.kind.type not in TEXTUAL


def parse_formula(
    text: str, columns: Mapping[str, Column], at: At, also: frozenset[type[exp.Expr]] = frozenset()
) -> Formula:
    """The formula in `text`; raises `ProjectError` with every problem: syntax, what is not allowed, unknown columns.

    `also`: nodes that are allowed here besides those of every expression.
    """
    tree = _parse(text, at)
    problems = [*_forbidden(tree, at, ALLOWED | also), *_unknown_columns(tree, columns, at)]
    if problems:
        raise ProjectError(sorted(problems, key=lambda problem: problem.location))
    found = list(tree.find_all(exp.Column))
    operands = {_whole(column): columns[_whole(column)] for column in found}
    for column in found:
        renamed = exp.column(operand_name(columns[_whole(column)]), quoted=True)
        if column is tree:
            tree = renamed
        else:
            column.replace(renamed)
    sql = tree.transform(_refuse_zero).sql(dialect="duckdb", comments=False)
    return Formula(sql, tuple(operands.values()), text, at(0))


def _refuse_zero(node: exp.Expr) -> exp.Expr:
    """A quotient whose divisor is zero cannot be computed; the engine would say infinity for `/` but fail for `//`."""
    if not isinstance(node, exp.Div):
        return node
    fails = exp.IntDiv(this=exp.Literal.number(1), expression=exp.Literal.number(0))
    is_zero = exp.EQ(this=exp.paren(node.expression), expression=exp.Literal.number(0))
    return exp.paren(exp.case().when(is_zero, fails).else_(node.copy()), copy=False)


def _parse(text: str, at: At) -> exp.Expr:
    if len(text) > _LONGEST:
        raise ProjectError.at(at(0), f"an expression of {len(text):,} characters", f"at most {_LONGEST:,}")
    try:
        parsed = [tree for tree in sqlglot.parse(text, dialect="duckdb") if tree is not None]
    except ParseError as error:
        first = error.errors[0] if error.errors else {}
        word = str(first.get("highlight") or "")
        offset = max(int(first.get("col") or 1) - len(word), 0) if first.get("line") == 1 else 0
        raise ProjectError.at(
            at(offset), f"this is not an SQL expression: {_plain(first, error)}", _quoting_hint(text)
        ) from error
    except (SqlglotError, RecursionError) as error:
        raise ProjectError.at(
            at(0), f"this is not an SQL expression: {error}", _quoting_hint(text)
        ) from error
    if len(parsed) != 1:
        what = "more than one statement" if parsed else "nothing"
        raise ProjectError.at(
            at(0), f"an expression holds {what}", "write one value, for example: concat_ws(' ', A, B)"
        )
    return parsed[0]


def _plain(first: Mapping[str, object], error: ParseError) -> str:
    described = str(first.get("description") or error).partition(" for <class")[0]
    word = first.get("highlight")
    return f"{described} (at {word!r})" if word else described


def _quoting_hint(text: str) -> str:
    return (
        "close every quote and parenthesis"
        if text.count("'") % 2 or text.count("(") != text.count(")")
        else "a column whose name is a word of SQL or has spaces stands in double quotes, a text in single quotes"
    )


def _forbidden(tree: exp.Expr, at: At, allowed: frozenset[type[exp.Expr]]) -> list[Problem]:
    problems = []

    def is_refused(node: exp.Expr) -> bool:
        return type(node) not in allowed

    for node in tree.walk(prune=is_refused):
        if isinstance(node, exp.Cast) and node.to.this not in CAST_TYPES:
            problems.append(
                Problem(_place(node, at), f"a cast to {node.to.sql('duckdb')} is not allowed", _cast_hint())
            )
        elif is_refused(node):
            problems.append(
                Problem(_place(node, at), f"{_describe(node)} is not allowed in an expression", _hint(node))
            )
        elif isinstance(node, exp.In) and not node.expressions:
            problems.append(
                Problem(
                    _place(node, at), "'in' needs a list of values", "for example: Status in ('new', 'open')"
                )
            )
    return problems


def _describe(node: exp.Expr) -> str:
    match node:
        case exp.Query() | exp.Subquery() | exp.Exists():
            return "a query"
        case exp.Anonymous():
            return f"the function {str(node.this).lower()!r}"
        case exp.Func():
            return f"the function {node.sql_name().lower()!r}"
        case exp.Star():
            return "'*'"
        case exp.Placeholder() | exp.Parameter():
            return "a parameter"
        case _:
            return f"{node.sql('duckdb')[:40]!r}"


def _hint(node: exp.Expr) -> str:
    match node:
        case exp.Anonymous():
            return did_you_mean(str(node.this).lower(), FUNCTIONS, noun="functions")
        case exp.Query() | exp.Subquery() | exp.Exists():
            return "an expression sees one row of its source; use lookup for values of another object"
        case exp.Func():
            return did_you_mean(node.sql_name().lower(), FUNCTIONS, noun="functions")
        case _:
            return "docs/mapping.md lists what an expression may use"


def _cast_hint() -> str:
    return "allowed: text, int, bigint, decimal(p,s), double, boolean, date, timestamp, timestamptz, time"


def _whole(column: exp.Column) -> str:
    """The name as written: a column of a joined object is NAME.COLUMN, with quotes or without."""
    return ".".join(part.name for part in column.parts)


def _unknown_columns(tree: exp.Expr, columns: Mapping[str, Column], at: At) -> list[Problem]:
    problems = []
    for column in tree.find_all(exp.Column):
        whole = _whole(column)
        if column.table and whole in columns and columns[whole].of:
            continue
        if column.table and column.table in {item.of for item in columns.values()}:
            hint = did_you_mean(whole, columns, noun="columns")
            problems.append(Problem(_place(column, at), f"unknown column {whole!r}", hint))
        elif column.table:
            hint = f'a column with a dot in its name stands in double quotes: "{whole}"'
            problems.append(Problem(_place(column, at), f"{whole!r} is not a column of this source", hint))
        elif column.name not in columns:
            hint = did_you_mean(column.name, columns, noun="columns")
            problems.append(Problem(_place(column, at), f"unknown column {column.name!r}", hint))
    return problems


def _place(node: exp.Expr, at: At) -> Location:
    for item in node.walk():
        start = item.meta.get("start")
        if isinstance(start, int):
            return at(start)
    return at(0)


def offset_place(source: str, place: Location, text: str) -> At:
    """`At` for an expression that stands at `place` of the YAML text `source`.

    A place inside it is only told where the YAML holds it letter for letter on one line (no escapes, no folding).
    """
    lines = source.splitlines()
    line = lines[place.line - 1] if 0 < place.line <= len(lines) else ""
    start = place.column - 1
    quoted = 1 if re.match("[\"']", line[start:]) else 0
    verbatim = line[start + quoted :].startswith(text)

    def at(offset: int) -> Location:
        return (
            Location(place.file, place.line, place.column + quoted + offset) if verbatim and offset else place
        )

    return at
