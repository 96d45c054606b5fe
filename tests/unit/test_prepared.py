"""Prepared statements on SQLite: the same rows, types and errors as SQLAlchemy's own way, and only what is committed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa

from migrator.core.errors import FatalError
from migrator.staging import sync_tables as t
from migrator.staging.ledger import Ledger, open_ledger
from migrator.staging.prepared import Prepared, among

NOON = datetime(2026, 3, 29, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
DIRTY = Prepared(t.dirty.insert())
THESE = Prepared(
    lambda d: sa.select(t.dirty).where(among(d, t.dirty.c.stream, t.dirty.c.id)).order_by(t.dirty.c.id)
)


def row(name: str) -> dict[str, object]:
    return {"stream": "客户/x", "id": name, "why": "changed", "since": NOON, "attempts": 2, "not_before": None,
            "code": "", "message": "two\nlines 'and' \"quotes\""}  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def test_rows_are_those_that_sqlalchemy_gives(ledger: Ledger) -> None:
    with ledger.begin() as connection:
        assert DIRTY.run(connection, [row("1"), row('"2;')]) == 2
        told = [tuple(each) for each in connection.execute(sa.select(t.dirty).order_by(t.dirty.c.id))]
    asked = {"ids": [("客户/x", "1"), ("客户/x", '"2;'), ("客户/x", "3")]}
    assert [tuple(each) for each in ledger.fetch(THESE, asked)] == told
    first = ledger.fetch(THESE, {"ids": [("客户/x", "1")]})[0]
    assert (first.since, first._asdict()["message"]) == (NOON.astimezone(UTC), "two\nlines 'and' \"quotes\"")
    ledger.close()


def test_a_reader_sees_what_is_committed_and_nothing_else(ledger: Ledger) -> None:
    asked = {"ids": [("客户/x", "1")]}
    with ledger.begin() as connection:
        DIRTY.run(connection, [row("1")])
        assert ledger.fetch(THESE, asked) == []
        assert len(THESE.all(connection, asked)) == 1
    assert len(ledger.fetch(THESE, asked)) == 1
    ledger.close()


def test_a_closed_ledger_opens_again(ledger: Ledger) -> None:
    assert ledger.fetch(THESE, {"ids": []}) == []
    ledger.close()
    assert ledger.fetch(THESE, {"ids": []}) == []
    ledger.close()


def test_trouble_is_told_as_everywhere(ledger: Ledger) -> None:
    with pytest.raises(sa.exc.IntegrityError), ledger.begin() as connection:
        DIRTY.run(connection, [row("1"), row("1")])
    ledger.close()
    path = Path(ledger.engine.url.database or "")
    path.write_bytes(b"no database at all" * 100)
    for beside in path.parent.glob("ledger.db-*"):
        beside.unlink()
    with pytest.raises(FatalError, match="cannot be used"):
        ledger.fetch(THESE, {"ids": []})
    ledger.close()
