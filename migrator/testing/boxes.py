"""A Salesforce and a Fxiaoke sandbox over HTTP, users who work in both through the systems' own APIs, and a project between them.

The users know nothing of this toolkit's connectors: they sign in under names of their own and send what a page of the
system would send. Locking them out is done as an administrator does it, and it is the system that refuses them then.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from migrator.commands.project import Project, load_project
from migrator.commands.sync_sides import open_side
from migrator.core.errors import FatalError
from migrator.core.sandbox import SandboxOptions, Served, sandbox
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema, schemas_to_json
from migrator.core.twoway import Side
from migrator.testing.users import LockedOut, Users

_COMPANIES = 20
_KEY = "New_Id__c"
_PATIENCE = 30.0
_SALESFORCE = {"company": ("Account", "Name", "Description"), "contact": ("Contact", "LastName", "Title")}
_FXIAOKE = {"company": ("AccountObj", "name", "remark"), "contact": ("ContactObj", "name", "job_title")}
"""Kind → object, name, the field that users edit."""
_USER, _LEAD = "users@old.example", "platform-lead@old.example"
_EMPLOYEE = "1001"
_MAPPINGS = {
    "company": f"""\
mapping: company
target: {{system: new, object: AccountObj, key: legacy_id__c}}
source: {{system: old, object: Account}}
fields:
  name: {{from: Name}}
  remark: {{from: Description}}
sync: {{direction: both, key: {_KEY}, policy: {{default: new_wins}}, delete: propagate}}
""",
    "contact": f"""\
mapping: contact
target: {{system: new, object: ContactObj, key: legacy_id__c}}
source: {{system: old, object: Contact}}
fields:
  name: {{from: LastName, pii: name}}
  job_title: {{from: Title}}
  account_id: {{from: AccountId, lookup: company}}
sync: {{direction: both, key: {_KEY}, policy: {{default: new_wins}}, delete: propagate}}
""",
}


@dataclass(slots=True)
class Boxes:
    """Both sandboxes, the users in them, and the project that keeps them in step."""

    project: Project
    users: Users
    old: SalesforceDesk
    own_writes: str
    """What tells a freeze proof on the old side which writes are the sync's own."""

    def open_system(self, project: Project, name: str) -> Side:
        """As the product opens it."""
        return open_side(project, name)


@contextmanager
def boxes(folder: Path, *, seed: int = 7) -> Iterator[Boxes]:
    """Serve both sandboxes for the length of a drill; the project lies in `folder`."""
    with ExitStack() as stack:
        old = _served(stack, "salesforce", _salesforce_data(folder))
        new = _served(stack, "fxiaoke", _fxiaoke_data(folder), _limits(folder))
        clerks = SalesforceDesk(old.url, old.credentials), FxiaokeDesk(new.url, new.credentials)
        for clerk in clerks:
            stack.callback(clerk.client.close)
        project = _project(folder, old, new)
        own = f"--modifier LastModifiedById --integration {clerks[0].integration()}"
        yield Boxes(project, Users({"old": clerks[0], "new": clerks[1]}, seed), clerks[0], own)


def _served(stack: ExitStack, name: str, data: Path, limits: Path | None = None) -> Served:
    found = sandbox(name).start(SandboxOptions(data=data, limits=limits))
    stack.callback(found.stop)
    return found


def _project(folder: Path, old: Served, new: Served) -> Project:
    (folder / "mappings").mkdir(parents=True, exist_ok=True)
    for name, text in _MAPPINGS.items():
        (folder / "mappings" / f"{name}.yaml").write_text(text, encoding="utf-8")
    systems: dict[str, Any] = {
        "old": {
            "connector": "salesforce", "instance_url": old.url, "late_seconds": 2, "objects": ["Account", "Contact"],
            **{name: old.credentials[name] for name in ("client_id", "client_secret")},
        },
        "new": {
            "connector": "fxiaoke", "host": new.url, **new.credentials, "objects": ["AccountObj", "ContactObj"],
            "visible_after": 0, "overlap": 2, "calls": 2000,
        },
    }  # fmt: skip
    (folder / "migration.yaml").write_text(
        f"project: drill\nsystems: {json.dumps(systems)}\nengine: {{memory_limit: 500MB, threads: 1}}\n",
        "utf-8",
    )
    return load_project(folder)


# -- what both systems hold when it begins


