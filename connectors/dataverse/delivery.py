"""Rows of JSON as typed Arrow columns, column by column; what is not of its column's type is an error, never a guess."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from connectors.dataverse.tables import FILE_NAME, NAME, PARTIES, TYPE, Attribute, Table, beside_of
from migrator.core.errors import FatalError
from migrator.core.schema import FieldType

FORMATTED = "@OData.Community.Display.V1.FormattedValue"
LOOKUP_TABLE = "@Microsoft.Dynamics.CRM.lookuplogicalname"
_EMBEDDED = {"documentbody": "isdocument", "body": "filesize"}
"""Files that stand in the row itself as base64: which column says that there is one."""
_PARTIES_BY_MASK = {mask: column for column, mask in PARTIES.items()}

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One column of a page: its type, and how its values are taken out of rows."""

    name: str
    type: pa.DataType
    take: Callable[[Sequence[Row]], list[Any]]
    convert: Callable[[pa.Array], pa.Array] | None = None
    raw: pa.DataType | None = None
    """The type the values have before `convert`."""

    def column(self, rows: Sequence[Row], where: str) -> pa.Array:
        """The column; raises `FatalError` when a value is not of its type."""
        try:
            values = pa.array(self.take(rows), self.raw or self.type)
            return self.convert(values) if self.convert else values
        except (pa.ArrowException, TypeError, ValueError, ArithmeticError, AttributeError, KeyError) as error:
            raise FatalError(
                f"{where}.{self.name}: the service sent a value that is no {self.type}",
                hint="the table may have changed while it was read: run again",
            ) from error


def deliveries(table: Table, columns: Sequence[str] | None = None) -> tuple[Delivery, ...]:
    """How the columns of a table are delivered, in the order of `columns`, else of its schema."""
    made = {item.name: item for attribute in table.attributes.values() for item in _of(table, attribute)}
    return tuple(made[name] for name in columns) if columns is not None else tuple(made.values())


def page(rows: Sequence[Row], wanted: Sequence[Delivery], table: Table) -> pa.Table:
    """Rows as a table of these columns."""
    arrays = [item.column(rows, table.name) for item in wanted]
    return pa.Table.from_arrays(arrays, schema=empty(wanted).schema)


def empty(wanted: Sequence[Delivery]) -> pa.Table:
    """The same columns, no rows."""
    return pa.schema([pa.field(item.name, item.type) for item in wanted]).empty_table()


def selection(table: Table, columns: Sequence[str]) -> tuple[list[str], bool]:
    """What `$select` must name for these columns, and whether the parties of an activity are needed."""
    names = {table.key}
    parties = False
    for item in table.attributes.values():
        beside = {f"{item.name}{suffix}" for suffix in beside_of(item)}
        if not ({item.name} | beside) & set(columns):
            continue
        if item.kind == "partylist":
            parties = True
        elif item.schema.type is FieldType.FILE and item.kind != "file":
            names |= {_EMBEDDED[item.name], "filename"} & set(table.attributes)
        elif item.kind == "file":
            names |= {item.name, f"{item.name}_name"}
        else:
            names.add(item.wire)
    return sorted(names), parties


def _of(table: Table, attribute: Attribute) -> list[Delivery]:
    """The column of an attribute, and those beside it."""
    found = [_column(table, attribute)]
    wire = attribute.wire
    for suffix in (NAME, TYPE, FILE_NAME):
        if suffix not in beside_of(attribute):
            continue
        told = {
            NAME: f"{wire}{FORMATTED}",
            TYPE: f"{wire}{LOOKUP_TABLE}",
            FILE_NAME: f"{wire}_name" if attribute.kind == "file" else "filename",
        }[suffix]
        found.append(Delivery(f"{attribute.name}{suffix}", pa.string(), _taker(told)))
    return found


def _column(table: Table, attribute: Attribute) -> Delivery:  # noqa: PLR0911 (one a type)
    name, take = attribute.name, _taker(attribute.wire)
    match attribute.schema.type:
        case FieldType.INTEGER:
            return Delivery(name, pa.int64(), take)
        case FieldType.BOOLEAN:
            return Delivery(name, pa.bool_(), take)
        case FieldType.FLOAT:
            return Delivery(name, pa.float64(), lambda rows: [_real(value) for value in take(rows)])
        case FieldType.DECIMAL:
            type_ = pa.decimal128(attribute.schema.precision, attribute.schema.scale)
            return Delivery(name, type_, lambda rows: [_exact(value) for value in take(rows)])
        case FieldType.DATETIME:
            type_ = pa.timestamp("us", tz="UTC")
            return Delivery(name, type_, take, lambda found: pc.cast(found, type_), pa.string())
        case FieldType.DATE:
            return Delivery(name, pa.date32(), take, lambda found: pc.cast(found, pa.date32()), pa.string())
        case FieldType.PICKLIST:
            return Delivery(name, pa.string(), take, lambda found: pc.cast(found, pa.string()), pa.int64())
        case FieldType.MULTI_PICKLIST:
            return Delivery(name, pa.string(), take, lambda found: pc.replace_substring(found, ",", ";"))
        case FieldType.JSON:
            return Delivery(name, pa.string(), lambda rows: [_party_list(table, name, row) for row in rows])
        case FieldType.FILE:
            return Delivery(name, pa.string(), lambda rows: [_file(table, attribute, row) for row in rows])
        case _:
            return Delivery(name, pa.string(), take)


def _taker(wire: str) -> Callable[[Sequence[Row]], list[Any]]:
    return lambda rows: [row.get(wire) for row in rows]


def _exact(value: Any) -> Decimal | None:
    """A number as a decimal; a text or a truth value is none."""
    if value is None or isinstance(value, Decimal):
        return value
    if type(value) is int:
        return Decimal(value)
    raise TypeError(f"not a number: {type(value).__name__}")


def _real(value: Any) -> float | None:
    exact = _exact(value)
    return None if exact is None else float(exact)


def _file(table: Table, attribute: Attribute, row: Row) -> str | None:
    """RECORD/COLUMN where there is a file; `open_file` takes it."""
    sign = row.get(attribute.wire if attribute.kind == "file" else _EMBEDDED[attribute.name])
    return f"{row[table.key]}/{attribute.name}" if sign else None


def _party_list(table: Table, column: str, row: Row) -> str | None:
    """The parties of one column as the exports tell them: partyid, its table and name, and the mask."""
    found = [
        party
        for item in row.get(table.parties) or ()
        if _PARTIES_BY_MASK.get(item["participationtypemask"]) == column and (party := _party(item))
    ]
    return json.dumps(found, ensure_ascii=False) if found else None


def _party(item: Row) -> dict[str, str]:
    told = {
        "id": item.get("activitypartyid"),
        "partyid": item.get("_partyid_value"),
        "partyid__type": item.get(f"_partyid_value{LOOKUP_TABLE}"),
        "partyid__name": item.get(f"_partyid_value{FORMATTED}"),
        "addressused": item.get("addressused"),
        "participationtypemask": item.get("participationtypemask"),
    }
    return {key: str(value) for key, value in told.items() if value is not None}
