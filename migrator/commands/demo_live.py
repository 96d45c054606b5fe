"""The live demo: two sandboxes of old CRMs and one of a new one, in processes of their own, and the main job over HTTP between them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrator.commands.demo import quarantine_sample
from migrator.commands.editor import write_json_schema
from migrator.commands.project import FILE, load_project
from migrator.commands.quarantine import Quarantined
from migrator.commands.run import Run, run
from migrator.commands.shipped import shipped
from migrator.core.connector import connector
from migrator.core.errors import FatalError, ProjectError
from migrator.core.progress import Progress, Quiet
from migrator.testing.synthetic import generate

MAPPINGS = "demo-live"
_QUIET = Quiet()
_PATIENCE = 60.0
"""Seconds a sandbox may take until it answers."""
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,4})?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Box:
    """A sandbox in a process of its own."""

    name: str
    url: str
    credentials: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LiveReport:
    """Where the project lies, which systems took part, how long the run took and what it did."""

    folder: Path
    systems: Mapping[str, str]
    """Sandbox → address; they are stopped when the demo ends."""
    seconds: float
    run: Run
    quarantined: Quarantined

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "folder": str(self.folder),
            "systems": dict(self.systems),
            "seconds": round(self.seconds, 1),
            **self.run.to_json(),
            "quarantine": self.quarantined.to_json(),
        }


def demo_live(folder: Path, *, scale: int, seed: int, progress: Progress = _QUIET) -> LiveReport:
    """Fill two sandboxes, start a third, and run the project in `folder` between them, limits and all.

    Raises `ProjectError` when there is a project already: its sandboxes are gone, and with them what it loaded.
    """
    if (folder / FILE).exists():
        raise ProjectError.at(
            str(folder / FILE),
            "this is a project, and the sandboxes of a live demo end with it",
            "choose another folder",
        )
    progress.start("demo", "sandboxes", 3)
    data = _seeded(folder, scale, seed)
    with ExitStack() as stack:
        boxes = []
        for name in ("salesforce", "dataverse", "fxiaoke"):
            boxes.append(stack.enter_context(_sandbox(name, data.get(name), folder)))
            progress.advance("demo", "sandboxes", 1)
        progress.done("demo", "sandboxes", ", ".join(f"{box.name} {box.url}" for box in boxes))
        stack.enter_context(_environment(boxes))
        shutil.copytree(shipped(MAPPINGS), folder, dirs_exist_ok=True)
        project = load_project(folder)
        write_json_schema(project)
        began = time.monotonic()
        done = run(project, progress=progress)
        seconds = time.monotonic() - began
        return LiveReport(
            folder, {box.name: box.url for box in boxes}, seconds, done, quarantine_sample(project)
        )


# -- what the old systems hold


Values = Mapping[str, Any]
_Kind = Callable[[str], str | None]


def _text(value: str) -> str | None:
    return value or None


def _number(value: str) -> str | None:
    """A live system holds no 'n/a' in a number, as an export of a neglected one may."""
    return value if _NUMBER.fullmatch(value) else None


def _day(value: str) -> str | None:
    return value[:10] if _DAY.match(value) else None


def _moment(value: str) -> str | None:
    """Exports leave zones out and write seven places; a live system has instants."""
    found = re.match(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})", value)
    return f"{found[1]}T{found[2]}Z" if found else None


def _flag(value: str) -> str | None:
    return {"1": "true", "true": "true", "0": "false", "false": "false"}.get(value.lower())


_T, _N, _D, _M, _F = _text, _number, _day, _moment, _flag
_SALESFORCE: Mapping[str, Mapping[str, _Kind]] = {
    "User": {"Id": _T, "Username": _T, "LastName": _T, "FirstName": _T, "Email": _T, "IsActive": _F, "CreatedDate": _M,
             "LastModifiedDate": _M},
    "Account": {"Id": _T, "IsDeleted": _F, "Name": _T, "ParentId": _T, "BillingStreet": _T, "BillingCity": _T,
                "BillingCountry": _T, "Phone": _T, "Website": _T, "AnnualRevenue": _N, "NumberOfEmployees": _N,
                "Description": _T, "OwnerId": _T, "CreatedDate": _M, "LastModifiedDate": _M},
    "Contact": {"Id": _T, "IsDeleted": _F, "AccountId": _T, "LastName": _T, "FirstName": _T, "Phone": _T, "Email": _T,
                "Title": _T, "Birthdate": _D, "Description": _T, "OwnerId": _T, "CreatedDate": _M, "LastModifiedDate": _M},
    "Opportunity": {"Id": _T, "IsDeleted": _F, "AccountId": _T, "Name": _T, "StageName": _T, "Amount": _N, "CloseDate": _D,
                    "NextStep": _T, "OwnerId": _T, "CreatedDate": _M, "LastModifiedDate": _M},
}  # fmt: skip
_DATAVERSE: Mapping[str, Mapping[str, _Kind]] = {
    "systemuser": {"systemuserid": _T, "fullname": _T, "internalemailaddress": _T, "isdisabled": _F},
    "account": {"accountid": _T, "name": _T, "parentaccountid": _T, "telephone1": _T, "websiteurl": _T,
                "address1_line1": _T, "address1_city": _T, "address1_country": _T, "revenue": _N, "numberofemployees": _N,
                "description": _T, "statecode": _T, "ownerid": _T, "createdon": _M, "modifiedon": _M},
    "contact": {"contactid": _T, "firstname": _T, "lastname": _T, "parentcustomerid": _T, "emailaddress1": _T,
                "mobilephone": _T, "jobtitle": _T, "birthdate": _D, "description": _T, "statecode": _T, "ownerid": _T,
                "createdon": _M, "modifiedon": _M},
    "opportunity": {"opportunityid": _T, "name": _T, "customerid": _T, "estimatedvalue": _N, "estimatedclosedate": _D,
                    "description": _T, "statecode": _T, "ownerid": _T, "createdon": _M, "modifiedon": _M},
}  # fmt: skip


def _seeded(folder: Path, scale: int, seed: int) -> dict[str, Path]:
    """The synthetic exports as data folders of the two sandboxes."""
    exports = folder / "exports"
    generate(exports, scale=scale, seed=seed)
    chosen = {
        "salesforce": ("salesforce-export", exports / "salesforce", _SALESFORCE),
        "dataverse": ("dynamics-export", exports / "dynamics" / "export.zip", _DATAVERSE),
    }
    made = {}
    for name, (kind, path, objects) in chosen.items():
        made[name] = folder / "sandboxes" / name
        made[name].mkdir(parents=True, exist_ok=True)
        _write(kind, path, objects, made[name])
    return made


def _write(kind: str, path: Path, objects: Mapping[str, Mapping[str, _Kind]], into: Path) -> None:
    opener = connector(kind).open_source
    if opener is None:
        raise FatalError(f"the connector {kind!r} cannot be read from")
    with closing(opener({"path": str(path)})) as source:
        keys = {item.name: item.key for item in source.describe()}
        for name, columns in objects.items():
            seen: set[str] = set()
            with (into / f"{name}.jsonl").open("w", encoding="utf-8") as stream:
                for page in source.read(name):
                    for row in page.rows.to_pylist():
                        record = row[keys[name]]
                        if record and record not in seen:  # an export may hold copies, a live system has one
                            seen.add(record)
                            stream.write(json.dumps(_fitting(row, columns), ensure_ascii=False) + "\n")


def _fitting(row: Values, columns: Mapping[str, _Kind]) -> dict[str, str]:
    told = {name: fit(str(row[name])) for name, fit in columns.items() if row.get(name) is not None}
    return {name: value for name, value in told.items() if value is not None}


# -- the processes


@contextmanager
def _sandbox(name: str, data: Path | None, folder: Path) -> Iterator[Box]:
    command = [sys.executable, "-m", "migrator.cli", "sandbox", "start", name, "--json"]
    if data:
        command += ["--data", str(data.resolve())]
    with (folder / "sandboxes" / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=folder)  # noqa: S603 (our own)
    try:
        told = _told(process, Path(log.name))
        yield Box(name, told["url"], told["credentials"])
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


def _told(process: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    """The JSON a sandbox prints when it answers; raises `FatalError` with its words when it ended before."""
    told = b""
    until = time.monotonic() + _PATIENCE
    while process.stdout and time.monotonic() < until:
        line = process.stdout.readline()
        told += line
        if line.rstrip() == b"}":
            found: dict[str, Any] = json.loads(told)
            return found
        if not line:
            break
    raise FatalError(
        "a sandbox did not start: " + " ".join(log.read_text("utf-8", "replace").split())[-500:],
        hint="try it by hand: migrator sandbox start NAME",
    )


@contextmanager
def _environment(boxes: Sequence[Box]) -> Iterator[None]:
    """Addresses and made-up secrets as the project's migration.yaml names them, for as long as the sandboxes live."""
    values = {f"{box.name.upper()}_URL": box.url for box in boxes}
    for box in boxes:
        values |= {f"{box.name.upper()}_{name.upper()}": value for name, value in box.credentials.items()}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
