"""A row joined to the latest of those before it, as a join and a group: an engine without ASOF JOIN says it so."""

from __future__ import annotations

from sqlglot import exp

from migrator.staging.dialects.kinds import NotCarried


def as_latest(tree: exp.Select) -> exp.Select:
    """A query with one ASOF JOIN, over rows of which none stands twice, in words that every engine has.

    Of the partners of a row the one is taken whose bound, the right side of `>=`, is the greatest.
    """
    left, (join, *others) = tree.args["from_"].this, tree.args["joins"]
    bounds = list(join.args["on"].find_all(exp.GTE))
    if others or len(bounds) != 1 or not _each_once(left, tree):
        raise NotCarried(f"the join {join.sql('duckdb')[:60]}")
    found, right = tree.copy(), join.alias_or_name
    keys, items = [], []
    for item in tree.expressions:
        if item.table == right:
            latest = exp.ArgMax(this=item.copy(), expression=bounds[0].expression.copy())
            items.append(exp.alias_(latest, item.name))
        else:
            keys.append(item.copy())
            items.append(item.copy())
    found.set("expressions", items)
    found.set("joins", [exp.Join(this=join.this.copy(), kind="INNER", on=join.args["on"].copy())])
    found.set("group", exp.Group(expressions=keys))
    return found


def _each_once(left: exp.Expr, tree: exp.Select) -> bool:
    """Whether the left side holds no row twice, and all its columns are read as they are."""
    if not isinstance(left, exp.Subquery) or not left.this.args.get("distinct"):
        return False
    read = {
        item.name for item in tree.expressions if isinstance(item, exp.Column) and item.table == left.alias
    }
    plain = all(isinstance(item, exp.Column) for item in tree.expressions)
    return plain and read == {item.alias_or_name for item in left.this.expressions}
