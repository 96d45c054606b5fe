"""Whether a text written in a mapping is a value of the target's type, told before the first row."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation, localcontext

from migrator.core.schema import FieldType
from migrator.mapping.kinds import MAX_DIGITS, TEXTUAL, Kind

TRUE, FALSE = frozenset({"true", "1", "yes", "t", "y"}), frozenset({"false", "0", "no", "f", "n"})


def fits(text: str, kind: Kind) -> bool:
    """Whether `text` casts to `kind` without a loss; sizes of texts included."""
    if kind.type in TEXTUAL:
        return kind.length is None or len(text) <= kind.length
    try:
        if kind.type is FieldType.DECIMAL:
            return _fits_decimal(Decimal(text.strip()), kind)
        return _READ[kind.type](text.strip())
    except (ValueError, InvalidOperation):
        return False


_READ: Mapping[FieldType, Callable[[str], bool]] = {
    FieldType.INTEGER: lambda word: (
        re.fullmatch(r"[+-]?[0-9]+", word) is not None and -(2**63) <= int(word) < 2**63
    ),
    FieldType.FLOAT: lambda word: Decimal(word).is_finite(),
    FieldType.BOOLEAN: lambda word: word.lower() in TRUE | FALSE,
    FieldType.DATE: lambda word: bool(date.fromisoformat(word)),
    FieldType.DATETIME: lambda word: bool(datetime.fromisoformat(word)),
    FieldType.TIME: lambda word: time.fromisoformat(word) is not None,
}


def _fits_decimal(value: Decimal, kind: Kind) -> bool:
    if not value.is_finite() or abs(value.adjusted()) > MAX_DIGITS:
        return False
    scale = kind.scale or 0
    with localcontext(prec=200):
        return value == round(value, scale) and abs(value) < Decimal(10) ** ((kind.precision or 0) - scale)
