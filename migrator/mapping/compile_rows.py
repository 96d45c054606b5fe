"""The rows of a source compiled: copies numbered by the mapping's own key, values exploded, other objects joined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from migrator.mapping.bound import BoundExplosion, BoundJoin, BoundSource, Column
from migrator.mapping.columns import text_of
from migrator.mapping.issues import Check
from migrator.mapping.model_rows import EXCLUDE, QUARANTINE
from migrator.mapping.sql import Step, select
from migrator.staging.columns import COPY, ROW
from migrator.staging.engine import literal, quote
from migrator.staging.records import AGAIN, NO_VALUE, REPEATED, UNLISTED, copies_of, exploded, key_of

_OWN = (quote(ROW), quote(COPY))


def row_steps(source: BoundSource, name: str, read: Sequence[Column]) -> tuple[Step, ...]:
    """Steps that make a source's rows out of staged ones, the last with every column in `read`; () for rows as staged."""
    own = [column for column in read if not column.of]
    steps: list[Step] = []
    below = quote(source.source.staged)
    if source.source.own_key:
        steps += _numbered(source, name, own)
        below = quote(steps[-1].name)
    if source.explode is not None:
        steps.append(_exploded(source.explode, name, own, below))
        below = quote(steps[-1].name)
    for join in source.joins:
        steps += _partners(join, name, read)
    if source.joins:
        steps.append(_joined(source, name, read, below))
    return tuple(steps)


def row_columns(source: BoundSource) -> tuple[str, ...]:
    """What these steps add that conditions and checks read, by name."""
    exploded_as = (AGAIN, UNLISTED) if source.explode is not None else ()
    joined = (column for join in source.joins for column in (fits_name(join), on_name(join)))
    return (*exploded_as, *joined)


def excluding_joins(source: BoundSource) -> tuple[BoundJoin, ...]:
    """The joins that decide which rows move: those that leave rows out, those that conditions read, and what they stand on."""
    conditions = [formula for formula, _ in source.exclude] + ([source.where] if source.where else [])
    read = {column.of for formula in conditions for column in formula.operands}
    kept: list[BoundJoin] = []
    for join in reversed(source.joins):
        if join.missing.policy == EXCLUDE or join.name in read:
            kept.insert(0, join)
            read |= {ours.of for ours, _ in join.on}
    return tuple(kept)


def fits_name(join: BoundJoin) -> str:
    """Column that holds how many partners a row has: 0, 1 or 2 (which stands for more)."""
    return f"__fits {join.name}"


def on_name(join: BoundJoin) -> str:
    """Column that holds what a row's partner was looked for by."""
    return f"__on {join.name}"


def excluded_by_rows(source: BoundSource) -> Iterator[str]:
    """WHEN … THEN … of rows that do not move because of how rows are made."""
    if source.explode is not None:
        value = quote(source.explode.rule.name)
        yield f"WHEN {value} IS NULL AND {quote(UNLISTED)} IS NULL THEN {literal(NO_VALUE)}"
        yield f"WHEN {quote(AGAIN)} > 0 THEN {literal(REPEATED)}"
    for join in source.joins:
        if join.missing.policy == EXCLUDE:
            yield f"WHEN {quote(fits_name(join))} = 0 THEN {literal(join.missing.reason)}"


def unsettled(source: BoundSource, operands: Iterable[Column]) -> list[str]:
    """Conditions under which nobody can say what these columns hold: several partners fit."""
    of = {column.of for column in operands}
    return [f"{quote(fits_name(join))} > 1" for join in source.joins if join.name in of]


def row_checks(source: BoundSource) -> Iterator[Check]:
    """What may be wrong with a row because of how rows are made."""
    if source.explode is not None and not source.explode.rule.split:
        text, name = quote(UNLISTED), source.explode.column.name
        yield Check(f"{text} IS NOT NULL", name, "explode.failed", text, f"{name} holds no JSON list")
    for join in source.joins:
        fits, on = quote(fits_name(join)), quote(on_name(join))
        several = f"more than one record of {join.relation} belongs to this row"
        yield Check(f"{fits} > 1", join.name, "join.ambiguous", on, several)
        if join.missing.policy == QUARANTINE:
            none = f"no record of {join.relation} belongs to this row"
            yield Check(f"{fits} = 0", join.name, "join.missing", on, none)


