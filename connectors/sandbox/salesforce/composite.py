"""Many records or many requests in one call: collections, composite, tree and batch."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from starlette.responses import Response

from connectors.sandbox.salesforce.binding import bind
from connectors.sandbox.salesforce.calls import Call, Handler, answer, created
from connectors.sandbox.salesforce.errors import SalesforceError, not_found, worded
from connectors.sandbox.salesforce.ids import canonical
from connectors.sandbox.salesforce.querying import records
from connectors.sandbox.salesforce.soql import parse
from connectors.sandbox.violations import Violation

_MOST_ROWS, _MOST_CHUNKS, _MOST_READ = 200, 10, 2_000
_MOST_REQUESTS = 25
_ROLLED_BACK = SalesforceError(
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone header",
)


class _RolledBack(Exception):
    """Ends a transaction of which one row was refused."""


def _roll_back_if(failed: bool) -> None:
    if failed:
        raise _RolledBack


def collection(call: Call) -> Response:
    """POST, PATCH and DELETE /composite/sobjects."""
    if call.method == "DELETE":
        ids = [item for item in call.query.get("ids", "").split(",") if item]
        _check_size(len(ids))
        whole = call.query.get("allOrNone", "false").casefold() == "true"
        return answer(_rows(call, ids, lambda record: _deleted(call, record), whole=whole))
    body = call.json()
    given = _records(body)
    types = [_type(item) for item in given]
    if len(list(groupby(types))) > _MOST_CHUNKS:
        raise SalesforceError(
            "INVALID_INPUT", "records of too many types in turn: at most 10 chunks of one type"
        )
    act = _created if call.method == "POST" else _updated
    return answer(_rows(call, given, lambda item: act(call, item), whole=bool(body.get("allOrNone"))))


def collection_of(call: Call) -> Response:
    """POST /composite/sobjects/X: records by id, null for those that are not there."""
    entity, body = call.org.resource(call.path["name"]), call.json()
    ids, names = list(body.get("ids", ())), list(body.get("fields", ()))
    if len(ids) > _MOST_READ:
        raise SalesforceError("EXCEEDED_MAX_SIZE_REQUEST", f"at most {_MOST_READ} ids")
    bound = bind(call.org, parse(f"SELECT {','.join(names or ['Id'])} FROM {entity.name}"))
    known = [canonical(str(item)) or "" for item in ids]
    living = {record for record in known if record and call.org.store.get(entity.name, record)}
    found = records(
        call.org, bound, [record for record in dict.fromkeys(known) if record in living], call.version
    )
    by_id = {item["attributes"]["url"].rpartition("/")[2]: item for item in found}
    return answer([by_id.get(record) for record in known])


def collection_upsert(call: Call) -> Response:
    """PATCH /composite/sobjects/X/FIELD."""
    entity, body = call.org.resource(call.path["name"]), call.json()
    key, given = call.writer.key(entity, call.path["field"]), _records(body)

    def upsert(item: Mapping[str, Any]) -> dict[str, Any]:
        if _type(item).casefold() != entity.name.casefold():
            raise SalesforceError("INVALID_INPUT", "records of one type only")
        value = next((value for name, value in item.items() if name.casefold() == key.name.casefold()), None)
        rest = {name: value for name, value in item.items() if name.casefold() != key.name.casefold()}
        if value is None and key.name == "Id":
            return {**created(call.writer.create(entity, rest)), "created": True}
        try:
            made, new = call.writer.upsert(entity, key, "" if value is None else str(value), rest)
        except SalesforceError as error:
            raise (
                SalesforceError(error.code, error.message, error.fields) if error.status == 300 else error
            ) from error
        return {**created(made), "created": new}

    return answer(_rows(call, given, upsert, whole=bool(body.get("allOrNone"))))


def _records(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    given = body.get("records")
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        raise SalesforceError("JSON_PARSER_ERROR", "records must be a list of objects")
    _check_size(len(given))
    return given


def _check_size(count: int) -> None:
    if count > _MOST_ROWS:
        raise SalesforceError(
            "EXCEEDED_ID_LIMIT",
            f"record limit reached. cannot submit more than {_MOST_ROWS} records in this call",
        )


def _type(item: Mapping[str, Any]) -> str:
    kind = item.get("attributes", {}).get("type")
    if not kind:
        raise SalesforceError("INVALID_INPUT", "Each record must have attributes with its type")
    return str(kind)


def _rows(
    call: Call, given: Sequence[Any], act: Callable[[Any], dict[str, Any]], *, whole: bool
) -> list[dict[str, Any]]:
    """One answer a row, in order; with `whole` all of them or none. A value of another type refuses the call."""
    answers: list[dict[str, Any]] = []
    try:
        with call.org.store.transaction():
            for item in given:
                answers.append(_row(item, act))
            _roll_back_if(whole and not all(item["success"] for item in answers))
    except _RolledBack:
        return [
            item if not item["success"] else {"success": False, "errors": [_ROLLED_BACK.of_row()]}
            for item in answers
        ]
    return answers


def _row(item: Any, act: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    try:
        return act(item)
    except Violation as error:
        failed = worded(error)
    except SalesforceError as error:
        failed = error
    if failed.code == "JSON_PARSER_ERROR":
        raise failed
    return {"success": False, "errors": [failed.of_row()]}


def _created(call: Call, item: Mapping[str, Any]) -> dict[str, Any]:
    return created(call.writer.create(call.org.entity(_type(item)), item))


def _updated(call: Call, item: Mapping[str, Any]) -> dict[str, Any]:
    record = next((str(value) for name, value in item.items() if name.casefold() == "id"), "")
    if not record:
        raise SalesforceError("MISSING_ARGUMENT", "Id not specified in an update call")
    call.writer.update(call.org.entity(_type(item)), record, item)
    return created(canonical(record) or record)


def _deleted(call: Call, record: str) -> dict[str, Any]:
    entity = call.org.of_prefix(record)
    if entity is None or canonical(record) is None:
        raise SalesforceError("MALFORMED_ID", f"malformed id {record}")
    call.writer.delete(entity, record)
    return created(canonical(record) or record)


# -- requests in a request -------------------------------------------------------------------------------------

Route = Callable[[str, str], tuple[Handler, dict[str, str]] | None]
"""Method and path → handler and the path's parameters."""
_REFERENCE = re.compile(r"@\{([\w.\[\]]+)\}")


