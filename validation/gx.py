"""The only module that speaks to Great Expectations: it judges pandas frames and gives back plain values.

Facts this module is built on (version 1.24.1): importing takes seconds and, beside some versions of pyspark, can end the
process silently; an expectation that could not be evaluated looks like one that failed; results carry raw values unless
they are told not to. It is imported here on first use, analytics off; nothing is written, sent or looked up.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from migrator.core.errors import FatalError
from validation.expectations import Expectation

if TYPE_CHECKING:
    import pandas as pd

KEY = "__key"
"""Column of every frame that names the record."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What Great Expectations said of one expectation on one frame."""

    error: str
    """Why it could not be evaluated; '' when it could."""
    success: bool
    checked: int
    """Values looked at: rows, less the empty ones where the expectation passes over them."""
    failed: int
    keys: tuple[str | None, ...]
    """Keys of all failing rows."""
    observed: str = ""
    """For expectations on a whole column: what was found."""


def judge(frame: pd.DataFrame, expectations: Sequence[Expectation]) -> list[Judged]:
    """Judge a frame by expectations, in their order; `KEY` is the frame's column of record keys.

    One that cannot be evaluated never spoils the others: when the suite as a whole breaks, each is judged alone.
    """
    with _quiet():
        try:
            results = _validate(frame, expectations)
        except _broken():
            return [_judge_alone(frame, item) for item in expectations]
    return [_judged(result) for result in results]


def problem(expectation: Expectation) -> str:
    """Why Great Expectations does not take this expectation (unknown type, wrong kwargs), or ''."""
    with _quiet():
        if expectation.type not in known_types():
            return f"Great Expectations knows no expectation {expectation.type!r}"
        try:
            _suite([expectation])
        except _broken() as error:
            return _short(str(error))
    return ""


@cache
def known_types() -> tuple[str, ...]:
    """All expectation types there are."""
    with _quiet():
        _library()
        from great_expectations.expectations.registry import list_registered_expectation_implementations

        return tuple(list_registered_expectation_implementations())


@cache
def _library() -> Any:
    """The library, imported once; an import that would end the process is an error like any other."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    try:
        import great_expectations
        from great_expectations.execution_engine import pandas_execution_engine
    except SystemExit as error:
        raise FatalError(
            "importing great_expectations tried to end this process",
            hint="a pyspark without grpcio does this: install pyspark[connect], or remove pyspark",
        ) from error
    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)  # its messages may carry values
    # It hashes every cell of a frame of up to a gigabyte for a mark that nobody asks for: more than half of what judging costs.
    pandas_execution_engine.HASH_THRESHOLD = 0
    return great_expectations


@cache
def _batches() -> Any:
    """A definition that makes a batch of any frame, in a context that lives in memory only."""
    context = _library().get_context(mode="ephemeral")
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    source = context.data_sources.add_pandas("read_back")
    return source.add_dataframe_asset("records").add_batch_definition_whole_dataframe("chunk")


def _suite(expectations: Sequence[Expectation]) -> Any:
    items = [
        {
            "type": item.type,
            "kwargs": dict(item.kwargs),
            "severity": item.severity,
            "meta": {"number": number},
        }
        for number, item in enumerate(expectations)
    ]
    return _library().ExpectationSuite(name="rules", expectations=items)


def _validate(frame: pd.DataFrame, expectations: Sequence[Expectation]) -> list[dict[str, Any]]:
    batch = _batches().get_batch(batch_parameters={"dataframe": frame})
    found = batch.validate(
        _suite(expectations),
        result_format={
            "result_format": "COMPLETE",
            "unexpected_index_column_names": [KEY],
            "exclude_unexpected_values": True,
            "return_unexpected_index_query": False,
        },
    )
    results: dict[int, dict[str, Any]] = {}
    for item in found.results:
        number = item.expectation_config.meta["number"]
        results[number] = {"success": item.success, "result": item.result, "exception": item.exception_info}
    return [results[number] for number in range(len(expectations))]


def _judge_alone(frame: pd.DataFrame, expectation: Expectation) -> Judged:
    try:
        return _judged(_validate(frame, [expectation])[0])
    except _broken() as error:
        return Judged(_short(f"{type(error).__name__}: {error}"), success=False, checked=0, failed=0, keys=())


def _judged(raw: dict[str, Any]) -> Judged:
    error = _exception(raw["exception"] or {})
    result = raw["result"] or {}
    if error:
        return Judged(error, success=False, checked=0, failed=0, keys=())
    checked = int(result.get("element_count", 0)) - int(result.get("missing_count", 0) or 0)
    return Judged(
        "",
        bool(raw["success"]),
        checked,
        int(result.get("unexpected_count", 0) or 0),
        tuple(_keys(result.get("unexpected_index_list") or [])),
        str(result["observed_value"]) if "observed_value" in result else "",
    )


def _keys(listed: Sequence[Any]) -> Iterator[str | None]:
    """Keys come as one dict of lists without values, or as one dict a row."""
    for item in listed:
        keys = item[KEY]
        for key in keys if isinstance(keys, list | tuple) else [keys]:
            yield key if isinstance(key, str) else None


def _exception(info: dict[str, Any]) -> str:
    """The message when evaluation raised: the info is either one record or a dict of records by metric."""
    records = (
        [info] if "raised_exception" in info else [item for item in info.values() if isinstance(item, dict)]
    )
    for item in records:
        if item.get("raised_exception"):
            return _short(str(item.get("exception_message") or "it could not be evaluated"))
    return ""


def _short(text: str) -> str:
    first = " ".join(text.split())
    return first if len(first) <= 200 else first[:199] + "…"


def _broken() -> tuple[type[Exception], ...]:
    """What judging may raise when an expectation does not fit the data: never a signal to stop the process."""
    _library()
    from great_expectations.exceptions import GreatExpectationsError

    return (GreatExpectationsError, TypeError, ValueError, KeyError, AttributeError, ArithmeticError)


@contextmanager
def _quiet() -> Iterator[None]:
    """The library warns about its own parts (deprecated modules, chained assignment): nothing our users can act on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
