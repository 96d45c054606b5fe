"""How each field of a mapping comes back: as the mapping declares it, else by the inverse of its rule."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.core.document import TreePath, did_you_mean
from migrator.core.errors import ProjectError
from migrator.mapping.bound import BoundField, BoundMapping, Column, Formula
from migrator.mapping.expressions import offset_place, parse_formula
from migrator.mapping.inverse import Inverse, declared_back, inverse_of, new_column
from migrator.mapping.model_sync import SyncField, SyncRule, WayBack
from migrator.mapping.parse import ObjectMapping
from migrator.mapping.scope import Scope, SourceView
from migrator.mapping.values import ValueMap, read_values


@dataclass(frozen=True, slots=True)
class WaysBack:
    """The ways back of one mapping's fields."""

    scope: Scope
    mapping: ObjectMapping
    rule: SyncRule
    bound: BoundMapping

    def of(self, field: BoundField, view: SourceView) -> Inverse:
        """The way back of a field seen from one source; problems of declared ones go to the scope."""
        special = self.rule.fields.get(field.name)
        if special is not None and special.reverse:
            return self._declared(field, view, special)
        if self.mapping.kept.get(field.name) is not None:
            return Inverse(why="it keeps an original beside its converted form", fix="")
        column = field.input if isinstance(field.input, Column) else None
        old = view.schema.field(column.name) if column is not None and not column.of else None
        if old is not None and old.name == view.schema.key:
            return Inverse(why=f"{old.name!r} is the record's own id", fix="")
        return inverse_of(field, old)

    def _declared(self, field: BoundField, view: SourceView, special: SyncField) -> Inverse:
        """The way back as written; problems go to the scope."""
        only = field.columns[0].name if len(field.columns) == 1 else None
        found: dict[str, Formula | ValueMap] = {}
        for number, way in enumerate(special.reverse):
            path: TreePath = ("sync", "fields", field.name, "reverse")
            path = (*path, number) if len(special.reverse) > 1 else path
            name = way.to or only
            place = self.mapping.at(*path, "to") if way.to else self.mapping.at(*path)
            if name is None:
                hint = f"write to: with one of {', '.join(column.name for column in field.columns) or 'its columns'}"
                self.scope.error(place, f"this way back of {field.name!r} names no column", hint)
            elif view.schema.field(name) is None:
                hint = did_you_mean(name, view.schema.field_names, noun="columns")
                self.scope.error(place, f"{view.mapped.staged} has no column {name!r}", hint)
            elif name in found:
                self.scope.error(place, f"{name!r} gets two values here", "keep one")
            else:
                made = self._made(field, way, path)
                found |= {name: made} if made is not None else {}
        olds = [item for item in map(view.schema.field, found) if item is not None]
        return (
            declared_back(field, olds, found)
            if len(found) == len(special.reverse)
            else Inverse(why="see above")
        )

    def _made(self, field: BoundField, way: WayBack, path: TreePath) -> Formula | ValueMap | None:
        try:
            if way.values is not None:
                name = f"{self.bound.name}/{field.name} back"
                if way.values.file:
                    return read_values(
                        way.values.file, self.mapping.project, self.mapping.at(*path, "values")
                    )
                return ValueMap(name, tuple(way.values.inline.items()))
            text = way.expr or ""
            at = offset_place(self.mapping.document.text, self.mapping.at(*path, "expr"), text)
            return parse_formula(text, self._new_columns(), at)
        except ProjectError as error:
            self.scope.problems.extend(error.problems)
            return None

    def _new_columns(self) -> dict[str, Column]:
        return {field.name: new_column(field) for field in self.bound.sources[0].fields}
