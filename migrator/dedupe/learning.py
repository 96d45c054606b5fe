"""A model's parameters learnt from unlabelled records: chance from samples, matches by expectation maximisation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from migrator.core.mapped import MatchModel, Reach
from migrator.dedupe.blocking import (
    Samples,
    Weighed,
    affordable_rules,
    block,
    choose_rules,
    take_samples,
)
from migrator.dedupe.comparison import Comparison
from migrator.dedupe.contexts import NEIGHBOURS, Context, find_contexts, pair_neighbours
from migrator.dedupe.features import FEATURES, Feature, Kind, naming
from migrator.dedupe.grading import Evidence, Patterns, add_scored, count_patterns, create_scored, grade
from migrator.dedupe.levels import Level
from migrator.dedupe.maximise import Learnt, learn, level_shares
from migrator.dedupe.odds import Odds, rounded
from migrator.dedupe.rarity import RARITY_STEPS
from migrator.dedupe.units import UNITS, units_of
from migrator.staging.engine import Session

SAMPLE_RECORDS = 500
"""Records whose pairs show how often levels are seen by chance."""
TRAINING_PAIRS = 10_000
"""Pairs of one rule that count in full for what is learnt."""
SAMPLED_FROM = 50_000
"""With more records than this, only a share of the blocks is looked at before rules are chosen."""
LOOKED_AT_PAIRS = 500_000
"""Pairs of such a share that are looked at, about: the share is smaller where they would be more, so that learning costs what it
costs however many records there are.
"""
_SESSIONS = 8
_ENOUGH_SESSIONS = 3
"""Rounds of learning that a comparison takes part in."""
_LEAST_PAIRS = 30
_EXPECTED_MATCHES = 20.0
"""Matches that what is expected of a level counts for, beside those that were seen."""
_MOST_MATCHES = 2_000.0
"""Matches that one round counts for at most, so that one blocking rule does not decide alone."""
_LOOSE = 1.07
"""How much more often than in matches a loose level is seen by chance, at least: a tenth of a bit against."""
_MOST_LOOSE = 1 / 3
"""Share of matches that may have another name: marriages, typing, wrong columns."""
_LEAST_BY_CHANCE = 0.05
"""Least part of what is seen in any two records that is left when matches are taken off it."""
_TRIED, _GRADED, SCORED = "dedupe_tried", "dedupe_graded", "dedupe_scored"
_FEW = "dedupe_few"
_LOOKED_AT = "dedupe_looked_at"
"""Table of the features of all records that learning compares: where there are many, each reading of them all costs more."""


@dataclass(frozen=True, slots=True)
class Population:
    """Records, and the pairs of them that a model may look at."""

    records: int
    pairs: float


@dataclass(frozen=True, slots=True)
class Model:
    """What was learnt: odds by comparison, the prior, and the blocking rules worth their cost."""

    comparisons: tuple[Comparison, ...]
    odds: Mapping[str, Odds]
    prior: float
    rules: tuple[Weighed, ...]
    population: Population
    contexts: Mapping[str, Context] = field(default_factory=dict)
    kin: bool = True
    """Whether relatives are among the records, or nobody can tell; see `sureness`."""


def learn_model(
    session: Session, features: Sequence[Feature], comparisons: Sequence[Comparison], wanted: MatchModel
) -> Model:
    """Learn the odds of the comparisons from the records in `FEATURES`, and choose blocking rules.

    Raises `ProjectError` when the model names blocking that would compare too many pairs.
    """
    population = count_population(session, wanted)
    units = [unit for item in features for unit in units_of(item)]
    samples = take_samples(session, units, population.records, SAMPLED_FROM)
    rules = affordable_rules(session, features, wanted, records=population.records, samples=samples)
    pair_neighbours(session, comparisons, samples)
    samples = samples.fewer(sum(item.pairs for item in rules), LOOKED_AT_PAIRS)
    block(session, [item.rule for item in rules], wanted, _TRIED, samples)
    _look_at(session)
    looked_at = f"SELECT a, b FROM {_TRIED} UNION SELECT a, b FROM {NEIGHBOURS}"
    grade(session, looked_at, comparisons, _GRADED, _LOOKED_AT)
    count_values(session, comparisons)
    chance = _chance(session, comparisons, population)
    m = _learn_matches(session, comparisons, rules, chance, population.records)
    least = {item.name: chance_by_words(session, item.feature) for item in comparisons}

    def learnt(prior: float) -> dict[str, Odds]:
        return {
            item.name: odds_of(item.levels, m[item.name], chance[item.name], prior, least[item.name])
            for item in comparisons
        }

    odds = learnt(0.0)
    _score_tried(session, comparisons, odds, population)
    prior = _prior_of_sample(session, population, rules, samples)
    if not wanted.blocking:
        matches = f"SELECT a, b FROM {SCORED} WHERE weight >= {-log_odds(prior)!r}"
        rules = choose_rules(session, _TRIED, matches, rules, records=population.records, share=samples.share)
    odds = learnt(prior)
    contexts = find_contexts(session, comparisons, odds, _GRADED)
    for name in (_TRIED, _GRADED, NEIGHBOURS, UNITS, _LOOKED_AT, _FEW):
        session.execute(f"DROP TABLE {name}")
    return Model(tuple(comparisons), odds, prior, rules, population, contexts)


def _look_at(session: Session) -> None:
    """Make `_FEW` (n), some records by chance, and `_LOOKED_AT`: those and the records of all pairs."""
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {_FEW} AS SELECT n FROM {FEATURES} ORDER BY hash(__id), __id LIMIT {SAMPLE_RECORDS:d}"
    )
    ends = (f"SELECT {end} FROM {pairs}" for pairs in (_TRIED, NEIGHBOURS) for end in "ab")
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {_LOOKED_AT} AS SELECT * FROM {FEATURES} "
        f"WHERE n IN (SELECT n FROM {_FEW} UNION {' UNION '.join(ends)})"
    )


def count_population(session: Session, wanted: MatchModel) -> Population:
    """How many records there are, and how many pairs of them are in reach."""
    counts = session.fetch(f"SELECT count(*) AS n FROM {FEATURES} GROUP BY __source").column("n").to_pylist()
    records = sum(counts)
    pairs = records * (records - 1) / 2
    if wanted.reach is Reach.ACROSS:
        pairs -= sum(n * (n - 1) / 2 for n in counts)
    return Population(records, max(pairs, 1.0))


def estimate_prior(
    weights: NDArray[np.float64], population: Population, stands_for: NDArray[np.float64] | float = 1.0
) -> float:
    """The share of matches among all pairs with which the weights of the scored pairs agree best.

    `stands_for`: how many pairs each of them stands for, where they are a sample.
    """
    prior = 1 / max(population.records, 2)
    for _ in range(100):
        probable = 1 / (1 + np.exp2(-np.clip(weights + log_odds(prior), -60, 60)))
        found = min(max(float(np.sum(probable * stands_for)) / population.pairs, 1e-12), 0.5)
        if abs(found - prior) < 1e-5 * prior:
            break
        prior = found
    return rounded(prior)


def _prior_of_sample(
    session: Session, population: Population, rules: Sequence[Weighed], samples: Samples
) -> float:
    """The prior by pairs of a sample: one that agrees in several units had as many chances to be in it."""
    units = {sampled.unit for item in rules if (sampled := samples.of(item.rule))}
    if not units:
        return estimate_prior(scored_weights(session), population)
    agreeing = " + ".join(
        f"coalesce({f'list_has_any(x.{c}, y.{c})' if unit.is_list else f'x.{c} = y.{c}'}, false)::INTEGER"
        for unit in sorted(units, key=lambda unit: unit.column)
        for c in (unit.column,)
    )
    found = session.fetch(
        f"SELECT weight, greatest({agreeing}, 1) AS chances FROM {SCORED} "
        f"JOIN {UNITS} x ON a = x.n JOIN {UNITS} y ON b = y.n ORDER BY ALL"
    )
    weights = found.column("weight").to_numpy().astype(np.float64)
    missed = (1 - 1 / samples.share) ** found.column("chances").to_numpy()
    return estimate_prior(weights, population, 1 / (1 - missed))


def log_odds(probability: float) -> float:
    """The weight in bits that a probability stands for."""
    return float(np.log2(probability / (1 - probability)))


def odds_of(
    levels: Sequence[Level], m: Sequence[float], chance: Sequence[float], prior: float, equal: float = 0.0
) -> Odds:
    """The odds of `levels` (and of disagreement, last) seen among matches (`m`) and in any two records (`chance`), of
    which `prior` are matches. What is equal by chance, as far as that (`equal`) is known, is never less.

    What is `loose` speaks for nothing. No level weighs more than a better one: where it seems to, too few pairs were seen of it. What speaks against a match
    weighs no more than disagreement.
    """
    u: list[float] = []
    bar = 0.0
    for place, (one, share) in enumerate(zip(m, chance, strict=True)):
        by_chance = max((share - prior * one) / (1 - prior), share * _LEAST_BY_CHANCE)
        level = levels[place] if place < len(levels) else None
        if level is not None and level.by_value:
            by_chance = max(by_chance, min(equal, share))
        if level is not None and level.loose:
            by_chance = max(by_chance, one * _LOOSE)
        if level is None or not level.against:
            by_chance = max(by_chance, one * bar)
            bar = by_chance / one
        u.append(by_chance)
    for place, level in enumerate(levels):
        if level.against:
            u[place] = max(u[place], m[place] * bar)
    return Odds(tuple(m), tuple(rounded(value) for value in u))


def chance_by_words(session: Session, item: Feature) -> float:
    """How often two records have one text for no other reason than that its words are common; 0 where it has one word.

    There are many Anna Kochs where there are many Annas and many Kochs: to be called so proves less than its rarity among
    all names says, which in a list of duplicates is what duplicates made it.
    """
    if item.kind is not Kind.TEXT:
        return 0.0
    row = session.fetch(
        f"SELECT coalesce(avg({by_words(item)}), 0)::DOUBLE AS share FROM {FEATURES}"
    ).to_pylist()[0]
    return float(row["share"])


def by_words(item: Feature) -> str:
    """SQL of the share of records that would have a text if its words came together by chance."""
    n = item.number
    return f"CASE WHEN len(k{n}) > 1 THEN pow(2, -w{n} / {RARITY_STEPS:d}) ELSE 0 END"


def count_values(session: Session, comparisons: Sequence[Comparison]) -> None:
    """Tables of how many records have each value whose rarity counts, and how often it is made of words by chance."""
    for item in comparisons:
        if any(level.by_value for level in item.levels):
            v = item.feature.value
            least = f"any_value({by_words(item.feature)})" if item.feature.kind is Kind.TEXT else "0.0"
            session.execute(
                f"CREATE OR REPLACE TEMP TABLE {_counted(item)} AS SELECT {v}, count(*) AS c, {least} AS least "
                f"FROM {FEATURES} WHERE {v} IS NOT NULL GROUP BY {v}"
            )


def _counted(item: Comparison) -> str:
    return f"dedupe_counted{item.feature.number}"


def drop_counted(session: Session, comparisons: Sequence[Comparison]) -> None:
    """Give back what `count_values` made."""
    for item in comparisons:
        session.execute(f"DROP TABLE IF EXISTS {_counted(item)}")


def weigh_values(session: Session, model: Model, among: str = FEATURES) -> dict[str, str]:
    """Tables of how often each value that records in `among` have is shared by chance, by the column of the value; drop them
    when they have served.

    Of the records that share a value, those that are expected to be duplicates of each other are left out.
    """
    duplicates = model.prior * model.population.pairs * 2 / model.population.records
    return {
        item.feature.value: _weigh_values(session, item, model.odds[item.name].u[place], duplicates, among)
        for item in model.comparisons
        for place, level in enumerate(item.levels)
        if level.by_value
    }


def _weigh_values(session: Session, item: Comparison, by_chance: float, duplicates: float, among: str) -> str:
    v, table = item.feature.value, f"dedupe_often{item.feature.number}"
    had = "" if among == FEATURES else f" WHERE {v} IN (SELECT {v} FROM {among})"
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {table} AS "
        f"WITH total AS (SELECT sum(c)::DOUBLE AS n, sum(c * (c - 1))::DOUBLE AS same FROM {_counted(item)}), "
        f"rest AS (SELECT n, least(1, {by_chance!r} * n * greatest(n - 1, 1) / greatest(same, 1)) AS part FROM total) "
        f"SELECT {v}, greatest((c - 1 - {duplicates!r}) / n, greatest(c - 1, 0.5) * part / n, least) AS tf_{v} "
        f"FROM {_counted(item)}, rest{had}"
    )
    return table


def _chance(
    session: Session, comparisons: Sequence[Comparison], population: Population
) -> dict[str, tuple[float, ...]]:
    """How often each level is seen in any two records: exactly where values are equal, else from a sample."""
    pairs = f"SELECT x.n AS a, y.n AS b FROM {_FEW} x JOIN {_FEW} y ON x.n < y.n"
    grade(session, pairs, comparisons, "dedupe_few_graded", _LOOKED_AT)
    patterns = count_patterns(session, "FROM dedupe_few_graded", comparisons)
    sampled = level_shares(patterns, [len(item.levels) + 1 for item in comparisons])
    session.execute("DROP TABLE dedupe_few_graded")
    records = min(SAMPLE_RECORDS, population.records)
    least = 2 / max(records * (records - 1), 2)
    return {
        item.name: tuple(
            _equal(session, item)
            if place < len(item.levels) and item.levels[place].by_value
            else max(share, least)
            for place, share in enumerate(shares)
        )
        for item, shares in zip(comparisons, sampled, strict=True)
    }


def _equal(session: Session, item: Comparison) -> float:
    row = session.fetch(
        f"SELECT coalesce(sum(c), 0)::DOUBLE AS n, coalesce(sum(c * (c - 1)), 0)::DOUBLE AS same FROM {_counted(item)}"
    ).to_pylist()[0]
    return float(max(row["same"], 0.5) / max(row["n"] * (row["n"] - 1), 2.0))


def _learn_matches(
    session: Session,
    comparisons: Sequence[Comparison],
    rules: Sequence[Weighed],
    chance: Mapping[str, tuple[float, ...]],
    records: int,
) -> dict[str, tuple[float, ...]]:
    """How often matches are seen on each level: averaged over rounds, with what is expected beside it."""
    total = {item.name: np.array(_expected(item)) * _EXPECTED_MATCHES for item in comparisons}
    for learnt, pairs in _rounds(session, comparisons, rules, chance, records):
        for name, m in learnt.m.items():
            total[name] = total[name] + np.array(m) * min(learnt.share * pairs, _MOST_MATCHES)
    return {name: tuple(rounded(float(value)) for value in m / m.sum()) for name, m in total.items()}


def _rounds(
    session: Session,
    comparisons: Sequence[Comparison],
    rules: Sequence[Weighed],
    chance: Mapping[str, tuple[float, ...]],
    records: int,
) -> Iterator[tuple[Learnt, int]]:
    """Learn from the pairs of one rule after the other, each time without what the rule makes agree."""
    start = {item.name: Odds(_expected(item), chance[item.name]) for item in comparisons}
    names = naming([item.feature for item in comparisons])
    counted = session.fetch(f"SELECT rule, count(*) AS n FROM {_TRIED} GROUP BY rule").to_pylist()
    counts = {row["rule"]: row["n"] for row in counted}
    seen = dict.fromkeys((item.name for item in comparisons), 0)
    rounds = 0
    for place in _by_use(rules, records):
        active = [item for item in comparisons if item.feature.number not in rules[place].rule.features]
        learned = all(seen[item.name] >= _ENOUGH_SESSIONS for item in active)
        if learned or counts.get(place, 0) < _LEAST_PAIRS or rounds == _SESSIONS:
            continue
        found = f"SELECT g.* FROM {_GRADED} g SEMI JOIN (FROM {_TRIED} WHERE rule = {place:d}) USING (a, b)"
        learnt = _learn(count_patterns(session, found, active), active, start, names)
        if learnt is not None:
            rounds += 1
            seen.update({item.name: seen[item.name] + 1 for item in active})
            yield learnt, min(counts[place], TRAINING_PAIRS)


def _learn(
    patterns: Patterns, active: Sequence[Comparison], start: Mapping[str, Odds], names: frozenset[int]
) -> Learnt | None:
    """Learn from one rule's pairs. A match is of one name: where what was found is not, but families or branches who
    share all the rest, names are held to what is expected of them, and the rest is learnt by them.
    """
    begun = {item.name: start[item.name] for item in active}
    learnt = learn(patterns, begun)
    held = [item for item in active if item.feature.number in names]
    if learnt is None or all(item.loose(learnt.m[item.name]) <= _MOST_LOOSE for item in held):
        return learnt
    again = learn(patterns, begun, held=frozenset(item.name for item in held))
    return again and Learnt(
        {item.name: again.m[item.name] for item in active if item not in held}, again.share
    )


def _by_use(rules: Sequence[Weighed], records: int) -> list[int]:
    """Places of rules, most useful to learn from first: many pairs, of which many are matches."""
    selective = [place for place, item in enumerate(rules) if item.pairs <= 2 * records]
    return [*reversed(selective), *range(len(selective), len(rules))]


def _expected(item: Comparison) -> tuple[float, ...]:
    m = (*(level.expected for level in item.levels), item.otherwise)
    return tuple(value / sum(m) for value in m)


def _score_tried(
    session: Session, comparisons: Sequence[Comparison], odds: Mapping[str, Odds], population: Population
) -> None:
    create_scored(session, comparisons, SCORED)
    often = weigh_values(session, Model(tuple(comparisons), odds, 0.0, (), population), _LOOKED_AT)
    tried = f"(FROM {_GRADED} SEMI JOIN {_TRIED} USING (a, b))"
    add_scored(session, tried, Evidence(comparisons, odds, often, _LOOKED_AT), least=0.0, into=SCORED)
    for name in often.values():
        session.execute(f"DROP TABLE {name}")


def scored_weights(session: Session) -> NDArray[np.float64]:
    """All weights, in an order that does not depend on that of rows, so that sums do not either."""
    found = session.fetch(f"SELECT weight FROM {SCORED} ORDER BY weight").column("weight")
    return np.asarray(found.to_numpy(), dtype=np.float64)
