"""What this process wrote a moment ago, while queries may not show it yet: ids by key, and creates nobody answered.

A query goes over an index that lags. So a record is read by its id for `visible_after` seconds after it was written,
and that a key is not there is believed only when it was asked `visible_after` seconds after the last write of that
key, answered or not, whoever sent it: a process killed before this one was opened may have.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Written:
    """A record this process wrote; `changed`: not only created, so a query that shows it may show it as it was."""

    id: str
    at: float
    changed: bool


class Lately:
    """Kept for `visible_after` seconds, by object and external key; may be asked from several threads."""

    def __init__(self, visible_after: float, monotonic: Callable[[], float]) -> None:
        self._span, self._monotonic = visible_after, monotonic
        self._opened = self._latest = monotonic()
        self._lock = threading.Lock()
        self._written: OrderedDict[tuple[str, str], Written] = OrderedDict()
        self._unanswered: OrderedDict[tuple[str, str], float] = OrderedDict()

    def wrote(self, object_name: str, key: str, record_id: str, *, changed: bool) -> None:
        """A record was created, or is about to be changed."""
        with self._lock:
            self._latest = self._monotonic()
            self._written[object_name, key] = Written(record_id, self._latest, changed)
            self._written.move_to_end((object_name, key))
            self._unanswered.pop((object_name, key), None)
            self._forget()

    def lost(self, object_name: str, key: str) -> None:
        """A create of this key was sent and not answered: it may show up yet."""
        with self._lock:
            self._latest = self._monotonic()
            self._unanswered[object_name, key] = self._latest
            self._unanswered.move_to_end((object_name, key))

    def written(self, object_name: str, keys: Iterable[str]) -> dict[str, Written]:
        """Those of the keys that this process wrote lately."""
        with self._lock:
            self._forget()
            found = ((key, self._written.get((object_name, key))) for key in keys)
            return {key: item for key, item in found if item is not None}

    def doubts(self, object_name: str, keys: Iterable[str]) -> Mapping[str, float]:
        """Keys of which it must not be believed yet that they are not there, and for how many seconds from now."""
        with self._lock:
            self._forget()
            now = self._monotonic()
            until = ((key, self._since((object_name, key)) + self._span) for key in keys)
            return {key: at - now for key, at in until if at > now}

    def deleted(self, object_name: str, key: str) -> None:
        """A record was deleted by this process: that it is not there is no doubt."""
        with self._lock:
            self._written.pop((object_name, key), None)

    def _since(self, place: tuple[str, str]) -> float:
        """When the last write of a key was made that a query or `get` may not show yet."""
        written = self._written.get(place)
        return max(self._opened, self._unanswered.get(place, 0.0), written.at if written else 0.0)

    @property
    def unsettled(self) -> float:
        """Seconds until a query surely shows all that this process or one before it wrote until now."""
        return max(0.0, self._latest + self._span - self._monotonic())

    def _forget(self) -> None:
        """What is older than the span is forgotten, so this grows with the rate of writing, not with the data."""
        before = self._monotonic() - self._span
        while self._written and next(iter(self._written.values())).at < before:
            self._written.popitem(last=False)
        while self._unanswered and next(iter(self._unanswered.values())) < before:
            self._unanswered.popitem(last=False)
