"""Party lists lifted out of a piece, so that the rest of it is plain again and can be read swiftly.

`<field name="to" value=""><activitypointerrecords …>…</field>` becomes `<field name="to" value="17"/>`, and the parties
become the JSON text number 17. Only the spelling that the export tool writes is lifted; what is spelt otherwise stays, is
not plain, and is read carefully. Both ways give the same JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from connectors.dynamics_export.escapes import decoded

_PARTY = (
    rb'<activitypointerrecords id="[^"<&]*"\s*>\s*'
    rb'(?:<field name="[^"<&]*" value="[^"<\t\n\r]*"(?: [a-z]+="[^"<\t\n\r]*")*\s*/>\s*)*'
    rb"</activitypointerrecords>\s*"
)
_LIST = re.compile(rb'<field name="([^"<&]*)" value="">\s*((?:' + _PARTY + rb")+)</field>")
_TOKEN = re.compile(r'<activitypointerrecords id="([^"]*)"|<field name="([^"]*)"| ([a-z]+)="([^"]*)"')
_SUFFIXES = {"value": "", "lookupentity": "__type", "lookupentityname": "__name"}


@dataclass(frozen=True, slots=True)
class Lifted:
    """A piece without its party lists, the lists as JSON, and how to find the old places again."""

    data: bytes
    lists: list[str]
    _ends: np.ndarray
    _removed: np.ndarray

    def places_before(self, places: np.ndarray) -> np.ndarray:
        """Where these bytes of `data` stood in the piece."""
        before = np.searchsorted(self._ends, places, side="right")
        found: np.ndarray = places + self._removed[before]
        return found


def lift(data: bytes, names: Sequence[str]) -> Lifted | None:
    """Lift the party lists of the fields called so; None when one of them cannot be said in plain JSON."""
    wanted = frozenset(name.encode() for name in names)
    if not wanted or b"<activitypointerrecords" not in data:
        return Lifted(data, [], np.empty(0, np.int64), np.zeros(1, np.int64))
    parts: list[bytes] = []
    lists: list[str] = []
    ends: list[int] = []
    removed = [0]
    at = size = 0
    for match in _LIST.finditer(data):
        if match[1] not in wanted:
            continue
        parties = _parties(match[2].decode())
        if parties is None:
            return None
        parts.append(data[at : match.start()])
        parts.append(b'<field name="%b" value="%d"/>' % (match[1], len(lists)))
        size += len(parts[-2]) + len(parts[-1])
        at = match.end()
        ends.append(size)
        removed.append(at - size)
        lists.append(json.dumps(parties, ensure_ascii=False))
    parts.append(data[at:])
    return Lifted(b"".join(parts), lists, np.array(ends, np.int64), np.array(removed, np.int64))


def _parties(text: str) -> list[dict[str, str]] | None:
    """The parties of one list, as `careful` tells them; None when a field stands twice in one."""
    parties: list[dict[str, str]] = []
    party: dict[str, str] = {}
    name = ""
    for found in _TOKEN.findall(text):
        guid, field, attribute, value = found
        if attribute:
            suffix = _SUFFIXES.get(attribute, f"@{attribute}")
            value = decoded([value])[0] if "&" in value else value
            party[name + suffix] = bare(value) if not suffix and name.endswith("id") else value
        elif field:
            if field in party:
                return None
            name = field
        else:
            party = {"id": bare(guid)}
            parties.append(party)
    return parties


def bare(guid: str) -> str:
    """A GUID without braces, in small letters."""
    return guid.strip("{} \t\r\n").lower()
