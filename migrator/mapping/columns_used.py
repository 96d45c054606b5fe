"""Which columns of which staged objects the mappings read: directly, in expressions and conditions, through joins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set

from migrator.mapping.bound import BoundMapping, BoundSource, Column


def columns_used(bound: Iterable[BoundMapping]) -> Mapping[str, Set[str]]:
    """STAGED dataset → names of its columns that some mapping reads; what a split object's parts read counts for all."""
    used: dict[str, set[str]] = defaultdict(set)
    for mapping in bound:
        for source in mapping.sources:
            for relation, column in _read(source):
                used[relation].add(column.name)
    return used


def _read(source: BoundSource) -> Iterator[tuple[str, Column]]:
    """Dataset and column of everything a source reads."""
    joined = {seen: (join.relation, there) for join in source.joins for seen, there in join.columns.items()}
    for column in columns_read(source):
        origin = source.origin(column)
        if origin is not None:
            yield source.source.staged, origin
        elif column in joined:
            yield joined[column]
    for join in source.joins:
        for _, there in join.on:
            yield join.relation, there


def columns_read(source: BoundSource) -> tuple[Column, ...]:
    """Every column that the query of a source needs, by the names of the mapping."""
    fields = (column for field in source.fields for column in field.columns)
    conditions = [formula for formula, _ in source.exclude] + ([source.where] if source.where else [])
    operands = (column for formula in conditions for column in formula.operands)
    joined = (ours for join in source.joins for ours, _ in join.on)
    exploded = (source.explode.column,) if source.explode is not None else ()
    return tuple(dict.fromkeys((*source.key, *fields, *operands, *joined, *exploded)))
