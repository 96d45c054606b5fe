"""The bad rows of a call that is refused whole, or never answered: found by halving, told in the system's own words.

A row refused so is an answer like any other. When everything fails alike no single row is to blame, and the work stops
instead of making thousands of calls.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import pyarrow as pa

from migrator.core.connector import OUTCOMES
from migrator.core.errors import CallRefused, FatalError, RetryableError
from migrator.load.outbound import TARGET_KEY

ALIKE = 16
"""So many rows, spread over a call, refused alone with one code while nothing passes: the others need not be tried."""
FEW = 2 * ALIKE
"""A call of so few rows is searched to its end."""
CALLS_ALIKE = 20
"""So many calls in a row of which nothing passed, with one code: it will not pass by itself."""
NO_ANSWER = "no_answer"
"""Code of a row that was sent alone and never answered, while others were, and that the system does not hold."""


def refusal(rows: pa.Table, code: str, message: str) -> pa.Table:
    """`OUTCOMES` that refuse each of these rows."""
    nothing = [None] * rows.num_rows
    keys = rows.column(TARGET_KEY).to_pylist()
    told = [keys, nothing, ["refused"] * len(keys), [code] * len(keys), nothing, [message] * len(keys)]
    return pa.table(told, schema=OUTCOMES)


def pushes_back(error: RetryableError) -> bool:
    """Whether the system (or the budget of the day) says that it is a matter of time, not of rows."""
    return error.throttled or error.retry_after is not None


class Health:
    """What became of the calls so far: how many in a row were refused whole, with one code; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._code, self._calls = "", 0

    def passed(self) -> None:
        """Something of a call passed."""
        with self._lock:
            self._calls = 0

    def refused(self, target_object: str, error: CallRefused) -> None:
        """Nothing of a call passed. Raises `FatalError` when that has been so for too long."""
        with self._lock:
            self._calls = self._calls + 1 if error.code == self._code else 1
            self._code = error.code
            if self._calls >= CALLS_ALIKE:
                raise all_alike(target_object, f"the last {self._calls} calls", error)


def all_alike(target_object: str, what: str, error: CallRefused) -> FatalError:
    """That no single row can be to blame."""
    return FatalError(
        f"{target_object}: {what} were refused alike ({error.code}): {error.message}",
        hint=error.hint
        or "no single record is to blame: is the field there, may this user write, is the object active?",
    )


class Search:
    """The search for the bad rows of one call.

    `send` writes rows and returns their answers, or raises; `settle` says what became of a single row that was
    never answered. Halves are every other row, so that the first rows to be tried alone stand all over the call.
    """

    def __init__(
        self,
        target_object: str,
        size: int,
        send: Callable[[pa.Table], pa.Table],
        settle: Callable[[pa.Table, RetryableError], pa.Table],
    ) -> None:
        self._object, self._size = target_object, size
        self._send, self._settle = send, settle
        self._alone: Counter[str] = Counter()
        self.passed = False
        """Whether any row passed."""

    def refused(self, rows: pa.Table, error: CallRefused) -> pa.Table:
        """The answers for rows that were refused whole, in any order. Raises `FatalError` when all fail alike."""
        return self._halves(rows, error)

    def unanswered(self, rows: pa.Table, error: RetryableError) -> pa.Table:
        """The answers for rows that keep failing together; raises the error when no row passes alone either."""
        for place in (0, rows.num_rows - 1):
            one = rows.slice(place, 1)
            try:
                told = self._send(one)
                self.passed = True
            except CallRefused as refused:
                told = self._single(one, refused)
            except RetryableError as again:
                if pushes_back(again):
                    raise
                continue
            others = rows.take([number for number in range(rows.num_rows) if number != place])
            return pa.concat_tables([told, self._halves(others, error)])
        raise error

    def _halves(self, rows: pa.Table, error: CallRefused | RetryableError) -> pa.Table:
        if rows.num_rows == 1:
            return self._single(rows, error)
        every_other = (rows.take(list(range(first, rows.num_rows, 2))) for first in (0, 1))
        return pa.concat_tables([self._try(half) for half in every_other])

    def _try(self, rows: pa.Table) -> pa.Table:
        try:
            told = self._send(rows)
        except CallRefused as error:
            return self._halves(rows, error)
        except RetryableError as error:
            if pushes_back(error):
                raise
            return self._halves(rows, error)
        self.passed = True
        return told

    def _single(self, rows: pa.Table, error: CallRefused | RetryableError) -> pa.Table:
        if isinstance(error, RetryableError):
            return self._settle(rows, error)
        self._alone[error.code] += 1
        if not self.passed and self._size > FEW and self._alone[error.code] >= ALIKE:
            raise all_alike(self._object, f"{ALIKE} records that were sent alone", error)
        return refusal(rows, error.code, error.message)
