"""The settings of a Fxiaoke system in migration.yaml, checked before anything is opened."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

from connectors.http_addresses import require_safe
from migrator.core.connector import Limits, Rate
from migrator.core.document import did_you_mean
from migrator.core.errors import Location, Problem, ProjectError

PLACE = "migration.yaml"
HOSTS: Mapping[str, str] = {
    "open.fxiaoke.com": "Fxiaoke's own cloud",
    "open-hwcloud.fxiaoke.com": "Fxiaoke on Huawei's cloud",
    "open-ale.fxiaoke.com": "Fxiaoke on Aliyun",
    "open-ksc.sharecrm.com": "ShareCRM in Hong Kong",
    "open-hws.fxiaoke.com": "ShareCRM in Frankfurt",
    "open-na.sharecrm.com": "ShareCRM in North America",
}
SETTINGS: Mapping[str, str] = {
    "host": f"the cloud your tenant lives in: {', '.join(HOSTS)}; default open.fxiaoke.com",
    "app_id": "the app's id: FSAID_…",
    "app_secret": "the app's secret, as ${env:NAME} or ${keyring:SERVICE/USER}",
    "permanent_code": "the code with which the company authorised the app; a secret too",
    "auth": "current: token in the header; legacy: token in the body (v1 传参); default current",
    "user": "in whose name it is written: the employee's id (1000), with auth legacy the FSUID_…",
    "mobile": "with auth legacy and without user: the mobile number that names the user",
    "objects": "patterns of objects to see, for example [AccountObj, '*__c']; default all that are active",
    "zone": "the tenant's time zone, in which a date begins; default Asia/Shanghai",
    "audit": "true: create_time and created_by are written when a record is created; default true",
    "triggers": "what a write may set off: [approval, workflow]; default none",
    "option_info": "switches sent with each create: skipFuncValidate, isDuplicateSearch, useValidationRule",
    "delete": "invalidate: a deleted record can be recovered; delete: it cannot; default invalidate",
    "recover": "true: a record that was invalidated comes back when it is written again; default true",
    "edit_locked": "true: locked records of custom objects are changed all the same; default false",
    "pools": "{object: the field that names its pool}; default {AccountObj: high_seas_id, LeadsObj: leads_pool_id}",
    "record_ids": "{object: the field others refer to it by}; default {PersonnelObj: user_id, DepartmentObj: dept_id}",
    "plain_keys": "true: the key of a mapping need not be a unique field; default false",
    "visible_after": "seconds after which a created record is surely found by a query; default 30",
    "overlap": "seconds that `changes` goes back by itself; default 300",
    "calls": "requests permitted to one path in a window; default 100",
    "window": "seconds of that window; default 20",
    "daily": "requests bought for a day; default 100000",
    "parallel": "most requests in flight; default 6",
    "batch_rows": "records of one look-up and batch, at most 100; default 100",
    "timeout": "seconds to wait for an answer; default 60",
    "ca_file": "certificates to trust instead of the usual ones (a proxy's, a sandbox's)",
    "assume": "where the documentation is in doubt: owner_id, totals, include_detail, describe_name, trace, clear_with, record_name",
}


class Auth(Enum):
    """The two generations of signing in; the gateway takes both."""

    CURRENT = "current"
    LEGACY = "legacy"


class Deletion(Enum):
    """How far a delete goes."""

    INVALIDATE = "invalidate"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What the documentation leaves open, one choice a field; the first of `CHOICES` is the default (none was tried on a tenant)."""

    owner_id: str = "list"
    """changeOwner: `["1000"]`, or `"[1000]"` as a text."""
    totals: str = "returnTotalNum"
    """Which flag asks for an exact count; documentation has three."""
    include_detail: str = "top"
    """Where describe takes includeDetail: beside `data` or inside."""
    describe_name: str = "both"
    """Where describe takes apiName: beside `data` (legacy clients), inside, or both."""
    trace: str = "sent"
    """thirdTraceId: said to be mandatory, not enforced where tried."""
    clear_with: str = "null"
    """How update is told to empty a field: null or the empty text."""
    record_name: str = "short"
    """`full`: object_describe_api_name also stands in object_data, as one production client sends it."""


