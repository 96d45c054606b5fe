"""The seeded-corruption proof at a small size: no alarm on clean rows, every planted fault named, nothing else named."""

from __future__ import annotations

from pathlib import Path

from tests.corruption.faults import FAULTS, RECORD_FAULTS
from tests.corruption.proof import compare, prove
from tests.corruption.world import make_world


def test_every_planted_fault_is_named_and_nothing_else(tmp_path: Path) -> None:
    world = make_world(tmp_path, 12_000)
    clean, found = compare(world)
    assert clean.expected > 11_900
    assert not found
    proof = prove(world, 2)
    assert not proof.missed, proof.table()
    assert not proof.false_alarms
    assert len(FAULTS) + len(RECORD_FAULTS) == len(proof.planted) >= 50
