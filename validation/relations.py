"""The two sides of the comparison as relations in the engine: what should be in the target, and what it answered.

Expected is every survivor whose last outcome says that the target has it, links turned into target ids over the
crosswalk. Actual is the read-back, each column cast to the expected type where the target answers another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

import pyarrow as pa

from migrator.core.mapped import Link, MappedObject
from migrator.core.schema import FieldSchema, FieldType
from migrator.staging import columns as c
from migrator.staging.engine import Session, literal, quote, row_count
from migrator.staging.in_turn import Join, is_much, joined_in_turn
from migrator.staging.relation import Mapped, counted_survivors, need_mapped, reference, relation
from migrator.staging.store import Dataset, Kind, Store

SessionFactory = Callable[[], Session]

LOADED = "('created', 'updated', 'unchanged')"
_SURVIVORS, _LED_TO = "v:survivors", "v:led to "
"""What is laid aside only until the sides of an object are: those of the next object take its place."""


class Family(Enum):
    """How values of a field are compared; decides which reasons for a difference make sense."""

    TEXT = "text"
    CHOICE = "choice"
    LINK = "link"
    NUMBER = "number"
    DATE = "date"
    INSTANT = "instant"
    SWITCH = "switch"
    FILE = "file"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Column:
    """One compared field: `e` and `a` are the SQL names of its expected and actual value in the joined relation."""

    schema: FieldSchema
    family: Family
    link: Link | None
    e: str
    a: str
    raw: str
    """Name of the actual value before its cast, '' when it needs none."""
    ref: str = ""
    """For a link: name of the expected value as 'MAPPING/SOURCE:KEY', before it became a target id."""

    @property
    def name(self) -> str:
        """The field's name in the target."""
        return self.schema.name


@dataclass(frozen=True, slots=True)
class Sides:
    """Names of the relations of one mapping in a session.

    `expected`: __id, __k (external key as text), __at (when its outcome came), __waits (a newer state is planned but
    not sent), e0, e1, …
    `actual`: __k, __n (1, 2, … for rows that share a key), __ours (whether its key is expected), a0, a1, … (r0, … before
    a cast). Both are computed once and laid aside: some forty queries ask for each.
    `source`: every mapped row, whatever became of it, with the fields' own names.
    `sent`: __k and __id of every record this project ever sent or read, whatever became of it.
    """

    mapped: MappedObject
    columns: tuple[Column, ...]
    expected: str
    actual: str
    source: str
    sent: str
    refs: str
    readback: str
    """SQL of what the target answered, under the fields' own names, cast to their types where it answers others."""
    doubled: bool
    """Whether the target has a key more than once; only then are there rows with __n above 1."""
    partial: bool = False
    """Whether only some of the records are looked at; then nothing can be said of records the target has and we do not."""

    @property
    def modified(self) -> Column | None:
        """The field that tells when a record was last changed, in the target as on our side."""
        return next(
            (item for item in self.columns if item.family is Family.INSTANT and _tells_changes(item.name)),
            None,
        )


@dataclass(frozen=True, slots=True)
class Pick:
    """Which records are looked at when not all are."""

    sample: int | None = None
    """About so many of each object, drawn by the hash of the key: the same records every time, and some of every choice."""
    since: datetime | None = None
    """Only records whose last outcome is at least so new."""

    @property
    def partial(self) -> bool:
        """Whether anything is left out."""
        return self.sample is not None or self.since is not None


ALL = Pick()
_OF_EACH = 3
"""Records that a sample takes of every combination of choices, however rare."""
_STRATA = 4
"""Choice fields at most whose combinations are strata."""


