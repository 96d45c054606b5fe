"""A Salesforce organisation in memory: its metadata, its records, its switches, and the user everything is done by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.sandbox.checks import Row
from connectors.sandbox.records import Store
from connectors.sandbox.salesforce.errors import SalesforceError, not_found
from connectors.sandbox.salesforce.ids import canonical, numbered
from connectors.sandbox.salesforce.metadata import NAMES, Entity, Info, custom, from_schema, merged, standard
from connectors.sandbox.seed import Raw, fill, read_schemas, seeds
from connectors.sandbox.shape import DuplicateRule, ValidationRule
from migrator.core.clock import Clock, SystemClock
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

SWITCHES: Mapping[str, type] = {
    "audit_fields": bool, "multi_currency": bool, "token_seconds": int, "page_rows": int, "bulk_seconds": float,
    "duplicate_rules": bool, "index_lag_seconds": float,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Switches:
    """How the organisation is set up."""

    audit_fields: bool = True
    """"Set Audit Fields upon Record Creation" is granted."""
    multi_currency: bool = True
    token_seconds: int = 7_200
    page_rows: int = 2_000
    bulk_seconds: float = 0.0
    """How long a Bulk API job stays in progress."""
    duplicate_rules: bool = False
    """The standard rules for accounts and contacts are on."""
    index_lag_seconds: float = 0.0
    """Every write becomes visible so much later, under the stamp of its own time."""


@dataclass(slots=True)
class Org:
    """One organisation."""

    clock: Clock = field(default_factory=SystemClock)
    switches: Switches = field(default_factory=Switches)
    path: Path | None = None
    entities: dict[str, Entity] = field(init=False)
    store: Store = field(init=False)
    user: str = field(init=False)
    id: str = field(default=numbered("00D", 1), init=False)

    def __post_init__(self) -> None:
        found = standard(multi_currency=self.switches.multi_currency)
        self.entities = {name.casefold(): entity for name, entity in found.items()}
        self.store = Store(
            names=NAMES, path=self.path, clock=self.clock,
            new_id=lambda name, number: numbered(self.entity(name).prefix, number),
        )  # fmt: skip
        self._define(self.entities.values())
        self.user = numbered("005", 1)
        self._people()

    # -- metadata --------------------------------------------------------------------------------------------

    def entity(self, name: str) -> Entity:
        """An object; raises `SalesforceError` with INVALID_TYPE."""
        found = self.entities.get(name.casefold())
        if found is None:
            raise SalesforceError(
                "INVALID_TYPE",
                f"\nSELECT Id FROM {name}\n               ^\nERROR at Row:1:Column:16\n"
                f"sObject type '{name}' is not supported. If you are attempting to use a custom object, be sure to "
                "append the '__c' after the entity name.",
            )
        return found

    def resource(self, name: str) -> Entity:
        """An object named in a path; raises `SalesforceError` with NOT_FOUND."""
        if name.casefold() not in self.entities:
            raise not_found()
        return self.entities[name.casefold()]

    def field(self, entity: Entity, name: str) -> Info:
        """A field; raises `SalesforceError` with INVALID_FIELD."""
        found = entity.find(name)
        if found is None:
            raise SalesforceError(
                "INVALID_FIELD",
                f"No such column '{name}' on sobject of type {entity.name}",
                (name,),
            )
        return found

    def of_prefix(self, record: str) -> Entity | None:
        """The object an id belongs to."""
        return next((item for item in self.entities.values() if item.prefix == record[:3]), None)

    def adopt(self, schema: ObjectSchema) -> Entity:
        """Make an object, or give one more fields; standard fields keep their type."""
        entity = self.entities.get(schema.name.casefold())
        if entity is None:
            entity = custom(schema.name, self._free_prefix(), multi_currency=self.switches.multi_currency)
            self.entities[schema.name.casefold()] = entity
        for item in schema.fields:
            old = entity.find(item.name)
            if item.name != schema.key or item.name != "Id":
                entity.add([from_schema(item) if old is None else merged(old, item)])
        self._define([entity])
        return entity

    def _define(self, entities: Any) -> None:
        everything = [item.name for item in self.entities.values()]
        for entity in entities:
            self.store.define(entity.schema(everything), duplicates=self._duplicates(entity))

    def _duplicates(self, entity: Entity) -> list[DuplicateRule]:
        rules = {
            "Account": DuplicateRule("Standard_Account_Duplicate_Rule", ("Name", "BillingCity")),
            "Contact": DuplicateRule("Standard_Contact_Duplicate_Rule", ("Name", "Email")),
            "Lead": DuplicateRule("Standard_Lead_Duplicate_Rule", ("Name", "Email")),
        }
        return [rules[entity.name]] if self.switches.duplicate_rules and entity.name in rules else []

    def rules(self, object_name: str, rules: list[ValidationRule]) -> None:
        """Validation rules of an object, instead of those it has."""
        shape = self.store.shape(object_name)
        self.store.define(shape.schema, keys=shape.keys, rules=rules, duplicates=shape.duplicates)

    def _free_prefix(self) -> str:
        taken = {item.prefix for item in self.entities.values()}
        letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        return next(found for one in "0123" for two in letters if (found := f"a{one}{two}") not in taken)

    # -- records every organisation has ----------------------------------------------------------------------

    def _people(self) -> None:
        if self.store.count("Organization"):
            return
        profile = numbered("00e", 1)
        me = {"CreatedById": self.user, "LastModifiedById": self.user}
        self.store.load("Profile", [(profile, {"Name": "System Administrator", **me})])
        self.store.load(
            "User",
            [
                (
                    self.user,
                    {
                        "Username": "admin@sandbox.example", "LastName": "Sandbox", "FirstName": "Integration",
                        "Name": "Integration Sandbox", "Email": "admin@sandbox.example", "IsActive": 1,
                        "ProfileId": profile, "UserType": "Standard", "TimeZoneSidKey": "GMT", "Alias": "admin", **me,
                    },
                )
            ],
        )  # fmt: skip
        self.store.load(
            "Organization",
            [
                (
                    self.id,
                    {
                        "Name": "Sandbox Ltd", "IsSandbox": 1, "OrganizationType": "Developer Edition",
                        "InstanceName": "SBX1", "DefaultCurrencyIsoCode": "USD", **me,
                    },
                )
            ],
        )  # fmt: skip
        if self.switches.multi_currency:
            rates = {"USD": "1", "CNY": "7.1", "EUR": "0.92", "HKD": "7.8", "MYR": "4.4", "SGD": "1.34"}
            for number, (code, rate) in enumerate(rates.items(), 1):
                row: Row = {"IsoCode": code, "ConversionRate": rate, "DecimalPlaces": 2, "IsActive": 1, **me}
                self.store.load(
                    "CurrencyType", [(numbered("01L", number), row | {"IsCorporate": int(code == "USD")})]
                )

    # -- seeds -----------------------------------------------------------------------------------------------

    def seed(self, folder: Path) -> int:
        """Fill it from a folder; returns the number of records.

        Objects and fields come from `schema.json`, else from the standard schema; what neither knows is text.
        Custom objects take the prefix of the ids they come with.
        """
        for schema in read_schemas(folder):
            self.adopt(schema)
        for item in seeds(folder):
            self._adopt_seed(item.object_name, item.rows())
        return fill(self.store, folder, key=lambda _: "Id", raw=self._raw)

    def _adopt_seed(self, name: str, rows: Any) -> None:
        first: Mapping[str, Any] = next((row for _, row in rows), {})
        entity = self.entities.get(name.casefold())
        known = entity.fields if entity else {}
        more = tuple(
            FieldSchema(column, FieldType.TEXT)
            for column in first
            if column and column.casefold() not in known and column != "Id"
        )
        entity = self.adopt(ObjectSchema(name, "Id", more))
        record = canonical(str(first.get("Id", "")))
        if record and self.of_prefix(record) is None:
            entity.prefix = record[:3]

    def _raw(self, row: Raw) -> Raw:
        """A row of an export: ids in their long form, compound fields left out."""
        return {
            name: canonical(value) or value if name.endswith("Id") and isinstance(value, str) else value
            for name, value in row.items()
            if name
        }


def body_of(text: bytes) -> Any:
    """JSON of a request; raises `SalesforceError` with JSON_PARSER_ERROR."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise SalesforceError(
            "JSON_PARSER_ERROR", f"Unexpected character or end of input: {error}"
        ) from error
