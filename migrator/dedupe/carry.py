"""Clusters that nothing has touched since the last run are carried over; only what a changed record can reach is made anew.

A record reaches what automatic edges and decisions connect it with. Clusters out of reach have the members, the edges
and the contradictions that they had, so making them again would make the same.
"""

from __future__ import annotations

from migrator.staging.engine import Session, row_count

REACHED = "dedupe_reached"
"""Table of the records (`__id`) that are clustered anew."""

ANEW = "dedupe_anew"
"""View of the edges of what is clustered anew."""

CARRIED = "dedupe_carried"
"""Table of the rows of CLUSTERS that are carried over."""

SETTLED = "dedupe_settled_names"
"""Table (name) of the clusters of which all is carried over: they keep their names, and nobody else comes by those."""

_STEPS = 8
"""Steps from a changed record that are gone one by one; behind them all is made anew, which costs less than many more."""


def find_reached(session: Session, joining: str, touched: str, before: str) -> bool:
    """Make `REACHED` and `CARRIED`; False when a touched record reaches too far for that to be worth it.

    `joining` is the relation (one, other) of what joins, `touched` (`__id`) the records whose edges are not what they
    were, neighbours that they lost included, and `before` the CLUSTERS of the last run.
    """
    session.execute(f"CREATE OR REPLACE TEMP TABLE {REACHED} AS SELECT DISTINCT __id FROM {touched}")
    session.execute(f"CREATE OR REPLACE TEMP TABLE dedupe_front AS SELECT __id FROM {REACHED}")
    for _ in range(_STEPS):
        session.execute(
            "CREATE OR REPLACE TEMP TABLE dedupe_front AS SELECT __id FROM "
            f"(SELECT other AS __id FROM {joining} SEMI JOIN dedupe_front ON one = __id UNION "
            f"SELECT one FROM {joining} SEMI JOIN dedupe_front ON other = __id) ANTI JOIN {REACHED} USING (__id)"
        )
        session.execute(f"INSERT INTO {REACHED} SELECT __id FROM dedupe_front")
        if not row_count(session, "dedupe_front"):
            _carry(
                session,
                f"SELECT * FROM {before} ANTI JOIN {REACHED} USING (__id)",
                f"(SELECT cluster FROM {before} SEMI JOIN {REACHED} USING (__id))",
            )
            return True
    return False


def carry_none(session: Session) -> None:
    """Make `CARRIED` without rows: everything is made anew."""
    _carry(session, "SELECT '' AS __id, '' AS cluster, '' AS rule, '' AS evidence WHERE false", "('')")


def _carry(session: Session, rows: str, broken: str) -> None:
    """Of `rows` of CLUSTERS; `broken` are the names of those that lost a member to what is made anew."""
    session.execute(f"CREATE OR REPLACE TEMP TABLE {CARRIED} AS {rows}")
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {SETTLED} AS "
        f"SELECT DISTINCT cluster AS name FROM {CARRIED} WHERE cluster NOT IN {broken}"
    )
