"""What a Fxiaoke tenant does with records: create under the switches, update, owners, pools, locks, the recycle bin, queries."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.sandbox.fxiaoke.manners import Denied
from connectors.sandbox.fxiaoke.objects import ID, OWNER, PERSONNEL, POOLS, USER_ID
from connectors.sandbox.fxiaoke.queries import BAD_PARAMETER, Query, parsed
from connectors.sandbox.fxiaoke.wire import OPEN_USER, record, taken
from connectors.sandbox.reading import Read
from connectors.sandbox.records import Store, Write
from connectors.sandbox.shape import Shape
from connectors.sandbox.violations import Refused, Violation
from connectors.sandbox.where import Every, In, Not, Path, Rows, Where
from migrator.core.schema import FieldType

Json = Mapping[str, Any]
_OWN = frozenset(
    {ID, "last_modified_by", "last_modified_time", "life_status", "is_deleted", "version", "lock_status"}
)
_SPECIFIED = {"create_time": "hasSpecifyTime", "created_by": "hasSpecifyCreatedBy"}
NO_RIGHT = 320020


@dataclass(slots=True)
class Tenant:
    """The records of one company and the rules they are written under."""

    store: Store
    index_seconds: float = 0.0
    """How long a created record is hidden from queries; `get` sees it at once."""
    answer_ids: bool = True
    """Whether creates of custom objects are answered with dataId: the documented sample is not."""
    _fresh: deque[tuple[float, str]] = field(default_factory=deque)

    def create(self, body: Json, user: str, write: Write) -> str:
        """A record, and in the same breath its details; returns the id."""
        data = _part(body, "data")
        values = dict(_part(data, "object_data"))
        name = str(values.pop("dataObjectApiName", ""))
        values.pop("object_describe_api_name", None)
        details = data.get("details") or {}
        with self.store.transaction():
            made = self._made(name, values, body, user, write)
            for detail, rows in details.items() if isinstance(details, dict) else ():
                for row in rows:
                    self._made(detail, {**row, **self._master(detail, name, made)}, body, user, write)
        return made

    def update(self, body: Json, user: str, write: Write) -> str:
        """Fields of one record; its owner stays."""
        data = _part(body, "data")
        values = dict(_part(data, "object_data"))
        name, record_id = str(values.pop("dataObjectApiName", "")), str(values.pop(ID, ""))
        values.pop("object_describe_api_name", None)
        shape = self._shape(name)
        there = self._there(name, record_id)
        if there.get("lock_status") == "1" and not (
            name.endswith("__c") and data.get("skipDataStatusValidate")
        ):
            raise Violation(Refused.LOCKED, "the record is locked", record=record_id)
        values.pop(OWNER, None)
        self.store.update(
            name, record_id, {**self._taken(shape, values, ()), "last_modified_by": user}, write=write
        )
        return record_id

    def get(self, data: Json, prefix: str = "") -> dict[str, Any]:
        """One record, invalidated ones too."""
        name = _text(data, "dataObjectApiName")
        shape = self._shape(name)
        found = self.store.get(name, _text(data, "objectDataId"), rows=Rows.ALL)
        if found is None:
            raise Violation(Refused.NO_RECORD, "no such record")
        return record(name, {item.name: item for item in shape.schema.fields}, found, prefix)

    def query(self, body: Json, projection: str, prefix: str = "") -> dict[str, Any]:
        """A page of records."""
        data = _part(body, "data")
        name = _text(data, "dataObjectApiName")
        shape = self._shape(name)
        info = _part(data, "search_query_info")
        query = parsed(shape, info, info.get(projection) or data.get(projection) or ())
        where = self._visible(shape, query.where)
        fields = query.fields or shape.schema.field_names
        known = {item.name: item for item in shape.schema.fields}
        rows = self.store.select(
            Read(name, tuple(map(Path, fields)), where, query.order, query.limit, query.offset, query.rows)
        )
        counted = body.get("returnTotalNum") == 1 or data.get("find_explicit_total_num", True) is True
        return {
            "dataList": [record(name, known, dict(zip(fields, row, strict=True)), prefix) for row in rows],
            "offset": query.offset,
            "limit": query.limit,
            "total": self._total(name, where, query) if counted else 0,
        }

    def change_owner(self, data: Json, user: str) -> None:
        """Other owners for records that are in no pool."""
        name = _text(data, "dataObjectApiName")
        for change in _list(data, "Data"):
            record_id, owner = str(change.get("objectDataId")), change.get("ownerId")
            there = self._there(name, record_id)
            if not isinstance(owner, list) or len(owner) != 1:
                raise Denied(BAD_PARAMETER, "ownerId is no list of one")
            if POOLS.get(name) and there.get(POOLS[name]) and not there.get(OWNER):
                raise Denied(NO_RIGHT, "无此操作的数据权限")
            self._set(name, record_id, {OWNER: str(owner[0]).removeprefix(OPEN_USER)}, user)

    def choose(self, data: Json, user: str) -> None:
        """Claim records of a pool."""
        name = _text(data, "apiName")
        if name not in POOLS:
            raise Denied(BAD_PARAMETER, f"{name} has no pool")
        for record_id in _list(data, "objectIds"):
            self._there(name, str(record_id))
            self._set(name, str(record_id), {OWNER: user}, user)

    def give_back(self, data: Json, user: str) -> None:
        """Return records to a pool: they have no owner then."""
        name = _text(data, "apiName")
        for record_id in _list(data, "objectIds"):
            self._set(name, str(record_id), {OWNER: None, POOLS[name]: _text(data, "objectPoolId")}, user)

    def lock(self, data: Json, user: str, status: str) -> None:
        """Lock records, or unlock them."""
        name = _text(data, "dataObjectApiName")
        for record_id in _list(data, "dataIds"):
            self._set(name, str(record_id), {"lock_status": status}, user)

    def invalidate(self, data: Json, write: Write) -> None:
        """Into the recycle bin; locked records stay."""
        name, record_id = _text(data, "dataObjectApiName"), _text(data, "object_data_id")
        if self._there(name, record_id).get("lock_status") == "1":
            raise Violation(Refused.LOCKED, "the record is locked", record=record_id)
        self.store.delete(name, record_id, write=write)

    def recover(self, data: Json) -> None:
        """Out of the recycle bin, all or none."""
        name = _text(data, "dataObjectApiName")
        self._shape(name)
        with self.store.transaction():
            for record_id in _list(data, "idList"):
                self.store.undelete(name, str(record_id))

    def delete(self, data: Json) -> None:
        """For good, but only what is in the recycle bin; all or none."""
        name = _text(data, "dataObjectApiName")
        self._shape(name)
        with self.store.transaction():
            for record_id in _list(data, "idList"):
                found = self.store.get(name, str(record_id), rows=Rows.BIN)
                if found is None:
                    raise Denied(BAD_PARAMETER, "只能删除已作废的数据")
                self.store.purge(name, str(record_id))

    # -- parts

    def _made(self, name: str, values: dict[str, Any], body: Json, user: str, write: Write) -> str:
        shape = self._shape(name)
        specified = tuple(item for item, switch in _SPECIFIED.items() if body.get(switch) is True)
        for item in _SPECIFIED:
            if item not in specified:
                values.pop(item, None)  # ignored without the switch, as documented
        kept = self._taken(shape, values, specified)
        kept.setdefault("record_type", "default__c")
        kept.setdefault("created_by", user)
        if not (POOLS.get(name) and kept.get(POOLS[name])):
            kept.setdefault(OWNER, user)
        reviewed = body.get("triggerApprovalFlow", True) is not False
        state = {"life_status": "under_review" if reviewed else "normal", "lock_status": "0"}
        number = kept.pop(USER_ID, None) if name == PERSONNEL else None
        made = self.store.insert(
            name, {**kept, **state, "last_modified_by": user}, write=write, record=str(number or "")
        )
        if self.index_seconds:
            self._fresh.append((self.store.clock.monotonic() + self.index_seconds, made))
        return made

    def _taken(self, shape: Shape, values: Json, specified: Sequence[str]) -> dict[str, Any]:
        kept = {}
        for name, value in values.items():
            item = shape.field(name)
            if item.name == "life_status":
                continue  # a production client sends it with each create
            if item.name in _OWN or (item.name in _SPECIFIED and item.name not in specified):
                raise Violation(Refused.READ_ONLY, f"{item.name} cannot be written", fields=(item.name,))
            kept[item.name] = taken(item, value)
        return kept

    def _master(self, detail: str, name: str, made: str) -> dict[str, str]:
        links = [
            item.name
            for item in self._shape(detail).schema.fields
            if item.type is FieldType.REFERENCE and name in item.references
        ]
        return {links[0]: made} if links else {}

    def _there(self, name: str, record_id: str) -> Mapping[str, Any]:
        self._shape(name)
        found = self.store.get(name, record_id)
        if found is None:
            raise Violation(Refused.NO_RECORD, "no such record", record=record_id)
        return found

    def _set(self, name: str, record_id: str, values: dict[str, Any], user: str) -> None:
        self._shape(name)
        self.store.update(name, record_id, {**values, "last_modified_by": user})

    def _shape(self, name: str) -> Shape:
        return self.store.shape(name)

    def _visible(self, shape: Shape, where: Where) -> Where:
        now = self.store.clock.monotonic()
        while self._fresh and self._fresh[0][0] <= now:
            self._fresh.popleft()
        if not self._fresh:
            return where
        return Every((where, Not(In(Path(shape.schema.key), tuple(item for _, item in self._fresh)))))

    def _total(self, name: str, where: Where, query: Query) -> int:
        return self.store.count(name, where, rows=query.rows)


def _part(body: Json, name: str) -> Json:
    found = body.get(name)
    if not isinstance(found, dict):
        raise Denied(BAD_PARAMETER, f"{name} is missing")
    return found


def _text(data: Json, name: str) -> str:
    found = data.get(name)
    if not isinstance(found, str) or not found:
        raise Denied(BAD_PARAMETER, f"{name} is missing")
    return found


def _list(data: Json, name: str) -> list[Any]:
    found = data.get(name)
    if not isinstance(found, list) or not found:
        raise Denied(BAD_PARAMETER, f"{name} is no list")
    return found
