"""Compatibility forms made one (NFKC): full and half width, ligatures, ㈱, no-break spaces, composed and loose accents.

The engine has no NFKC, so the few distinct values that can change are changed in Arrow and joined back.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from migrator.dedupe.distinct import translate_distinct
from migrator.staging.engine import Session, quote

STABLE = (
    r"\x{00}-\x{7F}\x{C0}-\x{131}\x{134}-\x{13E}\x{141}-\x{148}\x{14A}-\x{17E}\x{391}-\x{3A1}\x{3A3}-\x{3CE}"
    r"\x{400}-\x{45F}\x{2018}-\x{201D}\x{3001}-\x{3002}\x{3008}-\x{3011}\x{3041}-\x{3096}\x{30A1}-\x{30FC}"
    r"\x{3400}-\x{4DBF}\x{4E00}-\x{9FFF}\x{AC00}-\x{D7A3}"
)
"""Characters that NFKC leaves alone in any company among themselves; a value of these only needs no second look."""


def compose(session: Session, source: str, fields: Sequence[str], table: str, scratch: Path) -> int:
    """Make `table` (raw, value) of all texts in `fields` that NFKC may change; returns how many there are."""
    if not fields:
        return 0
    texts = " UNION ".join(
        f"SELECT DISTINCT {quote(field)} AS raw FROM {source} "
        f"WHERE strlen({quote(field)}) <> length({quote(field)}) AND regexp_matches({quote(field)}, '[^{STABLE}]')"
        for field in fields
    )
    return translate_distinct(session, texts, _nfkc, table, scratch)


def _nfkc(texts: pa.Array) -> pa.Array:
    return pc.utf8_normalize(texts, form="NFKC")
