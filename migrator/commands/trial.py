"""The command `map test`: the tests of mappings, run on rows in memory; needs no connection and no staged data."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from migrator.commands.binding import bind_project, known_schema, read_mappings, source_systems
from migrator.commands.project import Project, open_workspace
from migrator.core.document import did_you_mean
from migrator.core.errors import DataError, ProjectError
from migrator.mapping.bind import unknown_types
from migrator.mapping.trial import Verdict, try_mapping


@dataclass(frozen=True, slots=True)
class TrialReport:
    """How every test ended, in the order of the files."""

    verdicts: tuple[Verdict, ...]

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """Tests that do not hold."""
        return tuple(item for item in self.verdicts if not item.holds)

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "tests": [
                {
                    "mapping": item.mapping,
                    "name": item.test,
                    "place": str(item.location),
                    "holds": item.holds,
                    "differences": [
                        {"place": str(found.location), "message": found.message} for found in item.differences
                    ],
                }
                for item in self.verdicts
            ],
            "failed": len(self.failed),
        }

    def raise_unless_they_hold(self) -> None:
        """Raise `DataError` when a test fails."""
        if self.failed:
            raise DataError(
                f"{len(self.failed)} of {len(self.verdicts)} tests fail",
                hint="mend the mapping, or the test where it expects the wrong thing",
            )


def run_tests(project: Project, names: Sequence[str] = ()) -> TrialReport:
    """Run the tests of the mappings named, or of all; raises `ProjectError` for unknown names and misnamed columns."""
    mappings = read_mappings(project)
    known = [item.name for item in mappings]
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known, noun="mappings")
            raise ProjectError.at("map test", f"there is no mapping {name!r}", hint)
    with open_workspace(project) as workspace, closing(workspace.session()) as session:
        bound = bind_project(workspace, mappings, unknown_types)
        schemas = {name: known_schema(project, name) for name in source_systems(mappings)}
        verdicts: list[Verdict] = []
        for mapping in mappings:
            found = bound.mapping(mapping.name)
            if found is not None and (not names or mapping.name in names):
                verdicts.extend(try_mapping(session, mapping, found, schemas))
    return TrialReport(tuple(verdicts))
