"""Companies' names taken apart into region, brand, trade, form and branch, comparable across scripts."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from migrator.dedupe.company_parts import Parts
from migrator.dedupe.hanzi_company import hanzi_parts
from migrator.dedupe.latin_company import latin_parts
from migrator.dedupe.script import HAN, KANA, composed

_LISTED = pa.list_(pa.string())

COMPANY = pa.struct(
    [
        pa.field("han", pa.string()),
        pa.field("latin", pa.string()),
        pa.field("region", _LISTED),
        pa.field("country", pa.string()),
        pa.field("seat", pa.string()),
        pa.field("brand", pa.string()),
        pa.field("pinyin", _LISTED),
        pa.field("trade", pa.string()),
        pa.field("trades", _LISTED),
        pa.field("rank", _LISTED),
        pa.field("form", pa.string()),
        pa.field("branch", pa.string()),
    ]
)
"""Features of a company's name; two names agree in a list when they share an element.

han: simplified, without spaces and legal form, null where there are no hanzi or kana · latin: folded words without
legal form, sorted; null where there are none · region: places in it ('beijing') · country: ISO code, as said by place
or legal form · seat: the same, as said by place only · brand: what is its own; where nothing is, '*' with country,
places and trade · pinyin: the brand closed up under every reading and known translation · trade: what it does, in
English words ('electronic system'), '' where it does not say; trades: the same as a list · rank: words that say little
('group', 'development', 'technology') · form: its legal form, null where left out · branch: which branch, null for the
company itself.
"""


def company_features(texts: pa.Array) -> pa.StructArray:
    """The features of each name, of type `COMPANY`; null where the text is null."""
    missing = texts.is_null()
    made = iter([_features(text) for text in composed(texts.drop_null().to_pylist())])
    nothing = (None,) * COMPANY.num_fields
    rows = [nothing if absent else next(made) for absent in missing.to_pylist()]
    columns = zip(*rows, strict=True) if rows else ((),) * COMPANY.num_fields
    arrays = [pa.array(column, field.type) for column, field in zip(columns, COMPANY, strict=True)]
    return pa.StructArray.from_arrays(arrays, fields=list(COMPANY), mask=missing)


def _features(text: str) -> Sequence[object]:
    chinese = not text.isascii() and (HAN.search(text) or KANA.search(text))
    parts = hanzi_parts(text) if chinese else latin_parts(text)
    return _row(parts)


def _row(parts: Parts) -> Sequence[object]:
    trades = sorted(set(parts.trade))
    trade = " ".join(trades)
    region = sorted(set(parts.region))
    brand = parts.brand
    if brand is None and (trade or parts.rank or region or parts.country):
        brand = " ".join(("*", parts.country or "", *region, trade, *sorted(set(parts.rank))))
    return (
        parts.han,
        parts.latin,
        region,
        parts.country,
        parts.seat,
        brand,
        sorted(set(parts.pinyin)),
        trade,
        trades,
        sorted(set(parts.rank)),
        parts.form,
        parts.branch,
    )
