"""`$batch`: several requests in one, each with its own answer, as multipart text and back.

Source: "Execute batch operations using the Web API": CRLF everywhere, at most 1,000 operations, answers in the order of
the requests; without `Prefer: odata.continue-on-error` it ends at the first failure.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.dataverse.faults import Fault, fatal, fault
from connectors.dataverse.odata import guid
from connectors.dataverse.service import Service
from connectors.http_answers import Answer, encode
from migrator.core.errors import RetryableError

OPERATIONS = 100
"""How many we put into one: they run one after the other, and a request may take two minutes."""
_STATUS = re.compile(rb"HTTP/1\.\d (\d{3})")
_ENTITY = re.compile(r"\(([0-9a-fA-F-]{36})\)\s*$")


@dataclass(frozen=True, slots=True)
class Operation:
    """One request of a batch."""

    method: str
    path: str
    document: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """The answer to one."""

    answer: Answer

    @property
    def done(self) -> bool:
        """Whether it was carried out."""
        return 200 <= self.answer.status < 300

    @property
    def fault(self) -> Fault:
        """Why not."""
        return fault(self.answer)

    @property
    def record(self) -> str | None:
        """The id of the record that was written, from OData-EntityId."""
        found = _ENTITY.search(self.answer.headers.get("odata-entityid", ""))
        return guid(found[1]) if found else None


def send(service: Service, operations: Sequence[Operation], headers: Mapping[str, str]) -> list[Part]:
    """The answers, one to each operation in order; those after a failed one are carried out all the same.

    Raises `RetryableError` when the service pushes back on any of them: all may be sent again.
    """
    parts: list[Part] = []
    for start in range(0, len(operations), OPERATIONS):
        parts += _once(service, operations[start : start + OPERATIONS], headers)
    return parts


def _once(service: Service, operations: Sequence[Operation], headers: Mapping[str, str]) -> list[Part]:
    boundary = f"batch_{secrets.token_hex(16)}"
    content = "".join(_written(item, boundary, service.client.address, headers) for item in operations)
    answer = service.ask(
        "POST",
        "$batch",
        prefer=("odata.continue-on-error",),
        headers={"Content-Type": f'multipart/mixed; boundary="{boundary}"', "If-None-Match": ""},
        content=f"{content}--{boundary}--\r\n".encode(),
    )
    if answer.status != 200:
        raise fatal(answer)
    parts = [Part(item) for item in _parsed(answer)]
    if len(parts) != len(operations):
        raise RetryableError(
            f"{answer.asked} answered {len(parts)} of {len(operations)} operations",
            hint="the answer was cut: run again; what was written is found by its key",
        )
    for part in parts:
        if not part.done:
            part.fault.raise_passing(answer.asked)
    return parts


def _written(item: Operation, boundary: str, address: str, headers: Mapping[str, str]) -> str:
    lines = [f"--{boundary}", "Content-Type: application/http", "Content-Transfer-Encoding: binary", ""]
    lines.append(f"{item.method} {address}{item.path} HTTP/1.1")
    lines += [
        f"{name}: {value}"
        for name, value in {"Accept": "application/json", **headers, **item.headers}.items()
    ]
    if item.document is None:
        return "\r\n".join([*lines, "", "", ""])
    return "\r\n".join([*lines, "Content-Type: application/json", "", encode(item.document).decode(), ""])


def _parsed(answer: Answer) -> list[Answer]:
    kind = answer.headers.get("content-type", "")
    found = re.search(r'boundary="?([^";,\s]+)', kind)
    if not kind.startswith("multipart/mixed") or not found:
        answer.json()  # a page for people says so itself
        raise answer.unexpected("a multipart text")
    pieces = answer.body.split(b"--" + found[1].encode())
    return [_part(piece, answer) for piece in pieces[1:] if not piece.startswith(b"--")]


def _part(piece: bytes, answer: Answer) -> Answer:
    """The answer inside a part: its own head, then its body."""
    status = _STATUS.search(piece)
    if status is None:
        raise answer.unexpected("an answer in each part")
    head, _, said = piece[status.start() :].partition(b"\r\n\r\n")
    headers: dict[str, str] = {}
    for line in head.decode("utf-8", "replace").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Answer(int(status[1]), headers, said.removesuffix(b"\r\n"), answer.asked, answer.hidden)
