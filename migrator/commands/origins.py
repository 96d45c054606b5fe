"""Which staged columns make each target field: what a person sees as the old value beside the new one."""

from __future__ import annotations

from collections.abc import Mapping

from migrator.mapping.bound import Bound, Column, Constant, Formula, Hook, Input, RecordId


def origins(bound: Bound) -> Mapping[tuple[str, str], Mapping[str, tuple[str, ...]]]:
    """(mapping, source) → target field → names of staged columns; a constant is made of none."""
    return {
        (mapping.name, source.name): {
            item.name: _columns(item.input, source.key.engine if source.key is not None else "")
            for item in source.fields
        }
        for mapping in bound.mappings
        for source in mapping.sources
    }


def _columns(value: Input, key: str) -> tuple[str, ...]:
    match value:
        case Column(engine=name):
            return (name,)
        case Formula(operands=operands) | Hook(operands=operands):
            return tuple(dict.fromkeys(item.engine for item in operands))
        case RecordId():
            return (key,) if key else ()
        case Constant():
            return ()
