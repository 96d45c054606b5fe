"""The pairs that wait for a person's word: which, in which order, and both records of each with what speaks for and against.

Everything is read at once, as many pairs as asked for, so that a person may take hours over them while other commands
replace the data they were read from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from migrator.core.mapped import Judgement, MappedObject, Same
from migrator.core.review import Asked, Band, Order
from migrator.dedupe.contrast import Contrast, Difference, Step, waterfall
from migrator.dedupe.judged import together
from migrator.staging import columns
from migrator.staging.engine import Session, literal, quote
from migrator.staging.relation import relation
from migrator.staging.store import Kind, Store


@dataclass(frozen=True, slots=True)
class Pair:
    """Two records that may be one, with all a person needs to decide; values are personal."""

    mapping: str
    one: str
    other: str
    rules: tuple[str, ...]
    weight: float | None
    probability: float | None
    band: str
    steps: tuple[Step, ...]
    fields: tuple[Contrast, ...]
    """The fields in which at least one record has a value, in the mapping's order; its key is left out."""


@dataclass(frozen=True, slots=True)
class Queue:
    """Pairs of one mapping, and how many there are beyond them."""

    pairs: tuple[Pair, ...]
    waiting: int
    """Pairs asked about that nobody decided, these included."""
    gone: int
    """Pairs of records that are not there any more: the data was mapped again since."""


def find_pairs(
    store: Store, session: Session, mapped: MappedObject, asked: Asked, said: Sequence[Judgement]
) -> Queue:
    """The pairs of a mapping that `said` does not decide, by way of other pairs either.

    Raises `FatalError` when `dedupe` has not run.
    """
    pairs = relation(session, store.need(Kind.PAIRS, mapped.name, made_by="dedupe"))
    rows = store.need(Kind.MAPPED, mapped.name, made_by="map")
    _say(session, said, unsure=asked.unsure)
    band = "" if asked.band is Band.ALL else f"WHERE band = {literal(asked.band.value)}"
    session.execute(
        "CREATE OR REPLACE TEMP TABLE review_open AS SELECT p.* FROM "
        f"(SELECT * FROM ({_pairs_of(pairs)}) {band}) p "
        "LEFT JOIN review_group g ON g.id = p.one LEFT JOIN review_group h ON h.id = p.other "
        "WHERE coalesce(g.name, p.one) <> coalesce(h.name, p.other) "
        "AND NOT EXISTS (SELECT 1 FROM review_apart a WHERE a.one = least(coalesce(g.name, p.one), coalesce(h.name, p.other)) "
        "AND a.other = greatest(coalesce(g.name, p.one), coalesce(h.name, p.other))) "
        "AND NOT EXISTS (SELECT 1 FROM review_left l WHERE l.one = p.one AND l.other = p.other)"
    )
    everything = relation(session, rows)
    there = (
        f"SELECT p.* FROM review_open p SEMI JOIN {everything} a ON a.{_ID} = p.one "
        f"SEMI JOIN {everything} b ON b.{_ID} = p.other"
    )
    session.execute(f"CREATE OR REPLACE TEMP TABLE review_there AS {there}")
    session.execute(
        "CREATE OR REPLACE TEMP TABLE review_asked AS SELECT * FROM review_there "
        f"ORDER BY {_order(asked)}, one, other LIMIT {asked.limit:d}"
    )
    counts = session.fetch(
        "SELECT (SELECT count(*) FROM review_there) AS waiting, (SELECT count(*) FROM review_open) AS found"
    ).to_pylist()[0]
    found = session.fetch(f"SELECT * FROM review_asked ORDER BY {_order(asked)}, one, other").to_pylist()
    held = _records(session, everything, mapped)
    return Queue(
        tuple(_pair(mapped, row, held) for row in found),
        counts["waiting"],
        counts["found"] - counts["waiting"],
    )


_ID = quote(columns.ID)


def _pairs_of(pairs: str) -> str:
    """One row a pair, whatever rules found it."""
    return (
        "SELECT one, other, list(DISTINCT rule ORDER BY rule) AS rules, max(weight) AS weight, "
        "max(probability) AS probability, max(parts) AS parts, "
        f"CASE WHEN bool_or(band = {literal(Band.AUTOMATIC.value)}) THEN {literal(Band.AUTOMATIC.value)} "
        f"ELSE {literal(Band.REVIEW.value)} END AS band FROM {pairs} GROUP BY one, other"
    )


def _say(session: Session, said: Sequence[Judgement], *, unsure: bool) -> None:
    """What people decided, as tables: the group of each record, the groups that are apart, the pairs left open."""
    known = together(said)
    left = [(item.one, item.other) for item in said if item.verdict is Same.UNSURE and not unsure]
    for table, names, rows in (
        ("review_group", ("id", "name"), sorted(known.group.items())),
        ("review_apart", ("one", "other"), sorted(known.apart)),
        ("review_left", ("one", "other"), left),
    ):
        shape = pa.schema([(name, pa.string()) for name in names])
        session.table(
            table, pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], shape)
        )


def _order(asked: Asked) -> str:
    match asked.order:
        case Order.UNCERTAIN:
            return "abs(weight) NULLS LAST"
        case Order.WEIGHT:
            return "weight DESC NULLS LAST"
        case Order.RANDOM:
            return f"md5(concat_ws(chr(0), {literal(str(asked.seed))}, one, other))"


def _records(session: Session, everything: str, mapped: MappedObject) -> dict[str, dict[str, str | None]]:
    """Record → its values as texts."""
    texts = ", ".join(f"CAST({quote(item.name)} AS VARCHAR) AS {quote(item.name)}" for item in mapped.fields)
    rows = session.fetch(
        f"SELECT {_ID}, {texts} FROM {everything} WHERE {_ID} IN "
        "(SELECT one FROM review_asked UNION SELECT other FROM review_asked)"
    ).to_pylist()
    return {row[columns.ID]: row for row in rows}


def _pair(mapped: MappedObject, row: Mapping[str, Any], held: Mapping[str, Mapping[str, str | None]]) -> Pair:
    one, other = held[row["one"]], held[row["other"]]
    fields = (
        Contrast(item.name, one[item.name], other[item.name])
        for item in mapped.fields
        if item.name != mapped.key
    )
    return Pair(
        mapped.name, row["one"], row["other"], tuple(row["rules"]), row["weight"], row["probability"], row["band"],
        waterfall(row["parts"]), tuple(item for item in fields if item.difference is not Difference.NEITHER),
    )  # fmt: skip
