"""Which engine a project names, what it lacks here, and that nothing outside of staging knows which one runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from migrator.commands.project import Project, parse_project
from migrator.core.dialect import Dialect
from migrator.core.document import Document
from migrator.core.errors import Location, ProjectError
from migrator.staging.engine import EngineSettings
from migrator.staging.engines import check_engine

ROOT = Path(__file__).parents[2]
SYSTEMS = "systems: {crm: {connector: sql, url: 'sqlite:///new.db'}}\n"


def project(text: str) -> Project:
    return parse_project(Document(SYSTEMS + text, "migration.yaml"), Path("/nowhere"))


@pytest.mark.parametrize(
    ("text", "kind", "memory"),
    [
        ("", Dialect.DUCKDB, "1GB"),
        ("engine: duckdb", Dialect.DUCKDB, "1GB"),
        ("engine: spark", Dialect.SPARK, "1GB"),
        ("engine: {kind: spark, memory_limit: 2GB}", Dialect.SPARK, "2GB"),
        ("engine: {memory_limit: 2GB}", Dialect.DUCKDB, "2GB"),
    ],
)
def test_an_engine_is_a_name_or_a_mapping(text: str, kind: Dialect, memory: str) -> None:
    found = project(text).engine
    assert (found.kind, found.memory_limit) == (kind, memory)


def test_settings_of_the_cluster_are_kept_under_its_own_names() -> None:
    found = project(
        "engine: spark\nspark: {master: 'spark://h:7077', conf: {spark.executor.cores: 2, spark.speculation: true}}"
    ).engine
    assert found.master == "spark://h:7077"
    assert found.conf == {"spark.executor.cores": "2", "spark.speculation": "true"}


def test_a_command_may_name_another_engine() -> None:
    named = project("engine: spark")
    assert named.on(Dialect.DUCKDB).engine.kind is Dialect.DUCKDB
    assert named.on(None) is named


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("engine: sparc", "there is no engine 'sparc'"),
        ("engine: {kind: sparc}", "there is no engine 'sparc'"),
        ("engine: 7", "engine must be a name or a mapping, not 7"),
        ("engine: {kind: 7}", "kind must be a text"),
        ("spark: {maste: x}", "unknown key 'maste'"),
        ("spark: {conf: {a: [1]}}", "a must be one value"),
        ("spark: {master: 7}", "master must be a text"),
    ],
)
def test_what_is_wrong_is_told(text: str, told: str) -> None:
    with pytest.raises(ProjectError, match=re.escape(told)):
        project(text)


def test_a_machine_without_java_is_told_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(ProjectError) as caught:
        check_engine(EngineSettings(kind=Dialect.SPARK), Location("migration.yaml"))
    java = [item for item in caught.value.problems if "needs Java" in item.message]
    assert len(java) == 1
    assert "apt-get install openjdk-17-jre-headless" in java[0].hint


@pytest.mark.parametrize(
    ("told", "old"), [('openjdk version "11.0.2" 2019-01-15', 11), ('java version "1.8.0_292"', 8)]
)
def test_an_old_java_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, old: int) -> None:
    (tmp_path / "bin").mkdir()
    java = tmp_path / "bin" / "java"
    java.write_text(f"#!/bin/sh\necho '{told}' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ProjectError, match=f"needs Java 17, not {old}"):
        check_engine(EngineSettings(kind=Dialect.SPARK), Location("migration.yaml"))


def test_settings_that_rows_depend_on_are_ours() -> None:
    settings = EngineSettings(kind=Dialect.SPARK, conf={"spark.sql.session.timeZone": "Asia/Shanghai"})
    with pytest.raises(ProjectError, match=r"spark\.conf sets spark\.sql\.session\.timeZone"):
        check_engine(settings, Location("migration.yaml"))


KNOWS = ("migrator/staging/", "migrator/mapping/dialects/")
"""Where the other engine may be spoken of."""
NAMED = {
    "migrator/core/dialect.py", "migrator/commands/engine_settings.py", "migrator/commands/setting_checks.py",
    "migrator/commands/project.py", "migrator/cli/main.py",
}  # fmt: skip
"""Where it is a word of the configuration."""
TOLD = {"migrator/mapping/functions.py"}
"""What of a function is carried, for the reference."""
NOTED = {"validation/gx.py", "migrator/core/progress.py"}
"""Comments on a library that looks for it, and on an event."""


def test_nothing_outside_of_staging_knows_which_engine_runs() -> None:
    files = [
        path for name in ("migrator", "connectors", "validation") for path in (ROOT / name).rglob("*.py")
    ]
    speaking = {
        path.relative_to(ROOT).as_posix()
        for path in files
        if re.search(r"spark", path.read_text(encoding="utf-8"), re.IGNORECASE)
    }
    outside = {path for path in speaking if not path.startswith(KNOWS)}
    assert outside <= NAMED | TOLD | NOTED
    importing = {
        path.relative_to(ROOT).as_posix()
        for path in files
        if re.search(
            r"^\s*(?:import|from) (?:pyspark|py4j)\b", path.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    assert all(path.startswith("migrator/staging/") for path in importing)
    asking = [
        path.relative_to(ROOT).as_posix()
        for path in files
        if re.search(r"engine\.kind|Dialect\.SPARK|SparkSession", path.read_text(encoding="utf-8"))
    ]
    assert all(path.startswith(KNOWS) for path in asking)
