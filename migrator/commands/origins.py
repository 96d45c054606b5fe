"""Which staged columns make each target field: what a person sees as the old value beside the new one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from migrator.mapping.bound import Bound, BoundSource, Column, Constant, Formula, Hook, Input, RecordId


def origins(bound: Bound) -> Mapping[tuple[str, str], Mapping[str, tuple[str, ...]]]:
    """(mapping, source) → target field → names of staged columns; a constant is made of none."""
    return {
        (mapping.name, source.name): {
            item.name: tuple(dict.fromkeys(_columns(source, item.input))) for item in source.fields
        }
        for mapping in bound.mappings
        for source in mapping.sources
    }


def _columns(source: BoundSource, value: Input) -> Iterator[str]:
    """Columns of the source's own object: what is joined stands in another object's rows."""
    match value:
        case Column():
            read: tuple[Column, ...] = (value,)
        case Formula(operands=operands) | Hook(operands=operands):
            read = operands
        case RecordId():
            read = source.key
        case Constant():
            read = ()
    found = (source.origin(column) for column in read)
    yield from (column.engine for column in found if column is not None)
