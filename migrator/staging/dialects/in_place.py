"""Expressions over one row that no rule carries, computed by the engine itself where the row is: inside the executors.

So what is alike, what a hash is and what a rounded number is, is the same on both engines to the last bit, and is written
once. An executor needs Python with DuckDB and PyArrow for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from sqlglot import exp

from migrator.staging.dialects.kinds import NotCarried, Type
from migrator.staging.dialects.piece import Piece

InPlace: TypeAlias = Callable[[str, Sequence[Type]], tuple[str, Type]]
"""From an expression of the engine over columns c0, c1, … of these types: the name of a function of the cluster that computes
it, and its type; raises `NotCarried`."""

GIVEN = "__given"
"""The relation of a batch's columns, c0, c1, …, in the order of the function's parameters."""

_OF_MANY_ROWS = (
    exp.AggFunc, exp.Window, exp.Query, exp.Explode, exp.Star, exp.Filter, exp.IgnoreNulls, exp.Exists, exp.RowNumber, exp.Tuple,
)  # fmt: skip


def reads_more(node: exp.Expr) -> bool:
    """Whether a node by itself asks for more than its row."""
    return isinstance(node, _OF_MANY_ROWS) or (isinstance(node, exp.In) and bool(node.args.get("query")))


def reads_one_row(node: exp.Expr) -> bool:
    """Whether an expression asks for nothing but the columns of its row, and makes one value of it."""
    return not any(reads_more(part) for part in node.walk())


def computed(node: exp.Expr, piece: Callable[[exp.Expr], Piece], in_place: InPlace) -> Piece:
    """An expression as a call of a function of the cluster.

    What it reads, columns and what is asked of more rows, is by `piece`; raises `NotCarried` where that cannot be had either.
    """
    read: dict[str, tuple[str, Type]] = {}

    def named(part: exp.Expr) -> exp.Expr:
        if not isinstance(part, exp.Column) and not reads_more(part):
            return part
        found = piece(part)
        name, _ = read.setdefault(found.sql, (f"c{len(read)}", found.type))
        return exp.column(name)

    sql = node.copy().transform(named).sql("duckdb")
    if not read:
        raise NotCarried(f"{sql[:60]}, which reads no column")
    name, kind = in_place(sql, [kind for _, kind in read.values()])
    return Piece(f"{name}({', '.join(read)})", kind)


def batch_function(sql: str, prepared: Sequence[str], count: int) -> Callable[..., Any]:
    """A function of Arrow columns, for executors that need not have this package: the query `sql` over `GIVEN`, a row each.

    `prepared` are statements that come before.
    """
    names, given = [f"c{number}" for number in range(count)], GIVEN
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1, "autoinstall_known_extensions": False, "autoload_known_extensions": False,
        "disabled_optimizers": "common_subexpressions",
    }  # fmt: skip
    statements = ("SET TimeZone = 'UTC'", "SET enable_external_access = false", *prepared)
    opened: list[Any] = []

    def compute(*columns: Any) -> Any:
        import duckdb
        import pyarrow

        if not opened:
            connection = duckdb.connect(":memory:", config=config)
            for statement in statements:
                connection.execute(statement).fetchall()
            opened.append(connection)
        opened[0].register(given, pyarrow.table(dict(zip(names, columns, strict=True))))
        return opened[0].sql(sql).to_arrow_table().column(0).combine_chunks()

    compute.__annotations__ = {}  # Spark would read them as a choice among its kinds of functions
    return compute
