"""Fxiaoke as a target: objects checked before the first row, each row written once by its external key, all read back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from connectors.fxiaoke.answers import Answer
from connectors.fxiaoke.api import Api
from connectors.fxiaoke.described import CREATED, Described
from connectors.fxiaoke.lately import Lately
from connectors.fxiaoke.lookup import Lookup
from connectors.fxiaoke.scan import is_gone, pages, scan
from connectors.fxiaoke.settings import FxiaokeSettings
from connectors.fxiaoke.source import Objects
from connectors.fxiaoke.values import page
from connectors.fxiaoke.writing import Batch, Writer
from migrator.core.clock import Clock
from migrator.core.connector import OUTCOMES, Gate, Identity, Limits, TargetFacts
from migrator.core.document import did_you_mean
from migrator.core.errors import CallRefused, FatalError, SafetyStop
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

_PAGE_ROWS = 5_000
_TEXTS = frozenset(
    {
        FieldType.STRING, FieldType.TEXT, FieldType.ID, FieldType.REFERENCE, FieldType.PICKLIST,
        FieldType.MULTI_PICKLIST, FieldType.JSON, FieldType.FILE,
    }
)  # fmt: skip
_NUMBERS = frozenset({FieldType.INTEGER, FieldType.DECIMAL})


class FxiaokeTarget:
    """Writes to one tenant."""

    def __init__(self, settings: FxiaokeSettings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._api = Api(settings, clock)
        self._objects = Objects(self._api)
        self._lately = Lately(settings.visible_after, self._api.clock.monotonic)
        self._lookup = Lookup(self._api, self._lately)
        self._writer = Writer(self._api, self._lookup, self._lately)

    @property
    def facts(self) -> TargetFacts:
        """The system makes ids; keys are looked up here, in one query a batch, so one call does for the loader."""
        return TargetFacts(
            batch_rows=self._settings.batch_rows,
            assigns_ids=True,
            creates_objects=False,
            insert_only=CREATED if self._settings.audit else frozenset(),
            row_requests=1,
            undeletes=self._settings.recover,
        )

    @property
    def limits(self) -> Limits:
        """What the vendor permits, or the settings say."""
        return self._api.limits

    def pace(self, gate: Gate) -> None:
        """Every request asks this gate, by its path."""
        self._api.pace(gate)

    def identify(self) -> Identity:
        """Which company answers."""
        return self._api.identify()

    def describe(self) -> Sequence[ObjectSchema]:
        """All active objects that the settings let through, one request each."""
        return [item.schema for item in self._objects.all()]

    def prepare(self, schemas: Sequence[ObjectSchema]) -> None:
        """Check objects, fields and keys; nothing is made. Raises `SafetyStop` with every difference."""
        wrong = [item for schema in schemas for item in self._misfits(schema)]
        if wrong:
            raise SafetyStop(
                f"{self._settings.address}: the target does not fit what is to be written\n"
                + "\n".join(f"  {item}" for item in wrong),
                hint="make the fields in Fxiaoke's administration or change the mapping, and run again",
            )

    def upsert(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        """Look the keys up, then create or change row by row; see `connectors.fxiaoke.writing`."""
        return self._written(object_name, rows, key, self._writer.upsert)

    def update(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        """Set the columns given on records that exist; a change of what only a create can set is refused."""
        return self._written(object_name, rows, key, self._writer.update)

    def delete(self, object_name: str, keys: Sequence[str], *, key: str) -> pa.Table:
        """Invalidate records, or delete them for good, as the settings say."""
        rows = pa.table({key: pa.array([str(item) for item in keys], pa.string())})
        return self._written(object_name, rows, key, self._writer.delete)

    def read(
        self, object_name: str, *, columns: Sequence[str] | None = None, page_rows: int = 50_000
    ) -> Iterator[pa.Table]:
        """Records that are not in the recycle bin, by `_id`, typed; first whatever was just written must be visible."""
        described = self._objects.one(object_name)
        names = list(columns) if columns is not None else list(described.schema.field_names)
        for name in names:
            _require(described, name)
        unsettled = self._lately.unsettled
        if unsettled:
            self._api.hold(object_name, unsettled)
        loose: frozenset[str] = frozenset()
        scanned = (
            [row for row in rows if not is_gone(row)]
            for rows in scan(self._api, object_name, fields=(*names, "life_status", "is_deleted"))
        )
        for rows in pages(scanned, min(page_rows, _PAGE_ROWS)):
            for start in range(0, len(rows), page_rows) or (0,):
                made, loose = page(
                    rows[start : start + page_rows], described, names, self._settings.zone, loose
                )
                yield made

    def fetch(self, object_name: str, keys: Sequence[str], *, key: str, columns: Sequence[str]) -> pa.Table:
        """Records by key, typed; raises `RetryableError` while one that is not found may show up yet."""
        described = self._objects.one(object_name)
        for name in (key, *columns):
            _require(described, name)
        found = (
            self._lookup.find(object_name, key, list(dict.fromkeys(map(str, keys))), columns).records
            if keys
            else []
        )
        made, _ = page(found, described, list(columns), self._settings.zone, frozenset())
        return made

    def close(self) -> None:
        """Release the connections."""
        self._api.close()

    def _written(
        self, object_name: str, rows: pa.Table, key: str, write: Callable[[Batch], list[Answer]]
    ) -> pa.Table:
        described = self._objects.one(object_name)
        for name in rows.column_names:
            # a record may be named by its own id, which nobody writes
            named = name == key == described.schema.key and write != self._writer.upsert
            if _require(described, name).read_only and not named:
                raise FatalError(
                    f"{object_name}.{name} cannot be written", hint="leave it out of the mapping"
                )
        if rows.num_rows > self._settings.batch_rows:
            raise FatalError(
                f"{object_name}: {rows.num_rows} rows in one call",
                hint=f"at most {self._settings.batch_rows}",
            )
        if key not in rows.column_names:
            raise FatalError(f"{object_name}: the rows lack the key column {key!r}")
        by_key = {str(row[key]): row for row in rows.to_pylist() if row[key] is not None}
        if len(by_key) != rows.num_rows:
            raise FatalError(f"{object_name}: every row of a call needs a key of its own in {key!r}")
        answers = write(Batch(described, key, by_key)) if by_key else []
        return pa.Table.from_pylist(answers, schema=OUTCOMES)

    def _misfits(self, wanted: ObjectSchema) -> list[str]:
        try:
            described = self._objects.one(wanted.name)
        except CallRefused as error:
            return [f"{wanted.name}: {error.message}"]
        found = []
        key = described.schema.field(wanted.key)
        if key is not None and not key.unique and not self._settings.plain_keys:
            found.append(
                f"{wanted.name}.{wanted.key}: the key is no unique field; make it one, or say plain_keys: true"
            )
        for item in wanted.fields:
            there = described.schema.field(item.name)
            if there is None:
                found.append(f"{wanted.name}.{item.name}: there is no such field")
            else:
                found += [f"{wanted.name}.{item.name}: {said}" for said in _misfit(there, item)]
        return found


def _misfit(there: FieldSchema, wanted: FieldSchema) -> Iterator[str]:
    if there.read_only:
        yield "cannot be written"
    if wanted.type is FieldType.FILE and there.type is FieldType.JSON:
        yield "holds attachments, and this connector uploads none: write the file's name into a text field"
    kinds = {there.type, wanted.type}
    if len(kinds) == 2 and not kinds <= _TEXTS and not kinds <= _NUMBERS:
        yield f"is {there.type.value}, {wanted.type.value} is to be written"
    if there.length is not None and wanted.length is not None and wanted.length > there.length:
        yield f"takes {there.length} characters, {wanted.length} may come"


def _require(described: Described, name: str) -> FieldSchema:
    found = described.schema.field(name)
    if found is None:
        raise FatalError(
            f"{described.schema.name} has no field {name!r}",
            hint=did_you_mean(name, described.schema.field_names, noun="fields"),
        )
    return found
