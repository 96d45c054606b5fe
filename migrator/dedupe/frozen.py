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
from migrator.dedupe.features import FEATURES, KINDS, Feature, Kind
from migrator.dedupe.learning import Model, Population
from migrator.dedupe.odds import Odds
from migrator.dedupe.rarity import rarest, weighed_words
from migrator.dedupe.units import Unit
from migrator.staging.engine import Session, quote

PRINT = "__print"
"""Column of a record's fingerprint: of its id, its source and the fields that are compared; two records never share one."""


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
    relation: str, features: Sequence[Feature], claiming: Sequence[str], rules: Sequence[Rule]
) -> str:
    """The features of `relation`'s records with their fingerprints and the keys of the units of the `rules`, so that who
    has one is found without reading the rest.
    """
    return (
        f"SELECT f.*, p.{PRINT} FROM {with_units(rules)} f "
        f"JOIN (SELECT __id, {print_of(features, claiming)} AS {PRINT} FROM {relation}) p USING (__id)"
    )


def weights_query(
    features: Sequence[Feature], often: Mapping[str, str], unseen: Mapping[str, float], records: int
) -> str:
    """What words and values weigh that are not as rare as can be: feature, words (or values), key (a hash), weight."""
    values = (
        f"SELECT {item.number:d} AS feature, false AS words, hash({item.value}) AS key, tf_{item.value}::DOUBLE AS weight "
        f"FROM {often[item.value]} WHERE tf_{item.value} <> {unseen[item.value]!r}"
        for item in features
        if item.value in often
    )
    words = (
        f"SELECT {item.number:d}, true, hash(word) >> 8, max(w)::DOUBLE FROM {weighed_words(item.number)} "
        f"WHERE w <> {rarest(records)} GROUP BY ALL"
        for item in features
        if item.kind is Kind.TEXT
    )
    nothing = (
        "SELECT 0::INTEGER AS feature, false AS words, 0::UBIGINT AS key, 0::DOUBLE AS weight WHERE false"
    )
    return " UNION ALL ".join((nothing, *values, *words))


def with_units(rules: Sequence[Rule]) -> str:
    """The relation of the features with the columns of the units of rules."""
    return (
        f"(SELECT *{''.join(f', {unit.keys} AS {unit.column}' for unit in units_in(rules))} FROM {FEATURES})"
    )


def units_in(rules: Sequence[Rule]) -> tuple[Unit, ...]:
    """The units of rules, each once."""
    return tuple(dict.fromkeys(unit for rule in rules for unit in rule.units))


def print_of(features: Sequence[Feature], claiming: Sequence[str]) -> str:
    """SQL of a record's fingerprint: of who it is, of what is compared, and of the fields that claim something."""
    names = dict.fromkeys((*(item.field for item in features), *claiming))
    listed = ", ".join(f"CAST({quote(name)} AS VARCHAR)" for name in names)
    return f"hash(__id, __source, {listed})"


def _least_often(session: Session, column: str, table: str) -> float:
    """How often a value is taken to be that no record had: as often as the rarest."""
    found = session.fetch(f"SELECT min(tf_{column}) AS least FROM {table}").column("least")[0].as_py()
    return float(found or 1.0)
