"""Events as OpenTelemetry takes them: times, severities, names and attributes by its data model, and never a value of a record."""

from __future__ import annotations

import json
from typing import Any

from migrator.core.clock import FixedClock
from migrator.core.eventlines import EventLines
from migrator.core.otlp import otlp_line
from migrator.core.progress import Event


def records(tell: Any) -> list[dict[str, Any]]:
    lines: list[str] = []
    log = EventLines(lambda line: lines.append(otlp_line(line)), FixedClock())
    tell(log)
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in lines)
    found = [json.loads(line)["resourceLogs"][0] for line in lines]
    names = {item["key"]: item["value"]["stringValue"] for item in found[0]["resource"]["attributes"]}
    assert names["service.name"] == "crm-migrator"
    return [item["scopeLogs"][0]["logRecords"][0] for item in found]


def attributes(record: dict[str, Any]) -> dict[str, Any]:
    return {item["key"]: next(iter(item["value"].values())) for item in record["attributes"]}


def test_a_run_is_one_trace_and_its_verdict_has_its_numbers() -> None:
    def tell(log: EventLines) -> None:
        log.tell(Event.RUN_STARTED, "sync once", "r1", {})
        log.tell(Event.JUDGED, "yellow", "", {"exit_code": 4, "causes": 2})

    started, judged = records(tell)
    assert (started["eventName"], judged["eventName"]) == (
        "crm_migrator.run.started",
        "crm_migrator.sync.judged",
    )
    assert started["traceId"] == judged["traceId"]
    assert len(bytes.fromhex(judged["traceId"])) == 16
    assert attributes(judged) == {
        "crm_migrator.run.id": "r1", "crm_migrator.step": "yellow", "process.exit.code": "4", "crm_migrator.causes": "2"
    }  # fmt: skip
    assert judged["timeUnixNano"] == str(int(FixedClock().at.timestamp() * 10**6) * 1000)


def test_severities_and_errors() -> None:
    def tell(log: EventLines) -> None:
        log.tell(Event.RETRIED, "load", "person", {"wait": 1.5})
        log.say(
            "error",
            "error",
            "",
            "",
            {"counts": {}, "error": "SafetyStop", "exit_code": 5, "message": "two people"},
        )

    warned, failed = records(tell)
    assert (warned["severityText"], warned["severityNumber"]) == ("WARN", 13)
    assert {"key": "crm_migrator.wait", "value": {"doubleValue": 1.5}} in warned["attributes"]
    assert (failed["severityNumber"], failed["body"]) == (17, {"stringValue": "two people"})
    assert attributes(failed) == {"error.type": "SafetyStop", "process.exit.code": "5"}
    assert "traceId" not in failed
