"""The generator of legacy exports: same seed, same bytes; its truth agrees with an independent count of the files."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import phonenumbers
import pytest

from connectors.dynamics_export import DynamicsExport
from connectors.salesforce_export import CONNECTOR as SALESFORCE
from migrator.testing.synthetic import Rates, Truth, generate, generate_benchmark
from migrator.testing.synthetic.chance import Chance
from migrator.testing.synthetic.keys import salesforce_ids
from migrator.testing.synthetic.phones import REGIONS, notated

RATES = Rates(
    orphans=0.03,
    bad_dates=0.03,
    bad_amounts=0.03,
    unmapped=0.03,
    missing=0.03,
    too_long=0.02,
    cycles=0.1,
    deleted=0.05,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    return generate(tmp_path_factory.mktemp("legacy"), scale=3_000, seed=11, rates=RATES)


Rows = dict[str, dict[str, str | None]]


@pytest.fixture(scope="module")
def salesforce(made: Truth) -> tuple[dict[str, Rows], Counter[str]]:
    """Object → id → row, and lines per object, by the csv module."""
    objects: dict[str, Rows] = defaultdict(dict)
    lines: Counter[str] = Counter()
    for path in sorted((made.folder / "salesforce").glob("*.ZIP")):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if not name.endswith(".csv"):
                    continue
                text = io.TextIOWrapper(archive.open(name), encoding="utf-8", newline="")
                rows = list(csv.DictReader(text))
                lines[name[:-4]] += len(rows)
                for row in rows:
                    known = objects[name[:-4]].setdefault(row["Id"], row)
                    assert known == row, "copies of a record are identical"
    return objects, lines


@pytest.fixture(scope="module")
def dynamics(made: Truth) -> dict[str, Rows]:
    """Table → id → fields, by ElementTree."""
    with zipfile.ZipFile(made.folder / "dynamics" / "export.zip") as archive:
        root = ElementTree.fromstring(archive.read("data.xml"))  # noqa: S314 - we wrote it
    return {
        entity.attrib["name"]: {
            record.attrib["id"]: {
                item.attrib["name"]: item.attrib["value"] for item in record.iterfind("field")
            }
            for record in entity.iterfind("records/record")
        }
        for entity in root.iterfind("entity")
    }


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(made: Truth, tmp_path: Path) -> None:
    generate(tmp_path / "again", scale=3_000, seed=11, rates=RATES)
    assert digests(tmp_path / "again") == digests(made.folder)
    generate(tmp_path / "other", scale=300, seed=12)
    generate(tmp_path / "third", scale=300, seed=13)
    assert digests(tmp_path / "other") != digests(tmp_path / "third")


def test_the_truth_is_saved_whole(made: Truth) -> None:
    assert Truth.load(made.folder) == made


def test_counts_agree(
    made: Truth, salesforce: tuple[dict[str, Rows], Counter[str]], dynamics: dict[str, Rows]
) -> None:
    objects, lines = salesforce
    for told in made.objects.values():
        rows = objects[told.object] if told.system == "salesforce" else dynamics[told.object]
        assert len(rows) == told.records, told.object
        if told.system == "salesforce":
            assert lines[told.object] == told.rows
            assert sum(row.get("IsDeleted") == "1" for row in rows.values()) == told.deleted
    assert made.of("salesforce", "Account").folded > 0
    assert made.of("salesforce", "Campaign").records == 0
    assert {f"salesforce/{name}" for name in lines} | {f"dynamics/{name}" for name in dynamics} == set(
        made.objects
    )


def all_ids(objects: dict[str, Rows]) -> set[str]:
    return {key for rows in objects.values() for key in rows}


@pytest.mark.parametrize(
    ("system", "name", "fields"),
    [
        ("salesforce", "Account", ("ParentId", "OwnerId")),
        ("salesforce", "Contact", ("AccountId", "ReportsToId", "OwnerId")),
        ("salesforce", "Opportunity", ("AccountId",)),
        ("salesforce", "Task", ("WhoId", "WhatId")),
        ("salesforce", "Order__c", ("Account__c",)),
        ("salesforce", "Attachment", ("ParentId",)),
        ("dynamics", "account", ("parentaccountid", "ownerid")),
        ("dynamics", "contact", ("parentcustomerid", "ownerid")),
        ("dynamics", "opportunity", ("customerid",)),
        ("dynamics", "phonecall", ("regardingobjectid",)),
    ],
)
def test_orphans_are_exactly_those_told(
    made: Truth,
    salesforce: tuple[dict[str, Rows], Counter[str]],
    dynamics: dict[str, Rows],
    system: str,
    name: str,
    fields: tuple[str, ...],
) -> None:
    objects = salesforce[0] if system == "salesforce" else dynamics
    there = all_ids(objects)
    found = {
        (key, field)
        for key, row in objects[name].items()
        for field in fields
        if row.get(field) and row[field] not in there
    }
    assert found == {(item.key, item.field) for item in made.of(system, name).bad if item.kind == "orphan"}


def test_links_never_point_to_deleted_records(salesforce: tuple[dict[str, Rows], Counter[str]]) -> None:
    objects = salesforce[0]
    dead = {key for rows in objects.values() for key, row in rows.items() if row.get("IsDeleted") == "1"}
    pointed = {
        value
        for rows in objects.values()
        for row in rows.values()
        for field, value in row.items()
        if field in {"AccountId", "ParentId", "ReportsToId", "WhoId", "WhatId", "Account__c"}
    }
    assert dead
    assert not dead & pointed


def is_day(text: str | None) -> bool:
    try:
        date.fromisoformat(text or "")
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("system", "name", "field", "kind"),
    [
        ("salesforce", "Contact", "Birthdate", "date"),
        ("salesforce", "Opportunity", "CloseDate", "date"),
        ("salesforce", "Task", "ActivityDate", "date"),
        ("dynamics", "contact", "birthdate", "date"),
        ("salesforce", "Contact", "LastName", "missing"),
        ("dynamics", "account", "name", "missing"),
        ("salesforce", "Account", "AnnualRevenue", "amount"),
        ("salesforce", "Opportunity", "Amount", "amount"),
        ("salesforce", "Account", "Industry", "unmapped"),
        ("dynamics", "account", "industrycode", "unmapped"),
        ("salesforce", "Account", "Name", "too_long"),
    ],
)
def test_bad_values_are_exactly_those_told(
    made: Truth,
    salesforce: tuple[dict[str, Rows], Counter[str]],
    dynamics: dict[str, Rows],
    system: str,
    name: str,
    field: str,
    kind: str,
) -> None:
    rows = (salesforce[0] if system == "salesforce" else dynamics)[name]
    usual = {
        value
        for value, count in Counter(row.get(field) for row in rows.values()).items()
        if count > len(rows) / 20
    }
    wrong = {
        "date": lambda value: not is_day(value),
        "missing": lambda value: not value,
        "amount": lambda value: bool(value) and not value.replace(".", "", 1).isdigit(),
        "unmapped": lambda value: value not in usual,
        "too_long": lambda value: len(value or "") > 255,
    }[kind]
    told = {item.key for item in made.of(system, name).bad if item.kind == kind and item.field == field}
    assert told
    found = {key for key, row in rows.items() if wrong(row.get(field))}
    missing = made.of(system, name).bad_keys("missing") if kind == "too_long" else set()
    assert found == told - missing


def normal_phone(text: str | None) -> str | None:
    if not text:
        return None
    try:
        parsed = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def test_duplicates_share_their_address_and_nobody_else_does(
    made: Truth, salesforce: tuple[dict[str, Rows], Counter[str]], dynamics: dict[str, Rows]
) -> None:
    entity = {row["key"]: row["entity"] for row in made.entities().to_pylist()}
    people = {
        **{key: (row["Email"], row["Phone"]) for key, row in salesforce[0]["Contact"].items()},
        **{
            key: (row.get("emailaddress1"), row.get("mobilephone"))
            for key, row in dynamics["contact"].items()
        },
    }
    by_mail, by_phone = defaultdict(set), defaultdict(set)
    for key, (email, phone) in people.items():
        assert email or phone
        if email:
            by_mail[email.strip().lower()].add(entity[key])
        if number := normal_phone(phone):
            by_phone[number].add(entity[key])
    assert all(len(found) == 1 for found in (*by_mail.values(), *by_phone.values()))
    groups = defaultdict(set)
    for key in people:
        groups[entity[key]].add(key)
    for keys in groups.values():
        assert len({(people[key][0] or "").strip().lower() for key in keys}) == 1
        if not any(people[key][0] for key in keys):
            assert len({normal_phone(people[key][1]) for key in keys}) == 1
    copies = sum(len(keys) - 1 for keys in groups.values())
    assert copies == made.duplicates["people"]
    assert 0.1 < copies / len(people) < 0.2
    across = [keys for keys in groups.values() if len({len(key) for key in keys}) == 2]
    assert across, "some are in both systems"


def test_circles_and_chains_are_there_as_told(
    made: Truth, salesforce: tuple[dict[str, Rows], Counter[str]], dynamics: dict[str, Rows]
) -> None:
    chains = 0
    for told, rows, field in (
        (made.of("salesforce", "Account"), salesforce[0]["Account"], "ParentId"),
        (made.of("salesforce", "Contact"), salesforce[0]["Contact"], "ReportsToId"),
        (made.of("dynamics", "account"), dynamics["account"], "parentaccountid"),
    ):
        parent = {key: row.get(field) for key, row in rows.items()}
        circular = {key for key, boss in parent.items() if boss and parent.get(boss) == key}
        assert circular == set(told.circular)
        assert circular
        chains += sum(bool(boss and parent.get(boss)) for key, boss in parent.items() if key not in circular)
    assert chains


def test_both_connectors_read_what_was_written(made: Truth, dynamics: dict[str, Rows]) -> None:
    assert SALESFORCE.open_source is not None
    source = SALESFORCE.open_source({"path": str(made.folder / "salesforce")})
    for schema in source.describe():
        rows = sum(page.rows.num_rows for page in source.read(schema.name))
        assert rows == made.of("salesforce", schema.name).rows, schema.name
    source.close()
    export = DynamicsExport(made.folder / "dynamics" / "export.zip")
    for schema in export.describe():
        pages = list(export.read(schema.name))
        assert not any(page.rejects for page in pages)
        rows = [row for page in pages for row in page.rows.to_pylist()]
        if schema.name == "listmember":
            assert len(rows) == made.links["dynamics/listmember"]
            continue
        assert {row[schema.key] for row in rows} == set(dynamics[schema.name])
        if schema.name == "contact":
            for row in rows:
                for field in ("lastname", "emailaddress1", "mobilephone", "description", "createdon"):
                    assert row[field] == dynamics["contact"][row["contactid"]].get(field)
    export.close()


def test_the_content_is_nasty_enough(salesforce: tuple[dict[str, Rows], Counter[str]]) -> None:
    notes = [
        row["Description"] or "" for name in ("Account", "Contact") for row in salesforce[0][name].values()
    ]
    for sign in ("\n", '"', "=", "+", "🎉", "客户", "N/A", "null"):
        assert any(sign in note for note in notes), sign
    assert {"JPY", "KRW", "KWD"} <= {row["CurrencyIsoCode"] for row in salesforce[0]["Opportunity"].values()}
    assert all("\x00" not in note for note in notes)


def test_bodies_have_the_length_that_their_index_says(
    made: Truth, salesforce: tuple[dict[str, Rows], Counter[str]]
) -> None:
    found: dict[str, int] = {}
    for path in (made.folder / "salesforce").glob("*.ZIP"):
        with zipfile.ZipFile(path) as archive:
            found |= {
                item.filename: item.file_size
                for item in archive.infolist()
                if item.filename.startswith("Att")
            }
    told = {
        f"Attachments/{key}": int(row["BodyLength"] or 0) for key, row in salesforce[0]["Attachment"].items()
    }
    assert {name: size for name, size in found.items() if name in told} == told
    assert told


def numbers() -> Iterator[tuple[str, str]]:
    count = 300
    for index, region in enumerate(REGIONS):
        for notation in range(6):
            texts = notated(np.full(count, index), np.arange(count) * 977, np.full(count, notation))
            yield from ((region.code, text) for text in texts.to_pylist())


def test_telephone_numbers_are_valid_in_their_region() -> None:
    for region, text in numbers():
        parsed = phonenumbers.parse(text, region)
        assert phonenumbers.is_valid_number_for_region(parsed, region), (region, text)


def test_salesforce_ids_carry_the_right_check_letters() -> None:
    for key in salesforce_ids("Account", np.arange(200)).to_pylist():
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
        check = "".join(
            letters[sum(1 << bit for bit, sign in enumerate(key[at : at + 5]) if sign.isupper())]
            for at in (0, 5, 10)
        )
        assert key[15:] == check


def test_chance_is_even_and_independent() -> None:
    chance, many = Chance(1), np.arange(100_000)
    share = chance.share("x", many)
    assert abs(share.mean() - 0.5) < 0.01
    assert abs(np.corrcoef(share, chance.share("y", many))[0, 1]) < 0.02
    assert abs(np.corrcoef(share[1:], share[:-1])[0, 1]) < 0.02
    assert set(np.unique(chance.below("z", many, 7))) == set(range(7))


def test_a_benchmark_writes_accounts_and_contacts_only(tmp_path: Path) -> None:
    truth = generate_benchmark(tmp_path, contacts=500, accounts=100)
    assert {name: item.records for name, item in truth.objects.items()} == {
        "salesforce/Account": 100,
        "salesforce/Contact": 500,
    }
    with zipfile.ZipFile(next((tmp_path / "salesforce").glob("*_1.ZIP"))) as archive:
        header = archive.read("Contact.csv").split(b"\n", 1)[0]
    assert header.count(b",") == 24
