"""External keys to records: one query with IN over the keys of a batch, and what queries do not show yet by its id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from connectors.fxiaoke.api import Api, where
from connectors.fxiaoke.described import ID
from connectors.fxiaoke.lately import Lately
from connectors.fxiaoke.scan import INVALID, is_gone, scan
from migrator.core.errors import CallRefused, RetryableError

Record: TypeAlias = Mapping[str, Any]
_FACTS = ("life_status", "lock_status", "is_deleted")


@dataclass(frozen=True, slots=True)
class Found:
    """What a look-up of keys came to."""

    there: Mapping[str, Record]
    """Key → the record as the system has it."""
    several: Mapping[str, tuple[Record, ...]]
    """Keys that more than one record has."""

    @property
    def keys(self) -> set[str]:
        """Keys that are there, once or more."""
        return self.there.keys() | self.several.keys()

    @property
    def records(self) -> list[Record]:
        """All of them."""
        return [*self.there.values(), *(item for some in self.several.values() for item in some)]


class Lookup:
    """Look-ups in one tenant."""

    def __init__(self, api: Api, lately: Lately) -> None:
        self._api, self._lately = api, lately

    def find(self, name: str, key: str, keys: Sequence[str], fields: Iterable[str]) -> Found:
        """The records with these keys, and certainty about those that are not there.

        Raises `RetryableError` while a key is not found that an unanswered create may yet bring.
        """
        doubts = self._lately.doubts(name, keys)  # before asking: only what is asked later is seen later
        written = self._lately.written(name, keys)
        rows = self._got(name, key, {item: one.id for item, one in written.items() if one.changed})
        left = [item for item in keys if item not in _keys(rows, key)]
        rows += self._queried(name, key, left, tuple(dict.fromkeys((key, *fields, *_FACTS))))
        hidden = written.keys() - _keys(rows, key)
        rows += self._got(name, key, {item: written[item].id for item in hidden if not written[item].changed})
        found = _by_key(rows, key, keys)
        patience = max(
            (doubts[item] for item in keys if item in doubts and item not in found.keys), default=0.0
        )
        if patience:
            raise RetryableError(
                f"{name}: keys that are not found may show up for {patience:.1f} seconds yet",
                hint="they are asked for again then; see the setting visible_after",
                retry_after=patience,
            )
        return found

    def invalid(self, name: str, key: str, keys: Sequence[str]) -> dict[str, str]:
        """Key → id of those that stand in the recycle bin."""
        found: dict[str, str] = {}
        filters = [where(key, "IN", keys), where("life_status", "EQ", [INVALID])]
        for rows in scan(self._api, name, filters, fields=(key, *_FACTS)) if keys else ():
            found |= {str(row.get(key)): str(row[ID]) for row in rows if is_gone(row)}
        return {item: found[item] for item in keys if item in found}

    def _queried(self, name: str, key: str, keys: Sequence[str], fields: Sequence[str]) -> list[Record]:
        rows: list[Record] = []
        if keys:
            for some in scan(self._api, name, [where(key, "IN", keys)], fields=fields):
                rows += [row for row in some if not is_gone(row)]
                if _keys(rows, key) >= set(keys):
                    break  # behind a full page there may be nothing; a unique key has no second record there
        return rows

    def _got(self, name: str, key: str, ids: Mapping[str, str]) -> list[Record]:
        """By id, and only if the key is still theirs: a person may have deleted or changed them meanwhile."""
        rows: list[Record] = []
        for item, record_id in ids.items():
            try:
                row = self._api.get(name, record_id)
            except CallRefused:  # it is not there any more: the query decides
                continue
            if str(row.get(key)) == item and not is_gone(row):
                rows.append(row)
        return rows


def _keys(rows: Iterable[Record], key: str) -> set[str]:
    return {str(row.get(key)) for row in rows}


def _by_key(rows: Iterable[Record], key: str, keys: Sequence[str]) -> Found:
    wanted = set(keys)
    by_key: dict[str, dict[str, Record]] = {}
    for row in rows:
        value = row.get(key)
        if value is not None and str(value) in wanted:
            by_key.setdefault(str(value), {})[str(row[ID])] = row
    return Found(
        {item: next(iter(found.values())) for item, found in by_key.items() if len(found) == 1},
        {item: tuple(found.values()) for item, found in by_key.items() if len(found) > 1},
    )
