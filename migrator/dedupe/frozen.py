"""A learnt model and the features it was learnt from, as they are kept for the next run: numbers that do not move.

Rare words and rare values weigh what they weighed when the model was learnt. So a pair of records that did not change
has the score it had, and what is scored later is comparable with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from migrator.core.mapped import Meaning
from migrator.dedupe.blocking import Rule, Weighed
from migrator.dedupe.comparison import make_comparisons
from migrator.dedupe.contexts import Context
from migrator.dedupe.features import FEATURES, KINDS, Feature
from migrator.dedupe.learning import Model, Population
from migrator.dedupe.odds import Odds
from migrator.dedupe.units import Unit
from migrator.staging.engine import Session, quote

PRINT = "__print"
"""Column of a record's fingerprint: of its source and of the fields that are compared."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """A model taken up again."""

    model: Model
    features: tuple[Feature, ...]
    least: float
    """Bits of evidence below which pairs are not kept."""
    unseen: Mapping[str, float]
    """Column of a value → how often a value is that no record had."""
    report: Mapping[str, Any]
    shared: Mapping[str, Sequence[int]]
    """Field → hashes of values that too many names share."""


def freeze(session: Session, model: Model, often: Mapping[str, str], least: float) -> dict[str, Any]:
    """A model as plain values for JSON; `often` names the tables of how often each column's values are."""
    features = [item.feature for item in model.comparisons]
    return {
        "features": [[item.field, item.meaning.value, item.apart, item.scripts] for item in features],
        "odds": {name: {"m": list(odds.m), "u": list(odds.u)} for name, odds in model.odds.items()},
        "rules": [[[unit.feature.number, unit.form] for unit in item.rule.units] for item in model.rules],
        "contexts": {
            name: {
                "others": item.others,
                "lifts": {other: list(lifts) for other, lifts in item.lifts.items()},
            }
            for name, item in model.contexts.items()
        },
        "kin": model.kin,
        "records": model.population.records,
        "pairs": model.population.pairs,
        "least": least,
        "unseen": {column: _least_often(session, column, table) for column, table in often.items()},
    }


def thaw(session: Session, kept: Mapping[str, Any]) -> Frozen:
    """The model of `freeze`, with its final prior and report."""
    features = tuple(
        Feature(number, field, Meaning(meaning), KINDS[Meaning(meaning)], apart, scripts)
        for number, (field, meaning, apart, scripts) in enumerate(kept["features"])
    )
    odds = {name: Odds(tuple(item["m"]), tuple(item["u"])) for name, item in kept["odds"].items()}
    rules = tuple(
        Rule(tuple(Unit(features[number], form) for number, form in units)) for units in kept["rules"]
    )
    contexts = {
        name: Context(name, item["others"], {other: tuple(lifts) for other, lifts in item["lifts"].items()})
        for name, item in kept["contexts"].items()
    }
    model = Model(
        make_comparisons(session, features), odds, kept["prior"],
        tuple(Weighed(rule, 0, 0, 0, 0) for rule in rules), Population(kept["records"], kept["pairs"]), contexts,
        kept["kin"],
    )  # fmt: skip
    return Frozen(model, features, kept["least"], kept["unseen"], kept["report"], kept["shared"])


def features_query(
    relation: str,
    features: Sequence[Feature],
    often: Mapping[str, str],
    claiming: Sequence[str],
    rules: Sequence[Rule],
) -> str:
    """The features of `relation`'s records with their fingerprints, how often each value is, as columns oN, and the keys
    of the units of the `rules`, so that who has one is found without reading the rest.
    """
    columns, joins = often_columns(features, often)
    return (
        f"SELECT f.*, p.{PRINT}{columns} FROM {with_units(rules)} f "
        f"JOIN ({prints(relation, features, claiming)}) p USING (__id) {joins}"
    )


def with_units(rules: Sequence[Rule]) -> str:
    """The relation of the features with the columns of the units of rules."""
    units = dict.fromkeys(unit for rule in rules for unit in rule.units)
    return f"(SELECT *{''.join(f', {unit.keys} AS {unit.column}' for unit in units)} FROM {FEATURES})"


def often_columns(features: Sequence[Feature], often: Mapping[str, str]) -> tuple[str, str]:
    """The list of columns oN of `f`'s features, and the joins that they come from."""
    found = [item for item in features if item.value in often]
    columns = "".join(f", y{item.number}.tf_{item.value} AS o{item.number}" for item in found)
    joins = " ".join(
        f"LEFT JOIN {often[item.value]} y{item.number} ON f.{item.value} = y{item.number}.{item.value}"
        for item in found
    )
    return columns, joins


def prints(relation: str, features: Sequence[Feature], claiming: Sequence[str]) -> str:
    """A query of (`__id`, `PRINT`): of what is compared, and of the fields that claim something."""
    names = dict.fromkeys((*(item.field for item in features), *claiming))
    listed = ", ".join(f"CAST({quote(name)} AS VARCHAR)" for name in names)
    return f"SELECT __id, hash(__source, {listed}) AS {PRINT} FROM {relation}"


def _least_often(session: Session, column: str, table: str) -> float:
    """How often a value is taken to be that no record had: as often as the rarest."""
    found = session.fetch(f"SELECT min(tf_{column}) AS least FROM {table}").column("least")[0].as_py()
    return float(found or 1.0)
