"""Salesforce metadata: SFDX source trees and the older package form, as folders or zips, read without an organisation."""

from __future__ import annotations

from connectors.salesforce_metadata.reader import SalesforceMetadata

__all__ = ["READER"]

READER = SalesforceMetadata()
