"""Signatures on a report: lines that are only ever added, each bound to the report's bytes and to the line before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from migrator.core.errors import DataError, FatalError

FILE = "signoffs.jsonl"
DECISIONS = ("accept", "accept-with-exceptions", "reject")
_START = "0" * 64


@dataclass(frozen=True, slots=True)
class Signature:
    """One line of signoffs.jsonl."""

    at: str
    role: str
    name: str
    decision: str
    """One of `DECISIONS`."""
    comment: str
    run: str
    mapping: str
    """SHA-256 over the fingerprints of all mappings of the report."""
    report: str
    """SHA-256 of report.json as a file."""
    previous: str
    """SHA-256 of the line before, 64 zeros for the first."""


def sign(
    folder: Path, *, role: str, name: str, decision: str, comment: str, at: datetime, end: str = ""
) -> Signature:
    """Add a signature to the report in `folder`; `end` is the chain's end as the ledger knows it.

    Raises `DataError` when the report or a signature was changed, and for a plain accept of a report that is not ready.
    """
    found = problems(folder, end)
    if found:
        raise DataError(
            f"{folder.name} cannot be signed: {found[0]}", hint="validate again, and sign that report"
        )
    raw, content = _report(folder)
    if decision == "accept" and content["verdict"] != "ready":
        raise DataError(
            f"the report says {content['verdict'].replace('_', ' ')}: it cannot be accepted without exceptions",
            hint="--decision accept-with-exceptions or reject",
        )
    lines = _lines(folder)
    previous = _hash(lines[-1]) if lines else _START
    made = Signature(
        at.isoformat(),
        role,
        name,
        decision,
        comment,
        str(content["run"]),
        mapping_hash(content),
        _hash(raw),
        previous,
    )
    _append(folder / FILE, json.dumps(asdict(made), ensure_ascii=False, sort_keys=True))
    return made


def signatures(folder: Path) -> tuple[Signature, ...]:
    """All signatures on the report in `folder`, oldest first; raises `DataError` for a line that is none."""
    try:
        return tuple(Signature(**json.loads(line)) for line in _lines(folder))
    except (ValueError, TypeError) as error:
        raise DataError(f"{folder / FILE} was changed: {error}", hint="restore it from a backup") from error


def chain_end(folder: Path) -> str:
    """The end of the chain, to be kept elsewhere: how many signatures there are, and the SHA-256 of the last one."""
    lines = _lines(folder)
    return f"{len(lines)} {_hash(lines[-1])}" if lines else ""


def problems(folder: Path, end: str = "") -> tuple[str, ...]:
    """What was changed since it was signed: nothing, when report and signatures are whole.

    A chain alone does not tell that its last lines were cut off; `end`, what `chain_end` once said, does.
    """
    raw, content = _report(folder)
    found = []
    if content_digest(content) != content.get("digest"):
        found.append("report.json is not as it was written")
    previous = _START
    for number, line in enumerate(_lines(folder), 1):
        try:
            item = Signature(**json.loads(line))
        except (ValueError, TypeError):
            found.append(f"signature {number} cannot be read")
            break
        if item.previous != previous:
            found.append(f"a line before signature {number} was changed or taken out")
        if item.report != _hash(raw):
            found.append(f"signature {number} ({item.name}) is for another report.json")
        elif (item.run, item.mapping) != (str(content["run"]), mapping_hash(content)):
            found.append(f"signature {number} ({item.name}) is for another run or mapping")
        previous = _hash(line)
    return (*found, *_cut_off(_lines(folder), end))


def _cut_off(lines: Sequence[bytes], end: str) -> Iterator[str]:
    count, _, last = end.partition(" ")
    if not end:
        return
    if len(lines) < int(count):
        yield f"the ledger knows of {count} signatures, here are {len(lines)}: the last were taken out"
    elif _hash(lines[int(count) - 1]) != last:
        yield f"signature {count} is not the one that the ledger knows of"


def content_digest(content: Mapping[str, Any]) -> str:
    """SHA-256 over the report's content without its own digest: what `digest` in report.json must be."""
    body = {name: value for name, value in content.items() if name != "digest"}
    text = json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def mapping_hash(content: Mapping[str, Any]) -> str:
    """One hash over all mappings of the report."""
    parts = sorted(f"{item['name']}\0{item['mapping']}" for item in content["objects"])
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _report(folder: Path) -> tuple[bytes, Mapping[str, Any]]:
    path = folder / "report.json"
    try:
        raw = path.read_bytes()
        return raw, json.loads(raw)
    except OSError as error:
        raise FatalError(f"cannot read {path}: {error.strerror}", hint="run: migrator validate") from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON any more: {error}", hint="run: migrator validate") from error


def _lines(folder: Path) -> list[bytes]:
    path = folder / FILE
    return [line for line in path.read_bytes().split(b"\n") if line] if path.exists() else []


def _append(path: Path, line: str) -> None:
    try:
        with path.open("ab") as stream:
            stream.write(line.encode() + b"\n")
    except OSError as error:
        raise FatalError(f"cannot write {path}: {error.strerror}", hint="is the folder read-only?") from error


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
