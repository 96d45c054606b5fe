"""One column for one field: the assignment that is best as a whole, not line by line."""

from __future__ import annotations

from collections.abc import Mapping

_STEEP = 3
"""Confidences are raised to this power: one sure line is worth more than two that are half sure."""


def assign(scores: Mapping[tuple[str, str], float]) -> dict[str, str]:
    """Target field → source column, each at most once, from the confidences of (source, target) pairs above 0.

    Pairs that tie are settled by the order they are given in.
    """
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    sources = list(dict.fromkeys(source for source, _ in scores))
    targets = list(dict.fromkeys(target for _, target in scores))
    rows = {name: at for at, name in enumerate(sources)}
    columns = {name: at for at, name in enumerate(targets)}
    worth = np.zeros((len(sources), len(targets)))
    for (source, target), confidence in scores.items():
        worth[rows[source], columns[target]] = confidence**_STEEP
    chosen = zip(*linear_sum_assignment(worth, maximize=True), strict=True)
    return {targets[to]: sources[at] for at, to in chosen if (sources[at], targets[to]) in scores}
