"""A Salesforce sandbox for tests: an object of ours with a key, over HTTP, and the connector opened on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from connectors.salesforce.source import SalesforceSource
from connectors.salesforce.target import SalesforceTarget
from connectors.sandbox.salesforce.app import app_of
from connectors.sandbox.salesforce.org import Org, Switches
from connectors.sandbox.serve import Box, running
from migrator.core.clock import Clock, FixedClock, SystemClock
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

DEAL = ObjectSchema(
    "Deal__c",
    "Id",
    (
        FieldSchema("Legacy__c", FieldType.STRING, unique=True, length=40),
        FieldSchema("Title__c", FieldType.STRING, length=120),
        FieldSchema("Notes__c", FieldType.TEXT, length=32_000),
        FieldSchema("Amount__c", FieldType.DECIMAL, precision=18, scale=2),
        FieldSchema("At__c", FieldType.DATETIME),
        FieldSchema("Day__c", FieldType.DATE),
        FieldSchema("Open__c", FieldType.BOOLEAN),
        FieldSchema("Stage__c", FieldType.PICKLIST, values=("New", "Won", "进行中")),
        FieldSchema("Account__c", FieldType.REFERENCE, references=("Account",)),
    ),
)


@dataclass
class World:
    """A sandbox being served, and how to open it."""

    org: Org
    box: Box
    settings: dict[str, object] = field(default_factory=dict)
    closing: ExitStack = field(default_factory=ExitStack)

    def source(self, clock: Clock | None = None, **more: object) -> SalesforceSource:
        found = SalesforceSource(self.settings | more, clock)
        self.closing.callback(found.close)
        return found

    def target(self, clock: Clock | None = None, **more: object) -> SalesforceTarget:
        found = SalesforceTarget(self.settings | more, clock)
        self.closing.callback(found.close)
        return found

    def fill(self, count: int, *, start: int = 0, stamp: str | None = None) -> list[str]:
        """So many deals straight into the records, all under one time stamp if given; their ids."""
        rows = []
        for number in range(start, start + count):
            values: dict[str, object] = {"Legacy__c": f"D{number:06d}", "Title__c": f"Deal {number} 商机"}
            if stamp is not None:
                values |= {"CreatedDate": stamp, "LastModifiedDate": stamp, "SystemModstamp": stamp}
            rows.append((self.org.store.fresh_id("Deal__c"), values))
        self.org.store.load("Deal__c", rows)
        return [record for record, _ in rows]


@contextmanager
def world(
    *,
    clock: Clock | None = None,
    switches: Switches | None = None,
    tls: bool = False,
    folder: Path | None = None,
) -> Iterator[World]:
    """A fresh organisation; the credentials are those of its client."""
    org = Org(clock or SystemClock(), switches or Switches(), folder)
    org.adopt(DEAL)
    with running(app_of(org), tls=tls) as box:
        given: dict[str, object] = {
            "instance_url": box.url,
            "client_id": box.credentials["client_id"],
            "client_secret": box.credentials["client_secret"],
            "objects": ["Deal__c", "Account", "ContentVersion", "ContentDocumentLink", "ContentDocument"],
        }
        if box.certificate is not None:
            given["ca_file"] = str(box.certificate)
        made = World(org, box, given)
        with made.closing:
            yield made


class Drifting(FixedClock):
    """A clock that tests move, whatever real time does; sleeping moves it too."""

    def on(self, **span: float) -> None:
        """So much later."""
        self.at += timedelta(**span)
