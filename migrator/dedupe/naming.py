"""Names of clusters that outlive reruns: a cluster keeps the name under which most of its records were known before.

Each name of the last run goes to the cluster that holds most of its records, each cluster takes the name that gives it
most records (equals: the smaller name, then the cluster with the smaller first id); a cluster without one is called by
its smallest id that is nobody's name.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from migrator.dedupe.carry import SETTLED
from migrator.staging.engine import Session, row_count

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Moved:
    """A cluster that was split or merged: its name, the names its records had or have, and how many records."""

    name: str
    names: tuple[str, ...]
    """Of a split: where its records are now (an id when alone). Of a merge: the clusters they were in before."""
    rows: int


@dataclass(frozen=True, slots=True)
class Renamed:
    """What became of the clusters of the run before; the largest splits and merges are listed."""

    kept: int = 0
    """Clusters that have the name they had."""
    new: int = 0
    gone: int = 0
    """Names that no cluster has any more."""
    split: int = 0
    merged: int = 0
    splits: tuple[Moved, ...] = ()
    merges: tuple[Moved, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """For the ledger and `--json`."""
        moved = {
            "splits": [asdict(item) | {"names": list(item.names)} for item in self.splits],
            "merges": [asdict(item) | {"names": list(item.names)} for item in self.merges],
        }
        return asdict(self) | moved


def name_clusters(session: Session, before: str | None, rows: str | None) -> Renamed:
    """Make `dedupe_names` (cluster, name) for the clusters of `dedupe_found`; `before` is the CLUSTERS relation of the last run.

    `rows` (`__id`) are the records there are now: one that is gone splits nothing. Clusters in `SETTLED` have their names.
    """
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_first AS "
        "SELECT cluster, min(__id) AS first FROM dedupe_found GROUP BY cluster"
    )
    session.execute("CREATE OR REPLACE TEMP TABLE dedupe_names (cluster BIGINT, name VARCHAR)")
    if before is not None:
        session.execute(
            "CREATE OR REPLACE TEMP TABLE dedupe_unsettled AS "
            f"SELECT __id, cluster FROM {before} WHERE cluster NOT IN (SELECT name FROM {SETTLED})"
        )
        _inherit(session, "dedupe_unsettled")
    taken = f"(SELECT name FROM dedupe_names UNION ALL SELECT name FROM {SETTLED})"
    session.execute(
        "INSERT INTO dedupe_names WITH own AS (SELECT cluster, first, min(__id) AS free FROM dedupe_found "
        "JOIN dedupe_first USING (cluster) WHERE cluster NOT IN (SELECT cluster FROM dedupe_names) "
        f"AND __id NOT IN {taken} GROUP BY ALL), "
        "rest AS (SELECT cluster, first FROM dedupe_first WHERE cluster NOT IN (SELECT cluster FROM dedupe_names)) "
        "SELECT rest.cluster, coalesce(own.free, rest.first || '+' || md5(rest.first)) "
        "FROM rest LEFT JOIN own USING (cluster)"
    )
    return _compare(session, "dedupe_unsettled", rows) if before is not None else Renamed()


def _inherit(session: Session, before: str) -> None:
    """The best matches first; what is left over of names and clusters is matched again, until nothing overlaps."""
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_overlap AS "
        "SELECT f.cluster, any_value(x.first) AS first, b.cluster AS name, count(*) AS n FROM dedupe_found f "
        f"JOIN {before} b USING (__id) JOIN dedupe_first x ON f.cluster = x.cluster GROUP BY f.cluster, b.cluster"
    )
    while row_count(session, "dedupe_overlap"):
        session.execute(
            "INSERT INTO dedupe_names SELECT cluster, name FROM dedupe_overlap "
            "QUALIFY row_number() OVER (PARTITION BY cluster ORDER BY n DESC, name) = 1 "
            "AND row_number() OVER (PARTITION BY name ORDER BY n DESC, first) = 1"
        )
        session.execute(
            "DELETE FROM dedupe_overlap WHERE cluster IN (SELECT cluster FROM dedupe_names) "
            "OR name IN (SELECT name FROM dedupe_names)"
        )


def _compare(session: Session, before: str, rows: str | None) -> Renamed:
    here = f"WHERE b.__id IN (SELECT __id FROM {rows})" if rows else ""
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_fates AS "
        "SELECT b.cluster AS was, n.name AS name, coalesce(n.name, b.__id) AS now, count(*) AS n "
        f"FROM {before} b LEFT JOIN dedupe_found f ON b.__id = f.__id LEFT JOIN dedupe_names n ON f.cluster = n.cluster "
        f"{here} GROUP BY ALL"
    )
    counts = session.fetch(
        f"WITH old AS (SELECT DISTINCT cluster AS name FROM {before}) SELECT "
        f"(SELECT count(*) FROM dedupe_names JOIN old USING (name)) + (SELECT count(*) FROM {SETTLED}) AS kept, "
        "(SELECT count(*) FROM dedupe_names WHERE name NOT IN (SELECT name FROM old)) AS new, "
        "(SELECT count(*) FROM old WHERE name NOT IN (SELECT name FROM dedupe_names)) AS gone"
    ).to_pylist()[0]
    split, splits = _moved(session, "was", "now", "true")
    merged, merges = _moved(session, "name", "was", "name IS NOT NULL")
    return Renamed(**counts, split=split, merged=merged, splits=splits, merges=merges)


def _moved(session: Session, name: str, names: str, where: str) -> tuple[int, tuple[Moved, ...]]:
    grouped = (
        f"SELECT {name} AS name, list(DISTINCT {names} ORDER BY {names}) AS names, sum(n)::BIGINT AS size "
        f"FROM dedupe_fates WHERE {where} GROUP BY {name} HAVING count(DISTINCT {names}) > 1"
    )
    count = row_count(session, f"({grouped})")
    shown = session.fetch(f"SELECT * FROM ({grouped}) ORDER BY size DESC, name LIMIT {_SHOWN:d}").to_pylist()
    return count, tuple(Moved(row["name"], tuple(row["names"]), row["size"]) for row in shown)
