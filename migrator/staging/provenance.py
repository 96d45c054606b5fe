"""Where the values of golden rows come from, and which values were given up for them: DONORS as relations to query and join."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from migrator.core.mapped import MappedObject
from migrator.staging import columns
from migrator.staging.engine import Session, literal, quote
from migrator.staging.relation import relation
from migrator.staging.store import Dataset, Kind, Store

_ID, _MEMBERS, _DISPUTED = (quote(name) for name in (columns.ID, columns.MEMBERS, columns.DISPUTED))
_DONATED = pa.schema(
    [
        *((name, pa.string()) for name in ("cluster", "survivor", "field", "donor")),
        pa.field("several", pa.bool_()),
    ]
)
_GIVEN_UP = pa.schema(
    [(name, pa.string()) for name in ("cluster", "survivor", "field", "member", "value", "kept")]
)


def donor_column(field: str) -> str:
    """The column of DONORS with the place of a field's donor among `__members`: 0 for several, null where nobody has a value."""
    return f"from {field}"


def donated(session: Session, store: Store, obj: MappedObject) -> str:
    """SQL for every value of every golden row: (cluster, survivor, field, donor, several).

    `donor` is the `__id` of the record it comes from, null where it was made of `several`.
    """
    made = store.current(Kind.DONORS, obj.name)
    fields = _fields(made, obj)
    if made is None or not fields:
        return f"SELECT * FROM {relation(session, None, _DONATED)}"
    rows = relation(session, made)
    return " UNION ALL ".join(
        f"SELECT cluster, {_ID} AS survivor, {literal(name)} AS field,"
        f" CASE WHEN {_place(name)} > 0 THEN {_MEMBERS}[{_place(name)}] END AS donor, {_place(name)} = 0 AS several"
        f" FROM {rows} WHERE {_place(name)} IS NOT NULL"
        for name in fields
    )


def given_up(session: Session, store: Store, obj: MappedObject, only: Sequence[str] = ()) -> str:
    """SQL for every value that lost against another: (cluster, survivor, field, member, value, kept), values as text.

    `only`: these fields. The values are personal where the field is: mask them.
    """
    made, golden = store.current(Kind.DONORS, obj.name), store.current(Kind.GOLDEN, obj.name)
    mapped = store.current(Kind.MAPPED, obj.name)
    fields = [name for name in _fields(made, obj) if not only or name in only]
    if made is None or golden is None or mapped is None or not fields:
        return f"SELECT * FROM {relation(session, None, _GIVEN_UP)}"
    donors, rows, kept = (relation(session, item) for item in (made, mapped, golden))
    lost = " UNION ALL ".join(
        f"SELECT d.cluster, d.survivor, {literal(name)} AS field, d.member,"
        f" CAST(m.{quote(name)} AS VARCHAR) AS value, CAST(g.{quote(name)} AS VARCHAR) AS kept"
        f" FROM disputed AS d JOIN members AS m ON m.{_ID} = d.member JOIN {kept} AS g ON g.{_ID} = d.survivor"
        f" WHERE list_contains(d.fields, {literal(name)}) AND trim(CAST(m.{quote(name)} AS VARCHAR)) <> ''"
        f" AND m.{quote(name)} IS DISTINCT FROM g.{quote(name)}"
        for name in fields
    )
    # a bad further copy of a record shares its __id, and took no part
    return (
        f"WITH disputed AS (SELECT cluster, {_ID} AS survivor, unnest({_MEMBERS}) AS member, {_DISPUTED} AS fields"
        f" FROM {donors} WHERE len({_DISPUTED}) > 0),"
        f" members AS (SELECT * FROM {rows} WHERE NOT {quote(columns.BAD)} AND {quote(columns.EXCLUDED)} IS NULL"
        f" AND {_ID} IN (SELECT member FROM disputed)) SELECT * FROM ({lost})"
    )


def _place(field: str) -> str:
    return quote(donor_column(field))


def _fields(made: Dataset | None, obj: MappedObject) -> list[str]:
    there = set(made.schema().names) if made is not None else set()
    return [name for name in obj.schema.field_names if donor_column(name) in there]
