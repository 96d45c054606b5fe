"""Postal addresses taken apart into street, number, unit and post code, comparable across scripts."""

from __future__ import annotations

import unicodedata

import pyarrow as pa

ADDRESS = pa.struct(
    [
        pa.field("han", pa.string()),
        pa.field("latin", pa.string()),
        pa.field("street", pa.list_(pa.string())),
        pa.field("number", pa.string()),
        pa.field("unit", pa.string()),
        pa.field("postcode", pa.string()),
        pa.field("region", pa.list_(pa.string())),
    ]
)
"""Features of a postal address; lists are sorted and never null.

han: simplified, without spaces, null where there are no hanzi · latin: folded words with abbreviations spelled out,
sorted; null where there are none · street: its name without the word for street, closed up, under every reading ·
number: of the house · unit: floor, room, lot · postcode: without spaces · region: places in it ('beijing').
"""


def address_features(texts: pa.Array) -> pa.StructArray:
    """The features of each address, of type `ADDRESS`; null where the text is null."""
    return pa.array([_features(text) for text in texts.to_pylist()], ADDRESS)


def _features(text: str | None) -> dict[str, object] | None:
    if text is None:
        return None
    words = unicodedata.normalize("NFKC", text).lower().replace(",", " ").split()
    latin = " ".join(sorted(words)) or None
    return {
        "han": None, "latin": latin, "street": [], "number": None, "unit": None, "postcode": None, "region": [],
    }  # fmt: skip
