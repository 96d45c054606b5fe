"""Events as OpenTelemetry log records: one line of OTLP/JSON each, which a collector takes as it is.

Fields: https://opentelemetry.io/docs/specs/otel/logs/data-model/ ; encoding: https://opentelemetry.io/docs/specs/otlp/
(JSON: times and 64-bit integers are texts, ids are hexadecimal). What semantic conventions name is named so, everything else
stands under `crm_migrator`. All lines of a run share one trace id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from migrator import __version__

NAME = "crm-migrator"
SPACE = "crm_migrator"
_SEVERITY = {"info": ("INFO", 9), "warning": ("WARN", 13), "error": ("ERROR", 17)}
_NAMED = {"exit_code": "process.exit.code", "error": "error.type"}
"""What the semantic conventions have a name for."""


def otlp_line(line: str) -> str:
    """A line of JSON, as `EventLines` writes it, in the form of OTLP/JSON."""
    event = json.loads(line)
    text, number = _SEVERITY[event["level"]]
    moment = datetime.fromisoformat(event["ts"])
    record = {
        "timeUnixNano": str(int(moment.timestamp()) * 10**9 + moment.microsecond * 1000),
        "severityNumber": number,
        "severityText": text,
        "eventName": f"{SPACE}.{event['event']}",
        "body": {"stringValue": event.get("message") or event["event"]},
        "attributes": [{"key": key, "value": _value(value)} for key, value in _attributes(event)],
    }
    if event["run"]:
        record["traceId"] = hashlib.blake2b(event["run"].encode(), digest_size=16).hexdigest()
    resource = {"attributes": [_text("service.name", NAME), _text("service.version", __version__)]}
    scope = {"name": SPACE, "version": str(event["schema"])}
    scoped = {"scope": scope, "logRecords": [record]}
    whole = {"resourceLogs": [{"resource": resource, "scopeLogs": [scoped]}]}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")) + "\n"


def _attributes(event: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, key in (("run", "run.id"), ("step", "step"), ("object", "object")):
        if event[name]:
            yield f"{SPACE}.{key}", event[name]
    for name, value in event.get("counts", {}).items():
        yield _NAMED.get(name, f"{SPACE}.{name}"), value
    for name in ("error", "exit_code"):
        if name in event:
            yield _NAMED[name], event[name]


def _value(value: object) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case _:
            return {"stringValue": str(value)}


def _text(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}
