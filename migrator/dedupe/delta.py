"""What changed since the last run is matched against everything, by the model that was learnt then.

A pair is compared when its records share a block that is not too large, so three kinds of records have pairs to be
looked at again: new and changed ones, and those in a block that grew too large or became small enough. All other pairs have
the score they had. What comes out is what scoring everything by that model would have made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrator.core.mapped import DedupeRules, MatchModel, Reach
from migrator.dedupe.bands import Bands
from migrator.dedupe.blocking import Rule
from migrator.dedupe.claims import claiming_fields
from migrator.dedupe.edges import EDGES
from migrator.dedupe.features import FEATURES, make_features
from migrator.dedupe.frozen import PRINT, Frozen, print_of, thaw, units_in, with_units
from migrator.dedupe.rarity import KnownWords, drop_words
from migrator.dedupe.scoring import (
    RULE,
    Scored,
    add_model_edges,
    count_bands,
    drop_scored,
    score_tried,
    tell_sure,
)
from migrator.dedupe.shared_values import drop_values
from migrator.dedupe.units import keys_query
from migrator.staging.engine import Session, literal, quote, row_count

MOST_CHANGED = 0.1
"""Share of the records a model was learnt from that may have changed since; beyond it, a new one is learnt."""

_KEPT, _KNOWN, _STANDING, _FRESH, _STALE, _AGAIN, _INCOMING, _WEIGHTS, _NEW_EDGES = (
    "dedupe_kept_features", "dedupe_remembered", "dedupe_standing", "dedupe_fresh", "dedupe_stale", "dedupe_again",
    "dedupe_incoming", "dedupe_weights", "dedupe_edges_new",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Last:
    """What the last run kept: files of features, of what words and values weigh, of edges; the model as `freeze` wrote it."""

    features: Sequence[Path]
    weights: Sequence[Path]
    edges: Sequence[Path]
    model: Mapping[str, Any]


def add_delta(
    session: Session, relation: str, rules: DedupeRules, last: Last, scratch: Path
) -> Scored | None:
    """Add the edges of the last run's model to the table of edges; None when too much changed since it was learnt.

    `kept_features` and `find_touched` tell of it afterwards.
    """
    frozen, wanted = thaw(session, last.model), rules.model or MatchModel()
    _view_known(session, last)
    session.view("dedupe_edges_before", last.edges)
    changed = _find_changed(session, relation, frozen, claiming_fields(rules))
    drift = int(last.model.get("drift", 0)) + changed
    if drift > MOST_CHANGED * frozen.model.population.records:
        return None
    _make_fresh(session, frozen, scratch)
    _find_again(session, frozen, wanted)
    _write_tried(session, frozen, wanted)
    often = _take_part(session, frozen)
    pairs = score_tried(session, frozen.model, often, scratch, least=frozen.least, wanted=wanted)
    tell_sure(session, frozen.model, wanted)
    bands = Bands(**last.model["bands"])
    add_model_edges(session, frozen.model, bands)
    _keep_edges(session)
    report = {**frozen.report, **count_bands(session, bands), "pairs": pairs, "changed": changed}
    drop_scored(session)
    return Scored(bands, report, {**last.model, "drift": drift})


def _keep_edges(session: Session) -> None:
    """Let the table of edges be a view: of the new ones, and those of the last run that still stand, left where they are."""
    redone = [f"{end} NOT IN (SELECT __id FROM dedupe_redone)" for end in ("one", "other")]
    standing = redone if row_count(session, "dedupe_redone") else []
    session.execute(f"ALTER TABLE {EDGES} RENAME TO {_NEW_EDGES}")
    session.execute(
        f"CREATE OR REPLACE TEMP VIEW {EDGES} AS SELECT * FROM {_NEW_EDGES} UNION ALL SELECT * FROM dedupe_edges_before "
        f"WHERE {' AND '.join((f'rule = {literal(RULE)}', *standing))}"
    )


def more_features() -> str:
    """A query of what comes to the features that were kept, after `add_delta`: new ones, and rows of nothing but the number
    of those that no longer hold.
    """
    return f"SELECT * FROM {_FRESH} UNION ALL BY NAME SELECT n FROM {_STALE}"


def kept_features() -> str:
    """A query of all features after `add_delta`, to be kept for the next run."""
    return f"SELECT * FROM {_STANDING} UNION ALL BY NAME SELECT * FROM {_FRESH}"


def find_touched(session: Session) -> str:
    """After `add_delta`: a relation (`__id`) of the records whose edges are not what they were, and the neighbours they had."""
    exact = f"SELECT one, other, rule, evidence FROM {{}} WHERE rule <> {literal(RULE)}"
    now, before = exact.format(EDGES), exact.format("dedupe_edges_before")
    moved = f"(SELECT __id FROM dedupe_redone UNION SELECT __id FROM {_INCOMING})"
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE dedupe_touched AS WITH moved AS {moved}, "
        f"lost AS (SELECT one, other FROM dedupe_edges_before WHERE one IN (SELECT __id FROM moved) "
        "OR other IN (SELECT __id FROM moved)), "
        f"differing AS (({now} EXCEPT {before}) UNION ALL ({before} EXCEPT {now})), "
        "ends AS (SELECT one, other FROM lost UNION ALL SELECT one, other FROM differing) "
        "SELECT __id FROM moved UNION SELECT one FROM ends UNION SELECT other FROM ends"
    )
    return "dedupe_touched"


def _view_known(session: Session, last: Last) -> None:
    """`dedupe_remembered`: the features that still held after the last run; what no longer did has no fingerprint."""
    session.view(_KEPT, last.features)
    session.view(_WEIGHTS, last.weights)
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE dedupe_gone AS SELECT n FROM {_KEPT} WHERE {PRINT} IS NULL"
    )
    session.execute(
        f"CREATE OR REPLACE TEMP VIEW {_KNOWN} AS SELECT * FROM {_KEPT} WHERE {PRINT} IS NOT NULL {_but('dedupe_gone', session)}"
    )


def _but(table: str, session: Session) -> str:
    """SQL of a condition: not one of the numbers in a table; nothing where it has none, which is checked a million times."""
    return f"AND n NOT IN (SELECT n FROM {table})" if row_count(session, table) else ""


def _find_changed(session: Session, relation: str, frozen: Frozen, claiming: Sequence[str]) -> int:
    """`dedupe_incoming`: records that are new or other than they were; `dedupe_stale` (`__id`, n): what was before them, and
    what is gone; `dedupe_standing`: the features that hold.
    """
    listed = ", ".join(quote(name) for name in dict.fromkeys(item.field for item in frozen.features))
    print_ = print_of(frozen.features, claiming)
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {_INCOMING} AS SELECT * FROM "
        f"(SELECT __id, __source, {listed}, {print_} AS {PRINT} FROM {relation}) ANTI JOIN {_KNOWN} USING ({PRINT})"
    )
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {_STALE} AS SELECT __id, n FROM {_KNOWN} SEMI JOIN {_INCOMING} USING (__id)"
    )
    added = row_count(session, _INCOMING) - row_count(session, _STALE)
    gone = row_count(session, _KNOWN) + added - row_count(session, relation)
    if gone:
        session.execute(
            f"INSERT INTO {_STALE} SELECT __id, n FROM {_KNOWN} ANTI JOIN {relation} USING (__id)"
        )
    session.execute(
        f"CREATE OR REPLACE TEMP VIEW {_STANDING} AS SELECT * FROM {_KNOWN} WHERE true {_but(_STALE, session)}"
    )
    return row_count(session, _INCOMING) + gone


def _make_fresh(session: Session, frozen: Frozen, scratch: Path) -> None:
    """`dedupe_fresh`: features of what is new, numbered after all others; and `FEATURES`, a view of everything there is now."""
    known = KnownWords(_WEIGHTS, frozen.model.population.records)
    make_features(session, _INCOMING, frozen.features, scratch, known)
    drop_words(session, (item.number for item in frozen.features))
    drop_values(session, frozen.features, frozen.shared)
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {_FRESH} AS SELECT f.* REPLACE "
        f"((f.n + (SELECT max(n) FROM {_KEPT}))::INTEGER AS n), {PRINT} "
        f"FROM {with_units(list(_rules(frozen)))} f JOIN (SELECT __id, {PRINT} FROM {_INCOMING}) USING (__id)"
    )
    session.execute(f"DROP TABLE {FEATURES}")
    session.execute(f"CREATE OR REPLACE TEMP VIEW {FEATURES} AS {kept_features()}")


def _find_again(session: Session, frozen: Frozen, wanted: MatchModel) -> None:
    """`dedupe_again` (n): records whose pairs are scored anew; `dedupe_redone` (`__id`): those whose old edges no longer stand.

    Leaves a table a rule of all that share a key with what came or went.
    """
    session.execute(f"CREATE OR REPLACE TEMP TABLE {_AGAIN} AS SELECT n FROM {_FRESH}")
    columns = ", ".join(("n", "__source", *(unit.column for unit in units_in(list(_rules(frozen))))))
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE dedupe_went AS SELECT {columns} FROM {_KNOWN} WHERE n IN (SELECT n FROM {_STALE})"
    )
    session.execute(
        f"CREATE OR REPLACE TEMP VIEW dedupe_moving AS SELECT {columns} FROM {_FRESH} UNION ALL FROM dedupe_went"
    )
    for place, rule in enumerate(_rules(frozen)):
        hit = _hold_keys(session, place, rule, "dedupe_moving")
        session.execute(
            f"INSERT INTO {_AGAIN} WITH counted AS (SELECT key, count(*) AS now, "
            f"count(*) FILTER (WHERE n IN (SELECT n FROM {_FRESH})) AS came FROM {hit} GROUP BY key), "
            f"went AS (SELECT key, count(*) AS gone FROM ({keys_query(rule.units, 'dedupe_went')}) GROUP BY key), "
            f"crossed AS (SELECT key FROM counted LEFT JOIN went USING (key) WHERE (now <= {wanted.largest_block:d}) "
            f"<> (now - came + coalesce(gone, 0) <= {wanted.largest_block:d})) "
            f"SELECT DISTINCT n FROM {hit} SEMI JOIN crossed USING (key) WHERE n NOT IN (SELECT n FROM {_AGAIN})"
        )
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE dedupe_redone AS SELECT __id FROM {_STALE} "
        f"UNION SELECT __id FROM {_KNOWN} WHERE n IN (SELECT n FROM {_AGAIN})"
    )


def _write_tried(session: Session, frozen: Frozen, wanted: MatchModel) -> None:
    """`dedupe_tried` (a, b, rule): pairs of a record in `dedupe_again` with any, as `block` would find them."""
    session.execute("CREATE OR REPLACE TEMP TABLE dedupe_tried (a INTEGER, b INTEGER, rule INTEGER)")
    across = "AND l.__source <> r.__source" if wanted.reach is Reach.ACROSS else ""
    more = row_count(session, _AGAIN) - row_count(session, _FRESH)
    for place, rule in enumerate(_rules(frozen)):
        hit = f"dedupe_hit{place}"
        if more:
            hit = _hold_keys(session, place, rule, f"(SELECT * FROM {FEATURES} SEMI JOIN {_AGAIN} USING (n))")
        session.execute(
            f"INSERT INTO dedupe_tried SELECT DISTINCT least(l.n, r.n), greatest(l.n, r.n), {place:d} FROM "
            f"(SELECT key FROM {hit} GROUP BY key HAVING count(*) BETWEEN 2 AND {wanted.largest_block:d}) b "
            f"JOIN (SELECT * FROM {hit} SEMI JOIN {_AGAIN} USING (n)) l USING (key) JOIN {hit} r USING (key) "
            f"WHERE l.n <> r.n {across}"
        )
        session.execute(f"DROP TABLE {hit}")


def _hold_keys(session: Session, place: int, rule: Rule, some: str) -> str:
    """A table of all records that have a block's key in common with the records in the relation `some`."""
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE dedupe_wanted_keys AS SELECT DISTINCT key FROM ({keys_query(rule.units, some)})"
    )
    whole = [unit.column for unit in rule.units if not unit.is_list]
    source = FEATURES
    if whole and len(whole) < len(rule.units):
        # a list costs most to take apart: it is looked at where the other unit fits
        source = f"(SELECT * FROM {FEATURES} WHERE {whole[0]} IN (SELECT {whole[0]} FROM {some}))"
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE dedupe_hit{place} AS "
        f"SELECT * FROM ({keys_query(rule.units, source)}) SEMI JOIN dedupe_wanted_keys USING (key)"
    )
    return f"dedupe_hit{place}"


