"""Writes the small company's CRM as any of the systems that it may have lived in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from migrator.testing.synthetic import legacy_dynamics, legacy_sage, legacy_salesforce
from migrator.testing.synthetic.legacy import Legacy, LegacyTruth

WRITERS: Mapping[str, Callable[[Path, Legacy], LegacyTruth]] = {
    "salesforce": legacy_salesforce.write,
    "dynamics": legacy_dynamics.write,
    "sagecrm": legacy_sage.write,
}
"""System → what writes its export into a folder."""


def generate_legacy(folder: Path, system: str, *, size: int = 30, seed: int = 7) -> LegacyTruth:
    """Write the export of one system, about ten times `size` records in all; same arguments, same records."""
    return WRITERS[system](folder, Legacy(size, seed))
