"""A Dataverse environment as a target: rows by alternate key, each answered for, references bound to their tables."""

from __future__ import annotations

import threading
import unicodedata
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from connectors.dataverse.binary import write_file
from connectors.dataverse.faults import LOCKED
from connectors.dataverse.fit import misfits, missing_table
from connectors.dataverse.identify import identify
from connectors.dataverse.metadata import Metadata
from connectors.dataverse.odata import guid
from connectors.dataverse.outcomes import Existing, Written
from connectors.dataverse.payloads import Payload, Pointers, Refusal, payloads
from connectors.dataverse.reading import by_keys, reading
from connectors.dataverse.service import PAGE_ROWS, Service
from connectors.dataverse.settings import DataverseSettings
from connectors.dataverse.tables import INSERT_ONLY, TYPE, Table
from connectors.dataverse.writing import Writer
from migrator.core.connector import OUTCOMES, Gate, Identity, Limits, TargetFacts
from migrator.core.document import did_you_mean
from migrator.core.errors import FatalError, SafetyStop
from migrator.core.schema import ObjectSchema

_REMEMBERED = 200_000
"""Tables of how many records that references point to are kept in mind."""


class DataverseTarget:
    """Writes to an environment; the first call signs in. May be called from several threads."""

    def __init__(self, settings: DataverseSettings) -> None:
        self._service = Service(settings)
        self._metadata = Metadata(self._service)
        self._unsupported: dict[str, set[str]] = {}
        self._seen: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def facts(self) -> TargetFacts:
        """It makes its own ids, checks references, and answers for each row."""
        return TargetFacts(
            batch_rows=self._service.settings.batch_rows,
            assigns_ids=True,
            creates_objects=False,
            lock_codes=LOCKED,
            insert_only=INSERT_ONLY,
        )

    @property
    def limits(self) -> Limits:
        """What the environment permits."""
        return self._service.limits

    def pace(self, gate: Gate) -> None:
        """From now on every request asks this gate."""
        self._service.pace(gate)

    def identify(self) -> Identity:
        """Who answers, and as whom."""
        return identify(self._service)

    def describe(self) -> Sequence[ObjectSchema]:
        """The tables that the settings let through, by name."""
        return [self._table(name).schema for name in self._metadata.wanted()]

    def prepare(self, schemas: Sequence[ObjectSchema]) -> None:
        """Check tables, columns and keys; nothing is made. Raises `SafetyStop` with every difference."""
        self._refuse_when_read_only("be prepared for a load")
        wrong: list[str] = []
        for schema in schemas:
            if schema.name in self._metadata.listed():
                wrong += misfits(self._table(schema.name), schema)
            else:
                wrong.append(missing_table(schema.name, self._metadata.listed()))
        if wrong:
            listed = "\n".join(f"  - {item}" for item in wrong)
            raise SafetyStop(
                f"{self._service.label}: the target does not fit what is to be written\n{listed}",
                hint="change the environment or the mapping as said, and run again: nothing was changed",
            )

    def upsert(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        """Create or change rows by `key`."""
        return self._written(object_name, rows, key, Writer.upsert)

    def update(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        """Set only the columns given on records that exist."""
        return self._written(object_name, rows, key, Writer.update)

    def delete(self, object_name: str, keys: Sequence[str], *, key: str) -> pa.Table:
        """Delete records by `key`; they go to the bin where the environment has one."""
        self._refuse_when_read_only("delete")
        table = self._table(object_name)
        told = self._writer(table, key).delete(list(dict.fromkeys(keys)))
        return _outcomes(told)

    def read(
        self, object_name: str, *, columns: Sequence[str] | None = None, page_rows: int = PAGE_ROWS
    ) -> Iterator[pa.Table]:
        """Records as they are now, in the order of the primary key, in pages of at most 5,000."""
        for rows, _ in reading(self._service, self._table(object_name), columns).pages(page_rows=page_rows):
            yield rows

    def fetch(self, object_name: str, keys: Sequence[str], *, key: str, columns: Sequence[str]) -> pa.Table:
        """The records with these keys, spelt exactly so, as they are now."""
        wanted = tuple(dict.fromkeys((*columns, key)))
        found = by_keys(reading(self._service, self._table(object_name), wanted), keys, key=key)
        exact = pc.is_in(pc.cast(found[key], pa.string()), value_set=pa.array(keys, pa.string()))
        return found.filter(exact).select(list(columns))

    def write_file(self, object_name: str, record: str, column: str, *, name: str, content: BinaryIO) -> None:
        """Put a file into a file column of a record."""
        self._refuse_when_read_only("take a file")
        write_file(self._service, self._table(object_name), f"{record}/{column}", name, content)

    def close(self) -> None:
        """Release the connections; may be called twice."""
        self._service.close()

    # -- one write

    def _written(
        self,
        object_name: str,
        rows: pa.Table,
        key: str,
        write: Callable[[Writer, Sequence[Payload]], Mapping[int, Written]],
    ) -> pa.Table:
        self._refuse_when_read_only("be written to")
        table = self._table(object_name)
        for name in (key, *rows.column_names):
            self._require(table, name)
        made, refused = payloads(table, rows, key, self._pointers(table, rows))
        refused |= _doubled(made)
        clean = [row for row in made if row.number not in refused]
        told = dict(write(self._writer(table, key), clean)) if clean else {}
        told |= {number: Written("refused", refusal=why) for number, why in refused.items()}
        self._remember(table.name, told)
        keys = rows.column(key).cast(pa.string()).to_pylist()
        return _outcomes({keys[number] or "": told[number] for number in sorted(told)})

    def _writer(self, table: Table, key: str) -> Writer:
        self._require(table, key)
        unsupported = self._unsupported.setdefault(table.name, set())
        return Writer(self._service, table, key, lambda keys: self._existing(table, key, keys), unsupported)

    def _existing(self, table: Table, key: str, keys: Sequence[str]) -> dict[str, Existing]:
        """Records that the service finds under these keys, by key; one that no key explains stands under its own."""
        columns = [name for name in (table.key, key, "statecode") if name in table.attributes]
        found = by_keys(reading(self._service, table, list(dict.fromkeys(columns))), keys, key=key)
        asked = frozenset(keys)
        by_fold: dict[str, Existing] = {}
        for row in found.to_pylist():
            state = int(row["statecode"]) if row.get("statecode") else None
            stored = str(row[key])
            known = by_fold.get(_folded(stored))
            if known is None or stored in asked:
                by_fold[_folded(stored)] = Existing(row[table.key], stored, state)
        exact = {item.key: item for item in by_fold.values()}
        told = {one: exact.get(one) or by_fold.get(_folded(one)) for one in keys}
        if key == table.key:
            told = {one: exact.get(guid(one) or "") for one in keys}
            return {one: Existing(item.record, one, item.state) for one, item in told.items() if item}
        return exact | {one: item for one, item in told.items() if item}

    # -- references

    def _pointers(self, table: Table, rows: pa.Table) -> Pointers:
        """Sets of all tables; and for look-ups of several, the tables of those records whose rows do not say it."""
        listed = self._metadata.listed()
        tables: dict[tuple[str, str], str] = {}
        for name in rows.column_names:
            attribute = table.attributes.get(name)
            if attribute is None or len(attribute.targets) < 2 or f"{name}{TYPE}" in rows.column_names:
                continue
            records = {found for value in rows.column(name).unique().to_pylist() if (found := guid(value))}
            places = self._tables_of(records, sorted(attribute.targets))
            tables |= {(name, record): place for record, place in places.items()}
        return Pointers({item.name: item.set_name for item in listed.values()}, tables)

    def _tables_of(self, records: set[str], candidates: Sequence[str]) -> dict[str, str]:
        """Which of the candidates each record is in; asked of one table after the other until all are found."""
        with self._lock:
            found = {one: self._seen[one] for one in records if self._seen.get(one) in candidates}
        for candidate in candidates:
            left = sorted(records - set(found))
            if not left or candidate not in self._metadata.listed():
                continue
            table = self._table(candidate)
            there = by_keys(reading(self._service, table, [table.key]), left, key=table.key)
            found |= dict.fromkeys(there.column(table.key).to_pylist(), candidate)
        return found

    def _remember(self, table: str, told: Mapping[int, Written]) -> None:
        with self._lock:
            for item in told.values():
                if item.record is not None:
                    self._seen[item.record] = table
            while len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)

    # -- what is not right

    def _table(self, name: str) -> Table:
        with self._lock:
            return self._metadata.table(name)

    def _require(self, table: Table, name: str) -> None:
        base = table.attributes.get(name.removesuffix(TYPE))
        if name in table.attributes or (name.endswith(TYPE) and base is not None and base.is_lookup):
            return
        hint = did_you_mean(name, table.attributes, noun="columns")
        raise FatalError(f"{self._service.label}: {table.name} has no column {name!r}", hint=hint)

    def _refuse_when_read_only(self, what: str) -> None:
        if self._service.settings.read_only:
            raise FatalError(
                f"{self._service.label}: will not {what}: the system is marked read_only",
                hint="take read_only out of migration.yaml if this environment is to be written to",
            )


def _folded(key: str) -> str:
    """A key as the service compares it: without case, accents, width and blanks at its end (collation CI_AI)."""
    bare = (sign for sign in unicodedata.normalize("NFKD", key) if not unicodedata.combining(sign))
    return "".join(bare).casefold().rstrip()


def _doubled(rows: Sequence[Payload]) -> dict[int, Refusal]:
    """Rows whose keys the service takes for the same: which of them is meant nobody can say."""
    counts = Counter(_folded(row.key) for row in rows)
    return {
        row.number: Refusal(
            "key.duplicate", f"{counts[_folded(row.key)]} rows of this call carry the key {row.key!r}"
        )
        for row in rows
        if counts[_folded(row.key)] > 1
    }


def _outcomes(told: Mapping[str, Written]) -> pa.Table:
    """One answer per key."""
    reasons = [item.refusal for item in told.values()]
    return pa.table(
        {
            "key": list(told),
            "target_id": [item.record for item in told.values()],
            "outcome": [
                item.outcome if why is None else "refused"
                for item, why in zip(told.values(), reasons, strict=True)
            ],
            "code": [why.code if why else None for why in reasons],
            "field": [why.field if why else None for why in reasons],
            "message": [why.message if why else None for why in reasons],
        },
        schema=OUTCOMES,
    )
