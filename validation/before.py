"""The rules before the load: run over what the mapping made, so that what the target would hold wrong is never sent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from migrator.core.clock import Clock
from migrator.core.mapped import MappedObject
from migrator.staging import columns as c
from migrator.staging.engine import Session, literal, quote
from migrator.staging.relation import counted_survivors, find_mapped
from migrator.staging.store import Store
from validation.checks import rule_checks
from validation.expectations import Suite
from validation.facts import check_to_json
from validation.failing import FAILING_RECORDS, Listing, check_name, examples, write_list
from validation.privacy import Privacy, show_sql
from validation.relations import SessionFactory
from validation.rules import FAILING, RuleResult, check_suite, run_suite, start_failing
from validation.suitefile import read_suites, refresh_suites
from validation.verdict import Check, Decision, Section, Status, decide

PREFIX = "before."
"""What the names of these checks begin with: the same rule is run again on what the target answers."""
_FIRST = 1_000_000
"""Rule numbers of this pass, apart from those of the pass after the load."""


@dataclass(frozen=True, slots=True)
class Before:
    """What the rules say of one object's records that may move."""

    checks: tuple[Check, ...]
    queries: tuple[str, ...]
    """All failing records, as queries of `failing.FAILING_RECORDS`."""


def check_before(
    session: Session,
    store: Store,
    mapped: MappedObject,
    suites: Sequence[Suite],
    *,
    now: datetime,
    privacy: Privacy,
) -> Before:
    """Run an object's suites over its survivors (neither excluded nor quarantined nor merged); touches no target.

    `rules.start_failing` must have been called. An object that is not mapped yet could not be checked.
    """
    made = find_mapped(store, mapped)
    if made is None:
        unmade = Check(
            Section.RULES, mapped.name, f"{PREFIX}mapped", Status.COULD_NOT_CHECK, 0,
            detail={"error": "it is not mapped yet", "kwargs": {}, "reason": "", "description": ""},
        )  # fmt: skip
        return Before((unmade,), ())
    moving = f"v:{mapped.name}:moving"
    named = ", ".join([c.ID, *(quote(item.name) for item in mapped.fields)])
    rows = counted_survivors(session, moving, made, named)
    rules = Suite(mapped.name, tuple(rule for suite in suites for rule in suite.expectations))
    results = run_suite(session, rows, c.ID, rules, now=now, first=_FIRST)
    queries = {item.number: _query(mapped, moving, item, privacy) for item in results}
    found = rule_checks(mapped, results, lambda item: examples(session, queries[item.number], mapped.name))
    listed = tuple(queries[item.number] for item in results if item.failed and item.status in _TOLD)
    return Before(tuple(_named(found)), listed)


_TOLD = (Status.FAIL, Status.WARN)


def _named(found: Iterable[Check]) -> Iterable[Check]:
    for check in found:
        yield replace(check, rule=PREFIX + check.rule)


def _query(mapped: MappedObject, moving: str, result: RuleResult, privacy: Privacy) -> str:
    columns = result.expectation.columns
    item: Any = mapped.schema.field(columns[0]) if len(columns) == 1 else None
    value = f"CAST(r.{quote(columns[0])} AS VARCHAR)" if item is not None else "NULL"
    shown = show_sql(value, item, privacy) if item is not None else "NULL"
    return (
        f"SELECT f.object, f.key AS record, CAST(r.{quote(mapped.key)} AS VARCHAR) AS key,"
        f' {literal(PREFIX + check_name(result))} AS "check", f.field, NULL AS expected, {shown} AS actual'
        f" FROM {quote(FAILING)} f LEFT JOIN {quote(moving)} r ON r.{c.ID} = f.key"
        f" WHERE f.object = {literal(mapped.name)} AND f.number = {result.number}"
    )


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What came of the rules before the load, and where it is written."""

    decision: Decision
    checks: tuple[Check, ...]
    json: Path
    failing: Listing


def validate_before(
    store: Store,
    session_factory: SessionFactory,
    objects: Sequence[MappedObject],
    *,
    out: Path,
    suites: Path,
    clock: Clock,
    privacy: Privacy = Privacy.MASKED,
) -> Rehearsal:
    """Run the project's rules over everything that may move; writes before.json and the failing records to `out`.

    Touches no target. Raises `ProjectError` for a suite that is wrong.
    """
    refresh_suites(suites, objects)
    rules = read_suites(suites, objects)
    for suite in rules:
        check_suite(suite)
    with closing(session_factory()) as session:
        start_failing(session)
        done = [
            check_before(
                session, store, mapped, [suite for suite in rules if suite.object == mapped.name],
                now=clock.now(), privacy=privacy,
            )
            for mapped in objects
        ]  # fmt: skip
        out.mkdir(parents=True, exist_ok=True)
        queries = [query for item in done for query in item.queries]
        failing = write_list(session, queries, out / "failing", FAILING_RECORDS)
    found = tuple(check for item in done for check in item.checks)
    decision = decide(found)
    path = out / "before.json"
    content = {
        "run": store.ledger.run, "at": clock.now().isoformat(), "verdict": decision.verdict.value,
        "checks": [check_to_json(check) for check in found],
    }  # fmt: skip
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1, default=str) + "\n", encoding="utf-8")
    return Rehearsal(decision, found, path, failing)
