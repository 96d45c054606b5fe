"""Deaths without replay: at each point of a run the process forks; the copy dies there and lives on from what was committed, this one goes on."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import traceback
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

PATIENCE = 300
"""Seconds that a copy may take before it is taken for one that hangs."""


class Store(Protocol):
    """The store of the code under test."""

    def image(self) -> bytes:
        """What is committed now."""
        ...

    def move(self, image: bytes) -> None:
        """From now on this is another process: its store is a new one with that content, and the old one is left alone."""
        ...


@dataclass(frozen=True, slots=True)
class Death:
    """What came of dying at some points of one run."""

    at: tuple[int, ...]
    name: str
    """What was about to happen at the last of them."""
    violations: tuple[Any, ...]
    end: str = ""
    """A digest of all that ever happened, up to the end."""


@dataclass(slots=True)
class Twins:
    """Forks at every point from `first` on, each `step`; a copy forks again at each of the `nested` points after its own death."""

    nested: int = 0
    step: int = 1
    first: int = 1
    found: list[Death] = field(default_factory=list)
    """What copies told, in the order of their points."""
    at: tuple[int, ...] = ()
    """Points at which this process died; none: it is the first one."""
    name: str = ""
    names: dict[str, int] = field(default_factory=dict)
    """Names of the points that the first process passed, and how often; with a step of one it died at each."""
    _tells: int = -1

    def dies(self, point: int, name: str, store: Store) -> bool:
        """Whether this process dies here: the copy does, once the one that goes on has heard what became of it."""
        self.names[name] = self.names.get(name, 0) + 1
        if not self._is_due(point):
            return False
        image = store.image()
        gc.freeze()  # or each copy would copy all memory in its first collection
        reads, tells = os.pipe()
        child = os.fork()
        if child:
            gc.unfreeze()
            os.close(tells)
            self.found += self._told(child, reads, (*self.at, point), name)
            return False
        os.close(reads)
        signal.alarm(PATIENCE)
        self.found, self.at, self.name, self._tells = [], (*self.at, point), name, tells
        store.move(image)
        return True

    def _is_due(self, point: int) -> bool:
        if not self.at:
            return point >= self.first and (point - self.first) % self.step == 0
        return len(self.at) == 1 and point - self.at[0] <= self.nested

    @staticmethod
    def _told(child: int, reads: int, at: tuple[int, ...], name: str) -> list[Death]:
        with os.fdopen(reads, "rb") as pipe:
            text = pipe.read()
        os.waitpid(child, 0)
        if not text:
            return [Death(at, name, ("broke down: the copy ended without a word; see above",))]
        found: list[Death] = pickle.loads(text)  # noqa: S301 (written by a copy of this very process)
        return found

    @property
    def is_copy(self) -> bool:
        """Whether this process died once."""
        return bool(self.at)

    def end(self, death: Death | None) -> NoReturn:
        """Tell the process this one was copied from what came of it, and end; without that it broke down, and tells nothing."""
        if death is None:
            traceback.print_exc()
            sys.stderr.flush()
        else:
            with os.fdopen(self._tells, "wb") as pipe:
                pipe.write(pickle.dumps([death, *self.found]))
        os._exit(0)
