"""Fills a Dataverse sandbox from an export of the Configuration Migration tool: tables widened to hold it, rows as they stand."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from connectors.dynamics_export import DynamicsExport, recognise
from connectors.dynamics_export.schema import UNDECLARED
from connectors.sandbox.checks import Row
from connectors.sandbox.dataverse.model import PARTY
from connectors.sandbox.records import Store
from connectors.sandbox.values import encoded
from connectors.sandbox.violations import Violation
from migrator.core.errors import ProjectError
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

_LISTS = {FieldType.PICKLIST, FieldType.MULTI_PICKLIST}
_STAMPS = (
    FieldSchema("createdon", FieldType.DATETIME, "Created On", read_only=True),
    FieldSchema("modifiedon", FieldType.DATETIME, "Modified On", read_only=True),
    FieldSchema("versionnumber", FieldType.INTEGER, "Version Number", read_only=True),
)


def is_export(folder: Path) -> bool:
    """Whether a folder holds such an export."""
    return recognise(str(folder)) is not None


def fill_from_export(store: Store, folder: Path) -> int:
    """Load every table of the export, unchecked but for types; returns the number of records.

    Raises `ProjectError` for a value that is not of its column's type, with its place.
    """
    export = DynamicsExport(folder)
    try:
        schemas = export.describe()
        known = {item.name for item in (*schemas, *store.schemas())}
        for schema in schemas:
            store.extend(_widened(store, export, schema, known))
        return sum(store.load(schema.name, _rows(store, export, schema)) for schema in schemas)
    finally:
        export.close()


def _widened(store: Store, export: DynamicsExport, schema: ObjectSchema, known: set[str]) -> ObjectSchema:
    """What the sandbox has of a table and what the export has, with every option that the data uses."""
    there = next(
        (item for item in store.schemas() if item.name == schema.name),
        ObjectSchema(schema.name, schema.key, ()),
    )
    fields = {item.name: item for item in there.fields}
    for item in (*schema.fields, *_STAMPS):
        if "__" not in item.name and item.name != UNDECLARED:
            targets = tuple(name for name in item.references if name in known)
            fields.setdefault(item.name, replace(item, references=targets, required=False))
    for name, values in _options(export, schema, fields).items():
        fields[name] = replace(
            fields[name], values=tuple(dict.fromkeys((*fields[name].values, *sorted(values))))
        )
    return ObjectSchema(there.name, there.key, tuple(fields.values()), there.label or schema.label)


def _options(
    export: DynamicsExport, schema: ObjectSchema, fields: Mapping[str, FieldSchema]
) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {
        item.name: set() for item in schema.fields if item.name in fields and fields[item.name].type in _LISTS
    }
    for page in export.read(schema.name) if found else ():
        for name, values in found.items():
            texts = pc.unique(page.rows.column(name)).to_pylist()
            values.update(part for text in texts if text for part in text.split(";"))
    return found


def _rows(store: Store, export: DynamicsExport, schema: ObjectSchema) -> Iterator[tuple[str, Row]]:
    shape = store.shape(schema.name)
    for page in export.read(schema.name):
        places = page.places.to_pylist() if page.places is not None else [""] * page.rows.num_rows
        for place, raw in zip(places, page.rows.to_pylist(), strict=True):
            record = str(raw.pop(schema.key))
            row: Row = {}
            for name, text in raw.items():
                field = shape.fields.get(name)
                if text is None or field is None:
                    continue
                try:
                    if field.type is FieldType.JSON:
                        _load_parties(store, record, json.loads(text))
                    else:
                        row[field.name] = encoded(field, _value(export, schema, field, text))
                except (Violation, ValueError) as error:
                    raise ProjectError.at(str(place), f"{schema.name}.{name}: {error}") from error
            yield record, row


def _value(export: DynamicsExport, schema: ObjectSchema, field: FieldSchema, text: str) -> object:
    own = schema.field(field.name)
    if own is not None and own.type is FieldType.FILE:
        with export.open_file(schema.name, text) as stream:
            data = stream.read()
        return data if field.type is FieldType.FILE else base64.b64encode(data).decode()
    if field.type is FieldType.DATETIME and not text.endswith("Z") and "+" not in text:
        return f"{text}Z"  # exports of the tool are in UTC
    return text


def _load_parties(store: Store, activity: str, parties: list[dict[str, Any]]) -> None:
    shape = store.shape(PARTY.name)
    for item in parties:
        told = {"activityid": activity} | {
            name: item.get(name) for name in ("partyid", "participationtypemask", "addressused")
        }
        row = {name: encoded(shape.field(name), value) for name, value in told.items() if value}
        store.load(PARTY.name, [(str(item.get("id") or store.fresh_id(PARTY.name)), row)])
