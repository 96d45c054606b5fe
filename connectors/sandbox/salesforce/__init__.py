"""A Salesforce organisation on loopback: REST, collections, composite, Bulk API 2.0 and the logins, over records in SQLite."""

from __future__ import annotations

from connectors.sandbox.salesforce.app import LIMITS, make_app
from connectors.sandbox.salesforce.org import SWITCHES
from connectors.sandbox.serve import sandbox

SANDBOX = sandbox(
    "salesforce",
    "Salesforce: REST, collections, composite, Bulk API 2.0, OAuth and SOAP login.",
    make_app,
    limits=LIMITS,
    switches=SWITCHES,
)
