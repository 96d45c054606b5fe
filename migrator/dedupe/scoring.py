"""Scored edges: a model is learnt from the records, the pairs that its blocking brings together are weighed, and banded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations_with_replacement, count
from pathlib import Path
from typing import Any

from migrator.core.mapped import DedupeRules, Judgement, MatchModel, Reach
from migrator.core.schema import FieldSchema
from migrator.dedupe.bands import Bands, automatic_bits, bits_of, set_bands
from migrator.dedupe.blocking import block
from migrator.dedupe.claims import claiming_fields
from migrator.dedupe.comparison import Comparison, make_comparisons
from migrator.dedupe.contexts import lower_by_context
from migrator.dedupe.edges import EDGES
from migrator.dedupe.features import FEATURES, choose_features, make_features
from migrator.dedupe.follow import follow_decisions
from migrator.dedupe.frozen import features_query, freeze, weights_query
from migrator.dedupe.grading import (
    Evidence,
    add_heavy,
    add_scored,
    create_graded,
    create_scored,
    grade,
)
from migrator.dedupe.learning import (
    SCORED,
    Model,
    drop_counted,
    estimate_prior,
    learn_model,
    scored_weights,
    weigh_values,
)
from migrator.dedupe.meaning import FieldMeaning, find_meanings
from migrator.dedupe.odds import Odds
from migrator.dedupe.rarity import drop_words
from migrator.dedupe.shared_values import drop_shared
from migrator.dedupe.sureness import certain, find_kin, sure
from migrator.dedupe.units import UNITS, make_units
from migrator.dedupe.vetoes import VETOED, add_veto_edges, add_vetoed, create_vetoed
from migrator.staging.engine import Session, literal

RULE = "model"
"""The `rule` of scored edges."""
PLACE = 1_000
"""After all exact rules: those explain better."""
CHUNK = 500_000
"""Pairs scored at once, about: both records of each are held beside it, a kilobyte a pair."""
_GRADED, _HEAVY = "dedupe_graded", "dedupe_heavy"
_KEPT_BELOW = 6.0
"""Bits below the odds of one half down to which pairs are kept: average linkage looks at them."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What the model is, where its bands lie, and how many pairs fell into them."""

    bands: Bands
    report: Mapping[str, Any]
    frozen: Mapping[str, Any] = field(default_factory=dict)
    """The model as the next run takes it up; see `frozen`."""


def add_scored_edges(
    session: Session,
    relation: str,
    fields: Sequence[FieldSchema],
    rules: DedupeRules,
    scratch: Path,
    *,
    judgements: Sequence[Judgement] = (),
    keep: Callable[[str, str], None] | None = None,
) -> Scored | None:
    """Add the edges of the rules' model to the table of edges; None when no field of the relation tells records apart.

    Its bands follow what people decided (`judgements`) about pairs that it weighs. `keep` is given queries of
    the features and of what words and values weigh, to be kept for the next run.
    """
    wanted = rules.model or MatchModel()
    meanings = find_meanings(session, relation, fields, wanted.meanings)
    features = choose_features(meanings)
    if not features:
        return None
    make_features(session, relation, features, scratch)
    shared = drop_shared(session, features)
    comparisons = make_comparisons(session, features)
    model = learn_model(session, features, comparisons, wanted)
    make_units(session, [unit for item in model.rules for unit in item.rule.units])
    block(session, [item.rule for item in model.rules], wanted, "dedupe_tried")
    session.execute(f"DROP TABLE {UNITS}")
    often = weigh_values(session, model)
    drop_counted(session, model.comparisons)
    least = bits_of(1 - model.prior) - _KEPT_BELOW
    pairs = score_tried(session, model, often, scratch, least=least, wanted=wanted)
    sure_from = bits_of(1 - model.prior) + automatic_bits(wanted, 0.0)
    model = replace(model, kin=find_kin(session, model.comparisons, SCORED, sure_from))
    tell_sure(session, model, wanted)
    kept = freeze(session, model, often, least)
    kept["shared"] = {item.field: list(item.values) for item in shared}
    if keep is not None:
        keep(
            features_query(relation, features, claiming_fields(rules), [item.rule for item in model.rules]),
            weights_query(features, often, kept["unseen"], model.population.records),
        )
    drop_words(session, (item.number for item in features))
    for name in often.values():
        session.execute(f"DROP TABLE {name}")
    model = replace(model, prior=estimate_prior(scored_weights(session), model.population))
    followed = follow_decisions(session, _bands(session, model, wanted), wanted, judgements, model.prior)
    bands = followed.bands
    add_model_edges(session, model, bands)
    told = {
        **_report(meanings, model),
        "shared": [item.to_json() for item in shared],
        "decisions": {"heard": followed.decisions, "bits": followed.bits},
    }
    report = {**told, **count_bands(session, bands), "pairs": pairs}
    drop_scored(session)
    return Scored(bands, report, {**kept, "prior": model.prior, "bands": asdict(bands), "report": told})


