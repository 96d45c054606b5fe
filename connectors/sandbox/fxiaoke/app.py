"""The OpenAPI of a Fxiaoke sandbox as a Starlette application: POST and JSON throughout, both sign-ins."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from connectors.sandbox.fxiaoke import manners
from connectors.sandbox.fxiaoke.manners import Denied, Doorman, said, worded
from connectors.sandbox.fxiaoke.objects import ID, PERSONNEL, completed, described, listed, standard
from connectors.sandbox.fxiaoke.queries import BadQuery
from connectors.sandbox.fxiaoke.verbs import Tenant
from connectors.sandbox.fxiaoke.wire import OPEN_USER
from connectors.sandbox.moods import write_of
from connectors.sandbox.records import Store, Write
from connectors.sandbox.seed import fill, read_schemas
from connectors.sandbox.serve import SandboxApp
from connectors.sandbox.shape import Names
from connectors.sandbox.violations import Violation
from migrator.core.clock import Clock, SystemClock
from migrator.core.sandbox import SandboxOptions

Body = Mapping[str, Any]
SWITCHES: Mapping[str, type] = {"token_seconds": int, "index_seconds": int, "answer_ids": bool}
_PRESET, _CUSTOM = "/cgi/crm/v2/data", "/cgi/crm/custom/v2/data"


@dataclass(frozen=True, slots=True)
class Call:
    """A signed call: its body, and in whose name."""

    path: str
    body: Body
    user: str
    write: Write
    prefix: str = ""
    """What stands before employees in answers."""

    @property
    def data(self) -> Body:
        """Its `data`, or nothing."""
        found = self.body.get("data")
        return found if isinstance(found, dict) else {}


def make_app(options: SandboxOptions, clock: Clock | None = None) -> SandboxApp:
    """A tenant with the standard objects, those of `schema.json`, and the records of the data folder."""
    moment = clock or SystemClock()
    store = Store(
        names=Names("create_time", ("last_modified_time",), "is_deleted", "version"),
        new_id=_new_id,
        clock=moment,
        collation="BINARY",
        tick=timedelta(milliseconds=1),
    )
    for schema in standard():
        store.define(schema)
    if options.data:
        for schema in read_schemas(options.data):
            store.extend(completed(schema))
        fill(store, options.data, key=lambda _: ID)
    if store.get(PERSONNEL, manners.CREDENTIALS["user"]) is None:
        admin = {"name": "沙箱管理员", "status": "0"}
        store.insert(PERSONNEL, admin, record=manners.CREDENTIALS["user"])
    switches = options.switches
    door = Doorman(float(str(switches.get("token_seconds", 7200))), moment)
    tenant = Tenant(
        store, float(str(switches.get("index_seconds", 0))), switches.get("answer_ids", True) is not False
    )
    return SandboxApp(
        Starlette(routes=_routes(tenant, door)),
        store,
        door,
        manners.LIMITS,
        manners.CREDENTIALS,
        _snippet,
        clock=moment,
    )


def _new_id(object_name: str, number: int) -> str:
    """24 hex characters that grow; employees have short numbers from 1000 on."""
    if object_name == PERSONNEL:
        return str(1000 + number)
    return f"68fa{sum(map(ord, object_name)):08x}{number:012x}"


def _snippet(url: str, certificate: str) -> str:
    trusted = f", ca_file: '{certificate}'" if certificate else ""
    told = ", ".join(f"{name}: '{value}'" for name, value in manners.CREDENTIALS.items())
    return f"crm: {{connector: fxiaoke, host: '{url}', {told}, visible_after: 0{trusted}}}"


def _routes(tenant: Tenant, door: Doorman) -> list[Route]:
    signed: dict[str, Callable[[Call], Response]] = {
        "/cgi/crm/v2/object/list": partial(_list_objects, tenant),
        "/cgi/crm/v2/object/describe": partial(_describe, tenant),
        "/cgi/crm/v2/object/lock": partial(_lock, tenant, "1"),
        "/cgi/crm/v2/object/unlock": partial(_lock, tenant, "0"),
        f"{_PRESET}/choose": partial(_choose, tenant),
        f"{_PRESET}/return": partial(_give_back, tenant),
        f"{_CUSTOM}/findSimple": partial(_query, tenant, "field_projection"),
        f"{_CUSTOM}/findOne": partial(_find_one, tenant),
    }
    for verb, function in _VERBS.items():
        for prefix in (_PRESET, _CUSTOM):
            signed[f"{prefix}/{verb}"] = partial(_by_prefix, prefix == _CUSTOM, partial(function, tenant))
    open_paths: dict[str, Callable[[Body], Response]] = {
        manners.TOKEN: partial(_token, door),
        manners.LEGACY_TOKEN: partial(_legacy_token, door),
        "/cgi/user/getByMobile": partial(_by_mobile, tenant, door),
    }
    routes = [
        Route(path, _endpoint(partial(_signed, door, tenant, function)), methods=["POST"])
        for path, function in signed.items()
    ]
    routes += [
        Route(path, _endpoint(partial(_unsigned, function)), methods=["POST"])
        for path, function in open_paths.items()
    ]
    return [*routes, Route("/{rest:path}", _elsewhere)]


def _endpoint(answer: Callable[[Request, Body], Response]) -> Callable[[Request], Awaitable[Response]]:
    async def served(request: Request) -> Response:
        try:
            body = json.loads(await request.body() or b"null")
        except ValueError:
            return said(12004, "post body is not json")
        if not isinstance(body, dict):
            return said(12004, "post body is empty")
        try:
            return answer(request, body)
        except Violation as violation:
            denied = worded(violation)
        except Denied as error:
            denied = error
        except BadQuery as error:
            denied = Denied(error.code, error.message, error.description)
        return said(denied.code, denied.message, denied.description)

    return served


async def _elsewhere(_: Request) -> Response:
    return HTMLResponse("<!DOCTYPE html><html><body>404</body></html>", status_code=404)


def _unsigned(function: Callable[[Body], Response], _: Request, body: Body) -> Response:
    return function(body)


def _signed(
    door: Doorman, tenant: Tenant, function: Callable[[Call], Response], request: Request, body: Body
) -> Response:
    bearer = request.headers.get("authorization", "")
    if bearer:
        door.check(bearer.removeprefix("Bearer "))
        company, user = request.headers.get("x-fs-ea"), request.headers.get("x-fs-userid", "")
        right = company == manners.COMPANY
    else:
        door.check(body.get("corpAccessToken"))
        right = body.get("corpId") == manners.COMPANY_ID
        user = str(body.get("currentOpenUserId") or "").removeprefix(OPEN_USER)
    if not right:
        raise Denied(manners.BAD_TOKEN, "the cropId,cropAccessToken or authorization is error")
    employee = tenant.store.get(PERSONNEL, user)
    if employee is None or employee.get("status") == "1":  # who was stopped may not work any more
        raise Denied(manners.BAD_USER, "currentOpenUserId is illegal")
    return function(Call(request.url.path, body, user, write_of(request), "" if bearer else OPEN_USER))


def _by_prefix(custom: bool, function: Callable[[Call], Response], call: Call) -> Response:
    """Custom objects have paths of their own; what the real gateway says to a mix-up is not known."""
    data = call.data
    inner = data.get("object_data")
    name = str(
        (inner if isinstance(inner, dict) else data).get("dataObjectApiName")
        or data.get("dataObjectApiName")
        or ""
    )
    if name.endswith("__c") is not custom:
        raise Denied(manners.NO_OBJECT, f"invalid object api name: {name}")
    return function(call)


def _token(door: Doorman, body: Body) -> Response:
    if body.get("grantType") != "app_secret":
        raise Denied(manners.BAD_SECRET, "the parameter grantType is missing or illegal")
    text, life = door.issue(body)
    return said(
        0,
        "success",
        accessToken=text,
        expiresIn=life,
        ea=manners.COMPANY,
        openUserId=manners.COMPANY_ID,
        appId=body["appId"],
    )


def _legacy_token(door: Doorman, body: Body) -> Response:
    text, life = door.issue(body)
    return said(0, "success", corpAccessToken=text, corpId=manners.COMPANY_ID, expiresIn=life)


def _by_mobile(tenant: Tenant, door: Doorman, body: Body) -> Response:
    door.check(body.get("corpAccessToken"))
    found = tenant.store.find(PERSONNEL, phone=str(body.get("mobile") or "-"))
    return said(0, "success", empList=[{"openUserId": f"{OPEN_USER}{one}", "name": one} for one in found])


def _list_objects(tenant: Tenant, _: Call) -> Response:
    return said(0, "OK", data={"objects": listed(tenant.store.schemas())})


def _describe(tenant: Tenant, call: Call) -> Response:
    name = call.data.get("apiName") or call.body.get("apiName")
    return said(0, "OK", data={"describe": described(tenant.store.shape(str(name)).schema)})


def _create(tenant: Tenant, call: Call) -> Response:
    made = tenant.create(call.body, call.user, call.write)
    silent = call.path.startswith(_CUSTOM) and not tenant.answer_ids
    return said(0, "OK", "success", **({} if silent else {"dataId": made}))


def _update(tenant: Tenant, call: Call) -> Response:
    return said(0, "OK", "success", dataId=tenant.update(call.body, call.user, call.write))


def _get(tenant: Tenant, call: Call) -> Response:
    return said(0, "OK", "success", data=tenant.get(call.data, call.prefix))


def _query(tenant: Tenant, projection: str, call: Call) -> Response:
    return said(0, "OK", "success", data=tenant.query(call.body, projection, call.prefix))


def _plain_query(tenant: Tenant, call: Call) -> Response:
    return _query(tenant, "fieldProjection", call)


def _find_one(tenant: Tenant, call: Call) -> Response:
    found = tenant.query(call.body, "field_projection", call.prefix)["dataList"]
    return said(0, "OK", "success", data={"objectData": found[0] if found else None})


def _change_owner(tenant: Tenant, call: Call) -> Response:
    tenant.change_owner(call.data, call.user)
    return said(0, "OK", "success")


def _choose(tenant: Tenant, call: Call) -> Response:
    tenant.choose(call.data, call.user)
    return said(0, "OK", "success")


def _give_back(tenant: Tenant, call: Call) -> Response:
    tenant.give_back(call.data, call.user)
    return said(0, "OK", "success")


def _lock(tenant: Tenant, status: str, call: Call) -> Response:
    tenant.lock(call.data, call.user, status)
    return said(0, "OK", "success")


def _invalid(tenant: Tenant, call: Call) -> Response:
    tenant.invalidate(call.data, call.write)
    return said(0, "OK", "success")


def _recover(tenant: Tenant, call: Call) -> Response:
    tenant.recover(call.data)
    return said(0, "OK", "success")


def _delete(tenant: Tenant, call: Call) -> Response:
    tenant.delete(call.data)
    return said(0, "OK", "success")


_VERBS: Mapping[str, Callable[[Tenant, Call], Response]] = {
    "create": _create, "update": _update, "get": _get, "query": _plain_query, "changeOwner": _change_owner,
    "invalid": _invalid, "recover": _recover, "delete": _delete,
}  # fmt: skip
