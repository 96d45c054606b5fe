"""Who is told of the sync, and how: files, a ping, alerts once a colour; never a value of a record, and no run spoilt by it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from migrator.commands import sync_people as people
from migrator.commands.audit import audit_verify
from migrator.commands.project import Project, load_project, open_workspace
from migrator.commands.sync_state import SyncState
from migrator.commands.sync_tell import Telling, tell
from migrator.commands.sync_verdict import Standing, judge_failure
from migrator.core.errors import ProjectError
from migrator.sync.report import Status
from tests.sync_kit import NOW, write_project

GREEN = Standing(Status.GREEN, (), NOW)
RED = judge_failure(3, "no such user", "mend it", NOW)


def told(project: Project, standing: Standing = RED) -> Telling:
    with open_workspace(project) as workspace:
        return tell(project, workspace.ledger, SyncState(NOW), standing)


@contextmanager
def listening(code: int = 200) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """A server on this machine that notes what it is sent: method, path, body."""
    heard: list[tuple[str, str, str]] = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            heard.append((self.command, self.path, body))
            self.send_response(code)
            if code == 302:
                self.send_header("Location", "/elsewhere")
            self.end_headers()

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_health_and_metrics_are_files_that_are_whole_or_not_there(tmp_path: Path) -> None:
    project = write_project(tmp_path, "sync: {health: h/health.json, metrics: m.prom}\n")
    assert told(project) == Telling()
    health = json.loads((tmp_path / "h" / "health.json").read_text())
    assert (health["status"], health["exit_code"], health["why"]) == ("red", 3, "no such user")
    assert 'crm_sync_status{project="demo",status="red"} 1' in (tmp_path / "m.prom").read_text()
    assert list(tmp_path.rglob("*.writing")) == []


def test_an_alert_comes_once_a_colour_and_again_after_a_while(tmp_path: Path) -> None:
    project = write_project(
        tmp_path,
        "sync:\n  alerts: [{on: [red], command: 'tee -a told.jsonl', again: 2h}, {on: [green], command: 'tee green'}]\n",
    )
    one, two = RED, judge_failure(3, "no such user", "mend it", NOW + timedelta(hours=1))
    three = judge_failure(3, "no such user", "mend it", NOW + timedelta(hours=3))
    assert [told(project, item).alerted for item in (one, two, three)] == [1, 0, 1]
    assert told(project, GREEN).alerted == 1
    assert told(project, RED).alerted == 1
    text = (tmp_path / "told.jsonl").read_text()
    found = json.JSONDecoder().raw_decode(text)[0]
    assert (found["project"], found["status"], found["was"], found["next_step"]) == (
        "demo",
        "red",
        "",
        "mend it",
    )


def test_a_webhook_gets_the_same_and_a_ping_tells_that_all_is_not_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening() as (address, heard):
        monkeypatch.setenv("SYNC_HOOK", f"{address}/hook?key=secret")
        settings = (
            f"sync:\n  ping: {address}/ping\n  alerts: [{{on: [red], webhook: '${{env:SYNC_HOOK}}'}}]\n"
        )
        project = write_project(tmp_path, settings)
        told(project)
        told(project, GREEN)
    assert [(method, path) for method, path, _ in heard] == [("POST", "/hook?key=secret"), ("GET", "/ping")]
    assert json.loads(heard[0][2])["status"] == "red"
    assert b"secret" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("code", "words"), [(500, "it answered 500"), (302, "it answered 302"), (404, "it answered 404")]
)
def test_what_cannot_be_delivered_is_told_and_tried_again(code: int, words: str, tmp_path: Path) -> None:
    with listening(code) as (address, heard):
        project = write_project(tmp_path, f"sync:\n  alerts: [{{on: [red], webhook: '{address}/x'}}]\n")
        assert told(project) == Telling(0, (f"alert 1 could not be delivered: {words}",))
        assert told(project).alerted == 0
        assert len(heard) == 2
    assert json.loads((tmp_path / ".migrator/sync/health.json").read_text())["trouble"]
    assert "could not be delivered: Connection refused" in told(project).trouble[0]


def test_a_command_that_fails_or_is_not_there_spoils_nothing(tmp_path: Path) -> None:
    settings = "sync:\n  alerts: [{on: [red], command: 'false'}, {on: [red], command: /no/such/program}]\n"
    found = told(write_project(tmp_path, settings))
    assert found.trouble == (
        "alert 1 could not be delivered: it ended with 1",
        "alert 2 could not be delivered: No such file or directory",
    )


@pytest.mark.parametrize(
    ("setting", "place", "message"),
    [
        ("evry: 5m", "6:8", "unknown key 'evry'"),
        ("every: soon", "6:15", "every must be a time"),
        ("ping: http://example.com/x", "6:14", "must be an https address"),
        ("alerts: [{on: [purple], command: x}]", "6:22", "is not allowed here"),
        ("alerts: [{on: [red]}]", "6:17", "either command or webhook"),
        ("alerts: [{on: [red], command: x, webhok: y}]", "6:41", "unknown key 'webhok'"),
        ("policy: newest", "6:16", "is not allowed here"),
        ("frozen: [left]", "6:16", "is not allowed here"),
        ("deletes: perhaps", "6:17", "must be true or false"),
        ("keep: 0d", "6:14", "keep must be a time"),
    ],
)
def test_settings_are_read_strictly_each_mistake_at_its_place(
    setting: str, place: str, message: str, tmp_path: Path
) -> None:
    write_project(tmp_path)
    text = (tmp_path / "migration.yaml").read_text()
    (tmp_path / "migration.yaml").write_text(f"{text}sync: {{{setting}}}\n")
    with pytest.raises(ProjectError) as caught:
        load_project(tmp_path)
    assert any(
        message in item.message and str(item.location).endswith(f":{place}") for item in caught.value.problems
    ), str(caught.value)


def test_what_is_left_out_has_its_usual_value(tmp_path: Path) -> None:
    usual = write_project(tmp_path / "a").sync
    assert (usual.every, usual.late, usual.keep) == (
        timedelta(days=1),
        timedelta(hours=26),
        timedelta(days=90),
    )
    often = write_project(tmp_path / "b", "sync: {every: 5m}\n").sync
    assert often.late == timedelta(minutes=15)


def test_whoever_is_told_has_the_end_of_the_journal(tmp_path: Path) -> None:
    project = write_project(tmp_path, "sync: {alerts: [{on: [red], command: 'sh -c \"cat > told.json\"'}]}\n")
    people.pause(project, who="Li", why="moving house")
    told(project)
    health = json.loads((tmp_path / ".migrator" / "sync" / "health.json").read_text())
    alerted = json.loads((tmp_path / "told.json").read_text())
    assert alerted["journal"] == health["journal"]
    assert health["journal"]["number"] == 1
    (tmp_path / "heads.jsonl").write_text(json.dumps(health["journal"]) + "\n")
    assert audit_verify(project, [tmp_path / "heads.jsonl"]).audit.holds
