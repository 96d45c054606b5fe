"""The sandbox commands: which systems can be served locally, and serving one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrator.core.sandbox import SandboxOptions, Served, sandbox, sandboxes

__all__ = ["SandboxOptions", "Serving", "listed", "start"]


@dataclass(frozen=True, slots=True)
class Serving:
    """A sandbox that answers, and how to reach it."""

    name: str
    served: Served

    @property
    def url(self) -> str:
        """Where."""
        return self.served.url

    @property
    def certificate(self) -> Path | None:
        """What clients have to trust; None without TLS."""
        return self.served.certificate

    @property
    def credentials(self) -> Mapping[str, str]:
        """What to log in with; made up, worth nothing."""
        return self.served.credentials

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "sandbox": self.name,
            "url": self.url,
            "certificate": str(self.certificate) if self.certificate else None,
            "credentials": dict(self.credentials),
            "snippet": self.served.snippet,
        }


def listed() -> list[tuple[str, str]]:
    """Name and summary of every sandbox there is."""
    return [(item.name, item.summary) for item in sandboxes().values()]


def start(name: str, options: SandboxOptions) -> Serving:
    """Serve a sandbox on loopback until its `served.stop()`.

    Raises `ProjectError` for an unknown name and for files that are wrong, `FatalError` when the port is taken.
    """
    return Serving(name, sandbox(name).start(options))
