"""Which target fields are made of one staged column alone: what validation holds against the source without the mapping."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.mapping.bound import Bound, BoundField, Column

if TYPE_CHECKING:
    from validation.controls import Way, Ways


def ways(bound: Bound) -> Ways:
    """(mapping, source) → field → way; fields that more than one own column makes, or more than a cast, are left out.

    That is: computed, cleaned, converted, defaulted, linked, joined and exploded ones, and those mapped by record type.
    """
    found: dict[tuple[str, str], dict[str, Way]] = {}
    for mapping in bound.mappings:
        for source in mapping.sources:
            known = {item.name: _way(item) for item in source.fields}
            found[mapping.name, source.name] = {name: way for name, way in known.items() if way is not None}
    return found


def _way(item: BoundField) -> Way | None:
    from validation.controls import Way

    if not isinstance(item.input, Column) or item.input.of or item.lookup or item.default is not None:
        return None
    if item.conversion:
        return None
    if item.values_by is not None:
        return None
    if item.values is not None:
        return Way(item.input.engine, item.values.entries)
    return None if item.clean else Way(item.input.engine)
