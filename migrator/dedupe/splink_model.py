"""Everything that knows Splink: it learns a model's parameters from unlabelled pairs and scores pairs by them.

Splink is fed tables of ours whose columns are numbered, and pairs that are already blocked: it has no cap on blocks, and
its sampling depends on the order of rows, so samples are drawn before, by hash of the id. To learn from given pairs, each
pair is laid out as two rows with a number of its own, and that number is the blocking rule.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from migrator.dedupe.comparison import Comparison
from migrator.staging.engine import Session, quote, splink_connection

DIGITS = 4
"""Parameters are rounded to so many significant digits: sums in another order must not change a model."""
_ROUNDS = 25
_SETTLED = 0.001


@dataclass(frozen=True, slots=True)
class Odds:
    """How often each level of a comparison is seen, disagreement last: among matches (`m`), among others (`u`)."""

    m: tuple[float, ...]
    u: tuple[float, ...]

    def bits(self) -> tuple[float, ...]:
        """The weight of each level."""
        return tuple(math.log2(m / u) for m, u in zip(self.m, self.u, strict=True))


@dataclass(frozen=True, slots=True)
class Evidence:
    """What pairs are scored by. `often` names, for each column whose rare values weigh more, a table of its values and
    of how often they are.
    """

    comparisons: Sequence[Comparison]
    odds: Mapping[str, Odds]
    often: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Learnt:
    """What one round of learning found: how often levels are seen among matches, and how many of the pairs are matches."""

    m: Mapping[str, tuple[float, ...]]
    share: float


def level_shares(
    session: Session, table: str, comparisons: Sequence[Comparison]
) -> dict[str, tuple[float, ...]]:
    """How often each level is seen among all pairs of the records in `table`; a level never seen has share 0."""
    with _quiet(session):
        linker = _linker(session, table, _settings(comparisons, {}))
        linker.training.estimate_u_using_random_sampling(
            max_pairs=1e12, min_count_per_level=None, num_chunks=1
        )
        return _read(linker, "u_probability")


def learn(
    session: Session,
    table: str,
    comparisons: Sequence[Comparison],
    odds: Mapping[str, Odds],
    *,
    held: frozenset[str] = frozenset(),
) -> Learnt | None:
    """Learn by expectation maximisation from the pairs in `table` (`n`, `pair`, feature columns; two rows a pair).

    How often levels are seen among non-matches is taken from `odds`, and so is where learning starts; comparisons in
    `held` stay there.
    None when learning came to the end that none of the pairs are matches.
    """
    with _quiet(session):
        linker = _linker(session, table, _settings(comparisons, odds, held=held))
        try:
            training = linker.training.estimate_parameters_using_expectation_maximisation(
                "l.pair = r.pair", estimate_without_term_frequencies=True
            )
        except ValueError:  # a probability under the least that Splink can hold
            return None
        return Learnt(
            _read(linker, "m_probability"), training.core_model_settings.probability_two_random_records_match
        )


def score(session: Session, table: str, pairs: str, evidence: Evidence, *, least: float, into: str) -> None:
    """Add to `into` the pairs (`join_key_l`, `join_key_r` in `pairs`) of records in `table` that weigh at least `least` bits.

    The weight is of the evidence alone, without the prior. Columns added: a, b, weight, and for each comparison bN (the
    bits of its level, 0 where a value is missing) and rN (the bits that the rarity of its value adds).
    """
    with _quiet(session):
        from splink.backends.duckdb import DuckDBAPI

        api = DuckDBAPI(splink_connection(session))
        by_value = frozenset(evidence.often)
        linker = _linker(
            session, table, _settings(evidence.comparisons, evidence.odds, by_value=by_value), api
        )
        for column, name in evidence.often.items():
            known = api.register(name, dataset_display_name=name)
            linker.table_management.register_term_frequency_lookup(known, column)
        linker.table_management.register_blocked_pairs_for_predict(
            api.register(pairs, dataset_display_name=pairs)
        )
        found = linker.inference.predict(threshold_match_weight=least, warning_mode="never")
        columns = ", ".join(
            f"mw_{item.name} AS b{item.feature.number}, "
            + (f"mw_tf_adj_{item.name}" if item.feature.value in by_value else "0.0")
            + f" AS r{item.feature.number}"
            for item in evidence.comparisons
        )
        session.execute(
            f"INSERT INTO {into} SELECT n_l, n_r, round(match_weight, 3), {columns} FROM {found.physical_name}"
        )
        found.drop_table_from_database_and_remove_from_cache()


def create_scored(session: Session, comparisons: Sequence[Comparison], table: str) -> None:
    """An empty table for what `score` finds."""
    listed = ", ".join(
        f"b{item.feature.number} DOUBLE, r{item.feature.number} DOUBLE" for item in comparisons
    )
    session.execute(f"CREATE OR REPLACE TEMP TABLE {table} (a INTEGER, b INTEGER, weight DOUBLE, {listed})")


def _linker(session: Session, table: str, settings: dict[str, Any], api: Any = None) -> Any:
    from splink import Linker
    from splink.backends.duckdb import DuckDBAPI

    api = api or DuckDBAPI(splink_connection(session))
    return Linker(api.register(table, dataset_display_name=table), settings, log_level=logging.ERROR)


def _settings(
    comparisons: Sequence[Comparison],
    odds: Mapping[str, Odds],
    prior: float = 0.5,
    by_value: frozenset[str] = frozenset(),
    held: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "n",
        "probability_two_random_records_match": prior,
        "comparisons": [
            _comparison(item, odds.get(item.name), by_value, held=item.name in held) for item in comparisons
        ],
        "blocking_rules_to_generate_predictions": ["l.n = r.n"],
        "retain_matching_columns": False,
        "retain_intermediate_calculation_columns": True,
        "max_iterations": _ROUNDS,
        "em_convergence": _SETTLED,
    }


def _comparison(
    item: Comparison, odds: Odds | None, by_value: frozenset[str], *, held: bool
) -> dict[str, Any]:
    levels: list[dict[str, Any]] = [
        {"sql_condition": item.missing, "label_for_charts": "missing", "is_null_level": True}
    ]
    for place, level in enumerate((*item.levels, None)):
        made: dict[str, Any] = {
            "sql_condition": level.condition if level else "ELSE",
            "label_for_charts": level.label if level else "different",
        }
        if level is not None and level.by_value and item.feature.value in by_value:
            made["tf_adjustment_column"] = item.feature.value
        if odds is not None:
            made["m_probability"], made["u_probability"] = odds.m[place], odds.u[place]
            made["fix_m_probability"] = held
        levels.append(made)
    return {
        "output_column_name": item.name,
        "comparison_description": item.feature.field,
        "comparison_levels": levels,
    }


def _read(linker: Any, which: str) -> dict[str, tuple[float, ...]]:
    saved = linker.misc.save_model_to_json()
    return {
        item["output_column_name"]: tuple(
            rounded(level.get(which) or 0.0)
            for level in item["comparison_levels"]
            if not level.get("is_null_level")
        )
        for item in saved["comparisons"]
    }


def rounded(value: float) -> float:
    """A parameter to its significant digits."""
    return float(f"{value:.{DIGITS}g}")


@contextmanager
def _quiet(session: Session) -> Iterator[None]:
    """Without warnings of parameters never seen (whoever called deals with those), and with no table of Splink's left."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        left = session.fetch(
            "SELECT table_name AS name, table_type AS type FROM information_schema.tables "
            "WHERE starts_with(table_name, '__splink')"
        )
        for row in left.to_pylist():
            session.execute(f"DROP {'VIEW' if row['type'] == 'VIEW' else 'TABLE'} {quote(row['name'])}")
