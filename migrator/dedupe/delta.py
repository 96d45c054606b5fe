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
from migrator.dedupe.features import FEATURES, KnownWords, make_features
from migrator.dedupe.frozen import PRINT, Frozen, prints, thaw, with_units
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
from migrator.staging.engine import Session, literal

MOST_CHANGED = 0.1
"""Share of the records a model was learnt from that may have changed since; beyond it, a new one is learnt."""

_KEPT, _KNOWN, _FRESH, _STALE, _AGAIN = (
    "dedupe_kept_features", "dedupe_remembered", "dedupe_fresh", "dedupe_stale", "dedupe_again",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Last:
    """What the last run kept: files of features and of edges, and the model as `freeze` wrote it."""

    features: Sequence[Path]
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
    changed = _find_changed(session, prints(relation, frozen.features, claiming_fields(rules)))
    drift = int(last.model.get("drift", 0)) + changed
    if drift > MOST_CHANGED * frozen.model.population.records:
        return None
    _make_fresh(session, relation, frozen, scratch)
    _find_again(session, frozen, wanted)
    _write_tried(session, frozen, wanted)
    often = _take_part(session, frozen)
    pairs = score_tried(session, frozen.model, often, scratch, least=frozen.least, wanted=wanted)
    tell_sure(session, frozen.model, wanted)
    session.execute(
        f"INSERT INTO {EDGES} SELECT * FROM dedupe_edges_before WHERE rule = {literal(RULE)} "
        "AND one NOT IN (SELECT __id FROM dedupe_redone) AND other NOT IN (SELECT __id FROM dedupe_redone)"
    )
    bands = Bands(**last.model["bands"])
    add_model_edges(session, frozen.model, bands)
    report = {**frozen.report, **count_bands(session, bands), "pairs": pairs, "changed": changed}
    drop_scored(session)
    return Scored(bands, report, {**last.model, "drift": drift})


def more_features() -> str:
    """A query of what comes to the features that were kept, after `add_delta`: new ones, and rows of nothing but the number
    of those that no longer hold.
    """
    return f"SELECT * FROM {_FRESH} UNION ALL BY NAME SELECT n FROM {_STALE}"


def kept_features() -> str:
    """A query of all features after `add_delta`, to be kept for the next run."""
    return f"SELECT * FROM {_KNOWN} WHERE n NOT IN (SELECT n FROM {_STALE}) UNION ALL BY NAME SELECT * FROM {_FRESH}"


def find_touched(session: Session) -> str:
    """After `add_delta`: a relation (`__id`) of the records whose edges are not what they were, and the neighbours they had."""
    exact = f"SELECT one, other, rule, evidence FROM {{}} WHERE rule <> {literal(RULE)}"
    now, before = exact.format(EDGES), exact.format("dedupe_edges_before")
    moved = "(SELECT __id FROM dedupe_redone UNION SELECT __id FROM dedupe_new)"
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
    gone = f"SELECT n FROM {_KEPT} WHERE {PRINT} IS NULL"
    held = f"WHERE {PRINT} IS NOT NULL AND n NOT IN ({gone})" if len(last.features) > 1 else ""
    session.execute(f"CREATE OR REPLACE TEMP VIEW {_KNOWN} AS SELECT * FROM {_KEPT} {held}")


def _find_changed(session: Session, printed: str) -> int:
    """`dedupe_new` (`__id`, fingerprint): records that are new or other than they were; `dedupe_stale` (`__id`, n): what was."""
    session.execute(f"CREATE OR REPLACE TEMP TABLE dedupe_prints AS {printed}")
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE dedupe_same AS SELECT __id, n FROM {_KNOWN} JOIN dedupe_prints USING (__id, {PRINT})"
    )
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_new AS SELECT * FROM dedupe_prints ANTI JOIN dedupe_same USING (__id)"
    )
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {_STALE} AS SELECT __id, n FROM {_KNOWN} ANTI JOIN dedupe_same USING (n)"
    )
    session.execute("DROP TABLE dedupe_prints")
    session.execute("DROP TABLE dedupe_same")
    found = session.fetch(
        f"SELECT (SELECT count(*) FROM dedupe_new) + (SELECT count(*) FROM {_STALE} ANTI JOIN dedupe_new USING (__id)) AS n"
    )
    return int(found.column("n")[0].as_py())


def _make_fresh(session: Session, relation: str, frozen: Frozen, scratch: Path) -> None:
    """`dedupe_fresh`: features of what is new, numbered after all others; and `FEATURES`, a view of everything there is now."""
    new = f"(SELECT * FROM {relation} SEMI JOIN dedupe_new USING (__id))"
    known = KnownWords(_KNOWN, frozen.model.population.records)
    make_features(session, new, frozen.features, scratch, known)
    drop_values(session, frozen.features, frozen.shared)
    counted = [item for item in frozen.features if item.value in frozen.unseen]
    columns = "".join(
        f", CASE WHEN f.{item.value} IS NOT NULL THEN coalesce(y{item.number}.o, {frozen.unseen[item.value]!r}) END "
        f"AS o{item.number}"
        for item in counted
    )
    joins = " ".join(
        f"LEFT JOIN (SELECT {item.value}, any_value(o{item.number}) AS o FROM {_KNOWN} "
        f"SEMI JOIN {FEATURES} USING ({item.value}) GROUP BY {item.value}) y{item.number} USING ({item.value})"
        for item in counted
    )
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {_FRESH} AS SELECT f.* REPLACE "
        f"((f.n + (SELECT max(n) FROM {_KEPT}))::INTEGER AS n), {PRINT}{columns} "
        f"FROM {with_units(list(_rules(frozen)))} f JOIN dedupe_new USING (__id) {joins}"
    )
    session.execute(f"DROP TABLE {FEATURES}")
    session.execute(f"CREATE OR REPLACE TEMP VIEW {FEATURES} AS {kept_features()}")


