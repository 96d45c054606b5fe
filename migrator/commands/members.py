"""The binary members that an extract kept, opened for a target that takes them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

from migrator.core.connector import FileTarget, Target
from migrator.core.errors import FatalError

_REFERENCE = re.compile(r"sha256:([0-9a-f]{64})")


def give_files(target: Target, folder: Path) -> None:
    """Let a target that takes files open those of a project's folder of members; another target is left alone."""
    if isinstance(target, FileTarget):
        target.take_files(lambda reference: open_member(folder, reference))


def open_member(folder: Path, reference: str) -> BinaryIO:
    """The bytes that 'sha256:<hex>' names; raises `FatalError` when they are not there."""
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        raise FatalError(
            f"{reference[:80]!r} names no member of this project",
            hint="a FILE field takes the value of a FILE field as it is: map it with from: alone",
        )
    path = folder / found[1][:2] / found[1]
    try:
        return path.open("rb")
    except OSError as error:
        raise FatalError(
            f"the member {reference} cannot be opened: {error.strerror}", hint="extract the object anew"
        ) from error
