"""What `map suggest` answers: proposed mappings of pairs of objects, and what is left over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrator.mapping.suggest import Suggestion
from migrator.mapping.suggest_objects import ObjectPair
from migrator.mapping.suggest_yaml import question_of


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposed mapping of one pair of objects, and what was written of it."""

    systems: tuple[str, str]
    pair: ObjectPair
    suggestion: Suggestion
    name: str
    """Of the mapping, as it is or would be called."""
    links: Mapping[str, str]
    """Source object → its mapping, for lookups."""
    mapped_by: tuple[str, ...] = ()
    """Mappings that move this pair already."""
    written: Path | None = None
    not_written: str = ""
    """Why there is no file of it although files were asked for."""

    @property
    def questions(self) -> dict[str, str]:
        """Target field → what a person must decide."""
        asked = {
            line.target.name: question_of(line, self.links) for line in self.suggestion.lines if line.chosen
        }
        return {name: question for name, question in asked.items() if question}

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "source_system": self.systems[0],
            "target_system": self.systems[1],
            "confidence": self.pair.confidence,
            "evidence": list(self.pair.evidence),
            "mapping": self.name,
            "mapped_by": list(self.mapped_by),
            "written": str(self.written) if self.written else None,
            "not_written": self.not_written or None,
            "questions": self.questions,
            **self.suggestion.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Suggested:
    """All proposals, and what is left over."""

    proposals: tuple[Proposal, ...]
    unpaired: tuple[str, ...]
    """Source objects ('SYSTEM/OBJECT') for which no object of the target was found."""
    problems: tuple[str, ...] = ()
    """What `migrator check` would say of the project with the files just written."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "proposals": [item.to_json() for item in self.proposals],
            "unpaired": list(self.unpaired),
            "problems": list(self.problems),
        }
