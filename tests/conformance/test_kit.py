"""The kit itself: each connector broken on purpose is caught by the check that names the promise it breaks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pytest

from migrator.core.connector import ChangePage, Page, SourceFacts
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.testing.conformance import SourceBench, TargetBench, sources, targets
from migrator.testing.memory import MemoryObject, MemorySource, MemoryTarget

OBJECT = ObjectSchema(
    "Deal",
    "legacy_id",
    (
        FieldSchema("legacy_id", FieldType.STRING, required=True, unique=True, length=80),
        FieldSchema("name", FieldType.STRING, length=120),
        FieldSchema("amount", FieldType.DECIMAL, precision=18, scale=2),
    ),
)


class ByPosition(MemoryTarget):
    """Answers in its own order under the keys of another."""

    def fetch(self, object_name: str, keys: Sequence[str], *, key: str, columns: Sequence[str]) -> pa.Table:
        found = super().fetch(object_name, keys, key=key, columns=columns)
        return found.set_column(found.column_names.index(key), key, pa.array(keys[: found.num_rows]))

    def upsert(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        backwards = rows.set_column(rows.column_names.index("name"), "name", rows.column("name").take(pa.array(range(rows.num_rows - 1, -1, -1))))  # fmt: skip
        return super().upsert(object_name, backwards, key=key)


class Doubling(MemoryTarget):
    """Makes a second record for a key it has."""

    made = 0

    def _ids_by_key(self, stored: Any, key: str) -> dict[str, str]:  # noqa: ARG002 (the signature is given)
        return {}

    def _create(self, stored: Any, row: Any, key: str) -> dict[str, Any]:
        self.made += 1
        stored.records[str(self.made)] = dict(row)
        return {"key": row[key], "target_id": None, "outcome": "created", "code": None, "field": None, "message": None}  # fmt: skip


class MakingOnUpdate(MemoryTarget):
    """Makes the record that an update does not find."""

    update = MemoryTarget.upsert


class Trimming(MemoryTarget):
    """Tidies texts on its way."""

    def upsert(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        tidy = pa.array([value and value.replace("\n", " ") for value in rows.column("name").to_pylist()])
        return super().upsert(object_name, rows.set_column(rows.column_names.index("name"), "name", tidy), key=key)  # fmt: skip


class Greedy(MemoryTarget):
    """Gives larger pages than asked for."""

    def read(self, object_name: str, *, columns: Sequence[str] | None = None, page_rows: int = 0) -> Iterator[pa.Table]:  # noqa: ARG002 # fmt: skip
        return super().read(object_name, columns=columns)


class Deaf(MemoryTarget):
    """Takes a null for nothing said."""

    def update(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        said = [name for name in rows.column_names if rows.column(name).null_count < rows.num_rows]
        return super().update(object_name, rows.select(said), key=key)


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        (ByPosition, targets.matches_by_key),
        (Doubling, targets.one_key_makes_one_record),
        (MakingOnUpdate, targets.updates_only_what_is_there),
        (Trimming, targets.texts_come_back),
        (Greedy, targets.reads_everything),
        (Deaf, targets.null_clears),
    ],
)
def test_a_broken_target_is_caught(broken: type[MemoryTarget], check: Any) -> None:
    whole = TargetBench(
        MemoryTarget(), "Deal", key="legacy_id", text="name", decimal="amount", prepare=(OBJECT,)
    )
    check(whole)
    bench = TargetBench(broken(), "Deal", key="legacy_id", text="name", decimal="amount", prepare=(OBJECT,))
    with pytest.raises(AssertionError):
        check(bench)


ENTRY = ObjectSchema("Deal", "Id", (FieldSchema("Id", FieldType.ID), FieldSchema("name", FieldType.STRING)))


class Live(MemorySource):
    """A live source in memory: a change counter is its watermark."""

    def __init__(self) -> None:
        rows = pa.table({"Id": [f"A{n}" for n in range(9)], "name": list("abcdefghi")})
        super().__init__(
            [MemoryObject(ENTRY, rows)], facts=SourceFacts(live=True, changes=True, deleted_feed=True)
        )
        self.log: list[tuple[str, bool]] = []

    def watermark(self, object_name: str) -> str:  # noqa: ARG002 (one object)
        return str(len(self.log))

    def changes(self, object_name: str, *, since: str, page_rows: int = 50_000) -> Iterator[ChangePage]:  # noqa: ARG002
        keys = [key for key, there in self.log[int(since) :] if there]
        rows = pa.table({"Id": pa.array(keys, pa.string()), "name": pa.array(keys, pa.string())})
        gone = pa.array([key for key, there in self.log[int(since) :] if not there], pa.string())
        yield ChangePage(rows, gone, str(len(self.log)))


class Forgetting(Live):
    """Its watermark skips what comes next."""

    def changes(self, object_name: str, *, since: str, page_rows: int = 50_000) -> Iterator[ChangePage]:
        for page in super().changes(object_name, since=since, page_rows=page_rows):
            yield ChangePage(page.rows, page.deleted, str(len(self.log) + 1))


class Unsteady(Live):
    """Reads in another order each time."""

    turn = 0

    def read(self, object_name: str, *, cursor: str | None = None, page_rows: int = 50_000) -> Iterator[Page]:
        self.turn += 1
        for page in super().read(object_name, cursor=cursor, page_rows=page_rows):
            yield Page(page.rows if self.turn % 2 else page.rows.take(pa.array(range(page.rows.num_rows - 1, -1, -1))))  # fmt: skip


def live(source: Live) -> SourceBench:
    def logged(key: str, there: bool) -> str:
        source.log.append((key, there))
        return key

    return SourceBench(
        lambda: source, "Deal", edit=lambda key: logged(key, True) and None,
        add=lambda: logged(f"N{len(source.log)}", True), remove=lambda key: logged(key, False) and None,
    )  # fmt: skip


@pytest.mark.parametrize("check", sources.SOURCE_CHECKS, ids=lambda check: check.__name__)
def test_a_live_source_in_memory(check: Any) -> None:
    check(live(Live()))


@pytest.mark.parametrize(
    ("broken", "check"),
    [(Forgetting, sources.source_forgets_nothing_between), (Unsteady, sources.source_keeps_its_order)],
)
def test_a_broken_source_is_caught(broken: type[Live], check: Any) -> None:
    with pytest.raises(AssertionError):
        check(live(broken()))
