"""Average linkage under constraints, in rounds over arrays: which records of a component are one when not all agree.

Two clusters are as near as the mean weight, in bits, of all pairs between them; a pair that nobody scored counts as a
weak 'no' (`Guard.missing`). In each round every cluster looks at its nearest neighbour, and those that are each other's
nearest are joined, all at once. Two clusters are neighbours only when an automatic edge lies between them, nothing
forbids it, and the mean is not below `stop`. So a chain or one lucky edge does not join two groups, and what is forbidden is
forbidden for whole clusters.

Weights are whole numbers (thousandths of a bit), so that sums do not depend on the order of addition, and equals are told
apart by the numbers of the records, which the caller gives out by their ids: the order of rows changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

GRAIN = 1000
"""Parts of a bit that weights are counted in."""

NEVER = -(10**9)
"""A `stop` that holds nothing apart."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What a cluster must be like, in bits of match weight (log2 of the odds)."""

    missing: float = -3.0
    """Weight of a pair that has no edge: blocking did not bring it together, or its score was below the review band. Odds of
    1:8 are a weak 'no', so that sparse blocking does not part a true cluster, and one edge does not hold two groups of five."""
    stop: float = -2.0
    """Mean weight below which two clusters stay apart. Between `missing` and 0: one good edge may outvote a few missing ones."""
    tighter: tuple[float, ...] = (0.0, 4.0, 8.0, 16.0)
    """Where to stop instead when a cluster came out larger than allowed, one after the other until its parts fit."""

    @property
    def scale(self) -> tuple[int, int]:
        """`missing` and `stop` in grains."""
        return round(self.missing * GRAIN), round(self.stop * GRAIN)


GUARD = Guard()
"""Measured on labelled sets: best of all settings where connected components made one cluster of thousands."""


@dataclass(frozen=True, slots=True)
class Edges:
    """Pairs of nodes: ends, weight (grains), and whether the edge may join them (or only counts in the mean)."""

    one: Ints
    other: Ints
    weight: Ints
    joins: Flags


@dataclass(frozen=True, slots=True)
class Forbidden:
    """What may not come together: pairs of nodes, and one array a kind of claim (value by node, 0 for none)."""

    one: Ints
    other: Ints
    claims: tuple[Ints, ...] = ()

    def moved(self, home: Ints) -> Forbidden:
        """The same for clusters: `home` is each node's cluster."""
        one, other = _ordered(home[self.one], home[self.other])
        claims = []
        for values in self.claims:
            merged = np.zeros_like(values)
            np.maximum.at(merged, home, values)
            claims.append(merged)
        return Forbidden(one, other, tuple(claims))

    def hits(self, one: Ints, other: Ints, nodes: int) -> Flags:
        """Which of the pairs are forbidden."""
        found = np.isin(one * nodes + other, self.one * nodes + self.other)
        for values in self.claims:
            a, b = values[one], values[other]
            found |= (a != b) & (a != 0) & (b != 0)
        return found


def link(sizes: Ints, edges: Edges, forbidden: Forbidden, missing: int, stop: int) -> Ints:
    """Each node's cluster, called by its smallest node; `sizes` are the records a node stands for.

    `missing` and `stop` are in grains.
    """
    nodes, sizes = len(sizes), sizes.copy()
    home = np.arange(nodes, dtype=np.int64)
    edges = _summed(replace(edges, weight=edges.weight - missing), home)
    forbidden = forbidden.moved(home)
    while True:
        possible = edges.joins & ~forbidden.hits(edges.one, edges.other, nodes)
        mean = edges.weight / (sizes[edges.one] * sizes[edges.other])
        at = np.flatnonzero(possible & (mean >= stop - missing))
        if not at.size:
            return home
        at = at[np.lexsort((edges.other[at], edges.one[at], -mean[at]))]
        chosen = at[_mutual(edges.one[at], edges.other[at], nodes)]
        step = np.arange(nodes, dtype=np.int64)
        step[edges.other[chosen]] = edges.one[chosen]
        sizes[edges.one[chosen]] += sizes[edges.other[chosen]]
        home = step[home]
        edges, forbidden = _summed(edges, step), forbidden.moved(step)


def _mutual(one: Ints, other: Ints, nodes: int) -> Flags:
    """Of pairs in order of nearness, those that are the first of both their ends."""
    rank = np.arange(len(one), dtype=np.int64)
    first = np.full(nodes, len(one), dtype=np.int64)
    # of several values for one place the last one written stays
    ends = np.stack((one, other), axis=1)[::-1].ravel()
    first[ends] = np.repeat(rank[::-1], 2)
    mutual: Flags = (first[one] == rank) & (first[other] == rank)
    return mutual


def _summed(edges: Edges, home: Ints) -> Edges:
    """Edges between clusters: weights added up, those inside a cluster gone."""
    one, other = _ordered(home[edges.one], home[edges.other])
    order = np.lexsort((other, one))
    order = order[one[order] != other[order]]
    one, other = one[order], other[order]
    if not order.size:
        return Edges(one, other, edges.weight[order], edges.joins[order])
    new = np.flatnonzero(np.concatenate(([True], (one[1:] != one[:-1]) | (other[1:] != other[:-1]))))
    weight = np.add.reduceat(edges.weight[order], new)
    joins = np.logical_or.reduceat(edges.joins[order], new)
    return Edges(one[new], other[new], weight, joins)


def _ordered(one: Ints, other: Ints) -> tuple[Ints, Ints]:
    return np.minimum(one, other), np.maximum(one, other)
