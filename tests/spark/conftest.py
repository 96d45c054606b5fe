"""One Spark session for all tests of a run; without Java or PySpark they are skipped, and say so."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from migrator.staging.dialects.settings import SETTINGS

_QUIET = {
    "spark.ui.enabled": "false",
    "spark.log.level": "OFF",
    "spark.sql.shuffle.partitions": "2",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
}


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """A local session under the settings that a compiled query asks for."""
    missing = [
        name
        for name, found in (("java", shutil.which("java")), ("pyspark", find_spec("pyspark")))
        if not found
    ]
    if missing:
        pytest.skip(
            f"MAPPINGS ARE NOT TESTED ON SPARK: {' and '.join(missing)} missing; use: make test-spark"
        )
    os.environ["PYSPARK_PYTHON"] = sys.executable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PySpark warns of the pandas that it finds, which is not used here
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.master("local[2]")
        for name, value in {**_QUIET, **SETTINGS}.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
    yield session
    session.stop()
