"""`migrator check` as its user meets it: all mistakes of a file at once with their places, warnings by code, and what --strict lets pass."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from migrator.core.schema import FieldSchema, FieldType, ObjectSchema, schemas_to_json
from tests.e2e.demo_project import Answer, run
from tests.mapping_kit import make_schema

CONTACT = make_schema(
    "Contact", Name="string", Email="string", AccountId="reference:Account", Amount="decimal", Born="datetime", Level="picklist"
)  # fmt: skip
TARGET = ObjectSchema(
    "contact",
    "k",
    (
        FieldSchema("k", FieldType.ID),
        FieldSchema("name", FieldType.STRING, length=10, required=True),
        FieldSchema("owner", FieldType.STRING, required=True),
        FieldSchema("born", FieldType.DATE),
        FieldSchema("email", FieldType.STRING),
        FieldSchema("account", FieldType.REFERENCE),
        FieldSchema("level", FieldType.PICKLIST, values=("A", "B")),
        FieldSchema("amount", FieldType.DECIMAL, precision=18, scale=2),
    ),
)
ACCOUNT = "mapping: account\ntarget: {system: new, object: account, key: k}\nsource: {system: old, object: Account}\n"


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., Answer]:
    """Write a mapping of contacts, and check the project; no system of it is there to be asked."""

    def written(text: str, *arguments: str) -> Answer:
        (tmp_path / "mappings" / "contact.yaml").write_text(text, encoding="utf-8")
        return run(f"-C{tmp_path}", "check", *arguments)

    (tmp_path / "migration.yaml").write_text(
        "systems:\n  old: {connector: files, path: nowhere}\n  new: {connector: sql, url: 'sqlite:///new.db'}\n"
    )
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "old.json").write_text(schemas_to_json([CONTACT, make_schema("Account")]))
    (tmp_path / "schemas" / "new.json").write_text(schemas_to_json([TARGET]))
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings" / "account.yaml").write_text(ACCOUNT)
    return written


MANY_MISTAKES = """\
mapping: contact
target: {system: new, object: contact, key: k}
source:
  system: old
  object: Contact
  were: Amount > 0
  exclude:
    - {when: "getenv('HOME') = 'x'", reason: never}
fields:
  k: {from: Id}
  name: {value: far longer than ten}
  emial: {from: Email}
  email: {from: Emial, clean: [trim, lowr]}
  born: {from: Born, type: integer}
  account: {from: AccountId, lookup: acount}
  level: {from: Level, values: {a: A, b: C}, unmaped: keep}
  amount: {expr: "Amount * facter", tipe: integer}
  remark: 4711
dedupe: {keys: {mail: {mail: email}}, recency: name}
sync: {direction: sideways}
"""


def test_a_file_with_many_different_mistakes_has_all_of_them_told_in_their_places(
    check: Callable[..., Answer],
) -> None:
    answer = check(MANY_MISTAKES)
    assert answer.code == 2
    told = [
        line.partition("mappings/contact.yaml:")[2]
        for line in answer.err.splitlines()
        if "mappings/contact.yaml:" in line
    ]
    assert told == [
        "6:3: unknown key 'were'",
        "8:14: the function 'getenv' is not allowed in an expression",
        "9:1: required fields of 'contact' have no source: 'owner'",
        "11:17: 'far longer than ten' is no string(10)",
        "12:3: 'contact' has no field 'emial'",
        "13:17: old/Contact has no column 'Emial'",
        "13:38: unknown clean verb 'lowr'",
        "14:3: 'born' is a date in the target, not a integer",
        "15:38: lookup to 'acount': there is no such mapping",
        "16:3: 'level': the value map yields what the target does not know: 'C'",
        "16:46: unknown key 'unmaped'",
        "17:28: unknown column 'facter'",
        "17:37: unknown key 'tipe'",
        "18:11: remark must hold keys, not '4711'",
        "19:24: 'mail' is no field of this mapping",
        "19:48: 'name' is a string",
        "20:19: 'sideways' is not a direction",
    ]


def test_a_mistake_hides_none_of_another_file(check: Callable[..., Answer], tmp_path: Path) -> None:
    (tmp_path / "mappings" / "broken.yaml").write_text("mapping: [", encoding="utf-8")
    told = check("mapping: contact\n" + MANY_MISTAKES).err
    assert "broken.yaml:2:1" in told
    assert "contact.yaml:2:1: the key 'mapping' stands here twice" in told


SOUND = """\
mapping: contact
target: {system: new, object: contact, key: k}
source: {system: old, object: Contact, drop: {Amount: not used}}
fields:
  k: {from: Id}
  name: {from: Name}
  owner: {expr: "EXPRESSION"}
  born: {from: Born}
  email: {from: Email, default: none}
  account: {from: AccountId, lookup: account}
