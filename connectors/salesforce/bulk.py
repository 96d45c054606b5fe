"""Jobs of Bulk API 2.0: made, watched until they end, their answers read as CSV in bounded memory.

States, limits and formats: vendor's "Bulk API 2.0". The waiting between two looks at a job goes through the clock, which
tests hold; a job that is not done when its time is up stays known, and the next call with the same rows goes on watching
it instead of sending them a second time.
"""

from __future__ import annotations

import csv as python_csv
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import requests
from pyarrow import csv

from connectors.salesforce.client import Client, unexpected
from connectors.salesforce.wire import Streamed, for_people
from migrator.core.errors import FatalError, RetryableError

_CSV = {"Content-Type": "text/csv; charset=UTF-8", "Accept": "text/csv"}
_FIRST_LOOK, _LONGEST_WAIT = 0.5, 30.0
_BLOCK = 16 << 20
"""Bytes of CSV read at once: more than the largest record, which has 400,000 characters."""
_RESULT_ROWS = 20_000
"""Most records of one answer: some kilobytes each, held in memory twice."""
_ENDED = ("JobComplete", "Failed", "Aborted")
MOST_BYTES = 100 << 20
"""Of one ingest job; the limit is 150 MB after base64."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it last told of itself."""

    path: str
    state: str
    error: str


@dataclass
class Jobs:
    """The jobs of one organisation."""

    client: Client
    _begun: dict[str, str] = field(default_factory=dict)
    """Digest of what was sent → id of the ingest job that has it, until its results are read."""

    def query(self, soql: str, *, deleted_too: bool = False, page_rows: int) -> Iterator[pa.Table]:
        """The records of a query as text columns, in pages of at most `page_rows`."""
        made = self.client.rest(
            "Bulk API query", "jobs/query", method="POST",
            json={
                "operation": "queryAll" if deleted_too else "query", "query": soql, "contentType": "CSV",
                "columnDelimiter": "COMMA", "lineEnding": "LF",
            },
        )  # fmt: skip
        job = self._watched(f"jobs/query/{_id(made)}")
        if job.state != "JobComplete":
            raise FatalError(
                f"Salesforce, Bulk API query: the job ended as {job.state}: {job.error[:300]}",
                hint="set bulk_read_from: 0 to read this without the Bulk API",
            )
        yield from self._results(job.path, page_rows)

    def ingest(self, request: Mapping[str, Any], body: bytes) -> tuple[Job, Mapping[str, pa.Table]]:
        """Send one CSV and wait for its end: the job, and its successful and failed results."""
        digest = hashlib.sha256(repr(sorted(request.items())).encode() + body).hexdigest()
        known = self._begun.get(digest)
        path = known or self._sent(request, body)
        self._begun[digest] = path
        job = self._watched(path)
        results = {name: self._all(f"{path}/{name}/") for name in ("successfulResults", "failedResults")}
        del self._begun[digest]
        return job, results

    def _sent(self, request: Mapping[str, Any], body: bytes) -> str:
        made = self.client.rest("Bulk API write", "jobs/ingest", method="POST", json=dict(request))
        path = f"jobs/ingest/{_id(made)}"
        self.client.raw("Bulk API upload", f"{path}/batches", method="PUT", headers=_CSV, data=body)
        self.client.rest("Bulk API write", path, method="PATCH", json={"state": "UploadComplete"})
        return path

    def _watched(self, path: str) -> Job:
        """The job when it has ended; raises `RetryableError` when its time is up first."""
        clock, patience = self.client.clock, self.client.settings.bulk_patience_seconds
        started, wait = clock.monotonic(), _FIRST_LOOK
        while (job := _job(path, self.client.rest("Bulk API job", path))).state not in _ENDED:
            if clock.monotonic() - started > patience:
                raise RetryableError(
                    f"Salesforce, {path}: the job is still {job.state} after {patience:.0f} seconds",
                    hint="run again later: it goes on there meanwhile; see bulk_patience_seconds",
                )
            clock.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)
        return job

    def _results(self, path: str, page_rows: int) -> Iterator[pa.Table]:
        locator, seen = "", set[str]()
        while True:
            options: dict[str, Any] = {
                "maxRecords": min(page_rows, _RESULT_ROWS),
                **({"locator": locator} if locator else {}),
            }
            response = self.client.raw(
                "Bulk API results", f"{path}/results", headers=_CSV, params=options, stream=True
            )
            rows = self._rows(response)
            said = response.headers.get("Sforce-NumberOfRecords", "")
            if not said.isdigit() or int(said) != rows.num_rows:
                raise RetryableError(
                    f"Salesforce, Bulk API results: {rows.num_rows} records came, {said or 'none'} were announced",
                    hint="the answer was cut on its way: run again",
                )
            yield rows
            locator = response.headers.get("Sforce-Locator", "null")
            if locator in {"null", ""}:
                return
            if locator in seen or not rows.num_rows:
                raise unexpected("Bulk API results", "one that ends: a page came again")
            seen.add(locator)

    def _all(self, path: str) -> pa.Table:
        return self._rows(self.client.raw("Bulk API results", path, headers=_CSV, stream=True))

    def _rows(self, response: requests.Response) -> pa.Table:
        return read_csv(response, self.client.settings.answer_megabytes << 20)


def read_csv(response: requests.Response, limit: int) -> pa.Table:
    """The rows of a CSV answer of at most `limit` bytes, every value text, empty as null."""
    with closing(response), Streamed(response, "Bulk API results", limit) as stream:
        first = stream.readline(_BLOCK)
        if first.lstrip().lower().startswith((b"<!doctype", b"<html")):
            raise for_people("Salesforce, Bulk API results: the answer came")
        if "csv" not in response.headers.get("Content-Type", "").lower():
            raise unexpected("Bulk API results", f"CSV: {first[:80].decode(errors='replace')!r}")
        if not first.strip():
            return pa.table({})
        names = next(python_csv.reader([first.decode("utf-8", "replace")]), [])
        if not names or len(set(names)) != len(names):
            raise unexpected("Bulk API results", "CSV with a header")
        try:
            return csv.read_csv(
                stream,
                csv.ReadOptions(block_size=_BLOCK, use_threads=False, column_names=names),
                csv.ParseOptions(newlines_in_values=True),
                csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), null_values=[""],
                    strings_can_be_null=True, quoted_strings_can_be_null=True,
                ),
            )  # fmt: skip
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                return pa.table({name: pa.array([], pa.string()) for name in names})
            raise RetryableError(
                f"Salesforce, Bulk API results: the answer is no CSV of {len(names)} columns: cut or damaged on its way"
            ) from error


def _job(path: str, raw: Any) -> Job:
    if not isinstance(raw, Mapping) or not isinstance(raw.get("state"), str):
        raise unexpected("Bulk API job", "the state of a job")
    return Job(path, raw["state"], str(raw.get("errorMessage") or ""))


def _id(made: Any) -> str:
    found = made.get("id") if isinstance(made, Mapping) else None
    if not isinstance(found, str) or not found.isalnum():
        raise unexpected("Bulk API job", "a job with an id")
    return found