CHOICES: Mapping[str, tuple[str, ...]] = {
    "owner_id": ("list", "text"),
    "totals": ("returnTotalNum", "find_explicit_total_num", "need_return_count_num"),
    "include_detail": ("top", "data"),
    "describe_name": ("both", "top", "data"),
    "trace": ("sent", "omitted"),
    "clear_with": ("null", "empty"),
    "record_name": ("short", "full"),
}
TRIGGERS = ("approval", "workflow")
OPTIONS = ("skipFuncValidate", "isDuplicateSearch", "useValidationRule")


@dataclass(frozen=True, slots=True)
class FxiaokeSettings:
    """One tenant, who writes to it, and how."""

    address: str
    app_id: str
    app_secret: str = field(repr=False)
    permanent_code: str = field(repr=False)
    auth: Auth = Auth.CURRENT
    user: str = ""
    mobile: str = ""
    objects: tuple[str, ...] = ("*",)
    zone: str = "Asia/Shanghai"
    audit: bool = True
    triggers: frozenset[str] = frozenset()
    option_info: Mapping[str, bool] = field(default_factory=dict)
    delete: Deletion = Deletion.INVALIDATE
    recover: bool = True
    edit_locked: bool = False
    pools: Mapping[str, str] = field(default_factory=dict)
    record_ids: Mapping[str, str] = field(default_factory=dict)
    plain_keys: bool = False
    visible_after: float = 30.0
    overlap: float = 300.0
    calls: int = 100
    window: float = 20.0
    daily: int = 100_000
    parallel: int = 6
    batch_rows: int = 100
    timeout: float = 60.0
    ca_file: str | None = None
    assume: Assumptions = field(default_factory=Assumptions)

    def wants(self, name: str) -> bool:
        """Whether the patterns let an object through."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.objects)

    def limits(self, token_path: str) -> Limits:
        """So many calls in a window for each path by itself; the token's path has a limit of its own."""
        return Limits(
            (Rate(self.calls, self.window, "*"), Rate(10, 60.0, token_path)),
            self.daily,
            resets="Asia/Shanghai",
            parallel=self.parallel,
        )


def parse(settings: Mapping[str, Any], place: str = PLACE) -> FxiaokeSettings:
    """Settings from migration.yaml; raises `ProjectError` with every problem found."""
    reader = _Reader(settings, Location(place), [])
    reader.refuse_unknown(settings, SETTINGS, "settings")
    parsed = FxiaokeSettings(
        address=reader.address(),
        app_id=reader.needed("app_id"),
        app_secret=reader.needed("app_secret"),
        permanent_code=reader.needed("permanent_code"),
        auth=Auth(reader.choice("auth", tuple(item.value for item in Auth))),
        user=reader.text("user"),
        mobile=reader.text("mobile"),
        objects=reader.texts("objects", ("*",)),
        zone=reader.zone(),
        audit=reader.flag("audit", True),
        triggers=frozenset(reader.texts("triggers", (), TRIGGERS)),
        option_info=reader.table("option_info", {}, bool, OPTIONS),
        delete=Deletion(reader.choice("delete", tuple(item.value for item in Deletion))),
        recover=reader.flag("recover", True),
        edit_locked=reader.flag("edit_locked", False),
        pools=reader.table("pools", _POOLS, str),
        record_ids=reader.table("record_ids", _RECORD_IDS, str),
        plain_keys=reader.flag("plain_keys", False),
        visible_after=reader.number("visible_after", 30, 0, 300),
        overlap=reader.number("overlap", 300, 0),
        calls=int(reader.number("calls", 100, 1)),
        window=reader.number("window", 20, 0.001),
        daily=int(reader.number("daily", 100_000, 1)),
        parallel=int(reader.number("parallel", 6, 1, 64)),
        batch_rows=int(reader.number("batch_rows", 100, 1, 100)),
        timeout=reader.number("timeout", 60, 0.05),
        ca_file=reader.text("ca_file") or None,
        assume=reader.assumptions(),
    )
    if parsed.auth is Auth.CURRENT and not parsed.user:
        reader.wrong("the setting user is missing", SETTINGS["user"])
    if parsed.auth is Auth.LEGACY and not (parsed.user or parsed.mobile):
        reader.wrong("auth legacy needs user or mobile", SETTINGS["mobile"])
    if reader.problems:
        raise ProjectError(reader.problems)
    return parsed


