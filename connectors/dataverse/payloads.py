"""Rows of Arrow as what Dataverse is sent: each value in its column's form, look-ups as bindings, parties as a list.

A value that cannot be said is the row's own refusal, told before anything is sent. Pure, but for `Pointers`.
Sources: "Associate and disassociate rows" (@odata.bind; polymorphic look-ups by the navigation property of each table),
"Create a table row" (activity parties), "ActivityParty entity" (participationtypemask).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa

from connectors.dataverse.odata import guid
from connectors.dataverse.tables import PARTIES, TYPE, Attribute, Table
from migrator.core.schema import FieldType


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a row is not written: a short stable code, the column, and words."""

    code: str
    message: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Payload:
    """One row as it is sent; null clears a column."""

    number: int
    key: str
    values: Mapping[str, Any]
    first: Mapping[str, Any] = field(default_factory=dict)
    """Sent only when the record is created."""
    later: Mapping[str, Any] = field(default_factory=dict)
    """Cannot be set when the record is created."""
    state: int | None = None
    status: int | None = None

    @property
    def created(self) -> dict[str, Any]:
        """What a new record is created with: nothing is cleared, and it is open."""
        told = {**self.values, **self.first}
        if self.status is not None and not self.state:
            told["statuscode"] = self.status
        return {name: value for name, value in told.items() if value is not None}

    @property
    def changed(self) -> dict[str, Any]:
        """What an existing record is changed to, but for its state."""
        return {**self.values, **self.later}


class Unsayable(ValueError):
    """A value has no form in its column."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Pointers:
    """What a reference needs: the set of every table, and the table of a record that may be in several."""

    set_names: Mapping[str, str]
    tables: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(column, record) → table, for look-ups of several tables whose rows do not say it."""

    def binding(self, attribute: Attribute, record: str, told: str | None) -> tuple[str, str]:
        """Navigation property and address; raises `Unsayable` when nobody knows the table."""
        table = told or self._only(attribute) or self.tables.get((attribute.name, record))
        if table is None or table not in attribute.targets:
            words = f"a record of {table}" if table else "a record of none of its tables"
            raise Unsayable(
                "reference.table", f"{record} is {words}; it may point to {', '.join(attribute.targets)}"
            )
        return attribute.targets[table], f"/{self.set_names[table]}({record})"

    @staticmethod
    def _only(attribute: Attribute) -> str | None:
        return next(iter(attribute.targets)) if len(attribute.targets) == 1 else None


def payloads(
    table: Table, rows: pa.Table, key: str, pointers: Pointers
) -> tuple[list[Payload], dict[int, Refusal]]:
    """What is to be sent for each row, and the rows that cannot be sent by their number."""
    made: list[Payload] = []
    refused: dict[int, Refusal] = {}
    for number, row in enumerate(rows.to_pylist()):
        try:
            made.append(_payload(table, number, row, key, pointers))
        except _Refused as error:
            refused[number] = error.refusal
    return made, refused