def open_sides(
    session: Session,
    store: Store,
    mapped: MappedObject,
    objects: Mapping[str, MappedObject],
    pick: Pick = ALL,
) -> Sides:
    """Register the relations of `mapped` in the session, cut to `pick`; its READBACK must be complete.

    Raises `FatalError` when a dataset that an earlier step makes is not there.
    """
    readback = store.need(Kind.READBACK, mapped.name, made_by="validate")
    made = need_mapped(store, mapped)
    shape = made.mapped.schema()
    prefix = f"v:{mapped.name}:"
    answered = relation(session, readback)
    columns = _columns(mapped, shape, readback.schema())
    sides = Sides(
        mapped,
        columns,
        expected=f"{prefix}expected",
        actual=f"{prefix}actual",
        source=f"{prefix}source",
        sent=f"{prefix}sent",
        refs=f"{prefix}refs",
        readback=_typed_sql(answered, columns, shape),
        doubled=_has_doubled(session, answered, mapped.key),
        partial=pick.partial,
    )
    _make_refs(session, store, sides, objects)
    crosswalk = relation(session, store.current(Kind.CROSSWALK, mapped.name), c.CROSSWALK)
    _define(session, sides.source, f"SELECT * FROM {relation(session, made.mapped)}")
    _define(
        session,
        sides.sent,
        f"SELECT __k, min(__id) AS __id FROM (SELECT target_key AS __k, {c.ID} AS __id FROM {crosswalk}"
        f" UNION ALL SELECT CAST({quote(mapped.key)} AS VARCHAR), {c.ID} FROM {quote(sides.source)})"
        " WHERE __k IS NOT NULL GROUP BY __k",
    )
    expected, actual = (
        _expected_sql(session, store, sides, made, crosswalk),
        _actual_sql(sides, answered, shape),
    )
    if pick.partial:
        picked = quote(f"{prefix}picked")
        session.execute(f"CREATE OR REPLACE TABLE {picked} AS {_picked_sql(sides, expected, pick)}")
        expected, actual = (
            f"SELECT * FROM ({side}) s WHERE s.__k IN (FROM {picked})" for side in (expected, actual)
        )
    session.lay_aside(sides.expected, expected)
    session.lay_aside(
        sides.actual,
        f"SELECT s.*, x.__k IS NOT NULL AS __ours FROM ({actual}) s"
        f" LEFT JOIN (SELECT DISTINCT __k FROM {quote(sides.expected)}) x ON x.__k = s.__k",
    )
    return sides


def _picked_sql(sides: Sides, expected: str, pick: Pick) -> str:
    """Keys of the records to look at."""
    newer = f"__at >= {literal(pick.since.isoformat())}::TIMESTAMPTZ" if pick.since is not None else "TRUE"
    if pick.sample is None:
        return f"SELECT __k FROM ({expected}) WHERE {newer}"
    choices = [item.e for item in sides.columns if item.family in (Family.CHOICE, Family.SWITCH)][:_STRATA]
    strata = f"PARTITION BY {', '.join(choices)}" if choices else ""
    return (
        f"SELECT __k FROM (SELECT __k, row_number() OVER (ORDER BY md5(__k), __k) AS place,"
        f" row_number() OVER ({strata} ORDER BY md5(__k), __k) AS nth FROM ({expected}) WHERE {newer})"
        f" WHERE place <= {pick.sample:d} OR ({'nth' if choices else 'place'} <= {_OF_EACH})"
    )


def duck_type(kind: pa.DataType) -> str:
    """The engine's name of an Arrow type that a mapped field may have."""
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMPTZ" if kind.tz else "TIMESTAMP"
    names = {
        pa.int64(): "BIGINT", pa.int32(): "INTEGER", pa.float64(): "DOUBLE", pa.bool_(): "BOOLEAN",
        pa.date32(): "DATE", pa.time64("us"): "TIME",
    }  # fmt: skip
    return names.get(kind, "VARCHAR")


def typed(value: str, kind: pa.DataType) -> str:
    """SQL of a value as this type, null when it is none: a cast of text would round what has more digits than the type."""
    cast, text = f"TRY_CAST({value} AS {duck_type(kind)})", f"CAST({value} AS VARCHAR)"
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        digits = kind.scale if pa.types.is_decimal(kind) else 0
        return (
            f"CASE WHEN regexp_full_match({text}, '[+-]?[0-9]*([.][0-9]{{0,{digits}}}0*)?') THEN {cast} END"
        )
    return cast


def family(item: FieldSchema, link: Link | None) -> Family:
    """How values of this field are compared."""
    return Family.LINK if link is not None else _FAMILIES.get(item.type, Family.OTHER)


