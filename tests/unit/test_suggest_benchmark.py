"""Suggested mappings stay as good as docs/mapping.md says: floors of precision and recall over labelled pairs, and look-alikes."""

from __future__ import annotations

from functools import reduce
from operator import add

import pytest

from tests.bench.suggest import Score, cases, judge, look_alikes, ours, plain_names, taken_for_the_same


def total(*, held_out: bool) -> Score:
    return reduce(add, (judge(case, ours)[0] for case in cases() if case.held_out is held_out))


@pytest.mark.parametrize(
    ("held_out", "precision", "recall", "top"), [(False, 0.95, 0.92, 0.96), (True, 0.95, 0.94, 0.97)]
)
def test_precision_and_recall_have_a_floor(
    held_out: bool, precision: float, recall: float, top: float
) -> None:
    found = total(held_out=held_out)
    assert found.gold > 100
    assert found.precision >= precision
    assert found.recall >= recall
    assert found.top >= top


def test_it_is_better_than_names_alone_on_every_pair_together() -> None:
    baseline = reduce(add, (judge(case, plain_names)[0] for case in cases()))
    assert total(held_out=False).f1 > baseline.f1
    assert total(held_out=True).f1 > baseline.f1


def test_look_alikes_are_told_apart() -> None:
    pairs = look_alikes()
    taken = [pair for pair in pairs if taken_for_the_same(pair, ours)]
    assert sum(not pair.same for pair in pairs) > 50
    assert [pair.words for pair in taken if not pair.same and "Amount" not in pair.words][1:] == []
    assert sum(pair.same for pair in taken) >= 14
