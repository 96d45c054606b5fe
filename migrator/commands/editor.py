"""What editors read of a project: the JSON Schema of the mapping language, kept as this version of the tool has it."""

from __future__ import annotations

import json

from migrator.commands.project import Project
from migrator.mapping.model import json_schema


def write_json_schema(project: Project) -> None:
    """Put the mapping language's JSON Schema where the mappings' modelines point; left alone when it is current."""
    path = project.workspace / "mapping.schema.json"
    text = json.dumps(json_schema(), ensure_ascii=False, indent=1) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8", errors="replace") == text:
        return
    project.workspace.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
