"""Which pairs of records are compared at all: rules chosen from the data, so that cost stays in step with the records.

A rule is one or two units (a value, a rare word of a text, the sound of a name) that both records must share. Every rule
is weighed before it runs: blocks larger than allowed are left out and told, and what a rule would compare is the sum of
c(c - 1) / 2 over its blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations

import numpy as np

from migrator.core.document import did_you_mean
from migrator.core.errors import ProjectError
from migrator.core.mapped import MatchModel, Meaning, Reach
from migrator.dedupe.agreement import struct
from migrator.dedupe.features import FEATURES, Feature, Kind
from migrator.dedupe.taken_apart import read_keys
from migrator.staging.engine import Session

_WORDS = 3
"""Rarest words of a text that are units of it."""
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
_RARE = 48
"""Weight from which on a word is rare enough to be a unit: one record in sixteen has it."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Something two records may share: a feature's value, its rare words, or how it begins."""

    feature: Feature
    form: str
    """'value', 'words', 'two words', 'sound', 'reading' or 'local'."""

    @property
    def name(self) -> str:
        """For people: the field, and the form unless it is the value itself."""
        return self.feature.field if self.form == "value" else f"{self.feature.field} ({self.form})"


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
    units = [unit for item in features for unit in _units(item)]
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


def _units(item: Feature) -> tuple[Unit, ...]:
    forms = ["value"]
    match item.kind:
        case Kind.TEXT:
            forms += ["words", "two words"]
        case Kind.EMAIL:
            forms.append("local")
        case Kind.WORD if item.meaning in (Meaning.GIVEN, Meaning.FAMILY):
            forms.append("sound")
        case _:
            pass
    if item.scripts:
        forms.append("reading")
    return tuple(Unit(item, form) for form in forms)


def _sql(unit: Unit) -> str:
    """SQL of a list of what a record has of a unit."""
    v = unit.feature.value
    match unit.form:
        case "words":
            return _rare(unit.feature)
        case "two words":
            rare = _rare(unit.feature)
            pairs = [f"hash({rare}[{i}], {rare}[{j}])" for i, j in combinations(range(1, _WORDS + 1), 2)]
            return f"list_slice([{', '.join(pairs)}], 1, [0, 0, 1, 3][len({rare}) + 1])"
        case "sound":
            return f"[hash(left({v}, 1) || left(regexp_replace(substr({v}, 2), '[aeiouyhw]', '', 'g'), 3))]"
        case "reading":
            return read_keys(unit.feature.told, struct(f"a{unit.feature.number}"))
        case "local":
            return f"[hash(split_part({v}, '@', 1))]"
        case _:
            return f"[hash({v})]"


def _rare(item: Feature) -> str:
    """SQL of the rarest words of a text, each a number that begins with its weight."""
    kept = f"list_filter(k{item.number}, lambda t: (t & 255) >= {_RARE})"
    return f"list_slice(list_reverse_sort(list_transform({kept}, lambda t: ((t & 255) << 56) | (t >> 8))), 1, {_WORDS})"


def block_keys(rule: Rule, share: int = 1, source: str = FEATURES) -> str:
    """A query of (n, source, key): one row a record and value of the rule; of every `share`th value only."""
    present = " AND ".join(f"v{number} IS NOT NULL" for number in sorted(rule.features))
    columns = ", ".join(f"unnest({_sql(unit)}) AS u{n}" for n, unit in enumerate(rule.units[:1]))
    inner = f"SELECT n, __source, {columns}"
    if len(rule.units) > 1:
        inner += f", {_sql(rule.units[1])} AS rest"
    inner += f" FROM {source} WHERE {present}"
    if len(rule.units) > 1:
        inner = f"SELECT n, __source, hash(u0, unnest(rest)) AS key FROM ({inner})"
    else:
        inner = f"SELECT n, __source, u0 AS key FROM ({inner})"
    return f"SELECT * FROM ({inner}) WHERE (hash(key) % {share}) = 0" if share > 1 else inner


