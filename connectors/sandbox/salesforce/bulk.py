"""Bulk API 2.0: jobs that query into CSV and that load CSV, done by a thread of the sandbox.

Vendor's "Bulk API 2.0"; states, columns and limits as in the protocol sheet.
"""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from starlette.responses import Response, StreamingResponse

from connectors.sandbox.records import PLAIN, Write
from connectors.sandbox.salesforce.calls import Call, answer, nothing
from connectors.sandbox.salesforce.errors import SalesforceError, not_found, worded
from connectors.sandbox.salesforce.ids import numbered
from connectors.sandbox.salesforce.metadata import Entity, Info
from connectors.sandbox.salesforce.org import Org
from connectors.sandbox.salesforce.querying import bulk_bound, csv_header, csv_rows
from connectors.sandbox.salesforce.spool import Spool
from connectors.sandbox.salesforce.writes import Writer
from connectors.sandbox.values import instant
from connectors.sandbox.violations import Violation

_DELIMITERS = {"COMMA": ",", "TAB": "\t", "PIPE": "|", "SEMICOLON": ";", "CARET": "^", "BACKQUOTE": "`"}
_LINE_ENDS = {"LF": "\n", "CRLF": "\r\n"}
_OPERATIONS = ("insert", "update", "upsert", "delete", "hardDelete")
_CHUNK = 200
"""Rows a transaction: the API's batches of 10,000 are cut so too, and others get their turn between."""
_MOST_BYTES = 150 * 1024 * 1024
_PAGE = 50_000


@dataclass(slots=True)
class Job:
    """A job of either kind."""

    id: str
    operation: str
    object: str
    settings: dict[str, str]
    version: str
    created: str
    user: str
    state: str = "Open"
    query: str = ""
    key: str = ""
    write: Write = PLAIN
    data: bytes = b""
    error: str = ""
    processed: int = 0
    failed: int = 0
    rows: Spool | None = None
    """Of a query."""
    good: Spool | None = None
    bad: Spool | None = None
    left: Spool | None = None
    """Rows that were not tried."""

    @property
    def delimiter(self) -> str:
        """Between two values."""
        return _DELIMITERS[self.settings["columnDelimiter"]]

    @property
    def line_end(self) -> str:
        """After a row."""
        return _LINE_ENDS[self.settings["lineEnding"]]

    def spool(self, header: list[str]) -> Spool:
        """An empty file of the job's own style."""
        return Spool(header, delimiter=self.delimiter, line_end=self.line_end)

    def json(self) -> dict[str, Any]:
        """As the API tells it."""
        found: dict[str, Any] = {
            "id": self.id, "operation": self.operation, "object": self.object, "createdById": self.user,
            "createdDate": self.created, "systemModstamp": self.created, "state": self.state,
            "concurrencyMode": "Parallel", "contentType": "CSV", "apiVersion": float(self.version.removeprefix("v")),
            **self.settings,
        }  # fmt: skip
        if self.query:
            return found
        if self.key:
            found["externalIdFieldName"] = self.key
        if self.state == "Open":
            found["contentUrl"] = f"services/data/{self.version}/jobs/ingest/{self.id}/batches"
        return found

    def progress(self) -> dict[str, Any]:
        """With what was done so far."""
        found = self.json() | {
            "retries": 0, "totalProcessingTime": 1, "numberRecordsProcessed": self.processed, "isPkChunkingSupported": True,
        }  # fmt: skip
        if not self.query:
            found |= {
                "numberRecordsFailed": self.failed,
                "apiActiveProcessingTime": 1,
                "apexProcessingTime": 0,
            }
        return found | ({"errorMessage": self.error} if self.error else {})


