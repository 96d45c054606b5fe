"""What a project says of its sync under `sync:` in migration.yaml, read strictly: how often, who is told, what is kept how long."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from migrator.core.document import Document, TreePath, did_you_mean
from migrator.core.errors import Location, Problem

KEYS = (
    "every",
    "late",
    "reconcile",
    "wait",
    "keep",
    "policy",
    "frozen",
    "deletes",
    "health",
    "metrics",
    "ping",
    "alerts",
)
ALERT_KEYS = ("on", "command", "webhook", "again")
COLOURS = ("green", "yellow", "red")
_EXAMPLES: Mapping[str, str] = {
    "every": "every: 5m",
    "late": "late: 30m",
    "reconcile": "reconcile: 7d",
    "wait": "wait: 3d",
    "keep": "keep: 90d",
    "again": "again: 24h",
    "policy": "policy: new_wins",
    "frozen": "frozen: [old]",
    "deletes": "deletes: false",
    "health": "health: .migrator/sync/health.json",
    "metrics": "metrics: /var/lib/node_exporter/crm_sync.prom",
    "ping": "ping: ${env:SYNC_PING_URL}",
    "alerts": "alerts: [{on: [red], command: notify-oncall}]",
    "on": "on: [yellow, red]",
    "command": "command: notify-oncall --topic crm",
    "webhook": "webhook: ${env:SYNC_WEBHOOK}",
}
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_TIME = re.compile(r"(\d{1,6})\s*([smhd])")


@dataclass(frozen=True, slots=True)
class Alert:
    """Who is told when the colour changes: a program, or an address; exactly one of the two."""

    on: tuple[str, ...] = ("red",)
    command: str = ""
    webhook: str = ""
    """May name a secret; looked up when it is used."""
    again: timedelta = timedelta(days=1)
    """A colour that stays is told again so often."""


@dataclass(frozen=True, slots=True)
class SyncSettings:
    """The `sync:` of a project."""

    every: timedelta = timedelta(days=1)
    """How often it is meant to run."""
    late: timedelta = timedelta(hours=26)
    """Without a finished run for so long it is not green."""
    reconcile: timedelta = timedelta(days=7)
    """Every record is compared at least so often."""
    wait: timedelta = timedelta(days=3)
    """An open conflict or hold that is older turns it red."""
    keep: timedelta = timedelta(days=90)
    """Values of settled conflicts are kept so long."""
    policy: str = ""
    """Of the phase, in place of what the mappings say: old_wins, new_wins; '' for none."""
    frozen: tuple[str, ...] = ()
    """Sides that are not written in this phase."""
    deletes: bool = True
    health: str = ".migrator/sync/health.json"
    metrics: str = ".migrator/sync/metrics.prom"
    ping: str = ""
    alerts: tuple[Alert, ...] = ()
    place: Location = field(default_factory=lambda: Location("migration.yaml"))


def parse_sync(document: Document, raw: object, problems: list[Problem]) -> SyncSettings:
    """The settings under `sync`; every problem is added to `problems` with its place."""
    if not isinstance(raw, dict):  # what is no mapping is told by whoever reads the whole file
        return SyncSettings()
    reading = _Reading(document, problems)
    reading.known(("sync",), raw, KEYS)
    usual = SyncSettings()
    every = reading.time(("sync", "every"), raw, usual.every)
    late = usual.late if "every" not in raw else max(every * 3, timedelta(minutes=2))
    listed = raw.get("alerts", [])
    if not isinstance(listed, list):
        reading.wrong(("sync", "alerts"), f"alerts must be a list, not {listed!r}", _EXAMPLES["alerts"])
        listed = []
    return SyncSettings(
        every=every,
        late=reading.time(("sync", "late"), raw, late),
        reconcile=reading.time(("sync", "reconcile"), raw, usual.reconcile),
        wait=reading.time(("sync", "wait"), raw, usual.wait),
        keep=reading.time(("sync", "keep"), raw, usual.keep),
        policy=reading.word(("sync", "policy"), raw, ("old_wins", "new_wins"), ""),
        frozen=reading.words(("sync", "frozen"), raw, ("old", "new"), ()),
        deletes=reading.truth(("sync", "deletes"), raw, usual=True),
        health=reading.text(("sync", "health"), raw, usual.health),
        metrics=reading.text(("sync", "metrics"), raw, usual.metrics),
        ping=reading.address(("sync", "ping"), raw),
        alerts=tuple(reading.alert(("sync", "alerts", number), item) for number, item in enumerate(listed)),
        place=document.locate_key(("sync",)),
    )


class _Reading:
    """Reads single values; what is wrong is noted and taken as not said."""

    def __init__(self, document: Document, problems: list[Problem]) -> None:
        self._document, self._problems = document, problems

    def wrong(self, path: TreePath, message: str, example: str) -> None:
        """Note a problem with the value at `path`."""
        self._problems.append(Problem(self._document.locate(path), message, f"for example {example}"))

    def known(self, path: TreePath, raw: Mapping[Any, Any], keys: tuple[str, ...]) -> None:
        """Note every key that is none of `keys`."""
        for key in raw:
            if key not in keys:
                hint = did_you_mean(str(key), keys, noun="keys")
                place = self._document.locate_key((*path, str(key)))
                self._problems.append(Problem(place, f"unknown key {key!r}", hint))

    def time(self, path: TreePath, raw: Mapping[Any, Any], usual: timedelta) -> timedelta:
        """A length of time in s, m, h or d."""
        name = str(path[-1])
        if name not in raw:
            return usual
        found = _TIME.fullmatch(str(raw[name]))
        if found is None or not int(found[1]):
            self.wrong(path, f"{name} must be a time in s, m, h or d, not {raw[name]!r}", _EXAMPLES[name])
            return usual
        return timedelta(**{_UNITS[found[2]]: int(found[1])})

    def text(self, path: TreePath, raw: Mapping[Any, Any], usual: str = "") -> str:
        """A text that is not blank."""
        name = str(path[-1])
        value = raw.get(name, usual)
        if not isinstance(value, str) or (name in raw and not value.strip()):
            self.wrong(path, f"{name} must be a text, not {value!r}", _EXAMPLES[name])
            return usual
        return value

    def truth(self, path: TreePath, raw: Mapping[Any, Any], *, usual: bool) -> bool:
        """Yes or no."""
        value = raw.get(str(path[-1]), usual)
        if not isinstance(value, bool):
            self.wrong(path, f"{path[-1]} must be true or false, not {value!r}", _EXAMPLES[str(path[-1])])
            return usual
        return value

    def word(self, path: TreePath, raw: Mapping[Any, Any], words: tuple[str, ...], usual: str) -> str:
        """One of some words."""
        value = raw.get(str(path[-1]), usual)
        if value != usual and value not in words:
            self.wrong(
                path, f"{value!r} is not allowed here; known: {', '.join(words)}", _EXAMPLES[str(path[-1])]
            )
            return usual
        return str(value)

    def words(
        self, path: TreePath, raw: Mapping[Any, Any], words: tuple[str, ...], usual: tuple[str, ...]
    ) -> tuple[str, ...]:
        """Some of some words."""
        value = raw.get(str(path[-1]), list(usual))
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list) or not all(item in words for item in listed):
            self.wrong(
                path, f"{value!r} is not allowed here; known: {', '.join(words)}", _EXAMPLES[str(path[-1])]
            )
            return usual
        return tuple(listed)

    def address(self, path: TreePath, raw: Mapping[Any, Any]) -> str:
        """An https address, http on this machine, or the name of a secret that is one."""
        value = self.text(path, raw)
        if value and not value.startswith("${") and not is_safe(value):
            self.wrong(path, f"{path[-1]} must be an https address", _EXAMPLES[str(path[-1])])
            return ""
        return value

    def alert(self, path: TreePath, raw: object) -> Alert:
        """One alert."""
        if not isinstance(raw, dict):
            self.wrong(
                path, f"an alert must be a mapping, not {raw!r}", "{on: [red], command: notify-oncall}"
            )
            return Alert()
        # YAML reads a plain `on` as true
        named = {("on" if key is True else key): value for key, value in raw.items()}
        self.known(path, named, ALERT_KEYS)
        if ("command" in named) == ("webhook" in named):
            self.wrong(path, "an alert has either command or webhook", "{on: [red], command: notify-oncall}")
        usual = Alert()
        return Alert(
            self.words((*path, "on"), named, COLOURS, usual.on),
            self.text((*path, "command"), named),
            self.address((*path, "webhook"), named),
            self.time((*path, "again"), named, usual.again),
        )


def is_safe(address: str) -> bool:
    """Whether what is sent there is not readable on its way: https, or this machine."""
    found = urlsplit(address)
    local = found.hostname in ("localhost", "127.0.0.1", "::1")
    return bool(found.hostname) and (found.scheme == "https" or (found.scheme == "http" and local))
