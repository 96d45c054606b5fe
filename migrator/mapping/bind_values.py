"""Value maps bound: inline or from a file, one for all rows or one for each record type."""

from __future__ import annotations

from collections.abc import Iterator

from migrator.core.document import did_you_mean
from migrator.core.errors import ProjectError
from migrator.mapping.bound import Column
from migrator.mapping.model_by import OTHERWISE, Values, ValuesByType
from migrator.mapping.parse import FieldInput, ObjectMapping
from migrator.mapping.scope import Scope, SourceView
from migrator.mapping.values import ValueMap, read_values


def bind_values(
    scope: Scope, mapping: ObjectMapping, view: SourceView, item: FieldInput
) -> tuple[ValueMap | None, Column | None]:
    """The value map of a field and, for maps by record type, the column that tells it; problems go to the scope."""
    name = f"{mapping.name}/{view.named.name}/{item.name}"
    match item.rule.values:
        case Values() as written:
            return _one(scope, mapping, item, written, name), None
        case ValuesByType() as written:
            path = (*item.path("values"), "by")
            column = view.columns.get(written.by)
            if column is None:
                hint = did_you_mean(written.by, view.columns, noun="columns")
                scope.error(mapping.at(*path), f"{view.mapped.staged} has no column {written.by!r}", hint)
            return _by_type(scope, mapping, item, written, name), column
        case _:
            return None, None


def _one(
    scope: Scope, mapping: ObjectMapping, item: FieldInput, written: Values, name: str, *under: str
) -> ValueMap | None:
    if not written.file:
        return ValueMap(name, tuple(written.inline.items()))
    return _read(scope, mapping, item, written.file, *under)


def _read(
    scope: Scope, mapping: ObjectMapping, item: FieldInput, file: str, *under: str, by_type: bool = False
) -> ValueMap | None:
    try:
        return read_values(file, mapping.project, mapping.at(*item.path("values"), *under), by_type=by_type)
    except ProjectError as error:
        scope.problems.extend(error.problems)
        return None


def _by_type(
    scope: Scope, mapping: ObjectMapping, item: FieldInput, written: ValuesByType, name: str
) -> ValueMap | None:
    if written.file:
        return _read(scope, mapping, item, written.file, "maps", by_type=True)
    entries = list(_entries(scope, mapping, item, written))
    types = tuple(kind for kind, _, _ in entries)
    return ValueMap(name, tuple((old, new) for _, old, new in entries), types=types)


def _entries(
    scope: Scope, mapping: ObjectMapping, item: FieldInput, written: ValuesByType
) -> Iterator[tuple[str, str, str | None]]:
    for kind, values in written.maps.items():
        found = _one(scope, mapping, item, values, kind, "maps", kind)
        if found is not None and not found.entries:
            place = mapping.at(*item.path("values"), "maps", kind)
            scope.error(place, f"the value map of {kind!r} is empty", "write its values, or leave it out")
        for old, new in found.entries if found is not None else ():
            yield ("" if kind == OTHERWISE else kind), old, new
