"""The settings of a Salesforce organisation in migration.yaml, checked before anything is opened."""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from connectors.salesforce.credentials import (
    AsUser,
    ByJwt,
    BySession,
    ClientCredentials,
    Credentials,
    Refreshing,
)
from migrator.core.document import did_you_mean
from migrator.core.errors import Location, Problem, ProjectError

PLACE = Location("migration.yaml")
SETTINGS: Mapping[str, str] = {
    "instance_url": "https://NAME.my.salesforce.com, the organisation's own address (My Domain)",
    "login_url": "where to log in; default: instance_url, else https://login.salesforce.com (https://test.salesforce.com for sandboxes)",
    "client_id": "the consumer key of the connected app",
    "client_secret": "its secret: ${env:NAME}, ${file:PATH} or ${keyring:SERVICE/USER}; alone with client_id: client credentials",
    "username": "the user, for a JWT or a password",
    "password": "his password: ${env:NAME}, …",
    "security_token": "his security token, where the organisation asks for one: ${env:NAME}, …",
    "private_key": "the PEM key that signs the JWT: ${file:PATH}",
    "audience": "whom the JWT is for; default https://login.salesforce.com",
    "refresh_token": "an OAuth refresh token: ${env:NAME}, …",
    "session_id": "an access token somebody else got: ${env:NAME}; it cannot be renewed",
    "version": "version of the API; default 59.0",
    "objects": "patterns of objects to see: a list, or {include: [...], exclude: [...]}; default: the usual ones and all custom objects",
    "batch_rows": "most rows one write carries; default 10000",
    "bulk_write_from": "rows in one write from which it is a Bulk API 2.0 job; default 2000; 0: never",
    "bulk_read_from": "records of an object from which it is read by Bulk API 2.0; default 50000; 0: never",
    "bulk_job_rows": "most records one Bulk API query job reads; default 250000",
    "bulk_patience_seconds": "how long a Bulk API job may take; default 14400",
    "late_seconds": "how long after its own time stamp a change may become visible; default 900",
    "timeout_seconds": "how long the system may stay silent; default 120",
    "answer_megabytes": "largest answer that is taken; default 256",
    "allow_duplicates": "true: duplicate rules that only warn do not refuse records; default false",
    "assignment_rules": "false: leads and cases keep the owner they are written with; default false",
    "read_only": "true: refuse every write to this target; default false (sources are always read-only)",
    "ca_file": "PEM file of certificates to trust, instead of the usual ones",
}
USUAL = (
    "Account", "AccountContactRelation", "Asset", "Attachment", "BusinessHours", "Campaign", "CampaignMember",
    "Case", "CaseComment", "Contact", "ContentDocument", "ContentDocumentLink", "ContentNote", "ContentVersion",
    "Contract", "CurrencyType", "DatedConversionRate", "Document", "EmailMessage", "Entitlement", "Event",
    "EventRelation", "Folder", "Group", "GroupMember", "Lead", "Note", "Opportunity", "OpportunityContactRole",
    "OpportunityLineItem", "Order", "OrderItem", "Partner", "Pricebook2", "PricebookEntry", "Product2", "Profile",
    "Quote", "QuoteLineItem", "RecordType", "Solution", "Task", "TaskRelation", "Topic", "User", "UserRole",
)  # fmt: skip
"""Standard objects that are seen unless the settings say otherwise: an organisation has a thousand more."""
LOGIN = "https://login.salesforce.com"
_VERSION = re.compile(r"[1-9][0-9]\.0")


@dataclass(frozen=True, slots=True)
class SalesforceSettings:
    """Where an organisation is, who asks, and how much at once."""

    credentials: Credentials
    login_url: str = LOGIN
    instance_url: str = ""
    version: str = "59.0"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    batch_rows: int = 10_000
    bulk_write_from: int = 2_000
    bulk_read_from: int = 50_000
    bulk_job_rows: int = 250_000
    bulk_patience_seconds: float = 14_400
    late_seconds: float = 900
    timeout_seconds: float = 120
    answer_megabytes: int = 256
    allow_duplicates: bool = False
    assignment_rules: bool = False
    read_only: bool = False
    ca_file: str = ""

    def wants(self, name: str) -> bool:
        """Whether an object is seen: by the patterns if there are any, else the usual ones and custom objects."""
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in self.exclude):
            return False
        if self.include:
            return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.include)
        return name in USUAL or name.endswith("__c")