def composite(call: Call, route: Route) -> Response:
    """POST /composite: requests in turn; later ones may use what earlier ones answered."""
    body = call.json()
    requests = list(body.get("compositeRequest", ()))
    if not 0 < len(requests) <= _MOST_REQUESTS:
        raise SalesforceError("LIMIT_EXCEEDED", f"a composite request has 1 to {_MOST_REQUESTS} subrequests")
    whole, known, answers = bool(body.get("allOrNone")), dict[str, Any](), list[dict[str, Any]]()
    try:
        with call.org.store.transaction():
            for item in requests:
                found = _inner(call, route, _filled(item, known), str(item.get("referenceId", "")))
                answers.append(found)
                known[found["referenceId"]] = found["body"]
                _roll_back_if(whole and found["httpStatusCode"] >= 400)
    except _RolledBack:
        halted = [
            {
                "errorCode": "PROCESSING_HALTED",
                "message": "The transaction was rolled back since another operation in the same transaction failed.",
            }
        ]
        answers = [
            item if item["httpStatusCode"] >= 400 else {**item, "body": halted, "httpStatusCode": 400}
            for item in answers
        ]
        answers += [
            {"body": halted, "httpHeaders": {}, "httpStatusCode": 400, "referenceId": item.get("referenceId")}
            for item in requests[len(answers) :]
        ]
    return answer({"compositeResponse": answers})


def batch(call: Call, route: Route) -> Response:
    """POST /composite/batch: requests that know nothing of each other."""
    requests = list(call.json().get("batchRequests", ()))
    if len(requests) > _MOST_REQUESTS:
        raise SalesforceError("LIMIT_EXCEEDED", f"at most {_MOST_REQUESTS} subrequests")
    found = [
        _inner(
            call,
            route,
            {**item, "url": f"/services/data/{item.get('url', '')}", "body": item.get("richInput")},
            "",
        )
        for item in requests
    ]
    results = [{"statusCode": item["httpStatusCode"], "result": item["body"]} for item in found]
    return answer({"hasErrors": any(item["statusCode"] >= 400 for item in results), "results": results})


def tree(call: Call) -> Response:
    """POST /composite/tree/X: records with their children, all or none."""
    results: list[dict[str, Any]] = []
    try:
        with call.org.store.transaction():
            for item in _records(call.json()):
                _grow(call, item, None, results)
            _roll_back_if(any("errors" in item for item in results))
    except _RolledBack:
        failed = [item for item in results if "errors" in item]
        return answer({"hasErrors": True, "results": failed}, 400)
    return answer({"hasErrors": False, "results": results}, 201)


def _grow(
    call: Call, item: Mapping[str, Any], parent: tuple[str, str] | None, results: list[dict[str, Any]]
) -> None:
    entity = call.org.entity(_type(item))
    children = {name: value for name, value in item.items() if isinstance(value, dict) and "records" in value}
    values = {name: value for name, value in item.items() if name not in children}
    if parent:
        via = next((info for info in entity.fields.values() if parent[0] in info.references), None)
        values |= {via.name: parent[1]} if via else {}
    reference = item["attributes"].get("referenceId")
    try:
        record = call.writer.create(entity, values)
    except SalesforceError as error:
        results.append({"referenceId": reference, "errors": [error.of_row()]})
        return
    results.append({"referenceId": reference, "id": record})
    for value in children.values():
        for child in value["records"]:
            _grow(call, child, (entity.name, record), results)


def _inner(call: Call, route: Route, item: Mapping[str, Any], reference: str) -> dict[str, Any]:
    parts = urlsplit(str(item.get("url", "")))
    method = str(item.get("method", "GET")).upper()
    found = route(method, unquote(parts.path))
    body = item.get("body")
    try:
        handler, path = found or (_nowhere, {})
        inner = replace(
            call, method=method, path=path, query=dict(parse_qsl(parts.query)),
            body=b"" if body is None else json.dumps(body).encode(),
        )  # fmt: skip
        said = handler(inner)
    except Violation as error:
        said = worded(error).response()
    except SalesforceError as error:
        said = error.response()
    content = json.loads(bytes(said.body)) if said.body else None
    return {"body": content, "httpHeaders": {}, "httpStatusCode": said.status_code, "referenceId": reference}


def _nowhere(_: Call) -> Response:
    return not_found().response()


def _filled(value: Any, known: Mapping[str, Any]) -> Any:
    """`@{reference.path}` replaced by what an earlier request answered."""
    if isinstance(value, dict):
        return {name: _filled(item, known) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, known) for item in value]
    return _REFERENCE.sub(lambda match: str(_at(known, match[1])), value) if isinstance(value, str) else value


def _at(known: Mapping[str, Any], path: str) -> Any:
    found: Any = known
    for part in re.findall(r"[^.\[\]]+", path):
        try:
            found = found[int(part)] if isinstance(found, list) else found[part]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise SalesforceError(
                "PROCESSING_HALTED", f"Invalid reference specified. No value for {path} found"
            ) from error
    return found