class _Refused(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def _payload(table: Table, number: int, row: Mapping[str, Any], key: str, pointers: Pointers) -> Payload:
    parts: dict[str, dict[str, Any]] = {"values": {}, "first": {}, "later": {}}
    states: dict[str, int | None] = {}
    for name in row:
        attribute = table.attributes.get(name)
        if attribute is None:  # the type beside a look-up
            continue
        try:
            if name in {"statecode", "statuscode"}:
                states[name] = _whole(row[name])
            else:
                parts[_part(attribute)].update(_said(table, attribute, row, pointers))
        except (ValueError, TypeError, ArithmeticError) as error:
            code = error.code if isinstance(error, Unsayable) else "value.type"
            raise _Refused(Refusal(code, f"{name}: {error}", name)) from error
    own = row[key]
    if own is None or str(own) == "":
        raise _Refused(Refusal("key.missing", f"{key}: a row without its key cannot be written", key))
    return Payload(number, str(own), **parts, state=states.get("statecode"), status=states.get("statuscode"))


def _part(attribute: Attribute) -> str:
    """Whether a column is sent always, only with a new record, or only after."""
    if attribute.creates and attribute.updates:
        return "values"
    return "first" if attribute.creates else "later"


def _said(
    table: Table, attribute: Attribute, row: Mapping[str, Any], pointers: Pointers
) -> Iterator[tuple[str, Any]]:
    """Property and value, as JSON has them."""
    value = row[attribute.name]
    if attribute.is_lookup:
        yield _bound(attribute, value, row.get(f"{attribute.name}{TYPE}"), pointers)
    elif attribute.kind == "partylist":
        if value is not None:
            yield from _parties(table, attribute, value, pointers)
    elif value is None:
        yield attribute.name, None
    else:
        form = _FORMS.get(attribute.schema.type)
        yield attribute.name, form(value) if form else str(value)


def _bound(attribute: Attribute, value: Any, told: str | None, pointers: Pointers) -> tuple[str, Any]:
    if value is None:
        return f"{next(iter(attribute.targets.values()))}@odata.bind", None
    record = guid(value)
    if record is None:
        raise Unsayable("value.type", f"{value!r} is not the id of a record")
    navigation, address = pointers.binding(attribute, record, told)
    return f"{navigation}@odata.bind", address


def _parties(table: Table, attribute: Attribute, value: Any, pointers: Pointers) -> Iterator[tuple[str, Any]]:
    listed: Any = json.loads(value)
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise Unsayable("value.type", "a party list is a JSON list of objects")
    mask = PARTIES.get(attribute.name)
    if mask is None:
        raise Unsayable("value.type", "how this party list is written is not known")
    yield f"{table.parties}:{mask}", [_party(item, mask, pointers) for item in listed]


def _party(item: Mapping[str, Any], mask: int, pointers: Pointers) -> dict[str, Any]:
    """A party that is a record, or one that is only an address."""
    record, table = guid(item.get("partyid", "")), str(item.get("partyid__type") or "")
    if record is None:
        address = item.get("addressused")
        if not address:
            raise Unsayable("value.type", "a party has neither partyid nor addressused")
        return {"addressused": str(address), "participationtypemask": mask}
    if table not in pointers.set_names:
        raise Unsayable("reference.table", f"a party does not say its table (partyid__type is {table!r})")
    return {
        f"partyid_{table}@odata.bind": f"/{pointers.set_names[table]}({record})",
        "participationtypemask": mask,
    }


def body(said: Mapping[str, Any]) -> dict[str, Any]:
    """The parties of several columns as the one list they are."""
    made: dict[str, Any] = {}
    for name, value in said.items():
        listed, sign, _ = name.partition(":")
        if sign:
            made.setdefault(listed, []).extend(value)
        else:
            made[name] = value
    return made


def _whole(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool):
        raise TypeError(f"{value!r} is no whole number")
    exact = Decimal(str(value))
    if exact != exact.to_integral_value():
        raise ValueError(f"{value!r} is no whole number")
    return int(exact)


def _exact(value: Any) -> Decimal:
    try:
        exact = Decimal(str(value))
    except InvalidOperation as error:
        raise ValueError(f"{value!r} is no number") from error
    if isinstance(value, bool) or not exact.is_finite():
        raise ValueError(f"{value!r} is no number")
    return exact


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    found = {"true": True, "1": True, "false": False, "0": False}.get(str(value).casefold())
    if found is None:
        raise ValueError(f"{value!r} is neither true nor false")
    return found


def _instant(value: Any) -> str:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    if moment.tzinfo is None:
        raise ValueError(f"{value!r} has no zone")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").replace(".000000Z", "Z")


def _day(value: Any) -> str:
    if isinstance(value, datetime):
        raise TypeError(f"{value!r} is an instant, not a day")
    return (value if isinstance(value, date) else date.fromisoformat(str(value))).isoformat()


def _options(value: Any) -> str:
    return ",".join(str(_whole(part)) for part in str(value).split(";"))


_FORMS: Mapping[FieldType, Callable[[Any], Any]] = {
    FieldType.INTEGER: _whole,
    FieldType.PICKLIST: _whole,
    FieldType.DECIMAL: _exact,
    FieldType.FLOAT: _exact,
    FieldType.BOOLEAN: _truth,
    FieldType.DATETIME: _instant,
    FieldType.DATE: _day,
    FieldType.MULTI_PICKLIST: _options,
}
