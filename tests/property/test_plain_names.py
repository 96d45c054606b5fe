"""The short way through a plain name comes to what the long way comes to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from migrator.dedupe.latin_person import latin_person, plain_person
from migrator.dedupe.person_parts import Person, known_given_names, last_words, malay_words, titles

WORDS = st.one_of(
    st.sampled_from(
        ("wang", "xiao", "tan", "wei", "ming", "lee", "koch", "anna", "ng", "j", "ouyang", "chong")
    ),
    st.sampled_from(sorted(known_given_names())),
    st.sampled_from(sorted((*last_words(), *malay_words(), *titles()))),
    st.text("abcdefghijklmnopqrstuvwxyz-é' ", min_size=1, max_size=8).map(str.strip).filter(bool),
)


def told(person: Person) -> list[object]:
    return [value if isinstance(value, str | None) else list(value) for value in person]


@given(WORDS, WORDS)
def test_a_plain_name_has_the_parts_it_has_by_the_long_way(family: str, given_name: str) -> None:
    text = f"{family}, {given_name}"
    short = plain_person(text)
    if short is not None:
        assert told(short) == told(latin_person(text, ()))


def test_most_names_are_plain() -> None:
    assert plain_person("koch, anna") is not None
    assert plain_person("wang, xiaoming") is not None
    for text in ("anna koch", "koch jr, anna", "koch, jr", "bin ali, ahmad", "köch, anna", "koch, anna-lena"):
        assert plain_person(text) is None