def parse(settings: Mapping[str, Any]) -> SalesforceSettings:
    """Settings from migration.yaml; raises `ProjectError` with every problem found, and shows no secret."""
    reader = _Reader(settings)
    include, exclude = reader.patterns("objects")
    instance, login = reader.address("instance_url"), reader.address("login_url")
    credentials = reader.credentials(instance or login)
    found = SalesforceSettings(
        credentials,
        login or instance or LOGIN,
        instance,
        reader.version(),
        include,
        exclude,
        batch_rows=reader.number("batch_rows", 10_000, least=1),
        bulk_write_from=reader.number("bulk_write_from", 2_000),
        bulk_read_from=reader.number("bulk_read_from", 50_000),
        bulk_job_rows=reader.number("bulk_job_rows", 250_000, least=1),
        bulk_patience_seconds=reader.number("bulk_patience_seconds", 14_400, least=1),
        late_seconds=reader.number("late_seconds", 900),
        timeout_seconds=reader.number("timeout_seconds", 120, least=1),
        answer_megabytes=reader.number("answer_megabytes", 256, least=1),
        allow_duplicates=reader.flag("allow_duplicates"),
        assignment_rules=reader.flag("assignment_rules"),
        read_only=reader.flag("read_only"),
        ca_file=reader.text("ca_file"),
    )
    if reader.problems:
        raise ProjectError(reader.problems)
    return found


class _Reader:
    """Takes settings one by one and gathers what is wrong with them."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self.problems: list[Problem] = []
        for name in settings:
            if name not in SETTINGS:
                self.wrong(f"unknown setting {name!r}", did_you_mean(str(name), SETTINGS, noun="settings"))

    def wrong(self, message: str, hint: str) -> None:
        self.problems.append(Problem(PLACE, message, hint))

    def text(self, name: str) -> str:
        value = self._settings.get(name)
        if value is None or isinstance(value, str):
            return value or ""
        self.wrong(f"{name} must be a text", SETTINGS[name])
        return ""

    def number(self, name: str, default: int, *, least: int = 0) -> int:
        value = self._settings.get(name, default)
        if isinstance(value, int) and not isinstance(value, bool) and value >= least:
            return value
        self.wrong(f"{name} must be a whole number from {least} up", SETTINGS[name])
        return default

    def flag(self, name: str) -> bool:
        value = self._settings.get(name, False)
        if isinstance(value, bool):
            return value
        self.wrong(f"{name} must be true or false", SETTINGS[name])
        return False

    def version(self) -> str:
        found = str(self._settings.get("version") or "59.0").removeprefix("v")
        if not _VERSION.fullmatch(found):
            self.wrong(f"version {found!r} is none of the API", "for example '59.0'")
        return found

    def patterns(self, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        value = self._settings.get(name)
        raw = {"include": value} if isinstance(value, list) else ({} if value is None else value)
        if isinstance(raw, dict) and all(
            key in ("include", "exclude")
            and isinstance(items, list)
            and all(isinstance(item, str) for item in items)
            for key, items in raw.items()
        ):
            return tuple(raw.get("include") or ()), tuple(raw.get("exclude") or ())
        self.wrong(f"{name} cannot be read", SETTINGS[name])
        return (), ()

    def address(self, name: str) -> str:
        """An https address without path, or plain http to this machine; the address itself is not shown if it has a user."""
        found = self.text(name).rstrip("/")
        if not found:
            return ""
        try:
            parts = urlsplit(found)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host, parts = None, urlsplit("")
        if not host or parts.username or parts.path or parts.query or parts.fragment:
            self.wrong(f"{name} is no address", "write https://HOST, without user, path or anything after it")
        elif parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
            self.wrong(
                f"{name} {found!r} is not spoken to: what is sent would be readable on its way",
                "write https://…; plain http is for sandboxes on this machine only",
            )
        return found

    def credentials(self, own_address: str) -> Credentials:
        """What the settings hold, the most particular first."""
        given = {name for name in SETTINGS if self._settings.get(name)}
        text = self.text
        if "session_id" in given:
            if "instance_url" not in given:
                self.wrong("session_id needs instance_url", SETTINGS["instance_url"])
            return BySession(text("session_id"))
        if {"refresh_token", "client_id"} <= given:
            return Refreshing(text("client_id"), text("client_secret"), text("refresh_token"))
        if {"private_key", "client_id", "username"} <= given:
            return ByJwt(text("client_id"), text("username"), text("private_key"), text("audience") or LOGIN)
        if {"username", "password"} <= given:
            return AsUser(text("username"), text("password"), text("security_token"))
        if {"client_id", "client_secret"} <= given:
            if not own_address:
                self.wrong(
                    "client credentials need instance_url",
                    "they are taken only at the organisation's own address",
                )
            return ClientCredentials(text("client_id"), text("client_secret"))
        self.wrong(
            "the settings do not say how to log in",
            "give client_id and client_secret; or client_id, username and private_key; or client_id and refresh_token;"
            " or username, password and security_token; or session_id and instance_url",
        )
        return BySession("")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
