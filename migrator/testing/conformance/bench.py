"""One target under test: its object, which fields hold what, and the calls that the checks make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from migrator.core.connector import OUTCOMES, Target
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema


@dataclass(frozen=True)
class TargetBench:
    """One target with one object to be written to, and which of its fields hold what."""

    target: Target
    object: str
    key: str
    """The external key's field: text of at least 24 characters."""
    text: str
    """A text field of at least 60 characters."""
    decimal: str = ""
    """A decimal field with two places and room for 12 digits; '' when there is none."""
    when: str = ""
    """A field for moments; '' when there is none."""
    day: str = ""
    """A field for calendar days; '' when there is none."""
    fixed: dict[str, Any] = field(default_factory=dict)
    """What else every new record must carry (required fields), the same for each."""
    refused: dict[str, Any] = field(default_factory=dict)
    """Field and value that the system refuses in a single row; {} when it takes everything."""
    prepare: tuple[ObjectSchema, ...] = ()
    """What to make first, where the target makes objects; default: an object of the fields above."""
    settle: Callable[[], None] = lambda: None
    """Called between writing and reading: for systems whose searches lag behind their writes."""

    def rows(self, keys: Sequence[str], **values: Sequence[Any]) -> pa.Table:
        """Rows of new records: their keys, what every record needs, and columns by field name."""
        columns: dict[str, Any] = {self.key: pa.array(keys, pa.string())}
        columns |= {name: pa.array([value] * len(keys)) for name, value in self.fixed.items()}
        columns |= {
            name: value if isinstance(value, pa.Array) else pa.array(value, self.type_of(name))
            for name, value in values.items()
        }
        return pa.table(columns)

    def type_of(self, name: str) -> pa.DataType:
        """The Arrow type in which a field's values are given."""
        by_role = {
            self.decimal: pa.decimal128(18, 2),
            self.when: pa.timestamp("us", tz="UTC"),
            self.day: pa.date32(),
        }
        return by_role.get(name, pa.string())

    def schema(self) -> ObjectSchema:
        """The object as this bench uses it."""
        fields = [
            FieldSchema(self.key, FieldType.STRING, required=True, unique=True, length=80),
            FieldSchema(self.text, FieldType.STRING, length=120),
        ]
        if self.decimal:
            fields.append(FieldSchema(self.decimal, FieldType.DECIMAL, precision=18, scale=2))
        if self.when:
            fields.append(FieldSchema(self.when, FieldType.DATETIME))
        if self.day:
            fields.append(FieldSchema(self.day, FieldType.DATE))
        names = {item.name for item in fields}
        fields += [FieldSchema(name, FieldType.STRING) for name in self.fixed if name not in names]
        return ObjectSchema(self.object, self.key, tuple(fields))

    def made(self) -> Target:
        """The target, with its object there."""
        self.target.prepare(self.prepare or (self.schema(),))
        return self.target

    def write(self, keys: Sequence[str], **values: Sequence[Any]) -> dict[str, dict[str, Any]]:
        """Upsert, in calls as large as the target takes; answers by key."""
        return self._sent(self.target.upsert, self.rows(keys, **values))

    def change(self, keys: Sequence[str], **values: Sequence[Any]) -> dict[str, dict[str, Any]]:
        """Update only the columns given; answers by key."""
        rows = self.rows(keys, **values)
        return self._sent(self.target.update, rows.drop_columns([n for n in self.fixed if n not in values]))

    def remove(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Delete; answers by key."""
        answers = self.target.delete(self.object, keys, key=self.key)
        self.settle()
        return _by_key(answers, keys)

    def held(self, keys: Sequence[str], *names: str) -> dict[str, dict[str, Any]]:
        """What the target holds under these keys, by key."""
        wanted = [self.key, *names]
        size = self.target.facts.batch_rows
        pages = [
            self.target.fetch(self.object, keys[start : start + size], key=self.key, columns=wanted)
            for start in range(0, len(keys), size)
        ]
        rows = [row for page in pages for row in page.to_pylist()]
        found = {str(row[self.key]): row for row in rows}
        assert len(found) == len(rows), f"fetch gave one key twice: {sorted(row[self.key] for row in rows)}"
        return found

    def _sent(self, write: Callable[..., pa.Table], rows: pa.Table) -> dict[str, dict[str, Any]]:
        answers: dict[str, dict[str, Any]] = {}
        for start in range(0, rows.num_rows, self.target.facts.batch_rows):
            piece = rows.slice(start, self.target.facts.batch_rows)
            told = write(self.object, piece, key=self.key)
            answers |= _by_key(told, piece.column(self.key).to_pylist())
        self.settle()
        return answers


def _by_key(answers: pa.Table, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    assert answers.schema.names == OUTCOMES.names, f"answers have the columns {answers.schema.names}"
    told = answers.cast(OUTCOMES).to_pylist()
    found = {row["key"]: row for row in told}
    assert sorted(row["key"] for row in told) == sorted(keys), (
        "there must be one answer for each key, and no other"
    )
    return found
