"""Models in files: what is fixed is read strictly, every problem with its place, and the page about them is complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from migrator.core.document import Document
from migrator.core.errors import Location, ProjectError
from migrator.core.mapped import MatchModel, Meaning, Reach
from migrator.mapping import parse_mapping
from migrator.mapping.match_model import MatchRule, find_model

PAGE = (Path(__file__).parents[2] / "docs" / "dedupe.md").read_text(encoding="utf-8")
HERE = Location("mappings/a.yaml", 3, 9)
MAPPING = """
mapping: a
target: {system: new, object: a, key: k}
source: {system: old, object: a}
fields: {k: {record_id: true}}
dedupe: %s
"""


def model(folder: Path, text: str, fields: tuple[str, ...] = ()) -> MatchModel:
    (folder / "dedupe").mkdir()
    (folder / "dedupe" / "customer.yaml").write_text(text, encoding="utf-8")
    return find_model("customer", folder, HERE, fields=fields)


def test_what_is_fixed_is_read_and_the_rest_is_left_to_the_data(tmp_path: Path) -> None:
    found = model(
        tmp_path,
        "fields: {full_name: person, note: none}\nblocking: [[email], [full_name, city]]\nautomatic: 0.99\nreach: across\n",
    )
    assert found == MatchModel(
        "customer", {"full_name": Meaning.PERSON, "note": Meaning.NONE}, (("email",), ("full_name", "city")),
        automatic=0.99, reach=Reach.ACROSS,
    )  # fmt: skip
    assert find_model("auto", tmp_path, HERE) == MatchModel()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("blokking: [[a]]", "1:1: unknown key 'blokking'"),
        ("fields: {a: persn}", "1:13: 'persn' is not allowed here"),
        ("automatic: 0.5\nreview: 0.9", "1:1: review (0.9) stands above automatic (0.5)"),
        ("automatic: 2", "1:12: automatic: input should be less than or equal to 1"),
        ("largest_block: many", "1:16: largest_block: input should be a valid integer"),
        ("[a]", "1:1: a model holds keys"),
        ("fields: {naem: person}", "1:10: 'naem' is no field of what is matched"),
        ("blocking: [[name], [citty]]", "1:21: 'citty' is no field of what is matched"),
    ],
)
def test_every_problem_has_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ProjectError) as caught:
        model(tmp_path, text, ("name", "city"))
    assert str(caught.value.problems[0]).startswith(f"dedupe/customer.yaml:{told}")


def test_a_model_that_is_not_there_is_told_where_it_is_named(tmp_path: Path) -> None:
    model(tmp_path, "{}")
    with pytest.raises(ProjectError, match=r"mappings/a.yaml:3:9: there is no model 'custmer'") as caught:
        find_model("custmer", tmp_path, HERE)
    assert "customer" in caught.value.problems[0].hint


@pytest.mark.parametrize("written", ["customer", "{model: customer}"])
def test_a_mapping_names_its_model_with_or_without_keys(tmp_path: Path, written: str) -> None:
    rule = parse_mapping(Document(MAPPING % written, "a.yaml"), tmp_path).rule.dedupe
    assert rule is not None
    assert (rule.model, rule.keys) == ("customer", {})


def test_rules_that_find_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="dedupe has neither keys nor a model"):
        parse_mapping(Document(MAPPING % "{region: CN}", "a.yaml"), tmp_path)


def test_the_page_tells_every_key_and_every_meaning() -> None:
    part = PAGE.split("## Models\n", 1)[1].split("\n## ", 1)[0]
    told = dict(re.findall(r"^\| `([^`]+)` \| (.+?) \|$", part, flags=re.MULTILINE))
    assert list(told) == list(MatchRule.model_fields)
    assert re.findall(r"`(\w+)`", told["fields"]) == [word.value for word in Meaning]