_POOLS: Mapping[str, str] = {"AccountObj": "high_seas_id", "LeadsObj": "leads_pool_id"}
_RECORD_IDS: Mapping[str, str] = {"PersonnelObj": "user_id", "DepartmentObj": "dept_id"}


@dataclass(frozen=True, slots=True)
class _Reader:
    """Settings read one by one; what is wrong is collected and a harmless value stands in."""

    settings: Mapping[str, Any]
    where: Location
    problems: list[Problem]

    def wrong(self, message: str, hint: str) -> None:
        self.problems.append(Problem(self.where, message, hint))

    def refuse_unknown(self, given: Mapping[str, Any], known: Any, noun: str) -> None:
        for name in given:
            if name not in known:
                self.wrong(f"unknown setting {name!r}", did_you_mean(str(name), known, noun=noun))

    def needed(self, name: str) -> str:
        found = self.text(name)
        if not found and not any(name in item.message for item in self.problems):
            self.wrong(f"the setting {name} is missing", SETTINGS[name])
        return found

    def text(self, name: str) -> str:
        value = self.settings.get(name)
        if value is None:
            return ""
        if isinstance(value, bool) or not isinstance(value, str | int):
            self.wrong(f"{name} must be a text", SETTINGS[name])  # not shown: it may be a secret
            return ""
        return str(value)

    def address(self) -> str:
        host = self.text("host") or "open.fxiaoke.com"
        address = host if "://" in host else f"https://{host}"
        try:
            return require_safe(address)
        except ProjectError as error:
            self.problems.extend(error.problems)
            return "https://open.fxiaoke.com"

    def choice(self, name: str, known: tuple[str, ...]) -> str:
        value = self.settings.get(name, known[0])
        if value not in known:
            self.wrong(f"{name} cannot be {value!r}", f"one of {', '.join(known)}")
            return known[0]
        return str(value)

    def flag(self, name: str, default: bool) -> bool:
        value = self.settings.get(name, default)
        if not isinstance(value, bool):
            self.wrong(f"{name} must be true or false, not {value!r}", SETTINGS[name])
            return default
        return value

    def number(self, name: str, default: float, least: float, most: float = 1e9) -> float:
        value = self.settings.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            self.wrong(f"{name} must be a number from {least:g} to {most:g}, not {value!r}", SETTINGS[name])
            return default
        return value

    def texts(self, name: str, default: tuple[str, ...], known: tuple[str, ...] = ()) -> tuple[str, ...]:
        value = self.settings.get(name, list(default))
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.wrong(f"{name} must be a list of texts, not {value!r}", SETTINGS[name])
            return default
        for item in value if known else ():
            if item not in known:
                self.wrong(f"{name} cannot hold {item!r}", did_you_mean(item, known, noun="values"))
        return tuple(value)

    def table(
        self, name: str, default: Mapping[str, Any], kind: type, known: tuple[str, ...] = ()
    ) -> Mapping[str, Any]:
        value = self.settings.get(name, default)
        if not isinstance(value, Mapping) or not all(isinstance(item, kind) for item in value.values()):
            self.wrong(f"{name} cannot be read: {value!r}", SETTINGS[name])
            return default
        if known:
            self.refuse_unknown(value, known, name)
        return {str(key): item for key, item in value.items()}

    def zone(self) -> str:
        name = self.text("zone") or "Asia/Shanghai"
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            self.wrong(f"no time zone is called {name!r}", "for example Asia/Shanghai or Europe/Berlin")
            return "Asia/Shanghai"
        return name

    def assumptions(self) -> Assumptions:
        given = self.table("assume", {}, str)
        self.refuse_unknown(given, CHOICES, "assumptions")
        for name, value in given.items():
            if name in CHOICES and value not in CHOICES[name]:
                self.wrong(f"assume.{name} cannot be {value!r}", f"one of {', '.join(CHOICES[name])}")
        return Assumptions(**{name: value for name, value in given.items() if value in CHOICES.get(name, ())})
