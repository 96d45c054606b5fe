"""Settings of a small connector held to the names it knows: what is unknown or missing is told all at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from migrator.core.document import did_you_mean
from migrator.core.errors import Location, Problem, raise_errors

_PLACE = Location("migration.yaml")


def hold(
    connector: str, settings: Mapping[str, Any], known: Mapping[str, str], needed: Iterable[str]
) -> None:
    """Raise `ProjectError` with every setting that is not in `known`, and every one of `needed` that is not given."""
    missing = [
        Problem(_PLACE, f"{connector} needs the setting {name}", known[name])
        for name in needed
        if not settings.get(name)
    ]
    unknown = [
        Problem(_PLACE, f"{connector}: unknown setting {name!r}", did_you_mean(name, known, noun="settings"))
        for name in settings
        if name not in known
    ]
    raise_errors(missing + unknown)
