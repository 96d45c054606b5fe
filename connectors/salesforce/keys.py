"""Records found by external key: which of the keys of a call are there, exactly, and which only in other letters.

A text field of Salesforce compares without regard to letter case unless it says otherwise: an upsert by 'ab' would write
over the record 'AB'. What comes back is therefore compared again, exactly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa

from connectors.salesforce import soql
from connectors.salesforce.client import Client
from connectors.salesforce.described import Described
from connectors.salesforce.failures import Said
from connectors.salesforce.paging import Records, always, records
from migrator.core.document import did_you_mean
from migrator.core.errors import FatalError
from migrator.core.schema import FieldSchema, FieldType

_NUMBERS = frozenset({FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT})


@dataclass(frozen=True, slots=True)
class Found:
    """Which keys are there."""

    ids: Mapping[str, str]
    """Key as given → record id."""
    other_case: Mapping[str, str] = field(default_factory=dict)
    """Key as given → the key that is there in other letters."""


def key_field(found: Described, name: str) -> FieldSchema:
    """The field a call names as key; raises `FatalError` when there is none."""
    field_found = found.schema.field(name)
    if field_found is None:
        raise FatalError(
            f"{found.name} has no field {name!r}",
            hint=did_you_mean(name, found.schema.field_names, noun="fields"),
        )
    return field_found


def is_exact(found: Described, name: str) -> bool:
    """Whether the organisation itself tells keys apart exactly as we do."""
    return key_field(found, name).type in _NUMBERS or found.rights[name].case_sensitive


def as_keys(column: pa.ChunkedArray) -> list[str | None]:
    """A key column as text."""
    listed: list[str | None] = column.cast(pa.string()).to_pylist()
    return listed


def bad_keys(keys: Sequence[str | None], *, exact: bool) -> dict[int, Said]:
    """Rows without a key, and all that share one, or share it but for letter case where that does not count."""
    folded = [key if key is None or exact else key.casefold() for key in keys]
    counts = Counter(folded)
    bad: dict[int, Said] = {}
    for place, key in enumerate(folded):
        if not key:
            bad[place] = Said("key.missing", "a row without its key cannot be written")
        elif counts[key] > 1:
            bad[place] = Said(
                "key.duplicate",
                f"{counts[key]} rows of this call carry the key {keys[place]!r} (letter case aside)",
            )
    return bad


def look_up(client: Client, found: Described, name: str, keys: Sequence[str]) -> Found:
    """The records with these keys; a deleted record is not there."""
    wanted = key_field(found, name)
    exact = {plain_key(wanted, key): key for key in keys}
    folded = {plain_key(wanted, key).casefold(): key for key in keys}
    ids, other = {}, {}
    for page in matching(client, found, wanted, keys, ["Id", name]):
        for record in page:
            there = plain_key(wanted, _as_text(record.get(name)))
            if there in exact:
                ids[exact[there]] = str(record["Id"])
            elif there.casefold() in folded:
                other[folded[there.casefold()]] = there
    return Found(ids, {key: there for key, there in other.items() if key not in ids})


def matching(
    client: Client, found: Described, wanted: FieldSchema, keys: Sequence[str], names: Sequence[str]
) -> Iterator[Records]:
    """Pages of the records that Salesforce itself takes for those of these keys; others' letter case among them."""
    literals = [text for key in dict.fromkeys(keys) if (text := soql.key_literal(wanted, key)) is not None]
    head = soql.select(list(names), found.name)
    for condition in soql.one_of(wanted.name, literals, max(soql.LONGEST - len(head), 2_000)):
        query = f"{head} WHERE {condition}"
        yield from records(client, always(query))


def same_key(wanted: FieldSchema, keys: Sequence[str]) -> Mapping[str, str]:
    """Key as the organisation says it → key as given."""
    return {plain_key(wanted, key): key for key in keys}


def _as_text(value: Any) -> str:
    return "" if value is None else str(value)


def plain_key(wanted: FieldSchema, key: str) -> str:
    """A key in the form in which equal keys are equal texts."""
    if wanted.type not in _NUMBERS:
        return key
    try:
        number = Decimal(key)
    except InvalidOperation:
        return key
    return format(number.normalize(), "f") if number.is_finite() else key
