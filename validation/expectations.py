"""Rules on one table in Great Expectations' own vocabulary, and the base suite that follows from a mapping.

A suite is data (`type`, `kwargs`, `severity`, `meta`, exactly as Great Expectations writes them), so its documentation
applies; `validation/gx.py` is the one module that runs them. See `validation/suitefile.py` for the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from migrator.core.currency import minor_units
from migrator.core.errors import Location
from migrator.core.mapped import Amount, MappedObject
from migrator.core.schema import FieldSchema, FieldType

NOT_NULL = "expect_column_values_to_not_be_null"
UNIQUE = "expect_column_values_to_be_unique"
LENGTHS = "expect_column_value_lengths_to_be_between"
IN_SET = "expect_column_values_to_be_in_set"
BETWEEN = "expect_column_values_to_be_between"
MATCHES = "expect_column_values_to_match_regex"
COMPOUND_UNIQUE = "expect_compound_columns_to_be_unique"

SEVERITIES = ("critical", "warning", "info")

PARAMETERS = ("now", "today")
"""What `{$PARAMETER: …}` may name in a kwarg: the instant and the day (UTC) of the validation."""

PHONE_SHAPE = r"^[+(]?[0-9][0-9\s().\-/]{3,28}[0-9)](\s*(x|ext\.?|#|转|轉)\s*[0-9]{1,6})?$"
EMAIL_SHAPE = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"


@dataclass(frozen=True, slots=True)
class When:
    """The rows a rule is about: those whose `column` holds one of `values` (or, `negated`, a value that is none of them)."""

    column: str
    values: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Expectation:
    """One rule; `place` is where it stands in its file."""

    type: str
    kwargs: Mapping[str, Any]
    severity: str = "critical"
    meta: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    place: Location = field(default_factory=lambda: Location("mapping"))
    when: When | None = None
    """Ours, beside Great Expectations' words: its own `row_condition` is code."""
    name: str = ""
    """Ours too: what the team calls it, for its id."""
    variant: str = ""
    """What tells it from the other rules of this type on these fields; see `validation.variants`."""

    @property
    def subject(self) -> str:
        """Its fields, and the records it is about when those are not all."""
        fields, when = ", ".join(self.columns), self.when
        if when is None:
            return fields
        listed = ", ".join(when.values[:3]) + (", …" if len(when.values) > 3 else "")
        return f"{fields} [{when.column} {'≠' if when.negated else '='} {listed}]"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it speaks of."""
        named = [self.kwargs[name] for name in ("column", "column_A", "column_B") if name in self.kwargs]
        listed = self.kwargs.get("column_list", ())
        return tuple(dict.fromkeys([*named, *listed]))


@dataclass(frozen=True, slots=True)
class TotalsBy:
    """A control total to compare by group: `field` is summed for each combination of values of `by`."""

    field: str
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Suite:
    """The rules of one object."""

    object: str
    """Name of the mapping."""
    expectations: tuple[Expectation, ...]
    totals: tuple[TotalsBy, ...] = ()
    file: str = ""


def derive_suite(mapped: MappedObject) -> Suite:
    """The rules that follow from what the mapping says of its target fields; the same mapping gives the same suite."""
    rules = [rule for item in mapped.fields for rule in _rules(mapped, item)]
    rules += _minor_units(mapped)
    return Suite(mapped.name, tuple(rules), tuple(_totals(mapped)))


def _rules(mapped: MappedObject, item: FieldSchema) -> Iterable[Expectation]:
    link = mapped.link(item.name)
    is_key = item.name == mapped.key
    if item.required or is_key or (link is not None and link.required):
        yield _rule(NOT_NULL, item, "key" if is_key else "required")
    if item.unique or is_key:
        yield _rule(UNIQUE, item, "unique")
    if link is None:
        yield from _shape_rules(item)


def _shape_rules(item: FieldSchema) -> Iterable[Expectation]:
    match item.type:
        case FieldType.STRING | FieldType.TEXT | FieldType.ID if item.length:
            yield _rule(LENGTHS, item, "length", max_value=item.length)
        case FieldType.PICKLIST if item.values:
            yield _rule(IN_SET, item, "picklist", value_set=list(item.values))
        case FieldType.DECIMAL if item.precision:
            limit = 10 ** (item.precision - (item.scale or 0))
            yield _rule(
                BETWEEN,
                item,
                "precision",
                min_value=-limit,
                max_value=limit,
                strict_min=True,
                strict_max=True,
            )
        case FieldType.DATETIME if _is_audit(item.name):
            yield _rule(BETWEEN, item, "not_in_future", severity="warning", max_value={"$PARAMETER": "now"})
        case FieldType.MULTI_PICKLIST if item.values:
            one = "|".join(re.escape(value) for value in item.values)
            yield _rule(MATCHES, item, "picklist", regex=f"^({one})(;({one}))*$")
        case FieldType.DATE if _is_audit(item.name) or _is_birth(item.name):
            yield _rule(BETWEEN, item, "not_in_future", severity="warning", max_value={"$PARAMETER": "today"})
    if item.pii == "phone" and item.type in (FieldType.STRING, FieldType.TEXT):
        yield _rule(MATCHES, item, "phone", severity="warning", regex=PHONE_SHAPE)
    if item.pii == "email" and item.type in (FieldType.STRING, FieldType.TEXT):
        yield _rule(MATCHES, item, "email", severity="warning", regex=EMAIL_SHAPE)


def _rule(
    kind: str, item: FieldSchema, reason: str, *, severity: str = "critical", **kwargs: Any
) -> Expectation:
    return Expectation(kind, {"column": item.name, **kwargs}, severity, {"reason": reason})


def _is_audit(name: str) -> bool:
    """Whether a time field tells of the record itself (created, modified) and so cannot lie in the future."""
    flat = name.casefold().replace("_", "").replace(" ", "")
    return flat.startswith(("created", "modified", "lastmodified", "updated")) or flat.endswith(
        ("createdat", "createdon", "modifiedat", "modifiedon", "创建时间", "修改时间")
    )


def _is_birth(name: str) -> bool:
    return name.casefold().replace("_", "").startswith(("birth", "born", "出生", "生日"))


def _minor_units(mapped: MappedObject) -> Iterable[Expectation]:
    """Amounts with no more decimals than their currency has: none in JPY, two in EUR, three in KWD."""
    units = minor_units()
    others = tuple(code for code, digits in units.items() if digits != 2)
    declared = {amount.field for amount in mapped.amounts}
    for amount in _amounts(mapped):
        item = mapped.schema.field(amount.field)
        if item is None or not (item.name in declared or _is_money(item.name)):
            continue
        wanted = {units[amount.code]} if amount.code else set(units.values())
        for digits in sorted(found for found in wanted if found is not None):
            if digits >= (item.scale or 0):
                continue
            codes = others if digits == 2 else tuple(code for code, n in units.items() if n == digits)
            regex = f"^-?[0-9]+([.][0-9]{{0,{digits}}}0*)?$"
            rule = _rule(MATCHES, item, "minor_units", severity="warning", regex=regex)
            yield replace(rule, when=When(amount.by, codes, negated=digits == 2)) if amount.by else rule


def _amounts(mapped: MappedObject) -> Iterable[Amount]:
    """Number fields with the currency that the mapping declares, or else the one field that evidently names it."""
    evident = _currencies(mapped)
    declared = {amount.field: amount for amount in mapped.amounts}
    for item in mapped.fields:
        if item.name in declared:
            yield declared[item.name]
        elif item.type is FieldType.DECIMAL and len(evident) == 1:
            yield Amount(item.name, by=evident[0])


def _is_money(name: str) -> bool:
    flat = name.casefold()
    words = (
        "amount",
        "price",
        "revenue",
        "value",
        "total",
        "cost",
        "budget",
        "credit",
        "discount",
        "金额",
        "金額",
        "价",
        "價",
    )
    return any(word in flat for word in words) and "percent" not in flat


def _currencies(mapped: MappedObject) -> list[str]:
    """Fields that evidently name a currency."""
    return [
        item.name
        for item in mapped.fields
        if item.type in (FieldType.PICKLIST, FieldType.STRING, FieldType.REFERENCE)
        and ("currency" in item.name.casefold() or "币种" in item.name or "幣" in item.name)
    ]


def _totals(mapped: MappedObject) -> Iterable[TotalsBy]:
    """Amounts by currency, and by currency and stage, owner or year, where the object has a field that is evidently that."""
    others = [item.name for item in mapped.fields if is_group(mapped, item)]
    others += [name for name in (year_field(mapped),) if name]
    declared = {amount.field for amount in mapped.amounts}
    for amount in _amounts(mapped):
        currency = (amount.by,) if amount.by else ()
        if currency:
            yield TotalsBy(amount.field, currency)
        for other in others if amount.field in declared or _is_money(amount.field) else ():
            yield TotalsBy(amount.field, (*currency, other))


def is_group(mapped: MappedObject, item: FieldSchema) -> bool:
    """Whether people evidently divide records by this field: an owner, a type, a status, a stage."""
    flat = item.name.casefold().replace("_", "").replace(" ", "")
    if mapped.link(item.name) is not None:
        return "owner" in flat or "负责人" in flat or "負責人" in flat
    return item.type in (FieldType.PICKLIST, FieldType.STRING) and flat in _DIVIDING


_DIVIDING = frozenset(
    {
        "stage",
        "status",
        "type",
        "kind",
        "recordtype",
        "statecode",
        "阶段",
        "階段",
        "状态",
        "狀態",
        "类型",
        "類型",
    }
)


def year_field(mapped: MappedObject) -> str:
    """The date whose year divides the records: the first that is no birthday, a day before an instant; '' for none."""
    dates = [item for item in mapped.fields if item.type in (FieldType.DATE, FieldType.DATETIME)]
    found = [item.name for item in dates if not _is_birth(item.name)]
    days = [item.name for item in dates if item.type is FieldType.DATE and item.name in found]
    return next(iter([*days, *found]), "")
