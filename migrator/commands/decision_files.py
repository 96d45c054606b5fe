"""Files of decisions: JSON lines or CSV, one decision a line, read strictly and written inert."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from math import isfinite
from pathlib import Path
from typing import Any

from migrator.core.document import did_you_mean
from migrator.core.errors import FatalError, Location, Problem, ProjectError, raise_errors
from migrator.core.mapped import Same
from migrator.staging.match_decisions import WITHDRAWN, MatchDecision, ordered

COLUMNS = ("object", "one", "other", "verdict", "who", "at", "why", "weight")
NEEDED = COLUMNS[:6]
VERDICTS = (*(item.value for item in Same), WITHDRAWN)
_ENDINGS = (".jsonl", ".csv")
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""What a spreadsheet would take for a formula; an apostrophe goes in front of it, and off again when it is read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A decision of a file, and where it stands there."""

    place: Location
    decision: MatchDecision


def write_entries(path: Path, found: Sequence[MatchDecision]) -> int:
    """Write decisions to a .jsonl or .csv file, whole or not at all; returns how many."""
    _check_ending(path)
    temporary = path.with_name(f".{path.name}.writing")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            rows = (_row(item) for item in found)
            if path.suffix.lower() == ".jsonl":
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            else:
                file.write("\ufeff")
                _write_csv(csv.DictWriter(file, COLUMNS), rows)
        temporary.replace(path)
    except OSError as error:
        raise FatalError(f"cannot write {path}: {error.strerror}", hint="is it open in Excel?") from error
    finally:
        temporary.unlink(missing_ok=True)
    return len(found)


def _row(item: MatchDecision) -> dict[str, Any]:
    return {
        "object": item.mapping,
        "one": item.one,
        "other": item.other,
        "verdict": item.said,
        "who": item.who,
        "at": item.at.isoformat() if item.at else "",
        "why": item.why,
        "weight": item.weight,
    }


def _write_csv(writer: csv.DictWriter[str], rows: Iterable[Mapping[str, Any]]) -> None:
    writer.writeheader()
    for row in rows:
        texts = {name: "" if value is None else str(value) for name, value in row.items()}
        # a weight is a number, and may be below zero
        writer.writerow(
            {
                name: f"'{text}" if name != "weight" and _FORMULA.match(text) else text
                for name, text in texts.items()
            }
        )


def read_entries(path: Path) -> list[Entry]:
    """The decisions of a .jsonl or .csv file; raises `ProjectError` with every problem at its line."""
    _check_ending(path)
    problems: list[Problem] = []
    entries = []
    for line, row in _rows(path, problems):
        place = Location(str(path), line)
        found = list(_wrong(row, place))
        problems += found
        if not found:
            entries.append(Entry(place, _decision(row)))
    raise_errors(problems)
    return entries


def _check_ending(path: Path) -> None:
    if path.suffix.lower() not in _ENDINGS:
        hint = did_you_mean(path.suffix, _ENDINGS, noun="endings") or "name it .jsonl or .csv"
        raise ProjectError.at(
            str(path), f"decisions are not kept as {path.suffix or 'a file without ending'!r}", hint
        )


def _rows(path: Path, problems: list[Problem]) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ProjectError.at(
            str(path), "no such file", "make one with: migrator dedupe decisions export"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError.at(
            str(path), f"this file cannot be read: {error}", "it must be UTF-8 text"
        ) from error
    read = _json_rows if path.suffix.lower() == ".jsonl" else _csv_rows
    return read(text, path, problems)


def _json_rows(text: str, path: Path, problems: list[Problem]) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, words in enumerate(text.split("\n"), start=1):
        if not words.strip():
            continue
        try:
            row = json.loads(words)
        except ValueError as error:
            problems.append(
                Problem(Location(str(path), line), f"this line is not JSON: {error}", "one {…} a line")
            )
            continue
        if isinstance(row, dict):
            yield line, row
        else:
            problems.append(Problem(Location(str(path), line), "this line is no object", "one {…} a line"))


def _csv_rows(text: str, path: Path, problems: list[Problem]) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    header: list[str] = []
    try:
        for row in reader:
            if not header:
                header = row
                problems += _wrong_header(header, Location(str(path), 1))
            elif len(row) > len(header):
                hint = "quote texts that hold a comma"
                problems.append(
                    Problem(Location(str(path), reader.line_num), "more cells than columns", hint)
                )
            elif any(row):
                yield reader.line_num, {name: _plain(cell) for name, cell in zip(header, row, strict=False)}
    except csv.Error as error:
        problems.append(
            Problem(Location(str(path), reader.line_num), f"this is not CSV: {error}", "check the quotes")
        )


def _plain(text: str) -> str:
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def _wrong_header(header: Sequence[str], place: Location) -> Iterator[Problem]:
    for name in header:
        if name not in COLUMNS:
            yield Problem(place, f"unknown column {name!r}", did_you_mean(name, COLUMNS, noun="columns"))
    for name in NEEDED:
        if name not in header:
            yield Problem(place, f"there is no column {name!r}", f"columns: {', '.join(COLUMNS)}")


def _wrong(row: Mapping[str, Any], place: Location) -> Iterator[Problem]:
    for name in row:
        if name not in COLUMNS:
            yield Problem(place, f"unknown field {name!r}", did_you_mean(str(name), COLUMNS, noun="fields"))
    for name in NEEDED:
        if not isinstance(row.get(name), str) or not row[name].strip():
            yield Problem(place, f"{name} is missing", f"every decision has: {', '.join(NEEDED)}")
            return
    if row["verdict"] not in VERDICTS:
        hint = did_you_mean(row["verdict"], VERDICTS, noun="verdicts")
        yield Problem(place, f"{row['verdict']!r} is no verdict", hint or f"one of: {', '.join(VERDICTS)}")
    if row["one"] == row["other"]:
        yield Problem(place, f"{row['one']!r} is one record, and a pair is two", "one and other must differ")
    if not isinstance(row.get("why") or "", str):
        yield Problem(place, "why is no text", "write it in double quotes")
    yield from _wrong_values(row, place)


def _wrong_values(row: Mapping[str, Any], place: Location) -> Iterator[Problem]:
    try:
        _moment(row["at"])
    except ValueError:
        yield Problem(place, f"{row['at']!r} is no moment", "for example 2026-03-01T09:30:00+00:00")
    try:
        _number(row.get("weight"))
    except (TypeError, ValueError):
        yield Problem(place, f"weight {row['weight']!r} is no number", "in bits, or empty")


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text.strip())
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _number(value: object) -> float | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(value)
    if not isfinite(float(value)):
        raise ValueError(value)
    return float(value)


def _decision(row: Mapping[str, Any]) -> MatchDecision:
    one, other = ordered(row["one"], row["other"])
    return MatchDecision(
        row["object"], one, other, None if row["verdict"] == WITHDRAWN else Same(row["verdict"]), row["who"].strip(),
        row.get("why") or "", weight=_number(row.get("weight")), at=_moment(row["at"]),
    )  # fmt: skip
