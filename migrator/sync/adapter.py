"""A side of the two-way sync made of what a connector has today: a target, and the change feed of its source where it has one.

It compares and sets nothing: the engine reads again just before each write and verifies after it, and reports the window
that remains. Deletes are proved by the source's feed of deleted records, and by nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from migrator.core.clock import Clock, SystemClock
from migrator.core.connector import ChangingSource, Source, Target
from migrator.core.errors import FatalError, WatermarkExpired
from migrator.core.schema import FieldType, ObjectSchema, index_schemas
from migrator.core.twoway import (
    CHANGED,
    ID,
    VERSION,
    Answer,
    CompareAndSet,
    Create,
    Delete,
    Evidence,
    EvidenceKind,
    FeedPage,
    Native,
    Outcome,
    Record,
    ScanPage,
    SideFacts,
    Update,
)

_OUTCOMES: Mapping[str, Outcome] = {
    "created": Outcome.CREATED,
    "updated": Outcome.UPDATED,
    "unchanged": Outcome.UPDATED,
    "deleted": Outcome.DELETED,
    "missing": Outcome.MISSING,
    "refused": Outcome.REFUSED,
}
_FOUND_BY_KEY: Mapping[str, Outcome] = {"updated": Outcome.EXISTS, "unchanged": Outcome.EXISTS}
_TEXTS = frozenset({FieldType.STRING, FieldType.TEXT, FieldType.ID, FieldType.REFERENCE, FieldType.PICKLIST})


@dataclass(slots=True)
class ConnectorSide:
    """See `migrator.core.twoway.Side`. `versions`: object → field that changes with every change, where there is one."""

    target: Target
    source: Source | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    read_only: bool = False
    clock: Clock = field(default_factory=SystemClock)
    _schemas: dict[str, ObjectSchema] = field(default_factory=dict)

    @property
    def facts(self) -> SideFacts:
        """No compare-and-set, no post-images; the rest as source and target declare it."""
        feed = self.source.facts if self.source is not None else None
        proves = feed is not None and feed.changes and feed.deleted_feed
        return SideFacts(
            cas=CompareAndSet.NONE,
            unique_key=self.target.facts.upserts_by_key,
            longest_transaction=feed.late_seconds if feed else 0.0,
            page_rows=self.target.facts.batch_rows,
            batch_rows=self.target.facts.batch_rows,
            evidence=frozenset({EvidenceKind.DELETED}) if proves else frozenset(),
            lock_codes=self.target.facts.lock_codes,
            read_only=self.read_only,
        )

    def describe(self) -> Sequence[ObjectSchema]:
        """As the target describes itself."""
        found = self.target.describe()
        self._schemas = index_schemas(found)
        return found

    def server_time(self) -> datetime:
        """That of this machine: connectors do not tell the time of their system."""
        return self.clock.now()

    def changes(self, object_name: str, since: str | None, overlap: float) -> Iterator[FeedPage]:
        """The source's feed, whose own overlap it keeps; without a feed every pull compares everything."""
        del overlap
        source = self.source
        if source is None or not isinstance(source, ChangingSource) or not source.facts.changes:
            if since is None:
                yield FeedPage(watermark="none")
                return
            raise WatermarkExpired(f"{object_name}: this system does not tell what changed")
        if since is None:
            yield FeedPage(watermark=source.watermark(object_name))
            return
        key = self._schema(object_name).key
        for page in source.changes(object_name, since=since):
            proofs = tuple(
                Evidence(EvidenceKind.DELETED, str(name), how="deleted feed")
                for name in page.deleted.to_pylist()
            )
            yield FeedPage(self._changed(object_name, page.rows, key), proofs, page.watermark)

    def scan(self, object_name: str, fields: Sequence[str]) -> Iterator[ScanPage]:
        """Everything, typed as `fetch` types it."""
        schema = self._schema(object_name)
        names = self._names(object_name, fields)
        before: pa.Table | None = None
        for page in self.target.read(object_name, columns=names):
            if before is not None:
                yield ScanPage(self._page(before, schema.key, object_name))
            before = page
        empty = pa.table({ID: pa.array([], pa.string()), VERSION: pa.array([], pa.string())})
        yield ScanPage(empty if before is None else self._page(before, schema.key, object_name), last=True)

    def fetch(self, object_name: str, ids: Sequence[str], fields: Sequence[str]) -> Sequence[Record]:
        """By the record's own key."""
        return self._fetched(object_name, self._schema(object_name).key, ids, fields)

    def evidence(self, object_name: str, ids: Sequence[str]) -> Sequence[Evidence]:
        """Nothing that the feed has not told."""
        del object_name, ids
        return ()

    def find(
        self, object_name: str, key_field: str, keys: Sequence[str], fields: Sequence[str]
    ) -> Sequence[Record]:
        """By the external key."""
        return self._fetched(object_name, key_field, keys, fields)

    def create(self, object_name: str, key_field: str, rows: Sequence[Create]) -> Sequence[Answer]:
        """An upsert by external key, after the engine found none: one that is there by now answers EXISTS."""
        refused = self._keyless(object_name, key_field)
        if refused is not None:
            return [refused] * len(rows)
        found: dict[str, Answer] = {}
        for names, some in _alike([(row.key, row.values) for row in rows]):
            table = self._table(object_name, names, some, key_field)
            found |= self._answers(self.target.upsert(object_name, table, key=key_field), _FOUND_BY_KEY)
        if not self.target.facts.assigns_ids and self._schema(object_name).key != key_field:
            found = self._with_own_ids(object_name, key_field, found)
        return [found.get(row.key, Answer(Outcome.UNKNOWN)) for row in rows]

    def update(self, object_name: str, rows: Sequence[Update]) -> Sequence[Answer]:
        """Rows that set the same fields go together."""
        key = self._schema(object_name).key
        found: dict[str, Answer] = {}
        for names, some in _alike([(row.id, row.values) for row in rows]):
            found |= self._answers(
                self.target.update(object_name, self._table(object_name, names, some, key), key=key), {}
            )
        return [found.get(row.id, Answer(Outcome.UNKNOWN)) for row in rows]

    def delete(self, object_name: str, rows: Sequence[Delete]) -> Sequence[Answer]:
        """By the record's own key."""
        key = self._schema(object_name).key
        found = self._answers(self.target.delete(object_name, [row.id for row in rows], key=key), {})
        return [found.get(row.id, Answer(Outcome.UNKNOWN)) for row in rows]

    def marker(self) -> str:
        """None is kept."""
        return ""

    def set_marker(self, text: str) -> None:
        """None is kept."""
        del text

    def close(self) -> None:
        """Release both."""
        self.target.close()
        if self.source is not None:
            self.source.close()

    def _with_own_ids(
        self, object_name: str, key_field: str, found: Mapping[str, Answer]
    ) -> dict[str, Answer]:
        """Such a target answers with the external key; the record has an id of its own, which has to be looked up."""
        made = [key for key, one in found.items() if one.outcome in (Outcome.CREATED, Outcome.EXISTS)]
        ids = {one.key: one.id for one in self._fetched(object_name, key_field, made, ())} if made else {}
        return {
            key: replace(one, id=ids[key])
            if key in ids
            else replace(one, outcome=Outcome.UNKNOWN)
            if key in made
            else one
            for key, one in found.items()
        }

    def _keyless(self, object_name: str, key_field: str) -> Answer | None:
        """A refusal where neither the system nor the external key would give a new record its own key."""
        schema = self._schema(object_name)
        own = schema.field(schema.key)
        given = own is None or own.type is FieldType.INTEGER or own.read_only
        if self.target.facts.assigns_ids or schema.key == key_field or given:
            return None
        return Answer(
            Outcome.REFUSED, code="key.not-assigned", field=schema.key,
            message=f"{object_name}.{schema.key} is not given by the system: map it on the way back, or let the"
            " mapping flow forward only",
        )  # fmt: skip

    # ---- tables

    def _schema(self, object_name: str) -> ObjectSchema:
        if object_name not in self._schemas:
            self.describe()
        return self._schemas[object_name]

    def _names(self, object_name: str, fields: Sequence[str]) -> list[str]:
        version = self.versions.get(object_name)
        return list(dict.fromkeys((self._schema(object_name).key, *fields, *((version,) if version else ()))))

    def _fetched(
        self, object_name: str, key: str, values: Sequence[str], fields: Sequence[str]
    ) -> list[Record]:
        own = self._schema(object_name).key
        version, created = self.versions.get(object_name, ""), self._created(object_name)
        names = list(
            dict.fromkeys((*self._names(object_name, fields), key, *((created,) if created else ())))
        )
        found = []
        size = self.target.facts.batch_rows
        for start in range(0, len(values), size):
            rows = self.target.fetch(
                object_name, values[start : start + size], key=key, columns=names
            ).to_pylist()
            found += [
                Record(
                    str(row[own]),
                    _text(row.get(version)),
                    {name: row[name] for name in fields},
                    None,
                    _text(row[key]),
                    _instant(row.get(created)),
                )
                for row in rows
            ]
        return found

    def _created(self, object_name: str) -> str:
        """The field that says when a record was made; '' where the system has none, or hides it."""
        name = self.source.facts.created_field if self.source is not None else ""
        return name if name and self._schema(object_name).field(name) else ""

    def _changed(self, object_name: str, rows: pa.Table, key: str) -> pa.Table:
        version = self.versions.get(object_name, "")
        ids = [_text(name) for name in rows.column(key).to_pylist()]
        if "" in ids:
            raise FatalError(
                f"{object_name}: {ids.count('')} record(s) have no {key}",
                hint="give them one, or filter them out",
            )
        known = rows.column(version).to_pylist() if version in rows.column_names else [None] * len(ids)
        return pa.table({ID: ids, VERSION: [_text(item) for item in known]}, schema=CHANGED)

    def _page(self, rows: pa.Table, key: str, object_name: str) -> pa.Table:
        changed = self._changed(object_name, rows, key)
        for name in rows.column_names:
            changed = changed.append_column(name, rows.column(name))
        return changed

    def _table(
        self,
        object_name: str,
        names: tuple[str, ...],
        rows: Sequence[tuple[str, Mapping[str, Native]]],
        key: str,
    ) -> pa.Table:
        schema = self._schema(object_name)
        columns = {key: pa.array([name for name, _ in rows], pa.string())}
        for name in names:
            described = schema.field(name)
            cells: list[Any] = [values[name] for _, values in rows]
            texts = described is not None and described.type in _TEXTS
            columns[name] = pa.array(cells, pa.string()) if texts else _array(cells)
        return pa.table(columns)

    def _answers(self, table: pa.Table, other: Mapping[str, Outcome]) -> dict[str, Answer]:
        return {
            row["key"]: Answer(
                other.get(row["outcome"]) or _OUTCOMES.get(row["outcome"], Outcome.UNKNOWN),
                row["target_id"] or "",
                "",
                None,
                row["code"] or "",
                row["field"] or "",
                row["message"] or "",
            )
            for row in table.to_pylist()
        }


def _alike(
    rows: Sequence[tuple[str, Mapping[str, Native]]],
) -> Iterator[tuple[tuple[str, ...], list[tuple[str, Mapping[str, Native]]]]]:
    """Rows by the fields that they set: a column that a row does not have must not be written for it."""
    groups: dict[tuple[str, ...], list[tuple[str, Mapping[str, Native]]]] = {}
    for row in rows:
        groups.setdefault(tuple(sorted(row[1])), []).append(row)
    yield from groups.items()


def _array(cells: Sequence[Any]) -> pa.Array:
    found = pa.array(cells)
    return found.cast(pa.string()) if pa.types.is_null(found.type) else found


def _instant(value: object) -> datetime | None:
    """Of a value that is an instant with its zone; anything else cannot be compared."""
    return value if isinstance(value, datetime) and value.tzinfo is not None else None


def _text(value: object) -> str:
    return "" if value is None else str(value)
