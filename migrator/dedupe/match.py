"""Matching of one relation, by keys and by a model: features, exact edges, scored edges; what evaluating and merging share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrator.core.mapped import DedupeRules, Judgement, Meaning
from migrator.core.schema import FieldSchema
from migrator.dedupe.bands import Bands
from migrator.dedupe.claims import make_claims
from migrator.dedupe.cluster import Clusters, make_clusters
from migrator.dedupe.delta import Last, add_delta, find_touched, kept_features, more_features
from migrator.dedupe.edges import RuleTally, add_exact_edges, create_edges
from migrator.dedupe.keys import KEYS_FILE, SharedValues, make_keys
from migrator.dedupe.scoring import Scored, add_scored_edges
from migrator.dedupe.vetoes import view_vetoes
from migrator.staging.engine import Session

__all__ = ["Bands", "Matched", "match"]


@dataclass(frozen=True, slots=True)
class Matched:
    """What matching left: the tables `dedupe_edges` (pairs) and `dedupe_members` (clusters) in the session, and its counts.

    `dedupe_edges` has every scored pair down to a few bits below `bands.review`: band 'automatic', 'review' or 'none'.
    """

    clusters: Clusters
    tallies: tuple[RuleTally, ...] = ()
    shared: tuple[SharedValues, ...] = ()
    scored: Scored | None = None
    claims: str | None = None
    """Relation of what records can have once only, where clusters kept to that; see `make_clusters`."""

    @property
    def bands(self) -> Bands | None:
        """Where the model's bands lie; None without a model."""
        return self.scored.bands if self.scored else None

    @property
    def report(self) -> Mapping[str, Any]:
        """Meanings, blocking rules with their pairs, what was left apart, the model's parameters: plain values for JSON."""
        return self.scored.report if self.scored else {}


@dataclass(frozen=True, slots=True)
class Guards:
    """What clustering has to keep to besides the edges; see `make_clusters`."""

    judgements: Sequence[Judgement] = ()
    before: str | None = None
    rows: str | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What matching has from the last run, and where it puts what the next one is to have."""

    last: Last | None
    """None where everything is to be matched: also when the rules or people's decisions are not what they were."""
    keep: Callable[[str, str], None]
    """Is given queries of the features and of what words and values weigh."""
    extend: Callable[[str, str], None]
    """Is given a query of what comes to the features of the last run, and one of all of them."""


def match(
    session: Session,
    relation: str,
    fields: Sequence[FieldSchema],
    rules: DedupeRules,
    scratch: Path,
    *,
    judgements: Sequence[Judgement] = (),
) -> Matched:
    """Find duplicates in `relation` (`__id`, `__source`, and the `fields`); leaves edges and members in the session.

    Raises `ProjectError` when the rules name a region that is no country, or blocking that would compare too many pairs.
    """
    return match_guarded(session, relation, fields, rules, scratch=scratch, guards=Guards(judgements))


def match_guarded(
    session: Session,
    relation: str,
    fields: Sequence[FieldSchema],
    rules: DedupeRules,
    *,
    scratch: Path,
    guards: Guards,
    memory: Memory | None = None,
) -> Matched:
    """As `match`, with all that clusters have to keep to; where a `memory` allows, only what changed is matched."""
    create_edges(session)
    tallies: tuple[RuleTally, ...] = ()
    shared: tuple[SharedValues, ...] = ()
    if rules.keys:
        schema = session.fetch(f"SELECT * FROM {relation} LIMIT 0").schema
        keys = make_keys(session, relation, schema, rules, scratch)
        tallies, shared = add_exact_edges(session, keys, rules), keys.shared
        (scratch / KEYS_FILE).unlink()
    keep = memory.keep if memory else None
    scored, touched = None, None
    if memory is not None and memory.last is not None and rules.model:
        scored = add_delta(session, relation, rules, memory.last, scratch)
    if scored is not None and memory is not None:
        memory.extend(more_features(), kept_features())
        touched = find_touched(session)
    elif rules.model:
        scored = add_scored_edges(
            session, relation, fields, rules, scratch, judgements=guards.judgements, keep=keep
        )
    told = scored.report["fields"] if scored else {}
    surnames = (Meaning.PERSON.value, Meaning.FAMILY.value)
    persons = [name for name, item in told.items() if item["meaning"] in surnames]
    claims = make_claims(session, relation, rules, persons)
    clusters = make_clusters(
        session, rules.max_cluster, guards.judgements, view_vetoes(session), guards.before,
        claims=claims, rows=guards.rows, touched=touched,
    )  # fmt: skip
    return Matched(clusters, tallies, shared, scored, claims)
