"""`search_query_info` of a Fxiaoke query as a condition on the store: filters joined by and, values as texts, 100 a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.sandbox.fxiaoke.objects import PERSONNEL, USER_ID
from connectors.sandbox.fxiaoke.wire import sought
from connectors.sandbox.shape import Shape
from connectors.sandbox.where import (
    Compare,
    Every,
    In,
    Like,
    Not,
    Null,
    Operator,
    Order,
    Path,
    Rows,
    Some,
    Where,
)
from migrator.core.schema import FieldSchema

MOST_ROWS = 100
MOST_OFFSET = 10_000
OFFSET_OUT_OF_RANGE = 10013
BAD_PARAMETER = 32000


class BadQuery(Exception):
    """A query that is refused, with the code of the answer."""

    def __init__(self, code: int, message: str, description: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.description = code, message, description or message


@dataclass(frozen=True, slots=True)
class Query:
    """A query as the store can carry it out."""

    where: Where
    order: tuple[Order, ...]
    limit: int
    offset: int
    rows: Rows
    fields: tuple[str, ...]


def parsed(shape: Shape, info: Mapping[str, Any], projection: Sequence[Any]) -> Query:
    """The query in `search_query_info`; raises `BadQuery`, or `Violation` for fields that are not there."""
    limit, offset = _number(info, "limit", 20), _number(info, "offset", 0)
    if not 1 <= limit <= MOST_ROWS:
        raise BadQuery(BAD_PARAMETER, f"limit out of range {MOST_ROWS}")
    if offset > MOST_OFFSET:
        raise BadQuery(OFFSET_OUT_OF_RANGE, f"offset out of range {MOST_OFFSET}", "offset 不能超过10000")
    if offset % limit:
        raise BadQuery(BAD_PARAMETER, "offset must be a multiple of limit")
    filters = [item for item in info.get("filters") or () if isinstance(item, dict)]
    terms = [_term(shape, item) for item in filters]
    order = tuple(
        Order(_path(shape, str(item.get("fieldName"))), descending=item.get("isAsc") is False)
        for item in info.get("orders") or ()
        if isinstance(item, dict)
    )
    fields = tuple(_named(shape, str(item)) for item in projection)
    return Query(
        Every(tuple(term for term in terms if term is not None)), order, limit, offset, _rows(filters), fields
    )


def _number(info: Mapping[str, Any], name: str, default: int) -> int:
    value = info.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadQuery(BAD_PARAMETER, f"{name} is no number")
    return value


def _rows(filters: Sequence[Mapping[str, Any]]) -> Rows:
    """Invalidated records are seen only by who asks for them."""
    for item in filters:
        values = [str(one) for one in item.get("field_values") or ()]
        if item.get("field_name") == "life_status" and "invalid" in values:
            return Rows.BIN if values == ["invalid"] else Rows.ALL
        if item.get("field_name") == "is_deleted" and "true" in values:
            return Rows.BIN
    return Rows.LIVE


def _term(shape: Shape, raw: Mapping[str, Any]) -> Where | None:
    name, values = str(raw.get("field_name")), raw.get("field_values")
    if name in ("life_status", "is_deleted"):
        return None  # `_rows` has seen to it
    if not isinstance(values, list):
        raise BadQuery(BAD_PARAMETER, f"field_values of {name} is no list")
    item, path = shape.field(_named(shape, name)), _path(shape, name)
    operator = _OPERATORS.get(str(raw.get("operator")))
    if operator is None:
        raise BadQuery(BAD_PARAMETER, f"unknown operator {raw.get('operator')!r}")
    return operator(item, path, values)


def _path(shape: Shape, name: str) -> Path:
    return Path(_named(shape, name))


def _named(shape: Shape, name: str) -> str:
    """An employee's number is his record's id here."""
    if shape.schema.name == PERSONNEL and name == USER_ID:
        return shape.schema.key
    return shape.field(name).name


def _compare(operator: Operator) -> Callable[[FieldSchema, Path, list[Any]], Where]:
    def made(item: FieldSchema, path: Path, values: list[Any]) -> Where:
        if len(values) != 1:
            raise BadQuery(BAD_PARAMETER, f"one value for {item.name}, not {len(values)}")
        return Compare(path, operator, sought(item, values[0]))

    return made


def _like(pattern: str) -> Callable[[FieldSchema, Path, list[Any]], Where]:
    def made(_: FieldSchema, path: Path, values: list[Any]) -> Where:
        return Some(tuple(Like(path, pattern.format(_escaped(str(value)))) for value in values))

    return made


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _in(item: FieldSchema, path: Path, values: list[Any]) -> Where:
    return In(path, tuple(sought(item, value) for value in values))


def _between(item: FieldSchema, path: Path, values: list[Any]) -> Where:
    if len(values) != 2:
        raise BadQuery(BAD_PARAMETER, f"two values for {item.name}")
    low, high = (sought(item, value) for value in values)
    return Every((Compare(path, Operator.GREATER_EQUAL, low), Compare(path, Operator.LESS_EQUAL, high)))


def _not(
    made: Callable[[FieldSchema, Path, list[Any]], Where],
) -> Callable[[FieldSchema, Path, list[Any]], Where]:
    return lambda item, path, values: Not(made(item, path, values))


def _null(_: FieldSchema, path: Path, __: list[Any]) -> Where:
    return Null(path)


_OPERATORS: Mapping[str, Callable[[FieldSchema, Path, list[Any]], Where]] = {
    "EQ": _compare(Operator.EQUAL),
    "N": _not(_compare(Operator.EQUAL)),
    "GT": _compare(Operator.GREATER),
    "GTE": _compare(Operator.GREATER_EQUAL),
    "LT": _compare(Operator.LESS),
    "LTE": _compare(Operator.LESS_EQUAL),
    "LIKE": _like("%{}%"),
    "NLIKE": _not(_like("%{}%")),
    "IS": _null,
    "ISN": _not(_null),
    "IN": _in,
    "NIN": _not(_in),
    "BETWEEN": _between,
    "NBETWEEN": _not(_between),
    "STARTWITH": _like("{}%"),
    "ENDWITH": _like("%{}"),
    "HASANYOF": _like("%{}%"),
    "NHASANYOF": _not(_like("%{}%")),
    "CONTAINS": _like("%{}%"),
}
