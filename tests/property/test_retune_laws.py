"""Laws of retuning: no decisions change nothing, few change little, order does not matter, doubt never lowers a band."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.dedupe.retune import LOOKED_AT, Decided, WeightBands, retune

BANDS = WeightBands(2.0, 8.0)
SAID = st.lists(
    st.builds(Decided, st.floats(-40, 60).map(lambda bits: round(bits, 3)), st.booleans()), max_size=60
)


def test_without_decisions_nothing_moves() -> None:
    assert retune([], BANDS) == BANDS


@settings(max_examples=60)
@given(SAID, st.randoms(use_true_random=False))
def test_the_order_of_decisions_does_not_matter(said: list[Decided], chance: random.Random) -> None:
    mixed = list(said)
    chance.shuffle(mixed)
    assert retune(mixed, BANDS) == retune(said, BANDS)


@settings(max_examples=60)
@given(SAID, st.data())
def test_one_more_different_pair_lowers_neither_band(said: list[Decided], data: st.DataObject) -> None:
    if not said:
        return
    at = data.draw(st.integers(0, len(said) - 1))
    doubted = [replace(item, same=item.same and number != at) for number, item in enumerate(said)]
    before, after = retune(said, BANDS), retune(doubted, BANDS)
    assert after.automatic >= before.automatic - 1e-9
    assert after.review >= before.review - 0.011  # rounding
    assert after.review <= after.automatic


@settings(max_examples=60)
@given(SAID)
def test_nothing_called_different_falls_into_what_becomes_automatic(said: list[Decided]) -> None:
    bands = retune(said, BANDS)
    fallen = [item for item in said if not item.same and bands.automatic <= item.weight < BANDS.automatic]
    assert fallen == []


def test_few_decisions_move_little_and_many_move_as_far_as_they_bear_out() -> None:
    wrong = Decided(10.0, same=False)
    assert BANDS.automatic < retune([wrong], BANDS).automatic < BANDS.automatic + 1
    assert retune([wrong] * 40, BANDS).automatic > 15
    # a model that is right by 3 bits less than it thinks: of pairs of 6 bits, people call 8 of 9 the same
    humble = [Decided(6.0, same=number % 9 != 0) for number in range(450)]
    assert retune(humble, BANDS).automatic == pytest.approx(BANDS.automatic + 3, abs=0.2)


def test_the_automatic_band_comes_down_only_where_enough_was_looked_at() -> None:
    few = [Decided(7.5, same=True)] * (LOOKED_AT - 1) + [Decided(3.0, same=True)] * 200
    assert retune(few, BANDS).automatic == BANDS.automatic
    assert retune([*few, Decided(7.5, same=True)], BANDS).automatic < 7.5
    stopped = retune([*few, Decided(7.5, same=True), Decided(7.0, same=False)], BANDS)
    assert stopped.automatic == 7.01


def test_the_review_band_does_not_rise_over_a_pair_called_the_same() -> None:
    said = [Decided(5.0, same=False)] * 50
    assert retune(said, BANDS).review > 5
    assert retune([*said, Decided(3.0, same=True)], BANDS).review == 3.0
