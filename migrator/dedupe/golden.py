"""Golden rows and their donors, written page by page of clusters, so that memory is bounded by the page however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from migrator.core.errors import ProjectError
from migrator.dedupe.choices import donor_columns, failed_customs, gathered, golden_columns
from migrator.dedupe.survive import RANKED, Contest
from migrator.staging import columns
from migrator.staging.engine import Session, literal, quote
from migrator.staging.relation import reference
from migrator.staging.store import Building

CELLS_A_PAGE = 4_000_000
"""Values of surviving rows worked out at once: clusters times fields."""
_PAGE = "dedupe_page"
_ROWS = f"{_PAGE} FULL JOIN (SELECT 1 WHERE false) ON true"
"""Nothing is joined: the engine would write columns that happen to have no null as such that never have one."""


def write_golden(
    session: Session, good: str, contest: Contest, clusters: int, into: tuple[Building, Building]
) -> dict[str, int]:
    """Write GOLDEN and DONORS (`into`), a row of each for every one of the `clusters` in `RANKED` with the mapped rows `good`.

    Returns field → clusters in which a value of it was given up for another. Raises `ProjectError` when an expression of
    the mapping makes something that its field cannot hold.
    """
    golden, donors = into
    page = max(1, CELLS_A_PAGE // len(contest.schema))
    joined = _members(good, contest)
    scratch = golden.folder / "members.parquet"
    if clusters > page:
        session.write(f"{joined} ORDER BY __cluster", scratch)
        session.view("dedupe_wide", [scratch])
        joined = "SELECT * FROM dedupe_wide"
    disputed: dict[str, int] = {}
    for first in range(1, max(clusters, 1) + 1, page):
        source = f"(SELECT * FROM ({joined}) WHERE __cluster BETWEEN {first:d} AND {first + page - 1:d})"
        session.execute(f"CREATE OR REPLACE TEMP TABLE {_PAGE} AS {gathered(source, contest)}")
        _check_customs(session, contest)
        golden.add(partial(session.write, f"SELECT {golden_columns(contest)} FROM {_ROWS}"))
        told = donors.add(partial(session.write, f"SELECT {donor_columns(contest)} FROM {_ROWS}"))
        for name, count in _disputed(session, told.path):
            disputed[name] = disputed.get(name, 0) + count
    scratch.unlink(missing_ok=True)
    return {name: disputed[name] for name in contest.mapped.schema.field_names if name in disputed}


def _members(good: str, contest: Contest) -> str:
    """SQL for the mapped rows of members with their ranks.

    A link between members is no value: the record that they become does not point to itself.
    """
    ranks = ("__cluster", "__name", "__own", "__trusted", "__recent", "__complete")
    own = contest.mapped.name
    inward = [link.field for link in contest.mapped.links if own in link.mappings]
    replaced = ", ".join(
        f"CASE WHEN l{place}.__id IS NULL THEN m.{quote(name)} END AS {quote(name)}"
        for place, name in enumerate(inward)
    )
    joins = " ".join(
        f"LEFT JOIN {RANKED} l{place} ON l{place}.__cluster = r.__cluster"
        f" AND {reference(own, f'l{place}.__id')} = m.{quote(name)}"
        for place, name in enumerate(inward)
    )
    rows = f"m.* REPLACE ({replaced})" if inward else "m.*"
    return (
        f"SELECT {rows}, {', '.join(f'r.{name}' for name in ranks)} FROM {good} m"
        f" JOIN {RANKED} r ON r.__id = m.{quote(columns.ID)} {joins}"
    )


def _disputed(session: Session, donors: Path) -> Iterator[tuple[str, int]]:
    counted = session.fetch(
        f"SELECT name, count(*) AS n FROM (SELECT unnest({quote(columns.DISPUTED)}) AS name"
        f" FROM read_parquet({literal(str(donors))}, hive_partitioning = false)) GROUP BY name"
    )
    return ((row["name"], row["n"]) for row in counted.to_pylist())


def _check_customs(session: Session, contest: Contest) -> None:
    for name, custom, fails in failed_customs(contest):
        found = session.fetch(f"SELECT min(__name) AS cluster FROM {_PAGE} WHERE {fails}").to_pylist()
        if found[0]["cluster"] is not None:
            raise ProjectError.at(
                contest.mapped.file or contest.mapped.name,
                f"dedupe: {custom.written} makes a value for {name!r} that is no {custom.gives.lower()}, "
                f"in the cluster {found[0]['cluster']} for one",
                "cast or round it in the expression, or choose another rule",
            )
