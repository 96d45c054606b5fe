"""The columns of an object as the engine knows them: their names there, and how each is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from migrator.core.schema import ObjectSchema
from migrator.mapping.bound import Column, Stored
from migrator.mapping.kinds import kind_of
from migrator.staging.columns import COPY, PLACE, ROW

Schemas = Mapping[str, Mapping[str, ObjectSchema]]
"""System → object → schema."""


def columns_of(schema: ObjectSchema, staged: pa.Schema | None) -> dict[str, Column]:
    """The columns of an object by the source's own names."""
    engine = engine_names(schema.field_names)
    types = dict(zip(staged.names, staged.types, strict=True)) if staged is not None else {}
    columns = {}
    for item, name in zip(schema.fields, engine, strict=True):
        stored, digits = _stored(types.get(item.name))
        columns[item.name] = Column(item.name, name, kind_of(item), stored, digits)
    return columns


def texts_of(schema: ObjectSchema) -> pa.Schema:
    """The columns of an object as an export would stage them: all texts."""
    texts = [(name, pa.string()) for name in engine_names(schema.field_names)]
    return pa.schema([*texts, (ROW, pa.int64()), (PLACE, pa.string()), (COPY, pa.int32())])


def engine_names(names: Iterable[str]) -> tuple[str, ...]:
    """What the engine calls the columns of a file: it ignores case, and numbers a name that it has seen before."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        chosen, low = name, _lower(name)
        if low in seen:
            chosen = f"{name}_{seen[low]}"
            while _lower(chosen) in seen:
                seen[low] += 1
                chosen = f"{name}_{seen[low]}"
            seen[_lower(chosen)] = 1
        else:
            seen[low] = 1
        found.append(chosen)
    return tuple(found)


def _lower(name: str) -> str:
    """The engine folds ASCII letters only."""
    return "".join(chr(ord(char) + 32) if "A" <= char <= "Z" else char for char in name)


def _stored(kind: pa.DataType | None) -> tuple[Stored, tuple[int, int]]:
    none = (0, 0)
    if kind is None:
        return Stored.OTHER, none
    if pa.types.is_decimal(kind):
        return Stored.DECIMAL, (kind.precision, kind.scale)
    if pa.types.is_timestamp(kind):
        if kind.unit == "ns":
            return Stored.OTHER, none
        return (Stored.INSTANT if kind.tz else Stored.LOCAL), none
    for known, stored in _STORED:
        if known(kind):
            return stored, none
    return Stored.OTHER, none


_STORED = (
    (pa.types.is_string, Stored.TEXT),
    (pa.types.is_large_string, Stored.TEXT),
    (pa.types.is_boolean, Stored.BOOLEAN),
    (pa.types.is_uint64, Stored.OTHER),
    (pa.types.is_integer, Stored.INTEGER),
    (pa.types.is_floating, Stored.FLOAT),
    (pa.types.is_date, Stored.DATE),
    (pa.types.is_time, Stored.TIME),
)