@dataclass(slots=True)
class Bulk:
    """All jobs of an organisation."""

    org: Org
    jobs: dict[str, Job] = field(default_factory=dict)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, "bulk"))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # -- queries ---------------------------------------------------------------------------------------------

    def query(self, call: Call) -> Response:
        """POST /jobs/query."""
        body = call.json()
        operation = str(body.get("operation", ""))
        if operation not in {"query", "queryAll"}:
            raise SalesforceError("INVALIDOPERATION", f"{operation} is no operation of a query job")
        text = str(body.get("query", ""))
        bound = bulk_bound(self.org, text, deleted_too=operation == "queryAll")
        job = self._new(call, operation, bound.entity.name, body)
        job.query, job.state = text, "UploadComplete"
        self._pool.submit(self._run_query, job)
        return answer(job.json() | {"state": "UploadComplete"})

    def _run_query(self, job: Job) -> None:
        self._work(job)
        try:
            bound = bulk_bound(self.org, job.query, deleted_too=job.operation == "queryAll")
            job.rows = job.spool(csv_header(bound))
            for block in csv_rows(self.org, bound):
                if job.state == "Aborted":
                    return
                job.rows.add(block)
                job.processed = len(job.rows)
            job.state = "JobComplete"
        except (SalesforceError, Violation) as error:
            job.state, job.error = "Failed", str(error)

    def results(self, call: Call) -> Response:
        """GET /jobs/query/ID/results: a page; its locator is the string 'null' on the last one."""
        job = self._of(call, query=True)
        if call.version != job.version:
            raise SalesforceError(
                "API_ERROR", "the job was created in another version of the API", status=409
            )
        if job.state != "JobComplete" or job.rows is None:
            raise SalesforceError("INVALIDJOBSTATE", f"Job results are not ready: {job.state}")
        asked, locator = call.query.get("maxRecords", ""), call.query.get("locator", "")
        count = int(asked) if asked.isdigit() and int(asked) else _PAGE
        start = _place(locator)
        if start > len(job.rows):
            raise SalesforceError("INVALID_LOCATOR", f"invalid locator {locator}")
        end = min(start + count, len(job.rows))
        headers = {
            "Sforce-Locator": _locator(end) if end < len(job.rows) else "null",
            "Sforce-NumberOfRecords": str(end - start),
        }
        return StreamingResponse(job.rows.page(start, count), headers=headers, media_type="text/csv")

    # -- loads -----------------------------------------------------------------------------------------------

    def ingest(self, call: Call) -> Response:
        """POST /jobs/ingest."""
        body = call.json()
        operation = str(body.get("operation", ""))
        if operation not in _OPERATIONS:
            raise SalesforceError("INVALIDOPERATION", f"{operation} is no operation of an ingest job")
        entity = self.org.entities.get(str(body.get("object", "")).casefold())
        if entity is None:
            raise SalesforceError("INVALIDENTITY", f"{body.get('object')} is not an object of the Bulk API")
        job = self._new(call, operation, entity.name, body)
        job.key, job.write = str(body.get("externalIdFieldName") or ""), call.writer.write
        if operation == "upsert":
            info = entity.find(job.key)
            if info is None or not info.key:
                del self.jobs[job.id]
                raise SalesforceError(
                    "INVALIDJOB",
                    f"InvalidJob : Field name provided, {job.key} does not match an External ID, Salesforce Id, or indexed field for {entity.name}",
                )
        return answer(job.json())

    def upload(self, call: Call) -> Response:
        """PUT /jobs/ingest/ID/batches: the whole data, once."""
        job = self._of(call, query=False)
        if job.state != "Open" or job.data:
            raise SalesforceError(
                "INVALIDJOBSTATE",
                f"Found multiple contents for job: <{job.id}>, please 'Close' / 'Abort' / 'Delete' the current Job then create a new Job and make sure you only do 'PUT' once on a given Job.",
            )
        if len(call.body) > _MOST_BYTES:
            raise SalesforceError("CLIENT_INPUT_ERROR", "the upload is larger than 150 MB")
        job.data = call.body
        return Response(status_code=201)

    def _run_ingest(self, job: Job) -> None:
        self._work(job)
        entity = self.org.entity(job.object)
        try:
            header, rows = _parsed(job)
            columns = _Columns(Writer(self.org, job.write), entity, job, header)
        except SalesforceError as error:
            job.state, job.error, job.left = "Failed", error.message, job.spool([])
            return
        job.good, job.bad = (job.spool([first, second, *header]) for first, second in (("sf__Id", "sf__Created"), ("sf__Id", "sf__Error")))  # fmt: skip
        job.left = job.spool(header)
        while part := list(islice(rows, _CHUNK)):
            if job.state == "Aborted":
                job.left.add(part)
                continue
            self._batch(job, columns, part)
        job.data = b""
        if job.state != "Aborted":
            job.state = "JobComplete"

    def _batch(self, job: Job, columns: _Columns, rows: list[list[str]]) -> None:
        """Rows in one transaction, each of them by itself."""
        good, bad = [], []
        with self.org.store.transaction():
            for row in rows:
                try:
                    record, created = columns.write(row)
                    good.append([record, "true" if created else "false", *row])
                except (SalesforceError, Violation) as error:
                    told = worded(error) if isinstance(error, Violation) else error
                    bad.append([columns.id_in(row), _in_bulk(told).of_bulk(), *row])
        if job.good is not None and job.bad is not None:
            job.good.add(good)
            job.bad.add(bad)
        job.processed += len(rows)
        job.failed += len(bad)

    def outcome(self, call: Call) -> Response:
        """GET /jobs/ingest/ID/successfulResults, failedResults and unprocessedrecords."""
        job = self._of(call, query=False)
        kinds = {"successfulresults": job.good, "failedresults": job.bad, "unprocessedrecords": job.left}
        kind = call.path["kind"].casefold()
        if kind not in kinds:
            raise not_found()
        if job.state not in {"JobComplete", "Failed", "Aborted"}:
            raise SalesforceError("INVALIDJOBSTATE", f"the job is not over: {job.state}")
        spool = kinds[kind]
        return StreamingResponse(iter([b"\n"]) if spool is None else spool.whole(), media_type="text/csv")

    # -- both ------------------------------------------------------------------------------------------------

    def job(self, call: Call) -> Response:
        """GET, PATCH and DELETE /jobs/KIND/ID."""
        job = self._of(call, query=call.path["kind"] == "query")
        match call.method:
            case "GET":
                return answer(job.progress())
            case "DELETE":
                if job.state not in {"UploadComplete", "JobComplete", "Aborted", "Failed"}:
                    raise SalesforceError("INVALIDJOBSTATE", f"a job in state {job.state} cannot be deleted")
                del self.jobs[job.id]
                return nothing()
            case _:
                return self._move(job, str(call.json().get("state", "")))

    def listed(self, call: Call) -> Response:
        """GET /jobs/KIND."""
        query = call.path["kind"] == "query"
        return answer(
            {"done": True, "records": [job.json() for job in self.jobs.values() if bool(job.query) is query]}
        )

    def _move(self, job: Job, state: str) -> Response:
        if state == "Aborted" and job.state not in {"JobComplete", "Failed"}:
            job.state = state
            if job.left is None and not job.query and job.data:
                header, rows = _parsed(job)
                job.left = job.spool(header)
                job.left.add(list(rows))
        elif state == "UploadComplete" and job.state == "Open" and not job.query:
            job.state = state
            self._pool.submit(self._run_ingest, job)
        else:
            raise SalesforceError(
                "INVALIDJOBSTATE", f"Transition from {job.state} to {state} is not permitted"
            )
        return answer(job.json() | {"state": state})

    def _work(self, job: Job) -> None:
        if job.state == "UploadComplete":
            job.state = "InProgress"
        if self.org.switches.bulk_seconds:
            self.org.clock.sleep(self.org.switches.bulk_seconds)

    def _new(self, call: Call, operation: str, object_name: str, body: dict[str, Any]) -> Job:
        settings = {
            "lineEnding": str(body.get("lineEnding") or "LF"),
            "columnDelimiter": str(body.get("columnDelimiter") or "COMMA"),
        }
        if settings["lineEnding"] not in _LINE_ENDS or settings["columnDelimiter"] not in _DELIMITERS:
            raise SalesforceError("INVALIDJOB", f"unknown style of CSV: {settings}")
        now = f"{instant(self.org.clock.now())[:23]}+0000"
        with self._lock:
            name = numbered("750", len(self.jobs) + 1 + int(self.org.clock.monotonic() * 1000))
            job = Job(name, operation, object_name, settings, call.version, now, self.org.user)
            self.jobs[name] = job
        return job

    def _of(self, call: Call, *, query: bool) -> Job:
        job = self.jobs.get(call.path["id"])
        if job is None or bool(job.query) is not query:
            raise not_found()
        return job


