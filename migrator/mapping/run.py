"""The map step: one compiled mapping over its staged data becomes one MAPPED dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from migrator.core.errors import Problem, ProjectError
from migrator.core.fingerprint import fingerprint
from migrator.core.progress import Progress, Quiet
from migrator.mapping.compile import COMPILER_VERSION, CompiledMapping, Probe, probing
from migrator.mapping.hook_run import HookRun, costs, register_hooks
from migrator.staging.columns import BAD, EXCLUDED, ISSUES
from migrator.staging.engine import Session, quote, row_count
from migrator.staging.store import Dataset, Kind, Store

STEP = "map"


def map_object(
    store: Store, session: Session, compiled: CompiledMapping, *, progress: Progress | None = None
) -> Dataset:
    """The current MAPPED dataset of a mapping; built only when the mapping or what it reads has changed.

    `detail` holds {"issues": {rule: rows}, "excluded": {reason: rows}, "bad": rows}, and {"hooks": {hook: cost}}
    when there are any. Raises `FatalError` when a staged
    dataset is not there yet, and `ProjectError` with the place of the expression that the engine refuses.
    """
    listener = progress or Quiet()
    name = compiled.mapped.name
    staged = {
        relation: store.need(Kind.STAGED, relation, made_by="extract") for relation in compiled.relations
    }
    stamp = map_fingerprint(compiled, staged)
    current = store.current(Kind.MAPPED, name)
    if current is not None and store.is_current(Kind.MAPPED, name, stamp):
        listener.done(STEP, name, "unchanged")
        return current
    listener.start(STEP, name, sum(staged[source.staged].rows for source in compiled.mapped.sources))
    hooks = register(session, compiled, staged)
    check_query(session, compiled)
    building = store.build(Kind.MAPPED, name, stamp)
    parts = building.add_query(session, compiled.sql)
    listener.advance(STEP, name, building.rows)
    session.view(_RESULT, building.files_of(parts))
    dataset = building.complete(summarise(session) | ({"hooks": costs(hooks)} if hooks else {}))
    listener.done(STEP, name, _note(dataset.detail))
    return dataset


_RESULT = "__mapped"


def map_fingerprint(compiled: CompiledMapping, staged: Mapping[str, Dataset]) -> str:
    """What a MAPPED dataset is made from: definition, value maps, query, compiler and staged data."""
    inputs = {name: (dataset.id, dataset.fingerprint) for name, dataset in staged.items()}
    tables = {name: table.to_pydict() for name, table in compiled.tables.items()}
    return fingerprint(COMPILER_VERSION, compiled.mapped.fingerprint, compiled.sql, tables, inputs)


def register(
    session: Session, compiled: CompiledMapping, staged: Mapping[str, Dataset]
) -> tuple[HookRun, ...]:
    """Make everything the query reads known to the session, under the names the query uses; its hooks at work."""
    for relation, dataset in staged.items():
        session.view(relation, dataset.files, dataset.schema())
    for name, table in compiled.tables.items():
        session.table(name, table)
    return register_hooks(session, compiled.hooks)


def check_query(session: Session, compiled: CompiledMapping) -> None:
    """Bind the query without running it; a refused expression is told at its place, all of them at once."""
    try:
        session.explain(compiled.sql)
    except ProjectError as whole:
        problems = refused_expressions(session, compiled)
        raise ProjectError(problems) if problems else whole from whole


def refused_expressions(session: Session, compiled: CompiledMapping) -> list[Problem]:
    """Every expression that the engine does not bind, at its place; asks for each only where not all bind together."""
    problems: list[Problem] = []
    for steps in dict.fromkeys(probe.steps for probe in compiled.probes):
        probes = [probe for probe in compiled.probes if probe.steps == steps]
        try:
            session.explain(probing(probes))
        except ProjectError:
            problems += [found for probe in probes if (found := _refused(session, probe)) is not None]
    return problems


def _refused(session: Session, probe: Probe) -> Problem | None:
    try:
        session.explain(probe.sql)
    except ProjectError as error:
        words = error.problems[0].message.partition("query: ")[2] or error.problems[0].message
        first_line = words.splitlines()[0]
        hint = "types must fit: cast(… as TYPE) changes one; columns have the types of the source's schema"
        return Problem(probe.place, f"the engine refuses this expression: {first_line}", hint)
    return None


def summarise(session: Session) -> dict[str, Any]:
    """Counts of issues by rule, exclusions by reason and bad rows; reads three columns once."""
    issues = session.fetch(
        f"SELECT found.rule AS rule, count(*) AS n FROM (SELECT unnest({quote(ISSUES)}) AS found FROM {quote(_RESULT)} "
        f"WHERE len({quote(ISSUES)}) > 0) GROUP BY ALL ORDER BY ALL"
    )
    reasons = session.fetch(
        f"SELECT {quote(EXCLUDED)} AS reason, count(*) AS n FROM {quote(_RESULT)} "
        f"WHERE {quote(EXCLUDED)} IS NOT NULL GROUP BY ALL ORDER BY ALL"
    )
    return {
        "issues": {row["rule"]: row["n"] for row in issues.to_pylist()},
        "excluded": {row["reason"]: row["n"] for row in reasons.to_pylist()},
        "bad": row_count(session, f"{quote(_RESULT)} WHERE {quote(BAD)}"),
    }


def _note(detail: Mapping[str, Any]) -> str:
    parts = [
        f"{detail['bad']:,} bad" if detail["bad"] else "",
        f"{sum(detail['excluded'].values()):,} excluded",
    ]
    return ", ".join(part for part in parts if part and not part.startswith("0 "))
