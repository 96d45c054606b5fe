"""One batch of rows into Fxiaoke, row by row and each key once: look up, then create or change what differs.

There is no upsert and no idempotency key, so a lost answer is settled by the next look-up, never by sending again.
A row whose answer is lost does not hold up those after it; at the end the call fails, and its next try finds what
was made. A row that the system refuses is an outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

from connectors.fxiaoke.answers import Answer, Lost, after_writing, answer, refused, several, unfit
from connectors.fxiaoke.api import Api
from connectors.fxiaoke.described import CREATED, ID, OWNER, Described
from connectors.fxiaoke.lately import Lately
from connectors.fxiaoke.lookup import Found, Lookup
from connectors.fxiaoke.settings import Deletion
from connectors.fxiaoke.values import Unfit, same, to_json
from migrator.core.errors import CallRefused, RetryableError


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one call to one object, by key."""

    described: Described
    key: str
    rows: Mapping[str, Mapping[str, Any]]

    @property
    def name(self) -> str:
        """The object."""
        return self.described.schema.name


@dataclass(slots=True)
class Writer:
    """Writes to one tenant."""

    api: Api
    lookup: Lookup
    lately: Lately
    zone: ZoneInfo = field(init=False)

    def __post_init__(self) -> None:
        self.zone = ZoneInfo(self.api.settings.zone)

    def upsert(self, batch: Batch) -> list[Answer]:
        """Create or change; what stands in the recycle bin comes back first, if the settings say so."""
        found = self._found(batch)
        absent = [key for key in batch.rows if key not in found.keys]
        binned = self.lookup.invalid(batch.name, batch.key, absent) if absent and self._recovers else {}
        if binned:
            self.api.recover(batch.name, list(binned.values()))
            for key, record_id in binned.items():
                self.lately.wrote(batch.name, key, record_id, changed=True)
            found = self._found(batch)
        answers = self._each(batch, found, lambda key, row: self._create(batch, key, row))
        # For everybody but the recycle bin such a record was not there, nor any link that was set on it.
        for item in answers:
            if item["key"] in binned and item["outcome"] in ("unchanged", "updated"):
                item["outcome"] = "created"
        return answers

    def update(self, batch: Batch) -> list[Answer]:
        """Change what exists; what is not there is 'missing', and what only a create can set must be as it is."""
        found = self._found(batch)
        fixed = {key: name for key in batch.rows if (name := self._other_than_created(batch, key, found))}
        rest = replace(batch, rows={key: row for key, row in batch.rows.items() if key not in fixed})
        answers = self._each(rest, found, lambda key, _: answer(key, None, "missing"))
        said = "it can be set when a record is created and never after"
        return answers + [
            refused(key, self._public(batch, found.there[key]), "insert-only", name, f"{name}: {said}")
            for key, name in fixed.items()
        ]

    def _other_than_created(self, batch: Batch, key: str, found: Found) -> str | None:
        """A field of a row that differs from the record and cannot be changed any more, if there is one."""
        row, there = batch.rows[key], found.there.get(key)
        for name in sorted(CREATED & row.keys()) if there else ():
            try:
                sent = self._sent(batch, name, row[name])
            except Unfit:
                return name
            if there and not same(there.get(name), sent, batch.described.shape(name), self.zone):
                return name
        return None

    def delete(self, batch: Batch) -> list[Answer]:
        """Invalidate what exists, and delete it for good where the settings say so."""
        found, answers, lost = self._found(batch), [], Lost()
        gone: dict[str, str] = {}
        for key in batch.rows:
            there = found.there.get(key)
            if there is None:
                answers.append(several(key, found) or answer(key, None, "missing"))
                continue
            record_id = str(there[ID])
            try:
                self.api.invalidate(batch.name, record_id)
            except CallRefused as error:
                answers.append(refused(key, self._public(batch, there), error.code, None, error.message))
            except RetryableError as error:
                lost.note(error)
            else:
                lost.running = 0
                self.lately.deleted(batch.name, key)
                gone[key] = record_id
                answers.append(answer(key, self._public(batch, there), "deleted"))
        if gone and self.api.settings.delete is Deletion.DELETE:
            answers = self._deleted_for_good(batch, gone, answers)
        lost.raise_if_any(batch.name, len(batch.rows))
        return answers

    def _deleted_for_good(self, batch: Batch, gone: Mapping[str, str], answers: list[Answer]) -> list[Answer]:
        try:
            self.api.delete(batch.name, list(gone.values()))
        except CallRefused as error:  # they stay in the recycle bin
            return [
                refused(item["key"], item["target_id"], error.code, None, error.message)
                if item["key"] in gone
                else item
                for item in answers
            ]
        return answers

    @property
    def _recovers(self) -> bool:
        return self.api.settings.recover

    def _found(self, batch: Batch) -> Found:
        columns = next(iter(batch.rows.values()), {})
        pool = self.api.settings.pools.get(batch.name)
        fields = [*columns, batch.described.schema.key, *([pool] if pool else [])]
        return self.lookup.find(batch.name, batch.key, list(batch.rows), fields)

    def _each(
        self, batch: Batch, found: Found, absent: Callable[[str, Mapping[str, Any]], Answer | None]
    ) -> list[Answer]:
        answers: list[Answer] = []
        lost = Lost()
        for key, row in batch.rows.items():
            there = found.there.get(key)
            try:
                told = several(key, found) or (
                    absent(key, row) if there is None else self._change(batch, key, there, row)
                )
            except CallRefused as error:
                told = refused(key, self._public_or_none(batch, there), error.code, None, error.message)
            except Unfit as error:
                told = unfit(key, self._public_or_none(batch, there), error)
            except RetryableError as error:
                lost.note(error)
                continue
            lost.running = 0
            if told is not None:
                answers.append(told)
        answers += self._nameless(batch, {item["key"] for item in answers}, lost)
        lost.raise_if_any(batch.name, len(batch.rows))
        return answers

    def _nameless(self, batch: Batch, answered: set[str], lost: Lost) -> list[Answer]:
        """Records that were created and whose answer did not say their id: looked up by their keys."""
        left = [key for key in batch.rows if key not in answered]
        if not left or lost.count:
            return []
        try:
            found = self.lookup.find(batch.name, batch.key, left, [batch.described.schema.key])
        except CallRefused as error:
            raise after_writing(error) from error
        return [
            answer(key, self._public(batch, found.there[key]), "created")
            for key in left
            if key in found.there
        ]

    def _create(self, batch: Batch, key: str, row: Mapping[str, Any]) -> Answer | None:
        values = {
            name: sent for name, value in row.items() if (sent := self._sent(batch, name, value)) is not None
        }
        try:
            record_id = self.api.create(batch.name, values)
        except RetryableError as error:
            if not error.throttled:
                self.lately.lost(batch.name, key)
            raise
        if record_id is None:
            self.lately.lost(batch.name, key)
            return None
        self.lately.wrote(batch.name, key, record_id, changed=False)
        return answer(key, self._referred(batch, record_id), "created")

    def _referred(self, batch: Batch, record_id: str) -> str:
        """What others call a new record: its id, but for employees, who have a number of their own."""
        own = batch.described.schema.key
        if own == ID:
            return record_id
        try:
            return str(self.api.get(batch.name, record_id).get(own) or record_id)
        except CallRefused as error:
            raise after_writing(error) from error

    def _change(self, batch: Batch, key: str, there: Mapping[str, Any], row: Mapping[str, Any]) -> Answer:
        public, record_id = self._public(batch, there), str(there[ID])
        wanted = {name: self._sent(batch, name, value) for name, value in row.items() if name != batch.key}
        differing = {
            name: value
            for name, value in wanted.items()
            if not same(there.get(name), value, batch.described.shape(name), self.zone)
        }
        for name in CREATED & differing.keys():
            del differing[name]
        owner = differing.pop(OWNER, None)
        if not differing and not owner:
            return answer(key, public, "unchanged")
        self.lately.wrote(batch.name, key, record_id, changed=True)
        if differing:
            self.api.update(
                batch.name, record_id, {name: self._clearing(value) for name, value in differing.items()}
            )
        if owner:
            self._give(batch, there, record_id, owner[0])
        return answer(key, public, "updated")

    def _give(self, batch: Batch, there: Mapping[str, Any], record_id: str, owner: str) -> None:
        """The owner, who cannot be set by update; a record in a pool belongs to nobody and is claimed first."""
        pool = self.api.settings.pools.get(batch.name)
        if pool and there.get(pool) and not there.get(OWNER):
            self.api.claim(batch.name, record_id)
        self.api.change_owner(batch.name, record_id, owner)

    def _sent(self, batch: Batch, name: str, value: object) -> Any:
        try:
            return to_json(value, batch.described.shape(name), self.zone)
        except Unfit as error:
            raise Unfit(name, str(error)) from error

    def _clearing(self, value: Any) -> Any:
        return "" if value is None and self.api.settings.assume.clear_with == "empty" else value

    def _public(self, batch: Batch, there: Mapping[str, Any]) -> str:
        return str(there.get(batch.described.schema.key) or there[ID])

    def _public_or_none(self, batch: Batch, there: Mapping[str, Any] | None) -> str | None:
        return None if there is None else self._public(batch, there)
