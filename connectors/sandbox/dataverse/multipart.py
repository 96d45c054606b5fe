"""`$batch` of the sandbox: multipart text into requests, change sets among them, and their answers back."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit
from uuid import uuid4

from connectors.sandbox.dataverse.faults import Refusal
from connectors.sandbox.records import PLAIN, Write

MOST = 1_000


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, alone or inside a batch; the path begins after the version."""

    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    content_id: str = ""
    root: str = ""
    """The absolute address of the API, as the caller says it."""
    fault: Write = PLAIN
    """What the fault schedule makes of its writes."""

    @property
    def write(self) -> Write:
        """How its writes are done: duplicate rules speak only when they are asked for."""
        asked = self.headers.get("mscrm.suppressduplicatedetection", "").casefold() == "false"
        return replace(self.fault, accept_duplicates=not asked)


@dataclass(frozen=True, slots=True)
class Reply:
    """Its answer."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """Requests that are carried out all or not at all."""

    asks: tuple[Ask, ...]


def parse(body: bytes, content_type: str, root: str) -> list[Ask | ChangeSet]:
    """The requests of a batch; raises `Refusal` for what is not CRLF multipart text."""
    found: list[Ask | ChangeSet] = []
    for head, content in _parts(body, content_type):
        inner = head.get("content-type", "")
        if inner.startswith("multipart/mixed"):
            asks = tuple(_ask(part, text, root) for part, text in _parts(content, inner))
            if any(item.method == "GET" for item in asks):
                raise _wrong("a change set holds no GET")
            found.append(ChangeSet(asks))
        else:
            found.append(_ask(head, content, root))
    if sum(len(item.asks) if isinstance(item, ChangeSet) else 1 for item in found) > MOST:
        raise _wrong(f"Number of operations in the batch exceeded the limit of {MOST}")
    return found


def within(batch: Ask, items: Sequence[Ask | ChangeSet]) -> list[Ask | ChangeSet]:
    """The requests of a batch, asked under its address and its faults."""

    def one(ask: Ask) -> Ask:
        return replace(ask, root=batch.root, fault=batch.fault)

    return [
        ChangeSet(tuple(map(one, item.asks))) if isinstance(item, ChangeSet) else one(item) for item in items
    ]


def render(replies: Sequence[Reply | tuple[Reply, ...]]) -> Reply:
    """The answer to a batch; a change set that was carried out is a part with parts of its own."""
    boundary = f"batchresponse_{uuid4()}"
    parts = []
    for item in replies:
        if isinstance(item, Reply):
            parts.append(_HEAD + _http(item))
            continue
        inner = f"changesetresponse_{uuid4()}"
        listed = b"".join(_piece(inner, _HEAD + _http(one)) for one in item)
        parts.append(
            f"Content-Type: multipart/mixed; boundary={inner}\r\n\r\n".encode()
            + listed
            + f"--{inner}--\r\n".encode()
        )
    body = b"".join(_piece(boundary, part) for part in parts) + f"--{boundary}--\r\n".encode()
    return Reply(200, body, {"Content-Type": f"multipart/mixed; boundary={boundary}"})


def carry_out(
    items: Sequence[Ask | ChangeSet],
    one: Callable[[Ask], Reply],
    together: Callable[[tuple[Ask, ...]], tuple[Reply, ...] | Reply],
    *,
    go_on: bool,
) -> list[Reply | tuple[Reply, ...]]:
    """The answers in order, up to the first failure unless it goes on."""
    replies: list[Reply | tuple[Reply, ...]] = []
    for item in items:
        reply = together(item.asks) if isinstance(item, ChangeSet) else one(item)
        replies.append(reply)
        if isinstance(reply, Reply) and reply.status >= 400 and not go_on:
            break
    return replies


_HEAD = b"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"


def _piece(boundary: str, content: bytes) -> bytes:
    return f"--{boundary}\r\n".encode() + content + b"\r\n"


def _http(reply: Reply) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} x", *(f"{name}: {value}" for name, value in reply.headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + reply.body


def _parts(body: bytes, content_type: str) -> list[tuple[dict[str, str], bytes]]:
    found = re.search(r'boundary="?([^";,\s]+)', content_type)
    if found is None:
        raise _wrong("the content type names no boundary")
    mark = b"--" + found[1].encode()
    pieces = body.split(mark)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise _wrong("the last boundary is missing")
    told = []
    for piece in pieces[1:-1]:
        head, sign, content = piece.lstrip(b"\r\n").partition(b"\r\n\r\n")
        if not sign:
            raise _wrong("lines must end with CRLF")
        told.append((_headers(head.decode()), content))
    return told


def _ask(head: dict[str, str], content: bytes, root: str) -> Ask:
    top, _, body = content.partition(b"\r\n\r\n")
    line, _, rest = top.decode().partition("\r\n")
    words = line.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/"):
        raise _wrong(f"'{line[:60]}' is no request")
    address = urlsplit(words[1])
    path = address.path.partition(root)[2] if root in address.path else address.path.lstrip("/")
    return Ask(
        words[0], path, address.query, _headers(rest), body.removesuffix(b"\r\n"), head.get("content-id", "")
    )


def _headers(text: str) -> dict[str, str]:
    lines = [line.partition(":") for line in text.split("\r\n") if ":" in line]
    return {name.strip().lower(): value.strip() for name, _, value in lines}


def _wrong(why: str) -> Refusal:
    return Refusal(400, "0x80060888", f"An error occurred while reading the batch: {why}.")
