"""The contract of sandboxes: a system's protocol served on loopback, found by entry point, started by the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from migrator.core.document import did_you_mean
from migrator.core.errors import ProjectError

ENTRY_POINTS = "migrator.sandboxes"


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """What a sandbox is started with."""

    port: int = 0
    """0: any free one."""
    data: Path | None = None
    """A folder with one CSV or JSON Lines file per object, or a vendor's export; None: empty."""
    faults: Path | None = None
    """The fault schedule, a YAML file."""
    limits: Path | None = None
    """Limits and switches other than the system's usual ones, a YAML file."""
    certificates: Path | None = None
    """Serve over TLS, with the certificate in this folder; it is made when it is not there."""
    switches: Mapping[str, object] = field(default_factory=dict)
    """What `limits` says beside limits: the system's own switches."""

    def with_switches(self, switches: Mapping[str, object]) -> SandboxOptions:
        """The same with other switches."""
        return replace(self, switches=switches)


class Served(Protocol):
    """A sandbox that answers."""

    @property
    def url(self) -> str:
        """Where."""
        ...

    @property
    def certificate(self) -> Path | None:
        """What clients have to trust; None without TLS."""
        ...

    @property
    def credentials(self) -> Mapping[str, str]:
        """What to log in with; made up, worth nothing."""
        ...

    @property
    def snippet(self) -> str:
        """The lines of migration.yaml that name it."""
        ...

    def wait(self) -> None:
        """Until it is stopped."""
        ...

    def stop(self) -> None:
        """Answer no more; may be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A system that can be served locally."""

    name: str
    summary: str
    start: Callable[[SandboxOptions], Served]
    """Raises `ProjectError` for files that are wrong, `FatalError` when the port is taken."""


def sandboxes() -> dict[str, Sandbox]:
    """All installed sandboxes by name."""
    return {
        item.name: item.load()
        for item in sorted(entry_points(group=ENTRY_POINTS), key=lambda item: item.name)
    }


def sandbox(name: str) -> Sandbox:
    """The sandbox called `name`; raises `ProjectError` with the nearest name when there is none."""
    known = {item.name: item for item in entry_points(group=ENTRY_POINTS)}
    if name not in known:
        raise ProjectError.at(
            "sandbox start", f"unknown sandbox {name!r}", did_you_mean(name, known, noun="sandboxes")
        )
    found: Sandbox = known[name].load()
    return found
