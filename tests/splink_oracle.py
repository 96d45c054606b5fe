"""Splink itself, given the comparisons and pairs that ours are given: what it learns and how it weighs, to hold ours to."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb

from migrator.dedupe.comparison import Comparison
from migrator.dedupe.grading import Evidence
from migrator.dedupe.maximise import Learnt
from migrator.dedupe.odds import Odds, rounded
from migrator.staging.engine import DuckSession, Session, quote

_ROUNDS = 25
_SETTLED = 0.001


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

        api = DuckDBAPI(_connection(session))
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


def _linker(session: Session, table: str, settings: dict[str, Any], api: Any = None) -> Any:
    from splink import Linker
    from splink.backends.duckdb import DuckDBAPI

    api = api or DuckDBAPI(_connection(session))
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


def _connection(session: Session) -> duckdb.DuckDBPyConnection:
    assert isinstance(session, DuckSession)
    return session.connection
