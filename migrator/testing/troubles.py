"""What can go wrong with a call to a system, and when: troubles, and schedules of them, for the wrappers of `faults`."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from migrator.core.errors import ConnectorError, FatalError, RetryableError


class Trouble(Enum):
    """What goes wrong with one call. 'Lost' means that a `RetryableError` is raised and the fate of the call unknown."""

    TIMEOUT_BEFORE = "timeout before commit"
    """Nothing is written; the answer is lost."""
    TIMEOUT_AFTER = "timeout after commit"
    """Everything is written; the answer is lost."""
    PARTIAL = "partly written"
    """The first rows are written; the answer is lost."""
    RESET = "connection reset"
    """Every second row is written; the answer is lost."""
    EXPIRED = "token expired in mid-call"
    """The first rows are written, then the session ends; the next call signs in again."""
    REVOKED = "credentials revoked in mid-call"
    """The first rows are written, then nothing works until a person acts: a `FatalError`."""
    THROTTLED = "429"
    """Refused unread, without a hint."""
    THROTTLED_HINT = "429 with a hint"
    """Refused unread, with the seconds to wait."""
    UNAVAILABLE = "503"
    """Refused unread: the server is down."""
    REFUSED = "some rows refused"
    """Every second row is refused for no reason of its own; the others are written. All answers come."""
    SHUFFLED = "answers shuffled"
    """All is well but for the order."""
    REPEATED = "answers twice"
    """All is written, and the answer of one row comes twice."""
    STRANGER = "an answer too many"
    """All is written, and an answer comes for a row that nobody sent."""
    SILENT = "an answer too few"
    """All is written, and one row has no answer."""


LOST = frozenset(
    {
        Trouble.TIMEOUT_BEFORE, Trouble.TIMEOUT_AFTER, Trouble.PARTIAL, Trouble.RESET, Trouble.EXPIRED, Trouble.REVOKED,
        Trouble.THROTTLED, Trouble.THROTTLED_HINT, Trouble.UNAVAILABLE,
    }
)  # fmt: skip
"""Troubles of a whole call: it raises. They can befall reads too."""
MISTOLD = frozenset({Trouble.REPEATED, Trouble.STRANGER, Trouble.SILENT})
"""Answers that cannot be true: a connector's or a server's fault that nobody may gloss over."""
REFUSED_CODE = "sandbox.refused"
"""Code of a row refused by `Trouble.REFUSED`."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One trouble, with its measure."""

    trouble: Trouble
    share: float = 0.5
    """How much of the rows is written before a call breaks."""
    retry_after: float = 30.0
    """Seconds, for `THROTTLED_HINT`."""

    def error(self, what: str) -> ConnectorError:
        """As a connector would raise it."""
        match self.trouble:
            case Trouble.THROTTLED:
                return RetryableError(f"{what}: 429 Too Many Requests", throttled=True)
            case Trouble.THROTTLED_HINT:
                return RetryableError(
                    f"{what}: 429 Too Many Requests", retry_after=self.retry_after, throttled=True
                )
            case Trouble.REVOKED:
                return FatalError(f"{what}: 401 the credentials were revoked", hint="sign in again")
            case _:
                return RetryableError(f"{what}: {self.trouble.value}")


@dataclass(frozen=True, slots=True)
class Asked:
    """One call that a wrapped connector was asked for, or one page of a read."""

    number: int
    """How many calls of this verb there were, this one counted."""
    verb: str
    """'upsert', 'update', 'delete', 'fetch', 'read', 'prepare' or 'describe'."""
    object: str
    keys: tuple[str, ...]
    """External keys of the rows sent or asked for; of a page of a read, where the read began and which page it is."""
    attempt: int
    """How often exactly this was asked for, from 1."""


Schedule = Callable[[Asked], Fault | None]
"""Says which fault, if any, befalls a call."""
WRITES = frozenset({"upsert", "update", "delete"})


def never(asked: Asked) -> Fault | None:  # noqa: ARG001 (a schedule)
    """All goes well."""
    return None


def always(fault: Fault, verbs: frozenset[str] = WRITES) -> Schedule:
    """The fault befalls every call, until `heal`."""
    return lambda asked: fault if asked.verb in verbs else None


def first_attempt(fault: Fault, verbs: frozenset[str] = WRITES) -> Schedule:
    """The fault befalls every call once; the same call passes when it is made again."""
    return lambda asked: fault if asked.verb in verbs and asked.attempt == 1 else None


def on_calls(faults: Mapping[int, Fault], verbs: frozenset[str] = WRITES) -> Schedule:
    """Faults by the number of the call among those of its verb, from 1."""
    return lambda asked: faults.get(asked.number) if asked.verb in verbs else None


def by_chance(
    seed: int,
    share: float,
    troubles: Sequence[Trouble] = tuple(sorted(LOST - {Trouble.REVOKED}, key=lambda item: item.value)),
    *,
    verbs: frozenset[str] = WRITES | {"fetch"},
    in_a_row: int = 2,
) -> Schedule:
    """A share of all calls meets a trouble drawn by lot, the same for the same seed; none more than `in_a_row` times."""

    def fault(asked: Asked) -> Fault | None:
        if asked.verb not in verbs or asked.attempt > in_a_row:
            return None
        drawn = random.Random(f"{seed} {asked.verb} {asked.number}")  # noqa: S311 (no secret)
        return Fault(drawn.choice(troubles), drawn.random()) if drawn.random() < share else None

    return fault


class Watched:
    """Counts calls and asks the schedule; calls may come from several threads."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._mutex = threading.Lock()
        self._numbers: Counter[str] = Counter()
        self._attempts: Counter[tuple[str, str, tuple[str, ...]]] = Counter()
        self._befell: Counter[Trouble] = Counter()

    def fault(self, verb: str, object_name: str, keys: Sequence[str] = ()) -> Fault | None:
        """What befalls this call."""
        named = (verb, object_name, tuple(keys))
        with self._mutex:
            self._numbers[verb] += 1
            self._attempts[named] += 1
            asked = Asked(self._numbers[verb], *named, self._attempts[named])
            found = self._schedule(asked)
            if found is not None:
                self._befell[found.trouble] += 1
        return found

    def befell(self) -> dict[Trouble, int]:
        """How often each trouble came so far."""
        with self._mutex:
            return dict(self._befell)

    def change(self, schedule: Schedule) -> None:
        """From now on this is the schedule."""
        self._schedule = schedule
