"""Amounts of money bound: the column of their currency, the rates they are converted by, and what the target can know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from migrator.core.document import did_you_mean
from migrator.core.errors import ProjectError
from migrator.core.mapped import Amount
from migrator.core.schema import FieldSchema, FieldType
from migrator.mapping.bound import BoundField, BoundMoney, Column, Constant, Conversion
from migrator.mapping.kinds import Kind
from migrator.mapping.money import Currency
from migrator.mapping.parse import FieldInput, ObjectMapping
from migrator.mapping.rates import RateTable, read_rates
from migrator.mapping.scope import Scope, SourceView

Columns: TypeAlias = Sequence[tuple[FieldSchema, Sequence[BoundField]]]
"""Target fields, each with its part from every source."""
_AGAINST = ("values", "lookup", "record_id", "by", "missing")


def bind_money(scope: Scope, mapping: ObjectMapping, view: SourceView, item: FieldInput) -> BoundMoney | None:
    """The currency of a field seen from one source; None when it holds no money. Problems go to the scope."""
    rule = item.rule.currency
    if rule is None:
        return None
    path = item.path("currency")
    for key in _AGAINST:
        if key in item.keys and getattr(item.rule, key):
            place = mapping.document.locate_key(item.path(key))
            scope.error(
                place, f"{key} means nothing beside currency", "an amount is a number: remove one of them"
            )
    code = _column(scope, mapping, view, rule.from_, (*path, "from")) if rule.from_ is not None else None
    conversion = _conversion(scope, mapping, view, item, rule) if rule.to is not None else None
    return BoundMoney(code if code is not None else rule.code or "", conversion)


def _column(
    scope: Scope, mapping: ObjectMapping, view: SourceView, name: str, path: tuple[str | int, ...]
) -> Column | None:
    if name not in view.columns:
        hint = did_you_mean(name, view.columns, noun="columns")
        scope.error(mapping.at(*path), f"{view.mapped.staged} has no column {name!r}", hint)
    return view.columns.get(name)


def _conversion(
    scope: Scope, mapping: ObjectMapping, view: SourceView, item: FieldInput, rule: Currency
) -> Conversion | None:
    path = item.path("currency")
    if item.rule.default is not None:
        place = mapping.document.locate_key(item.path("default"))
        hint = "it would be an amount of no currency: say it in expr, as coalesce(Amount, 0)"
        scope.error(place, "default means nothing for a converted amount", hint)
    on = _column(scope, mapping, view, rule.on, (*path, "on")) if rule.on is not None else None
    try:
        place = mapping.at(*path, "rates")
        table = read_rates(rule.rates or "", rule.to or "", mapping.project, place)
    except ProjectError as error:
        scope.problems.extend(error.problems)
        return None
    if rule.on is None:
        changing = _changing(table)
        if changing:
            words = f"{table.file!r} has several rates {changing} to {table.to}"
            scope.error(
                mapping.document.locate_key((*path, "rates")), words, "say with on: which column has the day"
            )
    zone = item.rule.zone or ("UTC" if on is not None and on.kind.type is FieldType.DATETIME else "")
    return Conversion(table, on, zone, item.rule.format)


def _changing(table: RateTable) -> str:
    seen: set[str] = set()
    for item in table.rates:
        if item.currency in seen:
            return item.currency
        seen.add(item.currency)
    return ""


def amount_kind(derived: Kind) -> Kind:
    """The type of an amount where neither the mapping nor the target says it."""
    if derived.type is FieldType.DECIMAL:
        return derived
    return Kind(FieldType.DECIMAL, precision=38, scale=10)


def check_amount(
    scope: Scope, mapping: ObjectMapping, item: FieldInput, money: BoundMoney, kind: Kind
) -> None:
    """Money is an exact decimal that can hold the smallest unit of what it is converted to."""
    place = mapping.document.locate_key(item.path("type" if "type" in item.keys else "currency"))
    if kind.type is not FieldType.DECIMAL:
        hint = "give it an exact type: type: 'decimal(18,2)'"
        scope.error(place, f"{item.name!r} holds money and is a {kind.type.value}", hint)
    elif money.conversion is not None and (kind.scale or 0) < money.conversion.table.digits:
        table = money.conversion.table
        words = f"{table.to} has {table.digits} decimals, {item.name!r} is {kind}"
        scope.error(
            place, words, "give it a type with more decimals; nothing is rounded but by the conversion"
        )


def amounts(columns: Columns) -> tuple[Amount, ...]:
    """Which target fields hold money in which currency, where that can be said of all their records."""
    found = (_amount(schema.name, cells, columns) for schema, cells in columns)
    return tuple(item for item in found if item is not None)


def _amount(name: str, cells: Sequence[BoundField], columns: Columns) -> Amount | None:
    filled = [number for number, cell in enumerate(cells) if cell.input != Constant(None)]
    monies = [cells[number].money for number in filled]
    if not monies or any(item is None for item in monies):
        return None
    said = {_said(item) for item in monies if item is not None}
    if len(said) == 1 and None not in said:
        return Amount(name, code=str(said.pop()))
    for schema, others in columns:
        if all(_holds_code(cells[number].money, others[number]) for number in filled):
            return Amount(name, by=schema.name)
    return None


def _said(money: BoundMoney) -> str | None:
    """The one code of all amounts; None when each record has its own."""
    if money.conversion is not None:
        return money.conversion.table.to
    return money.code if isinstance(money.code, str) else None


def _holds_code(money: BoundMoney | None, other: BoundField) -> bool:
    """Whether a field of the same source holds the currency as the source has it."""
    untouched = other.values is None and not other.lookup and other.money is None
    return money is not None and money.conversion is None and untouched and other.input == money.code
