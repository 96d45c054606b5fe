"""All mapping files of a project: every problem of every file at once, and how far the rest can be read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from migrator.core.document import Document
from migrator.core.errors import Location, Problem, ProjectError, raise_errors
from migrator.mapping.mend import mend
from migrator.mapping.parse import ObjectMapping, parse_mapping


@dataclass(frozen=True, slots=True)
class MappingFiles:
    """The mappings of a folder, read as far as they go."""

    mappings: tuple[ObjectMapping, ...]
    """By name; those with mistakes without them."""
    problems: tuple[Problem, ...]
    doubtful: frozenset[Location]
    """Places where something was left out."""
    whole: bool
    """Every file is there: what one says of another can be checked."""


def load(folder: Path, project: Path) -> tuple[ObjectMapping, ...]:
    """All mappings in `folder` (*.yaml, *.yml), by name; raises `ProjectError` with the problems of all files.

    Places name files relative to `project`, the folder that value maps must stay in.
    """
    found = read_files(folder, project)
    raise_errors(found.problems)
    return found.mappings


def read_files(folder: Path, project: Path) -> MappingFiles:
    """All mappings in `folder` with all their problems; raises `ProjectError` when there are none."""
    files = sorted(path for suffix in ("*.yaml", "*.yml") for path in folder.glob(suffix))
    if not files:
        raise ProjectError.at(
            str(folder), "no mapping in this folder", "write one, or start with: migrator init"
        )
    found: list[ObjectMapping] = []
    problems: list[Problem] = []
    doubtful: set[Location] = set()
    for path in files:
        shown = str(path.relative_to(project)) if path.is_relative_to(project) else str(path)
        try:
            document = Document.read(path, shown_as=shown)
        except ProjectError as error:
            problems.extend(error.problems)
            continue
        try:
            found.append(parse_mapping(document, project))
        except ProjectError as error:
            problems.extend(error.problems)
            mended = mend(document, project)
            if mended is not None:
                doubtful |= mended.doubtful
                found.append(mended.mapping)
    whole = len(found) == len(files)
    twice = _twice(found)
    mappings = tuple(sorted(found, key=lambda item: item.name))
    return MappingFiles(mappings, (*problems, *twice), frozenset(doubtful), whole and not twice)


def _twice(found: Iterable[ObjectMapping]) -> list[Problem]:
    first: dict[str, ObjectMapping] = {}
    problems = []
    for item in found:
        known = first.setdefault(item.name.casefold(), item)
        if known is not item:
            hint = f"the first is {known.document.file}; rename one"
            problems.append(Problem(item.at("mapping"), f"a second mapping is called {item.name!r}", hint))
    return problems
