"""What changed in a system's set-up between two scans: configuration goes on changing while both systems run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Drift:
    """Ids of components, sorted."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()


def drift(before: Mapping[str, str], after: Mapping[str, str]) -> Drift:
    """Compare digests by id. What the earlier scan could not see is new to us, whether or not it is new."""
    return Drift(
        tuple(sorted(after.keys() - before.keys())),
        tuple(sorted(name for name in after.keys() & before.keys() if after[name] != before[name])),
        tuple(sorted(before.keys() - after.keys())),
    )
