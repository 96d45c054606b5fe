"""Which engine does which work: the one that a project names where it carries the work, this machine's for all else.

Nothing outside of this package asks which one it was given.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path

from migrator.core.dialect import Dialect
from migrator.core.errors import Location, Problem, raise_errors
from migrator.staging.depot import ONLY_HERE, SCRATCH, Depot
from migrator.staging.engine import EngineSettings, Session, open_engine, scratch_folder


class Work(Enum):
    """What reads whole datasets."""

    MAP = "map"
    DEDUPE = "dedupe"
    VALIDATE = "validate"


PROJECT = "migration.yaml"
Told = Callable[[str, str], None]
"""Is told which work runs on this machine though the project names a cluster, and why."""


def open_session(
    settings: EngineSettings, workspace: Path, work: Work, told: Told, depot: Depot = ONLY_HERE
) -> Session:
    """A fresh session for some work, on the engine that the settings name; close it. Errors as those of `open_engine`.

    What the named engine cannot do runs on this machine, which `told` hears. A cluster reads and writes datasets in the
    `depot`, where it can.
    """
    match settings.kind:
        case Dialect.DUCKDB:
            return open_engine(settings, workspace, few_files=work is Work.DEDUPE)
        case Dialect.SPARK:
            return _open_spark(settings, workspace, work, told, depot)


def _open_spark(settings: EngineSettings, workspace: Path, work: Work, told: Told, depot: Depot) -> Session:
    from migrator.staging.spark_cluster import connected
    from migrator.staging.spark_session import SparkSession

    check_engine(settings, Location(PROJECT))
    beside = open_engine(settings, workspace, few_files=work is Work.DEDUPE)
    shared = workspace / "staging" / SCRATCH
    scratch = scratch_folder(shared if depot.url(shared) else workspace / "spark")
    return SparkSession(
        lambda: connected(settings), beside, scratch, lambda reason: told(work.value, reason),
        computes=work is Work.DEDUPE, depot=depot if depot.url(scratch) else ONLY_HERE,
    )  # fmt: skip


def check_engine(settings: EngineSettings, place: Location) -> None:
    """Raise `ProjectError` when the engine that the settings name cannot run here, with what is missing and how to get it."""
    raise_errors(_problems(settings, place))


def _problems(settings: EngineSettings, place: Location) -> list[Problem]:
    match settings.kind:
        case Dialect.DUCKDB:
            return []
        case Dialect.SPARK:
            from migrator.staging.spark_cluster import problems

            return problems(settings, place)
