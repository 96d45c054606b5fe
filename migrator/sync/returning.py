"""Records with a tombstone that are there again: which of them came back, and what that is called."""

from __future__ import annotations

from migrator.sync.erasing import KEPT
from migrator.sync.life import is_later
from migrator.sync.state import Tombstone

UNDELETE, ERASED = "undelete", "erased"
"""Kinds of holds: a person decides what becomes of what users brought back; who was erased is to be erased again."""


def is_back(stone: Tombstone | None, version: str) -> bool:
    """Whether a record that is there with this version has come back, and is no echo of what it was when it died."""
    if stone is None:
        return True
    if stone.key_hash:
        return not stone.key_hash.startswith(KEPT)
    return is_later(version, stone.version)


def learns_version(stone: Tombstone | None) -> bool:
    """Whether it died with a version that nobody knows: what is seen first is taken for it."""
    return stone is not None and not stone.version and not stone.key_hash


def hold_kind(stone: Tombstone | None) -> str:
    """What the hold of a record that came back is called."""
    return ERASED if stone is not None and stone.key_hash else UNDELETE
