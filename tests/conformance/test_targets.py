"""The conformance kit against every target that runs without a server of its own: SQL on two databases, and memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connectors.sql.settings import parse
from connectors.sql.target import SqlTarget
from connectors.sql.writing_generic import write_generic
from migrator.core.connector import Target
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.testing.conformance import TARGET_CHECKS, TargetBench
from migrator.testing.memory import MemoryTarget
from tests.postgres import TestServer

Opened = Callable[[], Target]
FIELDS = (
    FieldSchema("legacy_id", FieldType.STRING, required=True, unique=True, length=80),
    FieldSchema("name of it", FieldType.STRING, length=120),
    FieldSchema("amount", FieldType.DECIMAL, precision=18, scale=2),
    FieldSchema("seen_at", FieldType.DATETIME),
    FieldSchema("born", FieldType.DATE),
    FieldSchema("stage", FieldType.STRING, required=True, length=10),
)
OBJECT = ObjectSchema("Order", "legacy_id", FIELDS)
ASSIGNED = ObjectSchema("Order", "id", (FieldSchema("id", FieldType.ID, read_only=True), *FIELDS))


def bench(target: Target) -> TargetBench:
    return TargetBench(
        target, "Order", key="legacy_id", text="name of it", decimal="amount", when="seen_at", day="born",
        fixed={"stage": "open"}, refused={"stage": "longer than ten characters"}, prepare=(OBJECT,),
    )  # fmt: skip


@pytest.fixture(params=["memory", "memory-assigning", "sqlite", "generic", "postgres"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    match request.param:
        case "memory":
            yield MemoryTarget()
        case "memory-assigning":
            yield MemoryTarget([ASSIGNED], assigns_ids=True)
        case "sqlite":
            yield SqlTarget(parse({"url": f"sqlite:///{tmp_path / 'x.db'}"}))
        case "generic":
            yield SqlTarget(parse({"url": f"sqlite:///{tmp_path / 'x.db'}"}), write_generic)
        case _:
            server: TestServer = request.getfixturevalue("postgres_server")
            with server.database() as url:
                opened = SqlTarget(parse({"url": url}))
                yield opened
                opened.close()


@pytest.mark.parametrize("check", TARGET_CHECKS, ids=lambda check: check.__name__)
def test_target(check: Callable[[TargetBench], None], target: Target) -> None:
    check(bench(target))
