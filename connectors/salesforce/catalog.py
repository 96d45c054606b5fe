"""What an organisation holds: its objects as far as the settings let them through, who it is, what it permits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.salesforce import soql
from connectors.salesforce.client import Client, unexpected
from connectors.salesforce.described import Described, described
from connectors.salesforce.wire import PARALLEL
from migrator.core.connector import Identity, Limits
from migrator.core.document import did_you_mean
from migrator.core.errors import FatalError

_NAMES_A_REQUEST = 100
_DESCRIBES_A_CALL = 25


@dataclass
class Catalog:
    """Objects by name, each described once for as long as the connector is open."""

    client: Client
    _names: tuple[str, ...] | None = None
    _described: dict[str, Described] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        """API names of the objects that can be queried and that the settings let through, in order."""
        if self._names is None:
            raw = self.client.ask("list of objects", lambda sf: sf.describe())
            listed = raw.get("sobjects") if isinstance(raw, Mapping) else None
            if not isinstance(listed, list) or not all(isinstance(item, Mapping) for item in listed):
                raise unexpected("list of objects", "a list of objects")
            wants = self.client.settings.wants
            self._names = tuple(
                sorted(
                    str(item.get("name"))
                    for item in listed
                    if item.get("queryable") and wants(str(item.get("name")))
                )
            )
        return self._names

    def every(self) -> Sequence[Described]:
        """All of them; raises `FatalError` when the organisation shows none."""
        if not self.names():
            raise FatalError(
                f"{self.client.address} shows no object that the settings let through",
                hint="check the setting objects, and what the user may see",
            )
        self._describe_all([name for name in self.names() if name not in self._described])
        return [self.object(name) for name in self.names()]

    def _describe_all(self, names: Sequence[str]) -> None:
        """Several descriptions a call; one that is refused is left for `object`, which says why."""
        for start in range(0, len(names), _DESCRIBES_A_CALL):
            some = names[start : start + _DESCRIBES_A_CALL]
            paths = [f"sobjects/{soql.name(name)}/describe" for name in some]
            for name, (status, body) in zip(some, self.client.composite("describe", paths), strict=True):
                if status == 200:
                    self._described[name] = described(body)

    def object(self, name: str) -> Described:
        """One object; raises `FatalError` with the nearest name when there is none."""
        if name not in self._described:
            if name not in self.names():
                raise FatalError(
                    f"Salesforce has no object {name!r} here",
                    hint=did_you_mean(name, self.names(), noun="objects") or "see the setting objects",
                )
            self._described[name] = described(self.client.describe(name))
        return self._described[name]

    def count(self, name: str) -> int | None:
        """About how many records there are: Salesforce's own count, some minutes old; None where it has none."""
        if name not in self._counts:
            names = [item for item in self.names() if item not in self._counts]
            wanted = [name, *(item for item in names if item != name)][:_NAMES_A_REQUEST]
            raw = self.client.rest(
                "record counts", "limits/recordCount", params={"sObjects": ",".join(wanted)}
            )
            listed = raw.get("sObjects") if isinstance(raw, Mapping) else None
            if not isinstance(listed, list):
                return None
            self._counts |= dict.fromkeys(wanted, 0)  # one that has no records is absent
            self._counts |= {
                item["name"]: item["count"]
                for item in listed
                if isinstance(item, Mapping) and isinstance(item.get("count"), int)
            }
        return self._counts[name]


def identify(client: Client) -> Identity:
    """Who answers; Salesforce says itself whether it is a sandbox."""
    found = _first(client, "SELECT Id,Name,IsSandbox,OrganizationType FROM Organization LIMIT 1")
    sandbox = found.get("IsSandbox")
    trial = "Developer" in str(found.get("OrganizationType") or "")
    return Identity(
        "Salesforce",
        client.address,
        organisation=f"{found.get('Name') or ''} ({found.get('Id') or ''})",
        user=_user(client),
        production=None if not isinstance(sandbox, bool) else not (sandbox or trial),
    )


LIMITS = Limits(parallel=PARALLEL)
"""No windows; calls in 24 hours, of which every answer tells how many there are."""


def _first(client: Client, query: str) -> Mapping[str, Any]:
    records = client.query(query)["records"]
    found: Mapping[str, Any] = records[0] if records else {}
    return found


def _user(client: Client) -> str:
    """The name of the user who asks, as far as it is known."""
    if not client.user:
        return getattr(client.settings.credentials, "username", "")
    found = _first(client, f"SELECT Id,Username FROM User WHERE Id = {soql.text_literal(client.user)}")
    return str(found.get("Username") or client.user)


def used_up(client: Client) -> list[str]:
    """What of the organisation's limits is at its end, of those without which no record can be written."""
    raw = client.rest("limits", "limits")
    told = raw if isinstance(raw, Mapping) else {}
    return [
        f"{name} of the organisation is used up ({told[name].get('Max')}): make room, or buy more"
        for name in ("DataStorageMB", "FileStorageMB")
        if isinstance(told.get(name), Mapping) and told[name].get("Remaining") == 0
    ]