def _rules(frozen: Frozen) -> Iterator[Rule]:
    return (item.rule for item in frozen.model.rules)


def _take_part(session: Session, frozen: Frozen) -> dict[str, str]:
    """Make `FEATURES` those of the records that are in a pair; returns the tables of how often their values are."""
    keys = ", ".join((PRINT, *(unit.column for unit in units_in(list(_rules(frozen))))))
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE dedupe_taking_part AS SELECT * EXCLUDE ({keys}) FROM {FEATURES} "
        "WHERE n IN (SELECT a FROM dedupe_tried UNION SELECT b FROM dedupe_tried)"
    )
    session.execute(f"DROP VIEW {FEATURES}")
    session.execute(f"ALTER TABLE dedupe_taking_part RENAME TO {FEATURES}")
    often = {}
    for item in frozen.features:
        if item.value in frozen.unseen:
            v, often[item.value] = item.value, f"dedupe_often{item.number}"
            session.execute(
                f"CREATE OR REPLACE TEMP TABLE {often[v]} AS SELECT {v}, coalesce(weight, {frozen.unseen[v]!r}) AS tf_{v} "
                f"FROM (SELECT DISTINCT {v}, hash({v}) AS key FROM {FEATURES} WHERE {v} IS NOT NULL) LEFT JOIN "
                f"(SELECT key, weight FROM {_WEIGHTS} WHERE feature = {item.number:d} AND NOT words) USING (key)"
            )
    return often
