"""How good clusters are against the truth, counted from the sizes of groups: no pair is ever written down for it.

Everything is read off the table of cells (how many records a cluster and an entity share): pairs within cells were
joined rightly, pairs within clusters were joined, pairs within entities should have been. Linear in records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from migrator.core.mapped import Reach
from migrator.staging.engine import Session

TRUTH = "evaluate_truth"
"""Table of the records whose truth is known: `__id`, `entity`."""

JUDGED = "evaluate_judged"
"""Table of those records: `__id`, `source`, `entity`, `cluster` (its own id where it is alone)."""

_CELLS = "evaluate_cells"


@dataclass(frozen=True, slots=True)
class Score:
    """Of `found` things `right` ones, where there are `real` ones; a share of nothing is None."""

    right: float
    found: float
    real: float

    @property
    def precision(self) -> float | None:
        """How much of what was found is right."""
        return self.right / self.found if self.found else None

    @property
    def recall(self) -> float | None:
        """How much of what there is was found."""
        return self.right / self.real if self.real else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of both; None where nothing was found and nothing is there."""
        return 2 * self.right / (self.found + self.real) if self.found + self.real else None

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        shares = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        return {**shares, "right": self.right, "found": self.found, "real": self.real}


@dataclass(frozen=True, slots=True)
class Scores:
    """The same clusters measured in three ways."""

    pairs: Score
    """Pairs of records in one cluster. A cluster twice as large weighs four times as much."""
    clusters: Score
    """Clusters of two and more that are an entity exactly: nothing missing, nothing besides."""
    b_cubed: Score
    """For each record, the share of its cluster that is with it rightly, and of its entity that it is with; on average."""
    largest: int
    """Records in the largest cluster."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        found = {"pairs": self.pairs, "clusters": self.clusters, "b_cubed": self.b_cubed}
        return {**{name: item.to_json() for name, item in found.items()}, "largest_cluster": self.largest}


def judge(session: Session, relation: str, members: str) -> None:
    """Make `JUDGED` of a relation of records (`__id`, `__source`), `TRUTH`, and a relation of members (`__id`, `__cluster`)."""
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {JUDGED} AS SELECT r.__id, r.__source AS source, t.entity, "
        f"coalesce('#' || m.__cluster, r.__id) AS cluster FROM {relation} r JOIN {TRUTH} t USING (__id) "
        f"LEFT JOIN {members} m USING (__id)"
    )
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {_CELLS} AS SELECT cluster, entity, source, count(*) AS n FROM {JUDGED} GROUP BY ALL"
    )


def score(session: Session, reach: Reach) -> Scores:
    """Measure what `judge` laid down; across sources only pairs of records of different sources count."""
    pairs = session.fetch(
        f'SELECT {_pairs(reach, "cluster, entity")} AS "right", {_pairs(reach, "cluster")} AS found, '
        f"{_pairs(reach, 'entity')} AS real"
    ).to_pylist()[0]
    return Scores(Score(**pairs), _exact(session), _b_cubed(session), _largest(session))


def _pairs(reach: Reach, by: str) -> str:
    """Pairs within the groups of cells by these columns, as a scalar query."""
    without = "sum(n)" if reach is Reach.ALL else "sum(n * n)"
    cells = _CELLS
    if reach is Reach.ACROSS:
        cells = f"(SELECT {by}, source, sum(n) AS n FROM {_CELLS} GROUP BY {by}, source)"
    return (
        f"(SELECT coalesce(sum(pairs), 0)::DOUBLE FROM "
        f"(SELECT (sum(n) * sum(n) - {without}) / 2 AS pairs FROM {cells} GROUP BY {by}))"
    )


def _exact(session: Session) -> Score:
    # Told by the number of cells, not by equal sizes: joining clusters and entities by their sizes is quadratic, and the
    # engine may begin with just that.
    counts = session.fetch(
        f"WITH cells AS (SELECT cluster, entity, sum(n) AS n FROM {_CELLS} GROUP BY cluster, entity), "
        "clusters AS (SELECT cluster, any_value(entity) AS entity, count(*) AS cells, sum(n) AS size FROM cells GROUP BY cluster), "
        "entities AS (SELECT entity, any_value(cluster) AS cluster, count(*) AS cells, sum(n) AS size FROM cells GROUP BY entity) "
        "SELECT (SELECT count(*) FROM clusters c JOIN entities e ON e.entity = c.entity AND e.cluster = c.cluster "
        '        WHERE c.cells = 1 AND e.cells = 1 AND c.size > 1)::DOUBLE AS "right", '
        "(SELECT count(*) FROM clusters WHERE size > 1)::DOUBLE AS found, "
        "(SELECT count(*) FROM entities WHERE size > 1)::DOUBLE AS real"
    ).to_pylist()[0]
    return Score(**counts)


def _b_cubed(session: Session) -> Score:
    """As precision and recall are both means over records here, F1 is of the means: `found` and `real` are scaled to it."""
    means = session.fetch(
        f"WITH cells AS (SELECT cluster, entity, sum(n)::DOUBLE AS n FROM {_CELLS} GROUP BY cluster, entity), "
        "sizes AS (SELECT n, sum(n) OVER (PARTITION BY cluster) AS c, sum(n) OVER (PARTITION BY entity) AS e FROM cells) "
        "SELECT sum(n * n / c) / sum(n) AS precision, sum(n * n / e) / sum(n) AS recall FROM sizes"
    ).to_pylist()[0]
    precision, recall = means["precision"], means["recall"]
    return Score(1.0, 1 / precision, 1 / recall) if precision and recall else Score(0.0, 0.0, 0.0)


def _largest(session: Session) -> int:
    found = session.fetch(
        f"SELECT coalesce(max(size), 0)::BIGINT AS size FROM (SELECT sum(n) AS size FROM {_CELLS} GROUP BY cluster)"
    )
    return int(found.column("size")[0].as_py())


def ladder(automatic: float, likely: float, review: float) -> Sequence[float]:
    """Thresholds worth looking at: the bands' own, and round ones from 'perhaps' to 'certain'."""
    return sorted({0.05, 0.2, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.9999, automatic, likely, review})
