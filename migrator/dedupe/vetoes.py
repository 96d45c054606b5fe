"""Pairs that are alike on purpose and two all the same: father and son, two branches of one company; nothing joins them.

Only what names the record itself can contradict: two colleagues have one employer, and a person may have had two.
"""

from __future__ import annotations

from collections.abc import Sequence

from migrator.dedupe.agreement import (
    company_contradiction,
    company_says_which,
    name_contradiction,
    name_says_which,
    struct,
)
from migrator.dedupe.edges import CONTRADICTION, EDGES
from migrator.dedupe.features import FEATURES, Feature, naming
from migrator.dedupe.taken_apart import Told
from migrator.staging.engine import Session, literal

VETOED = "dedupe_vetoed"
"""Table of pairs (a, b) of record numbers that contradict each other."""

VETOES = "dedupe_vetoes_found"
"""View of the same as ids (one, other), as far as edges tell them."""


def create_vetoed(session: Session) -> None:
    """Begin with none."""
    session.execute(f"CREATE OR REPLACE TEMP TABLE {VETOED} (a INTEGER, b INTEGER)")


def add_vetoed(session: Session, features: Sequence[Feature], pairs: str) -> None:
    """Add those of the `pairs` (a, b) whose names contradict each other."""
    names = naming(features)
    told = {item.apart: item.told for item in features if item.number in names and item.apart is not None}
    for number, kind in told.items():
        sides: tuple[str, ...]
        # most names do not say which of several they are, and those pairs need no look
        if kind is Told.PERSON:
            find, which, sides = (
                name_contradiction,
                name_says_which(struct(f"a{number}")),
                ("l.which AND r.which",),
            )
        else:
            # each side by itself, so that what is joined is little
            find, which = company_contradiction, company_says_which(struct(f"a{number}"))
            sides = ("l.which", "r.which AND NOT l.which")
        names_of = f"(SELECT n, a{number} AS name, coalesce({which}, false) AS which FROM {FEATURES})"
        for side in sides:
            session.execute(
                f"INSERT INTO {VETOED} SELECT a, b FROM {pairs} JOIN {names_of} l ON a = l.n JOIN {names_of} r ON b = r.n "
                f"WHERE {side} AND {find(struct('l.name'), struct('r.name'))}"
            )


def add_veto_edges(session: Session, rule: str, place: int) -> None:
    """Put them on record as edges of a band of their own, so that the next run knows them."""
    session.execute(
        f"INSERT INTO {EDGES} SELECT DISTINCT least(x.__id, y.__id), greatest(x.__id, y.__id), {literal(rule)}, {place:d}, "
        f"NULL, NULL, NULL, {literal(CONTRADICTION)}, NULL FROM {VETOED} v JOIN {FEATURES} x ON v.a = x.n JOIN {FEATURES} y ON v.b = y.n"
    )
    session.execute(f"DROP TABLE {VETOED}")


def view_vetoes(session: Session) -> str:
    """The relation (one, other) of all edges that keep apart."""
    session.execute(
        f"CREATE OR REPLACE TEMP VIEW {VETOES} AS SELECT one, other FROM {EDGES} WHERE band = {literal(CONTRADICTION)}"
    )
    return VETOES
