"""Rows that are joined, split and numbered, links by type, stand-ins and money: Spark makes the same rows, cell by cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from migrator.mapping import compile_mapping
from migrator.staging.dialects.statement import spark_query
from migrator.staging.engine import EngineSettings
from migrator.staging.spark_cluster import connected
from tests.mapping_kit import Rows, bind_texts, engine, make_schema, run_sql, staged_table
from tests.spark.test_spark import differences, put

pytestmark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore")]

ACCOUNT = make_schema("Account", Name="string", Kind="string", Region="string", OwnerId="reference:User")
CONTACT = make_schema(
    "Contact", AccountId="reference:Account", Region="string", Tags="string", Kind="string", Other="string", N="integer",
    OwnerId="reference:User,Group", Text="text",
)  # fmt: skip
KEYLESS = make_schema("Line", key="", Deal="string", No="string", Name="string")
USER = make_schema("User", Name="string", IsActive="boolean", Mail="string")
GROUP = make_schema("Group", Name="string")
DEAL = make_schema("Deal", Amount="decimal", Code="string", Day="date", At="datetime", Stage="string")
SCHEMAS = {"old": [ACCOUNT, CONTACT, KEYLESS, USER, GROUP, DEAL]}

ACCOUNTS: Rows = [
    {"Id": "1", "Name": '北京 "A"', "Kind": "C", "Region": "n", "OwnerId": "U1"},
    {"Id": "2", "Name": "B'", "Region": "n", "OwnerId": "U9"},
    {"Id": "3", "Name": "X", "Region": "s"},
    {"Id": "3", "Name": "Y", "Region": "s", "__copy": 1},
    {"Name": "no key", "Region": "s"},
    {"Id": "4", "Name": "gone", "Kind": "test", "Region": "w", "OwnerId": "U2"},
]
USERS: Rows = [
    {"Id": "U1", "Name": "here", "IsActive": "true", "Mail": "u1@x"},
    {"Id": "U2", "Name": "gone", "IsActive": "0", "Mail": "u2@x"},
    {"Id": "U3", "Name": "blank", "Mail": "u1@x"},
    {"Id": "U4", "Name": "odd", "IsActive": "maybe", "Mail": "u4@x"},
    {"Id": "U2", "Name": "again", "IsActive": "1", "Mail": "u2@x", "__copy": 1},
]
GUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
TEXTS = [
    "https://x.my.salesforce.com/lightning/r/001A0000006Vm9r/view", "001A0000006Vm9rIAC", "001A0000006Vm9rIAB x",
    f"see {GUID.upper()}.", "main.aspx?id=%7b" + GUID + "%7d&x=1", "123456789012345", "accountnumbers1", None, "", "none here",
    "中文001A0000006Vm9r后", "0030000000abcDE,001A0000006Vm9r",
]  # fmt: skip
CONTACTS: Rows = [
    {
        "Id": None if n == 9 else f"c#{n}" if n == 4 else f"c{n}",
        "__copy": 1 if n == 7 else 0,
        "AccountId": ["1", "2", "9", None, "", "3", "4", "1"][n % 8],
        "Region": ["n", "s", None, "x"][n % 4],
        "Tags": ["x; y;;x ; \u3000", "y;x", " ; ", None, "中文#1", "\tz\n;z;\u00a0z", "a\\;b", ""][n % 8],
        "Kind": ["C", "P's", "other", None, "U"][n % 5],
        "Other": ["new", "", "x", "only; new"][n % 4],
        "N": ["1", "-2", "abc", None][n % 4],
        "OwnerId": ["U1", "U2", "U3", "U4", "Q1", None, "U9"][n % 7],
        "Text": TEXTS[n % len(TEXTS)],
    }
    for n in range(36)
]
LINES: Rows = [
    {"Deal": "a|b", "No": "1", "Name": "one"}, {"Deal": "a", "No": "b|1"}, {"Deal": "a", "No": ""}, {"No": "1"},
    {"Deal": "a|b", "No": "1", "Name": "three"}, {"Deal": "a\\", "No": "|"}, {"Deal": "a|b", "No": "1"},
]  # fmt: skip
AMOUNTS = [
    "1", "1.5", "-2.345", "0.005", "1e3", "1.25E-1", "abc", "", None, "0", "-0.015", "99999999999999999.99", "+7.10", "10.000",
    "0.015", "1000000000000000000000000000", ".5", "5.",
]  # fmt: skip
DEALS: Rows = [
    {
        "Id": str(n),
        "Amount": amount,
        "Code": code,
        "Day": ["2024-01-31", "2024-02-01", "2023-12-31", "x", None][n % 5],
        "At": ["2024-01-31T20:00:00Z", "2024-01-31T10:00:00Z"][n % 2],
        "Stage": ["won", "open", None][n % 3],
    }
    for n, (amount, code) in enumerate(
        (amount, code)
        for amount in AMOUNTS
        for code in ("EUR", " jpy ", "USD", "KWD", "XAU", "", None, "EUE")
    )
]
RATES = (
    "from,to,valid_from,rate\nEUR,USD,2024-01-01,1.1\nEUR,USD,2024-02-01,1.2345678901\nJPY,USD,,0.006\n"
    "KWD,USD,2024-01-31,3.25\nUSD,EUR,,0.9\nJPY,EUR,,0.00613\nKWD,EUR,,2.96\n"
)
STAGED = {
    "old/Account": (ACCOUNT, ACCOUNTS), "old/Contact": (CONTACT, CONTACTS), "old/Line": (KEYLESS, LINES),
    "old/User": (USER, USERS), "old/Group": (GROUP, [{"Id": "Q1", "Name": "queue"}]), "old/Deal": (DEAL, DEALS),
}  # fmt: skip


def plain(name: str, source: str) -> str:
    """A mapping that others link to."""
    return f"mapping: {name}\ntarget: {{system: new, object: {name}, key: k}}\nsource: {{system: old, object: {source}}}\n"


@dataclass(frozen=True)
class Case:
    """A mapping `t` over one of the objects above."""

    source: str
    fields: str
    expected: frozenset[str]
    """Rules of which there must be issues, and reasons for which rows must be left out: that the rows mean something."""
    beside: Mapping[str, str] = field(default_factory=dict)


CASES = {
    "join": Case(
        "{system: old, object: Contact, where: \"coalesce(acct.Kind,'') <> 'test'\", join: {"
        "acct: {object: Account, on: {AccountId: Id}}, owner: {object: User, on: {acct.OwnerId: Id}, missing: keep}, "
        "both: {object: Account, on: {AccountId: Id, Region: Region}, missing: quarantine}}}",
        "company: {from: acct.Name}\nboss: {from: owner.Name}\nactive: {from: owner.IsActive}\nregion: {from: both.Region}\n"
        "told: {expr: \"concat_ws('/', Id, acct.Name, N + 1)\"}",
        frozenset({"join.ambiguous", "join.missing", "expr.operand", "key.duplicate", "key.missing"}),
    ),
    "join that leaves out": Case(
        "{system: old, object: Contact, join: {acct: {object: Account, on: {AccountId: Id}, missing: {exclude: an orphan}}}}",
        "company: {from: acct.Name, required: true}",
        frozenset({"an orphan", "join.ambiguous"}),
    ),
    "key of several columns": Case(
        "{system: old, object: Line, key: [Deal, No]}",
        "id: {record_id: true}\nname: {from: Name}",
        frozenset({"key.duplicate", "key.missing"}),
    ),
    "explode": Case(
        "{system: old, object: Contact, explode: {column: Tags, split: ';', as: tag}, "
        "join: {acct: {object: Account, on: {AccountId: Id}}}, exclude: [{when: \"tag = 'y'\", reason: no y}]}",
        "tag: {from: tag, clean: [upper]}\ncompany: {from: acct.Name}\nid: {record_id: true}",
        frozenset({"no value to explode", "the value stands in its row before", "no y", "join.ambiguous"}),
    ),
    "explode rows of a key of the mapping's own": Case(
        "{system: old, object: Line, key: Deal, explode: {column: No, split: '|', as: part}}",
        "part: {from: part}",
        frozenset({"key.duplicate"}),
    ),
    "values and links by type": Case(
        "{system: old, object: Contact}",
        "one: {from: Other, values: {by: Kind, maps: {C: {new: A, x: null}, \"P's\": {new: B}, otherwise: {new: Z}}}}\n"
        "many: {from: Other, type: multi_picklist, values: {by: Kind, maps: {C: {new: A, only: O}, otherwise: {new: Z}}}, unmapped: keep}\n"
        "none: {from: Other, values: {by: Kind, maps: {C: {new: A}}}, unmapped: {default: D}}\n"
        "ref: {from: AccountId, lookup: {type: Kind, C: account, U: user, other: queue}, missing: 'null'}\n"
        "found: {from: Text, clean: [find_id]}\nlinked: {from: Text, clean: [find_id], lookup: account}",
        frozenset({"value.unmapped", "lookup.missing"}),
    ),
    "stand-ins": Case(
        "{system: old, object: Contact}",
        "a: {from: OwnerId, lookup: [user, queue], inactive: {when: not IsActive, use: U1}}\n"
        "b: {from: OwnerId, lookup: [user, queue], inactive: {when: not IsActive, use: U7}, missing: {default: 'queue/old:Q1'}}\n"
        "c: {from: OwnerId, lookup: [user, queue], inactive: {when: \"length(Name) // (length(Name) - 4) > 1\", use: 'queue/old:Q1'}}",
        frozenset({"lookup.inactive", "lookup.missing", "expr.failed"}),
    ),
    "stand-ins found by another column": Case(
        "{system: old, object: User}",
        "a: {from: Mail, lookup: user, by: Mail, inactive: {when: not IsActive, use: u1@x}, missing: 'null'}",
        frozenset({"lookup.ambiguous"}),
    ),
    "link to an object that two mappings share": Case(
        "{system: old, object: Contact}",
        "a: {from: AccountId, lookup: [firm, shop], missing: 'null'}",
        frozenset({"lookup.missing"}),
        {
            "f.yaml": plain("firm", "Account, exclude: [{when: \"Kind = 'C'\", reason: a shop}]"),
            "s.yaml": plain(
                "shop",
                "Account, where: \"Kind = 'C' and owner.Name = 'here'\", join: {owner: {object: User, on: {OwnerId: Id}}}",
            ),
        },
    ),
    "money": Case(
        "{system: old, object: Deal}",
        "own: {from: Amount, type: 'decimal(18,4)', currency: {from: Code}}\n"
        "dated: {from: Amount, type: 'decimal(18,2)', zone: Asia/Shanghai, currency: {from: Code, to: USD, rates: rates.csv, on: At, keep: {amount: was, currency: was_in}}}\n"
        "undated: {from: Amount, type: 'decimal(38,10)', currency: {from: Code, to: EUR, rates: rates.csv}}\n"
        "stage: {from: Stage, first: open}",
        frozenset({"currency.unknown", "rate.missing", "cast.precision", "cast.decimal"}),
    ),
}  # fmt: skip


@pytest.fixture
def interpreted(settings: EngineSettings) -> Any:
    """A session that does not compile queries to Java."""
    return connected(settings)


@pytest.mark.parametrize("name", CASES)
def test_spark_makes_the_same_rows(interpreted: Any, tmp_path: Path, name: str):
    case = CASES[name]
    (tmp_path / "rates.csv").write_text(RATES, encoding="utf-8")
    listed = "".join(f"  {line}\n" for line in case.fields.splitlines())
    texts = {
        "t.yaml": f"mapping: t\ntarget: {{system: new, object: t, key: k}}\nsource: {case.source}\nfields:\n  k: {{record_id: true}}\n{listed}",
        "a.yaml": plain("account", "Account"),
        "u.yaml": plain("user", "User"),
        "q.yaml": plain("queue", "Group"),
        **case.beside,
    }
    if case.beside:
        del texts["a.yaml"]
    bound = bind_texts(texts, SCHEMAS, tmp_path).mapping("t")
    assert bound is not None
    compiled = compile_mapping(bound)
    staged: dict[str, pa.Table] = {
        relation: staged_table(*STAGED[relation]) for relation in compiled.relations
    }
    with engine(tmp_path) as session:
        expected = run_sql(session, compiled, staged)
    sql = spark_query(compiled.sql, put(interpreted, tmp_path, {**staged, **compiled.tables}))
    found = sorted(interpreted.sql(sql).toArrow().to_pylist(), key=lambda row: str(row["__id"]))
    assert differences(expected, found) == []
    told = {item["rule"] for row in found for item in row["__issues"]} | {
        row["__excluded"] for row in found if row["__excluded"]
    }
    assert told >= case.expected