class _Columns:
    """The columns of an upload, and what to do with a row of it."""

    def __init__(self, writer: Writer, entity: Entity, job: Job, header: list[str]) -> None:
        self.writer, self.entity, self.operation = writer, entity, job.operation
        self.header = header
        self.key = writer.key(entity, job.key) if job.operation == "upsert" else None
        self.id = next((place for place, name in enumerate(header) if name.casefold() == "id"), None)
        if job.operation in {"update", "delete", "hardDelete"} and self.id is None:
            raise SalesforceError("INVALIDBATCH", "InvalidBatch : Field name not found : Id")
        self.fields = [self._field(name) for name in header]

    def _field(self, name: str) -> tuple[str, Info | None]:
        """A column's field, or the relationship and key of a parent: 'Account.Ext__c', 'Who:Contact.Email'."""
        first, _, rest = name.partition(".")
        relationship = first.partition(":")[0]
        info = self.entity.find(first) if not rest else self.entity.through(relationship)
        if info is None:
            raise SalesforceError("INVALIDBATCH", f"InvalidBatch : Field name not found : {name}")
        return (name if rest else info.name), info

    def id_in(self, row: list[str]) -> str:
        """The id the row names itself."""
        return row[self.id] if self.id is not None and self.id < len(row) else ""

    def write(self, row: list[str]) -> tuple[str, bool]:
        """Do what the job is for; returns the record's id and whether it is new."""
        if len(row) != len(self.header):
            raise SalesforceError(
                "INVALIDBATCH", f"The row has {len(row)} columns, the header {len(self.header)}"
            )
        match self.operation:
            case "insert":
                return self.writer.create(self.entity, self._body(row)), True
            case "upsert" if self.key is not None:
                body = self._body(row)
                value = self.id_in(row) if self.key.name == "Id" else str(body.pop(self.key.name, "") or "")
                if self.key.name == "Id" and not value:
                    return self.writer.create(self.entity, body), True
                return self.writer.upsert(self.entity, self.key, value, body)
            case "update":
                self.writer.update(self.entity, self._own(row), self._body(row))
            case "delete":
                self.writer.delete(self.entity, self._own(row))
            case _:
                self.writer.org.store.purge(self.entity.name, self._own(row))
        return self._own(row), False

    def _own(self, row: list[str]) -> str:
        if not self.id_in(row):
            raise SalesforceError("MISSING_ARGUMENT", "Id not specified in an update call", ("Id",))
        return self.writer.id_of(self.entity, self.id_in(row))

    def _body(self, row: list[str]) -> dict[str, Any]:
        """Values by field; an empty cell says nothing, #N/A empties the field."""
        body: dict[str, Any] = {}
        for (name, info), text in zip(self.fields, row, strict=True):
            if text == "" or name == "Id" or info is None:
                continue
            value = None if text == "#N/A" else text
            if "." in name:
                parent, _, key = name.partition(".")
                relationship, _, kind = parent.partition(":")
                body[relationship] = {key: value, **({"type": kind} if kind else {})}
            else:
                body[name] = value
        return body


