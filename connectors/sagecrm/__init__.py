"""Sage CRM over its SOAP web services, as source; its SQL Server database and CSV exports go through `sql` and `files`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from migrator.core.connector import Connector, Source
from migrator.core.document import did_you_mean
from migrator.core.errors import Location, Problem, raise_errors

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

    place = Location("migration.yaml")
    needed = [name for name in ("url", "user", "password") if not settings.get(name)]
    unknown = [name for name in settings if name not in SETTINGS]
    raise_errors(
        [Problem(place, f"sagecrm needs the setting {name}", SETTINGS[name]) for name in needed]
        + [
            Problem(
                place, f"sagecrm: unknown setting {name!r}", did_you_mean(name, SETTINGS, noun="settings")
            )
            for name in unknown
        ]
    )
    return SageSource(settings)


CONNECTOR = Connector("sagecrm", "Sage CRM over its SOAP web services", SETTINGS, open_source=open_source)
