"""The verbs of the evening on a project: the freeze proven, the last changes taken over, everything compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from migrator.commands import steps
from migrator.commands.binding import bind_project
from migrator.commands.project import Workspace, open_workspace
from migrator.commands.target import flat
from migrator.core.errors import DataError
from migrator.runbook.doing import MOST_PULLS, Place, accounting_facts, options
from migrator.runbook.execute import Outcome
from migrator.staging.columns import RESERVED_PREFIX
from migrator.staging.engine import Session, literal, quote
from migrator.staging.phases import standings
from migrator.staging.relation import relation
from migrator.staging.store import Dataset, Kind
from migrator.sync.report import RunReport


def freeze_proof(place: Place, arguments: Sequence[str]) -> Outcome:
    """Read the old side whole again and compare it, row by row, with the first proof of this freeze.

    `--modifier COLUMN --integration IDS`: rows whose COLUMN names one of these users (commas between) are the sync's own.
    Reading everything sees what stamps do not: deletes, rows without a stamp, transactions that commit late.
    """
    given = options(arguments, {"modifier": "", "integration": ""})
    steps.extract(place.project, (), place.progress)
    with open_workspace(place.project) as workspace, closing(workspace.session()) as session:
        folder = place.project.workspace / "freeze" / _freeze(workspace, place.moving)
        folder.mkdir(parents=True, exist_ok=True)
        found = {
            name: _since_the_freeze(session, _staged(workspace, name), folder, given)
            for name in _read_by(workspace, place.objects)
        }
    edits = sum(item["edits"] for item in found.values())
    deletes = sum(item["deletes"] for item in found.values())
    changed = sum(item["rows"] - item["own_rows"] != item["rows_at_the_freeze"] for item in found.values())
    return Outcome(
        {
            "freeze_proof.foreign_edits": float(edits), "freeze_proof.deletes": float(deletes),
            "freeze_proof.rows_changed": float(changed), "verdict.writes_since": float(edits + deletes),
        },
        {"objects": found, "baseline": str(folder)},
    )  # fmt: skip


def _read_by(workspace: Workspace, objects: Sequence[str]) -> list[str]:
    """The staged objects that these mappings read; all for ()."""
    names = list(workspace.store.names(Kind.STAGED))
    if not objects:
        return names
    read = {
        source.staged
        for item in flat(bind_project(workspace).groups)
        if item.name in objects
        for source in item.sources
    }
    return [name for name in names if name in read]


def _freeze(workspace: Workspace, moving: Sequence[str]) -> str:
    """A name for the freeze of these groups that holds now: another one after the old side was opened in between."""
    with workspace.ledger.read() as connection:
        numbers = [item.journal for item in standings(connection).values()]
    from migrator.core.phases import Phase
    from migrator.runbook.record import replay

    entered = [
        entry.number
        for entry in replay(workspace.ledger).phases
        if entry.body["to"] == Phase.P5.value and (not moving or entry.body["group"] in moving)
    ]
    return f"{max(entered, default=max(numbers, default=0)):06}"


def _staged(workspace: Workspace, name: str) -> Dataset:
    return workspace.store.need(Kind.STAGED, name, made_by="extract")


def _since_the_freeze(
    session: Session, staged: Dataset, folder: Path, given: Mapping[str, str]
) -> dict[str, int]:
    """Rows added or changed by others, and rows gone, since the baseline; makes the baseline where there is none."""
    columns = [name for name in staged.schema().names if not name.startswith(RESERVED_PREFIX)]
    key = str((staged.detail.get("schema") or {}).get("key") or "")
    digest = f"md5(concat_ws(chr(31), {', '.join(f'coalesce(CAST({quote(name)} AS VARCHAR), chr(30))' for name in columns)}))"
    identity = f"CAST({quote(key)} AS VARCHAR)" if key in columns else digest
    ours = "false"
    if given["modifier"] in columns and given["integration"]:
        users = ", ".join(literal(user.strip()) for user in given["integration"].split(","))
        ours = f"coalesce(CAST({quote(given['modifier'])} AS VARCHAR) IN ({users}), false)"
    now = f"SELECT {identity} AS key, {digest} AS digest, {ours} AS ours FROM {relation(session, staged)}"
    baseline = folder / f"{staged.name.replace('/', '--')}.parquet"
    if not baseline.exists():
        session.write(now, baseline)
    then = f"read_parquet({literal(str(baseline))})"
    counts = session.fetch(
        f"WITH now AS ({now}), before AS (SELECT * FROM {then}) SELECT"
        " (SELECT count(*) FROM now) AS rows, (SELECT count(*) FROM before) AS rows_at_the_freeze,"
        " (SELECT count(*) FROM now LEFT JOIN before USING (key) WHERE now.digest IS DISTINCT FROM before.digest"
        "   AND NOT now.ours) AS edits,"
        " (SELECT count(*) FROM now ANTI JOIN before USING (key) WHERE now.ours) AS own_rows,"
        " (SELECT count(*) FROM before ANTI JOIN now USING (key)) AS deletes"
    )
    return {name: int(value) for name, value in counts.to_pylist()[0].items()}


def final_delta(place: Place, _: Sequence[str]) -> Outcome:
    """Take over what changed until two pulls in a row bring nothing; raises `DataError` when the changes do not end."""
    from migrator.runbook import syncing

    if syncing.is_synced(place.project):
        written, facts = syncing.pulls_until_empty(place, MOST_PULLS)
        return Outcome(facts, {"written": written})
    written = []
    while len(written) < 2 or any(written[-2:]):
        if len(written) >= MOST_PULLS:
            raise DataError(
                f"{MOST_PULLS} pulls, and each brought changes", hint="somebody still writes to the old side"
            )
        written.append(steps.run(place.project, place.progress, place.production).load.written)
    from migrator.commands.inspect import status

    found = accounting_facts(status(place.project))
    return Outcome(found | {"final_delta.empty_pulls": 2.0, "lag": 0.0}, {"written": written})


def verdict(place: Place, _: Sequence[str]) -> Outcome:
    """Compare every row and mapped field, now: what is synced by the sync, the rest by `validate`. The worse counts.

    What was loaded weeks ago and kept in step since is not compared with the load any more: people worked on both sides.
    """
    from migrator.runbook import syncing

    synced = syncing.is_synced(place.project)
    found = [_by_sync(place)] if synced else []
    rest = [
        name for name in (syncing.only_loaded(place.project) if synced else ())
        if not place.objects or name in place.objects
    ] or (() if synced else place.objects)  # fmt: skip
    if rest or not synced:
        found.append(_by_validation(place, rest))
    colour = max((str(item["verdict"]) for item in found), key=_COLOURS.index)
    return Outcome(
        {
            "verdict.status": colour, "unexplained": float(sum(item["unexplained"] for item in found)),
            "verdict.not_matching": float(sum(item["not_matching"] for item in found)), "verdict.writes_since": 0.0,
        },
        {"verdict": colour, "compared": "every row and every mapped field", "by": found},
    )  # fmt: skip


_COLOURS = ("green", "yellow", "red")


_SEEN_NOW = frozenset({"backlog", "hold"})
"""Causes of a whole run that what is counted of a wave's own mappings says better."""


def _by_sync(place: Place) -> dict[str, Any]:
    from migrator.runbook import syncing

    done, _ = syncing.one_run(place, full=True)
    differs = syncing.differing(place, done)
    own = place.objects
    causes = [cause for cause in done.report.causes if not own or not cause.mapping or cause.mapping in own]
    told = RunReport(
        causes=[cause for cause in causes if not own or cause.mapping or cause.code not in _SEEN_NOW]
    )
    colour = told.status.value if not differs else "red"
    objects = {cause.mapping for cause in causes if cause.mapping}
    return {
        "verdict": colour, "unexplained": differs, "not_matching": len(objects),
        "not_compared": syncing.not_compared(place.project), "sync": done.to_json(),
    }  # fmt: skip


def _by_validation(place: Place, objects: Sequence[str]) -> dict[str, Any]:
    from migrator.commands.validate import validate

    found = validate(place.project, progress=place.progress, objects=objects)
    colour = {"ready": "green", "ready_with_exceptions": "yellow"}.get(found.verdict, "red")
    wrong = {reason.partition("/")[0] for reason in found.reasons}
    return {
        "verdict": colour, "unexplained": len(found.reasons), "not_matching": len(wrong), "validation": found.to_json(),
    }  # fmt: skip
