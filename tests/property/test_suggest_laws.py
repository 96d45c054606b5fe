"""Laws of suggested mappings, whatever the fields are called: each column once, confidence in bounds, a file that parses."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.core.document import Document
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.mapping.parse import parse_mapping
from migrator.mapping.suggest import suggest
from migrator.mapping.suggest_words import load_lexicon
from migrator.mapping.suggest_yaml import write_suggestion

WORDS = [
    "phone",
    "Phone",
    "name",
    "BillingCity",
    "客户名称",
    "select",
    "a.b",
    'q"uote',
    "x #y",
    "it's",
    "yes",
    "1",
    "{}",
    "-",
]
NAMES = st.one_of(
    st.sampled_from(WORDS), st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
).filter(lambda name: name.strip() != "" and not name.startswith("__"))
VALUES = st.lists(st.text(max_size=6), unique=True, max_size=4).map(tuple)


@st.composite
def objects(draw: st.DrawFn) -> ObjectSchema:
    fields = [
        FieldSchema(
            name,
            draw(st.sampled_from(FieldType)),
            draw(st.text(max_size=12)),
            required=draw(st.booleans()),
            read_only=draw(st.booleans()),
            references=draw(st.sampled_from([(), ("Account",), ("User", "Group")])),
            values=draw(VALUES),
        )
        for name in draw(st.lists(NAMES, unique=True, min_size=1, max_size=6))
    ]
    return ObjectSchema(
        draw(NAMES), draw(st.sampled_from(["", fields[0].name])), tuple(fields), draw(st.text(max_size=8))
    )


@settings(deadline=None, max_examples=60)
@given(objects(), objects(), st.sampled_from([0.3, 0.6, 0.9]))
def test_a_suggestion_is_sound_and_its_file_says_the_same(
    source: ObjectSchema, target: ObjectSchema, threshold: float
) -> None:
    found = suggest(load_lexicon(), source, target, threshold=threshold)
    assert len(set(found.chosen.values())) == len(found.chosen)
    assert not {item.name for item in target.fields if item.read_only} & set(found.chosen)
    for line in found.lines:
        assert all(0 <= item.confidence <= 1 for item in line.ranked)
        assert line.chosen is None or (line.chosen.confidence >= threshold and line.chosen.evidence)
    text = write_suggestion(found, name="made", systems=("old", "new"), links={"Account": "made"})
    written = parse_mapping(Document(text, "made.yaml"), Path()).rule
    assert {name: rule.from_ for name, rule in written.fields.items() if rule.from_} == found.chosen
    assert written.source is not None
    assert (written.target.object, written.source.object) == (target.name, source.name)
