"""Fills an organisation from a folder: its own schema and rules, exports as they are, custom objects as they come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from connectors.sandbox.rules import WrittenRule, read_rules
from connectors.sandbox.salesforce.binding import bind
from connectors.sandbox.salesforce.errors import SalesforceError
from connectors.sandbox.salesforce.ids import canonical
from connectors.sandbox.salesforce.org import Org
from connectors.sandbox.salesforce.soql import parse
from connectors.sandbox.seed import Raw, Seed, fill, read_schemas, seeds
from connectors.sandbox.shape import ValidationRule
from migrator.core.errors import ProjectError
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema


def fill_org(org: Org, folder: Path) -> int:
    """Fill it; returns the number of records. Raises `ProjectError` for what does not fit, with its place.

    Objects and fields come from `schema.json`, else from the standard schema; what neither knows is text. Custom
    objects take the prefix of the ids they come with. Seeds are not held to the rules of `rules.yaml`.
    """
    for schema in read_schemas(folder):
        org.adopt(schema)
    for item in seeds(folder):
        _adopt(org, item)
    rules = read_rules(folder)
    for rule in rules.validation:
        entity = org.resource_at(rule.object, rule.place)
        org.rule(entity, (_bound(org, rule),), ())
    for place, name, duplicate in rules.duplicates:
        org.rule(org.resource_at(name, place), (), (duplicate,))
    return fill(org.store, folder, key=lambda _: "Id", raw=_values)


def _bound(org: Org, rule: WrittenRule) -> ValidationRule:
    try:
        found = bind(org, parse(f"SELECT Id FROM {rule.object} WHERE {rule.wrong}"))
    except SalesforceError as error:
        raise ProjectError.at(
            rule.place, f"the condition of {rule.name} is no SOQL: {error.message}", "as after WHERE in SOQL"
        ) from error
    return ValidationRule(rule.name, found.read.where, rule.message, rule.field)


def _adopt(org: Org, seed: Seed) -> None:
    first: Any = next((row for _, row in seed.rows()), {})
    known = org.entities.get(seed.object_name.casefold())
    columns = [name for name in first if name and name != "Id"]
    more = [name for name in columns if known is None or known.find(name) is None]
    entity = org.adopt(
        ObjectSchema(seed.object_name, "Id", tuple(FieldSchema(name, FieldType.TEXT) for name in more))
    )
    record = canonical(str(first.get("Id") or ""))
    if record and org.of_prefix(record) is None:
        entity.prefix = record[:3]


def _values(row: Raw) -> Raw:
    """A row of an export, its ids in their long form."""
    return {
        name: canonical(value) or value if name.endswith("Id") and isinstance(value, str) else value
        for name, value in row.items()
        if name
    }
