"""Hooks run: a batch of columns in as pandas Series, one column out, checked before the engine sees it, timed.

What a hook does wrong ends the step with the place in its file and the first record of the batch, masked.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib.abc import SourceLoader
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc

from migrator.core.errors import Location, ProjectError
from migrator.core.mask import mask
from migrator.mapping.bound import Hook
from migrator.mapping.compile_hook import CompiledHook
from migrator.staging.engine import Session

if TYPE_CHECKING:
    import pandas as pd

Clock = Callable[[], float]
"""Seconds that only grow."""
_RECORDS = 3
"""Records of a batch that an error names."""
_SHORTEST = 2
"""Characters of a value that is looked for in what a hook says."""


@dataclass(slots=True)
class HookRun:
    """One hook at work, and what it has cost so far."""

    compiled: CompiledHook
    function: Callable[..., Any]
    clock: Clock = time.perf_counter
    rows: int = 0
    batches: int = 0
    seconds: float = 0.0
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, *columns: pa.ChunkedArray) -> pa.Array:
        """The hook's column for one batch; the first column holds the records' ids. One batch at a time."""
        with self._turn:
            began = self.clock()
            try:
                return self._checked(columns[0], columns[1:])
            finally:
                self.rows += len(columns[0])
                self.batches += 1
                self.seconds += self.clock() - began

    def _checked(self, ids: pa.ChunkedArray, columns: Sequence[pa.ChunkedArray]) -> pa.Array:
        hook = self.compiled.hook
        given = [_series(column, item.name) for column, item in zip(columns, hook.operands, strict=True)]
        # what a hook prints must not stand in the answer of a command
        with redirect_stdout(sys.stderr), _Reported(self, ids, columns):
            found = self.function(*given)
        for before, after, item in zip(columns, given, hook.operands, strict=True):
            if not _same(before, after):
                self.fail(ids, f"changed its input {item.name!r}", "work on a copy: column = column.copy()")
        arrow = self._arrow(ids, found, given[0])
        if len(arrow) != len(ids):
            words = f"returned {len(arrow):,} values for {len(ids):,} records"
            self.fail(ids, words, "one value for each record, in their order")
        return self._cast(ids, arrow)

    def _arrow(self, ids: pa.ChunkedArray, found: object, first: pd.Series[Any]) -> pa.Array:
        import numpy as np
        import pandas as pd

        if isinstance(found, pd.Series):
            if len(found) == len(first) and not found.index.equals(first.index):
                hint = "keep the index of the columns it is given: do not sort or reset it"
                self.fail(ids, "returned its values under another index", hint)
        elif not isinstance(
            found, np.ndarray | pd.api.extensions.ExtensionArray | pa.Array | pa.ChunkedArray
        ):
            self.fail(
                ids, f"returned {type(found).__name__}, not a Series", "return one value for each record"
            )
        try:
            arrow = pa.array(found, from_pandas=True)
        except (pa.ArrowException, ValueError, TypeError, NotImplementedError) as error:
            words = f"returned values that are not of one type: {_masked(str(error), ())}"
            self.fail(ids, words, self._wanted())
        return arrow.combine_chunks() if isinstance(arrow, pa.ChunkedArray) else arrow

    def _cast(self, ids: pa.ChunkedArray, arrow: pa.Array) -> pa.Array:
        wanted = self.compiled.arrow
        if not any(fits(arrow.type) for fits in _TAKEN[wanted.id]):
            self.fail(ids, f"returned {arrow.type} where the mapping wants {wanted}", self._wanted())
        try:
            if pa.types.is_decimal(wanted) and pa.types.is_integer(arrow.type):
                arrow = arrow.cast(pa.decimal256(76, wanted.scale))
            return arrow.cast(wanted)
        except pa.ArrowInvalid:
            self.fail(ids, f"returned a value that is no {wanted}", "nothing is rounded or cut")

    def _wanted(self) -> str:
        return f"the field's type: is what it must return: {self.compiled.arrow}, or null"

    def fail(self, ids: pa.ChunkedArray, words: str, hint: str, line: int = 0) -> NoReturn:
        """Raise the `ProjectError` of a batch, at `line` of the hook's file or at the hook itself."""
        hook = self.compiled.hook
        place = Location(hook.place.file, line) if line else hook.place
        named = ", ".join(mask(item) for item in ids.slice(0, _RECORDS).to_pylist())
        more = ", …" if len(ids) > _RECORDS else ""
        batch = f"in a batch of {len(ids):,} records: {named}{more}"
        message = f"{hook.name}, for {self.compiled.field!r} at {hook.used}, {words}, {batch}"
        raise ProjectError.at(place, message, hint)


