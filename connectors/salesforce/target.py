"""A Salesforce organisation as a target: upserts by external key, each row answered for, nothing written twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa

from connectors.salesforce import payload
from connectors.salesforce.binaries import with_digests
from connectors.salesforce.bulk import Jobs
from connectors.salesforce.catalog import LIMITS, Catalog, identify, used_up
from connectors.salesforce.cells import from_records, typed_rows
from connectors.salesforce.client import Client
from connectors.salesforce.described import AUDIT, Described
from connectors.salesforce.failures import LOCKED, Said
from connectors.salesforce.fit import differences
from connectors.salesforce.keys import (
    as_keys,
    bad_keys,
    is_exact,
    key_field,
    look_up,
    matching,
    plain_key,
    same_key,
)
from connectors.salesforce.reading import Reading
from connectors.salesforce.settings import parse
from connectors.salesforce.upserts import OpenFile, Upserts
from connectors.salesforce.writing import Answers, Writing, refusal, written
from migrator.core.clock import Clock
from migrator.core.connector import Gate, Identity, Limits, TargetFacts
from migrator.core.errors import FatalError, SafetyStop
from migrator.core.schema import FieldSchema, ObjectSchema

_LEAD_AUDIT = ("ConvertedDate", "ConvertedAccountId", "ConvertedContactId", "ConvertedOpportunityId")


class SalesforceTarget:
    """Connects at the first question."""

    def __init__(self, settings: Mapping[str, Any], clock: Clock | None = None) -> None:
        """Raises `ProjectError` for wrong settings."""
        self._client = Client(parse(settings), clock)
        self._catalog = Catalog(self._client)
        self._jobs = Jobs(self._client)
        self._open_file: OpenFile | None = None

    @property
    def facts(self) -> TargetFacts:
        """It makes its own ids, writes row by row, and lets audit fields be set once."""
        return TargetFacts(
            batch_rows=self._client.settings.batch_rows,
            assigns_ids=True,
            creates_objects=False,
            lock_codes=frozenset({LOCKED}),
            insert_only=frozenset({*AUDIT, *_LEAD_AUDIT}),
            merges=True,
            undeletes=True,
        )

    @property
    def limits(self) -> Limits:
        """What the organisation permits."""
        return LIMITS

    def pace(self, gate: Gate) -> None:
        """From now on every request asks this gate first."""
        self._client.pace(gate)

    def identify(self) -> Identity:
        """Which organisation answers."""
        return identify(self._client)

    def take_files(self, open_file: OpenFile) -> None:
        """From now on the value of a FILE field is opened so, and its bytes are sent with its record."""
        self._open_file = open_file

    def describe(self) -> Sequence[ObjectSchema]:
        """All objects that the settings let through, by name."""
        return [item.schema for item in self._catalog.every()]

    def prepare(self, schemas: Sequence[ObjectSchema]) -> None:
        """Check that everything fits; raises `SafetyStop` with every difference. Nothing is made there."""
        self._refuse_when_read_only("load")
        found = used_up(self._client)
        for schema in schemas:
            if schema.name in self._catalog.names():
                found += differences(schema, self._catalog.object(schema.name))
            else:
                found.append(f"{schema.name}: there is no such object, or the settings leave it out")
        if found:
            raise SafetyStop(
                f"{self._client.address}: the organisation does not fit what is to be written\n"
                + "\n".join(f"  - {item}" for item in found),
                hint="change the organisation or the mapping as said, and run again: nothing was changed",
            )

    def upsert(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        """Create or update rows by an external key; see `Writing` for the ways."""
        found = self._writable(object_name, rows, key)
        if key == "Id":
            raise FatalError(
                f"{object_name}: Salesforce makes the ids itself", hint="use a custom field as key"
            )
        rows, keys, answers = self._sorted_out(found, rows, key)
        return payload.outcomes(answers + self._upserts(found, key).upsert(rows, keys))

    def update(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        """Set the columns given on records that exist."""
        found = self._writable(object_name, rows, key)
        rows, keys, answers = self._sorted_out(found, rows, key)
        fixed = [
            name
            for name in rows.column_names
            if not found.rights[name].updateable and name not in {key, "Id"}
        ]
        if fixed and keys:
            rows, keys, refused = self._without_fixed(found, rows, keys, key, fixed)
            answers += refused
        there = look_up(self._client, found, key, keys).ids
        answers += [written(item, None, "missing") for item in keys if item not in there]
        return payload.outcomes(answers + self._upserts(found, key).update(rows, keys, there))

    def delete(self, object_name: str, keys: Sequence[str], *, key: str) -> pa.Table:
        """Delete by key, into the recycle bin; what others need is refused in Salesforce's own words."""
        self._refuse_when_read_only("delete")
        found = self._catalog.object(object_name)
        wanted = [str(item) for item in keys]
        there = look_up(self._client, found, key, wanted).ids
        answers = [written(item, None, "missing") for item in wanted if item not in there]
        return payload.outcomes(answers + (self._writing(found).delete(there) if there else []))

    def read(
        self, object_name: str, *, columns: Sequence[str] | None = None, page_rows: int = 50_000
    ) -> Iterator[pa.Table]:
        """Records as they are there now, typed, in the order of their ids; a file is 'sha256:<hex>' of its bytes."""
        found = self._catalog.object(object_name)
        fields = self._fields(found, columns)
        asked = [
            key_field(found, "Id"),
            *(item for item in fields if item.name not in {"Id", *found.files()}),
        ]
        reading = Reading(self._client, self._jobs, found, asked)
        held = [item.name for item in fields if item.name in found.files()]
        loose: set[str] = set()
        pages = reading.pages(after=None, page_rows=page_rows, rows=self._catalog.count(object_name))
        first = next(pages, from_records([], asked))
        for page in chain([first], pages):
            yield typed_rows(with_digests(self._client, object_name, page, held), fields, loose)

    def fetch(self, object_name: str, keys: Sequence[str], *, key: str, columns: Sequence[str]) -> pa.Table:
        """Records by key, compared exactly."""
        found = self._catalog.object(object_name)
        wanted, fields = key_field(found, key), self._fields(found, columns)
        names = dict.fromkeys(["Id", key, *(item.name for item in fields if item.name not in found.files())])
        asked = [key_field(found, name) for name in names]
        known = same_key(wanted, [str(item) for item in keys])
        pages = [from_records([], asked)]
        for page in matching(self._client, found, wanted, [str(item) for item in keys], list(names)):
            rows = from_records(page, asked)
            exact = [text in known for text in rows.column(key).to_pylist()]
            pages.append(rows.filter(pa.array(exact, pa.bool_())))
        held = [item.name for item in fields if item.name in found.files()]
        return typed_rows(
            with_digests(self._client, object_name, pa.concat_tables(pages), held), fields, set()
        )

    def close(self) -> None:
        """Release the connections; may be called twice."""
        self._client.close()

    # -- writing

    def _writing(self, found: Described) -> Writing:
        return Writing(self._client, self._jobs, found)

    def _upserts(self, found: Described, key: str) -> Upserts:
        return Upserts(self._writing(found), key, self._open_file)

    def _without_fixed(
        self, found: Described, rows: pa.Table, keys: list[str], key: str, fixed: Sequence[str]
    ) -> tuple[pa.Table, list[str], Answers]:
        """The rows without what can be set only at creation; refused are those that would change it."""
        held = self.fetch(found.name, keys, key=key, columns=[key, *fixed]).to_pylist()
        wanted_key = key_field(found, key)
        there = {plain_key(wanted_key, str(row[key])): [row[name] for name in fixed] for row in held}
        wanted = zip(*(rows.column(name).to_pylist() for name in fixed), strict=True)
        bad = [
            place
            for place, values in enumerate(wanted)
            if list(values) != there.get(plain_key(wanted_key, keys[place]), list(values))
        ]
        said = Said(
            "insert_only", f"{', '.join(fixed)}: set when a record is created, and never after", fixed[0]
        )
        good = [place for place in range(len(keys)) if place not in set(bad)]
        rows = rows.drop_columns(list(fixed)).take(pa.array(good, pa.int64()))
        return rows, [keys[place] for place in good], [refusal(keys[place], said) for place in bad]

    def _sorted_out(self, found: Described, rows: pa.Table, key: str) -> tuple[pa.Table, list[str], Answers]:
        """The rows that may go out, their keys, and refusals for those whose keys cannot be."""
        rows = payload.prepared(rows, found)
        keys = as_keys(rows.column(key))
        bad = bad_keys(keys, exact=is_exact(found, key))
        good = [place for place in range(len(keys)) if place not in bad]
        answers = [refusal(str(keys[place]), said) for place, said in bad.items()]
        return (
            rows.take(pa.array(good, pa.int64())) if bad else rows,
            [str(keys[place]) for place in good],
            answers,
        )

    def _writable(self, object_name: str, rows: pa.Table, key: str) -> Described:
        """The object, if the call is one that can be made at all: nothing of it has happened then."""
        self._refuse_when_read_only("write")
        found = self._catalog.object(object_name)
        if key not in rows.column_names:
            raise FatalError(f"{object_name}: the rows lack the key column {key!r}")
        for field in self._fields(found, rows.column_names):
            if field.read_only and field.name != key:
                raise FatalError(f"{object_name}.{field.name} cannot be written", hint="leave it out")
        return found

    def _fields(self, found: Described, columns: Sequence[str] | None) -> list[FieldSchema]:
        return [
            key_field(found, name) for name in (columns if columns is not None else found.schema.field_names)
        ]

    def _refuse_when_read_only(self, what: str) -> None:
        if self._client.settings.read_only:
            raise FatalError(
                f"{self._client.address}: will not {what}: the system is marked read_only",
                hint="take read_only out of migration.yaml if this organisation is to be written to",
            )
