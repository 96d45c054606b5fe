"""Every error of the toolkit, grouped by what its reader does next.

::

    MigratorError                 the root; the command line catches this and nothing else
    ├── ProjectError              your files or arguments are wrong: all problems, each with its place   exit 2
    ├── ConnectorError
    │   ├── FatalError            it will fail again: credentials, permission, no such object, disk      exit 3
    │   │   ├── CallRefused       nothing of the call was written: one of its rows may be why
    │   │   └── WatermarkExpired  the system forgot what changed since: a full comparison is due
    │   └── RetryableError        the same call may work later                                           exit 4
    ├── DataError                 rows refused or expectations not met; the run itself is complete       exit 1
    └── SafetyStop                we would not go on: a person must decide                               exit 5

Any other exception is a bug: exit 70, with a crash file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """How much a problem weighs: an error stops the command, a warning is shown and the command goes on."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A place in a file a person can jump to; lines and columns count from 1, and 0 means "the file as a whole"."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}" if self.column else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, what, and what to do about it."""

    location: Location
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR
    code: str = ""
    """Stable name of a warning, so that a mapping can accept it; '' for errors."""

    def __str__(self) -> str:
        text = f"{self.location}: {self.message}"
        return f"{text}\n    {self.hint}" if self.hint else text


class MigratorError(Exception):
    """The root of all errors that are not bugs; `exit_code` is what the process ends with."""

    exit_code: int = 70

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n    {self.hint}" if self.hint else self.message


class ProjectError(MigratorError):
    """The user's files or arguments are wrong; carries every problem found, not only the first."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(dict.fromkeys(problems))  # one place may be read for several sources
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @classmethod
    def at(cls, location: Location | str, message: str, hint: str = "") -> ProjectError:
        """One problem at one place."""
        place = location if isinstance(location, Location) else Location(location)
        return cls([Problem(place, message, hint)])


class ConnectorError(MigratorError):
    """A system we read or write did not do what was asked; `system` names it when known."""


class FatalError(ConnectorError):
    """It will fail again until somebody changes something: credentials, permission, no such object, a full disk."""

    exit_code = 3


class CallRefused(FatalError):
    """The system refused a whole call and wrote nothing of it; fewer rows may pass. `code` is its own, short and stable."""

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class WatermarkExpired(FatalError):
    """The system no longer knows what changed since a watermark: only a full comparison finds it."""


class RetryableError(ConnectorError):
    """The same call may work later; `retry_after` is the system's own hint in seconds, if it gave one.

    `throttled`: the system is there and pushes back (429, too many at once), so fewer calls at once may pass.
    """

    exit_code = 4

    def __init__(
        self, message: str, *, hint: str = "", retry_after: float | None = None, throttled: bool = False
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after
        self.throttled = throttled


class DataError(MigratorError):
    """The run is complete, but the data does not hold: refused rows, failed expectations, an open equation."""

    exit_code = 1


class SafetyStop(MigratorError):
    """Going on could do harm and only a person can say: a stale plan, a held lease, a drifted target schema."""

    exit_code = 5


def raise_errors(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Raise a `ProjectError` with all problems if any is an error; otherwise return the warnings."""
    found = tuple(sorted(problems, key=lambda problem: problem.location))
    if any(problem.severity is Severity.ERROR for problem in found):
        raise ProjectError(found)
    return found