class _Reported:
    """Whatever a hook raises is a mistake in the project's files, told at the line of the hook where it arose."""

    def __init__(self, run: HookRun, ids: pa.ChunkedArray, columns: Sequence[pa.ChunkedArray]) -> None:
        self.run, self.ids, self.columns = run, ids, columns

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, KeyboardInterrupt | MemoryError):
            return
        words = f"raised {type(error).__name__}"
        told = _masked(str(error).partition("\n")[0], self.columns)
        words += f": {told[:200]}" if told else ""
        line = _line(trace, self.run.compiled.hook)
        self.run.fail(self.ids, words, "mend the hook; values in its words are masked here", line)


def _line(trace: TracebackType | None, hook: Hook) -> int:
    """The innermost line of the hook's own file."""
    lines = [item.lineno for item in traceback.extract_tb(trace) if item.filename == str(hook.path)]
    return (lines[-1] if lines else 0) or 0


def _masked(told: str, columns: Sequence[pa.ChunkedArray]) -> str:
    """What a hook says, with the batch's values masked wherever they occur in it."""
    values = {
        str(value) for column in columns for value in _flat(column).unique().to_pylist() if value is not None
    }
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= _SHORTEST and value in told:
            told = told.replace(value, mask(value))
    return told


def _flat(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    return pc.list_flatten(column) if pa.types.is_list(column.type) else column


def _series(column: pa.ChunkedArray, name: str) -> pd.Series[Any]:
    import pandas as pd

    return pd.Series(pd.arrays.ArrowExtensionArray(column), name=name, copy=False)


def _same(before: pa.ChunkedArray, after: pd.Series[Any]) -> bool:
    now = pa.chunked_array(after.array.__arrow_array__())
    return now is before or (len(now) == len(before) and now.equals(before))


def _is_text(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(
        pa.types.is_string(inner) or pa.types.is_large_string(inner) or pa.types.is_string_view(inner)
    )


def _is_instant(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) and kind.tz)


_NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_null)
_TAKEN: Mapping[int, tuple[Callable[[pa.DataType], bool], ...]] = {
    pa.string().id: (_is_text, pa.types.is_null),
    pa.int64().id: _NUMBERS,
    pa.float64().id: _NUMBERS,
    pa.decimal128(1).id: (pa.types.is_integer, pa.types.is_decimal, pa.types.is_null),
    pa.bool_().id: (pa.types.is_boolean, pa.types.is_null),
    pa.date32().id: (pa.types.is_date, pa.types.is_null),
    pa.timestamp("us").id: (_is_instant, pa.types.is_null),
    pa.time64("us").id: (pa.types.is_time, pa.types.is_null),
}
"""Type that the mapping wants → types of a hook's answer that can become it without a guess."""


def register_hooks(
    session: Session, hooks: Sequence[CompiledHook], clock: Clock = time.perf_counter
) -> tuple[HookRun, ...]:
    """Import the files of a mapping's hooks and make the hooks known to the session; what they cost is read afterwards.

    Raises `ProjectError` when a file cannot be imported.
    """
    modules = {item.hook.path: item.hook for item in hooks}
    loaded = {path: _load(hook) for path, hook in modules.items()}
    runs = []
    for item in hooks:
        function = getattr(loaded[item.hook.path], item.hook.name.rpartition(".")[2])
        run = HookRun(item, function, clock)
        session.function(item.name, run, item.takes, item.gives)
        runs.append(run)
    return tuple(runs)


class _Text(SourceLoader):
    """Runs exactly the bytes whose digest stands in the mapping's fingerprint; leaves no bytecode in the project."""

    def __init__(self, hook: Hook) -> None:
        self.hook = hook

    def get_filename(self, fullname: str) -> str:  # noqa: ARG002
        return str(self.hook.path)

    def get_data(self, path: str) -> bytes:  # noqa: ARG002
        return self.hook.source


def _load(hook: Hook) -> Any:
    name = f"crm_migrator_hooks_{hook.digest}"
    spec = importlib.util.spec_from_loader(name, _Text(hook))
    if spec is None or spec.loader is None:
        raise ProjectError.at(hook.place, f"{hook.name} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with _Imported(hook):
        spec.loader.exec_module(module)
    return module


class _Imported:
    """Whatever the import of a hook's file raises, told at its line."""

    def __init__(self, hook: Hook) -> None:
        self.hook = hook

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, KeyboardInterrupt | MemoryError):
            return
        place = Location(self.hook.place.file, _line(trace, self.hook) or 1)
        words = f"this cannot be imported: {type(error).__name__}: {error}"
        hint = "a hook's file stands alone: it may import what is installed, not other files of the project"
        raise ProjectError.at(place, words, hint) from error


def costs(runs: Sequence[HookRun]) -> dict[str, dict[str, float]]:
    """Hook and field → rows, batches and seconds."""
    return {
        f"{run.compiled.hook.name} → {run.compiled.field}": {
            "rows": run.rows, "batches": run.batches, "seconds": round(run.seconds, 3),
        }
        for run in runs
    }  # fmt: skip
