"""Binding: names, types and links held against both schemas; errors and warnings with places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from migrator.core.errors import ProjectError
from migrator.core.mapped import DedupeRules, Link, MatchKey, Normaliser, Survivorship
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.mapping import Bound
from tests.mapping_kit import bind_texts, make_schema

ACCOUNT = make_schema("Account", Name="string", ParentId="reference:Account")
CONTACT = make_schema(
    "Contact",
    FirstName="string",
    Email="string",
    AccountId="reference:Account",
    Amount="decimal",
    Born="datetime",
    Kind="picklist",
)
ACCOUNTS = (
    "mapping: account\ntarget: {system: new, object: account, key: id}\nsource: {system: sf, object: Account}\n"
    "fields:\n  id: {from: Id}\n  name: {from: Name}\n  parent: {from: ParentId, lookup: account}\n"
)


def contact(*lines: str, source: str = "{system: sf, object: Contact}", more: str = "") -> str:
    listed = "".join(f"  {line}\n" for line in lines)
    return f"mapping: contact\ntarget: {{system: new, object: contact, key: id}}\nsource: {source}\nfields:\n{listed}{more}"


def bound(text: str, tmp_path: Path, *, others: dict[str, str] | None = None, **options: Any) -> Bound:
    texts = {"contact.yaml": text, "account.yaml": ACCOUNTS, **(others or {})}
    return bind_texts(texts, {"sf": [ACCOUNT, CONTACT]}, tmp_path, **options)


def errors(text: str, tmp_path: Path, **options: Any) -> list[str]:
    with pytest.raises(ProjectError) as caught:
        bound(text, tmp_path, **options)
    return [str(problem) for problem in caught.value.problems]


def warnings(text: str, tmp_path: Path, **options: Any) -> list[str]:
    found = bound(text, tmp_path, **options).warnings
    return [str(problem).splitlines()[0] for problem in found if "go nowhere" not in problem.message]


def test_all_mistakes_of_a_mapping_are_told_at_once(tmp_path: Path):
    text = contact(
        "id: {from: Ident}",
        "first: {from: FirstName, expr: 'upper(FirstName)'}",
        "none: {clean: trim}",
        "account: {from: AccountId, lookup: acount}",
        "by: {from: AccountId, lookup: account, by: Nam}",
        "amount: {from: Amount, missing: null}",
        "born: {from: Born, type: date, zone: Asia/Beijing}",
        "size: {value: x, type: integer}",
        "level: {from: Kind, values: {a: b}, unmapped: {default: 7}, type: integer}",
        "kind: {from: Kind, values: ../../etc/passwd}",
        "FIRST: {from: FirstName}",
        more="dedupe: {keys: {mail: {email: email}}, recency: first, trust: [dyn]}\n",
    )
    assert [line.splitlines()[0] for line in errors(text, tmp_path)] == [
        "contact.yaml:5:14: sf/Contact has no column 'Ident'",
        "contact.yaml:6:3: the field 'first' has from, expr",
        "contact.yaml:7:3: the field 'none' says nowhere where its value comes from",
        "contact.yaml:8:38: lookup to 'acount': there is no such mapping",
        "contact.yaml:9:33: lookup to 'account': unknown column 'Nam' of sf/Account",
        "contact.yaml:10:26: missing means nothing without lookup",
        "contact.yaml:11:40: unknown time zone 'Asia/Beijing'",
        "contact.yaml:12:17: 'x' is no integer",
        "contact.yaml:13:31: the value map yields what is no integer: 'b'",
        "contact.yaml:14:30: '../../etc/passwd' lies outside the project folder",
        "contact.yaml:15:3: the fields 'first' and 'FIRST' differ in case only",
        "contact.yaml:16:24: 'email' is no field of this mapping",
        "contact.yaml:16:49: 'first' is a string",
        "contact.yaml:16:64: 'dyn' is no source of this mapping",
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "{system: sfx, object: Contact}",
            "contact.yaml:3:18: no schema is known of the system 'sfx'\n    did you mean 'sf'?",
        ),
        (
            "{system: sf, object: Kontact}",
            "contact.yaml:3:30: 'sf' has no object 'Kontact'\n    did you mean 'Contact'?",
        ),
        (
            "{system: sf, object: Contact, key: id}",
            "contact.yaml:3:44: unknown column 'id'\n    did you mean 'Id'?",
        ),
        ("{system: sf, object: Contact, where: 'Nam = 1'}", "contact.yaml:3:46: unknown column 'Nam'"),
    ],
)
def test_a_source_that_is_not_there_is_told(source: str, expected: str, tmp_path: Path):
    assert any(
        line.startswith(expected) for line in errors(contact("id: {from: Id}", source=source), tmp_path)
    )


def test_types_come_from_the_mapping_then_the_target_then_the_source(tmp_path: Path):
    target = ObjectSchema(
        "contact", "id", (FieldSchema("id", FieldType.ID), FieldSchema("amount", FieldType.DECIMAL, precision=10, scale=1),
                          FieldSchema("first", FieldType.STRING, length=40), FieldSchema("born", FieldType.DATETIME)),
    )  # fmt: skip
    text = contact(
        "id: {from: Id}",
        "amount: {from: Amount}",
        "first: {from: FirstName, length: 80}",
        "born: {from: Born, type: datetime}",
    )
    alone = {item.name: item for item in mapped(bound(text, tmp_path)).fields}
    there = {
        item.name: item for item in mapped(bound(text, tmp_path, targets={"new": {"contact": target}})).fields
    }
    assert (alone["amount"].precision, alone["amount"].scale, alone["first"].length) == (38, 10, 80)
    assert (there["amount"].precision, there["amount"].scale, there["first"].length) == (10, 1, 40)
    assert alone["id"].required
    assert alone["id"].unique


def mapped(found: Bound):
    item = found.mapping("contact")
    assert item is not None
    return item.mapped


def test_a_target_that_is_there_is_held_against(tmp_path: Path):
    target = ObjectSchema(
        "contact", "id", (FieldSchema("id", FieldType.ID), FieldSchema("amount", FieldType.DATE),
                          FieldSchema("kind", FieldType.PICKLIST, values=("A", "B")), FieldSchema("owner", FieldType.STRING, required=True)),
    )  # fmt: skip
    text = contact(
        "id: {from: Id}",
        "amont: {from: Amount}",
        "amount: {from: Amount, type: decimal}",
        "kind: {from: Kind, values: {a: A, b: C}}",
    )
    assert [
        line.splitlines()[0] for line in errors(text, tmp_path, targets={"new": {"contact": target}})
    ] == [
        "contact.yaml:4:1: required fields of 'contact' have no source: 'owner'",
        "contact.yaml:6:3: 'contact' has no field 'amont'",
        "contact.yaml:7:3: 'amount' is a date in the target, not a decimal(38,10)",
        "contact.yaml:8:3: 'kind': the value map yields what the target does not know: 'C'",
    ]


def test_losses_are_warned_of_before_the_first_row(tmp_path: Path):
    kinds = FieldSchema("Kind", FieldType.PICKLIST, values=("a", "b", "c"))
    sized = FieldSchema("FirstName", FieldType.STRING, length=200)
    money = FieldSchema("Amount", FieldType.DECIMAL, precision=18, scale=4)
    schema = ObjectSchema(
        "Contact",
        "Id",
        (
            FieldSchema("Id", FieldType.ID),
            sized,
            money,
            kinds,
            FieldSchema("Born", FieldType.DATETIME),
            FieldSchema("Extra", FieldType.STRING),
        ),
    )
    text = contact(
        "id: {from: Id}", "first: {from: FirstName, length: 80}", "amount: {from: Amount, type: 'decimal(18,2)'}",
        "kind: {from: Kind, values: {a: A}}", "born: {from: Born, type: date}",
    )  # fmt: skip
    found = bind_texts({"contact.yaml": text}, {"sf": [schema]}, tmp_path).warnings
    assert [str(item).splitlines()[0] for item in found] == [
        "contact.yaml:3:30: 1 columns of sf/Contact go nowhere: 'Extra'",
        "contact.yaml:6:3: 'FirstName' holds 200 characters, 'first' 80",
        "contact.yaml:7:3: 'Amount' is decimal(18,4), 'amount' decimal(18,2)",
        "contact.yaml:8:3: values of 'Kind' that the value map does not know: 'b', 'c'",
        "contact.yaml:9:3: 'Born' has a time of day, 'born' is a date",
    ]


def test_columns_named_under_drop_or_used_anywhere_are_not_warned_of(tmp_path: Path):
    source = "{system: sf, object: Contact, where: 'Amount > 0', drop: {Email: not wanted, Born: old, AccountId: '', Kind: x}}"
    found = bound(
        contact("id: {from: Id}", "n: {expr: 'upper(FirstName)'}", source=source), tmp_path
    ).warnings
    assert [item for item in found if "contact.yaml" in str(item)] == []
    wrong = errors(
        contact("id: {from: Id}", source="{system: sf, object: Contact, drop: {Emial: x}}"), tmp_path
    )
    assert wrong == ["contact.yaml:3:46: sf/Contact has no column 'Emial'\n    did you mean 'Email'?"]


def test_links_name_their_mappings_and_self_references_are_deferred(tmp_path: Path):
    found = bound(
        contact("id: {from: Id}", "account: {from: AccountId, lookup: account, required: true}"), tmp_path
    )
    assert mapped(found).links == (Link("account", ("account",), required=True),)
    assert [[item.name for item in group] for group in found.groups] == [["account"], ["contact"]]
    assert found.groups[0][0].links == (Link("parent", ("account",), deferred=True),)
    assert found.mappings[0].mapped == found.groups[0][0]
    field = mapped(found).schema.field("account")
    assert field is not None
    assert (field.type, field.references) == (FieldType.REFERENCE, ("account",))


def test_a_circle_of_required_links_is_named_with_its_places(tmp_path: Path):
    account = ACCOUNTS.replace(
        "parent: {from: ParentId, lookup: account}", "main: {from: Name, lookup: contact, required: true}"
    )
    text = contact("id: {from: Id}", "account: {from: AccountId, lookup: account, required: true}")
    (line,) = errors(text, tmp_path, others={"account.yaml": account})
    assert "account.main → contact.account → account" in line
    assert "contact.account at contact.yaml:6:38" in line


def test_a_lookup_needs_a_source_of_the_same_system_and_one_only(tmp_path: Path):
    two = (
        "mapping: account\ntarget: {system: new, object: account, key: id}\n"
        "sources:\n  a: {system: sf, object: Account}\n  b: {system: sf, object: Account}\n"
    )
    text = contact("id: {from: Id}", "account: {from: AccountId, lookup: account}")
    (line,) = errors(text, tmp_path, others={"account.yaml": two})
    assert (
        line
        == "contact.yaml:6:38: 'account' has several sources of 'sf'\n    write one of: account.a, account.b"
    )
    chosen = text.replace("lookup: account", "lookup: account.b")
    assert mapped(bound(chosen, tmp_path, others={"account.yaml": two})).links[0].mappings == ("account",)


def test_dedupe_rules_are_bound(tmp_path: Path):
    text = contact(
        "id: {from: Id}", "email: {from: Email}", "at: {from: Born, type: datetime}",
        more="dedupe: {keys: {mail: {email: email}}, survivorship: {default: longest, email: first}, recency: at, trust: [sf], region: CN}\n",
    )  # fmt: skip
    assert mapped(bound(text, tmp_path)).dedupe == DedupeRules(
        keys=(MatchKey("mail", (("email", Normaliser.EMAIL),)),), survivorship={"email": Survivorship.FIRST},
        default=Survivorship.LONGEST, recency="at", trust=("sf",), region="CN",
    )  # fmt: skip


def test_the_fingerprint_follows_the_definition_and_its_value_maps(tmp_path: Path):
    (tmp_path / "kinds.csv").write_text("source,target\na,A\n")
    text = contact("id: {from: Id}", "kind: {from: Kind, values: kinds.csv}")
    first, again = (
        mapped(bound(text, tmp_path)).fingerprint,
        mapped(bound("# a remark\n" + text, tmp_path)).fingerprint,
    )
    (tmp_path / "kinds.csv").write_text("source,target\na,B\n")
    assert first == again
    assert mapped(bound(text, tmp_path)).fingerprint != first


def test_a_field_without_input_in_one_of_two_sources_is_told(tmp_path: Path):
    text = (
        "mapping: contact\ntarget: {system: new, object: contact, key: rid}\n"
        "sources:\n  sf: {object: Contact, fields: {first: {from: FirstName}, only: {from: Email}}}\n"
        "  two: {system: sf, object: Contact}\nfields:\n  first: {clean: trim}\n"
    )
    assert errors(text, tmp_path)[0].splitlines()[0] == (
        "contact.yaml:7:3: the field 'first' says nowhere where its value comes from for the source 'two'"
    )
