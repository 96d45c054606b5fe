"""Tryton over its JSON-RPC as target: a system that nobody here wrote, carried by the same contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.named_settings import hold
from migrator.core.connector import Connector, Target

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

    hold("tryton", settings, SETTINGS, ("url", "database", "password"))
    return TrytonTarget(settings)


CONNECTOR = Connector("tryton", "Tryton over its JSON-RPC", SETTINGS, open_target=open_target)
