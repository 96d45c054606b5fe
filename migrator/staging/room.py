"""Room on disk: what somebody is about to write, added up by file system, and refused before it begins where it does not fit."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from migrator.core.errors import FatalError

ASKED_FROM = 256 << 20
"""Bytes that are not worth asking for: a disk on which so little does not fit is told when it is full."""
RESERVE = 0.05
"""Of what is asked for, left free besides: estimates are such, and a disk that is quite full is slow."""


class RoomCheck(Enum):
    """What becomes of a step whose disk is likely to be too small."""

    REFUSE = "refuse"
    """It does not begin."""
    BEGIN = "begin"
    """It begins; a disk that fills up is told then, and what was written whole is kept."""


@dataclass(frozen=True, slots=True)
class Claim:
    """So many bytes are about to be written below `place`."""

    what: str
    place: Path
    bytes: int


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system: which one it is, and what is free on it for this user."""

    device: int
    free: int


LookAt = Callable[[Path], Disk]


def look_at(place: Path) -> Disk:
    """The file system of a path that need not exist yet."""
    there = next(path for path in (place, *place.absolute().parents) if path.exists())
    return Disk(there.stat().st_dev, shutil.disk_usage(there).free)


@dataclass(frozen=True, slots=True)
class Shortage:
    """What is wanted of one file system, and what is free there."""

    claims: tuple[Claim, ...]
    wanted: int
    free: int


def shortages(claims: Sequence[Claim], look: LookAt = look_at) -> Iterator[Shortage]:
    """File systems on which the claims do not fit together with the reserve."""
    found: dict[int, list[Claim]] = {}
    free: dict[int, int] = {}
    for claim in claims:
        disk = look(claim.place)
        found.setdefault(disk.device, []).append(claim)
        free[disk.device] = disk.free
    for device, here in found.items():
        wanted = sum(claim.bytes for claim in here)
        if wanted >= ASKED_FROM and wanted * (1 + RESERVE) > free[device]:
            yield Shortage(tuple(claim for claim in here if claim.bytes), wanted, free[device])


def refuse_without_room(step: str, claims: Sequence[Claim], look: LookAt = look_at) -> None:
    """Raise `FatalError` when a step would fill a disk: where, how much it wants, how much there is, what to do."""
    found = tuple(shortages(claims, look))
    if not found:
        return
    told = "; ".join(
        f"{step} is about to write {amount(item.wanted)}"
        f" ({', '.join(f'{claim.what} {amount(claim.bytes)} in {claim.place}' for claim in item.claims)}),"
        f" and {amount(item.free)} are free on that disk"
        for item in found
    )
    raise FatalError(
        told,
        hint="free some room; or let .migrator be a link to a larger disk, or name one for spills (engine.temp_directory in"
        " migration.yaml); the estimate errs on the safe side: to begin all the same, migrator --any-disk …",
    )


def amount(size: float) -> str:
    """Bytes as a person reads them."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if size >= 10 or unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
