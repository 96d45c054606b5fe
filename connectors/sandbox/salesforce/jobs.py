"""A job of the Bulk API 2.0: what it is for, the style of its CSV, how far it is, and what became of its rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from connectors.sandbox.records import PLAIN, Write
from connectors.sandbox.salesforce.errors import SalesforceError
from connectors.sandbox.salesforce.spool import Spool

DELIMITERS = {"COMMA": ",", "TAB": "\t", "PIPE": "|", "SEMICOLON": ";", "CARET": "^", "BACKQUOTE": "`"}
LINE_ENDS = {"LF": "\n", "CRLF": "\r\n"}


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
        return DELIMITERS[self.settings["columnDelimiter"]]

    @property
    def line_end(self) -> str:
        """After a row."""
        return LINE_ENDS[self.settings["lineEnding"]]

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


def parsed(job: Job) -> tuple[list[str], Iterator[list[str]]]:
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