def weigh(session: Session, rule: Rule, wanted: MatchModel, share: int = 1) -> Weighed:
    """What a rule would compare, from its blocks; with a `share`, estimated from every `share`th record, by hash of its id."""
    most = max(wanted.largest_block // share, 2)
    small, large = f"FILTER (WHERE c <= {most:d})", f"FILTER (WHERE c > {most:d})"
    source = FEATURES if share == 1 else f"(SELECT * FROM {FEATURES} WHERE hash(__id) % {share:d} = 0)"
    row = session.fetch(
        f"SELECT coalesce(sum(c * (c - 1) // 2) {small}, 0)::BIGINT AS pairs, count(*) {large} AS blocks, "
        f'coalesce(sum(c) {large}, 0)::BIGINT AS "rows", coalesce(sum(c * (c - 1) // 2) {large}, 0)::DOUBLE AS dropped '
        f"FROM (SELECT count(*)::HUGEINT AS c FROM ({block_keys(rule, source=source)}) GROUP BY key HAVING count(*) > 1)"
    ).to_pylist()[0]
    square = share * share
    return Weighed(
        rule, row["pairs"] * square, row["blocks"], row["rows"] * share, int(row["dropped"]) * square
    )


def affordable_rules(
    session: Session, features: Sequence[Feature], wanted: MatchModel, *, records: int, share: int
) -> tuple[Weighed, ...]:
    """The rules that fit the budget, cheapest first: those that the model names, else all that are worth trying.

    Raises `ProjectError` when a rule that the model names does not fit.
    """
    budget = wanted.pairs_per_record * records
    if wanted.blocking:
        named = [weigh(session, _named(features, fields), wanted) for fields in wanted.blocking]
        _refuse(named, budget, features, session, wanted)
        return tuple(named)
    weighed: list[Weighed] = []
    cheap: set[Unit] = set()
    for rule in candidate_rules(features):
        if share > 1 and len(rule.units) > 1 and cheap & set(rule.units):
            continue  # it finds nothing that the one unit does not, and among many records every rule costs a pass
        weighed.append(weigh(session, rule, wanted, share))
        if (
            len(rule.units) == 1
            and weighed[-1].pairs <= records
            and weighed[-1].dropped_records <= records / 100
        ):
            cheap.add(rule.units[0])
    fitting = sorted(
        (item for item in weighed if 0 < item.pairs <= budget / 2),
        key=lambda item: (item.pairs, item.rule.name),
    )
    together = accumulate(item.pairs for item in fitting)
    most = max(_TRIED_PAIRS * records, _CHEAP)
    return tuple(
        item for item, pairs in zip(fitting, together, strict=True) if pairs <= most or item.pairs <= records
    )


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
        weigh(session, Rule((*worst.rule.units, Unit(item, "value"))), wanted)
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


def block(session: Session, rules: Sequence[Rule], wanted: MatchModel, table: str, *, share: int = 1) -> None:
    """Make `table` (a, b, rule): the pairs of record numbers that each rule finds, a < b, with the place of the rule."""
    session.execute(f"CREATE OR REPLACE TEMP TABLE {table} (a INTEGER, b INTEGER, rule INTEGER)")
    across = "AND l.__source <> r.__source" if wanted.reach is Reach.ACROSS else ""
    for place, rule in enumerate(rules):
        session.execute(f"CREATE OR REPLACE TEMP TABLE dedupe_keyed AS {block_keys(rule, share)}")
        session.execute(
            f"INSERT INTO {table} SELECT DISTINCT l.n, r.n, {place:d} FROM "
            f"(SELECT key FROM dedupe_keyed GROUP BY key HAVING count(*) BETWEEN 2 AND {wanted.largest_block:d}) "
            f"JOIN dedupe_keyed l USING (key) JOIN dedupe_keyed r USING (key) WHERE l.n < r.n {across}"
        )
    session.execute("DROP TABLE IF EXISTS dedupe_keyed")


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
