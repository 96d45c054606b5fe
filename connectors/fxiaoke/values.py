"""Values between JSON and columns: money as text, dates as milliseconds in the tenant's zone, employees as lists of one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from connectors.fxiaoke.described import Described, Shape
from migrator.core.schema import FieldSchema, FieldType

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_A_DAY = 86_400_000
SEPARATOR = ";"


class Unfit(ValueError):
    """A value that the system has no place for; the text says why."""


# -- to the system


def to_json(value: object, shape: Shape, zone: ZoneInfo) -> Any:  # noqa: PLR0911 (one a shape)
    """A value of a row as it is sent; None stays None. Raises `Unfit` for what would lose something."""
    if value is None:
        return None
    match shape:
        case Shape.NUMBER:
            return _digits(value)
        case Shape.DAY:
            return _midnight(value, zone)
        case Shape.INSTANT:
            return _instant(value)
        case Shape.TIME:
            return _time(value)
        case Shape.FLAG:
            if not isinstance(value, bool):
                raise Unfit(f"{value!r} is neither true nor false")
            return value
        case Shape.ONE:
            return [str(value)]
        case Shape.TEXTS:
            return [item for item in str(value).split(SEPARATOR) if item]
        case Shape.JSON:
            return _loaded(str(value))
        case Shape.TEXT | Shape.COMPUTED:
            return str(value)


def _digits(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Unfit(f"{value!r} is no exact number")
    if isinstance(value, Decimal) and not value.is_finite():
        raise Unfit(f"{value} is no number")
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _midnight(value: object, zone: ZoneInfo) -> int:
    if isinstance(value, datetime) or not isinstance(value, date):
        raise Unfit(f"{value!r} is no day")
    return (datetime(value.year, value.month, value.day, tzinfo=zone).astimezone(UTC) - _EPOCH) // _MS


def _instant(value: object) -> int:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise Unfit(f"{value!r} is no instant")
    since, rest = divmod(value - _EPOCH, _MS)
    if rest:
        raise Unfit(f"{value.isoformat()} is finer than a millisecond: round it in the mapping")
    return since


def _time(value: object) -> int:
    if not isinstance(value, time):
        raise Unfit(f"{value!r} is no time of day")
    if value.microsecond % 1000:
        raise Unfit(f"{value.isoformat()} is finer than a millisecond: round it in the mapping")
    return (value.hour * 3600 + value.minute * 60 + value.second) * 1000 + value.microsecond // 1000


def _loaded(value: str) -> Any:
    try:
        return json.loads(value, parse_float=Decimal)
    except ValueError as error:
        raise Unfit("this is no JSON") from error


# -- what is there against what is wanted


def same(there: Any, wanted: Any, shape: Shape, zone: ZoneInfo) -> bool:  # noqa: PLR0911 (one a shape)
    """Whether a value the system holds is what `to_json` made, however it spells it."""
    if _is_empty(there) or _is_empty(wanted):
        return _is_empty(there) and _is_empty(wanted)
    match shape:
        case Shape.NUMBER:
            return _decimal(there) == _decimal(wanted)
        case Shape.DAY:
            return _day(there, zone) == _day(wanted, zone)
        case Shape.INSTANT | Shape.TIME:
            return str(there) == str(wanted)
        case Shape.ONE:
            return _texts(there) == _texts(wanted)
        case Shape.TEXTS:
            return set(_texts(there)) == set(_texts(wanted))
        case Shape.FLAG | Shape.JSON:
            return bool(there == wanted)
        case Shape.TEXT | Shape.COMPUTED:
            return str(there) == str(wanted)


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [])


def _decimal(value: Any) -> Decimal | str:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return str(value)


def _day(value: Any, zone: ZoneInfo) -> date | str:
    if isinstance(value, bool) or not isinstance(value, int):
        return str(value)
    return (_EPOCH + value * _MS).astimezone(zone).date()


def _texts(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


# -- from the system


def typed_column(values: Sequence[Any], item: FieldSchema, shape: Shape, zone: str) -> pa.Array | None:  # noqa: PLR0911 (one a shape)
    """A column in the type of its field, or None when one of the values is not of it."""
    wanted = arrow_type(item)
    try:
        match shape:
            case Shape.NUMBER:
                texts = [None if _is_empty(value) else str(value) for value in values]
                return pa.array(texts, pa.string()).cast(wanted)
            case Shape.DAY:
                return _days(values, ZoneInfo(zone))
            case Shape.INSTANT:
                return _instants(values).cast(wanted)
            case Shape.TIME:
                return _whole(values, _A_DAY).cast(pa.int32()).cast(pa.time32("ms")).cast(wanted)
            case Shape.FLAG:
                return pa.array(values, pa.bool_())
            case _:
                return text_column(values, shape)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return None


def _days(values: Sequence[Any], zone: ZoneInfo) -> pa.Array:
    """One by one: Arrow knows no summer time after 2037."""
    instants = _whole(values).to_pylist()
    return pa.array([None if at is None else _day(at, zone) for at in instants], pa.date32())


def _instants(values: Sequence[Any]) -> pa.Array:
    return _whole(values).cast(pa.timestamp("ms", "UTC"))


def _whole(values: Sequence[Any], below: int | None = None) -> pa.Array:
    """Arrow would take 1.5 for 1, and an hour past midnight for a time of day."""
    for value in values:
        if value is not None and (type(value) is not int or (below is not None and not 0 <= value < below)):
            raise pa.ArrowInvalid(f"{value!r} does not fit")
    return pa.array(values, pa.int64())


def text_column(values: Sequence[Any], shape: Shape = Shape.TEXT) -> pa.Array:
    """A column as text, with nothing lost: lists of texts joined, all else that is no scalar as JSON."""
    plain = _plain if shape is not Shape.JSON else _as_json
    return pa.array([plain(value) for value in values], pa.string())


def _plain(value: Any) -> str | None:  # noqa: PLR0911 (one a shape)
    match value:
        case None | "":
            return None
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int():
            return str(value)
        case Decimal():
            return f"{value:f}"
        case list() if all(isinstance(item, str) for item in value):
            return SEPARATOR.join(value) or None
        case _:
            return _as_json(value)


def _as_json(value: Any) -> str | None:
    if _is_empty(value):
        return None
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def staged_column(values: Sequence[Any], item: FieldSchema, shape: Shape, zone: str) -> pa.Array:
    """A column as a source delivers it: text in the common spelling of its type; what is not of its type as it stands."""
    typed = typed_column(values, item, shape, zone) if shape in _SPELLED else None
    if typed is None:
        return text_column(values, shape)
    return _SPELLED[shape](typed)


_SPELLED: Mapping[Shape, Callable[[pa.Array], pa.Array]] = {
    Shape.DAY: lambda column: column.cast(pa.string()),
    Shape.TIME: lambda column: column.cast(pa.string()),
    Shape.INSTANT: lambda column: pc.strftime(
        column.cast(pa.timestamp("ms", "UTC")), format="%Y-%m-%dT%H:%M:%SZ"
    ),
}


def page(
    rows: Sequence[Mapping[str, Any]],
    described: Described,
    names: Sequence[str],
    zone: str,
    loose: frozenset[str],
) -> tuple[pa.Table, frozenset[str]]:
    """Records in the types of their fields; a column with a value that is not of its type is text from here on."""
    arrays = []
    for name in names:
        item = described.schema.field(name)
        values, shape = [row.get(name) for row in rows], described.shape(name)
        column = None
        if item is not None and name not in loose:
            column = typed_column(values, item, shape, zone)
        if column is None:
            loose |= {name}
            column = text_column(values, shape)
        arrays.append(column)
    return pa.Table.from_arrays(arrays, names=list(names)), loose


def arrow_type(item: FieldSchema) -> pa.DataType:
    """The Arrow type in which a field of this kind is read back."""
    match item.type:
        case FieldType.DECIMAL:
            return pa.decimal128(38, item.scale if item.scale is not None else 9)
        case FieldType.BOOLEAN:
            return pa.bool_()
        case FieldType.DATE:
            return pa.date32()
        case FieldType.DATETIME:
            return pa.timestamp("us", tz="UTC")
        case FieldType.TIME:
            return pa.time64("us")
        case _:
            return pa.string()
