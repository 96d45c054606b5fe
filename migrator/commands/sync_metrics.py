"""The state of the sync as Prometheus text: numbers by mapping and side, names of objects and never values of records.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/ (text, version 0.0.4), for the textfile collector.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from migrator.commands.sync_state import AGE_NAMES, SyncState
from migrator.commands.sync_verdict import Standing
from migrator.sync.report import Status

PREFIX = "crm_sync_"
_Sample = tuple[Mapping[str, str], float]


def prometheus(state: SyncState, standing: Standing, project: str) -> str:
    """All metrics as the text that a scraper reads; the same state gives the same text."""
    lines: list[str] = []
    for name, meaning, samples in _metrics(state, standing):
        found = list(samples)
        if not found:
            continue
        lines += [f"# HELP {PREFIX}{name} {meaning}", f"# TYPE {PREFIX}{name} gauge"]
        lines += [
            f"{PREFIX}{name}{_labels({'project': project, **labels})} {_number(value)}"
            for labels, value in found
        ]
    return "\n".join(lines) + "\n"


def _metrics(state: SyncState, standing: Standing) -> Iterator[tuple[str, str, Iterable[_Sample]]]:
    yield (
        "status",
        "1 for the colour that holds.",
        (({"status": item.value}, float(item is standing.status)) for item in Status),
    )
    yield "exit_code", "What sync status ends with.", [({}, standing.exit_code)]
    yield "paused", "1 while a person paused it.", [({}, float(state.pause is not None))]
    yield "checked_timestamp_seconds", "When these numbers were made.", [({}, state.now.timestamp())]
    yield from _last_run(state)
    yield (
        "pulled_timestamp_seconds",
        "When changes of a stream were last read.",
        _moments((item.name, item.pulled_at) for item in state.streams),
    )
    yield (
        "compared_timestamp_seconds",
        "When a stream was last compared whole.",
        _moments((item.name, item.scanned_at) for item in state.streams),
    )
    yield (
        "linked_records",
        "Live linked records.",
        (({"stream": name}, number) for name, number in state.linked.items()),
    )
    yield from _waits(state)
    yield (
        "held",
        "Groups and fields on hold.",
        (({"mapping": item.mapping, "kind": item.kind}, item.number) for item in state.held),
    )
    yield (
        "brake_engaged",
        "1 for each brake that stops an object.",
        (({"mapping": item.mapping, "kind": item.kind}, 1) for item in state.brakes),
    )
    yield (
        "calls_left",
        "Requests that may still be made today.",
        (({"system": name}, number) for name, number in sorted(state.left.items())),
    )
    yield (
        "mismatches",
        "Records that two full comparisons in a row found different.",
        [({}, state.mismatched)],
    )


def _last_run(state: SyncState) -> Iterator[tuple[str, str, Iterable[_Sample]]]:
    if state.last is None:
        return
    ended = state.last.finished_at or state.last.started_at
    yield "last_run_timestamp_seconds", "When the last run ended.", [({}, ended.timestamp())]
    took = (ended - state.last.started_at).total_seconds()
    yield "last_run_duration_seconds", "How long the last run took.", [({}, took)]
    figures = state.last.report.get("figures", {})
    yield (
        "last_run_rows",
        "What the last run did, by mapping.",
        (
            ({"mapping": mapping, "what": what}, number)
            for mapping, found in sorted(figures.items())
            for what, number in sorted(found.items())
        ),
    )
    calls = state.last.report.get("calls", {})
    yield (
        "last_run_calls",
        "Requests of the last run.",
        (({"side": side}, number) for side, number in sorted(calls.items())),
    )


def _waits(state: SyncState) -> Iterator[tuple[str, str, Iterable[_Sample]]]:
    yield (
        "backlog_records",
        "Records that need a decision.",
        (({"mapping": item.mapping}, item.records) for item in state.waiting),
    )
    yield (
        "backlog_oldest_seconds",
        "How long the oldest of them waits.",
        (({"mapping": item.mapping}, (state.now - item.oldest).total_seconds()) for item in state.waiting),
    )
    yield (
        "quarantined_records",
        "Records that fail again and again.",
        (({"mapping": item.mapping}, item.quarantined) for item in state.waiting),
    )
    yield (
        "open_conflicts",
        "Conflicts that wait for a person, by age.",
        (
            ({"mapping": item.mapping, "field": item.field, "age": age}, number)
            for item in state.open
            for age, number in zip(AGE_NAMES, item.ages, strict=True)
        ),
    )
    yield (
        "logged_conflicts_day",
        "Values overwritten in the last 24 hours, all on record.",
        [({}, state.logged_lately)],
    )
    yield "deferred_links", "Links that wait for the partner of their record.", [({}, state.deferred)]
    yield "unsettled_writes", "Writes whose result is not known yet.", [({}, state.unsettled)]


def _moments(found: Iterable[tuple[str, datetime | None]]) -> Iterator[_Sample]:
    return (({"stream": name}, at.timestamp()) for name, at in found if at is not None)


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
