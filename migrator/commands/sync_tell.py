"""Who is told how the sync stands: a health file, metrics, a ping, and alerts when the colour changes; never values of records."""

from __future__ import annotations

import json
import shlex
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from migrator.commands.project import Project
from migrator.commands.sync_metrics import prometheus
from migrator.commands.sync_settings import Alert, is_safe
from migrator.commands.sync_state import SyncState
from migrator.commands.sync_verdict import Standing
from migrator.core.errors import ProjectError
from migrator.core.secrets import resolve
from migrator.staging import journal
from migrator.staging.engine import flush_and_rename
from migrator.staging.ledger import Ledger
from migrator.staging.store import writing
from migrator.sync.report import Status

TOLD = "sync_told"
"""Name of the ledger's note of what was last told by alerts."""
PATIENCE = 10.0
"""Seconds that a ping, a webhook or a command may take."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What was told, and what could not be told, in words for a person."""

    alerted: int = 0
    trouble: tuple[str, ...] = ()


def tell(project: Project, ledger: Ledger, state: SyncState, standing: Standing) -> Telling:
    """Write the files, then ping and alert. What fails here spoils no run: it is told in what is returned."""
    settings = project.sync
    _write(project.folder / settings.metrics, prometheus(state, standing, project.name))
    trouble = [*_ping(project, standing)]
    head = _head(ledger, standing)
    alerted, failed = _alert(project, ledger, standing, head)
    trouble += failed
    health = standing.to_json() | {"project": project.name, "trouble": trouble, "journal": head}
    _write(project.folder / settings.health, json.dumps(health, ensure_ascii=False, indent=1) + "\n")
    return Telling(alerted, tuple(trouble))


def _write(path: Path, text: str) -> None:
    """Whole or not at all: a scraper never reads half a file."""
    temporary = path.with_name(f".{path.name}.writing")
    with writing(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        flush_and_rename(temporary, path)


def _ping(project: Project, standing: Standing) -> list[str]:
    """A dead man's switch: called after every run that is not red, so that its silence tells of everything else."""
    if not project.sync.ping or standing.status is Status.RED:
        return []
    failed = _send(_address(project, project.sync.ping), None)
    return [f"the ping failed: {failed}"] if failed else []


def _head(ledger: Ledger, standing: Standing) -> Mapping[str, Any]:
    """The end of the journal: kept by whoever is told, it shows later that nobody rewrote what was before it."""
    with ledger.read() as connection:
        found = journal.end(connection)
    return {
        "ledger": ledger.identity,
        "at": standing.at.isoformat(),
        "number": found.number,
        "hash": found.hash,
    }


def _alert(
    project: Project, ledger: Ledger, standing: Standing, head: Mapping[str, Any]
) -> tuple[int, list[str]]:
    """Tell those who asked for this colour, once when it comes and again after a while if it stays."""
    before = json.loads(ledger.noted(TOLD) or "{}")
    body = {
        "project": project.name,
        "status": standing.status.value,
        "was": before.get("status", ""),
        "why": standing.why,
        "next_step": standing.next_step,
        "exit_code": standing.exit_code,
        "at": standing.at.isoformat(),
        "journal": head,
    }
    sent: dict[str, str] = dict(before.get("sent", {}))
    if body["was"] != body["status"]:
        sent = {}
    alerted, trouble = 0, []
    for number, alert in enumerate(project.sync.alerts):
        if standing.status.value not in alert.on or not _is_due(alert, sent.get(str(number)), standing.at):
            continue
        failed = _deliver(project, alert, body)
        if failed:
            trouble.append(f"alert {number + 1} could not be delivered: {failed}")
            continue
        sent[str(number)] = standing.at.isoformat()
        alerted += 1
    ledger.note(TOLD, json.dumps({"status": standing.status.value, "sent": sent}))
    return alerted, trouble


def _is_due(alert: Alert, last: str | None, now: datetime) -> bool:
    return last is None or now - datetime.fromisoformat(last) >= alert.again


def _deliver(project: Project, alert: Alert, body: Mapping[str, Any]) -> str:
    if alert.webhook:
        return _send(_address(project, alert.webhook), body)
    return _call(project, alert.command, body)


def _call(project: Project, command: str, body: Mapping[str, Any]) -> str:
    """Run a program, never a shell, with the alert as JSON on its standard input; '' when it went well."""
    try:
        done = subprocess.run(  # noqa: S603 (the project's own command, no shell)
            shlex.split(command), input=json.dumps(body, ensure_ascii=False), cwd=project.folder,
            text=True, capture_output=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"it took longer than {PATIENCE:.0f} seconds"
    except (OSError, ValueError) as error:
        return str(error.strerror if isinstance(error, OSError) else error)
    return "" if done.returncode == 0 else f"it ended with {done.returncode}"


def _address(project: Project, written: str) -> str:
    found = str(resolve({"address": written}, project.sync.place)["address"])
    if not is_safe(found):
        raise ProjectError.at(
            project.sync.place,
            "what the sync is to call is no https address",
            "plain http is for this machine only",
        )
    return found


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """What is sent goes to the address that was named, and to no other."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Nowhere."""


def _send(address: str, body: Mapping[str, Any] | None) -> str:
    """GET without a body, POST of JSON with one; '' when it went well. The address may hold a secret: it is not told."""
    data = json.dumps(body, ensure_ascii=False).encode() if body is not None else None
    request = urllib.request.Request(address, data)  # noqa: S310 (is_safe said https)
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=PATIENCE):
            return ""
    except urllib.error.HTTPError as error:
        error.close()
        return f"it answered {error.code}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return " ".join(str(getattr(reason, "strerror", None) or type(reason).__name__).split())
