"""Requests for definitions: all tables, one of them, its attributes, its option sets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from connectors.sandbox.dataverse import catalogue, query
from connectors.sandbox.dataverse.faults import Refusal
from connectors.sandbox.records import Store
from connectors.sandbox.where import EVERYTHING
from migrator.core.schema import ObjectSchema

_DEFINITION = re.compile(r"EntityDefinitions\((?:LogicalName='(\w+)'|([0-9a-f-]{36}))\)(?:/(.+))?")


def definitions(store: Store, path: str, options: Mapping[str, str]) -> dict[str, Any]:
    """The answer to a request below EntityDefinitions; raises `Refusal`."""
    select, expand = options.get("$select", ""), options.get("$expand", "")
    found = _DEFINITION.fullmatch(path)
    everything = {item.name: catalogue.definition(item, store) for item in store.schemas()}
    if found is None:
        text = options.get("$filter", "")
        where = query.Parser(text, str).parse() if text else EVERYTHING
        return {
            "value": [
                catalogue.chosen(item, select, expand)
                for item in everything.values()
                if catalogue.holds(where, item)
            ]
        }
    item = next(
        (one for name, one in everything.items() if name == found[1] or one["MetadataId"] == found[2]),
        None,
    )
    if item is None:
        raise Refusal(404, "0x80060888", f"Could not find an entity with the name {found[1] or found[2]}")
    schema = store.shape(item["LogicalName"]).schema
    if not found[3]:
        return catalogue.chosen(item, select, expand)
    return _part(found[3], schema, item, options)


def _part(
    part: str, schema: ObjectSchema, item: Mapping[str, Any], options: Mapping[str, str]
) -> dict[str, Any]:
    if part in item:
        return {"value": item[part]}
    if part == "Attributes":
        text = options.get("$filter", "")
        where = query.Parser(text, str).parse() if text else EVERYTHING
        return {"value": [one for one in catalogue.attributes(schema) if catalogue.holds(where, one)]}
    if cast := re.fullmatch(r"Attributes/Microsoft\.Dynamics\.CRM\.(\w+)", part):
        return {"value": catalogue.option_sets(schema, cast[1])}
    named = re.fullmatch(r"Attributes\(LogicalName='(\w+)'\)(?:/.*)?", part)
    found = next(
        (one for one in catalogue.attributes(schema) if named and one["LogicalName"] == named[1]), None
    )
    if found is None:
        raise Refusal(404, "0x80060888", f"Resource not found for the segment '{part}'.")
    return found
