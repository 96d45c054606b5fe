"""The loader against a real server with a published limit: nearly all of it is used, and nearly nothing refused.

Short; `python -m tests.bench.bench_rate` measures the same for minutes.
"""

from __future__ import annotations

import pytest

from migrator.core.connector import Rate
from tests.bench.bench_rate import Case, measure

pytestmark = pytest.mark.live


def test_a_published_limit_is_used_and_kept() -> None:
    assert measure(Case("100 calls / 2 s", (Rate(100, 2.0),), 520, 0.02, 4, 4))
