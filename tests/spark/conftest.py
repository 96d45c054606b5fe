"""One Spark for all tests of a run; without Java or PySpark they are skipped, and say so."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from migrator.core.dialect import Dialect
from migrator.staging import spark_cluster
from migrator.staging.engine import EngineSettings

CODEGEN = {"spark.sql.codegen.wholeStage": "true", "spark.sql.codegen.factoryMode": "FALLBACK"}
INTERPRETED = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
"""For a handful of rows compiling a query to Java takes most of the time."""


@pytest.fixture(scope="session")
def settings() -> Iterator[EngineSettings]:
    """A Spark inside this process, small and quiet."""
    missing = [
        name
        for name, found in (("java", shutil.which("java")), ("pyspark", find_spec("pyspark")))
        if not found
    ]
    if missing:
        pytest.skip(
            f"MAPPINGS ARE NOT TESTED ON SPARK: {' and '.join(missing)} missing; use: make test-spark"
        )
    conf = {
        "spark.sql.shuffle.partitions": "1", "spark.sql.adaptive.enabled": "false", "spark.driver.memory": "2g", "spark.default.parallelism": "1",
        "spark.ui.enabled": "false", "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        **INTERPRETED,
    }  # fmt: skip
    yield EngineSettings(memory_limit="500MB", threads=2, kind=Dialect.SPARK, conf=conf)
    spark_cluster.stop()


@pytest.fixture(scope="session")
def spark(settings: EngineSettings) -> Any:
    """A session of it that compiles queries to Java, as a project's does."""
    session = spark_cluster.connected(settings)
    for name, value in CODEGEN.items():
        session.conf.set(name, value)
    return session
