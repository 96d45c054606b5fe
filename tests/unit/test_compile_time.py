"""Compiling costs in proportion to the fields there are: four times the fields, about four times the time."""

from __future__ import annotations

from tests.bench.bench_compile import seconds


def test_time_grows_with_the_fields_and_not_with_their_square():
    def cost(fields: int) -> float:
        return min(sum(seconds(1, fields).values()) for _ in range(3))

    assert cost(400) / cost(100) < 8  # in proportion: 4; with the square: 16
