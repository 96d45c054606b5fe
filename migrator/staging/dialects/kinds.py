"""The types of compiled expressions as the engine infers them: what another engine must be told explicitly."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sqlglot import exp

from migrator.staging.engine import quote


class NotCarried(Exception):  # an answer, which becomes a ProjectError with its place
    """A construct that cannot mean the same on the other engine; the text says which and what to do instead."""


class Base(Enum):
    """Families of types."""

    NULL = "null"
    TEXT = "text"
    INT = "int"
    BIGINT = "bigint"
    HUGE = "hugeint"
    """A whole number of up to 38 digits."""
    HASH = "ubigint"
    """A whole number of 64 bits without a sign, as hashes are; compared and grouped by, never calculated with."""
    DECIMAL = "decimal"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    """A moment that does not say its zone."""
    INSTANT = "timestamptz"
    TIME = "time"
    LIST = "list"
    STRUCT = "struct"
    MAP = "map"


_BY_SIZE = (Base.INT, Base.BIGINT, Base.HUGE)
WHOLE = frozenset(_BY_SIZE)
NUMERIC = WHOLE | {Base.DECIMAL, Base.DOUBLE}
_MOMENTS = (Base.DATE, Base.TIMESTAMP, Base.INSTANT)
_MOST_DIGITS = 38
_WORD_DIGITS = 18
"""Digits of the decimals that the engine keeps in 64 bits; their products stay there."""


@dataclass(frozen=True, slots=True)
class Type:
    """A type; `inner` are the item of a list, the fields of a struct in order, or the value of a map."""

    base: Base
    precision: int = 0
    scale: int = 0
    inner: tuple[tuple[str, Type], ...] = ()

    @property
    def item(self) -> Type:
        """The type of a list's items, or of a map's values."""
        return self.inner[0][1]

    def __str__(self) -> str:
        return f"decimal({self.precision},{self.scale})" if self.base is Base.DECIMAL else self.base.value


NULL, TEXT, INT, BIGINT = Type(Base.NULL), Type(Base.TEXT), Type(Base.INT), Type(Base.BIGINT)
HUGE, HASH = Type(Base.HUGE), Type(Base.HASH)
DOUBLE, BOOLEAN, DATE = Type(Base.DOUBLE), Type(Base.BOOLEAN), Type(Base.DATE)
TIMESTAMP, INSTANT, TIME = Type(Base.TIMESTAMP), Type(Base.INSTANT), Type(Base.TIME)


def decimal(precision: int, scale: int) -> Type:
    """An exact decimal, no wider than there is."""
    return Type(Base.DECIMAL, min(precision, _MOST_DIGITS), scale)


def list_of(item: Type) -> Type:
    """A list."""
    return Type(Base.LIST, inner=(("", item),))


def as_decimal(kind: Type) -> Type:
    """A whole number's type as the decimal it becomes beside decimals."""
    digits = {Base.INT: 10, Base.BIGINT: 19, Base.HUGE: _MOST_DIGITS}.get(kind.base)
    return decimal(digits, 0) if digits else kind


def sum_type(left: Type, right: Type) -> Type:
    """Type of a sum or difference of two numbers."""
    if left.base in WHOLE and right.base in WHOLE:
        return _larger(left, right)
    if Base.DOUBLE in (left.base, right.base):
        return DOUBLE
    merged = common_type(as_decimal(left), as_decimal(right))
    return decimal(merged.precision + 1, merged.scale)


def _larger(left: Type, right: Type) -> Type:
    """The one of two whole numbers' types that holds more."""
    return max(left, right, key=lambda kind: _BY_SIZE.index(kind.base))


def product_type(left: Type, right: Type) -> Type:
    """Type of a product of two numbers."""
    if (left.base is not Base.DECIMAL and right.base is not Base.DECIMAL) or Base.DOUBLE in (
        left.base,
        right.base,
    ):
        return sum_type(left, right)
    one, two = as_decimal(left), as_decimal(right)
    digits, scale = one.precision + two.precision, one.scale + two.scale
    if scale > _MOST_DIGITS:
        raise NotCarried("a product of decimals with more than 38 digits behind the point")
    small = max(one.precision, two.precision) <= _WORD_DIGITS
    return decimal(min(digits, _WORD_DIGITS) if small else digits, scale)


