"""YAML means the same with every release of its parser: merge keys, depth and doubled keys are ours to judge."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from migrator.core.document import Document
from migrator.core.errors import ProjectError

ANCHORS = "a: &a {name: 1, first: 1}\nb: &b {name: 2, second: 2}\n"


def merged(text: str) -> object:
    data = Document(ANCHORS + "c: " + text + "\n", "m.yaml").data
    assert isinstance(data, dict)
    return data["c"]


def refusal(text: str) -> str:
    with pytest.raises(ProjectError) as caught:
        Document(text, "m.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("{<<: *a}", {"name": 1, "first": 1}),
        ("{<<: *a, name: 9}", {"name": 9, "first": 1}),
        ("{name: 9, <<: *a}", {"name": 9, "first": 1}),
        ("{<<: [*a, *b]}", {"name": 1, "first": 1, "second": 2}),
        ("{<<: [*b, *a]}", {"name": 2, "first": 1, "second": 2}),
        ("{<<: [*b, {<<: *a, name: 7}], name: 9}", {"name": 9, "first": 1, "second": 2}),
        ("{<<: [{<<: *a, name: 7}, *b]}", {"name": 7, "first": 1, "second": 2}),
        ("{<<: []}", {}),
        ("{'<<': 1}", {"<<": 1}),
        ("{=: 1}", {"=": 1}),
        ("{=: 1, <<: *a}", {"=": 1, "name": 1, "first": 1}),
    ],
)
def test_a_merge_key_means_what_its_specification_says(text: str, meaning: object):
    assert merged(text) == meaning


def test_texts_and_places_follow_the_merge():
    document = Document(ANCHORS + "c: {<<: [*a, *b], third: 03}\n", "m.yaml")
    assert document.texts() == {
        "a": {"name": "1", "first": "1"},
        "b": {"name": "2", "second": "2"},
        "c": {"name": "1", "first": "1", "second": "2", "third": "03"},
    }
    assert str(document.locate(("c", "name"))) == "m.yaml:1:14"
    assert str(document.locate(("c", "second"))) == "m.yaml:2:25"


def test_a_merge_key_stands_once():
    assert refusal(ANCHORS + "c: {<<: *a, <<: *b}\n").startswith(
        "m.yaml:3:13: the key '<<' stands here twice"
    )


@pytest.mark.parametrize("text", ["{<<: 1}", "{<<: [*a, 1]}"])
def test_a_merge_key_takes_mappings(text: str):
    assert "<< takes a mapping, or a list of mappings" in refusal(ANCHORS + f"c: {text}\n")


def test_a_bomb_of_merges_ends_soon():
    bomb = "a0: &a0 {x: 1}\n" + "".join(
        f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 40)
    )
    data = Document(bomb, "m.yaml").data
    assert isinstance(data, dict)
    assert data["a39"] == {"x": 1}


@pytest.mark.parametrize("loader", [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)])
def test_depth_has_one_limit_whatever_the_parser_bears(loader: type, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("migrator.core.document._LOADER", loader)
    assert Document("[" * 100 + "]" * 100, "m.yaml").data
    assert Document("- " * 100 + "x", "m.yaml").data
    for levels in (101, 999, 1_001, 20_000):
        assert refusal("[" * levels + "]" * levels).startswith(
            "m.yaml:1:101: lists and mappings stand more than 100 deep"
        )
    assert refusal("- " * 3_000 + "x").startswith("m.yaml:1:201: ")
    assert "this is not valid YAML" in refusal("[" * 50)


def test_depth_counts_through_aliases():
    chain = "a1: &a1 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(2, 3_000))
    assert refusal(chain).startswith("m.yaml:99:6: lists and mappings stand more than 100 deep")


NAMES = st.sampled_from(["x", "y", "name", "客户"])
MAPPINGS = st.dictionaries(NAMES, st.integers(0, 99), max_size=4)


@given(own=MAPPINGS, merged=st.lists(MAPPINGS, max_size=4))
def test_the_first_that_has_a_key_wins(own: dict[str, int], merged: list[dict[str, int]]):
    anchors = "".join(
        f"m{n}: &m{n} {yaml.safe_dump(mapping, allow_unicode=True, default_flow_style=True)}"
        for n, mapping in enumerate(merged)
    )
    body = yaml.safe_dump(own, allow_unicode=True, default_flow_style=True).strip()[1:-1]
    text = (
        f"{anchors}c: {{<<: [{', '.join(f'*m{n}' for n in range(len(merged)))}]{', ' * bool(body)}{body}}}\n"
    )
    data = Document(text, "m.yaml").data
    assert isinstance(data, dict)
    expected: dict[str, int] = {}
    for mapping in (own, *merged):
        expected = mapping | expected
    assert data["c"] == expected
