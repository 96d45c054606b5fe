"""The dedupe step of one mapping: MAPPED to CLUSTERS and GOLDEN, once per inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from migrator.core.document import did_you_mean
from migrator.core.errors import Location, Problem, raise_errors
from migrator.core.fingerprint import fingerprint
from migrator.core.mapped import DedupeRules, Judgement, MappedObject
from migrator.core.progress import Progress
from migrator.dedupe.choices import donors_schema
from migrator.dedupe.cluster import Clusters
from migrator.dedupe.edges import EDGES, RuleTally
from migrator.dedupe.golden import write_golden
from migrator.dedupe.known import Known
from migrator.dedupe.match import Guards, Matched, match_guarded
from migrator.dedupe.scoring import RULE
from migrator.dedupe.survive import Contest, clusters_query, know_the_target, rank_members
from migrator.dedupe.wordlists import wordlists_fingerprint
from migrator.staging import columns
from migrator.staging.engine import Session, literal, quote
from migrator.staging.store import Building, Dataset, Finished, Kind, Store

CODE_VERSION = 13
"""Raise it when the same rows and rules would give other clusters or other survivors."""

STEP = "dedupe"
_MADE = (Kind.CLUSTERS, Kind.GOLDEN, Kind.DONORS, Kind.PAIRS)
_GOOD = "dedupe_good"


@dataclass(frozen=True, slots=True)
class Decided:
    """What is there from before: what people decided, the relation of the last run's clusters, and what it kept."""

    judgements: Sequence[Judgement]
    before: str | None
    known: Known


@dataclass(frozen=True, slots=True)
class Outcome:
    """The datasets that the step writes."""

    clusters: Building
    golden: Building
    donors: Building
    pairs: Building


@dataclass(frozen=True, slots=True)
class Deduped:
    """What became of a mapping's duplicates; `fresh` is False when these inputs had been worked on before."""

    clusters: Dataset
    golden: Dataset
    fresh: bool

    @property
    def merged(self) -> int:
        """Records that went into another one."""
        return int(self.clusters.detail["merged"])


def dedupe(
    store: Store,
    session: Session,
    mapped: MappedObject,
    *,
    progress: Progress,
    judgements: Sequence[Judgement] = (),
) -> Deduped:
    """Find duplicates among the good rows of MAPPED and write CLUSTERS, GOLDEN, DONORS and PAIRS; idle when they are current.

    Bad and excluded rows take no part; `judgements` are the last word on each pair that a person decided. Clusters keep
    the names they had. Raises `ProjectError` when the rules name a field that the mapping does not write or a region
    that is no country, or judgements contradict each other; `FatalError` when the mapping has not run or the disk is full.
    """
    rows = store.need(Kind.MAPPED, mapped.name, made_by="map")
    made_of = _fingerprint(mapped, rows, judgements)
    current = _current(store, mapped.name, made_of)
    if current is not None:
        return current
    progress.start(STEP, mapped.name, rows.rows)
    outcome = Outcome(*(store.build(kind, mapped.name, made_of) for kind in _MADE))
    if mapped.dedupe is not None and (mapped.dedupe.keys or mapped.dedupe.model):
        before = _clusters_before(store, session, mapped.name)
        know_the_target(session, store, mapped.name, before)
        contest = Contest(mapped, mapped.dedupe, rows.schema())
        known = Known(store, mapped.name, made_of=made_of, rules=_rules_of(mapped), judgements=judgements)
        decided = Decided(judgements, before, known)
        detail, kept = _find(session, contest, rows, decided, outcome)
    else:
        detail, kept = _nothing(rows, outcome), ()
    # all at once: what a crash left of two runs would not fit together, and a model would be learnt anew
    clusters, golden, *_ = store.complete_all(
        (
            Finished(outcome.clusters, detail),
            Finished(outcome.golden, {"clusters": detail["clusters"]}),
            Finished(outcome.donors, {"disputed": detail["disputed"]}),
            Finished(outcome.pairs, detail["bands"]),
            *kept,
        )
    )
    made = Deduped(clusters, golden, fresh=True)
    progress.advance(STEP, mapped.name, rows.rows)
    review = detail["bands"].get("review", 0)
    asked = f", {review} pairs to review" if review else ""
    progress.done(STEP, mapped.name, f"{made.merged} merged into {detail['clusters']}{asked}")
    return made


def good_rows(session: Session, rows: Dataset) -> str:
    """A relation of the rows of MAPPED that may be duplicates: neither bad nor excluded."""
    session.view("dedupe_mapped", rows.files, rows.schema())
    session.execute(
        f"CREATE OR REPLACE TEMP VIEW {_GOOD} AS SELECT * FROM dedupe_mapped "
        f"WHERE NOT {quote(columns.BAD)} AND {quote(columns.EXCLUDED)} IS NULL"
    )
    return _GOOD


def _current(store: Store, name: str, made_of: str) -> Deduped | None:
    clusters, golden = store.current(Kind.CLUSTERS, name), store.current(Kind.GOLDEN, name)
    whole = all(store.is_current(kind, name, made_of) for kind in _MADE)
    return Deduped(clusters, golden, fresh=False) if clusters and golden and whole else None


