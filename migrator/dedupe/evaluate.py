"""What matching found held against the truth: in the automatic band, at every threshold, rule by rule, and where it went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from migrator.core.mapped import DedupeRules, Judgement, Reach
from migrator.dedupe.cluster import MEMBERS, make_clusters
from migrator.dedupe.edges import CONTRADICTION, EDGES
from migrator.dedupe.match import Bands, Matched
from migrator.dedupe.measure import JUDGED, Scores, judge, ladder, score
from migrator.dedupe.mistakes import (
    PAIRS,
    Missed,
    Mistake,
    lay_out_pairs,
    missed,
    worst_joins,
    worst_misses,
)
from migrator.dedupe.vetoes import view_vetoes
from migrator.staging.engine import Session, literal, row_count

BIN = 2
"""Bits of weight that one bar of the distribution stands for."""


@dataclass(frozen=True, slots=True)
class Rung:
    """What clusters would be worth were everything joined from this probability on."""

    threshold: float
    scores: Scores


@dataclass(frozen=True, slots=True)
class ReviewBand:
    """What a person is asked: pairs between different clusters, and how many of them are one."""

    pairs: int
    right: int
    records: int
    share: float
    """Records in it, of all judged records."""


@dataclass(frozen=True, slots=True)
class RuleScore:
    """Automatic pairs that a rule (an exact key, or the model) found, and how many are right."""

    rule: str
    pairs: int
    right: int


@dataclass(frozen=True, slots=True)
class Bar:
    """Scored pairs with a weight from `bits` on, up to the next bar."""

    bits: int
    same: int
    different: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that was measured."""

    records: int
    """Records whose truth is known."""
    automatic: Scores
    bands: Bands | None
    likely: Scores | None
    rungs: tuple[Rung, ...]
    review: ReviewBand
    rules: tuple[RuleScore, ...]
    bars: tuple[Bar, ...]
    missed: tuple[Missed, ...]
    joins: tuple[Mistake, ...]
    misses: tuple[Mistake, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is measured, and how much of what went wrong is named."""

    rules: DedupeRules
    reach: Reach = Reach.ALL
    judgements: Sequence[Judgement] = ()
    worst: int = 20


def evaluate(session: Session, relation: str, matched: Matched, asked: Asked) -> Evaluation:
    """Measure what `match` left in the session, records being those of `relation`; the truth must lie there already."""
    judge(session, relation, MEMBERS)
    automatic = score(session, asked.reach)
    lay_out_pairs(session, EDGES)
    counted = row_count(session, JUDGED)
    told: dict[str, Any] = {
        "records": counted,
        "review": _review(session, counted),
        "rules": _rules(session),
        "bars": _bars(session),
        "missed": tuple(missed(session, asked.reach)),
        "joins": tuple(worst_joins(session, asked.worst)),
        "misses": tuple(worst_misses(session, asked.worst)),
    }
    rungs = _climb(session, relation, matched, asked)
    likely = next(
        (rung.scores for rung in rungs if matched.bands and rung.threshold == matched.bands.likely), None
    )
    return Evaluation(automatic=automatic, bands=matched.bands, likely=likely, rungs=rungs, **told)


def join_from(
    session: Session,
    matched: Matched,
    threshold: float,
    rules: DedupeRules,
    judgements: Sequence[Judgement] = (),
) -> None:
    """Cluster again with all pairs joined from this probability on; edges keep their weights, only what may join changes."""
    session.execute(
        f"UPDATE {EDGES} SET band = CASE WHEN probability IS NULL OR probability >= {threshold!r} "
        f"THEN 'automatic' ELSE 'review' END WHERE band <> {literal(CONTRADICTION)}"
    )
    make_clusters(session, rules.max_cluster, judgements, view_vetoes(session), claims=matched.claims)


def _climb(session: Session, relation: str, matched: Matched, asked: Asked) -> tuple[Rung, ...]:
    bands, found = matched.bands, []
    if bands is None:
        return ()
    for threshold in ladder(bands.automatic, bands.likely, bands.review):
        join_from(session, matched, threshold, asked.rules, asked.judgements)
        judge(session, relation, MEMBERS)
        found.append(Rung(threshold, score(session, asked.reach)))
    return tuple(found)


def _review(session: Session, records: int) -> ReviewBand:
    counts = session.fetch(
        f"WITH asked AS (SELECT one, other, bool_or(same) AS same FROM {PAIRS} WHERE band = 'review' AND NOT joined "
        "GROUP BY one, other), ends AS (SELECT one AS __id FROM asked UNION SELECT other FROM asked) "
        'SELECT (SELECT count(*) FROM asked) AS pairs, (SELECT count(*) FROM asked WHERE same) AS "right", '
        "(SELECT count(*) FROM ends) AS records"
    ).to_pylist()[0]
    return ReviewBand(**counts, share=counts["records"] / records)


def _rules(session: Session) -> tuple[RuleScore, ...]:
    found = session.fetch(
        f'SELECT rule, count(*) AS pairs, count(*) FILTER (WHERE same) AS "right" FROM {PAIRS} '
        "WHERE band = 'automatic' GROUP BY rule ORDER BY pairs DESC, rule"
    )
    return tuple(RuleScore(**row) for row in found.to_pylist())


def _bars(session: Session) -> tuple[Bar, ...]:
    found = session.fetch(
        f"SELECT (floor(weight / {BIN:d}) * {BIN:d})::INTEGER AS bits, count(*) FILTER (WHERE same) AS same, "
        f"count(*) FILTER (WHERE NOT same) AS different FROM {PAIRS} WHERE weight IS NOT NULL GROUP BY bits ORDER BY bits"
    )
    return tuple(Bar(**row) for row in found.to_pylist())
