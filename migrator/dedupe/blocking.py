"""Which pairs of records are compared at all: rules chosen from the data, so that cost stays in step with the records.

A rule is one or two units (a value, a rare word of a text, the sound of a name) that both records must share. Every rule
is weighed before it runs: blocks larger than allowed are left out and told, and what a rule would compare is the sum of
c(c - 1) / 2 over its blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from migrator.core.mapped import MatchModel, Meaning, Reach
from migrator.dedupe.features import FEATURES, Feature, Kind
from migrator.staging.engine import Session, literal

PAIRS = "dedupe_pairs"
_WORDS = 3
"""Rarest words of a text that are units of it."""
_RARE = 48
"""Weight from which on a word is rare enough to be a unit: one record in sixteen has it."""
_ENOUGH = 20_000
"""Pairs that are looked at of each rule before rules are chosen."""
_SAMPLED = 100_000
"""Records below which nothing is sampled."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Something two records may share: a feature's value, its rare words, or how it begins."""

    feature: Feature
    form: str
    """'value', 'words', 'sound' or 'local'."""

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
        Rule((one, other))
        for one, other in combinations([unit for unit in units if unit.form == "sound"], 2)
    ]
    return (*single, *double, *sounds)


def _units(item: Feature) -> tuple[Unit, ...]:
    match item.kind:
        case Kind.TEXT:
            return (Unit(item, "value"), Unit(item, "words"), Unit(item, "two words"))
        case Kind.EMAIL:
            return (Unit(item, "value"), Unit(item, "local"))
        case Kind.WORD if item.meaning in (Meaning.GIVEN, Meaning.FAMILY):
            return (Unit(item, "value"), Unit(item, "sound"))
        case _:
            return (Unit(item, "value"),)


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
        case "local":
            return f"[hash(split_part({v}, '@', 1))]"
        case _:
            return f"[hash({v})]"


def _rare(item: Feature) -> str:
    """SQL of the rarest words of a text, each a number that begins with its weight."""
    kept = f"list_filter(k{item.number}, lambda t: (t & 255) >= {_RARE})"
    return f"list_slice(list_reverse_sort(list_transform({kept}, lambda t: ((t & 255) << 56) | (t >> 8))), 1, {_WORDS})"


def _keys(rule: Rule, share: int = 1) -> str:
    """A query of (n, source, key): one row a record and value of the rule; of every `share`th value only."""
    present = " AND ".join(f"v{number} IS NOT NULL" for number in sorted(rule.features))
    columns = ", ".join(f"unnest({_sql(unit)}) AS u{n}" for n, unit in enumerate(rule.units[:1]))
    inner = f"SELECT n, __source, {columns}"
    if len(rule.units) > 1:
        inner += f", {_sql(rule.units[1])} AS rest"
    inner += f" FROM {FEATURES} WHERE {present}"
    if len(rule.units) > 1:
        inner = f"SELECT n, __source, hash(u0, unnest(rest)) AS key FROM ({inner})"
    else:
        inner = f"SELECT n, __source, u0 AS key FROM ({inner})"
    return f"SELECT * FROM ({inner}) WHERE (hash(key) % {share}) = 0" if share > 1 else inner


def weigh(session: Session, rule: Rule, model: MatchModel, share: int = 1) -> Weighed:
    """What a rule would compare, from its blocks; of every `share`th block, times `share`."""
    most = model.largest_block
    row = session.fetch(
        f"SELECT coalesce(sum(c * (c - 1) // 2) FILTER (WHERE c <= {most:d}), 0)::BIGINT AS pairs, "
        f"count(*) FILTER (WHERE c > {most:d}) AS blocks, coalesce(sum(c) FILTER (WHERE c > {most:d}), 0)::BIGINT AS rows, "
        f"coalesce(sum(c * (c - 1) // 2) FILTER (WHERE c > {most:d}), 0)::HUGEINT::DOUBLE AS dropped "
        f"FROM (SELECT count(*) AS c FROM ({_keys(rule, share)}) GROUP BY key HAVING count(*) > 1)"
    ).to_pylist()[0]
    return Weighed(rule, row["pairs"] * share, row["blocks"] * share, row["rows"] * share, int(row["dropped"]) * share)


def block(session: Session, rules: Sequence[Rule], model: MatchModel, table: str, *, share: int = 1) -> None:
    """Make `table` (a, b, rule): every pair of record numbers once, a < b, with the place of the first rule that found it."""
    session.execute(f"CREATE OR REPLACE TEMP TABLE {table} (a INTEGER, b INTEGER, rule INTEGER)")
    across = "AND l.__source <> r.__source" if model.reach is Reach.ACROSS else ""
    for place, rule in enumerate(rules):
        session.execute(f"CREATE OR REPLACE TEMP TABLE dedupe_keys_of_rule AS {_keys(rule, share)}")
        session.execute(
            f"INSERT INTO {table} SELECT DISTINCT l.n, r.n, {place:d} FROM "
            "(SELECT key FROM dedupe_keys_of_rule GROUP BY key "
            f"HAVING count(*) BETWEEN 2 AND {model.largest_block:d}) b "
            f"JOIN dedupe_keys_of_rule l USING (key) JOIN dedupe_keys_of_rule r USING (key) WHERE l.n < r.n {across}"
        )
    session.execute("DROP TABLE dedupe_keys_of_rule")
