"""UPDATE and DELETE as the query of the rows that are there afterwards: files are written once, and changed by writing others."""

from __future__ import annotations

from sqlglot import exp


def changed_query(tree: exp.Update | exp.Delete) -> exp.Select:
    """What a relation holds after the statement."""
    where = tree.args.get("where")
    condition = where.this if where is not None else exp.true()
    everything = exp.select("*").from_(tree.this.copy())
    if isinstance(tree, exp.Delete):
        return everything.where(exp.NullSafeNEQ(this=exp.paren(condition.copy()), expression=exp.true()))
    replaced = [
        exp.alias_(
            exp.case().when(condition.copy(), item.expression.copy()).else_(item.this.copy()), item.this.name
        )
        for item in tree.expressions
    ]
    everything.expressions[0].set("replace", replaced)
    return everything
