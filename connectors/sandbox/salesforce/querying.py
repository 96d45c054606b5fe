"""Queries answered: pages of nested records over a cursor that stands still, counts, and the CSV of the Bulk API."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.sandbox.reading import Read
from connectors.sandbox.salesforce import soql
from connectors.sandbox.salesforce.binding import Bound, Child, Selected, bind
from connectors.sandbox.salesforce.cells import csv_cell, json_cell
from connectors.sandbox.salesforce.errors import SalesforceError
from connectors.sandbox.salesforce.ids import numbered
from connectors.sandbox.salesforce.metadata import Entity
from connectors.sandbox.salesforce.org import Org
from connectors.sandbox.where import Compare, Every, In, Operator, Path, Rows, SqlValue

_MOST_OPEN = 10
"""Query cursors a user may have open; the oldest goes."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """An open query: the ids it found, in order."""

    bound: Bound
    ids: tuple[str, ...]


@dataclass(slots=True)
class Queries:
    """The queries of an organisation, and their open cursors."""

    org: Org
    _open: OrderedDict[str, Cursor] = field(default_factory=OrderedDict)
    _number: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def first(self, text: str, version: str, *, deleted_too: bool, page: int) -> dict[str, Any]:
        """The first page of a query."""
        query = soql.parse(text)
        bound = bind(self.org, query, deleted_too=deleted_too)
        if bound.count:
            total = min(
                self.org.store.count(bound.entity.name, bound.read.where, rows=bound.read.rows),
                query.limit if query.limit is not None else 2**63,
            )
            return {"totalSize": total, "done": True, "records": []}
        if bound.aggregates:
            return _aggregated(self.org, bound)
        ids = tuple(str(row[0]) for row in self.org.store.select(replace(bound.read, fields=(Path("Id"),))))
        cursor = Cursor(bound, ids)
        name = self._keep(cursor) if len(ids) > page else ""
        return self._page(cursor, name, 0, page, version)

    def more(self, locator: str, version: str, page: int) -> dict[str, Any]:
        """A later page: 'CURSOR-START'; raises `SalesforceError` with INVALID_QUERY_LOCATOR."""
        name, _, start = locator.partition("-")
        with self._lock:
            cursor = self._open.get(name)
        if cursor is None or not start.isdigit():
            raise SalesforceError("INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(cursor, name, int(start), page, version)

    def forget(self) -> None:
        """All cursors end."""
        with self._lock:
            self._open.clear()

    def _keep(self, cursor: Cursor) -> str:
        with self._lock:
            self._number += 1
            name = numbered("01g", self._number)
            self._open[name] = cursor
            while len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)
            return name

    def _page(self, cursor: Cursor, name: str, start: int, page: int, version: str) -> dict[str, Any]:
        ids = cursor.ids[start : start + page]
        done = start + page >= len(cursor.ids)
        found: dict[str, Any] = {"totalSize": len(cursor.ids), "done": done}
        if not done:
            found["nextRecordsUrl"] = f"/services/data/{version}/query/{name}-{start + page}"
        found["records"] = records(self.org, cursor.bound, ids, version)
        return found


def records(org: Org, bound: Bound, ids: Sequence[str], version: str) -> list[dict[str, Any]]:
    """Records by id, in that order, nested as JSON has them; deleted ones too: the query has found them before."""
    read = Read(
        bound.entity.name, (Path("Id"), *bound.read.fields), In(Path("Id"), tuple(ids)), rows=Rows.ALL
    )
    shape = _Shape(bound, version)
    found = {str(row[0]): shape.record(row) for row in org.store.select(read)}
    for child in bound.children:
        for record in ids:
            if record in found:
                found[record][child.name] = _children(org, child, record, version)
    return [found[record] for record in ids if record in found]


def _children(org: Org, child: Child, parent: str, version: str) -> dict[str, Any] | None:
    entity = _child_entity(org, child)
    bound = bind(org, replace(child.query, object=entity.name))
    own = Every((bound.read.where, Compare(Path(child.via), Operator.EQUAL, parent)))
    ids = [str(row[0]) for row in org.store.select(replace(bound.read, fields=(Path("Id"),), where=own))]
    if not ids:
        return None
    return {"totalSize": len(ids), "done": True, "records": records(org, bound, ids, version)}


def _child_entity(org: Org, child: Child) -> Entity:
    wanted = child.query.object.casefold()
    singular = f"{wanted[:-4]}__c" if wanted.endswith("s__r") else wanted
    names = (singular, f"{wanted[:-3]}y", wanted[:-1])
    return next(org.entities[name] for name in names if name in org.entities)


@dataclass(slots=True)
class _Shape:
    """How a row of the store becomes a record of JSON."""

    bound: Bound
    version: str
    cells: list[tuple[Selected, Any]] = field(init=False)
    addresses: list[Selected] = field(init=False)

    def __post_init__(self) -> None:
        plain = [item for item in self.bound.fields if item.info.type != "address"]
        self.cells = [(item, json_cell(item.info)) for item in plain]
        self.addresses = [item for item in self.bound.fields if item.info.type == "address"]

    def record(self, row: tuple[SqlValue, ...]) -> dict[str, Any]:
        name, record = self.bound.entity.name, str(row[0])
        made: dict[str, Any] = {"attributes": self._attributes(name, record)}
        for place, (item, cell) in enumerate(self.cells, 1):
            raw = row[place]
            if item.info.type == "base64":
                value: Any = (
                    None
                    if raw is None
                    else f"/services/data/{self.version}/sobjects/{name}/{record}/{item.info.name}"
                )
            else:
                value = cell(raw) if cell else raw
            self._put(made, item, value)
        for item in self.addresses:
            self._address(made, item)
        return made

    def _attributes(self, name: str, record: str) -> dict[str, str]:
        return {"type": name, "url": f"/services/data/{self.version}/sobjects/{name}/{record}"}

    def _put(self, made: dict[str, Any], item: Selected, value: Any) -> None:
        inner = made
        for step in item.steps:
            if inner.get(step) is None:
                if value is None:
                    inner.setdefault(step, None)
                    return
                inner[step] = {"attributes": {"type": item.target or "Name"}}
            inner = inner[step]
        inner[item.info.name] = value

    def _address(self, made: dict[str, Any], item: Selected) -> None:
        prefix = item.info.name.removesuffix("Address")
        parts = self.bound.entity.parts(item.info.name)
        values = {part.name.removeprefix(prefix): made.get(part.name) for part in parts}
        keys = {name[0].lower() + name[1:]: value for name, value in values.items()}
        made[item.info.name] = keys if any(keys.values()) else None


def _aggregated(org: Org, bound: Bound) -> dict[str, Any]:
    made: dict[str, Any] = {"attributes": {"type": "AggregateResult"}}
    for number, item in enumerate(bound.aggregates):
        path = Path(org.field(bound.entity, item.field).name)
        values = [
            row[0] for row in org.store.select(replace(bound.read, fields=(path,))) if row[0] is not None
        ]
        cell = json_cell(org.field(bound.entity, item.field)) or (lambda value: value)
        name = item.alias if item.alias != "expr0" else f"expr{number}"
        match item.function:
            case "count":
                made[name] = len(values)
            case "count_distinct":
                made[name] = len(set(values))
            case "min" | "max":
                shown: list[Any] = [cell(value) for value in values]
                made[name] = (min if item.function == "min" else max)(shown, default=None)
            case _:
                total = sum(float(str(value)) for value in values)
                made[name] = total if item.function == "sum" else (total / len(values) if values else None)
    return {"totalSize": 1, "done": True, "records": [made]}


_NOT_IN_BULK = ("base64", "address")


def bulk_bound(org: Org, text: str, *, deleted_too: bool) -> Bound:
    """A query of the Bulk API, bound; raises `SalesforceError` for what that API does not support."""
    query = soql.parse(text)
    bound = bind(org, query, deleted_too=deleted_too)
    if bound.count or bound.aggregates or bound.children or query.offset:
        raise SalesforceError(
            "FEATURENOTENABLED", "Bulk query does not support aggregates, child queries and OFFSET"
        )
    for item in bound.fields:
        if item.info.type in _NOT_IN_BULK:
            raise SalesforceError(
                "FEATURENOTENABLED",
                f"Selecting compound data not supported in Bulk Query: {item.info.name}"
                if item.info.type == "address"
                else f"Bulk query does not support base64 fields: {item.info.name}",
            )
    return bound


def csv_header(bound: Bound) -> list[str]:
    """The names of the columns, parents' with dots."""
    return [".".join((*item.steps, item.info.name)) for item in bound.fields]


def csv_rows(org: Org, bound: Bound) -> Iterator[list[list[Any]]]:
    """The records of a bulk query in blocks, every value as its CSV has it."""
    cells = [(place, cell) for place, item in enumerate(bound.fields) if (cell := csv_cell(item.info))]
    for block in org.store.rows(bound.read, block=5_000):
        rows = [list(row) for row in block]
        for place, cell in cells:
            for row in rows:
                row[place] = cell(row[place])
        yield rows
