"""A model's parameters learnt from unlabelled records, and the blocking rules that find most matches for their cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from migrator.core.mapped import MatchModel, Reach
from migrator.dedupe.blocking import Rule, Weighed, block, candidate_rules, weigh
from migrator.dedupe.comparison import Comparison
from migrator.dedupe.features import FEATURES, Feature
from migrator.dedupe.splink_model import Learnt, Odds, learn, level_shares, score
from migrator.staging.engine import Session

SAMPLE_RECORDS = 500
"""Records whose pairs show how often levels are seen by chance."""
SAMPLED_FROM = 100_000
"""With more records than this, rules are weighed on a share of their blocks."""
TRAINING_PAIRS = 10_000
SESSIONS = 8
_PRIOR_MATCHES = 20.0
"""Matches that what is expected of a level counts for, beside those that were seen."""
_LEAST_PAIRS = 30
_AGREEING = 0.05
"""Least part of what is seen by chance that is left when matches are taken off it."""


@dataclass(frozen=True, slots=True)
class Population:
    """Records, and pairs of them that may be matches."""

    records: int
    pairs: float


@dataclass(frozen=True, slots=True)
class Model:
    """What was learnt."""

    comparisons: tuple[Comparison, ...]
    odds: Mapping[str, Odds]
    prior: float
    rules: tuple[Weighed, ...]
    population: Population


def count_population(session: Session, model: MatchModel) -> Population:
    """How many records there are, and how many pairs of them are in reach."""
    rows = session.fetch(f"SELECT __source, count(*) AS n FROM {FEATURES} GROUP BY __source").column("n").to_pylist()
    every = sum(rows)
    pairs = every * (every - 1) / 2
    if model.reach is Reach.ACROSS:
        pairs -= sum(n * (n - 1) / 2 for n in rows)
    return Population(every, max(pairs, 1.0))


def learn_model(session: Session, features: Sequence[Feature], comparisons: Sequence[Comparison], model: MatchModel) -> Model:
    population = count_population(session, model)
    share = max(1, population.records // SAMPLED_FROM)
    shares = _chance(session, comparisons, population)
    weighed = [weigh(session, rule, model, share) for rule in candidate_rules(features)]
    cheap = [item for item in weighed if 0 < item.pairs <= model.pairs_per_record * population.records / 2]
    if DEBUG:
        for item in sorted(weighed, key=lambda w: w.pairs): print("  weighed", item.rule.name, item.pairs, item.dropped_pairs)
    cheap.sort(key=lambda item: (item.pairs, item.rule.name))
    block(session, [item.rule for item in cheap], model, "dedupe_tried", share=share)
    odds = {item.name: _expected(item, shares[item.name]) for item in comparisons}
    learnt = _sessions(session, comparisons, cheap, odds, population.records)
    m = _combined(comparisons, learnt)
    odds = {item.name: _odds(m[item.name], shares[item.name], 0.0) for item in comparisons}
    for _ in range(2):
        prior, chosen = _choose(session, comparisons, odds, cheap, population, share)
        odds = {item.name: _odds(m[item.name], shares[item.name], prior) for item in comparisons}
    return Model(tuple(comparisons), odds, prior, chosen, population)


def _chance(session: Session, comparisons: Sequence[Comparison], population: Population) -> dict[str, tuple[float, ...]]:
    """How often each level is seen in any two records: from a sample, and exactly where values are equal."""
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE dedupe_few AS SELECT * FROM {FEATURES} ORDER BY hash(__id), __id LIMIT {SAMPLE_RECORDS:d}"
    )
    sampled = level_shares(session, "dedupe_few", comparisons)
    few = min(SAMPLE_RECORDS, population.records)
    least = 1 / max(few * (few - 1) / 2, 1)
    found = {}
    for item in comparisons:
        shares = [max(share, least) for share in sampled[item.name]]
        v = item.feature.value
        row = session.fetch(
            f"SELECT sum(c)::BIGINT AS n, sum(c * (c - 1))::DOUBLE AS same FROM (SELECT count(*) AS c FROM {FEATURES} WHERE {v} IS NOT NULL GROUP BY {v})"
        ).to_pylist()[0]
        n = row["n"] or 2
        shares[0] = max(row["same"] or 0.0, 0.5) / (n * max(n - 1, 1))
        found[item.name] = tuple(shares)
    session.execute("DROP TABLE dedupe_few")
    return found


def _expected(item: Comparison, shares: Sequence[float]) -> Odds:
    m = (*(level.expected for level in item.levels), item.otherwise)
    return Odds(tuple(value / sum(m) for value in m), tuple(shares))


def _sessions(
    session: Session, comparisons: Sequence[Comparison], rules: Sequence[Weighed], odds: Mapping[str, Odds], records: int
) -> list[tuple[Learnt, int]]:
    """Learn from the pairs of several rules, each without the features that the rule makes agree."""
    counts = {
        row["rule"]: row["n"]
        for row in session.fetch("SELECT rule, count(*) AS n FROM dedupe_tried GROUP BY rule").to_pylist()
    }
    seen = {item.feature.number: 0 for item in comparisons}
    found = []
    selective = [place for place, item in enumerate(rules) if item.pairs <= 2 * records]
    for place in [*reversed(selective), *range(len(selective), len(rules))]:
        item = rules[place]
        active = [c for c in comparisons if c.feature.number not in item.rule.features]
        if counts.get(place, 0) < _LEAST_PAIRS or len(active) < 1:
            continue
        if all(seen[c.feature.number] >= 3 for c in active) or len(found) >= SESSIONS:
            continue
        session.execute(
            "CREATE OR REPLACE TEMP TABLE dedupe_training AS WITH chosen AS (SELECT a, b, row_number() OVER () AS pair FROM "
            f"(SELECT a, b FROM dedupe_tried JOIN {FEATURES} x ON a = x.n JOIN {FEATURES} y ON b = y.n WHERE rule = {place:d} "
            f"ORDER BY hash(least(x.__id, y.__id), greatest(x.__id, y.__id)) LIMIT {TRAINING_PAIRS:d})) "
            f"SELECT pair, f.* REPLACE (2 * pair AS n) FROM chosen JOIN {FEATURES} f ON f.n = a UNION ALL "
            f"SELECT pair, f.* REPLACE (2 * pair + 1 AS n) FROM chosen JOIN {FEATURES} f ON f.n = b"
        )
        learnt = learn(session, "dedupe_training", active, odds)
        if learnt is None:
            continue
        found.append((learnt, min(counts[place], TRAINING_PAIRS)))
        for c in active:
            seen[c.feature.number] += 1
        DEBUG and print("session", item.rule.name, counts[place], round(learnt.share, 3), {c.feature.field: learnt.m[c.name][0] for c in active})
    return found

DEBUG = False

def _combined(comparisons: Sequence[Comparison], learnt: Sequence[tuple[Learnt, int]]) -> dict[str, tuple[float, ...]]:
    """What was learnt of each level, averaged by the matches it was learnt from, with what is expected beside it."""
    found = {}
    for item in comparisons:
        expected = (*(level.expected for level in item.levels), item.otherwise)
        total = np.array(expected) / sum(expected) * _PRIOR_MATCHES
        for one, pairs in learnt:
            if item.name in one.m:
                total = total + np.array(one.m[item.name]) * min(one.share * pairs, 2000)
        found[item.name] = tuple(float(f"{value:.4g}") for value in total / total.sum())
    return found


def _odds(m: Sequence[float], shares: Sequence[float], prior: float) -> Odds:
    """The odds, once the matches among any two records are taken off what is seen by chance.

    No level weighs more than a better one: where it seems to, too few pairs were seen of it.
    """
    u: list[float] = []
    for one, share in zip(m, shares, strict=True):
        by_chance = max((share - prior * one) / (1 - prior), share * _AGREEING)
        u.append(max(by_chance, one * u[-1] / m[len(u) - 1]) if u else by_chance)
    return Odds(tuple(m), tuple(float(f"{value:.4g}") for value in u))


def score_table(session: Session, comparisons: Sequence[Comparison], table: str) -> None:
    """Make an empty table for scored pairs."""
    listed = ", ".join(f"b{c.feature.number} DOUBLE, r{c.feature.number} DOUBLE" for c in comparisons)
    session.execute(f"CREATE OR REPLACE TEMP TABLE {table} (a INTEGER, b INTEGER, weight DOUBLE, {listed})")


def frequencies(session: Session, comparisons: Sequence[Comparison], odds: Mapping[str, Odds], population: Population, prior: float) -> dict[str, str]:
    """Tables of how often each value is shared by chance, for the features where that counts."""
    made = {}
    duplicates = prior * population.pairs * 2 / population.records
    for item in comparisons:
        v, table = item.feature.value, f"dedupe_often{item.feature.number}"
        if not item.levels[0].by_value:
            continue
        session.execute(
            f"CREATE OR REPLACE TEMP TABLE {table} AS WITH counted AS (SELECT {v}, count(*) AS c FROM {FEATURES} WHERE {v} IS NOT NULL GROUP BY {v}), "
            f"agreeing AS (SELECT sum(c)::DOUBLE AS n, sum(c * (c - 1))::DOUBLE / (sum(c) * greatest(sum(c) - 1, 1)) AS p FROM counted) "
            f"SELECT {v}, greatest(c - 1 - {duplicates}, (c - 1) * least(1, {odds[item.name].u[0]} / p), 0.5 * least(1, {odds[item.name].u[0]} / p)) / n AS tf_{v} FROM counted, agreeing"
        )
        made[v] = table
    return made


def _choose(session, comparisons, odds, rules, population, share):
    session.execute("CREATE OR REPLACE TABLE dedupe_blocked AS SELECT DISTINCT a AS join_key_l, b AS join_key_r, '0' AS match_key FROM dedupe_tried")
    score_table(session, comparisons, "dedupe_scored")
    score(session, FEATURES, "dedupe_blocked", comparisons, odds, frequencies(session, comparisons, odds, population, 0.0), least=0.0, into="dedupe_scored")
    weights = session.fetch("SELECT weight FROM dedupe_scored").column("weight").to_numpy()
    prior = estimate_prior(weights, population, share)
    bar = -math.log2(prior / (1 - prior))
    table = session.fetch(f"SELECT a, b, rule FROM dedupe_scored JOIN dedupe_tried USING (a, b) WHERE weight >= {bar}").to_pandas()
    return prior, _cover(table, rules, population)


def estimate_prior(weights: np.ndarray, population: Population, share: int = 1) -> float:
    """The share of matches among all pairs with which the scored pairs agree best."""
    prior = 1 / population.records
    for _ in range(50):
        odds = np.log2(prior / (1 - prior))
        p = 1 / (1 + np.exp2(-np.clip(weights + odds, -60, 60)))
        new = min(max(p.sum() * share / population.pairs, 1e-12), 0.5)
        if abs(new - prior) < 1e-4 * prior:
            break
        prior = new
    return float(f"{prior:.4g}")


def _cover(table, rules: Sequence[Weighed], population: Population) -> tuple[Weighed, ...]:
    """Rules that find the matches, the best yield for its cost first, until no further rule finds a thousandth more."""
    pairs, codes = np.unique(table["a"].to_numpy().astype(np.int64) << 32 | table["b"].to_numpy().astype(np.int64), return_inverse=True)
    rule = table["rule"].to_numpy()
    often = np.bincount(codes, minlength=len(pairs))
    value = 1 / np.maximum(often, 1)
    left = value.copy()
    found_by = {place: np.unique(codes[rule == place]) for place in np.unique(rule)}
    chosen: list[Weighed] = []
    spent = 0
    while found_by and len(chosen) < 14:
        gains = {place: left[rows].sum() for place, rows in found_by.items()}
        best = max(gains, key=lambda place: (gains[place] / (rules[place].pairs + 0.3 * population.records), -place))
        if gains[best] < 0.0005 * value.sum():
            del found_by[best]
            continue
        chosen.append(rules[best])
        spent += rules[best].pairs
        left[found_by.pop(best)] = 0
        if spent > 20 * population.records:
            break
    return tuple(chosen)
