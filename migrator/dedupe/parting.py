"""One batch of doubtful components taken apart, as arrays: exact agreement, then scores, then what is too large after all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from migrator.dedupe.linkage import GRAIN, NEVER, Edges, Flags, Forbidden, Guard, Ints, link


@dataclass(frozen=True, slots=True)
class Batch:
    """Doubtful components as arrays; nodes are records, and what people joined is one of them."""

    node: Ints
    """By record: the node that stands for it."""
    exact: Edges
    scored: Edges
    forbidden: Forbidden


@dataclass(frozen=True, slots=True)
class Found:
    """By record: its cluster, and the cluster that is too large to be one (-1: none)."""

    cluster: Ints
    large: Ints
    kept_apart: int


def part(batch: Batch, most: int, guard: Guard) -> Found:
    """Exact agreement first, however long its chains; then scores. What comes out too large is taken apart again."""
    nodes = len(batch.node)
    large = np.full(nodes, -1, dtype=np.int64)
    sizes = np.bincount(batch.node, minlength=nodes).astype(np.int64)
    agreed = link(sizes, batch.exact, batch.forbidden, 0, NEVER)
    agreed, large = _without_large(agreed, np.arange(nodes, dtype=np.int64), sizes, large, most)
    sizes = np.bincount(agreed, weights=sizes, minlength=nodes).astype(np.int64)
    scored = _within(batch.scored, agreed, large < 0)
    home = _link_scored(sizes, scored, batch.forbidden.moved(agreed), most, guard)
    home, large = _without_large(home[agreed], agreed, np.bincount(batch.node, minlength=nodes), large, most)
    cluster = home[batch.node]
    return Found(cluster, large[batch.node], _count_apart(batch, home, large))


def _link_scored(sizes: Ints, edges: Edges, forbidden: Forbidden, most: int, guard: Guard) -> Ints:
    """Average linkage, tighter and tighter for what comes out larger than allowed."""
    missing, stop = guard.scale
    home = link(sizes, edges, forbidden, missing, stop)
    for tighter in guard.tighter:
        large = (np.bincount(home, weights=sizes, minlength=len(home)) > most)[home]
        if not large.any():
            break
        inside = large[edges.one] & (home[edges.one] == home[edges.other])
        again = link(sizes, _chosen(edges, inside), forbidden, missing, round(tighter * GRAIN))
        home = np.where(large, again, home)
    return home


def _within(edges: Edges, home: Ints, free: Flags) -> Edges:
    """Edges between clusters of `home`, those with an end that is not free left out."""
    moved = Edges(home[edges.one], home[edges.other], edges.weight, edges.joins)
    return _chosen(moved, free[edges.one] & free[edges.other])


def _chosen(edges: Edges, which: Flags) -> Edges:
    return Edges(edges.one[which], edges.other[which], edges.weight[which], edges.joins[which])


def _without_large(home: Ints, base: Ints, sizes: Ints, large: Ints, most: int) -> tuple[Ints, Ints]:
    """Take clusters of more than `most` records apart again, into what `base` made; what was one before stays one."""
    heads = np.flatnonzero(sizes > 0)
    heads = np.unique(base[heads])
    several = np.bincount(home[heads], minlength=len(home)) > 1
    too_large = (several & (np.bincount(home, weights=sizes, minlength=len(home)) > most))[home]
    return np.where(too_large, base, home), np.where(too_large & (large < 0), home, large)


def _count_apart(batch: Batch, home: Ints, large: Ints) -> int:
    count = 0
    for edges in (batch.exact, batch.scored):
        one, other = edges.one[edges.joins], edges.other[edges.joins]
        count += int(((home[one] != home[other]) & (large[one] < 0) & (large[other] < 0)).sum())
    return count
