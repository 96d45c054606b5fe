"""The journal tells every change to it: rows altered, dropped, put elsewhere, slipped in, cut off, calculated anew."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from migrator.commands.audit import audit_head, audit_verify
from migrator.commands.project import load_project, open_workspace
from migrator.core.errors import DataError, ProjectError, SafetyStop
from migrator.staging import journal
from migrator.staging.journal import Head, append, append_all, end, read, verify
from migrator.staging.ledger import Ledger, open_ledger
from migrator.staging.ledger_tables import journal as table
from migrator.staging.ledger_tables import meta

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    with closing(open_ledger(database_url)) as opened:
        yield opened


@pytest.fixture
def file_ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(open_ledger(f"sqlite:///{tmp_path / 'one.db'}")) as opened:
        yield opened


def _told(ledger: Ledger, count: int = 5) -> Head:
    with ledger.begin() as connection:
        return append_all(
            connection, [("phase" if n % 2 else "gate", {"n": n}) for n in range(count)], at=NOON, run="r1"
        )


def _flaws(ledger: Ledger, *heads: Head) -> list[tuple[int, str]]:
    with ledger.read() as connection:
        return [(flaw.number, flaw.what) for flaw in verify(connection, heads).flaws]


def test_what_is_appended_is_read_again_as_it_was(ledger: Ledger) -> None:
    class Colour(Enum):
        RED = "red"

    east = NOON.astimezone(tz=None) + timedelta(hours=1)
    body = {
        "text": "客户\0\ud800 'x'\n",
        "amount": Decimal("1.10"),
        "when": east,
        "colour": Colour.RED,
        "none": None,
    }
    with ledger.begin() as connection:
        one = append(connection, "conflict", body, at=NOON, run="run-1")
        two = append(connection, "gate", {}, at=NOON)
    with ledger.read() as connection:
        audit = verify(connection)
    with ledger.read() as connection:
        first, second = read(connection)
        assert end(connection) == two
        assert [entry.number for entry in read(connection, kinds=["gate"])] == [2]
        assert [entry.number for entry in read(connection, after=1)] == [2]
    assert first.body == {
        "text": "客户\0\ud800 'x'\n", "amount": "1.10", "when": east.astimezone(UTC).isoformat(),
        "colour": "red", "none": None,
    }  # fmt: skip
    assert (first.kind, first.run, first.at, first.hash) == ("conflict", "run-1", NOON, one.hash)
    assert (second.previous, second.number) == (first.hash, 2)
    assert (audit.holds, audit.rows, audit.head) == (True, 2, two)


def test_an_empty_journal_holds(ledger: Ledger) -> None:
    assert _flaws(ledger) == []
    with ledger.read() as connection:
        assert end(connection) == Head()


def test_a_row_stands_exactly_if_its_transaction_does(ledger: Ledger) -> None:
    _told(ledger, 1)
    with pytest.raises(TypeError, match="bytes"), ledger.begin() as connection:
        append_all(connection, [("gate", {"n": "never"}), ("gate", {"raw": b"x"})], at=NOON)
    with ledger.engine.connect() as connection:
        append(connection, "gate", {"n": "never"}, at=NOON)
        connection.rollback()
    assert _told(ledger, 1).number == 2
    assert _flaws(ledger) == []


def _set(connection: Connection, row: int, **values: object) -> None:
    connection.execute(table.update().where(table.c.number == row).values(**values))


def _row(connection: Connection, number: int) -> sa.Row:  # type: ignore[type-arg]
    return connection.execute(sa.select(table).where(table.c.number == number)).one()


def _rehash(connection: Connection, number: int) -> None:
    row = _row(connection, number)
    changed = journal._digest(row.previous, number, row.at, kind=row.kind, run=row.run, body="{}")
    _set(connection, number, body="{}", hash=changed)


def _swap(connection: Connection, one: int, other: int) -> None:
    for number, place in ((one, 99), (other, one), (99, other)):
        _set(connection, number, number=place)


def _close_gap(connection: Connection, number: int) -> None:
    connection.execute(table.delete().where(table.c.number == number))
    for later in (number + 1, number + 2):
        _set(connection, later, number=later - 1)


def _slip_in(connection: Connection) -> None:
    row = _row(connection, 5)
    connection.execute(table.insert().values({**row._mapping, "number": 6, "previous": row.hash}))


_DAMAGE: dict[str, tuple[Callable[[Connection], object], str]] = {
    "a body": (lambda c: _set(c, 3, body='{"n":9}'), "3: its content"),
    "a kind": (lambda c: _set(c, 3, kind="phases"), "3: its content"),
    "a moment": (lambda c: _set(c, 3, at=NOON + timedelta(microseconds=1)), "3: its content"),
    "a run": (lambda c: _set(c, 3, run="r2"), "3: its content"),
    "a row and its hash": (lambda c: _rehash(c, 3), "4: the row before it"),
    "dropped": (lambda c: c.execute(table.delete().where(table.c.number == 3)), "4: 1 row before it are gone"),
    "the first dropped": (lambda c: c.execute(table.delete().where(table.c.number <= 2)), "3: 2 rows before it"),
    "swapped": (lambda c: _swap(c, 2, 4), "2: its content"),
    "renumbered": (lambda c: _close_gap(c, 3), "3: the row before it"),
    "slipped in": (_slip_in, "6: its content"),
    "cut off": (lambda c: c.execute(table.delete().where(table.c.number >= 4)), "5: the ledger noted 5 rows"),
    "all of it": (lambda c: c.execute(table.delete()), "5: the ledger noted 5 rows, here are 0"),
}  # fmt: skip


@pytest.mark.parametrize("damage", _DAMAGE)
def test_damage_is_told_where_it_is(ledger: Ledger, damage: str) -> None:
    _told(ledger)
    change, expected = _DAMAGE[damage]
    with ledger.begin() as connection:
        change(connection)
    found = [f"{number}: {what}" for number, what in _flaws(ledger)]
    assert any(text.startswith(expected) for text in found), found


def test_only_an_exported_head_tells_of_a_chain_that_was_calculated_anew(ledger: Ledger) -> None:
    exported = _told(ledger)
    with (
        ledger.begin() as connection
    ):  # somebody who knows the code: cut off, note it, and write something else
        connection.execute(table.delete().where(table.c.number >= 4))
        connection.execute(meta.delete().where(meta.c.name == "journal_head"))
        last = end(connection)
        connection.execute(meta.insert().values(name="journal_head", value=f"{last.number} {last.hash}"))
    assert _flaws(ledger) == []
    ((number, what),) = _flaws(ledger, exported)
    assert (number, what.startswith("an exported head knows of 5 rows")) == (5, True)
    _told(ledger)
    ((number, what),) = _flaws(ledger, exported)
    assert (number, "exported head knows" in what) == (5, True)
    with ledger.read() as connection:
        now = end(connection)
    assert _flaws(ledger, now, Head()) == []


def test_nothing_is_added_to_a_journal_that_was_cut_off(ledger: Ledger) -> None:
    _told(ledger)
    with ledger.begin() as connection:
        connection.execute(table.delete().where(table.c.number == 5))
    with pytest.raises(SafetyStop, match="ends with row 4, but row 5 was written last") as caught:
        _told(ledger)
    assert "audit verify" in caught.value.hint


def test_many_who_append_at_once_make_one_chain(ledger: Ledger) -> None:
    def work(name: str) -> None:
        for n in range(10):
            with ledger.begin() as connection:
                append(connection, "gate", {"who": name, "n": n}, at=NOON)

    threads = [threading.Thread(target=work, args=(str(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _flaws(ledger) == []
    with ledger.read() as connection:
        assert end(connection).number == 40


def test_it_is_read_and_verified_over_many_pages(
    file_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "PAGE", 3)
    head = _told(file_ledger, 9)
    with file_ledger.read() as connection:
        assert [entry.body["n"] for entry in read(connection)] == list(range(9))
        assert verify(connection, [head, Head(4, "0" * 64)]).flaws[0].number == 4


def test_the_command_verifies_with_the_heads_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "migration.yaml").write_text("systems: {new: {connector: sql, url: 'sqlite:///new.db'}}\n")
    project, file = load_project(tmp_path), tmp_path / "heads.jsonl"
    with open_workspace(project) as workspace:
        _told(workspace.ledger)
        audit_head(project, file)
        head = audit_head(project, file)
        found = audit_verify(project, [file])
        found.raise_unless_it_holds()
        assert (found.to_json()["holds"], found.heads, head.number) == (True, 2, 5)
        with workspace.ledger.begin() as connection:
            _set(connection, 2, body="{}")
    with pytest.raises(DataError, match="row 2: its content"):
        audit_verify(project, [file]).raise_unless_it_holds()
    file.write_text('{"ledger": "x", "at": "", "number": 1, "hash": ""}\n')
    with pytest.raises(ProjectError, match=r"heads.jsonl:1: this head is of another ledger"):
        audit_verify(project, [file])
    file.write_text("[]\n")
    with pytest.raises(ProjectError, match=r"heads.jsonl:1: this is not a head"):
        audit_verify(project, [file])
