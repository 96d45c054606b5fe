"""Dynamics 365 and every other environment of Microsoft Dataverse, as source and as target, by its Web API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from connectors.dataverse.settings import SETTINGS, parse
from migrator.core.connector import Connector, Recognition, Source, Target


def open_source(settings: Mapping[str, Any]) -> Source:
    """A source over the environment that `settings` name; signs in at the first call."""
    from connectors.dataverse.source import DataverseSource

    return DataverseSource(parse(settings))


def open_target(settings: Mapping[str, Any]) -> Target:
    """A target over the environment that `settings` name; signs in at the first call."""
    from connectors.dataverse.target import DataverseTarget

    return DataverseTarget(parse(settings))


def recognise(what: str) -> Recognition | None:
    """The address of an environment: https://ORG.crm4.dynamics.com."""
    try:
        url = httpx.URL(what)
    except (httpx.InvalidURL, ValueError):
        return None
    host = url.host
    if url.scheme != "https" or not (".dynamics." in host and host.split(".")[1].startswith("crm")):
        return None
    return Recognition(
        0.95,
        "the address of a Dataverse environment",
        {
            "url": f"https://{host}",
            "tenant": "${env:DATAVERSE_TENANT}",
            "client_id": "${env:DATAVERSE_CLIENT_ID}",
            "client_secret": "${env:DATAVERSE_CLIENT_SECRET}",
        },
    )


CONNECTOR = Connector(
    name="dataverse",
    summary="Dynamics 365 and Dataverse environments, live, by the Web API.",
    settings=SETTINGS,
    open_source=open_source,
    open_target=open_target,
    recognise=recognise,
)
