"""Records one by one, queries, describe, limits, feeds of changes, and files, as the REST API has them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from starlette.responses import Response

from connectors.sandbox.limits import Meter
from connectors.sandbox.reading import Read
from connectors.sandbox.salesforce import describing
from connectors.sandbox.salesforce.binding import bind
from connectors.sandbox.salesforce.calls import Call, answer, created, nothing
from connectors.sandbox.salesforce.errors import SalesforceError, not_found
from connectors.sandbox.salesforce.ids import canonical
from connectors.sandbox.salesforce.metadata import Entity
from connectors.sandbox.salesforce.querying import Queries, records
from connectors.sandbox.salesforce.soql import parse
from connectors.sandbox.values import instant
from connectors.sandbox.where import Compare, Every, Operator, Order, Path, Rows

_LOG_DAYS = 15
_UPDATED_DAYS = 30


def sobjects(call: Call) -> Response:
    """GET /sobjects."""
    return answer(describing.listed(call.org, call.version))


def sobject(call: Call) -> Response:
    """GET and POST /sobjects/X."""
    entity = call.org.resource(call.path["name"])
    if call.method == "GET":
        return answer(describing.basic(entity, call.version))
    return answer(created(call.writer.create(entity, _posted(call))), 201)


def describe(call: Call) -> Response:
    """GET /sobjects/X/describe."""
    return answer(describing.described(call.org, call.org.resource(call.path["name"]), call.version))


def record(call: Call) -> Response:
    """GET, PATCH and DELETE /sobjects/X/ID."""
    entity, wanted = call.org.resource(call.path["name"]), call.path["id"]
    match call.method:
        case "GET":
            return answer(_fetched(call, entity, call.writer.id_of(entity, wanted)))
        case "PATCH":
            call.writer.update(entity, wanted, call.json())
        case _:
            call.writer.delete(entity, wanted)
    return nothing()


def by_key(call: Call) -> Response:
    """GET, PATCH (upsert) and DELETE /sobjects/X/FIELD/VALUE."""
    entity = call.org.resource(call.path["name"])
    info = entity.find(call.path["field"])
    if info is None or not info.key:
        own = canonical(call.path["field"])
        if own and call.method == "GET":
            return _blob(call, entity, own)
    key, value = call.writer.key(entity, call.path["field"]), call.path["value"]
    try:
        if call.method == "PATCH":
            made, new = call.writer.upsert(entity, key, value, call.json())
            if new:
                return answer({**created(made), "created": True}, 201)
            return answer({**created(made), "created": False}) if _api(call) >= 46 else nothing()
        found = call.writer.found(entity, key, value)
        if not found:
            raise not_found()
        if call.method == "DELETE":
            call.writer.delete(entity, found[0])
            return nothing()
        return answer(_fetched(call, entity, found[0]))
    except SalesforceError as error:
        if error.status == 300:
            base = f"/services/data/{call.version}/sobjects/{entity.name}"
            return answer([f"{base}/{item}" for item in error.others], 300)
        raise


def _api(call: Call) -> float:
    return float(call.version.removeprefix("v"))


def _fetched(call: Call, entity: Entity, wanted: str) -> Any:
    names = call.query.get("fields") or ",".join(
        item.name for item in entity.fields.values() if item.type != "base64"
    )
    bound = bind(call.org, parse(f"SELECT {names} FROM {entity.name}"))
    if call.org.store.get(entity.name, wanted) is None:
        if call.org.store.get(entity.name, wanted, rows=Rows.BIN):
            raise SalesforceError("ENTITY_IS_DELETED", "entity is deleted", status=404)
        raise not_found()
    return records(call.org, bound, [wanted], call.version)[0]


def _blob(call: Call, entity: Entity, wanted: str) -> Response:
    """GET /sobjects/X/ID/FIELD: the bytes of a file."""
    info = entity.find(call.path["value"])
    row = call.org.store.get(entity.name, wanted)
    if info is None or info.type != "base64" or row is None:
        raise not_found()
    data = row[info.name]
    return Response(data if isinstance(data, bytes) else b"", media_type="application/octet-stream")


def _posted(call: Call) -> dict[str, Any]:
    """The body of a create: JSON, or multipart with a part of JSON and one of bytes."""
    kind = call.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        return call.json()
    import base64

    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + call.body)
    found: dict[str, Any] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        data = part.get_payload(decode=True)
        content = data if isinstance(data, bytes) else b""
        if part.get_content_type() == "application/json":
            found = json.loads(content) | found
        else:
            found[str(name)] = base64.b64encode(content).decode()
    return found


# -- queries and limits ----------------------------------------------------------------------------------------


class Answers:
    """Handlers that keep something between calls: cursors, and the count of calls."""

    def __init__(self, queries: Queries) -> None:
        self.queries = queries
        self.meter: Meter | None = None

    def counted_by(self, meter: Meter) -> None:
        """What counts the calls."""
        self.meter = meter

    def query(self, call: Call) -> Response:
        """GET /query."""
        return answer(self.queries.first(_soql(call), call.version, deleted_too=False, page=_page(call)))

    def query_all(self, call: Call) -> Response:
        """GET /queryAll: deleted records too."""
        return answer(self.queries.first(_soql(call), call.version, deleted_too=True, page=_page(call)))

    def more(self, call: Call) -> Response:
        """GET /query/LOCATOR."""
        return answer(self.queries.more(call.path["locator"], call.version, _page(call)))

    def limits(self, _: Call) -> Response:
        """GET /limits."""
        most, used = 100_000, 0
        if self.meter:
            most, used = self.meter.limits.daily or most, self.meter.used
        found = {"DailyApiRequests": {"Max": most, "Remaining": max(0, most - used)}}
        for name, allowance in (
            ("DailyBulkApiBatches", 15_000), ("DailyBulkV2QueryJobs", 10_000),
            ("DailyBulkV2QueryFileStorageMB", 976_562), ("DataStorageMB", 200_000), ("FileStorageMB", 200_000),
        ):  # fmt: skip
            found[name] = {"Max": allowance, "Remaining": allowance}
        return answer(found)


def _soql(call: Call) -> str:
    text = call.query.get("q", "")
    if not text:
        raise SalesforceError("MALFORMED_QUERY", "A query string has to be specified")
    return text


def _page(call: Call) -> int:
    asked = call.headers.get("sforce-query-options", "").casefold().partition("batchsize=")[2]
    most = call.org.switches.page_rows
    return min(max(int(asked), 200), most) if asked.isdigit() else most


def counts(call: Call) -> Response:
    """GET /limits/recordCount: objects without records are left out."""
    wanted = [name for name in call.query.get("sObjects", "").split(",") if name]
    entities = [call.org.resource(name) for name in wanted] or list(call.org.entities.values())
    found = [(call.org.store.count(item.name), item.name) for item in entities]
    return answer({"sObjects": [{"count": count, "name": name} for count, name in found if count]})


def versions(call: Call) -> Response:
    """GET /services/data/vNN.0: what there is below."""
    base = f"/services/data/{call.version}"
    names = ("sobjects", "query", "queryAll", "limits", "composite", "jobs")
    return answer({name: f"{base}/{name}" for name in names})


# -- feeds of changes ------------------------------------------------------------------------------------------


def updated(call: Call) -> Response:
    """GET /sobjects/X/updated: ids of records changed in a span of whole minutes."""
    entity = call.org.resource(call.path["name"])
    start, end = _span(call, _UPDATED_DAYS)
    where = Every(
        (
            Compare(Path("SystemModstamp"), Operator.GREATER_EQUAL, start),
            Compare(Path("SystemModstamp"), Operator.LESS, end),
        )
    )
    read = Read(entity.name, (Path("Id"),), where, (Order(Path("SystemModstamp")),))
    ids = [row[0] for row in call.org.store.select(read)]
    if len(ids) > 600_000:
        raise SalesforceError("EXCEEDED_ID_LIMIT", "the result has more than 600000 ids")
    return answer({"ids": ids, "latestDateCovered": _covered(call, end)})


def deleted(call: Call) -> Response:
    """GET /sobjects/X/deleted: records deleted in a span of whole minutes, and since when the log reaches."""
    entity = call.org.resource(call.path["name"])
    start, end = _span(call, _LOG_DAYS)
    found = [
        {"id": item.id, "deletedDate": f"{item.at[:23]}+0000"}
        for item in call.org.store.deletions(entity.name)
        if instant(start) <= item.at < instant(end)
    ]
    if len(found) > 600_000:
        raise SalesforceError("EXCEEDED_ID_LIMIT", "the result has more than 600000 ids")
    return answer(
        {
            "deletedRecords": found,
            "earliestDateAvailable": _shown(call.org.clock.now() - timedelta(days=_LOG_DAYS)),
            "latestDateCovered": _covered(call, end),
        }
    )


def _span(call: Call, days: int) -> tuple[datetime, datetime]:
    start, end = (_minute(call, name) for name in ("start", "end"))
    if end - start < timedelta(minutes=1):
        raise SalesforceError(
            "INVALID_REPLICATION_DATE", "The end date must be at least one minute after the start date"
        )
    if start < call.org.clock.now() - timedelta(days=days, minutes=1):
        raise SalesforceError("INVALID_REPLICATION_DATE", f"startDate cannot be more than {days} days ago")
    return start, end


def _minute(call: Call, name: str) -> datetime:
    """Seconds do not count. A '+' that came as a space is one."""
    try:
        found = datetime.fromisoformat(call.query.get(name, "").replace(" ", "+"))
    except ValueError as error:
        raise SalesforceError("INVALID_REPLICATION_DATE", f"{name} is not a date and time") from error
    return found.astimezone(UTC).replace(second=0, microsecond=0)


def _covered(call: Call, end: datetime) -> str:
    return _shown(min(end, call.org.clock.now().replace(second=0, microsecond=0)))


def _shown(at: datetime) -> str:
    return f"{instant(at)[:23]}+0000"
