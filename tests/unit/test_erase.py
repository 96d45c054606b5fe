"""A person is forgotten: in both systems, in the ledger, in what is staged and backed up; and nothing brings the person back."""

from __future__ import annotations

import json
import shutil
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from migrator.commands import steps
from migrator.commands.erase import again, done_by_hand, erase, preview
from migrator.commands.erase_proof import scrub, search, telling
from migrator.commands.erase_result import BOTH, Order
from migrator.commands.project import load_project, open_workspace
from migrator.commands.sync import once
from migrator.commands.sync_people import Approvers
from migrator.commands.sync_status import sync_status
from migrator.core.errors import ProjectError, SafetyStop
from migrator.staging import erasures, journal
from migrator.staging.engine import EngineSettings, open_engine
from migrator.staging.erasures import FILE, Place, Request, backlog, forgotten
from migrator.staging.ledger import Ledger, open_ledger
from migrator.staging.orphans import remove_orphans
from migrator.staging.purge import Doomed, purge
from migrator.staging.store import Kind, Store
from migrator.sync import erasing
from migrator.sync.replay import replay
from migrator.sync.report import Status
from tests.small_migration import CONTACTS, sheet, write_small
from tests.sync_kit import conflict, do, put, write_project
from tests.sync_world import World, world

WE = Approvers("ann", "bob", "asked by letter")
ANNA = "contact/salesforce:003000000000001AAA"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as found:
        yield found


def asked(ledger: Ledger, *names: tuple[str, str]) -> Request:
    places = tuple(Place(stream, name, "old", "Account") for stream, name in names)
    with ledger.begin() as connection:
        return erasures.ask(connection, ledger, Request(0, datetime.now(UTC), "a", "b", "c", places))


# ---- the list


def test_nobody_asked_and_nothing_is_open(ledger: Ledger) -> None:
    assert backlog(ledger) == 0
    assert not forgotten(ledger)


def test_a_request_is_open_until_it_is_done_and_then_names_nobody(ledger: Ledger) -> None:
    request = asked(ledger, ("contact/old", "Ada"))
    assert backlog(ledger) == 1
    with ledger.begin() as connection:
        erasures.put(
            connection,
            Request(request.number, request.asked_at, "a", "b", "c", request.places, datetime.now(UTC)),
        )
    assert backlog(ledger) == 0
    (done,) = erasures.requests(ledger)
    assert (done.places, done.why) == ((), "")


def test_among_many_only_the_forgotten_are_found(ledger: Ledger) -> None:
    asked(ledger, ("contact/old", "id 7"), ("contact", "7"))
    known = forgotten(ledger)
    assert known.among("contact/old", [f"id {number}" for number in range(2_000)]) == ["id 7"]
    assert known.among("lead/old", ["id 7"]) == []
    assert ("contact", "7") in known
    assert ("contact", "8") not in known


def test_the_file_holds_hashes_only_and_is_no_wider_than_its_owner(ledger: Ledger, tmp_path: Path) -> None:
    asked(ledger, ("contact/old", "ada@example.com"))
    path = erasures.write_file(tmp_path, ledger)
    erasures.write_file(tmp_path, ledger)
    assert len(path.read_text().splitlines()) == 1
    assert "ada" not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    assert erasures.unknown(tmp_path, ledger) == []


def test_a_file_of_another_ledger_stops_everything(ledger: Ledger, tmp_path: Path) -> None:
    asked(ledger, ("contact/old", "1"))
    erasures.write_file(tmp_path, ledger)
    with (
        closing(open_ledger(f"sqlite:///{tmp_path / 'other.db'}")) as other,
        pytest.raises(SafetyStop, match="another ledger"),
    ):
        erasures.unknown(tmp_path, other)


