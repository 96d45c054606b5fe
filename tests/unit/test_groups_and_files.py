"""Counts by group and files by checksum: one record in another group, one byte in another file, and the report names it."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from migrator.core.clock import FixedClock
from migrator.core.mapped import MappedObject, MappedSource
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.staging.ledger import open_ledger
from migrator.staging.store import Store
from tests.unit.validation_project import (
    ACCOUNTS,
    CONTACTS,
    QUIET,
    FrozenTarget,
    Project,
    arrow_schema,
    make_project,
    put_loaded,
    put_mapped,
)
from validation.checks import file_checks
from validation.files import find_files
from validation.groups import counts, grouping, linked_names
from validation.privacy import Privacy
from validation.readback import read_back
from validation.relations import Sides, open_sides

DOCUMENT = ObjectSchema(
    "document", "legacy_id",
    (FieldSchema("legacy_id", FieldType.ID, required=True, unique=True), FieldSchema("body", FieldType.FILE),
     FieldSchema("Body Length", FieldType.INTEGER)),
)  # fmt: skip
DOCUMENTS = MappedObject(
    "document", "new", "document", "legacy_id", DOCUMENT, (MappedSource("crm", "crm", "Document", "Id"),)
)


def sides_of(project: Project, mapped: MappedObject = ACCOUNTS) -> tuple[object, Sides]:
    for item in project.objects:
        read_back(project.store, project.target, item, progress=QUIET)  # type: ignore[arg-type]
    session = project.session()
    return session, open_sides(session, project.store, mapped, {item.name: item for item in project.objects})


def test_a_record_in_another_group_or_year_is_counted_there(tmp_path: Path) -> None:
    project = make_project(tmp_path, accounts=40, contacts=0)
    project.record("customer", "A00012")["status"] = "lost"
    project.record("customer", "A00013")["since"] = date(1999, 1, 1)
    session, sides = sides_of(project)
    found = {item.field: item for item in counts(session, sides)}  # type: ignore[arg-type]
    assert tuple(found) == grouping(ACCOUNTS) == ("status", "since")
    assert {(g.value, g.expected, g.actual) for g in found["status"].groups[:2]} == {
        ("active", 10, 9), ("lost", 10, 11),
    }  # fmt: skip
    assert [(g.value, g.expected, g.actual) for g in found["since"].groups][:2] == [
        ("2019", 32, 31),
        ("1999", 0, 1),
    ]
    assert all(g.source == g.expected for g in found["status"].groups)


def test_linked_records_are_called_by_their_masked_name(tmp_path: Path) -> None:
    project = make_project(tmp_path, accounts=3, contacts=2)
    session, _ = sides_of(project)
    for privacy, name in ((Privacy.MASKED, "S•••• (18)"), (Privacy.OPEN, "Société «1»")):
        found = linked_names(
            session, project.store, CONTACTS, "company", objects={"account": ACCOUNTS},  # type: ignore[arg-type]
            values=["T-account-A00001", "account/crm:A00001", "gone", None], privacy=privacy,
        )  # fmt: skip
        assert set(found) == {"T-account-A00001", "account/crm:A00001"}
        assert found["T-account-A00001"].startswith(name)
        assert found["T-account-A00001"].endswith("(T-account-A00001)")


def keep(folder: Path, content: bytes, stored: bytes | None = None) -> str:
    name = hashlib.sha256(content).hexdigest()
    path = folder / name[:2] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if stored is not None or content != b"absent":
        path.write_bytes(content if stored is None else stored)
    return f"sha256:{name}"


@pytest.mark.parametrize("answers", ["references", "bytes"])
def test_every_fault_of_a_file_is_named_with_its_record(tmp_path: Path, answers: str) -> None:
    folder = tmp_path / "files"
    contents = {
        "D1": b"whole",
        "D2": b"damaged",
        "D3": b"absent",
        "D4": b"longer",
        "D5": b"other",
        "D6": b"lost",
        "D7": None,
    }
    refs = {
        key: None if content is None else keep(folder, content, b"dam" if key == "D2" else None)
        for key, content in contents.items()
    }
    rows = [
        {"legacy_id": key, "body": ref, "Body Length": len(contents[key] or b"") + (key == "D4")}
        for key, ref in refs.items()
    ]
    store = Store(
        tmp_path / "staging",
        open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", FixedClock(datetime(2026, 1, 1, tzinfo=UTC))),
    )
    target = FrozenTarget({}, {"document": arrow_schema(DOCUMENT)})
    put_mapped(store, DOCUMENTS, rows)
    put_loaded(store, DOCUMENTS, list(refs))
    there = {**refs, "D5": keep(folder, b"foreign"), "D6": None, "D7": refs["D1"]}
    if answers == "bytes":
        there |= {"D1": "d2hvbGU="}  # 'whole' in base64
    target.objects["document"] = [{**row, "body": there[row["legacy_id"]]} for row in rows]
    project = Project(tmp_path, store, target, (DOCUMENTS,))
    session, sides = sides_of(project, DOCUMENTS)
    (found,) = find_files(session, sides, folder)  # type: ignore[arg-type]
    assert {fault.kind: fault.examples for fault in found.faults} == {
        "damaged": ("crm:D2",), "absent": ("crm:D3",), "size": ("crm:D4",), "different": ("crm:D5",),
        "missing": ("crm:D6",), "extra": ("crm:D7",),
    }  # fmt: skip
    assert (found.records, found.distinct) == (6, 6)
    assert {check.id for check in file_checks("document", [found]) if check.failed} == {
        f"document/files/files.{fault.kind}/body" for fault in found.faults
    }
