"""Tests that users write in mappings: they hold, they fail with a place and words, and they name only what is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from migrator.core.document import Document
from migrator.core.errors import ProjectError
from migrator.mapping import bind, parse_mapping
from migrator.mapping.trial import Verdict, same, try_mapping
from tests.mapping_kit import engine, make_schema

HEAD = """\
mapping: contact
target: {system: new, object: contact, key: legacy_id}
sources:
  a: {object: Contact, exclude: [{when: Gone, reason: deleted}], fields: {name: {from: Name}, account: {from: AccountId, lookup: account}}}
  b: {object: person, fields: {name: {from: "full name"}, amount: {value: "0"}}}
fields:
  name: {clean: trim, required: true}
  amount: {from: Amount, type: "decimal(18,3)"}
  born: {from: Born, type: date}
  seen: {from: Seen, type: datetime, zone: Asia/Shanghai}
  vip: {from: Vip, type: boolean}
tests:
"""
ACCOUNT = (
    "mapping: account\ntarget: {system: new, object: account, key: k}\nsource: {system: a, object: Account}\n"
)
SYSTEMS = {
    "a": [
        make_schema("Contact", Name="string", AccountId="reference:Account", Gone="boolean", Amount="string",
                    Born="string", Seen="string", Vip="string"),
        make_schema("Account"),
    ],
    "b": [make_schema("person", key="", **{"full name": "string", "Amount": "string", "Born": "string", "Seen": "string", "Vip": "string"})],
}  # fmt: skip


def verdicts(folder: Path, tests: str) -> Sequence[Verdict]:
    mappings = [
        parse_mapping(Document(text, name), folder)
        for name, text in (("c.yaml", HEAD + tests), ("a.yaml", ACCOUNT))
    ]
    schemas = {system: {item.name: item for item in items} for system, items in SYSTEMS.items()}
    bound = bind(mappings, schemas).mapping("contact")
    assert bound is not None
    with engine(folder) as session:
        return try_mapping(session, mappings[0], bound, schemas)


def told(folder: Path, tests: str) -> list[str]:
    return [f"{item.location}: {item.message}" for one in verdicts(folder, tests) for item in one.differences]


def test_rows_of_several_sources_links_and_every_type_are_compared(tmp_path: Path):
    (found,) = verdicts(
        tmp_path,
        """
  - name: 全部
    rows:
      b: [{full name: " O'Hara "}]
      a:
        - {Id: "1", Name: 王, AccountId: A, Amount: 1.50, Born: 2024-02-29, Seen: "2024-01-01 08:00:00", Vip: yes}
        - {Id: "2", Name: x, Gone: true}
        - {Id: "3"}
        - {Id: "1", Name: twice}
      a/Account: [{Id: A}]
    expect:
      - {name: 王, account: account/a:A, amount: "1.5", born: 2024-02-29, seen: 2024-01-01T00:00:00Z, vip: true}
      - {name: O'Hara, legacy_id: "b:0", amount: 0, account: null}
    issues: [required.missing, key.duplicate]
""",
    )
    assert found.differences == ()
    assert found.test == "全部"


def test_each_difference_is_told_at_its_expectation(tmp_path: Path):
    assert told(
        tmp_path,
        """\
  - name: wrong
    rows: {a: [{Id: "1", Name: x, Amount: "2", Vip: no}]}
    expect:
      - {name: y, amount: two, born: 2024-01-01,
         vip: true}
  - {name: too few, rows: {a: [{Id: "1"}]}, expect: [{name: x}]}
  - {name: not left out, rows: {a: [{Id: "1", Name: x}]}, excluded: deleted}
  - {name: another reason, rows: {a: [{Id: "1", Gone: true}]}, excluded: other}
  - {name: an issue too many, rows: {a: [{Id: "1", Name: x, Born: soon}]}, issues: []}
  - {name: an issue too few, rows: {a: [{Id: "1", Name: x}]}, issues: [cast.date]}
""",
    ) == [
        "c.yaml:16:16: a:1: name is 'x', not 'y'",
        "c.yaml:16:27: a:1: amount is 2.000, not 'two'",
        "c.yaml:16:38: a:1: born is null, not '2024-01-01'",
        "c.yaml:17:15: a:1: vip is false, not 'true'",
        "c.yaml:18:53: 1 rows are expected to move, 0 do: a:1 is in quarantine: required.missing in name",
        "c.yaml:19:69: a:1 moves",
        "c.yaml:20:74: a:1 is excluded: deleted",
        "c.yaml:21:84: other issues: is in quarantine: cast.date in born ('soon')",
        "c.yaml:22:71: other issues: none was found",
    ]


def test_what_is_not_there_cannot_be_named(tmp_path: Path):
    with pytest.raises(ProjectError) as caught:
        verdicts(
            tmp_path,
            """\
  - {name: x, rows: {a: [{Id: 1, Nmae: x}], c/Other: [], a/Contact: []}, expect: [{nam: x}]}
""",
        )
    assert [str(item).split("\n")[0] for item in caught.value.problems] == [
        "c.yaml:13:22: the rows of a/Contact stand here twice",
        "c.yaml:13:45: this mapping reads no rows of 'c/Other'",
        "c.yaml:13:58: the rows of a/Contact stand here twice",
        "c.yaml:13:84: 'nam' is not among the fields here",
    ]


def test_a_test_runs_no_code_and_reads_no_file(tmp_path: Path):
    """Rows are bound as Arrow values, so SQL in them is a text like any other."""
    evil = "'); COPY (SELECT 1) TO '/tmp/owned'; --"
    assert told(tmp_path, f"""\
  - name: evil
    rows: {{a: [{{Id: "{evil}", Name: "{evil}"}}]}}
    expect: [{{name: "{evil}", legacy_id: "a:{evil}"}}]
""") == []  # fmt: skip


def test_values_are_compared_by_their_worth():
    assert not same(None, "")
    assert not same("", None)
    assert same(None, None)
    assert not same("12:00", 12)


def test_exploded_rows_come_in_the_order_of_their_values_and_joined_objects_have_rows(tmp_path: Path):
    text = (
        "mapping: tag\ntarget: {system: new, object: tag, key: k}\n"
        "source: {system: b, object: person, key: [full name, Born], explode: {column: Amount, split: ',', as: tag}, "
        "join: {who: {system: a, object: Contact, on: {tag: Id}}}}\n"
        "fields: {tag: {from: tag}, name: {from: who.Name}}\n"
        "tests:\n  - name: each value\n    rows:\n      b: [{full name: x|, Born: y, Amount: '3, 1,2,1'}, {full name: z, Born: y}]\n"
        "      a/Contact: [{Id: '2', Name: two}]\n"
        "    expect: [{tag: '3', name: null}, {tag: '1'}, {tag: '2', name: two, k: 'b:x\\\\||y#2'}]\n"
    )
    mapping = parse_mapping(Document(text, "t.yaml"), tmp_path)
    schemas = {system: {item.name: item for item in items} for system, items in SYSTEMS.items()}
    bound = bind([mapping], schemas).mappings[0]
    with engine(tmp_path) as session:
        (found,) = try_mapping(session, mapping, bound, schemas)
    assert found.differences == ()