def test_a_line_that_is_none_is_told_at_its_place(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('\n{"ledger": 1}\n')
    with pytest.raises(ProjectError, match=rf"{FILE}:2"):
        erasures.unknown(tmp_path, ledger)


# ---- the sync


@pytest.fixture
def linked(tmp_path: Path) -> tuple[World, str, str]:
    found = world(tmp_path)
    name = found.old.add("Account", Name="Ada Lovelace", City="Basel", Phone="+41 61 555 0101")
    found.old.add("Account", Name="Bo")
    assert found.night().status is Status.GREEN
    return found, name, found.partner(name)


def forget(found: World, *kept: tuple[str, str], name: str, partner: str) -> dict[str, int]:
    names = [("account/a", name), ("account", partner)]
    with found.ledger.begin() as connection:
        touched = erasing.forget(connection, found.ledger, names, frozenset(kept))
        erasures.keep_hashes(connection, erasures.Digests.of(found.ledger), names, 1)
    return touched


def test_values_leave_every_table_and_the_journal_still_holds(linked: tuple[World, str, str]) -> None:
    found, name, partner = linked
    found.old.edit("Account", name, Phone="+41 61 555 0202")
    found.new.edit("customer", partner, phone="+41 61 555 0303")
    found.night()
    assert found.reports[-1].holds == {"conflict": 1}
    touched = forget(found, name=name, partner=partner)
    assert touched | {"members": 2, "conflicts": 1, "holds": 1, "tombstones": 2} == touched
    with found.ledger.read() as connection:
        assert erasing.left(connection, [("account/a", name), ("account", partner)]) == {}
        assert journal.verify(connection).holds
        everything = [
            str(row) for (table,) in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type='table'").all()
            for row in connection.exec_driver_sql(f'SELECT * FROM "{table}"').all()
        ]  # fmt: skip
    for value in ("Lovelace", "555 0101", "555 0202", "555 0303"):
        assert not [row for row in everything if value in row]


def test_who_was_erased_is_made_on_neither_side_again(linked: tuple[World, str, str]) -> None:
    found, name, partner = linked
    forget(found, name=name, partner=partner)
    found.old.remove("Account", name)
    found.new.remove("customer", partner)
    for full in (False, True, False):
        assert found.night(full=full).writes == 0
        assert found.reports[-1].status is Status.GREEN
    assert len(found.new.rows["customer"]) == len(found.old.rows["Account"]) == 1


def test_who_comes_back_is_held_and_never_carried(linked: tuple[World, str, str]) -> None:
    found, name, partner = linked
    forget(found, name=name, partner=partner)
    found.old.remove("Account", name)
    found.new.remove("customer", partner)
    found.night()
    found.old.restore("Account", name)
    for full in (False, True):
        assert found.night(full=full).writes == 0
        assert found.reports[-1].holds == {"erased": 1}
        assert found.reports[-1].exit_code == 5
    found.old.remove("Account", name)
    found.night()
    assert found.reports[-1].holds == {}


def test_the_side_that_the_order_is_not_about_is_left_in_peace(linked: tuple[World, str, str]) -> None:
    found, name, partner = linked
    forget(found, ("account", partner), name=name, partner=partner)
    found.old.remove("Account", name)
    found.new.edit("customer", partner, name="Ada L.")
    for full in (False, True):
        assert found.night(full=full).writes == 0
        assert found.reports[-1].status is Status.GREEN
    assert found.new.values("customer", partner)["name"] == "Ada L."


def test_a_ledger_that_knows_only_the_hash_makes_no_partner(tmp_path: Path) -> None:
    found = world(tmp_path)
    with found.ledger.begin() as connection:
        erasures.keep_hashes(connection, erasures.Digests.of(found.ledger), [("account/a", "O001")], 1)
    assert found.old.add("Account", Name="Ada") == "O001"
    found.old.add("Account", Name="Bo")
    found.night()
    found.night(full=True)
    assert [row.values["name"] for row in found.new.rows["customer"].values()] == ["Bo"]


@pytest.mark.postgres
def test_a_ledger_on_postgresql_forgets_too(tmp_path: Path, postgres_url: str) -> None:
    found = world(tmp_path)
    found.ledger.close()
    found.ledger = open_ledger(postgres_url, found.clock, project="Vergessen")
    name = found.old.add("Account", Name="Ada Lovelace")
    found.night()
    partner = found.partner(name)
    assert forget(found, name=name, partner=partner)["tombstones"] == 2
    assert asked(found.ledger, ("account/a", name)).number == 1
    assert backlog(found.ledger) == 1
    assert ("account/a", name) in forgotten(found.ledger)
    scrub(found.ledger)
    found.old.edit("Account", name, City="Bern")
    assert found.night(full=True).writes == 0
    assert found.reports[-1].holds == {"erased": 1}
    with found.ledger.read() as connection:
        assert erasing.left(connection, [("account/a", name), ("account", partner)]) == {"holds": 1}
    with found.ledger.read() as connection:
        assert replay(connection).same
    found.ledger.close()


# ---- datasets


def test_rows_leave_their_files_and_the_ledger_says_how_many_are_left(ledger: Ledger, tmp_path: Path) -> None:
    store = Store(tmp_path / "staging", ledger)
    building = store.build(Kind.MAPPED, "contact", "f")
    for names in (["s:1", "s:2"], ["s:3", "s:4"]):
        building.add_table(pa.table({"__id": names, "name": [f"name {one}" for one in names]}))
    building.complete()
    pairs = store.build(Kind.PAIRS, "contact", "f")
    pairs.add_table(pa.table({"one": ["s:2", "s:1"], "other": ["s:3", "s:4"], "evidence": ["x", "y"]}))
    pairs.complete()
    with closing(open_engine(EngineSettings(threads=1), tmp_path)) as session:
        doomed = Doomed({"contact": frozenset({"s:3"})})
        assert purge(store, session, doomed) == {"mapped/contact": 1, "pairs/contact": 1}
        assert purge(store, session, doomed) == {}
    found = store.need(Kind.MAPPED, "contact", made_by="map")
    assert (found.rows, [part.rows for part in found.parts]) == (3, [2, 1])
    assert pq.read_table(found.parts[1].path).column("__id").to_pylist() == ["s:4"]
    assert len(list((tmp_path / "staging" / "mapped").rglob("*.parquet"))) == 2
    assert store.sweep() == 0


def test_files_that_no_row_names_any_more_are_deleted(ledger: Ledger, tmp_path: Path) -> None:
    store, folder = Store(tmp_path / "staging", ledger), tmp_path / "files"
    for name in ("aa11", "bb22"):
        (folder / name[:2]).mkdir(parents=True)
        (folder / name[:2] / name).write_bytes(b"scan of a passport")
    building = store.build(Kind.STAGED, "old/Attachment", "f")
    building.add_table(pa.table({"Id": ["1"], "Body": ["sha256:bb22"], "__row": [0]}))
    building.complete()
    with closing(open_engine(EngineSettings(threads=1), tmp_path)) as session:
        assert remove_orphans(store, session, folder) == 1
        assert remove_orphans(store, session, tmp_path / "nothing") == 0
    assert [path.name for path in folder.glob("*/*")] == ["bb22"]


# ---- the command


def test_values_are_looked_for_in_every_file_also_inside_json_and_across_blocks(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_bytes(b"x" * ((1 << 20) - 3) + b"Lovelace")
    (tmp_path / "a.json").write_text(json.dumps({"name": "Zo\u00eb \u674e\u56db"}))
    (tmp_path / "clean.txt").write_text("nothing")
    values = telling(
        ["Lovelace", "Zo\u00eb \u674e\u56db", "Hot", "2026-01-02 03:04:05", 7, None, "c1234"],
        [("contact/old", "c1234")],
    )
    assert values == ("Lovelace", "Zo\u00eb \u674e\u56db")
    found = search(tmp_path, values)
    assert (found.files, dict(found.found)) == (3, {"log.txt": 1, "a.json": 1})


def test_one_person_alone_cannot_order_it(tmp_path: Path) -> None:
    project = write_project(tmp_path)
    for by in (Approvers("ann", "", "w"), Approvers("ann", "Ann", "w"), Approvers("ann", "bob", " ")):
        with pytest.raises(SafetyStop):
            erase(project, Order("contact/old:c1"), by)


def test_a_record_nobody_knows_is_told(tmp_path: Path) -> None:
    project = write_project(tmp_path)
    for text, said in (("contact/old:nobody", "nothing is known"), ("contac/old:1", "no mapping"), ("contact/x:1", "no source"), ("Ada", "names no record")):  # fmt: skip
        with pytest.raises(ProjectError, match=said):
            preview(project, Order(text))


@pytest.mark.slow
def test_a_person_is_forgotten_everywhere_and_a_restored_ledger_forgets_again(tmp_path: Path) -> None:
    project = write_project(tmp_path)
    old, new, kept = tmp_path / "old.db", tmp_path / "new.db", tmp_path / "kept.db"
    do(
        old,
        "INSERT INTO contact (id, name, phone, stage) VALUES ('c1', 'Ada Lovelace', '+41 61 555 0101', 'Hot'), ('c2', 'Bo', '', 'Won')",
    )
    once(project)
    put(
        project,
        conflicts=[
            conflict(9, grp=1, members=json.dumps({"members": [{"values": {"name": "Lady Lovelace"}}]}))
        ],
    )
    with (
        closing(sqlite3.connect(tmp_path / ".migrator" / "ledger.db")) as source,
        closing(sqlite3.connect(kept)) as copy,
    ):
        source.backup(copy)
    backup = tmp_path / ".migrator" / "backups" / "1"
    backup.mkdir(parents=True)
    shutil.copyfile(kept, backup / "ledger.db")
    shown = preview(project, Order("contact/old:c1"))
    assert {item["state"] for item in shown.places} == {"would be deleted"}
    assert do(old, "SELECT count(*) FROM contact") == [(2,)]
    done = erase(project, Order("contact/old:c1"), WE)
    assert (done.done, dict(done.left), done.journal_holds, dict(done.backups)) == (
        True,
        {},
        True,
        {"1": "forgotten"},
    )
    assert do(old, "SELECT id FROM contact") == [("c2",)]
    assert do(new, "SELECT name FROM person") == [("Bo",)]
    assert not [
        path
        for path in tmp_path.rglob(".migrator/**/*")
        if path.is_file() and b"Lovelace" in path.read_bytes()
    ]
    assert "old:c1" not in Path(done.proof).read_text()
    assert once(project, full=True).standing.status is Status.GREEN
    # an old backup of the ledger takes its place
    for path in (tmp_path / ".migrator").glob("ledger.db*"):
        path.unlink()
    shutil.move(kept, tmp_path / ".migrator" / "ledger.db")
    with pytest.raises(SafetyStop, match="restored from before"):
        once(project)
    (found,) = again(project)
    assert found.done
    with open_workspace(project) as workspace:
        assert backlog(workspace.ledger) == 0
    assert not [
        path
        for path in tmp_path.rglob(".migrator/**/*")
        if path.is_file() and b"Lovelace" in path.read_bytes()
    ]
    assert sync_status(project).state.erasures == 0


@pytest.mark.slow
def test_a_restored_ledger_leaves_the_side_in_peace_that_the_order_was_not_about(tmp_path: Path) -> None:
    project = write_project(tmp_path)
    old, new, ledger = tmp_path / "old.db", tmp_path / "new.db", tmp_path / ".migrator" / "ledger.db"
    do(old, "INSERT INTO contact (id, name, phone, stage) VALUES ('c1', 'Ada Lovelace', '', 'Hot')")
    once(project)
    with closing(sqlite3.connect(ledger)) as source, closing(sqlite3.connect(tmp_path / "kept.db")) as copy:
        source.backup(copy)
    assert erase(project, Order("contact/old:c1", ("old",)), WE).done
    for path in ledger.parent.glob("ledger.db*"):
        path.unlink()
    shutil.move(tmp_path / "kept.db", ledger)
    (found,) = again(project)
    assert [(item["side"], item["state"]) for item in found.places] == [("new", "kept"), ("old", "absent")]
    assert do(new, "SELECT name FROM person") == [("Ada Lovelace",)]
    assert do(old, "SELECT * FROM contact") == []
    run = once(project, full=True)
    assert run.report.writes == 0
    assert do(new, "SELECT name FROM person") == [("Ada Lovelace",)]


@pytest.mark.slow
def test_what_an_export_still_holds_is_never_staged_again(tmp_path: Path) -> None:
    write_small(tmp_path)
    project = load_project(tmp_path)
    steps.run(project)
    first = erase(project, Order(ANNA), WE)
    assert [(item["system"], item["state"]) for item in first.places] == [
        ("crm", "deleted"),
        ("salesforce", "by hand"),
    ]
    assert not first.done
    with pytest.raises(SafetyStop, match="request 1 is about this person"):
        erase(project, Order(ANNA), WE)
    # the export is read anew: another file, with the person still in it
    (path,) = (tmp_path / "exports" / "salesforce").glob("*.ZIP")
    with zipfile.ZipFile(path) as archive:
        accounts = archive.read("Account.csv")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Account.csv", accounts)
        archive.writestr(
            "Contact.csv", sheet([*CONTACTS, ("003000000000009AAA", "New", "new@example.com", "", "")])
        )
    report = steps.run(project)
    counts = next(item for item in report.accounting.objects if item.name == "contact")
    assert (counts.extracted, counts.unaccounted) == (6, {})
    assert not [
        path
        for path in (tmp_path / ".migrator" / "staging").rglob("*.parquet")
        if "nna@" in str(pq.read_table(path).to_pylist())
    ]
    assert do(tmp_path / "crm.db", "SELECT count(*) FROM contact WHERE email LIKE 'anna@%'") == [(0,)]
    done_by_hand(project, 1, "salesforce", WE)
    (second,) = again(project)
    assert second.done


def test_both_sides_are_meant_when_none_is_named() -> None:
    assert Order("contact/old:1").on == BOTH
