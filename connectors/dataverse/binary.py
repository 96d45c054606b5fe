"""Files of records down and up: file columns in blocks, notes and attachments as base64 in their row.

Source: "Use file column data": GET …/COLUMN/$value; PATCH …/COLUMN with x-ms-transfer-mode: chunked, then the blocks to
the address of Location, 206 for each and 204 for the last.
"""

from __future__ import annotations

import base64
import binascii
import tempfile
from typing import BinaryIO, cast

from connectors.dataverse.faults import fatal
from connectors.dataverse.odata import encoded, guid, query
from connectors.dataverse.service import Service
from connectors.dataverse.tables import Table
from connectors.http_answers import Answer
from migrator.core.errors import FatalError
from migrator.core.schema import FieldType

LARGEST = 10 * 1024**3
"""Bytes the largest file column can be set to hold."""
_IN_MEMORY = 8 * 1024 * 1024
_BLOCK = 4 * 1024 * 1024


def open_file(service: Service, table: Table, reference: str) -> BinaryIO:
    """The bytes that RECORD/COLUMN names, in a temporary file when they are many."""
    record, _, column = reference.partition("/")
    attribute = table.attributes.get(column)
    if guid(record) is None or attribute is None or attribute.schema.type is not FieldType.FILE:
        raise FatalError(f"{table.name}: {reference!r} names no file", hint="it looks like RECORD-ID/COLUMN")
    address = f"{table.set_name}({guid(record)})"
    if attribute.kind != "file":
        return _embedded(service, address, column)
    into = cast("BinaryIO", tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))  # noqa: SIM115 (the caller closes it)
    answer = service.client.download(f"{address}/{column}/$value", into, limit=LARGEST)
    if answer.status != 200:
        into.close()
        raise fatal(answer)
    into.seek(0)
    return into


def write_file(service: Service, table: Table, reference: str, name: str, content: BinaryIO) -> None:
    """Put a file into the file column that RECORD/COLUMN names, in blocks; the same call again puts it there again."""
    record, _, column = reference.partition("/")
    found = guid(record)
    attribute = table.attributes.get(column)
    if found is None or attribute is None or attribute.kind != "file":
        raise FatalError(f"{table.name}.{column} is no file column of a record {record!r}")
    size = content.seek(0, 2)
    content.seek(0)
    begun = service.ask(
        "PATCH",
        f"{table.set_name}({found})/{column}?x-ms-file-name={encoded(name)}",
        headers={
            "x-ms-transfer-mode": "chunked",
            "If-Match": "*",
            "If-None-Match": "",
        },  # replace what is there
        content=b"",
    )
    link = begun.headers.get("location")
    if begun.status not in {200, 204} or not link:
        raise fatal(begun)
    _send(service, begun, link, content, size)


def _send(service: Service, begun: Answer, link: str, content: BinaryIO, size: int) -> None:
    told = begun.headers.get("x-ms-chunk-size", "")
    block = min(int(told), _IN_MEMORY) if told.isdecimal() and int(told) > 0 else _BLOCK
    start = 0
    while start < size or not size:
        data = content.read(block)
        if not data and size:
            raise FatalError(f"the file ended after {start} of {size} bytes while it was sent")
        answer = service.ask(
            "PATCH",
            link,
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Range": f"bytes {start}-{max(start + len(data) - 1, 0)}/{size}",
            },
            content=data,
        )
        if answer.status not in {204, 206}:
            raise fatal(answer)
        start += len(data)
        if not size:
            return


def _embedded(service: Service, address: str, column: str) -> BinaryIO:
    told, answer = service.one(address + query(select=column))
    value = told.get(column)
    try:
        content = base64.b64decode(value or "", validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise answer.unexpected("a file as base64") from error
    into = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 (the caller closes it)
    into.write(content)
    into.seek(0)
    return cast("BinaryIO", into)
