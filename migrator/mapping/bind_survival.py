"""What survives of merged records, bound: every field and group known, every rule fit for its field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from migrator.core.document import did_you_mean
from migrator.core.errors import Location, ProjectError
from migrator.core.mapped import Custom, DedupeRules, Survivorship
from migrator.core.schema import FieldSchema, FieldType
from migrator.mapping.aggregates import parse_aggregate
from migrator.mapping.bound import Column, Hook, Stored
from migrator.mapping.compile_survival import survival_function
from migrator.mapping.expressions import offset_place
from migrator.mapping.hooks import find_hook
from migrator.mapping.kinds import FREE_TEXT, engine_type, kind_of
from migrator.mapping.model_survival import SurvivalRule
from migrator.mapping.parse import ObjectMapping
from migrator.mapping.scope import Scope

DEFAULT = "default"
_SURVIVORSHIP = ("dedupe", "survivorship")
_SEPARATORS = {FieldType.MULTI_PICKLIST: ";", FieldType.JSON: ""}
"""What stands between the values of a field that holds several by its type; '' for a JSON list."""
_STORED = {
    FieldType.INTEGER: Stored.INTEGER, FieldType.FLOAT: Stored.FLOAT, FieldType.BOOLEAN: Stored.BOOLEAN,
    FieldType.DATE: Stored.DATE, FieldType.DATETIME: Stored.INSTANT, FieldType.TIME: Stored.TIME,
    FieldType.DECIMAL: Stored.DECIMAL,
}  # fmt: skip


@dataclass(slots=True)
class Survival:
    """What the rules come to."""

    survivorship: dict[str, Survivorship] = field(default_factory=dict)
    default: Survivorship = DedupeRules(()).default
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    separators: dict[str, str] = field(default_factory=dict)
    customs: dict[str, Custom] = field(default_factory=dict)
    hooks: list[tuple[str, Hook]] = field(default_factory=list)


def bind_survival(scope: Scope, mapping: ObjectMapping, fields: Sequence[FieldSchema]) -> Survival:
    """The bound rules of a mapping with `dedupe`; problems go to the scope."""
    rule = mapping.rule.dedupe
    found = Survival()
    if rule is None:
        return found
    found.groups = dict(rule.groups)
    work = _Binding(scope, mapping, {item.name: item for item in fields}, found)
    work.check_groups()
    for name, written in rule.survivorship.items():
        work.bind(name, written)
    return found


@dataclass(frozen=True, slots=True)
class _Binding:
    """The rules of one mapping at work."""

    scope: Scope
    mapping: ObjectMapping
    known: Mapping[str, FieldSchema]
    found: Survival

    def check_groups(self) -> None:
        """Every field of a group is a field of the mapping, in one group only, and not the external key."""
        homes: dict[str, str] = {}
        for group, names in self.found.groups.items():
            if group in self.known or group == DEFAULT:
                place = self.mapping.document.locate_key(("dedupe", "groups", group))
                self.scope.error(
                    place, f"the group {group!r} has the name of a field", "call it something else"
                )
            for position, name in enumerate(names):
                self._check_grouped(
                    self.mapping.at("dedupe", "groups", group, position), name, homes.get(name)
                )
                homes[name] = group

    def _check_grouped(self, place: Location, name: str, other: str | None) -> None:
        if name not in self.known:
            hint = did_you_mean(name, self.known, noun="fields")
            self.scope.error(place, f"{name!r} is no field of this mapping", hint)
        elif name == self.mapping.rule.target.key:
            self.scope.error(
                place, f"{name!r} is the external key", "it is always the surviving record's own"
            )
        elif other is not None:
            self.scope.error(place, f"{name!r} is in the group {other!r} already", "leave it in one")

    def bind(self, name: str, written: SurvivalRule) -> None:
        """One line of the rules."""
        grouped = next((group for group, names in self.found.groups.items() if name in names), None)
        if name == DEFAULT or name in self.found.groups:
            self._bind_word(name, written)
        elif name not in self.known:
            hint = did_you_mean(name, (*self.known, *self.found.groups), noun="fields")
            self._error(name, f"{name!r} is no field of this mapping", hint)
        elif grouped is not None:
            hint = f"give the rule to {grouped}, or take the field out of it"
            self._error(name, f"{name!r} survives with its group {grouped!r}", hint)
        else:
            self._bind_field(self.known[name], written)

    def _bind_word(self, name: str, written: SurvivalRule) -> None:
        if written.kind.is_made:
            words = (
                "a group is not made of several records" if name != DEFAULT else "this cannot be the default"
            )
            self._error(name, words, "say it of single fields")
        elif name == DEFAULT:
            self.found.default = written.kind
        else:
            self.found.survivorship[name] = written.kind

    def _bind_field(self, item: FieldSchema, written: SurvivalRule) -> None:
        self.found.survivorship[item.name] = written.kind
        is_key, is_link = item.name == self.mapping.rule.target.key, item.type is FieldType.REFERENCE
        if written.kind.is_made and (is_key or is_link):
            what = "the external key" if is_key else "a link"
            self._error(item.name, f"{item.name!r} is {what}", "it comes from one record")
        elif written.kind is Survivorship.UNION:
            self._bind_union(item, written)
        elif written.expr is not None:
            self._bind_expression(item, written.expr)
        elif written.python is not None:
            self._bind_hook(item, written.python, written.using or (item.name,))

    def _bind_union(self, item: FieldSchema, written: SurvivalRule) -> None:
        own = _SEPARATORS.get(item.type)
        if item.type in FREE_TEXT and written.union is not None:
            self.found.separators[item.name] = written.union
        elif item.type in FREE_TEXT:
            hint = f'for example {item.name}: {{union: "; "}}'
            self._error(item.name, "say what stands between the values of a union", hint)
        elif own is None:
            words = f"{item.name!r} is of the type {item.type.value}: it holds one value"
            self._error(item.name, words, "a union needs a text, a multi_picklist or json")
        elif written.union not in (None, own):
            words = f"{item.name!r} is of the type {item.type.value}, which joins its values in its own way"
            self._error(item.name, words, "write union alone")
        else:
            self.found.separators[item.name] = own

    def _bind_expression(self, item: FieldSchema, text: str) -> None:
        place = self.mapping.at(*_SURVIVORSHIP, item.name, "expr")
        columns = {name: _column(schema) for name, schema in self.known.items()}
        try:
            sql = parse_aggregate(text, columns, offset_place(self.mapping.document.text, place, text))
        except ProjectError as error:
            self.scope.problems.extend(error.problems)
            return
        self.found.customs[item.name] = Custom(text, sql=sql, gives=engine_type(kind_of(item)))

    def _bind_hook(self, item: FieldSchema, name: str, using: tuple[str, ...]) -> None:
        unknown = [one for one in using if one not in self.known]
        for one in unknown:
            hint = did_you_mean(one, self.known, noun="fields")
            self._error(item.name, f"{one!r} is no field of this mapping", hint)
        if unknown:
            return
        operands = tuple(_column(self.known[one]) for one in using)
        place = self.mapping.at(*_SURVIVORSHIP, item.name, "python")
        hook = find_hook(self.scope, self.mapping, name, place, operands)
        if hook is not None:
            self.found.hooks.append((item.name, hook))
            function = survival_function(self.mapping.name, item.name, hook)
            self.found.customs[item.name] = Custom(
                name, function=function, using=using, gives=engine_type(kind_of(item)), digest=hook.digest
            )

    def _error(self, name: str, words: str, hint: str) -> None:
        self.scope.error(self.mapping.document.locate_key((*_SURVIVORSHIP, name)), words, hint)


def _column(item: FieldSchema) -> Column:
    """A target field as an operand: the engine holds it in its own type already."""
    return Column(item.name, item.name, kind_of(item), _STORED.get(item.type, Stored.TEXT))
