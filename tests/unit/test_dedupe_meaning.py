"""What fields mean: told by names in several languages where values do not contradict, else by the values alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from migrator.core.mapped import Meaning
from migrator.core.schema import FieldSchema, FieldType
from migrator.dedupe.meaning import find_meanings, name_meaning
from migrator.staging.engine import EngineSettings, Session, open_engine

VALUES: Mapping[str, Sequence[str]] = {
    "email": [f"ann.{n}@firm{n}.com" for n in range(40)],
    "phone": [f"+49 30 {90210000 + n}" for n in range(40)],
    "date": [f"19{50 + n}-0{n % 9 + 1}-1{n % 9}" for n in range(40)],
    "company": [f"{name} {form}" for name in ("Nord", "Süd", "Ost", "West") for form in ("GmbH", "Ltd", "AG", "Sdn Bhd")],
    "chinese company": [f"{name}科技有限公司" for name in "东南西北春夏秋冬天地山水"],
    "address": [f"{n} Main Street" for n in range(40)],
    "chinese name": [f"{family}{given}" for family in "王李张陈" for given in ("伟", "晓明", "芳")],
    "given": ["Anna", "Bob", "Carla", "Dieter", "Eva"] * 8,
    "number": [str(100000 + 7 * n) for n in range(20)] * 2,
    "flag": ["yes", "no"] * 30,
}  # fmt: skip


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """An engine in an empty folder."""
    opened = open_engine(EngineSettings(memory_limit="200MB", threads=1), tmp_path)
    yield opened
    opened.close()


def told(session: Session, name: str, values: Sequence[str], kind: FieldType = FieldType.STRING) -> Meaning:
    """The meaning of one field with these values."""
    session.table("records", pa.table({"__id": [str(n) for n in range(len(values))], name: list(values)}))
    return find_meanings(session, "records", [FieldSchema(name, kind)], {})[0].meaning


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("FirstName", Meaning.GIVEN), ("given_name", Meaning.GIVEN), ("Vorname", Meaning.GIVEN), ("名字", Meaning.GIVEN),
        ("surname", Meaning.FAMILY), ("Nachname", Meaning.FAMILY), ("nama_keluarga", Meaning.FAMILY), ("姓氏", Meaning.FAMILY),
        ("AccountName", Meaning.COMPANY), ("Syarikat", Meaning.COMPANY), ("客户名称", Meaning.COMPANY), ("firma", Meaning.COMPANY),
        ("billing_street", Meaning.ADDRESS), ("alamat", Meaning.ADDRESS), ("通讯地址", Meaning.ADDRESS),
        ("date_of_birth", Meaning.DATE), ("Geburtsdatum", Meaning.DATE), ("出生日期", Meaning.DATE),
        ("统一社会信用代码", Meaning.ID), ("soc_sec_id", Meaning.ID), ("PLZ", Meaning.POSTCODE), ("邮编", Meaning.POSTCODE),
        ("手机", Meaning.PHONE), ("Telefonnummer", Meaning.PHONE), ("电子邮件", Meaning.EMAIL), ("emel", Meaning.EMAIL),
        ("Order", None), ("select", None), ("c1", None),
    ],
)  # fmt: skip
def test_a_name_says_what_a_field_holds(name: str, meaning: Meaning | None) -> None:
    assert name_meaning(name) is meaning


@pytest.mark.parametrize(
    ("values", "meaning"),
    [
        ("email", Meaning.EMAIL), ("phone", Meaning.PHONE), ("date", Meaning.DATE), ("company", Meaning.COMPANY),
        ("chinese company", Meaning.COMPANY), ("address", Meaning.ADDRESS), ("chinese name", Meaning.PERSON),
        ("given", Meaning.NAME), ("number", Meaning.ID), ("flag", Meaning.NONE),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["Order", 'a "b".c', "列一"])
def test_values_say_it_where_no_name_does(session: Session, name: str, values: str, meaning: Meaning) -> None:
    assert told(session, name, VALUES[values]) is meaning


def test_values_overrule_a_name_that_they_contradict(session: Session) -> None:
    assert told(session, "email", VALUES["phone"]) is Meaning.PHONE
    assert told(session, "contact", VALUES["chinese company"]) is Meaning.COMPANY
    assert told(session, "email", VALUES["email"]) is Meaning.EMAIL


def test_types_and_what_is_told_come_first(session: Session) -> None:
    assert told(session, "email", VALUES["email"], FieldType.BOOLEAN) is Meaning.NONE
    fields = [FieldSchema("email", FieldType.STRING)]
    assert find_meanings(session, "records", fields, {"email": Meaning.TEXT})[0].meaning is Meaning.TEXT


def test_a_number_that_no_two_records_share_is_their_own_and_an_empty_field_says_nothing(
    session: Session,
) -> None:
    assert told(session, "nr", [str(900000 + n) for n in range(50)]) is Meaning.NONE
    assert told(session, "surname", [""] * 60) is Meaning.NONE
