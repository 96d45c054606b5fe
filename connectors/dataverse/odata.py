"""OData as text: literals, keys and addresses made of data, escaped so that no value can become syntax.

A quote inside a text literal is doubled; then the literal as a whole is percent-encoded. Numbers and GUIDs are
checked and never quoted. Protocol: OData 4.0 URL conventions 5.1.1.6; Dataverse, "Retrieve a row using keys".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNSAFE_IN_KEYS = frozenset("/<>*%&:\\?+#")
"""Characters with which an alternate key cannot be addressed: the documentation names them ('#' is ours)."""
_LONGEST_ADDRESS = 12_000
_MOST_VALUES = 300


def guid(value: object) -> str | None:
    """A GUID in small letters with dashes and no braces, or None when `value` is none."""
    text = str(value).strip().strip("{}").lower()
    return text if _GUID.fullmatch(text) else None


def name(value: str) -> str:
    """A name of a table or column as it may stand in an address; raises ValueError for anything else."""
    if not _NAME.fullmatch(value):
        raise ValueError(f"not a name of Dataverse: {value!r}")
    return value


def text(value: str) -> str:
    """A text literal, not yet percent-encoded."""
    return "'" + value.replace("'", "''") + "'"


def literal(value: str, *, quoted: bool) -> str:
    """A literal of a text column, or of a number or GUID column; ValueError when it is no such value."""
    if quoted:
        return text(value)
    if (found := guid(value)) is not None:
        return found
    return str(int(value))


def in_filter(column: str, values: Iterable[str]) -> str:
    """A filter for rows whose `column` is one of `values`."""
    listed = ",".join(text(value) for value in values)
    return f"Microsoft.Dynamics.CRM.In(PropertyName={text(name(column))},PropertyValues=[{listed}])"


def encoded(value: str) -> str:
    """Percent-encoded for one part of an address; nothing in it can end that part."""
    return quote(value, safe="")


def query(**options: str) -> str:
    """`?$select=…&$filter=…`; options are called without their dollar sign."""
    listed = "&".join(f"${key}={quote(value, safe=',()')}" for key, value in options.items() if value)
    return f"?{listed}" if listed else ""


def addressable(key: str) -> bool:
    """Whether a record can be addressed by this value of an alternate key."""
    return bool(key) and not (_UNSAFE_IN_KEYS & set(key)) and key == key.strip() and key.isprintable()


def pieces(values: Sequence[str]) -> Iterator[list[str]]:
    """The values in as many pieces as addresses need that hold them."""
    piece: list[str] = []
    size = 0
    for value in values:
        length = len(quote(text(value), safe="")) + 3
        if piece and (size + length > _LONGEST_ADDRESS or len(piece) == _MOST_VALUES):
            yield piece
            piece, size = [], 0
        piece.append(value)
        size += length
    if piece:
        yield piece
