"""docs/mapping.md is complete and true: every key, verb, function, operator, rule, type and directive stands in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from migrator.core.document import Document
from migrator.core.mapped import Normaliser, Survivorship
from migrator.core.schema import FieldType
from migrator.mapping import bind, parse_mapping
from migrator.mapping.dates import DIRECTIVES
from migrator.mapping.functions import FUNCTIONS, LIMITS_ON_POSTGRES, LIMITS_ON_SPARK, OPERATORS
from migrator.mapping.issues import RULES
from migrator.mapping.model import (
    Acceptance,
    DedupeRule,
    FieldRule,
    MappingRule,
    MappingTest,
    Review,
    SourceRule,
)
from migrator.mapping.model_survival import SurvivalRule
from migrator.mapping.model_sync import SyncField, SyncRule, WayBack
from migrator.mapping.money import Currency
from migrator.mapping.standins import Inactive
from migrator.mapping.transforms import VERBS
from migrator.mapping.trial import try_mapping
from migrator.mapping.warnings import WARNINGS
from tests.mapping_kit import engine, make_schema

PAGE = (Path(__file__).parents[2] / "docs" / "mapping.md").read_text(encoding="utf-8")


def table_under(heading: str) -> dict[str, str]:
    part = re.split(r"^#+ ", PAGE.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    return dict(re.findall(r"^\| `([^`]+)` \| (.+?) \|$", part, flags=re.MULTILINE))


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("Keys of a file", MappingRule),
        ("Keys of a source", SourceRule),
        ("Keys of a field", FieldRule),
        ("Keys of a currency", Currency),
        ("Keys of an inactive", Inactive),
        ("Keys of dedupe", DedupeRule),
        ("Keys of a survivorship", SurvivalRule),
        ("Keys of a review", Review),
        ("Keys of a test", MappingTest),
        ("Keys of an acceptance", Acceptance),
        ("Keys of sync", SyncRule),
        ("Keys of a synced field", SyncField),
        ("Keys of a way back", WayBack),
    ],
)
def test_every_key_has_its_line(heading: str, model: type[BaseModel]):
    assert list(table_under(heading)) == [field.alias or name for name, field in model.model_fields.items()]


def test_verbs_functions_and_rules_stand_there_as_the_code_has_them():
    assert {name: text.replace("`", "") for name, text in table_under("Clean verbs").items()} == {
        name: verb.summary for name, verb in VERBS.items()
    }
    functions = {
        name: f"`{item.example}` | {item.summary} | {LIMITS_ON_SPARK.get(name, 'yes')} | {LIMITS_ON_POSTGRES.get(name, 'yes')}"
        for name, item in FUNCTIONS.items()
    }
    assert table_under("Expressions") == functions
    assert table_under("Issues") == dict(RULES)
    assert table_under("Warnings") == dict(WARNINGS)


def test_operators_types_directives_and_words_stand_there():
    words = [
        *OPERATORS,
        *DIRECTIVES,
        *(item.value for kind in (FieldType, Normaliser, Survivorship) for item in kind),
    ]
    missing = [word for word in words if word.replace("|", "\\|") not in PAGE]
    assert missing == []


def test_the_example_at_the_top_binds():
    text = PAGE.split("```yaml\n", 1)[1].split("```", 1)[0]
    contact = make_schema(
        "Contact", FirstName="string", AccountId="reference:Account", IsDeleted="boolean", PhotoUrl="string"
    )
    other = make_schema(
        "contact",
        key="contactid",
        firstname="string",
        parentcustomerid="reference:account",
        statecode="integer",
    )
    account = (
        "mapping: account\ntarget: {system: new, object: account, key: k}\n"
        "sources: {salesforce: {object: Account}, dynamics: {object: account}}\n"
    )
    mappings = [
        parse_mapping(Document(body, name), Path()) for name, body in (("c.yaml", text), ("a.yaml", account))
    ]
    systems = {
        "salesforce": {"Contact": contact, "Account": make_schema("Account")},
        "dynamics": {"contact": other, "account": make_schema("account", key="accountid")},
    }
    assert [item.name for item in bind(mappings, systems).mappings] == ["account", "contact"]


def test_the_example_tests_hold(tmp_path: Path):
    body = PAGE.split("## Tests\n", 1)[1].split("```yaml\n", 1)[1].split("```", 1)[0]
    contact = (
        "mapping: contact\ntarget: {system: new, object: contact, key: k}\n"
        "source: {system: salesforce, object: Contact, exclude: [{when: IsDeleted, reason: deleted in Salesforce}]}\n"
        "fields:\n  last_name: {from: LastName, clean: trim, required: true}\n"
        "  account: {from: AccountId, lookup: account}\n" + body
    )
    account = "mapping: account\ntarget: {system: new, object: account, key: k}\nsource: {system: salesforce, object: Account}\n"
    mappings = [
        parse_mapping(Document(text, name), Path())
        for name, text in (("c.yaml", contact), ("a.yaml", account))
    ]
    schemas = {
        "salesforce": {
            "Contact": make_schema(
                "Contact", LastName="string", AccountId="reference:Account", IsDeleted="boolean"
            ),
            "Account": make_schema("Account"),
        }
    }
    bound = bind(mappings, schemas).mapping("contact")
    assert bound is not None
    with engine(tmp_path) as session:
        found = try_mapping(session, mappings[0], bound, schemas)
    assert [item.differences for item in found] == [()] * 3
