"""The fingerprint of a row in SQL: md5 over a text that any engine can make again, byte for byte.

Each value is written as `LENGTH:TEXT`, a null as `~`, so null, the empty text and the text 'NULL' stay apart and no
value can pretend to be two. Instants are microseconds since 1970 in UTC, decimals have all digits of their scale,
days are ISO; links are 'MAPPING/SOURCE:KEY' of the survivor, so they do not change with what the target calls it.
"""

from __future__ import annotations

from collections.abc import Sequence

from migrator.core.fingerprint import fingerprint
from migrator.core.mapped import MappedObject
from migrator.core.schema import FieldSchema, FieldType
from migrator.staging.engine import literal, quote


def row_fingerprint(obj: MappedObject) -> str:
    """SQL for `__fp` over all fields of a mapped object, in their order; a renamed or retyped field changes it."""
    shape = [obj.target_object, obj.key, *((item.name, item.type.value) for item in obj.fields)]
    return f"md5({literal(fingerprint(*shape))} || {framed([value_text(item) for item in obj.fields])})"


def framed(texts: Sequence[str]) -> str:
    """SQL that joins text expressions so that different lists never give the same text."""
    return " || ".join(f"coalesce(length({text}) || ':' || {text}, '~')" for text in texts)


def value_text(item: FieldSchema, of: str = "") -> str:
    """SQL for the text of a field, of the relation `of` when it is given; null for null."""
    name = f"{of}.{quote(item.name)}" if of else quote(item.name)
    match item.type:
        case FieldType.DATETIME:
            return f"CAST(epoch_us({name}) AS VARCHAR)"
        case _:
            return f"CAST({name} AS VARCHAR)"