def _find_again(session: Session, frozen: Frozen, wanted: MatchModel) -> None:
    """`dedupe_again` (n): records whose pairs are scored anew; `dedupe_redone` (`__id`): those whose old edges no longer stand.

    Leaves a table a rule of all that share a key with what came or went.
    """
    session.execute(f"CREATE OR REPLACE TEMP TABLE {_AGAIN} AS SELECT n FROM {_FRESH}")
    for place, rule in enumerate(_rules(frozen)):
        hit = _hold_keys(session, place, rule, f"{_fresh_keys(rule)} UNION ALL {_stale_keys(rule)}")
        session.execute(
            f"INSERT INTO {_AGAIN} WITH counted AS (SELECT key, count(*) AS now, "
            f"count(*) FILTER (WHERE n IN (SELECT n FROM {_FRESH})) AS came FROM {hit} GROUP BY key), "
            f"went AS (SELECT key, count(*) AS gone FROM ({_stale_keys(rule)}) GROUP BY key), "
            f"crossed AS (SELECT key FROM counted LEFT JOIN went USING (key) WHERE (now <= {wanted.largest_block:d}) "
            f"<> (now - came + coalesce(gone, 0) <= {wanted.largest_block:d})) "
            f"SELECT DISTINCT n FROM {hit} SEMI JOIN crossed USING (key) WHERE n NOT IN (SELECT n FROM {_AGAIN})"
        )
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE dedupe_redone AS SELECT __id FROM {_STALE} "
        f"UNION SELECT __id FROM {_KNOWN} SEMI JOIN {_AGAIN} USING (n)"
    )


def _write_tried(session: Session, frozen: Frozen, wanted: MatchModel) -> None:
    """`dedupe_tried` (a, b, rule): pairs of a record in `dedupe_again` with any, as `block` would find them."""
    session.execute("CREATE OR REPLACE TEMP TABLE dedupe_tried (a INTEGER, b INTEGER, rule INTEGER)")
    across = "AND l.__source <> r.__source" if wanted.reach is Reach.ACROSS else ""
    some = f"(SELECT * FROM {FEATURES} SEMI JOIN {_AGAIN} USING (n))"
    more = session.fetch(f"SELECT (SELECT count(*) FROM {_AGAIN}) - (SELECT count(*) FROM {_FRESH}) AS n")
    for place, rule in enumerate(_rules(frozen)):
        hit = f"dedupe_hit{place}"
        if more.column("n")[0].as_py():
            hit = _hold_keys(session, place, rule, _keys(rule, some))
        session.execute(
            f"INSERT INTO dedupe_tried SELECT DISTINCT least(l.n, r.n), greatest(l.n, r.n), {place:d} FROM "
            f"(SELECT key FROM {hit} GROUP BY key HAVING count(*) BETWEEN 2 AND {wanted.largest_block:d}) b "
            f"JOIN (SELECT * FROM {hit} SEMI JOIN {_AGAIN} USING (n)) l USING (key) JOIN {hit} r USING (key) "
            f"WHERE l.n <> r.n {across}"
        )
        session.execute(f"DROP TABLE {hit}")


def _hold_keys(session: Session, place: int, rule: Rule, some: str) -> str:
    """A table of all records that have a block's key in common with the keys in the query `some`."""
    session.execute(f"CREATE OR REPLACE TEMP TABLE dedupe_wanted_keys AS SELECT DISTINCT key FROM ({some})")
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE dedupe_hit{place} AS "
        f"SELECT * FROM ({_keys(rule, FEATURES)}) SEMI JOIN dedupe_wanted_keys USING (key)"
    )
    return f"dedupe_hit{place}"


def _rules(frozen: Frozen) -> Iterator[Rule]:
    return (item.rule for item in frozen.model.rules)


def _keys(rule: Rule, source: str) -> str:
    return keys_query(rule.units, source)


def _fresh_keys(rule: Rule) -> str:
    return _keys(rule, _FRESH)


def _stale_keys(rule: Rule) -> str:
    return _keys(rule, f"(SELECT * FROM {_KNOWN} WHERE n IN (SELECT n FROM {_STALE}))")


def _take_part(session: Session, frozen: Frozen) -> dict[str, str]:
    """Make `FEATURES` those of the records that are in a pair; returns the tables of how often their values are."""
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE dedupe_taking_part AS SELECT * FROM {FEATURES} "
        "WHERE n IN (SELECT a FROM dedupe_tried UNION SELECT b FROM dedupe_tried)"
    )
    session.execute(f"DROP VIEW {FEATURES}")
    session.execute(f"ALTER TABLE dedupe_taking_part RENAME TO {FEATURES}")
    often = {}
    for item in frozen.features:
        if item.value in frozen.unseen:
            often[item.value] = f"dedupe_often{item.number}"
            session.execute(
                f"CREATE OR REPLACE TEMP TABLE dedupe_often{item.number} AS SELECT {item.value}, "
                f"any_value(o{item.number}) AS tf_{item.value} FROM {FEATURES} "
                f"WHERE {item.value} IS NOT NULL GROUP BY {item.value}"
            )
    return often