_FAMILIES = {
    FieldType.STRING: Family.TEXT,
    FieldType.TEXT: Family.TEXT,
    FieldType.JSON: Family.TEXT,
    FieldType.PICKLIST: Family.CHOICE,
    FieldType.MULTI_PICKLIST: Family.CHOICE,
    FieldType.INTEGER: Family.NUMBER,
    FieldType.DECIMAL: Family.NUMBER,
    FieldType.FLOAT: Family.NUMBER,
    FieldType.DATE: Family.DATE,
    FieldType.DATETIME: Family.INSTANT,
    FieldType.BOOLEAN: Family.SWITCH,
    FieldType.FILE: Family.FILE,
}

_CHANGED = ("modified", "lastmodified", "updated", "修改时间", "修改時間")


def _tells_changes(name: str) -> bool:
    return "".join(char for char in name.casefold() if char.isalnum()).startswith(_CHANGED)


def _columns(mapped: MappedObject, made: pa.Schema, answered: pa.Schema) -> tuple[Column, ...]:
    found = []
    for number, item in enumerate(mapped.fields):
        link = mapped.link(item.name)
        wanted, has = _plain(made.field(item.name).type), _plain(answered.field(item.name).type)
        raw = "" if has == wanted or (_exact(has) and _exact(wanted)) else f"r{number}"
        ref = f"q{number}" if link is not None else ""
        found.append(Column(item, family(item, link), link, f"e{number}", f"a{number}", raw, ref))
    return tuple(found)


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    return pa.timestamp("us", tz="UTC") if pa.types.is_timestamp(kind) and kind.tz else kind


def _exact(kind: pa.DataType) -> bool:
    # Exact numbers compare exactly whatever their scales; a cast would round a difference away.
    return bool(pa.types.is_decimal(kind) or pa.types.is_integer(kind))


def _expected_sql(session: Session, store: Store, sides: Sides, made: Mapped, crosswalk: str) -> str:
    mapped = sides.mapped
    fields = ", ".join([c.ID, *(quote(column.name) for column in sides.columns)])
    there = counted_survivors(session, _SURVIVORS, made, fields)
    plan = store.current(Kind.PLAN, mapped.name)
    loaded = (
        f"SELECT s.*, x.target_key AS __key, x.at AS __at, x.{c.FINGERPRINT} AS __fp{'' if plan else ', FALSE AS __waits'}"
        f" FROM {there} s JOIN {crosswalk} x ON x.{c.ID} = s.{c.ID} AND x.outcome IN {LOADED}"
    )
    joins = [_waits(session, plan)] if plan else []
    joins += _targets(session, sides)
    rows = joined_in_turn(session, loaded, joins, joined=made.mapped.rows)
    values = [
        f"r.__{column.e} AS {column.e}, r.{quote(column.name)} AS {column.ref}"
        if column.link is not None
        else f"r.{quote(column.name)} AS {column.e}"
        for column in sides.columns
    ]
    return f"""
        SELECT r.{c.ID}, coalesce(r.__key, CAST(r.{quote(mapped.key)} AS VARCHAR)) AS __k, r.__at, r.__waits,
               {", ".join(values)}
        FROM ({rows}) r"""


def _waits(session: Session, plan: Dataset) -> Join:
    """Whether what was last planned of a record is not what was last sent."""
    asked = f"SELECT {c.ID}, {c.FINGERPRINT} FROM {relation(session, plan)}"
    differs = f"j.{c.FINGERPRINT} IS DISTINCT FROM r.__fp AS __waits"
    return Join(asked, f"j.{c.ID} = r.{c.ID}", differs, plan.rows)


def _targets(session: Session, sides: Sides) -> list[Join]:
    refs = quote(sides.refs)
    rows = row_count(session, refs)
    return [
        Join(
            f"SELECT * FROM {refs} WHERE {_ours('ref', item)}",
            f"j.ref = r.{quote(item.name)}",
            f"{_link_value(item)} AS __{item.e}",
            rows,
        )
        for item in sides.columns
        if item.link is not None
    ]


