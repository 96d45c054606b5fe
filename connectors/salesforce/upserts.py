"""Rows created or updated by external key: by Salesforce's own upsert where that is safe, else after a look-up.

Its upsert is not safe where the key does not tell letter case apart, and cannot be where a field is set only at creation.
A key that turns out to be taken meanwhile (a lost answer of ours, whose request still ran) is looked up again and updated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeAlias

import pyarrow as pa

from connectors.salesforce import binaries, payload
from connectors.salesforce.described import Described
from connectors.salesforce.failures import Said, row_refusal
from connectors.salesforce.keys import is_exact, look_up
from connectors.salesforce.writing import Answers, Writing, creating, refusal, updating, upserting, written
from migrator.core.errors import CallRefused, FatalError

OpenFile: TypeAlias = Callable[[str], BinaryIO]
_TAKEN = frozenset({"DUPLICATE_VALUE", "DUPLICATE_EXTERNAL_ID"})


@dataclass(frozen=True, slots=True)
class Upserts:
    """The upserts into one object by one key."""

    writing: Writing
    key: str
    open_file: OpenFile | None

    @property
    def found(self) -> Described:
        """The object."""
        return self.writing.found

    def upsert(self, rows: pa.Table, keys: Sequence[str]) -> Answers:
        """One answer a row; `keys` are the key column as text."""
        once = [
            name for name in rows.column_names if not self.found.rights[name].updateable and name != self.key
        ]
        if once or not is_exact(self.found, self.key):
            answers = self._after_look_up(rows, keys, once)
        else:
            answers = self.writing.send(upserting(self.found.name, self.key), rows, keys)
        return self._settled(answers, rows.drop_columns(once), keys)

    def update(self, rows: pa.Table, keys: Sequence[str], ids: Mapping[str, str]) -> Answers:
        """Set the columns of those rows whose keys have an id."""
        places = [place for place, item in enumerate(keys) if item in ids]
        if not places:
            return []
        known = [keys[place] for place in places]
        rows = rows.take(pa.array(places)).drop_columns([self.key])
        rows = rows.append_column("Id", pa.array([ids[item] for item in known], pa.string()))
        return self.writing.send(updating(), rows, known)

    def _after_look_up(self, rows: pa.Table, keys: Sequence[str], once: Sequence[str]) -> Answers:
        """What is not there is created, whole; what is there is updated, without what can be set only once."""
        there = look_up(self.writing.client, self.found, self.key, keys)
        answers = [
            refusal(item, Said("key.case", _other_case(item, has), self.key))
            for item, has in there.other_case.items()
        ]
        new = [
            place for place, item in enumerate(keys) if item not in there.ids and item not in there.other_case
        ]
        if new:
            answers += self._create(rows.take(pa.array(new)), [keys[place] for place in new])
        return answers + self.update(rows.drop_columns(list(once)), keys, there.ids)

    def _settled(self, answers: Answers, rows: pa.Table, keys: Sequence[str]) -> Answers:
        taken = [item["key"] for item in answers if item["code"] in _TAKEN]
        if not taken:
            return answers
        there = look_up(self.writing.client, self.found, self.key, taken).ids
        again = {item["key"]: item for item in self.update(rows, keys, there)}
        return [again.get(item["key"], item) for item in answers]

    def _create(self, rows: pa.Table, keys: Sequence[str]) -> Answers:
        held = [name for name in self.found.files() if name in rows.column_names]
        if not held:
            return self.writing.send(creating(self.key), rows, keys)
        references = rows.column(held[0]).to_pylist()
        records = payload.json_records(rows.drop_columns(held), self.found.name)
        return [
            self._create_with_file(record, item, held[0], reference)
            for record, item, reference in zip(records, keys, references, strict=True)
        ]

    def _create_with_file(self, record: str, key: str, field: str, reference: str | None) -> dict[str, Any]:
        name = self.found.name
        if reference is None or self.open_file is None:
            raise FatalError(
                f"{name}: the record {key!r} comes without its file",
                hint="extract the files, then load again",
            )
        try:
            with self.open_file(reference) as stream:
                raw = binaries.upload(self.writing.client, name, record, field, stream)
        except CallRefused as refused:
            return refusal(key, Said(refused.code, refused.message))
        made = raw if isinstance(raw, Mapping) else {}
        if made.get("success") is not True or not isinstance(made.get("id"), str):
            return refusal(key, row_refusal(made.get("errors")))
        return written(key, made["id"], "created")


def _other_case(key: str, there: str) -> str:
    return f"a record with the key {there!r} is there, and Salesforce would take {key!r} for it"
