"""Sage CRM over its SOAP web services, as source; its SQL Server database and CSV exports go through `sql` and `files`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.named_settings import hold
from migrator.core.connector import Connector, Source

SETTINGS: Mapping[str, str] = {
    "url": "the web services' address: https://HOST/INSTALL/eware.dll/webservices/SOAP",
    "user": "a user allowed to use web services",
    "password": "the password, as ${env:NAME}, ${file:PATH} or ${keyring:SERVICE/USER}",
    "objects": "entities to see; default company, person, opportunity, communication, cases, lead, users",
    "prefixes": "{entity: prefix of its columns} for entities of your own, for example {contract: cont}",
    "zone": "the server's time zone, for example Europe/Dublin; needed to ask what changed",
    "ca_file": "certificates to trust instead of the usual ones",
}


def open_source(settings: Mapping[str, Any]) -> Source:
    """A source over one installation; logs on at the first call and off at `close`."""
    from connectors.sagecrm.source import SageSource

    hold("sagecrm", settings, SETTINGS, ("url", "user", "password"))
    return SageSource(settings)


CONNECTOR = Connector("sagecrm", "Sage CRM over its SOAP web services", SETTINGS, open_source=open_source)