def _in_bulk(error: SalesforceError) -> SalesforceError:
    """What refuses a whole call of JSON is the matter of one row in CSV."""
    if error.code != "JSON_PARSER_ERROR":
        return error
    return SalesforceError("INVALID_TYPE_ON_FIELD_IN_RECORD", error.message, error.fields)


def _parsed(job: Job) -> tuple[list[str], Iterator[list[str]]]:
    """Header and rows of an upload. Raises `SalesforceError` when it is no CSV of the job's style."""
    try:
        text = job.data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SalesforceError("INVALIDBATCH", "InvalidBatch : the data is not UTF-8") from error
    first = text.partition("\n")[0]
    if first.endswith("\r") is not (job.line_end == "\r\n"):
        raise SalesforceError(
            "CLIENTINPUTERROR",
            f"ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is {job.settings['lineEnding']}",
        )
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=job.delimiter)
    header = next(rows, [])
    if not header:
        raise SalesforceError("INVALIDBATCH", "InvalidBatch : the data has no header")
    return header, (row for row in rows if row)


def _locator(place: int) -> str:
    return format(place, "x").rjust(8, "0") + "L"


def _place(locator: str) -> int:
    if locator in {"", "null"}:
        return 0
    try:
        return int(locator.removesuffix("L"), 16)
    except ValueError as error:
        raise SalesforceError("INVALID_LOCATOR", f"invalid locator {locator}") from error
