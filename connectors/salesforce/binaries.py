"""Files of Salesforce: versions of content, attachments and documents, fetched and sent as streams.

Vendor's "Get Blob Data" and "Insert or Update Blob Data" of the REST API: a file is a resource below its record, and is
created with its record by a multipart request.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.compute as pc

from connectors.salesforce.client import Client
from connectors.salesforce.soql import name
from connectors.salesforce.wire import Streamed
from migrator.core.errors import FatalError

_BLOCK = 1 << 20
_SIZES = ("ContentSize", "BodyLength")
_REFERENCE = re.compile(r"([A-Za-z0-9]{15,18})/([A-Za-z][A-Za-z0-9_]*)")


def references(rows: pa.Table, field: str) -> pa.ChunkedArray:
    """`ID/FIELD` for every record; null where the record says that there are no bytes."""
    found = pc.binary_join_element_wise(rows.column("Id"), field, "/")
    size = next((item for item in _SIZES if item in rows.column_names), None)
    if size is None:
        return found
    return pc.if_else(pc.fill_null(pc.equal(rows.column(size), "0"), fill_value=False), None, found)


def download(client: Client, object_name: str, reference: str) -> BinaryIO:
    """The bytes of a file as a stream; close it."""
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        raise FatalError(f"{object_name}: {reference[:60]!r} names no file", hint="extract the object anew")
    doing = f"file {reference}"
    response = client.raw(
        doing, f"sobjects/{name(object_name)}/{found[1]}/{found[2]}", headers={"Accept": "*/*"}, stream=True
    )
    return cast("BinaryIO", Streamed(response, doing))


def with_digests(client: Client, object_name: str, rows: pa.Table, fields: Sequence[str]) -> pa.Table:
    """The rows with 'sha256:<hex>' of the bytes of each file field, each file read whole; null where there are none."""
    for field in fields:
        named = [f"{record}/{field}" for record in rows.column("Id").to_pylist()]
        digests = [_digest(download(client, object_name, reference)) for reference in named]
        rows = rows.append_column(field, pa.array(digests, pa.string()))
    return rows


def _digest(stream: BinaryIO) -> str | None:
    found, size = hashlib.sha256(), 0
    with stream:
        while block := stream.read(_BLOCK):
            found.update(block)
            size += len(block)
    return f"sha256:{found.hexdigest()}" if size else None


def upload(client: Client, object_name: str, record: str, field: str, stream: BinaryIO) -> Any:
    """Create a record (JSON without the file) together with its file; the answer of a create."""
    boundary = uuid.uuid4().hex
    body = Multipart(boundary, record, field, stream)
    return client.ask(
        f"create {object_name} with its file",
        lambda sf: sf.restful(
            f"sobjects/{name(object_name)}/",
            method="POST",
            data=body.again(),
            headers={"Content-Type": f'multipart/form-data; boundary="{boundary}"'},
        ),
    )


class Multipart(io.RawIOBase):
    """A record and its file as one request body, read as it is sent; its length is known before."""

    def __init__(self, boundary: str, record: str, field: str, stream: BinaryIO) -> None:
        super().__init__()
        filename = str(cast("Mapping[str, Any]", json.loads(record)).get("PathOnClient") or "file")
        safe = re.sub(r'[\r\n"\\]', "_", filename)
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="entity_content"\r\n'
            f"Content-Type: application/json\r\n\r\n{record}\r\n"
            f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{safe}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        self._stream = stream
        self._size = stream.seek(0, io.SEEK_END)
        self._head, self._tail = head.encode(), f"\r\n--{boundary}--\r\n".encode()
        self.again()

    def again(self) -> Multipart:
        """From the beginning, for a request that is made a second time."""
        self._stream.seek(0)
        self._parts: list[BinaryIO] = [io.BytesIO(self._head), self._stream, io.BytesIO(self._tail)]
        return self

    def __len__(self) -> int:
        return len(self._head) + self._size + len(self._tail)

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next bytes, of one part at a time; b'' at the end."""
        while self._parts:
            block = self._parts[0].read(size)
            if block:
                return block
            self._parts.pop(0)
        return b""