def _salesforce_data(folder: Path) -> Path:
    data = folder / "sandboxes" / "salesforce"
    key = FieldSchema(_KEY, FieldType.STRING, unique=True, length=64)
    _seed(
        data,
        schemas=[ObjectSchema(name, "Id", (key,)) for name in ("Account", "Contact")],
        Account=[
            {"Id": _id("001", number), "Name": f"company 客户 {number:04d}", "Description": f"of {number}"}
            for number in range(_COMPANIES)
        ],
        Contact=[
            {
                "Id": _id("003", number), "LastName": f"contact 客户 {number:04d}", "Title": f"of {number}",
                "AccountId": _id("001", number % _COMPANIES),
            }
            for number in range(2 * _COMPANIES)
        ],
        User=[
            {"Id": _id("005", number), "Username": name, "LastName": name.partition("@")[0], "IsActive": "true"}
            for number, name in enumerate((_USER, _LEAD), 100)
        ],
    )  # fmt: skip
    return data


def _fxiaoke_data(folder: Path) -> Path:
    data = folder / "sandboxes" / "fxiaoke"
    people = {"1000": "集成", _EMPLOYEE: "全体员工"}
    _seed(data, PersonnelObj=[{"_id": key, "name": name, "status": "0"} for key, name in people.items()])
    return data


def _limits(folder: Path) -> Path:
    """The calls a path takes in 20 seconds: twenty packs of those that the vendor sells, or a drill would wait for an hour."""
    path = folder / "sandboxes" / "limits.yaml"
    path.write_text('rates: [{calls: 2000, seconds: 20, scope: "*"}]\n', encoding="utf-8")
    return path


def _seed(
    data: Path, *, schemas: Sequence[ObjectSchema] = (), **objects: Sequence[Mapping[str, str]]
) -> None:
    data.mkdir(parents=True, exist_ok=True)
    if schemas:
        (data / "schema.json").write_text(schemas_to_json(list(schemas)), encoding="utf-8")
    for name, rows in objects.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (data / f"{name}.jsonl").write_text(text, encoding="utf-8")


def _id(prefix: str, number: int) -> str:
    return f"{prefix}5g{number:010d}"


# -- the users of the old side


@dataclass(slots=True)
class SalesforceDesk:
    """Users of a Salesforce organisation, and its administrator, over the REST API."""

    url: str
    credentials: Mapping[str, str]
    client: httpx.Client = field(init=False)
    _tokens: dict[str, str] = field(default_factory=dict)
    _number: int = 0

    def __post_init__(self) -> None:
        self.client = httpx.Client(
            base_url=f"{self.url}/services/data/v59.0", timeout=_PATIENCE, trust_env=False
        )

    def rows(self, kind: str) -> Mapping[str, str]:
        """By SOQL, whatever its number of pages."""
        name, label, shown = _SALESFORCE[kind]
        found = self._query(f"SELECT {label}, {shown} FROM {name} ORDER BY {label}")
        return {row[label]: row[shown] or "" for row in found}

    def edit(self, kind: str, name: str, value: str) -> None:
        """PATCH of one record."""
        of, label, shown = _SALESFORCE[kind]
        self._write(_USER, "PATCH", f"/sobjects/{of}/{self._record(of, label, name)}", {shown: value})

    def create(self, kind: str, name: str, value: str) -> None:
        """POST of one record; a contact belongs to a company."""
        of, label, shown = _SALESFORCE[kind]
        values = {label: name, shown: value}
        if kind == "contact":
            values["AccountId"] = self._query("SELECT Id FROM Account ORDER BY Name LIMIT 1")[0]["Id"]
        self._write(_USER, "POST", f"/sobjects/{of}", values)

    def delete(self, kind: str, name: str) -> None:
        """Into the recycle bin."""
        of, label, _ = _SALESFORCE[kind]
        self._write(_USER, "DELETE", f"/sobjects/{of}/{self._record(of, label, name)}")

    def lock(self) -> None:
        """The users get the profile that only reads."""
        self.give_profile(_USER, "Read Only")

    def unlock(self) -> None:
        """And the one they had."""
        self.give_profile(_USER, "System Administrator")

    def integration(self) -> str:
        """The id of the sync's own user."""
        return str(self._user(self.credentials["username"]))

    def give_profile(self, user: str, profile: str) -> None:
        """What the platform lead does to a user; '' stands for the sync's own."""
        found = self._query(f"SELECT Id FROM Profile WHERE Name = '{profile}'")[0]["Id"]
        self._set_user(user, {"ProfileId": found})

    def let_in(self, user: str, *, active: bool) -> None:
        """Let a user sign in, or no more; '' stands for the sync's own."""
        self._set_user(user, {"IsActive": active})

    def _set_user(self, user: str, values: Mapping[str, Any]) -> None:
        record = self._user(user or self.credentials["username"])
        self._write(_LEAD, "PATCH", f"/sobjects/User/{record}", values)

    def _user(self, name: str) -> str:
        return str(self._query(f"SELECT Id FROM User WHERE Username = '{name}'")[0]["Id"])

    def _record(self, of: str, label: str, name: str) -> str:
        return str(self._query(f"SELECT Id FROM {of} WHERE {label} = '{name}'")[0]["Id"])

    def _query(self, soql: str) -> list[dict[str, Any]]:
        answer = self._call(_LEAD, "GET", "/query", params={"q": soql})
        rows: list[dict[str, Any]] = answer["records"]
        while not answer["done"]:
            answer = self._call(_LEAD, "GET", answer["nextRecordsUrl"].partition("/v59.0")[2])
            rows += answer["records"]
        return rows

    def _write(self, user: str, method: str, path: str, values: Mapping[str, Any] | None = None) -> None:
        self._call(user, method, path, json=None if values is None else dict(values))

    def _call(self, user: str, method: str, path: str, **more: Any) -> Any:
        if user not in self._tokens:
            self._tokens[user] = self._sign_in(user)
        headers = {"Authorization": f"Bearer {self._tokens[user]}"}
        answer = self.client.request(method, path, headers=headers, **more)
        if answer.status_code in {401, 403}:
            raise LockedOut(answer.text)
        if answer.is_error:
            raise FatalError(f"the sandbox says to {method} {path}: {answer.text[:300]}")
        return answer.json() if answer.content else None

    def _sign_in(self, user: str) -> str:
        told = {name: self.credentials[name] for name in ("client_id", "client_secret", "password")}
        form = {"grant_type": "password", "username": user, **told}
        return str(self.client.post(f"{self.url}/services/oauth2/token", data=form).json()["access_token"])