def score_tried(
    session: Session,
    model: Model,
    often: Mapping[str, str],
    scratch: Path,
    *,
    least: float,
    wanted: MatchModel,
) -> int:
    """Fill `SCORED` from the pairs in `dedupe_tried`, chunk by chunk, so that memory is bounded however many there are."""
    path = scratch / "pairs.parquet"
    found = session.write("SELECT DISTINCT a, b FROM dedupe_tried", path)
    session.execute("DROP TABLE dedupe_tried")
    session.view("dedupe_candidates", [path])
    create_scored(session, model.comparisons, SCORED)
    create_vetoed(session)
    add_vetoed(session, [item.feature for item in model.comparisons], "dedupe_candidates")
    evidence = Evidence(model.comparisons, model.odds, often)
    create_graded(session, model.comparisons, _HEAVY)
    for some in _chunks(session, found):
        grade(session, some, model.comparisons, _GRADED)
        add_heavy(session, _GRADED, evidence, least=least, into=_HEAVY)
    session.execute(f"DROP TABLE IF EXISTS {_GRADED}")
    # how rare values are is looked up in tables of them all: once, and not for every chunk
    add_scored(session, _HEAVY, evidence, least=least, into=SCORED)
    session.execute(f"DROP TABLE {_HEAVY}")
    session.execute("DROP VIEW dedupe_candidates")
    path.unlink()
    lower_by_context(session, SCORED, model.comparisons, model.odds, model.contexts)
    if wanted.reach is Reach.ACROSS:
        _keep_best(session)
    return found


def _chunks(session: Session, pairs: int) -> Iterator[str]:
    """Queries of the `pairs` by ranges of both their numbers, so that of the records only two ranges are read for each."""
    ranges = next(n for n in count() if n * (n + 1) / 2 >= pairs / CHUNK)
    if not ranges:
        return
    first, last = (
        session.fetch(f"SELECT min(n) AS first, max(n) AS last FROM {FEATURES}").to_pylist()[0].values()
    )
    ends = [first + (last + 1 - first) * place // ranges for place in range(ranges + 1)]
    for one, other in combinations_with_replacement(range(ranges), 2):
        within = (
            f"{c} >= {ends[place]:d} AND {c} < {ends[place + 1]:d}" for c, place in (("a", one), ("b", other))
        )
        yield f"SELECT a, b FROM dedupe_candidates WHERE {' AND '.join(within)}"


def tell_sure(session: Session, model: Model, wanted: MatchModel) -> None:
    """Add to `SCORED` whether a pair may be joined without asking (`sure`), and whether it is whatever it weighs (`certain`);
    whoever names the band has decided both.

    Pairs that contradict each other go.
    """
    condition, plain = "true", "false"
    if wanted.automatic is None:
        condition = sure(model.comparisons, model.odds, model.contexts, kin=model.kin)
        plain = certain(model.comparisons)
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE dedupe_told AS SELECT s.*, {condition} AS sure, {plain} AS certain FROM {SCORED} s "
        f"JOIN {FEATURES} x ON s.a = x.n JOIN {FEATURES} y ON s.b = y.n ANTI JOIN {VETOED} v ON s.a = v.a AND s.b = v.b"
    )
    session.execute(f"DROP TABLE {SCORED}")
    session.execute(f"ALTER TABLE dedupe_told RENAME TO {SCORED}")


def _keep_best(session: Session) -> None:
    """Of the pairs of a record with one other source keep the best: that source holds nothing twice."""
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_best AS SELECT n, source, max(weight) AS weight FROM "
        f"(SELECT a AS n, y.__source AS source, weight FROM {SCORED} JOIN {FEATURES} y ON b = y.n UNION ALL "
        f"SELECT b, x.__source, weight FROM {SCORED} JOIN {FEATURES} x ON a = x.n) GROUP BY n, source"
    )
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE dedupe_kept AS SELECT s.* FROM {SCORED} s "
        f"JOIN {FEATURES} x ON s.a = x.n JOIN {FEATURES} y ON s.b = y.n "
        "JOIN dedupe_best l ON l.n = s.a AND l.source = y.__source JOIN dedupe_best r ON r.n = s.b AND r.source = x.__source "
        "WHERE s.weight >= l.weight AND s.weight >= r.weight"
    )
    session.execute("DROP TABLE dedupe_best")
    session.execute(f"DROP TABLE {SCORED}")
    session.execute(f"ALTER TABLE dedupe_kept RENAME TO {SCORED}")


