"""Tryton over its JSON-RPC as target: a system that nobody here wrote, carried by the same contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from migrator.core.connector import Connector, Target
from migrator.core.document import did_you_mean
from migrator.core.errors import Location, Problem, raise_errors

SETTINGS: Mapping[str, str] = {
    "url": "the server's address, for example https://erp.example.com",
    "database": "the name of the database",
    "user": "the login name; default admin",
    "password": "the password, as ${env:NAME}, ${file:PATH} or ${keyring:SERVICE/USER}",
    "objects": "the models to see, for example [party.party, party.address]; default [party.party]",
    "ca_file": "certificates to trust instead of the usual ones",
}


def open_target(settings: Mapping[str, Any]) -> Target:
    """A target over one database; signs in at the first call."""
    from connectors.tryton.target import TrytonTarget

    place = Location("migration.yaml")
    needed = [name for name in ("url", "database", "password") if not settings.get(name)]
    unknown = [name for name in settings if name not in SETTINGS]
    raise_errors(
        [Problem(place, f"tryton needs the setting {name}", SETTINGS[name]) for name in needed]
        + [Problem(place, f"tryton: unknown setting {name!r}", did_you_mean(name, SETTINGS, noun="settings")) for name in unknown]
    )  # fmt: skip
    return TrytonTarget(settings)


CONNECTOR = Connector("tryton", "Tryton over its JSON-RPC", SETTINGS, open_target=open_target)
