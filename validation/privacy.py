"""Which values may be read in a report: numbers, dates and choices as they are, free text and personal data masked."""

from __future__ import annotations

from enum import Enum

from migrator.core.mapped import MappedObject
from migrator.core.mask import mask
from migrator.core.schema import FieldSchema, FieldType
from migrator.staging.engine import literal

LONGEST = 120
"""Characters of a value shown at most."""

_FREE_TEXT = frozenset({FieldType.STRING, FieldType.TEXT, FieldType.JSON})
_TIMES = frozenset({FieldType.DATE, FieldType.DATETIME, FieldType.TIME})
_MARKS = "年月日"
"""Letters that say how a date is written, and nothing of whose it is."""
_LETTERS, _DIGITS = rf"[^\P{{L}}{_MARKS}]", r"\p{Nd}"


class Privacy(Enum):
    """How values leave the staging area."""

    MASKED = "masked"
    """Fields marked as personal are masked, and so is all free text: nobody can know what was typed there."""
    OPEN = "open"
    """All values are readable; only when asked for."""


def is_hidden(item: FieldSchema | None, privacy: Privacy) -> bool:
    """Whether values of this field are masked; those of an unknown field are."""
    if privacy is Privacy.OPEN:
        return False
    return item is None or bool(item.pii) or item.type in _FREE_TEXT


def show(value: str | None, item: FieldSchema | None, privacy: Privacy) -> str:
    """A value as it may be shown; null is '∅', the empty text two quotes, and long ones end with '…'."""
    if value and is_hidden(item, privacy) and item is not None and item.type in _TIMES:
        return _pattern(value)
    if value is None or not value or is_hidden(item, privacy):
        return mask(value)
    return value if len(value) <= LONGEST else value[: LONGEST - 1] + "…"


def _pattern(value: str) -> str:
    """How a personal date is written, not which: digits as 9, letters as a.

    >>> _pattern("1980-02-31"), _pattern("31 Feb 80"), _pattern("1980年2月31日")
    ('9999-99-99', '99 aaa 99', '9999年9月99日')
    """
    shape = "".join(
        "9" if char.isdecimal() else "a" if char.isalpha() and char not in _MARKS else char for char in value
    )
    return shape[:LONGEST]


def show_group(value: str, item: FieldSchema | None, privacy: Privacy) -> str:
    """A value that records are divided by: readable unless its field is personal, since it is no text of anybody's own."""
    hidden = item is None or bool(item.pii)
    return mask(value) if hidden and privacy is Privacy.MASKED else value[:LONGEST]


def show_sql(value: str, item: FieldSchema | None, privacy: Privacy) -> str:
    """`show` as SQL over the text expression `value`, for lists too long to walk."""
    empty = f"CASE WHEN {value} IS NULL THEN '∅' WHEN {value} = '' THEN ''''''"
    if not is_hidden(item, privacy):
        cut = f"left({value}, {LONGEST - 1}) || '…'"
        return f"{empty} WHEN length({value}) <= {LONGEST} THEN {value} ELSE {cut} END"
    if item is not None and item.type in _TIMES:
        letters = f"regexp_replace({value}, {literal(_LETTERS)}, 'a', 'g')"
        return f"{empty} ELSE left(regexp_replace({letters}, {literal(_DIGITS)}, '9', 'g'), {LONGEST}) END"
    size = f"' (' || length({value}) || ')'"
    at = f"instr({value}, '@')"
    mail = f"left({value}, 1) || '•••@' || substr({value}, {at} + 1, 1) || '•••' || {size}"
    return (
        f"{empty} WHEN {at} > 1 AND {at} < length({value}) THEN {mail}"
        f" ELSE CASE WHEN length({value}) > 2 THEN left({value}, 1) ELSE '' END || '••••' || {size} END"
    )


def shown_values(value: str, field: str, mapped: MappedObject, privacy: Privacy) -> str:
    """`show_sql` where the row says which field the value is of: `field` is SQL of its name."""
    cases = " ".join(
        f"WHEN {literal(item.name)} THEN {show_sql(value, item, privacy)}" for item in mapped.fields
    )
    return f"CASE {field} {cases} ELSE {show_sql(value, None, privacy)} END"


def shown_choices(value: str, field: str, mapped: MappedObject, privacy: Privacy) -> str:
    """`shown_values` for values looked up in a list: choices are no text of anybody's own, so personal fields alone are masked."""
    masked = shown_values(value, field, mapped, privacy)
    listed = ", ".join(literal(item.name) for item in mapped.fields if not item.pii)
    if not listed:
        return masked
    return f"CASE WHEN {field} IN ({listed}) THEN {show_sql(value, None, Privacy.OPEN)} ELSE {masked} END"
