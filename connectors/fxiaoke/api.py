"""Calls of the OpenAPI: path, sign-in, trace, the gate by path, and the errorCode judged; one method a verb."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.fxiaoke.failures import Kind, failure, kind_of
from connectors.fxiaoke.settings import Auth, FxiaokeSettings
from connectors.fxiaoke.sign_in import TOKEN_PATHS, SignIn
from connectors.http import Answer, Bounds, Client
from migrator.core.clock import Clock, SystemClock
from migrator.core.connector import Gate, Identity, Limits
from migrator.core.errors import FatalError, RetryableError

PAGE = 100
"""Most records one query answers."""
_ANSWER_BYTES = 64 * 1024 * 1024
_DESCRIBE = "/cgi/crm/v2/object/describe"
_LIST = "/cgi/crm/v2/object/list"


class Api:
    """One tenant's OpenAPI. May be called from several threads."""

    def __init__(self, settings: FxiaokeSettings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self._http = Client(
            settings.address,
            bounds=Bounds(
                connect=min(15.0, settings.timeout), read=settings.timeout, answer_bytes=_ANSWER_BYTES
            ),
            ca_file=settings.ca_file,
            hidden=[settings.app_secret, settings.permanent_code],
        )
        self._sign_in = SignIn(settings, self._unsigned, self.clock.monotonic)

    @property
    def limits(self) -> Limits:
        """So many calls a path and window, the token's path apart, and the day's pack."""
        return self.settings.limits(TOKEN_PATHS[self.settings.auth])

    def pace(self, gate: Gate) -> None:
        """From now on every request asks this gate first; its scope is the path."""
        self._http.gate = gate

    def close(self) -> None:
        """Release the connections."""
        self._http.close()

    # -- verbs

    def identify(self) -> Identity:
        """The company that the sign-in leads to; object/list proves that the app may ask at all."""
        token = self._sign_in.token()
        self.call(_LIST, {})
        return Identity("Fxiaoke", self.settings.address, token.company, token.user)

    def objects(self) -> list[dict[str, Any]]:
        """The tenant's objects as object/list has them."""
        return _dicts(self.call(_LIST, {}), "objects")

    def describe(self, name: str) -> dict[str, Any]:
        """The description of one object."""
        assume = self.settings.assume
        body: dict[str, Any] = {"data": {}}
        (body if assume.include_detail == "top" else body["data"])["includeDetail"] = False
        if assume.describe_name in ("both", "data"):
            body["data"]["apiName"] = name
        if assume.describe_name in ("both", "top"):
            body["apiName"] = name
        found = self.call(_DESCRIBE, body).get("describe")
        if not isinstance(found, dict):
            raise _strange(_DESCRIBE, "a description")
        return found

    def query(
        self,
        name: str,
        filters: Sequence[Mapping[str, Any]],
        *,
        order: str = "_id",
        ascending: bool = True,
        fields: Sequence[str] = (),
        limit: int = PAGE,
    ) -> list[dict[str, Any]]:
        """At most `limit` records; `fields` empty means all."""
        info: dict[str, Any] = {
            "limit": limit,
            "offset": 0,
            "filters": list(filters),
            "orders": [{"fieldName": order, "isAsc": ascending}],
        }
        if fields:
            info["fieldProjection"] = list(dict.fromkeys(("_id", *fields)))
        path = f"{prefix(name)}/query"
        data = self.call(
            path,
            {
                "returnTotalNum": 3,
                "data": {
                    "dataObjectApiName": name,
                    "find_explicit_total_num": False,
                    "search_query_info": info,
                },
            },
        )
        if "dataList" not in data and "_id" in data:
            return [data]  # some pages of the documentation show the record itself
        return _dicts(data, "dataList")

    def count(self, name: str) -> int | None:
        """Records of an object, when the flag of the settings brings a total."""
        flag = self.settings.assume.totals
        data: dict[str, Any] = {
            "dataObjectApiName": name,
            "find_explicit_total_num": flag == "find_explicit_total_num",
            "search_query_info": {"limit": 1, "offset": 0, "filters": [], "orders": []},
        }
        body: dict[str, Any] = {
            "returnTotalNum": 1 if flag == "returnTotalNum" else 3,
            "data": data,
        }
        if flag == "need_return_count_num":
            body[flag] = True
        total = self.call(f"{prefix(name)}/query", body).get("total")
        return total if isinstance(total, int) and total > 0 else None

    def get(self, name: str, record_id: str) -> dict[str, Any]:
        """One record by its id, past the index of queries; raises `CallRefused` when it is not there."""
        data = self.call(
            f"{prefix(name)}/get", {"data": {"dataObjectApiName": name, "objectDataId": record_id}}
        )
        return data if "_id" in data else _inner(data)

    def create(self, name: str, values: Mapping[str, Any]) -> str | None:
        """The id of a record made of `values`; None when it was made and the answer does not say (custom objects)."""
        settings = self.settings
        data: dict[str, Any] = {"object_data": self._record(name, values), "details": {}}
        if settings.option_info:
            data["optionInfo"] = dict(settings.option_info)
        body = {
            "triggerApprovalFlow": "approval" in settings.triggers,
            "triggerWorkFlow": "workflow" in settings.triggers,
            "hasSpecifyTime": settings.audit and "create_time" in values,
            "hasSpecifyCreatedBy": settings.audit and "created_by" in values,
            "data": data,
        }
        said = self.answer(f"{prefix(name)}/create", body)
        for place in (said, said.get("data")):
            made = place.get("dataId") if isinstance(place, dict) else None
            if isinstance(made, str) and made:
                return made
        return None

    def update(self, name: str, record_id: str, values: Mapping[str, Any]) -> None:
        """Set fields of one record; the owner is not among them."""
        data: dict[str, Any] = {"object_data": self._record(name, {"_id": record_id, **values})}
        if self.settings.edit_locked and name.endswith("__c"):
            data["skipDataStatusValidate"] = True
        body = {
            "triggerApprovalFlow": "approval" in self.settings.triggers,
            "triggerWorkFlow": "workflow" in self.settings.triggers,
            "data": data,
        }
        self.answer(f"{prefix(name)}/update", body)

    def change_owner(self, name: str, record_id: str, owner: str) -> None:
        """Give one record to another employee."""
        spelled = [owner] if self.settings.assume.owner_id == "list" else f"[{owner}]"
        change = {"dataObjectApiName": name, "Data": [{"objectDataId": record_id, "ownerId": spelled}]}
        self.answer(f"{prefix(name)}/changeOwner", {"data": change})

    def claim(self, name: str, record_id: str) -> None:
        """Take one record out of its pool, for the user who asks."""
        self.answer("/cgi/crm/v2/data/choose", {"data": {"apiName": name, "objectIds": [record_id]}})

    def invalidate(self, name: str, record_id: str) -> None:
        """Soft delete of one record."""
        self.answer(
            f"{prefix(name)}/invalid", {"data": {"dataObjectApiName": name, "object_data_id": record_id}}
        )

    def delete(self, name: str, record_ids: Sequence[str]) -> None:
        """Delete invalidated records for good."""
        self.answer(
            f"{prefix(name)}/delete", {"data": {"dataObjectApiName": name, "idList": list(record_ids)}}
        )

    def recover(self, name: str, record_ids: Sequence[str]) -> None:
        """Bring invalidated records back."""
        self.answer(
            f"{prefix(name)}/recover", {"data": {"dataObjectApiName": name, "idList": list(record_ids)}}
        )

    # -- the call

    def call(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The `data` of an answer."""
        data = self.answer(path, body).get("data")
        if not isinstance(data, dict):
            raise _strange(path, "an object in data")
        return data

    def answer(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The whole answer to a signed call with errorCode 0; a refused token is renewed once, and only that."""
        token = self._sign_in.token()
        said, code = self._post(path, token.proof(self.settings.auth), body)
        if kind_of(code) is Kind.TOKEN:
            token = self._sign_in.renew(token)
            said, code = self._post(path, token.proof(self.settings.auth), body)
        return self._judged(path, said, code)

    def _unsigned(self, path: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> dict[str, Any]:
        said, code = self._post(path, (dict(headers), {}), body)
        return self._judged(path, said, code)

    def _post(
        self, path: str, proof: tuple[dict[str, str], dict[str, str]], body: Mapping[str, Any]
    ) -> tuple[dict[str, Any], str]:
        traced = self.settings.assume.trace == "sent" and self.settings.auth is Auth.CURRENT
        asked = f"{path}?thirdTraceId={uuid.uuid4()}" if traced else path
        headers, members = proof
        said = _object(self._http.post(asked, scope=path, headers=headers, document={**body, **members}))
        code = said.get("errorCode")
        if isinstance(code, bool) or not isinstance(code, int | str):
            raise _strange(path, "an errorCode")
        return said, str(code)

    def _judged(self, path: str, said: dict[str, Any], code: str) -> dict[str, Any]:
        if code == "0":
            return said
        if kind_of(code) is Kind.RATE:
            self._http.gate.hold(self.settings.window, path)
        if kind_of(code) is Kind.DAY:
            self._http.gate.spent(self.settings.daily, self.settings.daily)
        raise failure(code, _words(said), asked=path, wait=self.settings.window, now=self.clock.now())

    def hold(self, name: str, seconds: float) -> None:
        """Queries of an object wait so long, if there is a gate that waits."""
        self._http.gate.hold(seconds, f"{prefix(name)}/query")

    def _record(self, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """`object_data`: unlike with query and delete, the name of the object stands inside."""
        named = {"dataObjectApiName": name}
        if self.settings.assume.record_name == "full":
            named["object_describe_api_name"] = name
        return {**values, **named}


def prefix(name: str) -> str:
    """Custom objects have paths of their own."""
    return "/cgi/crm/custom/v2/data" if name.endswith("__c") else "/cgi/crm/v2/data"


def where(name: str, operator: str, values: Sequence[str]) -> dict[str, Any]:
    """One filter; values are data in JSON, so nothing in them can break out of it."""
    return {"field_name": name, "operator": operator, "field_values": list(values)}


def _object(answer: Answer) -> dict[str, Any]:
    """The body of a 200; all else never came from the gateway of the API."""
    if answer.status >= 500:
        raise RetryableError(f"{answer.asked} answered {answer.status}: {answer.excerpt()}", hint="run again")
    if answer.status != 200:
        raise FatalError(
            f"{answer.asked} answered {answer.status}: {answer.excerpt()}",
            hint="Fxiaoke answers 200 to everything: check `host` in the settings",
        )
    return answer.object()


def _words(said: Mapping[str, Any]) -> str:
    """What the system says for people: the description when it says more than the message."""
    found = [str(said[name]) for name in ("errorMessage", "errorDescription") if said.get(name)]
    return " · ".join(dict.fromkeys(found))[:500] or "no message"


def _dicts(data: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = data.get(name)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise _strange(name, "a list of objects")
    return found


def _inner(data: Mapping[str, Any]) -> dict[str, Any]:
    found = next((item for item in data.values() if isinstance(item, dict) and "_id" in item), None)
    if found is None:
        raise _strange("get", "a record")
    return found


def _strange(what: str, wanted: str) -> FatalError:
    return FatalError(
        f"{what}: the answer has not {wanted}",
        hint="this is not how the API is documented: check `host`, and say it to the makers of the connector",
    )
