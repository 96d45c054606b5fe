"""Mapping files: strict, every problem at once, each with the place an editor can jump to."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.core.document import Document
from migrator.core.errors import ProjectError
from migrator.mapping import json_schema, load, parse_mapping

TEN_MISTAKES = """\
mapping: contact
target: {system: new, objet: contact, key: legacy_id}
source: {system: sf, object: Contact, exclude: [{when: "IsDeleted"}]}
fields:
  first_name: {from: FirstName, clean: [trim, colapse]}
  last_name: {frm: LastName, required: maybe}
  country: {from: Country, values: {NO: Norway}, unmapped: ignore}
  amount: {from: Amount, type: 'decimal(99,2)'}
  closed_on: {from: CloseDate, type: date, format: '%Q'}
dedupe:
  keys: {email: {email: e-mail}}
  survivorship: {default: newest}
"""


def problems_of(text: str) -> list[str]:
    with pytest.raises(ProjectError) as caught:
        parse_mapping(Document(text, "m.yaml"), Path())
    return [str(problem) for problem in caught.value.problems]


AT_LEAST = "\n    docs/mapping.md tells what every key takes"
"""The hint where there is no better one."""


def test_ten_mistakes_and_more_are_told_at_once_with_their_places():
    assert problems_of(TEN_MISTAKES) == [
        "m.yaml:2:9: object is missing" + AT_LEAST,
        "m.yaml:2:23: unknown key 'objet'\n    did you mean 'object'?",
        "m.yaml:3:49: reason is missing\n    say why such rows do not move; the accounting shows it",
        "m.yaml:5:47: unknown clean verb 'colapse'\n    did you mean 'collapse'?",
        "m.yaml:6:15: unknown key 'frm'\n    did you mean 'from'?",
        "m.yaml:6:40: required must be true or false, not 'maybe'" + AT_LEAST,
        "m.yaml:7:60: 'ignore' is not allowed here\n    known words: keep, null, quarantine, {default: …}",
        "m.yaml:8:32: 'decimal(99,2)': a decimal has 1 to 38 digits, and no more behind the point than in all\n"
        "    for example decimal(18,2) or string(80)",
        "m.yaml:9:52: '%Q': unknown directive '%Q' (known: %Y %y %m %d %H %I %M %S %f %p %b %B %a %A %%)\n"
        "    for example '%d.%m.%Y' or '%m/%d/%Y %I:%M %p'",
        "m.yaml:11:25: 'e-mail' is not allowed here\n    did you mean 'email'?",
        "m.yaml:12:27: 'newest' is not allowed here\n    did you mean 'longest'?",
    ]


def test_scalars_keep_the_form_they_are_written_in():
    text = (
        "mapping: c\ntarget: {system: new, object: c, key: id}\nsource: {system: sf, object: C}\n"
        "fields:\n  id: {from: No}\n  on: {value: 01}\n  c: {from: 2024, values: {NO: 1.10, yes: null, 1: 2024-01-31}}\n"
    )
    mapping = parse_mapping(Document(text, "m.yaml"), Path())
    fields = mapping.rule.fields
    assert fields["id"].from_ == "No"
    assert fields["on"].value == "01"
    assert fields["c"].from_ == "2024"
    assert fields["c"].values is not None
    assert fields["c"].values.inline == {"NO": "1.10", "yes": None, "1": "2024-01-31"}


def test_a_sources_own_rule_is_laid_over_the_common_one_key_by_key():
    text = (
        "mapping: c\ntarget: {system: new, object: c, key: id}\n"
        "sources:\n  a: {object: A, fields: {name: {from: Name}}}\n"
        "  b: {system: other, object: B, fields: {name: {expr: 'upper(n)', required: false}}}\n"
        "fields:\n  name: {clean: trim, required: true, from: X}\n"
    )
    mapping = parse_mapping(Document(text, "m.yaml"), Path())
    first, second = (mapping.field(source, "name") for source in mapping.sources)
    assert (first.rule.from_, first.rule.clean, first.rule.required) == ("Name", ("trim",), True)
    assert (second.rule.from_, second.rule.expr, second.rule.required) == (None, "upper(n)", False)
    assert str(mapping.at(*first.path("from_"))) == "m.yaml:4:40"
    assert str(mapping.at(*first.path("clean"))) == "m.yaml:7:17"
    assert [source.system for source in mapping.sources] == ["a", "other"]


def test_the_key_is_the_record_id_when_no_rule_names_it():
    text = "mapping: c\ntarget: {system: new, object: c, key: k}\nsource: {system: sf, object: C}\nfields: {a: {from: A}}\n"
    mapping = parse_mapping(Document(text, "m.yaml"), Path())
    assert mapping.field_names == ("k", "a")
    assert mapping.field(mapping.sources[0], "k").rule.record_id is True


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mapping: c\ntarget: {system: n, object: c, key: k}\n", "m.yaml:1:1: this mapping has no source"),
        (
            "mapping: c\ntarget: {system: n, object: c, key: k}\nsource: {object: C}\n",
            "m.yaml:3:9: system is missing",
        ),
        ("- a\n", "m.yaml:1:1: a mapping file holds keys"),
        ("", "m.yaml:1:1: a mapping file holds keys"),
        ("mapping: [c]\ntarget: t\nsource: s\n", "m.yaml:1:10: mapping must be a text, not a list"),
        (
            "mapping: c\ntarget: {system: n, object: c, key: k}\nsource: {system: s, object: C}\nfields: {a: {type: decimal(18,2), from: A}}\n",
            "m.yaml:4:20: 'decimal(18' is not a type\n    inside { } a comma ends the value",
        ),
        (
            "mapping: c\ntarget: {system: n, object: c, key: __k}\nsource: {system: s, object: C}\n",
            "m.yaml:2:37: '__k' begins with '__'",
        ),
    ],
)
def test_each_mistake_is_told_in_words(text: str, expected: str):
    assert any(problem.startswith(expected) for problem in problems_of(text)), problems_of(text)


def test_a_folder_tells_the_problems_of_all_its_files(tmp_path: Path):
    folder = tmp_path / "mappings"
    folder.mkdir()
    good = "mapping: Dup\ntarget: {system: n, object: c, key: k}\nsource: {system: s, object: C}\n"
    (folder / "a.yaml").write_text(good)
    (folder / "b.yml").write_text(good.replace("Dup", "dup"))
    (folder / "c.yaml").write_text("a: [")
    (folder / "d.yaml").write_text(good.replace("Dup", "d").replace("key: k", "ky: k"))
    with pytest.raises(ProjectError) as caught:
        load(folder, tmp_path)
    files = [problem.location.file for problem in caught.value.problems]
    assert files == ["mappings/b.yml", "mappings/c.yaml", "mappings/d.yaml", "mappings/d.yaml"]


def test_an_empty_folder_is_told(tmp_path: Path):
    with pytest.raises(ProjectError, match="no mapping in this folder"):
        load(tmp_path, tmp_path)


def test_the_editor_schema_knows_every_key_and_allows_no_other():
    schema = json_schema()
    field = schema["$defs"]["FieldRule"]
    assert {"from", "expr", "value", "record_id", "clean", "lookup"} <= field["properties"].keys()
    assert field["additionalProperties"] is False
    assert "description" in field["properties"]["zone"]
