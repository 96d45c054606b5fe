"""Bulk API 2.0: jobs that query into CSV and that load CSV, done by a thread of the sandbox.

Vendor's "Bulk API 2.0"; states, columns and limits as in the protocol sheet.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from starlette.responses import Response, StreamingResponse

from connectors.sandbox.salesforce.calls import Call, answer, nothing
from connectors.sandbox.salesforce.columns import Columns
from connectors.sandbox.salesforce.errors import SalesforceError, not_found, worded
from connectors.sandbox.salesforce.ids import numbered
from connectors.sandbox.salesforce.jobs import DELIMITERS, LINE_ENDS, Job, parsed
from connectors.sandbox.salesforce.org import Org
from connectors.sandbox.salesforce.querying import bulk_bound, csv_header, csv_rows
from connectors.sandbox.salesforce.writes import Writer
from connectors.sandbox.values import instant
from connectors.sandbox.violations import Violation

_OPERATIONS = ("insert", "update", "upsert", "delete", "hardDelete")
_CHUNK = 200
"""Rows a transaction: the API's batches of 10,000 are cut so too, and others get their turn between."""
_MOST_BYTES = 150 * 1024 * 1024
_PAGE = 50_000


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
            header, rows = parsed(job)
            columns = Columns(
                Writer(self.org, job.write, job.user, self.org.is_reader(job.user)), entity, job, header
            )
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

    def _batch(self, job: Job, columns: Columns, rows: list[list[str]]) -> None:
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
                header, rows = parsed(job)
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
        if settings["lineEnding"] not in LINE_ENDS or settings["columnDelimiter"] not in DELIMITERS:
            raise SalesforceError("INVALIDJOB", f"unknown style of CSV: {settings}")
        now = f"{instant(self.org.clock.now())[:23]}+0000"
        with self._lock:
            name = numbered("750", len(self.jobs) + 1 + int(self.org.clock.monotonic() * 1000))
            job = Job(name, operation, object_name, settings, call.version, now, call.writer.me)
            self.jobs[name] = job
        return job

    def _of(self, call: Call, *, query: bool) -> Job:
        job = self.jobs.get(call.path["id"])
        if job is None or bool(job.query) is not query:
            raise not_found()
        return job


def _in_bulk(error: SalesforceError) -> SalesforceError:
    """What refuses a whole call of JSON is the matter of one row in CSV."""
    if error.code != "JSON_PARSER_ERROR":
        return error
    return SalesforceError("INVALID_TYPE_ON_FIELD_IN_RECORD", error.message, error.fields)


def _locator(place: int) -> str:
    return format(place, "x").rjust(8, "0") + "L"


def _place(locator: str) -> int:
    if locator in {"", "null"}:
        return 0
    try:
        return int(locator.removesuffix("L"), 16)
    except ValueError as error:
        raise SalesforceError("INVALID_LOCATOR", f"invalid locator {locator}") from error
