"""A Dataverse sandbox for a test, and connectors that talk to it over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from connectors.dataverse.settings import parse
from connectors.dataverse.source import DataverseSource
from connectors.dataverse.target import DataverseTarget
from connectors.sandbox.dataverse.app import make_app
from connectors.sandbox.faults import Fault, Schedule
from connectors.sandbox.serve import Box, running
from migrator.core.clock import Clock
from migrator.core.sandbox import SandboxOptions


@contextmanager
def dataverse(
    *faults: Fault, tls: bool = False, clock: Clock | None = None, **switches: object
) -> Iterator[Box]:
    """A sandbox with these faults and switches."""
    app = make_app(SandboxOptions(switches=switches), clock=clock)
    app.schedule = Schedule(faults)
    with running(app, tls=tls) as box:
        yield box


def settings(box: Box, **more: Any) -> Any:
    """The settings of a connector that talks to it."""
    told = {"url": box.url, "token": box.credentials["token"], **more}
    if box.certificate:
        told.setdefault("ca_file", str(box.certificate))
    return parse(told)


def source_of(box: Box, **more: Any) -> DataverseSource:
    """A source over it that the caller closes."""
    return DataverseSource(settings(box, **more))


@contextmanager
def source(box: Box, **more: Any) -> Iterator[DataverseSource]:
    """A source over it."""
    found = DataverseSource(settings(box, **more))
    try:
        yield found
    finally:
        found.close()


@contextmanager
def target(box: Box, **more: Any) -> Iterator[DataverseTarget]:
    """A target over it."""
    found = DataverseTarget(settings(box, **more))
    try:
        yield found
    finally:
        found.close()
