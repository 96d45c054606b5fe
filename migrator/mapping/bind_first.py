"""Values that records are created with, bound: a state that is reached only by way of another (open, then won)."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.core.document import did_you_mean
from migrator.core.mapped import First
from migrator.core.schema import FieldSchema
from migrator.mapping.bound import BoundField
from migrator.mapping.constants import fits
from migrator.mapping.parse import ObjectMapping
from migrator.mapping.scope import Scope


def firsts(
    scope: Scope, mapping: ObjectMapping, columns: Sequence[tuple[FieldSchema, Sequence[BoundField]]]
) -> tuple[First, ...]:
    """The fields with a first value, the same for all sources; problems go to the scope."""
    found = []
    for schema, cells in columns:
        said = dict.fromkeys(cell.first for cell in cells if cell.first is not None)
        if said:
            _check(scope, mapping, schema, cells[0], list(said))
            found.append(First(schema.name, next(iter(said))))
    return tuple(found)


def _check(
    scope: Scope, mapping: ObjectMapping, schema: FieldSchema, cell: BoundField, said: Sequence[str]
) -> None:
    text = said[0]
    rules = [mapping.field(named, schema.name) for named in mapping.sources]
    place = mapping.at(*next(item for item in rules if "first" in item.keys).path("first"))
    if cell.lookup:
        scope.error(place, "first means nothing for a link", "defer: true sets a link in the second pass")
    elif schema.name == mapping.rule.target.key:
        scope.error(place, "the external key cannot change after a record is created", "remove first")
    elif len(said) > 1:
        words = f"the field {schema.name!r} has several first values: {', '.join(said)}"
        scope.error(place, words, "one for all sources")
    elif not fits(text, cell.kind):
        scope.error(place, f"{text!r} is no {cell.kind}", "a first value stands in the target's terms")
    elif schema.values and text not in schema.values:
        hint = did_you_mean(text, schema.values, noun="values")
        scope.error(place, f"{text!r} is not in the target's list of {schema.name!r}", hint)
