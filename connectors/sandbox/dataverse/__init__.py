"""A Dataverse environment on loopback: enough of its Web API for Microsoft's own Python client to run against it."""

from __future__ import annotations

from connectors.sandbox.dataverse.app import SANDBOX

__all__ = ["SANDBOX"]
