"""Functions that make a value of those of merged records, as the engine calls them: lists in, one value a record out."""

from __future__ import annotations

from migrator.mapping.bound import BoundMapping, Hook
from migrator.mapping.compile_hook import CompiledHook, arrow_type
from migrator.mapping.kinds import engine_type, kind_of


def survival_function(mapping: str, field: str, hook: Hook) -> str:
    """The engine's name of the function that makes a field."""
    return f"hook {hook.name} for merged {mapping}.{field}"


def survival_hooks(bound: BoundMapping) -> tuple[CompiledHook, ...]:
    """Every such function of a mapping."""
    return tuple(_compiled(bound, field, hook) for field, hook in bound.survival)


def _compiled(bound: BoundMapping, field: str, hook: Hook) -> CompiledHook:
    schema = bound.mapped.schema.field(field)
    if schema is None:
        raise ValueError(f"{bound.name} writes no field {field!r}")
    kind = kind_of(schema)
    takes = ("VARCHAR", *(f"{engine_type(item.kind)}[]" for item in hook.operands))
    name = survival_function(bound.name, field, hook)
    return CompiledHook(name, hook, field, takes, engine_type(kind), arrow_type(kind))
