"""The dedupe step of one mapping: MAPPED to CLUSTERS and GOLDEN, once per inputs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

from migrator.core.document import did_you_mean
from migrator.core.errors import Location, Problem, raise_errors
from migrator.core.fingerprint import fingerprint
from migrator.core.mapped import DedupeRules, MappedObject
from migrator.core.progress import Progress
from migrator.dedupe.cluster import Clusters, make_clusters
from migrator.dedupe.edges import RuleTally, add_exact_edges, create_edges
from migrator.dedupe.keys import KEYS_FILE, SharedValues, make_keys
from migrator.dedupe.survive import RANKED, Contest, clusters_query, golden_query, rank_members
from migrator.dedupe.wordlists import wordlists_fingerprint
from migrator.staging import columns
from migrator.staging.engine import Session, quote
from migrator.staging.store import Building, Dataset, Kind, Store

CODE_VERSION = 1
"""Raise it when the same rows and rules would give other clusters or other survivors."""

CELLS_A_PAGE = 4_000_000
"""Values of surviving rows worked out at once: clusters times fields."""

STEP = "dedupe"
_GOOD = "dedupe_good"


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


def dedupe(store: Store, session: Session, mapped: MappedObject, *, progress: Progress) -> Deduped:
    """Find duplicates among the good rows of MAPPED and write CLUSTERS and GOLDEN; idle when both are current.

    Bad and excluded rows take no part. Raises `ProjectError` when the rules name a field that the mapping does not
    write or a region that is no country, `FatalError` when the mapping has not run or the disk is full.
    """
    rows = store.need(Kind.MAPPED, mapped.name, made_by="map")
    made_of = _fingerprint(mapped, rows)
    current = _current(store, mapped.name, made_of)
    if current is not None:
        return current
    progress.start(STEP, mapped.name, rows.rows)
    golden = store.build(Kind.GOLDEN, mapped.name, made_of)
    clusters = store.build(Kind.CLUSTERS, mapped.name, made_of)
    if mapped.dedupe is not None and mapped.dedupe.keys:
        detail = _find(session, Contest(mapped, mapped.dedupe, rows.schema()), rows, clusters, golden)
    else:
        detail = _nothing(rows, clusters, golden)
    # a crash between the two leaves only one of them current, and then both are made again
    survivors = golden.complete({"clusters": detail["clusters"]})
    made = Deduped(clusters.complete(detail), survivors, fresh=True)
    progress.advance(STEP, mapped.name, rows.rows)
    progress.done(STEP, mapped.name, f"{made.merged} merged into {detail['clusters']}")
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
    both = all(store.is_current(kind, name, made_of) for kind in (Kind.CLUSTERS, Kind.GOLDEN))
    return Deduped(clusters, golden, fresh=False) if clusters and golden and both else None


def _fingerprint(mapped: MappedObject, rows: Dataset) -> str:
    rules = repr(mapped.dedupe) if mapped.dedupe else ""
    lists = (wordlists_fingerprint(), version("phonenumbers"))
    return fingerprint(rows.id, rows.fingerprint, rules, mapped.key, CODE_VERSION, lists)


def _nothing(rows: Dataset, clusters: Building, golden: Building) -> dict[str, Any]:
    golden.add_table(rows.schema().empty_table())
    clusters.add_table(columns.CLUSTERS.empty_table())
    return _detail(Clusters(0, 0, 0, 0, ()), (), ())


def _find(
    session: Session, contest: Contest, rows: Dataset, clusters: Building, golden: Building
) -> dict[str, Any]:
    rules, scratch = contest.rules, golden.folder
    _check_fields(contest.mapped, rules)
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        good = good_rows(session, rows)
        keys = make_keys(session, good, contest.schema, rules, scratch)
        create_edges(session)
        tallies = add_exact_edges(session, keys, rules)
        (scratch / KEYS_FILE).unlink()
        found = make_clusters(session, rules.max_cluster)
        rank_members(session, good, contest)
        clusters.add(lambda path: session.write(clusters_query(), path))
        _write_golden(session, contest, found.clusters, golden)
        return _detail(found, tallies, keys.shared)
    finally:
        drop_scratch(session)


def _write_golden(session: Session, contest: Contest, clusters: int, golden: Building) -> None:
    """Golden rows page by page of clusters, so that memory is bounded by the page however many there are."""
    page = max(1, CELLS_A_PAGE // len(contest.schema))
    joined = f"SELECT m.*, r.__cluster, r.__own, r.__recent FROM {_GOOD} m JOIN {RANKED} r USING ({quote(columns.ID)})"
    scratch = golden.folder / "members.parquet"
    if clusters > page:
        session.write(f"{joined} ORDER BY __cluster", scratch)
        session.view("dedupe_wide", [scratch])
        joined = "SELECT * FROM dedupe_wide"
    for first in range(1, max(clusters, 1) + 1, page):
        source = f"(SELECT * FROM ({joined}) WHERE __cluster BETWEEN {first:d} AND {first + page - 1:d})"
        query = golden_query(source, contest)
        golden.add(partial(session.write, query))
    scratch.unlink(missing_ok=True)


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
    named = {field for key in rules.keys for field, _ in key.fields} | set(rules.survivorship)
    named |= {rules.recency} - {""}
    raise_errors(
        Problem(Location(mapped.name), f"dedupe: no field {name!r}", did_you_mean(name, known, noun="fields"))
        for name in sorted(named - set(known))
    )


def _detail(
    found: Clusters, tallies: tuple[RuleTally, ...], shared: tuple[SharedValues, ...]
) -> dict[str, Any]:
    """What the ledger keeps: counts by rule, and everything that was left apart on purpose."""
    values = [
        {"rule": item.rule, "rows": item.rows, "value": item.value}
        for tally in tallies
        for item in tally.largest_shared
    ]
    clusters = [{"rule": item.rule, "rows": item.rows, "example": item.example} for item in found.largest]
    return {
        "clusters": found.clusters,
        "members": found.members,
        "merged": found.members - found.clusters,
        "by_rule": {tally.rule: _tally(tally) for tally in tallies},
        "too_large": clusters,
        "too_large_clusters": found.too_large,
        "too_large_rows": found.too_large_rows,
        "shared": values,
        "junk": {item.field: {"values": item.values, "rows": item.rows} for item in shared},
    }


def _tally(tally: RuleTally) -> dict[str, int]:
    return {
        "values": tally.values,
        "members": tally.members,
        "pairs": tally.pairs,
        "shared_values": tally.shared_values,
        "shared_rows": tally.shared_rows,
    }
