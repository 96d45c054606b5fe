"""`engine` and `spark` of `migration.yaml`: which engine does the heavy work, and what it may take."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from migrator.commands.setting_checks import unknown_keys, wrong_types
from migrator.core.dialect import Dialect
from migrator.core.document import Document, TreePath, did_you_mean
from migrator.core.errors import Problem
from migrator.staging.engine import EngineSettings

LEAST_MEMORY = 64e6
"""Bytes below which the engine cannot even begin."""
MOST_THREADS = 256
"""Of the engine; a slip of the finger must not start a million."""
_ENGINE: Mapping[str, type] = {"kind": str, "memory_limit": str, "threads": int, "temp_directory": str}
_SPARK: Mapping[str, type] = {"master": str, "conf": dict}


def parse_engine(
    document: Document, data: Mapping[Any, Any], folder: Path, problems: list[Problem]
) -> EngineSettings:
    """`engine`, a name or a mapping of settings, and `spark`; what is wrong is added to `problems`."""
    engine = data.get("engine", {})
    if isinstance(engine, str):
        kind = _kind(document, ("engine",), engine, problems)
        settings = EngineSettings(kind=kind)
    elif isinstance(engine, dict):
        kind = _kind(document, ("engine", "kind"), engine.get("kind", Dialect.DUCKDB.value), problems)
        settings = replace(_limits(document, engine, folder, problems), kind=kind)
    else:
        hint = "for example: engine: {memory_limit: 1GB}, or engine: spark"
        place = document.locate(("engine",))
        problems.append(Problem(place, f"engine must be a name or a mapping, not {engine!r}", hint))
        settings = EngineSettings()
    master, conf = _spark(document, data.get("spark"), problems)
    return replace(settings, master=master, conf=conf)


def _kind(document: Document, path: TreePath, raw: object, problems: list[Problem]) -> Dialect:
    known = [item.value for item in Dialect]
    if raw in known:
        return Dialect(raw)
    if isinstance(raw, str):  # any other type is told with the types of the mapping
        hint = did_you_mean(raw, known, noun="engines")
        problems.append(Problem(document.locate(path), f"there is no engine {raw!r}", hint))
    return Dialect.DUCKDB


def _spark(document: Document, raw: object, problems: list[Problem]) -> tuple[str, dict[str, str]]:
    if not isinstance(raw, dict):
        return "", {}
    wrong = wrong_types(document, ("spark",), raw, _SPARK)
    problems.extend([*unknown_keys(document, ("spark",), raw, _SPARK), *wrong])
    if wrong:
        return "", {}
    conf = {}
    for name, value in raw.get("conf", {}).items():
        if isinstance(value, dict | list) or value is None:
            place = document.locate(("spark", "conf", str(name)))
            problems.append(
                Problem(place, f"{name} must be one value", "for example: spark.executor.memory: 4g")
            )
        conf[str(name)] = str(value).lower() if isinstance(value, bool) else str(value)
    return raw.get("master", ""), conf


def _limits(
    document: Document, raw: Mapping[Any, Any], folder: Path, problems: list[Problem]
) -> EngineSettings:
    problems.extend(unknown_keys(document, ("engine",), raw, _ENGINE))
    wrong = wrong_types(document, ("engine",), raw, _ENGINE)
    problems.extend(wrong)
    limit = raw.get("memory_limit", "1GB")
    if isinstance(limit, str) and not re.fullmatch(r"\d+(\.\d+)?\s*(MB|GB|MiB|GiB)", limit):
        place = document.locate(("engine", "memory_limit"))
        problems.append(Problem(place, f"{limit!r} is not an amount of memory", "for example 1GB or 512MB"))
    elif isinstance(limit, str) and memory_bytes(limit) < LEAST_MEMORY:
        place = document.locate(("engine", "memory_limit"))
        problems.append(
            Problem(place, f"{limit} is too little to work with", "at least 64MB; 1GB is a good start")
        )
    threads = raw.get("threads", 0)
    if isinstance(threads, int) and not 0 <= threads <= MOST_THREADS:
        place = document.locate(("engine", "threads"))
        hint = f"0 for as many as the machine has, at most {MOST_THREADS}"
        problems.append(Problem(place, f"the engine cannot have {threads:,} threads", hint))
    if wrong:
        return EngineSettings()
    settings = {key: raw[key] for key in _ENGINE if key in raw and key != "kind"}
    if settings.get("temp_directory"):
        settings["temp_directory"] = str(folder / Path(settings["temp_directory"]).expanduser())
    return EngineSettings(**settings)


def memory_bytes(limit: str) -> float:
    """An amount of memory as settings write it, '1GB' or '512MiB', in bytes."""
    number, unit = re.split(r"(?=[MG])", limit)
    return float(number) * (1e6 if unit.startswith("M") else 1e9)