def _bands(session: Session, model: Model, wanted: MatchModel) -> Bands:
    lifts = (
        lift for context in model.contexts.values() for values in context.lifts.values() for lift in values
    )
    bar, odds = automatic_bits(wanted, max(lifts, default=0.0)), bits_of(model.prior)
    joined = f"(weight + {odds!r} >= CASE WHEN certain THEN 0 WHEN sure THEN {bar!r} ELSE 'inf'::DOUBLE END)"
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE dedupe_sure AS SELECT a AS n, b AS near FROM {SCORED} WHERE {joined} "
        f"UNION ALL SELECT b, a FROM {SCORED} WHERE {joined}"
    )
    doubtful = session.fetch(
        f"SELECT weight + {odds!r} AS bits FROM {SCORED} s WHERE bits >= 0 AND NOT {joined} AND NOT EXISTS "
        "(SELECT 1 FROM dedupe_sure x JOIN dedupe_sure y USING (near) WHERE x.n = s.a AND y.n = s.b) "
        "ORDER BY bits DESC LIMIT 1000000"
    )
    session.execute("DROP TABLE dedupe_sure")
    return set_bands(wanted, bar, doubtful.column("bits").to_pylist(), model.population.records)


def add_model_edges(session: Session, model: Model, bands: Bands) -> None:
    """Add scored pairs as edges, the smaller id first, and those that contradict; what each field gave is kept where
    somebody may ask.
    """
    odds = f"(s.weight + {bits_of(model.prior)!r})"
    session.execute(
        f"INSERT INTO {EDGES} SELECT least(x.__id, y.__id), greatest(x.__id, y.__id), {literal(RULE)}, {PLACE:d}, NULL, "
        f"round({odds}, 3), p, band, CASE WHEN band <> 'none' THEN {_parts(model)} END FROM "
        f"(SELECT *, CASE WHEN p >= CASE WHEN certain THEN {bands.likely!r} WHEN sure THEN {bands.automatic!r} END THEN 'automatic' WHEN p >= {bands.review!r} THEN 'review' "
        f"ELSE 'none' END AS band FROM (SELECT s.*, round(1 / (1 + pow(2, -{odds})), 9) AS p FROM {SCORED} s)) s "
        f"JOIN {FEATURES} x ON s.a = x.n JOIN {FEATURES} y ON s.b = y.n"
    )
    add_veto_edges(session, RULE, PLACE)


def _parts(model: Model) -> str:
    """SQL of what each field gave, as JSON; see `columns.PAIRS`. What the context took off comes last."""
    listed = [f"{{'field': '', 'level': 'prior', 'bits': {round(bits_of(model.prior), 2)!r}::DOUBLE}}"]
    for item in model.comparisons:
        n, bits = item.feature.number, model.odds[item.name].bits()
        cases = " ".join(
            f"WHEN abs(b{n} - {value!r}) < 1e-6 THEN {literal(label)}"
            for label, value in zip(item.labels, bits, strict=True)
        )
        level = f"CASE WHEN b{n} = 0 THEN 'missing' {cases} END"
        name = literal(item.feature.field)
        listed.append(f"{{'field': {name}, 'level': {level}, 'bits': round(b{n} + r{n}, 2)::DOUBLE}}")
    given = " + ".join(f"b{item.feature.number} + r{item.feature.number}" for item in model.comparisons)
    listed.append(f"{{'field': '', 'level': 'context', 'bits': round(s.weight - ({given}), 2)::DOUBLE}}")
    kept = "lambda part: part.level <> 'context' OR abs(part.bits) > 0.01"
    return f"CAST(to_json(list_filter([{', '.join(listed)}], {kept})) AS VARCHAR)"


def count_bands(session: Session, bands: Bands) -> dict[str, Any]:
    """Where the bands lie, and how many edges of the model fell into each."""
    counted = session.fetch(
        f"SELECT band, count(*) AS n FROM {EDGES} WHERE rule = {literal(RULE)} GROUP BY band ORDER BY band"
    ).to_pylist()
    return {
        "bands": {"automatic": bands.automatic, "likely": bands.likely, "review": bands.review},
        "by_band": {row["band"]: row["n"] for row in counted},
    }


def _report(meanings: Sequence[FieldMeaning], model: Model) -> dict[str, Any]:
    return {
        "fields": {item.field: {"meaning": item.meaning.value, "by": item.by} for item in meanings},
        "blocking": [
            {
                "rule": item.rule.name, "pairs": item.pairs, "dropped_blocks": item.dropped_blocks,
                "dropped_records": item.dropped_records,
            }
            for item in model.rules
        ],
        "prior": model.prior,
        "relatives": model.kin,
        "levels": {item.feature.field: _levels(item, model.odds[item.name]) for item in model.comparisons},
    }  # fmt: skip


def _levels(item: Comparison, odds: Odds) -> list[dict[str, Any]]:
    return [{"level": label, "m": m, "u": u} for label, m, u in zip(item.labels, odds.m, odds.u, strict=True)]


def drop_scored(session: Session) -> None:
    """Give back what scoring no longer needs."""
    for name in (SCORED, FEATURES):
        session.execute(f"DROP TABLE IF EXISTS {name}")
