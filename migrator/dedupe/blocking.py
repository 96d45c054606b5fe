"""Which pairs of records are compared at all: rules chosen from the data, so that cost stays in step with the records.

A rule is one or two units (a value, a rare word of a text, the sound of a name) that both records must share. Every rule
is weighed before it runs: blocks larger than allowed are left out and told, and what a rule would compare is the sum of
c(c - 1) / 2 over its blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations

import numpy as np

from migrator.core.document import did_you_mean
from migrator.core.errors import ProjectError
from migrator.core.mapped import MatchModel, Reach
from migrator.dedupe.features import Feature, Kind
from migrator.dedupe.units import (
    UNITS,
    Sampled,
    Unit,
    count_values,
    keys_query,
    make_units,
    units_of,
    units_query,
)
from migrator.staging.engine import Session

_MOST_RULES = 14
_FEWEST = 4
"""Rules that are used where no match was found that could tell which are worth it."""
_LEAST_GAIN = 0.0005
_PAIRS_A_MATCH = 200
"""Pairs that a rule may compare for each match that no rule before it finds."""
_TRIED_PAIRS = 8
"""Pairs a record that are looked at, in all, before rules are chosen."""
_CHEAP = 200_000
"""Pairs that cost next to nothing."""
_SAMPLE = "dedupe_sampled_units"


@dataclass(frozen=True, slots=True)
class Rule:
    """Units that two records must share to be compared."""

    units: tuple[Unit, ...]

    @property
    def name(self) -> str:
        """For people: its units."""
        return " + ".join(unit.name for unit in self.units)

    @property
    def features(self) -> frozenset[int]:
        """Numbers of the features it reads."""
        return frozenset(unit.feature.number for unit in self.units)


@dataclass(frozen=True, slots=True)
class Weighed:
    """A rule and what it costs: pairs within the blocks that are small enough, and what larger ones would have added."""

    rule: Rule
    pairs: int
    dropped_blocks: int
    dropped_records: int
    dropped_pairs: int


def candidate_rules(features: Sequence[Feature]) -> tuple[Rule, ...]:
    """Every rule that is worth weighing: each unit alone, and each two of different features."""
    units = [unit for item in features for unit in units_of(item)]
    single = [Rule((unit,)) for unit in units if unit.feature.kind is not Kind.CATEGORY]
    double = [
        Rule((one, other))
        for one, other in combinations(units, 2)
        if one.feature.number != other.feature.number and not {"sound", "two words"} & {one.form, other.form}
    ]
    sounds = [
        Rule((one, other)) for one, other in combinations([unit for unit in units if unit.form == "sound"], 2)
    ]
    return (*single, *double, *sounds)


def weigh(
    session: Session, rule: Rule, wanted: MatchModel, source: str = UNITS, sampled: Sampled | None = None
) -> Weighed:
    """What a rule would compare, from its blocks among the records of `source` (columns of units); estimated from those of
    the values that were sampled, if they were.
    """
    small, large = (
        f"FILTER (WHERE c <= {wanted.largest_block:d})",
        f"FILTER (WHERE c > {wanted.largest_block:d})",
    )
    keys = keys_query(rule.units, source, sampled)
    row = session.fetch(
        f"SELECT coalesce(sum(c * (c - 1) // 2) {small}, 0)::BIGINT AS pairs, count(*) {large} AS blocks, "
        f'coalesce(sum(c) {large}, 0)::BIGINT AS "rows", coalesce(sum(c * (c - 1) // 2) {large}, 0)::DOUBLE AS dropped '
        f"FROM (SELECT count(*)::HUGEINT AS c FROM ({keys}) GROUP BY key HAVING count(*) > 1)"
    ).to_pylist()[0]
    share = sampled.share if sampled else 1
    return Weighed(
        rule, row["pairs"] * share, row["blocks"] * share, row["rows"] * share, int(row["dropped"]) * share
    )


def _source(sampled: Sampled | None, units: Sequence[Unit]) -> str:
    """Where the keys of rules come from: of a rule of one unit, no other unit of the record is needed."""
    return _SAMPLE if sampled and len(units) > 1 else UNITS


def _take(session: Session, sampled: Sampled | None, rules: Iterable[Rule]) -> None:
    if sampled and any(len(rule.units) > 1 for rule in rules):
        session.execute(f"CREATE OR REPLACE TEMP TABLE {_SAMPLE} AS {sampled.query()}")


@dataclass(frozen=True, slots=True)
class Samples:
    """What of each rule's blocks is looked at: those of every `share`th value of its unit with the most values."""

    share: int
    values: Mapping[Unit, int]

    def of(self, rule: Rule) -> Sampled | None:
        """None where all of them are."""
        if self.share == 1:
            return None
        return Sampled(max(rule.units, key=lambda unit: (self.values[unit], unit.column)), self.share)

    def by_unit(self, rules: Sequence[Rule]) -> Iterator[tuple[Sampled | None, list[int]]]:
        """Places of rules by what of them is looked at."""
        found: dict[Sampled | None, list[int]] = {}
        for place, rule in enumerate(rules):
            found.setdefault(self.of(rule), []).append(place)
        yield from found.items()

    def fewer(self, pairs: int, most: int) -> Samples:
        """Those of as many times fewer values as bring what all records would have in pairs down to `most`; of everything, all."""
        if self.share == 1:
            return self
        # every sixth value is one of every third: the records of these are there
        return Samples(self.share * max(1, -(-pairs // (self.share * most))), self.values)


def take_samples(session: Session, units: Sequence[Unit], records: int, sampled_from: int) -> Samples:
    """Samples of about as many records as `sampled_from` for each unit; everything, where there are no more. Makes `UNITS`."""
    share = max(1, -(-records // sampled_from))
    make_units(session, units, share)
    return Samples(share, count_values(session, units, share) if share > 1 else {})


def affordable_rules(
    session: Session, features: Sequence[Feature], wanted: MatchModel, *, records: int, samples: Samples
) -> tuple[Weighed, ...]:
    """The rules that fit the budget, cheapest first: those that the model names, else all that are worth trying.

    Raises `ProjectError` when a rule that the model names does not fit.
    """
    budget = wanted.pairs_per_record * records
    if wanted.blocking:
        named = [_weigh_whole(session, _named(features, fields), wanted) for fields in wanted.blocking]
        _refuse(named, budget, features, session, wanted)
        return tuple(named)
    rules = candidate_rules(features)
    weighed = _weigh_all(session, [rule for rule in rules if len(rule.units) == 1], wanted, samples)
    cheap = {
        item.rule.units[0]
        for item in weighed
        if samples.share > 1 and item.pairs <= records and item.dropped_records <= records / 100
    }
    # with one unit that is cheap another finds nothing that it does not, and among many records every rule costs a pass
    double = [rule for rule in rules if len(rule.units) > 1 and not cheap & set(rule.units)]
    weighed += _weigh_all(session, double, wanted, samples)
    fitting = sorted(
        (item for item in weighed if 0 < item.pairs <= budget / 2),
        key=lambda item: (item.pairs, item.rule.name),
    )
    together = accumulate(item.pairs for item in fitting)
    most = max(_TRIED_PAIRS * records, _CHEAP)
    return tuple(
        item for item, pairs in zip(fitting, together, strict=True) if pairs <= most or item.pairs <= records
    )


def _weigh_all(
    session: Session, rules: Sequence[Rule], wanted: MatchModel, samples: Samples
) -> list[Weighed]:
    found = {}
    for sampled, places in samples.by_unit(rules):
        _take(session, sampled, (rules[place] for place in places))
        for place in places:
            found[place] = weigh(session, rules[place], wanted, _source(sampled, rules[place].units), sampled)
    session.execute(f"DROP TABLE IF EXISTS {_SAMPLE}")
    return [found[place] for place in range(len(rules))]


def _weigh_whole(session: Session, rule: Rule, wanted: MatchModel) -> Weighed:
    """What a rule would compare among all records."""
    return weigh(session, rule, wanted, f"({units_query(rule.units)})")


def _named(features: Sequence[Feature], fields: Sequence[str]) -> Rule:
    by_name = {item.field: item for item in features}
    unknown = [name for name in fields if name not in by_name]
    if unknown:
        raise ProjectError.at(
            "dedupe", f"blocking names {unknown[0]!r}, which is no field that is compared",
            did_you_mean(unknown[0], by_name, noun="fields"),
        )  # fmt: skip
    return Rule(tuple(Unit(by_name[name], "value") for name in fields))


def _refuse(
    named: Sequence[Weighed], budget: float, features: Sequence[Feature], session: Session, wanted: MatchModel
) -> None:
    """Raise for the rule that costs most, when all together cost more than the budget; what blocks leave out counts too."""
    if sum(item.pairs + item.dropped_pairs for item in named) <= budget:
        return
    worst = max(named, key=lambda item: item.pairs + item.dropped_pairs)
    tried = [
        _weigh_whole(session, Rule((*worst.rule.units, Unit(item, "value"))), wanted)
        for item in features
        if item.number not in worst.rule.features
    ]
    better = [item for item in tried if 0 < item.pairs + item.dropped_pairs <= budget / 2]
    best = max(better, key=lambda item: item.pairs, default=None)
    hint = (
        f"{best.rule.name} would compare {best.pairs:,}"
        if best
        else "name a second field that must agree too"
    )
    raise ProjectError.at(
        "dedupe",
        f"blocking by {worst.rule.name} would compare {worst.pairs + worst.dropped_pairs:,} pairs "
        f"(the budget is {int(budget):,}, {wanted.pairs_per_record} a record)",
        hint,
    )


def block(
    session: Session, rules: Sequence[Rule], wanted: MatchModel, table: str, samples: Samples | None = None
) -> None:
    """Make `table` (a, b, rule): the pairs of record numbers that each rule finds, a < b, with the place of the rule.

    With `samples`, those of the blocks that are looked at.
    """
    session.execute(f"CREATE OR REPLACE TEMP TABLE {table} (a INTEGER, b INTEGER, rule INTEGER)")
    for sampled, places in (samples or Samples(1, {})).by_unit(rules):
        _take(session, sampled, (rules[place] for place in places))
        for place in places:
            units = rules[place].units
            keys = keys_query(units, _source(sampled, units), sampled)
            session.execute(f"CREATE OR REPLACE TEMP TABLE dedupe_keyed AS {keys}")
            _add_pairs(session, rules[place], wanted, table, place)
    session.execute("DROP TABLE IF EXISTS dedupe_keyed")
    session.execute(f"DROP TABLE IF EXISTS {_SAMPLE}")


def _add_pairs(session: Session, rule: Rule, wanted: MatchModel, table: str, place: int) -> None:
    """Add the pairs that share a key in `dedupe_keyed`."""
    across = "AND l.__source <> r.__source" if wanted.reach is Reach.ACROSS else ""
    # only who has several keys can meet the same record twice
    once = "DISTINCT" if any(unit.is_list for unit in rule.units) else ""
    session.execute(
        f"INSERT INTO {table} SELECT {once} l.n, r.n, {place:d} FROM "
        f"(SELECT key FROM dedupe_keyed GROUP BY key HAVING count(*) BETWEEN 2 AND {wanted.largest_block:d}) "
        f"JOIN dedupe_keyed l USING (key) JOIN dedupe_keyed r USING (key) WHERE l.n < r.n {across}"
    )


def choose_rules(
    session: Session, tried: str, matches: str, rules: Sequence[Weighed], *, records: int, share: int
) -> tuple[Weighed, ...]:
    """Rules that find the matches (query `matches` of a, b) among the pairs tried, best yield for its cost first.

    A pair that many rules find is more likely to be in a sample, so it counts for less. No rule is taken that finds
    hardly a match anew, or that compares hundreds of pairs for each.
    """
    found = session.fetch(f"SELECT a, b, rule FROM ({matches}) JOIN {tried} USING (a, b) ORDER BY ALL")
    if not found.num_rows:
        return tuple(rules[:_FEWEST])
    a, b, rule = (found.column(name).to_numpy().astype(np.int64) for name in ("a", "b", "rule"))
    _, pair = np.unique(a << 32 | b, return_inverse=True)
    left = 1 / np.bincount(pair)
    least = _LEAST_GAIN * left.sum()
    finds = {int(place): pair[rule == place] for place in np.unique(rule)}
    overhead = 0.3 * float(np.median([item.pairs for item in rules]))
    chosen: list[int] = []
    while finds and len(chosen) < _MOST_RULES:
        gains = {place: float(left[pairs].sum()) for place, pairs in finds.items()}
        best = max(gains, key=lambda place: (gains[place] / (rules[place].pairs + overhead), -place))
        pairs = finds.pop(best)
        anew = int(np.count_nonzero(left[pairs])) * share
        worth = max(float(records) / 2, _CHEAP / 4, float(_PAIRS_A_MATCH * anew))
        if gains[best] >= least and rules[best].pairs <= worth:
            chosen.append(best)
            left[pairs] = 0
    return tuple(rules[place] for place in chosen)