"""


def test_what_the_engine_refuses_is_told_before_anything_is_staged(check: Callable[..., Answer]) -> None:
    answer = check(SOUND.replace("EXPRESSION", "year(Name)"))
    assert answer.code == 2
    assert re.search(r"contact\.yaml:7:\d+: the engine refuses this expression: ", answer.err), answer.err
    assert check(SOUND.replace("EXPRESSION", "upper(Name)")).code == 0


def test_strict_makes_warnings_errors_but_for_those_that_are_accepted(
    check: Callable[..., Answer], tmp_path: Path
) -> None:
    sound = SOUND.replace("EXPRESSION", "upper(Name)")
    answer = check(sound)
    assert (answer.code, answer.err) == (0, "")
    assert [line for line in answer.out.splitlines() if line.startswith("warning")] == [
        "warning [dropped.column] mappings/contact.yaml:3:31: 1 columns of old/Contact go nowhere: 'Level'",
        "warning [loss.time] mappings/contact.yaml:8:3: 'Born' has a time of day, 'born' is a date",
        "warning [default.hides_blank] mappings/contact.yaml:9:3: 'email' gets 'none' where the source has no value",
    ]
    strict = check(sound, "--strict")
    assert strict.code == 2
    assert "contact.yaml:8:3: 'Born' has a time of day, 'born' is a date (loss.time)" in strict.err
    accepted = (
        "accept:\n  - {warning: dropped.column, field: Level, reason: nobody used it}\n"
        "  - {warning: loss.time, field: born, reason: birthdays have no hour}\n"
    )
    half = check(sound + accepted, "--strict")
    assert (half.code, half.err.count("error")) == (2, 1)
    assert "(default.hides_blank)" in half.err
    whole = sound + accepted + "  - {warning: default.hides_blank, field: email, reason: agreed}\n"
    settled = check(whole, "--strict")
    assert settled.code == 0, settled.err
    assert "accepted mappings/contact.yaml:13:5: loss.time of born: birthdays have no hour" in settled.out
    assert [item["code"] for item in json.loads(check(whole, "--json").out)["accepted"]] == [
        "dropped.column",
        "loss.time",
        "default.hides_blank",
    ]
    schemas = tmp_path / "schemas" / "old.json"
    schemas.write_text(schemas_to_json([CONTACT, make_schema("Account"), make_schema("Log")]))
    left = check(whole, "--strict")
    assert (left.code, "no mapping reads these objects of old: Log (dropped.object)" in left.err) == (2, True)
    log = "  - {warning: dropped.object, field: old/Log, reason: a log of no use}\n"
    assert check(whole + log, "--strict").code == 0
    assert (
        "15:5: there is nothing called 'old/Lag' that dropped.object could be about"
        in check(whole + log.replace("Log", "Lag")).err
    )
    resting = check(whole.replace("default: none", "required: false") + log, "--strict")
    assert resting.code == 0, resting.err
    assert "default.hides_blank of email: agreed (no such warning now)" in resting.out