def common_type(left: Type, right: Type) -> Type:  # noqa: PLR0911  # a table of pairs
    """The type that values of both take in one column (CASE, COALESCE, a comparison)."""
    if left == right or right.base is Base.NULL:
        return left
    if left.base is Base.NULL:
        return right
    pair = {left.base, right.base}
    if pair <= NUMERIC:
        if Base.DOUBLE in pair:
            return DOUBLE
        if Base.DECIMAL not in pair:
            return _larger(left, right)
        one, two = as_decimal(left), as_decimal(right)
        scale = max(one.scale, two.scale)
        return decimal(max(one.precision - one.scale, two.precision - two.scale) + scale, scale)
    if pair <= set(_MOMENTS):
        return Type(max(pair, key=_MOMENTS.index))
    if pair == {Base.LIST}:
        return list_of(common_type(left.item, right.item))
    raise NotCarried(f"a {left} beside a {right}: cast one of them")


_NAMES = {
    exp.DType.TEXT: TEXT, exp.DType.VARCHAR: TEXT, exp.DType.INT: INT, exp.DType.BIGINT: BIGINT, exp.DType.INT128: HUGE,
    exp.DType.UBIGINT: HASH,
    exp.DType.DOUBLE: DOUBLE, exp.DType.BOOLEAN: BOOLEAN, exp.DType.DATE: DATE, exp.DType.TIME: TIME,
    exp.DType.TIMESTAMP: TIMESTAMP, exp.DType.TIMESTAMPNTZ: TIMESTAMP, exp.DType.TIMESTAMPTZ: INSTANT,
}  # fmt: skip


def type_of(written: exp.DataType) -> Type:
    """A type as the compiled query writes it."""
    name = written.this
    if name in _NAMES:
        return _NAMES[name]
    if name is exp.DType.DECIMAL:
        sizes = [int(item.name) for item in written.expressions] or [18, 3]
        return decimal(sizes[0], sizes[1] if len(sizes) > 1 else 0)
    if name in (exp.DType.ARRAY, exp.DType.LIST):
        return list_of(type_of(written.expressions[0]))
    if name is exp.DType.STRUCT:
        return Type(
            Base.STRUCT, inner=tuple((item.name, type_of(item.args["kind"])) for item in written.expressions)
        )
    raise NotCarried(f"the type {written.sql('duckdb')}")


def engine_type(kind: Type) -> str:
    """A type in the engine's words; raises `NotCarried` for one that has none."""
    match kind.base:
        case Base.DECIMAL:
            return f"DECIMAL({kind.precision}, {kind.scale})"
        case Base.LIST:
            return f"{engine_type(kind.item)}[]"
        case Base.STRUCT:
            listed = ", ".join(f"{quote(field)} {engine_type(inner)}" for field, inner in kind.inner)
            return f"STRUCT({listed})"
        case base if base in _ENGINE_NAMES:
            return _ENGINE_NAMES[base]
        case _:
            raise NotCarried(f"a column of the type {kind}")


_ENGINE_NAMES = {
    Base.TEXT: "VARCHAR", Base.INT: "INTEGER", Base.BIGINT: "BIGINT", Base.HUGE: "HUGEINT", Base.HASH: "UBIGINT",
    Base.DOUBLE: "DOUBLE", Base.BOOLEAN: "BOOLEAN", Base.DATE: "DATE", Base.TIMESTAMP: "TIMESTAMP", Base.INSTANT: "TIMESTAMPTZ",
    Base.TIME: "TIME",
}  # fmt: skip


def on_the_wire(kind: Type) -> Type:
    """The type in which values are handed from one engine to the other: neither Spark nor Parquet has every one of ours."""
    match kind.base:
        case Base.HASH:
            return decimal(20, 0)
        case Base.HUGE:
            return decimal(_MOST_DIGITS, 0)
        case Base.LIST | Base.STRUCT:
            return Type(kind.base, inner=tuple((name, on_the_wire(inner)) for name, inner in kind.inner))
        case _:
            return kind
