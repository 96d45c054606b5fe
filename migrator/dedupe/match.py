"""Matching of one relation, by keys and by a model: features, exact edges, scored edges; what evaluating and merging share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from migrator.core.mapped import DedupeRules, Judgement
from migrator.core.schema import FieldSchema
from migrator.dedupe.cluster import Clusters
from migrator.staging.engine import Session


@dataclass(frozen=True, slots=True)
class Bands:
    """Probabilities from which on a pair is joined without asking, taken for one, and shown to a person."""

    automatic: float
    likely: float
    """The model's best guess: where precision and recall balance best as far as it can tell without labels."""
    review: float


@dataclass(frozen=True, slots=True)
class Matched:
    """What matching left: the tables `dedupe_edges` (pairs) and `dedupe_members` (clusters) in the session, and its counts.

    `dedupe_edges` has every scored pair down to a few bits below `bands.review`: band 'automatic', 'review' or 'none'.
    """

    clusters: Clusters
    bands: Bands | None
    report: Mapping[str, Any] = field(default_factory=dict)
    """Meanings, blocking rules with their pairs, what was left apart, the model's parameters: plain values for JSON."""


def match(
    session: Session,
    relation: str,
    fields: Sequence[FieldSchema],
    rules: DedupeRules,
    scratch: Path,
    *,
    judgements: Sequence[Judgement] = (),
) -> Matched:
    """Find duplicates in `relation` (`__id`, `__source`, and the `fields`); leaves edges and members in the session."""
    raise NotImplementedError
