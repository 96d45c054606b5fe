"""What a mapping says of an amount of money: its currency, and how it is converted. ISO 4217 codes, exact decimals."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from migrator.core.currency import minor_units
from migrator.core.document import did_you_mean
from migrator.mapping.model_base import Strict, problem


def check_code(value: str) -> str:
    """The code if ISO 4217 knows it."""
    if value not in minor_units():
        raise problem(
            f"{value!r} is no currency", did_you_mean(value.strip().upper(), minor_units(), noun="codes")
        )
    return value


def _target_currency(value: str) -> str:
    if minor_units()[check_code(value)] is None:
        raise problem(
            f"{value!r} has no smallest unit that amounts could be rounded to", "convert to another"
        )
    return value


def _kept_name(value: str) -> str:
    if not value.strip() or value.startswith("__"):
        raise problem(f"{value!r} is no name of a target field", "for example amount_original")
    return value


KeptName = Annotated[str, AfterValidator(_kept_name)]


class Keep(Strict):
    """Target fields that hold an amount as the source has it, beside its converted form."""

    amount: Annotated[
        KeptName | None, Field(description="Target field for the amount before it is converted.")
    ] = None
    currency: Annotated[KeptName | None, Field(description="Target field for the code of its currency.")] = (
        None
    )

    @model_validator(mode="after")
    def _keeps(self) -> Keep:
        if not (self.amount or self.currency):
            raise problem("nothing is kept", "name a target field: keep: {amount: amount_original}")
        return self


class Currency(Strict):
    """The currency of an amount, and the currency it is converted to."""

    from_: Annotated[
        str | None, Field(alias="from", description="Source column that holds each record's ISO 4217 code.")
    ] = None
    code: Annotated[
        Annotated[str, AfterValidator(check_code)] | None,
        Field(description="The ISO 4217 code of all records, for example CNY."),
    ] = None
    to: Annotated[
        Annotated[str, AfterValidator(_target_currency)] | None,
        Field(description="Currency the amount is converted to; rounded half to even, to its smallest unit."),
    ] = None
    rates: Annotated[
        str | None, Field(description="CSV file in the project with columns from, to, valid_from, rate.")
    ] = None
    on: Annotated[
        str | None,
        Field(
            description="Source column with the day whose rate holds; left out where each rate stands once."
        ),
    ] = None
    keep: Annotated[
        Keep | None, Field(description="Target fields for the original: {amount: FIELD, currency: FIELD}.")
    ] = None

    @model_validator(mode="after")
    def _whole(self) -> Currency:
        if (self.from_ is None) == (self.code is None):
            what = "says no currency" if self.code is None else "says from and code"
            raise problem(f"this {what}", "write one of: {from: COLUMN}, {code: CNY}")
        if (self.to is None) != (self.rates is None):
            lacking = "rates" if self.rates is None else "to"
            raise problem(f"a conversion needs {lacking}", "write to: USD, rates: values/rates.csv")
        if self.to is None and (self.on is not None or self.keep is not None):
            word = "on" if self.on is not None else "keep"
            raise problem(f"{word} means nothing without to", f"remove {word}, or say to: and rates:")
        return self


def _keyed(value: object) -> object:
    if not isinstance(value, dict | Currency):
        raise problem("currency must hold keys", "write currency: {from: COLUMN} or currency: {code: CNY}")
    return value


Money = Annotated[Currency, BeforeValidator(_keyed)]
