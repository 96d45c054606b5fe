"""Laws of names in several languages: notation never changes what is compared, and no text is too odd to be read."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import opencc
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.dedupe.company import company_features
from migrator.dedupe.person import person_features

Features = Callable[[pa.Array], pa.StructArray]

HANZI = st.text(
    st.sampled_from("王陈张单欧阳小明伟国华志强美丽云东北京上海恒信贸易电子科技集团有限公司分行"),
    min_size=1,
    max_size=9,
)
WORDS = st.lists(
    st.sampled_from(
        [
            "Wang",
            "xiao",
            "ming",
            "José",
            "Müller",
            "Chan",
            "TAI",
            "Robert",
            "Bob",
            "bin",
            "Ali",
            "Mohd",
            "Jr.",
            "O'Brien",
            "Beijing",
            "Trading",
            "Co.,",
            "Ltd",
            "Sdn Bhd",
            "&",
            "(M)",
            "Hengxin",
            "Group",
            "Branch",
            "Lot 5",
            "Jalan",
            "50450",
        ]
    ),
    min_size=1,
    max_size=6,
).map(" ".join)
LATIN = st.text(
    st.sampled_from("abefgk"), min_size=2, max_size=8
)  # no title and no degree is spelled with these
EVERY = pytest.mark.parametrize("features", [person_features, company_features])


def one(features: Features, text: str | None) -> Any:
    """The features of one text."""
    return features(pa.array([text], pa.string())).to_pylist()[0]


@cache
def traditional() -> Any:
    return opencc.OpenCC("s2t")


@EVERY
@given(st.lists(st.none() | st.text(max_size=30) | HANZI | WORDS, max_size=8))
def test_many_values_are_each_read_alone(features: Features, texts: list[str | None]) -> None:
    together = features(pa.array(texts, pa.string()))
    assert together.type == features(pa.array([], pa.string())).type
    assert together.to_pylist() == [one(features, text) for text in texts]
    assert [value is None for value in together.to_pylist()] == [text is None for text in texts]


@EVERY
@given(WORDS | HANZI)
def test_width_case_and_spaces_change_nothing(features: Features, text: str) -> None:
    wide = "".join(chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in text)
    spaced = f" \t{text.replace(' ', '　 ')} "
    assert (
        one(features, wide) == one(features, spaced) == one(features, text.swapcase()) == one(features, text)
    )


@EVERY
@given(HANZI)
def test_traditional_characters_change_nothing(features: Features, text: str) -> None:
    assert one(features, traditional().convert(text)) == one(features, text)


@pytest.mark.parametrize("features", [person_features, company_features])
@given(HANZI)
def test_spaces_between_characters_change_nothing(features: Features, text: str) -> None:
    assert one(features, " ".join(text)) == one(features, text)


@given(LATIN, LATIN)
def test_the_order_of_two_names_changes_nothing(first: str, last: str) -> None:
    assert one(person_features, f"{first} {last}") == one(person_features, f"{last}, {first}")


@given(st.permutations(["qqa", "zzb", "vvc"]))
def test_the_order_of_words_in_a_brand_changes_nothing(words: list[str]) -> None:
    made = one(company_features, f"{' '.join(words)} Ltd")
    assert (made["latin"], made["brand"]) == ("qqa vvc zzb", "qqa vvc zzb")
