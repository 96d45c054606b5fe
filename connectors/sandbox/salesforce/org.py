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
from connectors.sandbox.salesforce.ids import numbered
from connectors.sandbox.salesforce.metadata import NAMES, Entity, Info, custom, from_schema, merged, standard
from connectors.sandbox.shape import DuplicateRule, ValidationRule
from migrator.core.clock import Clock, SystemClock
from migrator.core.document import did_you_mean
from migrator.core.errors import Location, ProjectError
from migrator.core.schema import ObjectSchema

SWITCHES: Mapping[str, type] = {
    "audit_fields": bool, "multi_currency": bool, "token_seconds": int, "page_rows": int, "bulk_seconds": float,
    "duplicate_rules": bool, "index_lag_seconds": float,
}  # fmt: skip


READ_ONLY = "Read Only"
"""The standard profile whose users change nothing."""


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
            rounding=None,  # scale is for screens: the API keeps every place (vendor's help, article 000387302)
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

    def resource_at(self, name: str, place: Location) -> Entity:
        """An object named in a file; raises `ProjectError`."""
        if name.casefold() not in self.entities:
            names = [item.name for item in self.entities.values()]
            raise ProjectError.at(
                place, f"unknown object {name!r}", did_you_mean(name, names, noun="objects")
            )
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
            schema, old = entity.schema(everything), self.store.known(entity.name)
            self.store.define(
                schema,
                rules=old.rules if old else (),
                duplicates=old.duplicates if old else self._duplicates(entity),
            )

    def _duplicates(self, entity: Entity) -> list[DuplicateRule]:
        rules = {
            "Account": DuplicateRule("Standard_Account_Duplicate_Rule", ("Name", "BillingCity")),
            "Contact": DuplicateRule("Standard_Contact_Duplicate_Rule", ("Name", "Email")),
            "Lead": DuplicateRule("Standard_Lead_Duplicate_Rule", ("Name", "Email")),
        }
        return [rules[entity.name]] if self.switches.duplicate_rules and entity.name in rules else []

    def rule(
        self, entity: Entity, validation: tuple[ValidationRule, ...], duplicates: tuple[DuplicateRule, ...]
    ) -> None:
        """More rules for an object."""
        shape = self.store.shape(entity.name)
        self.store.define(
            shape.schema,
            keys=shape.keys,
            rules=(*shape.rules, *validation),
            duplicates=(*shape.duplicates, *duplicates),
        )

    def is_reader(self, user: str) -> bool:
        """Whether a user has the standard profile that only reads."""
        profile = str((self.store.get("User", user) or {}).get("ProfileId") or "")
        return bool(profile) and (self.store.get("Profile", profile) or {}).get("Name") == READ_ONLY

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
        profiles = [(profile, "System Administrator"), (numbered("00e", 2), READ_ONLY)]
        self.store.load("Profile", [(record, {"Name": name, **me}) for record, name in profiles])
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


def body_of(text: bytes) -> Any:
    """JSON of a request; raises `SalesforceError` with JSON_PARSER_ERROR."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise SalesforceError(
            "JSON_PARSER_ERROR", f"Unexpected character or end of input: {error}"
        ) from error