def _ours(value: str, column: Column) -> str:
    """SQL that is true of a reference that a link may hold."""
    assert column.link is not None  # noqa: S101 (only called for links)
    tests = [f"starts_with({value}, {literal(name + '/')})" for name in column.link.mappings]
    return " OR ".join(tests) or "FALSE"


def _link_value(column: Column) -> str:
    """The target id a link should hold; a value that is no reference of ours (a default) stands as it is."""
    value = f"r.{quote(column.name)}"
    return (
        f"CASE WHEN j.ref IS NOT NULL THEN j.target_id WHEN {_ours(value, column)} THEN NULL ELSE {value} END"
    )


def _has_doubled(session: Session, answered: str, key: str) -> bool:
    keys = f"SELECT count({quote(key)}) - count(DISTINCT {quote(key)}) AS doubled FROM {answered}"
    return bool(session.fetch(keys).column("doubled")[0].as_py())


def _actual_sql(sides: Sides, answered: str, made: pa.Schema) -> str:
    key = f"CAST({quote(sides.mapped.key)} AS VARCHAR)"
    number = f"row_number() OVER (PARTITION BY {key} ORDER BY 1)" if sides.doubled else "1"
    values = []
    for column in sides.columns:
        name = quote(column.name)
        if column.family is Family.FILE:
            digest = f"coalesce('sha256:' || sha256(TRY(from_base64({name}))), {name})"
            values.append(
                f"CASE WHEN starts_with({name}, 'sha256:') THEN {name} ELSE {digest} END AS {column.a}"
            )
            continue
        if not column.raw:
            values.append(f"{name} AS {column.a}")
            continue
        wanted = made.field(column.name).type
        values += [f"{typed(name, wanted)} AS {column.a}", f"CAST({name} AS VARCHAR) AS {column.raw}"]
    return f"SELECT {key} AS __k, {number} AS __n, {', '.join(values)} FROM {answered}"


def _typed_sql(answered: str, columns: tuple[Column, ...], made: pa.Schema) -> str:
    casts = [
        f"{typed(quote(column.name), made.field(column.name).type)} AS {quote(column.name)}"
        for column in columns
        if column.raw
    ]
    return f"SELECT * REPLACE ({', '.join(casts)}) FROM {answered}" if casts else f"SELECT * FROM {answered}"


def _make_refs(session: Session, store: Store, sides: Sides, objects: Mapping[str, MappedObject]) -> None:
    """`refs`: one row per record a link of this mapping may point to, with the id it has in the target."""
    names = sorted({name for link in sides.mapped.links for name in link.mappings if name in objects})
    found = ["SELECT NULL::VARCHAR AS ref, NULL::VARCHAR AS target_id WHERE FALSE"] if not names else []
    for name in names:
        crosswalk = store.current(Kind.CROSSWALK, name)
        for select in _refs_sql(session, store, name, crosswalk):
            found.append(select)
            if crosswalk is not None and is_much(crosswalk.rows):
                aside = f"{_LED_TO}{len(found)}"
                session.lay_aside(aside, select)
                found[-1] = f"SELECT * FROM {quote(aside)}"
    session.lay_aside(sides.refs, " UNION ALL ".join(found))


def _refs_sql(session: Session, store: Store, name: str, crosswalk: Dataset | None) -> Iterator[str]:
    """Every member of a cluster leads to its survivor's record; what is in no cluster any more leads to its own."""
    clusters = relation(session, store.current(Kind.CLUSTERS, name), c.CLUSTERS)
    there = relation(session, crosswalk, c.CROSSWALK)
    ref = reference(name, f"r.{c.ID}")
    yield (
        f"SELECT {ref} AS ref, x.target_id FROM {clusters} r"
        f" JOIN {there} x ON x.{c.ID} = r.survivor AND x.target_id IS NOT NULL"
    )
    yield (
        f"SELECT {ref} AS ref, r.target_id FROM {there} r WHERE r.target_id IS NOT NULL"
        f" AND NOT EXISTS (FROM {clusters} m WHERE m.{c.ID} = r.{c.ID})"
    )


def _define(session: Session, name: str, sql: str) -> None:
    session.execute(f"CREATE OR REPLACE VIEW {quote(name)} AS {sql}")