# -- the users of the new side


@dataclass(slots=True)
class FxiaokeDesk:
    """Employees of a Fxiaoke tenant, and its administrator, over the OpenAPI."""

    url: str
    credentials: Mapping[str, str]
    client: httpx.Client = field(init=False)
    _token: str = ""

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.url, timeout=_PATIENCE, trust_env=False)

    def rows(self, kind: str) -> Mapping[str, str]:
        """By queries of a hundred each."""
        of, label, shown = _FXIAOKE[kind]
        return {row[label]: row.get(shown) or "" for row in self._query(of, (label, shown))}

    def edit(self, kind: str, name: str, value: str) -> None:
        """One record."""
        of, _, shown = _FXIAOKE[kind]
        self._send(
            "update", {"object_data": {"dataObjectApiName": of, "_id": self._record(of, name), shown: value}}
        )

    def create(self, kind: str, name: str, value: str) -> None:
        """One record; a contact belongs to a company."""
        of, label, shown = _FXIAOKE[kind]
        values = {"dataObjectApiName": of, label: name, shown: value}
        if kind == "contact":
            values["account_id"] = self._query("AccountObj", ("_id", "name"))[0]["_id"]
        self._send("create", {"object_data": values}, triggerApprovalFlow=False)

    def delete(self, kind: str, name: str) -> None:
        """Into the recycle bin."""
        of = _FXIAOKE[kind][0]
        self._send("invalid", {"dataObjectApiName": of, "object_data_id": self._record(of, name)})

    def lock(self) -> None:
        """The employees are stopped."""
        self._status("1")

    def unlock(self) -> None:
        """And started again."""
        self._status("0")

    def _status(self, status: str) -> None:
        data = {"object_data": {"dataObjectApiName": "PersonnelObj", "_id": _EMPLOYEE, "status": status}}
        self._send("update", data, user=self.credentials["user"])

    def _record(self, of: str, name: str) -> str:
        return str(next(row["_id"] for row in self._query(of, ("_id", "name")) if row["name"] == name))

    def _query(self, of: str, fields: Sequence[str]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        while True:
            asked = {
                "limit": 100, "offset": len(rows), "filters": [], "orders": [{"fieldName": "name", "isAsc": True}],
                "fieldProjection": list(fields),
            }  # fmt: skip
            found = self._send(
                "query", {"dataObjectApiName": of, "search_query_info": asked}, user=self.credentials["user"]
            )["data"]["dataList"]
            rows += found
            if len(found) < 100:
                return rows

    def _send(
        self, verb: str, data: Mapping[str, Any], *, user: str = _EMPLOYEE, **more: Any
    ) -> dict[str, Any]:
        self._token = self._token or self._sign_in()
        headers = {"Authorization": f"Bearer {self._token}", "x-fs-ea": "sandbox", "x-fs-userid": user}
        found: dict[str, Any] = self.client.post(
            f"/cgi/crm/v2/data/{verb}", headers=headers, json={"data": dict(data), **more}
        ).json()
        match found["errorCode"]:
            case 0:
                return found
            case 10006:
                raise LockedOut(str(found["errorMessage"]))
            case _:
                raise FatalError(f"the sandbox says to {verb}: {found['errorMessage']}")

    def _sign_in(self) -> str:
        said = {"appId": "app_id", "appSecret": "app_secret", "permanentCode": "permanent_code"}
        body = {name: self.credentials[key] for name, key in said.items()} | {"grantType": "app_secret"}
        return str(self.client.post("/oauth2.0/token", json=body).json()["accessToken"])
