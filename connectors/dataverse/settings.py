"""The settings of a Dataverse system in migration.yaml, checked before anything is asked."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from connectors.http_addresses import require_safe
from migrator.core.document import did_you_mean
from migrator.core.errors import Location, Problem, ProjectError

PLACE = "migration.yaml"
SETTINGS: Mapping[str, str] = {
    "url": "the environment: https://ORG.crm.dynamics.com",
    "tenant": "the directory (tenant) id or domain of the app registration",
    "client_id": "the application (client) id; it must be an application user of the environment",
    "client_secret": "its secret: ${env:…}, ${keyring:…} or ${file:…}",
    "certificate": "instead of the secret: the PEM file with the private key and the certificate",
    "token": "instead of all these: a bearer token, for tests and short work",
    "authority": "who gives tokens; default https://login.microsoftonline.com, China: https://login.partner.microsoftonline.cn",
    "ca_file": "a PEM file of certificates to trust: a sandbox's, a company's",
    "api_version": "default 9.2",
    "tables": "patterns of tables to see; default: account, contact, lead, … and every custom table",
    "language": "language of labels as an LCID: 1033 English, 2052 Chinese; default: the user's own",
    "batch_rows": "most rows one write carries; default 500, at most 1000",
    "parallel": "most requests at once; default: what the system recommends, and 4 until it has answered",
    "overlap_seconds": "how far changes of a table without change tracking go back by themselves; default 600",
    "caller": "write as this user: the object id of the user in the directory (CallerObjectId)",
    "bypass_plugins": "true: do not run synchronous custom logic for what is loaded (needs prvBypassCustomPlugins)",
    "read_only": "true: refuse every write; default false",
}
STANDARD_TABLES = (
    "account", "activitymimeattachment", "annotation", "appointment", "businessunit", "campaign", "competitor",
    "connection", "contact", "contract", "customeraddress", "email", "fax", "incident", "invoice", "invoicedetail",
    "lead", "letter", "list", "listmember", "opportunity", "opportunityproduct", "phonecall", "pricelevel", "product",
    "productpricelevel", "quote", "quotedetail", "salesorder", "salesorderdetail", "systemuser", "task", "team",
    "territory", "transactioncurrency", "uom", "uomschedule",
)  # fmt: skip
"""Tables seen without being asked for: those in which companies keep their customers."""


@dataclass(frozen=True, slots=True)
class DataverseSettings:
    """Where an environment is, who asks, and which of its tables are meant."""

    url: str
    tenant: str = ""
    client_id: str = ""
    client_secret: str = ""
    certificate: str = ""
    token: str = ""
    authority: str = "https://login.microsoftonline.com"
    ca_file: str = ""
    api_version: str = "9.2"
    tables: tuple[str, ...] = ()
    language: int = 0
    batch_rows: int = 500
    parallel: int = 0
    overlap_seconds: int = 600
    caller: str = ""
    bypass_plugins: bool = False
    read_only: bool = False

    @property
    def root(self) -> str:
        """The address of the Web API."""
        return f"{self.url.rstrip('/')}/api/data/v{self.api_version}/"

    def wants(self, table: str, *, custom: bool) -> bool:
        """Whether a table is to be seen."""
        if not self.tables:
            return custom or table in STANDARD_TABLES
        return any(fnmatch.fnmatchcase(table, pattern) for pattern in self.tables)


def parse(settings: Mapping[str, Any], place: str = PLACE) -> DataverseSettings:
    """Settings from migration.yaml; raises `ProjectError` with every problem found, and never a secret in it."""
    where = Location(place)
    problems = [
        Problem(where, f"unknown setting {item!r}", did_you_mean(item, SETTINGS, noun="settings"))
        for item in settings
        if item not in SETTINGS
    ]
    values = {
        item: _value(item, settings[item], where, problems)
        for item in SETTINGS
        if settings.get(item) is not None
    }
    if not values.get("url"):
        problems.append(Problem(where, "the setting url is missing", SETTINGS["url"]))
    problems += _sign_in_problems(values, where)
    for item in ("url", "authority"):
        problems += _address_problems(values.get(item))
    if problems:
        raise ProjectError(problems)
    return DataverseSettings(**values)


_DEFAULTS = DataverseSettings("")
_BOUNDS = {"batch_rows": (1, 1000), "parallel": (1, 52), "overlap_seconds": (0, 86_400)}


def _value(item: str, value: object, where: Location, problems: list[Problem]) -> Any:
    """The value, of the type of its default; a wrong one is a problem and never shown: it may be a secret."""
    if item == "tables":
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return tuple(value)
        problems.append(Problem(where, "tables must be a list of names or patterns", SETTINGS[item]))
        return ()
    if item == "api_version":
        if re.fullmatch(r"\d{1,2}\.\d{1,2}", str(value)):
            return str(value)
        problems.append(Problem(where, "api_version must look like 9.2", "leave it out for 9.2"))
        return "9.2"
    default = getattr(_DEFAULTS, item)
    kind = type(default)
    if type(value) is not kind:
        problems.append(Problem(where, f"{item} must be {_SPOKEN[kind]}", SETTINGS[item]))
        return default
    if item in _BOUNDS and isinstance(value, int) and not _BOUNDS[item][0] <= value <= _BOUNDS[item][1]:
        low, high = _BOUNDS[item]
        problems.append(Problem(where, f"{item} is {value}", f"give a number from {low} to {high}"))
    return value


_SPOKEN = {str: "a text", int: "a whole number", bool: "true or false"}


def _sign_in_problems(values: Mapping[str, Any], where: Location) -> list[Problem]:
    if values.get("token"):
        return []
    missing = [item for item in ("tenant", "client_id") if not values.get(item)]
    if not (values.get("client_secret") or values.get("certificate")):
        missing.append("client_secret")
    certificate = values.get("certificate")
    if certificate and not Path(certificate).is_file():
        return [Problem(where, f"there is no certificate file {certificate!r}", SETTINGS["certificate"])]
    return [Problem(where, f"the setting {item} is missing", SETTINGS[item]) for item in missing]


def _address_problems(address: object) -> tuple[Problem, ...]:
    if not isinstance(address, str) or not address:
        return ()
    try:
        path = httpx.URL(require_safe(address)).path
    except ProjectError as error:
        return error.problems
    if path.strip("/"):
        return (
            Problem(
                Location(PLACE),
                f"{address!r} has a path",
                "give the address only: https://ORG.crm.dynamics.com",
            ),
        )
    return ()
