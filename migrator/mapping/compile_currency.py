"""Amounts of money compiled: digits held against the currency, and an exact conversion by the rate of a day.

All arithmetic is on whole numbers of 38 digits: an amount is units / 10^scale, a rate too; their product is divided by a
power of ten and rounded half to even. What needs more digits is told, never cut. Rates are found as of a day for each
currency and day that occurs (few), which the rows then join by equality, so that nothing large is ever sorted.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from migrator.core.currency import minor_units
from migrator.core.schema import FieldType
from migrator.mapping.bound import BoundField, BoundMoney, BoundSource, Column, Conversion
from migrator.mapping.casts import cast_text, plain_number
from migrator.mapping.columns import text_of, typed
from migrator.mapping.field_steps import FieldSteps
from migrator.mapping.issues import Check
from migrator.mapping.kinds import Kind, engine_type
from migrator.mapping.sql import Step, select
from migrator.staging.engine import literal, quote

CURRENCIES = "currencies of ISO 4217"
"""Relation (code, digits) of all currencies."""
NO_UNIT = 10
"""Decimals that an amount may have whose code has no smallest unit (gold, drawing rights)."""
_NUMBER = r"^([+-]?)0*([0-9]*)\.?([0-9]*?)0*$"
_DAY = Kind(FieldType.DATE)


def currencies() -> pa.Table:
    """The relation of all currencies."""
    units = minor_units()
    digits = [NO_UNIT if item is None else item for item in units.values()]
    return pa.table({"code": pa.array(list(units), pa.string()), "digits": pa.array(digits, pa.int32())})


def tables_of(fields: Iterable[BoundField]) -> dict[str, pa.Table]:
    """The small relations that amounts are held against, by name."""
    found = {}
    for field in fields:
        if field.money is not None:
            found[CURRENCIES] = currencies()
            if field.money.conversion is not None:
                table = field.money.conversion.table
                found[table.relation] = table.as_table()
    return found


def rate_steps(source: BoundSource, name: str) -> Iterable[Step]:
    """For each amount converted by dated rates: the currencies and days that occur, each with its rate."""
    for field in source.fields:
        money = field.money
        if money is not None and money.conversion is not None and money.conversion.on is not None:
            days = select(
                [f"DISTINCT {_code(money)} AS code", f"{_day(money.conversion, money.conversion.on)} AS day"],
                quote(f"{name}_staged"),
            )
            rates = quote(money.conversion.table.relation)
            found = select(
                ["occurs.code", "occurs.day", "rate.units", "rate.scale"],
                f"(\n{days}\n  ) AS occurs",
                [
                    f"ASOF JOIN {rates} AS rate ON occurs.code = rate.currency AND occurs.day >= rate.valid_from"
                ],
            )
            yield Step(_rates(name, field), found)


def _rates(name: str, field: BoundField) -> str:
    return f"{name} rates of {field.name}"


def _code(money: BoundMoney) -> str:
    if isinstance(money.code, str):
        return literal(money.code)
    return f"upper(trim({text_of(money.code)}))"


def _day(conversion: Conversion, on: Column) -> str:
    direct = typed(on, _DAY, conversion.zone)
    text = f"nullif(trim({text_of(on)}), '')"
    return direct or cast_text(text, _DAY, formats=conversion.formats, zone=conversion.zone).sql


def compile_amount(field: BoundField, money: BoundMoney, steps: FieldSteps, text: str, source: str) -> None:
    """The steps of an amount whose finished text is the column `text` of the step *cleaned*."""
    steps.cleaned.append((f"__code {field.name}", _code(money)))
    known = quote(f"currency {field.name}")
    code = f"step.{quote(f'__code {field.name}')}"
    steps.joins.append(f"LEFT JOIN {quote(CURRENCIES)} AS {known} ON {code} = {known}.code")
    parts = f"regexp_extract({plain_number(f'step.{quote(text)}')}, {literal(_NUMBER)}, ['sign', 'whole', 'rest'])"
    steps.looked_up.append((f"__digits {field.name}", f"{known}.digits"))
    steps.looked_up.append((f"__parts {field.name}", parts))
    exact = cast_text(quote(text), field.kind).sql
    if money.conversion is None:
        steps.cast.append((field.name, f"CASE WHEN {_fits(field)} THEN {exact} END"))
    else:
        _convert(field, money.conversion, steps, source)
        same = f"{quote(f'__code {field.name}')} = {literal(money.conversion.table.to)}"
        converted = _converted(field, money.conversion)
        steps.cast.append(
            (
                field.name,
                f"CASE WHEN NOT {_fits(field)} THEN NULL WHEN {same} THEN {exact} ELSE {converted} END",
            )
        )
    steps.checks.extend(_checks(field, money, text))


def _fits(field: BoundField) -> str:
    """Whether the amount has no more digits than its currency; false for what is no number or has no currency."""
    rest = f"length({quote(f'__parts {field.name}')}['rest'])"
    return f"coalesce({rest} <= {quote(f'__digits {field.name}')}, FALSE)"


def _convert(field: BoundField, conversion: Conversion, steps: FieldSteps, source: str) -> None:
    """Amount times rate as a whole number, and the power of ten that it is to be divided by."""
    name, rate = field.name, quote(f"rate {field.name}")
    met = f"step.{quote(f'__code {name}')} = {rate}"
    if conversion.on is not None:
        steps.cleaned.append((f"__day {name}", _day(conversion, conversion.on)))
        on = f"{met}.code AND step.{quote(f'__day {name}')} = {rate}.day"
        steps.joins.append(f"LEFT JOIN {quote(_rates(source, field))} AS {rate} ON {on}")
    else:
        steps.joins.append(f"LEFT JOIN {quote(conversion.table.relation)} AS {rate} ON {met}.currency")
    steps.looked_up.append((f"__rate {name}", f"{rate}.units"))
    steps.looked_up.append((f"__scale {name}", f"{rate}.scale"))
    parts = quote(f"__parts {name}")
    units = f"concat({parts}['sign'], '0', {parts}['whole'], {parts}['rest'])"
    product = f"TRY(CAST({units} AS HUGEINT) * CAST({quote(f'__rate {name}')} AS HUGEINT))"
    places = f"length({parts}['rest']) + {quote(f'__scale {name}')} - {conversion.table.digits}"
    steps.converted.append((f"__product {name}", f"CASE WHEN {_fits(field)} THEN {product} END"))
    steps.converted.append((f"__divisor {name}", f"TRY(CAST('1' || repeat('0', {places}) AS HUGEINT))"))


def _converted(field: BoundField, conversion: Conversion) -> str:
    """The product divided and rounded half to even, with the decimals of the currency converted to."""
    product, divisor = quote(f"__product {field.name}"), quote(f"__divisor {field.name}")
    whole, left = f"abs({product}) // {divisor}", f"abs({product}) % {divisor}"
    more = f"{left} > {divisor} - {left} OR ({left} = {divisor} - {left} AND ({whole}) % 2 = 1)"
    rounded = f"sign({product}) * ({whole} + CASE WHEN {more} THEN 1 ELSE 0 END)"
    digits = conversion.table.digits
    unit = (
        f" * CAST({literal('0.' + '1'.rjust(digits, '0'))} AS DECIMAL({digits}, {digits}))" if digits else ""
    )
    return f"TRY(CAST(CAST({rounded} AS DECIMAL(38, 0)){unit} AS {engine_type(field.kind)}))"


def _checks(field: BoundField, money: BoundMoney, text: str) -> Iterable[Check]:
    """What may be wrong with an amount, in the order in which it is told; the last holds whenever another does."""
    name, digits = field.name, quote(f"__digits {field.name}")
    failed = f"{quote(text)} IS NOT NULL AND {quote(name)} IS NULL"
    parts, code = quote(f"__parts {name}"), quote(f"__code {name}")

    def check(when: str, rule: str, value: str, message: str) -> Check:
        return Check(f"{failed} AND {when}", name, rule, value, message, implied=True)

    yield check(f"{parts}['whole'] IS NULL", "cast.decimal", quote(text), "not a number")
    unknown = "its currency is blank, or no code of ISO 4217"
    yield check(f"{digits} IS NULL", "currency.unknown", code, unknown)
    more = "more digits than its currency has; nothing is rounded"
    yield check(f"NOT {_fits(field)}", "cast.precision", quote(text), more)
    if money.conversion is not None:
        table, on = money.conversion.table, money.conversion.on
        day = f", {quote(f'__day {name}')}" if on is not None else ""
        when = f"{quote(f'__rate {name}')} IS NULL AND {code} <> {literal(table.to)}"
        holds = f" holds on the day in {on.name}" if on is not None else " is known"
        message = f"no rate to {table.to}{holds}"
        yield check(when, "rate.missing", f"concat_ws(' ', {code}{day})", message)
    most = f"more digits than {field.kind} holds; nothing is cut"
    yield Check(failed, name, "cast.precision", quote(text), most)
