"""The law of unmerging: a merge that was taken back leaves nothing behind in the target, whenever it was made."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.core.clock import SystemClock
from migrator.core.mapped import Link
from migrator.testing.memory import MemoryTarget
from tests.load_world import Rows, mapped_object, put, world

pytestmark = pytest.mark.live
FIRM = mapped_object("firm", "key name", links=[Link("parent", ("firm",), deferred=True)], dedupe=True)
CHILD = mapped_object(
    "child", "key", links=[Link("about", ("firm", "child"), deferred=True), Link("firm", ("firm",))]
)
GROUPS = ((FIRM,), (CHILD,))
FIRMS = [f"f{n}" for n in range(5)]
FIRM_LINK = st.none() | st.sampled_from([f"firm/s:{one}" for one in FIRMS])
MERGE = st.lists(st.sampled_from(FIRMS), max_size=4).map(lambda of: dict(zip(FIRMS[1:], of, strict=False)))


def merge_of(wanted: dict[str, str]) -> dict[str, str]:
    """Member → survivor, where no survivor is itself merged."""
    survivors = set(wanted.values())
    return {one: into for one, into in wanted.items() if one not in survivors and one != into}


@settings(max_examples=20, deadline=None)
@given(
    st.lists(FIRM_LINK, min_size=5, max_size=5),
    st.lists(st.tuples(FIRM_LINK, FIRM_LINK), max_size=4),
    MERGE,
    st.booleans(),
)
def test_a_merge_taken_back_leaves_nothing_behind(
    parents: list[str | None], links: list[tuple[str | None, str | None]], wanted: dict[str, str], first: bool
) -> None:
    """Whether or not the members were in the target before they were merged."""
    values = {one: {"name": one, "parent": parent} for one, parent in zip(FIRMS, parents, strict=True)}
    own = Rows(values)
    children = Rows({f"c{n}": {"firm": firm, "about": about} for n, (firm, about) in enumerate(links)})
    once, again = MemoryTarget(), MemoryTarget()
    for target, lives in (
        (once, [own]),
        (again, [*([own] * first), Rows(values, merged=merge_of(wanted)), own]),
    ):
        with tempfile.TemporaryDirectory() as folder, world(Path(folder), SystemClock()) as here:
            put(here, CHILD, children)
            for firms in lives:
                put(here, FIRM, firms)
                assert here.run(target, GROUPS).refused == 0
    assert content(again) == content(once)


def content(target: MemoryTarget) -> dict[str, dict[str, dict[str, Any]]]:
    """Object → key → record; links are keys there."""
    return {
        name: {row["key"]: row for page in target.read(name) for row in page.to_pylist()}
        for name in ("T firm", "T child")
    }
