"""Where the files of datasets are kept besides the folder of this machine: nowhere, or in a place that outlives it.

All paths are those that a file has on this machine, or would have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, overload


class Wanted(Protocol):
    """A file that somebody is about to read."""

    @property
    def place(self) -> Path:
        """Where it belongs on this machine."""
        ...

    @property
    def bytes(self) -> int:
        """Its size."""
        ...


@dataclass(frozen=True, slots=True)
class File:
    """A file, with what is known of it."""

    place: Path
    bytes: int


class Depot(Protocol):
    """A place for files that never change; what it raises is `FatalError`, `RetryableError` or `SafetyStop`."""

    def named(self, file: str) -> str:
        """What a new file is to be called, where this would do on one machine."""
        ...

    def put(self, path: Path) -> None:
        """Keep a finished file of this machine, whole; when this returns it outlives the machine."""
        ...

    def bring(self, files: Sequence[Wanted]) -> None:
        """Have files on this machine, each whole with its size or not at all."""
        ...

    def sizes(self, folder: Path) -> Mapping[str, int]:
        """Name → bytes of what is kept of a folder."""
        ...

    def open(self, path: Path) -> BinaryIO:
        """Read a file where it is; for a few bytes of it."""
        ...

    def url(self, path: Path) -> str | None:
        """Under which name a cluster reads a file without this machine; None when it cannot."""
        ...

    def settle(self, path: Path) -> None:
        """Make what a cluster wrote there outlive a failure, where that takes anything."""
        ...

    def claim(self, identity: str, vouched: Callable[[], Sequence[Wanted]]) -> None:
        """Make sure that the place is this ledger's; one that is new gets what the ledger vouches for and this machine has."""
        ...

    def sweep(self, known: Mapping[str, Set[str]]) -> None:
        """Remove what is of no dataset (id → names of its files); only in a place that is claimed."""
        ...

    def delete(self, path: Path) -> None:
        """Remove a file or a folder, if it is there."""
        ...


def is_here(item: Wanted) -> bool:
    """Whether a file is on this machine with its size."""
    try:
        return item.place.stat().st_size == item.bytes
    except OSError:
        return False


class OnlyHere:
    """No other place: the folder of this machine is all there is."""

    def named(self, file: str) -> str:
        """As it is."""
        return file

    def put(self, path: Path) -> None:
        """It is kept where it is."""

    def bring(self, files: Sequence[Wanted]) -> None:
        """What is not here is nowhere, which its reader will tell."""

    def sizes(self, folder: Path) -> Mapping[str, int]:
        """Nothing besides."""
        del folder
        return {}

    def open(self, path: Path) -> BinaryIO:
        """The file."""
        return path.open("rb")

    def url(self, path: Path) -> str | None:
        """A cluster must reach the folder itself."""
        del path
        return None

    def settle(self, path: Path) -> None:
        """Clusters write nowhere else."""

    def claim(self, identity: str, vouched: Callable[[], Sequence[Wanted]]) -> None:
        """The folder has a mark of its own."""

    def sweep(self, known: Mapping[str, Set[str]]) -> None:
        """Nothing besides."""

    def delete(self, path: Path) -> None:
        """Nothing besides."""


ONLY_HERE = OnlyHere()
SCRATCH = ".spark"
"""Folder beside those of datasets, for what a cluster makes and nobody keeps; `sweep` takes what a killed run left."""


class Files(Sequence[Path]):
    """Paths of files, brought here as they are read; `places` and the number of them cost nothing."""

    def __init__(self, wanted: Sequence[Wanted], depot: Depot) -> None:
        self._wanted = tuple(wanted)
        self._depot = depot

    @property
    def places(self) -> tuple[Path, ...]:
        """Where the files belong on this machine, whether they are there or not."""
        return tuple(item.place for item in self._wanted)

    @property
    def wanted(self) -> tuple[Wanted, ...]:
        """The files with their sizes."""
        return self._wanted

    @property
    def depot(self) -> Depot:
        """Where they come from."""
        return self._depot

    @property
    def smallest(self) -> Files:
        """The one that is brought soonest."""
        return Files(sorted(self._wanted, key=lambda item: item.bytes)[:1], self._depot)

    @property
    def are_here(self) -> bool:
        """Whether none of them would have to be brought."""
        return all(is_here(item) for item in self._wanted)

    def __len__(self) -> int:
        return len(self._wanted)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> Files: ...
    def __getitem__(self, index: int | slice) -> Path | Files:
        if isinstance(index, slice):
            return Files(self._wanted[index], self._depot)
        self._depot.bring([self._wanted[index]])
        return self._wanted[index].place

    def __iter__(self) -> Iterator[Path]:
        self._depot.bring(self._wanted)
        return iter(self.places)

    def __eq__(self, other: object) -> bool:
        paths = other.places if isinstance(other, Files) else other
        return isinstance(paths, tuple) and self.places == paths

    def __hash__(self) -> int:
        return hash(self.places)
