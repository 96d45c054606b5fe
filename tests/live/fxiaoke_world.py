"""A Fxiaoke sandbox over HTTP and our connector on it, for tests: settings, rows, and what the tenant really holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import pyarrow as pa

from connectors.fxiaoke.settings import parse
from connectors.fxiaoke.source import FxiaokeSource
from connectors.fxiaoke.target import FxiaokeTarget
from connectors.sandbox.faults import Fault, Schedule
from connectors.sandbox.fxiaoke.app import make_app
from connectors.sandbox.fxiaoke.objects import completed
from connectors.sandbox.limits import NO_LIMITS
from connectors.sandbox.reading import Read
from connectors.sandbox.serve import Box, running
from connectors.sandbox.where import Path
from migrator.core.clock import Clock
from migrator.core.connector import Limits
from migrator.core.sandbox import SandboxOptions
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

KEY = "legacy_id__c"
_OPENED: dict[str, list[FxiaokeTarget | FxiaokeSource]] = {}
_Opened = TypeVar("_Opened", FxiaokeTarget, FxiaokeSource)


@contextmanager
def tenant(
    *faults: Fault, limits: Limits = NO_LIMITS, clock: Clock | None = None, tls: bool = False, **switches: Any
) -> Iterator[Box]:
    """A sandbox with these faults; without limits unless they are given."""
    app = make_app(SandboxOptions(switches=switches), clock)
    app.limits, app.schedule = limits, Schedule(tuple(faults))
    with running(app, tls=tls) as box:
        try:
            yield box
        finally:
            for opened in _OPENED.pop(box.url, []):
                opened.close()


def settings(box: Box, **more: Any) -> dict[str, Any]:
    """The settings of a project that names the sandbox."""
    trusted = {"ca_file": str(box.certificate)} if box.certificate else {}
    return {"host": box.url, **box.credentials, **trusted, "visible_after": 0, "timeout": 5, **more}


def target(box: Box, clock: Clock | None = None, **more: Any) -> FxiaokeTarget:
    """Our target on it."""
    return _kept(box, FxiaokeTarget(parse(settings(box, **more)), clock))


def source(box: Box, **more: Any) -> FxiaokeSource:
    """Our source on it."""
    return _kept(box, FxiaokeSource(parse(settings(box, **more))))


def _kept(box: Box, opened: _Opened) -> _Opened:
    """Closed with the sandbox."""
    _OPENED.setdefault(box.url, []).append(opened)
    return opened


def accounts(numbers: Sequence[int], **values: Any) -> pa.Table:
    """Rows of AccountObj with keys a1, a2, …; a value may hold {n}."""
    filled = {
        name: [value.format(n=n) if isinstance(value, str) else value for n in numbers]
        for name, value in {"name": "客户 {n}", **values}.items()
    }
    return pa.table({KEY: [f"a{n}" for n in numbers], **filled})


def held(box: Box, name: str = "AccountObj", *fields: str) -> list[tuple[Any, ...]]:
    """What the tenant holds, past every protocol, in order of the key."""
    wanted = (KEY, *fields)
    return sorted(box.store.select(Read(name, tuple(map(Path, wanted)))), key=lambda row: str(row[0]))


def custom_object(name: str = "thing__c") -> ObjectSchema:
    """An object of the tenant's own, with a field of every kind."""
    kinds = {
        "note__c": FieldType.TEXT, "count__c": FieldType.INTEGER, "on__c": FieldType.DATE, "at__c": FieldType.DATETIME,
        "clock__c": FieldType.TIME, "good__c": FieldType.BOOLEAN, "tags__c": FieldType.JSON,
    }  # fmt: skip
    fields = [
        FieldSchema("name", FieldType.STRING, "名称", required=True),
        FieldSchema(KEY, FieldType.STRING, "旧系统编号", unique=True, length=100),
        FieldSchema("money__c", FieldType.DECIMAL, "金额", precision=18, scale=2),
        FieldSchema("kind__c", FieldType.PICKLIST, "类型", values=("1", "2"), labels={"1": "甲", "2": "乙"}),
        FieldSchema("many__c", FieldType.MULTI_PICKLIST, "多选", values=("18", "19", "20")),
        *(FieldSchema(item, kind, item) for item, kind in kinds.items()),
    ]
    return completed(ObjectSchema(name, "_id", tuple(fields), label="物件"))


__all__ = [
    "KEY",
    "Fault",
    "accounts",
    "custom_object",
    "held",
    "replace",
    "settings",
    "source",
    "target",
    "tenant",
]
