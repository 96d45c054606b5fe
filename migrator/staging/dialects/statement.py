"""A whole compiled query in Spark SQL: its named steps one by one, with the types of their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import pyarrow as pa
import sqlglot
from sqlglot import exp

import migrator.staging.dialects.spark_digests  # completes the rules
import migrator.staging.dialects.spark_functions  # completes the rules
import migrator.staging.dialects.spark_rows  # noqa: F401  # completes the rules
from migrator.staging.columns import COPY, PLACE, ROW
from migrator.staging.dialects.in_place import InPlace
from migrator.staging.dialects.kinds import (
    BIGINT,
    BOOLEAN,
    DATE,
    DOUBLE,
    HASH,
    INSTANT,
    INT,
    NULL,
    TEXT,
    TIME,
    TIMESTAMP,
    Base,
    NotCarried,
    Type,
    common_type,
    decimal,
    list_of,
)  # fmt: skip
from migrator.staging.dialects.latest import as_latest
from migrator.staging.dialects.piece import Piece
from migrator.staging.dialects.spark import Expressions, unified
from migrator.staging.dialects.spark_aggregates import ordered
from migrator.staging.dialects.spark_text import name, type_name

Table = Mapping[str, Type]
"""Columns of a relation, lower case, in order."""


def spark_query(sql: str, tables: Mapping[str, Table]) -> str:
    """A compiled query in Spark SQL; `tables` are the relations it reads. Raises `NotCarried`.
    Columns of a relation that is not staged yet are texts, as files are staged.
    """
    return carried(sqlglot.parse_one(sql, dialect="duckdb"), tables)[0]


def read_relations(tree: exp.Expr) -> list[str]:
    """Lower-case names of what a query reads, its own named steps left out."""
    steps = {step.alias.lower() for step in tree.find_all(exp.CTE)}
    names = dict.fromkeys(table.name.lower() for table in tree.find_all(exp.Table))
    return [name for name in names if name not in steps]


def carried(
    tree: exp.Expr, tables: Mapping[str, Table], in_place: InPlace | None = None
) -> tuple[str, dict[str, Type]]:
    """A parsed query in Spark SQL, and its columns; raises `NotCarried`.

    With `in_place`, expressions over one row that no rule carries are computed by the engine in the executors.
    """
    known = {relation.lower(): dict(columns) for relation, columns in tables.items()}
    steps = []
    with_ = tree.args.get("with_") or tree.args.get("with")
    for step in with_.expressions if with_ else []:
        body, columns = _Select(known, in_place=in_place).query(step.this)
        known[step.alias.lower()] = columns
        steps.append(f"{name(step.alias)} AS (\n{body}\n)")
    if with_:
        with_.pop()
    last, found = _Select(known, in_place=in_place).query(tree)
    listed = ",\n".join(steps)
    return f"WITH {listed}\n{last}" if steps else last, found


class _Select:
    """One SELECT, or a union of some."""

    def __init__(
        self,
        known: Mapping[str, dict[str, Type]],
        around: Table | None = None,
        in_place: InPlace | None = None,
    ) -> None:
        self._known = known
        self._in_place = in_place
        self._around = around or {}
        """Columns of the query that this one stands in."""
        self._scope: dict[str, Type] = {}
        self._aliases: dict[str, dict[str, Type]] = {}
        self._starred: dict[tuple[str, str], Type] = {}
        """What a star stands for: alias and column, in order."""
        self._tree: exp.Expr = exp.Select()

    def query(self, tree: exp.Expr) -> tuple[str, dict[str, Type]]:
        if isinstance(tree, exp.SetOperation):
            return self._union(tree)
        if not isinstance(tree, exp.Select):
            raise NotCarried(type(tree).__name__)
        self._refuse_others(tree)
        self._tree = tree = with_joins_here(tree)
        if any(join.args.get("method") == "ASOF" for join in tree.args.get("joins") or []):
            self._tree = tree = as_latest(tree)
        source = [f"  FROM {self._from(tree.args['from_'].this)}"] if tree.args.get("from_") else []
        joins = [self._join(join) for join in tree.args.get("joins") or []]
        items, columns = self._items(tree.expressions)
        where = (
            [f"  WHERE {self._condition(self._named_here(tree.args['where'].this))}"]
            if tree.args.get("where")
            else []
        )
        group = [f"  GROUP BY {self._groups(tree.args['group'])}"] if tree.args.get("group") else []
        having = [f"  HAVING {self._sql(tree.args['having'].this)}"] if tree.args.get("having") else []
        distinct = " DISTINCT" if tree.args.get("distinct") else ""
        kept = tree.args.get("qualify")
        if kept is not None:
            items = [*items, f"{self._sql(kept.this)} AS {name(_KEPT)}"]
        listed = ",\n    ".join(items)
        body = [f"  SELECT{distinct}\n    {listed}", *source, *joins, *where, *group, *having]
        if kept is not None:
            named = ", ".join(name(label) for label in columns)
            body = [f"  SELECT {named} FROM (", *body, f"  ) WHERE {name(_KEPT)}"]
        return "\n".join([*body, *self._last(tree, columns)]), columns

    def _union(self, tree: exp.Expr) -> tuple[str, dict[str, Type]]:
        if tree.args.get("with_"):
            raise NotCarried("a union with steps of its own")
        left, one = self._inner(tree.this)
        right, two = self._inner(tree.expression)
        if tree.args.get("by_name"):
            left, right = (_filled(side, of, {**one, **two}) for side, of in ((left, one), (right, two)))
            one, two = ({name: of.get(name, NULL) for name in {**one, **two}} for of in (one, two))
        columns = {
            name: common_type(kind, other)
            for (name, kind), other in zip(one.items(), two.values(), strict=True)
        }
        word = "EXCEPT" if isinstance(tree, exp.Except) else "UNION ALL"
        if isinstance(tree, exp.Intersect) or (word == "EXCEPT" and not tree.args.get("distinct")):
            raise NotCarried("INTERSECT, or EXCEPT ALL")
        sql, last = f"{left}\n{word}\n{right}", self._last(tree, columns)
        if word == "UNION ALL" and tree.args.get("distinct"):
            return "\n".join([f"SELECT DISTINCT * FROM (\n{sql}\n)", *last]), columns
        return "\n".join([f"SELECT * FROM (\n{sql}\n)", *last]) if last or word == "EXCEPT" else sql, columns

    def _inner(self, tree: exp.Expr) -> tuple[str, dict[str, Type]]:
        side = tree.unnest()
        sql, columns = _Select(self._known, self._around, self._in_place).query(side)
        apart = side.args.get("order") or side.args.get("limit")
        return (f"SELECT * FROM (\n{sql}\n)" if apart else sql), columns

    def _last(self, tree: exp.Expr, columns: dict[str, Type]) -> list[str]:
        """ORDER BY, in which the names of the answer come first, and LIMIT."""
        found = []
        if tree.args.get("order"):
            items = tree.args["order"].expressions
            if len(items) == 1 and items[0].this.name.upper() == "ALL":
                listed = [f"{place} ASC NULLS LAST" for place in range(1, len(columns) + 1)]
            else:
                scope = Expressions({**self._around, **self._scope, **columns}, self._nested, self._in_place)
                listed = [ordered(scope, item) for item in items]
            found.append(f"  ORDER BY {', '.join(listed)}")
        if tree.args.get("limit"):
            size = tree.args["limit"].expression
            if not isinstance(size, exp.Literal):
                raise NotCarried("a LIMIT that is not a number")
            found.append(f"  LIMIT {size.name}")
        return found

    def _refuse_others(self, tree: exp.Expr) -> None:
        carried = {
            "expressions",
            "from_",
            "from",
            "joins",
            "where",
            "group",
            "having",
            "distinct",
            "kind",
            "with_",
            "with",
            "qualify",
            "order",
            "limit",
        }
        others = [part for part, value in tree.args.items() if value and part not in carried]
        if others:
            raise NotCarried(f"the clause {others[0].upper()}")

    def _groups(self, group: exp.Expr) -> str:
        if group.args.get("all"):
            return "ALL"
        return ", ".join(
            item.name if isinstance(item, exp.Literal) else self._sql(item) for item in group.expressions
        )

    def _from(self, table: exp.Expr) -> str:
        if isinstance(table, exp.Subquery):
            body, made = _Select(self._known, in_place=self._in_place).query(_selected(table.this))
            return f"(\n{body}\n  ){self._named(table.alias, made)}"
        if not isinstance(table, exp.Table):
            raise NotCarried(f"a {type(table).__name__} in FROM")
        columns = self._known.get(table.name.lower())
        if columns is None:
            raise NotCarried(f"the relation {table.name!r}")
        if columns == _STAGED:
            read = {column.name.lower() for column in self._tree.find_all(exp.Column)}
            columns = {**dict.fromkeys(sorted(read), TEXT), **columns}
        return f"{name(table.name)}{self._named(table.alias_or_name, columns)}"

    def _named(self, alias: str, columns: dict[str, Type]) -> str:
        """What stands behind a relation whose columns these are."""
        self._scope = {**columns, **self._scope}
        self._starred |= {(alias.lower(), column): kind for column, kind in columns.items()}
        if not alias:
            return ""
        self._aliases[alias.lower()] = columns
        self._scope |= {f"{alias.lower()}.{column}": kind for column, kind in columns.items()}
        return f" AS {name(alias)}"

    def _join(self, join: exp.Expr) -> str:
        side = join.args.get("side") or join.args.get("kind") or "INNER"
        others = [part for part, value in join.args.items() if value and part not in _JOINED]
        using, on = join.args.get("using"), join.args.get("on")
        if side == "INNER" and not (using or on):
            side = "CROSS"
        if side not in _SIDES or others:
            raise NotCarried(f"the join {join.sql('duckdb')[:60]}")
        before = dict(self._scope)
        starred = {**self._starred}
        source = f"  {_SIDES[side]} JOIN {self._from(join.this)}"
        if using:
            source += f" USING ({', '.join(name(column.name) for column in using)})"
        elif on is not None:
            source += f" ON {self._condition(on)}"
        if side in ("SEMI", "ANTI"):  # of what is looked up nothing is read
            self._scope, self._starred = before, starred
        else:
            shared = {column.name.lower() for column in using or ()}
            for of, column in [key for key in self._starred if key not in starred and key[1] in shared]:
                del self._starred[of, column]
        return source

    def _items(self, nodes: Sequence[exp.Expr]) -> tuple[list[str], dict[str, Type]]:
        items: list[str] = []
        columns: dict[str, Type] = {}
        for node in nodes:
            if node.is_star:
                self._all_columns(node, items, columns)
                continue
            found = self._expressions().piece(node.unalias())
            label = node.alias_or_name
            if not label or label.lower() in columns:
                label = f"{label}_{len(items)}"  # nobody reads it by name
            columns[label.lower()] = found.type
            items.append(found.sql if isinstance(node, exp.Column) else f"{found.sql} AS {name(label)}")
        return items, columns

    def _all_columns(self, node: exp.Expr, items: list[str], columns: dict[str, Type]) -> None:
        """The columns of one relation or of all, some of them left out or replaced."""
        star = node if isinstance(node, exp.Star) else node.this
        said = {part for part, value in star.args.items() if value}
        if said - {"replace", "except_"}:
            raise NotCarried(f"{star.sql('duckdb')[:60]}")
        instead = {item.alias.lower(): item.this for item in star.args.get("replace") or ()}
        without = {item.name.lower() for item in star.args.get("except_") or ()}
        alias = node.args["table"].name.lower() if node.args.get("table") is not None else None
        if not said and not self._tree.args.get("joins"):
            items.append("*")
            columns |= self._plain()
            return
        for (of, label), kind in self._starred.items():
            if label in without or alias not in (None, of):
                continue
            found = Piece(".".join(name(part) for part in (of, label) if part), kind)
            if label in instead:
                found = self._expressions().piece(instead[label])
            written = label if label not in columns else f"{label}_{len(items)}"
            columns[written] = found.type
            items.append(f"{found.sql} AS {name(written)}")

    def _plain(self) -> dict[str, Type]:
        """Columns without an alias before them."""
        aliased = {f"{alias}.{column}" for alias, columns in self._aliases.items() for column in columns}
        return {column: kind for column, kind in self._scope.items() if column not in aliased}

    def _sql(self, node: exp.Expr) -> str:
        return self._expressions().piece(node).sql

    def _condition(self, node: exp.Expr) -> str:
        """What rows are kept or joined by, part by part: so that what is computed in place hides no key of a join."""
        node = node.unnest()
        if isinstance(node, exp.And):
            return f"({self._condition(node.this)} AND {self._condition(node.expression)})"
        if isinstance(node, exp.EQ):
            with suppress(NotCarried):
                left, right = unified(self._expressions().pieces([node.this, node.expression]))
                return f"({left.sql} = {right.sql})"
        return self._sql(node)

    def _named_here(self, node: exp.Expr) -> exp.Expr:
        """A condition in which what the SELECT itself names is written out, as far as no column is called so."""
        named = {item.alias.lower(): item.this for item in self._tree.expressions if item.alias}

        def written(part: exp.Expr) -> exp.Expr:
            own = isinstance(part, exp.Column) and not part.table and part.name.lower() not in self._scope
            return exp.paren(named[part.name.lower()].copy()) if own and part.name.lower() in named else part

        return node.copy().transform(written)

    def _expressions(self) -> Expressions:
        return Expressions({**self._around, **self._scope}, self._nested, self._in_place)

    def _nested(self, tree: exp.Expr, around: Table) -> tuple[str, dict[str, Type]]:
        return _Select(self._known, around, self._in_place).query(tree.unnest())


def with_joins_here(tree: exp.Select) -> exp.Select:
    """A query whose joins are its own, where they were written behind `FROM x` without a SELECT."""
    source = tree.args["from_"].this if tree.args.get("from_") else None
    if not isinstance(source, exp.Table) or not source.args.get("joins"):
        return tree
    found = tree.copy()
    source = found.args["from_"].this
    found.set("joins", [*source.args["joins"], *(found.args.get("joins") or [])])
    source.set("joins", None)
    return found


def _selected(tree: exp.Expr) -> exp.Expr:
    """A relation in brackets as a query."""
    return exp.select("*").from_(tree.copy()) if isinstance(tree, exp.Table) else tree


def _filled(sql: str, has: Table, wanted: Table) -> str:
    """A query with null for the columns it lacks."""
    listed = ", ".join(
        name(column) if column in has else f"CAST(NULL AS {type_name(kind)}) AS {name(column)}"
        for column, kind in wanted.items()
    )
    return f"SELECT {listed} FROM (\n{sql}\n)"


_KEPT = "__kept"
"""Whether a row stays, where QUALIFY asks."""
_JOINED = frozenset({"this", "side", "kind", "on", "using"})
_SIDES = {
    "LEFT": "LEFT", "INNER": "INNER", "CROSS": "CROSS", "SEMI": "LEFT SEMI", "ANTI": "LEFT ANTI",
}  # fmt: skip


def arrow_columns(schema: pa.Schema | None) -> dict[str, Type]:
    """The columns of staged rows; nothing is known of rows that are not staged yet but what staging adds."""
    if schema is None:
        return {**_STAGED}
    return {field.name.lower(): _arrow_type(field.type) for field in schema}


def arrow_types(schema: pa.Schema) -> list[Type]:
    """The types of all columns, of those too that have one name."""
    return [_arrow_type(field.type) for field in schema]


_STAGED = {ROW: BIGINT, COPY: INT, PLACE: TEXT}


def _arrow_type(given: pa.DataType) -> Type:
    if pa.types.is_decimal(given):
        return decimal(given.precision, given.scale)
    if pa.types.is_timestamp(given):
        return INSTANT if given.tz is not None else TIMESTAMP
    if pa.types.is_list(given) or pa.types.is_large_list(given):
        return list_of(_arrow_type(given.value_type))
    if pa.types.is_struct(given):
        return Type(Base.STRUCT, inner=tuple((item.name, _arrow_type(item.type)) for item in given))
    return next((kind for check, kind in _ARROW if check(given)), Type(Base.NULL))


_ARROW = (
    (lambda given: pa.types.is_string(given) or pa.types.is_large_string(given), TEXT),
    (pa.types.is_uint64, HASH),
    (lambda given: pa.types.is_int64(given) or pa.types.is_uint32(given), BIGINT),
    (pa.types.is_integer, INT),
    (pa.types.is_floating, DOUBLE),
    (pa.types.is_boolean, BOOLEAN),
    (pa.types.is_date, DATE),
    (pa.types.is_time, TIME),
)
