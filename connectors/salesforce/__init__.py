"""A live Salesforce organisation, as source and as target, through simple-salesforce: REST for few records, Bulk API 2.0 for many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from connectors.salesforce.settings import SETTINGS
from migrator.core.connector import Connector, Recognition, Source, Target

_HOSTS = (".salesforce.com", ".force.com", ".sfcrmapps.cn")


def open_source(settings: Mapping[str, Any]) -> Source:
    """A source over the organisation that `settings` name; connects at the first call."""
    from connectors.salesforce.source import SalesforceSource

    return SalesforceSource(settings)


def open_target(settings: Mapping[str, Any]) -> Target:
    """A target over the organisation that `settings` name; connects at the first call."""
    from connectors.salesforce.target import SalesforceTarget

    return SalesforceTarget(settings)


def recognise(what: str) -> Recognition | None:
    """An address of Salesforce."""
    host = urlsplit(what).hostname if what.startswith("https://") else None
    if host is None or not host.endswith(_HOSTS):
        return None
    return Recognition(0.95, f"{host} is an address of Salesforce", {"instance_url": f"https://{host}"})


CONNECTOR = Connector(
    name="salesforce",
    summary="a live Salesforce organisation: REST, composite and Bulk API 2.0.",
    settings=SETTINGS,
    open_source=open_source,
    open_target=open_target,
    recognise=recognise,
)
