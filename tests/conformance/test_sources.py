"""The conformance kit against every source that runs without a server of its own: exports, files, SQL and memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from migrator.core.connector import Source, connector
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.testing.conformance import SOURCE_CHECKS, SourceBench
from migrator.testing.memory import MemoryObject, MemorySource
from migrator.testing.synthetic import generate

ROWS = pa.table({"Id": [f"A{number}" for number in range(11)], "Name of it": ["上海, \"A\"\n", None, "", *"abcdefgh"]})  # fmt: skip


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    generate(folder, scale=300)
    return folder


def opening(name: str, path: Path) -> Callable[[], Source]:
    found = connector(name).open_source
    assert found is not None
    return lambda: found({"path": str(path)})


def of_exports(exports: Path, folder: Path) -> dict[str, SourceBench]:  # noqa: ARG001 (all are made alike)
    return {
        "salesforce": SourceBench(opening("salesforce-export", exports / "salesforce"), "Contact"),
        "dynamics": SourceBench(opening("dynamics-export", exports / "dynamics"), "contact"),
    }


def of_files(folder: Path) -> dict[str, SourceBench]:
    import pyarrow.csv
    import pyarrow.parquet

    pyarrow.csv.write_csv(ROWS, folder / "deal.csv")
    pyarrow.parquet.write_table(ROWS, folder / "order.parquet")
    with sqlite3.connect(folder / "x.db") as made:
        made.execute('CREATE TABLE "Order" ("Id" TEXT PRIMARY KEY, "Name of it" TEXT)')
        made.executemany('INSERT INTO "Order" VALUES (?, ?)', [tuple(row.values()) for row in ROWS.to_pylist()])  # fmt: skip
    sql = connector("sql").open_source
    assert sql is not None
    fields = (FieldSchema("Id", FieldType.ID), FieldSchema("Name of it", FieldType.STRING))
    held = MemoryObject(ObjectSchema("Order", "Id", fields), ROWS)
    return {
        "csv": SourceBench(opening("files", folder / "deal.csv"), "deal", expected=11),
        "parquet": SourceBench(opening("files", folder / "order.parquet"), "order", expected=11),
        "sqlite": SourceBench(lambda: sql({"url": f"sqlite:///{folder / 'x.db'}"}), "Order", expected=11),
        "memory": SourceBench(lambda: MemorySource([held]), "Order", expected=11),
    }


@pytest.mark.parametrize("name", ["csv", "parquet", "sqlite", "memory"])
@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
def test_a_file_or_database(check: Callable[[SourceBench], None], name: str, tmp_path: Path) -> None:
    check(of_files(tmp_path)[name])


@pytest.mark.parametrize("name", ["salesforce", "dynamics"])
@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
def test_an_export(check: Callable[[SourceBench], None], name: str, exports: Path, tmp_path: Path) -> None:
    check(of_exports(exports, tmp_path)[name])