def _numbered(source: BoundSource, name: str, own: Sequence[Column]) -> tuple[Step, Step]:
    """Rows that share a key which extract did not number them by."""
    staged, copies = quote(source.source.staged), f"{name}_copies"
    key = key_of([text_of(column) for column in source.key])
    columns = [f"rows.{quote(column.engine)}" for column in own]
    columns += [f"rows.{quote(ROW)}", f'coalesce(copies."copy", 0) AS {quote(COPY)}']
    join = f"LEFT JOIN {quote(copies)} AS copies ON rows.{quote(ROW)} = copies.{quote(ROW)}"
    return (
        Step(copies, f"  {copies_of(staged, key)}"),
        Step(f"{name}_numbered", select(columns, f"{staged} AS rows", [join])),
    )


def _exploded(explode: BoundExplosion, name: str, own: Sequence[Column], below: str) -> Step:
    kept = [*dict.fromkeys(quote(column.engine) for column in own), *_OWN]
    return Step(f"{name}_exploded", f"  {exploded(kept, text_of(explode.column), explode.rule, below)}")


def _partners(join: BoundJoin, name: str, read: Sequence[Column]) -> tuple[Step, Step]:
    """The keys that several records of the joined object share, and the records of all others."""
    several, single = f"{name} several {join.name}", f"{name} single {join.name}"
    keys = [
        (text_of(there), quote(f"{on_name(join)} {number}")) for number, (_, there) in enumerate(join.on, 1)
    ]
    filled = " AND ".join(f"nullif({key}, '') IS NOT NULL" for key, _ in keys)
    named = [f"{key} AS {alias}" for key, alias in keys]
    relation = quote(join.relation)
    same = " AND ".join(f"several.{alias} = {key}" for key, alias in keys)
    used = [
        f"{quote(join.columns[column].engine)} AS {quote(column.engine)}"
        for column in read
        if column in join.columns
    ]
    return (
        Step(several, select(named, relation, [f"WHERE {filled}", "GROUP BY ALL", "HAVING count(*) > 1"])),
        Step(
            single,
            select(
                [*named, *used],
                relation,
                [
                    f"WHERE {filled}",
                    f"  AND NOT EXISTS (SELECT 1 FROM {quote(several)} AS several WHERE {same})",
                ],
            ),
        ),
    )


def _joined(source: BoundSource, name: str, read: Sequence[Column], below: str) -> Step:
    columns = [*dict.fromkeys(quote(column.engine) for column in read), *_OWN]
    if source.explode is not None:
        columns += [quote(AGAIN), quote(UNLISTED)]
    joins = []
    for join in source.joins:
        one, more = quote(f"{name} single {join.name}"), quote(f"{name} several {join.name}")
        keys = [
            (text_of(ours), quote(f"{on_name(join)} {number}")) for number, (ours, _) in enumerate(join.on, 1)
        ]
        for alias in (one, more):
            on = " AND ".join(f"{text} = {alias}.{key}" for text, key in keys)
            joins.append(f"LEFT JOIN {alias} ON {on}")
        first = keys[0][1]
        fits = f"CASE WHEN {more}.{first} IS NOT NULL THEN 2 WHEN {one}.{first} IS NOT NULL THEN 1 ELSE 0 END"
        told = keys[0][0] if len(keys) == 1 else f"concat_ws(', ', {', '.join(text for text, _ in keys)})"
        columns += [f"{fits} AS {quote(fits_name(join))}", f"{told} AS {quote(on_name(join))}"]
    return Step(f"{name}_joined", select(columns, below, joins))
