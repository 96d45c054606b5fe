"""Read the target's records back through its connector, so that what it really holds can be compared and judged."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from migrator.core.clock import new_id
from migrator.core.connector import Target
from migrator.core.errors import FatalError
from migrator.core.mapped import MappedObject
from migrator.core.progress import Progress
from migrator.core.schema import FieldSchema, FieldType
from migrator.staging.store import Building, Dataset, Kind, Store

PAGE_ROWS = 50_000


def read_back(store: Store, target: Target, mapped: MappedObject, *, progress: Progress) -> Dataset:
    """The mapped fields of every record of the target's object, as a READBACK dataset of the mapping's name.

    Always fresh: the target is live, so the fingerprint is random. Columns stand in the order of the mapped schema,
    typed as the target answers them (`column_type`); one with a value that is not of its type is text as a whole. Raises `FatalError` when the target does not answer a field.
    """
    progress.start("read back", mapped.name, None)
    loose: frozenset[str] = frozenset()
    while True:
        building = store.build(Kind.READBACK, mapped.name, new_id())
        found = _keep(building, target, mapped, loose, progress)
        if found == loose:
            break
        loose = found
    dataset = building.complete({"object": mapped.target_object})
    progress.done("read back", mapped.name, f"{dataset.rows} records")
    return dataset


def _keep(
    building: Building, target: Target, mapped: MappedObject, loose: frozenset[str], progress: Progress
) -> frozenset[str]:
    """Keep every page; returns at once what has to be text, when that is more than `loose`: some value is not of its type."""
    schema: pa.Schema | None = None
    for page in _pages(target, mapped):
        schema = schema or _schema(mapped, page, loose)
        texts = {item.name for item in page.schema if pa.types.is_string(item.type)}
        odd = {item.name for item in schema if not pa.types.is_string(item.type)} & texts
        if odd:
            return loose | odd
        building.add_table(_fit(page, schema, mapped))
        progress.advance("read back", mapped.name, page.num_rows)
    if schema is None:
        building.add_table(_schema(mapped, None, loose).empty_table())
    return loose


def column_type(item: FieldSchema, answered: pa.DataType | None) -> pa.DataType:
    """The type a column is kept in: the field's own when the target answers that kind (or nothing yet), else the target's.

    Decimals keep every digit the target has: a scale of its own is never rounded to the field's.
    """
    wanted = _wanted(item)
    if answered is None or pa.types.is_null(answered):
        return wanted
    if pa.types.is_decimal(answered):
        scale = max(answered.scale, item.scale or 0)
        return pa.decimal128(38, scale)
    if pa.types.is_large_string(answered) or pa.types.is_string_view(answered):
        return pa.string()
    if pa.types.is_timestamp(answered):
        return pa.timestamp("us", tz="UTC" if answered.tz else None)
    if pa.types.is_integer(answered):
        return pa.int64()
    return answered


def _pages(target: Target, mapped: MappedObject) -> Iterator[pa.Table]:
    names = mapped.schema.field_names
    for page in target.read(mapped.target_object, columns=names, page_rows=PAGE_ROWS):
        absent = [name for name in names if name not in page.column_names]
        if absent:
            raise FatalError(
                f"{mapped.target_object}: the target does not answer the field {absent[0]!r}",
                hint="may the user it is read with see this field?",
            )
        yield page.select(list(names))


def _schema(mapped: MappedObject, page: pa.Table | None, loose: frozenset[str]) -> pa.Schema:
    def kind(item: FieldSchema) -> pa.DataType:
        if item.name in loose:
            return pa.string()
        return column_type(item, page.schema.field(item.name).type if page is not None else None)

    return pa.schema([pa.field(item.name, kind(item)) for item in mapped.fields])


def _fit(page: pa.Table, schema: pa.Schema, mapped: MappedObject) -> pa.Table:
    try:
        return page.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise FatalError(
            f"{mapped.target_object}: the target answers a field with another type than on its first page: {error}",
            hint="this is a fault of the connector: report it",
        ) from error


def _wanted(item: FieldSchema) -> pa.DataType:
    simple = {
        FieldType.INTEGER: pa.int64(),
        FieldType.FLOAT: pa.float64(),
        FieldType.BOOLEAN: pa.bool_(),
        FieldType.DATE: pa.date32(),
        FieldType.DATETIME: pa.timestamp("us", tz="UTC"),
        FieldType.TIME: pa.time64("us"),
        FieldType.DECIMAL: pa.decimal128(38, item.scale or 0),
    }
    return simple.get(item.type, pa.string())
