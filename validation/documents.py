"""The documents of one validation, drawn from what its folder holds: report.json, the sample, the list, the signatures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from migrator.core.errors import DataError, FatalError
from validation.facts import SCHEMA_VERSION
from validation.junit import junit
from validation.messages import catalogue
from validation.report import Signed, render
from validation.signoff import problems, signatures
from validation.workbook import write_workbook

FORMATS = ("html", "xlsx", "junit")
REPORT = "report.json"
SAMPLE = "uat.json"


def write_documents(folder: Path, language: str, formats: Sequence[str] = FORMATS) -> dict[str, Path]:
    """Draw report.html, report.xlsx and report.junit.xml into `folder`; other languages than English stand in the name.

    Raises `FatalError` when there is no report in it, `DataError` when report or sample cannot be read any more.
    """
    content: Mapping[str, Any] = _read(folder / REPORT)
    if content.get("schema_version") != SCHEMA_VERSION:
        raise DataError(
            f"{folder / REPORT} was written by another version of this tool", hint="run: migrator validate"
        )
    sample: Sequence[Mapping[str, Any]] = _read(folder / SAMPLE) if (folder / SAMPLE).exists() else ()
    signed = Signed(signatures(folder), problems(folder))
    stem = "report" if language == "en" else f"report.{language}"
    written = {}
    if "html" in formats:
        written["html"] = folder / f"{stem}.html"
        write_text(written["html"], render(content, language, signed))
    if "xlsx" in formats:
        written["xlsx"] = folder / f"{stem}.xlsx"
        temporary = folder / f".{stem}.xlsx.writing"
        try:
            write_workbook(
                temporary,
                folder,
                content,
                sample=sample,
                signed=signed.lines,
                text=catalogue(language),
            )
            temporary.replace(written["xlsx"])
        except OSError as error:
            raise FatalError(
                f"cannot write {written['xlsx']}: {error}", hint="is it open in Excel?"
            ) from error
    if "junit" in formats:
        written["junit"] = folder / f"{stem}.junit.xml"
        write_text(written["junit"], junit(content, catalogue(language)))
    return written


def write_json(path: Path, content: object) -> None:
    """Write JSON as it is signed: readable, one value a line."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a whole file or none."""
    temporary = path.with_name(f".{path.name}.writing")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise FatalError(
            f"cannot write {path}: {error.strerror}", hint="is the disk full, or the folder read-only?"
        ) from error


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FatalError(f"cannot read {path}: {error.strerror}", hint="run: migrator validate") from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON any more: {error}", hint="run: migrator validate") from error