def _clusters_before(store: Store, session: Session, name: str) -> str | None:
    """The relation of the clusters that the last run made, whatever it made them of."""
    found = store.current(Kind.CLUSTERS, name)
    if found is None or not found.intact:
        return None
    session.view("dedupe_before", found.files, columns.CLUSTERS)
    return "dedupe_before"


def _fingerprint(mapped: MappedObject, rows: Dataset, judgements: Sequence[Judgement]) -> str:
    decided = sorted((item.one, item.other, item.verdict.value) for item in judgements)
    return fingerprint(rows.id, rows.fingerprint, _rules_of(mapped), decided)


def _rules_of(mapped: MappedObject) -> str:
    """Everything but records and decisions that the outcome depends on."""
    rules = repr(mapped.dedupe) if mapped.dedupe else ""
    fields = [(item.name, item.type.value) for item in mapped.fields]
    lists = (wordlists_fingerprint(), version("phonenumbers"))
    return fingerprint(rules, fields, mapped.key, CODE_VERSION, lists)


def _nothing(rows: Dataset, outcome: Outcome) -> dict[str, Any]:
    outcome.golden.add_table(rows.schema().empty_table())
    outcome.donors.add_table(donors_schema(()).empty_table())
    outcome.clusters.add_table(columns.CLUSTERS.empty_table())
    outcome.pairs.add_table(columns.PAIRS.empty_table())
    return _detail(Matched(Clusters(0, 0, 0, 0, ())), {})


def _find(
    session: Session, contest: Contest, rows: Dataset, decided: Decided, outcome: Outcome
) -> tuple[dict[str, Any], tuple[Finished, ...]]:
    rules, scratch = contest.rules, outcome.golden.folder
    _check_fields(contest.mapped, rules)
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        good = good_rows(session, rows)
        guards = Guards(decided.judgements, before=decided.before, rows=good)
        found = match_guarded(
            session, good, contest.mapped.fields, rules,
            scratch=scratch, guards=guards, memory=decided.known.memory(session),
        )  # fmt: skip
        decided.known.keep_edges(session)
        rank_members(session, good, contest)
        outcome.pairs.add(lambda path: session.write(_pairs_query(), path))
        outcome.clusters.add(lambda path: session.write(clusters_query(), path))
        disputed = write_golden(
            session, good, contest, found.clusters.clusters, (outcome.golden, outcome.donors)
        )
        kept = decided.known.finished(found.scored.frozen if found.scored else None)
        return _detail(found, disputed), kept
    finally:
        drop_scratch(session)


def _pairs_query() -> str:
    """Pairs that a person may be asked about, and those that the model joined; columns and order of `columns.PAIRS`."""
    return (
        f"SELECT {', '.join(columns.PAIRS.names)} FROM {EDGES} "
        f"WHERE band = 'review' OR (band = 'automatic' AND rule = {literal(RULE)}) ORDER BY one, other"
    )


def drop_scratch(session: Session) -> None:
    """Give the engine's memory and spill back; everything of this step is called dedupe_…"""
    left = session.fetch(
        "SELECT table_name AS name, table_type AS type FROM information_schema.tables "
        "WHERE starts_with(table_name, 'dedupe_') ORDER BY type DESC"
    )
    for row in left.to_pylist():
        session.execute(f"DROP {'VIEW' if row['type'] == 'VIEW' else 'TABLE'} {quote(row['name'])}")


def _check_fields(mapped: MappedObject, rules: DedupeRules) -> None:
    """Refuse rules that name no field of the mapping; the mapping's own check says it earlier, with the line."""
    known = mapped.schema.field_names
    named = {field for key in rules.keys for field, _ in key.fields} | set(rules.survivorship) - set(
        rules.groups
    )
    named |= set(rules.identity)
    named |= {field for fields in rules.groups.values() for field in fields} | {rules.recency} - {""}
    raise_errors(
        Problem(Location(mapped.name), f"dedupe: no field {name!r}", did_you_mean(name, known, noun="fields"))
        for name in sorted(named - set(known))
    )


def _detail(matched: Matched, disputed: Mapping[str, int]) -> dict[str, Any]:
    """What the ledger keeps: counts by rule and band, and everything that was left apart on purpose."""
    found = matched.clusters
    values = [
        {"rule": item.rule, "rows": item.rows, "value": item.value}
        for tally in matched.tallies
        for item in tally.largest_shared
    ]
    clusters = [{"rule": item.rule, "rows": item.rows, "example": item.example} for item in found.largest]
    return {
        "clusters": found.clusters,
        "members": found.members,
        "merged": found.members - found.clusters,
        "by_rule": {tally.rule: _tally(tally) for tally in matched.tallies},
        "bands": dict(matched.report.get("by_band", {})),
        "model": dict(matched.report),
        "disputed": dict(disputed),
        "kept_apart": found.kept_apart,
        "renamed": found.renamed.to_json(),
        "too_large": clusters,
        "too_large_clusters": found.too_large,
        "too_large_rows": found.too_large_rows,
        "shared": values,
        "junk": {item.field: {"values": item.values, "rows": item.rows} for item in matched.shared},
    }


def _tally(tally: RuleTally) -> dict[str, int]:
    return {
        "values": tally.values,
        "members": tally.members,
        "pairs": tally.pairs,
        "shared_values": tally.shared_values,
        "shared_rows": tally.shared_rows,
    }
