"""Sage CRM as a source: entities read whole or since a moment, their nested records as JSON, nothing left out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from connectors.sagecrm.soap import Soap, values
from migrator.core.clock import Clock, SystemClock
from migrator.core.connector import ChangePage, Gate, Identity, Limits, Page, SourceFacts
from migrator.core.document import did_you_mean
from migrator.core.errors import FatalError
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

STANDARD: Mapping[str, tuple[str, str]] = {
    "company": ("comp", "companyid"),
    "person": ("pers", "personid"),
    "opportunity": ("oppo", "opportunityid"),
    "communication": ("comm", "communicationid"),
    "cases": ("case", "caseid"),
    "lead": ("lead", "leadid"),
    "users": ("user", "userid"),
    "address": ("addr", "addressid"),
    "phone": ("phon", "phoneid"),
    "email": ("emai", "emailid"),
}
"""Entity → prefix of its columns in predicates, and its key as answers name it."""
_DEFAULT = ("company", "person", "opportunity", "communication", "cases", "lead", "users")
OTHER = "other_fields"
"""What a record carried that was not described: fields that are empty in every record looked at are not sent at all."""
_LOOKED_AT = 500
_LATE = 300.0
"""Seconds by which server and client may disagree, and a transaction may take."""


class SageSource:
    """Reads entities through web services: about a hundred records a batch, one session at a time."""

    limits = Limits(parallel=1)

    def __init__(self, settings: Mapping[str, Any], clock: Clock | None = None) -> None:
        self._soap = Soap(settings)
        self._clock = clock or SystemClock()
        self._zone = ZoneInfo(str(settings["zone"])) if settings.get("zone") else None
        own = {name: (prefix, f"{name}id") for name, prefix in (settings.get("prefixes") or {}).items()}
        known = {**STANDARD, **own}
        self._names = {
            name: known[name] for name in settings.get("objects") or (*_DEFAULT, *own) if name in known
        }
        self._schemas: dict[str, ObjectSchema] = {}

    @property
    def facts(self) -> SourceFacts:
        """Changes can be asked for once the server's zone is known: it writes local times."""
        zoned = self._zone is not None
        return SourceFacts(live=True, changes=zoned, deleted_feed=zoned, late_seconds=_LATE)

    def pace(self, gate: Gate) -> None:
        """From now on every request asks this gate first."""
        self._soap.pace(gate)

    def identify(self) -> Identity:
        """Logs on."""
        self._soap.call("getversionstring")
        return Identity("Sage CRM", self._soap.address)

    def describe(self) -> Sequence[ObjectSchema]:
        """The entities of the settings, as their first records show them."""
        return [self._schema(name) for name in self._names]

    def count(self, object_name: str) -> int | None:
        """Not cheap to know."""
        self._entity(object_name)
        return None

    def fingerprint(self, object_name: str) -> str:
        """A live system cannot know."""
        self._entity(object_name)
        return ""

    def read(self, object_name: str, *, cursor: str | None = None, page_rows: int = 50_000) -> Iterator[Page]:
        """Records that are not deleted. A page has no cursor: the server forgets a query at the next one."""
        if cursor is not None:
            raise FatalError(
                f"{object_name}: Sage CRM cannot go on after a page", hint="read it from its beginning"
            )
        schema = self._schema(object_name)
        for rows in self._tables(schema, self._live(object_name), page_rows):
            yield Page(rows)

    def watermark(self, object_name: str) -> str:
        """The present moment, less what clocks and transactions may differ by."""
        self._entity(object_name)
        return (self._clock.now() - timedelta(seconds=_LATE)).astimezone(UTC).isoformat()

    def changes(self, object_name: str, *, since: str, page_rows: int = 50_000) -> Iterator[ChangePage]:
        """Records updated since, and the keys of those whose deleted flag was set since."""
        if self._zone is None:
            raise FatalError(
                f"{object_name}: the server's zone is not known", hint="set zone in migration.yaml"
            )
        following = self.watermark(object_name)
        schema = self._schema(object_name)
        prefix, key = self._entity(object_name)
        moment = datetime.fromisoformat(since).astimezone(self._zone).strftime("%Y-%m-%dT%H:%M:%S")
        later = f"{prefix}_updateddate >= '{moment}'"
        gone = [
            str(record.get(key))
            for batch in self._soap.query(object_name, f"{prefix}_deleted = 1 AND {later}")
            for record in map(values, batch)
        ]
        for rows in self._tables(schema, f"{self._live(object_name)} AND {later}", page_rows):
            yield ChangePage(rows)
        yield ChangePage(schema_table(schema, []), pa.array(gone, pa.string()), following)

    def close(self) -> None:
        """Log off; may be called twice."""
        self._soap.close()

    def _live(self, name: str) -> str:
        prefix, _ = self._entity(name)
        return f"({prefix}_deleted IS NULL OR {prefix}_deleted = 0)"

    def _tables(self, schema: ObjectSchema, where: str, page_rows: int) -> Iterator[pa.Table]:
        """Pages of records, at least one; no more than a page and a batch in memory."""
        waiting: list[Mapping[str, Any]] = []
        empty = True
        for batch in self._soap.query(schema.name, where):
            waiting += map(values, batch)
            while len(waiting) >= page_rows:
                yield schema_table(schema, waiting[:page_rows])
                waiting, empty = waiting[page_rows:], False
        if waiting or empty:
            yield schema_table(schema, waiting)

    def _schema(self, name: str) -> ObjectSchema:
        if name not in self._schemas:
            _, key = self._entity(name)
            seen: list[Mapping[str, Any]] = []
            for batch in self._soap.query(name, self._live(name)):
                seen += map(values, batch)
                if len(seen) >= _LOOKED_AT:
                    break
            self._schemas[name] = _described(name, key, seen)
        return self._schemas[name]

    def _entity(self, name: str) -> tuple[str, str]:
        if name not in self._names:
            hint = did_you_mean(name, self._names, noun="entities")
            raise FatalError(f"sagecrm: no such entity {name!r} among the objects of the settings", hint=hint)
        return self._names[name]


def _described(name: str, key: str, seen: Sequence[Mapping[str, Any]]) -> ObjectSchema:
    nested = {field for record in seen for field, value in record.items() if isinstance(value, list)}
    names = sorted({field for record in seen for field in record} - {key, OTHER})
    fields = [FieldSchema(one, FieldType.JSON if one in nested else FieldType.TEXT) for one in names]
    other = FieldSchema(OTHER, FieldType.JSON, label="what a record carried that was not described")
    return ObjectSchema(name, key, (FieldSchema(key, FieldType.ID), *fields, other))


def schema_table(schema: ObjectSchema, records: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Records as text, one column a described field; nested records and the rest as JSON."""
    known = [item.name for item in schema.fields if item.name != OTHER]
    columns = {name: pa.array([_cell(record.get(name)) for record in records], pa.string()) for name in known}
    rest = [
        {name: value for name, value in record.items() if name not in columns and value is not None}
        for record in records
    ]
    columns[OTHER] = pa.array([_cell(more) if more else None for more in rest], pa.string())
    return pa.table(columns)


def _cell(value: Any) -> str | None:
    return (
        value
        if value is None or isinstance(value, str)
        else json.dumps(value, ensure_ascii=False, sort_keys=True)
    )
